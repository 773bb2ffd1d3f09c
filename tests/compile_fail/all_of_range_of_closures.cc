// All() of a range of what returns Tasks, not called.
// expect: pass a Task, or something that a Task can await
#include <cstddef>
#include <ranges>

#include "weft/weft.h"

weft::Task<int> Ask(int server);

weft::Task<size_t> Caller() {
#ifdef MISUSE
  const auto ask = [](int server) { return [server] { return Ask(server); }; };
#else
  const auto ask = [](int server) { return Ask(server); };
#endif
  co_return (co_await weft::All(std::views::iota(0, 3) | std::views::transform(ask))).size();
}

// The same of a range.
// expect: this is awaited once: co_await a temporary, or std::move() it
#include <utility>
#include <vector>

#include "weft/weft.h"

weft::Task<void> Caller(std::vector<weft::Task<int>> tasks) {
  auto all = weft::All(std::move(tasks));
#ifdef MISUSE
  co_await all;
#else
  co_await std::move(all);
#endif
}

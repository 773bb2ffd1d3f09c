// An All() of a vector that nobody awaits.
// expect: co_await it
#include <utility>
#include <vector>

#include "weft/weft.h"

weft::Task<void> Caller(std::vector<weft::Task<void>> tasks) {
#ifdef MISUSE
  weft::All(std::move(tasks));
  co_return;
#else
  co_await weft::All(std::move(tasks));
#endif
}

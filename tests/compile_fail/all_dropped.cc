// An All() that nobody awaits.
// expect: co_await it
#include "weft/weft.h"

weft::Task<int> Count();

weft::Task<int> Caller() {
#ifdef MISUSE
  weft::All(Count(), Count());
#endif
  auto [a, b] = co_await weft::All(Count(), Count());
  co_return a + b;
}

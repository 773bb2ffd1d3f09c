// All() of closures one of which returns no Task.
// expect: or a closure without parameters that returns one
#include "weft/weft.h"

weft::Task<int> Count();

weft::Task<int> Caller() {
#ifdef MISUSE
  auto [a, b] = co_await weft::All([] { return Count(); }, [] { return 1; });
#else
  auto [a, b] = co_await weft::All(Count(), Count());
#endif
  co_return a + b;
}

// The results of an All() that nobody awaits.
// expect: co_await it: nothing was waited for
#include <tuple>

#include "weft/weft.h"

weft::Task<int> Count();

weft::Task<int> Caller() {
#ifdef MISUSE
  std::tuple<int, int> counts = weft::All(Count(), Count());
#else
  std::tuple<int, int> counts = co_await weft::All(Count(), Count());
#endif
  co_return std::get<0>(counts);
}

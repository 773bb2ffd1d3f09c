// An All() that has a name, awaited without std::move().
// expect: what All() returns is awaited once: co_await std::move(all)
#include <utility>

#include "weft/weft.h"

weft::Task<int> Count();

weft::Task<void> Caller() {
  auto both = weft::All(Count(), Count());
#ifdef MISUSE
  co_await both;
#else
  co_await std::move(both);
#endif
}

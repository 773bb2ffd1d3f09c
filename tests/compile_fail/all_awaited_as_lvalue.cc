// An All() that has a name, awaited without std::move().
// expect: this is awaited once: co_await a temporary, or std::move() it
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

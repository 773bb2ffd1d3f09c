// A scope that is moved, as from the function that has opened it.
// expect: neither copied nor moved
#include <utility>

#include "weft/weft.h"

weft::Task<void> Caller() {
  weft::AwaitAll scope;
#ifdef MISUSE
  weft::AwaitAll same = std::move(scope);
#else
  weft::AwaitAll& same = scope;
#endif
  (co_await same.Join()).IgnoreFailures();
}

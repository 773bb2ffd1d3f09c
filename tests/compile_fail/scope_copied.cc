// A copy of a scope.
// expect: neither copied nor moved
#include "weft/weft.h"

weft::Task<void> Caller() {
  weft::AwaitAll scope;
#ifdef MISUSE
  weft::AwaitAll same = scope;
#else
  weft::AwaitAll& same = scope;
#endif
  (co_await same.Join()).IgnoreFailures();
}

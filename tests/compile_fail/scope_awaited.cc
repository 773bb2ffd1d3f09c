// A scope that is awaited itself.
// expect: a weft::Task awaits Weft's own awaitables
#include "weft/weft.h"

weft::Task<void> Caller() {
  weft::AwaitAll scope;
#ifdef MISUSE
  co_await scope;
#else
  (co_await scope.Join()).IgnoreFailures();
#endif
}

// A Join() that nobody awaits.
// expect: co_await it
#include "weft/weft.h"

weft::Task<void> Caller() {
  weft::AwaitAll scope;
#ifdef MISUSE
  scope.Join();
#endif
  (co_await scope.Join()).IgnoreFailures();
}

// The value of Join(), dropped.
// expect: look at the outcome of Join()
#include "weft/weft.h"

weft::Task<void> Caller() {
  weft::ShutdownOnSuccess<int> scope;
#ifdef MISUSE
  co_await scope.Join();
#else
  (co_await scope.Join()).IgnoreFailures();
#endif
}

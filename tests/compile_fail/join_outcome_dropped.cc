// The outcome of Join(), dropped.
// expect: look at the outcome of Join(), or say .IgnoreFailures()
#include "weft/weft.h"

weft::Task<void> Caller() {
  weft::ShutdownOnFailure scope;
#ifdef MISUSE
  co_await scope.Join();
#else
  (co_await scope.Join()).IgnoreFailures();
#endif
}

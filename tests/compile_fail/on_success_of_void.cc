// ShutdownOnSuccess<void>, which would have no result.
// expect: ShutdownOnSuccess<void> has no result to return; use a scope with another policy
#include "weft/weft.h"

weft::Task<void> Work();

weft::Task<void> Caller() {
#ifdef MISUSE
  weft::ShutdownOnSuccess<void> scope;
#else
  weft::ShutdownOnFailure scope;
#endif
  scope.Fork(Work());
  (co_await scope.Join()).IgnoreFailures();
}

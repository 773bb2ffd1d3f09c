// AllSuccessful<void>, which would have no values.
// expect: AllSuccessful<T> returns a vector of values; use ShutdownOnFailure where there are none
#include "weft/weft.h"

weft::Task<void> Work();

weft::Task<void> Caller() {
#ifdef MISUSE
  weft::AllSuccessful<void> scope;
#else
  weft::ShutdownOnFailure scope;
#endif
  scope.Fork(Work());
  (co_await scope.Join()).IgnoreFailures();
}

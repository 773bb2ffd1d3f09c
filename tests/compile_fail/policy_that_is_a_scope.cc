// A scope in the place of its policy.
// expect: does not satisfy 'ScopePolicy'
#include "weft/weft.h"

weft::Task<void> Caller() {
#ifdef MISUSE
  weft::StructuredTaskScope<weft::ShutdownOnFailure> scope;
#else
  weft::StructuredTaskScope<weft::ShutdownOnFailurePolicy> scope;
#endif
  co_await scope.Close();
}

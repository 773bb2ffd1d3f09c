// A NextCompleted() that nobody awaits.
// expect: co_await it
#include "weft/weft.h"

weft::Task<bool> Caller() {
  weft::AsCompleted<int> scope;
#ifdef MISUSE
  scope.NextCompleted();
#endif
  co_return (co_await scope.NextCompleted()).has_value();
}

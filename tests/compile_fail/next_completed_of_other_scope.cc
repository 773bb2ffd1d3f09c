// NextCompleted() of a scope that keeps nothing.
// expect: for AsCompleted<T>, and others whose policy has kKeepsCompleted
#include "weft/weft.h"

weft::Task<bool> Caller() {
#ifdef MISUSE
  weft::AwaitAll scope;
#else
  weft::AsCompleted<int> scope;
#endif
  co_return (co_await scope.NextCompleted()).has_value();
}

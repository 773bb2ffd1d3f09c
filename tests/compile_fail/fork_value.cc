// Fork() of what is neither a Task nor a closure: here the result of the call.
// expect: Fork() takes a Task, or a closure without parameters that returns one
#include "weft/weft.h"

#ifdef MISUSE
int Count();
#else
weft::Task<int> Count();
#endif

weft::Task<void> Caller() {
  weft::AwaitAll scope;
  scope.Fork(Count());
  (co_await scope.Join()).IgnoreFailures();
}

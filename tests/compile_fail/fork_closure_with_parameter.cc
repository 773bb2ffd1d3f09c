// Fork() of a function with a parameter, and nothing to pass.
// expect: Fork() takes a Task, or a closure without parameters that returns one
#include "weft/weft.h"

weft::Task<void> Step(int number);

weft::Task<void> Caller() {
  weft::AwaitAll scope;
#ifdef MISUSE
  scope.Fork(Step);
#else
  scope.Fork(Step(1));
#endif
  (co_await scope.Join()).IgnoreFailures();
}

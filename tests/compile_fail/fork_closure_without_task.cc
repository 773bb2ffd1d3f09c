// Fork() of a closure that returns no Task, as one would give it to a thread.
// expect: Fork() takes a Task, or a closure without parameters that returns one
#include "weft/weft.h"

void Step();

weft::Task<void> Caller() {
  weft::AwaitAll scope;
#ifdef MISUSE
  scope.Fork([] { Step(); });
#else
  scope.Fork([]() -> weft::Task<void> {
    Step();
    co_return;
  });
#endif
  (co_await scope.Join()).IgnoreFailures();
}

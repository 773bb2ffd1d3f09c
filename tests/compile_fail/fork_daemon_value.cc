// A daemon that is no task.
// expect: ForkDaemon() takes a Task, or a closure without parameters that returns one
#include "weft/weft.h"

weft::Task<void> Watch();

weft::Task<void> Caller() {
  weft::AwaitAll scope;
#ifdef MISUSE
  scope.ForkDaemon(Watch);
  scope.ForkDaemon(3);
#else
  scope.ForkDaemon(Watch);
  scope.ForkDaemon(Watch());
#endif
  (co_await scope.Join()).IgnoreFailures();
}

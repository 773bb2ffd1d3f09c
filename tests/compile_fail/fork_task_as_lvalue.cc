// Fork() of a Task that has a name, without std::move().
// expect: what cannot be copied is moved into the child: Fork(std::move(task))
#include <utility>

#include "weft/weft.h"

weft::Task<void> Work();

weft::Task<void> Caller() {
  weft::AwaitAll scope;
  weft::Task<void> task = Work();
#ifdef MISUSE
  scope.Fork(task);
#else
  scope.Fork(std::move(task));
#endif
  (co_await scope.Join()).IgnoreFailures();
}

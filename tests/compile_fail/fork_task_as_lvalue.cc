// Fork() of a Task that has a name, without std::move().
// expect: a Task is awaited once: std::move() it
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

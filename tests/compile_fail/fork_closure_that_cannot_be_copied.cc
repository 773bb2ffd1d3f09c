// Fork() of a closure that has a name and cannot be copied.
// expect: a Task, or what cannot be copied, must be moved into the child: Fork(std::move(task))
#include <memory>
#include <utility>

#include "weft/weft.h"

weft::Task<void> Step(int number);

weft::Task<void> Caller() {
  weft::AwaitAll scope;
  auto closure = [number = std::make_unique<int>(1)] { return Step(*number); };
#ifdef MISUSE
  scope.Fork(closure);
#else
  scope.Fork(std::move(closure));
#endif
  (co_await scope.Join()).IgnoreFailures();
}

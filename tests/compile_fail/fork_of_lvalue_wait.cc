// Fork() of a wait that is kept.
// expect: a Task, or what cannot be copied, must be moved into the child: Fork(std::move(task))
#include <utility>

#include "weft/weft.h"

weft::Task<void> Caller(weft::Event& event) {
  weft::AwaitAll scope;
  auto wait = event.Wait();
#ifdef MISUSE
  scope.Fork(wait);
#else
  scope.Fork(std::move(wait));
#endif
  (co_await scope.Join()).IgnoreFailures();
}

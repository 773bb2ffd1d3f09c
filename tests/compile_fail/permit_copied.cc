// A permit in a closure that copies it.
// expect: copy constructor of 'Permit' is implicitly deleted
#include <utility>

#include "weft/weft.h"

weft::Task<void> Work();

weft::Task<void> Caller(weft::Semaphore& semaphore) {
  weft::AwaitAll scope;
  weft::Permit permit = co_await semaphore.Acquire();
#ifdef MISUSE
  scope.Fork([permit] { return Work(); });
#else
  scope.Fork([permit = std::move(permit)] { return Work(); });
#endif
  (co_await scope.Join()).IgnoreFailures();
}

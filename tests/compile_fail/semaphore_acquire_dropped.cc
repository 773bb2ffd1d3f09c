// An Acquire() that nobody awaits.
// expect: co_await the lock, or the permit
#include "weft/weft.h"

weft::Task<void> Caller(weft::Semaphore& semaphore) {
#ifdef MISUSE
  semaphore.Acquire();
#endif
  weft::Permit permit = co_await semaphore.Acquire();
}

// A permit that is none: nobody awaits the Acquire().
// expect: co_await it: nothing was waited for
#include "weft/weft.h"

weft::Task<void> Caller(weft::Semaphore& semaphore) {
#ifdef MISUSE
  weft::Permit permit = semaphore.Acquire();
  co_return;
#else
  weft::Permit permit = co_await semaphore.Acquire();
#endif
}

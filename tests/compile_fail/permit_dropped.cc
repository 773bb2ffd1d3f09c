// A permit that is given back where it was got.
// expect: a dropped Permit is released at once
#include "weft/weft.h"

weft::Task<void> Caller(weft::Semaphore& semaphore) {
#ifdef MISUSE
  co_await semaphore.Acquire();
#else
  weft::Permit permit = co_await semaphore.Acquire();
#endif
}

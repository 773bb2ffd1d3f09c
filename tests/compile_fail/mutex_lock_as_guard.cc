// A guard that is no guard: nobody awaits the lock.
// expect: co_await it: nothing was waited for
#include "weft/weft.h"

weft::Task<void> Caller(weft::Mutex& mutex) {
#ifdef MISUSE
  weft::MutexGuard guard = mutex.Lock();
  co_return;
#else
  weft::MutexGuard guard = co_await mutex.Lock();
#endif
}

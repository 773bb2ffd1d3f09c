// A lock that nobody awaits.
// expect: co_await the lock
#include "weft/weft.h"

weft::Task<void> Caller(weft::Mutex& mutex) {
#ifdef MISUSE
  mutex.Lock();
#endif
  weft::MutexGuard guard = co_await mutex.Lock();
}

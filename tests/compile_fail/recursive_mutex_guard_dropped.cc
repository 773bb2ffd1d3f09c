// A lock that is given back where it was got.
// expect: a dropped guard unlocks at once
#include "weft/sync/recursive_mutex.h"
#include "weft/weft.h"

weft::Task<void> Caller(weft::RecursiveMutex& mutex) {
#ifdef MISUSE
  co_await mutex.Lock();
#else
  weft::RecursiveMutexGuard guard = co_await mutex.Lock();
#endif
}

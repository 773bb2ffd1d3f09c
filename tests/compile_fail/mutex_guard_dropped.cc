// A lock that is given back where it was got.
// expect: a dropped guard unlocks at once
#include "weft/weft.h"

weft::Task<void> Caller(weft::Mutex& mutex) {
#ifdef MISUSE
  co_await mutex.Lock();
#else
  weft::MutexGuard guard = co_await mutex.Lock();
#endif
}

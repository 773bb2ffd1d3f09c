// A Mutex under a std::lock_guard, which would block the carrier.
// expect: no member named 'lock' in 'weft::Mutex'
#include <mutex>

#include "weft/weft.h"

weft::Task<void> Caller(weft::Mutex& mutex) {
#ifdef MISUSE
  std::lock_guard guard(mutex);
  co_return;
#else
  weft::MutexGuard guard = co_await mutex.Lock();
#endif
}

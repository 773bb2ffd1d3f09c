// Two guards of one lock.
// expect: copy constructor of 'MutexGuard' is implicitly deleted
#include <utility>

#include "weft/weft.h"

weft::Task<void> Caller(weft::Mutex& mutex) {
  weft::MutexGuard guard = co_await mutex.Lock();
#ifdef MISUSE
  weft::MutexGuard kept = guard;
#else
  weft::MutexGuard kept = std::move(guard);
#endif
}

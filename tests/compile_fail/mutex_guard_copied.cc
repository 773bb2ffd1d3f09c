// Two guards of one lock.
// expect: copy constructor is implicitly deleted because 'MutexGuard' has a user-declared move constructor
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

// A wait for a condition without the lock.
// expect: no matching member function for call to 'Wait'
#include "weft/sync/condition_variable.h"
#include "weft/weft.h"

weft::Task<void> Caller(weft::Mutex& mutex, weft::ConditionVariable& changed) {
#ifdef MISUSE
  co_await changed.Wait();
#else
  weft::MutexGuard guard = co_await mutex.Lock();
  co_await changed.Wait(guard);
#endif
}

// A wait with a guard that is gone when the wait has ended.
// expect: no matching member function for call to 'Wait'
#include "weft/sync/condition_variable.h"
#include "weft/weft.h"

weft::Task<void> Caller(weft::Mutex& mutex, weft::ConditionVariable& changed) {
#ifdef MISUSE
  co_await changed.Wait(co_await mutex.Lock());
#else
  weft::MutexGuard guard = co_await mutex.Lock();
  co_await changed.Wait(guard);
#endif
}

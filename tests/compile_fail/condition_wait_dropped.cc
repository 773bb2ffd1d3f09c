// A wait for a condition that nobody awaits.
// expect: co_await the wait
#include "weft/sync/condition_variable.h"
#include "weft/weft.h"

weft::Task<void> Caller(weft::Mutex& mutex, weft::ConditionVariable& changed) {
  weft::MutexGuard guard = co_await mutex.Lock();
#ifdef MISUSE
  changed.Wait(guard);
#else
  co_await changed.Wait(guard);
#endif
}

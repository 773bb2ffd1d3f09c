// A reader that waits for a condition: others read meanwhile, and it has nothing to give back alone.
// expect: no matching member function for call to 'Wait'
#include "weft/sync/condition_variable.h"
#include "weft/sync/shared_mutex.h"
#include "weft/weft.h"

weft::Task<void> Caller(weft::SharedMutex& mutex, weft::ConditionVariable& changed) {
#ifdef MISUSE
  weft::ReaderGuard guard = co_await mutex.LockShared();
#else
  weft::WriterGuard guard = co_await mutex.Lock();
#endif
  co_await changed.Wait(guard);
}

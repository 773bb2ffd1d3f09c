// A lock that is given back where it was got.
// expect: a dropped guard unlocks at once
#include "weft/sync/shared_mutex.h"
#include "weft/weft.h"

weft::Task<void> Caller(weft::SharedMutex& mutex) {
#ifdef MISUSE
  co_await mutex.LockShared();
#else
  weft::ReaderGuard guard = co_await mutex.LockShared();
#endif
}

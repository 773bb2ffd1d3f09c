// A writer that becomes a reader, and keeps its guard.
// expect: 'this' argument to member function 'Downgrade' is an lvalue
#include <utility>

#include "weft/sync/shared_mutex.h"
#include "weft/weft.h"

weft::Task<void> Caller(weft::SharedMutex& mutex) {
  weft::WriterGuard guard = co_await mutex.Lock();
#ifdef MISUSE
  weft::ReaderGuard reading = guard.Downgrade();
#else
  weft::ReaderGuard reading = std::move(guard).Downgrade();
#endif
}

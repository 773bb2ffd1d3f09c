// A lock with a name, which locks nothing.
// expect: // co_await the lock
// where: __clang_major__ >= 22
#include "weft/weft.h"

weft::Task<void> Caller(weft::Mutex& mutex) {
#ifdef MISUSE
  [[maybe_unused]] auto guard = mutex.Lock();
  co_return;
#else
  auto guard = co_await mutex.Lock();
#endif
}

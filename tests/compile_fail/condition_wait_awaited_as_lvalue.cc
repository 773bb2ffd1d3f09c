// A Wait() that has a name, awaited without std::move(): it is one wait, which is over when it has been notified.
// expect: this is awaited once: co_await a temporary, or std::move() it
#include <utility>

#include "weft/sync/condition_variable.h"
#include "weft/weft.h"

weft::Task<void> Caller(weft::Mutex& mutex, weft::ConditionVariable& changed) {
  weft::MutexGuard guard = co_await mutex.Lock();
  auto wait = changed.Wait(guard);
#ifdef MISUSE
  co_await wait;
#else
  co_await std::move(wait);
#endif
}

// WithTimeout() of a wait that is kept.
// expect: the awaitable is consumed: std::move() it
#include <utility>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "weft/weft.h"

weft::Task<bool> Caller(weft::Mutex& mutex) {
  auto lock = mutex.Lock();
#ifdef MISUSE
  co_return (co_await weft::WithTimeout(absl::Seconds(1), lock)).ok();
#else
  co_return (co_await weft::WithTimeout(absl::Seconds(1), std::move(lock))).ok();
#endif
}

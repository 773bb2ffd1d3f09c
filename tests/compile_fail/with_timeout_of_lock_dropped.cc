// A timed lock that nobody awaits.
// expect: co_await it
#include "absl/time/time.h"
#include "weft/weft.h"

weft::Task<bool> Caller(weft::Mutex& mutex) {
#ifdef MISUSE
  weft::WithTimeout(absl::Seconds(1), mutex.Lock());
  co_return true;
#else
  co_return (co_await weft::WithTimeout(absl::Seconds(1), mutex.Lock())).ok();
#endif
}

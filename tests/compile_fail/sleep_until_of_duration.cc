// A SleepUntil() of a length of time.
// expect: a length of time is no time of a clock
#include "absl/time/time.h"
#include "weft/weft.h"

weft::Task<void> Caller() {
#ifdef MISUSE
  co_await weft::SleepUntil(absl::Seconds(2));
#else
  co_await weft::SleepUntil(weft::MonotonicNow() + absl::Seconds(2));
#endif
}

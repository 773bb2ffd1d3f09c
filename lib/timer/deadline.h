// From a duration to a point on a clock.
#ifndef WEFT_LIB_TIMER_DEADLINE_H_
#define WEFT_LIB_TIMER_DEADLINE_H_

#include <cstdint>

#include "absl/time/time.h"

namespace weft::internal {

// Both in nanoseconds on the same clock. `now_ns` for a duration that is not positive, INT64_MAX for one without end.
int64_t DeadlineAfter(int64_t now_ns, absl::Duration duration) noexcept;

// `time_ns` is not negative. INT64_MAX if the sum is more than that.
inline int64_t SaturatedSum(int64_t time_ns, int64_t by_ns) noexcept {
  int64_t sum_ns;
  return __builtin_add_overflow(time_ns, by_ns, &sum_ns) ? INT64_MAX : sum_ns;
}

}  // namespace weft::internal

#endif  // WEFT_LIB_TIMER_DEADLINE_H_

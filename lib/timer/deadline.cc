#include "lib/timer/deadline.h"

#include <cstdint>

#include "absl/time/time.h"

namespace weft::internal {

int64_t DeadlineAfter(int64_t now_ns, absl::Duration duration) noexcept {
  // ToInt64Nanoseconds() saturates, and rounds towards zero: an early end by less than a nanosecond, far below a tick.
  const int64_t nanos = absl::ToInt64Nanoseconds(duration);
  return nanos <= 0 ? now_ns : SaturatedSum(now_ns, nanos);
}

}  // namespace weft::internal

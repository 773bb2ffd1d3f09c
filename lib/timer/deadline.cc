#include "lib/timer/deadline.h"

#include <cstdint>
#include <limits>

#include "absl/time/time.h"

namespace weft::internal {

int64_t DeadlineAfter(int64_t now_ns, absl::Duration duration) noexcept {
  // ToInt64Nanoseconds() saturates, and rounds towards zero: an early end by less than a nanosecond, far below a tick.
  const int64_t nanos = absl::ToInt64Nanoseconds(duration);
  if (nanos <= 0) return now_ns;
  return nanos > std::numeric_limits<int64_t>::max() - now_ns ? std::numeric_limits<int64_t>::max() : now_ns + nanos;
}

}  // namespace weft::internal

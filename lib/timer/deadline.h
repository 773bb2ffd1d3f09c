// From a duration to a point on the runtime's clock.
#ifndef WEFT_LIB_RUNTIME_DEADLINE_H_
#define WEFT_LIB_RUNTIME_DEADLINE_H_

#include <cstdint>

#include "absl/time/time.h"

namespace weft::internal {

// Nanoseconds on the clock of the current runtime; now for a duration that is not positive, INT64_MAX for one without end.
int64_t DeadlineAfter(absl::Duration duration) noexcept;

}  // namespace weft::internal

#endif  // WEFT_LIB_RUNTIME_DEADLINE_H_

// Layer driver. How long may a Poll() still wait?
#ifndef WEFT_LIB_DRIVER_POLL_DEADLINE_H_
#define WEFT_LIB_DRIVER_POLL_DEADLINE_H_

#include <cstdint>

#include "lib/driver/driver.h"
#include "lib/os/clock.h"
#include "lib/os/futex.h"

namespace weft::internal {

class PollDeadline {
 public:
  // As for Driver::Poll().
  explicit PollDeadline(int64_t timeout_ns) noexcept {
    const int64_t now_ns = Clock::Real().NowNanos();
    if (timeout_ns >= kNoDeadlineNs - now_ns) return;
    deadline_ns_ = now_ns + timeout_ns;
    left_ns_ = timeout_ns;
  }

  // On CLOCK_MONOTONIC, or kNoDeadlineNs.
  int64_t deadline_ns() const noexcept { return deadline_ns_; }
  // At the last look at the clock; Driver::kNoTimeout: without limit.
  int64_t left_ns() const noexcept { return left_ns_; }
  // Looks at the clock. True: the time is up.
  bool Passed() noexcept {
    if (deadline_ns_ == kNoDeadlineNs) return false;
    left_ns_ = deadline_ns_ - Clock::Real().NowNanos();
    return left_ns_ <= 0;
  }

 private:
  int64_t deadline_ns_ = kNoDeadlineNs;
  int64_t left_ns_ = Driver::kNoTimeout;
};

}  // namespace weft::internal

#endif  // WEFT_LIB_DRIVER_POLL_DEADLINE_H_

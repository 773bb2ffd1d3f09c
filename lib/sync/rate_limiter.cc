#include "weft/sync/rate_limiter.h"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <source_location>

#include "absl/time/time.h"
#include "lib/sync/turn.h"
#include "lib/thread/describe.h"
#include "weft/internal/check.h"
#include "weft/time.h"

namespace weft {

RateLimiter::RateLimiter(const RateLimiterOptions& options)
    : interval_(absl::Seconds(1) / options.permits_per_second),
      burst_(options.burst),
      full_at_(-absl::InfiniteDuration()) {
  WEFT_CHECK(options.permits_per_second > 0) << "a RateLimiter of " << options.permits_per_second
                                             << " permits a second; it needs more than 0";
  WEFT_CHECK(burst_ > 0) << "a RateLimiter with a burst of " << burst_ << " permits; it needs 1 or more";
}

RateLimiter::~RateLimiter() {
  const uint64_t first = first_.load(std::memory_order_relaxed);
  WEFT_CHECK(first == 0) << "a RateLimiter is destroyed by " << internal::DescribeCaller() << " while "
                         << internal::ThreadLabel(first) << " waits for it";
}

void RateLimiter::CheckPermits(int64_t permits) const {
  WEFT_CHECK(permits > 0 && permits <= burst_)
      << permits << " permits at once of a RateLimiter with a burst of " << burst_ << "; ask for 1 to " << burst_;
}

// What full_at_ becomes if they are used by somebody who comes now.
absl::Duration RateLimiter::FullAfter(int64_t permits, absl::Duration now) const {
  return std::max(full_at_, now) + permits * interval_;
}

Task<void> RateLimiter::Acquire(int64_t permits, std::source_location where) {
  CheckPermits(permits);
  const MutexGuard turn = co_await internal::AwaitAt{turn_.Lock(), where};
  const absl::Duration now = absl::Nanoseconds(internal::CallersNow());
  const absl::Duration after = FullAfter(permits, now);
  // The permits are there when no more than a burst is missing.
  if (const absl::Duration wait = after - burst_ * interval_ - now; wait > absl::ZeroDuration()) {
    const internal::TurnName name(first_);
    co_await internal::AwaitAt{Sleep(wait), where};
  }
  full_at_ = after;
}

bool RateLimiter::TryAcquire(int64_t permits) {
  CheckPermits(permits);
  const std::optional<MutexGuard> turn = turn_.TryLock();
  if (!turn.has_value()) return false;
  const absl::Duration now = absl::Nanoseconds(internal::CallersNow());
  const absl::Duration after = FullAfter(permits, now);
  if (after - burst_ * interval_ > now) return false;
  full_at_ = after;
  return true;
}

}  // namespace weft

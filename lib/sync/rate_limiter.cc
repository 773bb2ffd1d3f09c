#include "weft/sync/rate_limiter.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <optional>
#include <source_location>

#include "absl/time/time.h"
#include "lib/sync/turn.h"
#include "lib/thread/describe.h"
#include "lib/thread/runtime_services.h"
#include "weft/internal/check.h"
#include "weft/time.h"

namespace weft {

RateLimiter::RateLimiter(const RateLimiterOptions& options)
    : rate_(options.permits_per_second / 1e9), burst_(options.burst) {
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

// Of what was used, what is not replaced by then, for somebody who has asked before. (At an infinite rate all is, at
// any time.)
double RateLimiter::MissingAt(int64_t asked_ns, int64_t now_ns) const {
  double missing = missing_;
  int64_t from_ns = at_ns_;
  if (asked_ns > at_ns_) {
    // Nobody wanted a permit meanwhile, so no more than a burst was kept.
    const double least = asked_ns <= made_up_by_ns_ ? -late_ : 0.0;
    missing = std::max(least, missing - static_cast<double>(asked_ns - at_ns_) * rate_);
    from_ns = asked_ns;
  }
  return now_ns == from_ns ? missing : missing - static_cast<double>(now_ns - from_ns) * rate_;
}

// How long it takes until no more than a burst is missing. Less than a nanosecond is nothing: so much is rounded.
absl::Duration RateLimiter::TimeUntilThere(double missing) const {
  if (missing <= static_cast<double>(burst_)) return absl::ZeroDuration();
  const double wait_ns = (missing - static_cast<double>(burst_)) / rate_;
  return wait_ns < 1 ? absl::ZeroDuration() : absl::Nanoseconds(std::ceil(wait_ns));
}

Task<void> RateLimiter::Acquire(int64_t permits, std::source_location where) {
  CheckPermits(permits);
  const int64_t asked_ns = internal::CallersNow();
  const MutexGuard turn = co_await internal::AwaitAt{turn_.Lock(), where};
  const int64_t now_ns = internal::CallersNow();
  const double missing = MissingAt(asked_ns, now_ns) + static_cast<double>(permits);
  if (const absl::Duration wait = TimeUntilThere(missing); wait > absl::ZeroDuration()) {
    const internal::TurnName name(first_);
    co_await internal::AwaitAt{Sleep(wait), where};
    const int64_t granted_ns = internal::CallersNow();
    const int64_t late_ns = granted_ns - now_ns - absl::ToInt64Nanoseconds(wait);
    late_ = static_cast<double>(late_ns) * rate_;
    made_up_by_ns_ = granted_ns + late_ns;
  }
  missing_ = missing;
  at_ns_ = now_ns;
}

bool RateLimiter::TryAcquire(int64_t permits) {
  CheckPermits(permits);
  const std::optional<MutexGuard> turn = turn_.TryLock();
  if (!turn.has_value()) return false;
  const int64_t now_ns = internal::CallersNow();
  const double missing = MissingAt(now_ns, now_ns) + static_cast<double>(permits);
  if (TimeUntilThere(missing) > absl::ZeroDuration()) return false;
  missing_ = missing;
  at_ns_ = now_ns;
  return true;
}

}  // namespace weft

#include "weft/time.h"

#include <cstdint>
#include <limits>

#include "absl/time/time.h"
#include "lib/runtime/deadline.h"
#include "weft/internal/scheduler.h"

namespace weft::internal {

int64_t DeadlineAfter(absl::Duration duration) noexcept {
  const int64_t now = RuntimeNow();
  // ToInt64Nanoseconds() saturates, and rounds towards zero: an early end by less than a nanosecond, far below a tick.
  const int64_t nanos = absl::ToInt64Nanoseconds(duration);
  if (nanos <= 0) return now;
  return nanos > std::numeric_limits<int64_t>::max() - now ? std::numeric_limits<int64_t>::max() : now + nanos;
}

const WaitKind SleepAwaiter::kWait = {ParkReason::kSleep, /*timed=*/true, &SleepAwaiter::Withdraw};

void SleepAwaiter::Start(AwaitingFrame frame) noexcept {
  if (!EnterWait(frame, kWait, &timer_)) return;
  if (duration_ <= absl::ZeroDuration()) return YieldInstead();
  timer_.thread = CurrentThread();
  timer_.fire = &Fire;
  ArmTimer(timer_, DeadlineAfter(duration_));
}

void SleepAwaiter::Fire(TimerNode* node) noexcept { Wake(*static_cast<Timer*>(node)->thread); }

bool SleepAwaiter::Withdraw(ThreadBlock& thread) noexcept {
  auto* timer = static_cast<Timer*>(thread.waiting_on);
  return timer->wheel->Cancel(*timer);
}

}  // namespace weft::internal

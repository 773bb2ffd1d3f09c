#include "weft/time.h"

#include "absl/time/time.h"
#include "lib/thread/runtime_services.h"
#include "lib/timer/deadline.h"
#include "lib/timer/timer_wheel.h"
#include "weft/internal/thread_block.h"
#include "weft/internal/wait.h"

namespace weft::internal {

const WaitKind SleepAwaiter::kWait = {ParkReason::kSleep, /*timed=*/true, &SleepAwaiter::Withdraw};

void SleepAwaiter::Start(AwaitingFrame frame) noexcept {
  if (!EnterWait(frame, kWait, &timer_)) return;
  if (duration_ <= absl::ZeroDuration()) return YieldInstead();
  timer_.thread = CurrentThread();
  timer_.fire = &Fire;
  ArmTimer(timer_, DeadlineAfter(RuntimeNow(), duration_));
}

void SleepAwaiter::Fire(TimerNode* node) noexcept { Wake(*static_cast<Timer*>(node)->thread); }

bool SleepAwaiter::Withdraw(ThreadBlock& thread) noexcept {
  auto* timer = static_cast<Timer*>(thread.waiting_on);
  return timer->wheel->Cancel(*timer);
}

}  // namespace weft::internal

#include "weft/time.h"

#include "absl/time/time.h"
#include "lib/thread/runtime_services.h"
#include "lib/thread/selectable_wait.h"
#include "lib/timer/deadline.h"
#include "lib/timer/timer_wheel.h"
#include "lib/timer/wall_timers.h"
#include "weft/internal/thread_block.h"
#include "weft/internal/wait.h"

namespace weft::internal {

const WaitKind SleepAwaiter::kWait = {ParkReason::kSleep, /*timed=*/true, &SleepAwaiter::Withdraw};

// One that is over in no time is there at once. The timer has no lock. It claims the wait when it fires, and the wait
// may be over by then: so whoever takes it back waits for the end of a fire that is under way.
constinit const SelectableWait<ThreadBlock> SleepAwaiter::kSelect = {
    .lock = nullptr,
    .take = [](void* sleep) noexcept {
      return SelectTaken{.taken = static_cast<SleepAwaiter*>(sleep)->timer_.deadline_ns <= 0};
    },
    .finish = nullptr,
    .add = [](void*, WaitCase<ThreadBlock>&) noexcept {},
    .after_add =
        [](void* of, WaitCase<ThreadBlock>& node) noexcept {
          auto& sleep = *static_cast<SleepAwaiter*>(of);
          sleep.timer_.subject = &node;
          sleep.timer_.cancel_waits = true;
          sleep.timer_.fire = [](TimerNode* fired) noexcept {
            auto& fired_case = *static_cast<WaitCase<ThreadBlock>*>(fired->subject);
            if (fired_case.wait.Claim(fired_case.number)) Wake(fired_case.wait.thread);
          };
          sleep.Arm();
        },
    .take_back =
        [](void* of, WaitCase<ThreadBlock>&) noexcept {
          TimerNode& timer = static_cast<SleepAwaiter*>(of)->timer_;
          timer.wheel->Cancel(timer);
        },
};

void SleepAwaiter::Start(AwaitingFrame frame) noexcept {
  if (!EnterWait(frame, kWait, &timer_)) return;
  if (timer_.deadline_ns <= 0) return YieldInstead();
  timer_.subject = CurrentThread();
  timer_.fire = &Fire;
  Arm();
}

void SleepAwaiter::Arm() noexcept { ArmTimer(timer_, SaturatedSum(RuntimeNow(), timer_.deadline_ns)); }

void SleepAwaiter::Fire(TimerNode* node) noexcept {
  Wake(*static_cast<ThreadBlock*>(node->subject));
}

bool SleepAwaiter::Withdraw(ThreadBlock& thread) noexcept {
  auto* const timer = static_cast<TimerNode*>(thread.waiting_on);
  return timer->wheel->Cancel(*timer);
}

const WaitKind SleepUntilAwaiter::kWait = {
    ParkReason::kSleep, /*timed=*/true,
    [](ThreadBlock& thread) noexcept { return WallTimers::Cancel(*static_cast<DeadlineTimer*>(thread.waiting_on)); }};

// Like that of a SleepAwaiter.
constinit const SelectableWait<ThreadBlock> SleepUntilAwaiter::kSelect = {
    .lock = nullptr,
    .take = [](void* sleep) noexcept {
      return SelectTaken{.taken = HasPassed(static_cast<SleepUntilAwaiter*>(sleep)->deadline_)};
    },
    .finish = nullptr,
    .add = [](void*, WaitCase<ThreadBlock>&) noexcept {},
    .after_add =
        [](void* of, WaitCase<ThreadBlock>& node) noexcept {
          auto& sleep = *static_cast<SleepUntilAwaiter*>(of);
          sleep.timer_.subject = &node;
          sleep.timer_.cancel_waits = true;
          sleep.timer_.on_time = [](DeadlineTimer* fired) noexcept {
            auto& fired_case = *static_cast<WaitCase<ThreadBlock>*>(fired->subject);
            if (fired_case.wait.Claim(fired_case.number)) Wake(fired_case.wait.thread);
          };
          ArmDeadline(sleep.timer_, sleep.deadline_);
        },
    .take_back = [](void* of, WaitCase<ThreadBlock>&) noexcept {
      WallTimers::Cancel(static_cast<SleepUntilAwaiter*>(of)->timer_);
    },
};

void SleepUntilAwaiter::Start(AwaitingFrame frame) noexcept {
  if (!EnterWait(frame, kWait, &timer_)) return;
  if (HasPassed(deadline_)) return YieldInstead();
  timer_.subject = CurrentThread();
  timer_.on_time = [](DeadlineTimer* timer) noexcept {
    Wake(*static_cast<ThreadBlock*>(timer->subject));
  };
  ArmDeadline(timer_, deadline_);
}

}  // namespace weft::internal

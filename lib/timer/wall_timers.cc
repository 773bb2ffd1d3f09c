#include "lib/timer/wall_timers.h"

#include <algorithm>
#include <cstdint>
#include <mutex>

#include "lib/timer/deadline.h"

namespace weft::internal {

// The watch begins first, so that no step after the deadline was computed is missed. Only this carrier adds timers, so
// the list is still empty then.
void WallTimers::Arm(DeadlineTimer& timer, int64_t wall_ns) noexcept {
  timer.fire = &Fire;
  timer.wall_timers_ = this;
  timer.wall_ns_ = wall_ns;
  if (AddUnlessFirst(timer)) return;
  watch_.Begin();
  std::lock_guard guard(lock_);
  Add(timer);
}

bool WallTimers::AddUnlessFirst(DeadlineTimer& timer) noexcept {
  std::lock_guard guard(lock_);
  if (timers_.empty()) return false;
  Add(timer);
  return true;
}

// Once the lock is released, the timer may fire, and be gone.
void WallTimers::Add(DeadlineTimer& timer) noexcept {
  timers_.PushBack(&timer);
  wheel_.Insert(timer, DeadlineOf(timer));
}

void WallTimers::ArmMonotonic(DeadlineTimer& timer, TimerWheel& wheel, int64_t deadline_ns) noexcept {
  timer.fire = &Fire;
  timer.wall_timers_ = nullptr;
  wheel.Insert(timer, deadline_ns);
}

bool WallTimers::Cancel(DeadlineTimer& timer) noexcept {
  // First the list: a Fire() that we may wait for takes its lock. One that comes in between does not arm it again.
  if (timer.wall_timers_ != nullptr) timer.wall_timers_->Forget(timer);
  return timer.wheel != nullptr && timer.wheel->Cancel(timer);
}

// One that is about to fire is not in the wheel, and looks at the clock itself.
void WallTimers::ClockWasSet() noexcept {
  std::lock_guard guard(lock_);
  for (DeadlineTimer* timer = timers_.front(); timer != nullptr; timer = timers_.Next(timer)) {
    wheel_.Move(*timer, DeadlineOf(*timer));
  }
}

void WallTimers::Fire(TimerNode* node) noexcept {
  auto& timer = static_cast<DeadlineTimer&>(*node);
  if (timer.wall_timers_ != nullptr && !timer.wall_timers_->IsTime(timer)) return;
  timer.on_time(&timer);
}

// If not, the timer is armed again, and may be gone. One that is in the list no longer was cancelled, in vain: whoever
// did that counts on its coming.
bool WallTimers::IsTime(DeadlineTimer& timer) noexcept {
  bool last = false;
  {
    std::lock_guard guard(lock_);
    if (IsListed(timer)) {
      if (clock_.WallNanos() < timer.wall_ns_) {
        wheel_.Insert(timer, DeadlineOf(timer));
        return false;
      }
      last = Unlist(timer);
    }
  }
  if (last) watch_.End();
  return true;
}

void WallTimers::Forget(DeadlineTimer& timer) noexcept {
  bool last = false;
  {
    std::lock_guard guard(lock_);
    if (IsListed(timer)) last = Unlist(timer);
  }
  if (last) watch_.End();
}

bool WallTimers::IsListed(const DeadlineTimer& timer) noexcept { return timer.ListNode<WallTag>::linked(); }

// Returns whether it was the last one.
bool WallTimers::Unlist(DeadlineTimer& timer) noexcept {
  List<DeadlineTimer, WallTag>::Remove(&timer);
  return timers_.empty();
}

// The wall clock is read first: if this thread is held up between the two, the timer is late, and not early.
int64_t WallTimers::DeadlineOf(const DeadlineTimer& timer) noexcept {
  const int64_t wall_now_ns = clock_.WallNanos();
  const int64_t now_ns = clock_.NowNanos();
  int64_t left_ns;
  if (timer.wall_ns_ <= wall_now_ns) return now_ns;
  if (__builtin_sub_overflow(timer.wall_ns_, wall_now_ns, &left_ns)) left_ns = INT64_MAX;
  if (!watch_.Sees()) left_ns = std::min(left_ns, kRecheckNanos);
  return SaturatedSum(now_ns, left_ns);
}

}  // namespace weft::internal

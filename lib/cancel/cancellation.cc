#include "weft/cancellation.h"

#include <utility>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "lib/cancel/boundary.h"
#include "lib/cancel/cancel_request.h"
#include "lib/cancel/explain.h"
#include "lib/cancel/open_record.h"
#include "lib/thread/runtime_services.h"
#include "lib/timer/deadline.h"
#include "lib/timer/timer_wheel.h"
#include "lib/timer/wall_timers.h"
#include "weft/cancel_reason.h"
#include "weft/internal/boundary.h"
#include "weft/internal/thread_block.h"
#include "weft/internal/wait.h"

namespace weft {

bool CancelRequested() noexcept {
  if (internal::CurrentThread() == nullptr) {
    internal::YieldInCall();
    if (internal::ThreadBlock* const caller = internal::CallingThread()) return internal::IsCancelled(*caller);
    // relaxed: a hint.
    if (const auto* const asked = internal::CallAsked()) return asked->load(std::memory_order_relaxed);
  }
  return internal::IsCancelled(internal::RequireThread("CancelRequested()"));
}

namespace internal {

absl::Status StatusAt(const Boundary& boundary) {
  return CancelledStatus(Explain(boundary.cause, &RequireThread("a boundary of cancellation")));
}

void OpenBoundary::Enter(PromiseBase& awaiting) noexcept {
  thread_ = &RequireThread("a boundary of cancellation");
  frame = &awaiting;
  PushRecord(*thread_, *this);
}

void OpenBoundary::Leave() noexcept {
  if (thread_ != nullptr) PopRecord(*std::exchange(thread_, nullptr), *this);
}

// On the awaiting thread, like Close().
void TimedBoundary::Open(PromiseBase& awaiting) noexcept {
  thread_ = &RequireThread("WithTimeout() or WithDeadline()");
  frame = &awaiting;
  PushRecord(*thread_, *this);
}

void TimedBoundary::Close() noexcept { PopRecord(*std::exchange(thread_, nullptr), *this); }

void TimedBoundary::RequestOwn() noexcept {
  RequestCancel(*thread_, *this, {CancelReason::Kind::kTimeout, 0, NowOf(thread_->runtime()), where_});
}

void TimedBoundary::TimeIsUp() noexcept {
  RuntimeCore& runtime = thread_->runtime();
  RequestOwn();
  // The rest of a large scope's children is asked by the carriers: the boundary may be waited for.
  RunShutdowns(runtime);
}

// A timeout that is over at once needs no timer: the request is made here.
void TimeoutBoundary::Enter(PromiseBase& awaiting) noexcept {
  Open(awaiting);
  if (timeout_ns_ <= 0) return RequestOwn();
  timer_.subject = this;
  timer_.fire = [](TimerNode* node) noexcept { static_cast<TimeoutBoundary*>(node->subject)->TimeIsUp(); };
  timer_.cancel_waits = true;  // what it touches goes away with us
  ArmTimer(timer_, SaturatedSum(RuntimeNow(), timeout_ns_));
}

void TimeoutBoundary::Leave() noexcept {
  if (!is_open()) return;
  if (timer_.wheel != nullptr) timer_.wheel->Cancel(timer_);
  Close();
}

void DeadlineBoundary::Enter(PromiseBase& awaiting) noexcept {
  Open(awaiting);
  if (HasPassed(deadline_)) return RequestOwn();
  timer_.subject = this;
  timer_.on_time = [](DeadlineTimer* timer) noexcept { static_cast<DeadlineBoundary*>(timer->subject)->TimeIsUp(); };
  timer_.cancel_waits = true;
  ArmDeadline(timer_, deadline_);
}

void DeadlineBoundary::Leave() noexcept {
  if (!is_open()) return;
  WallTimers::Cancel(timer_);
  Close();
}

}  // namespace internal
}  // namespace weft

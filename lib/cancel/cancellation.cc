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
#include "weft/cancel_reason.h"
#include "weft/internal/boundary.h"
#include "weft/internal/thread_block.h"
#include "weft/internal/wait.h"

namespace weft {

bool CancelRequested() noexcept {
  internal::ThreadBlock* const caller = internal::CurrentThread() == nullptr ? internal::CallingThread() : nullptr;
  return internal::IsCancelled(caller != nullptr ? *caller : internal::RequireThread("CancelRequested()"));
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

// On the awaiting thread. A timeout that is over at once needs no timer: the request is made here.
void TimeoutBoundary::Enter(PromiseBase& awaiting) noexcept {
  thread_ = &RequireThread("WithTimeout()");
  frame = &awaiting;
  PushRecord(*thread_, *this);
  if (timeout_ <= absl::ZeroDuration()) {
    RequestOwn();
    return;
  }
  timer_.boundary = this;
  timer_.fire = &Fire;
  timer_.cancel_waits = true;  // what it touches goes away with us
  ArmTimer(timer_, DeadlineAfter(RuntimeNow(), timeout_));
}

void TimeoutBoundary::RequestOwn() noexcept {
  RequestCancel(*thread_, *this, {CancelReason::Kind::kTimeout, 0, NowOf(thread_->runtime()), where_});
}

void TimeoutBoundary::Leave() noexcept {
  if (thread_ == nullptr) return;
  if (timer_.wheel != nullptr) timer_.wheel->Cancel(timer_);
  PopRecord(*std::exchange(thread_, nullptr), *this);
}

void TimeoutBoundary::Fire(TimerNode* node) noexcept {
  TimeoutBoundary& boundary = *static_cast<Timer*>(node)->boundary;
  RuntimeCore& runtime = boundary.thread_->runtime();
  boundary.RequestOwn();
  // The rest of a large scope's children is asked by the carriers: the boundary may be waited for.
  RunShutdowns(runtime);
}

}  // namespace internal
}  // namespace weft

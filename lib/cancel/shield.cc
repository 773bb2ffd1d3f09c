// A shield with a grace limit. (weft/cancellation.h)
#include <cstdint>
#include <mutex>
#include <optional>
#include <utility>

#include "lib/cancel/boundary.h"
#include "lib/cancel/cancel_request.h"
#include "lib/cancel/open_record.h"
#include "lib/thread/records.h"
#include "lib/thread/runtime_services.h"
#include "lib/thread/thread_state.h"
#include "lib/timer/timer_wheel.h"
#include "weft/cancellation.h"
#include "weft/internal/boundary.h"
#include "weft/internal/thread_block.h"
#include "weft/internal/wait.h"

namespace weft::internal {

// On the awaiting thread. If a request from outside is hidden from now on, the grace begins, from when that request was
// made.
void GraceShield::Enter(PromiseBase& awaiting) noexcept {
  thread_ = &RequireThread("Shield()");
  frame = &awaiting;
  PushRecord(*thread_, *this);
  if (!thread_->state.Observe().requested()) return;
  // The grace counts from the earliest request that was made before and that no other shield hides.
  std::lock_guard guard(thread_->records_lock);
  std::optional<CancelCause> earliest;
  const auto take = [&earliest](const CancelCause& cause) {
    if (!earliest.has_value() || cause.when_ns < earliest->when_ns) earliest = cause;
  };
  Record* at = outer;
  for (; at != nullptr && !Hides(*thread_, *at); at = at->outer) {
    if (at->kind != Kind::kOwnRequest) continue;
    const auto& boundary = static_cast<const Boundary&>(*at);
    if (boundary.requested) take(boundary.cause);
  }
  if (at == nullptr && thread_->asked()) take(CauseOfEnd(*thread_));
  if (earliest.has_value()) BeginGrace(*earliest);
}

void GraceShield::Leave() noexcept {
  if (thread_ == nullptr || std::exchange(left_, true)) return;
  // Without attention nothing was requested, and no grace has begun.
  if (PopRecord(*thread_, *this) && timer_.wheel != nullptr) timer_.wheel->Cancel(timer_);
}

// Under the records lock, called by Enter() or by a requester. Arms the timer; a grace that is over already hides
// nothing. A request that was made before the others may come after them.
void GraceShield::BeginGrace(const CancelCause& cause) noexcept {
  const int64_t now = NowOf(thread_->runtime());
  const int64_t since = cause.when_ns == CancelCause::kUnknownTime ? now : cause.when_ns;
  const int64_t deadline = grace_ns_ > TimerWheel::kNoDeadline - since ? TimerWheel::kNoDeadline : since + grace_ns_;
  if (begun_ && (requested || deadline >= timer_.deadline_ns)) return;
  const bool is_armed = std::exchange(begun_, true);
  if (deadline <= now) {
    requested = true;
    return;
  }
  if (is_armed) return MoveTimerOf(thread_->runtime(), timer_, deadline);
  timer_.subject = this;
  timer_.fire = &Fire;
  timer_.cancel_waits = true;  // what it touches goes away with us
  ArmTimerOf(thread_->runtime(), timer_, deadline);
}

int64_t GraceShield::EndOfGrace() noexcept {
  std::lock_guard guard(thread_->records_lock);
  if (!begun_) return TimerWheel::kNoDeadline;
  return requested ? 0 : timer_.deadline_ns;
}

// From now on the shield hides nothing: requests to what is outside are brought to what is inside.
void GraceShield::Fire(TimerNode* node) noexcept {
  GraceShield& shield = *static_cast<GraceShield*>(node->subject);
  ThreadBlock& thread = *shield.thread_;
  RuntimeCore& runtime = thread.runtime();
  bool runnable = false;
  {
    std::lock_guard guard(thread.records_lock);
    shield.requested = true;
    Record* at = InnermostRecord(thread);
    while (at != nullptr && at != &shield) at = at->outer;
    if (at == nullptr) return;  // it was closed just now
    runnable = DeliverAll(thread, shield.outer);
  }
  if (runnable) WakeDelivered(thread);
  RunShutdowns(runtime);
}

}  // namespace weft::internal

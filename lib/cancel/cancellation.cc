#include "weft/cancellation.h"

#include <algorithm>
#include <cstdint>
#include <utility>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "lib/cancel/boundary.h"
#include "lib/cancel/cancel_request.h"
#include "lib/cancel/explain.h"
#include "lib/cancel/open_record.h"
#include "lib/thread/records.h"
#include "lib/thread/runtime_services.h"
#include "lib/timer/deadline.h"
#include "lib/timer/timer_wheel.h"
#include "lib/timer/wall_timers.h"
#include "weft/cancel_reason.h"
#include "weft/deadline.h"
#include "weft/internal/boundary.h"
#include "weft/internal/record.h"
#include "weft/internal/scope_record.h"
#include "weft/internal/thread_block.h"
#include "weft/internal/wait.h"

namespace weft {

namespace {

bool IsTimed(const internal::Record& record) noexcept {
  return record.kind == internal::Record::Kind::kOwnRequest && static_cast<const internal::Boundary&>(record).timed;
}

// The earliest deadline around `thread`, which is the caller or waits for it; INT64_MAX: none. What the threads above
// have open around it stays open meanwhile.
int64_t DeadlineAround(const internal::ThreadBlock& of) noexcept {
  using Kind = internal::Record::Kind;
  using internal::SaturatedSum;
  int64_t earliest_ns = INT64_MAX;
  int64_t grace_ns = 0;  // the longest between `of` and where the walk is: each counts from the same request
  const internal::ThreadBlock* thread = &of;
  internal::Record* at = internal::InnermostRecord(of);
  for (;;) {
    for (; at != nullptr; at = at->outer) {
      if (at->kind == Kind::kShield) return earliest_ns;
      if (at->kind == Kind::kGraceShield) {
        auto& shield = static_cast<internal::GraceShield&>(*at);
        const int64_t end_ns = shield.EndOfGrace();
        if (end_ns == 0) continue;  // it hides nothing any more
        const int64_t longer_ns = std::max(grace_ns, shield.grace_ns());
        // A request that is hidden now was made at `end_ns` less the grace.
        if (end_ns != INT64_MAX) {
          earliest_ns = std::min(earliest_ns, SaturatedSum(end_ns, longer_ns - shield.grace_ns()));
        }
        grace_ns = longer_ns;
      } else if (IsTimed(*at)) {
        const auto& boundary = static_cast<const internal::TimedBoundary&>(*at);
        earliest_ns = std::min(earliest_ns, SaturatedSum(boundary.deadline_ns(), grace_ns));
      }
    }
    internal::ScopeRecord* const home = thread->home();
    if (home == nullptr) return earliest_ns;
    earliest_ns = std::min(earliest_ns, SaturatedSum(home->deadline_ns(), grace_ns));
    thread = home->owner;
    at = home->outer;
  }
}

// Of a function that runs on an OS thread: whose thread awaits it. That may be asked meanwhile, also in a simulation.
internal::ThreadBlock* ThreadOrCaller() noexcept {
  if (internal::ThreadBlock* const current = internal::CurrentThread()) return current;
  internal::YieldInCall();
  return internal::CallingThread();
}

// Of a closure of a ThreadPoolExecutor.
bool CallIsAsked() noexcept {
  const auto* const asked = internal::CallAsked();
  // relaxed: a hint.
  return asked != nullptr && asked->load(std::memory_order_relaxed);
}

}  // namespace

bool CancelRequested() noexcept {
  if (internal::CurrentThread() == nullptr) {
    internal::YieldInCall();
    if (internal::ThreadBlock* const caller = internal::CallingThread()) return internal::IsCancelled(*caller);
    if (internal::CallAsked() != nullptr) return CallIsAsked();
  }
  return internal::IsCancelled(internal::RequireThread("CancelRequested()"));
}

MonotonicTime CurrentDeadline() noexcept {
  internal::ThreadBlock* const thread = ThreadOrCaller();
  if (thread == nullptr ? CallIsAsked() : internal::IsCancelled(*thread)) return MonotonicTime::InfinitePast();
  const int64_t deadline_ns = thread == nullptr ? INT64_MAX : DeadlineAround(*thread);
  return deadline_ns == INT64_MAX ? MonotonicTime::InfiniteFuture() : MonotonicTime(absl::Nanoseconds(deadline_ns));
}

absl::Duration TimeLeft() noexcept {
  const MonotonicTime deadline = CurrentDeadline();
  if (deadline == MonotonicTime::InfinitePast()) return absl::ZeroDuration();
  if (deadline == MonotonicTime::InfiniteFuture()) return absl::InfiniteDuration();
  const MonotonicTime now(absl::Nanoseconds(internal::RuntimeNow()));
  return std::max(deadline - now, absl::ZeroDuration());
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
void TimedBoundary::Open(PromiseBase& awaiting, int64_t deadline_ns, bool wall) noexcept {
  thread_ = &RequireThread("WithTimeout() or WithDeadline()");
  frame = &awaiting;
  deadline_ns_ = deadline_ns;
  wall_ = wall;
  PushRecord(*thread_, *this);
}

int64_t TimedBoundary::deadline_ns() const noexcept {
  if (!wall_ || deadline_ns_ == INT64_MAX) return deadline_ns_;
  const int64_t wall_now_ns = RuntimeWallNow();
  return SaturatedSum(RuntimeNow(), deadline_ns_ <= wall_now_ns ? 0 : deadline_ns_ - wall_now_ns);
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
  const int64_t deadline_ns = timeout_ns_ <= 0 ? 0 : SaturatedSum(RuntimeNow(), timeout_ns_);
  Open(awaiting, deadline_ns, /*wall=*/false);
  if (timeout_ns_ <= 0) return RequestOwn();
  timer_.subject = this;
  timer_.fire = [](TimerNode* node) noexcept { static_cast<TimeoutBoundary*>(node->subject)->TimeIsUp(); };
  timer_.cancel_waits = true;  // what it touches goes away with us
  ArmTimer(timer_, deadline_ns);
}

void TimeoutBoundary::Leave() noexcept {
  if (!is_open()) return;
  if (timer_.wheel != nullptr) timer_.wheel->Cancel(timer_);
  Close();
}

void DeadlineBoundary::Enter(PromiseBase& awaiting) noexcept {
  Open(awaiting, deadline_.time_ns(), deadline_.is_wall());
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

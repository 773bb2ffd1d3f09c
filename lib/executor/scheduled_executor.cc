#include "weft/executor/scheduled_executor.h"

#include <cstdint>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "lib/thread/runtime_services.h"
#include "lib/timer/deadline.h"
#include "weft/cancel_reason.h"
#include "weft/cancellation.h"
#include "weft/internal/wait.h"
#include "weft/time.h"

namespace weft {

int64_t ScheduledExecutor::Later(int64_t time_ns, absl::Duration by) noexcept {
  return internal::DeadlineAfter(time_ns, by);
}

int64_t ScheduledExecutor::TimeAfter(absl::Duration delay) const noexcept {
  return Later(internal::NowOf(runtime()), delay);
}

Task<void> ScheduledExecutor::SleepUntil(int64_t time_ns) {
  co_await Sleep(absl::Nanoseconds(time_ns) - absl::Nanoseconds(internal::RuntimeNow()));
}

Task<absl::Status> ScheduledExecutor::SleepUnlessShutDown(int64_t time_ns) {
  const absl::Duration left = absl::Nanoseconds(time_ns) - absl::Nanoseconds(internal::RuntimeNow());
  // Looked at first: a time that is over ends even a wait that need not wait. And last: the thread may go on a while
  // after its time was over.
  const bool stops = stopping_.IsSet() || co_await MoveOnAfter(left, stopping_.Wait()) || stopping_.IsSet();
  if (!stops) co_return absl::OkStatus();
  co_return CancelledStatus({.kind = CancelReason::Kind::kShutdown});
}

}  // namespace weft

// ScheduledExecutor: runs tasks later, or again and again.
//
//   weft::ScheduledExecutor executor;
//   weft::Future<int> later = executor.Schedule(absl::Seconds(1), [] { return Ask(); });
//   weft::Future<void> ticks = executor.ScheduleAtFixedRate(absl::ZeroDuration(), absl::Seconds(10), [] { Report(); });
//   ticks.Cancel();
//
// Each is a virtual thread of its own, which sleeps until its time; the future is its handle. Cancel() ends it: in its
// sleep at once, in a run at the next checkpoint. Times are the runtime's, so that in a simulation hours take no time.
// Submit() runs a task at once. Everything else is an Executor's. (executor.h)
//
// A function that is run again takes nothing, and returns nothing, an absl::Status, or a Task of either. Its runs never
// overlap. If one throws, or returns a status that is not OK, there is no further run, and the future has failed with
// that; otherwise the future is done only by a cancellation.
//
// A shutdown ends what is run again, before its next run: its future is cancelled. What was scheduled once still runs
// at its time, and Close() waits for that. (That is the JDK's default.) ShutdownNow() ends all.
#ifndef WEFT_EXECUTOR_SCHEDULED_EXECUTOR_H_
#define WEFT_EXECUTOR_SCHEDULED_EXECUTOR_H_

#include "weft/internal/compiler.h"

#include <cstdint>
#include <source_location>
#include <tuple>
#include <type_traits>
#include <utility>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "weft/executor/apply.h"
#include "weft/executor/executor.h"
#include "weft/executor/future.h"
#include "weft/executor/per_task_executor.h"
#include "weft/executor/task_run.h"
#include "weft/internal/check.h"
#include "weft/internal/status_traits.h"
#include "weft/internal/wait.h"
#include "weft/runtime.h"
#include "weft/sync/event.h"
#include "weft/task.h"
#include "weft/time_span.h"

namespace weft {

class ScheduledExecutor final : public VirtualThreadPerTaskExecutor {
 public:
  // The runtime is that of a VirtualThreadPerTaskExecutor.
  explicit ScheduledExecutor(std::source_location where = std::source_location::current())
      : VirtualThreadPerTaskExecutor(where) {}
  explicit ScheduledExecutor(Runtime& runtime, std::source_location where = std::source_location::current())
      : VirtualThreadPerTaskExecutor(runtime, where) {}
  ~ScheduledExecutor() override { ShutDownAndWait(where()); }

  // Runs `function` once, `delay` from now. A delay that is not positive: at once.
  template <class F>
    requires std::is_invocable_v<F&>
  Future<internal::FlatValue<internal::YieldOf<F>>> Schedule(TimeSpan delay, F function);
  // Runs `function` again and again: `initial_delay` from now, and then every `period`, which is positive. A run that
  // comes late because the one before took long begins at once; none is left out.
  template <class F>
    requires std::is_invocable_v<F&>
  Future<void> ScheduleAtFixedRate(TimeSpan initial_delay, TimeSpan period, F function) {
    return ScheduleAgain(initial_delay, period, Next::kPeriodAfterBegin, std::move(function));
  }
  // The same with `delay`, which is positive, from the end of one run to the begin of the next.
  template <class F>
    requires std::is_invocable_v<F&>
  Future<void> ScheduleWithFixedDelay(TimeSpan initial_delay, TimeSpan delay, F function) {
    return ScheduleAgain(initial_delay, delay, Next::kDelayAfterEnd, std::move(function));
  }

 private:
  enum class Next : uint8_t { kPeriodAfterBegin, kDelayAfterEnd };

  template <class F>
  Future<void> ScheduleAgain(TimeSpan initial_delay, TimeSpan period, Next next, F function);
  void OnShutdown() noexcept override { stopping_.Set(); }

  // On the runtime's clock.
  static int64_t Later(int64_t time_ns, absl::Duration by) noexcept;
  int64_t TimeAfter(absl::Duration delay) const noexcept;
  static Task<void> SleepUntil(int64_t time_ns);
  // OK: the time has come. kCancelled: the executor was shut down before.
  Task<absl::Status> SleepUnlessShutDown(int64_t time_ns);

  Event stopping_;
};

// ---------------------------------------------------------------------------------------------------------------------

template <class F>
  requires std::is_invocable_v<F&>
Future<internal::FlatValue<internal::YieldOf<F>>> ScheduledExecutor::Schedule(TimeSpan delay, F function) {
  using Result = internal::ApplyResult<F, std::tuple<>>;
  return Submit([time_ns = TimeAfter(delay), function = std::move(function)]() mutable -> Task<Result> {
    co_await SleepUntil(time_ns);
    co_return co_await internal::Apply(function, std::tuple<>());
  });
}

template <class F>
Future<void> ScheduledExecutor::ScheduleAgain(TimeSpan initial_delay, TimeSpan period, Next next,
                                              F function) {
  static_assert(std::is_void_v<internal::FlatValue<internal::YieldOf<F>>>,
                "a function that is run again returns nothing, an absl::Status, or a Task of either");
  WEFT_CHECK(period > absl::ZeroDuration()) << "a task is scheduled again and again with a period that is not positive";
  return Submit([this, period, next, first_ns = TimeAfter(initial_delay),
                 function = std::move(function)]() mutable -> Task<absl::Status> {
    for (int64_t time_ns = first_ns;; time_ns = Later(time_ns, period)) {
      if (absl::Status slept = co_await SleepUnlessShutDown(time_ns); !slept.ok()) co_return slept;
      if (absl::Status run = co_await internal::Apply(function, std::tuple<>()); !run.ok()) co_return run;
      if (next == Next::kDelayAfterEnd) time_ns = internal::RuntimeNow();
    }
  });
}

}  // namespace weft

#endif  // WEFT_EXECUTOR_SCHEDULED_EXECUTOR_H_

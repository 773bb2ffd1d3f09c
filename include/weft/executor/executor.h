// Executor: runs what is submitted to it, and gives a future of each.
//
//   weft::VirtualThreadPerTaskExecutor executor;                    // per_task_executor.h
//   weft::Future<int> sum = executor.Submit([] { return 1 + 2; });
//   std::vector<weft::Future<int>> all = co_await executor.InvokeAll(AskAll());
//   int quickest = co_await executor.InvokeAny(AskAll());
//   co_await executor.Close();                                      // waits for all
//
// Members: Submit(), InvokeAll(), InvokeAny(), TryInvokeAny(); Shutdown(), ShutdownNow(), IsShutdown(), IsTerminated();
// AwaitTermination(), Close(); for OS threads AwaitTerminationBlocking(), CloseBlocking().
//
// This is the interface. A flag of the program's may choose what is behind it:
//   VirtualThreadPerTaskExecutor   a virtual thread for each task; any number waits at a time (per_task_executor.h)
//   ThreadPoolExecutor             n OS threads and a queue, for computing (thread_pool_executor.h)
//   BoundedExecutor                a virtual thread for each task, n at most (bounded_executor.h)
// ScheduledExecutor runs tasks later, or again and again. (scheduled_executor.h)
//
// An executor is an object like a scope: a local of a coroutine, or a member of a class. It lies where it was made, and
// after everything that its tasks refer to: it goes first, and waits for them.
// Unlike a scope it has no owner: any thread may call its members, OS threads included, also the tasks themselves; and
// what is submitted inherits no scoped values.
//
// States, like in the JDK:
//   running      Submit() starts a task
//   shut down    by Shutdown(), ShutdownNow(), Close() or the destructor: the future of a Submit() has failed,
//                kFailedPrecondition. Tasks that were submitted before go on
//   terminated   shut down, and every task has ended. All their futures are done
//
// The destructor shuts down, asks all tasks to end (kScopeClosed), and waits for them. On a virtual thread it cannot
// suspend, so it holds its carrier, which meanwhile runs the executor's threads, those that are in Run() of a
// ThreadPoolExecutor, and no others; Close() waits without that. No thread may submit any more by then, except the
// executor's own.
//
// Runtime. Virtual threads run on the runtime of whoever made the executor, or on the default runtime if that was an OS
// thread, or on one that is given. (A function of Blocking() is in its caller's runtime.) The end of the runtime asks
// the tasks to end. A Submit() after that is not allowed.
//
// Failures are the futures' (future.h), which lose none.
//
// Memory ordering: what came before Submit() happens before the task. What the tasks did happens before what follows
// AwaitTermination(), if it returns true, and Close().
//
// Cost: one allocation for a task, its virtual thread and its future together, and two short locks.
#ifndef WEFT_EXECUTOR_EXECUTOR_H_
#define WEFT_EXECUTOR_EXECUTOR_H_

#include "weft/internal/compiler.h"

#include <cstddef>
#include <optional>
#include <source_location>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "weft/cancellation.h"
#include "weft/executor/future.h"
#include "weft/executor/future_state.h"
#include "weft/executor/promise.h"
#include "weft/executor/task_run.h"
#include "weft/executor/when.h"
#include "weft/internal/cancel_cause.h"
#include "weft/internal/checkpoint.h"
#include "weft/internal/into_task.h"
#include "weft/internal/list.h"
#include "weft/internal/lock.h"
#include "weft/internal/status_traits.h"
#include "weft/outcome.h"
#include "weft/task.h"
#include "weft/time_span.h"

namespace weft {

namespace internal {

struct GuestTag;

// What Submit() takes: a Task, or what becomes one; or a closure without parameters, of any result.
template <class Work>
concept Submittable = IntoTask<Work> || (!WeftAwaitable<Work> && std::is_constructible_v<std::decay_t<Work>, Work&&> &&
                                         std::is_invocable_v<std::decay_t<Work>&>);
template <class Work>
using FutureOfWork = Future<FlatValue<typename RunOfWork<Work>::Result>>;

}  // namespace internal

class Executor : private internal::TaskGroup {
 public:
  Executor(const Executor&) = delete;
  Executor& operator=(const Executor&) = delete;
  virtual ~Executor();

  // Starts `work` and returns at once: a Task; a closure that returns one, which is kept until the Task has ended; or a
  // closure that returns anything else. Any thread may call it. Without memory for the task the future has failed,
  // kResourceExhausted.
  template <internal::Submittable Work>
  internal::FutureOfWork<Work> Submit(Work&& work) {
    auto* const run = internal::NewTaskRun(std::forward<Work>(work));
    auto future = internal::FutureOf(run);
    if (run != nullptr) [[likely]]
      static_cast<void>(Admit(*run));
    return future;
  }
  template <class Work>
  Future<int> Submit(Work&&) = delete;  // Submit() takes a Task, moved, or a closure without parameters

  // Submits all of `works`, and waits until all are done, with values or not. Yields their futures, in order. If the
  // caller is cancelled meanwhile, so are those that are not done.
  template <internal::Submittable Work>
  Task<std::vector<internal::FutureOfWork<Work>>> InvokeAll(
      std::vector<Work> works, std::source_location where = std::source_location::current());
  // Submits all of `works`, and yields the value of one that succeeds; the others are cancelled then, and not waited
  // for. If all fail, throws the first failure in their order. If the caller is cancelled meanwhile, so are they all.
  // Without any it fails: kInvalidArgument.
  template <internal::Submittable Work>
  Task<typename internal::FutureOfWork<Work>::Value> InvokeAny(
      std::vector<Work> works, std::source_location where = std::source_location::current());
  // The same, with a failure as a status.
  template <internal::Submittable Work>
  Task<typename internal::FutureOfWork<Work>::StatusOrValue> TryInvokeAny(
      std::vector<Work> works, std::source_location where = std::source_location::current());

  // From now on nothing is started. What was submitted goes on. Idempotent.
  void Shutdown() noexcept;
  // The same, and asks what was submitted to end: virtual threads at their next checkpoint; what is still queued never
  // begins, unless it owes a clean-up (finally.h); what an OS thread runs goes on. Does not wait.
  void ShutdownNow(std::source_location where = std::source_location::current()) noexcept;
  bool IsShutdown() const noexcept;
  bool IsTerminated() const noexcept { return terminated_.IsDone(); }

  // Waits until it has terminated, for `timeout` at most. Yields whether it has. Does not shut it down.
  auto AwaitTermination(TimeSpan timeout = absl::InfiniteDuration()) const {
    return MoveOnAfter(IsTerminated() ? absl::InfiniteDuration() : absl::Duration(timeout), terminated_.future().Get());
  }
  // For OS threads, which it blocks. On a carrier it is a CHECK.
  bool AwaitTerminationBlocking(TimeSpan timeout = absl::InfiniteDuration()) const noexcept;
  // Shuts it down, and waits until every task has ended. If the caller is cancelled meanwhile, so are the tasks. In one
  // of its tasks, which would wait for itself, this is a CHECK, and so is the destructor.
  Task<void> Close();
  // For OS threads. A CHECK on one of the executor's own.
  void CloseBlocking() noexcept;

 protected:
  Executor();

  // Starts or queues a task that was admitted, or calls EndUnstarted() of it. Any thread; no lock is held.
  virtual void Start(internal::TaskRun& run) noexcept = 0;
  // For the destructors of derived classes: Start() is not called any more when this has returned.
  void ShutDownAndWait(std::source_location where) noexcept;
  bool Withdraw(internal::TaskRun&) noexcept override { return false; }
  void Forget(internal::TaskRun& run) noexcept override;
  void Left() noexcept override;
  void Stay() noexcept override;
  // A CHECK in one of its own tasks.
  void CheckMayWait(const char* what) const noexcept;
  // Is the caller an OS thread of the executor's own?
  virtual bool IsOwnOsThread() const noexcept { return false; }
  // Called by whoever shuts it down, before IsShutdown() says so. Idempotent: several may do that.
  virtual void OnShutdown() noexcept {}
  // Submit(). False: it was refused.
  bool Admit(internal::TaskRun& run) noexcept;
  // Work of the calling virtual thread that is no task of the executor's, and that it waits for like for one.
  class Guest : public internal::ListNode<internal::GuestTag> {
   public:
    explicit Guest(Executor& executor) noexcept;
    Guest(const Guest&) = delete;
    Guest& operator=(const Guest&) = delete;
    ~Guest();
    bool admitted() const noexcept { return executor_ != nullptr; }
    bool IsOf(const internal::ThreadBlock& thread) const noexcept { return &thread == thread_; }
    static absl::Status WhyNot() noexcept;

   private:
    Executor* executor_ = nullptr;
    const internal::ThreadBlock* const thread_;
  };

 private:
  using Runs = internal::List<internal::TaskRun, internal::TaskRunTag>;
  using Guests = internal::List<Guest, internal::GuestTag>;

  void AskAll(const internal::CancelCause& cause) noexcept;
  struct CarrierHold;  // (executor.cc)

  mutable internal::Lock lock_;  // nothing is locked under it
  // ---- Guarded by lock_.
  Runs runs_;   // submitted, not ended, and not asked by AskAll()
  Runs asked_;  // the same, and asked
  Guests guests_;
  size_t unfinished_ = 1;  // tasks and guests that have not ended, and the executor itself until it is shut down
  bool shut_ = false;
  internal::RuntimeCore* held_ = nullptr;  // whose carrier waits in the destructor

  Promise<void> terminated_;
};

// ---------------------------------------------------------------------------------------------------------------------

namespace internal {

// Cancels, when it goes, those that are not done.
template <class T>
struct CancelAtEnd {
  ~CancelAtEnd() {
    for (const Future<T>& each : futures) {
      if (each.IsValid()) each.Cancel(where);
    }
  }
  std::vector<Future<T>>& futures;
  const std::source_location where;
};

// Waits until one has a value, or all are done. Yields its index; of the first, if none has. What the others have
// failed with by then is no news to anybody.
template <class T>
Task<size_t> FirstWithValue(const std::vector<Future<T>>& futures) {
  AnyDone any(futures);
  std::optional<size_t> with_value;
  for (size_t pending = futures.size();;) {
    while (const std::optional<size_t> done = any.Take()) {
      --pending;
      if (!HasValue(futures[*done])) {
        FutureAccess::State(futures[*done]).SetTold();
      } else if (!with_value.has_value()) {
        with_value = done;
      }
    }
    if (with_value.has_value() || pending == 0) co_return with_value.value_or(0);
    co_await any;
  }
}

}  // namespace internal

template <internal::Submittable Work>
Task<std::vector<internal::FutureOfWork<Work>>> Executor::InvokeAll(std::vector<Work> works,
                                                                    std::source_location where) {
  co_await internal::CheckpointAwaiter();
  std::vector<internal::FutureOfWork<Work>> futures;
  futures.reserve(works.size());
  const internal::CancelAtEnd<typename internal::FutureOfWork<Work>::Value> at_end{futures, where};
  for (Work& each : works) futures.push_back(Submit(std::move(each)));
  for (const auto& each : futures) co_await internal::DoneAwaiter(internal::FutureAccess::State(each));
  co_return futures;
}

template <internal::Submittable Work>
Task<typename internal::FutureOfWork<Work>::Value> Executor::InvokeAny(std::vector<Work> works,
                                                                      std::source_location where) {
  co_await internal::CheckpointAwaiter();
  std::vector<internal::FutureOfWork<Work>> futures;
  futures.reserve(works.size());
  const internal::CancelAtEnd<typename internal::FutureOfWork<Work>::Value> at_end{futures, where};
  for (Work& each : works) futures.push_back(Submit(std::move(each)));
  if (futures.empty()) Failure{0, absl::InvalidArgumentError("InvokeAny() of nothing")}.Throw();
  const size_t first = co_await internal::FirstWithValue(futures);
  co_return internal::FutureAccess::State(futures[first]).Take(/*give_up=*/true);
}

template <internal::Submittable Work>
Task<typename internal::FutureOfWork<Work>::StatusOrValue> Executor::TryInvokeAny(std::vector<Work> works,
                                                                                 std::source_location where) {
  co_await internal::CheckpointAwaiter();
  std::vector<internal::FutureOfWork<Work>> futures;
  futures.reserve(works.size());
  const internal::CancelAtEnd<typename internal::FutureOfWork<Work>::Value> at_end{futures, where};
  for (Work& each : works) futures.push_back(Submit(std::move(each)));
  if (futures.empty()) co_return absl::InvalidArgumentError("InvokeAny() of nothing");
  const size_t first = co_await internal::FirstWithValue(futures);
  co_return internal::FutureAccess::State(futures[first]).TryTake(/*give_up=*/true);
}

}  // namespace weft

#endif  // WEFT_EXECUTOR_EXECUTOR_H_

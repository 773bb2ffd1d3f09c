// ThreadPoolExecutor: n OS threads and a queue, for what computes.
//
//   weft::ThreadPoolExecutor pool(4);
//   Digest digest = co_await pool.Run([&] { return Hash(data); });   // the closure may refer to the frame
//   weft::Future<Image> image = pool.Submit([path] { return Decode(path); });
//   co_await pool.Close();
//
// A virtual thread that computes for long holds its carrier, and makes others wait. A pool of as many OS threads as
// there are processors to spare computes beside the carriers, which the kernel gives their turns. For what blocks there
// is Blocking(), whose pool grows (blocking.h).
//
// Run() calls a closure on one of the OS threads, and parks the virtual thread meanwhile; it yields what the closure
// returns, or throws what it throws. Everything else is an Executor's (executor.h), with these differences:
//
// * Tasks wait in a queue, first come, first served. Cancel() of a future, and ShutdownNow(), take out what is queued;
//   a closure that has begun goes on to its end.
// * A closure that returns a value runs on the OS thread, outside of every virtual thread: it may block, and must not
//   await. What is a Task, or returns one, runs as a virtual thread, of the runtime of whoever made the pool, or of the
//   default runtime; meanwhile it holds its place, that is one of the n OS threads. So the same program runs on the
//   pool as on a VirtualThreadPerTaskExecutor, n tasks at a time: a flag can choose. The end of that runtime waits for
//   such tasks, also for those in the queue.
//
// OS threads are made when they are needed, n at most, and end with the pool. If the system refuses one, tasks wait for
// those that there are; if there are none, they fail: kResourceExhausted, with the errno as a payload.
//
// Cancellation. Run() is a checkpoint. A closure that is queued is withdrawn, and never called. Once begun it is
// awaited to its end, because it may refer to the frame; CancelRequested() inside tells it whether the caller was asked
// to end. In a closure that was submitted it tells whether that was: by its future, or by ShutdownNow().
//
// In a simulation its OS threads are simulated, like those of Blocking(): what they call runs on the simulation's OS
// thread, at a moment that the seed decides (blocking.h). The pool must be made there, by a virtual thread; it is a
// CHECK to use one that was not.
//
// Cost: a short lock, and a wake-up of an OS thread if one is free. Run() allocates two frames from the cache.
#ifndef WEFT_EXECUTOR_THREAD_POOL_EXECUTOR_H_
#define WEFT_EXECUTOR_THREAD_POOL_EXECUTOR_H_

#include "weft/internal/compiler.h"

#include <concepts>
#include <memory>
#include <source_location>
#include <type_traits>
#include <utility>

#include "absl/status/status.h"
#include "weft/blocking.h"
#include "weft/executor/executor.h"
#include "weft/executor/task_run.h"
#include "weft/internal/into_task.h"
#include "weft/internal/promise.h"
#include "weft/internal/status_traits.h"
#include "weft/outcome.h"
#include "weft/task.h"

namespace weft {

namespace internal {
class JobPool;
}  // namespace internal

class ThreadPoolExecutor : public Executor {
 public:
  // `threads` >= 1.
  explicit ThreadPoolExecutor(int threads, std::source_location where = std::source_location::current());
  ~ThreadPoolExecutor() override;

  // Calls `function`, which takes nothing, on one of the OS threads. co_await it; yields what it returns. After a
  // shutdown it fails like a task that is refused: kFailedPrecondition.
  template <class F>
    requires std::invocable<F&>
  Task<internal::TaskResult<std::invoke_result_t<F&>>> Run(F function);

  // How many OS threads there are just now.
  int threads() const noexcept;

 private:
  void Start(internal::TaskRun& run) noexcept override;
  bool Withdraw(internal::TaskRun& run) noexcept override;
  bool IsOwnOsThread() const noexcept override;
  internal::RuntimeCore* runtime_of_tasks() const noexcept override { return runtime_; }
  std::shared_ptr<const UncaughtFailureHandler> uncaught_handler() const noexcept override { return handler_; }

  internal::RuntimeCore* const runtime_;  // null: the default one
  const std::shared_ptr<const UncaughtFailureHandler> handler_;  // the runtime's
  const std::source_location where_;      // it was made
  const std::shared_ptr<internal::JobPool> pool_;
};

// ---------------------------------------------------------------------------------------------------------------------

template <class F>
  requires std::invocable<F&>
Task<internal::TaskResult<std::invoke_result_t<F&>>> ThreadPoolExecutor::Run(F function) {
  using R = internal::TaskResult<std::invoke_result_t<F&>>;
  static_assert(!internal::WeftAwaitable<R>,
                "the function of Run() runs on an OS thread outside of Weft, where no Task can be awaited");
  Guest guest(*this);
  if constexpr (internal::IsStatusLike<R>) {
    if (!guest.admitted()) co_return Guest::WhyNot();
    co_return co_await internal::BlockingAwaiter<F>(std::move(function), *pool_);
  } else {
    if (!guest.admitted()) Failure{0, Guest::WhyNot()}.Throw();
    auto outcome = co_await internal::BlockingAwaiter<F>(std::move(function), *pool_);
    if (!outcome.ok()) {
      if constexpr (std::is_void_v<R>) {
        Failure{0, outcome}.Throw();
      } else {
        Failure{0, outcome.status()}.Throw();
      }
    }
    if constexpr (!std::is_void_v<R>) co_return static_cast<R>(*std::move(outcome));
  }
}

}  // namespace weft

#endif  // WEFT_EXECUTOR_THREAD_POOL_EXECUTOR_H_

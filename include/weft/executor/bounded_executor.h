// BoundedExecutor: a virtual thread for each task, but n tasks at most that have not ended.
//
//   weft::BoundedExecutor executor(100);
//   weft::Future<int> now = executor.Submit(Ask());                            // refused if 100 tasks run
//   weft::Future<int> later = co_await executor.SubmitWhenFree([] { return Ask(); });   // waits for a place
//
// Submit() does not wait: if there is no place, the future has failed, kResourceExhausted, and the task never begins.
// When a future is done, the place of its task is free. SubmitWhenFree() waits until there is one. Places are given to
// those who wait, first come, first served; a Submit() does not overtake them. Everything else is an Executor's.
// (executor.h)
//
// Cancellation: SubmitWhenFree() is a checkpoint. A wait that is cancelled submits nothing, and takes no place. After a
// shutdown it goes on to wait for a place, and is then refused.
#ifndef WEFT_EXECUTOR_BOUNDED_EXECUTOR_H_
#define WEFT_EXECUTOR_BOUNDED_EXECUTOR_H_

#include "weft/internal/compiler.h"

#include <coroutine>
#include <cstdint>
#include <source_location>
#include <utility>

#include "weft/executor/executor.h"
#include "weft/executor/per_task_executor.h"
#include "weft/executor/task_run.h"
#include "weft/internal/promise.h"
#include "weft/internal/wait.h"
#include "weft/internal/wait_kind.h"
#include "weft/internal/wait_node.h"
#include "weft/runtime.h"
#include "weft/task.h"

namespace weft {

class BoundedExecutor final : public VirtualThreadPerTaskExecutor {
 public:
  // `max_tasks` >= 1. The runtime is that of a VirtualThreadPerTaskExecutor.
  explicit BoundedExecutor(int64_t max_tasks, std::source_location where = std::source_location::current());
  BoundedExecutor(Runtime& runtime, int64_t max_tasks,
                  std::source_location where = std::source_location::current());
  ~BoundedExecutor() override;  // a CHECK if a thread waits in SubmitWhenFree()

  // Waits for a place, and then submits `work`, like Submit(). Yields the future.
  template <internal::Submittable Work>
  Task<internal::FutureOfWork<Work>> SubmitWhenFree(Work work) {
    Place place = co_await PlaceAwaiter(*this);
    auto* const run = internal::NewTaskRun(std::move(work));
    auto future = internal::FutureOf(run);
    if (run != nullptr) [[likely]]
      AdmitTo(place, *run);
    co_return future;
  }

  // How many tasks could be submitted just now.
  int64_t free_places() noexcept;

 private:
  // Given back by its destructor, unless a task has it.
  class Place {
   public:
    explicit Place(BoundedExecutor& executor) noexcept : executor_(&executor) {}
    Place(Place&& other) noexcept : executor_(std::exchange(other.executor_, nullptr)) {}
    Place& operator=(Place&&) = delete;
    ~Place() {
      if (executor_ != nullptr) executor_->GiveBack();
    }
    void Keep() noexcept { executor_ = nullptr; }

   private:
    BoundedExecutor* executor_;
  };
  class [[nodiscard]] PlaceAwaiter {
   public:
    using WeftAwaitable = void;
    explicit PlaceAwaiter(BoundedExecutor& executor) noexcept : executor_(executor) {}
    bool await_ready() const noexcept { return internal::AtCheckpoint() && executor_.TakePlace(); }
    template <internal::WeftPromise Promise>
    bool await_suspend(std::coroutine_handle<Promise> frame,
                       std::source_location where = std::source_location::current()) noexcept {
      return executor_.AwaitPlace({frame.promise(), where});
    }
    Place await_resume() const noexcept { return Place(executor_); }

   private:
    BoundedExecutor& executor_;
  };

  void Start(internal::TaskRun& run) noexcept override;
  void Ending(internal::TaskRun& run) noexcept override;

  void AdmitTo(Place& place, internal::TaskRun& run) noexcept;
  bool TakePlace() noexcept;
  bool AwaitPlace(internal::AwaitingFrame frame) noexcept;
  void GiveBack() noexcept;
  static const internal::WaitKind kWait;

  const int64_t max_;
  internal::Waiters waiters_;
  int64_t free_;  // guarded by waiters_.lock; zero while anyone waits
};

}  // namespace weft

#endif  // WEFT_EXECUTOR_BOUNDED_EXECUTOR_H_

// Finally: a clean-up that waits, and runs however its task ends.
//
//   co_await weft::Finally(Copy(from, temporary), [&]() -> weft::Task<void> { co_await Remove(temporary); });
//
// Awaits the task; then calls the closure and awaits what it returns, shielded; then gives the task's result, or throws
// its exception, or goes on being cancelled. What a destructor cannot do, because it cannot wait. Entering is not a
// checkpoint: in a thread that is asked to end already, the task runs to its first checkpoint, and the clean-up runs.
//
// The clean-up is promised as soon as the task that Finally() gives is handed to what runs it: awaited, forked, or
// passed to All(), Race() or a boundary that is. So it may give back what was taken before:
//
//   scope.Fork(weft::Finally(Use(lease), [&pool, lease] { return pool.GiveBack(lease); }));
//
// A child, a branch or a root that is cancelled before its first run begins nevertheless, if it has promised that, and
// is cancelled at its first checkpoint; under max_concurrency when its turn comes. So does one that is forked into a
// scope that is shut down, or by a thread that is cancelled. The same is promised by a Shield() that is forked, and by a
// coroutine that is given any of these by a parameter: such a task, a std::vector of them, a boundary around one. It
// begins; but a checkpoint that it passes before it awaits the task ends both.
//
// Nothing is promised by a task that is dropped; by a closure that would have called Finally(), and is never called: take
// inside what its clean-up gives back; and by a Fork() that throws, or has no memory for the child.
//
// An exception of the clean-up takes the place of the task's. A clean-up that never ends keeps its thread from ending,
// unless it has a grace limit, counted from the request: Shield(grace, ...). Cost: two records in a frame of its own.
#ifndef WEFT_FINALLY_H_
#define WEFT_FINALLY_H_

#include "weft/internal/compiler.h"

#include <coroutine>
#include <exception>
#include <type_traits>
#include <utility>

#include "absl/time/time.h"
#include "weft/cancellation.h"
#include "weft/internal/check.h"
#include "weft/internal/into_task.h"
#include "weft/internal/promise.h"
#include "weft/internal/record.h"
#include "weft/task.h"
#include "weft/time.h"

namespace weft {

namespace internal {

// Awaits a task, and stops whatever unwinds it. Gives whether something did; the result is in `slot`, if the task has one.
template <class T>
class EndAwaiter : private OpenBoundary {
 public:
  using WeftAwaitable = void;

  EndAwaiter(Task<T>&& task, ResultSlot<T>& slot) noexcept
      : OpenBoundary(Kind::kCatch), task_(std::move(task)), slot_(slot) {}

  bool await_ready() const noexcept { return false; }
  template <WeftPromise Promise>
  std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> awaiting) noexcept {
    Enter(awaiting.promise());
    return TaskAccess::Release(std::move(task_), slot_, awaiting.promise(), "Finally()").Handle();
  }
  bool await_resume() noexcept {
    Leave();
    return reached;
  }

 private:
  Task<T> task_;
  ResultSlot<T>& slot_;
};

template <class T, class F>
Task<T> RunFinally(CleanUpIsOwed, Task<T> task, F cleanup, absl::Duration grace) {
  ResultSlot<T> slot;
  const bool cancelled = co_await EndAwaiter<T>(std::move(task), slot);
  if (grace == absl::InfiniteDuration()) {
    co_await Shield(cleanup());
  } else {
    co_await Shield(grace, cleanup());
  }
  if (cancelled) {
    co_await Yield();
    WEFT_CHECK(false) << "a request to cancel that Finally() has stopped for a while is gone";
  }
  if constexpr (std::is_void_v<T>) {
    slot.Take();
  } else {
    co_return slot.Take();
  }
}

// Nothing comes of it that could be lost.
template <class F>
concept CleanUp = GivesTask<F&> && std::is_void_v<ValueOfCall<F&>>;

}  // namespace internal

template <internal::IntoTask A, internal::CleanUp F>
Task<internal::ValueOf<A>> Finally(A&& task, F cleanup, absl::Duration grace = absl::InfiniteDuration()) {
  return internal::RunFinally(internal::CleanUpIsOwed(), internal::AsTask(std::forward<A>(task)), std::move(cleanup),
                              grace);
}
template <internal::IntoTask A, class F>
Task<void> Finally(A&&, F, absl::Duration = {}) = delete;  // the clean-up takes nothing and returns a Task<void>

}  // namespace weft

#endif  // WEFT_FINALLY_H_

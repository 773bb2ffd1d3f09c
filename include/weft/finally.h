// Finally: a clean-up that can wait, and that runs however its task ends.
//
//   co_await weft::Finally(Copy(from, temporary), [&]() -> weft::Task<void> { co_await Remove(temporary); });
//
// Finally() awaits the task. Then it calls the closure and awaits what that returns, shielded. Then it returns the
// task's result, or throws its exception, or goes on being cancelled. Use it where a destructor will not do, because a
// destructor cannot wait. Entering is not a checkpoint: in a thread that was asked to end before, the task runs to its
// first checkpoint, and the clean-up runs.
//
// The clean-up is promised as soon as the task that Finally() returns is awaited or forked, or passed to All(), to
// Race() or to a boundary that is awaited or forked. So the clean-up may give back what was taken before:
//
//   scope.Fork(weft::Finally(Use(lease), [&pool, lease] { return pool.GiveBack(lease); }));
//
// A child, a branch or a root that has promised a clean-up begins even if it is cancelled before its first run, and is
// cancelled at its first checkpoint. Under max_concurrency it begins when its turn comes. The same holds for a fork
// into a scope that is shut down, and for a fork by a thread that is cancelled.
//
// Two more things promise to begin: a Shield() that is forked, and a coroutine with a parameter that promises to begin
// (such a task, a std::vector of them, a boundary around one). If that coroutine passes a checkpoint before it awaits
// its parameter, it is cancelled there, and the parameter with it.
//
// Nothing is promised by
//   a task that is dropped;
//   a closure that would have called Finally(), and is never called: take inside it what its clean-up gives back;
//   a Fork() that throws, or has no memory for the child.
//
// If the clean-up throws, its exception replaces the task's. A clean-up that never ends keeps its thread from ending,
// unless it has a grace limit, counted from the request, like that of Shield(grace, ...).
//
// Cost: two records in a frame of its own.
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

// A closure that returns a Task<void>: a clean-up has no result that could be lost.
template <class F>
concept CleanUp = GivesTask<F&> && std::is_void_v<ValueOfCall<F&>>;

}  // namespace internal

// Awaits `task`, then the task that `cleanup()` returns, and yields the result of `task`. `grace` limits the clean-up.
template <internal::IntoTask A, internal::CleanUp F>
Task<internal::ValueOf<A>> Finally(A&& task, F cleanup, absl::Duration grace = absl::InfiniteDuration());
template <internal::IntoTask A, class F>
Task<void> Finally(A&&, F, absl::Duration = {}) = delete;  // the clean-up takes nothing and returns a Task<void>

// ---------------------------------------------------------------------------------------------------------------------

namespace internal {

// Awaits a task, and stops any unwinding of it. Returns whether one was stopped; if not, the result is in `slot`.
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
    WEFT_CHECK(false) << "the request to cancel that Finally() has held back is gone";
  }
  if constexpr (std::is_void_v<T>) {
    slot.Take();
  } else {
    co_return slot.Take();
  }
}

}  // namespace internal

template <internal::IntoTask A, internal::CleanUp F>
Task<internal::ValueOf<A>> Finally(A&& task, F cleanup, absl::Duration grace) {
  return internal::RunFinally(internal::CleanUpIsOwed(), internal::AsTask(std::forward<A>(task)), std::move(cleanup),
                              grace);
}

}  // namespace weft

#endif  // WEFT_FINALLY_H_

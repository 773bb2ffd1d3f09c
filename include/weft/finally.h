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

#include <exception>
#include <type_traits>
#include <utility>

#include "absl/time/time.h"
#include "weft/cancellation.h"
#include "weft/internal/boundary_awaiter.h"
#include "weft/internal/check.h"
#include "weft/internal/into_task.h"
#include "weft/internal/record.h"
#include "weft/task.h"
#include "weft/time.h"
#include "weft/time_span.h"

namespace weft {

namespace internal {

// A closure that returns a Task<void>: a clean-up has no result that could be lost.
template <class F>
concept CleanUp = GivesTask<F&> && std::is_void_v<ValueOfCall<F&>>;

}  // namespace internal

// Awaits `task`, then the task that `cleanup()` returns, and yields the result of `task`. `grace` limits the clean-up.
template <internal::TaskOrClosure A, internal::CleanUp F>
Task<internal::ValueOf<A>> Finally(A&& task, F cleanup, TimeSpan grace = absl::InfiniteDuration());
template <internal::TaskOrClosure A, class F>
Task<void> Finally(A&&, F, TimeSpan = {}) = delete;  // the clean-up takes nothing and returns a Task<void>

// ---------------------------------------------------------------------------------------------------------------------

namespace internal {

// Stops any unwinding of the task. Entering is no checkpoint.
class EndBoundary : public OpenBoundary {
 public:
  static constexpr const char* kCall = "Finally()";
  EndBoundary() noexcept : OpenBoundary(Kind::kCatch) {}
};

// Yields whether it has stopped one; if not, the result can be taken.
template <class T>
class EndAwaiter : public BoundaryAwaiter<EndBoundary, WhetherStopped, T> {
 public:
  using BoundaryAwaiter<EndBoundary, WhetherStopped, T>::BoundaryAwaiter;
  T Take() { return this->slot.Take(); }
};

template <class T, class F>
Task<T> RunFinally(CleanUpIsOwed, Task<T> task, F cleanup, absl::Duration grace) {
  EndAwaiter<T> end(std::move(task));
  const bool cancelled = co_await end;
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
    end.Take();
  } else {
    co_return end.Take();
  }
}

}  // namespace internal

template <internal::TaskOrClosure A, internal::CleanUp F>
Task<internal::ValueOf<A>> Finally(A&& task, F cleanup, TimeSpan grace) {
  return internal::RunFinally(internal::CleanUpIsOwed(), internal::AsTask(std::forward<A>(task)), std::move(cleanup),
                              grace);
}

}  // namespace weft

#endif  // WEFT_FINALLY_H_

// The awaiter of all that awaits a task in a boundary: WithTimeout, CatchCancelled, Shield, WithStopToken, Finally...
//
// It begins the task when it is awaited, in the same virtual thread, and is over when the task has ended, or an
// unwinding has stopped here. Two classes say the rest. A boundary B derives from Boundary, can be moved until it
// is entered, and has
//
//   static constexpr const char* kCall        the function that users call, for messages
//   static constexpr bool kEntryIsCheckpoint  entering is a checkpoint
//   static constexpr bool kOwesCleanUp        a cancelled thread begins the task as well (finally.h)
//   void Enter(PromiseBase& awaiting)         the awaiting frame is suspended, and its task is about to begin
//   void Leave()                              the task is over; also from B's destructor, when an unwinding goes past
//
// An outcome has a Result<T> for a Task<T>, and a Take() that makes it.
#ifndef WEFT_INTERNAL_BOUNDARY_AWAITER_H_
#define WEFT_INTERNAL_BOUNDARY_AWAITER_H_

#include "weft/internal/compiler.h"

#include <coroutine>
#include <optional>
#include <type_traits>
#include <utility>

#include "absl/status/status.h"
#include "weft/internal/boundary.h"
#include "weft/internal/promise.h"
#include "weft/internal/status_traits.h"
#include "weft/internal/wait.h"
#include "weft/task.h"

namespace weft::internal {

// The status of a cancellation that has ended at `boundary`, of the current thread. (cancellation.cc)
absl::Status StatusAt(const Boundary& boundary);

// ---- Outcomes.

// What the task yields, as a status or a StatusOr, or the status of the cancellation that the boundary has stopped.
struct OrStatus {
  template <class T>
  using Result = BoundaryResult<T>;
  template <class T>
  static Result<T> Take(const Boundary& boundary, ResultSlot<T>& slot) {
    if (boundary.reached) return StatusAt(boundary);
    return TakeOutcome(slot);
  }
};

// What the task yields, or nothing; for a Task<void> whether it has ended.
struct OrNothing {
  template <class T>
  using Result = std::conditional_t<std::is_void_v<T>, bool, std::optional<Kept<T>>>;
  template <class T>
  static Result<T> Take(const Boundary& boundary, ResultSlot<T>& slot) {
    if constexpr (std::is_void_v<T>) {
      if (!boundary.reached) slot.Take();
      return !boundary.reached;
    } else {
      if (boundary.reached) return std::nullopt;
      return slot.Take();
    }
  }
};

// What the task yields: no unwinding stops at the boundary.
struct AsItIs {
  template <class T>
  using Result = T;
  template <class T>
  static T Take(const Boundary&, ResultSlot<T>& slot) { return slot.Take(); }
};

// Whether the boundary has stopped a cancellation. The result stays in the slot.
struct WhetherStopped {
  template <class T>
  using Result = bool;
  template <class T>
  static bool Take(const Boundary& boundary, ResultSlot<T>&) noexcept { return boundary.reached; }
};

// ---- The awaiter.

// A task that is not started, and its result. A base, so that the boundary is left before the result is destroyed.
template <class T>
struct TaskAndResult {
  explicit TaskAndResult(Task<T>&& given) noexcept : task(std::move(given)) {}
  Task<T> task;
  ResultSlot<T> slot;
};

template <class B, class Outcome, class T>
class BoundaryAwaiter : protected TaskAndResult<T>,
                        public GivesWhenAwaited<typename Outcome::template Result<T>>,
                        private B {
 public:
  using WeftAwaitable = void;

  template <class... Args>
  explicit BoundaryAwaiter(Task<T>&& task, Args&&... args) noexcept
      : TaskAndResult<T>(std::move(task)), B(std::forward<Args>(args)...) {}
  BoundaryAwaiter(BoundaryAwaiter&& other) noexcept
      : TaskAndResult<T>(std::move(other.task)), B(static_cast<B&&>(other)) {}

  bool owes_clean_up() const noexcept { return B::kOwesCleanUp || OwesCleanUp(this->task); }

  bool await_ready() const noexcept { return false; }
  template <WeftPromise Promise>
  std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> awaiting) noexcept {
    PromiseBase& frame = awaiting.promise();
    if constexpr (B::kEntryIsCheckpoint) {
      const bool may_go_on = AtCheckpoint();
      if (EnterBoundary(frame)) {
        B::Enter(frame);
      } else if (!owes_clean_up()) {
        return std::noop_coroutine();
      }
      return GoOnWith(TakeFrame(frame), may_go_on);
    } else {
      B::Enter(frame);
      return TakeFrame(frame).Handle();
    }
  }
  typename Outcome::template Result<T> await_resume() {
    B::Leave();
    return Outcome::Take(static_cast<const B&>(*this), this->slot);
  }

 private:
  PromiseBase& TakeFrame(PromiseBase& awaiting) noexcept {
    return TaskAccess::Release(std::move(this->task), this->slot, awaiting, B::kCall);
  }
};

}  // namespace weft::internal

#endif  // WEFT_INTERNAL_BOUNDARY_AWAITER_H_

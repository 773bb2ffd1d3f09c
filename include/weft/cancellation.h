// Where a cancellation stops, and what it does not reach.
//
//   absl::Status done = co_await weft::WithTimeout(absl::Seconds(2), Serve(stream));  // late: Serve was unwound
//   co_await weft::Shield(Release(lease));                                            // runs to its end, whatever comes
//
// Cancellation in Weft is not an error and not an exception. A request is made by a scope that is shut down, by a
// deadline, or by the runtime's end; it flows down the tree of virtual threads at once. A thread that was asked to end
// does so at its next checkpoint, which is any wait of Weft's (entered, or parked in): the frames from there to a
// boundary are destroyed, leaf first, so destructors run and no `catch` sees it.
//
// Order. Unwinding means what an exception would mean, in the order of the destructors: a scope ends its children and
// waits for them when its turn comes, after everything that was made later. A lock taken after the scope was opened is
// given back before the scope's children are waited for, so a clean-up of theirs may take it; one taken before is given
// back afterwards, so a clean-up that waits for it waits for ever. Where nobody wants such a lock the frame that the
// scope lies in is kept until the children have ended, and the thread waits without its carrier; so what the other
// locals of that frame do in their destructors happens after that. Do not make a child's clean-up wait for it (for an
// event that is set there, or a socket that is closed there), except for a MutexGuard, and a Permit, which is given
// back after RuntimeOptions::drain_patience. The thread then holds its carrier until the children have ended.
//
// A destructor that an unwinding runs must not throw. A local's or a temporary's that does is a CHECK; of a parameter's
// that is not promised. It runs on its own virtual thread, and cannot wait.
//
// Boundaries:
//   WithTimeout, WithDeadline   stop the request that they make themselves, when their time is up
//   WithStopToken               same, when a std::stop_token is stopped (stop_token.h)
//   WithStopEvent               same, when an Event is set (stop_event.h)
//   CatchCancelled              stops any request that arrives while it is inside
//   the root of the thread      stops everything: the subtask is UNAVAILABLE
// An unwinding goes to the outermost boundary whose request no Shield hides. A thread that has caught a cancellation is
// still cancelled: its next checkpoint outside goes on unwinding, so a loop of WithTimeout() in a cancelled thread
// ends.
//
// Rules a user can rely on. Either an operation completes, or it is cancelled, never both: what was read or acquired is
// delivered, and the next checkpoint cancels. After a request, nothing can be awaited but inside a Shield. Deadlines
// compose: the earliest of all that enclose decides. Why, when, from which line and by which way is told by ReasonOf().
// (cancel_reason.h)
//
// All of these are awaited by the thread that is to be guarded; they start no other. A loop of them lets others run,
// like a loop over any checkpoint, also if each ends at once.
//
// Cost: a record in the awaiting frame, and for a timeout a timer; nothing is allocated, but for a frame if what is
// awaited is not a Task.
#ifndef WEFT_CANCELLATION_H_
#define WEFT_CANCELLATION_H_

#include "weft/internal/compiler.h"

#include <coroutine>
#include <cstdint>
#include <optional>
#include <source_location>
#include <type_traits>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "weft/cancel_reason.h"
#include "weft/internal/into_task.h"
#include "weft/internal/promise.h"
#include "weft/internal/record.h"
#include "weft/internal/scheduler.h"
#include "weft/internal/status_traits.h"
#include "weft/internal/timer_wheel.h"
#include "weft/task.h"

namespace weft {

namespace internal {
template <class T>
class TimeoutAwaiter;
template <class T>
class MoveOnAwaiter;
template <class T>
class CatchAwaiter;
template <class T>
class ShieldAwaiter;
template <class T>
class GraceShieldAwaiter;
}  // namespace internal

// Awaits `task`, but not for longer than `timeout`. Yields absl::Status for a Task of void or absl::Status,
// absl::StatusOr<U> for a Task of U or absl::StatusOr<U>: the task's own outcome, or kDeadlineExceeded if the time was
// up first (ReasonOf() tells it from a kDeadlineExceeded of the task's own). A timeout that is not positive lets the
// task run to its first checkpoint.
template <internal::IntoTask A>
[[nodiscard("co_await it")]] internal::TimeoutAwaiter<internal::ValueOf<A>> WithTimeout(
    absl::Duration timeout, A&& task, std::source_location where = std::source_location::current());

// Like WithTimeout(), for callers that only need to know whether there is a result: yields std::optional<T>, nothing if
// the time was up first; for a Task<void>, a bool. (Trio's move_on_after.)
template <internal::IntoTask A>
[[nodiscard("co_await it")]] internal::MoveOnAwaiter<internal::ValueOf<A>> MoveOnAfter(
    absl::Duration timeout, A&& task, std::source_location where = std::source_location::current());

// As WithTimeout(), until a point of the wall clock (weft::Now()), converted when it is made.
template <internal::IntoTask A>
[[nodiscard("co_await it")]] internal::TimeoutAwaiter<internal::ValueOf<A>> WithDeadline(
    absl::Time deadline, A&& task, std::source_location where = std::source_location::current());

// Awaits `task`. If a request to cancel arrives meanwhile, the task is unwound and the result is its status (kCancelled,
// or kDeadlineExceeded of an outer deadline, with ReasonOf()); types as for WithTimeout(). Entering is a checkpoint.
template <internal::IntoTask A>
[[nodiscard("co_await it")]] internal::CatchAwaiter<internal::ValueOf<A>> CatchCancelled(A&& task);

// Awaits `task`, hiding from it the requests to what is outside. Entering and leaving are not checkpoints. What is forked,
// Fork(Shield(task)), begins also if it is cancelled before its first run, as a task of Finally() does. (finally.h)
template <internal::IntoTask A>
[[nodiscard("co_await it")]] internal::ShieldAwaiter<internal::ValueOf<A>> Shield(A&& task);

// The same, but for no longer than `grace` after a request: then it hides nothing any more, and the task is unwound at
// its next checkpoint. Counted from the request, not from here: what a cancelled thread cleans up, shield after shield,
// ends in time. A grace that is not positive, or is over when the task begins, lets it run to its first checkpoint.
template <internal::IntoTask A>
[[nodiscard("co_await it")]] internal::GraceShieldAwaiter<internal::ValueOf<A>> Shield(absl::Duration grace, A&& task);

// Is the current virtual thread asked to end? For computing that wants to stop early without a checkpoint.
bool CancelRequested() noexcept;

// ---------------------------------------------------------------------------------------------------------------------------

namespace internal {

// Boundaries in a frame: entered by await_suspend, left by await_resume, or by the destructor when an unwinding goes
// past. Before they are entered they can be moved.
class OpenBoundary : public Boundary {
 public:
  using Boundary::Boundary;
  OpenBoundary(OpenBoundary&& other) noexcept : Boundary(other.kind) {}
  ~OpenBoundary() { Leave(); }

 protected:
  void Enter(PromiseBase& awaiting) noexcept;
  void Leave() noexcept;
  ThreadBlock* thread_ = nullptr;  // null: not entered
};

class TimeoutBoundary : public Boundary {
 public:
  explicit TimeoutBoundary(std::source_location where) noexcept : Boundary(Kind::kOwnRequest), where_(where) {}
  TimeoutBoundary(TimeoutBoundary&& other) noexcept : TimeoutBoundary(other.where_) {}
  ~TimeoutBoundary() { Leave(); }

 protected:
  void Enter(PromiseBase& awaiting, absl::Duration timeout) noexcept;
  void Leave() noexcept;

 private:
  static void Fire(TimerNode* node) noexcept;
  void RequestOwn() noexcept;

  struct Timer : TimerNode {
    TimeoutBoundary* boundary = nullptr;
  };
  ThreadBlock* thread_ = nullptr;  // null: not entered
  const std::source_location where_;
  Timer timer_;
};

class GraceShield : public Boundary {
 public:
  explicit GraceShield(absl::Duration grace) noexcept
      : Boundary(Kind::kGraceShield), grace_ns_(absl::ToInt64Nanoseconds(grace)) {}
  GraceShield(GraceShield&& other) noexcept : Boundary(Kind::kGraceShield), grace_ns_(other.grace_ns_) {}
  ~GraceShield() { Leave(); }

  // Under the records lock: something outside was requested. The first time counts.
  void BeginGrace(const CancelCause& cause) noexcept;

 protected:
  void Enter(PromiseBase& awaiting) noexcept;
  void Leave() noexcept;

 private:
  static void Fire(TimerNode* node) noexcept;

  struct Timer : TimerNode {
    GraceShield* shield = nullptr;
  };
  ThreadBlock* thread_ = nullptr;  // null: not entered
  bool left_ = false;
  bool begun_ = false;  // guarded by the records lock, as is that the timer is armed
  const int64_t grace_ns_;
  Timer timer_;
};

// The status of a cancellation that has ended at `boundary`, of the current thread.
absl::Status StatusAt(const Boundary& boundary);

// What a boundary yields: the outcome of the task, or the cancellation that it stopped.
template <class T>
StatusOrOf<T> OutcomeAt(const Boundary& boundary, ResultSlot<T>& slot) {
  if (boundary.reached) return StatusAt(boundary);
  return TakeOutcome(slot);
}

// What they have in common: a task, not started, and its result.
template <class T>
class BoundedTask {
 public:
  using WeftAwaitable = void;
  explicit BoundedTask(Task<T>&& task) noexcept : task_(std::move(task)) {}
  BoundedTask(BoundedTask&& other) noexcept : task_(std::move(other.task_)) {}

  bool owes_clean_up() const noexcept { return OwesCleanUp(task_); }

 protected:
  PromiseBase& TakeFrame(PromiseBase& awaiting, const char* what) noexcept {
    return TaskAccess::Release(std::move(task_), slot_, awaiting, what);
  }
  std::coroutine_handle<> StartTask(PromiseBase& awaiting, const char* what) noexcept {
    return TakeFrame(awaiting, what).Handle();
  }
  Task<T> task_;
  ResultSlot<T> slot_;
};

template <class T>
class TimedTask : public BoundedTask<T>, protected TimeoutBoundary {
 public:
  TimedTask(absl::Duration timeout, Task<T>&& task, std::source_location where) noexcept
      : BoundedTask<T>(std::move(task)), TimeoutBoundary(where), timeout_(timeout) {}

  bool await_ready() const noexcept { return false; }
  template <WeftPromise Promise>
  std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> awaiting) noexcept {
    Enter(awaiting.promise(), timeout_);
    return this->StartTask(awaiting.promise(), "WithTimeout()");
  }

 private:
  absl::Duration timeout_;
};

template <class T>
class TimeoutAwaiter : public TimedTask<T>, public GivesWhenAwaited<StatusOrOf<T>> {
 public:
  using TimedTask<T>::TimedTask;
  StatusOrOf<T> await_resume() {
    this->Leave();
    return OutcomeAt(*this, this->slot_);
  }
};

template <class T>
using ResultInTime = std::conditional_t<std::is_void_v<T>, bool, std::optional<Kept<T>>>;

template <class T>
class MoveOnAwaiter : public TimedTask<T>, public GivesWhenAwaited<ResultInTime<T>> {
 public:
  using TimedTask<T>::TimedTask;
  ResultInTime<T> await_resume() {
    this->Leave();
    if constexpr (std::is_void_v<T>) {
      if (!this->reached) this->slot_.Take();
      return !this->reached;
    } else {
      if (this->reached) return std::nullopt;
      return this->slot_.Take();
    }
  }
};

template <class T>
class CatchAwaiter : public BoundedTask<T>, public GivesWhenAwaited<StatusOrOf<T>>, private OpenBoundary {
 public:
  explicit CatchAwaiter(Task<T>&& task) noexcept : BoundedTask<T>(std::move(task)), OpenBoundary(Kind::kCatch) {}

  bool await_ready() const noexcept { return false; }
  template <WeftPromise Promise>
  std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> awaiting) noexcept {
    const bool may_go_on = AtCheckpoint();
    if (EnterBoundary(awaiting.promise())) {
      Enter(awaiting.promise());
    } else if (!this->owes_clean_up()) {
      return std::noop_coroutine();
    }
    return GoOnWith(this->TakeFrame(awaiting.promise(), "CatchCancelled()"), may_go_on);
  }
  StatusOrOf<T> await_resume() {
    Leave();
    return OutcomeAt(*this, this->slot_);
  }
};

template <class T>
class ShieldAwaiter : public BoundedTask<T>, public GivesWhenAwaited<T>, private OpenBoundary {
 public:
  explicit ShieldAwaiter(Task<T>&& task) noexcept : BoundedTask<T>(std::move(task)), OpenBoundary(Kind::kShield) {}

  bool owes_clean_up() const noexcept { return true; }
  bool await_ready() const noexcept { return false; }
  template <WeftPromise Promise>
  std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> awaiting) noexcept {
    Enter(awaiting.promise());
    return this->StartTask(awaiting.promise(), "Shield()");
  }
  T await_resume() {
    Leave();
    return this->slot_.Take();
  }
};

template <class T>
class GraceShieldAwaiter : public BoundedTask<T>, public GivesWhenAwaited<T>, private GraceShield {
 public:
  GraceShieldAwaiter(absl::Duration grace, Task<T>&& task) noexcept
      : BoundedTask<T>(std::move(task)), GraceShield(grace) {}

  bool owes_clean_up() const noexcept { return true; }
  bool await_ready() const noexcept { return false; }
  template <WeftPromise Promise>
  std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> awaiting) noexcept {
    Enter(awaiting.promise());
    return this->StartTask(awaiting.promise(), "Shield()");
  }
  T await_resume() {
    Leave();
    return this->slot_.Take();
  }
};

}  // namespace internal

template <internal::IntoTask A>
internal::TimeoutAwaiter<internal::ValueOf<A>> WithTimeout(absl::Duration timeout, A&& task,
                                                           std::source_location where) {
  return internal::TimeoutAwaiter<internal::ValueOf<A>>(timeout, internal::AsTask(std::forward<A>(task)), where);
}

template <internal::IntoTask A>
internal::MoveOnAwaiter<internal::ValueOf<A>> MoveOnAfter(absl::Duration timeout, A&& task,
                                                          std::source_location where) {
  return internal::MoveOnAwaiter<internal::ValueOf<A>>(timeout, internal::AsTask(std::forward<A>(task)), where);
}

template <internal::IntoTask A>
internal::TimeoutAwaiter<internal::ValueOf<A>> WithDeadline(absl::Time deadline, A&& task, std::source_location where) {
  return WithTimeout(deadline - absl::FromUnixNanos(internal::RuntimeWallNow()), std::forward<A>(task), where);
}

template <internal::IntoTask A>
internal::CatchAwaiter<internal::ValueOf<A>> CatchCancelled(A&& task) {
  return internal::CatchAwaiter<internal::ValueOf<A>>(internal::AsTask(std::forward<A>(task)));
}

template <internal::IntoTask A>
internal::ShieldAwaiter<internal::ValueOf<A>> Shield(A&& task) {
  return internal::ShieldAwaiter<internal::ValueOf<A>>(internal::AsTask(std::forward<A>(task)));
}

template <internal::IntoTask A>
internal::GraceShieldAwaiter<internal::ValueOf<A>> Shield(absl::Duration grace, A&& task) {
  return internal::GraceShieldAwaiter<internal::ValueOf<A>>(grace, internal::AsTask(std::forward<A>(task)));
}

}  // namespace weft

#endif  // WEFT_CANCELLATION_H_

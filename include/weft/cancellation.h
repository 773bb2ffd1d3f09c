// Cancellation: where it stops, and what it does not reach.
//
//   absl::Status done = co_await weft::WithTimeout(absl::Seconds(2), Serve(stream));  // late: Serve was unwound
//   co_await weft::Shield(Release(lease));                                            // runs to its end in any case
//
// In Weft, a cancellation is neither an error nor an exception. A scope that is shut down, a deadline, or the end of
// the runtime makes a request, which flows down the tree of virtual threads at once. A thread that was asked to end
// does so at its next checkpoint. A checkpoint is any wait of Weft's; a thread that is parked in one ends there. The
// frames from the checkpoint up to a boundary are destroyed, leaf first, so destructors run, and no `catch` sees it.
//
// Boundaries:
//   WithTimeout, WithDeadline   stop the request that they make themselves, when their time is up
//   WithStopToken               same, when a std::stop_token is stopped (stop_token.h)
//   WithStopEvent               same, when an Event is set (stop_event.h)
//   CatchCancelled              stops any request that arrives while it is inside
//   the root of the thread      stops everything: the subtask is UNAVAILABLE
// An unwinding goes to the outermost boundary whose request no Shield hides. A thread that has caught a cancellation is
// still cancelled: its next checkpoint outside of the boundary goes on unwinding. So a loop of WithTimeout() in a
// cancelled thread ends, if there is a checkpoint in it: to enter a boundary is none, except for CatchCancelled().
//
// Rules that users can rely on. An operation either completes or is cancelled, never both: what was read or acquired is
// delivered, and the next checkpoint cancels. After a request, nothing can be awaited except inside a Shield. Of
// several enclosing deadlines the earliest decides, if a tick of the timers is between them (time.h). ReasonOf() says
// why, when, from which line and by which way a request came. (cancel_reason.h)
//
// Order. An unwinding runs destructors in the order in which an exception would run them. When the turn of the frame
// comes in which a scope lies, the scope ends its children, and waits for them. Frames inside that one have gone
// before: a lock that they held is given back, and the children's clean-ups may take it. A lock of a frame outside is
// given back after the wait: a clean-up that waits for it waits for ever.
//
// That wait must not hold the carrier. So the frame that the scope lies in is kept, whole, until the children have
// ended, and the destructors of its other locals run after that. A child's clean-up must therefore not wait for what
// such a destructor does: set an event, say, or close a socket. It may wait for two things, the guards of locks and the
// Permits of that frame. For a MutexGuard, a RecursiveMutexGuard or a WriterGuard the frame is destroyed as soon as a
// thread waits; for a Permit or a ReaderGuard after RuntimeOptions::drain_patience, if any thread waits for any of
// these by then, or at most 0.3 s after one has begun to. From then on the thread holds its carrier until the children
// have ended; at most half of the carriers that there may be are held for permits at a time, or all but one if
// otherwise nothing changes. Where no more can be made, one of those that there are stays free, unless it is the only
// one. What counts is where a lock was taken: a guard that was taken before the scope was opened, and moved to behind
// it, is given back after the wait.
//
// A destructor that an unwinding runs must not throw. If that of a local or a temporary throws, it is a CHECK; for a
// parameter that is not promised. The destructor runs on its own virtual thread, and cannot wait.
//
// The functions below guard the thread that awaits them; they start no other. A loop of them lets other threads run
// like a loop over what they guard: if that waits, also if the wait is over at once.
//
// Cost: a record in the awaiting frame, and for a timeout a timer. Nothing is allocated, except a frame if what is
// passed is not a Task.
#ifndef WEFT_CANCELLATION_H_
#define WEFT_CANCELLATION_H_

#include "weft/internal/compiler.h"

#include <cstdint>
#include <source_location>
#include <utility>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "weft/cancel_reason.h"
#include "weft/deadline.h"
#include "weft/internal/boundary.h"
#include "weft/internal/boundary_awaiter.h"
#include "weft/internal/deadline_timer.h"
#include "weft/internal/into_task.h"
#include "weft/internal/promise.h"
#include "weft/internal/record.h"
#include "weft/internal/status_traits.h"
#include "weft/internal/timer_node.h"
#include "weft/internal/wait.h"
#include "weft/task.h"
#include "weft/time_span.h"

namespace weft {

namespace internal {

class TimeoutBoundary;
class DeadlineBoundary;
class CatchBoundary;
class ShieldBoundary;
class GraceShield;

template <class T>
using TimeoutAwaiter = BoundaryAwaiter<TimeoutBoundary, OrStatus, T>;
template <class T>
using DeadlineAwaiter = BoundaryAwaiter<DeadlineBoundary, OrStatus, T>;
template <class T>
using MoveOnAwaiter = BoundaryAwaiter<TimeoutBoundary, OrNothing, T>;
template <class T>
using MoveOnAtAwaiter = BoundaryAwaiter<DeadlineBoundary, OrNothing, T>;
template <class T>
using CatchAwaiter = BoundaryAwaiter<CatchBoundary, OrStatus, T>;
template <class T>
using ShieldAwaiter = BoundaryAwaiter<ShieldBoundary, AsItIs, T>;
template <class T>
using GraceShieldAwaiter = BoundaryAwaiter<GraceShield, AsItIs, T>;

}  // namespace internal

// Awaits `task`, for `timeout` at most. Yields absl::Status for a Task of void or absl::Status, absl::StatusOr<U> for a
// Task of U or absl::StatusOr<U>: the task's own outcome, or kDeadlineExceeded if the time was up first. ReasonOf()
// tells the status of a timeout from any other kDeadlineExceeded; but that timeout may be another one, whose status the
// task returns as its own. Only MoveOnAfter() and MoveOnAt() tell for certain that it was this time that was up. A
// timeout that is not positive lets the task run to its first checkpoint.
template <internal::TaskOrClosure A>
[[nodiscard("co_await it")]] internal::TimeoutAwaiter<internal::ValueOf<A>> WithTimeout(
    TimeSpan timeout, A&& task, std::source_location where = std::source_location::current());

// Like WithTimeout(), for callers that want to know whether the task has ended. Yields std::optional<T>, empty if and
// only if this time was up first; for a Task<void>, a bool. (Trio's move_on_after.)
template <internal::TaskOrClosure A>
[[nodiscard("co_await it")]] internal::MoveOnAwaiter<internal::ValueOf<A>> MoveOnAfter(
    TimeSpan timeout, A&& task, std::source_location where = std::source_location::current());
// The same until a deadline, as for WithDeadline().
template <internal::TaskOrClosure A>
[[nodiscard("co_await it")]] internal::MoveOnAtAwaiter<internal::ValueOf<A>> MoveOnAt(
    Deadline deadline, A&& task, std::source_location where = std::source_location::current());

// Like WithTimeout(), until a time of the monotonic clock, or of the wall clock, which moves with that. (deadline.h)
template <internal::TaskOrClosure A>
[[nodiscard("co_await it")]] internal::DeadlineAwaiter<internal::ValueOf<A>> WithDeadline(
    Deadline deadline, A&& task, std::source_location where = std::source_location::current());

// Awaits `task`. If a request to cancel arrives meanwhile, the task is unwound, and the result is the request's status:
// kCancelled, or kDeadlineExceeded of an outer deadline, with ReasonOf(). Types are those of WithTimeout(). Entering is
// a checkpoint.
template <internal::TaskOrClosure A>
[[nodiscard("co_await it")]] internal::CatchAwaiter<internal::ValueOf<A>> CatchCancelled(A&& task);

// Awaits `task`, and hides from it all requests to boundaries outside. Entering and leaving are not checkpoints. If a
// Fork(Shield(task)) is cancelled before its first run, it begins nevertheless, like a task of Finally(). (finally.h)
template <internal::TaskOrClosure A>
[[nodiscard("co_await it")]] internal::ShieldAwaiter<internal::ValueOf<A>> Shield(A&& task);

// The same, for `grace` after a request at most: then the shield hides nothing any more, and the task is unwound at its
// next checkpoint. `grace` counts from the request, not from this call, so that a series of shields in a cancelled
// thread ends in time. If `grace` is not positive, or is over when the task begins, the task runs to its first
// checkpoint.
template <internal::TaskOrClosure A>
[[nodiscard("co_await it")]] internal::GraceShieldAwaiter<internal::ValueOf<A>> Shield(TimeSpan grace, A&& task);

// True if the current virtual thread was asked to end; in the function of a Blocking(), the thread that awaits it; in a
// closure that a ThreadPoolExecutor calls, the task. For computations that stop early without a checkpoint.
bool CancelRequested() noexcept;

// When the calling code will be asked to end, as far as that is known: the earliest deadline of all WithTimeout(),
// WithDeadline() and MoveOn...() around it and of the scopes (ScopeOptions::timeout) whose child it is, outwards to the
// root of the tree or to a Shield(). Behind a Shield() with a grace they count so much later; of several graces the
// longest counts. InfiniteFuture() if there is none; InfinitePast() once CancelRequested(). A wall clock's deadline is
// told as of now. It is for what is passed on: a header of a request, a limit in a query. TimeLeft() is the time until
// then, which is never negative. Callers are those of CancelRequested(), and any other OS thread, which has no
// deadline. Cost: a few nanoseconds for each record around, and a lock for each Shield() with a grace. (Go's
// Context.Deadline, Trio's current_effective_deadline.)
MonotonicTime CurrentDeadline() noexcept;
absl::Duration TimeLeft() noexcept;

// ---------------------------------------------------------------------------------------------------------------------

namespace internal {

// A boundary in a frame. await_suspend enters it; await_resume leaves it, or the destructor does when an unwinding goes
// past. It can be moved until it is entered.
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

class CatchBoundary : public OpenBoundary {
 public:
  static constexpr const char* kCall = "CatchCancelled()";
  static constexpr bool kEntryIsCheckpoint = true;
  CatchBoundary() noexcept : OpenBoundary(Kind::kCatch) {}
};

class ShieldBoundary : public OpenBoundary {
 public:
  static constexpr const char* kCall = "Shield()";
  static constexpr bool kOwesCleanUp = true;
  ShieldBoundary() noexcept : OpenBoundary(Kind::kShield) {}
};

// A boundary that makes its own request when its time is up.
class TimedBoundary : public Boundary {
 public:
  explicit TimedBoundary(std::source_location where) noexcept : Boundary(Kind::kOwnRequest), where_(where) {
    timed = true;
  }
  // Of the monotonic clock. Called while it is open.
  int64_t deadline_ns() const noexcept;

 protected:
  void Open(PromiseBase& awaiting, int64_t deadline_ns, bool wall) noexcept;
  bool is_open() const noexcept { return thread_ != nullptr; }
  void Close() noexcept;
  void RequestOwn() noexcept;
  void TimeIsUp() noexcept;  // called by a timer
  const std::source_location where_;

 private:
  ThreadBlock* thread_ = nullptr;  // null: not entered
  int64_t deadline_ns_ = 0;        // constant from then on
  bool wall_ = false;              // is it on the wall clock? The same
};

class TimeoutBoundary : public TimedBoundary {
 public:
  static constexpr const char* kCall = "WithTimeout()";
  TimeoutBoundary(absl::Duration timeout, std::source_location where) noexcept
      : TimedBoundary(where), timeout_ns_(absl::ToInt64Nanoseconds(timeout)) {}
  TimeoutBoundary(TimeoutBoundary&& other) noexcept : TimedBoundary(other.where_), timeout_ns_(other.timeout_ns_) {}
  ~TimeoutBoundary() { Leave(); }

 protected:
  void Enter(PromiseBase& awaiting) noexcept;
  void Leave() noexcept;

 private:
  const int64_t timeout_ns_;
  TimerNode timer_;
};

class DeadlineBoundary : public TimedBoundary {
 public:
  static constexpr const char* kCall = "WithDeadline()";
  DeadlineBoundary(Deadline deadline, std::source_location where) noexcept
      : TimedBoundary(where), deadline_(deadline) {}
  DeadlineBoundary(DeadlineBoundary&& other) noexcept : DeadlineBoundary(other.deadline_, other.where_) {}
  ~DeadlineBoundary() { Leave(); }

 protected:
  void Enter(PromiseBase& awaiting) noexcept;
  void Leave() noexcept;

 private:
  const Deadline deadline_;
  DeadlineTimer timer_;
};

// Implemented in shield.cc.
class GraceShield : public Boundary {
 public:
  static constexpr const char* kCall = "Shield()";
  static constexpr bool kOwesCleanUp = true;
  explicit GraceShield(absl::Duration grace) noexcept
      : Boundary(Kind::kGraceShield), grace_ns_(absl::ToInt64Nanoseconds(grace)) {}
  GraceShield(GraceShield&& other) noexcept : Boundary(Kind::kGraceShield), grace_ns_(other.grace_ns_) {}
  ~GraceShield() { Leave(); }

  // Called under the records lock when something outside was requested. The earliest request counts.
  void BeginGrace(const CancelCause& cause) noexcept;
  // INT64_MAX: it has not begun. Any thread, while it is open.
  int64_t EndOfGrace() noexcept;
  int64_t grace_ns() const noexcept { return grace_ns_ > 0 ? grace_ns_ : 0; }

 protected:
  void Enter(PromiseBase& awaiting) noexcept;
  void Leave() noexcept;

 private:
  static void Fire(TimerNode* node) noexcept;

  ThreadBlock* thread_ = nullptr;  // null: not entered
  bool left_ = false;
  bool begun_ = false;  // guarded by the records lock, like the arming of the timer
  const int64_t grace_ns_;
  TimerNode timer_;
};

}  // namespace internal

template <internal::TaskOrClosure A>
internal::TimeoutAwaiter<internal::ValueOf<A>> WithTimeout(TimeSpan timeout, A&& task,
                                                           std::source_location where) {
  return internal::TimeoutAwaiter<internal::ValueOf<A>>(internal::AsTask(std::forward<A>(task)), timeout, where);
}

template <internal::TaskOrClosure A>
internal::MoveOnAwaiter<internal::ValueOf<A>> MoveOnAfter(TimeSpan timeout, A&& task,
                                                          std::source_location where) {
  return internal::MoveOnAwaiter<internal::ValueOf<A>>(internal::AsTask(std::forward<A>(task)), timeout, where);
}

template <internal::TaskOrClosure A>
internal::MoveOnAtAwaiter<internal::ValueOf<A>> MoveOnAt(Deadline deadline, A&& task, std::source_location where) {
  return internal::MoveOnAtAwaiter<internal::ValueOf<A>>(internal::AsTask(std::forward<A>(task)), deadline, where);
}

template <internal::TaskOrClosure A>
internal::DeadlineAwaiter<internal::ValueOf<A>> WithDeadline(Deadline deadline, A&& task, std::source_location where) {
  return internal::DeadlineAwaiter<internal::ValueOf<A>>(internal::AsTask(std::forward<A>(task)), deadline, where);
}

template <internal::TaskOrClosure A>
internal::CatchAwaiter<internal::ValueOf<A>> CatchCancelled(A&& task) {
  return internal::CatchAwaiter<internal::ValueOf<A>>(internal::AsTask(std::forward<A>(task)));
}

template <internal::TaskOrClosure A>
internal::ShieldAwaiter<internal::ValueOf<A>> Shield(A&& task) {
  return internal::ShieldAwaiter<internal::ValueOf<A>>(internal::AsTask(std::forward<A>(task)));
}

template <internal::TaskOrClosure A>
internal::GraceShieldAwaiter<internal::ValueOf<A>> Shield(TimeSpan grace, A&& task) {
  return internal::GraceShieldAwaiter<internal::ValueOf<A>>(internal::AsTask(std::forward<A>(task)), grace);
}

}  // namespace weft

#endif  // WEFT_CANCELLATION_H_

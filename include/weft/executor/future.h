// Future<T>: the outcome of something that goes on elsewhere.
//
//   weft::Future<int> sum = executor.Submit([] { return Add(1, 2); });   // executor.h; or from a Promise (promise.h)
//   int three = co_await sum.Get();                                      // throws what the task has failed with
//   absl::StatusOr<int> same = co_await sum.TryGet();                    // the same, as a status
//
// Members: Get(), TryGet(), GetFor(), IsDone(), Cancel(); for OS threads GetBlocking(), TryGetBlocking(); and what
// makes one future of another: Then(), Combine(), Recover(), WithTimeout(). WhenAll() and WhenAny() wait for several
// (when.h). std_future.h has the bridges from and to std::future, and to a callback.
//
// Within one task a scope is better (scope.h): it leaves nothing behind. A future is for work that outlives its caller,
// or whose outcome many want.
//
// A Future is a handle: it can be copied, and any number of virtual threads and OS threads may wait and read, as often
// as they like. Get() of a named future copies the value. `std::move(future).Get()`, and Get() of a temporary, move it
// if no other handle is left, and copy it otherwise. A value that cannot be copied is moved out, by one caller, through
// such a handle; a second one is a CHECK.
//
// Failures flatten as in scopes: a task that returns a status that is not OK has failed, like one that throws; a Task
// of absl::StatusOr<T> makes a Future<T>. T is void or an object. Get() throws the exception, or the status as a
// StatusError; where exceptions are off it is then a CHECK that prints the status. TryGet() returns the status. If the
// last handle goes and nobody has looked at the failure of a task, it goes to the handler for uncaught failures: the
// thread factory's, or else RuntimeOptions::on_uncaught_failure, or else a line on standard error. Whoever drops the
// last handle calls that, or the task at its end, perhaps after the runtime's. A cancellation is no failure, also if
// the task passes it on as a status.
//
// Cancellation. Get() and the other waits are checkpoints. A wait that is cancelled leaves the work alone. Cancel()
// asks the work itself to end, as a request to its virtual thread; the future is done once that has ended, and then
// TryGet() returns kCancelled with the ReasonOf() kFutureCancelled, or the value if the work came first. What is still
// queued for an OS thread is taken out of the queue; what an OS thread runs goes on. The future of a Promise is done at
// once. Dropping all handles does not cancel. (If nobody needs the result any more, call Cancel().)
//
// Then(), Combine(), Recover() and WithTimeout() each start a virtual thread, which waits for the futures and then runs
// the function: it has an identity of its own, may wait as it likes, and never runs on the stack of whoever completed
// the future, nor under a lock. It is a root of the caller's runtime; of the work's, if an OS thread calls, or of the
// default runtime if the work runs on none. A chain of any length needs no stack. Cancel() of the future that they
// return ends that virtual thread, and not the work that it waits for.
//
// Memory ordering: what the work did, or what came before a Promise was completed, happens before a wait returns, and
// before what follows an IsDone() that is true.
//
// Cost: one allocation from the frame cache for the work and its future together; a wait for what is done is one load.
#ifndef WEFT_EXECUTOR_FUTURE_H_
#define WEFT_EXECUTOR_FUTURE_H_

#include "weft/internal/compiler.h"

#include <coroutine>
#include <exception>
#include <new>
#include <source_location>
#include <tuple>
#include <type_traits>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "weft/cancellation.h"
#include "weft/executor/apply.h"
#include "weft/executor/future_state.h"
#include "weft/executor/task_run.h"
#include "weft/internal/check.h"
#include "weft/internal/promise.h"
#include "weft/internal/status_traits.h"
#include "weft/internal/wait.h"
#include "weft/internal/wait_node.h"
#include "weft/task.h"
#include "weft/time_span.h"

namespace weft {

template <class T>
class Future;

namespace internal {

struct FutureAccess;
template <class T, class Result>
class FutureAwaiter;

}  // namespace internal

template <class T>
class Future {
  static_assert(!std::is_reference_v<T>, "Future<T&> is not supported: return a pointer, or a std::reference_wrapper");
  static_assert(std::is_same_v<T, std::remove_cv_t<T>>, "Future<const T> is not supported; use Future<T>");
  static_assert(!internal::IsStatusLike<T>,
                "a Future of a status flattens: a task of absl::StatusOr<T> makes a Future<T>, one of absl::Status a "
                "Future<void>");
  static_assert(std::is_void_v<T> || (std::is_object_v<T> && !std::is_array_v<T> && std::is_move_constructible_v<T>),
                "the T of Future<T> is void, or an object that can be moved");

 public:
  using Value = T;
  using StatusOrValue = internal::StatusOrOf<T>;  // absl::StatusOr<T>, or absl::Status for void

  Future() noexcept = default;  // no future: everything but IsValid() and assignment is a CHECK
  Future(const Future& other) noexcept : state_(other.state_) {
    if (state_ != nullptr) state_->AddHandle();
  }
  Future(Future&& other) noexcept : state_(std::exchange(other.state_, nullptr)) {}
  Future& operator=(Future other) noexcept {
    std::swap(state_, other.state_);
    return *this;
  }
  ~Future() {
    if (state_ != nullptr) state_->DropHandle();
  }

  // False: it was made without a future, or moved from.
  bool IsValid() const noexcept { return state_ != nullptr; }
  bool IsDone() const noexcept { return state().done(); }

  // Waits until it is done, and yields the value, or throws the failure. co_await it.
  auto Get() const& {
    static_assert(internal::FutureState<T>::kCopied,
                  "a value that cannot be copied is moved out: co_await std::move(future).Get()");
    return internal::FutureAwaiter<T, T>(*this, /*give_up=*/false);
  }
  auto Get() && { return internal::FutureAwaiter<T, T>(std::move(*this), /*give_up=*/true); }
  // The same, with a failure as a status. Yields an absl::StatusOr<T>, or an absl::Status.
  auto TryGet() const& {
    static_assert(internal::FutureState<T>::kCopied,
                  "a value that cannot be copied is moved out: co_await std::move(future).TryGet()");
    return internal::FutureAwaiter<T, StatusOrValue>(*this, /*give_up=*/false);
  }
  auto TryGet() && { return internal::FutureAwaiter<T, StatusOrValue>(std::move(*this), /*give_up=*/true); }
  // Get(), for `timeout` at most. Yields a std::optional<T>, or a bool for void: empty, or false, if it was not done by
  // then. The work goes on.
  auto GetFor(TimeSpan timeout) const {
    return MoveOnAfter(IsDone() ? absl::InfiniteDuration() : absl::Duration(timeout), Get());
  }

  // For OS threads, which they block. On a carrier they are a CHECK.
  T GetBlocking() const& {
    state().AwaitBlocking("Future::GetBlocking()");
    return state().Take(/*give_up=*/false);
  }
  T GetBlocking() && {
    const Future taken = std::move(*this);
    taken.state().AwaitBlocking("Future::GetBlocking()");
    return taken.state().Take(/*give_up=*/true);
  }
  StatusOrValue TryGetBlocking() const& {
    state().AwaitBlocking("Future::TryGetBlocking()");
    return state().TryTake(/*give_up=*/false);
  }
  StatusOrValue TryGetBlocking() && {
    const Future taken = std::move(*this);
    taken.state().AwaitBlocking("Future::TryGetBlocking()");
    return taken.state().TryTake(/*give_up=*/true);
  }

  // Asks the work to end; see above. Any thread. Idempotent; does nothing if the future is done. Does not wait.
  void Cancel(std::source_location where = std::source_location::current()) const noexcept {
    if (!state().done()) state().RequestCancel(internal::CauseOfCancel(where));
  }

  // A future of what f(value) returns, or of what the Task yields that it returns; f() for a Future<void>. If this
  // future fails, or is cancelled, so does that one, and `f` is not called. If `f` throws, that one fails. The value is
  // moved into `f` if no other handle is left by then, and copied otherwise.
  template <class F>
  auto Then(F f) const;
  // A future of what f(value, value of `other`) returns, like Then(). The first failure counts; that of this future, if
  // both have failed.
  template <class U, class F>
  auto Combine(Future<U> other, F f) const;
  // A future of this one's value or, if it has failed or was cancelled, of what f(status) returns, or of what the Task
  // yields that it returns: a T, or an absl::StatusOr<T>; for void nothing, or an absl::Status.
  template <class F>
  Future<T> Recover(F f) const;
  // A future of this one's outcome if that comes within `timeout`, and of a kDeadlineExceeded with its ReasonOf()
  // otherwise. The work goes on.
  Future<T> WithTimeout(TimeSpan timeout, std::source_location where = std::source_location::current()) const;

  // True for handles of the same future.
  friend bool operator==(const Future& a, const Future& b) noexcept { return a.state_ == b.state_; }

 private:
  friend internal::FutureAccess;
  explicit Future(internal::FutureState<T>* state) noexcept : state_(state) {}  // takes over one reference

  internal::FutureState<T>& state() const noexcept {
    WEFT_CHECK(state_ != nullptr) << "a Future that was moved from, or made without a future, is used";
    return *state_;
  }

  internal::FutureState<T>* state_ = nullptr;
};

// ---------------------------------------------------------------------------------------------------------------------

namespace internal {

struct FutureAccess {
  // Takes over one reference.
  template <class T>
  static Future<T> Adopt(FutureState<T>& state) noexcept {
    return Future<T>(&state);
  }
  template <class T>
  static FutureState<T>& State(const Future<T>& future) noexcept {
    return future.state();
  }
};

template <class T, class Result>
class [[nodiscard("co_await it")]] FutureAwaiter : public GivesWhenAwaited<Result> {
 public:
  using WeftAwaitable = void;
  using IsAwaitedOnce = void;
  FutureAwaiter(Future<T> future, bool give_up) noexcept : future_(std::move(future)), give_up_(give_up) {
    static_cast<void>(state());
  }

  bool await_ready() const noexcept { return AtCheckpoint() && state().done(); }
  template <WeftPromise Promise>
  bool await_suspend(std::coroutine_handle<Promise> frame,
                     std::source_location where = std::source_location::current()) noexcept {
    return state().Suspend({frame.promise(), where});
  }
  Result await_resume() {
    if constexpr (std::is_same_v<Result, T>) {
      return state().Take(give_up_);
    } else {
      return state().TryTake(give_up_);
    }
  }
  SelectPart ForSelect() const noexcept { return {static_cast<FutureBase*>(&state()), &FutureBase::kSelect}; }

 private:
  FutureState<T>& state() const noexcept { return FutureAccess::State(future_); }

  Future<T> future_;
  bool give_up_;
};

// A wait that leaves the outcome where it is. Whoever awaits it has a handle.
class DoneAwaiter {
 public:
  using WeftAwaitable = void;
  explicit DoneAwaiter(FutureBase& state) noexcept : state_(state) {}
  bool await_ready() const noexcept { return AtCheckpoint() && state_.done(); }
  template <WeftPromise Promise>
  bool await_suspend(std::coroutine_handle<Promise> frame,
                     std::source_location where = std::source_location::current()) noexcept {
    return state_.Suspend({frame.promise(), where});
  }
  void await_resume() const noexcept {}

 private:
  FutureBase& state_;
};

// What stands for the future of work for which there was no memory. Never destroyed.
template <class T>
FutureState<T>& UnallocatedFuture() noexcept {
  alignas(FutureState<T>) static char storage[sizeof(FutureState<T>)];
  static FutureState<T>& instance = *[] {
    auto* const state = ::new (static_cast<void*>(storage)) FutureState<T>(FutureBase::kHandle);
    state->Complete(absl::Status(absl::StatusCode::kResourceExhausted, ""));  // without words: there is no memory
    return state;
  }();
  return instance;
}

// The future of a run, which has been started or is about to be; null: there was no memory for it.
template <class Run>
auto FutureOf(Run* run) noexcept {
  using T = FlatValue<typename Run::Result>;
  if (run == nullptr) [[unlikely]] {
    UnallocatedFuture<T>().AddHandle();
    return FutureAccess::Adopt<T>(UnallocatedFuture<T>());
  }
  return FutureAccess::Adopt<T>(*run);
}

// Starts `work`, a closure or a Task, as a virtual thread that no executor keeps.
template <class Work>
auto StartRun(FutureBase* from, Work work) {
  auto* const run = NewTaskRun(std::move(work));
  auto future = FutureOf(run);
  if (run != nullptr) [[likely]] {
    HeldRuntime runtime(from);
    run->StartOn(runtime.core());
  }
  return future;
}

// The same, and nobody has its future. Throws std::bad_alloc if there is no memory for it.
template <class Work>
void StartDetached(FutureBase* from, Work work) {
  auto* const run = NewTaskRun(std::move(work));
  if (run == nullptr) [[unlikely]]
#if WEFT_EXCEPTIONS
    throw std::bad_alloc();
#else
    DieOutOfMemory(sizeof(*run), "a virtual thread");
#endif
  HeldRuntime runtime(from);
  run->DropHandle();  // before it can end: its failure is told, as nobody can read it
  run->StartOn(runtime.core());
}

// ---- For what makes one future of others.

// The value of a future that has one. The caller gives its handle up.
template <class T>
ValueTuple<T> TakeValue(Future<T>& done) {
  if constexpr (std::is_void_v<T>) {
    return {};
  } else {
    return ValueTuple<T>(FutureAccess::State(done).Take(/*give_up=*/true));
  }
}

template <class T>
bool HasValue(const Future<T>& done) noexcept {
  return FutureAccess::State(done).ok();
}

// What a future has failed with: thrown, if it was thrown, else returned.
template <class T>
absl::Status FailureOf(const Future<T>& failed) {
  FutureState<T>& state = FutureAccess::State(failed);
#if WEFT_EXCEPTIONS
  if (const std::exception_ptr exception = state.exception()) std::rethrow_exception(exception);
#endif
  return state.status();
}

}  // namespace internal

template <class T>
template <class F>
auto Future<T>::Then(F f) const {
  static_assert(internal::kApplies<F, internal::ValueTuple<T>>,
                "Then() takes a function of the future's value, or without parameters for a Future<void>");
  using Result = internal::ApplyResult<F, internal::ValueTuple<T>>;
  internal::FutureBase* const first = &state();
  return internal::StartRun(first, [from = *this, f = std::move(f)]() mutable -> Task<Result> {
    co_await internal::DoneAwaiter(from.state());
    if (!internal::HasValue(from)) co_return internal::FailureOf(from);
    co_return co_await internal::Apply(f, internal::TakeValue(from));
  });
}

template <class T>
template <class U, class F>
auto Future<T>::Combine(Future<U> other, F f) const {
  using Values = internal::ValuesTuple<T, U>;
  static_assert(internal::kApplies<F, Values>,
                "Combine() takes a function of the values of both futures; a void has no value");
  using Result = internal::ApplyResult<F, Values>;
  internal::FutureBase* const first = &state();
  static_cast<void>(internal::FutureAccess::State(other));
  return internal::StartRun(
      first, [from = *this, other = std::move(other), f = std::move(f)]() mutable -> Task<Result> {
        co_await internal::DoneAwaiter(from.state());
        if (!internal::HasValue(from)) co_return internal::FailureOf(from);
        co_await internal::DoneAwaiter(internal::FutureAccess::State(other));
        if (!internal::HasValue(other)) co_return internal::FailureOf(other);
        co_return co_await internal::Apply(f,
                                           std::tuple_cat(internal::TakeValue(from), internal::TakeValue(other)));
      });
}

template <class T>
template <class F>
Future<T> Future<T>::Recover(F f) const {
  static_assert(std::is_invocable_v<F&, absl::Status>, "Recover() takes a function of an absl::Status");
  using Result = internal::ApplyResult<F, std::tuple<absl::Status>>;
  static_assert(std::is_same_v<Result, StatusOrValue>, "the function of Recover() returns what the future yields");
  internal::FutureBase* const first = &state();
  return internal::StartRun(first, [from = *this, f = std::move(f)]() mutable -> Task<StatusOrValue> {
    co_await internal::DoneAwaiter(from.state());
    if (internal::HasValue(from)) co_return from.state().TryTake(/*give_up=*/true);
    co_return co_await internal::Apply(f, std::tuple<absl::Status>(from.state().status()));
  });
}

template <class T>
Future<T> Future<T>::WithTimeout(TimeSpan timeout, std::source_location where) const {
  internal::FutureBase* const first = &state();
  return internal::StartRun(first, [from = *this, timeout, where]() mutable -> Task<StatusOrValue> {
    if (!from.IsDone()) {
      absl::Status waited = co_await weft::WithTimeout(timeout, internal::DoneAwaiter(from.state()), where);
      if (!waited.ok()) co_return waited;
    }
    if (!internal::HasValue(from)) co_return internal::FailureOf(from);
    co_return from.state().TryTake(/*give_up=*/true);
  });
}

}  // namespace weft

#endif  // WEFT_EXECUTOR_FUTURE_H_

// Bridges between Weft's futures and what other libraries have: std::future, and callbacks.
//
//   std::future<int> theirs = weft::ToStdFuture(executor.Submit(Ask()));
//   weft::Future<int> ours = weft::FromStdFuture(pool, std::async(Compute));   // holds an OS thread of `pool`
//   weft::OnDone(executor.Submit(Ask()), [](absl::StatusOr<int> answer) { library.Reply(answer); });
//
// From a callback to a future: a Promise, which the callback completes. (promise.h)
//
// ToStdFuture() and OnDone() each start a virtual thread, like Then() (future.h), which waits for the future. The
// callback is called in any case: if the runtime ends first, with a kCancelled whose ReasonOf() is kRuntimeExit. A
// callback that throws has failed like a task whose future nobody has: RuntimeOptions::on_uncaught_failure is told.
// Without memory for the thread, both throw std::bad_alloc; where exceptions are off, the program ends.
#ifndef WEFT_EXECUTOR_STD_FUTURE_H_
#define WEFT_EXECUTOR_STD_FUTURE_H_

#include "weft/internal/compiler.h"

#include <chrono>
#include <exception>
#include <future>
#include <tuple>
#include <type_traits>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "weft/cancel_reason.h"
#include "weft/executor/apply.h"
#include "weft/executor/executor.h"
#include "weft/executor/future.h"
#include "weft/executor/future_state.h"
#include "weft/executor/task_run.h"
#include "weft/finally.h"
#include "weft/outcome.h"
#include "weft/task.h"

namespace weft {

// Calls callback(outcome), once, on a virtual thread of its own: with an absl::StatusOr<T>, or an absl::Status for
// void. If the callback returns a Task, that is awaited. No cancellation reaches the callback.
template <class T, class F>
void OnDone(Future<T> future, F callback);

#if WEFT_EXCEPTIONS
// A std::future of the same outcome; a status is thrown as a StatusError. Its get() blocks an OS thread: do not call it
// on a carrier. Only where exceptions are on, because a std::future has no other failures.
template <class T>
std::future<T> ToStdFuture(Future<T> future);
#endif

// A future of what `theirs` will have: a task of `executor`, which blocks in get(), and so must have OS threads of its
// own. (thread_pool_executor.h) The end of a std::future of std::async() waits for the function. So a request does not
// take the task out of the queue: in its turn it drops `theirs`, and is done when that is gone. If the executor refuses
// the task, this call drops `theirs`, and waits.
template <class T>
Future<T> FromStdFuture(Executor& executor, std::future<T> theirs);

// ---------------------------------------------------------------------------------------------------------------------

namespace internal {

template <class T>
struct StdFutureGetter {
  using EndMayBlock = void;  // (TaskRun)
  auto operator()() {
    constexpr std::chrono::seconds kLook(0);
    while (LetOthersRun() && theirs.wait_for(kLook) == std::future_status::timeout) continue;
    return theirs.get();
  }

  std::future<T> theirs;
};

template <class T>
Task<void> WaitFor(Future<T> future) {
  co_await DoneAwaiter(FutureAccess::State(future));
}

// Awaits use(future) when the future is done, or the waiting thread is asked to end.
template <class T, class Use>
void UseWhenDone(Future<T> future, Use use) {
  Task<void> wait = WaitFor(future);
  FutureBase* const from = &FutureAccess::State(future);
  StartDetached(from,
                Finally(std::move(wait), [future = std::move(future), use = std::move(use)]() mutable -> Task<void> {
                  return use(future);
                }));
}

// Its outcome, or why it has none yet.
template <class T>
typename Future<T>::StatusOrValue OutcomeByNow(Future<T>& future) {
  if (!future.IsDone()) return CancelledStatus({.kind = CancelReason::Kind::kRuntimeExit});
  return FutureAccess::State(future).TryTake(/*give_up=*/true);
}

inline const absl::Status& StatusOf(const absl::Status& outcome) { return outcome; }
template <class T>
const absl::Status& StatusOf(const absl::StatusOr<T>& outcome) {
  return outcome.status();
}

}  // namespace internal

template <class T>
Future<T> FromStdFuture(Executor& executor, std::future<T> theirs) {
  return executor.Submit(internal::StdFutureGetter<T>{std::move(theirs)});
}

template <class T, class F>
void OnDone(Future<T> future, F callback) {
  using Outcome = typename Future<T>::StatusOrValue;
  static_assert(std::is_invocable_v<F&, Outcome>,
                "the callback of OnDone() takes an absl::StatusOr of the value, or an absl::Status for void");
  internal::UseWhenDone(std::move(future), [callback = std::move(callback)](Future<T>& done) mutable -> Task<void> {
    static_cast<void>(
        co_await internal::Apply(callback, std::tuple<Outcome>(internal::OutcomeByNow(done))));
  });
}

#if WEFT_EXCEPTIONS
template <class T>
std::future<T> ToStdFuture(Future<T> future) {
  std::promise<T> promise;
  std::future<T> theirs = promise.get_future();
  internal::UseWhenDone(std::move(future), [promise = std::move(promise)](Future<T>& done) mutable -> Task<void> {
    std::exception_ptr exception = done.IsDone() ? internal::FutureAccess::State(done).exception() : nullptr;
    auto outcome = internal::OutcomeByNow(done);
    const bool ok = outcome.ok();
    if (!ok && exception == nullptr) exception = std::make_exception_ptr(StatusError(internal::StatusOf(outcome)));
    if (!ok) {
      promise.set_exception(exception);
    } else if constexpr (std::is_void_v<T>) {
      promise.set_value();
    } else {
      promise.set_value(*std::move(outcome));
    }
    co_return;
  });
  return theirs;
}
#endif

}  // namespace weft

#endif  // WEFT_EXECUTOR_STD_FUTURE_H_

// Promise<T>: completes a Future<T>, from any thread.
//
//   weft::Promise<int> promise;
//   weft::Future<int> answer = promise.future();
//   StartQuery([promise = std::make_shared<weft::Promise<int>>(std::move(promise))](int rows) {
//     promise->SetValue(rows);                       // on whatever thread the library calls back
//   });
//   int rows = co_await answer.Get();
//
// Members: future(), SetValue(), SetStatus(), Set(), SetException(), IsDone().
//
// The first completion counts; the functions return false, and change nothing, if the future is done already: by
// another completion, or because Cancel() of the future came first. They also do if it is being completed by another
// call, which orders nothing: IsDone() may still be false then. A promise that is destroyed without a completion is
// broken: the future has failed, with a kAborted that says so.
//
// Who may call: any thread, also an OS thread; several at once, as long as none of them moves or destroys the promise.
// Whoever sees that the future is done, or is not the first to complete it, may destroy both, also while the call that
// completes it is yet to return. No lock is held while a value is moved in. Waiters are woken, and nothing of theirs
// runs on the caller's stack.
//
// Memory ordering: what came before the completion happens before what follows a wait for the future.
//
// Cost: one allocation from the frame cache. A completion allocates nothing.
#ifndef WEFT_EXECUTOR_PROMISE_H_
#define WEFT_EXECUTOR_PROMISE_H_

#include "weft/internal/compiler.h"

#include <exception>
#include <type_traits>
#include <utility>

#include "absl/status/status.h"
#include "absl/utility/utility.h"
#include "weft/executor/future.h"
#include "weft/executor/future_state.h"
#include "weft/internal/check.h"

namespace weft {

template <class T>
class [[nodiscard("a Promise that is dropped breaks its future")]] Promise {
  using State = internal::FutureState<T>;

 public:
  using StatusOrValue = typename Future<T>::StatusOrValue;

  Promise() : state_(new State(State::kHandle)) {}
  Promise(Promise&& other) noexcept : state_(std::exchange(other.state_, nullptr)) {}
  // Breaks its own, and takes over the other's.
  Promise& operator=(Promise&& other) noexcept {
    if (this != &other) {
      Break();
      state_ = std::exchange(other.state_, nullptr);
    }
    return *this;
  }
  ~Promise() { Break(); }

  // Any number of times.
  Future<T> future() const noexcept {
    state().AddHandle();
    return internal::FutureAccess::Adopt<T>(state());
  }
  bool IsDone() const noexcept { return state().done(); }

  // Completes the future with T(args...), or with an exception that this throws.
  template <class... Args>
    requires(!std::is_void_v<T>)  // SetValue() of a Promise<void> takes nothing
  bool SetValue(Args&&... args) {
    return state().Complete(absl::in_place, std::forward<Args>(args)...);
  }
  bool SetValue()
    requires std::is_void_v<T>
  {
    return state().Complete(absl::OkStatus());
  }
  // With a failure. OK is a CHECK, unless T is void.
  bool SetStatus(absl::Status status) {
    if constexpr (!std::is_void_v<T>) WEFT_CHECK(!status.ok()) << "SetStatus() of OK: a value is missing";
    return state().Complete(std::move(status));
  }
  // With what an operation has returned: a value or a failure.
  bool Set(StatusOrValue outcome) { return state().Complete(std::move(outcome)); }
  bool SetException(std::exception_ptr exception) noexcept { return state().Fail(std::move(exception)); }

 private:
  State& state() const noexcept {
    WEFT_CHECK(state_ != nullptr) << "a Promise that was moved from is used";
    return *state_;
  }
  void Break() noexcept {
    State* const left = std::exchange(state_, nullptr);
    if (left == nullptr) return;
    if (left->Claim()) left->PublishBroken();
    left->DropHandle();
  }

  State* state_;
};

}  // namespace weft

#endif  // WEFT_EXECUTOR_PROMISE_H_

// What can be passed where a Task is wanted: a Task, or whatever a Task can await. And how the latter becomes a Task.
//
//   template <IntoTask A>
//   auto WithTimeout(absl::Duration timeout, A&& task) { return Timed<ValueOf<A>>(timeout, AsTask(std::move(task))); }
//
// An awaitable of Weft's does nothing before it is awaited, and can be moved until then. So it is moved into the frame
// of a Task, and awaited there. It cannot stay where it is: it may be a temporary.
//
// Cost: none for a Task, one frame from the cache for anything else.
//
// Rejected: boundaries that hold such an awaitable themselves, without a frame. Each would have a second way to begin,
// to end and to be unwound, to save one frame of a call whose timer costs more than that.
#ifndef WEFT_INTERNAL_INTO_TASK_H_
#define WEFT_INTERNAL_INTO_TASK_H_

#include "weft/internal/compiler.h"

#include <concepts>
#include <type_traits>
#include <utility>

#include "weft/internal/promise.h"
#include "weft/task.h"

namespace weft::internal {

template <class A>
decltype(auto) AwaiterOf(A&& awaitable) {
  if constexpr (requires { std::forward<A>(awaitable).operator co_await(); }) {
    return std::forward<A>(awaitable).operator co_await();
  } else if constexpr (requires { operator co_await(std::forward<A>(awaitable)); }) {
    return operator co_await(std::forward<A>(awaitable));
  } else {
    return std::forward<A>(awaitable);
  }
}

template <class R>
using TaskResult = std::conditional_t<std::is_lvalue_reference_v<R>, R, std::remove_cvref_t<R>>;

// The result of a Task that awaits an A.
template <class A>
using AwaitedResult = TaskResult<decltype(AwaiterOf(std::declval<A>()).await_resume())>;

// The compiler shows these lines to callers who pass something else.
template <class A>
concept IntoTask =
    requires { typename std::remove_cvref_t<A>::WeftAwaitable; } &&  // pass a Task, or something that a Task can await
    !std::is_lvalue_reference_v<A> &&                                // the awaitable is consumed: std::move() it
    !std::is_const_v<std::remove_reference_t<A>> &&            // the awaitable is consumed, so it must not be const
    std::is_move_constructible_v<std::remove_reference_t<A>>;  // the awaitable must be movable

// Defined for all types, because the compiler looks at a function's result first; then it reports that the type is no
// IntoTask.
template <class A>
struct ValueOfTask {
  using Type = void;
};
template <WeftAwaitable A>
struct ValueOfTask<A> {
  using Type = AwaitedResult<A>;
};
template <class T>
struct ValueOfTask<Task<T>> {
  using Type = T;
};
// The T of the Task<T> that an A becomes.
template <class A>
using ValueOf = typename ValueOfTask<std::remove_cvref_t<A>>::Type;

// What returns an IntoTask when it is called with these arguments.
template <class F, class... Args>
concept GivesTask = std::invocable<F, Args...> && IntoTask<std::invoke_result_t<F, Args...>>;

// The T of the Task that a call returns.
template <class F, class... Args>
using ValueOfCall = ValueOf<std::invoke_result_t<F, Args...>>;

// What a call yields once the Task, if it returns one, has been awaited. Defined for all types, as ValueOfTask is.
template <class F, class... Arguments>
struct YieldOfCall {
  using Type = void;
};
template <class F, class... Arguments>
  requires std::invocable<F, Arguments...>
struct YieldOfCall<F, Arguments...> {
  using Type = std::remove_cvref_t<std::invoke_result_t<F, Arguments...>>;
};
template <class F, class... Arguments>
  requires GivesTask<F, Arguments...>
struct YieldOfCall<F, Arguments...> {
  using Type = ValueOfCall<F, Arguments...>;
};
template <class F, class... Arguments>
using YieldOf = typename YieldOfCall<F&, Arguments...>::Type;

template <class A>
Task<ValueOf<A>> AwaitInTask(A awaitable) {
  co_return co_await std::move(awaitable);
}

template <IntoTask A>
Task<ValueOf<A>> AsTask(A&& awaitable) {
  if constexpr (IsTask<A>) {
    return std::move(awaitable);
  } else {
    return AwaitInTask<std::remove_cvref_t<A>>(std::move(awaitable));
  }
}

}  // namespace weft::internal

#endif  // WEFT_INTERNAL_INTO_TASK_H_

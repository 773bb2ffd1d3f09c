// What can be passed where a Task is wanted: a Task, whatever a Task can await, or a closure that returns either. And
// how the others become a Task.
//
//   template <TaskOrClosure A>
//   auto WithTimeout(absl::Duration timeout, A&& task) {
//     return Timed<ValueOf<A>>(timeout, AsTask(std::forward<A>(task)));
//   }
//
// An awaitable of Weft's does nothing before it is awaited, and can be moved until then. So it is moved into the frame
// of a Task, and awaited there. It cannot stay where it is: it may be a temporary. A closure is moved there as well, or
// copied if it has a name, and is called when the Task is awaited. So what it captured is there as long as the
// coroutine that refers to it.
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

// What returns an IntoTask when it is called with these arguments.
template <class F, class... Args>
concept GivesTask = std::invocable<F, Args...> && IntoTask<std::invoke_result_t<F, Args...>>;
template <class F>
  requires(!WeftAwaitable<F> && GivesTask<F&>)
struct ValueOfTask<F> : ValueOfTask<std::remove_cvref_t<std::invoke_result_t<F&>>> {};

// The T of the Task<T> that an A becomes.
template <class A>
using ValueOf = typename ValueOfTask<std::remove_cvref_t<A>>::Type;

// The compiler shows the first of these lines, or those above, to callers who pass something else.
template <class F>
concept ClosureOfTask =
    !WeftAwaitable<F> && GivesTask<std::decay_t<F>&> &&  // or a closure without parameters that returns one
    std::is_constructible_v<std::decay_t<F>, F&&>;       // a closure that cannot be copied must be moved
template <class A>
concept TaskOrClosure = IntoTask<A> || ClosureOfTask<A>;

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
struct YieldOfCall<F, Arguments...> : ValueOfTask<std::remove_cvref_t<std::invoke_result_t<F, Arguments...>>> {};
template <class F, class... Arguments>
using YieldOf = typename YieldOfCall<F&, Arguments...>::Type;

template <class A>
Task<ValueOf<A>> AwaitInTask(A awaitable) {
  co_return co_await std::move(awaitable);
}

template <class F>
Task<ValueOf<F>> CallInTask(F closure) {
  co_return co_await closure();
}

template <TaskOrClosure A>
Task<ValueOf<A>> AsTask(A&& task) {
  if constexpr (IsTask<A>) {
    return std::move(task);
  } else if constexpr (IntoTask<A>) {
    return AwaitInTask<std::remove_cvref_t<A>>(std::move(task));
  } else {
    return CallInTask<std::decay_t<A>>(std::forward<A>(task));
  }
}

}  // namespace weft::internal

#endif  // WEFT_INTERNAL_INTO_TASK_H_

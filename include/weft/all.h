// All: run several tasks at the same time, and have all their results.
//
//   auto [a, b] = co_await weft::All(Left(x), Right(x));
//
// Each branch is a virtual thread, a child of a scope that All opens on the calling thread and closes before it returns. The first
// failure cancels the others; when they have ended, it is the result.
//
//   branches                                        co_await All(...) gives
//   none returns a status                           std::tuple<T...>, or throws the first exception
//   one or more are absl::Status or absl::StatusOr  absl::StatusOr<std::tuple<T...>>; an exception is thrown
//
// A branch of void or absl::Status has std::monostate in the tuple.
//
// Cancellation: a checkpoint; cancelled, it cancels the branches and waits for them.
#ifndef WEFT_ALL_H_
#define WEFT_ALL_H_

#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "weft/internal/status_traits.h"
#include "weft/scope.h"
#include "weft/task.h"

namespace weft {

namespace internal {

template <class T>
using TupleElement = std::conditional_t<std::is_void_v<FlatValue<T>>, std::monostate, FlatValue<T>>;

template <class... T>
using AllResult = std::conditional_t<(IsStatusLike<T> || ...), absl::StatusOr<std::tuple<TupleElement<T>...>>,
                                     std::tuple<TupleElement<T>...>>;

template <class U>
std::conditional_t<std::is_void_v<U>, std::monostate, U> TakeElement(Subtask<U>&& subtask) {
  if constexpr (std::is_void_v<U>) {
    std::move(subtask).get();
    return std::monostate();
  } else {
    return std::move(subtask).get();
  }
}

}  // namespace internal

template <class... T>
Task<internal::AllResult<T...>> All(Task<T>... tasks) {
  ShutdownOnFailure scope;
  std::tuple<Subtask<internal::FlatValue<T>>...> subtasks{scope.Fork(std::move(tasks))...};
  const Outcome outcome = co_await scope.Join();
  if constexpr ((internal::IsStatusLike<T> || ...)) {
    if (!outcome.ok()) {
      if (outcome.exception() != nullptr) outcome.ThrowIfFailed();
      co_return outcome.status();
    }
  } else {
    outcome.ThrowIfFailed();
  }
  co_return std::apply(
      [](auto&... subtask) { return std::tuple<internal::TupleElement<T>...>(internal::TakeElement(std::move(subtask))...); },
      subtasks);
}

}  // namespace weft

#endif  // WEFT_ALL_H_

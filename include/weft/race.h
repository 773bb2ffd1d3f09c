// Race and Any: run several tasks at the same time, and go on with one of them.
//
//   Quote quote = co_await weft::Any(Ask(first), Ask(second));          // the first that succeeds
//   Reply reply = co_await weft::Race(Serve(request), Answer(cache));   // the first that ends, well or badly
//
// The tasks have one type. They are passed one by one, or in a range, out of which the call moves them at once. Each is
// a virtual thread, a child of a scope that the call opens. When one has won, the others are cancelled, and they have
// ended when the await returns. The result is the winner's: its value, its status, or its exception, thrown. For all
// results, use All(). (all.h)
//
//   Any, if no task succeeds    the first failure
//   no tasks at all             kNotFound: as a status where the tasks return one, else thrown as a StatusError
//
// Cancellation: a checkpoint. If the caller is cancelled, the call cancels the tasks and waits for them.
// Cost: that of a scope with as many forks.
#ifndef WEFT_RACE_H_
#define WEFT_RACE_H_

#include "weft/internal/compiler.h"

#include <concepts>
#include <optional>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "weft/internal/into_task.h"
#include "weft/internal/range_of_tasks.h"
#include "weft/internal/status_traits.h"
#include "weft/outcome.h"
#include "weft/policy.h"
#include "weft/scope.h"
#include "weft/subtask.h"
#include "weft/task.h"

namespace weft {

namespace internal {

// Tasks of one type, passed one by one.
template <class A, class... Rest>
concept TasksOfOneType = (std::same_as<ValueOf<A>, ValueOf<Rest>> && ...);

}  // namespace internal

// Returns the result of the first task that succeeds.
template <internal::TaskOrClosure A, internal::TaskOrClosure... Rest>
  requires internal::TasksOfOneType<A, Rest...>
Task<internal::ValueOf<A>> Any(A&& first, Rest&&... rest);
template <internal::TaskOrClosure A, internal::TaskOrClosure... Rest>
  requires(!internal::TasksOfOneType<A, Rest...>)
Task<void> Any(A&&, Rest&&...) = delete;  // all tasks of Any() must have the same type
template <internal::RangeOfTasks R>
auto Any(R&& tasks);

// Returns the result of the first task that ends.
template <internal::TaskOrClosure A, internal::TaskOrClosure... Rest>
  requires internal::TasksOfOneType<A, Rest...>
Task<internal::ValueOf<A>> Race(A&& first, Rest&&... rest);
template <internal::TaskOrClosure A, internal::TaskOrClosure... Rest>
  requires(!internal::TasksOfOneType<A, Rest...>)
Task<void> Race(A&&, Rest&&...) = delete;  // all tasks of Race() must have the same type
template <internal::RangeOfTasks R>
auto Race(R&& tasks);

// ---------------------------------------------------------------------------------------------------------------------

namespace internal {

// Keeps the first subtask that has completed, or the first that has succeeded, and shuts the scope down.
template <class U, bool kSuccessOnly>
class FirstPolicy {
 public:
  using Value = U;
  struct First {
    std::optional<Subtask<U>> subtask;
    Outcome others;
  };

  bool OnComplete(const Subtask<U>& subtask) {
    if (kSuccessOnly && subtask.state() != AnySubtask::State::kSuccess) return false;
    first_ = subtask;
    return true;
  }
  First Result(Outcome outcome) { return {std::move(first_), std::move(outcome)}; }

 private:
  std::optional<Subtask<U>> first_;
};

// A failure in the style of a Task<T>: returned as a status, or thrown.
template <class T>
T FailAs(const Failure& failure) {
  if constexpr (IsStatusLike<T>) {
    if (failure.exception == nullptr) return failure.status;
  }
  failure.Throw();
}

template <bool kSuccessOnly, class T>
Task<T> TakeFirst(std::vector<Task<T>> tasks) {
  using U = FlatValue<T>;
  StructuredTaskScope<FirstPolicy<U, kSuccessOnly>> scope;
  for (Task<T>& task : tasks) scope.Fork(std::move(task));
  auto first = co_await scope.Join();
  if (first.subtask.has_value() && first.subtask->state() == AnySubtask::State::kSuccess) {
    if constexpr (!std::is_void_v<U>) {
      co_return std::move(*first.subtask).get();
    } else if constexpr (!std::is_void_v<T>) {
      co_return absl::OkStatus();
    } else {
      co_return;
    }
  }
  if (first.subtask.has_value()) {
    const Subtask<U>& failed = *first.subtask;
    co_return FailAs<T>(Failure{failed.thread_id(), failed.status(), failed.exception()});
  }
  if (!first.others.ok()) co_return FailAs<T>(first.others.failures().front());
  co_return FailAs<T>(Failure{0, absl::NotFoundError("no task completed")});
}

template <class A, class... Rest>
std::vector<Task<ValueOf<A>>> ListOfTasks(A&& first, Rest&&... rest) {
  std::vector<Task<ValueOf<A>>> tasks;
  tasks.reserve(1 + sizeof...(rest));
  tasks.push_back(AsTask(std::forward<A>(first)));
  (tasks.push_back(AsTask(std::forward<Rest>(rest))), ...);
  return tasks;
}

}  // namespace internal

template <internal::TaskOrClosure A, internal::TaskOrClosure... Rest>
  requires internal::TasksOfOneType<A, Rest...>
Task<internal::ValueOf<A>> Any(A&& first, Rest&&... rest) {
  return internal::TakeFirst</*kSuccessOnly=*/true>(
      internal::ListOfTasks(std::forward<A>(first), std::forward<Rest>(rest)...));
}

template <internal::RangeOfTasks R>
auto Any(R&& tasks) {
  return internal::TakeFirst</*kSuccessOnly=*/true>(internal::TasksOf(std::forward<R>(tasks)));
}

template <internal::TaskOrClosure A, internal::TaskOrClosure... Rest>
  requires internal::TasksOfOneType<A, Rest...>
Task<internal::ValueOf<A>> Race(A&& first, Rest&&... rest) {
  return internal::TakeFirst</*kSuccessOnly=*/false>(
      internal::ListOfTasks(std::forward<A>(first), std::forward<Rest>(rest)...));
}

template <internal::RangeOfTasks R>
auto Race(R&& tasks) {
  return internal::TakeFirst</*kSuccessOnly=*/false>(internal::TasksOf(std::forward<R>(tasks)));
}

}  // namespace weft

#endif  // WEFT_RACE_H_

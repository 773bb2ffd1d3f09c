// All: runs several tasks at the same time, and returns all their results.
//
//   auto [a, b] = co_await weft::All(Left(x), Right(x));
//
//   absl::StatusOr<std::vector<Quote>> quotes = co_await weft::All(servers | std::views::transform(Ask));
//
// Each branch is a virtual thread, a child of a scope that All opens on the calling thread and closes before it
// returns. The first failure cancels the other branches; when they have ended, that failure is the result. To stop at
// the first success, use Any() (race.h); to bound how many run at once, Map() (for_each.h).
//
//   branches                                        co_await All(...) returns
//   none returns a status                           std::tuple<T...>, or throws the first exception
//   one or more are absl::Status or absl::StatusOr  absl::StatusOr<std::tuple<T...>>; an exception is thrown
//   a range of tasks of T, of absl::StatusOr<T>     std::vector<T>, absl::StatusOr<std::vector<T>>
//   a range of tasks of void, of absl::Status       nothing, absl::Status
//
// In the tuple, a branch of void or absl::Status has std::monostate. In the vector, a T& is a
// std::reference_wrapper<T>. A range is any input range of tasks: a vector, moved or not, or a view. The call moves the
// tasks out of the range at once, and does not use the range afterwards. Like everything that takes a Task, All() takes
// whatever a Task can await. What All() returns can be awaited, or passed on where a Task is wanted. (task.h)
//
// Cancellation: a checkpoint, also without branches. If the caller is cancelled, All cancels the branches and waits for
// them.
//
// Cost. This is the fast path of fork and join. The control blocks lie in the awaiting frame; those of a range are one
// allocation. The first branch runs at once in the caller's place. Each further branch begins where the last one ended,
// unless another carrier has taken it by then.
#ifndef WEFT_ALL_H_
#define WEFT_ALL_H_

#include "weft/internal/compiler.h"

#include <algorithm>
#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <new>
#include <tuple>
#include <source_location>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "weft/internal/all_scope.h"
#include "weft/internal/checkpoint.h"
#include "weft/internal/frame_cache.h"
#include "weft/internal/into_task.h"
#include "weft/internal/promise.h"
#include "weft/internal/range_of_tasks.h"
#include "weft/internal/status_traits.h"
#include "weft/task.h"

namespace weft {

namespace internal {
template <class... T>
class AllAwaiter;
}  // namespace internal

// Runs the tasks, and returns a tuple of their results, in the same order.
template <class... T>
internal::AllAwaiter<T...> All(Task<T>... tasks);
// The same, where some of them are not Tasks but something that a Task can await.
template <internal::IntoTask... A>
  requires(!(internal::IsTask<A> && ...))
auto All(A&&... tasks);

// Runs all tasks of a range, and returns a vector of their results, in the same order. Tasks of void or absl::Status
// have no results.
template <internal::RangeOfTasks R>
auto All(R&& tasks);

// ---------------------------------------------------------------------------------------------------------------------

namespace internal {

template <class T>
using TupleElement = std::conditional_t<std::is_void_v<FlatValue<T>>, std::monostate, FlatValue<T>>;

template <class... T>
using AllResult = std::conditional_t<(IsStatusLike<T> || ...), absl::StatusOr<std::tuple<TupleElement<T>...>>,
                                     std::tuple<TupleElement<T>...>>;

template <class T>
using AllVectorResult = std::conditional_t<
    std::is_void_v<FlatValue<T>>, T,
    std::conditional_t<IsStatusLike<T>, absl::StatusOr<std::vector<Kept<TupleElement<T>>>>,
                       std::vector<Kept<TupleElement<T>>>>>;

// The value of a branch that succeeded.
template <class T>
TupleElement<T> TakeElement(ResultSlot<T>& slot) {
  WEFT_DCHECK(slot.has_value()) << "a branch of All ended without a result, and nothing was cancelled";
  if constexpr (std::is_void_v<FlatValue<T>>) {
    return std::monostate();
  } else if constexpr (IsStatusLike<T>) {
    return *std::move(slot.value());
  } else {
    return slot.Take();
  }
}

// How a branch failed: throws its exception, or returns its status.
template <class T>
absl::Status TakeFailure(ResultSlot<T>& slot) {
  if (slot.has_exception()) {
#if WEFT_EXCEPTIONS
    std::rethrow_exception(slot.exception());
#endif
  }
  if constexpr (std::is_same_v<T, absl::Status>) {
    return std::move(slot.value());
  } else if constexpr (IsStatusLike<T>) {
    return std::move(slot.value()).status();
  }
  return absl::OkStatus();
}

template <class... T>
class [[nodiscard("co_await it")]] AllAwaiter : public GivesWhenAwaited<AllResult<T...>> {
 public:
  using WeftAwaitable = void;

  explicit AllAwaiter(Task<T>&&... tasks) noexcept : tasks_(std::move(tasks)...) {}
  AllAwaiter(AllAwaiter&& other) noexcept : tasks_(std::move(other.tasks_)) {}  // before it is awaited

  bool owes_clean_up() const noexcept {
    return std::apply([](const auto&... task) { return (OwesCleanUp(task) || ...); }, tasks_);
  }
  bool await_ready() const noexcept { return false; }
  template <WeftPromise Promise>
  std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> awaiting,
                                        std::source_location where = std::source_location::current()) noexcept {
    return Begin({awaiting.promise(), where}, std::index_sequence_for<T...>());
  }
  [[gnu::always_inline]] AllResult<T...> await_resume() { return Collect(std::index_sequence_for<T...>()); }

 private:
  template <size_t... I>
  std::coroutine_handle<> Begin(AwaitingFrame awaiting, std::index_sequence<I...>) noexcept {
    PromiseBase* const roots[] = {
        &TaskAccess::Release(std::move(std::get<I>(tasks_)), std::get<I>(slots_), "All()")...};
    if constexpr (sizeof...(T) == 2) return AllScope::BeginTwo(place_, roots, awaiting);
    return AllScope::Begin(&place_.scope, place_.branches, roots, sizeof...(T), awaiting);
  }
  template <size_t... I>
  [[gnu::always_inline]] AllResult<T...> Collect(std::index_sequence<I...> indices) {
    if (place_.scope.first_failure() >= 0) [[unlikely]] {
      absl::Status failure = Failure(indices);
      if constexpr ((IsStatusLike<T> || ...)) return failure;
    }
    return std::tuple<TupleElement<T>...>(TakeElement(std::get<I>(slots_))...);
  }
  template <size_t... I>
  [[gnu::cold, gnu::noinline]] absl::Status Failure(std::index_sequence<I...>) {
    absl::Status failure;
    ((static_cast<int32_t>(I) == place_.scope.first_failure() ? void(failure = TakeFailure(std::get<I>(slots_)))
                                                              : void()),
     ...);
    return failure;
  }

  std::tuple<Task<T>...> tasks_;
  std::tuple<ResultSlot<T>...> slots_;
  AllOf<sizeof...(T)> place_;
};

template <>
class [[nodiscard("co_await it")]] AllAwaiter<> : public CheckpointAwaiter {
 public:
  std::tuple<> await_resume() const noexcept { return {}; }
};

template <class T>
class [[nodiscard("co_await it")]] AllVectorAwaiter : public GivesWhenAwaited<AllVectorResult<T>> {
 public:
  using WeftAwaitable = void;

  explicit AllVectorAwaiter(std::vector<Task<T>>&& tasks) noexcept : tasks_(std::move(tasks)) {}
  AllVectorAwaiter(AllVectorAwaiter&& other) noexcept : tasks_(std::move(other.tasks_)) {}  // before it is awaited
  bool owes_clean_up() const noexcept { return OwesCleanUp(tasks_); }
  ~AllVectorAwaiter() {
    if (branches_ == nullptr) return;
    for (size_t i = 0; i < count_; ++i) slots()[i].~ResultSlot<T>();
    FreeFrame(branches_, Bytes(), kAlignment);
  }

  bool await_ready() const noexcept { return tasks_.empty() && AtCheckpoint(); }
  template <WeftPromise Promise>
  std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> awaiting,
                                        std::source_location where = std::source_location::current()) {
    if (tasks_.empty()) {
      CheckpointAwaiter::Suspend({awaiting.promise(), where});
      return std::noop_coroutine();
    }
    count_ = tasks_.size();
    branches_ = static_cast<BranchBlock*>(AllocateOrDie(Bytes(), kAlignment, "the branches of All"));
    PromiseBase** const roots = reinterpret_cast<PromiseBase**>(slots() + count_);
    for (size_t i = 0; i < count_; ++i) {
      auto* slot = new (slots() + i) ResultSlot<T>;
      roots[i] = &TaskAccess::Release(std::move(tasks_[i]), *slot, "All()");
    }
    return AllScope::Begin(&scope_, branches_, roots, static_cast<int32_t>(count_), {awaiting.promise(), where});
  }
  AllVectorResult<T> await_resume() {
    if (count_ > 0 && scope_.first_failure() >= 0) [[unlikely]] {
      absl::Status failure = TakeFailure(slots()[scope_.first_failure()]);
      if constexpr (IsStatusLike<T>) return failure;
    }
    if constexpr (std::is_same_v<T, absl::Status>) {
      return absl::OkStatus();
    } else if constexpr (!std::is_void_v<T>) {
      std::vector<Kept<TupleElement<T>>> values;
      values.reserve(count_);
      for (size_t i = 0; i < count_; ++i) values.push_back(TakeElement(slots()[i]));
      return values;
    }
  }

 private:
  // One allocation: the control blocks, the results, and the roots, which are only needed until the branches begin.
  static constexpr size_t kAlignment = std::max(alignof(BranchBlock), alignof(ResultSlot<T>));
  size_t SlotsOffset() const noexcept {
    return (count_ * sizeof(BranchBlock) + alignof(ResultSlot<T>) - 1) & ~(alignof(ResultSlot<T>) - 1);
  }
  size_t Bytes() const noexcept { return SlotsOffset() + count_ * (sizeof(ResultSlot<T>) + sizeof(PromiseBase*)); }
  ResultSlot<T>* slots() noexcept {
    return reinterpret_cast<ResultSlot<T>*>(reinterpret_cast<char*>(branches_) + SlotsOffset());
  }

  std::vector<Task<T>> tasks_;
  size_t count_ = 0;
  BranchBlock* branches_ = nullptr;
  union {
    AllScope scope_;  // nothing to destroy: the last branch closes it when it ends
  };
};

}  // namespace internal

template <class... T>
internal::AllAwaiter<T...> All(Task<T>... tasks) {
  return internal::AllAwaiter<T...>(std::move(tasks)...);
}

template <internal::IntoTask... A>
  requires(!(internal::IsTask<A> && ...))
auto All(A&&... tasks) {
  return internal::AllAwaiter<internal::ValueOf<A>...>(internal::AsTask(std::forward<A>(tasks))...);
}

template <internal::RangeOfTasks R>
auto All(R&& tasks) {
  auto taken = internal::TasksOf(std::forward<R>(tasks));
  using T = typename decltype(taken)::value_type::value_type;
  return internal::AllVectorAwaiter<T>(std::move(taken));
}

}  // namespace weft

#endif  // WEFT_ALL_H_

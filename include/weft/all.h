// All: runs several tasks at the same time, and returns all their results.
//
//   auto [a, b] = co_await weft::All(Left(x), Right(x));
//
//   absl::StatusOr<std::vector<Quote>> quotes = co_await weft::All(servers | std::views::transform(Ask));
//
//   std::array<int64_t, 64> sums;
//   co_await weft::All(parts | std::views::transform(Sum), std::span(sums));  // no vector
//
// Each branch is a virtual thread, a child of a scope that All opens on the calling thread and closes before it
// returns. The first failure cancels the other branches; when they have ended, that failure is the result. To stop at
// the first success, use Any() (race.h); to bound how many run at once, Map() (for_each.h).
//
//   branches                                        co_await All(...) returns
//   none returns a status                           std::tuple<T...>, or throws the first exception
//   one or more are absl::Status or absl::StatusOr  absl::StatusOr<std::tuple<T...>>; an exception is thrown
//   a range of tasks of T, of absl::StatusOr<T>     std::vector<T>, absl::StatusOr<std::vector<T>>
//   a std::array of n such tasks                    std::array<T, n>, absl::StatusOr<std::array<T, n>>
//   a range of such tasks, and a std::span          nothing, absl::Status; the results are in the span
//   a range or an array of tasks of void            nothing
//   a range or an array of tasks of absl::Status    absl::Status
//
// In the tuple, a branch of void or absl::Status has a weft::Unit. In the vector and the array, a T& is a
// std::reference_wrapper<T>. A range is any input range of tasks: a vector, moved or not, or a view. The call moves the
// tasks out of the range at once, and does not use the range afterwards. Like everything that takes a Task, All() takes
// whatever a Task can await. What All() returns can be awaited, or passed on where a Task is wanted. (task.h)
//
// Cancellation: a checkpoint, also without branches. If the caller is cancelled, All cancels the branches and waits for
// them.
//
// Cost. This is the fast path of fork and join. The control blocks lie in the awaiting frame: without a range All()
// allocates nothing. Those of a range are one allocation from the cache of frames, if the range knows its size; the
// vector of the results is another. The first branch runs at once in the caller's place. Each further branch begins
// where the last one ended, unless another carrier has taken it by then.
#ifndef WEFT_ALL_H_
#define WEFT_ALL_H_

#include "weft/internal/compiler.h"

#include <array>
#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <new>
#include <source_location>
#include <span>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "weft/internal/all_scope.h"
#include "weft/internal/check.h"
#include "weft/internal/checkpoint.h"
#include "weft/internal/into_task.h"
#include "weft/internal/promise.h"
#include "weft/internal/range_of_branches.h"
#include "weft/internal/range_of_tasks.h"
#include "weft/internal/status_traits.h"
#include "weft/task.h"
#include "weft/unit.h"

namespace weft {

namespace internal {

template <class... T>
class AllAwaiter;

template <class T>
using TupleElement = std::conditional_t<std::is_void_v<FlatValue<T>>, Unit, FlatValue<T>>;
template <class T>
using AllElement = Kept<TupleElement<T>>;

template <class R, class V>
concept AssignsResults =
    !std::is_void_v<FlatValue<ValueOf<RangeElement<R>>>> &&               // tasks with results are wanted
    std::is_assignable_v<V&, TupleElement<ValueOf<RangeElement<R>>>&&>;  // the span's elements take the results

}  // namespace internal

// Runs the tasks, and returns a tuple of their results, in the same order.
template <class... T>
internal::AllAwaiter<T...> All(Task<T>... tasks);
// The same, where some of them become Tasks: closures, and what a Task can await. (task.h)
template <internal::TaskOrClosure... A>
  requires(!(internal::IsTask<A> && ...))
auto All(A&&... tasks);

// Runs all tasks of a range, and returns a vector of their results, in the same order. Tasks of void or absl::Status
// have no results.
template <internal::RangeOfTasks R>
auto All(R&& tasks);
// The same of a std::array; returns an array.
template <internal::ArrayOfTasks A>
auto All(A&& tasks);
// The same, with the results in `results`: that of the n-th task is assigned to the n-th place when all tasks have
// succeeded. Otherwise nothing is assigned. A span that has fewer places than there are tasks is a CHECK.
template <internal::RangeOfTasks R, class V, size_t kExtent>
  requires internal::AssignsResults<R, V>
auto All(R&& tasks, std::span<V, kExtent> results);

// ---------------------------------------------------------------------------------------------------------------------

namespace internal {

template <class... T>
using AllResult = std::conditional_t<(IsStatusLike<T> || ...), absl::StatusOr<std::tuple<TupleElement<T>...>>,
                                     std::tuple<TupleElement<T>...>>;

// What tasks of T give together, where their results are a Collection.
template <class T, class Collection>
using AllOfOneType = std::conditional_t<
    std::is_void_v<FlatValue<T>>, T,
    std::conditional_t<!IsStatusLike<T>, Collection,
                       std::conditional_t<std::is_void_v<Collection>, absl::Status, absl::StatusOr<Collection>>>>;

// The value of a branch that succeeded.
template <class T>
TupleElement<T> TakeElement(ResultSlot<T>& slot) {
  WEFT_DCHECK(slot.has_value()) << "a branch of All ended without a result, and nothing was cancelled";
  if constexpr (std::is_void_v<FlatValue<T>>) {
    return Unit();
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
  using IsAwaitedOnce = void;

  explicit AllAwaiter(Task<T>&&... tasks) noexcept : tasks_(std::move(tasks)...) {}
  AllAwaiter(AllAwaiter&& other) noexcept : tasks_(std::move(other.tasks_)) {}  // before it is awaited
  ~AllAwaiter() {
    if (begun_) {
      std::destroy_at(&slots_);
    } else {
      std::destroy_at(&tasks_);
    }
  }

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
    const std::tuple<TaskPromise<T>*...> frames(&TaskAccess::ReleaseOfUndestroyed(std::get<I>(tasks_), "All()")...);
    ::new (&slots_) std::tuple<ResultSlot<T>...>;
    begun_ = true;
    (void(std::get<I>(frames)->slot = &std::get<I>(slots_)), ...);
    if constexpr (sizeof...(T) == 2) {
      return AllScope::BeginTwo(place_, *std::get<0>(frames), *std::get<1>(frames), awaiting);
    } else {
      PromiseBase* const roots[] = {std::get<I>(frames)...};
      return AllScope::Begin(&place_.scope, place_.branches, roots, sizeof...(T), awaiting);
    }
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

  union {
    std::tuple<Task<T>...> tasks_;        // until they begin
    std::tuple<ResultSlot<T>...> slots_;  // from then on
  };
  bool begun_ = false;
  AllOf<sizeof...(T)> place_;
};

template <>
class [[nodiscard("co_await it")]] AllAwaiter<> : public CheckpointAwaiter {
 public:
  std::tuple<> await_resume() const noexcept { return {}; }
};

// After the end, of tasks of one type: `collect` makes what they give together of their results, if there are any.
template <class T, class Collect>
auto TakeAll(int32_t first_failure, ResultSlot<T>* slots, Collect collect) -> AllOfOneType<T, decltype(collect())> {
  if (first_failure >= 0) [[unlikely]] {
    absl::Status failure = TakeFailure(slots[first_failure]);
    if constexpr (IsStatusLike<T>) return failure;
  }
  if constexpr (std::is_same_v<T, absl::Status>) {
    return absl::OkStatus();
  } else if constexpr (IsStatusLike<T> && std::is_void_v<decltype(collect())>) {
    collect();
    return absl::OkStatus();
  } else if constexpr (!std::is_void_v<T>) {
    return collect();
  }
}

template <class T, size_t kCount>
using AllArrayResult = AllOfOneType<T, std::array<AllElement<T>, kCount>>;

template <class T, size_t kCount>
class [[nodiscard("co_await it")]] AllArrayAwaiter : public GivesWhenAwaited<AllArrayResult<T, kCount>> {
 public:
  using WeftAwaitable = void;
  using IsAwaitedOnce = void;

  explicit AllArrayAwaiter(std::array<Task<T>, kCount>&& tasks) noexcept : tasks_(std::move(tasks)) {}
  AllArrayAwaiter(AllArrayAwaiter&& other) noexcept : tasks_(std::move(other.tasks_)) {}  // before it is awaited
  ~AllArrayAwaiter() {
    if (begun_) {
      std::destroy(slots_, slots_ + kCount);
    } else {
      std::destroy_at(&tasks_);
    }
  }

  bool owes_clean_up() const noexcept { return OwesCleanUp(tasks_); }
  bool await_ready() const noexcept { return false; }
  template <WeftPromise Promise>
  std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> awaiting,
                                        std::source_location where = std::source_location::current()) noexcept {
    PromiseBase* roots[kCount];
    for (size_t i = 0; i < kCount; ++i) roots[i] = &TaskAccess::ReleaseOfUndestroyed(tasks_[i], "All()");
    begun_ = true;
    for (size_t i = 0; i < kCount; ++i)
      static_cast<TaskPromise<T>*>(roots[i])->slot = ::new (slots_ + i) ResultSlot<T>;
    return AllScope::Begin(&place_.scope, place_.branches, roots, int32_t{kCount}, {awaiting.promise(), where});
  }
  AllArrayResult<T, kCount> await_resume() {
    const auto collect = [this] { return Collect(std::make_index_sequence<kCount>()); };
    return TakeAll(place_.scope.first_failure(), slots_, collect);
  }

 private:
  template <size_t... I>
  std::array<AllElement<T>, kCount> Collect(std::index_sequence<I...>) {
    return {{TakeElement(slots_[I])...}};
  }

  union {
    std::array<Task<T>, kCount> tasks_;  // until they begin
    ResultSlot<T> slots_[kCount];        // from then on
  };
  bool begun_ = false;
  AllOf<kCount> place_;
};

template <class T>
class [[nodiscard("co_await it")]] AllArrayAwaiter<T, 0> : public CheckpointAwaiter {
 public:
  explicit AllArrayAwaiter(std::array<Task<T>, 0>&&) noexcept {}
  AllArrayResult<T, 0> await_resume() const noexcept {
    if constexpr (std::is_same_v<T, absl::Status>) {
      return absl::OkStatus();
    } else if constexpr (!std::is_void_v<T>) {
      return std::array<AllElement<T>, 0>();
    }
  }
};

// What is awaited of a range, wherever its results go.
template <class T>
class AllRangeAwaiter {
 public:
  using WeftAwaitable = void;
  using IsAwaitedOnce = void;

  explicit AllRangeAwaiter(RangeOfBranches<T>&& branches) noexcept : branches_(std::move(branches)) {}
  AllRangeAwaiter(AllRangeAwaiter&& other) noexcept : branches_(std::move(other.branches_)) {}  // before it is awaited
  ~AllRangeAwaiter() {}

  bool owes_clean_up() const noexcept { return branches_.owes_clean_up(); }
  bool await_ready() const noexcept { return branches_.count() == 0 && AtCheckpoint(); }
  template <WeftPromise Promise>
  std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> awaiting,
                                        std::source_location where = std::source_location::current()) noexcept {
    if (branches_.count() > 0) return branches_.Begin(&scope_, {awaiting.promise(), where});
    CheckpointAwaiter::Suspend({awaiting.promise(), where});
    return std::noop_coroutine();
  }

 protected:
  template <class Collect>
  auto Take(Collect collect) {
    return TakeAll(branches_.count() > 0 ? scope_.first_failure() : -1, branches_.slots(), collect);
  }

  RangeOfBranches<T> branches_;

 private:
  union {
    AllScope scope_;  // nothing to destroy: the last branch closes it when it ends
  };
};

template <class T>
class [[nodiscard("co_await it")]] AllVectorAwaiter
    : public AllRangeAwaiter<T>,
      public GivesWhenAwaited<AllOfOneType<T, std::vector<AllElement<T>>>> {
 public:
  using AllRangeAwaiter<T>::AllRangeAwaiter;
  AllOfOneType<T, std::vector<AllElement<T>>> await_resume() {
    return this->Take([this] {
      std::vector<AllElement<T>> values;
      values.reserve(this->branches_.count());
      for (size_t i = 0; i < this->branches_.count(); ++i) values.push_back(TakeElement(this->branches_.slots()[i]));
      return values;
    });
  }
};

template <class T, class V>
class [[nodiscard("co_await it")]] AllSpanAwaiter : public AllRangeAwaiter<T>,
                                                    public GivesWhenAwaited<AllOfOneType<T, void>> {
 public:
  AllSpanAwaiter(RangeOfBranches<T>&& branches, std::span<V> results) noexcept
      : AllRangeAwaiter<T>(std::move(branches)), results_(results) {
    WEFT_CHECK(this->branches_.count() <= results.size())
        << "the results of " << this->branches_.count() << " tasks go to a span of " << results.size();
  }
  AllOfOneType<T, void> await_resume() {
    return this->Take([this] {
      for (size_t i = 0; i < this->branches_.count(); ++i) results_[i] = TakeElement(this->branches_.slots()[i]);
    });
  }

 private:
  std::span<V> results_;
};

}  // namespace internal

template <class... T>
internal::AllAwaiter<T...> All(Task<T>... tasks) {
  return internal::AllAwaiter<T...>(std::move(tasks)...);
}

template <internal::TaskOrClosure... A>
  requires(!(internal::IsTask<A> && ...))
auto All(A&&... tasks) {
  return internal::AllAwaiter<internal::ValueOf<A>...>(internal::AsTask(std::forward<A>(tasks))...);
}

template <internal::RangeOfTasks R>
auto All(R&& tasks) {
  using T = internal::ValueOf<internal::RangeElement<R>>;
  return internal::AllVectorAwaiter<T>(internal::BranchesOf(std::forward<R>(tasks)));
}

template <internal::ArrayOfTasks A>
auto All(A&& tasks) {
  using Element = internal::RangeElement<A>;
  static_assert(!std::is_const_v<Element>, "the tasks are moved out of the range, so it must not be const");
  using T = internal::ValueOf<Element>;
  constexpr size_t kCount = std::tuple_size_v<std::remove_cvref_t<A>>;
  return [&tasks]<size_t... I>(std::index_sequence<I...>) {
    return internal::AllArrayAwaiter<T, kCount>({{internal::AsTask(std::move(tasks[I]))...}});
  }(std::make_index_sequence<kCount>());
}

template <internal::RangeOfTasks R, class V, size_t kExtent>
  requires internal::AssignsResults<R, V>
auto All(R&& tasks, std::span<V, kExtent> results) {
  using T = internal::ValueOf<internal::RangeElement<R>>;
  return internal::AllSpanAwaiter<T, V>(internal::BranchesOf(std::forward<R>(tasks)), results);
}

}  // namespace weft

#endif  // WEFT_ALL_H_

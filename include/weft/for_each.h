// ForEach and Map: call a function for each element of a range, with a bounded number of calls at the same time.
//
//   co_await weft::ForEach(files, 8, [](const File& file) { return Upload(file); });
//
//   absl::StatusOr<std::vector<Page>> pages = co_await weft::Map(urls, 8, [](const Url& url) { return Fetch(url); });
//
//   std::vector<absl::StatusOr<Page>> outcomes =
//       co_await weft::MapSettled(urls, 8, [](const Url& url) { return Fetch(url); }, {.timeout = absl::Seconds(2)});
//
// The function takes a reference to the element, and the element's index (a size_t, from 0) if it has two parameters.
// It returns a Task. At most `limit` of these tasks run at once, on as many virtual threads, which take the elements
// one by one in the order of the range. A thread is started when there is an element for it: neither a long range nor a
// high limit costs memory by itself. The first failure cancels the rest; when they have ended, that failure is the
// result. MapSettled() cancels nothing on a failure, and keeps every outcome.
//
//   the function returns          ForEach returns                  Map returns, in the order of the range
//   Task<void>                    nothing, or throws
//   Task<T>                                                        std::vector<T>, or throws
//   Task<absl::Status>            absl::Status
//   Task<absl::StatusOr<T>>                                        absl::StatusOr<std::vector<T>>
//
//   MapSettled returns a std::vector of absl::StatusOr<T>, or of absl::Status where there is no T
//
// The range is any input range. The call keeps a temporary range, and refers to any other. The range is traversed once,
// by one thread at a time; a thread that waits for a slow iterator holds its carrier. If the range is not a forward
// range, its elements are copied, or moved if the range yields rvalues. The copies live until their tasks have ended,
// and the function gets references to them. If an iterator throws, the call throws the same, and takes no further
// element. The call keeps the function. Several threads call it at once, so it must not change what it has captured.
//
// Misuse: a limit below one is a CHECK.
// Cancellation: the call is a checkpoint, and so is the start of each element. If the caller is cancelled, the call
// cancels the rest and waits for them. The results are then lost. So are those of a Map() in a WithTimeout() that
// fires; to keep them, use the timeout of MapSettled().
#ifndef WEFT_FOR_EACH_H_
#define WEFT_FOR_EACH_H_

#include "weft/internal/compiler.h"

#include <bit>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <iterator>
#include <optional>
#include <source_location>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "weft/cancellation.h"
#include "weft/internal/check.h"
#include "weft/internal/checkpoint.h"
#include "weft/internal/into_task.h"
#include "weft/internal/lock.h"
#include "weft/internal/status_traits.h"
#include "weft/outcome.h"
#include "weft/scope.h"
#include "weft/task.h"
#include "weft/time_span.h"

namespace weft {

namespace internal {

// What the function is called with.
template <class R>
struct ElementOf {};
template <std::ranges::input_range R>
struct ElementOf<R> {
  using Reference = std::ranges::range_value_t<R>&;
};
template <std::ranges::forward_range R>
struct ElementOf<R> {
  using Reference = std::ranges::range_reference_t<R>;
};
template <class R>
using ElementReference = typename ElementOf<R>::Reference;

// How F is called for an element of R, if it can be.
template <class R, class F>
struct ElementCall {};
template <class R, class F>
  requires GivesTask<const F&, ElementReference<R>>
struct ElementCall<R, F> {
  using Value = ValueOfCall<const F&, ElementReference<R>>;
  static Task<Value> Call(const F& function, ElementReference<R>&& element, size_t) {
    return AsTask(function(std::forward<ElementReference<R>>(element)));
  }
};
template <class R, class F>
  requires(!GivesTask<const F&, ElementReference<R>> && GivesTask<const F&, ElementReference<R>, size_t>)
struct ElementCall<R, F> {
  using Value = ValueOfCall<const F&, ElementReference<R>, size_t>;
  static Task<Value> Call(const F& function, ElementReference<R>&& element, size_t index) {
    return AsTask(function(std::forward<ElementReference<R>>(element), index));
  }
};

template <class R, class F>
using ForEachValue = typename ElementCall<R, F>::Value;
template <class F, class R>
concept ElementFunction = requires { typename ForEachValue<R, F>; };
template <class F, class R>
concept FunctionWithoutResults = ElementFunction<F, R> && std::is_void_v<FlatValue<ForEachValue<R, F>>>;
template <class F, class R>
concept FunctionWithResults = ElementFunction<F, R> && !std::is_void_v<FlatValue<ForEachValue<R, F>>>;

// Says why there is no ElementCall. The result type is deduced, so the compiler must look into this function, and meets
// the assertions.
Task<void> NoElementCall();
template <class R, class F>
auto RefuseElementFunction() {
  static_assert(std::ranges::input_range<R>, "for an input range; the function takes an element and returns a Task");
  if constexpr (std::ranges::input_range<R>) {
    using Element = ElementReference<R>;
    constexpr bool kTakes = std::invocable<F&, Element> || std::invocable<F&, Element, size_t>;
    constexpr bool kShared = std::invocable<const F&, Element> || std::invocable<const F&, Element, size_t>;
    static_assert(kTakes, "for an input range; the function takes an element and returns a Task: this one's parameter "
                          "does not take the elements of the range, or its second one does not take a size_t");
    static_assert(!kTakes || kShared, "for an input range; the function takes an element and returns a Task: this one "
                                      "is mutable, but several threads call it at once");
    static_assert(!kShared, "for an input range; the function takes an element and returns a Task: this one returns "
                            "neither a Task nor anything that a Task can await");
  }
  return NoElementCall();
}

template <class T>
using MapValues = std::vector<Kept<FlatValue<T>>>;
template <class T>
using MapResult = std::conditional_t<IsStatusLike<T>, absl::StatusOr<MapValues<T>>, MapValues<T>>;

}  // namespace internal

// Calls `function` for each element, and awaits what it returns. For functions without results: Task<void>,
// Task<absl::Status>.
template <std::ranges::input_range R, internal::FunctionWithoutResults<R> F>
Task<internal::ForEachValue<R, F>> ForEach(R&& range, int limit, F function);
template <std::ranges::input_range R, internal::ElementFunction<R> F>
Task<void> ForEach(R&&, int, F) = delete;  // ForEach() returns no results, but the function does: use Map()
template <class R, class F>
auto ForEach(R&&, int, F) {
  return internal::RefuseElementFunction<R, F>();
}

// The same for functions with results, which are returned in the order of the range.
template <std::ranges::input_range R, internal::FunctionWithResults<R> F>
Task<internal::MapResult<internal::ForEachValue<R, F>>> Map(R&& range, int limit, F function);
template <std::ranges::input_range R, internal::ElementFunction<R> F>
Task<void> Map(R&&, int, F) = delete;  // Map() returns results, but the function returns none: use ForEach()
template <class R, class F>
auto Map(R&&, int, F) {
  return internal::RefuseElementFunction<R, F>();
}

// Of MapSettled().
struct SettleOptions {
  // When it has passed, the running tasks are cancelled and no further one is started. Each of them has the outcome
  // kDeadlineExceeded, with ReasonOf().
  TimeSpan timeout = absl::InfiniteDuration();
  std::source_location where = std::source_location::current();  // for the reason
};

// Returns every outcome, in the order of the range. An exception becomes a status, by ExceptionToStatus(). After a
// timeout, the tasks that have ended keep their outcomes, and every other element of a forward range has
// kDeadlineExceeded. Of an input range, and of std::views::iota(0), only the elements that were started have an
// outcome. Another range must have an end, also a view of iota(0): its elements are counted.
template <std::ranges::input_range R, internal::ElementFunction<R> F>
Task<std::vector<internal::StatusOrOf<internal::ForEachValue<R, F>>>> MapSettled(R&& range, int limit, F function,
                                                                                 SettleOptions options = {});
template <class R, class F>
auto MapSettled(R&&, int, F, SettleOptions = {}) {
  return internal::RefuseElementFunction<R, F>();
}

// ---------------------------------------------------------------------------------------------------------------------

namespace internal {

// The elements that are not begun yet.
template <class R>
class Elements {
  static constexpr bool kForward = std::ranges::forward_range<R>;

 public:
  Elements(R& range, int limit)
      : threads_left_(limit - 1), next_(std::ranges::begin(range)), end_(std::ranges::end(range)) {}

  struct Element {
    std::conditional_t<kForward, std::ranges::iterator_t<R>, std::ranges::range_value_t<R>> kept;
    size_t index;
    bool start_another;  // another thread: there may be an element for it

    ElementReference<R> operator*() {
      if constexpr (kForward) {
        return *kept;
      } else {
        return kept;
      }
    }
  };
  // Iterators are user code, which may throw. No other user code runs under this lock.
  std::optional<Element> Take() {
    LockGuard guard(lock_);
    if (over_) return std::nullopt;
    over_ = true;  // also if an iterator throws
    // An input range may block until it has its next element, so it is asked only when a thread wants one.
    if (!kForward && index_ > 0) ++next_;
    if (next_ == end_) return std::nullopt;
    std::optional<Element> taken(Element{TakeNext(), index_++, false});
    if (kForward) ++next_;
    over_ = kForward && next_ == end_;
    if (!over_ && threads_left_ > 0) {
      --threads_left_;
      taken->start_another = true;
    }
    return taken;
  }
  // An exception of the range, or of an element's task, ends the thread that calls this.
  void KeepException() noexcept {
    LockGuard guard(lock_);
    thrown_ = std::current_exception();
  }
  // When all threads have ended: what was thrown last, or null.
  const std::exception_ptr& thrown() const noexcept { return thrown_; }

  // When all threads have ended: how many were taken.
  size_t taken() const noexcept { return index_; }
  // The same: how many elements the range has, or, if it must not be traversed further, how many were taken.
  size_t CountAll() {
    if constexpr (kForward && !std::is_same_v<std::ranges::sentinel_t<R>, std::unreachable_sentinel_t>) {
      for (; next_ != end_; ++next_) ++index_;
    }
    return index_;
  }

 private:
  auto TakeNext() {
    if constexpr (kForward) {
      return next_;
    } else {
      return static_cast<std::ranges::range_value_t<R>>(*next_);
    }
  }

  Lock lock_;
  bool over_ = false;
  int threads_left_;
  std::ranges::iterator_t<R> next_;
  const std::ranges::sentinel_t<R> end_;
  size_t index_ = 0;
  std::exception_ptr thrown_;
};

// What the threads of one call share. `run_one(begin, index)` awaits begin(), the task of that element. It returns a
// failure if the rest must be cancelled.
template <class R, class F, class RunOne>
struct ElementRun {
  Elements<R>& elements;
  const F& function;
  const RunOne& run_one;
  ShutdownOnFailure& scope;
};

// What each of the threads runs.
template <class R, class F, class RunOne>
Task<absl::Status> RunElements(ElementRun<R, F, RunOne> run) {
#if WEFT_EXCEPTIONS
  try {
#endif
    while (true) {
      co_await CheckpointAwaiter();
      auto taken = run.elements.Take();
      if (!taken.has_value()) co_return absl::OkStatus();
      if (taken->start_another) run.scope.Fork(RunElements(run));
      ElementReference<R>&& element = **taken;  // if the range yields a temporary, it lives as long as the task
      const auto begin = [&] {
        return ElementCall<R, F>::Call(run.function, std::forward<ElementReference<R>>(element), taken->index);
      };
      if (absl::Status failed = co_await run.run_one(begin, taken->index); !failed.ok()) co_return failed;
    }
#if WEFT_EXCEPTIONS
  } catch (...) {
    run.elements.KeepException();
    throw;
  }
#endif
}

template <class R, class F, class RunOne>
Task<Outcome> RunAllElements(Elements<R>& elements, const F& function, const RunOne& run_one) {
  ShutdownOnFailure scope;
  scope.Fork(RunElements(ElementRun<R, F, RunOne>{elements, function, run_one, scope}));
  co_return co_await scope.Join();
}

inline void CheckLimit(int limit) {
  WEFT_CHECK(limit >= 1) << "ForEach() and Map() with a limit of " << limit << "; it has to be one at least";
}

template <class R, class F>
Task<ForEachValue<R, F>> ForEachIn(R range, int limit, F function) {
  using T = ForEachValue<R, F>;
  CheckLimit(limit);
  Elements<std::remove_reference_t<R>> elements(range, limit);
  const auto run_one = [](const auto& begin, size_t) -> Task<absl::Status> {
    if constexpr (std::is_void_v<T>) {
      co_await begin();
      co_return absl::OkStatus();
    } else {
      co_return co_await begin();
    }
  };
  const Outcome outcome = co_await RunAllElements(elements, function, run_one);
  if constexpr (std::is_void_v<T>) {
    outcome.ThrowIfFailed();
  } else {
    if (outcome.exception() != nullptr) outcome.ThrowIfFailed();
    co_return outcome.status();
  }
}

// Results by their index, from several threads. None moves until all are there: they lie in chunks of 1, 2, 4, 8, ...
template <class V>
class IndexedResults {
 public:
  template <class... From>
  void Put(size_t index, From&&... value) {
    Place(index).emplace(std::forward<From>(value)...);  // user code, so not under the lock
  }
  // Afterwards: calls take() for each place, in order. Those without a result are empty, also behind the last one.
  template <class Take>
  void TakeAll(Take take) {
    for (Chunk& chunk : chunks_) {
      for (std::optional<V>& place : chunk) take(place);
    }
  }

 private:
  using Chunk = std::vector<std::optional<V>>;

  std::optional<V>& Place(size_t index) {
    const size_t chunk = static_cast<size_t>(std::bit_width(index + 1)) - 1;
    LockGuard guard(lock_);
    while (chunks_.size() <= chunk) chunks_.emplace_back(size_t{1} << chunks_.size());
    return chunks_[chunk][index + 1 - chunks_[chunk].size()];
  }

  Lock lock_;
  std::vector<Chunk> chunks_;
};

template <class R, class F>
Task<MapResult<ForEachValue<R, F>>> MapOver(R range, int limit, F function) {
  using T = ForEachValue<R, F>;
  using V = Kept<FlatValue<T>>;
  CheckLimit(limit);
  Elements<std::remove_reference_t<R>> elements(range, limit);
  IndexedResults<V> results;
  const auto run_one = [&results](const auto& begin, size_t index) -> Task<absl::Status> {
    if constexpr (IsStatusLike<T>) {
      T result = co_await begin();
      if (!result.ok()) co_return std::move(result).status();
      results.Put(index, *std::move(result));
    } else {
      results.Put(index, co_await begin());
    }
    co_return absl::OkStatus();
  };
  const Outcome outcome = co_await RunAllElements(elements, function, run_one);
  if constexpr (IsStatusLike<T>) {
    if (outcome.exception() != nullptr) outcome.ThrowIfFailed();
    if (!outcome.ok()) co_return outcome.status();
  } else {
    outcome.ThrowIfFailed();
  }
  std::vector<V> values;
  values.reserve(elements.taken());
  results.TakeAll([&values](std::optional<V>& value) {
    if (value.has_value()) values.push_back(*std::move(value));
  });
  co_return values;
}

// The outcome of the task that begin() returns. An exception is an outcome, too.
template <class T, class Begin>
Task<StatusOrOf<T>> OutcomeOf(const Begin& begin) {
#if WEFT_EXCEPTIONS
  try {
#endif
    if constexpr (std::is_void_v<T>) {
      co_await begin();
      co_return absl::OkStatus();
    } else if constexpr (std::is_reference_v<T>) {
      co_return Kept<T>(co_await begin());
    } else {
      co_return co_await begin();
    }
#if WEFT_EXCEPTIONS
  } catch (...) {
    co_return ExceptionToStatus(std::current_exception());
  }
#endif
}

template <class R, class F>
Task<std::vector<StatusOrOf<ForEachValue<R, F>>>> MapSettledOver(R range, int limit, F function,
                                                                 SettleOptions options) {
  using T = ForEachValue<R, F>;
  CheckLimit(limit);
  Elements<std::remove_reference_t<R>> elements(range, limit);
  IndexedResults<StatusOrOf<T>> results;
  const auto run_one = [&results](const auto& begin, size_t index) -> Task<absl::Status> {
    results.Put(index, co_await OutcomeOf<T>(begin));
    co_return absl::OkStatus();
  };
  std::optional<Outcome> outcome;
  const auto run_all = [&]() -> Task<void> { outcome = co_await RunAllElements(elements, function, run_one); };
  const absl::Status late = co_await WithTimeout(options.timeout, run_all(), options.where);
  if (outcome.has_value()) outcome->ThrowIfFailed();  // no element's: an iterator has thrown, or there is no memory
#if WEFT_EXCEPTIONS
  if (elements.thrown() != nullptr) std::rethrow_exception(elements.thrown());  // the time was up while the rest ended
#endif
  std::vector<StatusOrOf<T>> outcomes;
  const size_t count = elements.CountAll();
  outcomes.reserve(count);
  results.TakeAll([&](std::optional<StatusOrOf<T>>& each) {
    if (outcomes.size() < count) outcomes.push_back(each.has_value() ? *std::move(each) : StatusOrOf<T>(late));
  });
  while (outcomes.size() < count) outcomes.push_back(late);
  co_return outcomes;
}

}  // namespace internal

template <std::ranges::input_range R, internal::FunctionWithoutResults<R> F>
Task<internal::ForEachValue<R, F>> ForEach(R&& range, int limit, F function) {
  return internal::ForEachIn<R>(std::forward<R>(range), limit, std::move(function));
}

template <std::ranges::input_range R, internal::FunctionWithResults<R> F>
Task<internal::MapResult<internal::ForEachValue<R, F>>> Map(R&& range, int limit, F function) {
  return internal::MapOver<R>(std::forward<R>(range), limit, std::move(function));
}

template <std::ranges::input_range R, internal::ElementFunction<R> F>
Task<std::vector<internal::StatusOrOf<internal::ForEachValue<R, F>>>> MapSettled(R&& range, int limit, F function,
                                                                                 SettleOptions options) {
  return internal::MapSettledOver<R>(std::forward<R>(range), limit, std::move(function), options);
}

}  // namespace weft

#endif  // WEFT_FOR_EACH_H_

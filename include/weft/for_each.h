// ForEach and Map: something for each element of a range, a bounded number of them at the same time.
//
//   co_await weft::ForEach(files, 8, [](const File& file) { return Upload(file); });
//
//   absl::StatusOr<std::vector<Page>> pages = co_await weft::Map(urls, 8, [](const Url& url) { return Fetch(url); });
//
// The function is called with a reference to the element and returns a Task. At most `limit` of these run at once, each on one
// of as many virtual threads, which take the elements in the order of the range: memory does not grow with the range.
// The first failure cancels the rest; when they have ended, it is the result.
//
//   the function returns          ForEach gives                    Map gives, in the order of the range
//   Task<void>                    nothing, or throws
//   Task<T>                                                        std::vector<T>, or throws
//   Task<absl::Status>            absl::Status
//   Task<absl::StatusOr<T>>                                        absl::StatusOr<std::vector<T>>
//
// The range is kept by the call if it is a temporary, and referred to if it is not; it is traversed once, and has to be a
// forward range. The function is kept, and called by several threads at once: it must not change what it has captured.
//
// Misuse: a limit below one is a CHECK. Cancellation: a checkpoint; cancelled, it cancels the rest and waits for them, also for
// functions that never pass a checkpoint: there is one before each element.
#ifndef WEFT_FOR_EACH_H_
#define WEFT_FOR_EACH_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <ranges>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "weft/internal/check.h"
#include "weft/internal/checkpoint.h"
#include "weft/internal/lock.h"
#include "weft/internal/status_traits.h"
#include "weft/outcome.h"
#include "weft/scope.h"
#include "weft/task.h"

namespace weft {

namespace internal {

template <class R, class F>
using ForEachTask = std::invoke_result_t<const F&, std::ranges::range_reference_t<R>>;
template <class R, class F>
using ForEachValue = typename ForEachTask<R, F>::value_type;

// F is called for the elements of R.
template <class F, class R>
concept ElementFunction = GivesTask<const F&, std::ranges::range_reference_t<R>>;
template <class F, class R>
concept FunctionWithoutResults = ElementFunction<F, R> && std::is_void_v<FlatValue<ForEachValue<R, F>>>;
template <class F, class R>
concept FunctionWithResults = ElementFunction<F, R> && !std::is_void_v<FlatValue<ForEachValue<R, F>>>;

// The elements that are not begun yet.
template <class R>
class Elements {
 public:
  explicit Elements(R& range) : next_(std::ranges::begin(range)), end_(std::ranges::end(range)) {}

  struct Element {
    std::ranges::iterator_t<R> at;
    size_t index;
  };
  std::optional<Element> Take() {
    std::lock_guard guard(lock_);
    if (next_ == end_) return std::nullopt;
    return Element{next_++, index_++};
  }

 private:
  Lock lock_;
  std::ranges::iterator_t<R> next_;
  const std::ranges::sentinel_t<R> end_;
  size_t index_ = 0;
};

// One of the threads. `take(task, index)` awaits the task, and gives a status where the tasks do.
template <class R, class F, class Take>
Task<absl::Status> RunElements(Elements<R>& elements, const F& function, const Take& take) {
  while (auto element = elements.Take()) {
    co_await CheckpointAwaiter();
    if (absl::Status failed = co_await take(function(*element->at), element->index); !failed.ok()) co_return failed;
  }
  co_return absl::OkStatus();
}

template <class R, class F, class Take>
Task<Outcome> RunAllElements(R& range, int limit, const F& function, const Take& take) {
  WEFT_CHECK(limit >= 1) << "ForEach() and Map() with a limit of " << limit << "; it has to be one at least";
  Elements<R> elements(range);
  size_t threads = static_cast<size_t>(limit);
  if constexpr (std::ranges::sized_range<R>) threads = std::min<size_t>(threads, std::ranges::size(range));
  ShutdownOnFailure scope;
  for (size_t i = 0; i < threads; ++i) scope.Fork(RunElements<R>(elements, function, take));
  co_return co_await scope.Join();
}

template <class R, class F>
Task<ForEachValue<R, F>> ForEachIn(R range, int limit, F function) {
  using T = ForEachValue<R, F>;
  using Range = std::remove_reference_t<R>;
  const auto take = [](Task<T> task, size_t) -> Task<absl::Status> {
    if constexpr (std::is_void_v<T>) {
      co_await std::move(task);
      co_return absl::OkStatus();
    } else {
      co_return co_await std::move(task);
    }
  };
  const Outcome outcome = co_await RunAllElements<Range>(range, limit, function, take);
  if constexpr (std::is_void_v<T>) {
    outcome.ThrowIfFailed();
  } else {
    if (outcome.exception() != nullptr) outcome.ThrowIfFailed();
    co_return outcome.status();
  }
}

template <class T>
using MapResult = std::conditional_t<IsStatusLike<T>, absl::StatusOr<std::vector<FlatValue<T>>>, std::vector<FlatValue<T>>>;

template <class R, class F>
Task<MapResult<ForEachValue<R, F>>> MapOver(R range, int limit, F function) {
  using T = ForEachValue<R, F>;
  using U = FlatValue<T>;
  using Range = std::remove_reference_t<R>;
  Lock lock;
  std::vector<std::optional<U>> found;  // guarded by lock
  const auto take = [&](Task<T> task, size_t index) -> Task<absl::Status> {
    T result = co_await std::move(task);
    if constexpr (IsStatusLike<T>) {
      if (!result.ok()) co_return std::move(result).status();
    }
    std::lock_guard guard(lock);
    if (found.size() <= index) found.resize(index + 1);
    if constexpr (IsStatusLike<T>) {
      found[index].emplace(*std::move(result));
    } else {
      found[index].emplace(std::move(result));
    }
    co_return absl::OkStatus();
  };
  const Outcome outcome = co_await RunAllElements<Range>(range, limit, function, take);
  if constexpr (IsStatusLike<T>) {
    if (outcome.exception() != nullptr) outcome.ThrowIfFailed();
    if (!outcome.ok()) co_return outcome.status();
  } else {
    outcome.ThrowIfFailed();
  }
  std::vector<U> values;
  values.reserve(found.size());
  for (std::optional<U>& value : found) values.push_back(*std::move(value));
  co_return values;
}

}  // namespace internal

template <std::ranges::forward_range R, internal::FunctionWithoutResults<R> F>
Task<internal::ForEachValue<R, F>> ForEach(R&& range, int limit, F function) {
  return internal::ForEachIn<R>(std::forward<R>(range), limit, std::move(function));
}
template <std::ranges::forward_range R, internal::ElementFunction<R> F>
Task<void> ForEach(R&&, int, F) = delete;  // ForEach() has no results to give, and the function gives some: use Map()
template <class R, class F>
Task<void> ForEach(R&&, int, F) = delete;  // for a forward range; the function takes an element and returns a Task

template <std::ranges::forward_range R, internal::FunctionWithResults<R> F>
Task<internal::MapResult<internal::ForEachValue<R, F>>> Map(R&& range, int limit, F function) {
  return internal::MapOver<R>(std::forward<R>(range), limit, std::move(function));
}
template <std::ranges::forward_range R, internal::ElementFunction<R> F>
Task<void> Map(R&&, int, F) = delete;  // Map() gives results, and the function gives none: use ForEach()
template <class R, class F>
Task<void> Map(R&&, int, F) = delete;  // for a forward range; the function takes an element and returns a Task

}  // namespace weft

#endif  // WEFT_FOR_EACH_H_

// WhenAll and WhenAny: one future of several.
//
//   weft::Future<std::vector<int>> all = weft::WhenAll(futures);           // the values, in the order of the futures
//   weft::Future<std::tuple<User, Orders>> both = weft::WhenAll(user, orders);
//   weft::Future<size_t> first = weft::WhenAny(futures);                   // the index of one that is done
//
// Like Then(), each starts a virtual thread that waits (future.h). Cancel() of what they return ends that wait, and not
// the work; nor do they cancel the others when one has failed or is done: call Cancel() of those.
#ifndef WEFT_EXECUTOR_WHEN_H_
#define WEFT_EXECUTOR_WHEN_H_

#include "weft/internal/compiler.h"

#include <coroutine>
#include <cstddef>
#include <memory>
#include <optional>
#include <source_location>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "weft/executor/future.h"
#include "weft/executor/future_state.h"
#include "weft/internal/promise.h"
#include "weft/internal/wait_node.h"
#include "weft/task.h"

namespace weft {

namespace internal {

template <class T>
struct VectorOf {
  using Type = std::vector<T>;
};
template <>
struct VectorOf<void> {
  using Type = void;
};
template <class T>
using AllValues = typename VectorOf<T>::Type;

}  // namespace internal

// Done when all are, or when one has failed and those before it are done: with the first failure in their order. Yields
// the values, a std::vector<T>; nothing for futures of void.
template <class T>
Future<internal::AllValues<T>> WhenAll(std::vector<Future<T>> futures);
// The same for futures of several types: yields a std::tuple of their values, without those that are void.
template <class... T>
  requires(sizeof...(T) > 0)
Future<internal::ValuesTuple<T...>> WhenAll(Future<T>... futures);

// Done when one of them is, with a value or not. Yields its index; the lowest, if several were done by then. Without
// any future it fails: kInvalidArgument.
template <class T>
Future<size_t> WhenAny(std::vector<Future<T>> futures);

// ---------------------------------------------------------------------------------------------------------------------

namespace internal {

// Says of several futures which are done, one after the other, in that order. Awaited, it waits until there is one to
// be taken. Lies in the frame that awaits it, which keeps a handle of each.
//
// Each future is looked at when this begins and when it ends. In between it gives its case by itself: what a wake-up
// costs does not depend on how many futures there are.
class AnyDone {
 public:
  using WeftAwaitable = void;
  template <class T>
  explicit AnyDone(const std::vector<Future<T>>& futures)
      : size_(futures.size()), cases_(std::make_unique<DoneCase[]>(size_)) {
    for (size_t i = 0; i < size_; ++i) Add(cases_[i], FutureAccess::State(futures[i]));
  }
  AnyDone(const AnyDone&) = delete;
  AnyDone& operator=(const AnyDone&) = delete;
  ~AnyDone();

  // The index of one that is done, each once; none: no other is done by now.
  std::optional<size_t> Take() noexcept;

  bool await_ready() noexcept;
  template <WeftPromise Promise>
  bool await_suspend(std::coroutine_handle<Promise> frame,
                     std::source_location where = std::source_location::current()) noexcept {
    return Suspend({frame.promise(), where});
  }
  void await_resume() const noexcept {}

 private:
  friend FutureBase;
  void Add(DoneCase& a_case, FutureBase& future) noexcept;
  // By the future, under its lock: it is done. Moves whoever waits to `woken`.
  void Give(DoneCase& a_case, WaitNodes& woken) noexcept;
  bool Suspend(AwaitingFrame frame) noexcept;

  const size_t size_;
  const std::unique_ptr<DoneCase[]> cases_;  // in the order of the futures
  Waiters waiters_;                          // the thread, while it waits
  DoneCases done_;                           // guarded by waiters_.lock
};

// Whose runtime the wait is on.
template <class T>
FutureBase* FirstOf(const std::vector<Future<T>>& futures) noexcept {
  return futures.empty() ? nullptr : &FutureAccess::State(futures.front());
}
template <class T, class... Others>
FutureBase* FirstOf(const Future<T>& first, const Others&...) noexcept {
  return &FutureAccess::State(first);
}

}  // namespace internal

template <class T>
Future<internal::AllValues<T>> WhenAll(std::vector<Future<T>> futures) {
  using Values = internal::AllValues<T>;
  internal::FutureBase* const first = internal::FirstOf(futures);
  return internal::StartRun(first, [futures = std::move(futures)]() mutable -> Task<internal::StatusOrOf<Values>> {
    for (const Future<T>& each : futures) {
      co_await internal::DoneAwaiter(internal::FutureAccess::State(each));
      if (!internal::HasValue(each)) co_return internal::FailureOf(each);
    }
    if constexpr (std::is_void_v<T>) {
      co_return absl::OkStatus();
    } else {
      std::vector<T> values;
      values.reserve(futures.size());
      for (Future<T>& each : futures) values.push_back(std::get<0>(internal::TakeValue(each)));
      co_return values;
    }
  });
}

template <class... T>
  requires(sizeof...(T) > 0)
Future<internal::ValuesTuple<T...>> WhenAll(Future<T>... futures) {
  using Values = internal::ValuesTuple<T...>;
  internal::FutureBase* const first = internal::FirstOf(futures...);
  return internal::StartRun(
      first, [futures = std::tuple(std::move(futures)...)]() mutable -> Task<absl::StatusOr<Values>> {
        absl::Status failed;
        const auto wait = [&failed](const auto& each) -> Task<bool> {
          co_await internal::DoneAwaiter(internal::FutureAccess::State(each));
          if (!internal::HasValue(each)) failed = internal::FailureOf(each);
          co_return failed.ok();
        };
        const auto wait_for_all = [&wait](const auto&... each) -> Task<void> {
          static_cast<void>((co_await wait(each) && ...));
        };
        co_await std::apply(wait_for_all, std::as_const(futures));
        if (!failed.ok()) co_return failed;
        co_return std::apply([](auto&... each) { return std::tuple_cat(internal::TakeValue(each)...); }, futures);
      });
}

template <class T>
Future<size_t> WhenAny(std::vector<Future<T>> futures) {
  internal::FutureBase* const front = internal::FirstOf(futures);
  return internal::StartRun(front, [futures = std::move(futures)]() mutable -> Task<absl::StatusOr<size_t>> {
    if (futures.empty()) co_return absl::InvalidArgumentError("WhenAny() of no future");
    internal::AnyDone any(futures);
    co_await any;
    size_t first = 0;
    while (!futures[first].IsDone()) ++first;
    co_return first;
  });
}

}  // namespace weft

#endif  // WEFT_EXECUTOR_WHEN_H_

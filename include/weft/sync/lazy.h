// Lazy<T>: a value that is computed when it is first wanted, by one virtual thread, for all. (Java's LazyConstant.)
//
//   weft::Lazy<Config> config([] { return LoadConfig(); });      // a T, or a Task<T>
//   const Config& mine = co_await config.Get();                  // any number of threads
//
//   weft::Lazy<absl::StatusOr<Config>> loaded(&LoadOrFail);
//   absl::StatusOr<std::reference_wrapper<const Config>> mine = co_await loaded.Get();
//
// Members: Get(), TryGet(). The first Get() calls the function, and awaits the Task if that returns one. Others wait
// meanwhile. All get a reference to the one value, which many may read at once, and which lives as long as the Lazy.
//
// If the function throws, or returns a status that is not OK, that is for the caller of that Get(); if that caller is
// cancelled, so is the computation. In both cases the thread that has waited longest calls the function next: a failure
// is not kept. A function that gets its own Lazy would wait for itself: it is a CHECK. If no caller's cancellation
// shall end the computation, submit it to an executor instead, and keep its Future. (executor.h)
//
// Lifetime: the Lazy must outlive the calls to it. It is a CHECK to destroy it while a thread waits.
// Memory ordering: what the function did happens before what follows every Get() that yields its value, and every
// TryGet() that returns it.
// Cancellation: Get() is a checkpoint.
// Signal handlers must not call it; event.h says what to do instead.
// Cost: that of two frames from the cache; TryGet() is one load.
#ifndef WEFT_SYNC_LAZY_H_
#define WEFT_SYNC_LAZY_H_

#include "weft/internal/compiler.h"

#include <concepts>
#include <functional>
#include <optional>
#include <source_location>
#include <type_traits>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "weft/internal/into_task.h"
#include "weft/internal/status_traits.h"
#include "weft/sync/once.h"
#include "weft/task.h"

namespace weft {

template <class T>
class Lazy {
  static_assert(std::is_object_v<T> && !std::is_array_v<T> && !std::is_const_v<T>,
                "the T of Lazy<T> is an object, or an absl::StatusOr of one");
  static_assert(!std::is_same_v<T, absl::Status>, "a Lazy has a value; for an absl::Status use a Once");

  static constexpr bool kMayFail = internal::IsStatusLike<T>;

 public:
  using Value = internal::FlatValue<T>;
  // What Get() yields.
  using Result = std::conditional_t<kMayFail, absl::StatusOr<std::reference_wrapper<const Value>>, const Value&>;

  // `compute` takes nothing, and returns a T or a Task<T>. It can be copied, and is destroyed with the Lazy.
  template <class F>
    requires std::invocable<F&>  // pass a function that takes no arguments
  explicit Lazy(F compute) : compute_(Computing(std::move(compute))) {}
  Lazy(const Lazy&) = delete;
  Lazy& operator=(const Lazy&) = delete;
  ~Lazy() = default;  // a CHECK if a thread computes it, or waits

  // Yields the value, computing it if it is not there. `where` is the line that reports show.
  Task<Result> Get(std::source_location where = std::source_location::current());
  // The value if it is there, else null. Any thread may call it. Does not wait.
  const Value* TryGet() const noexcept { return once_.IsDone() ? &*value_ : nullptr; }

 private:
  using Compute = std::function<Task<absl::Status>(std::optional<Value>& value)>;

  template <class F>
  static Compute Computing(F compute);

  const Compute compute_;
  std::optional<Value> value_;  // written by the thread that has the turn
  Once once_;
};

// ---------------------------------------------------------------------------------------------------------------------

namespace internal {

// Calls `compute`, which lives until the value is there, and keeps what it yields.
template <class F, class Value>
Task<absl::Status> ComputeInto(F& compute, std::optional<Value>& value) {
  using Yield = YieldOf<F>;
  const auto keep = [&value](Yield&& computed) -> absl::Status {
    if constexpr (IsStatusLike<Yield>) {
      if (!computed.ok()) return std::move(computed).status();
      value.emplace(*std::move(computed));
    } else {
      value.emplace(std::forward<Yield>(computed));
    }
    return absl::OkStatus();
  };
  if constexpr (GivesTask<F&>) {
    co_return keep(co_await AsTask(compute()));
  } else {
    co_return keep(compute());
  }
}

}  // namespace internal

template <class T>
template <class F>
typename Lazy<T>::Compute Lazy<T>::Computing(F compute) {
  static_assert(std::is_same_v<internal::YieldOf<F>, T>, "the function of a Lazy<T> yields a T");
  return [compute = std::move(compute)](std::optional<Value>& value) mutable {
    return internal::ComputeInto(compute, value);
  };
}

template <class T>
Task<typename Lazy<T>::Result> Lazy<T>::Get(std::source_location where) {
  const absl::Status computed = co_await once_.Run([this] { return compute_(value_); }, where);
  if constexpr (kMayFail) {
    if (!computed.ok()) co_return computed;
    co_return std::cref(*value_);
  } else {
    co_return *value_;
  }
}

}  // namespace weft

#endif  // WEFT_SYNC_LAZY_H_

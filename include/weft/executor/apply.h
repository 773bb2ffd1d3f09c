// How is a function called that may return a value, a status, or a Task of either?
//
//   auto result = co_await internal::Apply(f, std::tuple(value, rate));   // f(value, rate), and what its Task yields
//
// For Future::Then() and its like, and for what a ScheduledExecutor runs. Everything here is internal. A void has no
// value: the function of a Future<void> takes nothing.
#ifndef WEFT_EXECUTOR_APPLY_H_
#define WEFT_EXECUTOR_APPLY_H_

#include "weft/internal/compiler.h"

#include <tuple>
#include <type_traits>
#include <utility>

#include "absl/status/status.h"
#include "weft/executor/task_run.h"
#include "weft/internal/into_task.h"
#include "weft/internal/status_traits.h"
#include "weft/task.h"

namespace weft::internal {

template <class T>
using ValueTuple = std::conditional_t<std::is_void_v<T>, std::tuple<>, std::tuple<T>>;
template <class... T>
using ValuesTuple = decltype(std::tuple_cat(std::declval<ValueTuple<T>>()...));

template <class F, class Values>
struct YieldOfApply;
template <class F, class... Values>
struct YieldOfApply<F, std::tuple<Values...>> {
  using Type = YieldOf<F, Values...>;
};
template <class F, class Values>
inline constexpr bool kApplies = false;
template <class F, class... Values>
inline constexpr bool kApplies<F, std::tuple<Values...>> = std::is_invocable_v<F&, Values...>;

// What the Task of an Apply() yields.
template <class F, class Values>
using ApplyResult = StatusOrOf<typename YieldOfApply<F, Values>::Type>;

// Calls `f`, and awaits the Task if it returns one. Whoever awaits it keeps `f`.
template <class F, class... Values>
Task<ApplyResult<F, std::tuple<Values...>>> Apply(F& f, std::tuple<Values...> values) {
  using Yield = YieldOf<F, Values...>;
  if constexpr (GivesTask<F&, Values...>) {
    if constexpr (std::is_void_v<Yield>) {
      co_await AsTask(std::apply(f, std::move(values)));
      co_return absl::OkStatus();
    } else {
      co_return co_await AsTask(std::apply(f, std::move(values)));
    }
  } else if constexpr (std::is_void_v<Yield>) {
    std::apply(f, std::move(values));
    co_return absl::OkStatus();
  } else {
    co_return std::apply(f, std::move(values));
  }
}

}  // namespace weft::internal

#endif  // WEFT_EXECUTOR_APPLY_H_

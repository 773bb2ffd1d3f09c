// How absl::Status and absl::StatusOr flatten: what a task of that type yields when it succeeds.
#ifndef WEFT_INTERNAL_STATUS_TRAITS_H_
#define WEFT_INTERNAL_STATUS_TRAITS_H_

#include "weft/internal/compiler.h"

#include <functional>
#include <type_traits>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace weft::internal {

template <class T>
struct Flatten {
  using Value = T;
};
template <>
struct Flatten<absl::Status> {
  using Value = void;
};
template <class T>
struct Flatten<absl::StatusOr<T>> {
  using Value = T;
};
// Task<absl::StatusOr<U>> and Task<U> yield U; Task<absl::Status> and Task<void> yield void.
template <class T>
using FlatValue = typename Flatten<T>::Value;

template <class T>
inline constexpr bool IsStatusLike = !std::is_same_v<FlatValue<T>, T>;

// A value as it lies in an optional, a vector or a StatusOr, which have no room for a reference.
template <class T>
using Kept = std::conditional_t<std::is_reference_v<T>, std::reference_wrapper<std::remove_reference_t<T>>, T>;

// The type that carries either a U or a failure.
template <class U>
struct StatusOrFor {
  using Type = absl::StatusOr<Kept<U>>;
};
template <>
struct StatusOrFor<void> {
  using Type = absl::Status;
};
template <class T>
using StatusOrOf = typename StatusOrFor<FlatValue<T>>::Type;

}  // namespace weft::internal

#endif  // WEFT_INTERNAL_STATUS_TRAITS_H_

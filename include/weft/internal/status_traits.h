// How absl::Status and absl::StatusOr flatten: what a task of that type yields when it succeeds.
#ifndef WEFT_INTERNAL_STATUS_TRAITS_H_
#define WEFT_INTERNAL_STATUS_TRAITS_H_

#include "weft/internal/compiler.h"

#include <functional>
#include <tuple>
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

// Whether a U can be copied. A container, or an optional, says that it can be even if what it holds cannot: that is
// looked into, to a depth at which a type that contains itself is believed. A class of a user's is believed as well.
template <class U, int kDepth = 5>
struct CanBeCopied;
template <class U, int kDepth>
struct PartsCanBeCopied : std::true_type {};
template <class U, int kDepth>
  requires std::is_object_v<typename U::value_type>
struct PartsCanBeCopied<U, kDepth> : CanBeCopied<typename U::value_type, kDepth - 1> {};
template <template <class...> class Product, class... Parts, int kDepth>
  requires requires { std::tuple_size<Product<Parts...>>::value; } ||
           requires(const Product<Parts...>& variant) { variant.valueless_by_exception(); }
struct PartsCanBeCopied<Product<Parts...>, kDepth> : std::conjunction<CanBeCopied<Parts, kDepth - 1>...> {};
template <class U, int kDepth>
struct CanBeCopied : std::bool_constant<std::is_copy_constructible_v<U> &&
                                        (std::is_trivially_copyable_v<U> ||
                                         PartsCanBeCopied<std::remove_const_t<U>, kDepth>::value)> {};
template <class U>
struct CanBeCopied<U, 0> : std::is_copy_constructible<U> {};

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
// What a boundary yields of a task of T: the task's failure and the boundary's own are one status.
template <class T>
struct BoundaryResultFor {
  using Type = StatusOrOf<T>;
};
template <class T>
using BoundaryResult = typename BoundaryResultFor<T>::Type;

}  // namespace weft::internal

#endif  // WEFT_INTERNAL_STATUS_TRAITS_H_

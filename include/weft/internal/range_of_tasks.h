// The ranges of tasks that All(), Race() and Any() take, and move the tasks out of.
#ifndef WEFT_INTERNAL_RANGE_OF_TASKS_H_
#define WEFT_INTERNAL_RANGE_OF_TASKS_H_

#include "weft/internal/compiler.h"

#include <array>
#include <cstddef>
#include <iterator>  // has the concepts of ranges as well; <ranges> is 3,500 lines of views
#include <type_traits>
#include <utility>
#include <vector>

#include "weft/internal/into_task.h"
#include "weft/task.h"

namespace weft::internal {

// Const where the range does not let go of its elements.
template <class R>
using RangeElement = std::remove_reference_t<std::ranges::range_reference_t<R>>;

template <class R>
concept RangeOfTasks =
    std::ranges::input_range<R> && IntoTask<std::remove_const_t<RangeElement<R>>>;

template <class A>
inline constexpr bool kIsArray = false;
template <class E, size_t kCount>
inline constexpr bool kIsArray<std::array<E, kCount>> = true;

template <class A>
concept ArrayOfTasks = RangeOfTasks<A> && kIsArray<std::remove_cvref_t<A>>;

// The elements of a range, moved into a vector: at once, so that nothing refers to the range afterwards.
template <RangeOfTasks R>
auto TasksOf(R&& range) {
  using Element = RangeElement<R>;
  static_assert(!std::is_const_v<Element>, "the tasks are moved out of the range, so it must not be const");
  std::vector<Task<ValueOf<Element>>> tasks;
  if constexpr (std::ranges::sized_range<R>) tasks.reserve(std::ranges::size(range));
  for (auto&& element : range) tasks.push_back(AsTask(std::move(element)));
  return tasks;
}
// A vector that is passed by std::move() is taken as it is.
template <class T>
std::vector<Task<T>> TasksOf(std::vector<Task<T>>&& tasks) {
  return std::move(tasks);
}

}  // namespace weft::internal

#endif  // WEFT_INTERNAL_RANGE_OF_TASKS_H_

// The branches of an All() of a range, in one allocation: their control blocks, which are made when they begin, their
// results, and their root frames, which it owns until then.
#ifndef WEFT_INTERNAL_RANGE_OF_BRANCHES_H_
#define WEFT_INTERNAL_RANGE_OF_BRANCHES_H_

#include "weft/internal/compiler.h"

#include <algorithm>
#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <new>
#include <type_traits>
#include <utility>

#include "weft/internal/all_scope.h"
#include "weft/internal/check.h"
#include "weft/internal/frame_cache.h"
#include "weft/internal/into_task.h"
#include "weft/internal/promise.h"
#include "weft/internal/range_of_tasks.h"
#include "weft/task.h"

namespace weft::internal {

template <class T>
class RangeOfBranches {
 public:
  explicit RangeOfBranches(size_t capacity) : capacity_(capacity) {
    if (capacity == 0) return;
    memory_ = static_cast<char*>(AllocateOrDie(Bytes(), kAlignment, "the branches of All"));
    slots_ = reinterpret_cast<ResultSlot<T>*>(memory_ + SlotsOffset());
  }
  RangeOfBranches(RangeOfBranches&& other) noexcept
      : memory_(std::exchange(other.memory_, nullptr)),
        slots_(other.slots_),
        capacity_(other.capacity_),
        count_(std::exchange(other.count_, 0)) {}
  ~RangeOfBranches() {
    if (memory_ == nullptr) return;
    for (size_t i = 0; i < count_; ++i) {
      if (!begun_) roots()[i]->Handle().destroy();
      slots_[i].~ResultSlot<T>();
    }
    FreeFrame(memory_, Bytes(), kAlignment);
  }

  void Add(Task<T>&& task) noexcept {
    WEFT_CHECK(count_ < capacity_) << "a range of tasks has more of them than its size(), which is " << capacity_;
    auto* const slot = ::new (slots_ + count_) ResultSlot<T>;
    roots()[count_++] = &TaskAccess::Release(std::move(task), *slot, "All()");
  }
  size_t count() const noexcept { return count_; }
  ResultSlot<T>* slots() noexcept { return slots_; }
  bool owes_clean_up() const noexcept {
    return std::any_of(roots(), roots() + count_, [](PromiseBase* root) { return root->owes_clean_up(); });
  }

  std::coroutine_handle<> Begin(AllScope* scope, AwaitingFrame awaiting) noexcept {
    begun_ = true;
    return AllScope::Begin(scope, reinterpret_cast<BranchPlace*>(memory_), roots(), static_cast<int32_t>(count_),
                           awaiting);
  }

 private:
  static constexpr size_t kAlignment = std::max(alignof(BranchPlace), alignof(ResultSlot<T>));
  size_t SlotsOffset() const noexcept {
    return (capacity_ * sizeof(BranchPlace) + alignof(ResultSlot<T>) - 1) & ~(alignof(ResultSlot<T>) - 1);
  }
  size_t Bytes() const noexcept {
    return SlotsOffset() + capacity_ * (sizeof(ResultSlot<T>) + sizeof(PromiseBase*));
  }
  PromiseBase** roots() const noexcept { return reinterpret_cast<PromiseBase**>(slots_ + capacity_); }

  char* memory_ = nullptr;  // the control blocks come first
  ResultSlot<T>* slots_ = nullptr;
  size_t capacity_;
  size_t count_ = 0;
  bool begun_ = false;
};

template <RangeOfTasks R>
auto BranchesOf(R&& range) {
  using Element = RangeElement<R>;
  static_assert(!std::is_const_v<Element>, "the tasks are moved out of the range, so it must not be const");
  if constexpr (std::ranges::sized_range<R>) {
    RangeOfBranches<ValueOf<Element>> branches(static_cast<size_t>(std::ranges::size(range)));
    for (auto&& element : range) branches.Add(AsTask(std::move(element)));
    return branches;
  } else {
    return BranchesOf(TasksOf(std::forward<R>(range)));
  }
}

}  // namespace weft::internal

#endif  // WEFT_INTERNAL_RANGE_OF_BRANCHES_H_

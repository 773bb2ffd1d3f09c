// Layer lockfree. Where do runnable threads wait that belong to no carrier?
//
// A first-in, first-out queue for any number of threads on both sides, under a lock. Beside it is a count, which is
// read first: most looks for work find nothing, and cost one load.
//
//   queue.Push(item)          never fails, allocates nothing
//   queue.PushAll(items, n)   the n items of a list, in its order, which is empty afterwards
//   queue.Take()              the oldest, or nullptr
//   queue.TakeSome(max, out)  the oldest `max`, or all if there are fewer, to the end of a list
//   queue.TakeIf(predicate)   the oldest for which predicate(item) is true, or nullptr
//   queue.TakeNewIf(predicate, max, out, seen)   as many of these as `max`, of those that the caller has not seen yet
//   queue.MayHave()           a hint: a look without the lock
//   queue.SizeEstimate()      the same: how many
//
// Take() may miss an item that has just been pushed. Whoever pushes notifies afterwards, and whoever sleeps looks once
// more before, with a fence on each side (idle_carriers.h); these order the count as well.
//
// Memory ordering: what came before `Push(item)` happens before what follows the call that returns the item.
#ifndef WEFT_LIB_LOCKFREE_INJECT_QUEUE_H_
#define WEFT_LIB_LOCKFREE_INJECT_QUEUE_H_

#include <cstddef>
#include <mutex>

#include "lib/base/list.h"
#include "weft/internal/atomic.h"
#include "weft/internal/lock.h"

namespace weft::internal {

// T is an element of List<T, Tag>.
template <class T, class Tag>
class InjectQueue {
 public:
  void Push(T& item) noexcept {
    std::lock_guard guard(lock_);
    items_.PushBack(&item);
    Count(1);
    ++pushed_;
  }

  // `count` is the number of `items`.
  void PushAll(List<T, Tag>& items, size_t count) noexcept {
    std::lock_guard guard(lock_);
    items_.Splice(items);
    Count(static_cast<ptrdiff_t>(count));
    pushed_ += count;
  }

  T* Take() noexcept {
    return TakeIf([](const T&) { return true; });
  }

  void TakeSome(size_t max, List<T, Tag>& out) noexcept {
    if (!MayHave()) return;
    std::lock_guard guard(lock_);
    size_t taken = 0;
    for (; taken < max; ++taken) {
      T* const item = items_.PopFront();
      if (item == nullptr) break;
      out.PushBack(item);
    }
    Count(-static_cast<ptrdiff_t>(taken));
  }

  template <class Predicate>
  T* TakeIf(const Predicate& predicate) noexcept {
    if (!MayHave()) return nullptr;
    std::lock_guard guard(lock_);
    for (T* item = items_.front(); item != nullptr; item = items_.Next(item)) {
      if (!predicate(*item)) continue;
      List<T, Tag>::Remove(item);
      Count(-1);
      return item;
    }
    return nullptr;
  }

  // For a predicate that says the same of an item each time. `seen` begins with 0, and is the caller's: how many had
  // been pushed, ever, when a call last came to the end. A look at what came since costs O(that), whatever lies before.
  template <class Predicate>
  void TakeNewIf(const Predicate& predicate, size_t max, List<T, Tag>& out, uint64_t& seen) noexcept {
    if (!MayHave()) return;
    std::lock_guard guard(lock_);
    size_t taken = 0;
    for (T *item = FirstNew(seen), *next; item != nullptr; item = next) {
      if (taken == max) return Count(-static_cast<ptrdiff_t>(taken));
      next = items_.Next(item);
      if (!predicate(*item)) continue;
      List<T, Tag>::Remove(item);
      out.PushBack(item);
      ++taken;
    }
    Count(-static_cast<ptrdiff_t>(taken));
    seen = pushed_;
  }

  bool MayHave() const noexcept { return SizeEstimate() > 0; }
  size_t SizeEstimate() const noexcept { return static_cast<size_t>(count_.load(std::memory_order_relaxed)); }

 private:
  // With the lock held. Plain arithmetic, for only the holder writes it.
  void Count(ptrdiff_t difference) noexcept {
    count_.store(count_.load(std::memory_order_relaxed) + difference, std::memory_order_relaxed);
  }

  // With the lock held. The oldest of those that were pushed since, or an older one, if some of them were taken.
  T* FirstNew(uint64_t seen) noexcept {
    uint64_t left = pushed_ - seen;
    if (left >= SizeEstimate()) return items_.front();
    T* item = nullptr;
    for (T* at = items_.back(); left > 0; --left) {
      item = at;
      at = items_.Previous(at);
    }
    return item;
  }

  Lock lock_;
  List<T, Tag> items_;   // guarded by lock_
  uint64_t pushed_ = 0;  // ever; guarded by lock_
  Atomic<ptrdiff_t> count_{0};  // relaxed: written under lock_; a miss is put right by the idle protocol
};

}  // namespace weft::internal

#endif  // WEFT_LIB_LOCKFREE_INJECT_QUEUE_H_

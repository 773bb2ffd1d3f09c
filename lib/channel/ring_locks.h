// Which locks of a ring are held: that of one side, or both?
//
//   RingLocks locks(ring, RingLocks::Which::kHead);   // takes one
//   ...                                               // that was not enough
//   locks.TakeBoth();                                 // what was seen before may have changed
//
// They are taken in the order of their addresses, the tail's first, as selectable_wait.h demands. Who holds the head's
// tries the tail's, and if that fails gives up its own and takes both in their order.
//
// A ring of no places has values of neither side to guard, so its users take the tail's lock for all.
#ifndef WEFT_LIB_CHANNEL_RING_LOCKS_H_
#define WEFT_LIB_CHANNEL_RING_LOCKS_H_

#include <cstdint>

#include "weft/channel/element_ring.h"
#include "weft/internal/lock.h"

namespace weft::internal {

class [[nodiscard]] RingLocks {
 public:
  enum class Which : uint8_t { kBoth, kTail, kHead };

  explicit RingLocks(ElementRing& ring, Which which = Which::kBoth) noexcept
      : tail_(*First(ring)), head_(Second(ring)), held_(head_ == nullptr ? Which::kTail : which) {
    if (held_ != Which::kHead) tail_.lock();
    if (held_ != Which::kTail) head_->lock();
  }
  RingLocks(const RingLocks&) = delete;
  RingLocks& operator=(const RingLocks&) = delete;
  ~RingLocks() {
    if (held_ != Which::kTail) head_->unlock();
    if (held_ != Which::kHead) tail_.unlock();
  }

  void TakeBoth() noexcept {
    if (head_ == nullptr || held_ == Which::kBoth) return;
    if (held_ == Which::kTail) {
      head_->lock();
    } else if (!tail_.try_lock()) {
      head_->unlock();
      tail_.lock();
      head_->lock();
    }
    held_ = Which::kBoth;
  }

  // Of all that may be taken, in their order; the second may be null.
  static Lock* First(ElementRing& ring) noexcept { return &ring.tail_lock(); }
  static Lock* Second(ElementRing& ring) noexcept { return ring.limit() == 0 ? nullptr : &ring.head_lock(); }

 private:
  Lock& tail_;
  Lock* const head_;  // null: there is one lock
  Which held_;
};

}  // namespace weft::internal

#endif  // WEFT_LIB_CHANNEL_RING_LOCKS_H_

// Layer driver. How does a cancellation get from any thread to the driver that holds the operation?
//
// A stack of operations, pushed by any thread and emptied as a whole.
//
//   Push(op), any thread                            TakeAll(), the driver, or a helper in its place
//   1. op.link := head                              3. head := null, and what it was is taken
//   2. head: from that to op, or again from 1       4. the links are turned round: oldest first
//
// Why each is taken once: 2 puts an operation in once, because a driver's states let a cancellation win once. 3 is one
// exchange, so two takers never get the same operation. A head that is gone and back between 1 and 2 does no harm:
// `link` names whatever is below in the very step in which 2 succeeds, and nobody reads a link before 3.
//
// Why the taker sees the links and what the canceller did: 2 releases [cancel_inbox/1] and 3 acquires [cancel_inbox/2].
// 3 reads the newest push; the older ones are acquired with it, because each 2 is a read-modify-write and so continues
// the release sequence of those before.
//
// Why none stays behind: whoever pushes rings the driver's doorbell afterwards. TakeAll() looks before it exchanges,
// relaxed, and may miss what is just being pushed; then the ring is still to be taken, and the Poll() that takes it
// sees the push [doorbell/5].
//
// Lifetime: an operation in here is not completed, hence not destroyed.
//
// Cost: Push() is one compare-exchange on a line that only cancellations write, TakeAll() of nothing one load.
#ifndef WEFT_LIB_DRIVER_CANCEL_INBOX_H_
#define WEFT_LIB_DRIVER_CANCEL_INBOX_H_

#include "weft/internal/atomic.h"
#include "weft/internal/operation.h"

namespace weft::internal {

class CancelInbox {
 public:
  CancelInbox() noexcept = default;
  CancelInbox(const CancelInbox&) = delete;
  CancelInbox& operator=(const CancelInbox&) = delete;

  // Any thread; then Doorbell::Ring().
  void Push(Operation& op) noexcept {
    // relaxed: a guess, which the exchange puts right.
    Operation* head = head_.load(std::memory_order_relaxed);
    do {
      op.link = head;
      // [cancel_inbox/1] release: pairs with [cancel_inbox/2]. Weaker, the taker could read an old link, or what the
      // canceller wrote only half. relaxed on failure: nothing is read through the head.
    } while (!head_.compare_exchange_weak(head, &op, WEFT_ORDER("cancel_inbox/1", std::memory_order_release),
                                          std::memory_order_relaxed));
  }

  // Any thread. All that were pushed, oldest first, linked through Operation::link, and now the caller's; null: none.
  Operation* TakeAll() noexcept {
    // relaxed: a miss is followed by a ring.
    if (head_.load(std::memory_order_relaxed) == nullptr) return nullptr;
    // [cancel_inbox/2] acquire: pairs with [cancel_inbox/1].
    Operation* newest = head_.exchange(nullptr, WEFT_ORDER("cancel_inbox/2", std::memory_order_acquire));
    Operation* oldest = nullptr;
    while (newest != nullptr) {
      Operation* const rest = newest->link;
      newest->link = oldest;
      oldest = newest;
      newest = rest;
    }
    return oldest;
  }

 private:
  Atomic<Operation*> head_{nullptr};
};

}  // namespace weft::internal

#endif  // WEFT_LIB_DRIVER_CANCEL_INBOX_H_

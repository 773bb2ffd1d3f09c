// Layer driver. How does an operation wait for an edge of its descriptor, and miss none?
//
//   An operation                                     Whoever has fetched an edge
//   1. reads the number of edges (Edges)             4. makes the calls of the waiters, oldest first, until one
//   2. makes its call; if that ended it, done           would block or none is left
//   3. if the number is another one, makes the       5. counts the edge
//      call once more; then becomes a waiter            (Wake; with the lock held)
//      (EndsAfterEdge, Push; with the lock held)
//
// Why no edge is missed. If 3 comes before 4, in the order of the lock, 4 finds a waiter. If it comes after 5, either 1
// had read this count already, and then the call 2 came after the edge [edge/1] [edge/2]; or 3 sees another number, and
// makes the call once more. That one comes after the edge, too, and no other edge can be counted before the operation
// is a waiter.
//
// Edges are hints and nothing else: what they cause is one more call. This is why no generation number is needed
// against a descriptor that is closed and its number given out anew. An event of the old one, fetched before Forget()
// and looked at after it, makes the new one's call too early, and that says EAGAIN.
//
// One call that would block stands for those behind it: they want the same of the descriptor. Not so a wait for the
// peer's hang-up, which may wait while there is data. Those stand before all others, and their calls are always made.
//
// Rejected: a flag "an edge has come", which an operation takes down before its call. With several operations it is
// wrong. Two connections come with one edge, after the call of a first accept; a second accept takes the flag down and
// one of the connections; the first finds no flag, and waits beside the other connection for a next edge.
#ifndef WEFT_LIB_DRIVER_EPOLL_DIRECTION_H_
#define WEFT_LIB_DRIVER_EPOLL_DIRECTION_H_

#include <cstdint>
#include <mutex>

#include "weft/internal/atomic.h"
#include "weft/internal/lock.h"
#include "weft/internal/operation.h"

namespace weft::internal {

// The operations that wait on one direction of a descriptor, oldest first, through Operation::next and ::link.
struct Direction {
  Lock lock;
  Atomic<uint32_t> edges{0};   // written with the lock held; overflows after 2^32, far more than one operation sees
  Operation* first = nullptr;  // lock
  Operation* last = nullptr;   // lock

  // Before the call of an operation.
  uint32_t Edges() const noexcept {
    // [edge/1] acquire: pairs with [edge/2]. Weaker, the call could come before the edge that it knows of.
    return edges.load(WEFT_ORDER("edge/1", std::memory_order_acquire));
  }

  // With the lock held, after a call that would have blocked, before which there were `seen` edges. True: another call,
  // by `ends`, has ended the operation. False: the caller makes it a waiter before it lets go of the lock.
  template <class Ends>
  bool EndsAfterEdge(Operation& op, uint32_t seen, const Ends& ends) noexcept {
    // relaxed: the lock is held.
    return edges.load(std::memory_order_relaxed) != seen && ends(op);
  }

  // An edge came. Waiters whose calls end, by `ends`, are waiters no more, and given to `ended`. Returns how many edges
  // there have been, this one included.
  template <class Ends, class Ended>
  uint32_t Wake(const Ends& ends, const Ended& ended) noexcept {
    std::lock_guard guard(lock);
    Operation* next = nullptr;
    for (Operation* op = first; op != nullptr; op = next) {
      next = op->next;
      if (ends(*op)) {
        Remove(*op);
        ended(*op);
      } else if (!WaitsForHangUp(*op)) {
        break;
      }
    }
    // relaxed: the lock is held.
    const uint32_t count = edges.load(std::memory_order_relaxed) + 1;
    // [edge/2] release: pairs with [edge/1].
    edges.store(count, WEFT_ORDER("edge/2", std::memory_order_release));
    return count;
  }

  // With the lock held.
  void Push(Operation& op) noexcept { Insert(op, WaitsForHangUp(op) ? nullptr : last); }
  void Remove(Operation& op) noexcept {
    Operation* const before = op.link;
    (before == nullptr ? first : before->next) = op.next;
    if (op.next == nullptr) {
      last = before;
    } else {
      op.next->link = before;
    }
    op.next = nullptr;
    op.link = nullptr;
  }

 private:
  static bool WaitsForHangUp(const Operation& op) noexcept {
    return op.request.code == IoRequest::Code::kCallWhenHungUp;
  }
  void Insert(Operation& op, Operation* behind) noexcept {
    op.link = behind;
    op.next = behind == nullptr ? first : behind->next;
    (behind == nullptr ? first : behind->next) = &op;
    if (op.next == nullptr) {
      last = &op;
    } else {
      op.next->link = &op;
    }
  }
};

}  // namespace weft::internal

#endif  // WEFT_LIB_DRIVER_EPOLL_DIRECTION_H_

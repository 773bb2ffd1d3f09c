// How do those who put values in stay out of the way of those who take them out?
//
// Each side counts the values that it has moved, and remembers what the other side's count was when it last had to
// know. While that is enough, a side touches nothing that the other one writes but the values themselves:
//
//   P1. The tail's side moves a value in only if count - seen < limit. The head's count only grows, so there is room.
//   P2. The head's side moves a value out only if count < seen: the value was moved in before the tail counted it.
//   P3. [element_ring/1] and [element_ring/2]: a value is there for whoever reads the count that counts it.
//   P4. [element_ring/3] and [element_ring/4]: a place is empty for whoever reads the count that counts the value that
//       was moved out of it.
//   Who holds both locks knows both counts, and needs none of this. It leaves `seen` as it is, which `count` may
//   therefore overtake.
//
// Only a ring without a limit leaves blocks and adds them. That concerns both sides, so it needs both locks: once in
// kPlacesPerBlock values.
//
// What is done with each value is here, what happens once in a block is in element_ring.cc.
//
// (Two locks: M. Michael, M. Scott, "Simple, Fast, and Practical Non-Blocking and Blocking Concurrent Queue
// Algorithms", PODC 1996. Counts that are remembered: P. Lee and others, "A Lock-Free, Cache-Efficient Shared Ring
// Buffer", ANCS 2009.)
#ifndef WEFT_LIB_CHANNEL_ELEMENT_RING_H_
#define WEFT_LIB_CHANNEL_ELEMENT_RING_H_

#include "weft/channel/element_ring.h"
#include "weft/internal/atomic.h"

namespace weft::internal {

inline bool ElementRing::TryPushBack(const ElementType& type, void* value) noexcept {
  const int64_t count = tail_.count.load(std::memory_order_relaxed);
  if (count - tail_.seen.load(std::memory_order_relaxed) >= limit_) {
    // [element_ring/4] acquire: pairs with [element_ring/3].
    const int64_t taken = head_.count.load(WEFT_ORDER("element_ring/4", std::memory_order_acquire));
    tail_.seen.store(taken, std::memory_order_relaxed);
    if (count - taken >= limit_) return false;
  }
  if (tail_.next.at == tail_.next.end) {
    if (!limited()) return false;
    tail_.next = Begin(type, tail_.next.block);
  }
  MoveIn(type, value);
  return true;
}

inline bool ElementRing::TryPopFront(const ElementType& type, void* to) noexcept {
  const int64_t count = head_.count.load(std::memory_order_relaxed);
  if (count >= head_.seen.load(std::memory_order_relaxed)) {
    // [element_ring/2] acquire: pairs with [element_ring/1].
    const int64_t put = tail_.count.load(WEFT_ORDER("element_ring/2", std::memory_order_acquire));
    head_.seen.store(put, std::memory_order_relaxed);
    if (count == put) return false;
  }
  if (head_.next.at == head_.next.end) {
    if (!limited()) return false;
    head_.next = Begin(type, head_.next.block);
  }
  type.move(to, head_.next.at);
  DropNext(type);
  return true;
}

inline bool ElementRing::PushBack(const ElementType& type, void* value) noexcept {
  if (tail_.next.at == tail_.next.end && !AdvanceTail(type)) [[unlikely]]
    return false;
  MoveIn(type, value);
  return true;
}

inline void ElementRing::PopFront(const ElementType& type, void* to) noexcept {
  if (head_.next.at == head_.next.end) [[unlikely]]
    LeaveHeadBlock(type);
  type.move(to, head_.next.at);
  DropNext(type);
}

inline void ElementRing::DropFront(const ElementType& type) noexcept {
  if (head_.next.at == head_.next.end) [[unlikely]]
    LeaveHeadBlock(type);
  DropNext(type);
}

inline void ElementRing::MoveIn(const ElementType& type, void* value) noexcept {
  type.move(tail_.next.at, value);
  tail_.next.at += type.size;
  // [element_ring/1] release: pairs with [element_ring/2].
  tail_.count.store(tail_.count.load(std::memory_order_relaxed) + 1,
                    WEFT_ORDER("element_ring/1", std::memory_order_release));
}

inline void ElementRing::DropNext(const ElementType& type) noexcept {
  if (type.destroy != nullptr) type.destroy(head_.next.at);
  head_.next.at += type.size;
  // [element_ring/3] release: pairs with [element_ring/4].
  head_.count.store(head_.count.load(std::memory_order_relaxed) + 1,
                    WEFT_ORDER("element_ring/3", std::memory_order_release));
}

}  // namespace weft::internal

#endif  // WEFT_LIB_CHANNEL_ELEMENT_RING_H_

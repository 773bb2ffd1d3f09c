// What is done with each value that a channel keeps. The rest, what happens once in a block, is in element_ring.cc.
#ifndef WEFT_LIB_CHANNEL_ELEMENT_RING_H_
#define WEFT_LIB_CHANNEL_ELEMENT_RING_H_

#include "weft/channel/element_ring.h"

namespace weft::internal {

inline bool ElementRing::PushBack(const ElementType& type, void* value) noexcept {
  if (tail_.at == tail_.end && !AdvanceTail(type)) [[unlikely]]
    return false;
  type.move(tail_.at, value);
  tail_.at += type.size;
  ++size_;
  return true;
}

inline void ElementRing::PopFront(const ElementType& type, void* to) noexcept {
  type.move(to, head_.at);
  DropFront(type);
}

inline void ElementRing::DropFront(const ElementType& type) noexcept {
  if (type.destroy != nullptr) type.destroy(head_.at);
  head_.at += type.size;
  --size_;
  if (head_.at == head_.end) [[unlikely]]
    LeaveHeadBlock(type);
}

}  // namespace weft::internal

#endif  // WEFT_LIB_CHANNEL_ELEMENT_RING_H_

#include "weft/channel/element_ring.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <new>

namespace weft::internal {

size_t ElementRing::OffsetOfPlaces(const ElementType& type) noexcept {
  const size_t alignment = std::max(type.alignment, alignof(Block));
  return (sizeof(Block) + alignment - 1) & ~(alignment - 1);
}

size_t ElementRing::BytesOf(const ElementType& type, size_t places) noexcept {
  return OffsetOfPlaces(type) + places * type.size;
}

void* ElementRing::At(const ElementType& type, Position position) noexcept {
  return reinterpret_cast<char*>(position.block) + OffsetOfPlaces(type) + position.place * type.size;
}

ElementRing::Block* ElementRing::Allocate(const ElementType& type, size_t places) noexcept {
  size_t bytes;
  if (__builtin_mul_overflow(places, type.size, &bytes) || bytes > SIZE_MAX / 2) return nullptr;
  void* const memory = type.allocate(BytesOf(type, places), std::max(type.alignment, alignof(Block)));
  return memory == nullptr ? nullptr : ::new (memory) Block{nullptr, places};
}

void ElementRing::Free(const ElementType& type, Block* block) noexcept {
  type.free(block, BytesOf(type, block->places), std::max(type.alignment, alignof(Block)));
}

bool ElementRing::Init(const ElementType& type, int64_t limit) noexcept {
  limited_ = limit >= 0;
  if (limit <= 0) return true;
  Block* const block = Allocate(type, static_cast<size_t>(limit));
  if (block == nullptr) return false;
  head_.block = tail_.block = block->next = block;
  return true;
}

void ElementRing::Destroy(const ElementType& type) noexcept {
  for (; size_ > 0; --size_) {
    if (head_.place == head_.block->places) head_ = {head_.block->next, 0};
    type.destroy(At(type, head_));
    ++head_.place;
  }
  Block* const last = tail_.block;
  if (last == nullptr) return;
  for (Block* block = last->next; block != last;) {
    Block* const next = block->next;
    Free(type, block);
    block = next;
  }
  Free(type, last);
  head_ = tail_ = {};
}

bool ElementRing::PushBack(const ElementType& type, void* value) noexcept {
  if (tail_.block == nullptr || tail_.place == tail_.block->places) [[unlikely]] {
    if (!AdvanceTail(type)) return false;
  }
  type.move(At(type, tail_), value);
  ++tail_.place;
  ++size_;
  return true;
}

void ElementRing::PopFront(const ElementType& type, void* to) noexcept {
  type.move(to, At(type, head_));
  DropFront(type);
}

void ElementRing::DropFront(const ElementType& type) noexcept {
  type.destroy(At(type, head_));
  --size_;
  ++head_.place;
  if (size_ == 0) {
    // Both are in one block. The next value goes where the processor's cache has the memory.
    head_.place = tail_.place = 0;
  } else if (head_.place == head_.block->places) [[unlikely]] {
    LeaveHeadBlock(type);
  }
}

// The tail's block is full, or there is none.
bool ElementRing::AdvanceTail(const ElementType& type) noexcept {
  // The only block of a ring with a limit, or one to spare.
  if (limited_ || (tail_.block != nullptr && tail_.block->next != head_.block)) {
    tail_ = {tail_.block->next, 0};
    return true;
  }
  Block* const added = Allocate(type, kPlacesPerBlock);
  if (added == nullptr) return false;
  if (tail_.block == nullptr) {
    head_.block = added->next = added;
  } else {
    added->next = tail_.block->next;
    tail_.block->next = added;
  }
  tail_ = {added, 0};
  return true;
}

// The values of the head's block are gone, and there are others. A second block to spare, behind the tail's, is freed.
void ElementRing::LeaveHeadBlock(const ElementType& type) noexcept {
  Block* const left = head_.block;
  Block* const spare = tail_.block->next;
  if (spare != left) {
    tail_.block->next = spare->next;
    Free(type, spare);
  }
  head_ = {left->next, 0};
}

}  // namespace weft::internal

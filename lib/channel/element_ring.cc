#include "lib/channel/element_ring.h"

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

char* ElementRing::FirstPlace(const ElementType& type, Block* block) noexcept {
  return reinterpret_cast<char*>(block) + OffsetOfPlaces(type);
}

ElementRing::Position ElementRing::Begin(const ElementType& type, Block* block) noexcept {
  char* const first = FirstPlace(type, block);
  return {block, first, first + block->places * type.size};
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
  block->next = block;
  head_ = tail_ = Begin(type, block);
  return true;
}

void ElementRing::Destroy(const ElementType& type) noexcept {
  while (size_ > 0) DropFront(type);
  Block* const last = tail_.block;
  if (last == nullptr) return;
  for (Block* block = last->next; block != last;) {
    Block* const next = block->next;
    Free(type, block);
    block = next;
  }
  Free(type, last);
}

// The tail's block is full, or there is none.
bool ElementRing::AdvanceTail(const ElementType& type) noexcept {
  // The only block of a ring with a limit, or one to spare.
  if (limited_ || (tail_.block != nullptr && tail_.block->next != head_.block)) {
    tail_ = Begin(type, tail_.block->next);
    return true;
  }
  Block* const added = Allocate(type, kPlacesPerBlock);
  if (added == nullptr) return false;
  if (tail_.block == nullptr) {
    added->next = added;
    head_ = Begin(type, added);
  } else {
    added->next = tail_.block->next;
    tail_.block->next = added;
  }
  tail_ = Begin(type, added);
  return true;
}

// The values of the head's block are gone. If there are others, a second block to spare, behind the tail's, is freed.
void ElementRing::LeaveHeadBlock(const ElementType& type) noexcept {
  if (size_ == 0) {  // both are at the end of one block
    head_ = tail_ = Begin(type, tail_.block);
    return;
  }
  Block* const left = head_.block;
  Block* const spare = tail_.block->next;
  if (spare != left) {
    tail_.block->next = spare->next;
    Free(type, spare);
  }
  head_ = Begin(type, left->next);
}

}  // namespace weft::internal

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
  limit_ = limit == kNoLimit ? INT64_MAX : limit;
  if (limit <= 0) return true;
  Block* const block = Allocate(type, static_cast<size_t>(limit));
  if (block == nullptr) return false;
  block->next = block;
  head_.next = tail_.next = Begin(type, block);
  return true;
}

void ElementRing::Destroy(const ElementType& type) noexcept {
  while (size() > 0) DropFront(type);
  Block* const last = tail_.next.block;
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
  Block* const full = tail_.next.block;
  if (full != nullptr && size() == 0) {  // both sides are at the end of this block
    head_.next = tail_.next = Begin(type, full);
    return true;
  }
  // The only block of a ring with a limit, or one to spare.
  if (limited() || (full != nullptr && full->next != head_.next.block)) {
    tail_.next = Begin(type, full->next);
    return true;
  }
  Block* const added = Allocate(type, kPlacesPerBlock);
  if (added == nullptr) return false;
  if (full == nullptr) {
    added->next = added;
    head_.next = Begin(type, added);
  } else {
    added->next = full->next;
    full->next = added;
  }
  tail_.next = Begin(type, added);
  return true;
}

// The values of the head's block are gone, and there are others. A second block to spare, behind the tail's, is freed.
void ElementRing::LeaveHeadBlock(const ElementType& type) noexcept {
  Block* const left = head_.next.block;
  Block* const spare = tail_.next.block->next;
  if (spare != left) {
    tail_.next.block->next = spare->next;
    Free(type, spare);
  }
  head_.next = Begin(type, left->next);
}

}  // namespace weft::internal

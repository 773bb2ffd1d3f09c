// The values that a channel keeps, in their order, whatever their type. (lib/channel/element_ring.h)
#ifndef WEFT_CHANNEL_ELEMENT_RING_H_
#define WEFT_CHANNEL_ELEMENT_RING_H_

#include "weft/internal/compiler.h"

#include <cstddef>
#include <cstdint>

namespace weft::internal {

// What is done with values of one type, each of which lies at an address; and where the memory for them comes from.
// Constants, one for each type.
struct ElementType {
  size_t size;  // a multiple of the alignment
  size_t alignment;
  void (*move)(void* to, void* from) noexcept;  // makes one at `to`; the one at `from` stays, moved from
  void (*destroy)(void* value) noexcept;         // null: there is nothing to do
  void* (*allocate)(size_t bytes, size_t alignment) noexcept;  // null: there is no memory
  void (*free)(void* memory, size_t bytes, size_t alignment) noexcept;
};

// Blocks of places, in a circle. The values lie in the places from the head to the tail. A ring with a limit has one
// block from the start. One without has as many as it needs, and one to spare: a block of kPlacesPerBlock is added when
// the tail would run into the head, and freed when the head has left it.
//
// Unguarded: whoever owns it guards it.
class ElementRing {
 public:
  static constexpr size_t kPlacesPerBlock = 64;
  static constexpr int64_t kNoLimit = -1;

  // A `limit` of 0 or more allocates, and returns false without memory.
  [[nodiscard]] bool Init(const ElementType& type, int64_t limit) noexcept;
  ElementRing() = default;
  ElementRing(const ElementRing&) = delete;
  ElementRing& operator=(const ElementRing&) = delete;
  void Destroy(const ElementType& type) noexcept;  // with what is in it

  int64_t size() const noexcept { return size_; }
  // Moves a value in. False: there is no memory, and nothing has changed. The caller has compared the size with the
  // limit.
  [[nodiscard]] inline bool PushBack(const ElementType& type, void* value) noexcept;
  // Moves the first out, to `to`. There is one.
  inline void PopFront(const ElementType& type, void* to) noexcept;
  inline void DropFront(const ElementType& type) noexcept;

 private:
  struct Block {
    Block* next;
    size_t places;
  };
  struct Position {
    Block* block = nullptr;
    char* at = nullptr;
    char* end = nullptr;  // of the block
  };
  static size_t OffsetOfPlaces(const ElementType& type) noexcept;
  static size_t BytesOf(const ElementType& type, size_t places) noexcept;
  static char* FirstPlace(const ElementType& type, Block* block) noexcept;
  static Position Begin(const ElementType& type, Block* block) noexcept;
  static Block* Allocate(const ElementType& type, size_t places) noexcept;
  static void Free(const ElementType& type, Block* block) noexcept;
  bool AdvanceTail(const ElementType& type) noexcept;
  void LeaveHeadBlock(const ElementType& type) noexcept;

  int64_t size_ = 0;
  bool limited_ = false;
  Position head_;  // the first value, if there is one
  Position tail_;  // where the next one goes; perhaps behind the last place of its block
};

}  // namespace weft::internal

#endif  // WEFT_CHANNEL_ELEMENT_RING_H_

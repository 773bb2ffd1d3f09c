// The values that a channel keeps, in their order, whatever their type. (lib/channel/element_ring.h)
#ifndef WEFT_CHANNEL_ELEMENT_RING_H_
#define WEFT_CHANNEL_ELEMENT_RING_H_

#include "weft/internal/compiler.h"

#include <cstddef>
#include <cstdint>

#include "weft/internal/atomic.h"
#include "weft/internal/lock.h"

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
// Each side has a lock, and lies on cache lines that the other side does not write. Its owner takes the locks.
class ElementRing {
 public:
  static constexpr size_t kPlacesPerBlock = 64;
  static constexpr int64_t kNoLimit = INT64_MIN;  // a capacity of -1 is somebody's mistake

  // A `limit` of 0 or more allocates, and returns false without memory.
  [[nodiscard]] bool Init(const ElementType& type, int64_t limit) noexcept;
  ElementRing() = default;
  ElementRing(const ElementRing&) = delete;
  ElementRing& operator=(const ElementRing&) = delete;
  void Destroy(const ElementType& type) noexcept;  // with what is in it

  Lock& tail_lock() noexcept { return tail_.lock; }
  Lock& head_lock() noexcept { return head_.lock; }  // lies behind the tail's

  int64_t limit() const noexcept { return limit_; }  // in values; INT64_MAX if there is none

  // ---- Under the tail's lock. Moves a value in. False: it is full, or a block has to be added.
  [[nodiscard]] inline bool TryPushBack(const ElementType& type, void* value) noexcept;

  // ---- Under the head's lock. Moves the first out, to `to`. False: there is none, or a block has to be left.
  [[nodiscard]] inline bool TryPopFront(const ElementType& type, void* to) noexcept;

  // ---- Under both locks.
  int64_t size() const noexcept {
    return tail_.count.load(std::memory_order_relaxed) - head_.count.load(std::memory_order_relaxed);
  }
  bool full() const noexcept { return size() >= limit_; }
  // It is not full. False: there is no memory, and nothing has changed.
  [[nodiscard]] inline bool PushBack(const ElementType& type, void* value) noexcept;
  // There is a value.
  inline void PopFront(const ElementType& type, void* to) noexcept;
  inline void DropFront(const ElementType& type) noexcept;

  // ---- Any thread. False: it was empty a moment ago.
  bool MayHaveValues() const noexcept {
    const int64_t taken = head_.count.load(std::memory_order_relaxed);
    return taken < head_.seen.load(std::memory_order_relaxed) || taken != tail_.count.load(std::memory_order_relaxed);
  }

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
  struct Side {
    Lock lock;
    // Of the values that this side has moved, ever. relaxed: by this side itself, under both locks, or as a hint.
    Atomic<int64_t> count{0};
    // What `count` of the other side was when this one last had to know. relaxed: guarded by `lock`, or read as a hint.
    Atomic<int64_t> seen{0};
    Position next;  // where it moves the next value; if that is the end of a block, it leaves that first
  };
  // So far apart two sides never share a cache line, wherever the ring lies.
  static constexpr size_t kApart = 64 - alignof(Side);

  static size_t OffsetOfPlaces(const ElementType& type) noexcept;
  static size_t BytesOf(const ElementType& type, size_t places) noexcept;
  static char* FirstPlace(const ElementType& type, Block* block) noexcept;
  static Position Begin(const ElementType& type, Block* block) noexcept;
  static Block* Allocate(const ElementType& type, size_t places) noexcept;
  static void Free(const ElementType& type, Block* block) noexcept;
  bool limited() const noexcept { return limit_ != INT64_MAX; }
  bool AdvanceTail(const ElementType& type) noexcept;
  void LeaveHeadBlock(const ElementType& type) noexcept;
  inline void MoveIn(const ElementType& type, void* value) noexcept;
  inline void DropNext(const ElementType& type) noexcept;

  int64_t limit_ = 0;
  [[maybe_unused]] char before_tail_[kApart];
  Side tail_;
  [[maybe_unused]] char before_head_[kApart];
  Side head_;
};

}  // namespace weft::internal

#endif  // WEFT_CHANNEL_ELEMENT_RING_H_

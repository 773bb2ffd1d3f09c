// What of the drain of a cancelled thread lies in scopes and locks. (lib/cancel/drain.h says what a drain is.)
#ifndef WEFT_INTERNAL_DRAIN_NODES_H_
#define WEFT_INTERNAL_DRAIN_NODES_H_

#include "weft/internal/compiler.h"

#include <cstdint>

#include "weft/internal/atomic.h"
#include "weft/internal/list.h"
#include "weft/internal/thread_key.h"

namespace weft::internal {

class JoinCount;
class ThreadBlock;

struct WantedTag;
struct DrainTag;

// Which thread has got a permit, and how many scopes it had opened by then.
struct PermitReceipt {
  ThreadKey thread;
  uint32_t scopes_opened = 0;
};

// The part of a lock that says who holds it.
class HeldLock : public ListNode<WantedTag> {
 public:
  HeldLock() = default;
  HeldLock(const HeldLock&) = delete;
  HeldLock& operator=(const HeldLock&) = delete;

  // ---- Guarded by the lock of the lock itself.
  // `scopes_opened`: by the holder, before it got the lock.
  void SetHolder(ThreadKey holder, uint32_t scopes_opened) noexcept {
    address_.store(holder.address, std::memory_order_relaxed);
    id_.store(holder.id, std::memory_order_relaxed);
    scopes_opened_.store(scopes_opened, std::memory_order_relaxed);
  }
  ThreadKey holder() const noexcept {
    return {address_.load(std::memory_order_relaxed), id_.load(std::memory_order_relaxed)};
  }
  uint32_t scopes_opened() const noexcept { return scopes_opened_.load(std::memory_order_relaxed); }

 private:
  // relaxed: others look under the lock of the stripe, and what they look for was written before they began.
  Atomic<const void*> address_{nullptr};
  Atomic<uint64_t> id_{0};             // relaxed: as above
  Atomic<uint32_t> scopes_opened_{0};  // relaxed: as above
};

// A wait of a scope's owner, for the children, that may be pressed. Lies in the scope.
struct Drain : ListNode<DrainTag> {
  ThreadBlock* thread;   // the owner
  ThreadKey owner;
  uint32_t since;        // which of the owner's scopes it is: locks from before an exception would not give back either
  JoinCount* children;
  bool listed = false;   // the owner's
  enum Pressed : uint8_t { kNotPressed, kForLock, kForPermit } pressed = kNotPressed;  // the owner's, once it has left
};

}  // namespace weft::internal

#endif  // WEFT_INTERNAL_DRAIN_NODES_H_

// Layer os. What guards something that is global, in a process that may fork(2)?
//
//   constinit GlobalLock registry_lock;
//   std::lock_guard guard(registry_lock);
//
// A fork copies all memory, but only one thread. A Lock that another thread holds at that moment stays locked in the
// child for ever. So fork() itself takes every GlobalLock that was ever used, and releases it on both sides: the child
// finds each lock free, and the data that it guards whole. A Lock in an object needs no such care, if the child does
// not touch the object.
//
// For static storage: it is never destroyed. The rest is like Lock (weft/internal/lock.h). A thread that calls fork()
// must hold none.
//
// fork() may take the locks in any order, whatever order they nest in: it waits for none while it holds another.
//
// Cost: that of a Lock and a predicted branch; of a fork, two locked instructions for each.
#ifndef WEFT_LIB_OS_GLOBAL_LOCK_H_
#define WEFT_LIB_OS_GLOBAL_LOCK_H_

#include "weft/internal/atomic.h"
#include "weft/internal/lock.h"

namespace weft::internal {

// What a fork takes.
struct ForkLock {
  Lock* lock;
  ForkLock* next = nullptr;
};

// The same for a Lock within a global object that is made as an ordinary one. Once, before its first use. `node` lives
// as long.
void TakeOverFork(ForkLock& node) noexcept;

class GlobalLock {
 public:
  constexpr GlobalLock() noexcept = default;
  GlobalLock(const GlobalLock&) = delete;
  GlobalLock& operator=(const GlobalLock&) = delete;

  void lock() noexcept {
    if (!IsKnown()) [[unlikely]]
      MakeKnown();
    lock_.lock();
  }
  [[nodiscard]] bool try_lock() noexcept {
    if (!IsKnown()) [[unlikely]]
      MakeKnown();
    return lock_.try_lock();
  }
  void unlock() noexcept { lock_.unlock(); }

 private:
  bool IsKnown() const noexcept { return known_.load(std::memory_order_relaxed); }
  void MakeKnown() noexcept;

  Lock lock_;
  Atomic<bool> known_{false};  // relaxed: written under a lock that every fork takes before it looks
  ForkLock node_{&lock_};
};

}  // namespace weft::internal

#endif  // WEFT_LIB_OS_GLOBAL_LOCK_H_

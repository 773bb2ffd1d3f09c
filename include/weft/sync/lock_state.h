// What a lock is without its name: so many permits, and one queue of those who wait for some. How it works is in
// lib/sync/lock_state.h.
#ifndef WEFT_SYNC_LOCK_STATE_H_
#define WEFT_SYNC_LOCK_STATE_H_

#include "weft/internal/compiler.h"

#include <cstdint>
#include <source_location>

#include "weft/internal/atomic.h"
#include "weft/internal/drain_nodes.h"
#include "weft/internal/wait_node.h"

namespace weft::internal {

enum class LockKind : uint8_t { kMutex, kRecursiveMutex, kSharedMutex, kSemaphore };

template <class Thread>
struct LockState {
  LockState(LockKind which, int64_t count) noexcept
      : permits(count), owned(which == LockKind::kSemaphore ? -1 : count), kind(which), available(count) {}

  WaitQueue<Thread> waiters;
  const int64_t permits;
  const int64_t owned;  // whoever takes so many is the owner; -1: there is none
  const LockKind kind;
  // ---- Guarded by waiters.lock.
  bool wanted = false;   // listed among the locks that threads wait for
  bool ordered = false;  // perhaps known to the order of locks (lib/sync/lock_order.h)
  uint32_t again = 0;    // of a RecursiveMutex: how often its holder has locked it again
  int64_t available;
  // Whoever has got permits last. With an address it is the only one, and has all of them.
  HeldLock holder;
  std::source_location since;  // of `holder`, for messages; line() is 0 if it is not known
  // The guard that was got `since` has been moved, perhaps to another thread. Not guarded: guards are moved under any
  // lock. relaxed: it matters to the thread that has moved it.
  Atomic<bool> passed_on{false};
};

// Who wants permits. Lies in the awaiter.
template <class Thread>
struct LockWaitOf {
  static constexpr int64_t kAgain = -1;  // a ConditionWaitOf: the whole lock, as it was held before

  LockState<Thread>* lock;
  int64_t permits;
};

}  // namespace weft::internal

#endif  // WEFT_SYNC_LOCK_STATE_H_

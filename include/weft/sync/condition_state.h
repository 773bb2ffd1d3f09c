// What a ConditionVariable is without the lock that goes with it. How it works is in lib/sync/condition_state.h.
#ifndef WEFT_SYNC_CONDITION_STATE_H_
#define WEFT_SYNC_CONDITION_STATE_H_

#include "weft/internal/compiler.h"

#include <cstdint>
#include <source_location>

#include "weft/internal/wait_node.h"
#include "weft/sync/lock_state.h"

namespace weft::internal {

template <class Thread>
struct ConditionState {
  WaitQueue<Thread> waiters;
  LockState<Thread>* lock = nullptr;  // of those who wait; guarded by waiters.lock
};

// How a lock was held when its holder began to wait for a condition.
template <class Thread>
struct HeldBefore : LockWaitOf<Thread> {
  uint32_t again = 0;
  uint32_t scopes_opened = 0;
  std::source_location since = {};
  bool passed_on = false;
};

// Lies in the awaiter.
template <class Thread>
struct ConditionWaitOf : HeldBefore<Thread> {
  enum class Phase : uint8_t {
    kWaiting,    // for the condition
    kNotified,   // for the lock, and then it is over
    kCancelled,  // for the lock, and then the thread is unwound
  };

  ConditionWaitOf(ConditionState<Thread>& on, LockState<Thread>* held) noexcept
      : HeldBefore<Thread>{{held, LockWaitOf<Thread>::kAgain}}, condition(&on) {}

  ConditionState<Thread>* condition;
  Phase phase = Phase::kWaiting;  // guarded by the condition's waiters.lock
};

}  // namespace weft::internal

#endif  // WEFT_SYNC_CONDITION_STATE_H_

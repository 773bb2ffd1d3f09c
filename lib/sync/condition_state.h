// How is no signal lost, and the lock held again whenever a wait has ended?
//
// A thread that waits stands first in the queue of the condition, then in that of the lock, and it goes on only with
// the lock. It changes queues once:
//
//   phase        is in              next
//   kWaiting     the condition's    kNotified (Notify), kCancelled (Withdraw)
//   kNotified    the lock's         gets the lock, and goes on
//   kCancelled   the lock's         gets the lock, and is unwound
//
// Notify and Withdraw take it out of the condition's queue under that queue's lock, and put it into the lock's queue
// under both. So it is notified or cancelled, never both. A notified thread cannot be withdrawn any more: the signal is
// its own, and a request ends it at its next checkpoint. A cancelled thread had no signal. Whoever notifies finds the
// next one.
//
// No thundering herd: a thread that is notified by the holder of the lock is not woken before it has the lock.
// (Requeue, as in FUTEX_CMP_REQUEUE and in Birrell's wait morphing.)
//
// The thread gives the lock back under the lock of the condition's queue, when it stands in that. So whoever takes the
// lock after it, and notifies, finds it there.
//
// Order of locks: the queue of the condition, then the queue of the lock.
//
// Rejected: a wait as a coroutine with a clean-up that locks again (weft/finally.h): two frames and a shield for each
// wait, and a notified thread that is cancelled between its two waits loses the signal.
#ifndef WEFT_LIB_SYNC_CONDITION_STATE_H_
#define WEFT_LIB_SYNC_CONDITION_STATE_H_

#include <cstdint>
#include <mutex>
#include <type_traits>

#include "lib/base/list.h"
#include "lib/sync/lock_state.h"
#include "lib/thread/wait_node.h"
#include "weft/internal/wait_node.h"
#include "weft/sync/condition_state.h"
#include "weft/sync/lock_state.h"

namespace weft::internal {

template <class Thread>
struct ConditionSteps {
  using State = ConditionState<Thread>;
  using Wait = ConditionWaitOf<Thread>;
  using Lock = LockSteps<Thread>;

  // The caller, which has the lock, waits from here on, and may be woken by anyone. `Node` is a Thread, whose
  // `waiting_on` is the wait, or an OsLockNode. False: others wait with another lock.
  template <class Node>
  [[nodiscard]] static bool Add(Wait& wait, Node& node) noexcept {
    State& condition = *wait.condition;
    WaitNodes granted;
    {
      std::lock_guard guard(condition.waiters.lock);
      if (condition.waiters.nodes.empty()) condition.lock = wait.lock;
      if (condition.lock != wait.lock) return false;
      wait.phase = Wait::Phase::kWaiting;  // it may have been waited with before
      if constexpr (std::is_same_v<Node, Thread>) node.wait_state = WaitNode::State::kThread;
      condition.waiters.nodes.PushBack(&node);
      Lock::GiveToWait(wait, granted);
    }
    Lock::WakeAll(granted);
    return true;
  }

  // The first `count` of those who wait go on to the lock. True: there was one, and `holder` is who has the lock, if
  // anybody.
  static bool Notify(State& condition, int64_t count, LockHolder& holder) noexcept {
    WaitNodes granted;
    bool moved = false;
    {
      std::lock_guard guard(condition.waiters.lock);
      for (; count > 0; --count) {
        WaitNode* const node = condition.waiters.nodes.PopFront();
        if (node == nullptr) break;
        static_cast<Wait&>(Lock::WaitOf(*node)).phase = Wait::Phase::kNotified;
        Lock::Requeue(*condition.lock, *node, granted, holder);
        moved = true;
      }
    }
    Lock::WakeAll(granted);
    return moved;
  }

  // How a Withdraw() has ended.
  enum class Withdrawn : uint8_t {
    kNo,        // it was notified, or is being cancelled already
    kWithLock,  // it has the lock again
    kForLock,   // it waits for the lock, which `holder` has, and is unwound when it is woken with it
  };
  // For WaitKind::withdraw.
  static Withdrawn Withdraw(Thread& thread, LockHolder& holder) noexcept {
    // (Not WaitOf(): the state of the node is guarded by the lock of the queue that it is in, whichever that is.)
    auto& wait = static_cast<Wait&>(*static_cast<LockWaitOf<Thread>*>(thread.waiting_on));
    WaitNodes granted;
    bool has_lock;
    {
      std::lock_guard guard(wait.condition->waiters.lock);
      if (wait.phase != Wait::Phase::kWaiting) return Withdrawn::kNo;
      wait.phase = Wait::Phase::kCancelled;
      WaitNodes::Remove(&thread);
      thread.unwind = true;  // before it can be woken: whoever wakes it publishes this
      has_lock = Lock::Requeue(*wait.lock, thread, granted, holder);
      if (has_lock) WaitNodes::Remove(&thread);  // which the caller makes runnable
    }
    Lock::WakeAll(granted);
    return has_lock ? Withdrawn::kWithLock : Withdrawn::kForLock;
  }
};

}  // namespace weft::internal

#endif  // WEFT_LIB_SYNC_CONDITION_STATE_H_

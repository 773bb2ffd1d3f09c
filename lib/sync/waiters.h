// Virtual threads that wait for the same thing: the queue of wait_node.h, for control blocks.
//
// Whoever grants takes the first waiter out under the lock and wakes it afterwards. Whoever cancels a thread takes it
// out under the lock, if it is still there. So a wait is either granted or cancelled, never both.
#ifndef WEFT_LIB_SYNC_WAITERS_H_
#define WEFT_LIB_SYNC_WAITERS_H_

#include <coroutine>
#include <mutex>

#include "lib/base/list.h"
#include "lib/thread/wait_node.h"
#include "weft/internal/promise.h"
#include "weft/internal/thread_block.h"
#include "weft/internal/wait.h"
#include "weft/internal/wait_node.h"

namespace weft::internal {

// WaitKind::withdraw of a wait whose `waiting_on` is the Waiters.
inline bool Waiters::Withdraw(ThreadBlock& thread) noexcept {
  auto& waiters = *static_cast<Waiters*>(thread.waiting_on);
  std::lock_guard guard(waiters.lock);
  return waiters.WithdrawLocked(thread);
}
// Like Grant(), for waits in which nothing is handed over.
inline ThreadBlock* Waiters::GrantThread() noexcept {
  WaitNode* const node = Grant();
  return node == nullptr ? nullptr : &ThreadOf(*node);
}
// Wakes those that GrantAll() has taken out.
inline void Waiters::WakeAll(WaitNodes& granted) noexcept {
  while (WaitNode* const node = granted.PopFront()) Wake(ThreadOf(*node));
}
// The first, to be named.
inline const ThreadBlock& Waiters::First() noexcept { return ThreadOf(*nodes.front()); }

// Waits in `waiters` unless take(), called under the lock, says that what is waited for was there and has been taken.
// For await_suspend: false if the coroutine goes on at once. `waiting_on` is for the withdraw of `kind`.
template <class Take>
bool WaitIn(Waiters& waiters, void* waiting_on, AwaitingFrame frame, const WaitKind& kind, Take take) noexcept {
  if (!EnterWait(frame, kind, waiting_on)) return true;
  ThreadBlock& self = *CurrentThread();
  {
    std::lock_guard guard(waiters.lock);
    if (!take()) {
      waiters.Add(self);
      return true;
    }
  }
  // It was there. We are here because it was not a moment ago, or because this thread has used up its turn.
  YieldInstead();
  return true;
}

// The same for Waiters::Withdraw().
template <class Take>
bool WaitIn(Waiters& waiters, AwaitingFrame frame, const WaitKind& kind, Take take) noexcept {
  return WaitIn(waiters, &waiters, frame, kind, take);
}

}  // namespace weft::internal

#endif  // WEFT_LIB_SYNC_WAITERS_H_

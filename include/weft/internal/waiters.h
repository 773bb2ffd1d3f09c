// Virtual threads that wait for the same thing, first come first served, under the lock of that thing.
//
// A waiter is its thread's control block: nothing is allocated, and the frame grows by nothing. Who grants takes the first waiter
// out under the lock and wakes it afterwards; who cancels takes it out under the lock, if it is still there. So a wait is either granted
// or cancelled, never both.
#ifndef WEFT_INTERNAL_WAITERS_H_
#define WEFT_INTERNAL_WAITERS_H_

#include "weft/internal/compiler.h"

#include <coroutine>
#include <mutex>

#include "weft/internal/lock.h"
#include "weft/internal/promise.h"
#include "weft/internal/scheduler.h"
#include "weft/internal/thread_block.h"

namespace weft::internal {

struct Waiters {
  Lock lock;
  ThreadQueue queue;  // guarded by lock

  void Add(ThreadBlock& self) noexcept {
    self.granted = false;
    queue.PushBack(&self);
  }
  // Takes out the first, or null. The caller wakes it, without the lock.
  ThreadBlock* Grant() noexcept {
    ThreadBlock* thread = queue.PopFront();
    if (thread != nullptr) thread->granted = true;
    return thread;
  }
  // Takes out all; the caller wakes them.
  void GrantAll(ThreadQueue& all) noexcept {
    for (ThreadBlock* thread = queue.front(); thread != nullptr; thread = queue.Next(thread)) thread->granted = true;
    all.Splice(queue);
  }

  // WaitKind::withdraw of a wait whose `waiting_on` is the Waiters.
  static bool Withdraw(ThreadBlock& thread) noexcept {
    auto& waiters = *static_cast<Waiters*>(thread.waiting_on);
    std::lock_guard guard(waiters.lock);
    return waiters.WithdrawLocked(thread);
  }
  bool WithdrawLocked(ThreadBlock& thread) noexcept {
    if (thread.granted) return false;  // its wake-up is under way
    ThreadQueue::Remove(&thread);
    return true;
  }
};

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
  // It was there. We are here because it was not a moment ago, or because this thread has had its share of such luck.
  YieldInstead();
  return true;
}

// The same for Waiters::Withdraw().
template <class Take>
bool WaitIn(Waiters& waiters, AwaitingFrame frame, const WaitKind& kind, Take take) noexcept {
  return WaitIn(waiters, &waiters, frame, kind, take);
}

}  // namespace weft::internal

#endif  // WEFT_INTERNAL_WAITERS_H_

// Who gets a lock, and who waits?
//
// A lock has so many permits: a mutex one, a semaphore as many as its user says, a reader-writer lock so many that its
// readers never take the last one, and a writer takes all. Those who wait stand in one queue. Under its lock:
//
//   I1. The first that is in the way wants more than what is available.
//   I2. Permits are taken at once only if nobody is in the way. So a large request that is first is not overtaken.
// In nobody's way is a request for more than there are permits, which waits until it is cancelled, and a wait for
// several things that is over, which may be in the queue until its thread goes on. Whoever cancels such a wait takes it
// out at once (SelectWait::Withdraw): its frame may stay for long.
//
//   operation     what it finds                        what it does
//   take          nobody in the way, enough available  takes
//                 a RecursiveMutex, held by the caller takes one hold more
//                 none of these                        waits; the lock is wanted (lib/cancel/drain.h)
//   give          nobody waits                          adds to what is available
//                 somebody waits                        the same, then Grant()
//   withdraw,     the thread is in the queue            takes it out, then Grant(): perhaps only this thread was in the
//   take back                                           way of the next one
//   requeue       (of a condition)                      adds to the queue, then Grant()
//   Grant                                               as long as there is enough for the next one, grants it
//
// An OS thread that waits has a node of its own in the same queue, and sleeps on a word of it.
//
// Owned: one thread has all permits of a lock that is no semaphore. Then `holder` names it by its address too, so that
// it can be made to give the lock back if it drains (lib/cancel/press.h). Of readers and permits only the last one is
// known, by its id, for reports: they are counted by the threads that have them (CountPermit).
//
// Waiters are granted under the lock, and woken without it. Whoever takes a wait back for a request may hold the
// records lock of that thread, and of scopes above it, and wakes the next ones all the same: a wake-up takes only locks
// under which nothing else is taken.
//
// Memory ordering: the queue's lock orders one holder's section before the next one's, Wake() or [locks/1] what a
// waiter is given.
//
// Rejected: a word that is taken without the lock (it would save two of four locked instructions of a free mutex; the
// holder's name, which dumps and the drain need, would then be written apart from it, and be wrong for a moment);
// waking the next one and letting it try again, as Go and parking_lot do outside of starvation (faster by a switch if
// the holder locks again at once; but then Lock() has no order, and a permit that was granted can be lost to a thread
// that is cancelled); a queue for readers and one for writers (then one side waits for as long as the other comes).
#ifndef WEFT_LIB_SYNC_LOCK_STATE_H_
#define WEFT_LIB_SYNC_LOCK_STATE_H_

#include <cstdint>
#include <mutex>
#include <source_location>
#include <type_traits>
#include <utility>

#include "lib/base/list.h"
#include "lib/os/futex.h"
#include "lib/thread/wait_node.h"
#include "weft/channel/wait_case.h"
#include "weft/internal/atomic.h"
#include "weft/internal/drain_nodes.h"
#include "weft/internal/thread_key.h"
#include "weft/internal/wait_node.h"
#include "weft/sync/condition_state.h"
#include "weft/sync/lock_state.h"

namespace weft::internal {

// What is known of the locks that threads wait for. (lock_core.cc; a program of the model checker has its own.)
void ListWanted(HeldLock& held, LockKind kind) noexcept;
void UnlistWanted(HeldLock& held, LockKind kind) noexcept;
// Names the OS thread that calls, like a thread's key. (lock_core.cc)
ThreadKey OsThreadKey() noexcept;

// An OS thread that waits.
template <class Thread>
struct OsLockNode : WaitNode {
  explicit OsLockNode(LockWaitOf<Thread>& of) noexcept
      : WaitNode(State::kOsThread), wait(of), key(OsThreadKey()) {}

  // Until it is woken.
  void Await() noexcept {
    // [locks/2] acquire: pairs with [locks/1].
    while (woken.load(WEFT_ORDER("locks/2", std::memory_order_acquire)) == 0) AwaitWord(woken, 0);
  }
  // The node must not be touched afterwards.
  void WakeUp() noexcept {
    Atomic<uint32_t>& word = woken;
    // [locks/1] release: pairs with [locks/2]. The OS thread sees what the last holder did, and its node is its own.
    word.store(1, WEFT_ORDER("locks/1", std::memory_order_release));
    FutexWake(word, 1);
  }

  LockWaitOf<Thread>& wait;
  const ThreadKey key;
  Atomic<uint32_t> woken{0};  // a futex
};

// What is known of a holder.
struct LockHolder {
  ThreadKey thread;  // without an address: not the only one, or nobody
  uint32_t scopes_opened = 0;
  std::source_location since = {};  // line() is 0: not known, or its guard may be another thread's by now
};

// How many wait in such a queue. Takes its lock.
template <class Thread>
int64_t QueueLengthOf(WaitQueue<Thread>& waiters) noexcept {
  std::lock_guard guard(waiters.lock);
  int64_t length = 0;
  for (WaitNode* node = waiters.nodes.front(); node != nullptr; node = waiters.nodes.Next(node)) {
    const bool is_case = node->wait_state == WaitNode::State::kCase;
    length += !is_case || static_cast<WaitCase<Thread>*>(node)->wait.claimed_by() == WaitForSeveral<Thread>::kOpen;
  }
  return length;
}

// The steps under a lock's lock.
template <class Thread>
struct LockSection {
  using State = LockState<Thread>;
  using Wait = LockWaitOf<Thread>;

  static bool TakeLocked(State& lock, int64_t permits, Thread* self) noexcept {
    if (!Fits(lock, permits)) return TakeRarelyLocked(lock, permits, self);
    lock.available -= permits;
    NoteHolder(lock, permits, self);
    return true;
  }
  // It is wanted until nobody waits any more: until a Grant() has found that.
  static void AddLocked(State& lock, WaitNode& node) noexcept {
    lock.waiters.nodes.PushBack(&node);
    if (lock.wanted) return;
    lock.wanted = true;
    ListWanted(lock.holder, lock.kind);
  }
  // Of a lock that is free there is none; what `holder` says is old.
  static LockHolder HolderOf(const State& lock) noexcept {
    if (lock.available == lock.permits) return {};
    const bool passed_on = lock.passed_on.load(std::memory_order_relaxed);
    return {lock.holder.holder(), lock.holder.scopes_opened(), passed_on ? std::source_location() : lock.since};
  }
  static bool IsHeldBy(const State& lock, const Thread* self) noexcept {
    return lock.available == 0 && lock.holder.holder() == KeyOf(self);
  }
  // Would TakeLocked() take them?
  static bool MayTakeLocked(State& lock, int64_t permits, const Thread* self) noexcept {
    return (static_cast<uint64_t>(permits) <= static_cast<uint64_t>(lock.available) && NobodyIsInTheWay(lock)) ||
           (lock.kind == LockKind::kRecursiveMutex && IsHeldBy(lock, self));
  }
  // May so many be taken at once? As unsigned numbers, so that a negative one is too large.
  static bool Fits(const State& lock, int64_t permits) noexcept {
    return static_cast<uint64_t>(permits) <= static_cast<uint64_t>(lock.available) && lock.waiters.nodes.empty();
  }
  // What else can be taken at once: beside those who are in nobody's way, or by the holder of a RecursiveMutex.
  static bool TakeRarelyLocked(State& lock, int64_t permits, Thread* self) noexcept {
    if (!MayTakeLocked(lock, permits, self)) return false;
    if (lock.kind == LockKind::kRecursiveMutex && IsHeldBy(lock, self)) {
      ++lock.again;
      return true;
    }
    lock.available -= permits;
    NoteHolder(lock, permits, self);
    return true;
  }
  // O(those who are not).
  static bool NobodyIsInTheWay(State& lock) noexcept {
    WaitNode* node = lock.waiters.nodes.front();
    while (node != nullptr && !IsInTheWay(lock, *node)) node = lock.waiters.nodes.Next(node);
    return node == nullptr;
  }
  static bool IsInTheWay(const State& lock, WaitNode& node) noexcept {
    if (WaitOf(node).permits > lock.permits) return false;
    return node.wait_state != WaitNode::State::kCase ||
           static_cast<WaitCase<Thread>&>(node).wait.claimed_by() == WaitForSeveral<Thread>::kOpen;
  }

  // Those who are next, as long as there is enough for them, go to the end of `granted`.
  static void Grant(State& lock, WaitNodes& granted) noexcept {
    for (WaitNode *node = lock.waiters.nodes.front(), *next; node != nullptr; node = next) {
      next = lock.waiters.nodes.Next(node);
      Wait& wait = WaitOf(*node);
      const int64_t permits = wait.permits == Wait::kAgain ? lock.permits : wait.permits;
      if (permits > lock.available) {
        if (IsInTheWay(lock, *node)) break;
        continue;
      }
      WaitNodes::Remove(node);
      const bool is_os_thread = node->wait_state == WaitNode::State::kOsThread;
      if (!is_os_thread && !WaitQueue<Thread>::Claim(*node)) continue;
      lock.available -= permits;
      if (is_os_thread) {
        NoteOsHolder(lock, permits, static_cast<OsLockNode<Thread>*>(node)->key);
      } else {
        NoteHolder(lock, permits, &WaitQueue<Thread>::ThreadOf(*node));
      }
      if (wait.permits == Wait::kAgain) HoldAsBefore(lock, static_cast<HeldBefore<Thread>&>(wait));
      granted.PushBack(node);
    }
    if (lock.wanted && lock.waiters.nodes.empty()) {
      lock.wanted = false;
      UnlistWanted(lock.holder, lock.kind);
    }
  }

  static Wait& WaitOf(WaitNode& node) noexcept {
    switch (node.wait_state) {
      case WaitNode::State::kCase:
        return *static_cast<Wait*>(static_cast<WaitCase<Thread>&>(node).slot);
      case WaitNode::State::kOsThread:
        return static_cast<OsLockNode<Thread>&>(node).wait;
      case WaitNode::State::kThread:
      case WaitNode::State::kGrantedThread:
        break;
    }
    return *static_cast<Wait*>(static_cast<Thread&>(node).waiting_on);
  }
  static uint64_t IdOf(const Thread* self) noexcept { return self == nullptr ? 0 : self->id; }
  static ThreadKey KeyOf(const Thread* self) noexcept { return self == nullptr ? OsThreadKey() : self->key(); }

  static void NoteHolder(State& lock, int64_t permits, Thread* self) noexcept {
    if (self == nullptr) [[unlikely]]
      return NoteOsHolder(lock, permits, OsThreadKey());
    if (permits != lock.owned) return lock.holder.SetHolder({nullptr, self->id}, 0);
    self->last_lock = static_cast<uint8_t>(self->scopes_opened);
    lock.holder.SetHolder(self->key(), self->scopes_opened);
  }
  [[gnu::noinline]] static void NoteOsHolder(State& lock, int64_t permits, const ThreadKey& key) noexcept {
    lock.holder.SetHolder({permits == lock.owned ? key.address : nullptr, key.id}, 0);
  }
  // Its guard is that of before the wait, and so are its scopes.
  static void HoldAsBefore(State& lock, const HeldBefore<Thread>& wait) noexcept {
    lock.again = wait.again;
    lock.since = wait.since;
    lock.passed_on.store(wait.passed_on, std::memory_order_relaxed);
    lock.holder.SetHolder(lock.holder.holder(), wait.scopes_opened);
  }
};

// What is done to a lock.
template <class Thread>
struct LockSteps : LockSection<Thread> {
  using Section = LockSection<Thread>;
  using State = LockState<Thread>;
  using Wait = LockWaitOf<Thread>;

  // ---- Any thread; these take the lock. `self` is null for an OS thread.

  // This, and the functions that give back, keep what is rare out of the way: then a mutex that nobody waits for is
  // locked and unlocked in 66 instructions. (With guards, and all in one function, in 80.)
  static bool Take(State& lock, int64_t permits, Thread* self) noexcept {
    if (!lock.waiters.lock.try_lock()) [[unlikely]]
      return TakeContended(lock, permits, self);
    if (!Section::Fits(lock, permits)) [[unlikely]]
      return TakeRarelyAndUnlock(lock, permits, self);
    lock.available -= permits;
    Section::NoteHolder(lock, permits, self);
    lock.waiters.lock.unlock();
    return true;
  }
  // The same. False: `node` waits, and `wait` may be anyone's from here on; `holder` has the lock. `Node` is a Thread
  // or an OsLockNode.
  template <class Node>
  static bool TakeOrAdd(Wait& wait, Node& node, LockHolder& holder) noexcept {
    std::lock_guard guard(wait.lock->waiters.lock);
    if (Section::TakeLocked(*wait.lock, wait.permits, ThreadIn(node))) return true;
    AddAndNameHolder(wait, node, holder);
    return false;
  }
  // The same for a thread that is to let others run first: it does not take. True: `self` waits.
  static bool AddUnlessFree(Wait& wait, Thread& self, LockHolder& holder) noexcept {
    std::lock_guard guard(wait.lock->waiters.lock);
    if (Section::MayTakeLocked(*wait.lock, wait.permits, &self)) return false;
    AddAndNameHolder(wait, self, holder);
    return true;
  }
  // What is available, unless somebody waits for it. Returns how many that were.
  static int64_t TakeAll(State& lock, Thread* self) noexcept {
    std::lock_guard guard(lock.waiters.lock);
    const int64_t taken = Section::NobodyIsInTheWay(lock) ? lock.available : 0;
    if (taken > 0) Section::TakeLocked(lock, taken, self);
    return taken;
  }
  static void Give(State& lock, int64_t permits) noexcept {
    if (!lock.waiters.lock.try_lock()) [[unlikely]]
      return GiveContended(lock, permits);
    lock.available += permits;
    if (!lock.waiters.nodes.empty()) [[unlikely]]
      return GrantAndUnlock(lock);
    lock.waiters.lock.unlock();
  }
  // All that its owner has.
  static void GiveWhole(State& lock) noexcept {
    if (!lock.waiters.lock.try_lock()) [[unlikely]]
      return GiveWholeContended(lock);
    lock.available = lock.permits;
    lock.since = {};
    if (!lock.waiters.nodes.empty()) [[unlikely]]
      return GrantAndUnlock(lock);
    lock.waiters.lock.unlock();
  }
  // One hold of a RecursiveMutex.
  static void GiveHold(State& lock) noexcept {
    lock.waiters.lock.lock();
    if (lock.again > 0) {
      --lock.again;
      return lock.waiters.lock.unlock();
    }
    lock.available = lock.permits;
    lock.since = {};
    GrantAndUnlock(lock);
  }
  // A writer becomes a reader, before any other writer.
  static void Downgrade(State& lock, Thread* self) noexcept {
    lock.waiters.lock.lock();
    lock.available = lock.permits - 1;
    lock.since = {};
    lock.holder.SetHolder({nullptr, Section::IdOf(self)}, 0);
    GrantAndUnlock(lock);
  }

  // WaitKind::withdraw of a wait whose `waiting_on` is the Wait.
  static bool Withdraw(Thread& thread) noexcept {
    State& lock = *static_cast<Wait*>(thread.waiting_on)->lock;
    WaitNodes granted;
    {
      std::lock_guard guard(lock.waiters.lock);
      if (!lock.waiters.WithdrawLocked(thread)) return false;
      Section::Grant(lock, granted);
    }
    WakeAll(granted);
    return true;
  }
  // Of a Select(), when its wait is over.
  static void TakeBack(State& lock, WaitCase<Thread>& node) noexcept {
    lock.waiters.lock.lock();
    if (node.linked()) WaitNodes::Remove(&node);
    GrantAndUnlock(lock);
  }

  // ---- For a condition, under its lock; these take this one.

  // Gives back the whole lock, however often it is held, and keeps how.
  static void GiveToWait(HeldBefore<Thread>& wait, WaitNodes& granted) noexcept {
    State& lock = *wait.lock;
    std::lock_guard guard(lock.waiters.lock);
    wait.again = std::exchange(lock.again, 0);
    wait.scopes_opened = lock.holder.scopes_opened();
    wait.since = std::exchange(lock.since, {});
    wait.passed_on = lock.passed_on.load(std::memory_order_relaxed);
    lock.available = lock.permits;
    Section::Grant(lock, granted);
  }
  // `node` waits for the lock from here on, or has got it, and is then in `granted`. True: the latter, of a thread.
  static bool Requeue(State& lock, WaitNode& node, WaitNodes& granted, LockHolder& holder) noexcept {
    std::lock_guard guard(lock.waiters.lock);
    holder = Section::HolderOf(lock);
    if (lock.available == lock.permits) lock.holder.SetHolder({}, 0);  // before it is listed
    Section::AddLocked(lock, node);
    Section::Grant(lock, granted);
    return node.wait_state == WaitNode::State::kGrantedThread;
  }

  // ---- Without the lock.

  static void WakeAll(WaitNodes& granted) noexcept {
    while (WaitNode* const node = granted.PopFront()) {
      if (node->wait_state == WaitNode::State::kOsThread) {
        static_cast<OsLockNode<Thread>*>(node)->WakeUp();
      } else {
        Wake(WaitQueue<Thread>::ThreadOf(*node));
      }
    }
  }

 private:
  template <class Node>
  static void AddAndNameHolder(Wait& wait, Node& node, LockHolder& holder) noexcept {
    if constexpr (std::is_same_v<Node, Thread>) node.wait_state = WaitNode::State::kThread;
    Section::AddLocked(*wait.lock, node);
    holder = Section::HolderOf(*wait.lock);
  }
  static Thread* ThreadIn(Thread& node) noexcept { return &node; }
  static Thread* ThreadIn(OsLockNode<Thread>&) noexcept { return nullptr; }

  // ---- What is rare.

  [[gnu::noinline]] static bool TakeContended(State& lock, int64_t permits, Thread* self) noexcept {
    std::lock_guard guard(lock.waiters.lock);
    return Section::TakeLocked(lock, permits, self);
  }
  [[gnu::noinline]] static bool TakeRarelyAndUnlock(State& lock, int64_t permits, Thread* self) noexcept {
    const bool taken = Section::TakeRarelyLocked(lock, permits, self);
    lock.waiters.lock.unlock();
    return taken;
  }
  [[gnu::noinline]] static void GiveContended(State& lock, int64_t permits) noexcept {
    lock.waiters.lock.lock();
    lock.available += permits;
    GrantAndUnlock(lock);
  }
  [[gnu::noinline]] static void GiveWholeContended(State& lock) noexcept {
    lock.waiters.lock.lock();
    lock.available = lock.permits;
    lock.since = {};
    GrantAndUnlock(lock);
  }
  [[gnu::noinline]] static void GrantAndUnlock(State& lock) noexcept {
    WaitNodes granted;
    Section::Grant(lock, granted);
    lock.waiters.lock.unlock();
    WakeAll(granted);
  }

};

}  // namespace weft::internal

#endif  // WEFT_LIB_SYNC_LOCK_STATE_H_

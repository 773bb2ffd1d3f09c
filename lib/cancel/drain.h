// How does a cancelled thread give back a lock that its own children wait for?
//
// The frames of a cancelled thread are destroyed leaf first, until one is reached in which a scope lies that still has
// children. That frame has to stay until they have ended. Its destructors would wait for them, as they do when an
// exception passes, but would hold a carrier meanwhile; so the thread waits suspended instead, in a *drain*. An
// exception would first destroy what was made after the scope, perhaps the guard of a lock, and a clean-up of a child
// may wait for just that lock. Therefore a draining thread is *pressed* when another thread waits for one of its locks:
// it goes on at once and destroys the frame, as an exception would.
//
//   the carrier of a thread that drains              whoever begins to wait for a lock
//   1. Drains::Enter(): lists the drain, under       3. queues itself, and lists the lock as wanted, under
//      the lock of the list                             the lock of its stripe (WantedLocks::Add)
//   2. WantedLocks::AnyHeldBy(): looks at the        4. Drains::Press(): looks for a drain of the lock's
//      locks that are wanted, stripe by stripe,         holder, if there is any drain at all
//      and presses its own drain
//
// A lock's stripe orders 2 and 3. If 3 came first, 2 finds the lock. If 2 came first, so did 1, and 4 finds the drain.
// A thread that drains waits for no lock, and so gets none. So a lock of its that is wanted is found, whichever came
// first.
//
// A drain is taken out of the list once: by whoever presses it, in the same critical section in which the wait for the
// children is taken back (JoinCount::Withdraw), or by its owner when the last child has ended. Both ends of the wait go
// through the lock of the list, which therefore orders them.
//
// Cost: none for threads that neither drain nor contend. The first waiter of a lock takes one more short lock, and so
// does the unlock after the last one.
//
// Rejected: searching the tree for what the children wait for (a million children under one lock; a thread of another
// tree, between two locks, is not found); a list of the locks that each thread holds (a guard may be moved to, and
// unlocked by, another thread: each lock and unlock would take a second lock); destroying the frame of every thread
// that holds a lock (ten thousand handlers that end at once would hold every carrier).
#ifndef WEFT_LIB_CANCEL_DRAIN_H_
#define WEFT_LIB_CANCEL_DRAIN_H_

#include <cstddef>
#include <cstdint>
#include <mutex>

#include "lib/base/list.h"
#include "lib/thread/join_count.h"
#include "weft/internal/atomic.h"
#include "weft/internal/drain_nodes.h"
#include "weft/internal/lock.h"
#include "weft/internal/thread_key.h"

namespace weft::internal {

// Was a lock got when `scopes_opened` scopes had been opened, after the scope that was opened as number `since`? The
// numbers may wrap.
inline bool IsSince(uint32_t scopes_opened, uint32_t since) noexcept {
  return static_cast<int32_t>(scopes_opened - since) >= 0;
}

// Lists with locks of their own, over which what is listed is spread.
#ifdef WEFT_MODEL
inline constexpr size_t kDrainStripes = 2;
#else
inline constexpr size_t kDrainStripes = 16;
#endif

// The locks that threads wait for. A lock is listed from its first waiter until an unlock finds none.
class WantedLocks {
 public:
  void Add(HeldLock& held) noexcept;
  void Remove(HeldLock& held) noexcept;
  // Is one of them held by `thread`, which got it after it had opened its scope number `since`?
  bool AnyHeldBy(ThreadKey thread, uint32_t since) noexcept;

  // For fork(2): calls visit(Lock&) for the lock of each stripe.
  template <class Visit>
  void ForEachLock(Visit visit) noexcept {
    for (Stripe& stripe : stripes_) visit(stripe.lock);
  }

 private:
  struct alignas(64) Stripe {
    Lock lock;
    List<HeldLock, WantedTag> locks;
  };
  Stripe& StripeOf(const HeldLock& held) noexcept;

  Stripe stripes_[kDrainStripes];
};

// The threads that drain, and may be pressed.
class Drains {
 public:
  // Called by the owner's carrier: begins to wait. True: all children had ended, and the owner goes on. False: the
  // owner belongs to nobody until the last child ends, or it is pressed. Calls `prepare` in the same critical section.
  template <class Prepare>
  [[nodiscard]] bool Enter(Drain& drain, Prepare prepare) noexcept {
    Stripe& stripe = StripeOf(drain.owner);
    std::lock_guard guard(stripe.lock);
    drain.pressed = Drain::kNotPressed;
    stripe.Add(drain);
    prepare();
    if (!drain.children->Wait()) return false;
    stripe.Remove(drain);
    return true;
  }
  // The owner goes on, for whatever reason.
  void Leave(Drain& drain) noexcept {
    Stripe& stripe = StripeOf(drain.owner);
    std::lock_guard guard(stripe.lock);
    if (drain.linked()) stripe.Remove(drain);
  }
  // A thread waits for a lock that `holder` got when it had opened so many scopes. Returns the drain if its wait was
  // taken back: the caller makes its owner runnable.
  [[nodiscard]] Drain* Press(ThreadKey holder, uint32_t scopes_opened) noexcept {
    Stripe& stripe = StripeOf(holder);
    if (stripe.count.load(std::memory_order_relaxed) == 0) return nullptr;
    return stripe.PressIf([holder, scopes_opened](const Drain& drain) {
      return drain.owner == holder && IsSince(scopes_opened, drain.since);
    });
  }
  // A thread waits for a permit, of whatever lock. The same for this drain, which stays; true: its wait was taken back.
  [[nodiscard]] bool PressForPermit(Drain& drain) noexcept {
    Stripe& stripe = StripeOf(drain.owner);
    std::lock_guard guard(stripe.lock);
    return drain.linked() && stripe.Press(drain, Drain::kForPermit);
  }
  // The same for one that `matches`.
  template <class Matches>
  [[nodiscard]] Drain* PressIf(Matches matches) noexcept {
    for (Stripe& stripe : stripes_) {
      if (Drain* drain = stripe.PressIf(matches)) return drain;
    }
    return nullptr;
  }

  // Like WantedLocks::ForEachLock().
  template <class Visit>
  void ForEachLock(Visit visit) noexcept {
    for (Stripe& stripe : stripes_) visit(stripe.lock);
  }

 private:
  struct alignas(64) Stripe {
    void Add(Drain& drain) noexcept {
      drains.PushBack(&drain);
      count.store(count.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    }
    void Remove(Drain& drain) noexcept {
      drains.Remove(&drain);
      count.store(count.load(std::memory_order_relaxed) - 1, std::memory_order_relaxed);
    }
    template <class Matches>
    Drain* PressIf(Matches matches) noexcept {
      std::lock_guard guard(lock);
      for (Drain* drain = drains.front(); drain != nullptr; drain = drains.Next(drain)) {
        if (matches(*drain) && Press(*drain, Drain::kForLock)) return drain;
      }
      return nullptr;
    }
    // If the wait cannot be taken back, the last child has ended, and whoever ended it resumes the owner.
    bool Press(Drain& drain, Drain::Pressed why) noexcept {
      if (!drain.children->Withdraw()) return false;
      Remove(drain);
      drain.pressed = why;
      return true;
    }

    Lock lock;
    List<Drain, DrainTag> drains;
    Atomic<uint32_t> count{0};  // of them; written under the lock. relaxed: see 2 and 3 above
  };
  Stripe& StripeOf(const ThreadKey& thread) noexcept { return stripes_[thread.id % kDrainStripes]; }

  Stripe stripes_[kDrainStripes];
};

// Of the process: a lock may be shared by the threads of several runtimes. (process_drains.cc)
WantedLocks& TheWantedLocks() noexcept;
Drains& TheDrains() noexcept;

}  // namespace weft::internal

#endif  // WEFT_LIB_CANCEL_DRAIN_H_

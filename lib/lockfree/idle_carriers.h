// Layer lockfree. How do we make sure that no work is left queued while every carrier sleeps, at the cost of one fence
// per submission?
//
// The idle protocol. "Work" is whatever the callers look for: a runnable thread in a deque or in the inject queue, or a
// scope in the cancel queue.
//
//   idle.Notify(find, ring)                 any thread, after it has published work
//   idle.BeginSearch(member, carriers)      a carrier that found nothing. True: it is a searcher now, and looks again
//   idle.EndSearch(member)                  a carrier that found something, or stops looking. True: it has to notify
//   idle.Park(member, has_work, park)       a carrier that found nothing again. True: the same
//   idle.Watch(member)                      a carrier that is about to sleep. True: it watches
//   idle.EndWatch(member)                   a carrier that has slept outside of Park(). True: it has watched
//
// Each carrier owns a Member, and alone calls the last three with it. This class knows nothing of queues, of carriers
// and of how one is rung: `find()` returns a carrier that has its flag up (`member.IsParked()`) and may run, or
// nullptr; `ring(carrier)` makes the `park()` of that carrier return, also a later one; `has_work()` looks at
// everything that Notify() may have been about.
//
//   Whoever makes work (NotifyWork):                      A carrier without work (Carrier::Idle):
//   1. publishes the work;                                1. counts itself out of the searchers, in `searching_`;
//   2. fence [idle/2], pairs with [idle/6];               2. (it had searched in vain)
//   3. if somebody searches, done: the searcher, or       5. sets its `parked` flag;
//      one that it wakes, finds it;                       6. fence [idle/6], pairs with [idle/2];
//   4. else looks for a `parked` flag, counts a           7. looks once more at all queues; if there is work it takes
//      searcher, takes the flag down, and rings that         its flag down itself and notifies;
//      carrier; if the flag was gone by then, uncounts    8. parks in the driver until rung.
//      the searcher and begins again at 2.
//
// No work is left with all parked: if 3 saw nobody and 4 found no flag, every carrier is running, or between its own 1
// and 5, and will come to 7 after the fence; the two fences make either 4 see the flag or 7 see the work. If 3 saw a
// searcher, that one will come to 1 and 7, or a thread in 4 has counted it, which rings it or begins again.
//
// Nor is work left with one carrier computing. Others may have left theirs to a searcher under 3, so the last searcher
// notifies once more before it runs what it has found, or if it may run no more. So does one that sees work at 7, if it
// was a searcher before 1.
//
// One of those that sleep may watch: it wakes by itself after a while, and looks at those that run. When it wakes, for
// whatever reason, it watches no more, and counts as a searcher. It is never so that a carrier runs for long, others
// are parked, and nobody watches or is about to look, if two things hold: a carrier that parks calls Watch() where it
// sees another one that runs; and one that was parked, and goes on with what no Notify() was about, calls Notify(). For
// a carrier that was refused, another one watched. When that one wakes, it gives the watch up, and then either parks
// again, and watches if it sees somebody that runs; or is not the last searcher; or notifies. In the last case, by the
// fences at 2 and 6, either it sees the flag of the one that was refused and wakes it, or that one did not see the
// watch. In the second case the last searcher comes to one of the other two. The queues tell it that those who took
// something do not sleep: whoever takes releases, and [asleep/1] acquires (lib/runtime/duties.cc).
//
// Carriers that are no part of this while they sleep may watch as well. Whoever runs what it finds then notifies, and
// rings the others of these itself if nobody was idle. (CarrierPool::RingBlocked)
//
// Owners of deques make no fence of their own at 2 as long as their deque is biased to them; then whoever parks forces
// one upon them, between 6 and 7 (Carrier::ForcePublication), and they ask MayBeIdle() first.
//
// Lifetime: nobody may be inside when it is destroyed.
//
// Memory ordering: none that data could rely on. The queue in which the work was published orders what came before, for
// whoever takes the work.
//
// Cost: Notify with a searcher is the fence and a load.
#ifndef WEFT_LIB_LOCKFREE_IDLE_CARRIERS_H_
#define WEFT_LIB_LOCKFREE_IDLE_CARRIERS_H_

#include <cstdint>
#include <utility>

#include "lib/base/fence.h"
#include "weft/internal/atomic.h"

namespace weft::internal {

class IdleCarriers {
 public:
  // What one carrier has in the protocol.
  class Member {
   public:
    // A hint, for find().
    bool IsParked() const noexcept { return parked_.load(std::memory_order_relaxed) == 1; }
    // The carrier's own.
    bool searching() const noexcept { return searching_; }

   private:
    friend class IdleCarriers;
    // 1: about to park or parked; whoever takes it to 0 has woken the carrier. relaxed: the fences order it.
    Atomic<uint32_t> parked_{0};
    // The carrier's own:
    bool searching_ = false;  // it is counted in IdleCarriers::searching_
    bool watches_ = false;    // it has set IdleCarriers::watched_
  };

  enum class [[nodiscard]] Notified : uint8_t {
    kSeenTo,      // somebody searches, or was rung
    kNobodyIdle,  // every carrier that may run is awake, and looks before it parks
  };

  // `find` returns a pointer to an object that has its Member as `idle`; `ring` is called with that object.
  template <class Find, class Ring>
  Notified Notify(const Find& find, const Ring& ring) noexcept {
    for (;;) {
      // [idle/2] seq_cst: pairs with [idle/6] and [blocked/1]. Weaker, neither side might see the other.
      StoreLoadFence(WEFT_ORDER("idle/2", std::memory_order_seq_cst));
      if (searching_.load(std::memory_order_relaxed) > 0) return Notified::kSeenTo;    // [idle/3] relaxed
      if (parked_.load(std::memory_order_relaxed) == 0) return Notified::kNobodyIdle;  // [idle/4] relaxed
      auto* const carrier = find();
      if (carrier == nullptr) return Notified::kNobodyIdle;
      int32_t none = 0;
      if (!searching_.compare_exchange_strong(none, 1, std::memory_order_relaxed)) return Notified::kSeenTo;
      if (carrier->idle.parked_.exchange(0, std::memory_order_relaxed) == 1) {
        ring(*carrier);
        return Notified::kSeenTo;
      }
      // It woke by itself, and for a moment we had counted a searcher that does not exist. Another thread may have
      // relied on it: look again.
      searching_.fetch_sub(1, std::memory_order_relaxed);
    }
  }

  // For whoever has published work and made a fence of its own that pairs with [idle/6]: is there anybody that Notify()
  // would tell?
  bool MayBeIdle() const noexcept {
    // As at [idle/3] and [idle/4].
    return parked_.load(std::memory_order_relaxed) != 0 && searching_.load(std::memory_order_relaxed) <= 0;
  }

  // At most half of `carriers`, rounded up, search at once.
  bool BeginSearch(Member& member, uint32_t carriers) noexcept {
    if (member.searching_ || 2 * searching_.load(std::memory_order_relaxed) >= static_cast<int32_t>(carriers))
      return false;
    member.searching_ = true;
    searching_.fetch_add(1, std::memory_order_relaxed);
    return true;
  }

  // True: it was the last searcher, to whom others may have left work. The caller notifies.
  [[nodiscard]] bool EndSearch(Member& member) noexcept {
    if (!member.searching_) return false;
    member.searching_ = false;
    return searching_.fetch_sub(1, std::memory_order_relaxed) == 1;
  }

  // Returns when park() has, or without a call to it. The carrier may then be a searcher: whoever took its flag down
  // has counted it. True: it has to notify.
  template <class HasWork, class ParkCarrier>
  [[nodiscard]] bool Park(Member& member, const HasWork& has_work, const ParkCarrier& park) noexcept {
    const bool searched = std::exchange(member.searching_, false);
    if (searched) searching_.fetch_sub(1, std::memory_order_relaxed);  // [idle/1] relaxed
    member.parked_.store(1, std::memory_order_relaxed);  // [idle/5] relaxed
    parked_.fetch_add(1, std::memory_order_relaxed);
    // [idle/6] seq_cst: pairs with [idle/2].
    StoreLoadFence(WEFT_ORDER("idle/6", std::memory_order_seq_cst));
    const bool found = has_work();  // 7
    if (!found) park();             // 8
    parked_.fetch_sub(1, std::memory_order_relaxed);
    // Taken down by somebody else: we were counted as a searcher.
    if (member.parked_.exchange(0, std::memory_order_relaxed) == 0) member.searching_ = true;
    if (EndWatch(member) && !std::exchange(member.searching_, true)) {
      searching_.fetch_add(1, std::memory_order_relaxed);
    }
    return found && searched;
  }

  // One at a time.
  [[nodiscard]] bool Watch(Member& member) noexcept {
    // relaxed: the fences order it. A load first might see an older value.
    if (watched_.exchange(true, std::memory_order_relaxed)) return false;
    return member.watches_ = true;
  }
  bool EndWatch(Member& member) noexcept {
    if (!std::exchange(member.watches_, false)) return false;
    watched_.store(false, std::memory_order_relaxed);
    return true;
  }

 private:
  Atomic<bool> watched_{false};   // relaxed: the fences order it
  Atomic<int32_t> searching_{0};  // relaxed: the fences order it
  Atomic<int32_t> parked_{0};     // flags that are up, or have just been taken down. relaxed: the fences order it
};

}  // namespace weft::internal

#endif  // WEFT_LIB_LOCKFREE_IDLE_CARRIERS_H_

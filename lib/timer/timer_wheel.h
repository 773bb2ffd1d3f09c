// Layer timer. What fires a million deadlines in order, and forgets one of them in constant time?
//
// A hierarchical timer wheel. Its nodes lie in what waits (an awaiter, a scope, an operation); it allocates nothing.
//
//   TimerNode timer;
//   timer.subject = &thread;
//   timer.fire = [](TimerNode* node) noexcept { Wake(*static_cast<ThreadBlock*>(node->subject)); };
//   wheel.Insert(timer, deadline_ns);
//   wheel.FireExpired(clock.NowNanos(), 64);  // now and then; at NextDeadline() at the latest
//   wheel.Move(timer, other_deadline_ns);     // if it is still armed
//   wheel.Cancel(timer);
//
// Time is cut into ticks of 2^18 ns, about 0.26 ms; where time is virtual, of a nanosecond. A timer never fires early:
// its deadline is rounded up to a tick, and that tick must have come. So the wheel itself makes a timer at most one
// tick late. Any int64 is a deadline: one that has passed counts as the wheel's current tick, and one in the last tick
// of the clock (the year 2262) never comes. Timers fire in the order of their ticks, and within a tick in the order of
// their insertion.
//
// Who may call. As a rule one carrier inserts and fires, and any thread cancels; but every function may be called by
// any thread, so that an idle carrier can fire what belongs to one that computes. Fire functions run one after the
// other, on the OS thread of the caller of `FireExpired`, with no lock held: they may call Insert and Cancel, on the
// node that is firing too. A FireExpired that finds another one running, or is called by a fire function, leaves the
// work to that one and returns 0.
//
// Lifetime of a node. It is not touched by the wheel before `Insert`, and not after one of
//  * `Cancel` has returned, true or false;
//  * `fire` was called, if `cancel_waits` is false: fire may end the node's life, also on another thread before fire
//    itself has returned, by waking what the node lies in;
//  * `fire` has returned, if `cancel_waits` is true: such a node lies in something that `Cancel` is called on before it
//    goes away, and that is told apart from a fire that is still running.
// Before a node is inserted again, it has fired or was cancelled. The wheel outlives its nodes.
//
// `Cancel` returns true if the node was armed: it will not fire. False: it has fired, or was never armed. If its fire
// function is running at that moment and `cancel_waits` is true, Cancel first waits until it has returned, unless it is
// called from within; that blocks the OS thread, so such a fire function must be short and must not wait. If
// `cancel_waits` is false, Cancel does not wait: fire may be waiting for its caller.
//
// Memory ordering. What came before `Insert` happens before `fire`. If Cancel returns false for a node with
// `cancel_waits`, what fire did happens before Cancel returns. If it returns true, there was no fire.
//
// Cost: an insert takes 10 ns, with its cancel 13, most of it the lock; a million random timers fire in 0.3 us each,
// most of it cache misses. A timer moves down one level at a time, at most seven times in its life (ten in virtual
// time), when its time comes near; one that is cancelled before, as most timeouts are, never moves.
//
// Rejected: a heap, 63 ns for an insert into a million and 160 for a cancel, where a wheel takes 3 and 40; a wheel
// without moves down (Linux), which fires a timer late by an eighth of its length; one wheel for all carriers, the
// contention that tokio removed (#6504); cancelling through a message to the owner, with which a node cannot go away
// before the owner has looked. (G. Varghese and T. Lauck, "Hashed and Hierarchical Timing Wheels", SOSP 1987.)
#ifndef WEFT_LIB_TIMER_TIMER_WHEEL_H_
#define WEFT_LIB_TIMER_TIMER_WHEEL_H_

#include <pthread.h>

#include <cstddef>
#include <cstdint>
#include <limits>

#include "weft/internal/atomic.h"
#include "weft/internal/lock.h"
#include "weft/internal/timer_node.h"

namespace weft::internal {

class TimerWheel {
 public:
  // 2^kTickShift nanoseconds are a tick. Shorter ticks wake a carrier more often to move timers down; longer ones make
  // sleeps of a millisecond noticeably long.
  static constexpr int kTickShift = 18;
  static constexpr int64_t kTickNs = int64_t{1} << kTickShift;
  static constexpr int64_t kNoDeadline = std::numeric_limits<int64_t>::max();

  // A tick of 2^tick_shift nanoseconds, 0 to kTickShift.
  explicit TimerWheel(int64_t now_ns, int tick_shift = kTickShift) noexcept;
  TimerWheel(const TimerWheel&) = delete;
  TimerWheel& operator=(const TimerWheel&) = delete;
  ~TimerWheel();  // no timer is armed

  // Arms `node` to fire when `deadline_ns` has passed. O(1).
  void Insert(TimerNode& node, int64_t deadline_ns) noexcept;

  // Gives an armed node another deadline, as if it were inserted again. False: it is not armed, or is about to fire,
  // and nothing was done. Never waits. O(1). The node was inserted into this wheel, and its life has not ended.
  bool Move(TimerNode& node, int64_t deadline_ns) noexcept;

  // O(1), except for the wait that `cancel_waits` asks for. See the preface.
  bool Cancel(TimerNode& node) noexcept;

  // Fires up to `max` timers whose tick has come, and returns how many. It may stop earlier, because it also bounds the
  // timers that it moves: as long as NextDeadline() is not after `now_ns`, there is more to do.
  int FireExpired(int64_t now_ns, int max) noexcept;

  // When FireExpired has to be called next: never more than one tick after the earliest deadline, often before it, and
  // kNoDeadline if nothing is armed. One load; other threads may move it meanwhile.
  int64_t NextDeadline() const noexcept {
    return next_deadline_ns_.load(std::memory_order_relaxed);
  }

  // How many timers are armed. Any thread; exact while nothing happens.
  size_t armed() const noexcept { return armed_.load(std::memory_order_relaxed); }

 private:
  static constexpr int kLevelBits = 6;
  static constexpr int kSlotsPerLevel = 1 << kLevelBits;
  // 11 levels of 6 bits are 66 bits of ticks. An int64 of nanoseconds has 63, or 45 if a tick is 2^kTickShift, for
  // which 8 levels do. So nothing lies beyond the horizon.
  static constexpr int kLevels = 11;
  static constexpr int kSlots = kLevels * kSlotsPerLevel;
  // How many timers may move down for each one that may fire, and how many under one hold of the lock, so that a slot
  // with a million timers keeps neither the carrier nor another thread's Cancel.
  static constexpr int64_t kMovesPerFire = 16;
  static constexpr int64_t kMovesPerHold = 256;

  // Of a subject. A virtual thread has as many.
  static constexpr size_t kLinesFetched = 3;

  struct List {
    TimerNode* head = nullptr;
    TimerNode* tail = nullptr;
  };
  struct NextSlot {
    int slot;       // -1: nothing is armed
    uint64_t tick;  // its first
  };

  uint64_t TickOfDeadline(int64_t deadline_ns) const noexcept;
  uint64_t TickOfNow(int64_t now_ns) const noexcept;
  int64_t NanosOfTick(uint64_t tick) const noexcept;
  static uint64_t FirstTick(uint64_t tick, int level) noexcept;  // of the slot of that level in which `tick` lies

  // All of these: lock_ is held.
  int SlotFor(uint64_t tick) const noexcept;
  void Place(TimerNode& node, int64_t deadline_ns) noexcept;
  void Link(TimerNode& node, int slot) noexcept;
  void Unlink(TimerNode& node) noexcept;
  NextSlot FindNext() const noexcept;
  void PublishNext() noexcept;
  void PublishUnlessFiring() noexcept;
  int64_t MoveDown(int64_t max) noexcept;
  static void FetchAhead(const TimerNode& next) noexcept;
  void FireOne(TimerNode& node) noexcept;  // lock_ is released while the function runs
  bool RunsElsewhere(const TimerNode& node) const noexcept;
  void AwaitFireEnd() noexcept;  // lock_ is released while it waits

  const int tick_shift_;
  Lock lock_;
  bool in_fire_expired_ = false;
  uint32_t waiting_ = 0;               // threads in Cancel that wait for the end of a fire
  const TimerNode* firing_ = nullptr;  // the node whose fire function runs, if its Cancel waits
  pthread_t firing_thread_ = {};       // the OS thread that `firing_` runs on
  // The current tick: whatever was armed for an earlier one has fired. Its own timers lie in their slot of level 0. All
  // others lie in the slot that is theirs on the highest level on which their tick and this one differ.
  uint64_t tick_ = 0;
  int moving_ = -1;                  // the slot above level 0 which begins with tick_ and is being moved down, or -1
  uint32_t levels_ = 0;              // bit l: level l is not empty
  uint64_t occupied_[kLevels] = {};  // bit s: slot s of that level is not empty
  // All three are written under lock_.
  // relaxed: a carrier sees its own changes, and a Cancel that it does not see yet costs a look.
  Atomic<int64_t> next_deadline_ns_{kNoDeadline};
  Atomic<size_t> armed_{0};  // relaxed: a number to look at
  // A futex word: counts the ends of fire functions that a Cancel waited for. relaxed: the waiters look at `firing_`
  // under the lock.
  Atomic<uint32_t> fires_ended_{0};
  List slots_[kSlots];
};

}  // namespace weft::internal

#endif  // WEFT_LIB_TIMER_TIMER_WHEEL_H_

// Layer driver. How is a driver's owner woken, wherever it sleeps, and by only one of many ringers?
//
//   A ringer, any thread                               The owner, when it has nothing to do
//   1. rung := true; if it was already, done           3. sleep := where it is going to sleep
//   2. looks at sleep, and wakes the owner there:      4. if rung, does not sleep
//        kAwake      nobody                            5. after it, or instead: sleep := kAwake; and takes the
//        kInKernel   by the caller, who signals           ring: rung := false. Then it looks at what others
//                    the EventFd that it waits for        have done.
//        kOnFutex    sleep := kAwake, then the futex
//
// Why no ring is lost: 1 and 2, and 3 and 4, are a store and a load, all four sequentially consistent [doorbell/1] to
// [doorbell/4], so at least one side sees the other's store. If 4 sees the ring, the owner does not sleep. If 2 sees
// where the owner sleeps, it is woken: a signalled EventFd ends every later wait until it is read, and a futex compares
// `sleep` in one step with going to sleep. A ringer that found `rung` set leaves the waking to the one who set it, who
// has yet to do 2 or has done it; in either case the owner does not sleep before it has taken the ring of both.
//
// Why the owner sees what was done before a ring: 5 takes the ring with acquire [doorbell/5] and reads the newest of
// all the exchanges 1, which carry each other's release. Whatever rings after that is a new ring.
//
// A ringer that is slow between 1 and 2 may wake the owner from a later sleep, for nothing. So a wait may end early:
// the owner looks, and waits again.
#ifndef WEFT_LIB_DRIVER_DOORBELL_H_
#define WEFT_LIB_DRIVER_DOORBELL_H_

#include <cstdint>

#include "lib/os/futex.h"
#include "weft/internal/atomic.h"

namespace weft::internal {

class Doorbell {
 public:
  enum Sleep : uint32_t { kAwake, kInKernel, kOnFutex };

  Doorbell() noexcept = default;
  Doorbell(const Doorbell&) = delete;
  Doorbell& operator=(const Doorbell&) = delete;

  // ---- Any OS thread; async-signal-safe; the doorbell is not destroyed meanwhile.

  // What came before it happens before what follows the TakeRing() that returns true. Returns true if the owner sleeps
  // in the kernel, or is about to; then the caller signals the EventFd that ends that sleep.
  [[nodiscard]] bool Ring() noexcept {
    // [doorbell/1] seq_cst: pairs with [doorbell/4] in a duel, whose other steps are [doorbell/2] and [doorbell/3];
    // and, as it releases what was done before the ring, with [doorbell/5].
    if (rung_.exchange(true, WEFT_ORDER("doorbell/1", std::memory_order_seq_cst))) return false;
    // [doorbell/2] seq_cst: pairs with [doorbell/3]. Weaker, the ringer could miss that the owner is going to sleep,
    // while that misses the ring.
    const uint32_t sleep = sleep_.load(WEFT_ORDER("doorbell/2", std::memory_order_seq_cst));
    if (sleep == kOnFutex) WakeFromFutex();
    return sleep == kInKernel;
  }

  // Ends a SleepOnFutex(), for another reason than a ring.
  void WakeFromFutex() noexcept {
    uint32_t expected = kOnFutex;
    // relaxed: the futex compares the word, and rung_ carries what has to be seen.
    if (sleep_.compare_exchange_strong(expected, kAwake, std::memory_order_relaxed)) FutexWake(sleep_, 1);
  }

  // ---- The owner.

  // Step 3. Others know from here on how to wake it.
  void LieDown(Sleep where) noexcept {
    // [doorbell/3] seq_cst: pairs with [doorbell/2].
    sleep_.store(where, WEFT_ORDER("doorbell/3", std::memory_order_seq_cst));
  }
  // Step 4, after that. False: somebody has rung.
  bool MaySleep() const noexcept {
    // [doorbell/4] seq_cst: pairs with [doorbell/1]. Weaker, the owner could miss the ring, while its ringer misses
    // that the owner is going to sleep.
    return !rung_.load(WEFT_ORDER("doorbell/4", std::memory_order_seq_cst));
  }
  // After LieDown(kOnFutex) and MaySleep(). May end early. `deadline_ns` as for FutexWait().
  void SleepOnFutex(int64_t deadline_ns) noexcept { FutexWait(sleep_, kOnFutex, deadline_ns); }
  // Step 5, in its two halves. TakeRing() returns true if somebody has rung since it last did.
  void GetUp() noexcept {
    // relaxed: a ringer that still sees the old value wakes somebody for nothing.
    sleep_.store(kAwake, std::memory_order_relaxed);
  }
  bool TakeRing() noexcept {
    // relaxed: a ring that is missed here counts the next time, or is seen by [doorbell/4] before a sleep.
    if (!rung_.load(std::memory_order_relaxed)) return false;
    // [doorbell/5] acquire: pairs with [doorbell/1]; what the ringers did before is visible from here on.
    return rung_.exchange(false, WEFT_ORDER("doorbell/5", std::memory_order_acquire));
  }

 private:
  Atomic<bool> rung_{false};
  Atomic<uint32_t> sleep_{kAwake};  // a futex
};

}  // namespace weft::internal

#endif  // WEFT_LIB_DRIVER_DOORBELL_H_

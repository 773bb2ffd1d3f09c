// How does a virtual thread park until another one lets it go on, also if that one comes first?
//
// A thread has one permit, in the word of its identity. Park() takes the permit, and waits if it is not there. Unpark()
// gives it, unless it is there already; if the thread waits, it goes on, and the permit is used up.
//
//   word       means                       edges (by)
//   kNone      no permit                   -> kWaits (RegisterOrTake), kGiven (Give)
//   kGiven     the permit is there         -> kNone (Take, RegisterOrTake); Give keeps it
//   kWaits     the thread waits for it     -> kNone (Give, which then wakes the thread; or Withdraw)
//
// Only the thread itself takes, and registers. Each registration ends with one Give() that returns true, after which
// its caller wakes the thread, or with one Withdraw() that does: the word leaves kWaits once. So a permit is neither
// lost nor given twice: a Give() that comes too late for a wait that was withdrawn leaves kGiven, for the next Park().
//
// The thread that waits cannot end before it is woken. So whoever has got a true from Give() may use it without a lock.
//
// Memory ordering. What came before every Give() up to now happens before what follows the Park() that takes the
// permit: Give() is a read-modify-write with release also if the permit is there already. A plain store, or none, would
// lose the second of two wake-ups: the thread takes the permit of the first, looks for what the second has written,
// does not see it, and parks for ever.
//
// Cost: one read-modify-write for each Park() and each Unpark(), beside those of a wait and a wake-up.
#ifndef WEFT_LIB_THREAD_PARK_PERMIT_H_
#define WEFT_LIB_THREAD_PARK_PERMIT_H_

#include <cstdint>

#include "weft/internal/atomic.h"

namespace weft::internal {

// The word is the identity's: ThreadIdentity::permit.
class ParkPermit {
 public:
  explicit ParkPermit(Atomic<uint32_t>& word) noexcept : word_(word) {}

  // ---- The thread itself.

  // True: the permit was there, and is used up.
  [[nodiscard]] bool Take() noexcept {
    uint32_t expected = kGiven;
    // [permit/1] acquire: pairs with [permit/2].
    return word_.compare_exchange_strong(expected, kNone, WEFT_ORDER("permit/1", std::memory_order_acquire),
                                         std::memory_order_relaxed);
  }
  // After EnterWait(). True: the thread waits. False: the permit has come meanwhile, and is used up.
  [[nodiscard]] bool RegisterOrTake() noexcept {
    uint32_t expected = kNone;
    // [permit/4] release: pairs with [permit/2], whose caller must not see the thread's state word as it was in an
    // earlier wait.
    if (word_.compare_exchange_strong(expected, kWaits, WEFT_ORDER("permit/4", std::memory_order_release),
                                      std::memory_order_relaxed)) {
      return true;
    }
    // [permit/3] acquire: pairs with [permit/2]. An exchange, since another Give() may still join the first.
    word_.exchange(kNone, WEFT_ORDER("permit/3", std::memory_order_acquire));
    return false;
  }

  // ---- Any thread.

  // True: the thread waits, and the caller wakes it.
  [[nodiscard]] bool Give() noexcept {
    uint32_t word = word_.load(std::memory_order_relaxed);  // relaxed: the exchange decides
    for (;;) {
      // [permit/2] acq_rel: the release pairs with [permit/1] and [permit/3], the acquire with [permit/4].
      if (word_.compare_exchange_weak(word, word == kWaits ? kNone : kGiven,
                                      WEFT_ORDER("permit/2", std::memory_order_acq_rel), std::memory_order_relaxed)) {
        return word == kWaits;
      }
    }
  }
  // Whoever has claimed the parked thread. True: it waits no more.
  [[nodiscard]] bool Withdraw() noexcept {
    uint32_t expected = kWaits;
    // relaxed: a request orders itself.
    return word_.compare_exchange_strong(expected, kNone, std::memory_order_relaxed, std::memory_order_relaxed);
  }

 private:
  static constexpr uint32_t kNone = 0;
  static constexpr uint32_t kGiven = 1;
  static constexpr uint32_t kWaits = 2;

  Atomic<uint32_t>& word_;
};

}  // namespace weft::internal

#endif  // WEFT_LIB_THREAD_PARK_PERMIT_H_

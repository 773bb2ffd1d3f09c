// Layer executor. How does something that happens once wake the OS threads that sleep until then, at no cost if none
// does?
//
//   word       means                              left by
//   kPending   it has not happened                Await() -> kSlept, Finish() -> kDone
//   kSlept     the same, and an OS thread sleeps, Finish() -> kDone
//              slept, or is about to
//   kDone      it has happened                    nothing
//
//   the finisher                                  a sleeper
//   1. writes the outcome                         4. loads the word; if it is kDone, goes on
//   2. exchanges the word for kDone               5. makes kPending kSlept
//   3. if it was kSlept, wakes all by its address 6. sleeps while the word is kSlept (the kernel compares)
//
// No sleeper is forgotten: either 2 comes before the step of the kernel at 6, which then finds another word and does
// not sleep, or it finds kSlept, which 5 has written, and 3 wakes the sleeper. The finisher touches no memory after 2:
// at 3 the word may be gone, because a thread that saw kDone may have freed it.
//
// Virtual threads that wait do not show here: they stand in a queue, and the finisher takes 2 under its lock.
#ifndef WEFT_LIB_EXECUTOR_DONE_WORD_H_
#define WEFT_LIB_EXECUTOR_DONE_WORD_H_

#include <cstdint>

#include "lib/os/futex.h"
#include "weft/executor/done_word.h"
#include "weft/internal/atomic.h"

namespace weft::internal {

inline bool DoneWord::Finish() noexcept {
  // [done_word/2] release: pairs with [done_word/1] and [done_word/3].
  return word_.exchange(kDone, WEFT_ORDER("done_word/2", std::memory_order_release)) == kSlept;
}

inline void DoneWord::WakeSleepers() noexcept { FutexWake(word_, INT32_MAX); }

inline bool DoneWord::Await(int64_t deadline_ns) noexcept {
  for (;;) {
    // [done_word/3] acquire: pairs with [done_word/2].
    uint32_t word = word_.load(WEFT_ORDER("done_word/3", std::memory_order_acquire));
    if (word == kDone) return true;
    // relaxed: it announces a sleeper, and publishes nothing; the next load reads the word again.
    if (word == kPending &&
        !word_.compare_exchange_strong(word, kSlept, std::memory_order_relaxed, std::memory_order_relaxed)) {
      continue;
    }
    if (AwaitWord(word_, kSlept, deadline_ns) == FutexOutcome::kTimedOut) return done();
  }
}

}  // namespace weft::internal

#endif  // WEFT_LIB_EXECUTOR_DONE_WORD_H_

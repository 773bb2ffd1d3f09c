// Has it happened, and does an OS thread sleep until it has? (lib/executor/done_word.h has the steps and their proof.)
#ifndef WEFT_EXECUTOR_DONE_WORD_H_
#define WEFT_EXECUTOR_DONE_WORD_H_

#include "weft/internal/compiler.h"

#include <cstdint>

#include "weft/internal/atomic.h"

namespace weft::internal {

class DoneWord {
 public:
  DoneWord() = default;
  DoneWord(const DoneWord&) = delete;
  DoneWord& operator=(const DoneWord&) = delete;

  // ---- Whoever makes it happen.
  // True for one caller: that one writes the outcome, and then calls Finish().
  [[nodiscard]] bool Claim() noexcept { return !claimed_.exchange(true, std::memory_order_relaxed); }
  // What came before happens before what follows a done() that is true, and an Await() that returns true. Returns
  // whether OS threads may sleep: then the caller calls WakeSleepers(), which uses the address only.
  [[nodiscard]] inline bool Finish() noexcept;
  inline void WakeSleepers() noexcept;

  // ---- Any thread.
  bool done() const noexcept {
    // [done_word/1] acquire: pairs with [done_word/2].
    return word_.load(WEFT_ORDER("done_word/1", std::memory_order_acquire)) == kDone;
  }
  // Blocks the OS thread. False: the deadline, on the clock of AwaitWord() (futex.h), came first.
  inline bool Await(int64_t deadline_ns) noexcept;

 private:
  enum : uint32_t { kPending = 0, kSlept = 1, kDone = 2 };

  Atomic<uint32_t> word_{kPending};
  Atomic<bool> claimed_{false};  // relaxed: it only decides between claimers; Finish() publishes
};

}  // namespace weft::internal

#endif  // WEFT_EXECUTOR_DONE_WORD_H_

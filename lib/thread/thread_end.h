// How does a thread end, for those who have handles to it, in one step if none of them looks?
//
// One word has the references to a thread's identity, and what stage the thread is at. Whoever looks at a thread
// through a handle (joins it, asks it to end, asks for its state) does so under a lock of the identity, and the end of
// the thread would take these locks. Most threads end without anybody looking, so the first look is announced:
//
//   The run, when no code of the thread is left:        Whoever looks, under a lock of the identity:
//   1. EndAlone(): in one step, if nobody is            2. Attend(): sets kAttended, for good, and
//      announced, sets kEnded and gives up the             returns whether kEnded was set. If it was,
//      reference of the run. Done.                         there is no thread to look at.
//   3. Otherwise takes the locks, calls
//      EndAttended(), and gives up its reference.
//
// Why nobody looks at a thread that has gone: 1 and 2 are read-modify-writes of one word, so one of them comes first.
// If it is 1, 2 sees kEnded. If it is 2, 1 finds kAttended, and 3 waits for the lock that the caller of 2 holds. A
// thread that waits in the queue of those who join has announced itself under the lock of that queue, so 3, which takes
// the same lock, finds it there.
//
// Memory ordering: what the thread did happens before Attend() or ended() returns true; what every holder of a
// reference did happens before ReleaseLast() or EndAlone() says that theirs was the last.
#ifndef WEFT_LIB_THREAD_THREAD_END_H_
#define WEFT_LIB_THREAD_THREAD_END_H_

#include <cstdint>

#include "weft/internal/atomic.h"

namespace weft::internal {

// The word is the identity's: ThreadIdentity::stage.
class ThreadEnd {
 public:
  // kAwaited: an OS thread sleeps on the word. kUnstarted: made, and not started.
  enum Stage : uint32_t { kUnstarted = 1, kEnded = 2, kAwaited = 4, kAttended = 8 };
  static constexpr uint32_t kOneReference = 16;

  explicit ThreadEnd(Atomic<uint32_t>& word) noexcept : word_(word) {}

  // ---- Whoever has a reference.

  void AddReference() noexcept { word_.fetch_add(kOneReference, std::memory_order_relaxed); }  // relaxed: it has one
  // Gives one up. True: it was the last.
  [[nodiscard]] bool ReleaseLast() noexcept {
    // [end/5] acquire: pairs with [end/1] and [end/6]. The last one needs no other step: no other thread can take one.
    if (word_.load(WEFT_ORDER("end/5", std::memory_order_acquire)) < 2 * kOneReference) return true;
    // [end/6] acq_rel: pairs with [end/1], [end/5] and itself.
    return word_.fetch_sub(kOneReference, WEFT_ORDER("end/6", std::memory_order_acq_rel)) < 2 * kOneReference;
  }
  bool ended() const noexcept {
    // [end/3] acquire: pairs with [end/1] and [end/4].
    return (word_.load(WEFT_ORDER("end/3", std::memory_order_acquire)) & kEnded) != 0;
  }
  // Under a lock that the end of the thread takes. True: it has ended.
  [[nodiscard]] bool Attend() noexcept {
    // [end/2] acquire: pairs with [end/1] and [end/4].
    return (word_.fetch_or(kAttended, WEFT_ORDER("end/2", std::memory_order_acquire)) & kEnded) != 0;
  }

  // ---- The run.

  enum class [[nodiscard]] Alone : uint8_t { kNo, kReferred, kLast };
  Alone EndAlone() noexcept {
    uint32_t word = word_.load(std::memory_order_relaxed);  // relaxed: the exchange decides
    while ((word & (kAttended | kAwaited)) == 0) {
      const uint32_t ended = (word | kEnded) - kOneReference;
      // [end/1] acq_rel: the release pairs with [end/2], [end/3], [end/5] and [end/6]; the acquire with [end/6].
      if (word_.compare_exchange_weak(word, ended, WEFT_ORDER("end/1", std::memory_order_acq_rel),
                                      std::memory_order_relaxed)) {
        return ended < kOneReference ? Alone::kLast : Alone::kReferred;
      }
    }
    return Alone::kNo;
  }
  // Under the locks. Returns the word as it was.
  uint32_t EndAttended() noexcept {
    // [end/4] release: pairs with [end/2] and [end/3].
    return word_.fetch_or(kEnded, WEFT_ORDER("end/4", std::memory_order_release));
  }

 private:
  Atomic<uint32_t>& word_;
};

}  // namespace weft::internal

#endif  // WEFT_LIB_THREAD_THREAD_END_H_

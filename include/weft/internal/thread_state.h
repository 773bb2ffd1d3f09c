// The state word of a virtual thread: who may touch a thread that waits, decided by one atomic word.
//
//   phase             who owns the thread                    edges (by)
//   kActive           its carrier, or the queue it is in     -> kParked (Park), kNotified (Wake), kEnded (End)
//   kNotified         its carrier, about to park in vain     -> kActive (Park)
//   kParked           nobody: the first to claim it          -> kActive (Wake), kCancelling (Request)
//   kCancelling       who brought a request                  -> kCancellingWoken (Wake), kParked | kActive (EndCancel)
//   kCancellingWoken  who brought a request                  -> kActive (EndCancel)
//   kEnded            whoever holds a handle                 none
//
// A thread waits in four steps: it observes the word and is not cancelled; it writes down what it waits on; it registers with
// that (from here on it may be woken); its frame is suspended, and its carrier parks it. A wake-up before the last step makes
// Park() fail, so that nobody resumes a frame that a carrier still stands in. Every registration is answered by exactly one
// Wake(), or by a withdrawal under Request(), never by both: what is waited on decides which (a waiter is unlinked once).
//
// Beside the phase: `requested`, set while some boundary of the thread has a request that was not yet delivered, and a count of
// requests, which makes Park() fail if one has come since the thread looked.
//
// Memory ordering. What a thread did before it parked happens before what its waker does after Wake() returned kSchedule, and
// the other way round through the queue that the waker puts it into.
#ifndef WEFT_INTERNAL_THREAD_STATE_H_
#define WEFT_INTERNAL_THREAD_STATE_H_

#include <cstdint>

#include "weft/internal/atomic.h"
#include "weft/internal/check.h"

namespace weft::internal {

class ThreadState {
 public:
  enum class Phase : uint32_t { kActive, kNotified, kParked, kCancelling, kCancellingWoken, kEnded };

  struct Snapshot {
    uint32_t word = 0;
    bool requested() const noexcept { return (word & kRequested) != 0; }
    Phase phase() const noexcept { return static_cast<Phase>(word & kPhaseMask); }
  };

  // Relaxed: the thread's own look on entry to a wait. A request that it misses makes Park() fail.
  Snapshot Observe() const noexcept { return {word_.load(std::memory_order_relaxed)}; }

  enum class [[nodiscard]] ParkOutcome { kParked, kNotified, kRequested };

  // The carrier, after the frame was suspended. `seen` is what the thread observed before it registered. kParked: the thread
  // is somebody else's from now on. kNotified: it was woken already; it goes on. kRequested: a request has come since; look
  // again, with `seen` brought up to date.
  ParkOutcome Park(Snapshot& seen) noexcept {
    // Active, whatever was seen: one that looks again after kRequested may see kNotified, and would park on its wake-up.
    uint32_t expected = WithPhase(seen.word, Phase::kActive);
    // [thread/1] release: pairs with [thread/2] and [thread/4], whose callers read what the thread waits on, and its frame.
    // [thread/3] acquire, failing: pairs with [thread/2], whose caller's writes the thread goes on to read.
    if (word_.compare_exchange_strong(expected, WithPhase(seen.word, Phase::kParked),
                                      WEFT_ORDER("thread/1", std::memory_order_release),
                                      WEFT_ORDER("thread/3", std::memory_order_acquire))) {
      return ParkOutcome::kParked;
    }
    if (Snapshot{expected}.phase() == Phase::kNotified) {
      // Relaxed: the thread is ours in both phases.
      word_.fetch_sub(static_cast<uint32_t>(Phase::kNotified), std::memory_order_relaxed);
      return ParkOutcome::kNotified;
    }
    seen.word = expected;
    return ParkOutcome::kRequested;
  }

  enum class [[nodiscard]] WakeOutcome { kSchedule, kLeft };

  // Once per registration, by what was waited on. kSchedule: the caller makes the thread runnable. kLeft: somebody else will.
  WakeOutcome Wake() noexcept {
    uint32_t word = word_.load(std::memory_order_relaxed);
    for (;;) {
      Phase next;
      switch (Snapshot{word}.phase()) {
        case Phase::kActive: next = Phase::kNotified; break;
        case Phase::kParked: next = Phase::kActive; break;
        case Phase::kCancelling: next = Phase::kCancellingWoken; break;
        default: WEFT_CHECK(false) << "a virtual thread is woken twice for one wait"; return WakeOutcome::kLeft;
      }
      // [thread/2] release: pairs with [thread/3] and [thread/5]. Acquire: pairs with [thread/1] and [thread/5].
      if (word_.compare_exchange_weak(word, WithPhase(word, next), WEFT_ORDER("thread/2", std::memory_order_acq_rel),
                                      std::memory_order_relaxed)) {
        return next == Phase::kActive ? WakeOutcome::kSchedule : WakeOutcome::kLeft;
      }
    }
  }

  enum class [[nodiscard]] RequestOutcome { kClaimed, kNotParked };

  // Under the thread's records lock, after the request was written there. With `interrupt` and the thread parked, the caller
  // has claimed it: it tries to withdraw the wait and calls EndCancel(). Otherwise the thread sees the request itself.
  RequestOutcome Request(bool interrupt) noexcept {
    uint32_t word = word_.load(std::memory_order_relaxed);
    for (;;) {
      const bool claim = interrupt && Snapshot{word}.phase() == Phase::kParked;
      uint32_t next = (word | kRequested) + kOneRequest;
      if (claim) next = WithPhase(next, Phase::kCancelling);
      // [thread/4] acquire: pairs with [thread/1]. Not release: an RMW passes on what Wake() released before; and who sees
      // the flag takes the records lock, which orders the request itself.
      if (word_.compare_exchange_weak(word, next, WEFT_ORDER("thread/4", std::memory_order_acquire),
                                      std::memory_order_relaxed)) {
        return claim ? RequestOutcome::kClaimed : RequestOutcome::kNotParked;
      }
    }
  }

  // After Request() returned kClaimed. True: the caller makes the thread runnable. If the wait was not withdrawn, the thread
  // is parked again unless its Wake() has come meanwhile.
  [[nodiscard]] bool EndCancel(bool withdrawn) noexcept {
    uint32_t word = word_.load(std::memory_order_relaxed);
    for (;;) {
      const bool woken = Snapshot{word}.phase() == Phase::kCancellingWoken;
      WEFT_DCHECK(!withdrawn || !woken) << "a withdrawn wait was woken";
      const Phase next = withdrawn || woken ? Phase::kActive : Phase::kParked;
      // [thread/5] release: pairs with [thread/2]; stands for [thread/1], since the caller has looked at what the thread
      // waits on. Acquire: pairs with [thread/2], as [thread/3] does.
      if (word_.compare_exchange_weak(word, WithPhase(word, next), WEFT_ORDER("thread/5", std::memory_order_acq_rel),
                                      std::memory_order_relaxed)) {
        return next == Phase::kActive;
      }
    }
  }

  // The thread itself, under its records lock: nothing that was requested is left to deliver.
  void ClearRequested() noexcept { word_.fetch_and(~kRequested, std::memory_order_relaxed); }

  // The carrier, once.
  void End() noexcept {
    // [thread/6] release: pairs with [thread/7].
    word_.fetch_or(static_cast<uint32_t>(Phase::kEnded), WEFT_ORDER("thread/6", std::memory_order_release));
  }
  bool ended() const noexcept {
    // [thread/7] acquire: pairs with [thread/6], before which the thread left its result.
    return Snapshot{word_.load(WEFT_ORDER("thread/7", std::memory_order_acquire))}.phase() == Phase::kEnded;
  }

 private:
  static constexpr uint32_t kPhaseMask = 7;
  static constexpr uint32_t kRequested = 8;
  static constexpr uint32_t kOneRequest = 16;  // the count wraps after 2^28 requests, far more than one wait can meet

  static constexpr uint32_t WithPhase(uint32_t word, Phase phase) noexcept {
    return (word & ~kPhaseMask) | static_cast<uint32_t>(phase);
  }

  Atomic<uint32_t> word_{0};
};

}  // namespace weft::internal

#endif  // WEFT_INTERNAL_THREAD_STATE_H_

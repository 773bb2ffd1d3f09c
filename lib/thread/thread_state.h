// The state word of a virtual thread. One atomic word decides who may touch a thread that waits.
//
//   phase             who owns the thread                    edges (by)
//   kActive           its carrier, or the queue it is in     -> kParked (Park), kNotified (Wake), kEnded (End)
//   kNotified         its carrier, about to park in vain     -> kActive (Park)
//   kParked           nobody: the first to claim it          -> kActive (Wake), kCancelling (Claim)
//   kCancelling       who brought a request                  -> kCancellingWoken (Wake), kParked | kActive (EndCancel)
//   kCancellingWoken  who brought a request                  -> kActive (EndCancel)
//   kEnded            whoever holds a handle                 -> kActive (Resume)
//
// A thread waits in four steps: it observes the word and is not cancelled; it writes down what it waits on; it
// registers with that (from here on it may be woken); its frame is suspended, and its carrier parks it. A wake-up
// before the last step makes Park() fail, so that no frame is resumed while a carrier is still in it. Every
// registration ends with exactly one Wake(), or with one withdrawal under Claim(), never with both. The object of the
// wait decides which, because it unlinks a waiter, or claims its wait, once.
//
// A thread that waits for its children is kActive: nothing can end that wait before they have ended, so there is
// nothing to decide, and the last child resumes it. (join_count.h)
//
// Beside the phase, the word has a count of requests, which makes Park() fail if one has come since the thread looked,
// and four flags. A thread looks at all four at once wherever it may have to do more than go on (`attention()`):
//   requested     some boundary of the thread has a request that was not yet delivered;
//   watched       another thread walks its records: it must take their lock before it frees one that it pops;
//   unregistered  its scope does not know it yet, and can ask it nothing: it has to make itself known before it waits,
//                 passes a checkpoint, or opens anything;
//   hands down:   it has thread-locals that threads which it forks inherit.
//
// Memory ordering. What a thread did before it parked happens before what its waker does after Wake() returned
// kSchedule, and the other way round through the queue that the waker puts it into.
#ifndef WEFT_LIB_THREAD_THREAD_STATE_H_
#define WEFT_LIB_THREAD_THREAD_STATE_H_

#include <cstdint>

#include "weft/internal/atomic.h"
#include "weft/internal/check.h"
#include "weft/internal/thread_state.h"

namespace weft::internal {

inline bool ThreadState::Snapshot::attention() const noexcept {
  return (word & (kRequested | kWatched | kUnregistered | kHandsDown)) != 0;
}
inline bool ThreadState::Snapshot::requested() const noexcept { return (word & kRequested) != 0; }
inline bool ThreadState::Snapshot::watched() const noexcept { return (word & kWatched) != 0; }
inline bool ThreadState::Snapshot::unregistered() const noexcept { return (word & kUnregistered) != 0; }
inline bool ThreadState::Snapshot::hands_down() const noexcept { return (word & kHandsDown) != 0; }
inline bool ThreadState::Snapshot::untouched() const noexcept { return word == 0; }
inline ThreadState::Phase ThreadState::Snapshot::phase() const noexcept {
  return static_cast<Phase>(word & kPhaseMask);
}
inline bool ThreadState::Snapshot::asleep() const noexcept {
  return phase() == Phase::kParked || phase() == Phase::kCancelling || phase() == Phase::kCancellingWoken;
}

inline uint32_t ThreadState::WithPhase(uint32_t word, Phase phase) noexcept {
  return (word & ~kPhaseMask) | static_cast<uint32_t>(phase);
}

// A request that is missed makes Park() fail.
inline ThreadState::Snapshot ThreadState::Observe() const noexcept {
  // [thread/11] acquire: pairs with [thread/10]. A thread that finds itself no longer watched may free what the watcher
  // has read.
  return {word_.load(WEFT_ORDER("thread/11", std::memory_order_acquire))};
}

// The carrier, after the frame was suspended. `seen` is what the thread observed before it registered. kParked: the
// thread is no longer the caller's. kNotified: it was woken already; it goes on. kRequested: a request has come since;
// look again, with `seen` brought up to date.
inline ThreadState::ParkOutcome ThreadState::Park(Snapshot& seen) noexcept {
  // Active, whatever was seen: one that looks again after kRequested may see kNotified, and would park on its
  // wake-up.
  uint32_t expected = WithPhase(seen.word, Phase::kActive);
  // [thread/1] release: pairs with [thread/2], [thread/4] and [thread/9], whose callers read what the thread waits
  // on, its frame and its records. [thread/3] acquire, failing: pairs with [thread/2], whose caller's writes the
  // thread goes on to read.
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

// Called once per registration, for the object of the wait. kSchedule: the caller makes the thread runnable. kLeft:
// another thread will.
inline ThreadState::WakeOutcome ThreadState::Wake() noexcept {
  uint32_t word = word_.load(std::memory_order_relaxed);
  for (;;) {
    Phase next;
    switch (Snapshot{word}.phase()) {
      case Phase::kActive:
        next = Phase::kNotified;
        break;
      case Phase::kParked:
        next = Phase::kActive;
        break;
      case Phase::kCancelling:
        next = Phase::kCancellingWoken;
        break;
      default:
        WEFT_CHECK(false) << "a virtual thread is woken twice for one wait";
        return WakeOutcome::kLeft;
    }
    // [thread/2] acq_rel: the release pairs with [thread/3] and [thread/5], the acquire with [thread/1] and
    // [thread/5].
    if (word_.compare_exchange_weak(word, WithPhase(word, next), WEFT_ORDER("thread/2", std::memory_order_acq_rel),
                                    std::memory_order_relaxed)) {
      return next == Phase::kActive ? WakeOutcome::kSchedule : WakeOutcome::kLeft;
    }
  }
}

// Under the thread's records lock, when a request was written there. Returns the word as it was, which says whether
// the thread must pass a fence before its records are walked. (records.h, AnnounceRequest)
inline ThreadState::Snapshot ThreadState::Request() noexcept {
  // Only the holder of the lock changes the flag.
  const bool first = !Snapshot{word_.load(std::memory_order_relaxed)}.requested();
  // [thread/4] acquire: pairs with [thread/1]. Not release: an RMW passes on what Wake() released before; and who
  // sees the flag takes the records lock, which orders the request itself.
  return {word_.fetch_add(kOneRequest + (first ? kRequested : 0), WEFT_ORDER("thread/4", std::memory_order_acquire))};
}
// After Request(), to interrupt the thread: true if it was parked and is the caller's now, who tries to withdraw its
// wait and calls EndCancel().
inline bool ThreadState::Claim() noexcept {
  uint32_t word = word_.load(std::memory_order_relaxed);
  while (Snapshot{word}.phase() == Phase::kParked) {
    // relaxed, not load-bearing: it was parked when Request() looked, since Park() fails for a request that has come
    // in between.
    if (word_.compare_exchange_weak(word, WithPhase(word, Phase::kCancelling), std::memory_order_relaxed,
                                    std::memory_order_relaxed)) {
      return true;
    }
  }
  return false;
}

// Makes the thread take its records lock before it frees a record.
inline ThreadState::Snapshot ThreadState::Watch() noexcept {
  // [thread/9] acquire: pairs with [thread/1], for the records of a thread that is parked.
  return {word_.fetch_or(kWatched, WEFT_ORDER("thread/9", std::memory_order_acquire))};
}
inline void ThreadState::Unwatch() noexcept {
  // [thread/10] release: pairs with [thread/11]. What the watcher read came before the thread frees it.
  word_.fetch_and(~kWatched, WEFT_ORDER("thread/10", std::memory_order_release));
}

// The thread itself. relaxed: no other thread looks at this flag.
inline void ThreadState::Registered() noexcept { word_.fetch_and(~kUnregistered, std::memory_order_relaxed); }
inline void ThreadState::NoLongerRegistered() noexcept { word_.fetch_or(kUnregistered, std::memory_order_relaxed); }

// The thread itself, or what makes it, once, for good. relaxed: as above.
inline void ThreadState::HandsDown() noexcept { word_.fetch_or(kHandsDown, std::memory_order_relaxed); }

// After Claim(). True: the caller makes the thread runnable. If the wait was not withdrawn, the thread
// is parked again unless its Wake() has come meanwhile.
inline bool ThreadState::EndCancel(bool withdrawn) noexcept {
  uint32_t word = word_.load(std::memory_order_relaxed);
  for (;;) {
    const bool woken = Snapshot{word}.phase() == Phase::kCancellingWoken;
    WEFT_DCHECK(!withdrawn || !woken) << "a withdrawn wait was woken";
    const Phase next = withdrawn || woken ? Phase::kActive : Phase::kParked;
    // [thread/5] acq_rel: both pair with [thread/2]. The release stands for [thread/1], since the caller has looked
    // at what the thread waits on; the acquire does as [thread/3].
    if (word_.compare_exchange_weak(word, WithPhase(word, next), WEFT_ORDER("thread/5", std::memory_order_acq_rel),
                                    std::memory_order_relaxed)) {
      return next == Phase::kActive;
    }
  }
}

// The thread itself, under its records lock: nothing that was requested is left to deliver.
inline void ThreadState::ClearRequested() noexcept { word_.fetch_and(~kRequested, std::memory_order_relaxed); }

// The carrier, once. A plain store: the phase is kActive, which others leave only by Wake(), and a request that is lost
// came too late.
inline void ThreadState::End() noexcept {
  // [thread/6] release: pairs with [thread/7].
  word_.store(static_cast<uint32_t>(Phase::kEnded), WEFT_ORDER("thread/6", std::memory_order_release));
}
// The carrier, after End(), when there is no other reference: there is more to do as this thread. relaxed: no other
// thread looks.
inline void ThreadState::Resume() noexcept { word_.store(kUnregistered, std::memory_order_relaxed); }
inline bool ThreadState::ended() const noexcept {
  // [thread/7] acquire: pairs with [thread/6], before which the thread left its result.
  return Snapshot{word_.load(WEFT_ORDER("thread/7", std::memory_order_acquire))}.phase() == Phase::kEnded;
}

}  // namespace weft::internal

#endif  // WEFT_LIB_THREAD_THREAD_STATE_H_

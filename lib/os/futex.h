// Layer os. How does an OS thread sleep until a word changes?
//
// `FutexWait(word, expected, deadline)` sleeps while `word == expected`, until a `FutexWake` on that word or until the
// deadline. `FutexWake(word, n)` wakes up to n sleepers. Both are `noexcept`, allocate nothing and leave `errno` alone.
//
// A wait may also end for no reason (a signal, or a wake meant for memory that lay at this address before). So the
// caller looks at the word, and waits again. A wake needs only the address; the memory may already be gone.
//
// Memory ordering: none is promised. The kernel compares the word and puts the thread to sleep in one step, so a store
// before a `FutexWake` is never missed. Callers that read data after the wait load the word with acquire.
//
// Cost: a bare syscall is about 140 ns; waking a sleeper on another core costs the waker about 7 us. Every wait arms a
// timer of the kernel's, 0.3 us (futex.cc says why).
#ifndef WEFT_LIB_OS_FUTEX_H_
#define WEFT_LIB_OS_FUTEX_H_

#include <cstdint>
#include <limits>

#include "weft/internal/atomic.h"

namespace weft::internal {

// The deadline of a wait without end.
inline constexpr int64_t kNoDeadlineNs = std::numeric_limits<int64_t>::max();

enum class FutexOutcome {
  kWoken,     // woken, interrupted, or the word was not `expected`: look at it again
  kTimedOut,  // the deadline has passed
};

// Sleeps while `word == expected`. `deadline_ns` is absolute, on CLOCK_MONOTONIC (see clock.h); one that has passed
// returns kTimedOut at once, unless the word differs.
FutexOutcome FutexWait(Atomic<uint32_t>& word, uint32_t expected, int64_t deadline_ns = kNoDeadlineNs) noexcept;

// The same, where virtual threads change the word: in a simulation these run meanwhile, and the clock is its own.
// (stand_in.cc)
FutexOutcome AwaitWord(Atomic<uint32_t>& word, uint32_t expected, int64_t deadline_ns = kNoDeadlineNs) noexcept;

// Wakes up to `count` threads that sleep on `word`. Only the address is used.
void FutexWake(Atomic<uint32_t>& word, int count) noexcept;

}  // namespace weft::internal

#endif  // WEFT_LIB_OS_FUTEX_H_

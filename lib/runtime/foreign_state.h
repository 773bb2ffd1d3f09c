// Foreign code of a virtual thread has returned: does the thread wait for its end, or has the end come already?
//
// When foreign code returns to the carrier, the carrier does not know whether the work is done or goes on on some other
// OS thread. Nor does the thread that does the work know whether the carrier has looked.
//
//   The carrier, when foreign code has returned (Park):   Whoever ends the foreign work, on any OS thread (End):
//   1. writes down what the thread waits on;              4. puts the result where it belongs;
//   2. kInline -> kParked; if that works, parks it;       5. -> kEnded; this is the last touch, unless it was
//   3. if not, it has ended: the thread goes on, and      6. kParked: then it wakes the thread, once, which cannot
//      what this lies in may go away.                        have gone on before.
//
// Either 2 comes before 5, which sees kParked and answers the one registration with the one wake-up; or 5 comes before
// 2, which fails, and nobody wakes a thread that has never waited. If control comes back because the thread waits for
// something of Weft's, nothing here is called: the foreign code will go on by itself, on this carrier.
#ifndef WEFT_LIB_RUNTIME_FOREIGN_STATE_H_
#define WEFT_LIB_RUNTIME_FOREIGN_STATE_H_

#include <cstdint>

#include "weft/internal/atomic.h"
#include "weft/internal/foreign_state.h"

namespace weft::internal {

// The carrier. True: the thread is registered, and will be woken. False: the work has ended.
inline bool ForeignState::Park() noexcept {
  uint32_t expected = kInline;
  // relaxed: what the waker reads of the thread was written before foreign code was entered, and ThreadState decides
  // who owns it. [foreign/2] acquire, failing: pairs with [foreign/1], before which the result was left.
  return word_.compare_exchange_strong(expected, kParked, std::memory_order_relaxed,
                                       WEFT_ORDER("foreign/2", std::memory_order_acquire));
}

// Once. True: the caller wakes the thread. False: it must not touch anything of it.
inline bool ForeignState::End() noexcept {
  // [foreign/1] release: pairs with [foreign/2]. Not acquire: Wake() orders what follows.
  return word_.exchange(kEnded, WEFT_ORDER("foreign/1", std::memory_order_release)) == kParked;
}

// relaxed: a check of what the caller has been told.
inline bool ForeignState::ended() const noexcept { return word_.load(std::memory_order_relaxed) == kEnded; }

}  // namespace weft::internal

#endif  // WEFT_LIB_RUNTIME_FOREIGN_STATE_H_

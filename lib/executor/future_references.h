// Layer executor. Who destroys a future, and who its outcome?
//
//   the work, a keeper                              the holder of a handle
//   1. writes the outcome                           5. if the future is done, reads the outcome; moves it, if
//   2. if there are no handles, destroys it            there is one handle
//   3. makes the future done                        6. drops the handle. The only reference: destroys the future.
//   4. drops itself; the last destroys the             The last handle: becomes a keeper, looks whether the future
//      future, with an outcome that is left            is done, destroys the outcome if it is, and goes on at 4
//
// The outcome is destroyed once, and nobody reads it any more. At 5 it is moved by the only handle, which can be
// copied by nobody but its holder; what other holders read came before they dropped theirs ([future/4], [future/2]).
// At 2 there is no handle, and the future is not done, so nobody has read it. The last handle at 6 may find that 2 has
// destroyed it, and 3, which it sees, says so: to destroy it is idempotent.
//
// An outcome that somebody has read is never left to the work: whoever read it saw 3, and then dropped a handle; the
// last handle comes after that in the word's order, and sees 3 as well. That is for exceptions. What counts the
// references to one lies in the compiler's library, whose atomics ThreadSanitizer does not see: if the work's thread
// had the last reference, that would be a race for it, with whoever has caught the exception and read it.
#ifndef WEFT_LIB_EXECUTOR_FUTURE_REFERENCES_H_
#define WEFT_LIB_EXECUTOR_FUTURE_REFERENCES_H_

#include <cstdint>

#include "weft/executor/future_references.h"
#include "weft/internal/atomic.h"

namespace weft::internal {

inline FutureReferences::Dropped FutureReferences::DropHandle() noexcept {
  // [future/3] acquire: pairs with [future/1] and [future/4]. Whoever had the other references is done with them.
  uint64_t before = word_.load(WEFT_ORDER("future/3", std::memory_order_acquire));
  if (before == kHandle) return Dropped::kLast;
  for (;;) {
    const bool last = before % kKeeper == kHandle;
    // [future/4] acq_rel: pairs with itself and with [future/1], [future/2] and [future/3].
    if (word_.compare_exchange_weak(before, before - kHandle + (last ? kKeeper : 0),
                                    WEFT_ORDER("future/4", std::memory_order_acq_rel), std::memory_order_relaxed)) {
      return last ? Dropped::kLastHandle : Dropped::kOthersHaveHandles;
    }
  }
}

inline bool FutureReferences::DropKeeper() noexcept {
  // [future/1] acq_rel: pairs with itself and with [future/3] and [future/4]. What the others did happens before the
  // destruction.
  return word_.fetch_sub(kKeeper, WEFT_ORDER("future/1", std::memory_order_acq_rel)) == kKeeper;
}

}  // namespace weft::internal

#endif  // WEFT_LIB_EXECUTOR_FUTURE_REFERENCES_H_

// What a request to cancel is made to: a boundary, or the root of a virtual thread.
#ifndef WEFT_INTERNAL_CANCEL_TARGET_H_
#define WEFT_INTERNAL_CANCEL_TARGET_H_

#include "weft/internal/compiler.h"

#include "weft/internal/cancel_cause.h"

namespace weft::internal {

// Where an unwinding stops: a boundary, or the root of a thread.
struct CancelTarget {
  CancelTarget() noexcept {}

  bool requested = false;  // a request was made to this one itself; guarded by the records lock
  bool reached = false;    // an unwinding ended here; the thread's own
  union {
    CancelCause cause;  // of the request, and then of the unwinding; not set before
  };
};

}  // namespace weft::internal

#endif  // WEFT_INTERNAL_CANCEL_TARGET_H_

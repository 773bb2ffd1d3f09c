// A place where a cancellation stops. (lib/cancel/boundary.h)
#ifndef WEFT_INTERNAL_BOUNDARY_H_
#define WEFT_INTERNAL_BOUNDARY_H_

#include "weft/internal/compiler.h"

#include "weft/internal/cancel_cause.h"
#include "weft/internal/record.h"

namespace weft::internal {

struct PromiseBase;

// `frame` is the awaiting frame: an unwinding destroys what it awaits, and then the frame goes on.
struct Boundary : Record {
  explicit Boundary(Kind boundary_kind) noexcept : Record(boundary_kind) {}

  // What most are. (boundary_awaiter.h)
  static constexpr bool kEntryIsCheckpoint = false;
  static constexpr bool kOwesCleanUp = false;

  bool timed = false;      // a TimedBoundary; constant
  bool requested = false;  // a request was made to this one itself; guarded by the records lock
  bool reached = false;    // an unwinding ended here; the thread's own
  union {
    CancelCause cause;  // of the request, and then of the unwinding; not set before
  };
  PromiseBase* frame;  // once it is pushed
};

}  // namespace weft::internal

#endif  // WEFT_INTERNAL_BOUNDARY_H_

// Where does a cancellation stop, and is the thread cancelled?
//
// A request is made to a boundary, or to the root of a thread. The thread is cancelled if it has a request that no
// shield hides from the frame that runs; an unwinding then goes to the target that FindTarget() returns.
#ifndef WEFT_LIB_CANCEL_BOUNDARY_H_
#define WEFT_LIB_CANCEL_BOUNDARY_H_

#include "lib/thread/thread_state.h"
#include "weft/internal/boundary.h"
#include "weft/internal/cancel_cause.h"
#include "weft/internal/record.h"
#include "weft/internal/thread_block.h"

namespace weft::internal {

// Where an unwinding has to stop.
struct CancelTarget {
  bool exists = false;           // there is a request
  Boundary* boundary = nullptr;  // null: the root of the thread
};

// Under the records lock: does `record` hide requests to what is outside of it from what is inside?
bool Hides(const ThreadBlock& thread, const Record& record) noexcept;

// Where an unwinding of `thread` has to stop: the outermost target whose request is not hidden by a shield, or the
// innermost kCatch inside that. Under the records lock.
CancelTarget FindTarget(ThreadBlock& thread) noexcept;
// Why `thread` was asked to end as a whole; it was. Under the records lock, or the thread itself at its end.
CancelCause CauseOfEnd(const ThreadBlock& thread) noexcept;
// Why an unwinding goes to `target`. Under the records lock.
inline CancelCause CauseAt(const ThreadBlock& thread, CancelTarget target) noexcept {
  return target.boundary == nullptr ? CauseOfEnd(thread) : target.boundary->cause;
}

// Called by the thread itself. Takes the records lock only if there is a request. Enters the thread in its scope's
// list.
bool IsCancelledSlow(ThreadBlock& thread) noexcept;
inline bool IsCancelled(ThreadBlock& thread) noexcept {
  return thread.state.Observe().attention() && IsCancelledSlow(thread);
}

// Why a scope that was just pushed must be shut from the start.
CancelCause WhyCancelled(ThreadBlock& thread) noexcept;

}  // namespace weft::internal

#endif  // WEFT_LIB_CANCEL_BOUNDARY_H_

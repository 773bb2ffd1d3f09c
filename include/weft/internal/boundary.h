// Where does a cancellation stop, and is the thread cancelled?
//
// A request is made to a boundary, or to the root of a thread. The thread is cancelled if it has a request that no
// shield hides from the frame that runs; an unwinding then goes to the target that FindTarget() returns.
#ifndef WEFT_INTERNAL_BOUNDARY_H_
#define WEFT_INTERNAL_BOUNDARY_H_

#include "weft/internal/compiler.h"

#include "weft/internal/cancel_target.h"
#include "weft/internal/record.h"
#include "weft/internal/thread_block.h"

namespace weft::internal {

struct PromiseBase;

// `frame` is the awaiting frame: what it awaits is destroyed, then it goes on.
struct Boundary : Record, CancelTarget {
  explicit Boundary(Kind boundary_kind) noexcept : Record(boundary_kind) {}

  PromiseBase* frame;  // once it is pushed
};

// Under the records lock: does `record` hide from what is inside it what is requested outside of it?
bool Hides(const ThreadBlock& thread, const Record& record) noexcept;

// Where an unwinding of `thread` has to stop: the outermost target whose request is not hidden by a shield, or the
// innermost kCatch inside that; null if nothing is requested. Under the records lock.
CancelTarget* FindTarget(ThreadBlock& thread) noexcept;
// As a record; null for the root.
inline Record* RecordOf(ThreadBlock& thread, CancelTarget& target) noexcept {
  return &target == &thread.root ? nullptr : &static_cast<Boundary&>(target);
}

// The thread's own; takes the records lock only if something was requested. Makes the thread known to its scope.
bool IsCancelledSlow(ThreadBlock& thread) noexcept;
inline bool IsCancelled(ThreadBlock& thread) noexcept {
  return thread.state.Observe().attention() && IsCancelledSlow(thread);
}

// Why a scope that was just pushed is to be shut from the start.
CancelCause WhyCancelled(ThreadBlock& thread) noexcept;

}  // namespace weft::internal

#endif  // WEFT_INTERNAL_BOUNDARY_H_

// Unwinding: the frames of a cancelled thread are destroyed, leaf first, up to the boundary where the request stops.
//
// It runs destructors in the order in which an exception would: the locals of inner frames go first, and a scope waits
// for its children when its turn comes. Only the way in which it waits is different. A destructor would hold the
// carrier; so the frame of the innermost scope that has children is kept, and the thread waits suspended until they
// have ended. In three cases that frame is destroyed before, and its scope's destructor waits: a lock is wanted that
// the frame may hold (drain.h); the thread holds a permit of a Semaphore, has waited for
// RuntimeOptions::drain_patience, and some thread waits for a permit (scope_timer.cc); a simulation would be deadlocked
// otherwise.
#ifndef WEFT_LIB_CANCEL_UNWIND_H_
#define WEFT_LIB_CANCEL_UNWIND_H_

#include <cstdint>

namespace weft::internal {

class ScopeRecord;
class ThreadBlock;

struct UnwindStep {
  enum Reached : uint8_t {
    kAtRoot,      // no frame is left: the thread ends
    kAtBoundary,  // its leaf is the frame that awaits the boundary, and goes on
    kBusy,        // `busy` has children: once they have ended, or it is pressed, there is another step
  };
  Reached reached;
  ScopeRecord* busy;
};

// Called by the carrier of a cancelled thread, which is mounted and suspended. Destroys its frames, as far as possible
// without waiting.
UnwindStep UnwindUntilBusy(ThreadBlock& thread) noexcept;

}  // namespace weft::internal

#endif  // WEFT_LIB_CANCEL_UNWIND_H_

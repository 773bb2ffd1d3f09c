// Unwinding: the frames of a cancelled thread are destroyed, leaf first, up to the boundary where the request stops.
//
// It means what an exception would mean, in the order of the destructors: what lies in the frames inside goes first,
// and a scope waits for its children when its turn comes. Only how it waits is different. A destructor would hold the
// carrier; so the frame of the innermost scope that has children is kept, and the thread waits suspended until they
// have ended. It is destroyed with children, and its scope's destructor waits, if a lock is wanted that the frame may
// hold (drain.h), if the thread holds a permit of a Semaphore and has waited for RuntimeOptions::drain_patience, or if
// a simulation would be deadlocked otherwise.
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

// The carrier of a cancelled thread, which is mounted and suspended: destroys its frames, as far as that is possible
// without waiting.
UnwindStep UnwindUntilBusy(ThreadBlock& thread) noexcept;

}  // namespace weft::internal

#endif  // WEFT_LIB_CANCEL_UNWIND_H_

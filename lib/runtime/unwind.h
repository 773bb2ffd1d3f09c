// Layer runtime. How are the frames of a cancelled thread destroyed, leaf first, up to the boundary where the request
// stops?
//
// It means what an exception would mean, in the order of the destructors: what lies in the frames inside goes first,
// and a scope waits for its children when its turn comes. Only how it waits is different. A destructor would hold the
// carrier; so the frame of the innermost scope that has children is kept, and the thread waits suspended until they
// have ended. It is destroyed with children, and its scope's destructor waits, if a lock is wanted that the frame may
// hold (drain.h), if the thread holds a permit of a Semaphore and has waited for RuntimeOptions::drain_patience, or if
// a simulation would be deadlocked otherwise.
#ifndef WEFT_LIB_RUNTIME_UNWIND_H_
#define WEFT_LIB_RUNTIME_UNWIND_H_

#include <cstdint>

#include "lib/runtime/turn.h"
#include "weft/internal/thread_block.h"

namespace weft::internal {

enum class AfterUnwind : uint8_t {
  kLeft,        // the thread waits for children, and is somebody else's
  kAtBoundary,  // the frame that awaits the boundary is its leaf
  kAtRoot,      // all of its frames are gone
};

// The carrier, with the thread mounted and `unwind` set.
AfterUnwind Unwind(Turn& turn, ThreadBlock& thread) noexcept;

}  // namespace weft::internal

#endif  // WEFT_LIB_RUNTIME_UNWIND_H_

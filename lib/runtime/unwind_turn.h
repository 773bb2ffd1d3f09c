// Layer runtime. How does a carrier unwind a cancelled thread?
//
// Step by step (lib/cancel/unwind.h). Between two steps the thread waits, suspended, for the children of a scope; the
// carrier is free meanwhile.
#ifndef WEFT_LIB_RUNTIME_UNWIND_TURN_H_
#define WEFT_LIB_RUNTIME_UNWIND_TURN_H_

#include <cstdint>

#include "lib/runtime/turn.h"
#include "weft/internal/thread_block.h"

namespace weft::internal {

enum class AfterUnwind : uint8_t {
  kLeft,        // the thread waits for children, and is no longer ours
  kAtBoundary,  // the frame that awaits the boundary is its leaf
  kAtRoot,      // all of its frames are gone
};

// The carrier, with the thread mounted and `unwind` set.
AfterUnwind Unwind(Turn& turn, ThreadBlock& thread) noexcept;

}  // namespace weft::internal

#endif  // WEFT_LIB_RUNTIME_UNWIND_TURN_H_

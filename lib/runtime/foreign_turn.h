// Layer runtime. What becomes of a thread on which foreign code runs? (weft/foreign.h; implemented in foreign.cc)
#ifndef WEFT_LIB_RUNTIME_FOREIGN_TURN_H_
#define WEFT_LIB_RUNTIME_FOREIGN_TURN_H_

#include "lib/runtime/turn.h"
#include "weft/internal/thread_block.h"

namespace weft::internal {

// The carrier, after Action::kForeign: foreign code has returned to it. True: the thread waits for it, and must be
// parked. False: the foreign code is over, and the thread goes on.
bool AwaitForeign(Turn& turn, ThreadBlock& thread) noexcept;

}  // namespace weft::internal

#endif  // WEFT_LIB_RUNTIME_FOREIGN_TURN_H_

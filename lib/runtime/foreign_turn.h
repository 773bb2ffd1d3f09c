// Layer runtime. What becomes of a thread on which foreign code runs? (weft/foreign.h; implemented in foreign.cc)
//
// Foreign() is a Task, the adapter. It makes a hop, a coroutine that is no frame of Weft's and that awaits the foreign
// awaitable. So foreign code, on whichever thread, never resumes a frame that an unwinding may meet.
//
//   In.           The adapter sets Action::kForeign and Turn::foreign, and transfers to the hop. Foreign code runs on
//                 the carrier's stack, with its thread mounted.
//   Back.         Foreign code returns to the carrier's loop. If it waits for an operation of Weft's, that operation
//                 has written another action, and the loop need not know of foreign code. If not, AwaitForeign() asks
//                 whether the hop has ended, and the thread is parked if it has not (weft/internal/foreign_state.h).
//                 The hop's end never transfers to the adapter, because another library's event loop may be on the
//                 stack above the carrier's.
//   AsForeign().  In the foreign coroutine. It takes Turn::foreign away, opens a boundary whose frame is the adapter's,
//                 and transfers to the operation, a frame whose parent is the adapter. When the operation has ended, or
//                 has been unwound up to the boundary, the adapter goes on, and resumes the foreign coroutine in the
//                 way in which it began the hop.
//   Cancelled.    The foreign coroutine's await_resume throws weft::Cancelled. If the exception comes out of the hop,
//                 the adapter passes a checkpoint, where its thread, which is still cancelled, is unwound.
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

// Layer runtime. How does a destructor wait for threads?
//
// A destructor cannot suspend: it holds its OS thread. So the carrier runs on this stack what the destructor waits for,
// until that is over: the threads in the tree below a scope, or those of an executor and in the trees below them, and
// no others. Another thread might wait for something that only the frames below it on the stack can provide. Such
// threads go to the inject queue, where other carriers find them; if too few carriers are left, a spare one is started
// (CarrierPool::EnterBlocked).
//
// Meanwhile the carrier serves its timers, its driver and the cancel queue, and parks when there is nothing to do;
// the thread that ends last rings it (CarrierPool::RingBlocked). What the mounted thread has set is kept aside for so
// long (Turn::Interrupted), and the exceptions in flight while a thread runs here (ExceptionState). The statistics
// count a pin.
#ifndef WEFT_LIB_RUNTIME_PINNED_RUN_H_
#define WEFT_LIB_RUNTIME_PINNED_RUN_H_

#include "weft/internal/scope_record.h"

namespace weft::internal {

class Carrier;
struct PinnedWait;

void RunUntilOver(Carrier& carrier, const PinnedWait& wait) noexcept;
// The carrier of the mounted thread, which owns `scope`.
void RunDescendantsUntilDrained(Carrier& carrier, ScopeRecord& scope) noexcept;

}  // namespace weft::internal

#endif  // WEFT_LIB_RUNTIME_PINNED_RUN_H_

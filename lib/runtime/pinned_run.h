// Layer runtime. How does a destructor wait for children?
//
// A destructor cannot suspend: it holds its OS thread. So the carrier runs what the destructor waits for on this stack,
// until all of the children have ended: the threads in the tree below the scope, and no others, since a stranger may
// wait for something that only the frames below it on the stack can give. Strangers that are runnable go to the inject
// queue. If too few carriers are left for them, a spare one is started (RuntimeCore::EnterBlocked).
#ifndef WEFT_LIB_RUNTIME_PINNED_RUN_H_
#define WEFT_LIB_RUNTIME_PINNED_RUN_H_

#include "weft/internal/record.h"
#include "weft/internal/scope_record.h"

namespace weft::internal {

class Carrier;

// The carrier of the mounted thread, which owns `scope`.
void RunDescendantsUntilDrained(Carrier& carrier, ScopeRecord& scope) noexcept;

}  // namespace weft::internal

#endif  // WEFT_LIB_RUNTIME_PINNED_RUN_H_

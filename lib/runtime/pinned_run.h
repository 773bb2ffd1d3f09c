// Layer runtime. How does a destructor wait for children?
//
// A destructor cannot suspend: it holds its OS thread. So the carrier runs what it waits for on this stack, the threads
// in the tree below the scope and nothing else, until all of the children have ended. Others may be among its callers'
// locks and frames. What else is runnable goes to the inject queue; and if too few carriers are left for that, a spare
// one is started (RuntimeCore::EnterBlocked).
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

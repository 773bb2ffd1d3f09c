// How is a thread that holds a lock or a permit, and drains, made to give it back? (drain.h)
#ifndef WEFT_LIB_CANCEL_PRESS_H_
#define WEFT_LIB_CANCEL_PRESS_H_

#include <cstdint>

#include "lib/cancel/drain.h"
#include "weft/internal/thread_block.h"
#include "weft/internal/thread_key.h"

namespace weft::internal {

// The current thread, if there is one, has got a permit. UncountPermit(): the current thread, perhaps another one,
// gives it back.
PermitReceipt CountPermit() noexcept;
void UncountPermit(const PermitReceipt& receipt) noexcept;
// Somebody waits for a lock that `holder` has got when it had opened so many scopes; without an address nobody is known
// to hold it. Call it without locks held, or under the records locks of a request.
void PressHolder(const ThreadKey& holder, uint32_t scopes_opened) noexcept;
// A lock that threads hold by permits, so that its holders are not known, is wanted from now on (1), or no more (-1).
void CountWanted(const HeldLock& held, int difference) noexcept;
// Is there one? A hint.
bool AnyPermitIsWanted() noexcept;
// The patience of an owner that drains, and has a permit, is over: it goes on. BeginPressed() has said that it may.
void PressForPermit(Drain& drain) noexcept;

// In a simulation that can do nothing else: presses a thread of `runtime` that drains. False: there is none.
bool PressOneDrain(const RuntimeCore& runtime) noexcept;

}  // namespace weft::internal

#endif  // WEFT_LIB_CANCEL_PRESS_H_

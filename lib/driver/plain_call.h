// Layer driver. Can an operation end at once, by the plain system call?
//
// On epoll every operation ends this way, sooner or later; on io_uring those do that are not worth a trip through the
// ring.
#ifndef WEFT_LIB_DRIVER_PLAIN_CALL_H_
#define WEFT_LIB_DRIVER_PLAIN_CALL_H_

#include "weft/internal/operation.h"

namespace weft::internal {

// Makes the call of `op`, which does not block, and makes it again when a signal interrupts it. Returns true if the
// operation has ended, with its result. False: it would block, or a connect is under way; a later call then says how
// that went.
bool EndsByPlainCall(Operation& op) noexcept;

}  // namespace weft::internal

#endif  // WEFT_LIB_DRIVER_PLAIN_CALL_H_

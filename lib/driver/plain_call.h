// Layer driver. Can an operation end at once, by the plain system call?
//
// On epoll this is how every operation ends, sooner or later; on io_uring, how those end that are not worth a way
// through the ring.
#ifndef WEFT_LIB_DRIVER_PLAIN_CALL_H_
#define WEFT_LIB_DRIVER_PLAIN_CALL_H_

#include "weft/internal/operation.h"

namespace weft::internal {

// Makes the call of `op`, which does not block, and makes it again when a signal interrupts it. True: the operation has
// ended, with its result. False: it would block, or, for a connect, it is under way; asked again later, the call says
// how that stands.
bool EndsByPlainCall(Operation& op) noexcept;

}  // namespace weft::internal

#endif  // WEFT_LIB_DRIVER_PLAIN_CALL_H_

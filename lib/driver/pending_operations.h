// Layer driver. Which operations are pending on a descriptor that somebody closes?
//
// Nobody closes a descriptor under an operation: the kernel would use its number again, and on io_uring the old socket
// lives on until the operation has ended. Whoever wants to close it sets `closed`, has Backend::CancelPending() end the
// operations, and closes it after the last one. (lib/io/open_descriptor.h)
#ifndef WEFT_LIB_DRIVER_PENDING_OPERATIONS_H_
#define WEFT_LIB_DRIVER_PENDING_OPERATIONS_H_

#include "lib/base/list.h"
#include "weft/internal/atomic.h"
#include "weft/internal/lock.h"
#include "weft/internal/operation.h"

namespace weft::internal {

// It outlives the operations.
struct PendingOperations {
  Lock lock;
  // Set before Backend::CancelPending(). A driver looks at it under the lock under which CancelPending() will find the
  // operation, so either that finds it, or it is not begun: -EBADF. relaxed: that lock orders it.
  Atomic<bool> closed{false};
  List<Operation, PendingTag> operations;  // guarded by lock; kept by io_uring, which has no other list of them
};

}  // namespace weft::internal

#endif  // WEFT_LIB_DRIVER_PENDING_OPERATIONS_H_

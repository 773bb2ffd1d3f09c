// Layer driver. Which backend does this process get?
#ifndef WEFT_LIB_DRIVER_BACKEND_H_
#define WEFT_LIB_DRIVER_BACKEND_H_

#include <memory>

#include "absl/status/statusor.h"
#include "lib/driver/driver.h"
#include "weft/io_backend.h"

namespace weft::internal {

// kAuto: io_uring, and where it is refused epoll, with one line on stderr per process that says why. kUring where it is
// refused is an error with the reason and the errno.
//
// `drivers` is how many will be asked for at the start. What they need of the kernel is had when this returns, so these
// NewDriver() calls do not fail for want of it; for further ones, that stand in for others later, the choice is made:
// they may fail.
absl::StatusOr<std::shared_ptr<Backend>> NewBackend(IoBackend choice, int drivers);

}  // namespace weft::internal

#endif  // WEFT_LIB_DRIVER_BACKEND_H_

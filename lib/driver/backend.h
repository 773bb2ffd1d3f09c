// Layer driver. Which backend does this process get?
#ifndef WEFT_LIB_DRIVER_BACKEND_H_
#define WEFT_LIB_DRIVER_BACKEND_H_

#include <memory>

#include "absl/status/statusor.h"
#include "lib/driver/driver.h"
#include "weft/io_backend.h"

namespace weft::internal {

// kAuto: io_uring, or, where that is refused, epoll, with one line on stderr per process that says why. kUring: where
// io_uring is refused, an error with the reason and the errno.
//
// `drivers` is how many NewDriver() calls the runtime makes at its start. What these need of the kernel is there when
// this function returns, so they do not fail for want of it. Later calls, for carriers that stand in for others, may
// fail: by then the choice of a backend is made.
absl::StatusOr<std::shared_ptr<Backend>> NewBackend(IoBackend choice, int drivers);

}  // namespace weft::internal

#endif  // WEFT_LIB_DRIVER_BACKEND_H_

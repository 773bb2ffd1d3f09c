// Layer io. Which backend does this process get?
#ifndef WEFT_LIB_IO_BACKEND_H_
#define WEFT_LIB_IO_BACKEND_H_

#include <memory>

#include "absl/status/statusor.h"
#include "weft/internal/driver.h"

namespace weft::internal {

// kAuto: io_uring, and where it is refused epoll, with one line on stderr per process that says why. kUring where it is
// refused is an error with the reason and the errno.
absl::StatusOr<std::shared_ptr<Backend>> NewBackend(IoBackend choice);

}  // namespace weft::internal

#endif  // WEFT_LIB_IO_BACKEND_H_

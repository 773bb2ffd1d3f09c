// Layer driver. Why may this process not use io_uring, and what can a person do about it?
//
//   return UringRefused("io_uring_setup", EPERM);
//   // PERMISSION_DENIED: io_uring refused (io_uring_setup: a seccomp filter, as in Docker; a profile that allows
//   // io_uring_setup, io_uring_enter and io_uring_register lifts it): Operation not permitted (EPERM)
//
// Each call fails for reasons of its own; the sentence names the call, and what that errno means there. A kernel that
// allows the calls may still be too old: it lacks an opcode or a feature.
#ifndef WEFT_LIB_DRIVER_URING_URING_REFUSAL_H_
#define WEFT_LIB_DRIVER_URING_URING_REFUSAL_H_

#include <liburing.h>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace weft::internal {

// `call` is the system call that failed; `error` is its errno, not 0.
absl::Status UringRefused(absl::string_view call, int error);

// Does the kernel have what Weft needs, by what it says of itself? EOPNOTSUPP names the first thing that it lacks.
// `features`: those of a ring, IORING_FEAT_...
absl::Status CheckUringKernel(unsigned features, const io_uring_probe& probe);

}  // namespace weft::internal

#endif  // WEFT_LIB_DRIVER_URING_URING_REFUSAL_H_

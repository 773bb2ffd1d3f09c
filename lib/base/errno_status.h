// Layer base. How does an errno become an absl::Status, and come back?
//
//   return ErrnoToStatus(EMFILE, "accept on 127.0.0.1:8080");
//   // RESOURCE_EXHAUSTED: accept on 127.0.0.1:8080: Too many open files (EMFILE) [weft.dev/errno='24 (EMFILE)']
//   if (ErrnoOf(status) == EMFILE) ...
//
// Every I/O error of Weft passes through this table, so that a caller may decide on the code and still find the errno.
// Abseil's own absl::ErrnoToStatus keeps no errno, and returns kUnknown for a third of Linux's. This table returns
// kUnknown only for numbers that Linux does not define.
//
// Cost: allocates, as every absl::Status with a message does. The success path never comes here.
#ifndef WEFT_LIB_BASE_ERRNO_STATUS_H_
#define WEFT_LIB_BASE_ERRNO_STATUS_H_

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "weft/errno.h"  // ErrnoOf(): the way back

namespace weft::internal {

// The payload that carries the errno: "111 (ECONNREFUSED)", or the number alone.
inline constexpr absl::string_view kErrnoPayloadUrl = "weft.dev/errno";

// The code for an errno (positive). 0 is kOk.
absl::StatusCode ErrnoToCode(int error) noexcept;

// The symbol, such as "ECONNRESET"; empty for a number that Linux does not define.
absl::string_view ErrnoName(int error) noexcept;

// OK for 0. Otherwise "<what>: <text> (<NAME>)" with the errno as a payload.
absl::Status ErrnoToStatus(int error, absl::string_view what);

}  // namespace weft::internal

#endif  // WEFT_LIB_BASE_ERRNO_STATUS_H_

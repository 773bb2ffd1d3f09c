// The errno behind a status of Weft's I/O.
#ifndef WEFT_ERRNO_H_
#define WEFT_ERRNO_H_

#include "weft/internal/compiler.h"

#include "absl/status/status.h"

namespace weft {

// The errno that `status` carries, or 0 if it carries none: `ErrnoOf(stream.status()) == ECONNREFUSED`.
// (errno_status.cc)
int ErrnoOf(const absl::Status& status);

}  // namespace weft

#endif  // WEFT_ERRNO_H_

// The errno behind a status of Weft's I/O.
#ifndef WEFT_ERRNO_H_
#define WEFT_ERRNO_H_

#include "weft/internal/compiler.h"

#include "absl/status/status.h"
#include "weft/internal/errno_status.h"

namespace weft {

// The errno that `status` carries, or 0 if it carries none: `ErrnoOf(stream.status()) == ECONNREFUSED`.
inline int ErrnoOf(const absl::Status& status) { return internal::ErrnoOf(status); }

}  // namespace weft

#endif  // WEFT_ERRNO_H_

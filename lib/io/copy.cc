#include "weft/io/copy.h"

#include <cstddef>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace weft::internal {

absl::Status NoMemoryToCopy(size_t bytes) {
  return absl::ResourceExhaustedError(absl::StrCat("Copy(): no memory for a buffer of ", bytes, " bytes"));
}

}  // namespace weft::internal

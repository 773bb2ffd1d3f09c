#include "weft/io/copy.h"

#include <cstddef>
#include <memory>
#include <new>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace weft::internal {

std::unique_ptr<char[]> AllocateCopyBuffer(size_t bytes) noexcept {
  return std::unique_ptr<char[]>(new (std::nothrow) char[bytes]);
}

absl::Status NoMemoryToCopy(size_t bytes) {
  return absl::ResourceExhaustedError(absl::StrCat("Copy(): no memory for a buffer of ", bytes, " bytes"));
}

}  // namespace weft::internal

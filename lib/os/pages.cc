#include "lib/os/pages.h"

#include <sys/mman.h>

#include <cerrno>
#include <cstddef>

namespace weft::internal {

void ReturnPages(void* begin, size_t bytes) noexcept {
  const int saved_errno = errno;
  ::madvise(begin, bytes, MADV_DONTNEED);
  errno = saved_errno;
}

}  // namespace weft::internal

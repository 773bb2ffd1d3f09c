#include "lib/os/pages.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>

namespace weft::internal {

namespace {

void Advise(void* begin, size_t bytes, int advice) noexcept {
  const int saved_errno = errno;
  ::madvise(begin, bytes, advice);
  errno = saved_errno;
}

}  // namespace

void ReturnPages(void* begin, size_t bytes) noexcept { Advise(begin, bytes, MADV_DONTNEED); }

void AskForHugePages(void* begin, size_t bytes) noexcept { Advise(begin, bytes, MADV_HUGEPAGE); }

void ReturnPagesWithin(void* begin, size_t bytes) noexcept {
  static const auto page = static_cast<uintptr_t>(::sysconf(_SC_PAGESIZE));
  const auto at = reinterpret_cast<uintptr_t>(begin);
  const uintptr_t first = (at + page - 1) / page * page;
  const uintptr_t end = (at + bytes) / page * page;
  if (first < end) ReturnPages(static_cast<char*>(begin) + (first - at), end - first);
}

}  // namespace weft::internal

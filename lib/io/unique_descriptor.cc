#include "weft/io/unique_descriptor.h"

#include <utility>

#include "lib/io/accept_retry.h"
#include "lib/os/syscalls.h"

namespace weft::io {

void UniqueDescriptor::Reset(int fd) noexcept {
  const int before = std::exchange(fd_, fd);
  if (before < 0) return;
  internal::Sys().close(before);  // the descriptor is gone whatever it says
  internal::DescriptorFreed();
}

}  // namespace weft::io

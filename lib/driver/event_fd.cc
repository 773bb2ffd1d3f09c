#include "lib/driver/event_fd.h"

#include <sys/eventfd.h>
#include <sys/types.h>

#include <cerrno>
#include <cstdint>

#include "lib/os/syscalls.h"

namespace weft::internal {

EventFd::~EventFd() {
  if (fd_ >= 0) Sys().close(fd_);
}

int EventFd::Open() noexcept {
  fd_ = Sys().eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  return fd_ >= 0 ? 0 : errno;
}

void EventFd::Signal() noexcept {
  const int saved_errno = errno;
  const uint64_t one = 1;
  // Fails only if the counter is full, and then it is signalled.
  [[maybe_unused]] const ssize_t ignored = Sys().write(fd_, &one, sizeof(one));
  errno = saved_errno;
}

void EventFd::Drain() noexcept {
  uint64_t signals;
  // Fails only if there is nothing to read.
  [[maybe_unused]] const ssize_t ignored = Sys().read(fd_, &signals, sizeof(signals));
}

}  // namespace weft::internal

#include "lib/fs/open_file.h"

#include <cerrno>
#include <mutex>
#include <utility>

#include "lib/os/syscalls.h"

namespace weft::internal {

int OpenFile::fd() const noexcept {
  std::lock_guard guard(lock_);
  return shut_ ? -1 : fd_;
}

int OpenFile::Begin() noexcept {
  std::lock_guard guard(lock_);
  if (shut_ || fd_ < 0) return -1;
  ++uses_;
  return fd_;
}

void OpenFile::End() noexcept {
  int left, fd = -1;
  {
    std::lock_guard guard(lock_);
    left = --uses_;
    if (shut_ && left == 0) fd = std::exchange(fd_, -1);
    if (!shut_) left = 0;  // nobody waits
  }
  if (left == 1) alone_.Set();
  if (fd >= 0) Sys().close(fd);  // there is nobody to tell; file.h says so
}

bool OpenFile::Shut() noexcept {
  int fd = -1;
  bool alone;
  {
    std::lock_guard guard(lock_);
    if (shut_) return false;
    shut_ = true;
    alone = uses_ == 1;
    if (uses_ == 0) fd = std::exchange(fd_, -1);
  }
  if (alone) alone_.Set();
  if (fd >= 0) Sys().close(fd);  // as in End()
  return true;
}

int OpenFile::CloseInKernel() noexcept {
  int fd;
  {
    std::lock_guard guard(lock_);
    fd = std::exchange(fd_, -1);
  }
  // After EINTR, too, Linux has closed it.
  return Sys().close(fd) == 0 || errno == EINTR ? 0 : errno;
}

bool OpenFile::ClaimLock() noexcept {
  std::lock_guard guard(lock_);
  return !std::exchange(lock_claimed_, true);
}

void OpenFile::DropLockClaim() noexcept {
  std::lock_guard guard(lock_);
  lock_claimed_ = false;
}

}  // namespace weft::internal

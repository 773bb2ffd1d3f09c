#include "weft/fs/file_lock.h"

#include <sys/file.h>

#include <memory>
#include <utility>

#include "lib/fs/calls.h"
#include "lib/fs/open_file.h"
#include "lib/os/syscalls.h"
#include "lib/thread/runtime_services.h"

namespace weft::fs {

FileLock::FileLock(std::shared_ptr<internal::OpenFile> file) noexcept
    : file_(std::move(file)), forks_(internal::ForksSoFar()) {}

void FileLock::Unlock() noexcept {
  if (file_ == nullptr) return;
  const std::shared_ptr<internal::OpenFile> file = std::exchange(file_, nullptr);
  if (forks_ != internal::ForksSoFar()) return;
  {
    // Of a file that was closed the kernel has given it back.
    const internal::OpenFile::Use use(*file);
    // There is nobody to tell of a failure; a local file system has none.
    if (use) internal::Retry([&] { return internal::Sys().flock(use.fd(), LOCK_UN); });
  }
  file->DropLockClaim();
}

}  // namespace weft::fs

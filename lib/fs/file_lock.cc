#include "weft/fs/file_lock.h"

#include <sys/file.h>

#include <memory>
#include <utility>

#include "lib/fs/calls.h"
#include "lib/fs/open_file.h"
#include "lib/os/syscalls.h"

namespace weft::fs {

void FileLock::Unlock() noexcept {
  if (file_ == nullptr) return;
  const std::shared_ptr<internal::OpenFile> file = std::exchange(file_, nullptr);
  {
    // Of a file that was closed the kernel has given it back.
    const internal::OpenFile::Use use(*file);
    // There is nobody to tell of a failure; a local file system has none.
    if (use) internal::Retry([&] { return internal::Sys().flock(use.fd(), LOCK_UN); });
  }
  file->DropLockClaim();
}

}  // namespace weft::fs

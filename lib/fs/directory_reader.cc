#include "lib/fs/directory_reader.h"

#include <dirent.h>

#include <cerrno>
#include <string_view>

#include "lib/fs/calls.h"
#include "lib/os/syscalls.h"

namespace weft::internal {

int DirectoryReader::Fill(int fd) noexcept {
  filled_ = next_ = 0;
  while (!at_end_ && capacity_ - filled_ >= sizeof(dirent64)) {
    const ssize_t got =
        Retry([&] { return Sys().getdents64(fd, buffer_.get() + filled_, capacity_ - filled_); });
    // A longer name than fits behind the others: some file systems have them.
    if (got < 0 && errno == EINVAL && filled_ > 0) return 0;
    if (got < 0) return errno;
    filled_ += static_cast<size_t>(got);
    at_end_ = got == 0;
  }
  return 0;
}

dirent64* DirectoryReader::Next() noexcept {
  while (next_ < filled_) {
    auto* const entry = reinterpret_cast<dirent64*>(buffer_.get() + next_);
    next_ += entry->d_reclen;
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") return entry;
  }
  return nullptr;
}

}  // namespace weft::internal

#include "lib/fs/copy_file.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "lib/fs/calls.h"
#include "lib/fs/replacement.h"
#include "lib/os/syscalls.h"
#include "weft/io/aligned_bytes.h"
#include "weft/io/buffer.h"

namespace weft::internal {
namespace {

constexpr size_t kBufferBytes = size_t{256} << 10;

// Does the kernel copy between these two at all?
bool IsNoCopy(int error) noexcept {
  return error == EXDEV || error == EINVAL || error == ENOSYS || error == EOPNOTSUPP || error == EPERM;
}

absl::Status CopyByHand(int from, int to, const std::string& from_path, const std::string& to_path) {
  const io::AlignedBytes buffer = io::AllocateAligned(kBufferBytes);
  if (buffer == nullptr) return PathStatus(ENOMEM, "copy", from_path);
  while (true) {
    const ssize_t got = Retry([&] { return Sys().read(from, buffer.get(), kBufferBytes); });
    if (got < 0) return PathStatus(errno, "read", from_path);
    if (got == 0) return absl::OkStatus();
    const ConstBuffer data(buffer.get(), static_cast<size_t>(got));
    if (absl::Status written = WriteAll(to, data, to_path); !written.ok()) return written;
  }
}

absl::Status CopyBytes(int from, int to, const std::string& from_path, const std::string& to_path) {
  for (bool copied = false;; copied = true) {
    if (IsToStop()) return Stopped();
    const ssize_t got =
        Retry([&] { return Sys().copy_file_range(from, nullptr, to, nullptr, kMaxFileBytesAtOnce, 0); });
    if (got > 0) continue;
    if (got == 0 && copied) return absl::OkStatus();
    if (got < 0 && !IsNoCopy(errno)) return PathStatus(errno, "copy to", to_path);
    // What /proc has, of which no size is known, is copied as nothing as well. Both descriptors stand where it ended.
    return CopyByHand(from, to, from_path, to_path);
  }
}

}  // namespace

absl::Status CopyNow(const std::string& from, const std::string& to, bool overwrite) {
  absl::StatusOr<UniqueDescriptor> source = OpenPath(from, O_RDONLY);
  if (!source.ok()) return source.status();
  struct stat status;
  if (const int error = ErrnoOfCall([&] { return Sys().fstat(source->get(), &status); }); error != 0) {
    return PathStatus(error, "stat", from);
  }
  if (!S_ISREG(status.st_mode)) return PathStatus(S_ISDIR(status.st_mode) ? EISDIR : EINVAL, "copy", from);
  const uint32_t permissions = status.st_mode & 0777;
  if (!overwrite) {
    // Early, so that nothing is copied in vain; Commit() sees a name that is created later.
    const int error =
        ErrnoOfCall([&] { return Sys().fstatat(AT_FDCWD, to.c_str(), &status, AT_SYMLINK_NOFOLLOW); });
    if (error != ENOENT) return PathStatus(error == 0 ? EEXIST : error, "copy to", to);
  }
  absl::StatusOr<Replacement> copy = Replacement::Create(to, permissions);
  if (!copy.ok()) return copy.status();
  if (absl::Status copied = CopyBytes(source->get(), copy->fd(), from, to); !copied.ok()) return copied;
  return copy->Commit({.overwrite = overwrite, .sync = false});
}

}  // namespace weft::internal

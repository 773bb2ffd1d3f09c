#include "lib/fs/calls.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <time.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "lib/base/errno_status.h"
#include "lib/os/syscalls.h"
#include "weft/cancellation.h"
#include "weft/errno.h"

namespace weft::internal {

absl::Status PathStatus(int error, absl::string_view what, absl::string_view path) {
  if (error == 0) return absl::OkStatus();
  return ErrnoToStatus(error, absl::StrCat(what, " ", path));
}

absl::Status CheckPath(absl::string_view what, const std::string& path) {
  return path.find('\0') == std::string::npos ? absl::OkStatus() : PathStatus(EINVAL, what, path);
}

int UniqueDescriptor::Close() noexcept {
  const int fd = Release();
  // After EINTR, too, Linux has closed it.
  return fd < 0 || Sys().close(fd) == 0 || errno == EINTR ? 0 : errno;
}

int OpenAt(int directory, const char* path, int flags, uint32_t permissions) noexcept {
  flags |= O_CLOEXEC;
  const int fd = Retry([&] { return Sys().openat(directory, path, flags | O_NONBLOCK, permissions); });
  if (fd >= 0 || errno != EWOULDBLOCK) return fd;
  // Only a file that somebody has a lease on (fcntl(2)) says so; it is given up within a time limit of the kernel's.
  return Retry([&] { return Sys().openat(directory, path, flags, permissions); });
}

absl::StatusOr<UniqueDescriptor> OpenPath(const std::string& path, int flags, uint32_t permissions) {
  UniqueDescriptor fd(OpenAt(AT_FDCWD, path.c_str(), flags, permissions));
  if (fd.get() < 0) return PathStatus(errno, "open", path);
  return fd;
}

namespace {

// Of a pipe, or a terminal, whose reader is slow: for a moment, so that the caller can stop.
void AwaitRoom(int fd) noexcept {
  constexpr int kMomentMillis = 20;
  pollfd wanted = {.fd = fd, .events = POLLOUT, .revents = 0};
  static_cast<void>(Sys().poll(&wanted, 1, kMomentMillis));
}

}  // namespace

absl::Status WriteAll(int fd, ConstBuffer data, const std::string& path) {
  while (!data.empty()) {
    if (IsToStop()) return Stopped();
    const ssize_t written =
        Retry([&] { return Sys().write(fd, data.data(), std::min(data.size(), kMaxFileBytesAtOnce)); });
    if (written < 0 && errno == EAGAIN) {  // OpenAt() has made it so
      AwaitRoom(fd);
      continue;
    }
    if (written < 0) return PathStatus(errno, "write", path);
    if (written == 0) return PathStatus(EIO, "write", path);  // for ever, perhaps
    data.remove_prefix(static_cast<size_t>(written));
  }
  return absl::OkStatus();
}

fs::FileType TypeOf(uint32_t mode) noexcept {
  switch (mode & S_IFMT) {
    case S_IFREG:
      return fs::FileType::kRegular;
    case S_IFDIR:
      return fs::FileType::kDirectory;
    case S_IFLNK:
      return fs::FileType::kSymbolicLink;
    case S_IFIFO:
      return fs::FileType::kPipe;
    case S_IFSOCK:
      return fs::FileType::kSocket;
    case S_IFCHR:
      return fs::FileType::kCharacterDevice;
    case S_IFBLK:
      return fs::FileType::kBlockDevice;
    default:
      return fs::FileType::kUnknown;
  }
}

int TimesOf(const fs::FileTimes& times, timespec (&result)[2]) noexcept {
  const std::optional<absl::Time> both[2] = {times.accessed, times.modified};
  for (int i = 0; i < 2; ++i) {
    if (both[i] == absl::InfinitePast() || both[i] == absl::InfiniteFuture()) return EINVAL;
    result[i] = both[i].has_value() ? absl::ToTimespec(*both[i]) : timespec{.tv_sec = 0, .tv_nsec = UTIME_OMIT};
  }
  return 0;
}

int CheckPermissions(uint32_t permissions) noexcept { return (permissions & ~07777u) == 0 ? 0 : EINVAL; }

fs::FileInfo InfoOf(const struct stat& status) {
  constexpr uint64_t kBlock = 512;  // that of st_blocks, whatever the file system's
  return {
      .type = TypeOf(status.st_mode),
      .permissions = status.st_mode & 07777,
      .size = static_cast<uint64_t>(status.st_size),
      .allocated = static_cast<uint64_t>(status.st_blocks) * kBlock,
      .links = status.st_nlink,
      .owner = status.st_uid,
      .group = status.st_gid,
      .device = status.st_dev,
      .inode = status.st_ino,
      .accessed = absl::TimeFromTimespec(status.st_atim),
      .modified = absl::TimeFromTimespec(status.st_mtim),
      .changed = absl::TimeFromTimespec(status.st_ctim),
  };
}

int FillByChance(std::string& digits, size_t count) {
  digits.resize(count);
  for (size_t done = 0; done < count;) {
    const ssize_t got = Retry([&] { return Sys().getrandom(digits.data() + done, count - done, 0); });
    if (got < 0) return errno;
    done += static_cast<size_t>(got);
  }
  for (char& digit : digits) digit = "0123456789abcdef"[digit & 15];
  return 0;
}

bool IsToStop() noexcept { return CancelRequested(); }

absl::Status Stopped() { return absl::CancelledError("stopped, because the virtual thread was asked to end"); }

// An errno never becomes this one: ECANCELED has its errno as a payload.
bool IsStopped(const absl::Status& status) {
  return absl::IsCancelled(status) && ErrnoOf(status) == 0;
}

}  // namespace weft::internal

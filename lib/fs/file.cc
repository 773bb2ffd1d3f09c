#include "weft/fs/file.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "lib/base/errno_status.h"
#include "lib/fs/calls.h"
#include "lib/fs/file_access.h"
#include "lib/fs/open_file.h"
#include "lib/io/parts.h"
#include "lib/os/syscalls.h"
#include "lib/thread/runtime_services.h"
#include "weft/blocking.h"
#include "weft/errno.h"
#include "weft/fs/file_info.h"
#include "weft/fs/file_lock.h"
#include "weft/internal/check.h"
#include "weft/internal/checkpoint.h"
#include "weft/io/buffer.h"
#include "weft/io/unique_descriptor.h"
#include "weft/task.h"
#include "weft/text_view.h"
#include "weft/time.h"

namespace weft {

namespace internal {

void FileOwner::Shut() noexcept {
  if (file_ != nullptr) file_->Shut();
}

struct LockAccess {
  static fs::FileLock Make(std::shared_ptr<OpenFile> file) noexcept { return fs::FileLock(std::move(file)); }
};

}  // namespace internal

namespace fs {
namespace {

using internal::CheckpointAwaiter;
using internal::ErrnoOfCall;
using internal::kMaxFileBytesAtOnce;
using internal::OpenFile;
using internal::Parts;
using internal::PathStatus;
using internal::Retry;
using internal::Sys;
using SharedFile = std::shared_ptr<OpenFile>;

SharedFile Share(const File& file, const char* what) noexcept { return internal::FileAccess::Share(file, what); }

// What is copied on the carrier at most: some 30 us, at 8 GB/s.
constexpr size_t kMaxBytesInline = size_t{256} << 10;
constexpr absl::Duration kFirstLockPause = absl::Milliseconds(1);
constexpr absl::Duration kLongestLockPause = absl::Milliseconds(50);

absl::Status ClosedStatus(const char* what, const OpenFile& file) {
  return internal::ErrnoToStatus(EBADF, absl::StrCat(what, " ", file.path(), ", which was closed here"));
}

// ---- Opening.

// EINVAL as a negative number: these options open nothing.
int FlagsOf(const OpenOptions& options) noexcept {
  const bool writes = options.write || options.append;
  if ((!options.read && !writes) || (options.truncate && !writes)) return -EINVAL;
  int flags = !writes ? O_RDONLY : options.read ? O_RDWR : O_WRONLY;
  if (options.append) flags |= O_APPEND;
  if (options.create || options.exclusive) flags |= O_CREAT;
  if (options.exclusive) flags |= O_EXCL;
  if (options.truncate) flags |= O_TRUNC;
  if (!options.follow_links) flags |= O_NOFOLLOW;
  return flags;
}

absl::StatusOr<File> OpenNow(const std::string& path, const OpenOptions& options) {
  const int flags = FlagsOf(options);
  if (flags < 0) return PathStatus(-flags, "open", path);
  // First, so that no descriptor is opened without memory for it.
  auto file = std::make_shared<OpenFile>(path, options.append);
  const int fd = internal::OpenAt(AT_FDCWD, path.c_str(), flags, options.permissions);
  if (fd < 0) return PathStatus(errno, "open", path);
  file->Open(fd);
  return internal::FileAccess::Make(std::move(file));
}

// Of an epoll, an eventfd and their like lseek(2) finds no fault, but they are of no type.
bool MayHavePlaces(FileType type) noexcept {
  return type == FileType::kRegular || type == FileType::kDirectory || type == FileType::kBlockDevice ||
         type == FileType::kCharacterDevice;
}

// It is ours at once.
absl::StatusOr<File> AdoptNow(int fd) {
  const int flags = Retry([&] { return Sys().fcntl(fd, F_GETFL, 0); });
  const int refused = flags < 0 ? errno : (flags & O_PATH) != 0 ? EBADF : 0;
  const bool is_open = flags >= 0 || refused != EBADF;  // if not, there is nothing to be closed
  io::UniqueDescriptor owned(is_open ? fd : -1);
  const std::string path = absl::StrCat("/proc/self/fd/", fd);
  if (refused != 0) return PathStatus(refused, "adopt", path);
  struct stat status;
  if (const int error = ErrnoOfCall([&] { return Sys().fstat(fd, &status); }); error != 0) {
    return PathStatus(error, "adopt", path);
  }
  if (!MayHavePlaces(internal::TypeOf(status.st_mode))) return PathStatus(ESPIPE, "adopt", path);
  const off_t position = Retry([&] { return Sys().lseek(fd, 0, SEEK_CUR); });
  if (position < 0) return PathStatus(errno, "adopt", path);
  auto file = std::make_shared<OpenFile>(path, (flags & O_APPEND) != 0);
  if (const int error = ErrnoOfCall([&] { return Sys().fcntl(fd, F_SETFD, FD_CLOEXEC); }); error != 0) {
    return PathStatus(error, "adopt", path);
  }
  file->position = static_cast<uint64_t>(position);
  file->Open(owned.Release());
  return internal::FileAccess::Make(std::move(file));
}

// ---- Reading.

// From the kernel's cache, 256 KiB at most. -1: it is not there, or something is wrong that the pool's call will tell.
ssize_t ReadCached(int fd, MutableBuffer buffer, uint64_t offset) noexcept {
  if (internal::SeedDecides()) return -1;
  buffer = buffer.first(kMaxBytesInline);
  const iovec part = {buffer.data(), buffer.size()};
  const auto place = static_cast<off_t>(offset);
  if (place < 0) return -1;  // of -1 preadv2() says that it is where the descriptor stands
  const ssize_t got = Sys().preadv2(fd, &part, 1, place, RWF_NOWAIT);
  // Linux 5.9 and 5.10 say 0 also where the end is not. At the end an ordinary read does not wait.
  return got != 0 ? got : Sys().pread(fd, buffer.data(), buffer.size(), place);
}

MutableBuffer Behind(MutableBuffer buffer, size_t bytes) noexcept {
  buffer.remove_prefix(bytes);
  return buffer;
}

// In the pool.
absl::StatusOr<size_t> ReadNow(const OpenFile& file, int fd, MutableBuffer buffer, uint64_t offset) {
  const ssize_t got =
      Retry([&] { return Sys().pread(fd, buffer.data(), buffer.size(), static_cast<off_t>(offset)); });
  if (got < 0) return PathStatus(errno, "read", file.path());
  return static_cast<size_t>(got);
}

Task<absl::StatusOr<size_t>> ReadAtPosition(SharedFile file, MutableBuffer buffer) {
  co_await CheckpointAwaiter();
  const OpenFile::Use use(*file);
  if (!use) co_return ClosedStatus("read", *file);
  if (buffer.empty()) co_return 0u;
  absl::StatusOr<size_t> got = 0u;
  if (const ssize_t cached = ReadCached(use.fd(), buffer, file->position); cached >= 0) {
    got = static_cast<size_t>(cached);
  } else {
    got = co_await Blocking(
        [&] { return ReadNow(*file, use.fd(), buffer.first(kMaxFileBytesAtOnce), file->position); });
  }
  if (got.ok()) file->position += *got;
  co_return got;
}

Task<absl::StatusOr<size_t>> ReadAtOffset(SharedFile file, MutableBuffer buffer, uint64_t offset) {
  co_await CheckpointAwaiter();
  const OpenFile::Use use(*file);
  if (!use) co_return ClosedStatus("read", *file);
  size_t done = 0;
  while (done < std::min(buffer.size(), kMaxBytesInline)) {
    const ssize_t cached = ReadCached(use.fd(), Behind(buffer, done), offset + done);
    if (cached == 0) co_return done;
    if (cached < 0) break;
    done += static_cast<size_t>(cached);
  }
  while (done < buffer.size()) {
    const absl::StatusOr<size_t> read = co_await Blocking([&] {
      return ReadNow(*file, use.fd(), Behind(buffer, done).first(kMaxFileBytesAtOnce), offset + done);
    });
    if (!read.ok()) co_return read.status();
    if (*read == 0) break;
    done += *read;
  }
  co_return done;
}

// ---- Writing.

// Where a write goes.
enum class Where { kOffset, kPosition, kEnd };

// In the pool: one call at least, until as much of `left` is written as one call may.
absl::Status WriteNow(OpenFile& file, int fd, Parts& left, Where where, uint64_t& offset) {
  iovec parts[Parts::kMaxAtOnce];
  const size_t wanted = left.Fill(parts, kMaxFileBytesAtOnce).bytes;
  for (size_t done = 0; done < wanted;) {
    const Parts::Filled next = left.Fill(parts, kMaxFileBytesAtOnce);
    const uint64_t place = where == Where::kPosition ? file.position : offset;
    if (where != Where::kEnd && static_cast<off_t>(place) < 0) return PathStatus(EINVAL, "write", file.path());
    const ssize_t written = Retry([&] {
      return Sys().pwritev2(fd, parts, next.count, static_cast<off_t>(place), where == Where::kEnd ? RWF_APPEND : 0);
    });
    if (written < 0) return PathStatus(errno, "write", file.path());
    if (written == 0) return PathStatus(EIO, "write", file.path());  // for ever, perhaps
    const auto bytes = static_cast<size_t>(written);
    if (where == Where::kPosition) file.position += bytes;
    if (where == Where::kOffset) offset += bytes;
    left.Skip(bytes);
    done += bytes;
  }
  return absl::OkStatus();
}

// `one`, or, if it has no place, `several`.
Task<absl::Status> WriteTo(SharedFile file, ConstBuffer one, std::span<const ConstBuffer> several, Where where,
                           uint64_t offset) {
  co_await CheckpointAwaiter();
  const OpenFile::Use use(*file);
  if (!use) co_return ClosedStatus("write", *file);
  if (file->append()) {
    if (where == Where::kOffset) {
      co_return PathStatus(EINVAL, "write at an offset, in append mode, to", file->path());
    }
    where = Where::kEnd;
  }
  Parts left(one.data() != nullptr ? std::span<const ConstBuffer>(&one, 1) : several);
  while (!left.empty()) {
    absl::Status written = co_await Blocking([&] { return WriteNow(*file, use.fd(), left, where, offset); });
    if (!written.ok()) co_return written;
  }
  co_return absl::OkStatus();
}

// ---- The rest.

// Awaits call(fd), which returns 0, or -1 and errno.
template <class F>
Task<absl::Status> Call(SharedFile file, const char* what, F call) {
  co_await CheckpointAwaiter();
  const OpenFile::Use use(*file);
  if (!use) co_return ClosedStatus(what, *file);
  absl::Status done = co_await Blocking(
      [&] { return PathStatus(ErrnoOfCall([&] { return call(use.fd()); }), what, file->path()); });
  co_return done;
}

Task<absl::StatusOr<FileInfo>> StatOf(SharedFile file) {
  struct stat status;
  absl::Status done = co_await Call(std::move(file), "stat", [&](int fd) { return Sys().fstat(fd, &status); });
  if (!done.ok()) co_return done;
  co_return internal::InfoOf(status);
}

Task<absl::StatusOr<uint64_t>> SizeOf(SharedFile file) {
  const absl::StatusOr<FileInfo> info = co_await StatOf(std::move(file));
  if (!info.ok()) co_return info.status();
  co_return info->size;
}

// Of a call that is not made.
int FailWith(int error) noexcept {
  errno = error;
  return -1;
}

int OperationOf(LockKind kind) noexcept { return (kind == LockKind::kShared ? LOCK_SH : LOCK_EX) | LOCK_NB; }

// The claim is given back with the FileLock, also if the kernel never gave the lock: to unlock what is not locked does
// nothing.
FileLock ClaimLock(SharedFile file) noexcept {
  WEFT_CHECK(file->ClaimLock()) << "a second lock on the File of " << file->path()
                                << ", which has one, or waits for it; another File of the same path may have its own";
  return internal::LockAccess::Make(std::move(file));
}

// Yields whether the lock was free.
Task<absl::StatusOr<bool>> TryLockNow(SharedFile file, LockKind kind) {
  absl::Status locked = co_await Call(
      std::move(file), "lock", [operation = OperationOf(kind)](int fd) { return Sys().flock(fd, operation); });
  if (locked.ok()) co_return true;
  if (ErrnoOf(locked) == EWOULDBLOCK) co_return false;
  co_return locked;
}

Task<absl::StatusOr<std::optional<FileLock>>> TryLockOf(SharedFile file, LockKind kind) {
  FileLock lock = ClaimLock(file);
  const absl::StatusOr<bool> locked = co_await TryLockNow(std::move(file), kind);
  if (!locked.ok()) co_return locked.status();
  if (!*locked) co_return std::optional<FileLock>();
  co_return std::optional<FileLock>(std::move(lock));
}

Task<absl::StatusOr<FileLock>> LockOf(SharedFile file, LockKind kind) {
  FileLock lock = ClaimLock(file);
  for (absl::Duration pause = kFirstLockPause;; pause = std::min(2 * pause, kLongestLockPause)) {
    const absl::StatusOr<bool> locked = co_await TryLockNow(file, kind);
    if (!locked.ok()) co_return locked.status();
    if (*locked) co_return lock;
    co_await Sleep(pause);
  }
}

Task<absl::Status> CloseOf(SharedFile file) {
  const OpenFile::Use use(*file);
  if (!use || !file->Shut()) {  // another one has closed it
    co_await CheckpointAwaiter();
    co_return absl::OkStatus();
  }
  co_await file->alone().Wait();
  absl::Status done =
      co_await Blocking([&] { return PathStatus(file->CloseInKernel(), "close", file->path()); });
  co_return done;
}

}  // namespace

Task<absl::StatusOr<File>> File::Open(TextView path, OpenOptions options) {
  return internal::OnPath("open", std::string(path),
                          [options](const std::string& name) { return OpenNow(name, options); });
}

absl::StatusOr<File> File::Adopt(int fd) { return AdoptNow(fd); }

Task<absl::StatusOr<size_t>> File::Read(MutableBuffer buffer) { return ReadAtPosition(Share(*this, "Read()"), buffer); }

Task<absl::Status> File::Write(ConstBuffer data) {
  return WriteTo(Share(*this, "Write()"), data, {}, Where::kPosition, 0);
}

Task<absl::Status> File::Write(std::span<const ConstBuffer> parts) {
  return WriteTo(Share(*this, "Write()"), {}, parts, Where::kPosition, 0);
}

uint64_t File::position() const noexcept { return Share(*this, "position()")->position; }

void File::SeekTo(uint64_t position) noexcept { Share(*this, "SeekTo()")->position = position; }

Task<absl::StatusOr<size_t>> File::ReadAt(MutableBuffer buffer, uint64_t offset) {
  return ReadAtOffset(Share(*this, "ReadAt()"), buffer, offset);
}

Task<absl::Status> File::WriteAt(ConstBuffer data, uint64_t offset) {
  return WriteTo(Share(*this, "WriteAt()"), data, {}, Where::kOffset, offset);
}

Task<absl::Status> File::Append(ConstBuffer data) {
  return WriteTo(Share(*this, "Append()"), data, {}, Where::kEnd, 0);
}

Task<absl::Status> File::Sync() {
  return Call(Share(*this, "Sync()"), "sync", [](int fd) { return Sys().fsync(fd); });
}

Task<absl::Status> File::DataSync() {
  return Call(Share(*this, "DataSync()"), "sync", [](int fd) { return Sys().fdatasync(fd); });
}

Task<absl::Status> File::Truncate(uint64_t size) {
  return Call(Share(*this, "Truncate()"), "truncate",
              [size](int fd) { return Sys().ftruncate(fd, static_cast<off_t>(size)); });
}

Task<absl::Status> File::Allocate(uint64_t offset, uint64_t size) {
  return Call(Share(*this, "Allocate()"), "allocate", [offset, size](int fd) {
    return Sys().fallocate(fd, 0, static_cast<off_t>(offset), static_cast<off_t>(size));
  });
}

Task<absl::StatusOr<uint64_t>> File::Size() { return SizeOf(Share(*this, "Size()")); }

Task<absl::StatusOr<FileInfo>> File::Stat() { return StatOf(Share(*this, "Stat()")); }

Task<absl::Status> File::SetPermissions(uint32_t permissions) {
  return Call(Share(*this, "SetPermissions()"), "chmod", [permissions](int fd) {
    if (const int error = internal::CheckPermissions(permissions); error != 0) return FailWith(error);
    return Sys().fchmod(fd, permissions);
  });
}

Task<absl::Status> File::SetTimes(FileTimes times) {
  return Call(Share(*this, "SetTimes()"), "set the times of", [times](int fd) {
    timespec both[2];
    if (const int error = internal::TimesOf(times, both); error != 0) return FailWith(error);
    return Sys().futimens(fd, both);
  });
}

Task<absl::StatusOr<FileLock>> File::Lock(LockKind kind) { return LockOf(Share(*this, "Lock()"), kind); }

Task<absl::StatusOr<std::optional<FileLock>>> File::TryLock(LockKind kind) {
  return TryLockOf(Share(*this, "TryLock()"), kind);
}

Task<absl::Status> File::Close() { return CloseOf(Share(*this, "Close()")); }

bool File::is_open() const noexcept { return native_handle() >= 0; }

std::string_view File::path() const noexcept { return Share(*this, "path()")->path(); }

int File::native_handle() const noexcept { return file_.get() == nullptr ? -1 : file_.get()->fd(); }

}  // namespace fs
}  // namespace weft

#include "weft/fs/contents.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "lib/fs/calls.h"
#include "lib/fs/replacement.h"
#include "lib/io/sigpipe.h"
#include "lib/os/syscalls.h"
#include "weft/io/aligned_bytes.h"
#include "weft/io/buffer.h"
#include "weft/task.h"
#include "weft/text_view.h"

namespace weft::fs {
namespace {

using internal::ErrnoOfCall;
using internal::IsToStop;
using internal::OnPath;
using internal::OpenPath;
using internal::PathStatus;
using internal::Replacement;
using internal::Retry;
using internal::Stopped;
using internal::Sys;
using internal::UniqueDescriptor;
using internal::WriteAll;

// What is read at once. Not into the string itself: that would be filled with zeros before, and lies badly
// (weft/io/aligned_bytes.h).
constexpr uint64_t kPieceBytes = uint64_t{64} << 10;
// Above this no limit is one.
constexpr uint64_t kMostBytes = uint64_t{1} << 62;

absl::Status TooLong(const std::string& path, uint64_t max_bytes) {
  return absl::ResourceExhaustedError(absl::StrCat("read ", path, ": longer than max_bytes, ", max_bytes));
}

absl::StatusOr<std::string> ReadAll(const std::string& path, uint64_t max_bytes) {
  absl::StatusOr<UniqueDescriptor> fd = OpenPath(path, O_RDONLY);
  if (!fd.ok()) return fd.status();
  struct stat status;
  if (const int error = ErrnoOfCall([&] { return Sys().fstat(fd->get(), &status); }); error != 0) {
    return PathStatus(error, "stat", path);
  }
  max_bytes = std::min(max_bytes, kMostBytes);
  const uint64_t size = S_ISREG(status.st_mode) ? static_cast<uint64_t>(status.st_size) : 0;
  if (size > max_bytes) return TooLong(path, max_bytes);
  // One byte more than there is, so that the end is seen at once.
  const uint64_t piece_bytes = size == 0 ? kPieceBytes : std::min(size + 1, kPieceBytes);
  const io::AlignedBytes piece = io::AllocateAligned(piece_bytes);
  if (piece == nullptr) return PathStatus(ENOMEM, "read", path);
  std::string text;
  text.reserve(size);
  for (;;) {
    if (IsToStop()) return Stopped();
    const ssize_t got = Retry(
        [&] { return Sys().pread(fd->get(), piece.get(), piece_bytes, static_cast<off_t>(text.size())); });
    if (got < 0) return PathStatus(errno, "read", path);
    if (got == 0) return text;
    text.append(piece.get(), static_cast<size_t>(got));
    if (text.size() > max_bytes) return TooLong(path, max_bytes);
  }
}

absl::Status WriteTo(const std::string& path, int flags, ConstBuffer data, uint32_t permissions) {
  absl::StatusOr<UniqueDescriptor> fd = OpenPath(path, O_WRONLY | O_CREAT | flags, permissions);
  if (!fd.ok()) return fd.status();
  struct stat status;
  if (const int error = ErrnoOfCall([&] { return Sys().fstat(fd->get(), &status); }); error != 0) {
    return PathStatus(error, "stat", path);
  }
  if (!S_ISREG(status.st_mode)) internal::IgnoreSigpipe();
  if (absl::Status written = WriteAll(fd->get(), data, path); !written.ok()) return written;
  return PathStatus(fd->Close(), "close", path);
}

}  // namespace

Task<absl::StatusOr<std::string>> ReadFile(TextView path, ReadFileOptions options) {
  return OnPath("read", std::string(path),
                [options](const std::string& name) { return ReadAll(name, options.max_bytes); });
}

Task<absl::Status> WriteFile(TextView path, ConstBuffer data, WriteFileOptions options) {
  return OnPath("write", std::string(path), [data, options](const std::string& name) {
    return WriteTo(name, O_TRUNC, data, options.permissions);
  });
}

Task<absl::Status> AppendFile(TextView path, ConstBuffer data, WriteFileOptions options) {
  return OnPath("write", std::string(path), [data, options](const std::string& name) {
    return WriteTo(name, O_APPEND, data, options.permissions);
  });
}

Task<absl::Status> WriteFileAtomically(TextView path, ConstBuffer data, WriteAtomicallyOptions options) {
  return OnPath("write", std::string(path), [data, options](const std::string& name) -> absl::Status {
    absl::StatusOr<Replacement> file = Replacement::Create(name, options.permissions);
    if (!file.ok()) return file.status();
    if (absl::Status written = WriteAll(file->fd(), data, name); !written.ok()) return written;
    if (IsToStop()) return Stopped();
    return file->Commit({.overwrite = true, .sync = options.sync});
  });
}

}  // namespace weft::fs

#include "weft/fs/temporary.h"

#include <fcntl.h>
#include <stdlib.h>

#include <cerrno>
#include <memory>
#include <new>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "lib/fs/calls.h"
#include "lib/fs/file_access.h"
#include "lib/fs/open_file.h"
#include "lib/fs/remove_all.h"
#include "lib/os/syscalls.h"
#include "lib/thread/runtime_services.h"
#include "weft/fs/file.h"
#include "weft/task.h"

namespace weft {

namespace internal {

struct TemporaryAccess {
  static fs::TemporaryDirectory Make(std::string path) noexcept { return fs::TemporaryDirectory(std::move(path)); }
};

}  // namespace internal

namespace fs {
namespace {

using internal::ErrnoOfCall;
using internal::FillByChance;
using internal::OnPath;
using internal::PathStatus;
using internal::Sys;

constexpr size_t kDigits = 16;
constexpr int kMostTries = 10;  // of names by chance; see replacement.cc

// Reads the environment, on the caller's OS thread.
std::string DirectoryOf(const TemporaryOptions& options) {
  if (!options.directory.empty()) return options.directory;
  const char* const configured = ::getenv("TMPDIR");
  return configured != nullptr && *configured != '\0' ? configured : "/tmp";
}

// Calls create(path), which returns an errno, with names in `directory` until one is new. Yields that path.
template <class F>
absl::StatusOr<std::string> CreateByChance(const std::string& directory, const std::string& prefix, F create) {
  for (int tries = 1;; ++tries) {
    std::string digits;
    int error = FillByChance(digits, kDigits);
    std::string path = absl::StrCat(directory, "/", prefix, digits);
    if (error == 0) error = create(path);
    if (error == 0) return path;
    if (error != EEXIST || tries == kMostTries) return PathStatus(error, "create", path);
  }
}

absl::StatusOr<File> OpenNow(const std::string& directory, const std::string& prefix) {
  auto file = std::make_shared<internal::OpenFile>(directory, /*append=*/false);
  int fd = internal::OpenAt(AT_FDCWD, directory.c_str(), O_TMPFILE | O_RDWR, 0600);
  if (fd >= 0) {
    file->Open(fd);
    return internal::FileAccess::Make(std::move(file));
  }
  // The file system has no such files. (EISDIR: it does not even know the flag.)
  if (errno != EOPNOTSUPP && errno != EISDIR) return PathStatus(errno, "create a file in", directory);
  const absl::StatusOr<std::string> path = CreateByChance(directory, prefix, [&](const std::string& name) {
    fd = internal::OpenAt(AT_FDCWD, name.c_str(), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
    return fd >= 0 ? 0 : errno;
  });
  if (!path.ok()) return path.status();
  file->Open(fd);
  const auto remove = [&] { return ErrnoOfCall([&] { return Sys().unlinkat(AT_FDCWD, path->c_str(), 0); }); };
  const int error = remove();
  if (error == 0) return internal::FileAccess::Make(std::move(file));
  file->Shut();
  remove();  // some file systems remove no file that is open; if this fails, it stays, and its path is in the status
  return PathStatus(error, "remove", *path);
}

absl::StatusOr<TemporaryDirectory> CreateNow(const std::string& directory, const std::string& prefix) {
  absl::StatusOr<std::string> path = CreateByChance(directory, prefix, [](const std::string& name) {
    return ErrnoOfCall([&] { return Sys().mkdirat(AT_FDCWD, name.c_str(), 0700); });
  });
  if (!path.ok()) return path.status();
  return internal::TemporaryAccess::Make(*std::move(path));
}

// `path` is the object's, which goes on to have it if the tree is not removed.
Task<absl::Status> RemoveDirectory(std::string& path) {
  if (path.empty()) {
    co_await internal::CheckpointAwaiter();
    co_return absl::OkStatus();
  }
  absl::Status removed = co_await OnPath(
      "remove", path, [](const std::string& name) { return internal::RemoveTree(name, /*may_stop=*/true); });
  if (removed.ok()) path.clear();
  co_return removed;
}

}  // namespace

Task<absl::StatusOr<File>> OpenTemporaryFile(TemporaryOptions options) {
  return OnPath("create a file in", DirectoryOf(options),
                [prefix = std::move(options.prefix)](const std::string& name) { return OpenNow(name, prefix); });
}

Task<absl::StatusOr<TemporaryDirectory>> TemporaryDirectory::Create(TemporaryOptions options) {
  return OnPath("create a directory in", DirectoryOf(options),
                [prefix = std::move(options.prefix)](const std::string& name) { return CreateNow(name, prefix); });
}

Task<absl::Status> TemporaryDirectory::Remove() { return RemoveDirectory(path_); }

TemporaryDirectory::TemporaryDirectory(std::string path) noexcept
    : path_(std::move(path)), forks_(internal::ForksSoFar()) {}

// Without memory for it, what is left of the tree stays.
void TemporaryDirectory::RemoveNow() noexcept {
  if (path_.empty() || forks_ != internal::ForksSoFar()) return;
#if WEFT_EXCEPTIONS
  try {
    internal::RemoveTree(std::exchange(path_, {}), /*may_stop=*/false).IgnoreError();
  } catch (const std::bad_alloc&) {
  }
#else
  internal::RemoveTree(std::exchange(path_, {}), /*may_stop=*/false).IgnoreError();
#endif
}

}  // namespace fs
}  // namespace weft

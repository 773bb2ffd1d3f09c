#include "weft/fs/path.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "lib/fs/calls.h"
#include "lib/fs/copy_file.h"
#include "lib/fs/remove_all.h"
#include "lib/os/syscalls.h"
#include "weft/fs/file_info.h"
#include "weft/task.h"
#include "weft/text_view.h"

namespace weft::fs {
namespace {

using internal::CheckPath;
using internal::ErrnoOfCall;
using internal::OnPath;
using internal::PathStatus;
using internal::Retry;
using internal::Sys;

int StatNow(const std::string& path, bool follow_links, struct stat& status) noexcept {
  return ErrnoOfCall([&] {
    return Sys().fstatat(AT_FDCWD, path.c_str(), &status, follow_links ? 0 : AT_SYMLINK_NOFOLLOW);
  });
}

int MakeDirectory(const std::string& path, uint32_t permissions) noexcept {
  return ErrnoOfCall([&] { return Sys().mkdirat(AT_FDCWD, path.c_str(), permissions); });
}

// Each directory on the way that is not there.
absl::Status MakeDirectories(const std::string& path, uint32_t permissions) {
  for (size_t end = 0; end < path.size();) {
    end = std::min(path.find('/', path.find_first_not_of('/', end)), path.size());
    const std::string part = path.substr(0, end);
    int error = MakeDirectory(part, permissions);
    struct stat status;
    if (error == EEXIST) {
      const int untold = StatNow(part, /*follow_links=*/true, status);
      if (untold != 0 || S_ISDIR(status.st_mode)) error = untold;
    }
    if (error != 0) return PathStatus(error, "create directory", part);
  }
  return path.empty() ? PathStatus(ENOENT, "create directory", path) : absl::OkStatus();
}

absl::StatusOr<std::string> ReadLinkNow(const std::string& path) {
  for (size_t room = 256;; room *= 2) {
    std::string target(room, '\0');
    const ssize_t size = Retry([&] { return Sys().readlinkat(AT_FDCWD, path.c_str(), target.data(), room); });
    if (size < 0) return PathStatus(errno, "read link", path);
    if (static_cast<size_t>(size) == room) continue;  // perhaps cut off
    target.resize(static_cast<size_t>(size));
    return target;
  }
}

absl::Status SetTimesNow(const std::string& path, const FileTimes& times, bool follow_links) {
  timespec both[2];
  int error = internal::TimesOf(times, both);
  if (error == 0) {
    const int flags = follow_links ? 0 : AT_SYMLINK_NOFOLLOW;
    error = ErrnoOfCall([&] { return Sys().utimensat(AT_FDCWD, path.c_str(), both, flags); });
  }
  return PathStatus(error, "set the times of", path);
}

// By realpath(3), and not by what /proc says of a descriptor: that needs /proc, and a name that is removed meanwhile
// comes with " (deleted)" behind it.
absl::StatusOr<std::string> CanonicalNow(const std::string& path) {
  struct Free {
    void operator()(char* text) const noexcept { ::free(text); }
  };
  std::unique_ptr<char, Free> found;
  const int error = ErrnoOfCall([&] {
    found.reset(Sys().realpath(path.c_str(), nullptr));
    return found != nullptr ? 0 : -1;
  });
  if (error != 0) return PathStatus(error, "find", path);
  return std::string(found.get());
}

absl::StatusOr<SpaceInfo> SpaceNow(const std::string& path) {
  struct statvfs status;
  const int error = ErrnoOfCall([&] { return Sys().statvfs(path.c_str(), &status); });
  if (error != 0) return PathStatus(error, "ask for the space of", path);
  const uint64_t unit = status.f_frsize;
  return SpaceInfo{
      .total = status.f_blocks * unit, .free = status.f_bfree * unit, .available = status.f_bavail * unit};
}

}  // namespace

Task<absl::StatusOr<FileInfo>> Stat(TextView path, StatOptions options) {
  return OnPath("stat", std::string(path), [options](const std::string& name) -> absl::StatusOr<FileInfo> {
    struct stat status;
    const int error = StatNow(name, options.follow_links, status);
    if (error != 0) return PathStatus(error, "stat", name);
    return internal::InfoOf(status);
  });
}

Task<absl::StatusOr<bool>> Exists(TextView path) {
  return OnPath("stat", std::string(path), [](const std::string& name) -> absl::StatusOr<bool> {
    struct stat status;
    const int error = StatNow(name, /*follow_links=*/true, status);
    if (error == ENOENT || error == ENOTDIR) return false;
    if (error != 0) return PathStatus(error, "stat", name);
    return true;
  });
}

Task<absl::Status> Rename(TextView from, TextView to) {
  return OnPath("rename", std::string(from), [to = std::string(to)](const std::string& name) -> absl::Status {
    if (absl::Status checked = CheckPath("rename to", to); !checked.ok()) return checked;
    return PathStatus(
        ErrnoOfCall([&] { return Sys().renameat(AT_FDCWD, name.c_str(), AT_FDCWD, to.c_str()); }), "rename",
        absl::StrCat(name, " to ", to));
  });
}

Task<absl::Status> Remove(TextView path) {
  return OnPath("remove", std::string(path), [](const std::string& name) {
    int error = ErrnoOfCall([&] { return Sys().unlinkat(AT_FDCWD, name.c_str(), 0); });
    if (error == EISDIR) error = ErrnoOfCall([&] { return Sys().unlinkat(AT_FDCWD, name.c_str(), AT_REMOVEDIR); });
    return PathStatus(error, "remove", name);
  });
}

Task<absl::Status> RemoveAll(TextView path) {
  return OnPath("remove", std::string(path),
                [](const std::string& name) { return internal::RemoveTree(name, /*may_stop=*/true); });
}

Task<absl::Status> CreateDirectory(TextView path, DirectoryOptions options) {
  return OnPath("create directory", std::string(path), [options](const std::string& name) {
    return PathStatus(MakeDirectory(name, options.permissions), "create directory", name);
  });
}

Task<absl::Status> CreateDirectories(TextView path, DirectoryOptions options) {
  return OnPath("create directory", std::string(path),
                [options](const std::string& name) { return MakeDirectories(name, options.permissions); });
}

Task<absl::Status> SetPermissions(TextView path, uint32_t permissions) {
  return OnPath("chmod", std::string(path), [permissions](const std::string& name) {
    int error = internal::CheckPermissions(permissions);
    if (error == 0) error = ErrnoOfCall([&] { return Sys().fchmodat(AT_FDCWD, name.c_str(), permissions, 0); });
    return PathStatus(error, "chmod", name);
  });
}

Task<absl::Status> SetTimes(TextView path, FileTimes times, SetTimesOptions options) {
  return OnPath("set the times of", std::string(path), [times, options](const std::string& name) {
    return SetTimesNow(name, times, options.follow_links);
  });
}

Task<absl::Status> CopyFile(TextView from, TextView to, CopyOptions options) {
  return OnPath("copy", std::string(from), [to = std::string(to), options](const std::string& name) -> absl::Status {
    if (absl::Status checked = CheckPath("copy to", to); !checked.ok()) return checked;
    return internal::CopyNow(name, to, options.overwrite);
  });
}

Task<absl::StatusOr<std::string>> ReadLink(TextView path) {
  return OnPath("read link", std::string(path), &ReadLinkNow);
}

Task<absl::Status> CreateSymbolicLink(TextView target, TextView path) {
  return OnPath("link", std::string(path), [target = std::string(target)](const std::string& name) -> absl::Status {
    if (absl::Status checked = CheckPath("link to", target); !checked.ok()) return checked;
    return PathStatus(ErrnoOfCall([&] { return Sys().symlinkat(target.c_str(), AT_FDCWD, name.c_str()); }), "link",
                      name);
  });
}

Task<absl::Status> CreateHardLink(TextView existing, TextView path) {
  return OnPath("link", std::string(path), [existing = std::string(existing)](const std::string& name) -> absl::Status {
    if (absl::Status checked = CheckPath("link to", existing); !checked.ok()) return checked;
    return PathStatus(
        ErrnoOfCall([&] { return Sys().linkat(AT_FDCWD, existing.c_str(), AT_FDCWD, name.c_str(), 0); }), "link",
        absl::StrCat(name, " to ", existing));
  });
}

Task<absl::StatusOr<std::string>> Canonical(TextView path) {
  return OnPath("find", std::string(path), &CanonicalNow);
}

Task<absl::StatusOr<SpaceInfo>> SpaceOf(TextView path) {
  return OnPath("ask for the space of", std::string(path), &SpaceNow);
}

}  // namespace weft::fs

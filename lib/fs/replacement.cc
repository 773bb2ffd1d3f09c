#include "lib/fs/replacement.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "lib/fs/calls.h"
#include "lib/os/syscalls.h"

namespace weft::internal {
namespace {

// For people to know it by. With what is put around it there are 122 bytes, which is less than any file system in use
// allows: most have 255, and eCryptfs has 143.
constexpr size_t kMostOfName = 100;
constexpr size_t kDigits = 16;
// 64 bits by chance are new; a directory in which they are there ten times is somebody's who knows them before.
constexpr int kMostTries = 10;

// Its first bytes, and no part of a UTF-8 character, which some file systems refuse.
std::string BeginningOf(const std::string& name) {
  size_t end = std::min(name.size(), kMostOfName);
  while (end < name.size() && end > 0 && (name[end] & 0xc0) == 0x80) --end;
  return name.substr(0, end);
}

// With an ACL the group's bits of the mode are a mask: the most that the group and each user and group that the ACL
// names may do, and not what the group may. Where nobody can tell, say without /proc, there may be one.
bool MayHaveAcl(int directory, const std::string& name) {
  const std::string path = absl::StrCat("/proc/self/fd/", directory, "/", name);
  const ssize_t size = Retry([&] { return Sys().lgetxattr(path.c_str(), "system.posix_acl_access", nullptr, 0); });
  return size >= 0 || (errno != ENODATA && errno != EOPNOTSUPP);
}

// Leaves the group and the others what both may do. So nobody gains by having been one and being the other now.
constexpr uint32_t ForWhoeverIsInTheGroup(uint32_t permissions) noexcept {
  const uint32_t both = (permissions >> 3) & permissions & 07;
  return (permissions & 0700) | both << 3 | both;
}

}  // namespace

absl::StatusOr<Replacement> Replacement::Create(const std::string& path, uint32_t permissions) {
  Replacement made(path);
  const size_t slash = path.rfind('/');
  made.name_ = path.substr(slash + 1);  // npos + 1 is 0
  if (made.name_.empty()) return PathStatus(path.empty() ? ENOENT : EISDIR, "create", path);
  const std::string directory = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  made.directory_ = UniqueDescriptor(OpenAt(AT_FDCWD, directory.c_str(), O_RDONLY | O_DIRECTORY));
  if (made.directory_.get() < 0) return PathStatus(errno, "open", directory);
  struct stat old;
  const int error = ErrnoOfCall(
      [&] { return Sys().fstatat(made.directory_.get(), made.name_.c_str(), &old, AT_SYMLINK_NOFOLLOW); });
  if (error != 0 && error != ENOENT) return PathStatus(error, "stat", path);
  const bool is_there = error == 0 && S_ISREG(old.st_mode);
  // Not more than in the end at any time: somebody could open it meanwhile.
  if (absl::Status created = made.CreateTemporary(is_there ? old.st_mode & 0700 : permissions); !created.ok()) {
    return created;
  }
  if (is_there) {
    if (absl::Status passed_on = made.TakeAccess(old); !passed_on.ok()) return passed_on;
  }
  return made;
}

absl::Status Replacement::TakeAccess(const struct stat& old) {
  const int fd = file_.get();
  struct stat status;
  if (const int error = ErrnoOfCall([&] { return Sys().fstat(fd, &status); }); error != 0) {
    return PathStatus(error, "stat", path_);
  }
  // No errno of fchown() is a failure: one may give a file only to groups that one is in, some file systems know none,
  // and there is another way.
  const auto give = [&] { return Sys().fchown(fd, static_cast<uid_t>(-1), old.st_gid); };
  const bool same_group = status.st_gid == old.st_gid || ErrnoOfCall(give) == 0;
  // The new one has an ACL if the directory has one for new files.
  const bool same_access =
      same_group && !MayHaveAcl(directory_.get(), name_) && !MayHaveAcl(directory_.get(), temporary_);
  const uint32_t permissions = old.st_mode & 0777;
  const int error =
      ErrnoOfCall([&] { return Sys().fchmod(fd, same_access ? permissions : ForWhoeverIsInTheGroup(permissions)); });
  return PathStatus(error, "chmod", path_);
}

absl::Status Replacement::CreateTemporary(uint32_t permissions) {
  for (int tries = 1;; ++tries) {
    std::string digits;
    if (const int error = FillByChance(digits, kDigits); error != 0) return PathStatus(error, "getrandom for", path_);
    std::string name = absl::StrCat(".", BeginningOf(name_), ".", digits, ".tmp");
    file_ = UniqueDescriptor(
        OpenAt(directory_.get(), name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, permissions));
    if (file_.get() >= 0) {
      temporary_ = std::move(name);
      return absl::OkStatus();
    }
    if (errno != EEXIST || tries == kMostTries) return PathStatus(errno, "create a file beside", path_);
  }
}

// There is nobody to tell of a failure; contents.h says so.
Replacement::~Replacement() {
  if (directory_.get() < 0 || temporary_.empty()) return;
  Retry([&] { return Sys().unlinkat(directory_.get(), temporary_.c_str(), 0); });
}

absl::Status Replacement::Commit(Options options) {
  if (options.sync) {
    const int error = ErrnoOfCall([&] { return Sys().fsync(file_.get()); });
    if (error != 0) return PathStatus(error, "sync", path_);
  }
  if (const int error = file_.Close(); error != 0) return PathStatus(error, "close", path_);
  if (const int error = Name(options.overwrite); error != 0) return PathStatus(error, "rename to", path_);
  if (!options.sync) return absl::OkStatus();
  const int error = ErrnoOfCall([&] { return Sys().fsync(directory_.get()); });
  // A file system that cannot sync a directory has none to sync.
  return error == EINVAL ? absl::OkStatus()
                         : PathStatus(error, "the new contents are in place, but perhaps not after a crash: sync the "
                                             "directory of", path_);
}

int Replacement::Name(bool overwrite) noexcept {
  const int directory = directory_.get();
  int error = 0;
  if (overwrite) {
    error = ErrnoOfCall([&] { return Sys().renameat(directory, temporary_.c_str(), directory, name_.c_str()); });
  } else {
    error = ErrnoOfCall([&] {
      return Sys().renameat2(directory, temporary_.c_str(), directory, name_.c_str(), RENAME_NOREPLACE);
    });
    // A file system that does not know the flag, like NFS, knows links; the destructor removes the other name.
    if (error == EINVAL || error == ENOSYS) {
      return ErrnoOfCall([&] { return Sys().linkat(directory, temporary_.c_str(), directory, name_.c_str(), 0); });
    }
  }
  if (error == 0) temporary_.clear();
  return error;
}

}  // namespace weft::internal

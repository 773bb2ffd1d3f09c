#include "lib/fs/remove_all.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "lib/fs/calls.h"
#include "lib/fs/directory_reader.h"
#include "lib/os/syscalls.h"

namespace weft::internal {
namespace {

// About 1,000 entries. A directory of many directories is read from its beginning once for so many.
constexpr size_t kBytesAtOnce = size_t{32} << 10;
// A file system that goes on where it had come to leaves out half of what is left, each time: enough for 10^9 entries.
constexpr int kMostTimes = 20;

int Unlink(int directory, const char* name, int flags) noexcept {
  const int error = ErrnoOfCall([&] { return Sys().unlinkat(directory, name, flags); });
  return error == ENOENT ? 0 : error;  // somebody else has removed it
}

class TreeRemover {
 public:
  // `path` is that of the root, for messages.
  TreeRemover(std::string path, bool may_stop) : path_(std::move(path)), may_stop_(may_stop) {}

  // What has this name in `parent`, whatever it is.
  absl::Status Remove(UniqueDescriptor parent, const std::string& name) {
    parent_ = std::move(parent);
    bool entered = false;
    if (absl::Status removed = RemoveOne(parent_.get(), name, /*is_directory=*/false, entered); !removed.ok()) {
      return removed;
    }
    while (!levels_.empty()) {
      if (absl::Status emptied = RemoveEntries(entered); !emptied.ok()) return emptied;
      if (entered) continue;
      if (absl::Status left = Leave(); !left.ok()) return left;
    }
    return absl::OkStatus();
  }

 private:
  // A directory on the way from the root to the one that is open.
  struct Level {
    std::string name;
    dev_t device;
    ino_t inode;
    int times;  // that it was entered in a row
    std::vector<std::string> directories;  // that were read in it, and are to be entered
  };

  // Removes an entry of `directory`, or enters it.
  absl::Status RemoveOne(int directory, const std::string& name, bool is_directory, bool& entered) {
    entered = false;
    if (may_stop_ && IsToStop()) return Stopped();
    int error = is_directory ? EISDIR : Unlink(directory, name.c_str(), 0);
    if (error == EISDIR) {
      error = Enter(directory, name);
      entered = error == 0;
    }
    if (error == ENOENT) error = 0;  // as in Unlink()
    // It was replaced meanwhile: by a link, or by a file.
    if (error == ELOOP || error == ENOTDIR) {
      if (const int again = Unlink(directory, name.c_str(), 0); again != EISDIR) error = again;
    }
    // It may be empty.
    if (error == EACCES && Unlink(directory, name.c_str(), AT_REMOVEDIR) == 0) error = 0;
    return error == 0 ? absl::OkStatus() : PathStatus(error, "remove", PathOf(name));
  }

  // Returns 0, or an errno.
  int Enter(int directory, const std::string& name) {
    UniqueDescriptor fd(OpenAt(directory, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
    if (fd.get() < 0) return errno;
    struct stat status;
    // Not fstat(2): this says EACCES of a directory that may be read and not searched, from which no way leads up.
    const int error = ErrnoOfCall([&] { return Sys().fstatat(fd.get(), ".", &status, AT_SYMLINK_NOFOLLOW); });
    if (error != 0) return error;
    levels_.push_back({.name = name, .device = status.st_dev, .inode = status.st_ino, .times = 1, .directories = {}});
    here_ = std::move(fd);
    return 0;
  }

  // Removes the entries of the directory that is open, until there are no more, or one is entered.
  absl::Status RemoveEntries(bool& entered) {
    if (absl::Status removed = RemoveDirectories(entered); !removed.ok() || entered) return removed;
    DirectoryReader reader(kBytesAtOnce);
    while (!reader.at_end()) {
      const int error = reader.Fill(here_.get());
      if (error == ENOENT) return absl::OkStatus();  // it was removed meanwhile
      if (error != 0) return PathStatus(error, "read", PathOf(""));
      while (const dirent64* const entry = reader.Next()) {
        if (entry->d_type == DT_DIR) {
          levels_.back().directories.emplace_back(entry->d_name);
          continue;
        }
        absl::Status removed = RemoveOne(here_.get(), entry->d_name, /*is_directory=*/false, entered);
        if (!removed.ok() || entered) return removed;
      }
      if (absl::Status removed = RemoveDirectories(entered); !removed.ok() || entered) return removed;
    }
    return absl::OkStatus();
  }

  // Those that were read in the directory that is open, until there are no more, or one is entered.
  absl::Status RemoveDirectories(bool& entered) {
    entered = false;
    std::vector<std::string>& names = levels_.back().directories;  // until one is entered
    while (!names.empty()) {
      const std::string name = std::move(names.back());
      names.pop_back();
      absl::Status removed = RemoveOne(here_.get(), name, /*is_directory=*/true, entered);
      if (!removed.ok() || entered) return removed;
    }
    return absl::OkStatus();
  }

  // Removes the directory that is open, in the one above, which is open then; or enters it once more.
  absl::Status Leave() {
    const Level left = std::move(levels_.back());
    levels_.pop_back();
    if (!levels_.empty()) {
      if (const int error = GoUp(); error != 0) return PathStatus(error, "leave", PathOf(left.name));
    }
    const int above = levels_.empty() ? parent_.get() : here_.get();
    const int error = ErrnoOfCall([&] { return Sys().unlinkat(above, left.name.c_str(), AT_REMOVEDIR); });
    // Somebody has created something meanwhile, or the file system has left out entries. Or it is gone: if it can be
    // entered, it is not.
    if ((error == ENOTEMPTY || error == ENOENT) && left.times < kMostTimes) {
      bool entered;
      absl::Status removed = RemoveOne(above, left.name, /*is_directory=*/true, entered);
      if (entered) levels_.back().times = left.times + 1;
      return removed;
    }
    return PathStatus(error, "remove", PathOf(left.name));
  }

  // Returns 0, or an errno.
  int GoUp() {
    UniqueDescriptor above(OpenAt(here_.get(), "..", O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
    if (above.get() < 0) return errno;
    struct stat status;
    const int error = ErrnoOfCall([&] { return Sys().fstat(above.get(), &status); });
    if (error != 0) return error;
    if (status.st_dev != levels_.back().device || status.st_ino != levels_.back().inode) return ESTALE;
    here_ = std::move(above);
    return 0;
  }

  // Of an entry of the last directory on the way; empty: its own.
  std::string PathOf(std::string_view name) const {
    std::string path = path_;
    for (size_t i = 1; i < levels_.size(); ++i) path.append("/").append(levels_[i].name);
    if (!levels_.empty() && !name.empty()) path.append("/").append(name);
    return path;
  }

  const std::string path_;
  const bool may_stop_;
  UniqueDescriptor parent_;
  UniqueDescriptor here_;
  std::vector<Level> levels_;
};

}  // namespace

absl::Status RemoveTree(const std::string& path, bool may_stop) {
  const size_t last = path.find_last_not_of('/');
  const std::string whole = path.substr(0, last + 1);  // npos + 1 is 0
  const size_t slash = whole.rfind('/');
  const std::string name = whole.substr(slash + 1);
  if (path.empty()) return absl::OkStatus();
  if (name.empty() || name == "." || name == "..") return PathStatus(EINVAL, "remove", path);
  const std::string directory = slash == std::string::npos ? "." : whole.substr(0, slash + 1);
  UniqueDescriptor parent(OpenAt(AT_FDCWD, directory.c_str(), O_PATH | O_DIRECTORY));
  if (parent.get() < 0) return errno == ENOENT ? absl::OkStatus() : PathStatus(errno, "open", directory);
  return TreeRemover(whole, may_stop).Remove(std::move(parent), name);
}

}  // namespace weft::internal

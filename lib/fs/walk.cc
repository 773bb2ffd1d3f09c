#include "weft/fs/walk.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "lib/fs/calls.h"
#include "lib/fs/directory_reader.h"
#include "lib/os/syscalls.h"
#include "weft/channel/generator.h"
#include "weft/fs/file_info.h"
#include "weft/text_view.h"

namespace weft::fs {
namespace {

using internal::DirectoryReader;
using internal::ErrnoOfCall;
using internal::PathStatus;
using internal::Sys;
using internal::UniqueDescriptor;

constexpr size_t kBytesAtOnce = size_t{32} << 10;

// A directory on the way from the root to the entry.
struct Level {
  std::string path;
  UniqueDescriptor fd;
  dev_t device = 0;
  ino_t inode = 0;
  DirectoryReader reader{kBytesAtOnce};
  absl::Status failed = {};  // what the reading ended with, behind the entries that came before
};

FileType TypeOfEntry(const dirent64& entry) noexcept {
  return internal::TypeOf(static_cast<uint32_t>(DTTOIF(entry.d_type)));  // d_type is the type of stat(2), shifted
}

// ---- In the pool.

// Sets the types that the directory does not tell, and those of what links lead to if these are followed. One that
// cannot be told stays as it is.
void CompleteTypes(Level& level, bool follow_links) noexcept {
  while (dirent64* const entry = level.reader.Next()) {
    const auto ask = [&](int flags) {
      struct stat status;
      if (ErrnoOfCall([&] { return Sys().fstatat(level.fd.get(), entry->d_name, &status, flags); }) == 0) {
        entry->d_type = IFTODT(status.st_mode);
      }
    };
    if (entry->d_type == DT_UNKNOWN) ask(AT_SYMLINK_NOFOLLOW);
    if (entry->d_type == DT_LNK && follow_links) ask(0);
  }
  level.reader.Rewind();
}

void FillNow(Level& level, bool follow_links) {
  const int error = level.reader.Fill(level.fd.get());
  level.failed = PathStatus(error, "read", level.path);
  CompleteTypes(level, follow_links);
}

// Opens `name` in `directory`, and reads its first entries.
absl::StatusOr<Level> OpenNow(int directory, const std::string& name, std::string path, bool follow_links,
                              const std::vector<Level>& above) {
  Level level;
  level.path = std::move(path);
  // The root may be a link.
  const int flags = O_RDONLY | O_DIRECTORY | (follow_links || above.empty() ? 0 : O_NOFOLLOW);
  level.fd = UniqueDescriptor(internal::OpenAt(directory, name.c_str(), flags));
  if (level.fd.get() < 0) return PathStatus(errno, "open", level.path);
  struct stat status;
  if (const int error = ErrnoOfCall([&] { return Sys().fstat(level.fd.get(), &status); }); error != 0) {
    return PathStatus(error, "stat", level.path);
  }
  level.device = status.st_dev;
  level.inode = status.st_ino;
  const auto is_same = [&](const Level& other) {
    return other.device == level.device && other.inode == level.inode;
  };
  if (std::any_of(above.begin(), above.end(), is_same)) return PathStatus(ELOOP, "open", level.path);
  FillNow(level, follow_links);
  return level;
}

// ---- In the virtual thread.

Generator<absl::StatusOr<WalkEntry>> WalkBelow(std::string root, WalkOptions options) {
  if (absl::Status checked = internal::CheckPath("open", root); !checked.ok()) {
    co_yield checked;
    co_return;
  }
  std::vector<Level> levels;
  int directory = AT_FDCWD;
  std::string name = root, path = root;
  while (true) {
    // Enters what `name` is.
    absl::StatusOr<Level> opened = co_await internal::InPool(
        [&] { return OpenNow(directory, name, path, options.follow_links, levels); });
    if (opened.ok()) {
      levels.push_back(*std::move(opened));
    } else {
      co_yield opened.status();
    }
    // Goes on to the next directory.
    bool enters = false;
    while (!enters && !levels.empty()) {
      Level& level = levels.back();
      const dirent64* const next = level.reader.Next();
      if (next == nullptr && !level.failed.ok()) {
        const absl::Status failed = std::move(level.failed);
        levels.pop_back();
        co_yield failed;
      } else if (next == nullptr && level.reader.at_end()) {
        levels.pop_back();
      } else if (next == nullptr) {
        const auto fill = [&] {
          FillNow(level, options.follow_links);
          return absl::OkStatus();
        };
        if (const absl::Status called = co_await internal::InPool(fill); !called.ok()) {
          level.failed = absl::Status(called.code(), absl::StrCat("read ", level.path, ": ", called.message()));
        }
      } else {
        name = next->d_name;
        path = absl::StrCat(level.path, level.path.ends_with('/') ? "" : "/", name);
        const int depth = static_cast<int>(levels.size()) - 1;
        const WalkEntry entry = {.path = path, .type = TypeOfEntry(*next), .depth = depth};
        directory = level.fd.get();
        co_yield entry;
        enters = entry.type == FileType::kDirectory && entry.depth < options.max_depth &&
                 (options.enter == nullptr || options.enter(entry));
      }
    }
    if (!enters) co_return;
  }
}

}  // namespace

Generator<absl::StatusOr<WalkEntry>> Walk(TextView root, WalkOptions options) {
  return WalkBelow(std::string(root), std::move(options));
}

}  // namespace weft::fs

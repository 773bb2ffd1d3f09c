// Walk: all that is below a directory, one entry after the other.
//
//   auto walk = fs::Walk("src");
//   while (auto entry = co_await walk.Next()) {
//     if (!entry->ok()) co_return entry->status();         // or log it, and go on
//     if ((*entry)->type == fs::FileType::kRegular) ++files;
//   }
//
// A directory comes before what is in it; otherwise the order is the file system's. The root itself is no entry. A
// symbolic link is an entry, and is not followed unless asked; but the root may be one.
//
// Errors. A directory that cannot be opened or read is an element with the error, the call and the path of that
// directory, after the entry of the directory itself. The walk goes on behind it. What is created or removed meanwhile
// may be seen or not; a directory that is gone when its turn comes is such an error (ENOENT).
//
// It may be left at any time: destroying it closes its directories. For entries in parallel, have ForEach() work on
// what it yields (examples/file_tree.cc).
//
// Cancellation: Next() is a checkpoint. A walk whose Next() was cancelled has ended.
// Cost: one call on the runtime's pool (weft/blocking.h) for about 1,000 entries, and one at least for each directory.
// For each directory on the way from the root to the entry it has one descriptor and 32 KiB of memory.
#ifndef WEFT_FS_WALK_H_
#define WEFT_FS_WALK_H_

#include "weft/internal/compiler.h"

#include <cstdint>
#include <functional>
#include <limits>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "weft/channel/generator.h"
#include "weft/fs/file_info.h"
#include "weft/text_view.h"

namespace weft::fs {

struct WalkEntry {
  // The part of `path` behind the last slash.
  std::string_view name() const noexcept { return std::string_view(path).substr(path.rfind('/') + 1); }

  std::string path;  // begins with the root, as it was given
  // Where links are followed: the type of what the link leads to. A link that leads nowhere stays a link.
  FileType type = FileType::kUnknown;
  int depth = 0;  // 0: in the root
};

struct WalkOptions {
  // Enter directories that a link leads to. One that leads to a directory it lies in is an element with ELOOP.
  bool follow_links = false;
  // Entries that lie deeper are left out; 0: only those in the root.
  int max_depth = std::numeric_limits<int>::max();
  // Called with each directory, after its entry was taken; false: it is not entered. Null: all are.
  std::function<bool(const WalkEntry& directory)> enter = nullptr;
};

Generator<absl::StatusOr<WalkEntry>> Walk(TextView root, WalkOptions options = {});

}  // namespace weft::fs

#endif  // WEFT_FS_WALK_H_

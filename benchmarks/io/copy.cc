// Copies a file, or a directory with all that is in it, like `cp -r`.
//
//   copy FROM TO      TO must not be there
#include <cstdio>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "weft/fs/file_info.h"
#include "weft/fs/path.h"
#include "weft/fs/walk.h"
#include "weft/weft.h"

namespace weft::benchmarks {
namespace {

constexpr int kAtOnce = 8;

// The directories are made on the way, the files afterwards, several at a time.
Task<absl::Status> CopyTree(const std::string& from, const std::string& to) {
  if (absl::Status made = co_await fs::CreateDirectory(to); !made.ok()) co_return made;
  std::vector<std::string> files;  // their paths below `from`
  auto walk = fs::Walk(from);
  while (auto entry = co_await walk.Next()) {
    if (!entry->ok()) co_return entry->status();
    std::string below = (*entry)->path.substr(from.size());
    if ((*entry)->type == fs::FileType::kDirectory) {
      if (absl::Status made = co_await fs::CreateDirectory(absl::StrCat(to, below)); !made.ok()) co_return made;
    } else {
      files.push_back(std::move(below));
    }
  }
  co_return co_await ForEach(files, kAtOnce, [&](const std::string& below) -> Task<absl::Status> {
    co_return co_await fs::CopyFile(absl::StrCat(from, below), absl::StrCat(to, below));
  });
}

Task<absl::Status> Copy(std::string from, std::string to) {
  const absl::StatusOr<fs::FileInfo> info = co_await fs::Stat(from);
  if (!info.ok()) co_return info.status();
  if (info->type == fs::FileType::kDirectory) co_return co_await CopyTree(from, to);
  co_return co_await fs::CopyFile(from, to);
}

}  // namespace
}  // namespace weft::benchmarks

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: %s FROM TO\n", argv[0]);
    return 2;
  }
  return weft::RunMain(weft::benchmarks::Copy(argv[1], argv[2]));
}

// A file processor: thousands of files below a directory, a few at a time, with a progress count. It makes the tree
// itself, in a temporary directory.
#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdio>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "weft/fs/contents.h"
#include "weft/fs/file.h"
#include "weft/fs/path.h"
#include "weft/fs/temporary.h"
#include "weft/fs/walk.h"
#include "weft/weft.h"

namespace {

constexpr int kDirectories = 40;
constexpr int kFiles = 2400;
constexpr int kAtOnce = 16;

weft::Task<absl::Status> MakeTree(const std::string& root) {
  for (int i = 0; i < kDirectories; ++i) {
    absl::Status made = co_await weft::fs::CreateDirectories(absl::StrCat(root, "/", i % 4, "/", i));
    if (!made.ok()) co_return made;
  }
  std::vector<int> files(kFiles);
  std::iota(files.begin(), files.end(), 0);
  co_return co_await weft::ForEach(files, kAtOnce, [&root](int i) -> weft::Task<absl::Status> {
    const int directory = i % kDirectories;
    std::string text;
    for (int line = 0; line <= i % 10; ++line) text += "a line of text\n";
    const std::string path = absl::StrCat(root, "/", directory % 4, "/", directory, "/", i, ".txt");
    co_return co_await weft::fs::WriteFile(path, text);
  });
}

// clang-format off
//! [file_tree]
// What is below `root`: no memory for what is not a file, no carrier held by the file system.
weft::Task<absl::StatusOr<std::vector<std::string>>> FilesBelow(std::string root) {
  std::vector<std::string> files;
  auto walk = weft::fs::Walk(root);
  while (auto entry = co_await walk.Next()) {
    if (!entry->ok()) co_return entry->status();         // a directory that cannot be read; it would go on behind it
    if ((*entry)->type == weft::fs::FileType::kRegular) files.push_back(std::move((*entry)->path));
  }
  co_return files;
}

// Reads them all, a few at a time. The first failure cancels the rest.
weft::Task<absl::StatusOr<size_t>> CountLines(const std::vector<std::string>& files) {
  std::atomic<size_t> lines = 0, done = 0;
  const auto count = [&](const std::string& file) -> weft::Task<absl::Status> {
    absl::StatusOr<std::string> text = co_await weft::fs::ReadFile(file, {.max_bytes = 1 << 20});
    if (!text.ok()) co_return text.status();
    lines += static_cast<size_t>(std::count(text->begin(), text->end(), '\n'));
    if (const size_t now = ++done; now % 600 == 0) std::printf("%zu of %zu files\n", now, files.size());
    co_return absl::OkStatus();
  };
  if (absl::Status counted = co_await weft::ForEach(files, kAtOnce, count); !counted.ok()) co_return counted;
  co_return lines.load();
}
//! [file_tree]
// clang-format on

weft::Task<absl::Status> Main() {
  absl::StatusOr<weft::fs::TemporaryDirectory> scratch = co_await weft::fs::TemporaryDirectory::Create();
  if (!scratch.ok()) co_return scratch.status();
  const std::string root = scratch->path() + "/tree", report = scratch->path() + "/report.txt";
  if (absl::Status made = co_await MakeTree(root); !made.ok()) co_return made;

  absl::StatusOr<std::vector<std::string>> files = co_await FilesBelow(root);
  if (!files.ok()) co_return files.status();
  absl::StatusOr<size_t> lines = co_await CountLines(*files);
  if (!lines.ok()) co_return lines.status();

  // Everybody sees the old report or the whole new one, also after a crash.
  absl::Status written = co_await weft::fs::WriteFileAtomically(report, absl::StrCat("lines: ", *lines, "\n"));
  if (!written.ok()) co_return written;
  absl::StatusOr<weft::fs::File> file = co_await weft::fs::File::Open(report);
  if (!file.ok()) co_return file.status();
  char text[64];
  absl::StatusOr<size_t> size = co_await file->Read(text);
  if (!size.ok()) co_return size.status();
  std::printf("%s", std::string(text, *size).c_str());

  if (absl::Status removed = co_await weft::fs::RemoveAll(root); !removed.ok()) co_return removed;
  absl::StatusOr<bool> there = co_await weft::fs::Exists(root);
  if (!there.ok()) co_return there.status();
  std::printf("the tree is %s\n", *there ? "still there" : "removed");
  co_return co_await scratch->Remove();
}

}  // namespace

int main() { return weft::RunMain(Main(), {.parallelism = 1}); }

#include "lib/testing/machine/inode.h"

#include <time.h>

namespace weft::internal::machine {
namespace {

timespec TimespecOf(int64_t nanos) noexcept {
  constexpr int64_t kNanosPerSecond = 1'000'000'000;
  return {.tv_sec = nanos / kNanosPerSecond, .tv_nsec = nanos % kNanosPerSecond};
}

}  // namespace

void FillStat(const Inode& inode, struct stat& result) {
  constexpr uint64_t kDirectoryBytes = Contents::kPageBytes;
  constexpr uint64_t kBlockBytes = 512;  // that of st_blocks
  const Contents& contents = inode.state.contents;
  const uint64_t size = inode.IsDirectory() ? kDirectoryBytes : inode.IsLink() ? inode.target.size() : contents.size();
  const uint64_t allocated = inode.IsDirectory() ? kDirectoryBytes : contents.pages() * Contents::kPageBytes;
  result = {};
  result.st_dev = 1;
  result.st_ino = inode.number;
  result.st_mode = inode.state.mode;
  result.st_nlink = static_cast<nlink_t>(inode.links);
  result.st_size = static_cast<off_t>(size);
  result.st_blksize = static_cast<blksize_t>(Contents::kPageBytes);
  result.st_blocks = static_cast<blkcnt_t>(allocated / kBlockBytes);
  result.st_atim = TimespecOf(inode.state.times.accessed);
  result.st_mtim = TimespecOf(inode.state.times.modified);
  result.st_ctim = TimespecOf(inode.state.times.changed);
}

}  // namespace weft::internal::machine

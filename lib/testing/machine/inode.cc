#include "lib/testing/machine/inode.h"

#include <sys/stat.h>
#include <time.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <limits>

namespace weft::internal::machine {
namespace {

constexpr int64_t kNanosPerSecond = 1'000'000'000;

timespec TimespecOf(int64_t nanos) noexcept {
  timespec time = {.tv_sec = nanos / kNanosPerSecond, .tv_nsec = nanos % kNanosPerSecond};
  if (time.tv_nsec < 0) {  // before 1970
    --time.tv_sec;
    time.tv_nsec += kNanosPerSecond;
  }
  return time;
}

int64_t NanosOf(const timespec& time) noexcept {
  constexpr int64_t kMostSeconds = std::numeric_limits<int64_t>::max() / kNanosPerSecond - 1;
  return std::clamp<int64_t>(time.tv_sec, -kMostSeconds, kMostSeconds) * kNanosPerSecond + time.tv_nsec;
}

bool IsTime(const timespec& time) noexcept {
  const bool is_special = time.tv_nsec == UTIME_NOW || time.tv_nsec == UTIME_OMIT;
  return is_special || (time.tv_nsec >= 0 && time.tv_nsec < kNanosPerSecond);
}

void SetTime(int64_t& time, const timespec& wanted, int64_t now_ns) noexcept {
  if (wanted.tv_nsec != UTIME_OMIT) time = wanted.tv_nsec == UTIME_NOW ? now_ns : NanosOf(wanted);
}

}  // namespace

bool SetsNothing(const timespec times[2]) noexcept {
  return times != nullptr && times[0].tv_nsec == UTIME_OMIT && times[1].tv_nsec == UTIME_OMIT;
}

int Inode::SetTimes(const timespec times[2], int64_t now_ns) noexcept {
  constexpr timespec kNow[2] = {{.tv_sec = 0, .tv_nsec = UTIME_NOW}, {.tv_sec = 0, .tv_nsec = UTIME_NOW}};
  if (times == nullptr) times = kNow;
  if (!IsTime(times[0]) || !IsTime(times[1])) return -EINVAL;
  SetTime(state.times.accessed, times[0], now_ns);
  SetTime(state.times.modified, times[1], now_ns);
  state.times.changed = now_ns;
  return 0;
}

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

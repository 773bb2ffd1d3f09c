#include "lib/testing/machine/file_object.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/epoll.h>
#include <sys/file.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"
#include "lib/testing/machine/directory.h"
#include "lib/testing/machine/journal.h"
#include "weft/internal/check.h"

namespace weft::internal::machine {
namespace {

constexpr int64_t kMostBytes = int64_t{1} << 62;  // of a file
constexpr size_t kMostAtOnce = 0x7ffff000;        // MAX_RW_COUNT of Linux
constexpr size_t kCopyBytes = size_t{64} << 10;   // of memory, while it copies
constexpr int64_t kNanosPerDay = 86'400'000'000'000;

// `offset`: 0 or more.
bool Overflows(int64_t offset, size_t bytes) noexcept {
  return bytes > static_cast<size_t>(INT64_MAX) || offset > INT64_MAX - static_cast<int64_t>(bytes);
}

// By the flags that it was opened with.
bool CanRead(int flags) noexcept {
  const int access = flags & O_ACCMODE;
  return (flags & O_PATH) == 0 && (access == O_RDONLY || access == O_RDWR);
}
bool CanWrite(int flags) noexcept {
  const int access = flags & O_ACCMODE;
  return (flags & O_PATH) == 0 && (access == O_WRONLY || access == O_RDWR);
}

// Puts an entry at `buffer`; returns its bytes, or 0: there is no room.
size_t PutEntry(char* buffer, size_t size, const Inode& inode, std::string_view name, int64_t place) noexcept {
  constexpr size_t kAlignment = alignof(dirent64);
  constexpr size_t kNameAt = offsetof(dirent64, d_name);
  const size_t bytes = (kNameAt + name.size() + 1 + kAlignment - 1) / kAlignment * kAlignment;
  if (bytes > size) return 0;
  const uint64_t number = inode.number;
  const auto length = static_cast<uint16_t>(bytes);
  const auto type = static_cast<uint8_t>(IFTODT(inode.state.mode));
  std::memset(buffer, 0, bytes);
  std::memcpy(buffer + offsetof(dirent64, d_ino), &number, sizeof(number));
  std::memcpy(buffer + offsetof(dirent64, d_off), &place, sizeof(place));
  std::memcpy(buffer + offsetof(dirent64, d_reclen), &length, sizeof(length));
  std::memcpy(buffer + offsetof(dirent64, d_type), &type, sizeof(type));
  std::memcpy(buffer + kNameAt, name.data(), name.size());
  return bytes;
}

}  // namespace

FileObject::FileObject(Disk& disk, std::shared_ptr<Inode> inode, std::string path, int flags)
    : OpenObject(flags), disk_(disk), inode_(std::move(inode)), path_(std::move(path)) {
  ++inode_->opened;
  ++disk_.opened;
}

FileObject::~FileObject() {
  inode_->lock.Drop(*this);
  --inode_->opened;
  --disk_.opened;
  disk_.GiveBackUnused(*inode_);
}

std::string FileObject::Describe() const {
  return absl::StrCat(inode_->IsDirectory() ? "the directory " : "the file ", path_);
}

uint32_t FileObject::Readiness() const noexcept { return EPOLLIN | EPOLLOUT; }

bool FileObject::IsPathOnly() const noexcept { return (flags() & O_PATH) != 0; }

// As a file system that is mounted with relatime, which is usual.
void FileObject::SetAccessed() noexcept {
  FileTimes& times = inode_->state.times;
  const int64_t now = disk_.wire.WallNanos();
  if (times.accessed <= times.modified || times.accessed <= times.changed || now - times.accessed >= kNanosPerDay) {
    times.accessed = now;
  }
}

// ---- Reading and writing.

int64_t FileObject::Read(Parts into) {
  const int64_t got = ReadAt(into, position_);
  if (got > 0) position_ += got;
  return got;
}

int64_t FileObject::Write(Parts from) {
  int64_t place = position_;
  const int64_t written = WriteFrom(from, place, /*append=*/false);
  if (written > 0) position_ = place;
  return written;
}

int FileObject::Stat(struct stat& result) {
  FillStat(*inode_, result);
  return 0;
}

int64_t FileObject::ReadAt(Parts into, int64_t offset) {
  const size_t wanted = BytesOf(into);
  if (offset < 0) return -EINVAL;
  if (!CanRead(flags())) return -EBADF;
  if (inode_->IsDirectory()) return -EISDIR;
  if (Overflows(offset, wanted)) return -EINVAL;
  const Contents& contents = inode_->state.contents;
  const auto place = static_cast<uint64_t>(offset);
  const uint64_t there = contents.size() - std::min(place, contents.size());
  const size_t bytes = disk_.chance.Part(static_cast<size_t>(std::min(there, uint64_t{std::min(wanted, kMostAtOnce)})));
  size_t done = 0;
  for (const iovec& part : into) {
    done += contents.Read(place + done, static_cast<char*>(part.iov_base), std::min(part.iov_len, bytes - done));
  }
  if (wanted > 0) SetAccessed();
  return static_cast<int64_t>(done);
}

int64_t FileObject::WriteAt(Parts from, int64_t offset, bool append) { return WriteFrom(from, offset, append); }

int64_t FileObject::WriteFrom(Parts from, int64_t& offset, bool append) {
  const size_t wanted = BytesOf(from);
  if (offset < 0) return -EINVAL;
  if (!CanWrite(flags())) return -EBADF;
  if (Overflows(offset, wanted)) return -EINVAL;
  if (wanted == 0) return 0;
  Contents& contents = inode_->state.contents;
  // An offset says nothing then, as in Linux (pwrite(2), "BUGS").
  if (append || (flags() & O_APPEND) != 0) offset = static_cast<int64_t>(contents.size());
  if (offset >= kMostBytes) return -EFBIG;
  const auto room = static_cast<uint64_t>(kMostBytes - offset);
  const size_t bytes = disk_.chance.Part(static_cast<size_t>(std::min(room, uint64_t{std::min(wanted, kMostAtOnce)})));
  size_t done = 0;
  for (const iovec& part : from) {
    const size_t next = std::min(part.iov_len, bytes - done);
    const size_t written =
        contents.Write(static_cast<uint64_t>(offset) + done, static_cast<char*>(part.iov_base), next, disk_.space);
    done += written;
    if (written < next) break;
  }
  if (done == 0) return -ENOSPC;
  inode_->SetModified(disk_.wire.WallNanos());
  offset += static_cast<int64_t>(done);
  return static_cast<int64_t>(done);
}

// The order of the checks is that of generic_copy_file_checks() in Linux.
int64_t FileObject::CopyTo(int64_t* offset, FileObject& to, int64_t* to_offset, size_t size) {
  if (IsPathOnly() || to.IsPathOnly()) return -EBADF;
  if (inode_->IsDirectory() || to.inode_->IsDirectory()) return -EISDIR;
  if (!CanRead(flags()) || !CanWrite(to.flags()) || (to.flags() & O_APPEND) != 0) return -EBADF;
  int64_t& source = offset != nullptr ? *offset : position_;
  int64_t& target = to_offset != nullptr ? *to_offset : to.position_;
  size = std::min(size, kMostAtOnce);
  if (source < 0 || target < 0) return -EINVAL;
  if (Overflows(source, size) || Overflows(target, size)) return -EOVERFLOW;
  const Contents& contents = inode_->state.contents;
  const uint64_t there = contents.size() - std::min(static_cast<uint64_t>(source), contents.size());
  const auto bytes = static_cast<int64_t>(std::min(there, uint64_t{size}));
  if (bytes == 0) return 0;
  if (target >= kMostBytes) return -EFBIG;
  if (inode_ == to.inode_ && target + bytes > source && target < source + bytes) return -EINVAL;
  const auto left = static_cast<int64_t>(disk_.chance.Part(static_cast<size_t>(bytes)));
  const auto buffer = std::make_unique_for_overwrite<char[]>(kCopyBytes);
  int64_t done = 0;
  while (done < left) {
    const size_t next = std::min(kCopyBytes, static_cast<size_t>(left - done));
    contents.Read(static_cast<uint64_t>(source + done), buffer.get(), next);
    const size_t written =
        to.inode_->state.contents.Write(static_cast<uint64_t>(target + done), buffer.get(), next, disk_.space);
    done += static_cast<int64_t>(written);
    if (written < next) break;
  }
  if (done == 0) return -ENOSPC;
  SetAccessed();
  to.inode_->SetModified(disk_.wire.WallNanos());
  source += done;
  target += done;
  return done;
}

// ---- The rest.

int FileObject::Sync(int fault) {
  if (IsPathOnly()) return -EBADF;
  if (fault == -EIO) FailToSync(*inode_, disk_.chance);
  if (fault != 0) return fault;
  SyncInode(*inode_, *disk_.root);
  return 0;
}

int FileObject::Truncate(int64_t size) {
  if (size < 0) return -EINVAL;
  if (IsPathOnly()) return -EBADF;
  if (!inode_->IsFile() || !CanWrite(flags())) return -EINVAL;
  if (size > kMostBytes) return -EFBIG;
  inode_->state.contents.Resize(static_cast<uint64_t>(size), disk_.space);
  inode_->SetModified(disk_.wire.WallNanos());
  return 0;
}

int FileObject::Allocate(int mode, int64_t offset, int64_t size) {
  if (IsPathOnly()) return -EBADF;
  if (offset < 0 || size <= 0) return -EINVAL;
  if ((mode & ~FALLOC_FL_KEEP_SIZE) != 0) return -EOPNOTSUPP;
  if (!CanWrite(flags())) return -EBADF;
  if (offset > kMostBytes - size) return -EFBIG;
  Contents& contents = inode_->state.contents;
  const auto begin = static_cast<uint64_t>(offset), bytes = static_cast<uint64_t>(size);
  if (!contents.Allocate(begin, bytes, disk_.space)) return -ENOSPC;
  const bool grows = (mode & FALLOC_FL_KEEP_SIZE) == 0 && begin + bytes > contents.size();
  if (grows) contents.Resize(begin + bytes, disk_.space);
  inode_->SetModified(disk_.wire.WallNanos());
  return 0;
}

int FileObject::Lock(int operation) {
  const int kind = operation & ~LOCK_NB;
  if (kind != LOCK_SH && kind != LOCK_EX && kind != LOCK_UN) return -EINVAL;
  if (IsPathOnly()) return -EBADF;
  if (kind == LOCK_UN) {
    inode_->lock.Drop(*this);
    return 0;
  }
  if (inode_->lock.Take(*this, /*exclusive=*/kind == LOCK_EX)) return 0;
  WEFT_CHECK((operation & LOCK_NB) != 0) << "flock() of " << path_
                                         << " would wait for another open file's lock, and nothing else would run "
                                            "meanwhile; call it with LOCK_NB";
  return -EWOULDBLOCK;
}

int FileObject::ChangeMode(mode_t mode) {
  if (IsPathOnly()) return -EBADF;
  inode_->ChangeMode(mode, disk_.wire.WallNanos());
  return 0;
}

int FileObject::SetTimes(const timespec times[2]) {
  if (SetsNothing(times)) return 0;
  return IsPathOnly() ? -EBADF : inode_->SetTimes(times, disk_.wire.WallNanos());
}

int64_t FileObject::Seek(int64_t offset, int whence) {
  if (IsPathOnly()) return -EBADF;
  int64_t base;
  if (whence == SEEK_SET) {
    base = 0;
  } else if (whence == SEEK_CUR) {
    base = position_;
  } else if (whence == SEEK_END && !inode_->IsDirectory()) {
    base = static_cast<int64_t>(inode_->state.contents.size());
  } else {
    return -EINVAL;
  }
  int64_t place;
  if (__builtin_add_overflow(base, offset, &place) || place < 0) return -EINVAL;
  if (place > kMostBytes && !inode_->IsDirectory()) return -EINVAL;
  position_ = place;
  return place;
}

int64_t FileObject::ReadDirectory(void* buffer, size_t size) {
  // The place where the next one begins is that of the last one before it.
  constexpr int64_t kDotPlace = 1, kDotDotPlace = 2;
  if (IsPathOnly()) return -EBADF;
  if (!inode_->IsDirectory()) return -ENOTDIR;
  const Directory& directory = *inode_->directory;
  if (directory.removed) return -ENOENT;
  if (position_ == 0) readable_age_ = directory.age();
  size_t done = 0;
  const auto put = [&](const Inode& inode, std::string_view name, int64_t place) {
    const size_t bytes = PutEntry(static_cast<char*>(buffer) + done, size - done, inode, name, place);
    if (bytes > 0) position_ = place;
    done += bytes;
    return bytes > 0;
  };
  bool has_room = true;
  if (position_ < kDotPlace) has_room = put(*inode_, ".", kDotPlace);
  if (has_room && position_ < kDotDotPlace) has_room = put(*directory.parent.lock(), "..", kDotDotPlace);
  const std::string* name = nullptr;
  while (has_room) {
    const Directory::Entry* const next = directory.After(position_, readable_age_, name);
    if (next == nullptr) break;
    has_room = put(*next->inode, *name, next->place);
  }
  SetAccessed();
  return done == 0 && !has_room ? -EINVAL : static_cast<int64_t>(done);
}

}  // namespace weft::internal::machine

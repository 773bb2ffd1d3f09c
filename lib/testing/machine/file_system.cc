#include "lib/testing/machine/file_system.h"

#include <fcntl.h>
#include <stdio.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "lib/testing/machine/journal.h"
#include "weft/internal/check.h"

namespace weft::internal::machine {
namespace {

using Last = PathWalk::Last;

constexpr mode_t kUmask = 022;
constexpr int kTemporary = O_TMPFILE & ~O_DIRECTORY;
constexpr size_t kMostOfTarget = 4095;
constexpr unsigned long kMostOfName = 255;

bool Writes(int flags) noexcept { return (flags & O_ACCMODE) != O_RDONLY; }

// 0, or why these flags open nothing.
int CheckOpenFlags(int flags) noexcept {
  const bool creates = (flags & O_CREAT) != 0, wants_directory = (flags & O_DIRECTORY) != 0;
  const bool is_temporary = (flags & kTemporary) != 0;
  const bool is_right = is_temporary ? wants_directory && !creates && Writes(flags) : !wants_directory || !creates;
  return is_right ? 0 : -EINVAL;
}

// Is `directory` in `above`, at any depth, or `above` itself? If so, `next` is what in `above` leads there.
bool IsBelow(const Inode* directory, const Inode& above, const Inode*& next) {
  next = nullptr;
  while (directory != &above) {
    const std::shared_ptr<Inode> parent = directory->directory->parent.lock();
    if (parent == nullptr || parent.get() == directory) return false;
    next = directory;
    directory = parent.get();
  }
  return true;
}

// To a name that is still free. `for_directory`: it may have a slash behind it.
int ToFreeName(PathWalk& walk, bool for_directory) {
  if (const int error = walk.ToLast(); error != 0) return error;
  if (walk.last() != Last::kName) return -EEXIST;
  if (walk.directory()->directory->removed) return -ENOENT;
  std::shared_ptr<Inode> found;
  if (const int error = walk.Find(found); error != 0) return error;
  if (found != nullptr) return -EEXIST;
  return walk.wants_directory() && !for_directory ? -ENOENT : 0;
}

// To a name that there is.
int ToName(const PathWalk& walk, std::shared_ptr<Inode>& found) {
  if (const int error = walk.Find(found); error != 0) return error;
  return found == nullptr ? -ENOENT : 0;
}

// 0, or why `target`, which may be null, cannot be replaced by `source`.
int CheckReplaced(const Inode& source, const Inode* target) {
  if (target == nullptr) return 0;
  if (!source.IsDirectory()) return target->IsDirectory() ? -EISDIR : 0;
  if (!target->IsDirectory()) return -ENOTDIR;
  return target->directory->empty() ? 0 : -ENOTEMPTY;
}

}  // namespace

FileSystem::FileSystem(Chance& chance, const Wire& wire, uint64_t capacity_bytes)
    : disk_(chance, wire, capacity_bytes) {
  disk_.root = disk_.Make(S_IFDIR | 0755);
  disk_.root->links = 2;
  disk_.root->directory->parent = disk_.root;
  const std::shared_ptr<Inode> temporary = disk_.Make(S_IFDIR | 01777);
  Enter(disk_.root, "tmp", temporary);
  SyncInode(*temporary, *disk_.root);
  SyncInode(*disk_.root, *disk_.root);
}

FileSystem::~FileSystem() {
  WEFT_CHECK(disk_.opened == 0) << "the machine's files end, and " << disk_.opened << " are open";
  TakeApart(disk_.root);
}

void FileSystem::LosePower() {
  WEFT_CHECK(disk_.opened == 0) << "the machine loses its power, and " << disk_.opened << " files are open";
  machine::LosePower(disk_.root, disk_.space, disk_.chance);
}

// ---- Ways.

PathWalk FileSystem::WalkFrom(FileObject* from, const char* path) const {
  return PathWalk(disk_.root, from == nullptr ? disk_.root : from->inode(), path);
}

int FileSystem::Find(FileObject* from, const char* path, bool follow, int flags, std::shared_ptr<Inode>& found) const {
  if (*path == '\0' && (flags & AT_EMPTY_PATH) != 0) {
    found = from == nullptr ? disk_.root : from->inode();
    return 0;
  }
  return WalkFrom(from, path).ToEnd(follow, found);
}

// ---- Entries.

void FileSystem::Enter(const std::shared_ptr<Inode>& directory, const std::string& name,
                       const std::shared_ptr<Inode>& inode) {
  const int64_t now = disk_.wire.WallNanos();
  directory->directory->Put(name, inode, disk_.chance);
  directory->SetModified(now);
  inode->state.times.changed = now;
  if (inode->IsDirectory()) {
    inode->directory->parent = directory;
    if (inode->links == 0) inode->links = 2;  // its name, and its "."
    ++directory->links;
  } else {
    ++inode->links;
  }
}

void FileSystem::Leave(Inode& directory, Inode& inode) {
  const int64_t now = disk_.wire.WallNanos();
  directory.SetModified(now);
  inode.state.times.changed = now;
  if (inode.IsDirectory()) {
    --directory.links;
  } else {
    --inode.links;
  }
}

void FileSystem::Remove(Inode& directory, Inode& inode) {
  Leave(directory, inode);
  if (inode.IsDirectory()) {
    inode.links = 0;
    inode.directory->removed = true;
    NoteRemoval(inode, directory);
  }
  disk_.GiveBackUnused(inode);
}

// ---- Opening.

int FileSystem::Open(FileObject* from, const char* path, int flags, mode_t mode, std::shared_ptr<OpenObject>& opened) {
  if ((flags & O_PATH) != 0) flags &= O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
  if (const int error = CheckOpenFlags(flags); error != 0) return error;
  PathWalk walk = WalkFrom(from, path);
  std::shared_ptr<Inode> inode;
  int error;
  if ((flags & O_PATH) != 0) {
    error = walk.ToEnd((flags & O_NOFOLLOW) == 0, inode);
    if (error == 0 && (flags & O_DIRECTORY) != 0 && !inode->IsDirectory()) error = -ENOTDIR;
  } else if ((flags & kTemporary) != 0) {
    error = MakeUnnamed(walk, mode, inode);
    if (error == 0) inode->linkable = (flags & O_EXCL) == 0;
  } else {
    error = OpenNode(walk, flags, mode, inode);
  }
  if (error != 0) return error;
  const bool is_relative = from != nullptr && *path != '/';
  std::string whole = is_relative ? absl::StrCat(from->path(), "/", path) : path;
  opened = std::make_shared<FileObject>(disk_, std::move(inode), std::move(whole), flags);
  return 0;
}

int FileSystem::MakeUnnamed(PathWalk& walk, mode_t mode, std::shared_ptr<Inode>& made) {
  std::shared_ptr<Inode> directory;
  if (const int error = walk.ToEnd(/*follow=*/true, directory); error != 0) return error;
  if (!directory->IsDirectory()) return -ENOTDIR;
  made = disk_.Make(S_IFREG | (mode & 07777 & ~kUmask));
  return 0;
}

// As do_open() and may_open() of Linux.
int FileSystem::OpenNode(PathWalk& walk, int flags, mode_t mode, std::shared_ptr<Inode>& found) {
  bool created = false;
  if (const int error = FindOrCreate(walk, flags, mode, found, created); error != 0 || created) return error;
  if ((flags & O_CREAT) != 0) {
    if ((flags & O_EXCL) != 0) return -EEXIST;
    if (found->IsDirectory()) return -EISDIR;
  }
  if (((flags & O_DIRECTORY) != 0 || walk.wants_directory()) && !found->IsDirectory()) return -ENOTDIR;
  if (found->IsLink()) return -ELOOP;
  if (found->IsDirectory() && (Writes(flags) || (flags & O_TRUNC) != 0)) return -EISDIR;
  if (found->IsSocket()) return -ENXIO;
  if ((flags & O_TRUNC) != 0) {
    found->state.contents.Resize(0, disk_.space);
    found->SetModified(disk_.wire.WallNanos());
  }
  return 0;
}

int FileSystem::FindOrCreate(PathWalk& walk, int flags, mode_t mode, std::shared_ptr<Inode>& found, bool& created) {
  const bool creates = (flags & O_CREAT) != 0;
  const bool follows = (flags & O_NOFOLLOW) == 0 && !(creates && (flags & O_EXCL) != 0);
  int error = walk.ToLast();
  while (error == 0) {
    if (creates && walk.last() == Last::kName && walk.wants_directory()) return -EISDIR;
    error = walk.Find(found);
    if (error != 0) return error;
    if (found == nullptr) {
      if (!creates || walk.directory()->directory->removed) return -ENOENT;
      found = disk_.Make(S_IFREG | (mode & 07777 & ~kUmask));
      Enter(walk.directory(), walk.name(), found);
      created = true;
      return 0;
    }
    if (!found->IsLink() || (!follows && !walk.wants_directory())) return 0;
    error = walk.Follow(*found);
  }
  return error;
}

// ---- What has a path.

int FileSystem::Stat(FileObject* from, const char* path, struct stat& result, int flags) {
  if ((flags & ~(AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_EMPTY_PATH)) != 0) return -EINVAL;
  std::shared_ptr<Inode> found;
  if (const int error = Find(from, path, (flags & AT_SYMLINK_NOFOLLOW) == 0, flags, found); error != 0) return error;
  FillStat(*found, result);
  return 0;
}

int64_t FileSystem::ReadLink(FileObject* from, const char* path, char* buffer, size_t size) {
  if (size == 0) return -EINVAL;
  std::shared_ptr<Inode> found;
  if (const int error = Find(from, path, /*follow=*/false, AT_EMPTY_PATH, found); error != 0) return error;
  // An empty path is one only of a link that `from` was opened as.
  if (!found->IsLink()) return *path == '\0' ? -ENOENT : -EINVAL;
  const size_t bytes = std::min(size, found->target.size());
  std::memcpy(buffer, found->target.data(), bytes);
  return static_cast<int64_t>(bytes);
}

int FileSystem::ChangeMode(FileObject* from, const char* path, mode_t mode, int flags) {
  if (flags != 0) return -EINVAL;
  std::shared_ptr<Inode> found;
  if (const int error = Find(from, path, /*follow=*/true, 0, found); error != 0) return error;
  found->ChangeMode(mode, disk_.wire.WallNanos());
  return 0;
}

int FileSystem::SetTimes(FileObject* from, const char* path, const timespec times[2], int flags) {
  if (SetsNothing(times)) return 0;
  if ((flags & ~AT_SYMLINK_NOFOLLOW) != 0) return -EINVAL;
  std::shared_ptr<Inode> found;
  const bool follow = (flags & AT_SYMLINK_NOFOLLOW) == 0;
  if (const int error = Find(from, path, follow, 0, found); error != 0) return error;
  return found->SetTimes(times, disk_.wire.WallNanos());
}

int FileSystem::RealPath(const char* path, std::string& whole) {
  PathWalk walk = WalkFrom(nullptr, path);
  std::shared_ptr<Inode> found;
  if (const int error = walk.ToEnd(/*follow=*/true, found); error != 0) return error;
  whole = walk.WholePath(*found);
  return 0;
}

int FileSystem::StatDisk(const char* path, struct statvfs& result) {
  std::shared_ptr<Inode> found;
  if (const int error = Find(nullptr, path, /*follow=*/true, 0, found); error != 0) return error;
  result = {};
  result.f_bsize = result.f_frsize = Contents::kPageBytes;
  result.f_blocks = disk_.space.pages();
  result.f_bfree = result.f_bavail = disk_.space.pages() - std::min(disk_.space.taken(), disk_.space.pages());
  result.f_namemax = kMostOfName;
  return 0;
}

int FileSystem::MakeDirectory(FileObject* from, const char* path, mode_t mode) {
  PathWalk walk = WalkFrom(from, path);
  if (const int error = ToFreeName(walk, /*for_directory=*/true); error != 0) return error;
  Enter(walk.directory(), walk.name(), disk_.Make(S_IFDIR | (mode & 01777 & ~kUmask)));
  return 0;
}

int FileSystem::MakeSymbolicLink(const char* target, FileObject* from, const char* path) {
  const std::string_view text = target;
  if (text.empty()) return -ENOENT;
  if (text.size() > kMostOfTarget) return -ENAMETOOLONG;
  PathWalk walk = WalkFrom(from, path);
  if (const int error = ToFreeName(walk, /*for_directory=*/false); error != 0) return error;
  const std::shared_ptr<Inode> link = disk_.Make(S_IFLNK | 0777);
  link->target = text;
  Enter(walk.directory(), walk.name(), link);
  return 0;
}

int64_t FileSystem::MakeSocketFile(const char* path) {
  PathWalk walk = WalkFrom(nullptr, path);
  if (const int error = ToFreeName(walk, /*for_directory=*/false); error != 0) {
    return error == -EEXIST ? -EADDRINUSE : error;
  }
  const std::shared_ptr<Inode> file = disk_.Make(S_IFSOCK | (0777 & ~kUmask));
  Enter(walk.directory(), walk.name(), file);
  return static_cast<int64_t>(file->number);
}

int64_t FileSystem::FindSocketFile(const char* path) {
  std::shared_ptr<Inode> found;
  if (const int error = Find(nullptr, path, /*follow=*/true, 0, found); error != 0) return error;
  return found->IsSocket() ? static_cast<int64_t>(found->number) : -ECONNREFUSED;
}

int FileSystem::Link(FileObject* from, const char* path, FileObject* to, const char* new_path, int flags) {
  if ((flags & ~(AT_SYMLINK_FOLLOW | AT_EMPTY_PATH)) != 0) return -EINVAL;
  std::shared_ptr<Inode> found;
  if (const int error = Find(from, path, (flags & AT_SYMLINK_FOLLOW) != 0, flags, found); error != 0) return error;
  PathWalk walk = WalkFrom(to, new_path);
  if (const int error = ToFreeName(walk, /*for_directory=*/false); error != 0) return error;
  if (found->IsDirectory()) return -EPERM;
  if (found->links == 0 && !found->linkable) return -ENOENT;
  found->linkable = false;
  Enter(walk.directory(), walk.name(), found);
  return 0;
}

int FileSystem::Unlink(FileObject* from, const char* path, int flags) {
  if ((flags & ~AT_REMOVEDIR) != 0) return -EINVAL;
  const bool is_rmdir = (flags & AT_REMOVEDIR) != 0;
  PathWalk walk = WalkFrom(from, path);
  if (const int error = walk.ToLast(); error != 0) return error;
  if (walk.last() != Last::kName) {
    if (!is_rmdir) return -EISDIR;
    return walk.last() == Last::kDot ? -EINVAL : walk.last() == Last::kDotDot ? -ENOTEMPTY : -EBUSY;
  }
  std::shared_ptr<Inode> found;
  if (const int error = ToName(walk, found); error != 0) return error;
  if (is_rmdir) {
    if (!found->IsDirectory()) return -ENOTDIR;
    if (!found->directory->empty()) return -ENOTEMPTY;
  } else {
    if (found->IsDirectory()) return -EISDIR;
    if (walk.wants_directory()) return -ENOTDIR;
  }
  walk.directory()->directory->Erase(walk.name());
  Remove(*walk.directory(), *found);
  return 0;
}

// As do_renameat2() and vfs_rename() of Linux.
int FileSystem::Rename(FileObject* from, const char* path, FileObject* to, const char* new_path, unsigned flags) {
  if ((flags & ~unsigned{RENAME_NOREPLACE}) != 0) return -EINVAL;
  const bool replaces = (flags & RENAME_NOREPLACE) == 0;
  PathWalk old_walk = WalkFrom(from, path), walk = WalkFrom(to, new_path);
  if (const int error = old_walk.ToLast(); error != 0) return error;
  if (const int error = walk.ToLast(); error != 0) return error;
  if (old_walk.last() != Last::kName) return -EBUSY;
  if (walk.last() != Last::kName) return replaces ? -EBUSY : -EEXIST;
  const std::shared_ptr<Inode>& old_directory = old_walk.directory();
  const std::shared_ptr<Inode>& directory = walk.directory();
  std::shared_ptr<Inode> source, target;
  if (const int error = ToName(old_walk, source); error != 0) return error;
  if (directory->directory->removed) return -ENOENT;
  if (const int error = walk.Find(target); error != 0) return error;
  if (target != nullptr && !replaces) return -EEXIST;
  if (!source->IsDirectory() && (old_walk.wants_directory() || walk.wants_directory())) return -ENOTDIR;
  // Neither into what it contains, nor in the place of what contains it.
  const Inode* next;
  if (IsBelow(directory.get(), *old_directory, next) && next == source.get()) return -EINVAL;
  if (IsBelow(old_directory.get(), *directory, next) && next != nullptr && next == target.get()) return -ENOTEMPTY;
  if (source == target) return 0;  // two names of one file, or one
  if (const int error = CheckReplaced(*source, target.get()); error != 0) return error;
  old_directory->directory->Erase(old_walk.name());
  Leave(*old_directory, *source);
  if (target != nullptr) Remove(*directory, *target);
  Enter(directory, walk.name(), source);
  NoteMove(*old_directory, *directory);
  return 0;
}

}  // namespace weft::internal::machine

// Goal: the machine's files behave as those of the kernel that this runs on.
// Method: the same calls by chance, some thousand, to both, in a tree of few names, so that they meet; what each says
// is compared, and, now and then, the whole trees. The names lead nowhere outside: a ".." is in a path twice at most,
// in the target of a link never, and the tree's root is deep enough.
//
// Not compared: what file systems differ in (st_blocks, a directory's size, the order of entries), times that are not
// set by a call, and what needs rights. Whether a directory counts those in it (st_nlink) is looked at first.
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/falloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "lib/testing/machine/chance.h"
#include "lib/testing/machine/file_system.h"
#include "tests/testing/machine_files.h"

namespace weft::testing {
namespace {

// Open files, by slot. The first is the tree's root.
constexpr size_t kSlots = 7;
constexpr size_t kRoot = 0;
const char* const kAbove[] = {"1", "1/2", "1/2/3", "1/2/3/root"};

// Calls return what the kernel's do, with -errno for a failure.
class System {
 public:
  virtual ~System() = default;

  virtual int64_t Open(size_t slot, size_t from, const char* path, int flags, mode_t mode) = 0;
  virtual void Close(size_t slot) = 0;
  virtual int64_t Read(size_t slot, void* into, size_t size) = 0;
  virtual int64_t ReadAt(size_t slot, void* into, size_t size, int64_t offset) = 0;
  virtual int64_t Write(size_t slot, const void* from, size_t size) = 0;
  virtual int64_t WriteAt(size_t slot, const void* from, size_t size, int64_t offset, bool append) = 0;
  virtual int64_t Truncate(size_t slot, int64_t size) = 0;
  virtual int64_t Allocate(size_t slot, int mode, int64_t offset, int64_t size) = 0;
  virtual int64_t Lock(size_t slot, int operation) = 0;
  virtual int64_t ChangeMode(size_t slot, mode_t mode) = 0;
  virtual int64_t SetTimes(size_t slot, const timespec times[2]) = 0;
  virtual int64_t Seek(size_t slot, int64_t offset, int whence) = 0;
  virtual int64_t Sync(size_t slot) = 0;
  virtual int64_t ReadDirectory(size_t slot, void* into, size_t size) = 0;
  virtual int64_t StatOpen(size_t slot, struct stat& status) = 0;
  virtual int64_t Copy(size_t from, int64_t* from_offset, size_t to, int64_t* to_offset, size_t size) = 0;
  virtual int64_t Stat(size_t from, const char* path, struct stat& status, int flags) = 0;
  virtual int64_t Unlink(size_t from, const char* path, int flags) = 0;
  virtual int64_t Rename(size_t from, const char* path, size_t to, const char* new_path, unsigned flags) = 0;
  virtual int64_t Link(size_t from, const char* path, size_t to, const char* new_path, int flags) = 0;
  virtual int64_t Mkdir(size_t from, const char* path, mode_t mode) = 0;
  virtual int64_t Symlink(const char* target, size_t from, const char* path) = 0;
  virtual int64_t ReadLink(size_t from, const char* path, char* into, size_t size) = 0;
  virtual int64_t ChangeModeAt(size_t from, const char* path, mode_t mode) = 0;
  virtual int64_t SetTimesAt(size_t from, const char* path, const timespec times[2], int flags) = 0;
  // Of a path from the tree's root. `whole` begins with kAbove.
  virtual int64_t RealPath(const std::string& path, std::string& whole) = 0;
};

class Kernel final : public System {
 public:
  Kernel() : path_(::testing::TempDir() + "/files_XXXXXX"), umask_(::umask(022)) {
    fds_.fill(-1);
    if (::mkdtemp(path_.data()) == nullptr) std::abort();
    for (const char* const above : kAbove) std::filesystem::create_directory(path_ + "/" + above);
    fds_[kRoot] = ::open((path_ + "/" + kAbove[3]).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  }
  ~Kernel() override {
    for (size_t slot = 0; slot < kSlots; ++slot) Kernel::Close(slot);
    std::filesystem::remove_all(path_);
    ::umask(umask_);
  }

  int64_t Open(size_t slot, size_t from, const char* path, int flags, mode_t mode) override {
    const int fd = ::openat(fds_[from], path, flags | O_CLOEXEC | O_NONBLOCK, mode);
    if (fd < 0) return -errno;
    Close(slot);
    fds_[slot] = fd;
    return 0;
  }
  void Close(size_t slot) override {
    if (const int fd = std::exchange(fds_[slot], -1); fd >= 0) ::close(fd);
  }
  int64_t Read(size_t slot, void* into, size_t size) override { return Result(::read(fds_[slot], into, size)); }
  int64_t ReadAt(size_t slot, void* into, size_t size, int64_t offset) override {
    return Result(::pread(fds_[slot], into, size, offset));
  }
  int64_t Write(size_t slot, const void* from, size_t size) override { return Result(::write(fds_[slot], from, size)); }
  int64_t WriteAt(size_t slot, const void* from, size_t size, int64_t offset, bool append) override {
    const iovec part = {const_cast<void*>(from), size};
    return Result(append ? ::pwritev2(fds_[slot], &part, 1, offset, RWF_APPEND)
                         : ::pwrite(fds_[slot], from, size, offset));
  }
  int64_t Truncate(size_t slot, int64_t size) override { return Result(::ftruncate(fds_[slot], size)); }
  int64_t Allocate(size_t slot, int mode, int64_t offset, int64_t size) override {
    return Result(::fallocate(fds_[slot], mode, offset, size));
  }
  int64_t Lock(size_t slot, int operation) override { return Result(::flock(fds_[slot], operation)); }
  int64_t ChangeMode(size_t slot, mode_t mode) override { return Result(::fchmod(fds_[slot], mode)); }
  int64_t SetTimes(size_t slot, const timespec times[2]) override { return Result(::futimens(fds_[slot], times)); }
  int64_t Seek(size_t slot, int64_t offset, int whence) override {
    return Result(::lseek(fds_[slot], offset, whence));
  }
  // Real disks are slow.
  int64_t Sync(size_t slot) override { return (::fcntl(fds_[slot], F_GETFL) & O_PATH) != 0 ? -EBADF : 0; }
  int64_t ReadDirectory(size_t slot, void* into, size_t size) override {
    return Result(::syscall(SYS_getdents64, fds_[slot], into, size));
  }
  int64_t StatOpen(size_t slot, struct stat& status) override { return Result(::fstat(fds_[slot], &status)); }
  int64_t Copy(size_t from, int64_t* from_offset, size_t to, int64_t* to_offset, size_t size) override {
    return Result(::copy_file_range(fds_[from], from_offset, fds_[to], to_offset, size, 0));
  }
  int64_t Stat(size_t from, const char* path, struct stat& status, int flags) override {
    return Result(::fstatat(fds_[from], path, &status, flags));
  }
  int64_t Unlink(size_t from, const char* path, int flags) override {
    return Result(::unlinkat(fds_[from], path, flags));
  }
  int64_t Rename(size_t from, const char* path, size_t to, const char* new_path, unsigned flags) override {
    return Result(::renameat2(fds_[from], path, fds_[to], new_path, flags));
  }
  int64_t Link(size_t from, const char* path, size_t to, const char* new_path, int flags) override {
    return Result(::linkat(fds_[from], path, fds_[to], new_path, flags));
  }
  int64_t Mkdir(size_t from, const char* path, mode_t mode) override {
    return Result(::mkdirat(fds_[from], path, mode));
  }
  int64_t Symlink(const char* target, size_t from, const char* path) override {
    return Result(::symlinkat(target, fds_[from], path));
  }
  int64_t ReadLink(size_t from, const char* path, char* into, size_t size) override {
    return Result(::readlinkat(fds_[from], path, into, size));
  }
  int64_t ChangeModeAt(size_t from, const char* path, mode_t mode) override {
    return Result(::fchmodat(fds_[from], path, mode, 0));
  }
  int64_t SetTimesAt(size_t from, const char* path, const timespec times[2], int flags) override {
    return Result(::utimensat(fds_[from], path, times, flags));
  }
  int64_t RealPath(const std::string& path, std::string& whole) override {
    char resolved[PATH_MAX];
    if (::realpath((path_ + "/" + kAbove[3] + "/" + path).c_str(), resolved) == nullptr) return -errno;
    whole = std::string(resolved).substr(std::filesystem::canonical(path_).string().size() + 1);
    return 0;
  }

 private:
  static int64_t Result(int64_t result) { return result < 0 ? -errno : result; }

  std::string path_;
  const mode_t umask_;
  std::array<int, kSlots> fds_;
};

class Machine final : public System {
 public:
  Machine() {
    for (const char* const above : kAbove) EXPECT_EQ(files_.Mkdir(above), 0);
    open_[kRoot] = files_.OpenDirectory(kAbove[3]);
  }

  int64_t Open(size_t slot, size_t from, const char* path, int flags, mode_t mode) override {
    OpenFile file;
    const int error = files_.TryOpen(path, flags, file, open_[from].get(), mode);
    if (error == 0) open_[slot] = file;
    return error;
  }
  void Close(size_t slot) override { open_[slot] = nullptr; }
  int64_t Read(size_t slot, void* into, size_t size) override {
    const iovec part = {into, size};
    return open_[slot]->Read({&part, 1});
  }
  int64_t ReadAt(size_t slot, void* into, size_t size, int64_t offset) override {
    const iovec part = {into, size};
    return open_[slot]->ReadAt({&part, 1}, offset);
  }
  int64_t Write(size_t slot, const void* from, size_t size) override {
    const iovec part = {const_cast<void*>(from), size};
    return open_[slot]->Write({&part, 1});
  }
  int64_t WriteAt(size_t slot, const void* from, size_t size, int64_t offset, bool append) override {
    const iovec part = {const_cast<void*>(from), size};
    return open_[slot]->WriteAt({&part, 1}, offset, append);
  }
  int64_t Truncate(size_t slot, int64_t size) override { return open_[slot]->Truncate(size); }
  int64_t Allocate(size_t slot, int mode, int64_t offset, int64_t size) override {
    return open_[slot]->Allocate(mode, offset, size);
  }
  int64_t Lock(size_t slot, int operation) override { return open_[slot]->Lock(operation); }
  int64_t ChangeMode(size_t slot, mode_t mode) override { return open_[slot]->ChangeMode(mode); }
  int64_t SetTimes(size_t slot, const timespec times[2]) override { return open_[slot]->SetTimes(times); }
  int64_t Seek(size_t slot, int64_t offset, int whence) override { return open_[slot]->Seek(offset, whence); }
  int64_t Sync(size_t slot) override { return open_[slot]->Sync(); }
  int64_t ReadDirectory(size_t slot, void* into, size_t size) override {
    return open_[slot]->ReadDirectory(into, size);
  }
  int64_t StatOpen(size_t slot, struct stat& status) override { return open_[slot]->Stat(status); }
  int64_t Copy(size_t from, int64_t* from_offset, size_t to, int64_t* to_offset, size_t size) override {
    return open_[from]->CopyTo(from_offset, *open_[to], to_offset, size);
  }
  int64_t Stat(size_t from, const char* path, struct stat& status, int flags) override {
    return system().Stat(open_[from].get(), path, status, flags);
  }
  int64_t Unlink(size_t from, const char* path, int flags) override {
    return system().Unlink(open_[from].get(), path, flags);
  }
  int64_t Rename(size_t from, const char* path, size_t to, const char* new_path, unsigned flags) override {
    return system().Rename(open_[from].get(), path, open_[to].get(), new_path, flags);
  }
  int64_t Link(size_t from, const char* path, size_t to, const char* new_path, int flags) override {
    return system().Link(open_[from].get(), path, open_[to].get(), new_path, flags);
  }
  int64_t Mkdir(size_t from, const char* path, mode_t mode) override {
    return system().MakeDirectory(open_[from].get(), path, mode);
  }
  int64_t Symlink(const char* target, size_t from, const char* path) override {
    return system().MakeSymbolicLink(target, open_[from].get(), path);
  }
  int64_t ReadLink(size_t from, const char* path, char* into, size_t size) override {
    return system().ReadLink(open_[from].get(), path, into, size);
  }
  int64_t ChangeModeAt(size_t from, const char* path, mode_t mode) override {
    return system().ChangeMode(open_[from].get(), path, mode, 0);
  }
  int64_t SetTimesAt(size_t from, const char* path, const timespec times[2], int flags) override {
    return system().SetTimes(open_[from].get(), path, times, flags);
  }
  int64_t RealPath(const std::string& path, std::string& whole) override {
    const int error = system().RealPath((std::string("/") + kAbove[3] + "/" + path).c_str(), whole);
    if (error == 0) whole.erase(0, 1);
    return error;
  }

 private:
  FileSystem& system() { return files_.system(); }

  Files files_;
  std::array<OpenFile, kSlots> open_;
};

// What a call has said, and what it has written besides.
struct Answer {
  int64_t result;
  std::string more;
  bool operator==(const Answer&) const = default;
};

std::ostream& operator<<(std::ostream& out, const Answer& answer) {
  out << answer.result;
  if (answer.result < 0) out << " (" << ::strerror(static_cast<int>(-answer.result)) << ")";
  return out << (answer.more.size() < 200 ? " " + answer.more : " and much more");
}

class Comparison {
 public:
  explicit Comparison(uint64_t seed) : chance_({.seed = seed}) {
    struct stat status;
    EXPECT_EQ(kernel_.StatOpen(kRoot, status), 0);
    counts_directories_ = status.st_nlink == 2;
    open_[kRoot] = true;
  }

  void Call() {
    const size_t slot = 1 + chance_.Below(kSlots - 1), other = chance_.Below(kSlots);
    switch (chance_.Below(27)) {
      case 0:
      case 1:
      case 2:
      case 3:
        return CallOpen(slot);
      case 4:
      case 5:
        return CallMkdir();
      case 6:
      case 7:
      case 8:
        return CallRename();
      case 9:
        return CallLink();
      case 10:
        return CallSymlink();
      case 11:
      case 12:
        return CallUnlink();
      case 13:
      case 14:
        return CallStat();
      case 15:
        return CallReadLink();
      case 16:
        return CallList();
      case 17:
        return CallChangeMode();
      case 18:
        return CallSetTimes();
      case 19:
        return CallRealPath();
      default:
        if (open_[slot] && open_[other]) CallOnOpen(slot, other);
    }
  }

  void CompareTrees() {
    for (size_t slot = 1; slot < kSlots; ++slot) Close(slot);
    const std::vector<std::string> expected = Tree(kernel_), got = Tree(machine_);
    EXPECT_EQ(got.size(), expected.size());
    for (size_t line = 0; line < std::min(got.size(), expected.size()); ++line) ASSERT_EQ(got[line], expected[line]);
  }

 private:
  struct Place {
    size_t from;
    std::string path;
  };

  // ---- What is called.

  void Compare(const std::string& what, const std::function<Answer(System&)>& call) {
    const Answer expected = call(kernel_), got = call(machine_);
    EXPECT_EQ(got, expected) << what;
  }

  void CallOpen(size_t slot) {
    constexpr int kAccess[] = {O_RDONLY, O_WRONLY, O_RDWR};
    constexpr int kFlags[] = {O_CREAT, O_CREAT | O_EXCL, O_TRUNC, O_APPEND, O_NOFOLLOW, O_DIRECTORY, O_PATH};
    int flags = kAccess[chance_.Below(3)];
    for (const int flag : kFlags) {
      if (chance_.Below(flag == O_CREAT ? 2 : 6) == 0) flags |= flag;
    }
    // Kernels have come to refuse this.
    if ((flags & O_CREAT) != 0 && (flags & O_PATH) == 0) flags &= ~O_DIRECTORY;
    const mode_t mode = 0600 | static_cast<mode_t>(chance_.Below(0200));
    const Place at = At();
    bool opened = false;
    Compare("open " + Text(at) + " " + Octal(flags), [&](System& system) {
      const int64_t result = system.Open(slot, at.from, at.path.c_str(), flags, mode);
      opened = result == 0;
      return Answer{result, opened ? StatText(system, slot) : ""};
    });
    if (opened) open_[slot] = true;
  }

  void CallMkdir() {
    const Place at = At();
    Compare("mkdir " + Text(at), [&](System& system) {
      return Answer{system.Mkdir(at.from, at.path.c_str(), 0777), ""};
    });
  }

  void CallRename() {
    const Place at = At(), to = At();
    const unsigned flags = chance_.Below(4) == 0 ? RENAME_NOREPLACE : 0;
    Compare("rename " + Text(at) + " to " + Text(to) + (flags != 0 ? " if free" : ""), [&](System& system) {
      return Answer{system.Rename(at.from, at.path.c_str(), to.from, to.path.c_str(), flags), ""};
    });
  }

  void CallLink() {
    const Place at = At(), to = At();
    const int flags = chance_.Below(2) == 0 ? AT_SYMLINK_FOLLOW : 0;
    Compare("link " + Text(at) + " " + Text(to) + " " + Octal(flags), [&](System& system) {
      return Answer{system.Link(at.from, at.path.c_str(), to.from, to.path.c_str(), flags), ""};
    });
  }

  void CallSymlink() {
    const Place at = At();
    const std::string target = Path(/*most_up=*/0);
    Compare("symlink " + target + " at " + Text(at), [&](System& system) {
      return Answer{system.Symlink(target.c_str(), at.from, at.path.c_str()), ""};
    });
  }

  void CallUnlink() {
    const Place at = At();
    const int flags = chance_.Below(2) == 0 ? AT_REMOVEDIR : 0;
    Compare((flags == 0 ? "unlink " : "rmdir ") + Text(at), [&](System& system) {
      return Answer{system.Unlink(at.from, at.path.c_str(), flags), ""};
    });
  }

  void CallStat() {
    const Place at = At();
    const int flags = static_cast<int>(chance_.Below(2)) * AT_SYMLINK_NOFOLLOW |
                      static_cast<int>(chance_.Below(2)) * AT_EMPTY_PATH;
    Compare("stat " + Text(at) + " " + Octal(flags), [&](System& system) {
      struct stat status;
      const int64_t result = system.Stat(at.from, at.path.c_str(), status, flags);
      return Answer{result, result == 0 ? Text(status) : ""};
    });
  }

  void CallReadLink() {
    const Place at = At();
    const size_t room = chance_.Below(20);
    Compare("readlink " + Text(at), [&](System& system) {
      char target[20];
      const int64_t result = system.ReadLink(at.from, at.path.c_str(), target, room);
      return Answer{result, {target, static_cast<size_t>(std::max<int64_t>(result, 0))}};
    });
  }

  void CallList() {
    const Place at = At();
    Compare("list " + Text(at), [&](System& system) {
      const int64_t result = system.Open(1, at.from, at.path.c_str(), O_RDONLY, 0);
      if (result < 0) return Answer{result, ""};
      std::string text;
      const int64_t listed = List(system, 1, [&](const ListedEntry& entry) {
        text += entry.name + ":" + std::to_string(entry.type) + " ";
      });
      return Answer{listed, text};
    });
    Close(1);
  }

  void CallChangeMode() {
    const Place at = At();
    const mode_t mode = 0700 | static_cast<mode_t>(chance_.Below(0100));
    Compare("chmod " + Text(at), [&](System& system) {
      return Answer{system.ChangeModeAt(at.from, at.path.c_str(), mode), ""};
    });
  }

  void CallSetTimes() {
    const Place at = At();
    const Times times = TimesByChance();
    const int flags = static_cast<int>(chance_.Below(2)) * AT_SYMLINK_NOFOLLOW;
    Compare("utimensat " + Text(at) + " " + Octal(flags), [&](System& system) {
      const int64_t result = system.SetTimesAt(at.from, at.path.c_str(), times.data(), flags);
      struct stat status;
      if (result != 0 || system.Stat(at.from, at.path.c_str(), status, flags) != 0) return Answer{result, ""};
      return Answer{result, Text(status, times)};
    });
  }

  void CallRealPath() {
    const std::string path = Path(/*most_up=*/2);
    Compare("realpath " + path, [&](System& system) {
      std::string whole;
      const int64_t result = system.RealPath(path, whole);
      return Answer{result, whole};
    });
  }

  void CallOnOpen(size_t slot, size_t other) {
    const size_t bytes = chance_.Below(10'000);
    const auto offset = static_cast<int64_t>(chance_.Below(30'000)) - 100;
    const std::string what = " slot " + std::to_string(slot) + " " + std::to_string(bytes) + " at " +
                             std::to_string(offset);
    std::string text(bytes, static_cast<char>('a' + chance_.Below(26)));
    const uint64_t chance = chance_.Below(4);
    switch (chance_.Below(15)) {
      case 0:
        return Compare("read" + what, [&](System& system) {
          std::string into(bytes, '\0');
          const int64_t result = system.Read(slot, into.data(), bytes);
          return Answer{result, into};
        });
      case 1:
        return Compare("pread" + what, [&](System& system) {
          std::string into(bytes, '\0');
          const int64_t result = system.ReadAt(slot, into.data(), bytes, offset);
          return Answer{result, into};
        });
      case 2:
        return Compare("write" + what, [&](System& system) {
          return Answer{system.Write(slot, text.data(), bytes), StatText(system, slot)};
        });
      case 3:
        return Compare("pwrite" + what, [&](System& system) {
          // With a flag, -1 is the place where the file stands, and is not compared.
          const bool append = chance == 0 && offset >= 0;
          return Answer{system.WriteAt(slot, text.data(), bytes, offset, append), StatText(system, slot)};
        });
      case 4:
        return Compare("truncate" + what, [&](System& system) {
          return Answer{system.Truncate(slot, offset), StatText(system, slot)};
        });
      case 5:
        return Compare("fallocate" + what, [&](System& system) {
          const int mode = chance == 0 ? FALLOC_FL_KEEP_SIZE : 0;
          const auto size = static_cast<int64_t>(bytes) - 100;
          return Answer{system.Allocate(slot, mode, offset, size), StatText(system, slot)};
        });
      case 6:
      case 7:
        return Compare("flock" + what, [&](System& system) {
          constexpr int kOperations[] = {LOCK_SH, LOCK_EX, LOCK_UN, 0};
          return Answer{system.Lock(slot, kOperations[chance] | LOCK_NB), ""};
        });
      case 8:
        return Compare("fchmod" + what, [&](System& system) {
          return Answer{system.ChangeMode(slot, 0700 | (bytes & 077)), StatText(system, slot)};
        });
      case 9:
        return Compare("fsync" + what, [&](System& system) { return Answer{system.Sync(slot), ""}; });
      case 10:
        return Compare("copy to slot " + std::to_string(other) + " from" + what, [&](System& system) {
          int64_t from_offset = offset, to_offset = 7 * static_cast<int64_t>(bytes) % 20'000;
          const int64_t result = system.Copy(slot, chance % 2 == 0 ? &from_offset : nullptr, other,
                                             chance / 2 == 0 ? &to_offset : nullptr, bytes);
          const std::string offsets = std::to_string(from_offset) + " " + std::to_string(to_offset) + " ";
          return Answer{result, offsets + StatText(system, other)};
        });
      case 11:
        return Compare("getdents" + what, [&](System& system) {
          char small[8];
          return Answer{system.ReadDirectory(slot, small, sizeof(small)), ""};
        });
      case 12:
        return Compare("futimens" + what, [&](System& system) {
          const Times times = {timespec{offset * 1000, 7}, timespec{offset, chance == 0 ? UTIME_OMIT : 8}};
          const int64_t result = system.SetTimes(slot, times.data());
          struct stat status;
          EXPECT_EQ(system.StatOpen(slot, status), 0);
          return Answer{result, result == 0 ? Text(status, times) : ""};
        });
      case 13:
        return Compare("lseek" + what, [&](System& system) {
          struct stat status;
          EXPECT_EQ(system.StatOpen(slot, status), 0);
          if (S_ISDIR(status.st_mode)) return Answer{0, ""};  // its places are the file system's
          constexpr int kWhence[] = {SEEK_SET, SEEK_CUR, SEEK_END, 17};
          return Answer{system.Seek(slot, offset, kWhence[chance]), ""};
        });
      default:
        Close(slot);
    }
  }

  void Close(size_t slot) {
    kernel_.Close(slot);
    machine_.Close(slot);
    open_[slot] = false;
  }

  // ---- By chance.

  using Times = std::array<timespec, 2>;

  // In this century, and seldom none that is.
  Times TimesByChance() {
    Times times;
    for (timespec& time : times) {
      time.tv_sec = static_cast<time_t>(chance_.Below(uint64_t{1} << 31));
      const uint64_t kind = chance_.Below(10);
      const auto nanos = static_cast<long>(chance_.Below(1'000'000'000));
      time.tv_nsec = kind == 0 ? UTIME_OMIT : kind == 1 ? 1'000'000'000 : nanos;
    }
    return times;
  }

  Place At() {
    size_t from = chance_.Below(4) == 0 ? chance_.Below(kSlots) : kRoot;
    if (!open_[from]) from = kRoot;
    // What is open can be above the root already.
    return {from, Path(from == kRoot ? 2 : 0)};
  }

  std::string Path(int most_up) {
    const uint64_t kind = chance_.Below(200);
    if (kind == 0) return "";
    if (kind == 1) return std::string(255 + chance_.Below(2), 'n');
    if (kind == 2) return "a/" + std::string(255 + chance_.Below(2), 'n') + "/b";
    std::string path;
    int up = 0;
    const uint64_t parts = 1 + chance_.Below(2) + chance_.Below(3) / 2;
    for (uint64_t part = 0; part < parts; ++part) {
      if (part > 0) path += chance_.Below(20) == 0 ? "//" : "/";
      const uint64_t which = chance_.Below(24);
      if (which == 0) {
        path += ".";
      } else if (which == 1 && up < most_up) {
        path += "..";
        ++up;
      } else {
        path += static_cast<char>('a' + which % 5);
      }
    }
    if (chance_.Below(8) == 0) path += "/";
    return path;
  }

  // ---- As text.

  static std::string Octal(int number) {
    char text[20];
    ::snprintf(text, sizeof(text), "0%o", static_cast<unsigned>(number));
    return text;
  }
  static std::string Text(const Place& place) {
    return place.path + (place.from == kRoot ? "" : " from slot " + std::to_string(place.from));
  }
  std::string Text(const struct stat& status) const {
    const bool is_directory = S_ISDIR(status.st_mode);
    return "mode " + Octal(static_cast<int>(status.st_mode)) +
           (is_directory ? "" : " size " + std::to_string(status.st_size)) +
           (is_directory && !counts_directories_ ? "" : " links " + std::to_string(status.st_nlink));
  }
  // The times that were set.
  static std::string Text(const struct stat& status, const Times& set) {
    std::string text;
    const timespec* const got[] = {&status.st_atim, &status.st_mtim};
    for (size_t i = 0; i < set.size(); ++i) {
      if (set[i].tv_nsec == UTIME_OMIT) continue;
      text += std::to_string(got[i]->tv_sec) + "." + std::to_string(got[i]->tv_nsec) + " ";
    }
    return text;
  }
  std::string StatText(System& system, size_t slot) const {
    struct stat status;
    EXPECT_EQ(system.StatOpen(slot, status), 0);
    return Text(status);
  }

  // Calls visit(entry), by name. Returns 0 or an errno.
  template <class F>
  int64_t List(System& system, size_t slot, F visit) {
    std::vector<ListedEntry> entries;
    char buffer[600];
    int64_t got;
    while ((got = system.ReadDirectory(slot, buffer, sizeof(buffer))) > 0) {
      TakeEntries(buffer, static_cast<size_t>(got), entries);
    }
    std::sort(entries.begin(), entries.end(),
              [](const ListedEntry& a, const ListedEntry& b) { return a.name < b.name; });
    for (const ListedEntry& entry : entries) visit(entry);
    return got;
  }

  // Everything below the root, what each is, has, and which names are of one file.
  std::vector<std::string> Tree(System& system) {
    std::vector<std::string> lines;
    std::map<uint64_t, size_t> numbers;  // of inodes, in the order in which they are found
    const std::function<void(const std::string&)> add = [&](const std::string& path) {
      if (system.Open(1, kRoot, path.c_str(), O_RDONLY | O_DIRECTORY, 0) != 0) return;
      std::vector<ListedEntry> entries;
      EXPECT_EQ(List(system, 1, [&](const ListedEntry& entry) { entries.push_back(entry); }), 0);
      system.Close(1);
      for (const ListedEntry& entry : entries) {
        const std::string below = path + "/" + entry.name;
        struct stat status;
        EXPECT_EQ(system.Stat(kRoot, below.c_str(), status, AT_SYMLINK_NOFOLLOW), 0) << below;
        EXPECT_EQ(entry.type, IFTODT(status.st_mode)) << below;
        EXPECT_TRUE(entry.inode == status.st_ino) << below;
        std::string line = below + " " + Text(status) + " #" +
                           std::to_string(numbers.try_emplace(status.st_ino, numbers.size()).first->second) + " ";
        if (S_ISREG(status.st_mode)) line += std::to_string(std::hash<std::string>()(Bytes(system, below)));
        if (S_ISLNK(status.st_mode)) {
          char target[20];
          const int64_t size = system.ReadLink(kRoot, below.c_str(), target, sizeof(target));
          line.append(target, static_cast<size_t>(std::max<int64_t>(size, 0)));
        }
        lines.push_back(std::move(line));
        if (S_ISDIR(status.st_mode) && entry.name != "." && entry.name != "..") add(below);
      }
    };
    add(".");
    return lines;
  }

  static std::string Bytes(System& system, const std::string& path) {
    std::string bytes(size_t{1} << 20, '\0');
    EXPECT_EQ(system.Open(2, kRoot, path.c_str(), O_RDONLY, 0), 0);
    const int64_t got = system.Read(2, bytes.data(), bytes.size());
    system.Close(2);
    bytes.resize(static_cast<size_t>(std::max<int64_t>(got, 0)));
    return bytes;
  }

  Chance chance_;
  Kernel kernel_;
  Machine machine_;
  std::array<bool, kSlots> open_ = {};
  bool counts_directories_;
};

class MachineFilesAgainstKernelTest : public ::testing::TestWithParam<uint64_t> {};

TEST_P(MachineFilesAgainstKernelTest, TheSameCallsSayTheSame) {
  constexpr int kRounds = 40, kCallsARound = 150;
  Comparison comparison(GetParam());
  for (int round = 0; round < kRounds; ++round) {
    for (int call = 0; call < kCallsARound; ++call) {
      comparison.Call();
      ASSERT_FALSE(HasFailure()) << "call " << call << " of round " << round;
    }
    comparison.CompareTrees();
    ASSERT_FALSE(HasFailure()) << "after round " << round;
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, MachineFilesAgainstKernelTest, ::testing::Range(uint64_t{1}, uint64_t{4}));

}  // namespace
}  // namespace weft::testing

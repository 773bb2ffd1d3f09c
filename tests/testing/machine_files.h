// The machine's files by their calls, with less to write: what a call returns is compared with 0, a number, or -errno.
#ifndef WEFT_TESTS_TESTING_MACHINE_FILES_H_
#define WEFT_TESTS_TESTING_MACHINE_FILES_H_

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "lib/os/clock.h"
#include "lib/testing/machine/chance.h"
#include "lib/testing/machine/file_object.h"
#include "lib/testing/machine/file_system.h"
#include "lib/testing/machine/open_object.h"
#include "lib/testing/machine/wire.h"

namespace weft::testing {

using internal::machine::Chance;
using internal::machine::FileObject;
using internal::machine::FileSystem;
using internal::machine::OpenObject;
using internal::machine::Wire;
using OpenFile = std::shared_ptr<FileObject>;

struct ListedEntry {
  std::string name;
  uint8_t type;
  uint64_t inode;
};

class HandClock final : public internal::Clock {
 public:
  int64_t NowNanos() noexcept override { return now_ns; }
  int64_t WallNanos() noexcept override { return now_ns; }
  int64_t now_ns = 1'000'000'000;
};

// Takes the entries of getdents64(2) out of `buffer`.
inline void TakeEntries(const char* buffer, size_t bytes, std::vector<ListedEntry>& entries) {
  for (size_t at = 0; at < bytes;) {
    dirent64 head;
    std::memcpy(&head, buffer + at, offsetof(dirent64, d_name));
    entries.push_back({buffer + at + offsetof(dirent64, d_name), head.d_type, head.d_ino});
    at += head.d_reclen;
  }
}

class Files {
 public:
  explicit Files(Chance::Options options = {}, uint64_t capacity_bytes = uint64_t{1} << 30)
      : chance_(options), system_(chance_, wire_, capacity_bytes) {
    wire_.SetClock(&clock);
  }
  ~Files() { wire_.SetClock(nullptr); }

  FileSystem& system() { return system_; }

  // 0, or -errno; and the file.
  int TryOpen(const std::string& path, int flags, OpenFile& file, FileObject* from = nullptr, mode_t mode = 0644) {
    std::shared_ptr<OpenObject> opened;
    const int error = system_.Open(from, path.c_str(), flags, mode, opened);
    if (error == 0) file = std::static_pointer_cast<FileObject>(opened);
    return error;
  }
  // What open(2) says; the file is closed again.
  int Try(const std::string& path, int flags, FileObject* from = nullptr) {
    OpenFile file;
    return TryOpen(path, flags, file, from);
  }
  OpenFile Open(const std::string& path, int flags, FileObject* from = nullptr, mode_t mode = 0644) {
    OpenFile file;
    EXPECT_EQ(TryOpen(path, flags, file, from, mode), 0) << path;
    return file;
  }
  OpenFile OpenDirectory(const std::string& path) { return Open(path, O_RDONLY | O_DIRECTORY); }

  static int64_t Write(FileObject& file, const std::string& text) {
    const iovec part = PartOf(text);
    return file.Write({&part, 1});
  }
  static int64_t WriteAt(FileObject& file, const std::string& text, int64_t offset, bool append = false) {
    const iovec part = PartOf(text);
    return file.WriteAt({&part, 1}, offset, append);
  }
  // "errno 9": it said so.
  static std::string Read(FileObject& file, size_t bytes) {
    std::string text(bytes, '?');
    const iovec part = PartOf(text);
    return Result(text, file.Read({&part, 1}));
  }
  static std::string ReadAt(FileObject& file, size_t bytes, int64_t offset) {
    std::string text(bytes, '?');
    const iovec part = PartOf(text);
    return Result(text, file.ReadAt({&part, 1}, offset));
  }

  // A whole file.
  void Put(const std::string& path, const std::string& text) {
    const OpenFile file = Open(path, O_WRONLY | O_CREAT | O_TRUNC);
    EXPECT_EQ(Write(*file, text), static_cast<int64_t>(text.size()));
  }
  std::string Get(const std::string& path) {
    OpenFile file;
    if (const int error = TryOpen(path, O_RDONLY, file); error != 0) return "errno " + std::to_string(-error);
    return ReadAt(*file, size_t{1} << 20, 0);
  }
  void Sync(const std::string& path) { EXPECT_EQ(Open(path, O_RDONLY)->Sync(), 0); }

  struct stat Stat(const std::string& path, int flags = AT_SYMLINK_NOFOLLOW) {
    struct stat status = {};
    EXPECT_EQ(system_.Stat(nullptr, path.c_str(), status, flags), 0) << path;
    return status;
  }
  int TryStat(const std::string& path, int flags = 0) {
    struct stat status;
    return system_.Stat(nullptr, path.c_str(), status, flags);
  }
  static struct stat StatOf(FileObject& file) {
    struct stat status = {};
    EXPECT_EQ(file.Stat(status), 0);
    return status;
  }

  int Mkdir(const std::string& path, mode_t mode = 0755) {
    return system_.MakeDirectory(nullptr, path.c_str(), mode);
  }
  int Unlink(const std::string& path) { return system_.Unlink(nullptr, path.c_str(), 0); }
  int Rmdir(const std::string& path) { return system_.Unlink(nullptr, path.c_str(), AT_REMOVEDIR); }
  int Rename(const std::string& from, const std::string& to, unsigned flags = 0) {
    return system_.Rename(nullptr, from.c_str(), nullptr, to.c_str(), flags);
  }
  int Link(const std::string& from, const std::string& to, int flags = 0) {
    return system_.Link(nullptr, from.c_str(), nullptr, to.c_str(), flags);
  }
  int Symlink(const std::string& target, const std::string& path) {
    return system_.MakeSymbolicLink(target.c_str(), nullptr, path.c_str());
  }
  std::string ReadLink(const std::string& path, size_t room = 5000) {
    std::string target(room, '?');
    return Result(target, system_.ReadLink(nullptr, path.c_str(), target.data(), room));
  }

  // What is left to read of a directory; `buffer_bytes` at a time.
  static std::vector<ListedEntry> ReadEntries(FileObject& directory, size_t buffer_bytes = 4096) {
    std::vector<ListedEntry> entries;
    std::vector<char> buffer(buffer_bytes);
    while (true) {
      const int64_t got = directory.ReadDirectory(buffer.data(), buffer.size());
      EXPECT_GE(got, 0);
      if (got <= 0) return entries;
      TakeEntries(buffer.data(), static_cast<size_t>(got), entries);
    }
  }
  // Without "." and "..".
  std::vector<std::string> Names(const std::string& path) {
    std::vector<std::string> names;
    for (const ListedEntry& entry : ReadEntries(*OpenDirectory(path))) {
      if (entry.name != "." && entry.name != "..") names.push_back(entry.name);
    }
    std::sort(names.begin(), names.end());
    return names;
  }

  HandClock clock;

 private:
  static iovec PartOf(const std::string& text) { return {const_cast<char*>(text.data()), text.size()}; }
  static std::string Result(std::string& text, int64_t result) {
    if (result < 0) return "errno " + std::to_string(-result);
    text.resize(static_cast<size_t>(result));
    return text;
  }

  Chance chance_;
  Wire wire_;
  FileSystem system_;
};

}  // namespace weft::testing

#endif  // WEFT_TESTS_TESTING_MACHINE_FILES_H_

// A directory of a test's own, by plain system calls: those of the kernel, or of the machine of a simulation.
#ifndef WEFT_TESTS_FS_SCRATCH_H_
#define WEFT_TESTS_FS_SCRATCH_H_

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstddef>
#include <random>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "lib/os/syscalls.h"

namespace weft::testing {

class Scratch {
 public:
  Scratch() : path_((Exists(::testing::TempDir()) ? ::testing::TempDir() : "/tmp") + "/fs_" + Digits()) {
    MakeDirectory(path_);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  ~Scratch() { RemoveAll(path_); }

  const std::string& path() const { return path_; }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

  void Write(const std::string& name, const std::string& text) const {
    for (size_t slash = name.find('/'); slash != std::string::npos; slash = name.find('/', slash + 1)) {
      if (!Has(name.substr(0, slash))) MakeDirectory(*this / name.substr(0, slash));
    }
    const int fd = Open(*this / name, O_WRONLY | O_CREAT | O_TRUNC);
    for (size_t done = 0; done < text.size();) {
      const ssize_t written = internal::Sys().write(fd, text.data() + done, text.size() - done);
      EXPECT_GT(written, 0);
      if (written <= 0) break;
      done += static_cast<size_t>(written);
    }
    internal::Sys().close(fd);
  }
  std::string Read(const std::string& name) const {
    const int fd = Open(*this / name, O_RDONLY);
    std::string text;
    char buffer[4096];
    for (ssize_t got = 1; got > 0;) {
      got = internal::Sys().read(fd, buffer, sizeof(buffer));
      if (got > 0) text.append(buffer, static_cast<size_t>(got));
    }
    internal::Sys().close(fd);
    return text;
  }
  void Link(const std::string& target, const std::string& name) const {
    EXPECT_EQ(internal::Sys().symlinkat(target.c_str(), AT_FDCWD, (*this / name).c_str()), 0);
  }
  void ChangeMode(const std::string& name, mode_t mode) const {
    const int fd = Open(*this / name, O_RDONLY);
    EXPECT_EQ(internal::Sys().fchmod(fd, mode), 0);
    internal::Sys().close(fd);
  }
  // What has this name, and everything below it.
  void Remove(const std::string& name) const { RemoveAll(*this / name); }
  // Of everything below, from here; sorted.
  std::vector<std::string> Names() const {
    std::vector<std::string> names;
    AddNames("", names);
    std::sort(names.begin(), names.end());
    return names;
  }
  bool Has(const std::string& name) const { return Exists(*this / name); }

  static bool IsDirectory(const std::string& path) {
    struct stat status;
    return internal::Sys().fstatat(AT_FDCWD, path.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0 &&
           S_ISDIR(status.st_mode);
  }
  // Follows links.
  static bool Exists(const std::string& path) {
    struct stat status;
    return internal::Sys().fstatat(AT_FDCWD, path.c_str(), &status, 0) == 0;
  }

 private:
  static std::string Digits() {
    std::random_device random;
    return std::to_string(random()) + std::to_string(random());
  }
  static void MakeDirectory(const std::string& path) {
    EXPECT_EQ(internal::Sys().mkdirat(AT_FDCWD, path.c_str(), 0700), 0) << path;
  }
  static int Open(const std::string& path, int flags) {
    const int fd = internal::Sys().openat(AT_FDCWD, path.c_str(), flags | O_CLOEXEC, 0644);
    EXPECT_GE(fd, 0) << path;
    return fd;
  }
  static std::vector<std::string> EntriesOf(const std::string& path) {
    std::vector<std::string> names;
    const int fd = Open(path, O_RDONLY | O_DIRECTORY);
    alignas(dirent64) char buffer[4096];
    for (ssize_t got = 1; got > 0;) {
      got = internal::Sys().getdents64(fd, buffer, sizeof(buffer));
      for (ssize_t at = 0; at < got;) {
        const auto* const entry = reinterpret_cast<const dirent64*>(buffer + at);
        at += entry->d_reclen;
        const std::string name = entry->d_name;
        if (name != "." && name != "..") names.push_back(name);
      }
    }
    internal::Sys().close(fd);
    return names;
  }
  static void RemoveAll(const std::string& path) {
    const bool is_directory = IsDirectory(path);
    if (is_directory) {
      for (const std::string& name : EntriesOf(path)) RemoveAll(path + "/" + name);
    }
    EXPECT_EQ(internal::Sys().unlinkat(AT_FDCWD, path.c_str(), is_directory ? AT_REMOVEDIR : 0), 0) << path;
  }
  void AddNames(const std::string& below, std::vector<std::string>& names) const {
    for (const std::string& name : EntriesOf(*this / below)) {
      names.push_back(below + name);
      if (IsDirectory(*this / names.back())) AddNames(below + name + "/", names);
    }
  }

  const std::string path_;
};

}  // namespace weft::testing

#endif  // WEFT_TESTS_FS_SCRATCH_H_

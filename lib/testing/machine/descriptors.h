// Layer testing. Which numbers does the machine give out for what is open?
//
// They begin where Linux's end, at 2^20 (fs.nr_open), so that a number tells whose it is. The lowest free one comes
// first, as POSIX has it.
#ifndef WEFT_LIB_TESTING_MACHINE_DESCRIPTORS_H_
#define WEFT_LIB_TESTING_MACHINE_DESCRIPTORS_H_

#include <cstddef>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "lib/testing/machine/open_object.h"

namespace weft::internal::machine {

class Descriptors {
 public:
  static constexpr int kFirst = 1 << 20;
  static constexpr bool IsOurs(int fd) noexcept { return fd >= kFirst; }

  explicit Descriptors(int limit) : limit_(static_cast<size_t>(limit)) {}

  // A number for `object`, or -EMFILE.
  int Add(std::shared_ptr<OpenObject> object, bool close_on_exec);
  // Null: that number is not open.
  OpenObject* Find(int fd) const noexcept;
  std::shared_ptr<OpenObject> Share(int fd) const noexcept;
  // 0, or -EBADF. What it stood for is closed with its last number.
  int Close(int fd);

  // fcntl(2), F_GETFD and F_SETFD, of a number that is open.
  int flags(int fd) const noexcept { return open_[Index(fd)].close_on_exec ? FD_CLOEXEC : 0; }
  void SetFlags(int fd, int flags) noexcept { open_[Index(fd)].close_on_exec = (flags & FD_CLOEXEC) != 0; }

  bool HasRoom() const noexcept { return count() < limit_; }
  size_t count() const noexcept { return open_.size() - free_.size(); }
  // A line for each that is open.
  std::string Describe() const;

 private:
  struct Entry {
    std::shared_ptr<OpenObject> object;
    bool close_on_exec = false;
  };

  static size_t Index(int fd) noexcept { return static_cast<size_t>(fd - kFirst); }

  const size_t limit_;
  std::vector<Entry> open_;
  std::set<size_t> free_;  // of open_
};

}  // namespace weft::internal::machine

#endif  // WEFT_LIB_TESTING_MACHINE_DESCRIPTORS_H_

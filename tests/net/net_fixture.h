// What the tests of sockets have in common.
#ifndef WEFT_TESTS_NET_NET_FIXTURE_H_
#define WEFT_TESTS_NET_NET_FIXTURE_H_

#include <fcntl.h>
#include <sys/stat.h>

#include <cstdint>
#include <random>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "gtest/gtest.h"
#include "lib/os/syscalls.h"
#include "tests/support/read_to_end.h"
#include "weft/task.h"
#include "weft/testing/census.h"

namespace weft::testing {

// A directory of its own, which goes with what is in it.
class TemporaryDirectory {
 public:
  TemporaryDirectory() { EXPECT_EQ(internal::Sys().mkdirat(AT_FDCWD, path_.c_str(), 0700), 0); }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  ~TemporaryDirectory() {
    for (const char* name : {"s", "t"}) internal::Sys().unlinkat(AT_FDCWD, (*this / name).c_str(), 0);
    EXPECT_EQ(internal::Sys().unlinkat(AT_FDCWD, path_.c_str(), AT_REMOVEDIR), 0);
  }

  std::string operator/(const char* name) const { return path_ + "/" + name; }

 private:
  // Short: an address has room for a path of 107 bytes, which a test's own directory may exceed.
  const std::string path_ = "/tmp/weft_net_" + std::to_string(std::random_device()());
};

// "@weft-...": an abstract name of this process. Two processes of two sandboxes may have one id, and then one name.
inline std::string AbstractName(const char* what) {
  static const std::string prefix = [] {
    std::random_device random;
    return "@weft-" + std::to_string(random()) + "-" + std::to_string(random()) + "-";
  }();
  return prefix + what;
}

// How many descriptors this process, or its machine, has open.
inline int64_t OpenDescriptors() { return Census::Take().descriptors; }

inline bool Exists(const std::string& path) {
  struct stat ignored;
  return internal::Sys().fstatat(AT_FDCWD, path.c_str(), &ignored, AT_SYMLINK_NOFOLLOW) == 0;
}

}  // namespace weft::testing

#endif  // WEFT_TESTS_NET_NET_FIXTURE_H_

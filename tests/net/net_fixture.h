// What the tests of sockets have in common.
#ifndef WEFT_TESTS_NET_NET_FIXTURE_H_
#define WEFT_TESTS_NET_NET_FIXTURE_H_

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include <random>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "gtest/gtest.h"
#include "tests/support/read_to_end.h"
#include "weft/task.h"

namespace weft::testing {

// A directory of its own, which goes with what is in it.
class TemporaryDirectory {
 public:
  TemporaryDirectory() { EXPECT_NE(::mkdtemp(path_), nullptr); }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  ~TemporaryDirectory() {
    for (const char* name : {"s", "t"}) ::unlink((*this / name).c_str());
    EXPECT_EQ(::rmdir(path_), 0);
  }

  std::string operator/(const char* name) const { return std::string(path_) + "/" + name; }

 private:
  // Short: an address has room for a path of 107 bytes, which a test's own directory may exceed.
  char path_[32] = "/tmp/weft_net_XXXXXX";
};

// "@weft-...": an abstract name of this process. Two processes of two sandboxes may have one id, and then one name.
inline std::string AbstractName(const char* what) {
  static const std::string prefix = [] {
    std::random_device random;
    return "@weft-" + std::to_string(random()) + "-" + std::to_string(random()) + "-";
  }();
  return prefix + what;
}

// How many descriptors this process has open.
inline int OpenDescriptors() {
  int count = 0;
  DIR* const directory = ::opendir("/proc/self/fd");
  while (::readdir(directory) != nullptr) ++count;
  ::closedir(directory);
  return count;
}

inline bool Exists(const std::string& path) { return ::access(path.c_str(), F_OK) == 0; }

}  // namespace weft::testing

#endif  // WEFT_TESTS_NET_NET_FIXTURE_H_

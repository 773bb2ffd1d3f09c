// Whole files, names, trees and temporary files. Goal: what the headers say. Method: each sentence in simulations and
// on runtimes, on both backends, held against the standard library's view; races by calls of the kernel's that change
// the tree first.
#include "weft/fs/path.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/capability.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <iostream>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "lib/os/syscalls.h"
#include "lib/testing/syscall_fault.h"
#include "tests/fs/scratch.h"
#include "tests/net/on_backends.h"
#include "weft/blocking.h"
#include "weft/errno.h"
#include "weft/fs/contents.h"
#include "weft/fs/file.h"
#include "weft/fs/temporary.h"
#include "weft/fs/walk.h"
#include "weft/runtime.h"
#include "weft/scope.h"
#include "weft/task.h"
#include "weft/testing/machine.h"
#include "weft/testing/simulation.h"
#include "weft/time.h"

namespace weft::testing {
namespace {

using internal::Syscalls;
using Names = std::vector<std::string>;

class PathTest : public OnBackends {};
WEFT_ON_BACKENDS(PathTest);
class SystemFilesTest : public OnBackends {};
WEFT_ON_REAL_BACKENDS(SystemFilesTest);

uint32_t PermissionsOf(const std::string& path) {
  struct stat status;
  return internal::Sys().fstatat(AT_FDCWD, path.c_str(), &status, 0) == 0 ? status.st_mode & 07777 : ~0u;
}

// ---- Whole files.

TEST_P(PathTest, WholeFilesAreReadUpToALimit) {
  Everywhere([]() -> Task<void> {
    const Scratch scratch;
    const std::string large(5'000'000, 'x');
    for (const std::string& text : {std::string(), std::string("a\0b\n", 4), large}) {
      EXPECT_EQ(co_await fs::WriteFile(scratch / "f", text), absl::OkStatus());
      EXPECT_TRUE((co_await fs::ReadFile(scratch / "f")).value() == text);
      EXPECT_TRUE((co_await fs::ReadFile(scratch / "f", {.max_bytes = text.size()})).value() == text);
      EXPECT_TRUE((co_await fs::ReadFile(scratch / "f", {.max_bytes = ~uint64_t{0}})).value() == text);
      if (text.empty()) continue;
      const auto cut = co_await fs::ReadFile(scratch / "f", {.max_bytes = text.size() - 1});
      EXPECT_EQ(cut.status().code(), absl::StatusCode::kResourceExhausted);
    }
    EXPECT_EQ(ErrnoOf((co_await fs::ReadFile(scratch.path())).status()), EISDIR);
    EXPECT_EQ(ErrnoOf((co_await fs::ReadFile(scratch / "none")).status()), ENOENT);
    EXPECT_EQ(ErrnoOf((co_await fs::ReadFile(std::string("a\0b", 3))).status()), EINVAL);
  });
}

TEST_P(SystemFilesTest, WhatTellsNoSizeIsReadToo) {
  Everywhere([]() -> Task<void> {
    EXPECT_NE((co_await fs::ReadFile("/proc/self/status")).value().find("Pid:"), std::string::npos);
    EXPECT_EQ((co_await fs::ReadFile("/dev/zero", {.max_bytes = 100'000})).status().code(),
              absl::StatusCode::kResourceExhausted);
    EXPECT_EQ((co_await fs::Stat("/dev/null")).value().type, fs::FileType::kCharacterDevice);
    // Of another file system, too.
    const Scratch scratch;
    EXPECT_EQ(co_await fs::CopyFile("/proc/self/limits", scratch / "limits"), absl::OkStatus());
    EXPECT_NE(scratch.Read("limits").find("Max open files"), std::string::npos);
    EXPECT_EQ(ErrnoOf(co_await fs::CopyFile("/dev/null", scratch / "d")), EINVAL);
    EXPECT_EQ(scratch.Names(), Names{"limits"});
  });
}

TEST_P(PathTest, WholeFilesAreWrittenInPlaceAndAtTheEnd) {
  Everywhere([]() -> Task<void> {
    const Scratch scratch;
    EXPECT_EQ(co_await fs::WriteFile(scratch / "f", "longer", {.permissions = 0600}), absl::OkStatus());
    EXPECT_EQ(PermissionsOf(scratch / "f"), 0600u);
    EXPECT_EQ(co_await fs::WriteFile(scratch / "f", "new"), absl::OkStatus());
    EXPECT_EQ(co_await fs::AppendFile(scratch / "f", "er"), absl::OkStatus());
    EXPECT_EQ(co_await fs::AppendFile(scratch / "g", "g"), absl::OkStatus());
    EXPECT_EQ(scratch.Read("f") + scratch.Read("g"), "newerg");
    EXPECT_EQ(ErrnoOf(co_await fs::WriteFile(scratch / "none/f", "")), ENOENT);
  });
}

TEST_P(PathTest, AFileIsReplacedAsAWholeAndPassesOnItsPermissions) {
  Everywhere([]() -> Task<void> {
    const Scratch scratch;
    scratch.Write("f", "old");
    scratch.ChangeMode("f", 0666);  // more than the umask leaves
    scratch.Link("f", "l");
    const absl::StatusOr<fs::File> reader = co_await fs::File::Open(scratch / "f");
    EXPECT_EQ(co_await fs::WriteFileAtomically(scratch / "f", "new"), absl::OkStatus());
    EXPECT_EQ(PermissionsOf(scratch / "f"), 0666u);
    EXPECT_EQ(scratch.Read("f"), "new");
    EXPECT_EQ(scratch.Read("l"), "new");
    EXPECT_EQ(co_await fs::WriteFileAtomically(scratch / "l", "link", {.permissions = 0600, .sync = false}),
              absl::OkStatus());
    EXPECT_EQ(PermissionsOf(scratch / "l"), 0600u);
    EXPECT_EQ(scratch.Read("f") + scratch.Read("l"), "newlink");
    EXPECT_EQ(scratch.Names(), (Names{"f", "l"}));
    const std::string longest(255, 'n');
    EXPECT_EQ(co_await fs::WriteFileAtomically(scratch / longest, "x"), absl::OkStatus());
    EXPECT_EQ(ErrnoOf(co_await fs::WriteFileAtomically("", "x")), ENOENT);
    EXPECT_EQ(ErrnoOf(co_await fs::WriteFileAtomically(scratch.path() + "/", "x")), EISDIR);
    EXPECT_EQ(ErrnoOf(co_await fs::WriteFileAtomically(scratch.path(), "x")), EISDIR);
    EXPECT_EQ(ErrnoOf(co_await fs::WriteFileAtomically(scratch / "none/f", "x")), ENOENT);
    EXPECT_EQ(scratch.Names(), (Names{"f", "l", longest}));
  });
}

// What it belongs to is another group than that of new files; and what to give those to that group ends with.
constexpr gid_t kOtherGroup = 4711;
int give_error = 0;
gid_t given_to = 0;
mode_t created_with = 0;

const Syscalls& WithOtherGroup() {
  static const Syscalls table = [] {
    Syscalls made = internal::RealSyscalls();
    made.fstatat = [](int directory, const char* path, struct stat* status, int flags) {
      const int result = ::fstatat(directory, path, status, flags);
      status->st_gid = kOtherGroup;
      return result;
    };
    made.openat = [](int directory, const char* path, int flags, mode_t mode) {
      if ((flags & O_CREAT) != 0) created_with = mode;
      return ::openat(directory, path, flags, mode);
    };
    made.fchown = [](int, uid_t, gid_t group) {
      given_to = group;
      errno = give_error;
      return give_error == 0 ? 0 : -1;
    };
    return made;
  }();
  return table;
}

void ReplaceBothWays(const Scratch& scratch, mode_t before, mode_t after) {
  const auto runtime = Runtime::Create({.parallelism = 1}).value();
  scratch.Write("from", "copied");
  for (const bool copies : {false, true}) {
    SCOPED_TRACE(copies);
    scratch.ChangeMode("f", before);
    runtime->Run([](const Scratch& in, bool by_copying) -> Task<void> {
      const absl::Status replaced = by_copying ? co_await fs::CopyFile(in / "from", in / "f", {.overwrite = true})
                                               : co_await fs::WriteFileAtomically(in / "f", "new");
      EXPECT_EQ(replaced, absl::OkStatus());
    }(scratch, copies));
    EXPECT_EQ(PermissionsOf(scratch / "f"), after);
  }
  EXPECT_EQ(scratch.Read("f"), "copied");
}

TEST(ReplacementTest, AFileOfAnotherGroupPassesItOnOrGivesWhoeverIsInTheNewOneNoMoreThanTheOthers) {
  const Scratch scratch;
  scratch.Write("f", "old");
  const internal::ScopedSyscalls scope(WithOtherGroup());
  for (const int error : {EPERM, EINVAL, ENOSYS}) {
    give_error = error;
    ReplaceBothWays(scratch, 0664, 0644);
    ReplaceBothWays(scratch, 0640, 0600);
    ReplaceBothWays(scratch, 0604, 0600);  // those whom the group kept out are others now
    EXPECT_EQ(created_with & 077, 0u);
  }
  give_error = 0;
  ReplaceBothWays(scratch, 0664, 0664);
  EXPECT_EQ(given_to, kOtherGroup);
}

// As Linux keeps it: version 2; of each entry a tag, permissions, and whom it names. The mask is rw, and one user too.
std::string AclWithUser(char group, char others) {
  const std::string nobody = "\xff\xff\xff\xff";
  const uid_t somebody = ::geteuid();  // a number that means something also where few do (user_namespaces(7))
  std::string acl("\2\0\0\0", 4);
  const auto add = [&acl](char tag, char permissions, const std::string& whom) {
    acl += std::string{tag, 0, permissions, 0} + whom;
  };
  add(0x01, 6, nobody);
  add(0x02, 6, std::string(reinterpret_cast<const char*>(&somebody), sizeof(somebody)));
  add(0x04, group, nobody);
  add(0x10, 6, nobody);
  add(0x20, others, nobody);
  return acl;
}

TEST(ReplacementTest, AMaskOfAnAclDoesNotBecomeWhatTheGroupMayDo) {
  const Scratch scratch;
  scratch.Write("f", "old");
  const std::string acl = AclWithUser(/*group=*/0, /*others=*/4);
  if (::setxattr((scratch / "f").c_str(), "system.posix_acl_access", acl.data(), acl.size(), 0) != 0) {
    GTEST_SKIP() << "the file system knows no ACLs";
  }
  EXPECT_EQ(PermissionsOf(scratch / "f"), 0664u);
  const auto runtime = Runtime::Create({.parallelism = 1}).value();
  const auto replace = [&] {
    EXPECT_EQ(runtime->Run([](std::string path) -> Task<absl::Status> {
      co_return co_await fs::WriteFileAtomically(path, "new");
    }(scratch / "f")), absl::OkStatus());
  };
  replace();
  EXPECT_EQ(PermissionsOf(scratch / "f"), 0644u);
  // One that new files get: the old one had none.
  const std::string inherited = AclWithUser(/*group=*/6, /*others=*/0);
  EXPECT_EQ(::setxattr(scratch.path().c_str(), "system.posix_acl_default", inherited.data(), inherited.size(), 0), 0);
  scratch.ChangeMode("f", 0660);
  replace();
  EXPECT_EQ(PermissionsOf(scratch / "f"), 0600u);
}

bool IsUtf8(std::string_view text) {
  int missing = 0;  // bytes of the character
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    const bool continues = (byte & 0xc0) == 0x80;
    if (continues != (missing > 0)) return false;
    missing = continues ? missing - 1 : byte >= 0xf0 ? 3 : byte >= 0xe0 ? 2 : byte >= 0xc0 ? 1 : 0;
  }
  return missing == 0;
}

// A file system whose names are UTF-8, and have 143 bytes at most, like those of eCryptfs.
const Syscalls& WithShortNames() {
  static const Syscalls table = [] {
    Syscalls made = internal::RealSyscalls();
    made.openat = [](int directory, const char* path, int flags, mode_t mode) {
      const std::string_view whole = path, name = whole.substr(whole.rfind('/') + 1);  // npos + 1 is 0
      const int refused = name.size() > 143 ? ENAMETOOLONG : IsUtf8(name) ? 0 : EILSEQ;
      if ((flags & O_CREAT) == 0 || refused == 0) return ::openat(directory, path, flags, mode);
      errno = refused;
      return -1;
    };
    return made;
  }();
  return table;
}

TEST(ReplacementTest, AFileIsReplacedUnderEveryNameThatItsFileSystemAllows) {
  const auto repeat = [](const std::string& text, int times) {
    std::string all;
    for (int i = 0; i < times; ++i) all += text;
    return all;
  };
  const Names longest = {repeat("n", 143), "n" + repeat("\xc3\xa4", 71), repeat("\xe2\x82\xac", 47),
                         "n" + repeat("\xf0\x9f\xa7\xb6", 35)};
  const auto runtime = Runtime::Create({.parallelism = 1}).value();
  const internal::ScopedSyscalls scope(WithShortNames());
  for (const std::string& name : longest) {
    SCOPED_TRACE(name);
    const Scratch scratch;
    scratch.Write("from", "copied");
    runtime->Run([](const Scratch& in, const std::string& to) -> Task<void> {
      EXPECT_EQ(co_await fs::WriteFile(in / to, "old"), absl::OkStatus());
      EXPECT_EQ(co_await fs::WriteFileAtomically(in / to, "new"), absl::OkStatus());
      EXPECT_EQ(in.Read(to), "new");
      EXPECT_EQ(co_await fs::CopyFile(in / "from", in / to, {.overwrite = true}), absl::OkStatus());
      EXPECT_EQ(in.Read(to), "copied");
    }(scratch, name));
    EXPECT_EQ(scratch.Names(), (Names{"from", name}));
  }
}

// ---- Names.

TEST_P(PathTest, NamesAreMadeAskedForAndRemoved) {
  Everywhere([]() -> Task<void> {
    const Scratch scratch;
    EXPECT_EQ(co_await fs::CreateDirectories(scratch / "a//b/c/"), absl::OkStatus());
    EXPECT_EQ(co_await fs::CreateDirectories(scratch / "a/b"), absl::OkStatus());
    EXPECT_EQ(co_await fs::CreateDirectory(scratch / "a/d", {.permissions = 0700}), absl::OkStatus());
    EXPECT_EQ(PermissionsOf(scratch / "a/d"), 0700u);
    EXPECT_EQ(ErrnoOf(co_await fs::CreateDirectory(scratch / "a/d")), EEXIST);
    scratch.Write("f", "text");
    EXPECT_EQ(ErrnoOf(co_await fs::CreateDirectories(scratch / "f")), EEXIST);
    EXPECT_EQ(ErrnoOf(co_await fs::CreateDirectories(scratch / "f/g")), EEXIST);
    EXPECT_EQ(ErrnoOf(co_await fs::CreateDirectories("")), ENOENT);
    EXPECT_EQ(scratch.Names(), (Names{"a", "a/b", "a/b/c", "a/d", "f"}));

    EXPECT_EQ(co_await fs::CreateSymbolicLink("f", scratch / "l"), absl::OkStatus());
    EXPECT_EQ(co_await fs::CreateSymbolicLink(std::string(300, 'n'), scratch / "nowhere"), absl::OkStatus());
    EXPECT_EQ((co_await fs::ReadLink(scratch / "l")).value(), "f");
    EXPECT_EQ((co_await fs::ReadLink(scratch / "nowhere")).value(), std::string(300, 'n'));
    EXPECT_EQ(ErrnoOf((co_await fs::ReadLink(scratch / "f")).status()), EINVAL);

    EXPECT_EQ((co_await fs::Stat(scratch / "l")).value().size, 4u);
    EXPECT_EQ((co_await fs::Stat(scratch / "l", {.follow_links = false})).value().type, fs::FileType::kSymbolicLink);
    EXPECT_EQ((co_await fs::Stat(scratch / "a")).value().type, fs::FileType::kDirectory);
    EXPECT_EQ(ErrnoOf((co_await fs::Stat(scratch / "none")).status()), ENOENT);
    EXPECT_TRUE((co_await fs::Exists(scratch / "l")).value());
    EXPECT_FALSE((co_await fs::Exists(scratch / "none")).value());
    EXPECT_FALSE((co_await fs::Exists(scratch / "f/g")).value());
    EXPECT_EQ(ErrnoOf((co_await fs::Exists(scratch / "nowhere")).status()), ENAMETOOLONG);

    EXPECT_EQ(co_await fs::Rename(scratch / "f", scratch / "a/f"), absl::OkStatus());
    const absl::Status lost = co_await fs::Rename(scratch / "f", scratch / "g");
    EXPECT_EQ(ErrnoOf(lost), ENOENT);
    EXPECT_NE(lost.message().find(scratch / "f to " + scratch / "g"), std::string::npos) << lost;
    EXPECT_EQ(ErrnoOf(co_await fs::Rename(scratch / "a", std::string("b\0c", 3))), EINVAL);
    EXPECT_EQ(co_await fs::Remove(scratch / "a/f"), absl::OkStatus());
    EXPECT_EQ(co_await fs::Remove(scratch / "a/b/c"), absl::OkStatus());
    EXPECT_EQ(ErrnoOf(co_await fs::Remove(scratch / "a")), ENOTEMPTY);
    EXPECT_EQ(ErrnoOf(co_await fs::Remove(scratch / "none")), ENOENT);
    EXPECT_EQ(co_await fs::Remove(scratch / "nowhere"), absl::OkStatus());
    EXPECT_EQ(scratch.Names(), (Names{"a", "a/b", "a/d", "l"}));
  });
}

TEST_P(PathTest, PermissionsAreSetAndTheUmaskTakesNothingAway) {
  Everywhere([]() -> Task<void> {
    const Scratch scratch;
    scratch.Write("f", "text");
    scratch.Link("f", "l");
    for (const uint32_t permissions : {0600u, 0666u, 07777u, 0u}) {
      EXPECT_EQ(co_await fs::SetPermissions(scratch / "l", permissions), absl::OkStatus());
      EXPECT_EQ(PermissionsOf(scratch / "f"), permissions);
    }
    EXPECT_EQ(ErrnoOf(co_await fs::SetPermissions(scratch / "f", 010644)), EINVAL);
    EXPECT_EQ(ErrnoOf(co_await fs::SetPermissions(scratch / "none", 0600)), ENOENT);
    EXPECT_EQ(ErrnoOf(co_await fs::SetPermissions(std::string("f\0g", 3), 0600)), EINVAL);
    EXPECT_EQ(PermissionsOf(scratch / "f"), 0u);
  });
}

TEST_P(PathTest, TimesAreSetOneByOne) {
  Everywhere([]() -> Task<void> {
    const Scratch scratch;
    scratch.Write("f", "text");
    scratch.Link("f", "l");
    const absl::Time old = absl::FromUnixNanos(1'111'111'111'123'456'789), before = absl::FromUnixSeconds(-1'000'000);
    EXPECT_EQ(co_await fs::SetTimes(scratch / "l", {.accessed = old, .modified = before}), absl::OkStatus());
    EXPECT_EQ((co_await fs::Stat(scratch / "f")).value().accessed, old);
    EXPECT_EQ((co_await fs::Stat(scratch / "f")).value().modified, before);
    EXPECT_EQ(co_await fs::SetTimes(scratch / "f", {.modified = old}), absl::OkStatus());
    EXPECT_EQ(co_await fs::SetTimes(scratch / "f", {.accessed = before}), absl::OkStatus());
    EXPECT_EQ(co_await fs::SetTimes(scratch / "f", {}), absl::OkStatus());
    EXPECT_EQ((co_await fs::Stat(scratch / "f")).value().accessed, before);
    EXPECT_EQ((co_await fs::Stat(scratch / "f")).value().modified, old);
    // Of the link itself.
    const absl::Time other = absl::FromUnixSeconds(1'222'222'222);
    EXPECT_EQ(co_await fs::SetTimes(scratch / "l", {.modified = other}, {.follow_links = false}), absl::OkStatus());
    EXPECT_EQ((co_await fs::Stat(scratch / "l", {.follow_links = false})).value().modified, other);
    EXPECT_EQ((co_await fs::Stat(scratch / "f")).value().modified, old);

    EXPECT_EQ(ErrnoOf(co_await fs::SetTimes(scratch / "f", {.accessed = absl::InfiniteFuture()})), EINVAL);
    EXPECT_EQ(ErrnoOf(co_await fs::SetTimes(scratch / "f", {.modified = absl::InfinitePast()})), EINVAL);
    EXPECT_EQ(ErrnoOf(co_await fs::SetTimes(scratch / "none", {.modified = old})), ENOENT);
    EXPECT_EQ(co_await fs::SetTimes(scratch / "none", {}), absl::OkStatus());
    // What no file system can keep becomes something that it can.
    EXPECT_EQ(co_await fs::SetTimes(scratch / "f", {.modified = absl::FromUnixSeconds(int64_t{1} << 60)}),
              absl::OkStatus());
    EXPECT_GT((co_await fs::Stat(scratch / "f")).value().modified, other);
    EXPECT_LE((co_await fs::Stat(scratch / "f")).value().modified, absl::FromUnixSeconds(int64_t{1} << 60));
  });
}

TEST_P(PathTest, AFileGetsAFurtherName) {
  Everywhere([]() -> Task<void> {
    const Scratch scratch;
    scratch.Write("f", "text");
    scratch.Write("d/g", "x");
    scratch.Link("f", "l");
    EXPECT_EQ(co_await fs::CreateHardLink(scratch / "f", scratch / "d/h"), absl::OkStatus());
    const fs::FileInfo one = (co_await fs::Stat(scratch / "f")).value();
    const fs::FileInfo other = (co_await fs::Stat(scratch / "d/h")).value();
    EXPECT_EQ(one.links, 2u);
    EXPECT_EQ(one.inode, other.inode);
    EXPECT_EQ(co_await fs::AppendFile(scratch / "d/h", "s"), absl::OkStatus());
    EXPECT_EQ(scratch.Read("f"), "texts");
    // The link itself.
    EXPECT_EQ(co_await fs::CreateHardLink(scratch / "l", scratch / "m"), absl::OkStatus());
    EXPECT_EQ((co_await fs::ReadLink(scratch / "m")).value(), "f");

    const absl::Status there = co_await fs::CreateHardLink(scratch / "f", scratch / "d/g");
    EXPECT_EQ(ErrnoOf(there), EEXIST);
    EXPECT_NE(there.message().find(scratch / "d/g" + " to " + scratch / "f"), std::string::npos) << there;
    EXPECT_EQ(ErrnoOf(co_await fs::CreateHardLink(scratch / "d", scratch / "e")), EPERM);
    EXPECT_EQ(ErrnoOf(co_await fs::CreateHardLink(scratch / "none", scratch / "e")), ENOENT);
    EXPECT_EQ(ErrnoOf(co_await fs::CreateHardLink(std::string("a\0b", 3), scratch / "e")), EINVAL);
    EXPECT_EQ(scratch.Names(), (Names{"d", "d/g", "d/h", "f", "l", "m"}));
  });
}

TEST_P(PathTest, AllPathsOfAFileHaveOneThatIsCanonical) {
  Everywhere([]() -> Task<void> {
    const Scratch scratch;
    scratch.Write("a/b/f", "text");
    scratch.Link("a/b", "l");
    scratch.Link("../../l/f", "a/b/m");
    const std::string root = (co_await fs::Canonical(scratch.path())).value();
    for (const char* const path : {"a/b/f", "a//b/./f", "l/f", "l/../b/m", "a/b/../../l/m"}) {
      EXPECT_EQ((co_await fs::Canonical(scratch / path)).value(), root + "/a/b/f") << path;
    }
    for (const char* const path : {"a/b/", "l", "l/", "l/.", "a/b/../b"}) {
      EXPECT_EQ((co_await fs::Canonical(scratch / path)).value(), root + "/a/b") << path;
    }
    EXPECT_EQ((co_await fs::Canonical(scratch / "l/..")).value(), root + "/a");
    EXPECT_EQ((co_await fs::Canonical("/")).value(), "/");
    EXPECT_EQ((co_await fs::Canonical("//../.")).value(), "/");
    EXPECT_EQ((co_await fs::Canonical(".")).value().front(), '/');
    scratch.Link("none", "nowhere");
    scratch.Link("circle", "circle");
    EXPECT_EQ(ErrnoOf((co_await fs::Canonical(scratch / "nowhere")).status()), ENOENT);
    EXPECT_EQ(ErrnoOf((co_await fs::Canonical(scratch / "circle")).status()), ELOOP);
    EXPECT_EQ(ErrnoOf((co_await fs::Canonical(scratch / "a/b/f/")).status()), ENOTDIR);
    EXPECT_EQ(ErrnoOf((co_await fs::Canonical(scratch / "a/b/f/..")).status()), ENOTDIR);
    EXPECT_EQ(ErrnoOf((co_await fs::Canonical("")).status()), ENOENT);
    EXPECT_EQ(ErrnoOf((co_await fs::Canonical(std::string("a\0b", 3))).status()), EINVAL);
  });
}

TEST_P(PathTest, AFileSystemSaysHowMuchRoomItHas) {
  Everywhere([]() -> Task<void> {
    const Scratch scratch;
    scratch.Write("f", "text");
    const fs::SpaceInfo space = (co_await fs::SpaceOf(scratch / "f")).value();
    EXPECT_GT(space.available, uint64_t{1} << 20);
    EXPECT_GE(space.free, space.available);
    EXPECT_GE(space.total, space.free);
    EXPECT_EQ((co_await fs::SpaceOf(scratch.path())).value().total, space.total);
    EXPECT_EQ(ErrnoOf((co_await fs::SpaceOf(scratch / "none")).status()), ENOENT);
    EXPECT_EQ(ErrnoOf((co_await fs::SpaceOf(std::string("a\0b", 3))).status()), EINVAL);
  });
}

TEST_P(PathTest, AFileIsCopiedAsAWhole) {
  Everywhere([]() -> Task<void> {
    const Scratch scratch;
    const std::string text(300'000, 'c');
    scratch.Write("f", text);
    scratch.ChangeMode("f", 0640);
    EXPECT_EQ(co_await fs::CopyFile(scratch / "f", scratch / "g"), absl::OkStatus());
    EXPECT_TRUE(scratch.Read("g") == text);
    EXPECT_EQ(PermissionsOf(scratch / "g"), 0640u);
    EXPECT_EQ(ErrnoOf(co_await fs::CopyFile(scratch / "f", scratch / "g")), EEXIST);
    scratch.Write("h", "old");
    scratch.ChangeMode("h", 0600);
    EXPECT_EQ(co_await fs::CopyFile(scratch / "g", scratch / "h", {.overwrite = true}), absl::OkStatus());
    EXPECT_TRUE(scratch.Read("h") == text);
    EXPECT_EQ(PermissionsOf(scratch / "h"), 0600u);
    EXPECT_EQ(co_await fs::CopyFile(scratch / "h", scratch / "h", {.overwrite = true}), absl::OkStatus());
    EXPECT_TRUE(scratch.Read("h") == text);
    scratch.Write("empty", "");
    EXPECT_EQ(co_await fs::CopyFile(scratch / "empty", scratch / "e"), absl::OkStatus());
    EXPECT_EQ(ErrnoOf(co_await fs::CopyFile(scratch.path(), scratch / "d")), EISDIR);
    EXPECT_EQ(ErrnoOf(co_await fs::CopyFile(scratch / "none", scratch / "d")), ENOENT);
    EXPECT_EQ(scratch.Names(), (Names{"e", "empty", "f", "g", "h"}));
  });
}

// ---- Trees.

TEST_P(PathTest, ATreeIsRemovedAndWhatLinksLeadToStays) {
  Everywhere([]() -> Task<void> {
    const Scratch scratch;
    for (int i = 0; i < 150; ++i) scratch.Write("t/d" + std::to_string(i % 7) + "/f" + std::to_string(i), "x");
    scratch.Write("kept/f", "x");
    scratch.Link("../kept", "t/l");
    scratch.Link("kept", "l");
    EXPECT_EQ(co_await fs::RemoveAll(scratch / "t/"), absl::OkStatus());
    EXPECT_EQ(co_await fs::RemoveAll(scratch / "t"), absl::OkStatus());
    EXPECT_EQ(co_await fs::RemoveAll(scratch / "l"), absl::OkStatus());
    EXPECT_EQ(co_await fs::RemoveAll(scratch / "none/t"), absl::OkStatus());
    EXPECT_EQ(scratch.Names(), (Names{"kept", "kept/f"}));
    EXPECT_EQ(co_await fs::RemoveAll(scratch / "kept/f"), absl::OkStatus());
    EXPECT_EQ(ErrnoOf(co_await fs::RemoveAll(scratch / "kept/.")), EINVAL);
    EXPECT_EQ(ErrnoOf(co_await fs::RemoveAll("/")), EINVAL);
  });
}

TEST(TreeTest, ATreeIsRemovedThatIsDeeperThanDescriptorsOrAPathAllow) {
  const Scratch scratch;
  int directory = ::open(scratch.path().c_str(), O_RDONLY | O_DIRECTORY);
  for (int depth = 0; depth < 1200; ++depth) {
    EXPECT_EQ(::mkdirat(directory, "directory", 0777), 0);
    const int below = ::openat(directory, "directory", O_RDONLY | O_DIRECTORY);
    ::close(directory);
    directory = below;
  }
  ::close(directory);
  Runtime::Create({.parallelism = 1}).value()->Run([](const std::string& path) -> Task<void> {
    EXPECT_EQ(co_await fs::RemoveAll(path), absl::OkStatus());
  }(scratch / "directory"));
  EXPECT_EQ(scratch.Names(), Names());
}

// The calls of the kernel's by which a tree is removed.
struct RemoveCalls {
  int64_t opens, lists, removals, stats;
};

RemoveCalls CountRemoval(const std::function<void(int directory)>& fill) {
  using internal::Sys;
  Machine machine({.seed = 1, .min_delay = absl::ZeroDuration(), .max_delay = absl::ZeroDuration()});
  Simulation simulation({.carriers = 1, .seed = 1, .machine = &machine});
  EXPECT_EQ(Sys().mkdirat(AT_FDCWD, "/tmp/t", 0700), 0);
  const int directory = Sys().openat(AT_FDCWD, "/tmp/t", O_RDONLY | O_DIRECTORY, 0);
  fill(directory);
  Sys().close(directory);
  const internal::ScopedSyscallFault opens(&Syscalls::openat, {.times = 0}), lists(&Syscalls::getdents64, {.times = 0}),
      removals(&Syscalls::unlinkat, {.times = 0}), stats(&Syscalls::fstat, {.times = 0}),
      stats_at(&Syscalls::fstatat, {.times = 0});
  EXPECT_EQ(simulation.Run([]() -> Task<absl::Status> { co_return co_await fs::RemoveAll("/tmp/t"); }()),
            absl::OkStatus());
  return {opens.calls(), lists.calls(), removals.calls(), stats.calls() + stats_at.calls()};
}

RemoveCalls CountRemovalOfDeep(int levels) {
  return CountRemoval([levels](int directory) {
    using internal::Sys;
    int at = Sys().fcntl(directory, F_DUPFD_CLOEXEC, 0);
    for (int level = 0; level < levels; ++level) {
      EXPECT_EQ(Sys().mkdirat(at, "d", 0700), 0);
      const int below = Sys().openat(at, "d", O_RDONLY | O_DIRECTORY, 0);
      Sys().close(at);
      at = below;
    }
    Sys().close(at);
  });
}

TEST(TreeTest, ALevelIsRemovedByAsManyCallsAtAnyDepth) {
  const RemoveCalls few = CountRemovalOfDeep(500), many = CountRemovalOfDeep(2000);
  EXPECT_EQ(many.opens - few.opens, 2 * 1500);  // down and up
  EXPECT_LE(many.lists - few.lists, 4 * 1500);  // to its end, each time
  EXPECT_EQ(many.removals - few.removals, 1500);
  EXPECT_EQ(many.stats - few.stats, 2 * 1500);
}

TEST(TreeTest, ADirectoryOfManyIsNotReadAnewForEachOfThem) {
  constexpr int kMany = 3000;
  const RemoveCalls calls = CountRemoval([](int directory) {
    for (int i = 0; i < kMany; ++i) {
      EXPECT_EQ(internal::Sys().mkdirat(directory, ("directory_" + std::to_string(i)).c_str(), 0700), 0);
    }
  });
  EXPECT_LE(calls.lists, 2 * kMany + 30);  // of each, to its end
  EXPECT_EQ(calls.opens, 2 * kMany + 2);
  EXPECT_EQ(calls.removals, kMany + 2);
}

// Done before an entry of that name is opened in a directory, once.
std::string* opened_name = nullptr;
std::function<void()>* before_open = nullptr;

const Syscalls& WithBeforeOpen() {
  static const Syscalls table = [] {
    Syscalls made = internal::RealSyscalls();
    made.openat = [](int directory, const char* path, int flags, mode_t mode) {
      if (before_open != nullptr && *opened_name == path) (*std::exchange(before_open, nullptr))();
      return ::openat(directory, path, flags, mode);
    };
    return made;
  }();
  return table;
}

void RemoveTreeAndBefore(const Scratch& scratch, std::string name, std::function<void()> change, int error) {
  const auto runtime = Runtime::Create({.parallelism = 1}).value();
  opened_name = &name;
  before_open = &change;
  const internal::ScopedSyscalls scope(WithBeforeOpen());
  runtime->Run([](const std::string& path, int expected) -> Task<void> {
    const absl::Status removed = co_await fs::RemoveAll(path);
    EXPECT_EQ(ErrnoOf(removed), expected) << removed;
  }(scratch / "t", error));
  EXPECT_EQ(before_open, nullptr) << "it was not opened";
}

TEST(TreeTest, ALinkThatReplacesADirectoryMeanwhileLeadsNobodyOut) {
  const Scratch scratch;
  scratch.Write("t/d/f", "x");
  scratch.Write("kept/f", "x");
  RemoveTreeAndBefore(scratch, "d", [&] {
    std::filesystem::rename(scratch / "t/d", scratch / "away");
    scratch.Link(scratch / "kept", "t/d");
  }, 0);
  EXPECT_EQ(scratch.Names(), (Names{"away", "away/f", "kept", "kept/f"}));
}

TEST(TreeTest, AFileThatReplacesADirectoryMeanwhileIsRemovedAndWhatIsGoneIsNoError) {
  const Scratch scratch;
  scratch.Write("t/d/f", "x");
  RemoveTreeAndBefore(scratch, "d", [&] {
    scratch.Remove("t/d");
    scratch.Write("t/d", "x");
  }, 0);
  scratch.Write("t/d/f", "x");
  RemoveTreeAndBefore(scratch, "d", [&] { scratch.Remove("t/d"); }, 0);
  EXPECT_EQ(scratch.Names(), Names());
}

TEST(TreeTest, ADirectoryThatIsMovedAwayMeanwhileLeadsNobodyElsewhere) {
  const Scratch scratch;
  scratch.Write("t/d/f", "x");
  scratch.Write("kept/g", "x");
  RemoveTreeAndBefore(scratch, "..", [&] { std::filesystem::rename(scratch / "t/d", scratch / "kept/d"); }, ESTALE);
  EXPECT_EQ(scratch.Names(), (Names{"kept", "kept/d", "kept/g", "t"}));
}

TEST(TreeTest, WhatIsCreatedMeanwhileIsRemovedAsWell) {
  const Scratch scratch;
  scratch.Write("t/d/f", "x");
  RemoveTreeAndBefore(scratch, "..", [&] { scratch.Write("t/d/new/g", "x"); }, 0);
  EXPECT_EQ(scratch.Names(), Names());
}

// What a file system says, so many times, of what it goes on to list.
enum class Untrue {
  kNoFile,       // "f" is not there, when it is to be removed
  kNoDirectory,  // "d" is not there, when it is to be opened
  kNoEmpty,      // "d" is not there, when it is empty and is to be removed
  kRemoved,      // "f" is removed; it has another name then, as with libfuse where it is open
};
Untrue untrue;
int untrue_times = 0;
int told = 0;

bool Tells(Untrue what) { return what == untrue && ++told <= untrue_times; }

int NotThere() {
  errno = ENOENT;
  return -1;
}

const Syscalls& WithUntrueAnswers() {
  static const Syscalls table = [] {
    Syscalls made = internal::RealSyscalls();
    made.openat = [](int directory, const char* path, int flags, mode_t mode) {
      if (path == std::string_view("d") && Tells(Untrue::kNoDirectory)) return NotThere();
      return ::openat(directory, path, flags, mode);
    };
    made.unlinkat = [](int directory, const char* path, int flags) {
      const std::string_view name = path;
      if (name == "d" && flags == AT_REMOVEDIR && Tells(Untrue::kNoEmpty)) return NotThere();
      if (name == "f" && Tells(Untrue::kNoFile)) return NotThere();
      if (name.starts_with("f") && Tells(Untrue::kRemoved)) {
        return ::renameat(directory, path, directory, ("f_" + std::to_string(told)).c_str());
      }
      return ::unlinkat(directory, path, flags);
    };
    return made;
  }();
  return table;
}

struct UntrueAnswers {
  Untrue what;
  int times;
  int expected;
};
constexpr int kForever = 200;  // so that a removal that goes on for as long ends
constexpr UntrueAnswers kUntrueAnswers[] = {
    // As if others had removed it, and created it again.
    {Untrue::kNoFile, 5, 0},
    {Untrue::kNoDirectory, 5, 0},
    {Untrue::kNoEmpty, 5, 0},
    {Untrue::kRemoved, 5, 0},
    {Untrue::kNoFile, kForever, ENOTEMPTY},
    {Untrue::kNoDirectory, kForever, ENOTEMPTY},
    {Untrue::kNoEmpty, kForever, ENOENT},
    {Untrue::kRemoved, kForever, ENOTEMPTY},
};

TEST(TreeTest, WhatIsListedAgainAndAgainIsRemovedAgainAFewTimesAndIsAnErrorThen) {
  const auto runtime = Runtime::Create({.parallelism = 1}).value();
  for (const UntrueAnswers& row : kUntrueAnswers) {
    SCOPED_TRACE(::testing::Message() << static_cast<int>(row.what) << ", " << row.times << " times");
    const Scratch scratch;
    scratch.Write("t/f", "x");
    scratch.Write("t/d/g", "x");
    untrue = row.what;
    untrue_times = row.times;
    told = 0;
    const internal::ScopedSyscalls scope(WithUntrueAnswers());
    runtime->Run([](const std::string& path, int expected) -> Task<void> {
      const absl::Status removed = co_await fs::RemoveAll(path);
      EXPECT_EQ(ErrnoOf(removed), expected) << removed;
    }(scratch / "t", row.expected));
    EXPECT_EQ(scratch.Has("t"), row.expected != 0);
  }
}

TEST(TreeTest, ATemporaryDirectoryWithWhatIsListedAgainAndAgainGoesOrIsGivenUp) {
  const auto runtime = Runtime::Create({.parallelism = 1}).value();
  for (const UntrueAnswers& row : kUntrueAnswers) {
    SCOPED_TRACE(::testing::Message() << static_cast<int>(row.what) << ", " << row.times << " times");
    const Scratch scratch;
    untrue = row.what;
    untrue_times = row.times;
    told = 0;
    const internal::ScopedSyscalls scope(WithUntrueAnswers());
    runtime->Run([](const Scratch& in) -> Task<void> {
      const auto made = co_await fs::TemporaryDirectory::Create({.directory = in.path(), .prefix = "t"});
      const std::string name = made.value().path().substr(in.path().size() + 1);
      in.Write(name + "/f", "x");
      in.Write(name + "/d/g", "x");
    }(scratch));
    EXPECT_EQ(scratch.Names().empty(), row.expected == 0);
  }
}

// Root may search all directories, until it gives that up.
bool BecomeLikeOthers() {
  __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  const __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {};
  return ::syscall(SYS_capset, &header, none) == 0;
}

TEST(TreeDeathTest, AnEmptyDirectoryThatMayBeReadAndNotSearchedIsRemovedAtAnyDepth) {
  const Scratch scratch;
  EXPECT_EQ(::mkdir((scratch / "t").c_str(), 0700), 0);
  EXPECT_EQ(::mkdir((scratch / "t/d").c_str(), 0444), 0);
  EXPECT_EXIT(
      {
        const bool like_others = BecomeLikeOthers();
        const absl::Status removed = Runtime::Create({.parallelism = 1}).value()->Run(
            [](std::string path) -> Task<absl::Status> { co_return co_await fs::RemoveAll(path); }(scratch / "t"));
        std::cerr << removed << std::endl;
        ::_exit(like_others && removed.ok() ? 7 : 8);
      },
      ::testing::ExitedWithCode(7), "");
  EXPECT_EQ(scratch.Names(), Names());
}

// ---- Walks.

using Found = std::map<std::string, fs::FileType>;

// The paths below the root, and the errno of each error by its number.
Task<Found> WalkAll(std::string root, fs::WalkOptions options, std::vector<int>* errors = nullptr) {
  Found found;
  auto walk = fs::Walk(root, std::move(options));
  while (auto entry = co_await walk.Next()) {
    if (!entry->ok()) {
      EXPECT_NE(errors, nullptr) << entry->status();
      if (errors != nullptr) errors->push_back(ErrnoOf(entry->status()));
      continue;
    }
    const std::string path = (*entry)->path.substr(root.size() + 1);
    EXPECT_EQ((*entry)->depth, std::count(path.begin(), path.end(), '/'));
    EXPECT_EQ((*entry)->name(), path.substr(path.rfind('/') + 1));
    // A directory comes first.
    const size_t slash = path.rfind('/');
    if (slash != std::string::npos) EXPECT_TRUE(found.contains(path.substr(0, slash))) << path;
    EXPECT_TRUE(found.emplace(path, (*entry)->type).second) << path;
  }
  EXPECT_FALSE((co_await walk.Next()).has_value());
  co_return found;
}

TEST_P(PathTest, AWalkYieldsEachEntryOnceDirectoriesFirst) {
  Everywhere([]() -> Task<void> {
    using enum fs::FileType;
    const Scratch scratch;
    scratch.Write("a/f", "x");
    scratch.Write("a/b/g", "x");
    scratch.Write("c/d/e/h", "x");
    scratch.Link("a", "l");
    scratch.Link("nowhere", "n");
    const Found all = {{"a", kDirectory},   {"a/b", kDirectory},   {"a/b/g", kRegular}, {"a/f", kRegular},
                       {"c", kDirectory},   {"c/d", kDirectory},   {"c/d/e", kDirectory}, {"c/d/e/h", kRegular},
                       {"l", kSymbolicLink}, {"n", kSymbolicLink}};
    EXPECT_EQ(co_await WalkAll(scratch.path(), {}), all);
    EXPECT_EQ((co_await WalkAll(scratch.path(), {.max_depth = 0})).size(), 4u);
    EXPECT_EQ((co_await WalkAll(scratch.path(), {.max_depth = 1})).size(), 7u);
    const auto enter = [](const fs::WalkEntry& directory) { return directory.name() != "a"; };
    EXPECT_EQ((co_await WalkAll(scratch.path(), {.enter = enter})).size(), 7u);
    // The root may be a link.
    EXPECT_EQ((co_await WalkAll(scratch / "l", {})).size(), 3u);
    Found followed = all;
    followed.merge(Found{{"l/b", kDirectory}, {"l/b/g", kRegular}, {"l/f", kRegular}});
    followed["l"] = kDirectory;
    EXPECT_EQ(co_await WalkAll(scratch.path(), {.follow_links = true}), followed);
    // A link to where it lies is not entered again.
    scratch.Link("..", "a/up");
    std::vector<int> errors;
    followed["a/up"] = followed["l/up"] = kDirectory;
    EXPECT_EQ(co_await WalkAll(scratch.path(), {.follow_links = true}, &errors), followed);
    EXPECT_EQ(errors, (std::vector<int>{ELOOP, ELOOP}));
  });
}

TEST_P(PathTest, AWalkThatCannotOpenADirectorySaysWhichAndGoesOn) {
  Everywhere([]() -> Task<void> {
    const Scratch scratch;
    scratch.Write("a/f", "x");
    scratch.Write("b/g", "x");
    auto walk = fs::Walk(scratch.path());
    size_t entries = 0, errors = 0;
    while (auto entry = co_await walk.Next()) {
      if (entry->ok()) {
        ++entries;
        // Before it is entered.
        if ((*entry)->name() == "a") scratch.Remove("a");
      } else {
        ++errors;
        EXPECT_EQ(ErrnoOf(entry->status()), ENOENT);
        EXPECT_NE(entry->status().message().find(scratch / "a"), std::string::npos) << entry->status();
      }
    }
    EXPECT_EQ(entries, 3u);
    EXPECT_EQ(errors, 1u);
    for (const std::string& root : {scratch / "none", scratch / "b/g", std::string("a\0b", 3)}) {
      std::vector<int> found;
      EXPECT_EQ((co_await WalkAll(root, {}, &found)).size(), 0u);
      EXPECT_EQ(found.size(), 1u);
    }
  });
}

// The kernel says ENOENT of a directory that somebody else has removed, and EINVAL if the next name is too long for
// what is left of the buffer.
TEST(RemoveAllTest, ADirectoryMayBeRemovedMeanwhileAndItsNamesMayBeLong) {
  for (const int error : {ENOENT, EINVAL}) {
    const Scratch scratch;
    if (error == EINVAL) scratch.Write("d/f", "text");
    if (error == ENOENT) EXPECT_EQ(::mkdir((scratch / "d").c_str(), 0700), 0);
    Runtime::Create({.parallelism = 1}).value()->Run([](const std::string& path, int wanted) -> Task<void> {
      const int first = wanted == EINVAL ? 2 : 1;
      const internal::ScopedSyscallFault fault(&Syscalls::getdents64, {.first = first, .error = wanted});
      EXPECT_EQ(co_await fs::RemoveAll(path), absl::OkStatus());
    }(scratch / "d", error));
    EXPECT_FALSE(scratch.Has("d"));
  }
}

TEST(WalkTest, EntriesThatWereReadBeforeAnErrorAreYieldedBeforeIt) {
  const Scratch scratch;
  for (const char* const name : {"a", "b", "c"}) scratch.Write(name, "");
  Runtime::Create({.parallelism = 1}).value()->Run([](const std::string& root) -> Task<void> {
    std::vector<int> errors;
    const internal::ScopedSyscallFault fault(&Syscalls::getdents64, {.first = 2, .error = EIO});
    EXPECT_EQ((co_await WalkAll(root, {}, &errors)).size(), 3u);
    EXPECT_EQ(errors, std::vector<int>{EIO});
  }(scratch.path()));
}

TEST(WalkTest, ALargeDirectoryIsReadInPartsAndAWalkMayBeLeft) {
  const Scratch scratch;
  for (int i = 0; i < 1100; ++i) scratch.Write("file_with_a_name_of_some_length_" + std::to_string(i), "");
  Runtime::Create({.parallelism = 1}).value()->Run([](const std::string& root) -> Task<void> {
    EXPECT_EQ((co_await WalkAll(root, {})).size(), 1100u);
    auto walk = fs::Walk(root);
    EXPECT_TRUE((co_await walk.Next())->ok());
  }(scratch.path()));
}

// From when the first part of the directory was read, the only OS thread is held, and another call waits for it.
TEST(WalkTest, ADirectoryOfWhichThePoolReadsNoMoreIsAnErrorAndTheWalkGoesOnBehindIt) {
  const Scratch scratch;
  for (int i = 0; i < 1100; ++i) scratch.Write("d/file_with_a_name_of_some_length_" + std::to_string(i), "");
  for (const char* const name : {"a", "b", "c"}) scratch.Write(name, "");
  const auto runtime = Runtime::Create({.parallelism = 1, .max_pool_size = 1, .max_queued_calls = 1}).value();
  runtime->Run([](const std::string& root) -> Task<void> {
    std::atomic<bool> held = false, go = false;
    ShutdownOnFailure scope;
    int at_depth[] = {0, 0};
    std::vector<absl::StatusCode> errors;
    auto walk = fs::Walk(root);
    while (auto entry = co_await walk.Next()) {
      if (!entry->ok()) {
        errors.push_back(entry->status().code());
        continue;
      }
      const int depth = (*entry)->depth;
      if (++at_depth[depth] > 1 || depth == 0) continue;
      scope.Fork([&]() -> Task<absl::Status> {
        co_return co_await Blocking([&] {
          held = true;
          go.wait(false);
        });
      });
      while (!held) co_await Yield();
      scope.Fork([]() -> Task<absl::Status> { co_return co_await Blocking([] {}); });
      co_await Yield();
    }
    go = true;
    go.notify_one();
    EXPECT_EQ(co_await scope.Join(), absl::OkStatus());
    EXPECT_EQ(at_depth[0], 4);
    EXPECT_GT(at_depth[1], 0);
    EXPECT_LT(at_depth[1], 1100);
    EXPECT_EQ(errors, std::vector<absl::StatusCode>{absl::StatusCode::kResourceExhausted});
  }(scratch.path()));
}

// ---- Temporary files.

TEST_P(PathTest, ATemporaryFileHasNoNameAndADirectoryGoesWithItsObject) {
  Everywhere([]() -> Task<void> {
    const Scratch scratch;
    fs::File file = (co_await fs::OpenTemporaryFile({.directory = scratch.path()})).value();
    EXPECT_EQ(co_await file.Write("text"), absl::OkStatus());
    char buffer[9];
    EXPECT_EQ((co_await file.ReadAt(buffer, 0)).value(), 4u);
    EXPECT_EQ(scratch.Names(), Names());
    {
      fs::TemporaryDirectory one =
          (co_await fs::TemporaryDirectory::Create({.directory = scratch.path(), .prefix = "one-"})).value();
      EXPECT_EQ(one.path().find(scratch / "one-"), 0u);
      EXPECT_EQ(PermissionsOf(one.path()), 0700u);
      EXPECT_EQ(co_await fs::CreateDirectories(one.path() + "/a/b"), absl::OkStatus());
      fs::TemporaryDirectory two = (co_await fs::TemporaryDirectory::Create({.directory = scratch.path()})).value();
      EXPECT_EQ(scratch.Names().size(), 4u);
      two = std::move(one);
      EXPECT_EQ(scratch.Names().size(), 3u);
      EXPECT_EQ(co_await two.Remove(), absl::OkStatus());
      EXPECT_EQ(co_await two.Remove(), absl::OkStatus());
      EXPECT_EQ(two.path(), "");
      EXPECT_EQ(scratch.Names(), Names());
      two = (co_await fs::TemporaryDirectory::Create({.directory = scratch.path()})).value();
      scratch.Write(two.path().substr(scratch.path().size() + 1) + "/f", "x");
    }
    EXPECT_EQ(scratch.Names(), Names());
    std::string kept = (co_await fs::TemporaryDirectory::Create({.directory = scratch.path()})).value().Keep();
    EXPECT_TRUE(Scratch::IsDirectory(kept));
    EXPECT_EQ(ErrnoOf((co_await fs::TemporaryDirectory::Create({.directory = scratch / "none"})).status()), ENOENT);
    EXPECT_EQ(ErrnoOf((co_await fs::OpenTemporaryFile({.directory = scratch / "none"})).status()), ENOENT);
  });
}

// A file system that has no O_TMPFILE, and removes no file that is open.
int open_file = -1;

const Syscalls& WithoutRemovingWhatIsOpen() {
  static const Syscalls table = [] {
    Syscalls made = internal::RealSyscalls();
    made.openat = [](int directory, const char* path, int flags, mode_t mode) {
      if ((flags & O_TMPFILE) == O_TMPFILE) {
        errno = EOPNOTSUPP;
        return -1;
      }
      return open_file = ::openat(directory, path, flags, mode);
    };
    made.close = [](int fd) {
      if (fd == open_file) open_file = -1;
      return ::close(fd);
    };
    made.unlinkat = [](int directory, const char* path, int flags) {
      if (open_file < 0) return ::unlinkat(directory, path, flags);
      errno = EBUSY;
      return -1;
    };
    return made;
  }();
  return table;
}

TEST(TemporaryFileTest, OneWhoseNameCannotBeRemovedWhileItIsOpenIsAnErrorAndNotLeft) {
  const Scratch scratch;
  Simulation simulation({.carriers = 1, .seed = 1});
  {
    const internal::ScopedSyscalls scope(WithoutRemovingWhatIsOpen());
    simulation.Run([](const std::string& directory) -> Task<void> {
      const absl::Status opened = (co_await fs::OpenTemporaryFile({.directory = directory})).status();
      EXPECT_EQ(ErrnoOf(opened), EBUSY);
      EXPECT_NE(opened.message().find(directory + "/weft-"), std::string::npos) << opened;
    }(scratch.path()));
  }
  EXPECT_EQ(scratch.Names(), Names());
}

}  // namespace
}  // namespace weft::testing

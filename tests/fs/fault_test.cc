// Row F2 for files. Goal: whatever errno a call of the kernel's ends with, the status has it, no descriptor and no
// half-made file is left, and EINTR is never seen. Method: each function times each kind of call that it makes, times
// each time that it makes it, times the errnos that the manual pages have; in a simulation, where nothing else calls.
// The same functions two at a time on a machine: each is that of its own thread.
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "lib/os/syscalls.h"
#include "lib/testing/syscall_fault.h"
#include "tests/fs/scratch.h"
#include "weft/cancellation.h"
#include "weft/errno.h"
#include "weft/fs/contents.h"
#include "weft/fs/file.h"
#include "weft/fs/path.h"
#include "weft/fs/temporary.h"
#include "weft/fs/walk.h"
#include "weft/runtime.h"
#include "weft/scope.h"
#include "weft/task.h"
#include "weft/testing/census.h"
#include "weft/testing/machine.h"
#include "weft/testing/simulation.h"

namespace weft::testing {
namespace {

using fs::File;
using internal::ScopedSyscallFault;
using internal::Syscalls;

// A function, in a directory that has: old (text), d/f, l (a link to old).
struct Row {
  const char* name;
  std::function<Task<absl::Status>(std::string directory)> run;
};

template <class T>
absl::Status StatusOf(const absl::StatusOr<T>& result) {
  return result.status();
}
absl::Status StatusOf(const absl::Status& status) { return status; }

// A row that awaits function(path) once.
template <class F>
Row Single(const char* name, const char* file, F function) {
  return {name, [file, function](std::string directory) -> Task<absl::Status> {
            const auto done = co_await function(absl::StrCat(directory, "/", file));
            co_return StatusOf(done);
          }};
}

// A row that opens a file to be read and written, and awaits function(file).
template <class F>
Row OnOpenFile(const char* name, F function) {
  return {name, [function](std::string directory) -> Task<absl::Status> {
            absl::StatusOr<File> file = co_await File::Open(directory + "/old", {.write = true});
            if (!file.ok()) co_return file.status();
            const auto done = co_await function(*file);
            co_return StatusOf(done);
          }};
}

Task<absl::Status> WalkAll(std::string root) {
  auto walk = fs::Walk(root);
  while (auto entry = co_await walk.Next()) {
    if (!entry->ok()) co_return entry->status();
  }
  co_return absl::OkStatus();
}

// Also if Remove() fails nothing is left: the destructor tries once more.
Task<absl::Status> UseTemporaryDirectory(std::string directory) {
  absl::StatusOr<fs::TemporaryDirectory> made = co_await fs::TemporaryDirectory::Create({.directory = directory});
  if (!made.ok()) co_return made.status();
  if (absl::Status written = co_await fs::WriteFile(made->path() + "/f", "x"); !written.ok()) co_return written;
  co_return co_await made->Remove();
}

Task<absl::Status> AdoptAMemoryFile(std::string) { co_return File::Adopt(::memfd_create("f", 0)).status(); }

const std::string& ManyBytes() {
  static const std::string bytes(100'000, 'x');
  return bytes;
}
// They are written in two parts.
const std::string& MoreBytes() {
  static const std::string bytes(4'200'000, 'x');
  return bytes;
}

std::vector<Row> Rows() {
  using Path = const std::string&;
  return {
      Single("Open", "old", [](Path path) { return File::Open(path); }),
      Single("ReadFile", "old", [](Path path) { return fs::ReadFile(path); }),
      Single("WriteFile", "new", [](Path path) { return fs::WriteFile(path, ManyBytes()); }),
      Single("AppendFile", "old", [](Path path) { return fs::AppendFile(path, "x"); }),
      Single("WriteFileAtomically", "old", [](Path path) { return fs::WriteFileAtomically(path, ManyBytes()); }),
      Single("WriteFileAtomically, new", "new", [](Path path) { return fs::WriteFileAtomically(path, "x"); }),
      Single("Stat", "old", [](Path path) { return fs::Stat(path); }),
      Single("Exists", "old", [](Path path) { return fs::Exists(path); }),
      Single("Rename", "old", [](Path path) { return fs::Rename(path, path + "er"); }),
      Single("Remove", "old", [](Path path) { return fs::Remove(path); }),
      Single("RemoveAll", "d", [](Path path) { return fs::RemoveAll(path); }),
      Single("SetPermissions", "old", [](Path path) { return fs::SetPermissions(path, 0600); }),
      Single("SetTimes", "old", [](Path path) { return fs::SetTimes(path, {.modified = absl::UnixEpoch()}); }),
      Single("CreateHardLink", "old", [](Path path) { return fs::CreateHardLink(path, path + "er"); }),
      Single("Canonical", "l", [](Path path) { return fs::Canonical(path); }),
      Single("SpaceOf", "", [](Path path) { return fs::SpaceOf(path); }),
      {"Adopt", &AdoptAMemoryFile},
      Single("CreateDirectory", "new", [](Path path) { return fs::CreateDirectory(path); }),
      Single("CreateDirectories", "d/e/f", [](Path path) { return fs::CreateDirectories(path); }),
      Single("CopyFile", "old", [](Path path) { return fs::CopyFile(path, path + "er"); }),
      {"CopyFile, overwrite", [](std::string directory) -> Task<absl::Status> {
         co_return co_await fs::CopyFile(directory + "/d/f", directory + "/old", {.overwrite = true});
       }},
      Single("ReadLink", "l", [](Path path) { return fs::ReadLink(path); }),
      Single("CreateSymbolicLink", "new", [](Path path) { return fs::CreateSymbolicLink("old", path); }),
      Single("OpenTemporaryFile", "d", [](Path path) { return fs::OpenTemporaryFile({.directory = path}); }),
      Single("TemporaryDirectory", "d", &UseTemporaryDirectory),
      Single("Walk", "", &WalkAll),
      OnOpenFile("WriteAt", [](File& file) { return file.WriteAt(MoreBytes(), 3); }),
      OnOpenFile("Append", [](File& file) { return file.Append("x"); }),
      OnOpenFile("Sync", [](File& file) { return file.Sync(); }),
      OnOpenFile("DataSync", [](File& file) { return file.DataSync(); }),
      OnOpenFile("Truncate", [](File& file) { return file.Truncate(2); }),
      OnOpenFile("Allocate", [](File& file) { return file.Allocate(0, 100); }),
      OnOpenFile("SetPermissions of a File", [](File& file) { return file.SetPermissions(0600); }),
      OnOpenFile("SetTimes of a File", [](File& file) { return file.SetTimes({.accessed = absl::UnixEpoch()}); }),
      OnOpenFile("Size", [](File& file) { return file.Size(); }),
      OnOpenFile("Lock", [](File& file) { return file.Lock(fs::LockKind::kExclusive); }),
      OnOpenFile("TryLock", [](File& file) { return file.TryLock(fs::LockKind::kShared); }),
      OnOpenFile("Read, Write, ReadAt", [](File& file) -> Task<absl::Status> {
        char bytes[2];
        if (const auto got = co_await file.Read(bytes); !got.ok()) co_return got.status();
        if (absl::Status put = co_await file.Write(bytes); !put.ok()) co_return put;
        co_return (co_await file.ReadAt(bytes, 0)).status();
      }),
  };
}

// A kind of call, and what it may end with; not what Weft has another way for.
struct Entry {
  const char* name;
  std::function<std::unique_ptr<ScopedSyscallFault>(ScopedSyscallFault::Options)> install;
  std::vector<int> errnos;
};

template <auto kEntry>
Entry Of(const char* name, std::vector<int> errnos) {
  return {name,
          [](ScopedSyscallFault::Options options) { return std::make_unique<ScopedSyscallFault>(kEntry, options); },
          std::move(errnos)};
}

std::vector<Entry> Entries() {
  return {
      Of<&Syscalls::openat>("openat", {EMFILE, ENFILE, ENOMEM, ENOSPC, EROFS, EPERM, ETXTBSY, EIO}),
      Of<&Syscalls::pread>("pread", {EIO, EFAULT, EOVERFLOW}),
      Of<&Syscalls::read>("read", {EIO}),
      Of<&Syscalls::write>("write", {ENOSPC, EDQUOT, EIO, EFBIG, EPERM}),
      Of<&Syscalls::pwritev2>("pwritev2", {ENOSPC, EDQUOT, EIO, EFBIG, EOPNOTSUPP}),
      Of<&Syscalls::fsync>("fsync", {EIO, ENOSPC, EDQUOT, EROFS}),
      Of<&Syscalls::fdatasync>("fdatasync", {EIO, ENOSPC, EDQUOT}),
      Of<&Syscalls::ftruncate>("ftruncate", {EFBIG, EIO, EPERM, EROFS}),
      Of<&Syscalls::fallocate>("fallocate", {ENOSPC, EOPNOTSUPP, ENODEV, EFBIG}),
      Of<&Syscalls::flock>("flock", {ENOLCK, EIO}),
      Of<&Syscalls::fchmod>("fchmod", {EPERM, EIO, EROFS}),
      Of<&Syscalls::fchmodat>("fchmodat", {EPERM, EIO, EROFS, EACCES, ELOOP}),
      Of<&Syscalls::futimens>("futimens", {EPERM, EACCES, EROFS}),
      Of<&Syscalls::utimensat>("utimensat", {EPERM, EACCES, EROFS, ELOOP}),
      Of<&Syscalls::linkat>("linkat", {EPERM, EXDEV, EMLINK, ENOSPC, EDQUOT}),
      Of<&Syscalls::realpath>("realpath", {EACCES, EIO, ELOOP, ENOMEM}),
      Of<&Syscalls::statvfs>("statvfs", {EIO, ENOMEM, EOVERFLOW, ENOSYS}),
      Of<&Syscalls::fcntl>("fcntl", {EINVAL, EPERM}),  // EBADF: nothing is open that could be closed
      Of<&Syscalls::lseek>("lseek", {ESPIPE, EOVERFLOW}),
      Of<&Syscalls::copy_file_range>("copy_file_range", {EIO, ENOSPC, ENOMEM, EFBIG, EDQUOT}),
      Of<&Syscalls::fstat>("fstat", {EIO, ENOMEM, EOVERFLOW}),
      Of<&Syscalls::fstatat>("fstatat", {EIO, ENOMEM, EACCES, ELOOP}),
      Of<&Syscalls::unlinkat>("unlinkat", {EIO, EROFS, EPERM, EBUSY}),
      Of<&Syscalls::renameat>("renameat", {EIO, ENOSPC, EXDEV, EROFS, EDQUOT}),
      Of<&Syscalls::renameat2>("renameat2", {EIO, ENOSPC, EEXIST, EDQUOT}),
      Of<&Syscalls::mkdirat>("mkdirat", {EIO, ENOSPC, EMLINK, EROFS, EDQUOT}),
      Of<&Syscalls::symlinkat>("symlinkat", {EIO, ENOSPC, EEXIST, EROFS}),
      Of<&Syscalls::readlinkat>("readlinkat", {EIO, EACCES, ENOMEM}),
      Of<&Syscalls::getdents64>("getdents64", {EIO, ENOMEM}),
      Of<&Syscalls::getrandom>("getrandom", {ENOSYS, EPERM}),
  };
}

struct Ran {
  absl::Status status;
  int64_t calls;
};

void Fill(const Scratch& scratch) {
  scratch.Write("old", "text");
  scratch.Write("d/f", "text");
  scratch.Link("old", "l");
}

Ran RunRow(const Row& row, const Entry& entry, ScopedSyscallFault::Options options) {
  const Scratch scratch;
  Fill(scratch);
  const int64_t descriptors = Census::Take().descriptors;
  Ran ran;
  {
    Simulation simulation({.carriers = 1, .seed = 1});
    const auto fault = entry.install(options);
    ran.status = simulation.Run(row.run(scratch.path()));
    ran.calls = fault->calls();
  }
  EXPECT_EQ(Census::Take().descriptors, descriptors);
  for (const std::string& name : scratch.Names()) {
    EXPECT_EQ(name.find(".tmp"), std::string::npos) << name;
    EXPECT_EQ(name.find("d/weft-"), std::string::npos) << name;
  }
  return ran;
}

TEST(FsFaultTest, EveryErrnoOfEveryCallIsTheStatusAndNothingIsLeft) {
  int cases = 0;
  for (const Row& row : Rows()) {
    for (const Entry& entry : Entries()) {
      const Ran counted = RunRow(row, entry, {.times = 0});
      ASSERT_TRUE(counted.status.ok()) << row.name << ": " << counted.status;
      for (int64_t k = 1; k <= counted.calls; ++k) {
        SCOPED_TRACE(absl::StrCat(row.name, ", ", entry.name, " ", k, " of ", counted.calls));
        if (std::string(entry.name) == "flock" && k > 1) continue;  // to unlock: there is nobody to tell
        for (const int error : entry.errnos) {
          const Ran failed = RunRow(row, entry, {.first = k, .error = error});
          EXPECT_EQ(ErrnoOf(failed.status), error) << failed.status;
          EXPECT_NE(failed.status.message().find(" /"), std::string::npos) << failed.status;
          ++cases;
        }
        const Ran interrupted = RunRow(row, entry, {.first = k, .times = 3, .error = EINTR});
        EXPECT_TRUE(interrupted.status.ok()) << interrupted.status;
        ++cases;
      }
    }
  }
  RecordProperty("cases", cases);
  EXPECT_GT(cases, 200);
}

// On a machine a call on a file takes time, in which other calls run on the same OS thread. 1. One begins, on behalf of
// its thread, and pauses. 2. Another begins on behalf of another thread, and ends or is asked to end. 3. The first goes
// on, and asks whether its thread is to end.
TEST(FsOnAMachineTest, OfTwoCallsAtOnceEachIsThatOfItsOwnThread) {
  const std::vector<Row> rows = Rows();
  for (size_t i = 0; i < rows.size(); ++i) {
    for (uint64_t seed = 1; seed <= 8; ++seed) {
      const Row& other = rows[(i + seed) % rows.size()];
      SCOPED_TRACE(absl::StrCat(rows[i].name, " beside ", other.name, ", seed ", seed));
      Machine machine({.seed = seed});
      const Scratch one;
      const Scratch two;
      Fill(one);
      Fill(two);
      Simulation({.carriers = 2, .seed = seed, .machine = &machine}).Run([&]() -> Task<void> {
        AwaitAll scope;
        scope.Fork([&]() -> Task<void> {
          const absl::Status status = co_await rows[i].run(one.path());
          EXPECT_TRUE(status.ok()) << status;
        });
        scope.Fork([&]() -> Task<void> {
          if (seed % 2 == 0) {
            const absl::Status status = co_await other.run(two.path());
            EXPECT_TRUE(status.ok()) << status;
          } else {
            (co_await WithTimeout(absl::Microseconds(300 * seed), other.run(two.path()))).IgnoreError();
          }
        });
        (co_await scope.Join()).IgnoreFailures();
      });
    }
  }
}

// ---- Atomic writes.

TEST(AtomicWriteTest, AFailureAtAnyStepLeavesTheOldFileOrTheWholeNewOne) {
  const Row row = {"", [](std::string directory) -> Task<absl::Status> {
                     co_return co_await fs::WriteFileAtomically(directory + "/old", ManyBytes());
                   }};
  for (const Entry& entry : Entries()) {
    const int64_t calls = RunRow(row, entry, {.times = 0}).calls;
    for (int64_t k = 1; k <= calls; ++k) {
      SCOPED_TRACE(absl::StrCat(entry.name, " ", k));
      const Scratch scratch;
      scratch.Write("old", "text");
      EXPECT_EQ(::chmod((scratch / "old").c_str(), 0604), 0);
      Simulation simulation({.carriers = 1, .seed = 1});
      absl::Status status;
      {
        const auto fault = entry.install({.first = k, .error = EIO});
        status = simulation.Run(row.run(scratch.path()));
      }
      EXPECT_EQ(ErrnoOf(status), EIO);
      // The last step is to sync the directory.
      const bool in_place = std::string(entry.name) == "fsync" && k == 2;
      EXPECT_EQ(status.message().find("in place") != std::string::npos, in_place) << status;
      EXPECT_TRUE(scratch.Read("old") == (in_place ? ManyBytes() : "text"));
      EXPECT_EQ(scratch.Names(), std::vector<std::string>{"old"});
      struct stat info;
      EXPECT_EQ(::stat((scratch / "old").c_str(), &info), 0);
      EXPECT_EQ(info.st_mode & 0777, 0604u);
    }
  }
}

TEST(AtomicWriteTest, WhatCloseSaysIsAFailureAndADirectoryThatCannotBeSyncedIsNone) {
  const Scratch scratch;
  scratch.Write("old", "text");
  Simulation simulation({.carriers = 1, .seed = 1});
  const auto write = [&](bool sync) -> absl::Status {
    return simulation.Run([](std::string path, bool syncs) -> Task<absl::Status> {
      co_return co_await fs::WriteFileAtomically(path, "new", {.sync = syncs});
    }(scratch / "old", sync));
  };
  {
    ScopedSyscallFault fault(&Syscalls::fsync, {.first = 2, .error = EINVAL});
    EXPECT_EQ(write(true), absl::OkStatus());
  }
  EXPECT_EQ(scratch.Read("old"), "new");
  // The first to be closed is the file, which the fault leaves open: it is the second that is opened.
  const int directory = ::dup(0), file = ::dup(0);
  ::close(directory);
  ::close(file);
  {
    ScopedSyscallFault fault(&Syscalls::close, {.error = EDQUOT});
    EXPECT_EQ(ErrnoOf(write(false)), EDQUOT);
  }
  EXPECT_EQ(::close(file), 0);
  EXPECT_EQ(scratch.Names(), std::vector<std::string>{"old"});
}

TEST(AtomicWriteTest, WhatIsInterruptedWhileItCleansUpIsTriedAgain) {
  const Scratch scratch;
  scratch.Write("old", "text");
  Simulation simulation({.carriers = 1, .seed = 1});
  const ScopedSyscallFault write(&Syscalls::write, {.error = ENOSPC});
  const ScopedSyscallFault removal(&Syscalls::unlinkat, {.times = 2, .error = EINTR});
  EXPECT_EQ(ErrnoOf(simulation.Run([](std::string path) -> Task<absl::Status> {
    co_return co_await fs::WriteFileAtomically(path, "new");
  }(scratch / "old"))), ENOSPC);
  EXPECT_EQ(scratch.Names(), std::vector<std::string>{"old"});
  EXPECT_EQ(scratch.Read("old"), "text");
}

// ---- What has another way.

// Runs `row` with `entry` failing; it succeeds.
void ExpectOtherWay(const std::string& name, const Entry& entry, int64_t first = 1) {
  for (const Row& row : Rows()) {
    if (row.name != name) continue;
    for (const int error : entry.errnos) {
      SCOPED_TRACE(absl::StrCat(name, ": ", error));
      const Ran ran = RunRow(row, entry, {.first = first, .error = error});
      EXPECT_TRUE(ran.status.ok()) << ran.status;
      EXPECT_GE(ran.calls, 1);
    }
    return;
  }
  FAIL() << "no row " << name;
}

TEST(FsFaultTest, WhatAFileSystemDoesNotKnowIsDoneInAnotherWay) {
  // By reading and writing.
  ExpectOtherWay("CopyFile", Of<&Syscalls::copy_file_range>("", {EXDEV, EINVAL, ENOSYS, EOPNOTSUPP, EPERM}));
  // By a link.
  ExpectOtherWay("CopyFile", Of<&Syscalls::renameat2>("", {EINVAL, ENOSYS}));
  // Without what only the group might do.
  ExpectOtherWay("WriteFileAtomically", Of<&Syscalls::lgetxattr>("", {ENOENT, ENOSYS, EACCES, EINTR}));
  // By another name: the second file that is opened.
  ExpectOtherWay("WriteFileAtomically", Of<&Syscalls::openat>("", {EEXIST}), /*first=*/2);
  ExpectOtherWay("TemporaryDirectory", Of<&Syscalls::mkdirat>("", {EEXIST}));
  // By a name that is removed.
  ExpectOtherWay("OpenTemporaryFile", Of<&Syscalls::openat>("", {EOPNOTSUPP, EISDIR}));
  // Without O_NONBLOCK: somebody gives up a lease.
  ExpectOtherWay("Open", Of<&Syscalls::openat>("", {EWOULDBLOCK}));
  // After a pause.
  ExpectOtherWay("Lock", Of<&Syscalls::flock>("", {EWOULDBLOCK}));
  ExpectOtherWay("RemoveAll", Of<&Syscalls::unlinkat>("", {ENOENT}));
}

}  // namespace
}  // namespace weft::testing

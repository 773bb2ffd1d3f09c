// Open files. Goal: what the header says of each call, of the position, of the cache, of locks and of closing. Method:
// each sentence in simulations and on runtimes, on both backends; calls of the kernel's that are stalled or fail.
#include "weft/fs/file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "lib/os/syscalls.h"
#include "lib/testing/syscall_fault.h"
#include "tests/fs/scratch.h"
#include "tests/fs/stalled_call.h"
#include "tests/net/on_backends.h"
#include "tests/support/child_process.h"
#include "tests/support/on_both.h"
#include "weft/cancel_reason.h"
#include "weft/cancellation.h"
#include "weft/errno.h"
#include "weft/fs/contents.h"
#include "weft/io/pipe.h"
#include "weft/io/stream.h"
#include "weft/io/unique_descriptor.h"
#include "weft/net/unix_stream.h"
#include "weft/runtime.h"
#include "weft/scope.h"
#include "weft/task.h"
#include "weft/testing/simulation.h"
#include "weft/time.h"

namespace weft::testing {
namespace {

using fs::File;
using fs::LockKind;
using fs::WriteFile;
using internal::ScopedSyscallFault;
using internal::Syscalls;

static_assert(io::Reader<File> && io::VectoredWriter<File>);

class FileTest : public OnBackends {};
WEFT_ON_BACKENDS(FileTest);
class NamedPipeTest : public OnBackends {};
WEFT_ON_REAL_BACKENDS(NamedPipeTest);

Task<std::string> ReadText(File& file, size_t size, uint64_t offset) {
  std::string text(size, '?');
  const absl::StatusOr<size_t> got = co_await file.ReadAt(text, offset);
  EXPECT_TRUE(got.ok()) << got.status();
  text.resize(got.value_or(0));
  co_return text;
}

TEST_P(FileTest, ReadsAndWritesAtItsPositionAndAtPlaces) {
  Everywhere([]() -> Task<void> {
    const Scratch scratch;
    File file = (co_await File::Open(scratch / "f", {.write = true, .create = true})).value();
    EXPECT_EQ(file.path(), scratch / "f");
    EXPECT_EQ(co_await file.Write("hello "), absl::OkStatus());
    EXPECT_EQ(co_await file.Write("world"), absl::OkStatus());
    EXPECT_EQ(file.position(), 11u);
    EXPECT_EQ(co_await file.WriteAt("J", 0), absl::OkStatus());
    EXPECT_EQ(file.position(), 11u);
    char buffer[64];
    EXPECT_EQ((co_await file.Read(buffer)).value(), 0u);
    file.SeekTo(4);
    const size_t got = (co_await file.Read(buffer)).value();
    EXPECT_EQ(std::string(buffer, got), "o world");
    EXPECT_EQ(file.position(), 11u);
    EXPECT_EQ(co_await ReadText(file, 5, 0), "Jello");
    // Fewer only at the end.
    EXPECT_EQ(co_await ReadText(file, 64, 6), "world");
    EXPECT_EQ(co_await ReadText(file, 64, 11), "");
    EXPECT_EQ(co_await ReadText(file, 0, 0), "");
    EXPECT_EQ((co_await file.Read({})).value(), 0u);
    // A hole.
    EXPECT_EQ(co_await file.WriteAt("!", 13), absl::OkStatus());
    EXPECT_EQ(co_await ReadText(file, 64, 10), std::string("d\0\0!", 4));
    EXPECT_EQ(co_await file.Close(), absl::OkStatus());
  });
}

TEST_P(FileTest, WritesManyPartsAndManyBytesInTheirOrder) {
  Everywhere([]() -> Task<void> {
    const Scratch scratch;
    File file = (co_await File::Open(scratch / "f", {.write = true, .create = true})).value();
    std::string expected;
    std::vector<std::string> texts;
    for (int i = 0; i < 100; ++i) texts.push_back(std::string(static_cast<size_t>(i % 5) * 25'000, 'a' + i % 26));
    std::vector<ConstBuffer> parts;
    for (const std::string& text : texts) {
      parts.push_back(text);
      expected += text;
    }
    EXPECT_GT(expected.size(), size_t{4} << 20);
    EXPECT_EQ(co_await file.Write(parts), absl::OkStatus());
    EXPECT_EQ(file.position(), expected.size());
    EXPECT_TRUE(scratch.Read("f") == expected);
    EXPECT_TRUE(co_await ReadText(file, expected.size() + 1, 0) == expected);
    EXPECT_EQ(co_await file.Write(std::vector<ConstBuffer>{{}, {}}), absl::OkStatus());
    EXPECT_EQ(co_await file.Write(ConstBuffer()), absl::OkStatus());
    EXPECT_EQ((co_await file.Size()).value(), expected.size());
  });
}

TEST_P(FileTest, OpensAsItsOptionsSay) {
  Everywhere([]() -> Task<void> {
    const Scratch scratch;
    const auto errno_of = [&](std::string name, fs::OpenOptions options) -> Task<int> {
      co_return ErrnoOf((co_await File::Open(scratch / name, options)).status());
    };
    EXPECT_EQ(co_await errno_of("none", {}), ENOENT);
    EXPECT_EQ(co_await errno_of("f", {.read = false}), EINVAL);
    EXPECT_EQ(co_await errno_of("f", {.truncate = true}), EINVAL);
    EXPECT_EQ(co_await errno_of(std::string("f\0g", 3), {}), EINVAL);
    EXPECT_EQ(co_await errno_of("f", {.write = true, .exclusive = true, .permissions = 0600}), 0);
    EXPECT_EQ(co_await errno_of("f", {.write = true, .exclusive = true}), EEXIST);
    scratch.Write("f", "text");
    scratch.Link("f", "l");
    EXPECT_EQ(co_await errno_of("l", {.follow_links = false}), ELOOP);
    EXPECT_EQ(co_await errno_of("l", {.read = false, .write = true, .truncate = true}), 0);
    EXPECT_EQ(scratch.Read("f"), "");
    const absl::StatusOr<File> missing = co_await File::Open(scratch / "none");
    EXPECT_EQ(missing.status().code(), absl::StatusCode::kNotFound);
    EXPECT_NE(missing.status().message().find("open " + scratch / "none"), std::string::npos) << missing.status();

    const File file = (co_await File::Open(scratch / "f")).value();
    EXPECT_NE(internal::Sys().fcntl(file.native_handle(), F_GETFD, 0) & FD_CLOEXEC, 0);
    struct stat status;
    EXPECT_EQ(internal::Sys().fstat(file.native_handle(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777, 0600u);
  });
}

TEST_P(FileTest, AppendsAtTheEndWhoeverElseWrites) {
  Everywhere([]() -> Task<void> {
    const Scratch scratch;
    File log = (co_await File::Open(scratch / "f", {.append = true, .create = true})).value();
    File other = (co_await File::Open(scratch / "f", {.write = true})).value();
    EXPECT_EQ(co_await log.Write("1"), absl::OkStatus());
    EXPECT_EQ(co_await other.Append("2"), absl::OkStatus());
    EXPECT_EQ(co_await log.Append("3"), absl::OkStatus());
    EXPECT_EQ(log.position(), 0u);
    EXPECT_EQ(other.position(), 0u);
    EXPECT_EQ(scratch.Read("f"), "123");
    EXPECT_EQ(co_await ReadText(log, 9, 1), "23");
    EXPECT_EQ(ErrnoOf(co_await log.WriteAt("4", 0)), EINVAL);
  });
}

TEST_P(FileTest, SyncsCutsGrowsAndTells) {
  Everywhere([]() -> Task<void> {
    const Scratch scratch;
    File file = (co_await File::Open(scratch / "f", {.write = true, .create = true})).value();
    EXPECT_EQ(co_await file.Write("0123456789"), absl::OkStatus());
    EXPECT_EQ(co_await file.DataSync(), absl::OkStatus());
    EXPECT_EQ(co_await file.Truncate(4), absl::OkStatus());
    EXPECT_EQ((co_await file.Size()).value(), 4u);
    EXPECT_EQ(co_await file.Allocate(0, 100'000), absl::OkStatus());
    const fs::FileInfo info = (co_await file.Stat()).value();
    EXPECT_EQ(info.type, fs::FileType::kRegular);
    EXPECT_EQ(info.size, 100'000u);
    EXPECT_GE(info.allocated, 100'000u);
    EXPECT_EQ(info.links, 1u);
    struct stat made;  // by the same clock
    EXPECT_EQ(internal::Sys().fstatat(AT_FDCWD, scratch.path().c_str(), &made, 0), 0);
    EXPECT_LT(absl::AbsDuration(absl::TimeFromTimespec(made.st_mtim) - info.modified), absl::Hours(1));
    // The entries of a directory.
    File directory = (co_await File::Open(scratch.path())).value();
    EXPECT_EQ(co_await directory.Sync(), absl::OkStatus());
    char byte[1];
    EXPECT_EQ(ErrnoOf((co_await directory.Read(byte)).status()), EISDIR);
    EXPECT_EQ(ErrnoOf(co_await directory.Write("x")), EBADF);
  });
}

TEST_P(FileTest, ItsPermissionsAndItsTimesAreSet) {
  Everywhere([]() -> Task<void> {
    const Scratch scratch;
    scratch.Write("f", "text");
    File file = (co_await File::Open(scratch / "f")).value();
    EXPECT_EQ(co_await file.SetPermissions(06751), absl::OkStatus());
    EXPECT_EQ((co_await file.Stat()).value().permissions, 06751u);
    EXPECT_EQ(ErrnoOf(co_await file.SetPermissions(010000)), EINVAL);
    const absl::Time one = absl::FromUnixSeconds(1'000'000'000), two = absl::FromUnixNanos(1'500'000'000'123'456'789);
    EXPECT_EQ(co_await file.SetTimes({.accessed = one, .modified = two}), absl::OkStatus());
    EXPECT_EQ(co_await file.SetTimes({.accessed = two}), absl::OkStatus());
    EXPECT_EQ(co_await file.SetTimes({.modified = one}), absl::OkStatus());
    EXPECT_EQ(co_await file.SetTimes({}), absl::OkStatus());
    for (const absl::Time never : {absl::InfinitePast(), absl::InfiniteFuture()}) {
      EXPECT_EQ(ErrnoOf(co_await file.SetTimes({.modified = never})), EINVAL);
    }
    const fs::FileInfo info = (co_await file.Stat()).value();
    EXPECT_EQ(info.accessed, two);
    EXPECT_EQ(info.modified, one);
    EXPECT_GT(info.changed, two);
  });
}

// To some calls of the kernel, -1 is the place where the descriptor stands.
TEST_P(FileTest, APlaceThatNoFileHasIsAnError) {
  Everywhere([]() -> Task<void> {
    const Scratch scratch;
    scratch.Write("f", "text");
    File file = (co_await File::Open(scratch / "f", {.read = true, .write = true})).value();
    char byte[1];
    for (const uint64_t place : {UINT64_MAX, uint64_t{1} << 63}) {
      EXPECT_EQ(ErrnoOf((co_await file.ReadAt(byte, place)).status()), EINVAL);
      EXPECT_EQ(ErrnoOf(co_await file.WriteAt("x", place)), EINVAL);
      file.SeekTo(place);
      EXPECT_EQ(ErrnoOf((co_await file.Read(byte)).status()), EINVAL);
      EXPECT_EQ(ErrnoOf(co_await file.Write("x")), EINVAL);
      EXPECT_EQ(file.position(), place);
    }
    EXPECT_EQ(scratch.Read("f"), "text");
  });
}

TEST_P(NamedPipeTest, ItIsNotWaitedForAndIsNoFile) {
  Everywhere([]() -> Task<void> {
    const Scratch scratch;
    EXPECT_EQ(::mkfifo((scratch / "pipe").c_str(), 0600), 0);
    File reader = (co_await File::Open(scratch / "pipe")).value();
    char byte[1];
    EXPECT_EQ(ErrnoOf((co_await reader.Read(byte)).status()), ESPIPE);
    File writer = (co_await File::Open(scratch / "pipe", {.read = false, .write = true})).value();
    EXPECT_EQ(ErrnoOf(co_await writer.Write("x")), ESPIPE);
  });
}

// One with a reader, and what it has no room for.
struct SlowPipe {
  SlowPipe() {
    EXPECT_EQ(::mkfifo(path.c_str(), 0600), 0);
    reader = ::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  }

  const Scratch scratch;
  const std::string path = scratch / "pipe";
  int reader = -1;  // closed by the test
  const std::string text = std::string(300'000, 'x');
};

TEST_P(NamedPipeTest, WriteFileWaitsForASlowReader) {
  Everywhere([]() -> Task<void> {
    const SlowPipe pipe;
    AwaitAll scope;
    scope.Fork([&]() -> Task<void> { EXPECT_EQ(co_await WriteFile(pipe.path, pipe.text), absl::OkStatus()); });
    size_t got = 0;
    std::vector<char> buffer(10'000);
    while (got < pipe.text.size()) {
      const ssize_t bytes = ::read(pipe.reader, buffer.data(), buffer.size());
      if (bytes > 0) got += static_cast<size_t>(bytes);
      co_await Yield();
    }
    (co_await scope.Join()).IgnoreFailures();
    ::close(pipe.reader);
  });
}

// In real time: a call in the pool knows no other.
TEST(NamedPipeCancelTest, AWriteFileThatWaitsForAReaderCanBeCancelled) {
  const SlowPipe pipe;
  const auto runtime = Runtime::Create({.parallelism = 1}).value();
  const absl::Status late = runtime->Run(WithTimeout(absl::Milliseconds(1), WriteFile(pipe.path, pipe.text)));
  EXPECT_EQ(late.code(), absl::StatusCode::kDeadlineExceeded) << late;
  ::close(pipe.reader);
}

TEST(NamedPipeCancelTest, AReaderThatLeavesIsAStatus) {
  const SlowPipe pipe;
  const auto runtime = Runtime::Create({.parallelism = 1}).value();
  runtime->Run([&]() -> Task<void> {
    AwaitAll scope;
    auto written = scope.Fork(WriteFile(pipe.path, pipe.text));
    int bytes = 0;
    while (bytes == 0) {
      EXPECT_EQ(::ioctl(pipe.reader, FIONREAD, &bytes), 0);
      co_await Yield();
    }
    ::close(pipe.reader);
    (co_await scope.Join()).IgnoreFailures();
    EXPECT_EQ(ErrnoOf(written.status()), EPIPE) << written.status();
  });
}

TEST(SigpipeDeathTest, AFileThatIsNoPipeLeavesItsActionAsItIs) {
  EXPECT_EXIT(
      {
        const Scratch scratch;
        const absl::Status written =
            Runtime::Create({.parallelism = 1}).value()->Run(WriteFile(scratch / "f", "text"));
        struct sigaction action = {};
        ::sigaction(SIGPIPE, nullptr, &action);
        ::_exit(written.ok() && action.sa_handler == SIG_DFL ? 7 : 8);
      },
      ::testing::ExitedWithCode(7), "");
}

// ---- What somebody else has opened.

// An open file of the test's own.
int OpenByHand(const std::string& path, int flags) {
  const int fd = internal::Sys().openat(AT_FDCWD, path.c_str(), flags, 0600);
  EXPECT_GE(fd, 0) << path;
  return fd;
}

TEST_P(FileTest, WhatSomebodyElseHasOpenedIsTakenOverWhereItStands) {
  Everywhere([]() -> Task<void> {
    const Scratch scratch;
    scratch.Write("f", "0123456789");
    const int fd = OpenByHand(scratch / "f", O_RDWR);
    char buffer[4];
    EXPECT_EQ(internal::Sys().read(fd, buffer, 4), 4);
    EXPECT_EQ(internal::Sys().fcntl(fd, F_GETFD, 0), 0);
    {
      File file = File::Adopt(fd).value();
      EXPECT_EQ(file.native_handle(), fd);
      EXPECT_EQ(internal::Sys().fcntl(fd, F_GETFD, 0), FD_CLOEXEC);
      EXPECT_EQ(file.path(), "/proc/self/fd/" + std::to_string(fd));
      EXPECT_EQ(file.position(), 4u);
      EXPECT_EQ((co_await file.Read(buffer)).value(), 4u);
      EXPECT_EQ(std::string(buffer, 4), "4567");
      EXPECT_EQ(co_await file.Write("AB"), absl::OkStatus());
      EXPECT_EQ(co_await file.WriteAt("C", 0), absl::OkStatus());
      EXPECT_EQ(file.position(), 10u);
      EXPECT_EQ(internal::Sys().lseek(fd, 0, SEEK_CUR), 4);
    }
    EXPECT_EQ(internal::Sys().fcntl(fd, F_GETFD, 0), -1);
    EXPECT_EQ(scratch.Read("f"), "C1234567AB");
  });
}

TEST_P(FileTest, WhatWasOpenedToAppendAppends) {
  Everywhere([]() -> Task<void> {
    const Scratch scratch;
    scratch.Write("f", "1");
    File file = File::Adopt(OpenByHand(scratch / "f", O_RDWR | O_APPEND)).value();
    EXPECT_EQ(co_await file.Write("2"), absl::OkStatus());
    EXPECT_EQ(file.position(), 0u);
    EXPECT_EQ(ErrnoOf(co_await file.WriteAt("3", 0)), EINVAL);
    EXPECT_EQ(scratch.Read("f"), "12");
    // What it was not opened for it cannot do, and a directory can be synced.
    File reader = File::Adopt(OpenByHand(scratch / "f", O_RDONLY)).value();
    EXPECT_EQ(ErrnoOf(co_await reader.Write("x")), EBADF);
    File directory = File::Adopt(OpenByHand(scratch.path(), O_RDONLY | O_DIRECTORY)).value();
    EXPECT_EQ(co_await directory.Sync(), absl::OkStatus());
  });
}

TEST_P(FileTest, WhatIsNoFileIsRefusedAndClosed) {
  Everywhere([]() -> Task<void> {
    const Scratch scratch;
    scratch.Write("f", "text");
    int pipe[2], sockets[2];
    EXPECT_EQ(internal::Sys().pipe2(pipe, O_NONBLOCK), 0);
    EXPECT_EQ(internal::Sys().socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, sockets), 0);
    const int epoll = internal::Sys().epoll_create1(0), path_only = OpenByHand(scratch / "f", O_PATH);
    for (const int fd : {pipe[0], pipe[1], sockets[0], sockets[1], epoll, path_only}) {
      const absl::Status refused = File::Adopt(fd).status();
      EXPECT_EQ(ErrnoOf(refused), fd == path_only ? EBADF : ESPIPE) << refused;
      EXPECT_EQ(internal::Sys().fcntl(fd, F_GETFD, 0), -1);
      EXPECT_EQ(ErrnoOf(File::Adopt(fd).status()), EBADF);
    }
    EXPECT_EQ(ErrnoOf(File::Adopt(-1).status()), EBADF);
    co_return;
  });
}

// Its number may be somebody else's by then.
TEST(FileAdoptTest, WhatIsNotOpenIsNotClosed) {
  const int fd = ::dup(0);
  ::close(fd);
  const ScopedSyscallFault closes(&Syscalls::close, {.times = 0});
  EXPECT_EQ(ErrnoOf(File::Adopt(fd).status()), EBADF);
  EXPECT_EQ(closes.calls(), 0);
}

TEST_P(NamedPipeTest, ATerminalAndACounterAreNoFilesAndADeviceMayBeOne) {
  Everywhere([]() -> Task<void> {
    const int terminal = ::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC), counter = ::eventfd(0, EFD_CLOEXEC);
    EXPECT_GE(terminal, 0);
    for (const int fd : {terminal, counter}) {
      const absl::Status refused = File::Adopt(fd).status();
      EXPECT_EQ(ErrnoOf(refused), ESPIPE) << refused;
    }
    File zeros = File::Adopt(OpenByHand("/dev/zero", O_RDONLY)).value();
    EXPECT_EQ(co_await ReadText(zeros, 2, 100), std::string(2, '\0'));
  });
}

TEST_P(FileTest, AFileThatAProcessSendsIsTakenOver) {
  Everywhere([]() -> Task<void> {
    const Scratch scratch;
    scratch.Write("f", "text");
    auto [from, to] = net::UnixStream::Pair().value();
    {
      const File sent = (co_await File::Open(scratch / "f")).value();
      const int number = sent.native_handle();
      EXPECT_EQ(co_await from.Send("f", {&number, 1}), absl::OkStatus());
    }
    char byte[1];
    std::vector<io::UniqueDescriptor> received;
    EXPECT_EQ((co_await to.Receive(byte, received)).value(), 1u);
    absl::StatusOr<File> file = File::Adopt(received.at(0).Release());
    EXPECT_TRUE(file.ok()) << file.status();
    EXPECT_EQ(co_await ReadText(*file, 9, 0), "text");
  });
}

TEST_P(FileTest, AFileOfMemoryIsTakenOver) {
  Everywhere([]() -> Task<void> {
    File file = File::Adopt(::memfd_create("f", 0)).value();
    EXPECT_EQ(co_await file.Write("text"), absl::OkStatus());
    EXPECT_EQ(co_await ReadText(file, 9, 1), "ext");
    EXPECT_EQ((co_await file.Size()).value(), 4u);
    EXPECT_EQ(co_await file.Close(), absl::OkStatus());
  });
}

// ---- The cache.

// Some file systems, like overlayfs and tmpfs, refuse to say what is cached.
bool SaysWhatIsCached(const File& file) {
  char byte;
  const iovec part = {&byte, 1};
  return ::preadv2(file.native_handle(), &part, 1, 0, RWF_NOWAIT) == 1;
}

TEST(FileCacheTest, WhatIsCachedIsReadWithoutThePoolAndTheRestByIt) {
  const Scratch scratch;
  const std::string text(300'000, 'x');  // more than is copied on the carrier
  scratch.Write("f", text);
  const auto runtime = Runtime::Create({.parallelism = 1}).value();
  runtime->Run([](const std::string& path, const std::string& expected) -> Task<void> {
    File file = (co_await File::Open(path)).value();
    const bool says = SaysWhatIsCached(file);
    ScopedSyscallFault plain(&Syscalls::pread, {.times = 0});
    EXPECT_EQ(co_await ReadText(file, 1000, 0), expected.substr(0, 1000));
    EXPECT_EQ(plain.calls(), says ? 0 : 1);
    EXPECT_EQ(co_await ReadText(file, 1000, expected.size() - 500), expected.substr(0, 500));
    EXPECT_EQ(plain.calls(), says ? 1 : 3);  // the end, once more
    EXPECT_TRUE(co_await ReadText(file, 400'000, 0) == expected);
    EXPECT_EQ(plain.calls(), says ? 3 : 5);
    for (const int error : {EAGAIN, EOPNOTSUPP, EIO, EINTR, EINVAL}) {
      ScopedSyscallFault cached(&Syscalls::preadv2, {.times = ScopedSyscallFault::kForever, .error = error});
      EXPECT_EQ(co_await ReadText(file, 1000, 5), expected.substr(0, 1000));
      char buffer[10];
      file.SeekTo(expected.size() - 5);
      EXPECT_EQ((co_await file.Read(buffer)).value(), 5u);
      EXPECT_EQ((co_await file.Read(buffer)).value(), 0u);
    }
  }(scratch / "f", text));
  // An error of the pool's call is what is returned.
  runtime->Run([](const std::string& path) -> Task<void> {
    File file = (co_await File::Open(path)).value();
    ScopedSyscallFault cached(&Syscalls::preadv2, {.error = EAGAIN});
    ScopedSyscallFault plain(&Syscalls::pread, {.error = EIO});
    char buffer[10];
    const absl::StatusOr<size_t> got = co_await file.Read(buffer);
    EXPECT_EQ(ErrnoOf(got.status()), EIO);
    EXPECT_NE(got.status().message().find("read " + path), std::string::npos) << got.status();
    EXPECT_EQ(file.position(), 0u);
    EXPECT_EQ((co_await file.Read(buffer)).value(), 10u);
  }(scratch / "f"));
}

// The bug of Linux 5.9 and 5.10: the cache says that the file ends where it does not.
TEST(FileCacheTest, AnEndThatOnlyTheCacheSeesIsNone) {
  static const Syscalls lying = [] {
    Syscalls table = internal::RealSyscalls();
    table.preadv2 = [](int, const iovec*, int, off_t, int) -> ssize_t { return 0; };
    return table;
  }();
  const Scratch scratch;
  scratch.Write("f", "text");
  const auto runtime = Runtime::Create({.parallelism = 1}).value();
  const internal::ScopedSyscalls scope(lying);
  runtime->Run([](const std::string& path) -> Task<void> {
    File file = (co_await File::Open(path)).value();
    EXPECT_EQ(co_await ReadText(file, 9, 0), "text");
    EXPECT_EQ(co_await ReadText(file, 9, 4), "");
  }(scratch / "f"));
}

// The cache, which no seed determines, has no part in it.
TEST(FileSeedTest, ASeedDeterminesARunWithFiles) {
  const Scratch scratch;
  scratch.Write("f", "0123456789");
  const auto run = [&scratch](uint64_t seed) {
    Simulation simulation({.carriers = 2, .seed = seed});
    std::string order;
    simulation.Run([](const std::string& path, std::string& trace) -> Task<void> {
      AwaitAll scope;
      for (char name = 'a'; name < 'f'; ++name) {
        scope.Fork([&path, &trace, name]() -> Task<void> {
          File file = (co_await File::Open(path)).value();
          trace += name;
          char byte[1];
          for (int i = 0; i < 3; ++i) EXPECT_EQ((co_await file.Read(byte)).value(), 1u);
          trace += name;
        });
      }
      (co_await scope.Join()).IgnoreFailures();
    }(scratch / "f", order));
    return std::make_pair(order, simulation.trace_hash());
  };
  bool differ = false;
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    EXPECT_EQ(run(seed), run(seed));
    differ |= run(seed) != run(seed + 1);
  }
  EXPECT_TRUE(differ);
}

// ---- Locks.

TEST_P(FileTest, ALockExcludesOtherOpenFilesUntilItGoes) {
  Everywhere([]() -> Task<void> {
    const Scratch scratch;
    scratch.Write("f", "");
    File one = (co_await File::Open(scratch / "f")).value();
    File two = (co_await File::Open(scratch / "f")).value();
    {
      fs::FileLock shared = (co_await one.Lock(LockKind::kShared)).value();
      EXPECT_TRUE((co_await two.TryLock(LockKind::kShared)).value().has_value());
      EXPECT_FALSE((co_await two.TryLock(LockKind::kExclusive)).value().has_value());
      shared.Unlock();
      shared.Unlock();
      fs::FileLock exclusive = (co_await two.Lock(LockKind::kExclusive)).value();
      EXPECT_FALSE((co_await one.TryLock(LockKind::kShared)).value().has_value());
      shared = std::move(exclusive);
      EXPECT_FALSE((co_await one.TryLock(LockKind::kShared)).value().has_value());
    }
    fs::FileLock last = (co_await one.Lock(LockKind::kExclusive)).value();
    // A close gives it back.
    EXPECT_EQ(co_await one.Close(), absl::OkStatus());
    EXPECT_TRUE((co_await two.TryLock(LockKind::kExclusive)).value().has_value());
    last.Unlock();
  });
}

TEST_P(FileTest, WhoWaitsForALockGetsItOrIsCancelledOrLearnsThatTheFileWasClosed) {
  Everywhere([]() -> Task<void> {
    const Scratch scratch;
    scratch.Write("f", "");
    File one = (co_await File::Open(scratch / "f")).value();
    File two = (co_await File::Open(scratch / "f")).value();
    File three = (co_await File::Open(scratch / "f")).value();
    std::optional<fs::FileLock> held = (co_await one.Lock(LockKind::kExclusive)).value();
    const auto late = co_await WithTimeout(absl::Milliseconds(20), two.Lock(LockKind::kShared));
    EXPECT_EQ(late.status().code(), absl::StatusCode::kDeadlineExceeded);
    AwaitAll scope;
    Introduction waiting, closed;
    std::atomic<bool> released = false;
    scope.Fork([&]() -> Task<void> {
      waiting.Make();
      EXPECT_TRUE((co_await two.Lock(LockKind::kExclusive)).ok());
      EXPECT_TRUE(released);
    });
    scope.Fork([&]() -> Task<void> {
      closed.Make();
      EXPECT_EQ(ErrnoOf((co_await three.Lock(LockKind::kExclusive)).status()), EBADF);
    });
    co_await waiting.AwaitParked();
    co_await closed.AwaitParked();
    EXPECT_EQ(co_await three.Close(), absl::OkStatus());
    released = true;
    held.reset();
    EXPECT_TRUE((co_await scope.Join()).ok());
  });
}

TEST(FileForkTest, AChildOfForkThatDestroysALockLeavesItToItsParent) {
  const Scratch scratch;
  scratch.Write("f", "");
  const auto runtime = Runtime::Create({.parallelism = 1}).value();
  runtime->Run([](const Scratch& in) -> Task<void> {
    File one = (co_await File::Open(in / "f")).value();
    File two = (co_await File::Open(in / "f")).value();
    std::optional<fs::FileLock> lock = (co_await one.Lock(LockKind::kExclusive)).value();
    const ChildEnd end = InChild([&lock] {
      lock.reset();
      ::_exit(7);
    });
    EXPECT_TRUE(end.Exited(7)) << end;
    EXPECT_FALSE((co_await two.TryLock(LockKind::kExclusive)).value().has_value());
  }(scratch));
}

TEST(FileDeathTest, ASecondLockOfOneFileNamesIt) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(
      {
        const Scratch scratch;
        scratch.Write("twice", "");
        Runtime::Create({.parallelism = 1}).value()->Run([](std::string path) -> Task<void> {
          File file = (co_await File::Open(path)).value();
          const fs::FileLock first = (co_await file.Lock(LockKind::kShared)).value();
          static_cast<void>(co_await file.TryLock(LockKind::kShared));
        }(scratch / "twice"));
      },
      "a second lock on the File of .*twice");
}

// ---- Closing.

TEST_P(FileTest, AClosedFileSaysSoAndClosesOnce) {
  Everywhere([]() -> Task<void> {
    const Scratch scratch;
    scratch.Write("f", "text");
    File file = (co_await File::Open(scratch / "f", {.write = true})).value();
    EXPECT_TRUE(file.is_open());
    EXPECT_EQ(co_await file.Close(), absl::OkStatus());
    EXPECT_EQ(co_await file.Close(), absl::OkStatus());
    EXPECT_FALSE(file.is_open());
    EXPECT_EQ(file.native_handle(), -1);
    char byte[1];
    std::vector<absl::Status> all;
    all.push_back((co_await file.Read(byte)).status());
    all.push_back((co_await file.ReadAt(byte, 0)).status());
    all.push_back(co_await file.Write("x"));
    all.push_back(co_await file.WriteAt("x", 0));
    all.push_back(co_await file.Append("x"));
    all.push_back(co_await file.Sync());
    all.push_back(co_await file.DataSync());
    all.push_back(co_await file.Truncate(0));
    all.push_back(co_await file.Allocate(0, 1));
    all.push_back((co_await file.Size()).status());
    all.push_back((co_await file.Stat()).status());
    all.push_back(co_await file.SetPermissions(0600));
    all.push_back(co_await file.SetTimes({}));
    all.push_back((co_await file.Lock(LockKind::kShared)).status());
    all.push_back((co_await file.TryLock(LockKind::kShared)).status());
    for (const absl::Status& status : all) {
      EXPECT_EQ(ErrnoOf(status), EBADF);
      EXPECT_NE(status.message().find("closed here"), std::string::npos) << status;
    }
    // What a move replaces is closed.
    File other = (co_await File::Open(scratch / "f")).value();
    const int number = other.native_handle();
    other = std::move(file);
    EXPECT_EQ(internal::Sys().fcntl(number, F_GETFD, 0), -1);
  });
}

TEST_P(FileTest, ACloseWaitsForCallsThatHaveBegunAndLaterOnesFail) {
  Everywhere([]() -> Task<void> {
    const Scratch scratch;
    File file = (co_await File::Open(scratch / "f", {.write = true, .create = true})).value();
    const int number = file.native_handle();
    StalledCall<&Syscalls::fsync> stalled;
    std::atomic<bool> went = false;
    AwaitAll scope;
    scope.Fork([&]() -> Task<void> { EXPECT_EQ(co_await file.Sync(), absl::OkStatus()); });
    co_await stalled.Begun();
    scope.Fork([&]() -> Task<void> {
      EXPECT_EQ(co_await file.Close(), absl::OkStatus());
      EXPECT_TRUE(went);
      EXPECT_EQ(internal::Sys().fcntl(number, F_GETFD, 0), -1);
    });
    while (file.is_open()) co_await Yield();
    EXPECT_EQ(co_await file.Close(), absl::OkStatus());  // the other one closes it
    EXPECT_EQ(ErrnoOf((co_await file.Size()).status()), EBADF);
    EXPECT_NE(internal::Sys().fcntl(number, F_GETFD, 0), -1);
    went = true;
    stalled.Go();
    EXPECT_TRUE((co_await scope.Join()).ok());
  });
}

TEST_P(FileTest, ACloseThatIsCancelledWhileItWaitsClosesAllTheSame) {
  Everywhere([]() -> Task<void> {
    const Scratch scratch;
    File file = (co_await File::Open(scratch / "f", {.write = true, .create = true})).value();
    const int number = file.native_handle();
    StalledCall<&Syscalls::fsync> stalled;
    AwaitAll scope;
    scope.Fork([&]() -> Task<void> { EXPECT_EQ(co_await file.Sync(), absl::OkStatus()); });
    co_await stalled.Begun();
    EXPECT_EQ(ReasonOf(co_await StopOnceItWaits(file.Close())).kind, CancelReason::Kind::kStopRequested);
    EXPECT_FALSE(file.is_open());
    stalled.Go();
    EXPECT_TRUE((co_await scope.Join()).ok());
    EXPECT_EQ(internal::Sys().fcntl(number, F_GETFD, 0), -1);
  });
}

TEST_P(FileTest, TheDestructorDoesNotWaitForCallsThatHaveBegun) {
  Everywhere([]() -> Task<void> {
    const Scratch scratch;
    std::optional<File> file = (co_await File::Open(scratch / "f", {.write = true, .create = true})).value();
    const int number = file->native_handle();
    StalledCall<&Syscalls::fsync> stalled;
    AwaitAll scope;
    scope.Fork(file->Sync());
    co_await stalled.Begun();
    file.reset();
    EXPECT_NE(internal::Sys().fcntl(number, F_GETFD, 0), -1);
    stalled.Go();
    EXPECT_TRUE((co_await scope.Join()).ok());
    EXPECT_EQ(internal::Sys().fcntl(number, F_GETFD, 0), -1);
  });
}

// What a quota or a network's file system says only then.
TEST(FileCloseTest, CloseSaysWhatTheKernelSays) {
  Simulation simulation({.carriers = 1, .seed = 1});
  simulation.Run([]() -> Task<void> {
    const Scratch scratch;
    for (const int error : {EDQUOT, EIO, EINTR}) {
      File file = (co_await File::Open(scratch / "f", {.write = true, .create = true})).value();
      const int number = file.native_handle();
      ScopedSyscallFault fault(&Syscalls::close, {.error = error});
      const absl::Status closed = co_await file.Close();
      EXPECT_EQ(ErrnoOf(closed), error == EINTR ? 0 : error) << closed;
      EXPECT_EQ(fault.calls(), 1);
      ::close(number);  // the fault did not
    }
  }());
}

}  // namespace
}  // namespace weft::testing

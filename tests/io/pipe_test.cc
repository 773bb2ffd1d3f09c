// Pipes, and the standard streams.
#include "weft/io/pipe.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "lib/coro/frame_fault.h"
#include "lib/os/syscalls.h"
#include "lib/testing/syscall_fault.h"
#include "tests/net/on_backends.h"
#include "tests/support/on_both.h"
#include "tests/support/read_to_end.h"
#include "weft/io/closed.h"
#include "weft/io/standard_streams.h"
#include "weft/weft.h"

namespace weft::testing {
namespace {

using internal::ScopedFrameFault;
using internal::ScopedSyscallFault;
using internal::Syscalls;
using io::MakePipe;
using io::PipeEnds;
using io::PipeReader;
using io::PipeWriter;
using io::StandardInput;
using io::StandardOutput;

bool PipesCanBeReadWithoutWaiting() {
  int fds[2];
  EXPECT_EQ(::pipe2(fds, O_CLOEXEC), 0);
  char byte;
  const iovec part = {&byte, 1};
  const bool can = ::preadv2(fds[0], &part, 1, -1, RWF_NOWAIT) < 0 && errno == EAGAIN;
  ::close(fds[0]);
  ::close(fds[1]);
  return can;
}

class PipeTest : public OnBackends {};
WEFT_ON_BACKENDS(PipeTest);

TEST_P(PipeTest, WhatIsWrittenIsReadAndTheLastCloseIsTheEnd) {
  Everywhere([]() -> Task<void> {
    PipeEnds pipe = *MakePipe();
    AwaitAll scope;
    scope.Fork([&]() -> Task<void> {
      EXPECT_TRUE((co_await pipe.writer.Write("one ")).ok());
      const std::vector<ConstBuffer> parts = {"two ", "", "three"};
      EXPECT_TRUE((co_await pipe.writer.Write(parts)).ok());
      pipe.writer.Close();
      EXPECT_FALSE(pipe.writer.is_open());
    });
    EXPECT_EQ(co_await ReadToEnd(pipe.reader), "one two three");
    (co_await scope.Join()).IgnoreFailures();
  });
}

TEST_P(PipeTest, AWriteOfMoreThanThePipeHoldsWaitsForTheReader) {
  Everywhere([]() -> Task<void> {
    PipeEnds pipe = *MakePipe();
    const std::string large(300'000, 'x');
    AwaitAll scope;
    scope.Fork([&]() -> Task<void> {
      EXPECT_TRUE((co_await pipe.writer.Write(large)).ok());
      pipe.writer.Close();
    });
    EXPECT_TRUE(co_await ReadToEnd(pipe.reader) == large);
    (co_await scope.Join()).IgnoreFailures();
  });
}

TEST_P(PipeTest, NothingToReadIntoAndNothingToWriteSucceedAtOnce) {
  Everywhere([]() -> Task<void> {
    PipeEnds pipe = *MakePipe();
    EXPECT_EQ(*co_await pipe.reader.Read({}), 0u);
    EXPECT_TRUE((co_await pipe.writer.Write("")).ok());
    EXPECT_TRUE((co_await pipe.writer.Write(std::span<const ConstBuffer>())).ok());
  });
}

TEST_P(PipeTest, AWriteThatNobodyReadsIsAnErrorAndNoSignal) {
  Everywhere([]() -> Task<void> {
    PipeEnds pipe = *MakePipe();
    pipe.reader.Close();
    EXPECT_EQ(ErrnoOf(co_await pipe.writer.Write("x")), EPIPE);
    EXPECT_EQ(ErrnoOf(co_await StandardOutput(pipe.writer.native_handle()).Write("x")), EPIPE);
  });
}

TEST_P(PipeTest, ACloseEndsTheOperationsOfOtherThreads) {
  Everywhere([]() -> Task<void> {
    PipeEnds pipe = *MakePipe();
    AwaitAll scope;
    scope.Fork([&]() -> Task<void> {
      char byte[1];
      EXPECT_TRUE(io::IsClosed((co_await pipe.reader.Read(byte)).status()));
    });
    for (int i = 0; i < 5; ++i) co_await Yield();
    pipe.reader.Close();
    (co_await scope.Join()).IgnoreFailures();
    char byte[1];
    EXPECT_TRUE(io::IsClosed((co_await pipe.reader.Read(byte)).status()));
  });
}

TEST_P(PipeTest, WhatBeginsAfterACloseFindsThePipeClosed) {
  Everywhere([]() -> Task<void> {
    PipeEnds pipe = *MakePipe();
    EXPECT_TRUE((co_await pipe.writer.Write("x")).ok());
    char byte[1];
    auto read = pipe.reader.Read(byte);
    pipe.reader.Close();
    EXPECT_TRUE(io::IsClosed((co_await std::move(read)).status()));
    EXPECT_FALSE(pipe.reader.is_open());
    Task<absl::Status> write = pipe.writer.Write("y");
    pipe.writer.Close();
    EXPECT_TRUE(io::IsClosed(co_await std::move(write)));
    EXPECT_FALSE(pipe.writer.is_open());
  });
}

TEST_P(PipeTest, ThereIsNoNumberAfterACloseAlsoWhileAReadIsPending) {
  Everywhere([]() -> Task<void> {
    PipeEnds pipe = *MakePipe();
    Introduction reading;
    AwaitAll scope;
    scope.Fork([&]() -> Task<void> {
      reading.Make();
      char byte[1];
      EXPECT_TRUE(io::IsClosed((co_await pipe.reader.Read(byte)).status()));
    });
    co_await reading.AwaitParked();
    EXPECT_GE(pipe.reader.native_handle(), 0);
    pipe.reader.Close();
    EXPECT_EQ(pipe.reader.native_handle(), -1);
    (co_await scope.Join()).IgnoreFailures();
  });
}

TEST_P(PipeTest, ACancelledReadTakesNothing) {
  Everywhere([]() -> Task<void> {
    PipeEnds pipe = *MakePipe();
    char buffer[8];
    EXPECT_FALSE((co_await MoveOnAfter(absl::Milliseconds(1), pipe.reader.Read(buffer))).has_value());
    EXPECT_TRUE((co_await pipe.writer.Write("kept")).ok());
    EXPECT_EQ(*co_await pipe.reader.Read(buffer), 4u);
  });
}

TEST_P(PipeTest, EndsMoveAndAMoveClosesWhatWasThere) {
  Everywhere([]() -> Task<void> {
    PipeEnds first = *MakePipe();
    PipeEnds second = *MakePipe();
    first.writer = std::move(second.writer);  // the first pipe has no writer any more
    EXPECT_EQ(co_await ReadToEnd(first.reader), "");
    EXPECT_TRUE((co_await first.writer.Write("second")).ok());
    first.writer.Close();
    EXPECT_EQ(co_await ReadToEnd(second.reader), "second");
  });
}

TEST_P(PipeTest, TheStandardStreamsLeaveADescriptorInItsMode) {
  Everywhere([]() -> Task<void> {
    int fds[2];
    EXPECT_EQ(internal::Sys().pipe2(fds, O_CLOEXEC), 0);
    AwaitAll scope;
    const std::string text(10'000, 'y');
    scope.Fork([&]() -> Task<void> {
      EXPECT_TRUE((co_await StandardOutput(fds[1]).Write(text)).ok());
      internal::Sys().close(fds[1]);
    });
    StandardInput in(fds[0]);
    EXPECT_TRUE(co_await ReadToEnd(in) == text);
    (co_await scope.Join()).IgnoreFailures();
    EXPECT_EQ(internal::Sys().fcntl(fds[0], F_GETFL, 0) & O_NONBLOCK, 0);
    internal::Sys().close(fds[0]);
  });
}

TEST_P(PipeTest, AReadOfStandardInputCanBeCancelledWhileThereIsNone) {
  Everywhere([]() -> Task<void> {
    int fds[2];
    EXPECT_EQ(internal::Sys().pipe2(fds, O_CLOEXEC), 0);
    char buffer[8];
    EXPECT_FALSE((co_await MoveOnAfter(absl::Milliseconds(1), StandardInput(fds[0]).Read(buffer))).has_value());
    EXPECT_EQ(internal::Sys().write(fds[1], "kept", 4), 4);
    EXPECT_EQ(*co_await StandardInput(fds[0]).Read(buffer), 4u);
    internal::Sys().close(fds[0]);
    internal::Sys().close(fds[1]);
  });
}

TEST_P(PipeTest, AReadOfStandardInputIntoNothingWaitsForNothing) {
  Everywhere([]() -> Task<void> {
    int fds[2];
    EXPECT_EQ(internal::Sys().pipe2(fds, O_CLOEXEC), 0);
    EXPECT_EQ(*co_await StandardInput(fds[0]).Read({}), 0u);
    internal::Sys().close(fds[0]);
    internal::Sys().close(fds[1]);
  });
}

// Both see that there is input, one gets it, and the other can be cancelled all the same.
TEST_P(PipeTest, AReadOfStandardInputCanBeCancelledAlsoIfAnotherWasFaster) {
  if (!PipesCanBeReadWithoutWaiting()) GTEST_SKIP() << "RWF_NOWAIT for pipes came with Linux 6.4";
  Everywhere([]() -> Task<void> {
    int fds[2];
    EXPECT_EQ(internal::Sys().pipe2(fds, O_CLOEXEC), 0);
    AwaitAll scope;
    std::atomic<int> read = 0;
    for (int i = 0; i < 2; ++i) {
      scope.Fork([&]() -> Task<void> {
        char buffer[8];
        EXPECT_EQ(*co_await StandardInput(fds[0]).Read(buffer), 1u);
        if (++read == 1) scope.Shutdown();
      });
    }
    for (int i = 0; i < 5; ++i) co_await Yield();
    EXPECT_EQ(internal::Sys().write(fds[1], "x", 1), 1);
    (co_await scope.Join()).IgnoreFailures();
    EXPECT_EQ(read, 1);
    internal::Sys().close(fds[0]);
    internal::Sys().close(fds[1]);
  });
}

TEST_P(PipeTest, AStandardStreamThatIsReadyNeedsNoDescriptor) {
  Everywhere([]() -> Task<void> {
    int fds[2];
    EXPECT_EQ(internal::Sys().pipe2(fds, O_CLOEXEC), 0);
    {
      const ScopedSyscallFault fault(&Syscalls::fcntl, {.times = ScopedSyscallFault::kForever, .error = EMFILE});
      EXPECT_EQ(co_await StandardOutput(fds[1]).Write("text"), absl::OkStatus());
      char buffer[8];
      const absl::StatusOr<size_t> got = co_await StandardInput(fds[0]).Read(buffer);
      EXPECT_TRUE(got.ok() && *got == 4u) << got.status();
    }
    internal::Sys().close(fds[0]);
    internal::Sys().close(fds[1]);
  });
}

TEST_P(PipeTest, EveryErrorOfTheCallsIsAStatus) {
  Everywhere([]() -> Task<void> {
    for (const int error : {EMFILE, ENFILE}) {
      const ScopedSyscallFault fault(&Syscalls::pipe2, {.error = error});
      EXPECT_EQ(ErrnoOf(MakePipe().status()), error);
    }
    PipeEnds pipe = *MakePipe();
    char byte[1];
    for (const int error : {EIO, EINVAL, EISDIR}) {
      const ScopedSyscallFault fault(&Syscalls::read, {.times = ScopedSyscallFault::kForever, .error = error});
      EXPECT_EQ(ErrnoOf((co_await pipe.reader.Read(byte)).status()), error);
    }
    for (const int error : {EIO, ENOSPC, EPIPE}) {
      const ScopedSyscallFault fault(&Syscalls::writev, {.error = error});
      EXPECT_EQ(ErrnoOf(co_await pipe.writer.Write("x")), error);
    }
    {
      const ScopedSyscallFault fault(&Syscalls::writev, {.times = 3, .error = EINTR});
      EXPECT_TRUE((co_await pipe.writer.Write("x")).ok());
    }
  });
}

// Both sides of a terminal that changes no byte. The program's is in blocking mode, as a shell has it.
struct Terminal {
  Terminal() : master(::posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC)) {
    EXPECT_EQ(::grantpt(master) | ::unlockpt(master), 0);
    slave = ::open(::ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);
    termios mode;
    EXPECT_EQ(::tcgetattr(slave, &mode), 0);
    ::cfmakeraw(&mode);
    EXPECT_EQ(::tcsetattr(slave, TCSANOW, &mode), 0);
  }
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;
  ~Terminal() {
    ::close(slave);
    ::close(master);
  }

  const int master;
  int slave = -1;
};

class TerminalTest : public OnBackends {
 protected:
  void SetUp() override {
    const int master = ::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    const char* const name = master < 0 ? nullptr : ::ptsname(master);
    if (name == nullptr || ::access(name, F_OK) != 0) GTEST_SKIP() << "there are no terminals";
    ::close(master);
    if (::access("/proc/self/fd", X_OK) != 0) GTEST_SKIP() << "a terminal cannot be opened once more";
  }
};
WEFT_ON_REAL_BACKENDS(TerminalTest);

// There is less room than a chunk at some time: a call that waits for more of it would never return.
TEST_P(TerminalTest, AWriteThatNobodyReadsCanBeCancelled) {
  Everywhere([]() -> Task<void> {
    const Terminal terminal;
    const std::string much(1'000'000, 'x');
    const auto written = co_await MoveOnAfter(absl::Milliseconds(50), StandardOutput(terminal.slave).Write(much));
    EXPECT_FALSE(written.has_value()) << *written;
  });
}

TEST_P(TerminalTest, WhatIsWrittenArrivesAndTheModeStays) {
  Everywhere([]() -> Task<void> {
    const Terminal terminal;
    std::string text;
    for (int i = 0; i < 20'000; ++i) text += std::to_string(i);
    PipeReader screen = *PipeReader::Adopt(::fcntl(terminal.master, F_DUPFD_CLOEXEC, 0));
    AwaitAll scope;
    scope.Fork([&]() -> Task<void> {
      EXPECT_EQ(co_await StandardOutput(terminal.slave).Write(text), absl::OkStatus());
      EXPECT_EQ(co_await StandardOutput(terminal.slave).Write(""), absl::OkStatus());
    });
    std::string shown;
    char buffer[1000];
    while (shown.size() < text.size()) {
      const absl::StatusOr<size_t> got = co_await screen.Read(buffer);
      EXPECT_TRUE(got.ok()) << got.status();
      if (!got.ok()) break;
      shown.append(buffer, *got);
    }
    EXPECT_TRUE(shown == text);
    (co_await scope.Join()).IgnoreFailures();
    EXPECT_EQ(::fcntl(terminal.slave, F_GETFL) & O_NONBLOCK, 0);
  });
}

// Its name leads to another one each time that it is opened.
TEST_P(TerminalTest, WhatIsWrittenToTheMasterArrivesAtItsOwnTerminal) {
  Everywhere([]() -> Task<void> {
    const Terminal terminal;
    EXPECT_EQ(co_await StandardOutput(terminal.master).Write("k"), absl::OkStatus());
    char buffer[8];
    EXPECT_EQ(*co_await StandardInput(terminal.slave).Read(buffer), 1u);
  });
}

// Pipes of an older kernel, sandboxes that do not know the call; and what a disk has to say, where poll(2) does not
// help.
TEST(StandardStreamTest, ACallThatMayBlockIsMadeOnAnOsThread) {
  (*Runtime::Create())->Run([]() -> Task<void> {
    for (const int error : {EOPNOTSUPP, EINVAL, ENOSYS, EPERM, EAGAIN}) {
      const bool has_to_wait_for_a_disk = error == EAGAIN;
      std::FILE* const file = std::tmpfile();
      int fds[2] = {::fileno(file), ::fileno(file)};
      if (!has_to_wait_for_a_disk) EXPECT_EQ(::pipe(fds), 0);
      {
        const ScopedSyscallFault fault(&Syscalls::pwritev2, {.error = error});
        EXPECT_TRUE((co_await StandardOutput(fds[1]).Write("text")).ok());
        EXPECT_EQ(fault.calls(), 1);
      }
      if (has_to_wait_for_a_disk) EXPECT_EQ(::lseek(fds[0], 0, SEEK_SET), 0);
      const ScopedSyscallFault fault(&Syscalls::preadv2, {.error = error});
      char buffer[8];
      EXPECT_EQ(*co_await StandardInput(fds[0]).Read(buffer), 4u);
      EXPECT_EQ(fault.calls(), 1);
      if (!has_to_wait_for_a_disk) EXPECT_EQ(::close(fds[0]) + ::close(fds[1]), 0);
      std::fclose(file);
    }
  }());
}

// The bug of Linux 5.9 and 5.10: the cache says that the file ends where it does not.
TEST(StandardStreamTest, AnEndThatOnlyTheCacheSeesIsNone) {
  static const Syscalls lying = [] {
    Syscalls table = internal::RealSyscalls();
    table.preadv2 = [](int, const iovec*, int, off_t, int) -> ssize_t { return 0; };
    return table;
  }();
  std::FILE* const file = std::tmpfile();
  std::fputs("text", file);
  std::rewind(file);
  {
    const internal::ScopedSyscalls scope(lying);
    (*Runtime::Create())->Run([&]() -> Task<void> {
      char buffer[8];
      EXPECT_EQ(*co_await StandardInput(::fileno(file)).Read(buffer), 4u);
      EXPECT_EQ(*co_await StandardInput(::fileno(file)).Read(buffer), 0u);
    });
  }
  std::fclose(file);
}

TEST(StandardStreamTest, ACarrierCopiesNoMoreThanAFileDoes) {
  static std::atomic<size_t> most{0};
  static const Syscalls table = [] {
    Syscalls changed = internal::RealSyscalls();
    changed.preadv2 = [](int, const iovec* parts, int, off_t, int) -> ssize_t {
      most = std::max(most.load(), parts->iov_len);
      errno = EAGAIN;
      return -1;
    };
    return changed;
  }();
  std::FILE* const file = std::tmpfile();
  {
    const internal::ScopedSyscalls scope(table);
    (*Runtime::Create())->Run([&]() -> Task<void> {
      std::vector<char> buffer(10'000'000);
      EXPECT_EQ(*co_await StandardInput(::fileno(file)).Read(buffer), 0u);
    });
  }
  std::fclose(file);
  EXPECT_EQ(most, size_t{256} << 10);
}

// A socket says it once: the call must not be made again.
TEST(StandardStreamTest, AResetIsNoEnd) {
  (*Runtime::Create())->Run([]() -> Task<void> {
    int fds[2];
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    ::close(fds[1]);
    const ScopedSyscallFault fault(&Syscalls::preadv2, {.error = ECONNRESET});
    char buffer[8];
    EXPECT_EQ(ErrnoOf((co_await StandardInput(fds[0]).Read(buffer)).status()), ECONNRESET);
    ::close(fds[0]);
  }());
}

TEST(PipeMemoryTest, WithoutMemoryThereIsNoDescriptorLeft) {
  const int before = ::dup(0);
  for (const int first : {1, 2}) {
    const ScopedFrameFault no_memory({.first = first, .here = true});
    EXPECT_EQ(ErrnoOf(MakePipe().status()), ENOMEM) << first;
  }
  const int after = ::dup(0);
  EXPECT_EQ(after, before + 1);
  ::close(before);
  ::close(after);
}

TEST(PipeAdoptTest, WhatIsNotOpenIsRefused) {
  EXPECT_EQ(ErrnoOf(PipeReader::Adopt(-1).status()), EBADF);
  EXPECT_EQ(ErrnoOf(PipeWriter::Adopt(1 << 20).status()), EBADF);
}

// Its number may be somebody else's by then.
TEST(PipeAdoptTest, WhatIsNotOpenIsNotClosedAlsoWithoutMemory) {
  const int fd = ::dup(0);
  ::close(fd);
  const ScopedSyscallFault closes(&Syscalls::close, {.times = 0});
  const ScopedFrameFault no_memory({.times = ScopedFrameFault::kForever, .here = true});
  EXPECT_EQ(ErrnoOf(PipeReader::Adopt(fd).status()), EBADF);
  EXPECT_EQ(ErrnoOf(PipeWriter::Adopt(fd).status()), EBADF);
  EXPECT_EQ(closes.calls(), 0);
}

TEST(PipeAdoptTest, WhatIsOnlyAPathIsRefusedAndClosed) {
  for (const bool reads : {true, false}) {
    const int fd = ::open("/dev/null", O_PATH | O_CLOEXEC);
    ASSERT_GE(fd, 0);
    const absl::Status refused = reads ? PipeReader::Adopt(fd).status() : PipeWriter::Adopt(fd).status();
    EXPECT_EQ(refused.code(), absl::StatusCode::kInvalidArgument) << refused;
    EXPECT_EQ(::fcntl(fd, F_GETFD), -1);
  }
}

TEST(PipeAdoptTest, WhatIsOpenTheOtherWayIsRefusedAndIsNoClosedDescriptor) {
  int fds[2];
  ASSERT_EQ(::pipe2(fds, O_CLOEXEC), 0);
  const absl::Status read = PipeReader::Adopt(fds[1]).status();
  const absl::Status write = PipeWriter::Adopt(fds[0]).status();
  EXPECT_EQ(read.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(write.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_FALSE(io::IsClosed(read) || io::IsClosed(write));
  for (const int fd : fds) EXPECT_EQ(::fcntl(fd, F_GETFD), -1) << "it is owned, also if it is refused";
}

TEST(PipeSignalTest, AnActionForSigpipeThatTheProgramChoseStays) {
  // The first writer of this process was made long ago, or is made now.
  EXPECT_TRUE(MakePipe().ok());
  struct sigaction action;
  ASSERT_EQ(::sigaction(SIGPIPE, nullptr, &action), 0);
  EXPECT_EQ(action.sa_handler, SIG_IGN);
  struct sigaction chosen = {};
  chosen.sa_handler = [](int) {};
  ASSERT_EQ(::sigaction(SIGPIPE, &chosen, nullptr), 0);
  EXPECT_TRUE(MakePipe().ok());
  ASSERT_EQ(::sigaction(SIGPIPE, &action, &chosen), 0);
  EXPECT_NE(chosen.sa_handler, SIG_IGN);
}

}  // namespace
}  // namespace weft::testing

// WaitReadable and WaitWritable, for descriptors that Weft does not own.
#include "weft/io/readiness.h"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "lib/os/syscalls.h"
#include "lib/testing/syscall_fault.h"
#include "tests/net/on_backends.h"
#include "weft/weft.h"

namespace weft::testing {
namespace {

using internal::Sys;
using io::WaitReadable;
using io::WaitWritable;

struct Ends {
  Ends() { EXPECT_EQ(Sys().pipe2(fds, O_CLOEXEC), 0); }
  Ends(const Ends&) = delete;
  ~Ends() {
    Sys().close(fds[0]);
    CloseWriter();
  }
  void CloseWriter() {
    if (writer_open) Sys().close(fds[1]);
    writer_open = false;
  }
  int fds[2] = {-1, -1};
  bool writer_open = true;
};

class ReadinessTest : public OnBackends {};
WEFT_ON_BACKENDS(ReadinessTest);

TEST_P(ReadinessTest, WhatIsReadyEndsTheWaitAtOnce) {
  Everywhere([]() -> Task<void> {
    Ends pipe;
    EXPECT_TRUE((co_await WaitWritable(pipe.fds[1])).ok());
    EXPECT_EQ(Sys().write(pipe.fds[1], "x", 1), 1);
    EXPECT_TRUE((co_await WaitReadable(pipe.fds[0])).ok());
    EXPECT_TRUE((co_await WaitReadable(pipe.fds[0])).ok());  // the byte is still there
  });
}

TEST_P(ReadinessTest, AWaitEndsWhenTheOtherSideDoesSomething) {
  Everywhere([]() -> Task<void> {
    Ends pipe;
    AwaitAll scope;
    std::atomic<int> readers = 0;
    for (int i = 0; i < 3; ++i) {
      scope.Fork([&]() -> Task<void> {
        EXPECT_TRUE((co_await WaitReadable(pipe.fds[0])).ok());
        ++readers;
      });
    }
    for (int i = 0; i < 10; ++i) co_await Yield();
    EXPECT_EQ(readers, 0);
    EXPECT_EQ(Sys().write(pipe.fds[1], "x", 1), 1);  // all of them: nobody reads it
    (co_await scope.Join()).IgnoreFailures();
  });
}

TEST_P(ReadinessTest, TheEndOfAPipeCountsAsReadable) {
  Everywhere([]() -> Task<void> {
    Ends pipe;
    AwaitAll scope;
    scope.Fork([&]() -> Task<void> { EXPECT_TRUE((co_await WaitReadable(pipe.fds[0])).ok()); });
    for (int i = 0; i < 10; ++i) co_await Yield();
    pipe.CloseWriter();
    (co_await scope.Join()).IgnoreFailures();
  });
}

TEST_P(ReadinessTest, TwoDirectionsOfOneDescriptorAreWaitedForAtOnce) {
  Everywhere([]() -> Task<void> {
    int ends[2];
    EXPECT_EQ(Sys().socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    AwaitAll scope;
    scope.Fork([&]() -> Task<void> { EXPECT_TRUE((co_await WaitReadable(ends[0])).ok()); });
    scope.Fork([&]() -> Task<void> {
      EXPECT_TRUE((co_await WaitWritable(ends[0])).ok());
      EXPECT_EQ(Sys().write(ends[1], "x", 1), 1);
    });
    (co_await scope.Join()).IgnoreFailures();
    Sys().close(ends[0]);
    Sys().close(ends[1]);
  });
}

TEST_P(ReadinessTest, ARegularFileIsAlwaysReady) {
  Everywhere([]() -> Task<void> {
    const int file = Sys().openat(AT_FDCWD, "/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    EXPECT_GE(file, 0);
    EXPECT_TRUE((co_await WaitReadable(file)).ok());
    EXPECT_TRUE((co_await WaitWritable(file)).ok());
    Sys().close(file);
  });
}

TEST_P(ReadinessTest, ADescriptorThatIsNotOpenIsAnError) {
  Everywhere([]() -> Task<void> {
    EXPECT_EQ(ErrnoOf(co_await WaitReadable(-1)), EBADF);
    EXPECT_EQ(ErrnoOf(co_await WaitWritable(1 << 21)), EBADF);
  });
}

TEST_P(ReadinessTest, ACancelledWaitLeavesNoDescriptorBehind) {
  Everywhere([]() -> Task<void> {
    Ends pipe;
    for (int i = 0; i < 20; ++i) {
      EXPECT_FALSE((co_await MoveOnAfter(absl::Milliseconds(1), WaitReadable(pipe.fds[0]))).has_value());
    }
    const int next = Sys().eventfd(0, EFD_CLOEXEC);
    EXPECT_LT(next, pipe.fds[1] + 20);
    Sys().close(next);
  });
}

// A loop that goes on whatever is returned.
TEST_P(ReadinessTest, AWaitThatFailsIsACheckpointToo) {
  Everywhere([]() -> Task<void> {
    Ends pipe;
    const internal::ScopedSyscallFault fault(&internal::Syscalls::fcntl,
                                             {.times = internal::ScopedSyscallFault::kForever, .error = EMFILE});
    std::atomic<int> failed = 0;
    AwaitAll scope;
    scope.Fork([&]() -> Task<void> {
      for (;;) {
        EXPECT_EQ(ErrnoOf(co_await WaitReadable(pipe.fds[0])), EMFILE);
        ++failed;
      }
    });
    while (failed == 0) co_await Yield();
    scope.Shutdown();
    (co_await scope.Join()).IgnoreFailures();
  });
}

TEST_P(ReadinessTest, EveryErrorOfTheCallsIsAStatus) {
  Everywhere([]() -> Task<void> {
    Ends pipe;
    for (const int error : {EMFILE, EBADF}) {
      const internal::ScopedSyscallFault fault(&internal::Syscalls::fcntl, {.error = error});
      EXPECT_EQ(ErrnoOf(co_await WaitReadable(pipe.fds[0])), error);
    }
    for (const int error : {ENOMEM, EINVAL}) {
      const internal::ScopedSyscallFault fault(&internal::Syscalls::poll, {.error = error});
      EXPECT_EQ(ErrnoOf(co_await WaitReadable(pipe.fds[0])), error);
    }
  });
}

}  // namespace
}  // namespace weft::testing

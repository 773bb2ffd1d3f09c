// The table of syscalls. Goal: what a caller sees with and without a fault is what the preface of syscalls.h and
// syscall_fault.h says. Method: real descriptors, and a fault at each place.
#include "lib/os/syscalls.h"

#include <errno.h>
#include <gtest/gtest.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "lib/testing/syscall_fault.h"

namespace weft::internal {
namespace {

TEST(SyscallsTest, EveryEntryOfTheRealTableIsSet){
#define WEFT_EXPECT_SET(result, name, parameters) EXPECT_NE(Sys().name, nullptr) << #name;
    WEFT_SYSCALLS(WEFT_EXPECT_SET)
#undef WEFT_EXPECT_SET
}

TEST(SyscallsTest, TheRealTableReachesTheKernel) {
  int fds[2];
  ASSERT_EQ(Sys().socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
  EXPECT_EQ(Sys().send(fds[0], "weft", 4, MSG_NOSIGNAL), 4);
  char buffer[8];
  EXPECT_EQ(Sys().recv(fds[1], buffer, sizeof(buffer), 0), 4);
  EXPECT_EQ(Sys().recv(fds[1], buffer, sizeof(buffer), 0), -1);
  EXPECT_EQ(errno, EAGAIN);
  EXPECT_EQ(Sys().close(fds[0]), 0);
  EXPECT_EQ(Sys().close(fds[1]), 0);
  EXPECT_EQ(Sys().io_uring_setup(8, 0), 0);
  EXPECT_EQ(Sys().io_uring_enter(-1), 0);
}

TEST(SyscallsTest, ATestsTableIsInForceUntilTheEndOfItsGuard) {
  Syscalls table = RealSyscalls();
  table.eventfd = [](unsigned, int) { return 12345; };
  {
    ScopedSyscalls guard(table);
    EXPECT_EQ(Sys().eventfd(0, 0), 12345);
  }
  EXPECT_EQ(&Sys(), &RealSyscalls());
}

TEST(SyscallFaultTest, OnlyTheChosenCallsFailAndAllAreCounted) {
  ScopedSyscallFault fault(&Syscalls::write, {.first = 2, .times = 2, .error = ENOSPC});
  const int fd = Sys().eventfd(0, EFD_NONBLOCK);
  ASSERT_GE(fd, 0);
  const uint64_t one = 1;
  EXPECT_EQ(Sys().write(fd, &one, sizeof(one)), 8);
  errno = 0;
  EXPECT_EQ(Sys().write(fd, &one, sizeof(one)), -1);
  EXPECT_EQ(errno, ENOSPC);
  EXPECT_EQ(Sys().write(fd, &one, sizeof(one)), -1);
  EXPECT_EQ(Sys().write(fd, &one, sizeof(one)), 8);
  EXPECT_EQ(fault.calls(), 4);
  uint64_t value = 0;
  EXPECT_EQ(Sys().read(fd, &value, sizeof(value)), 8) << "a call of another kind does not fail";
  EXPECT_EQ(value, 2u) << "a failed call does not reach the kernel";
  EXPECT_EQ(Sys().close(fd), 0);
}

TEST(SyscallFaultTest, AFaultWithoutTimesOnlyCounts) {
  ScopedSyscallFault fault(&Syscalls::close, {.times = 0});
  EXPECT_EQ(Sys().close(-1), -1);
  EXPECT_EQ(errno, EBADF);
  EXPECT_EQ(fault.calls(), 1);
}

TEST(SyscallFaultTest, FaultsOfDifferentKindsStandTogetherAndEndAlone) {
  ScopedSyscallFault sockets(&Syscalls::socket, {.times = ScopedSyscallFault::kForever, .error = EMFILE});
  {
    ScopedSyscallFault hook(&Syscalls::io_uring_setup, {.error = EPERM});
    EXPECT_EQ(Sys().io_uring_setup(8, 0), -EPERM);
    EXPECT_EQ(Sys().io_uring_setup(8, 0), 0);
  }
  EXPECT_EQ(Sys().io_uring_setup(8, 0), 0);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(Sys().socket(AF_INET, SOCK_STREAM, 0), -1);
    EXPECT_EQ(errno, EMFILE);
  }
}

TEST(SyscallFaultDeathTest, TwoFaultsOfOneKindAreRefused) {
  ScopedSyscallFault first(&Syscalls::socket, {.error = EMFILE});
  EXPECT_DEATH(ScopedSyscallFault(&Syscalls::socket, {.error = EMFILE}), "two faults of the same syscall");
}

}  // namespace
}  // namespace weft::internal

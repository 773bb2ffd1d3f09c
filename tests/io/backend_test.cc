// Goal: which backend a process gets, and what it is told where io_uring is refused.
// Method: io_uring_setup is made to fail, once through the table of system calls and once by the kernel itself, with a
// seccomp filter in a child process, as in Docker.
#include "lib/io/backend.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <memory>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/testing/syscall_fault.h"
#include "tests/io/io_fixture.h"
#include "weft/internal/driver.h"
#include "weft/internal/errno_status.h"

namespace weft::internal {
namespace {

using testing::HasSubstr;

TEST(BackendTest, TheChoiceIsHonoured) {
  EXPECT_EQ((*NewBackend(IoBackend::kUring))->name(), "io_uring");
  EXPECT_EQ((*NewBackend(IoBackend::kEpoll))->name(), "epoll");
  EXPECT_EQ((*NewBackend(IoBackend::kAuto))->name(), "io_uring");
}

TEST(BackendTest, WhereIoUringIsAskedForAndRefusedTheStatusNamesTheCauseAndKeepsTheErrno) {
  struct Case {
    int error;
    absl::StatusCode code;
    const char* cause;
  };
  for (const auto& [error, code, cause] : {
           Case{EPERM, absl::StatusCode::kPermissionDenied, "seccomp filter, as in Docker"},
           Case{ENOSYS, absl::StatusCode::kUnimplemented, "gVisor"},
           Case{ENOMEM, absl::StatusCode::kResourceExhausted, "RLIMIT_MEMLOCK"},
           Case{EMFILE, absl::StatusCode::kResourceExhausted, "RLIMIT_NOFILE"},
           Case{ENFILE, absl::StatusCode::kResourceExhausted, "fs.file-max"},
           Case{EINVAL, absl::StatusCode::kInvalidArgument, "older than Linux 6.0"},
           Case{EIO, absl::StatusCode::kDataLoss, "unexpected"},
       }) {
    const ScopedSyscallFault fault(&Syscalls::io_uring_setup, {.error = error});
    const absl::StatusOr<std::shared_ptr<Backend>> backend = NewBackend(IoBackend::kUring);
    ASSERT_FALSE(backend.ok());
    EXPECT_EQ(backend.status().code(), code);
    EXPECT_EQ(ErrnoOf(backend.status()), error);
    EXPECT_THAT(std::string(backend.status().message()), HasSubstr("io_uring refused"));
    EXPECT_THAT(std::string(backend.status().message()), HasSubstr(cause));
  }
}

TEST(BackendTest, TheSysctlThatForbidsIoUringIsNamed) {
  // A pipe in place of /proc/sys/kernel/io_uring_disabled.
  static Syscalls syscalls = RealSyscalls();
  syscalls.io_uring_setup = [](unsigned, unsigned) { return -EPERM; };
  syscalls.openat = [](int, const char*, int, mode_t) {
    int fds[2];
    if (RealSyscalls().pipe2(fds, O_CLOEXEC) != 0) return -1;
    RealSyscalls().write(fds[1], "2\n", 2);
    RealSyscalls().close(fds[1]);
    return fds[0];
  };
  const ScopedSyscalls scoped(syscalls);
  const absl::Status status = NewBackend(IoBackend::kUring).status();
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("kernel.io_uring_disabled=2; sysctl kernel.io_uring_disabled=0 allows it"));
}

TEST(BackendTest, EveryDescriptorOfAFailedCreationIsClosed) {
  const int before = CountDescriptors();
  for (int call = 1; call <= 2; ++call) {
    {
      const ScopedSyscallFault fault(&Syscalls::epoll_create1, {.error = EMFILE});
      EXPECT_EQ(ErrnoOf(NewBackend(IoBackend::kEpoll).status()), EMFILE);
    }
    {
      const ScopedSyscallFault fault(&Syscalls::eventfd, {.error = ENFILE});
      EXPECT_EQ(ErrnoOf(NewBackend(IoBackend::kEpoll).status()), ENFILE);
    }
    {
      const ScopedSyscallFault fault(&Syscalls::epoll_ctl, {.error = ENOSPC});
      EXPECT_EQ(ErrnoOf(NewBackend(IoBackend::kEpoll).status()), ENOSPC);
    }
    {
      const std::shared_ptr<Backend> backend = *NewBackend(IoBackend::kUring);
      const ScopedSyscallFault setup(&Syscalls::io_uring_setup, {.error = EMFILE});
      EXPECT_EQ(ErrnoOf(backend->NewDriver().status()), EMFILE);
      const ScopedSyscallFault eventfd(&Syscalls::eventfd, {.error = EMFILE});
      EXPECT_EQ(ErrnoOf(backend->NewDriver().status()), EMFILE);
    }
  }
  EXPECT_EQ(CountDescriptors(), before);
}

// The kernel frees a closed ring's memory late. (A runtime that was started just after another had ended failed with ENOMEM where
// the memory that may be locked is limited.)
TEST(BackendTest, MemoryOfARingThatWasJustClosedIsWaitedFor) {
  const std::shared_ptr<Backend> backend = *NewBackend(IoBackend::kUring);
  EXPECT_TRUE(backend->NewDriver().ok());  // and closed
  {
    const ScopedSyscallFault setup(&Syscalls::io_uring_setup, {.first = 1, .times = 3, .error = ENOMEM});
    EXPECT_TRUE(backend->NewDriver().ok());
    EXPECT_EQ(setup.calls(), 4);
  }
  const ScopedSyscallFault setup(&Syscalls::io_uring_setup, {.first = 1, .times = ScopedSyscallFault::kForever, .error = ENOMEM});
  EXPECT_EQ(ErrnoOf(backend->NewDriver().status()), ENOMEM);
}

// Makes io_uring_setup fail with `error`, in this process and for good.
void RefuseIoUring(int error) {
  sock_filter code[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | static_cast<unsigned>(error)),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog program = {.len = sizeof(code) / sizeof(code[0]), .filter = code};
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) ::_exit(3);
  if (::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) ::_exit(4);
}

[[noreturn]] void RunWithoutIoUring(int error) {
  RefuseIoUring(error);
  if (ErrnoOf(NewBackend(IoBackend::kUring).status()) != error) ::_exit(5);
  const absl::StatusOr<std::shared_ptr<Backend>> backend = NewBackend(IoBackend::kAuto);
  if (!backend.ok() || (*backend)->name() != "epoll") ::_exit(6);
  const absl::StatusOr<std::unique_ptr<Driver>> driver = (*backend)->NewDriver();
  if (!driver.ok()) ::_exit(7);
  const Pair pair = UnixPair();
  char buffer[4];
  CountedOperation op;
  op.SetReceive(pair.a.get(), buffer, sizeof(buffer));
  if ((*driver)->Start(op)) ::_exit(8);
  if (::send(pair.b.get(), "ok", 2, 0) != 2) ::_exit(9);
  PollUntilDone(**driver, op);
  ::_exit(op.result == 2 ? 0 : 10);
}

TEST(BackendDeathTest, UnderASeccompFilterEpollServesAndStderrSaysWhy) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  EXPECT_EXIT(RunWithoutIoUring(EPERM), testing::ExitedWithCode(0),
              "weft: io_uring refused \\(a seccomp filter, as in Docker; .*\\): "
              "Operation not permitted \\(EPERM\\); using epoll");
  EXPECT_EXIT(RunWithoutIoUring(ENOSYS), testing::ExitedWithCode(0), "weft: io_uring refused .*ENOSYS.*; using epoll");
  EXPECT_EXIT(RunWithoutIoUring(ENOMEM), testing::ExitedWithCode(0), "weft: io_uring refused .*ENOMEM.*; using epoll");
}

[[noreturn]] void MakeThreeBackendsWithoutIoUring() {
  const ScopedSyscallFault fault(&Syscalls::io_uring_setup, {.times = ScopedSyscallFault::kForever, .error = ENOSYS});
  for (int i = 0; i < 3; ++i) {
    if ((*NewBackend(IoBackend::kAuto))->name() != "epoll") ::_exit(1);
  }
  ::_exit(0);
}

// In a process of its own, because it is said once per process.
TEST(BackendDeathTest, WhereTheChoiceIsFreeTheReasonForEpollIsSaidOnce) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  EXPECT_EXIT(MakeThreeBackendsWithoutIoUring(), testing::ExitedWithCode(0),
              testing::Eq("weft: io_uring refused (the kernel has no io_uring, or a sandbox such as gVisor hides it): "
                          "Function not implemented (ENOSYS); using epoll\n"));
}

}  // namespace
}  // namespace weft::internal

// Goal: which backend a process gets, and what it is told where io_uring is refused.
// Method: io_uring_setup is made to fail, once through the table of system calls and once by the kernel itself, with a
// seccomp filter in a child process, as in Docker.
#include "lib/driver/backend.h"

#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <iterator>
#include <memory>
#include <string>
#include <utility>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/base/errno_status.h"
#include "lib/driver/driver.h"
#include "lib/driver/uring/uring_refusal.h"
#include "lib/testing/syscall_fault.h"
#include "tests/driver/driver_fixture.h"

namespace weft::internal {
namespace {

using testing::HasSubstr;

TEST(BackendTest, TheChoiceIsHonoured) {
  EXPECT_EQ((*NewBackend(IoBackend::kUring, 1))->name(), "io_uring");
  EXPECT_EQ((*NewBackend(IoBackend::kEpoll, 1))->name(), "epoll");
  EXPECT_EQ((*NewBackend(IoBackend::kAuto, 1))->name(), "io_uring");
}

// A call that io_uring takes at the start.
template <class Entry>
void ExpectRefused(Entry Syscalls::* entry, const char* name, int error, absl::StatusCode code, const char* cause) {
  SCOPED_TRACE(std::string(name) + " " + std::string(ErrnoName(error)));
  const ScopedSyscallFault fault(entry, {.times = ScopedSyscallFault::kForever, .error = error});
  const absl::StatusOr<std::shared_ptr<Backend>> backend = NewBackend(IoBackend::kUring, 1);
  ASSERT_FALSE(backend.ok());
  EXPECT_EQ(backend.status().code(), code);
  EXPECT_EQ(ErrnoOf(backend.status()), error);
  EXPECT_THAT(std::string(backend.status().message()), HasSubstr(std::string("io_uring refused (") + name + ": "));
  EXPECT_THAT(std::string(backend.status().message()), HasSubstr(cause));
}

TEST(BackendTest, WhereIoUringIsAskedForAndRefusedTheStatusNamesTheCallAndTheCauseAndKeepsTheErrno) {
  struct Case {
    int error;
    absl::StatusCode code;
    const char* cause;
  };
  for (const auto& [error, code, cause] : {
           Case{EPERM, absl::StatusCode::kPermissionDenied, "seccomp filter, as in Docker"},
           Case{EACCES, absl::StatusCode::kPermissionDenied, "seccomp filter, as in Docker"},
           Case{ENOSYS, absl::StatusCode::kUnimplemented, "gVisor"},
           Case{ENOMEM, absl::StatusCode::kResourceExhausted, "no memory for the ring"},
           Case{EMFILE, absl::StatusCode::kResourceExhausted, "RLIMIT_NOFILE"},
           Case{ENFILE, absl::StatusCode::kResourceExhausted, "fs.file-max"},
           Case{EINVAL, absl::StatusCode::kInvalidArgument, "older than Linux 6.0"},
           Case{EIO, absl::StatusCode::kDataLoss, "unexpected"},
       }) {
    ExpectRefused(&Syscalls::io_uring_setup, "io_uring_setup", error, code, cause);
  }
  // A filter may allow the first call and none of the later ones: then it is the filter, and no lack of anything.
  for (const auto& [error, code] :
       {std::pair(EPERM, absl::StatusCode::kPermissionDenied), {ENOSYS, absl::StatusCode::kUnimplemented}}) {
    ExpectRefused(&Syscalls::io_uring_register, "io_uring_register", error, code, "seccomp filter");
    ExpectRefused(&Syscalls::io_uring_enter, "io_uring_enter", error, code, "seccomp filter");
    ExpectRefused(&Syscalls::io_uring_dontfork, "madvise", error, code, "seccomp filter");
  }
  ExpectRefused(&Syscalls::eventfd, "eventfd", EMFILE, absl::StatusCode::kResourceExhausted, "RLIMIT_NOFILE");
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
  const absl::Status status = NewBackend(IoBackend::kUring, 1).status();
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("kernel.io_uring_disabled=2; sysctl kernel.io_uring_disabled=0 allows it"));
}

TEST(BackendTest, AKernelThatLacksWhatIsNeededIsTooOld) {
  constexpr unsigned kFeatures[] = {IORING_FEAT_NODROP, IORING_FEAT_EXT_ARG, IORING_FEAT_CQE_SKIP};
  constexpr int kOpcodes[] = {IORING_OP_POLL_ADD, IORING_OP_ASYNC_CANCEL, IORING_OP_CONNECT,
                              IORING_OP_SEND,     IORING_OP_RECV,         IORING_OP_SEND_ZC};
  alignas(io_uring_probe) char memory[sizeof(io_uring_probe) + IORING_OP_LAST * sizeof(io_uring_probe_op)] = {};
  auto* const probe = reinterpret_cast<io_uring_probe*>(memory);
  probe->last_op = IORING_OP_LAST - 1;
  for (int op = 0; op < IORING_OP_LAST; ++op) probe->ops[op].flags = IO_URING_OP_SUPPORTED;
  constexpr unsigned kAll = ~0u;
  EXPECT_TRUE(CheckUringKernel(kAll, *probe).ok());
  for (const unsigned feature : kFeatures) {
    EXPECT_EQ(ErrnoOf(CheckUringKernel(kAll & ~feature, *probe)), EOPNOTSUPP) << feature;
  }
  for (int op = 0; op < IORING_OP_LAST; ++op) {
    probe->ops[op].flags = 0;
    const absl::Status status = CheckUringKernel(kAll, *probe);
    const bool needed = std::find(std::begin(kOpcodes), std::end(kOpcodes), op) != std::end(kOpcodes);
    EXPECT_EQ(ErrnoOf(status), needed ? EOPNOTSUPP : 0) << op;
    if (needed) EXPECT_THAT(std::string(status.message()), HasSubstr("io_uring refused (the kernel lacks ")) << op;
    probe->ops[op].flags = IO_URING_OP_SUPPORTED;
  }
}

// Makes the k-th call fail, for every k, with 3 drivers to make.
template <class Entry>
void ExpectNothingLeft(IoBackend io, Entry Syscalls::* entry) {
  constexpr int kDrivers = 3;
  int64_t calls = 0;
  {
    const ScopedSyscallFault count(entry, {.times = 0});
    ASSERT_TRUE(NewBackend(io, kDrivers).ok());
    calls = count.calls();
  }
  ASSERT_GT(calls, 0);
  for (int64_t call = 1; call <= calls; ++call) {
    const ScopedSyscallFault fault(entry, {.first = call, .error = EACCES});
    EXPECT_EQ(ErrnoOf(NewBackend(io, kDrivers).status()), EACCES);
  }
}

TEST(BackendTest, EveryDescriptorOfAFailedCreationIsClosed) {
  const int before = CountDescriptors();
  ExpectNothingLeft(IoBackend::kUring, &Syscalls::io_uring_setup);
  ExpectNothingLeft(IoBackend::kUring, &Syscalls::io_uring_enter);
  ExpectNothingLeft(IoBackend::kUring, &Syscalls::io_uring_register);
  ExpectNothingLeft(IoBackend::kUring, &Syscalls::io_uring_dontfork);
  ExpectNothingLeft(IoBackend::kUring, &Syscalls::eventfd);
  ExpectNothingLeft(IoBackend::kEpoll, &Syscalls::eventfd);
  ExpectNothingLeft(IoBackend::kEpoll, &Syscalls::epoll_create1);
  ExpectNothingLeft(IoBackend::kEpoll, &Syscalls::epoll_ctl);
  EXPECT_EQ(CountDescriptors(), before);
}

TEST(BackendTest, TheDriversOfTheStartAreThereAndALaterOneMayFail) {
  for (const int error : {ENOMEM, EMFILE, EPERM}) {
    const std::shared_ptr<Backend> backend = *NewBackend(IoBackend::kAuto, 3);
    ASSERT_EQ(backend->name(), "io_uring");
    const ScopedSyscallFault setup(&Syscalls::io_uring_setup, {.times = ScopedSyscallFault::kForever, .error = error});
    for (int i = 0; i < 3; ++i) EXPECT_TRUE(backend->NewDriver().ok());
    EXPECT_EQ(setup.calls(), 0);
    EXPECT_EQ(backend->NewDriver().status().code(), ErrnoToCode(error));
    EXPECT_EQ(setup.calls(), 1) << "somebody may wait for it";
  }
}

// The kernel frees a closed ring's memory late. (A runtime that was started just after another had ended failed with
// ENOMEM where the memory that may be locked is limited.)
TEST(BackendTest, MemoryOfARingThatWasJustClosedIsWaitedFor) {
  EXPECT_TRUE(NewBackend(IoBackend::kUring, 1).ok());  // and closed
  {
    const ScopedSyscallFault setup(&Syscalls::io_uring_setup, {.first = 1, .times = 3, .error = ENOMEM});
    EXPECT_TRUE(NewBackend(IoBackend::kUring, 1).ok());
    EXPECT_EQ(setup.calls(), 4);
  }
  const ScopedSyscallFault setup(&Syscalls::io_uring_setup,
                                 {.first = 1, .times = ScopedSyscallFault::kForever, .error = ENOMEM});
  EXPECT_EQ(ErrnoOf(NewBackend(IoBackend::kUring, 1).status()), ENOMEM);
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
  if (ErrnoOf(NewBackend(IoBackend::kUring, 1).status()) != error) ::_exit(5);
  const absl::StatusOr<std::shared_ptr<Backend>> backend = NewBackend(IoBackend::kAuto, 1);
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
              "weft: io_uring refused \\(io_uring_setup: a seccomp filter, as in Docker; .*\\): "
              "Operation not permitted \\(EPERM\\); using epoll");
  EXPECT_EXIT(RunWithoutIoUring(ENOSYS), testing::ExitedWithCode(0), "weft: io_uring refused .*ENOSYS.*; using epoll");
  EXPECT_EXIT(RunWithoutIoUring(ENOMEM), testing::ExitedWithCode(0), "weft: io_uring refused .*ENOMEM.*; using epoll");
}

[[noreturn]] void MakeThreeBackendsWithoutIoUring() {
  const ScopedSyscallFault fault(&Syscalls::io_uring_setup, {.times = ScopedSyscallFault::kForever, .error = ENOSYS});
  for (int i = 0; i < 3; ++i) {
    if ((*NewBackend(IoBackend::kAuto, 1))->name() != "epoll") ::_exit(1);
  }
  ::_exit(0);
}

// In a process of its own, because it is said once per process.
TEST(BackendDeathTest, WhereTheChoiceIsFreeTheReasonForEpollIsSaidOnce) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  EXPECT_EXIT(
      MakeThreeBackendsWithoutIoUring(), testing::ExitedWithCode(0),
      testing::Eq(
          "weft: io_uring refused (io_uring_setup: the kernel has no io_uring, or a sandbox such as gVisor hides it): "
          "Function not implemented (ENOSYS); using epoll\n"));
}

}  // namespace
}  // namespace weft::internal

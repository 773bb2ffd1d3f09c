// Goal: where io_uring or a part of it is refused, a runtime that may choose starts all the same and serves; one that
// may not says why; none aborts, and none leaves anything behind.
// Method: every system call of the start is made to fail, at each of its calls and with each errno, through the table
// of system calls. Then the same by the kernel itself, in child processes: limits of locked memory and of descriptors,
// and seccomp filters as those of containers.
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "lib/base/errno_status.h"
#include "lib/os/syscalls.h"
#include "lib/testing/syscall_fault.h"
#include "tests/support/on_both.h"
#include "weft/testing/census.h"
#include "weft/weft.h"

namespace weft::testing {
namespace {

using internal::ErrnoName;
using internal::ScopedSyscallFault;
using internal::Syscalls;
using net::TcpListener;
using net::TcpStream;

// Uses what a server uses: sockets that wait, timers, other carriers.
Task<absl::Status> Serve() {
  absl::StatusOr<TcpListener> listener = TcpListener::Bind("127.0.0.1:0");
  if (!listener.ok()) co_return listener.status();
  ShutdownOnFailure scope;
  scope.Fork([&listener]() -> Task<absl::Status> {
    absl::StatusOr<TcpStream> stream = co_await listener->Accept();
    if (!stream.ok()) co_return stream.status();
    char byte;
    if (absl::Status read = co_await stream->ReadExactly({&byte, 1}); !read.ok()) co_return read;
    co_return co_await stream->Write({&byte, 1});
  });
  scope.Fork([&listener]() -> Task<absl::Status> {
    absl::StatusOr<TcpStream> stream = co_await TcpStream::Connect(*listener->local_address());
    if (!stream.ok()) co_return stream.status();
    co_await Sleep(absl::Milliseconds(1));
    if (absl::Status sent = co_await stream->Write("x"); !sent.ok()) co_return sent;
    char byte;
    co_return co_await stream->ReadExactly({&byte, 1});
  });
  co_return co_await scope.Join();
}

// The backend's name, if it starts and serves.
absl::StatusOr<std::string> StartAndServe(IoBackend io, int carriers) {
  const absl::StatusOr<std::unique_ptr<Runtime>> runtime = Runtime::Create({.parallelism = carriers, .io = io});
  if (!runtime.ok()) return runtime.status();
  if (absl::Status served = (*runtime)->Run(Serve()); !served.ok()) ADD_FAILURE() << served;
  return std::string((*runtime)->io_backend());
}

// ---- Through the table.

constexpr int kErrors[] = {EPERM, EACCES, ENOSYS, ENOMEM, EAGAIN, EMFILE, ENFILE, EINVAL, EBUSY, EIO, EINTR};

// Fails the k-th call of the start, once or from then on, for every k. `serves`: it starts whatever fails.
template <class Entry>
void FailEachCall(IoBackend io, Entry Syscalls::* entry, bool serves) {
  for (const int carriers : {1, 3}) {
    int64_t calls = 0;
    {
      const ScopedSyscallFault count(entry, {.times = 0});
      const absl::StatusOr<std::unique_ptr<Runtime>> runtime = Runtime::Create({.parallelism = carriers, .io = io});
      ASSERT_TRUE(runtime.ok()) << runtime.status();
      calls = count.calls();
    }
    // What a carrier does after its start is counted as well, or not: the calls of the start are at least as many.
    calls = std::min<int64_t>(calls, carriers);
    for (const int error : kErrors) {
      for (int64_t call = 1; call <= calls; ++call) {
        for (const int64_t times : {int64_t{1}, ScopedSyscallFault::kForever}) {
          SCOPED_TRACE(::testing::Message() << carriers << " carriers, " << ErrnoName(error) << " from call " << call
                                            << " of " << calls << ", " << times << " times");
          const Census before = Census::Take();
          {
            const ScopedSyscallFault fault(entry, {.first = call, .times = times, .error = error});
            const absl::StatusOr<std::string> served = StartAndServe(io, carriers);
            if (serves) {
              EXPECT_TRUE(served.ok()) << served.status();
            } else if (!served.ok()) {
              EXPECT_EQ(ErrnoOf(served.status()), error) << served.status();
            }
          }
          EXPECT_EQ(Census::Take(), before);
        }
      }
    }
  }
}

TEST(StartUpTest, WhereTheChoiceIsFreeNoRefusalOfIoUringIsTheEnd) {
  FailEachCall(IoBackend::kAuto, &Syscalls::io_uring_setup, true);
  FailEachCall(IoBackend::kAuto, &Syscalls::io_uring_register, true);
  FailEachCall(IoBackend::kAuto, &Syscalls::io_uring_enter, true);
  FailEachCall(IoBackend::kAuto, &Syscalls::io_uring_dontfork, true);
}

TEST(StartUpTest, WhereIoUringIsAskedForARefusalIsAStatus) {
  FailEachCall(IoBackend::kUring, &Syscalls::io_uring_setup, false);
  FailEachCall(IoBackend::kUring, &Syscalls::io_uring_register, false);
  FailEachCall(IoBackend::kUring, &Syscalls::io_uring_enter, false);
  FailEachCall(IoBackend::kUring, &Syscalls::io_uring_dontfork, false);
  FailEachCall(IoBackend::kUring, &Syscalls::eventfd, false);
  FailEachCall(IoBackend::kUring, &Syscalls::pthread_create, false);
}

TEST(StartUpTest, WhatEpollCannotDoWithoutIsAStatus) {
  FailEachCall(IoBackend::kEpoll, &Syscalls::epoll_create1, false);
  FailEachCall(IoBackend::kEpoll, &Syscalls::eventfd, false);
  FailEachCall(IoBackend::kEpoll, &Syscalls::pthread_create, false);
}

TEST(StartUpTest, EpollServesWithoutEpollPwait2) {
  for (const int error : kErrors) {
    for (const int carriers : {1, 3}) {
      const ScopedSyscallFault fault(&Syscalls::epoll_pwait2, {.times = ScopedSyscallFault::kForever, .error = error});
      if (error == EINTR) continue;  // that is a signal, and is waited on
      EXPECT_TRUE(StartAndServe(IoBackend::kEpoll, carriers).ok());
    }
  }
}

TEST(StartUpTest, ADoorbellThatIoUringDoesNotGetEpollDoesGet) {
  for (int64_t call = 1; call <= 3; ++call) {
    const ScopedSyscallFault fault(&Syscalls::eventfd, {.first = call, .error = EMFILE});
    EXPECT_EQ(*StartAndServe(IoBackend::kAuto, 3), "epoll");
  }
}

TEST(StartUpTest, WhatIsAskedForAndLastsIsIoUring) {
  for (const int carriers : {1, 3}) {
    EXPECT_EQ(*StartAndServe(IoBackend::kAuto, carriers), "io_uring");
    EXPECT_EQ(*StartAndServe(IoBackend::kUring, carriers), "io_uring");
    EXPECT_EQ(*StartAndServe(IoBackend::kEpoll, carriers), "epoll");
  }
}

// ---- Spare carriers.

// A destructor holds the only carrier, which calls for a spare one.
Task<void> HoldTheCarrier() {
  AwaitAll scope;
  Introduction waiting;
  scope.Fork(Forever(waiting));
  co_await waiting.AwaitParked();
}

template <class Entry>
void ExpectToGoOnWithoutASpareCarrier(Entry Syscalls::* entry) {
  for (const int error : {EPERM, ENOMEM, EMFILE}) {
    const std::unique_ptr<Runtime> runtime =
        *Runtime::Create({.parallelism = 1,
                          .min_runnable = 1,
                          .held_carrier_threshold = absl::ZeroDuration(),
                          .io = IoBackend::kAuto});
    {
      const ScopedSyscallFault fault(entry, {.times = ScopedSyscallFault::kForever, .error = error});
      runtime->Run(HoldTheCarrier());
      EXPECT_GT(fault.calls(), 0);
    }
    EXPECT_EQ(runtime->Stats().carriers, 1);
    EXPECT_EQ(runtime->Stats().pins, 1);
    runtime->Run(HoldTheCarrier());
    EXPECT_EQ(runtime->Stats().carriers, 2) << "the next time there is one";
    EXPECT_TRUE(runtime->Run(Serve()).ok());
  }
}

TEST(StartUpTest, WithoutARingForASpareCarrierTheDestructorGoesOnAlone) {
  ExpectToGoOnWithoutASpareCarrier(&Syscalls::io_uring_setup);
  ExpectToGoOnWithoutASpareCarrier(&Syscalls::io_uring_dontfork);
  ExpectToGoOnWithoutASpareCarrier(&Syscalls::eventfd);
  ExpectToGoOnWithoutASpareCarrier(&Syscalls::pthread_create);
}

// ---- By the kernel, each in a process of its own.

[[noreturn]] void Fail(const char* what) {
  std::fprintf(stderr, "%s: errno %d\n", what, errno);
  ::_exit(1);
}

// Makes the system calls fail with `error`, in this process and for good.
void Forbid(const std::vector<long>& calls, int error) {
  std::vector<sock_filter> code = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr))};
  for (const long call : calls) {
    code.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<uint32_t>(call), 0, 1));
    code.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | static_cast<uint32_t>(error)));
  }
  code.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
  const sock_fprog program = {.len = static_cast<unsigned short>(code.size()), .filter = code.data()};
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) Fail("PR_SET_NO_NEW_PRIVS");
  if (::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) Fail("PR_SET_SECCOMP");
}

// madvise() has other users: only what makes a ring private.
void ForbidDontFork(int error) {
  sock_filter code[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_madvise, 0, 3),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, args[2])),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, MADV_DONTFORK, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | static_cast<uint32_t>(error)),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog program = {.len = sizeof(code) / sizeof(code[0]), .filter = code};
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) Fail("PR_SET_NO_NEW_PRIVS");
  if (::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) Fail("PR_SET_SECCOMP");
}

void Limit(__rlimit_resource what, rlim_t value) {
  const rlimit limit = {.rlim_cur = value, .rlim_max = value};
  if (::setrlimit(what, &limit) != 0) Fail("setrlimit");
}

// A privileged process may lock what it likes.
void LimitLockedMemory(rlim_t bytes) {
  __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  __user_cap_data_struct sets[2] = {};
  if (::syscall(SYS_capget, &header, sets) != 0) Fail("capget");
  for (__u32* set : {&sets[0].effective, &sets[0].permitted, &sets[0].inheritable}) *set &= ~(1u << CAP_IPC_LOCK);
  if (::syscall(SYS_capset, &header, sets) != 0) Fail("capset");
  Limit(RLIMIT_MEMLOCK, bytes);
}

[[noreturn]] void ServeInChild(IoBackend io, int carriers) {
  const absl::StatusOr<std::string> served = StartAndServe(io, carriers);
  std::fprintf(stderr, "served by %s\n", served.ok() ? served->c_str() : served.status().ToString().c_str());
  ::_exit(::testing::Test::HasFailure() ? 1 : 0);
}

class StartUpDeathTest : public ::testing::Test {
 protected:
  StartUpDeathTest() { ::testing::FLAGS_gtest_death_test_style = "threadsafe"; }
};

// Whether rings count depends on the kernel: 5.12 stopped that, 6.18 does it.
TEST_F(StartUpDeathTest, WithLittleLockedMemoryItServes) {
  for (const auto& [bytes, carriers] :
       {std::pair(rlim_t{64} << 10, 1), {rlim_t{64} << 10, 2}, {rlim_t{0}, 1}, {rlim_t{8} << 20, 250}}) {
    EXPECT_EXIT(
        (LimitLockedMemory(bytes), ServeInChild(IoBackend::kAuto, carriers)), ::testing::ExitedWithCode(0),
        "io_uring refused \\(io_uring_setup: .* RLIMIT_MEMLOCK .*; using epoll\nserved by epoll|^served by io_uring");
  }
}

TEST_F(StartUpDeathTest, WithLittleLockedMemoryIoUringSaysWhichLimitItIs) {
  EXPECT_EXIT((LimitLockedMemory(64 << 10), ServeInChild(IoBackend::kUring, 100)), ::testing::ExitedWithCode(0),
              "served by RESOURCE_EXHAUSTED: io_uring refused \\(io_uring_setup: .* 64 KiB .*RLIMIT_MEMLOCK|^served by "
              "io_uring");
}

TEST_F(StartUpDeathTest, WithFewDescriptorsAndManyCarriersItServesAndHasSomeLeft) {
  EXPECT_EXIT((Limit(RLIMIT_NOFILE, 100), ServeInChild(IoBackend::kAuto, 64)), ::testing::ExitedWithCode(0),
              "io_uring refused .*RLIMIT_NOFILE.*; using epoll\nserved by epoll");
}

TEST_F(StartUpDeathTest, WhateverAFilterForbidsItServes) {
  for (const int error : {EPERM, ENOSYS, EACCES}) {
    SCOPED_TRACE(std::string(ErrnoName(error)));
    for (const auto& [call, name] : {std::pair(SYS_io_uring_setup, "io_uring_setup"),
                                     {SYS_io_uring_enter, "io_uring_enter"},
                                     {SYS_io_uring_register, "io_uring_register"}}) {
      EXPECT_EXIT((Forbid({call}, error), ServeInChild(IoBackend::kAuto, 2)), ::testing::ExitedWithCode(0),
                  std::string("io_uring refused \\(") + name + ": .*; using epoll\nserved by epoll");
    }
    EXPECT_EXIT((ForbidDontFork(error), ServeInChild(IoBackend::kAuto, 2)), ::testing::ExitedWithCode(0),
                "io_uring refused \\(madvise: .*; using epoll\nserved by epoll");
    EXPECT_EXIT((Forbid({SYS_epoll_pwait2}, error), ServeInChild(IoBackend::kEpoll, 2)), ::testing::ExitedWithCode(0),
                "^served by epoll");
    EXPECT_EXIT(
        (Forbid({SYS_io_uring_setup, SYS_io_uring_enter, SYS_io_uring_register, SYS_epoll_pwait2, SYS_membarrier},
                error),
         ServeInChild(IoBackend::kAuto, 2)),
        ::testing::ExitedWithCode(0), "using epoll\nserved by epoll");
  }
}

// ---- Without standard input.

// Zero is a descriptor like others: it is closed before the `when`-th of the steps, and whatever is opened next has it.
Task<absl::Status> ServeWithoutZero(int when) {
  int step = 0;
  const auto next_step = [&] {
    if (++step == when) ::close(0);
  };
  next_step();
  absl::StatusOr<TcpListener> listener = TcpListener::Bind("127.0.0.1:0");
  if (!listener.ok()) co_return listener.status();
  next_step();
  absl::StatusOr<TcpStream> client = co_await TcpStream::Connect(*listener->local_address());
  if (!client.ok()) co_return client.status();
  next_step();
  absl::StatusOr<TcpStream> server = co_await listener->Accept();
  if (!server.ok()) co_return server.status();
  char byte;
  if (absl::Status sent = co_await client->Write("x"); !sent.ok()) co_return sent;
  if (absl::Status read = co_await server->ReadExactly({&byte, 1}); !read.ok()) co_return read;
  if (absl::Status sent = co_await server->Write({&byte, 1}); !sent.ok()) co_return sent;
  co_return co_await client->ReadExactly({&byte, 1});
}

[[noreturn]] void StartAndServeWithoutZero(IoBackend io, int when) {
  if (when == 0) ::close(0);
  {
    const std::unique_ptr<Runtime> runtime = *Runtime::Create({.parallelism = 1, .io = io});
    const absl::Status served = runtime->Run(ServeWithoutZero(when));
    if (!served.ok()) std::fprintf(stderr, "%s\n", served.ToString().c_str());
    if (!served.ok()) ::_exit(1);
  }
  if (::fcntl(0, F_GETFD) != -1) std::fprintf(stderr, "descriptor 0 is open\n");
  ::_exit(::fcntl(0, F_GETFD) == -1 ? 0 : 1);
}

TEST_F(StartUpDeathTest, WithoutStandardInputItServesAndLeavesNothing) {
  for (const IoBackend io : {IoBackend::kUring, IoBackend::kEpoll}) {
    for (const int when : {0, 1, 2, 3}) {
      EXPECT_EXIT(StartAndServeWithoutZero(io, when), ::testing::ExitedWithCode(0), "") << "before step " << when;
    }
  }
}

}  // namespace
}  // namespace weft::testing

// OS threads. Goal: the function runs once, with its name, and a system without threads is an error, not a hang.
#include "lib/os/thread.h"

#include <errno.h>
#include <gtest/gtest.h>
#include <pthread.h>

#include <string>

#include "lib/base/errno_status.h"
#include "lib/testing/syscall_fault.h"

namespace weft::internal {
namespace {

struct Seen {
  int runs = 0;
  std::string name;
};

void Look(void* argument) noexcept {
  auto* seen = static_cast<Seen*>(argument);
  ++seen->runs;
  char name[Thread::kMaxNameBytes + 1];
  if (pthread_getname_np(pthread_self(), name, sizeof(name)) == 0) seen->name = name;
}

TEST(ThreadTest, RunsItsFunctionOnceUnderItsName) {
  Seen seen;
  Thread thread;
  ASSERT_TRUE(thread.Start("carrier-1", Look, &seen).ok());
  EXPECT_TRUE(thread.joinable());
  thread.Join();
  EXPECT_FALSE(thread.joinable());
  EXPECT_EQ(seen.runs, 1);
  EXPECT_EQ(seen.name, "carrier-1");
}

TEST(ThreadTest, ALongNameIsCut) {
  Seen seen;
  Thread thread;
  ASSERT_TRUE(thread.Start("a-name-that-is-too-long", Look, &seen).ok());
  thread.Join();
  EXPECT_EQ(seen.name, "a-name-that-is-");
}

TEST(ThreadTest, ASystemWithoutThreadsIsAStatusThatNamesTheErrnoAndTheStartMayBeTriedAgain) {
  Seen seen;
  Thread thread;
  {
    ScopedSyscallFault fault(&Syscalls::pthread_create, {.error = EAGAIN});
    const absl::Status started = thread.Start("carrier", Look, &seen);
    EXPECT_EQ(started.code(), absl::StatusCode::kResourceExhausted);
    EXPECT_EQ(ErrnoOf(started), EAGAIN) << started;
    EXPECT_FALSE(thread.joinable());
  }
  EXPECT_EQ(seen.runs, 0);
  ASSERT_TRUE(thread.Start("carrier", Look, &seen).ok());
  thread.Join();
  EXPECT_EQ(seen.runs, 1);
}

TEST(ThreadTest, OtherErrorsKeepTheirOwnCode) {
  Seen seen;
  Thread thread;
  ScopedSyscallFault fault(&Syscalls::pthread_create, {.error = EPERM});
  EXPECT_EQ(thread.Start("carrier", Look, &seen).code(), absl::StatusCode::kPermissionDenied);
}

TEST(ThreadDeathTest, AThreadThatWasNotJoinedIsMisuse) {
  EXPECT_DEATH(
      {
        Seen seen;
        Thread thread;
        if (!thread.Start("forgotten", Look, &seen).ok()) return;
      },
      "'forgotten' is destroyed before it was joined");
}

}  // namespace
}  // namespace weft::internal

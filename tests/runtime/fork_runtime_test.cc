// fork(2), and runtimes that are started in the child. Goal: they work, with all that is global, whatever was done with
// it in the parent at the moment of the fork. Method: fork_fixture.h; and children that are made while other threads of
// the parent are in the midst of everything that is global.
//
// The children start threads, which ThreadSanitizer cannot follow after the fork of a process that has several: the
// target bears the tag "threads_after_fork".
#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <atomic>
#include <cstdlib>
#include <memory>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "lib/runtime/runtime_core.h"
#include "tests/runtime/fork_fixture.h"
#include "tests/support/child_process.h"
#include "weft/weft.h"

namespace weft {
namespace {

using net::TcpListener;
using testing::ChildEnd;
using testing::Connected;
using testing::Give;
using testing::InChild;
using testing::kRefused;
using testing::UseEverything;
using testing::Connect;
using testing::Echo;

class ForkRuntimeTest : public testing::ForkFixture {};
WEFT_FORK_EVERYWHERE(ForkRuntimeTest);

TEST_P(ForkRuntimeTest, ARuntimeThatIsMadeInTheChildWorks) {
  const std::unique_ptr<Runtime> runtime = NewRuntime();
  const ChildEnd end = Fork(*runtime, [&] {
    for (int round = 0; round < 3; ++round) {
      const std::unique_ptr<Runtime> own = NewRuntime();
      if (!own->Run(UseEverything())) std::exit(8);
    }
    std::exit(RunMain([]() -> Task<int> { co_return co_await UseEverything() ? 9 : 10; }(), {.io = GetParam().io}));
  });
  EXPECT_TRUE(end.Exited(9)) << end;
  EXPECT_TRUE(runtime->Run(UseEverything()));
}

TEST_P(ForkRuntimeTest, ADefaultRuntimeThatIsStoppedInTheChildStartsAnew) {
  EXPECT_EQ(weft::Run(Give(1)), 1);
  const std::unique_ptr<Runtime> runtime = NewRuntime();
  const ChildEnd end = Fork(*runtime, [] {
    Runtime::StopDefault();
    std::exit(weft::Run(UseEverything()) ? 9 : 10);
  });
  EXPECT_TRUE(end.Exited(9)) << end;
  EXPECT_EQ(weft::Run(Give(1)), 1);
}

TEST_P(ForkRuntimeTest, AGrandchildIsAChild) {
  const std::unique_ptr<Runtime> runtime = NewRuntime();
  const ChildEnd end = Fork(*runtime, [&] {
    const std::unique_ptr<Runtime> own = NewRuntime();
    const ChildEnd refused = Fork(*own, [&] { own->Run(Give(1)); });
    const ChildEnd works = Fork(*own, [&] { std::exit(NewRuntime()->Run(UseEverything()) ? 9 : 10); });
    std::exit(refused.Refused(kRefused) && works.Exited(9) && own->Run(UseEverything()) ? 11 : 12);
  });
  EXPECT_TRUE(end.Exited(11)) << end;
}

// A server whose children accept: bound before they are made, and perhaps used. The numbers of descriptors are used
// again.
TEST_P(ForkRuntimeTest, AListenerThatWasBoundBeforeServesInTheChild) {
  for (const bool used : {false, true}) {
    const std::unique_ptr<Runtime> runtime = NewRuntime();
    TcpListener listener = TcpListener::Bind("127.0.0.1:0").value();
    const auto serve = [](TcpListener& bound) -> Task<bool> {
      bool served = true;
      for (int i = 0; i < 5; ++i) {
        Connected connected = co_await Connect(bound);
        served = served && co_await Echo(connected);
      }
      co_return served;
    };
    if (used) {
      EXPECT_TRUE(runtime->Run(serve(listener)));
    }
    const ChildEnd end = Fork(*runtime, [&] {
      const std::unique_ptr<Runtime> own = NewRuntime();
      if (!own->Run(serve(listener))) std::exit(8);
      listener.Close();
      TcpListener another = TcpListener::Bind("127.0.0.1:0").value();
      std::exit(own->Run(serve(another)) ? 9 : 10);
    });
    EXPECT_TRUE(end.Exited(9)) << end;
    EXPECT_TRUE(runtime->Run(serve(listener)));
  }
}

// ---- Locks.

// All that is global is in use by other threads at the moment of the fork: each would leave its lock held in the child.
TEST(ForkLockTest, NoLockOfAnotherThreadIsHeldInTheChild) {
  // The kernel gives the locked memory of rings that come and go back late.
  ::setenv("WEFT_IO", "epoll", 1);
  std::atomic<bool> stop{false};
  std::vector<std::thread> threads;
  // Runtimes that come and go, and with them OS threads and their frame caches.
  for (int i = 0; i < 2; ++i) {
    threads.emplace_back([&stop] {
      while (!stop) {
        const std::unique_ptr<Runtime> runtime = *Runtime::Create({.parallelism = 2});
        EXPECT_TRUE(runtime->Run(UseEverything()));
      }
    });
  }
  // The default runtime, started and stopped, and frames that move between threads.
  threads.emplace_back([&stop] {
    while (!stop) {
      EXPECT_EQ(weft::Run(Give(1)), 1);
      Runtime::StopDefault();
    }
  });
  for (int i = 0; i < 30 && !HasFailure(); ++i) {
    const ChildEnd end = InChild([i] {
      const IoBackend io = i % 2 == 0 ? IoBackend::kUring : IoBackend::kEpoll;
      const std::unique_ptr<Runtime> own = *Runtime::Create({.parallelism = 2, .io = io});
      if (!own->Run(UseEverything())) std::exit(8);
      Runtime::StopDefault();
      if (!weft::Run(UseEverything())) std::exit(9);
      std::exit(7);
    });
    EXPECT_TRUE(end.Exited(7)) << end;
  }
  stop = true;
  for (std::thread& thread : threads) thread.join();
  ::unsetenv("WEFT_IO");
}

// What it uses it takes over: what the parent's threads have begun there is nobody's.
TEST_P(ForkRuntimeTest, WhatTheChildUsesItCanCloseWhoeverUsesItInTheParent) {
  const std::unique_ptr<Runtime> runtime = NewRuntime();
  TcpListener listener = TcpListener::Bind("127.0.0.1:0").value();
  Connected connected = runtime->Run(Connect(listener));
  std::thread users([&] {
    runtime->Run([&]() -> Task<void> {
      AwaitAll scope;
      scope.Fork([&]() -> Task<void> {
        char word[4];
        EXPECT_TRUE((co_await connected.server.ReadExactly(absl::MakeSpan(word))).ok());
      });
      scope.Fork([&]() -> Task<void> { EXPECT_FALSE((co_await listener.Accept()).ok()); });
      (co_await scope.Join()).IgnoreFailures();
    });
  });
  while (runtime->core().Counts().operations < 2) std::this_thread::yield();
  const ChildEnd end = Fork(*runtime, [&] {
    const int server = connected.server.native_handle();
    {
      const std::unique_ptr<Runtime> own = NewRuntime();
      own->Run([&]() -> Task<void> {
        char byte[1];
        const bool none = !co_await MoveOnAfter(absl::Milliseconds(1), listener.Accept()) &&
                          !co_await MoveOnAfter(absl::Milliseconds(1), connected.server.Read(byte));
        if (!none) std::_Exit(100);
      });
      connected.server.Close();
      listener.Close();
      if (connected.server.is_open() || listener.is_open()) std::_Exit(101);
    }
    std::exit(::fcntl(server, F_GETFD) < 0 ? 2 : 102);
  });
  EXPECT_TRUE(end.Exited(2)) << end;
  EXPECT_TRUE(runtime->Run([&]() -> Task<absl::Status> { co_return co_await connected.client.Write("weft"); }).ok());
  listener.Close();
  users.join();
}

}  // namespace
}  // namespace weft

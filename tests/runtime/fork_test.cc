// fork(2). Goal: the sentences of runtime.h about a child: it ends like any process, what it inherited is refused with
// a sentence and left alone, and the parent does not notice. Method: a table of who forks, on which backend, and of
// what the child does then. (What it does with runtimes of its own: fork_runtime_test.cc.)
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "lib/runtime/runtime_core.h"
#include "tests/runtime/fork_fixture.h"
#include "tests/support/child_process.h"
#include "weft/channel/channel.h"
#include "weft/fs/temporary.h"
#include "weft/net/resolver.h"
#include "weft/pin.h"
#include "weft/process.h"
#include "weft/sync/latch.h"
#include "weft/testing/simulation.h"
#include "weft/thread_builder.h"
#include "weft/weft.h"

namespace weft {
namespace {

using net::TcpListener;
using net::TcpStream;
using testing::Child;
using testing::ChildEnd;
using testing::Connected;
using testing::Give;
using testing::InChild;
using testing::kRefused;
using testing::UseEverything;
using testing::Connect;
using testing::Echo;

class ForkTest : public testing::ForkFixture {};
WEFT_FORK_EVERYWHERE(ForkTest);

TEST_P(ForkTest, TheChildExits) {
  EXPECT_TRUE(weft::Run(UseEverything()));
  const std::unique_ptr<Runtime> runtime = NewRuntime();
  const ChildEnd end = Fork(*runtime, [] { std::exit(7); });
  EXPECT_TRUE(end.Exited(7)) << end;
  EXPECT_EQ(end.errors, "");
  EXPECT_TRUE(weft::Run(UseEverything()));
}

TEST_P(ForkTest, RunOnWhatWasInheritedIsRefused) {
  EXPECT_EQ(weft::Run(Give(1)), 1);
  const std::unique_ptr<Runtime> runtime = NewRuntime();
  const ChildEnd on_default = Fork(*runtime, [] { static_cast<void>(weft::Run(Give(2))); });
  EXPECT_TRUE(on_default.Refused(kRefused)) << on_default;
  const ChildEnd on_own = Fork(*runtime, [&] { static_cast<void>(runtime->TryRun(Give(2))); });
  EXPECT_TRUE(on_own.Refused(kRefused)) << on_own;
  EXPECT_EQ(runtime->Run(Give(3)), 3);
}

// Static objects, and what lies in the frames of main(), are destroyed in the child too.
TEST_P(ForkTest, TheChildMayDestroyARuntimeThatItInherited) {
  std::unique_ptr<Runtime> runtime = NewRuntime();
  const ChildEnd end = Fork(*runtime, [&] {
    runtime.reset();
    std::exit(7);
  });
  EXPECT_TRUE(end.Exited(7)) << end;
  EXPECT_TRUE(runtime->Run(UseEverything()));
}

// The parent's epoll descriptor is the child's as well: who takes a socket out of it there, takes it out for both.
TEST_P(ForkTest, TheChildMayDestroyASocketThatItInherited) {
  const std::unique_ptr<Runtime> runtime = NewRuntime();
  TcpListener listener = TcpListener::Bind("127.0.0.1:0").value();
  Connected connected = runtime->Run(Connect(listener));
  EXPECT_TRUE(runtime->Run(Echo(connected)));
  const ChildEnd end = Fork(*runtime, [&] {
    connected.client.Close();
    connected.server.Close();
    listener.Close();
    std::exit(7);
  });
  EXPECT_TRUE(end.Exited(7)) << end;
  EXPECT_TRUE(runtime->Run(Echo(connected)));
  EXPECT_TRUE(runtime->Run([](TcpListener& inherited) -> Task<bool> {
    Connected another = co_await Connect(inherited);
    co_return co_await Echo(another);
  }(listener)));
}

Task<Process> StartSleeper(bool process_group) {
  co_return (co_await Process::Start({"sleep", "1000"}, {.process_group = process_group})).value();
}

TEST_P(ForkTest, AProcessThatTheChildInheritedAndDestroysGoesOn) {
  const std::unique_ptr<Runtime> runtime = NewRuntime();
  for (const bool process_group : {false, true}) {
    std::optional<Process> process = runtime->Run(StartSleeper(process_group));
    const ChildEnd end = Fork(*runtime, [&] {
      process.reset();
      std::exit(7);
    });
    EXPECT_TRUE(end.Exited(7)) << end;
    EXPECT_TRUE(process->Kill(SIGUSR1).ok());
    const absl::StatusOr<Process::Exit> exit = runtime->Run(process->Wait());
    EXPECT_EQ(exit.value(), Process::Exit{.signal = SIGUSR1});
  }
}

TEST_P(ForkTest, ATemporaryDirectoryThatTheChildInheritedAndDestroysStays) {
  const std::unique_ptr<Runtime> runtime = NewRuntime();
  std::optional<fs::TemporaryDirectory> directory = runtime->Run(fs::TemporaryDirectory::Create()).value();
  const std::string path = directory->path();
  const ChildEnd end = Fork(*runtime, [&] {
    {
      const fs::TemporaryDirectory moved = *std::move(directory);
    }
    directory.reset();
    std::exit(7);
  });
  EXPECT_TRUE(end.Exited(7)) << end;
  EXPECT_EQ(::access(path.c_str(), F_OK), 0);
  directory.reset();
  EXPECT_NE(::access(path.c_str(), F_OK), 0);
}

// 1. A thread of the parent has the lock of the list that unstarted threads are in. 2. Another one forks. 3. The child
// drops the threads. (One thread is both, and has the lock in the child, too.)
TEST(ForkUnderALockTest, TheChildMayDropThreadsThatWereNotStarted) {
  const std::unique_ptr<Runtime> runtime = *Runtime::Create({.parallelism = 2});
  std::optional<Process> process = runtime->Run(StartSleeper(/*process_group=*/false));  // has such a thread
  std::optional<VirtualThread> unstarted =
      VirtualThread::Builder(*runtime).Unstarted([]() -> Task<void> { co_return; });
  std::vector<ChildEnd> ends;
  auto fork = [&] {
    ends.push_back(InChild([&] {
      process.reset();
      unstarted.reset();
      std::exit(7);
    }));
  };
  const auto visit = [](internal::ThreadBlock&, void* with) { (*static_cast<decltype(fork)*>(with))(); };
  runtime->core().roots.ForEach(visit, &fork);
  EXPECT_EQ(ends.size(), 2u);
  for (const ChildEnd& end : ends) EXPECT_TRUE(end.Exited(7)) << end;
}

int OpenSockets() {
  int sockets = 0;
  for (int fd = 0; fd < 1'000; ++fd) {
    struct stat status;
    sockets += ::fstat(fd, &status) == 0 && S_ISSOCK(status.st_mode);
  }
  return sockets;
}

// Also while the parent's virtual threads read from it: they are not in the child, and what they wait for is not its.
TEST_P(ForkTest, WhatTheChildClosesIsClosedThereAndNotInTheParentWhoeverUsesIt) {
  const std::unique_ptr<Runtime> runtime = NewRuntime();
  TcpListener listener = TcpListener::Bind("127.0.0.1:0").value();
  Connected connected = runtime->Run(Connect(listener));
  std::thread reader([&] {
    char word[4];
    EXPECT_TRUE(runtime->Run([](TcpStream& stream, char* to) -> Task<absl::Status> {
      co_return co_await stream.ReadExactly(absl::MakeSpan(to, 4));
    }(connected.server, word)).ok());
  });
  while (runtime->core().Counts().operations < 1) std::this_thread::yield();
  const ChildEnd end = Fork(*runtime, [&] {
    const int before = OpenSockets();
    connected.server.Close();
    connected.client.Close();
    listener.Close();
    std::exit(before - OpenSockets());
  });
  EXPECT_TRUE(end.Exited(3)) << end;
  EXPECT_TRUE(runtime
                  ->Run([](TcpStream& stream) -> Task<absl::Status> {
                    co_return co_await stream.Write("weft");
                  }(connected.client))
                  .ok());
  reader.join();
}

// A lock on the way to them may be held by a thread that is not in the child. So a child that closes a descriptor, for
// which a paused Accept() of the parent's waits, wakes nobody there either.
TEST_P(ForkTest, WhatTheChildDoesWakesNoThreadOfTheParent) {
  const std::unique_ptr<Runtime> forking = NewRuntime();
  const std::unique_ptr<Runtime> runtime = NewRuntime();
  Event event;
  Latch latch(1);
  Channel<int> channel(1);
  std::vector<VirtualThread> parked;
  const auto start = [&](auto closure) {
    parked.push_back(VirtualThread::Builder(*runtime).Start(std::move(closure)));
    while (parked.back().state() != VirtualThread::State::kWaiting) std::this_thread::yield();
  };
  start([&]() -> Task<void> { co_await event.Wait(); });
  start([&]() -> Task<void> { co_await latch.Wait(); });
  start([&]() -> Task<void> { EXPECT_EQ(co_await channel.Receive(), 1); });
  start([]() -> Task<void> { co_await VirtualThread::Park(); });
  start([&]() -> Task<void> {
    const Pin pin;
    co_await event.Wait();
  });
  const auto wake_all = [&] {
    event.Set();
    latch.CountDown();
    EXPECT_TRUE(channel.TrySend(1));
    parked[3].Unpark();
  };
  const ChildEnd end = Fork(*forking, [&] {
    wake_all();
    int woken = 0;
    for (const VirtualThread& thread : parked) woken += thread.state() != VirtualThread::State::kWaiting;
    std::exit(woken);
  });
  EXPECT_TRUE(end.Exited(0)) << end;
  const ChildEnd beside_them = Fork(*runtime, [&] {
    wake_all();
    std::exit(7);
  });
  EXPECT_TRUE(beside_them.Exited(7)) << beside_them;
  wake_all();
  for (const VirtualThread& thread : parked) EXPECT_TRUE(thread.JoinBlocking().ok());
}

// The places of the parent's are held by lookups that are not in the child.
TEST_P(ForkTest, TheChildHasADefaultResolverOfItsOwn) {
  const std::unique_ptr<Runtime> runtime = NewRuntime();
  net::Resolver* const own = &net::Resolver::Default();
  const ChildEnd end = Fork(*runtime, [&] { std::exit(&net::Resolver::Default() == own ? 1 : 7); });
  EXPECT_TRUE(end.Exited(7)) << end;
  EXPECT_EQ(&net::Resolver::Default(), own);
}

// ---- A virtual thread that goes on in the child.

class ForkOnACarrierTest : public ::testing::TestWithParam<IoBackend> {};
INSTANTIATE_TEST_SUITE_P(Everywhere, ForkOnACarrierTest, ::testing::Values(IoBackend::kUring, IoBackend::kEpoll));

TEST_P(ForkOnACarrierTest, WhatNeedsTheSchedulerIsRefusedInTheChild) {
  const std::unique_ptr<Runtime> runtime = *Runtime::Create({.parallelism = 2, .io = GetParam()});
  const auto goes_on = [&](Task<void> (*body)()) {
    return runtime->Run([](Task<void> (*go_on)()) -> Task<ChildEnd> {
      const Child child;
      if (!child) co_return child.Wait();
      co_await go_on();
      co_return ChildEnd{};
    }(body));
  };
  Task<void> (*const bodies[])() = {
      []() -> Task<void> { co_return; },
      []() -> Task<void> { co_await Yield(); },
      []() -> Task<void> { co_await Sleep(absl::Hours(1)); },
      []() -> Task<void> { co_await Event().Wait(); },
      []() -> Task<void> {
        AwaitAll scope;
        scope.Fork([]() -> Task<void> { co_return; });
        (co_await scope.Join()).IgnoreFailures();
      },
      []() -> Task<void> { static_cast<void>(co_await All(Give(1), Give(2))); },
      []() -> Task<void> { static_cast<void>(co_await WithTimeout(absl::ZeroDuration(), []() -> Task<void> {
                             co_await Yield();
                           }())); },
  };
  for (Task<void> (*body)() : bodies) {
    const ChildEnd end = goes_on(body);
    EXPECT_TRUE(end.Refused("goes on in a child of fork(), where its runtime has no carriers; "
                            "there, it may call exec() or exit(), or start another runtime and wait for that"))
        << end;
  }
  EXPECT_TRUE(runtime->Run(UseEverything()));
}

// A simulation is one OS thread, which is in the child too. (That it goes on there ThreadSanitizer cannot follow.)
TEST(ForkInASimulationTest, TheSchedulerIsThereInTheChild) {
  testing::Simulation simulation({.carriers = 3});
  const ChildEnd end = simulation.Run([]() -> Task<ChildEnd> {
    AwaitAll scope;
    const Child child;
    scope.Fork([]() -> Task<void> { co_return; });
    if (child) ::_exit(5);
    (co_await scope.Join()).IgnoreFailures();
    co_return child.Wait();
  }());
  EXPECT_TRUE(end.Exited(5)) << end;
}

}  // namespace
}  // namespace weft

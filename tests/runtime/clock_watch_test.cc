// The watch of the wall clock. Goal: a step of the clock reaches every carrier at once, or within a second where the
// kernel refuses to tell; the watch is on only while somebody waits for the clock, and holds nobody up. Method:
// runtimes on both backends, whose wall clock the test steps, and whose timerfd is an eventfd that the test makes
// readable.
#include "lib/runtime/clock_watch.h"

#include <gtest/gtest.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/time/time.h"
#include "lib/driver/backend.h"
#include "lib/os/clock.h"
#include "lib/os/syscalls.h"
#include "lib/runtime/os_host.h"
#include "lib/runtime/runtime_core.h"
#include "lib/testing/syscall_fault.h"
#include "tests/support/on_both.h"
#include "weft/cancellation.h"
#include "weft/runtime.h"
#include "weft/scope.h"
#include "weft/sync/event.h"
#include "weft/task.h"
#include "weft/testing/census.h"
#include "weft/thread_builder.h"
#include "weft/time.h"
#include "weft/virtual_thread.h"

namespace weft {
namespace {

using internal::Clock;
using internal::ScopedSyscallFault;
using internal::ScopedSyscalls;
using internal::Syscalls;
using testing::Introduction;

class SteppedClock final : public Clock {
 public:
  int64_t NowNanos() noexcept override { return Clock::Real().NowNanos(); }
  int64_t WallNanos() noexcept override { return Clock::Real().WallNanos() + ahead_ns; }
  std::atomic<int64_t> ahead_ns{0};
};

std::atomic<int> timer{-1};     // the eventfd that stands for the last timerfd
std::atomic<int> timers_made{0};

int MakeTimer(clockid_t, int) {
  timer = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  ++timers_made;
  return timer;
}
int SetTimer(int, int, const itimerspec*, itimerspec*) { return 0; }

const Syscalls& WithTimersOfTheTest() {
  static const Syscalls table = [] {
    Syscalls made = internal::RealSyscalls();
    made.timerfd_create = &MakeTimer;
    made.timerfd_settime = &SetTimer;
    return made;
  }();
  return table;
}

class ClockWatchTest : public ::testing::TestWithParam<IoBackend> {
 protected:
  static constexpr int kCarriers = 2;

  std::unique_ptr<Runtime> Make() {
    auto backend = internal::NewBackend(GetParam(), kCarriers);
    EXPECT_TRUE(backend.ok()) << backend.status();
    internal::RuntimeConfig config;
    config.parallelism = config.max_pool_size = kCarriers;
    config.clock = &clock;
    config.watch_wall_clock = true;
    config.backend = *backend;
    auto host = std::make_unique<internal::OsHost>(*backend, internal::WorkerPool::Options{.name = "call"});
    auto core = std::make_unique<internal::RuntimeCore>(std::move(config), std::move(host));
    EXPECT_TRUE(core->Start().ok());
    return std::make_unique<Runtime>(std::move(core));
  }

 public:
  void Step(absl::Duration by) { clock.ahead_ns += absl::ToInt64Nanoseconds(by); }
  static void Tell() {
    const uint64_t one = 1;
    EXPECT_EQ(::write(timer, &one, sizeof(one)), static_cast<ssize_t>(sizeof(one)));
  }

  SteppedClock clock;
};
INSTANTIATE_TEST_SUITE_P(Backends, ClockWatchTest, ::testing::Values(IoBackend::kUring, IoBackend::kEpoll),
                         [](const auto& info) -> std::string {
                           return info.param == IoBackend::kUring ? "IoUring" : "Epoll";
                         });

TEST_P(ClockWatchTest, AStepReachesSleepersOnEveryCarrier) {
  const ScopedSyscalls test(WithTimersOfTheTest());
  Make()->Run([](ClockWatchTest& of) -> Task<void> {
    for (int round = 0; round < 20; ++round) {
      const absl::Time at = Now() + absl::Hours(1);
      AwaitAll scope;
      Introduction sleeps[4];
      for (Introduction& each : sleeps) {
        scope.Fork([at, &each]() -> Task<void> {
          each.Make();
          co_await SleepUntil(at);
          EXPECT_GE(Now(), at);
        });
      }
      for (Introduction& each : sleeps) co_await each.AwaitParked();
      of.Step(absl::Hours(1));
      Tell();
      (co_await scope.Join()).IgnoreFailures();
    }
  }(*this));
}

TEST_P(ClockWatchTest, ASecondStepIsToldToo) {
  const ScopedSyscalls test(WithTimersOfTheTest());
  Make()->Run([](ClockWatchTest& of) -> Task<void> {
    const absl::Time begin = Now();
    AwaitAll scope;
    Introduction sleeps[3];
    Event over[3];
    for (int i = 0; i < 3; ++i) {
      scope.Fork([&, i]() -> Task<void> {
        sleeps[i].Make();
        co_await SleepUntil(begin + absl::Hours(i + 1));
        over[i].Set();
      });
    }
    for (Introduction& each : sleeps) co_await each.AwaitParked();
    for (Event& each : over) {
      of.Step(absl::Hours(1));
      Tell();
      co_await each.Wait();
    }
    (co_await scope.Join()).IgnoreFailures();
  }(*this));
}

TEST_P(ClockWatchTest, TheWatchIsOffWhileNobodyWaitsForTheClock) {
  const ScopedSyscalls test(WithTimersOfTheTest());
  timers_made = 0;
  const std::unique_ptr<Runtime> runtime = Make();
  runtime->Run([]() -> Task<void> {
    co_await Sleep(absl::Milliseconds(1));
    co_await SleepUntil(MonotonicNow() + absl::Milliseconds(1));
    EXPECT_TRUE((co_await WithTimeout(absl::Hours(1), Yield())).ok());
    const auto never = []() -> Task<void> { co_await SleepUntil(absl::InfiniteFuture()); };
    EXPECT_FALSE((co_await testing::StopOnceItWaits(never())).ok());
    EXPECT_TRUE((co_await WithDeadline(absl::InfiniteFuture(), Yield())).ok());
  }());
  EXPECT_EQ(timers_made, 0);
  for (int i = 0; i < 100; ++i) {
    runtime->Run([]() -> Task<void> {
      const auto sleep = [](absl::Time until) -> Task<void> { co_await SleepUntil(until); };
      EXPECT_FALSE((co_await testing::StopOnceItWaits(sleep(Now() + absl::Hours(1)))).ok());
    }());
  }
  EXPECT_GT(timers_made, 0);
  EXPECT_LE(timers_made, 100);
}

TEST_P(ClockWatchTest, ManyComeAndGo) {
  const ScopedSyscalls test(WithTimersOfTheTest());
  Make()->Run([](ClockWatchTest& of) -> Task<void> {
    AwaitAll scope;
    for (int thread = 0; thread < 8; ++thread) {
      scope.Fork([&of, thread]() -> Task<void> {
        for (int i = 0; i < 100; ++i) {
          if (i % 10 == thread) of.Step(absl::Microseconds(50));
          const absl::Time at = Now() + absl::Microseconds(i * 7 % 300);
          co_await MoveOnAfter(absl::Microseconds(200), SleepUntil(at));
          if ((co_await WithDeadline(at, SleepUntil(at))).ok()) EXPECT_GE(Now(), at);
        }
      });
    }
    (co_await scope.Join()).IgnoreFailures();
  }(*this));
}

TEST_P(ClockWatchTest, WhereTheKernelRefusesToTellASleeperLooksEachSecond) {
  const bool at_create = GetParam() == IoBackend::kUring;
  const ScopedSyscallFault create(&Syscalls::timerfd_create, {.times = at_create ? 1 : 0, .error = ENOSYS});
  const ScopedSyscallFault set(&Syscalls::timerfd_settime, {.times = 1, .error = EINVAL});
  Make()->Run([](ClockWatchTest& of) -> Task<void> {
    AwaitAll scope;
    Introduction sleeps;
    scope.Fork([&]() -> Task<void> {
      const absl::Time at = Now() + absl::Hours(1);
      sleeps.Make();
      co_await SleepUntil(at);
      EXPECT_GE(Now(), at);
    });
    co_await sleeps.AwaitParked();
    of.Step(absl::Hours(1));
    (co_await scope.Join()).IgnoreFailures();
  }(*this));
}

TEST_P(ClockWatchTest, ACensusWaitsForNobodyWhoWaitsForTheClock) {
  const ScopedSyscalls test(WithTimersOfTheTest());
  const std::unique_ptr<Runtime> runtime = Make();
  std::optional<VirtualThread> sleeper;
  runtime->Run([&sleeper]() -> Task<void> {
    Introduction sleeps;
    sleeper = VirtualThread::Start([&sleeps]() -> Task<void> {
      sleeps.Make();
      co_await SleepUntil(Now() + absl::Hours(1));
    });
    co_await sleeps.AwaitParked();
  });
  EXPECT_EQ(testing::Census::Take().virtual_threads, 1);
  sleeper->RequestCancel();
  EXPECT_FALSE(sleeper->JoinBlocking().ok());
  static_cast<void>(testing::Census::Take());  // nor for a watch that stops, for long
}

TEST_P(ClockWatchTest, ARuntimeThatEndsWhileTheWatchIsOnWaitsForNothing) {
  for (int i = 0; i < 20; ++i) {
    const std::unique_ptr<Runtime> runtime = Make();  // with the kernel's timerfd
    runtime->Run([]() -> Task<void> {
      for (int thread = 0; thread < 3; ++thread) {
        Introduction sleeps;
        VirtualThread::Start([&sleeps]() -> Task<void> {
          sleeps.Make();
          co_await SleepUntil(Now() + absl::Hours(1));
        });
        co_await sleeps.AwaitParked();
      }
    }());
  }
}

}  // namespace
}  // namespace weft

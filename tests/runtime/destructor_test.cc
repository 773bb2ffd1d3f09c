// Goal: a carrier that a destructor holds keeps nobody waiting for longer than it has to, and nobody counts on it
// meanwhile. Method: real carriers. All sleep without a limit before the destructor ends, or another one wakes.
#include <gtest/gtest.h>
#include <pthread.h>
#include <sched.h>
#include <time.h>

#include <atomic>
#include <memory>
#include <optional>
#include <semaphore>
#include <stop_token>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "lib/base/fence.h"
#include "tests/support/fork_here.h"
#include "tests/support/on_both.h"
#include "weft/blocking.h"
#include "weft/cancellation.h"
#include "weft/executor/per_task_executor.h"
#include "weft/executor/thread_pool_executor.h"
#include "weft/pin.h"
#include "weft/runtime.h"
#include "weft/scope.h"
#include "weft/stop_token.h"
#include "weft/sync/event.h"
#include "weft/task.h"
#include "weft/time.h"

namespace weft {
namespace {

using testing::Forever;
using testing::Introduction;

class DestructorTest : public ::testing::TestWithParam<IoBackend> {
 protected:
  static std::unique_ptr<Runtime> TwoCarriers() {
    constexpr absl::Duration kNever = absl::ZeroDuration();
    return Runtime::Create({.parallelism = 2, .held_carrier_threshold = kNever, .io = GetParam()}).value();
  }
};
INSTANTIATE_TEST_SUITE_P(Backends, DestructorTest, ::testing::Values(IoBackend::kUring, IoBackend::kEpoll),
                         [](const auto& info) { return info.param == IoBackend::kUring ? "uring" : "epoll"; });

TEST_P(DestructorTest, OthersFireTheTimersOfACarrierThatComputesAfterItsDestructorHasWaited) {
  TwoCarriers()->Run([]() -> Task<void> {
    const Pin pin;
    std::atomic<bool> woken{false};
    AwaitAll scope;
    co_await testing::ForkHere(scope, [&]() -> Task<void> {
      co_await Sleep(absl::Milliseconds(100));
      woken = true;
    });
    {
      std::atomic<bool> runs{false};
      ThreadPoolExecutor pool(1);
      static_cast<void>(pool.Submit([&runs] {
        runs = true;
        absl::SleepFor(absl::Milliseconds(50));
      }));
      while (!runs) co_await Yield();
    }  // until then this carrier sleeps; the other one sees that, and sleeps without a limit
    const absl::Time begin = absl::Now();
    while (!woken && absl::Now() - begin < absl::Seconds(20)) internal::CpuRelax();
    EXPECT_TRUE(woken);
    (co_await scope.Join()).IgnoreFailures();
  }());
}

// A thread whose destructor holds its carrier until End(). Whoever awaits Begin() is on the other carrier then.
class Holder {
 public:
  Task<void> Begin(AwaitAll& scope) {
    scope.Fork([this]() -> Task<void> {
      std::atomic<bool> runs{false};
      ThreadPoolExecutor pool(1);
      static_cast<void>(pool.Submit([this, &runs] {
        runs = true;
        ends_.acquire();
      }));
      while (!runs) co_await Yield();
      EXPECT_EQ(::pthread_getcpuclockid(::pthread_self(), &clock_), 0);
      holds_ = true;
    });
    while (!holds_) co_await Yield();
  }
  void End() { ends_.release(); }

  // What its OS thread has computed.
  absl::Duration CpuTime() const {
    timespec time = {};
    EXPECT_EQ(::clock_gettime(clock_, &time), 0);
    return absl::DurationFromTimespec(time);
  }

 private:
  clockid_t clock_ = {};
  std::atomic<bool> holds_{false};
  std::binary_semaphore ends_{0};
};

Task<void> YieldTimes(int times) {
  for (int i = 0; i < times; ++i) co_await Yield();
}

// It may run none of these threads.
TEST_P(DestructorTest, ACarrierThatWaitsSleepsWhileTheOthersPush) {
  constexpr int kYields = 400'000;
  TwoCarriers()->Run([]() -> Task<void> {
    Holder holder;
    AwaitAll scope;
    co_await holder.Begin(scope);
    scope.Fork(YieldTimes(kYields));
    co_await YieldTimes(100);
    const absl::Duration before = holder.CpuTime();
    const absl::Time begin = absl::Now();
    co_await YieldTimes(kYields);
    EXPECT_LE(holder.CpuTime() - before, (absl::Now() - begin) / 4);
    holder.End();
    (co_await scope.Join()).IgnoreFailures();
  }());
}

// Both sleep without a limit until the timer of the other one has come. Nobody could run a thread that a timer wakes;
// but a timeout is seen by who computes.
TEST_P(DestructorTest, ACarrierThatWaitsFiresTheTimersOfOneThatThenComputes) {
  TwoCarriers()->Run([]() -> Task<void> {
    Holder holder;
    AwaitAll scope;
    co_await holder.Begin(scope);
    const auto compute = []() -> Task<void> {
      co_await Sleep(absl::Milliseconds(50));
      const absl::Time begin = absl::Now();
      while (!CancelRequested() && absl::Now() - begin < absl::Seconds(20)) internal::CpuRelax();
      EXPECT_TRUE(CancelRequested());
    };
    (co_await WithTimeout(absl::Milliseconds(150), compute())).IgnoreError();
    holder.End();
    (co_await scope.Join()).IgnoreFailures();
  }());
}

// The carrier was rung as a searcher, to make the callback.
TEST_P(DestructorTest, WhatADestructorInACallbackWaitsForIsNotLeftToItsCarrierAsASearcher) {
  TwoCarriers()->Run([]() -> Task<void> {
    std::atomic<bool> runs{false}, called{false};
    std::optional<VirtualThreadPerTaskExecutor> executor(std::in_place);
    static_cast<void>(executor->Submit([&]() -> Task<void> {
      (co_await Blocking([&] {
        runs = true;
        while (!called) ::sched_yield();
        absl::SleepFor(absl::Milliseconds(50));  // until then all carriers sleep without a limit
      })).IgnoreError();
    }));
    while (!runs) co_await Yield();
    std::stop_source source;
    Event over;
    Introduction waiting;
    AwaitAll scope;
    scope.Fork([&]() -> Task<void> {
      const auto wait = [&]() -> Task<void> {
        StopOnCancel stop;
        const std::stop_callback destroys(stop.token(), [&] {
          called = true;
          executor.reset();
          over.Set();
        });
        co_await Forever(waiting);
      };
      (co_await WithStopToken(source.get_token(), wait())).IgnoreError();
    });
    co_await waiting.AwaitParked();
    source.request_stop();
    while (!called) internal::CpuRelax();  // the other carrier makes the callback
    co_await over.Wait();
    (co_await scope.Join()).IgnoreFailures();
  }());
}

}  // namespace
}  // namespace weft

// Latch. Goal: whoever waits goes on when the count is zero, once, and what is cancelled has counted nothing. Method:
// the same bodies in simulations and on carriers; OS threads of their own.
#include "weft/sync/latch.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "tests/support/on_both.h"
#include "weft/cancellation.h"
#include "weft/channel/select.h"
#include "weft/runtime.h"
#include "weft/scope.h"
#include "weft/sync/event.h"
#include "weft/task.h"
#include "weft/testing/simulation.h"
#include "weft/time.h"

namespace weft {
namespace {

using testing::Introduction;

class LatchTest : public testing::OnBoth {};
WEFT_ON_BOTH(LatchTest);

TEST_P(LatchTest, WaitsEndInTheirOrderWhenTheCountIsZeroAndLaterOnesDoNotWait) {
  Everywhere([]() -> Task<void> {
    Latch latch(3);
    std::atomic<int> gone = 0;
    AwaitAll scope;
    for (int i = 0; i < 4; ++i) {
      Introduction waiting;
      scope.Fork([&]() -> Task<void> {
        waiting.Make();
        co_await latch.Wait();
        ++gone;
      });
      co_await waiting.AwaitParked();
    }
    latch.CountDown();
    EXPECT_EQ(latch.count(), 2);
    EXPECT_FALSE(latch.TryWait());
    latch.CountDown(1);
    EXPECT_EQ(gone, 0);
    latch.CountDown();
    EXPECT_TRUE(latch.TryWait());
    (co_await scope.Join()).IgnoreFailures();
    EXPECT_EQ(gone, 4);
    co_await latch.Wait();
  });
}

TEST_P(LatchTest, TheCountStaysAtZero) {
  Everywhere([]() -> Task<void> {
    Latch none(0);
    EXPECT_TRUE(none.TryWait());
    co_await none.Wait();
    co_await none.ArriveAndWait();
    none.CountDown();
    Latch two(2);
    two.CountDown(5);
    two.CountDown();
    EXPECT_EQ(two.count(), 0);
    co_await two.ArriveAndWait(7);
  });
}

TEST_P(LatchTest, ThoseWhoArriveAndWaitMeet) {
  Everywhere([]() -> Task<void> {
    constexpr int kThreads = 5;
    Latch latch(kThreads);
    std::atomic<int> come = 0;
    AwaitAll scope;
    for (int i = 0; i < kThreads; ++i) {
      scope.Fork([&]() -> Task<void> {
        ++come;
        co_await latch.ArriveAndWait();
        EXPECT_EQ(come, kThreads);
      });
    }
    (co_await scope.Join()).IgnoreFailures();
    EXPECT_TRUE(latch.TryWait());
  });
}

TEST_P(LatchTest, AnArrivalThatIsCancelledIsTakenBack) {
  Everywhere([]() -> Task<void> {
    Latch latch(3);
    const absl::Status ended =
        co_await testing::StopOnceItWaits([](Latch& of) -> Task<void> { co_await of.ArriveAndWait(2); }(latch));
    EXPECT_EQ(ReasonOf(ended).kind, CancelReason::Kind::kStopRequested);
    EXPECT_EQ(latch.count(), 3);
    EXPECT_FALSE(co_await MoveOnAfter(absl::ZeroDuration(), latch.Wait()));
    latch.CountDown(2);
    co_await latch.ArriveAndWait();
    EXPECT_TRUE(latch.TryWait());
  });
}

TEST_P(LatchTest, IsACaseOfASelect) {
  Everywhere([]() -> Task<void> {
    Latch latch(1);
    Event never;
    AwaitAll scope;
    Introduction waiting;
    scope.Fork([&]() -> Task<void> {
      waiting.Make();
      const auto got = co_await Select(never.Wait(), latch.Wait());
      EXPECT_EQ(got.index(), 1u);
    });
    co_await waiting.AwaitParked();
    latch.CountDown();
    (co_await scope.Join()).IgnoreFailures();
    EXPECT_EQ((co_await Select(latch.Wait(), never.Wait())).index(), 0u);
  });
}

TEST_P(LatchTest, WhoeverGoesOnMayDestroyIt) {
  Everywhere([]() -> Task<void> {
    for (int i = 0; i < 20; ++i) {
      auto latch = std::make_unique<Latch>(2);
      AwaitAll scope;
      for (int each = 0; each < 2; ++each) {
        scope.Fork([&of = *latch]() -> Task<void> {
          of.CountDown();
          co_return;
        });
      }
      co_await latch->Wait();
      latch.reset();
      (co_await scope.Join()).IgnoreFailures();
    }
  });
}

TEST(LatchThreadsTest, OsThreadsCountAndWaitToo) {
  for (const int parallelism : {1, 2}) {
    const auto runtime = Runtime::Create({.parallelism = parallelism}).value();
    for (int i = 0; i < 50; ++i) {
      Latch begun(3), done(2);
      std::vector<std::thread> threads;
      for (int each = 0; each < 2; ++each) {
        threads.emplace_back([&] {
          begun.CountDown();
          begun.WaitBlocking();
          EXPECT_TRUE(begun.TryWait());
          done.CountDown();
        });
      }
      runtime->Run([](Latch& arrive, Latch& last) -> Task<void> {
        co_await arrive.ArriveAndWait();
        co_await last.Wait();
      }(begun, done));
      done.WaitBlocking();
      for (std::thread& each : threads) each.join();
    }
  }
}

TEST(LatchDeathTest, IsDestroyedWithAWaiter) {
  EXPECT_DEATH(testing::Simulation().Run([]() -> Task<void> {
                 AwaitAll scope;
                 Latch latch(1);
                 scope.Fork([&latch]() -> Task<void> { co_await latch.Wait(); }, {.name = "waiter"});
                 co_await Yield();
                 co_await Yield();
               }()),
               "a Latch is destroyed by VirtualThread\\[#1\\]/runnable@carrier-0 while "
               "VirtualThread\\[#2,waiter\\]/waiting waits for it");
}

TEST(LatchDeathTest, ACarrierIsNotBlocked) {
  EXPECT_DEATH(testing::Simulation().Run([]() -> Task<void> {
                 Latch latch(1);
                 latch.WaitBlocking();
                 co_return;
               }()),
               "Latch::WaitBlocking\\(\\) by VirtualThread\\[#1\\]/runnable@carrier-0, which would hold its carrier");
}

TEST(LatchDeathTest, CountsDownOnly) {
  EXPECT_DEATH(Latch(-1), "a Latch with a count of -1; it needs 0 or more");
  EXPECT_DEATH(Latch(1).CountDown(-2), "CountDown\\(-2\\) of a Latch; it only counts down");
  Latch latch(1);
  EXPECT_DEATH(static_cast<void>(latch.ArriveAndWait(-2)), "ArriveAndWait\\(-2\\) of a Latch; it only counts down");
}

}  // namespace
}  // namespace weft

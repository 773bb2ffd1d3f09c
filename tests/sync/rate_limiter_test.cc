// RateLimiter. Goal: no more permits than the rate and the burst allow, in order, and none is lost. Method: virtual
// time, which only passes when all are parked; on carriers what holds at any speed.
#include "weft/sync/rate_limiter.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <vector>

#include "absl/time/time.h"
#include "tests/support/on_both.h"
#include "weft/cancellation.h"
#include "weft/scope.h"
#include "weft/sync/event.h"
#include "weft/task.h"
#include "weft/testing/simulation.h"
#include "weft/time.h"

namespace weft {
namespace {

using testing::Introduction;

class RateLimiterTest : public testing::OnBoth {};
WEFT_ON_BOTH(RateLimiterTest);

// A timer fires up to a tick after its time.
constexpr absl::Duration kTick = absl::Milliseconds(1);

TEST_P(RateLimiterTest, PermitsComeAtTheRateAfterTheBurst) {
  Everywhere([]() -> Task<void> {
    RateLimiter limiter({.permits_per_second = 1000, .burst = 3});
    const MonotonicTime begin = MonotonicNow();
    for (int i = 1; i <= 8; ++i) {
      co_await limiter.Acquire();
      const absl::Duration due = absl::Milliseconds(i <= 3 ? 0 : i - 3);
      EXPECT_GE(MonotonicNow() - begin, due);
      if (simulated()) EXPECT_LE(MonotonicNow() - begin, due + kTick);
    }
  });
}

TEST_P(RateLimiterTest, NoMoreThanTheBurstIsKept) {
  Everywhere([]() -> Task<void> {
    RateLimiter limiter({.permits_per_second = 1000, .burst = 2});
    co_await Sleep(absl::Milliseconds(20));
    const MonotonicTime begin = MonotonicNow();
    EXPECT_TRUE(limiter.TryAcquire(2));
    co_await limiter.Acquire(2);
    EXPECT_GE(MonotonicNow() - begin, absl::Milliseconds(2)) << "they were used up a moment before";
  });
}

TEST(RateLimiterTimeTest, TryAcquireUsesWhatIsThereAndNothingElse) {
  testing::Simulation().Run([]() -> Task<void> {
    RateLimiter limiter({.permits_per_second = 10, .burst = 4});
    EXPECT_TRUE(limiter.TryAcquire(3));
    EXPECT_FALSE(limiter.TryAcquire(2));
    EXPECT_TRUE(limiter.TryAcquire());
    EXPECT_FALSE(limiter.TryAcquire());
    co_await Sleep(absl::Milliseconds(250));
    EXPECT_FALSE(limiter.TryAcquire(3));
    EXPECT_TRUE(limiter.TryAcquire(2));
    EXPECT_FALSE(limiter.TryAcquire());
  }());
}

TEST(RateLimiterTimeTest, TheAverageHoldsHoweverLateTimersAre) {
  testing::Simulation simulation;
  simulation.Run([]() -> Task<void> {
    RateLimiter limiter({.permits_per_second = 3000});
    const MonotonicTime begin = MonotonicNow();
    for (int i = 0; i <= 3000; ++i) co_await limiter.Acquire();
    EXPECT_GE(MonotonicNow() - begin, absl::Seconds(1) - kTick);
    EXPECT_LE(MonotonicNow() - begin, absl::Seconds(1) + kTick);
  }());
}

// Each turn of another thread lasts longer than the permits take to come.
TEST(RateLimiterTimeTest, TheAverageHoldsWhereEachGrantIsLaterThanABurstLasts) {
  for (const int64_t burst : {1, 10}) {
    for (const int threads : {1, 2, 5}) {
      testing::Simulation({.carriers = 1, .turn_time = absl::Milliseconds(1)}).Run([](int64_t permits,
                                                                                     int those_who_ask) -> Task<void> {
        AwaitAll others, all;
        Event done;
        others.Fork([&]() -> Task<void> {
          while (!done.IsSet()) co_await Yield();
        });
        RateLimiter limiter({.permits_per_second = 500, .burst = permits});
        const MonotonicTime begin = MonotonicNow();
        int64_t left = 1000 + permits;
        for (int i = 0; i < those_who_ask; ++i) {
          all.Fork([&]() -> Task<void> {
            while (left > 0) {
              --left;
              co_await limiter.Acquire();
            }
          });
        }
        (co_await all.Join()).IgnoreFailures();
        EXPECT_GE(MonotonicNow() - begin, absl::Seconds(2) - kTick) << permits << ", " << those_who_ask;
        EXPECT_LE(MonotonicNow() - begin, absl::Seconds(2.1)) << permits << ", " << those_who_ask;
        done.Set();
        (co_await others.Join()).IgnoreFailures();
      }(burst, threads));
    }
  }
}

// What is late is made up for at once, or not at all.
TEST(RateLimiterTimeTest, AGrantThatWasLateIsNoBurstForLater) {
  testing::Simulation({.carriers = 1, .turn_time = absl::Milliseconds(2)}).Run([]() -> Task<void> {
    RateLimiter limiter({.permits_per_second = 3000});
    for (int i = 0; i < 100; ++i) co_await limiter.Acquire();
    co_await Sleep(absl::Seconds(1));
    EXPECT_TRUE(limiter.TryAcquire());
    EXPECT_FALSE(limiter.TryAcquire());
  }());
}

TEST(RateLimiterTimeTest, ThoseWhoWaitAreServedInTheirOrderWhateverTheyWant) {
  for (uint64_t seed = 1; seed <= 50; ++seed) {
    testing::Simulation({.carriers = 1 + static_cast<int>(seed % 3), .seed = seed}).Run([]() -> Task<void> {
      RateLimiter limiter({.permits_per_second = 5, .burst = 3});
      EXPECT_TRUE(limiter.TryAcquire(3));
      std::vector<int> order;
      AwaitAll scope;
      for (int i = 0; i < 4; ++i) {
        Introduction waiting;
        scope.Fork([&, i]() -> Task<void> {
          waiting.Make();
          co_await limiter.Acquire(i == 0 ? 3 : 1);
          order.push_back(i);
        });
        co_await waiting.AwaitParked();
      }
      (co_await scope.Join()).IgnoreFailures();
      EXPECT_EQ(order, (std::vector<int>{0, 1, 2, 3}));
    }());
  }
}

TEST(RateLimiterTimeTest, AWaitThatIsCancelledUsesNoPermits) {
  for (uint64_t seed = 1; seed <= 50; ++seed) {
    testing::Simulation({.carriers = 1 + static_cast<int>(seed % 3), .seed = seed}).Run([]() -> Task<void> {
      RateLimiter limiter({.permits_per_second = 1, .burst = 5});
      EXPECT_TRUE(limiter.TryAcquire(5));
      const MonotonicTime begin = MonotonicNow();
      AwaitAll cancelled, kept;
      cancelled.Fork(limiter.Acquire(5));
      co_await Sleep(absl::Milliseconds(1));
      kept.Fork(limiter.Acquire(2));
      cancelled.Fork(limiter.Acquire(3));
      co_await Sleep(absl::Milliseconds(1));
      cancelled.Shutdown();
      (co_await kept.Join()).IgnoreFailures();
      EXPECT_GE(MonotonicNow() - begin, absl::Seconds(2));
      EXPECT_LE(MonotonicNow() - begin, absl::Seconds(2) + absl::Milliseconds(3));
      (co_await cancelled.Join()).IgnoreFailures();
    }());
  }
}

// However many permits come in a nanosecond, or however few in a year.
TEST(RateLimiterTimeTest, TheAverageHoldsAtAnyRate) {
  for (const double rate : {1e-3, 0.7, 1e8, 7e8, 1.5e9, 2.6e9, 1e10, 1e11, 1e15}) {
    testing::Simulation().Run([](double permits_per_second) -> Task<void> {
      const auto burst = static_cast<int64_t>(permits_per_second) + 1;
      RateLimiter limiter({.permits_per_second = permits_per_second, .burst = burst});
      EXPECT_TRUE(limiter.TryAcquire(burst));
      EXPECT_FALSE(limiter.TryAcquire(burst));
      const MonotonicTime begin = MonotonicNow();
      for (int i = 0; i < 10; ++i) co_await limiter.Acquire(burst);
      const double expected = 10 * static_cast<double>(burst) / permits_per_second;
      EXPECT_NEAR(absl::ToDoubleSeconds(MonotonicNow() - begin), expected, 1e-3) << permits_per_second;
    }(rate));
  }
}

TEST(RateLimiterTimeTest, TheBurstIsThereAtAnyRate) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  for (const double rate : {1e-320, 1e-300, 1e-20, 1e300, kInfinity}) {
    RateLimiter limiter({.permits_per_second = rate, .burst = INT64_MAX});
    EXPECT_TRUE(limiter.TryAcquire(INT64_MAX - 1024)) << rate;
    EXPECT_TRUE(limiter.TryAcquire()) << rate;
    EXPECT_EQ(limiter.TryAcquire(INT64_MAX), rate > 1) << rate;
    RateLimiter single({.permits_per_second = rate});
    EXPECT_TRUE(single.TryAcquire()) << rate;
    EXPECT_EQ(single.TryAcquire(), rate > 1) << rate;
  }
}

TEST(RateLimiterThreadsTest, OsThreadsTryToo) {
  RateLimiter limiter({.permits_per_second = 0.001, .burst = 2});
  EXPECT_TRUE(limiter.TryAcquire());
  EXPECT_TRUE(limiter.TryAcquire());
  EXPECT_FALSE(limiter.TryAcquire());
}

TEST(RateLimiterDeathTest, IsDestroyedWithAWaiter) {
  EXPECT_DEATH(testing::Simulation().Run([]() -> Task<void> {
                 AwaitAll scope;
                 RateLimiter limiter({.permits_per_second = 1});
                 scope.Fork(limiter.Acquire());
                 scope.Fork(limiter.Acquire());
                 co_await Sleep(absl::Milliseconds(1));
               }()),
               "a RateLimiter is destroyed by VirtualThread\\[#1\\]/runnable@carrier-0 while VirtualThread\\[#[23]\\] "
               "waits for it");
}

TEST(RateLimiterDeathTest, HasARateAndABurst) {
  EXPECT_DEATH(RateLimiter({.permits_per_second = 0}), "a RateLimiter of 0 permits a second; it needs more than 0");
  EXPECT_DEATH(RateLimiter({.burst = 0}), "a RateLimiter with a burst of 0 permits; it needs 1 or more");
  EXPECT_DEATH(static_cast<void>(RateLimiter({.burst = 2}).TryAcquire(3)),
               "3 permits at once of a RateLimiter with a burst of 2; ask for 1 to 2");
}

}  // namespace
}  // namespace weft

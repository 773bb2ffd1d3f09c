// Ticker. Goal: ticks do not drift; what becomes of those that were missed is what was chosen; a cancelled or unchosen
// wait loses none. Method: virtual time, in hours where a tick of the timer wheel must not count; on carriers what
// holds at any speed.
#include "weft/ticker.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <variant>
#include <vector>

#include "absl/time/time.h"
#include "tests/support/on_both.h"
#include "weft/cancellation.h"
#include "weft/channel/select.h"
#include "weft/deadline.h"
#include "weft/scope.h"
#include "weft/sync/event.h"
#include "weft/task.h"
#include "weft/testing/simulation.h"
#include "weft/time.h"

namespace weft {
namespace {

using namespace std::chrono_literals;
using testing::Simulation;

constexpr absl::Duration kWheelTick = absl::Microseconds(263);

class TickerTest : public testing::OnBoth {};
WEFT_ON_BOTH(TickerTest);

TEST_P(TickerTest, NoTickIsEarlyAndNoneDrifts) {
  Everywhere([]() -> Task<void> {
    Ticker ticker(absl::Milliseconds(1), {.missed = Ticker::Missed::kBurst});
    const MonotonicTime begin = MonotonicNow();
    MonotonicTime first;
    for (int64_t i = 0; i < 20; ++i) {
      const Tick tick = co_await ticker.Next();
      if (i == 0) first = tick.due;
      EXPECT_EQ(tick.number, i);
      EXPECT_EQ(tick.missed, 0);
      EXPECT_EQ(tick.due, first + absl::Milliseconds(1) * i);
      EXPECT_GE(MonotonicNow(), tick.due);
      if (simulated()) EXPECT_LE(MonotonicNow(), tick.due + kWheelTick);
    }
    EXPECT_LE(first, begin + 1ms) << "the first comes a period after the ticker was made";
  });
}

TEST_P(TickerTest, ATickIsACaseOfSelectAndIsNotLostWhenItIsNotChosen) {
  Everywhere([]() -> Task<void> {
    Ticker ticker(2ms, {.missed = Ticker::Missed::kBurst});
    Event set, never;
    set.Set();
    EXPECT_EQ((co_await Select(set.Wait(), ticker.Next())).index(), 0u);
    for (int64_t i = 0; i < 3; ++i) {
      auto got = co_await Select(never.Wait(), ticker.Next());
      EXPECT_EQ(std::get<1>(got).number, i);
    }
  });
}

TEST_P(TickerTest, ACancelledWaitLosesNoTick) {
  Everywhere([]() -> Task<void> {
    Ticker ticker(absl::Milliseconds(1));
    const auto next = [](Ticker& of) -> Task<void> { co_await of.Next(); };
    EXPECT_FALSE(co_await MoveOnAfter(absl::ZeroDuration(), next(ticker))) << "before the wait";
    Ticker slow(absl::Hours(1));
    EXPECT_FALSE((co_await testing::StopOnceItWaits(next(slow))).ok()) << "during the wait";
    const Tick tick = co_await ticker.Next();
    EXPECT_EQ(tick.number - tick.missed, 0);
  });
}

// In virtual time, with a period of an hour: when Next() returned, and the ticks.
struct Seen {
  int64_t hours;
  int64_t number;
  int64_t missed;
  int64_t due;
  bool operator==(const Seen&) const = default;
};

std::vector<Seen> AfterWorkUntil35(Ticker::Missed missed, Ticker::Options options) {
  options.missed = missed;
  return Simulation().Run([](Ticker::Options chosen) -> Task<std::vector<Seen>> {
    std::vector<Seen> all;
    const MonotonicTime begin = MonotonicNow();
    const auto hours = [begin](MonotonicTime time) { return absl::ToInt64Hours(time - begin + absl::Minutes(1)); };
    Ticker ticker(absl::Hours(10), chosen);
    for (int i = 0; i < 5; ++i) {
      const Tick tick = co_await ticker.Next();
      all.push_back({hours(MonotonicNow()), tick.number, tick.missed, hours(tick.due)});
      if (i == 0) co_await SleepUntil(begin + 35h);
    }
    co_return all;
  }(options));
}

TEST(TickerInVirtualTimeTest, SkipLeavesOutWhatWasMissedExceptTheNewest) {
  EXPECT_EQ(AfterWorkUntil35(Ticker::Missed::kSkip, {}),
            (std::vector<Seen>{{10, 0, 0, 10}, {35, 2, 1, 30}, {40, 3, 0, 40}, {50, 4, 0, 50}, {60, 5, 0, 60}}));
}

TEST(TickerInVirtualTimeTest, BurstCatchesUp) {
  EXPECT_EQ(AfterWorkUntil35(Ticker::Missed::kBurst, {}),
            (std::vector<Seen>{{10, 0, 0, 10}, {35, 1, 0, 20}, {35, 2, 0, 30}, {40, 3, 0, 40}, {50, 4, 0, 50}}));
}

TEST(TickerInVirtualTimeTest, DelayKeepsAPeriodBetweenTwo) {
  EXPECT_EQ(AfterWorkUntil35(Ticker::Missed::kDelay, {}),
            (std::vector<Seen>{{10, 0, 0, 10}, {35, 1, 0, 20}, {45, 2, 0, 45}, {55, 3, 0, 55}, {65, 4, 0, 65}}));
}

// Another thread computes when the first tick is due.
TEST(TickerInVirtualTimeTest, DelayKeepsAPeriodBetweenTwoAlsoAfterOneThatWasWaitedForAndCameLate) {
  static constexpr absl::Duration kPeriod = absl::Milliseconds(100);
  Simulation({.turn_time = absl::Milliseconds(7)}).Run([]() -> Task<void> {
    Ticker ticker(kPeriod, {.missed = Ticker::Missed::kDelay});
    AwaitAll scope;
    scope.Fork([]() -> Task<void> {
      for (int i = 0; i < 100; ++i) co_await Yield();
    });
    Tick tick = co_await ticker.Next();
    MonotonicTime came = MonotonicNow();
    EXPECT_GT(came, tick.due + kPeriod);
    for (int64_t number = 1; number < 5; ++number) {
      tick = co_await ticker.Next();
      EXPECT_EQ(tick.number, number);
      EXPECT_EQ(tick.due, came + kPeriod);
      EXPECT_GE(MonotonicNow(), tick.due);
      came = MonotonicNow();
    }
    (co_await scope.Join()).IgnoreFailures();
  }());
}

TEST(TickerInVirtualTimeTest, TheFirstTickIsWhenItWasAskedFor) {
  EXPECT_EQ(AfterWorkUntil35(Ticker::Missed::kSkip, {.initial_delay = absl::ZeroDuration()}),
            (std::vector<Seen>{{0, 0, 0, 0}, {35, 3, 2, 30}, {40, 4, 0, 40}, {50, 5, 0, 50}, {60, 6, 0, 60}}));
  EXPECT_EQ(AfterWorkUntil35(Ticker::Missed::kSkip, {.initial_delay = 1h}).front(), (Seen{1, 0, 0, 1}));
  EXPECT_EQ(AfterWorkUntil35(Ticker::Missed::kSkip, {.initial_delay = -1h}).front(), (Seen{0, 0, 0, 0}));
}

TEST(TickerInVirtualTimeTest, AThousandTicksAreAsManyPeriods) {
  Simulation().Run([]() -> Task<void> {
    Ticker ticker(absl::Microseconds(1700));
    const MonotonicTime begin = MonotonicNow();
    for (int i = 0; i < 1000; ++i) EXPECT_EQ((co_await ticker.Next()).missed, 0);
    EXPECT_GE(MonotonicNow(), begin + 1700ms);
    EXPECT_LE(MonotonicNow(), begin + 1700ms + kWheelTick);
  }());
}

TEST(TickerInVirtualTimeTest, AResetBeginsAPeriod) {
  Simulation().Run([]() -> Task<void> {
    Ticker ticker(10h);
    const MonotonicTime begin = MonotonicNow();
    co_await Sleep(6h);
    ticker.Reset();
    const Tick tick = co_await ticker.Next();
    EXPECT_EQ(tick.number, 0);
    EXPECT_GE(MonotonicNow(), begin + 16h);
    EXPECT_LE(MonotonicNow(), begin + 16h + 1min);
  }());
}

TEST(TickerInVirtualTimeTest, AClockThatIsSetMovesNoTick) {
  Simulation simulation;
  simulation.Run([](Simulation& of) -> Task<void> {
    Ticker ticker(10h);
    const MonotonicTime begin = MonotonicNow();
    of.SetWallClock(Now() + absl::Hours(100));
    EXPECT_EQ((co_await ticker.Next()).missed, 0);
    EXPECT_GE(MonotonicNow() - begin, absl::Hours(10));
  }(simulation));
}

TEST(TickerInVirtualTimeTest, APeriodWithoutEndHasNoTick) {
  Simulation().Run([]() -> Task<void> {
    Ticker ticker(absl::InfiniteDuration());
    const auto next = [](Ticker& of) -> Task<void> { co_await of.Next(); };
    EXPECT_FALSE(co_await MoveOnAfter(absl::Hours(1'000'000), next(ticker)));
  }());
}

TEST(TickerDeathTest, APeriodThatIsNotPositiveIsMisuse) {
  EXPECT_DEATH(Simulation().Run([]() -> Task<void> {
                 Ticker ticker(absl::ZeroDuration());
                 co_return;
               }()),
               "the period of a Ticker is 0, less than a nanosecond");
}

}  // namespace
}  // namespace weft

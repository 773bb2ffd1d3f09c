// Sleeps and deadlines, and the two clocks. Goal: no wait ends before its time, by the clock that it was given; a clock
// that is set moves what waits for it and nothing else; what is cancelled ends at once. Lengths of time are
// absl::Durations or std::chrono's wherever they are taken. Method: virtual clocks, which the tests set; on carriers
// what holds at any speed. (clock_watch_test.cc: who tells a runtime that its clock was set)
#include "weft/time.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <ratio>
#include <type_traits>
#include <utility>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "tests/support/on_both.h"
#include "weft/cancellation.h"
#include "weft/channel/delay_queue.h"
#include "weft/channel/select.h"
#include "weft/deadline.h"
#include "weft/executor/scheduled_executor.h"
#include "weft/finally.h"
#include "weft/scope.h"
#include "weft/sync/event.h"
#include "weft/sync/mutex.h"
#include "weft/sync/semaphore.h"
#include "weft/task.h"
#include "weft/testing/simulation.h"
#include "weft/thread_builder.h"
#include "weft/time_span.h"

namespace weft {
namespace {

using namespace std::chrono_literals;
using testing::Forever;
using testing::Introduction;
using testing::Simulation;

constexpr absl::Duration kTick = absl::Microseconds(263);

// ---- TimeSpan.

absl::Duration Span(TimeSpan span) { return span; }

TEST(TimeSpanTest, IsAnyDuration) {
  EXPECT_EQ(Span(absl::Seconds(3)), absl::Seconds(3));
  EXPECT_EQ(Span(3s), absl::Seconds(3));
  EXPECT_EQ(Span(-3ms), absl::Milliseconds(-3));
  EXPECT_EQ(Span(7us), absl::Microseconds(7));
  EXPECT_EQ(Span(7ns), absl::Nanoseconds(7));
  EXPECT_EQ(Span(2min), absl::Minutes(2));
  EXPECT_EQ(Span(2h), absl::Hours(2));
  EXPECT_EQ(Span(std::chrono::days(2)), absl::Hours(48));
  EXPECT_EQ(Span(std::chrono::duration<uint8_t, std::ratio<1, 4>>(3)), absl::Milliseconds(750));
  EXPECT_EQ(Span(std::chrono::duration<double>(1.5)), absl::Milliseconds(1500));
  EXPECT_EQ(Span(std::chrono::duration<float, std::milli>(2.5f)), absl::Microseconds(2500));
}

TEST(TimeSpanTest, WhatIsTooLongIsInfinite) {
  EXPECT_EQ(Span(std::chrono::hours::max()), absl::InfiniteDuration());
  EXPECT_EQ(Span(std::chrono::hours::min()), -absl::InfiniteDuration());
  EXPECT_EQ(Span(std::chrono::duration<uint64_t>(std::numeric_limits<uint64_t>::max())), absl::InfiniteDuration());
  EXPECT_EQ(Span(std::chrono::duration<double>(std::numeric_limits<double>::infinity())), absl::InfiniteDuration());
  EXPECT_EQ(Span(std::chrono::nanoseconds::max()), absl::Nanoseconds(std::numeric_limits<int64_t>::max()));
}

static_assert(!std::is_convertible_v<int, TimeSpan> && !std::is_convertible_v<double, TimeSpan>);

// ---- Times of the two clocks.

TEST(DeadlineTest, TheTypeTellsTheClock) {
  EXPECT_FALSE(Deadline(MonotonicTime(1s)).is_wall());
  EXPECT_FALSE(Deadline(std::chrono::steady_clock::time_point(1s)).is_wall());
  EXPECT_TRUE(Deadline(absl::FromUnixSeconds(1)).is_wall());
  EXPECT_TRUE(Deadline(std::chrono::system_clock::time_point(1s)).is_wall());
  EXPECT_TRUE(Deadline(std::chrono::sys_days(std::chrono::days(1))).is_wall());
  for (const Deadline& second : {Deadline(MonotonicTime(1s)), Deadline(std::chrono::steady_clock::time_point(1s)),
                                 Deadline(absl::FromUnixSeconds(1)), Deadline(std::chrono::sys_seconds(1s))}) {
    EXPECT_EQ(second.time_ns(), 1'000'000'000);
  }
  EXPECT_EQ(Deadline(MonotonicTime::InfiniteFuture()).time_ns(), std::numeric_limits<int64_t>::max());
  EXPECT_EQ(Deadline(absl::InfiniteFuture()).time_ns(), std::numeric_limits<int64_t>::max());
  EXPECT_EQ(Deadline(absl::InfinitePast()).time_ns(), std::numeric_limits<int64_t>::min());
}

// A length of time is no time, and a time of one clock is none of the other.
static_assert(!std::is_convertible_v<absl::Duration, Deadline> &&
              !std::is_convertible_v<absl::Duration, MonotonicTime> &&
              !std::is_convertible_v<std::chrono::seconds, Deadline> &&
              !std::is_convertible_v<std::chrono::system_clock::time_point, MonotonicTime> &&
              !std::is_convertible_v<absl::Time, MonotonicTime>);

TEST(MonotonicTimeTest, IsCountedWith) {
  MonotonicTime time(absl::Seconds(10));
  EXPECT_EQ(time + 5s, MonotonicTime(absl::Seconds(15)));
  EXPECT_EQ(time - absl::Seconds(5), MonotonicTime(5s));
  EXPECT_EQ(time - MonotonicTime(), absl::Seconds(10));
  time += 1s;
  time -= absl::Seconds(2);
  EXPECT_EQ(time.since_zero(), absl::Seconds(9));
  EXPECT_EQ(time, std::chrono::steady_clock::time_point(9s));
  EXPECT_LT(time, time + 1ns);
  EXPECT_GT(MonotonicTime::InfiniteFuture(), time);
  EXPECT_LT(MonotonicTime::InfinitePast(), time);
  EXPECT_EQ(time + absl::InfiniteDuration(), MonotonicTime::InfiniteFuture());
}

// ---- On both hosts.

class TimeTest : public testing::OnBoth {};
WEFT_ON_BOTH(TimeTest);

TEST_P(TimeTest, ASleepUntilATimeNeverEndsEarly) {
  Everywhere([]() -> Task<void> {
    for (const int64_t micros : {1, 50, 262, 263, 1000, 2100}) {
      const MonotonicTime due = MonotonicNow() + absl::Microseconds(micros);
      co_await SleepUntil(due);
      EXPECT_GE(MonotonicNow(), due);
      if (simulated()) EXPECT_LE(MonotonicNow(), due + kTick);
      const absl::Time at = Now() + absl::Microseconds(micros);
      co_await SleepUntil(at);
      EXPECT_GE(Now(), at);
      if (simulated()) EXPECT_LE(Now(), at + kTick);
    }
  });
}

TEST_P(TimeTest, ASleepUntilATimeThatHasPassedYields) {
  Everywhere([]() -> Task<void> {
    const MonotonicTime start = MonotonicNow();
    co_await SleepUntil(start);
    co_await SleepUntil(MonotonicTime::InfinitePast());
    co_await SleepUntil(Now());
    co_await SleepUntil(absl::InfinitePast());
    if (simulated()) EXPECT_EQ(MonotonicNow(), start);
  });
}

TEST_P(TimeTest, ASleepUntilTheEndOfTimeEndsByCancellation) {
  Everywhere([]() -> Task<void> {
    for (const Deadline never : {Deadline(MonotonicTime::InfiniteFuture()), Deadline(absl::InfiniteFuture())}) {
      const absl::Status stopped = co_await testing::StopOnceItWaits([](Deadline until) -> Task<void> {
        co_await SleepUntil(until);
        ADD_FAILURE() << "it has ended";
      }(never));
      EXPECT_FALSE(stopped.ok());
    }
  });
}

TEST_P(TimeTest, AThreadThatIsCancelledAlreadyDoesNotSleep) {
  Everywhere([]() -> Task<void> {
    const absl::Status over = co_await WithTimeout(absl::ZeroDuration(), [](absl::Time until) -> Task<void> {
      co_await SleepUntil(until);
      ADD_FAILURE() << "it has ended";
    }(Now() + absl::Hours(1)));
    EXPECT_TRUE(absl::IsDeadlineExceeded(over));
  });
}

// A request that meets a sleep at its end finds it over, or takes it back; never both.
TEST_P(TimeTest, ASleepThatEndsWhenItIsCancelledDoesOneOfBoth) {
  Everywhere([]() -> Task<void> {
    for (int i = 0; i < 20; ++i) {
      const absl::Time at = Now() + absl::Microseconds(300);
      co_await MoveOnAfter(absl::Microseconds(300), SleepUntil(at));
      if ((co_await WithDeadline(at, SleepUntil(at))).ok()) EXPECT_GE(Now(), at);
    }
  });
}

TEST_P(TimeTest, ADeadlineOfEitherClockEndsWhatItLimits) {
  Everywhere([]() -> Task<void> {
    const MonotonicTime due = MonotonicNow() + 1ms;
    EXPECT_TRUE(absl::IsDeadlineExceeded(co_await WithDeadline(due, Forever())));
    EXPECT_GE(MonotonicNow(), due);
    const absl::Time at = Now() + absl::Milliseconds(1);
    EXPECT_TRUE(absl::IsDeadlineExceeded(co_await WithDeadline(at, Forever())));
    EXPECT_GE(Now(), at);
    EXPECT_TRUE((co_await WithDeadline(MonotonicNow() + 1h, Yield())).ok());
    EXPECT_TRUE((co_await WithDeadline(std::chrono::sys_days(std::chrono::days(1'000'000)), Yield())).ok());
    EXPECT_TRUE(absl::IsDeadlineExceeded(co_await WithDeadline(MonotonicTime(), Forever())));
    AwaitAll scope;
    scope.Fork(Forever());
    EXPECT_FALSE((co_await scope.JoinUntil(MonotonicNow() + 1ms)).has_value());
    EXPECT_FALSE((co_await scope.JoinUntil(Now() + absl::Milliseconds(1))).has_value());
    co_await scope.Close();
  });
}

TEST_P(TimeTest, OfManyDeadlinesEachHasItsOwnTime) {
  Everywhere([]() -> Task<void> {
    AwaitAll scope;
    for (int i = 0; i < 100; ++i) {
      scope.Fork([i]() -> Task<void> {
        const absl::Time at = Now() + absl::Microseconds(i * 37 % 3000);
        if (i % 3 == 0) co_return co_await SleepUntil(Deadline(at));
        EXPECT_TRUE(absl::IsDeadlineExceeded(co_await WithDeadline(at, Forever())));
        EXPECT_GE(Now(), at);
      });
    }
    (co_await scope.Join()).IgnoreFailures();
  });
}

TEST_P(TimeTest, ASleepUntilATimeIsACaseOfSelect) {
  Everywhere([]() -> Task<void> {
    Event never, set;
    set.Set();
    EXPECT_EQ((co_await Select(never.Wait(), SleepUntil(Now()))).index(), 1u) << "it has passed";
    for (const bool wall : {true, false}) {
      const Deadline at = wall ? Deadline(Now() + absl::Milliseconds(1)) : Deadline(MonotonicNow() + 1ms);
      EXPECT_EQ((co_await Select(never.Wait(), SleepUntil(at))).index(), 1u);
      EXPECT_GE(wall ? absl::ToUnixNanos(Now()) : absl::ToInt64Nanoseconds(MonotonicNow().since_zero()), at.time_ns());
    }
    EXPECT_EQ((co_await Select(SleepUntil(Now() + absl::Hours(1)), set.Wait())).index(), 1u) << "it is taken back";
    const absl::Status stopped = co_await testing::StopOnceItWaits([](Event& other) -> Task<void> {
      co_await Select(other.Wait(), SleepUntil(absl::InfiniteFuture()));
    }(never));
    EXPECT_FALSE(stopped.ok());
  });
}

TEST_P(TimeTest, ALengthOfTimeMayBeOfStdChronoWhereverOneIsTaken) {
  Everywhere([]() -> Task<void> {
    co_await Sleep(1us);
    EXPECT_TRUE((co_await WithTimeout(1h, Yield())).ok());
    EXPECT_FALSE(co_await MoveOnAfter(0s, Forever()));
    co_await Shield(1h, Yield());
    co_await Finally(Yield(), []() -> Task<void> { co_await Yield(); }, 1h);
    AwaitAll scope({.timeout = 1h});
    scope.Fork(Yield());
    EXPECT_TRUE((co_await scope.JoinFor(1h)).has_value());
    Mutex mutex;
    EXPECT_TRUE((co_await mutex.LockFor(1h)).has_value());
    Semaphore semaphore(1);
    EXPECT_TRUE((co_await semaphore.TryAcquireFor(1h)).has_value());
    DelayQueue<int> queue;
    EXPECT_TRUE(queue.Send(1, 1us));
    EXPECT_EQ(co_await queue.Receive(), 1);
    ScheduledExecutor executor;
    Future<int> later = executor.Schedule(1us, [] { return 1; });
    EXPECT_EQ(co_await later.GetFor(1h), 1);
    co_await executor.Close();
    EXPECT_TRUE(co_await executor.AwaitTermination(1h));
  });
}

TEST_P(TimeTest, TheRuntimeEndsWhileThreadsWaitForTheWallClock) {
  OnEveryRuntime([](Runtime& runtime) {
    runtime.Run([]() -> Task<void> {
      Introduction sleeps;
      VirtualThread::Start([&sleeps]() -> Task<void> {
        sleeps.Make();
        co_await SleepUntil(Now() + absl::Hours(1));
      });
      co_await sleeps.AwaitParked();
    }());
  });
}

// ---- A wall clock that is set.

class SetClockTest : public ::testing::Test {
 protected:
  // In simulations of one to three carriers, under some seeds. `body` gets the simulation.
  static void Everywhere(const std::function<Task<void>(Simulation& simulation)>& body) {
    for (int carriers = 1; carriers <= 3; ++carriers) {
      for (uint64_t seed = 1; seed <= 20 && !HasFailure(); ++seed) {
        SCOPED_TRACE(seed);
        Simulation simulation({.carriers = carriers, .seed = seed});
        simulation.Run(body(simulation));
      }
    }
  }
  // Starts `wait` in a scope, sets the clock by `step` when an hour has passed, and returns how long the wait took.
  template <class W>
  static Task<absl::Duration> TimeOf(Simulation& simulation, absl::Duration step, W wait) {
    const MonotonicTime begin = MonotonicNow();
    AwaitAll scope;
    scope.Fork(wait());
    co_await Sleep(absl::Hours(1));
    simulation.SetWallClock(Now() + step);
    (co_await scope.Join()).IgnoreFailures();
    co_return MonotonicNow() - begin;
  }
  static int64_t Hours(absl::Duration duration) { return absl::ToInt64Hours(duration + absl::Minutes(1)); }
};

TEST_F(SetClockTest, MovesWhatWaitsForATimeOfIt) {
  Everywhere([](Simulation& simulation) -> Task<void> {
    const auto sleep = []() -> Task<void> { co_await SleepUntil(Now() + absl::Hours(10)); };
    const auto limit = []() -> Task<void> {
      (co_await WithDeadline(Now() + absl::Hours(10), Forever())).IgnoreError();
    };
    const auto select = []() -> Task<void> {
      Event never;
      co_await Select(never.Wait(), SleepUntil(Now() + absl::Hours(10)));
    };
    const auto join = []() -> Task<void> {
      AwaitAll scope;
      scope.Fork(Forever());
      EXPECT_FALSE((co_await scope.JoinUntil(Now() + absl::Hours(10))).has_value());
      co_await scope.Close();
    };
    for (const auto& [step, hours] : {std::pair{3, 7}, {-3, 13}, {0, 10}, {9, 1}, {20, 1}}) {
      EXPECT_EQ(Hours(co_await TimeOf(simulation, absl::Hours(step), sleep)), hours);
      EXPECT_EQ(Hours(co_await TimeOf(simulation, absl::Hours(step), limit)), hours);
      EXPECT_EQ(Hours(co_await TimeOf(simulation, absl::Hours(step), select)), hours);
      EXPECT_EQ(Hours(co_await TimeOf(simulation, absl::Hours(step), join)), hours);
    }
  });
}

TEST_F(SetClockTest, MovesNothingElse) {
  Everywhere([](Simulation& simulation) -> Task<void> {
    const auto sleep = []() -> Task<void> { co_await Sleep(absl::Hours(10)); };
    const auto until = []() -> Task<void> { co_await SleepUntil(MonotonicNow() + absl::Hours(10)); };
    const auto limit = []() -> Task<void> { (co_await WithTimeout(absl::Hours(10), Forever())).IgnoreError(); };
    for (const int step : {20, -20}) {
      EXPECT_EQ(Hours(co_await TimeOf(simulation, absl::Hours(step), sleep)), 10);
      EXPECT_EQ(Hours(co_await TimeOf(simulation, absl::Hours(step), until)), 10);
      EXPECT_EQ(Hours(co_await TimeOf(simulation, absl::Hours(step), limit)), 10);
    }
  });
}

TEST_F(SetClockTest, ToEitherEndOfTime) {
  Everywhere([](Simulation& simulation) -> Task<void> {
    simulation.SetWallClock(absl::InfiniteFuture());
    const absl::Time last = absl::FromUnixNanos(std::numeric_limits<int64_t>::max());
    EXPECT_EQ(Now(), last);
    co_await Sleep(absl::Hours(1));
    EXPECT_EQ(Now(), last) << "it stands there";
    const auto never = []() -> Task<void> { co_await SleepUntil(absl::InfiniteFuture()); };
    EXPECT_FALSE((co_await testing::StopOnceItWaits(never())).ok()) << "its end is no time that comes";
    simulation.SetWallClock(absl::InfinitePast());
    const absl::Time first = Now();
    EXPECT_LT(first, absl::UnixEpoch() - 292 * absl::Hours(24 * 365));
    co_await SleepUntil(first + absl::Hours(1));
    EXPECT_EQ(Now(), first + absl::Hours(1));
  });
}

TEST_F(SetClockTest, ForManySleepersOnAllCarriers) {
  Everywhere([](Simulation& simulation) -> Task<void> {
    AwaitAll scope;
    for (int i = 1; i <= 50; ++i) {
      scope.Fork([i]() -> Task<void> {
        const absl::Time at = Now() + absl::Hours(i);
        co_await SleepUntil(at);
        EXPECT_GE(Now(), at);
      });
    }
    co_await Sleep(absl::Minutes(90));
    simulation.SetWallClock(Now() - absl::Hours(5));
    co_await Sleep(absl::Hours(10));
    const MonotonicTime before = MonotonicNow();
    simulation.SetWallClock(Now() + absl::Hours(50));
    (co_await scope.Join()).IgnoreFailures();
    EXPECT_LE(MonotonicNow() - before, absl::Minutes(1));
  });
}

}  // namespace
}  // namespace weft

// Timers that keep to a wall clock. Goal: none is early by the wall clock, whether or not anyone tells of its steps;
// none is late after a step that is told; a cancelled one never fires; the watch is on exactly while there are any.
// Method: clocks and a watch of the test's own; other threads that cancel and step while the wheel fires.
#include "lib/timer/wall_timers.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <limits>
#include <memory>
#include <random>
#include <thread>

#include "lib/base/fence.h"
#include "lib/os/clock.h"
#include "lib/timer/timer_wheel.h"

namespace weft::internal {
namespace {

constexpr int64_t kSecond = 1'000'000'000;
constexpr int64_t kTick = TimerWheel::kTickNs;
constexpr int64_t kNever = std::numeric_limits<int64_t>::max();
constexpr int kAll = std::numeric_limits<int>::max();

class FakeClock final : public Clock {
 public:
  int64_t NowNanos() noexcept override { return now_ns; }
  int64_t WallNanos() noexcept override { return now_ns + ahead_ns; }
  std::atomic<int64_t> now_ns{1};
  std::atomic<int64_t> ahead_ns{1'577'836'800 * kSecond};  // of the wall clock
};

class FakeWatch final : public ClockWatch {
 public:
  void Begin() noexcept override { ++users; }
  void End() noexcept override { --users; }
  bool Sees() const noexcept override { return sees; }
  std::atomic<int> users{0};
  bool sees = true;
};

struct Timer : DeadlineTimer {
  Timer() {
    on_time = [](DeadlineTimer* timer) noexcept { ++static_cast<Timer*>(timer)->fires; };
  }
  std::atomic<int> fires{0};
};

class WallTimersTest : public ::testing::Test {
 protected:
  ~WallTimersTest() override { EXPECT_EQ(watch.users, 0); }

  int64_t Wall() { return clock.WallNanos(); }
  void Step(int64_t by_ns) { clock.ahead_ns += by_ns; }
  // Time passes, and the carrier looks at its timers as often as it must.
  void Pass(int64_t by_ns) {
    const int64_t end_ns = clock.now_ns + by_ns;
    while (wheel.NextDeadline() <= end_ns) {
      clock.now_ns = std::max(clock.now_ns.load(), wheel.NextDeadline());
      wheel.FireExpired(clock.now_ns, kAll);
    }
    clock.now_ns = end_ns;
  }

  FakeClock clock;
  FakeWatch watch;
  TimerWheel wheel{1};
  WallTimers timers{wheel, clock, watch};
  Timer timer;
};

TEST_F(WallTimersTest, ATimerFiresWhenTheWallClockHasReachedItsTime) {
  timers.Arm(timer, Wall() + 10 * kSecond);
  EXPECT_EQ(watch.users, 1);
  Pass(10 * kSecond - 1);
  EXPECT_EQ(timer.fires, 0);
  Pass(kTick + 1);
  EXPECT_EQ(timer.fires, 1);
  EXPECT_EQ(watch.users, 0);
}

TEST_F(WallTimersTest, AStepForthThatIsToldBringsItAtOnce) {
  timers.Arm(timer, Wall() + 10 * kSecond);
  Step(9 * kSecond);
  timers.ClockWasSet();
  Pass(kSecond - 1);
  EXPECT_EQ(timer.fires, 0);
  Step(kSecond);
  timers.ClockWasSet();
  Pass(kTick);
  EXPECT_EQ(timer.fires, 1);
}

TEST_F(WallTimersTest, AStepBackMakesItLaterByAsMuchWhetherOrNotItIsTold) {
  for (const bool told : {true, false}) {
    Timer again;
    timers.Arm(again, Wall() + 10 * kSecond);
    Step(-kSecond);
    if (told) timers.ClockWasSet();
    Pass(11 * kSecond - 1);
    EXPECT_EQ(again.fires, 0);
    Pass(kTick + 1);
    EXPECT_EQ(again.fires, 1);
  }
}

TEST_F(WallTimersTest, WhereNobodySeesStepsATimerLooksOnceASecond) {
  watch.sees = false;
  timers.Arm(timer, Wall() + 3600 * kSecond);
  Pass(10 * kSecond);
  EXPECT_EQ(timer.fires, 0);
  Step(3600 * kSecond);
  Pass(WallTimers::kRecheckNanos + kTick);
  EXPECT_EQ(timer.fires, 1);
}

TEST_F(WallTimersTest, ATimerOfTheMonotonicClockKnowsOfNoSteps) {
  WallTimers::ArmMonotonic(timer, wheel, clock.now_ns + kSecond);
  EXPECT_EQ(watch.users, 0);
  Step(10 * kSecond);
  timers.ClockWasSet();
  Pass(kSecond - 1);
  EXPECT_EQ(timer.fires, 0);
  Pass(kTick + 1);
  EXPECT_EQ(timer.fires, 1);
  WallTimers::ArmMonotonic(timer, wheel, clock.now_ns + kSecond);
  EXPECT_TRUE(WallTimers::Cancel(timer));
}

TEST_F(WallTimersTest, ACancelledOneNeverFires) {
  EXPECT_FALSE(WallTimers::Cancel(timer)) << "never armed";
  timers.Arm(timer, Wall() + kSecond);
  EXPECT_TRUE(WallTimers::Cancel(timer));
  EXPECT_EQ(watch.users, 0);
  Step(kSecond);
  timers.ClockWasSet();
  Pass(2 * kSecond);
  EXPECT_EQ(timer.fires, 0);
  EXPECT_FALSE(WallTimers::Cancel(timer));
}

TEST_F(WallTimersTest, AnyTimeIsAccepted) {
  Timer past, ancient, never;
  timers.Arm(past, 5);
  timers.Arm(ancient, std::numeric_limits<int64_t>::min());
  timers.Arm(never, kNever);
  EXPECT_EQ(watch.users, 1);
  Pass(kTick);
  EXPECT_EQ(past.fires, 1);
  EXPECT_EQ(ancient.fires, 1);
  Step(std::numeric_limits<int32_t>::max() * kSecond);
  timers.ClockWasSet();
  Pass(kSecond);
  EXPECT_EQ(never.fires, 0);
  EXPECT_TRUE(WallTimers::Cancel(never));
}

TEST_F(WallTimersTest, AFireFunctionMayEndTheLifeOfItsTimer) {
  struct Mortal : DeadlineTimer {};
  auto* const mortal = new Mortal;
  mortal->on_time = [](DeadlineTimer* of) noexcept { delete static_cast<Mortal*>(of); };
  timers.Arm(*mortal, Wall() + kSecond);
  Pass(kSecond + kTick);
  EXPECT_EQ(wheel.armed(), 0u);
}

// Each timer goes away right after its Cancel, while others fire, and while the clock is set back and forth.
TEST_F(WallTimersTest, AfterCancelReturnsTheTimerMayGoWhateverTheClockDoes) {
  constexpr int kTimers = 5'000;
  std::atomic<bool> over{false};
  std::thread fires([&] {
    while (!over) {
      clock.now_ns += kTick / 4;
      wheel.FireExpired(clock.now_ns, kAll);
    }
  });
  std::thread steps([&] {
    std::mt19937_64 random(7);
    while (!over) {
      Step(static_cast<int64_t>(random() % 3) * kTick - kTick);
      timers.ClockWasSet();
    }
  });
  std::mt19937_64 random(1);
  int fired = 0, cancelled = 0;
  for (int i = 0; i < kTimers || fired == 0 || cancelled == 0; ++i) {
    const auto mine = std::make_unique<Timer>();
    mine->cancel_waits = true;
    timers.Arm(*mine, Wall() + static_cast<int64_t>(random() % 8) * kTick);
    for (uint64_t spins = random() % 2000; spins > 0 && mine->fires == 0; --spins) CpuRelax();
    const bool was_armed = WallTimers::Cancel(*mine);
    (was_armed ? cancelled : fired) += 1;
    EXPECT_EQ(mine->fires, was_armed ? 0 : 1);
  }
  over = true;
  fires.join();
  steps.join();
  EXPECT_EQ(wheel.armed(), 0u);
}

}  // namespace
}  // namespace weft::internal

// Row T1: the timer wheel. Goal: every timer fires once, in order, never early and at most a tick late, or is cancelled
// and never fires; and nothing touches a node afterwards. Method: random operations against a std::multimap, inside
// fire functions too; a million timers; other threads that cancel while the wheel fires.
//
// WEFT_TIMER_SEEDS says how many sequences of 5,000 operations there are (100), WEFT_TIMERS how many timers at once (a
// million).
#include "lib/timer/timer_wheel.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <map>
#include <memory>
#include <random>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "tests/support/proof_row.h"

namespace weft::internal {
namespace {

using testing::ProofRow;

constexpr int64_t kTick = TimerWheel::kTickNs;
constexpr int kAll = std::numeric_limits<int>::max();

// A timer that counts.
struct Timer : TimerNode {
  Timer() {
    fire = [](TimerNode* node) noexcept { ++static_cast<Timer*>(node)->fires; };
  }
  int fires = 0;
};

TEST(TimerWheelTest, NeverFiresEarlyAndAtMostATickLate) {
  constexpr int64_t kStart = 123'456'789;
  for (int64_t delay :
       {int64_t{1}, kTick - 1, kTick, kTick + 1, 63 * kTick, 64 * kTick, 65 * kTick + 7, 5000 * kTick + 3}) {
    TimerWheel wheel(kStart);
    Timer timer;
    wheel.Insert(timer, kStart + delay);
    EXPECT_EQ(wheel.armed(), 1u);
    EXPECT_EQ(wheel.FireExpired(kStart + delay - 1, kAll), 0);
    EXPECT_LE(wheel.NextDeadline(), kStart + delay + kTick);
    EXPECT_EQ(wheel.FireExpired(kStart + delay + kTick, kAll), 1) << "delay " << delay;
    EXPECT_EQ(timer.fires, 1);
    EXPECT_EQ(wheel.armed(), 0u);
    EXPECT_EQ(wheel.NextDeadline(), TimerWheel::kNoDeadline);
  }
}

// A timer that takes another one away while it fires, by Cancel() or by Move().
struct Taker : TimerNode {
  explicit Taker(TimerWheel& of, bool by_moving) : wheel(of), moves(by_moving) {
    fire = [](TimerNode* node) noexcept {
      auto& taker = *static_cast<Taker*>(node);
      EXPECT_TRUE(taker.moves ? taker.wheel.Move(taker.other, 1'000 * kTick) : taker.wheel.Cancel(taker.other));
      taker.known = taker.wheel.NextDeadline();
    };
  }
  TimerWheel& wheel;
  const bool moves;
  Timer other;
  int64_t known = -1;
};

TEST(TimerWheelTest, WhileOneFiresItsOwnerSleepsForNoLongerThanToTheDeadlineThatItKnows) {
  for (const bool moves : {false, true}) {
    TimerWheel wheel(0);
    Taker taker(wheel, moves);
    wheel.Insert(taker, kTick);
    wheel.Insert(taker.other, 100 * kTick);
    const int64_t known = wheel.NextDeadline();
    EXPECT_EQ(wheel.FireExpired(2 * kTick, kAll), 1);
    EXPECT_LE(taker.known, known);
    EXPECT_GT(wheel.NextDeadline(), 100 * kTick) << "published at the end";
    EXPECT_EQ(wheel.Cancel(taker.other), moves);
  }
}

TEST(TimerWheelTest, AnyDeadlineIsAccepted) {
  constexpr int64_t kYearNs = int64_t{365} * 24 * 3600 * 1'000'000'000;
  TimerWheel wheel(1'000'000'000);
  Timer past, ancient, century, last;
  wheel.Insert(past, 5);
  wheel.Insert(ancient, std::numeric_limits<int64_t>::min());
  wheel.Insert(century, 100 * kYearNs);
  wheel.Insert(last, std::numeric_limits<int64_t>::max());
  EXPECT_LE(wheel.NextDeadline(), 1'000'000'000);
  EXPECT_EQ(wheel.FireExpired(1'000'000'000, kAll), 2) << "what has passed fires at once";
  // As a carrier does it: sleep to the next deadline, fire, and again; a level at a time.
  int looks = 0;
  while (century.fires == 0) {
    const int64_t now_ns = wheel.NextDeadline();
    ASSERT_LE(now_ns, 100 * kYearNs + kTick);
    wheel.FireExpired(now_ns, kAll);
    ++looks;
  }
  EXPECT_LE(looks, 8);
  EXPECT_EQ(wheel.FireExpired(std::numeric_limits<int64_t>::max(), kAll), 0) << "the last tick of time does not come";
  EXPECT_TRUE(wheel.Cancel(last));
}

TEST(TimerWheelTest, CancelTellsWhetherItWasArmed) {
  TimerWheel wheel(0);
  Timer timer;
  EXPECT_FALSE(wheel.Cancel(timer)) << "never armed";
  wheel.Insert(timer, 10 * kTick);
  EXPECT_TRUE(wheel.Cancel(timer));
  EXPECT_EQ(wheel.armed(), 0u);
  EXPECT_EQ(wheel.NextDeadline(), TimerWheel::kNoDeadline);
  EXPECT_FALSE(wheel.Cancel(timer)) << "a second time";
  EXPECT_EQ(wheel.FireExpired(100 * kTick, kAll), 0);
  wheel.Insert(timer, 110 * kTick);
  EXPECT_EQ(wheel.FireExpired(110 * kTick, kAll), 1);
  EXPECT_FALSE(wheel.Cancel(timer)) << "it has fired";
  EXPECT_EQ(timer.fires, 1);
}

TEST(TimerWheelTest, FiresNoMoreThanAskedAndGoesOnWhereItStopped) {
  TimerWheel wheel(0);
  std::vector<Timer> timers(10'000);
  for (Timer& timer : timers) wheel.Insert(timer, 5000 * kTick);
  int fired = 0;
  int calls = 0;
  while (wheel.NextDeadline() <= 5000 * kTick) {
    const int now_fired = wheel.FireExpired(5000 * kTick, 7);
    ASSERT_LE(now_fired, 7);
    fired += now_fired;
    ASSERT_LT(++calls, 10'000);
  }
  EXPECT_EQ(fired, 10'000);
}

TEST(TimerWheelTest, ATimerInsertedWhileItsSlotMovesDownKeepsItsPlace) {
  TimerWheel wheel(0);
  static std::vector<int> order;
  order.clear();
  struct Numbered : TimerNode {
    Numbered() {
      fire = [](TimerNode* node) noexcept { order.push_back(static_cast<Numbered*>(node)->number); };
    }
    int number = 0;
  };
  std::vector<Numbered> timers(1001);
  for (int i = 0; i < 1000; ++i) {
    timers[static_cast<size_t>(i)].number = i;
    wheel.Insert(timers[static_cast<size_t>(i)], 200 * kTick);
  }
  // Stops in the middle of the move: 16 for each that may fire.
  EXPECT_EQ(wheel.FireExpired(200 * kTick, 1), 0);
  timers[1000].number = 1000;
  wheel.Insert(timers[1000], 200 * kTick);
  while (wheel.NextDeadline() <= 200 * kTick) wheel.FireExpired(200 * kTick, 10);
  ASSERT_EQ(order.size(), 1001u);
  EXPECT_TRUE(std::is_sorted(order.begin(), order.end()));
}

TEST(TimerWheelTest, AFireFunctionMayEndTheLifeOfItsNode) {
  struct Once : TimerNode {
    Once() {
      fire = [](TimerNode* node) noexcept { delete static_cast<Once*>(node); };
    }
  };
  TimerWheel wheel(0);
  for (int i = 0; i < 1000; ++i) wheel.Insert(*new Once, i * kTick / 3);
  EXPECT_EQ(wheel.FireExpired(1000 * kTick, kAll), 1000);
}

TEST(TimerWheelTest, AFireFunctionMayCancelItselfAndOthersAndArmItselfAgain) {
  struct Busy : TimerNode {
    Busy() {
      cancel_waits = true;
      fire = [](TimerNode* node) noexcept { static_cast<Busy*>(node)->Fire(); };
    }
    void Fire() noexcept {
      ++fires;
      EXPECT_FALSE(wheel->Cancel(*this)) << "it is firing, and Cancel does not wait for its own caller";
      if (victim != nullptr) EXPECT_TRUE(wheel->Cancel(*victim));
      EXPECT_EQ(wheel->FireExpired(deadline_ns, kAll), 0) << "left to the call that is running";
      if (again-- > 0) wheel->Insert(*this, deadline_ns - 1);
    }
    int fires = 0;
    int again = 2;
    Timer* victim = nullptr;
  };
  TimerWheel wheel(0);
  Busy busy;
  Timer victim;
  busy.victim = &victim;
  wheel.Insert(busy, 10 * kTick);
  wheel.Insert(victim, 10 * kTick);
  EXPECT_EQ(wheel.FireExpired(10 * kTick, 1), 1);
  busy.victim = nullptr;
  EXPECT_EQ(wheel.FireExpired(10 * kTick, kAll), 2) << "a deadline that has passed fires in the same round";
  EXPECT_EQ(busy.fires, 3);
  EXPECT_EQ(victim.fires, 0);
}

TEST(TimerWheelDeathTest, AWheelThatEndsWithTimersArmedIsMisuse) {
  EXPECT_DEATH(
      {
        Timer timer;
        TimerWheel wheel(0);
        wheel.Insert(timer, 5);
      },
      "1 timers armed");
}

// ---- Against a multimap.

class Differential {
 public:
  Differential(uint64_t seed, int tick_shift)
      : tick_shift_(tick_shift), random_(seed), now_ns_(Random(int64_t{1} << 40)), wheel_(now_ns_, tick_shift) {
    tick_ = now_ns_ >> tick_shift_;
    for (Node& node : nodes_) {
      node.test = this;
      node.cancel_waits = Random(2) == 0;
      node.fire = [](TimerNode* timer) noexcept {
        auto* fired = static_cast<Node*>(timer);
        fired->test->Fired(*fired);
      };
    }
  }
  ~Differential() {
    for (Node& node : nodes_) {
      if (node.armed) Cancel(node);
    }
    EXPECT_EQ(wheel_.armed(), 0u);
    EXPECT_EQ(wheel_.NextDeadline(), TimerWheel::kNoDeadline);
  }

  void Run(int steps) {
    for (int i = 0; i < steps && !::testing::Test::HasFailure(); ++i) {
      Node& node = nodes_[static_cast<size_t>(Random(kNodes))];
      if (Random(4) == 0) {
        Advance();
      } else if (Random(3) == 0) {
        Move(node);
      } else if (node.armed) {
        Cancel(node);
      } else {
        Insert(node);
      }
      Check();
    }
  }

 private:
  static constexpr int64_t kNodes = 200;

  struct Node : TimerNode {
    Differential* test = nullptr;
    bool armed = false;
    std::multimap<int64_t, Node*>::iterator place;
  };

  int64_t Random(int64_t end) { return static_cast<int64_t>(random_() % static_cast<uint64_t>(end)); }

  // As many short delays as long ones, up to a century, and some that have passed.
  int64_t RandomDeadline() {
    const int64_t delay = Random((int64_t{1} << (1 + Random(61))));
    const int64_t sign = Random(8) == 0 ? -1 : 1;
    const int64_t room = std::numeric_limits<int64_t>::max() - now_ns_;
    return now_ns_ + sign * std::min(delay, room);
  }

  void Insert(Node& node) {
    const int64_t deadline_ns = RandomDeadline();
    Note(node, deadline_ns);
    wheel_.Insert(node, deadline_ns);
  }

  void Move(Node& node) {
    const int64_t deadline_ns = RandomDeadline();
    EXPECT_EQ(wheel_.Move(node, deadline_ns), node.armed);
    if (!node.armed) return;
    model_.erase(node.place);
    Note(node, deadline_ns);
  }

  void Note(Node& node, int64_t deadline_ns) {
    const int64_t positive = std::max<int64_t>(deadline_ns, 0);
    const int64_t length = int64_t{1} << tick_shift_;
    const int64_t tick = std::max(positive / length + (positive % length != 0 ? 1 : 0), tick_);
    node.place = model_.emplace(tick, &node);  // behind its equals
    node.armed = true;
  }

  void Cancel(Node& node) {
    EXPECT_EQ(wheel_.Cancel(node), node.armed);
    if (node.armed) model_.erase(node.place);
    node.armed = false;
  }

  void Advance() {
    const int64_t next_ns = wheel_.NextDeadline();
    switch (Random(3)) {
      case 0:
        now_ns_ += std::min(Random(int64_t{1} << (1 + Random(40))), std::numeric_limits<int64_t>::max() / 2 - now_ns_);
        break;
      case 1:
        if (next_ns < std::numeric_limits<int64_t>::max() / 2) now_ns_ = std::max(now_ns_, next_ns);
        break;
      default:
        break;
    }
    const int64_t now_tick = now_ns_ >> tick_shift_;
    firing_ = true;
    do {
      const int max = static_cast<int>(1 + Random(5));
      fired_ = 0;
      now_tick_ = now_tick;
      const int fired = wheel_.FireExpired(now_ns_, max);
      EXPECT_EQ(fired, fired_);
      EXPECT_LE(fired, max);
    } while (wheel_.NextDeadline() <= now_ns_ && !::testing::Test::HasFailure());
    firing_ = false;
    tick_ = std::max(tick_, now_tick);
    EXPECT_TRUE(model_.empty() || model_.begin()->first > now_tick) << "a timer that was due has not fired";
  }

  void Fired(Node& node) {
    ++fired_;
    EXPECT_TRUE(firing_ && node.armed);
    EXPECT_FALSE(model_.empty());
    if (model_.empty()) return;
    EXPECT_EQ(model_.begin()->second, &node) << "out of order";
    EXPECT_LE(model_.begin()->first, now_tick_) << "early";
    EXPECT_LE(node.deadline_ns, now_ns_) << "early";
    tick_ = node.place->first;
    model_.erase(node.place);
    node.armed = false;
    // From within: cancel, move, or arm, this one or another. Rarely enough that firing comes to an end.
    if (Random(3) != 0) return;
    Node& other = Random(2) == 0 ? node : nodes_[static_cast<size_t>(Random(kNodes))];
    if (other.armed && Random(2) == 0) {
      Move(other);
    } else if (other.armed || Random(2) == 0) {
      Cancel(other);
    } else {
      Insert(other);
    }
  }

  void Check() {
    EXPECT_EQ(wheel_.armed(), model_.size());
    const int64_t next_ns = wheel_.NextDeadline();
    if (model_.empty()) {
      EXPECT_EQ(next_ns, TimerWheel::kNoDeadline);
    } else if (model_.begin()->first <= std::numeric_limits<int64_t>::max() >> tick_shift_) {
      EXPECT_LE(next_ns, model_.begin()->first << tick_shift_);
    }
  }

  const int tick_shift_;
  std::mt19937_64 random_;
  int64_t now_ns_;
  TimerWheel wheel_;
  int64_t tick_;          // the wheel's current tick
  int64_t now_tick_ = 0;  // of the call of FireExpired that is running
  int fired_ = 0;
  bool firing_ = false;
  Node nodes_[kNodes];
  std::multimap<int64_t, Node*> model_;
};

uint64_t CountOf(const char* variable, uint64_t count) {
  if (const char* text = std::getenv(variable)) EXPECT_TRUE(absl::SimpleAtoi(text, &count)) << text;
  return count;
}

TEST(TimerWheelTest, BehavesAsAMultimap) {
  constexpr int kSteps = 5'000;
  ProofRow row("T1", "operations on timers, against a multimap");
  const uint64_t seeds = CountOf("WEFT_TIMER_SEEDS", 100);
  for (uint64_t seed = 1; seed <= seeds && !HasFailure(); ++seed) {
    SCOPED_TRACE(seed);
    for (const int tick_shift : {TimerWheel::kTickShift, 0}) {
      Differential(seed, tick_shift).Run(kSteps);
      row.AddRuns(kSteps);
    }
  }
}

TEST(TimerWheelTest, AMillionTimersAreInsertedCancelledAndFired) {
  const size_t timers_at_once = CountOf("WEFT_TIMERS", 1'000'000);
  ProofRow row("T1", "timers at once, of which half are cancelled");
  row.AddRuns(static_cast<int64_t>(timers_at_once));
  TimerWheel wheel(0);
  std::mt19937_64 random(1);
  auto timers = std::make_unique<Timer[]>(timers_at_once);
  for (size_t i = 0; i < timers_at_once; ++i) wheel.Insert(timers[i], static_cast<int64_t>(random() % 1'000'000'000));
  EXPECT_EQ(wheel.armed(), timers_at_once);
  size_t cancelled = 0;
  for (size_t i = 0; i < timers_at_once; i += 2) cancelled += wheel.Cancel(timers[i]) ? 1 : 0;
  EXPECT_EQ(cancelled, timers_at_once / 2);
  size_t fired = 0;
  for (int64_t now_ns = 0; now_ns <= 1'000'000'000 + kTick; now_ns += kTick) {
    fired += static_cast<size_t>(wheel.FireExpired(now_ns, kAll));
  }
  EXPECT_EQ(fired, timers_at_once / 2);
  for (size_t i = 0; i < timers_at_once; ++i) ASSERT_EQ(timers[i].fires, static_cast<int>(i % 2));
}

TEST(TimerWheelTest, AMillionTimersAreCancelledByOtherThreads) {
  const size_t timers_at_once = CountOf("WEFT_TIMERS", 1'000'000);
  ProofRow row("T1", "timers at once, cancelled by three other threads");
  row.AddRuns(static_cast<int64_t>(timers_at_once));
  constexpr size_t kThreads = 3;
  TimerWheel wheel(0);
  std::mt19937_64 random(1);
  auto timers = std::make_unique<Timer[]>(timers_at_once);
  for (size_t i = 0; i < timers_at_once; ++i) {
    wheel.Insert(timers[i], static_cast<int64_t>(1 + random() % 1'000'000'000'000));
  }
  size_t cancelled[kThreads] = {};
  std::vector<std::thread> threads;
  for (size_t thread = 0; thread < kThreads; ++thread) {
    threads.emplace_back([&, thread] {
      for (size_t i = thread; i < timers_at_once; i += kThreads) cancelled[thread] += wheel.Cancel(timers[i]) ? 1 : 0;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(cancelled[0] + cancelled[1] + cancelled[2], timers_at_once);
  EXPECT_EQ(wheel.NextDeadline(), TimerWheel::kNoDeadline);
}

// ---- Other threads.

// A timeout lies in a frame that goes away as soon as Cancel has returned: the node is freed at once, and its fire
// function writes to it until its very end.
TEST(TimerWheelTest, AfterCancelReturnsTheNodeOfATimeoutMayGo) {
  struct Timeout : TimerNode {
    Timeout() {
      cancel_waits = true;
      fire = [](TimerNode* node) noexcept {
        auto* timeout = static_cast<Timeout*>(node);
        for (int i = 0; i < 50; ++i) timeout->steps = timeout->steps + 1;
        timeout->done = true;
      };
    }
    volatile int steps = 0;
    bool done = false;
  };
  constexpr int kRounds = 400;
  constexpr int kNodes = 50;
  TimerWheel wheel(0);
  Atomic<int> round_ready{0};
  Atomic<int> round_cancelled{0};
  std::vector<Timeout*> timeouts(kNodes);
  int cancelled = 0;
  std::thread canceller([&] {
    for (int round = 1; round <= kRounds; ++round) {
      while (round_ready.load(std::memory_order_acquire) < round) std::this_thread::yield();
      for (Timeout* timeout : timeouts) {
        const bool was_armed = wheel.Cancel(*timeout);
        ASSERT_EQ(was_armed, !timeout->done);
        ASSERT_EQ(timeout->steps, was_armed ? 0 : 50);
        cancelled += was_armed ? 1 : 0;
        delete timeout;
      }
      round_cancelled.store(round, std::memory_order_release);
    }
  });
  int fired = 0;
  for (int round = 1; round <= kRounds; ++round) {
    for (Timeout*& timeout : timeouts) {
      timeout = new Timeout;
      wheel.Insert(*timeout, round * kTick);
    }
    round_ready.store(round, std::memory_order_release);
    while (round_cancelled.load(std::memory_order_acquire) < round) {
      const int now_fired = wheel.FireExpired(round * kTick, 3);
      fired += now_fired;
      if (now_fired == 0) std::this_thread::yield();
    }
  }
  canceller.join();
  EXPECT_EQ(fired + cancelled, kRounds * kNodes);
}

// A sleep ends when fire has woken its thread, which may free the node while fire is still running; a Cancel of such a
// node does not wait for fire, which may be waiting for the canceller.
TEST(TimerWheelTest, CancellingASleepDoesNotWaitForItsFire) {
  struct Sleep : TimerNode {
    Sleep() {
      fire = [](TimerNode* node) noexcept {
        auto* sleep = static_cast<Sleep*>(node);
        sleep->firing.store(true, std::memory_order_release);
        while (!sleep->cancel_returned.load(std::memory_order_acquire)) std::this_thread::yield();
      };
    }
    Atomic<bool> firing{false};
    Atomic<bool> cancel_returned{false};
  };
  TimerWheel wheel(0);
  Sleep sleep;
  wheel.Insert(sleep, 1);
  std::thread canceller([&] {
    while (!sleep.firing.load(std::memory_order_acquire)) std::this_thread::yield();
    EXPECT_FALSE(wheel.Cancel(sleep));
    sleep.cancel_returned.store(true, std::memory_order_release);
  });
  EXPECT_EQ(wheel.FireExpired(kTick, kAll), 1);
  canceller.join();
}

TEST(TimerWheelTest, CancellingATimeoutWaitsForItsFireAlsoWhenThatTakesLong) {
  struct Timeout : TimerNode {
    Timeout() {
      cancel_waits = true;
      fire = [](TimerNode* node) noexcept {
        auto* timeout = static_cast<Timeout*>(node);
        timeout->firing.store(true, std::memory_order_release);
        for (int i = 0; i < 2000; ++i) std::this_thread::yield();  // longer than the canceller spins
        if (timeout->again-- > 0) timeout->wheel->Insert(*timeout, timeout->deadline_ns + 10 * kTick);
        timeout->done = true;
      };
    }
    Atomic<bool> firing{false};
    int again = 0;
    bool done = false;
  };
  for (int again : {0, 1}) {
    TimerWheel wheel(0);
    Timeout timeout;
    timeout.again = again;
    wheel.Insert(timeout, 1);
    std::thread canceller([&] {
      while (!timeout.firing.load(std::memory_order_acquire)) std::this_thread::yield();
      EXPECT_EQ(wheel.Cancel(timeout), again == 1) << "what fire has armed again is cancelled";
      EXPECT_TRUE(timeout.done);
    });
    EXPECT_EQ(wheel.FireExpired(kTick, kAll), 1);
    canceller.join();
    EXPECT_EQ(wheel.armed(), 0u);
  }
}

TEST(TimerWheelTest, TwoThreadsThatFireShareTheTimers) {
  constexpr int kTimers = 20'000;
  TimerWheel wheel(0);
  std::vector<Timer> timers(kTimers);
  Atomic<int> fired{0};
  Atomic<int64_t> now_ns{0};
  auto fire_all = [&] {
    while (fired.load(std::memory_order_acquire) < kTimers) {
      const int count = wheel.FireExpired(now_ns.load(std::memory_order_relaxed), 10);
      if (count == 0) std::this_thread::yield();
      fired.fetch_add(count, std::memory_order_acq_rel);
    }
  };
  std::thread other(fire_all);
  for (int i = 0; i < kTimers; ++i) {
    wheel.Insert(timers[static_cast<size_t>(i)], (i + i % 100) * kTick / 50);
    now_ns.store(i * kTick / 50, std::memory_order_relaxed);
  }
  now_ns.store(kTimers * kTick, std::memory_order_relaxed);
  fire_all();
  other.join();
  for (const Timer& timer : timers) ASSERT_EQ(timer.fires, 1);
}

}  // namespace
}  // namespace weft::internal

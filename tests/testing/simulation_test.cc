// The simulation. Goal: the same seed is the same run (row P2), time is virtual, and a deadlock is told at once with
// who waits on what (row Q2). Method: workloads that use every kind of wait, run twice under a thousand seeds;
// deadlocks made from seeds.
#include "weft/testing/simulation.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <ostream>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "lib/os/thread.h"
#include "weft/all.h"
#include "weft/blocking.h"
#include "weft/cancellation.h"
#include "weft/channel/delay_queue.h"
#include "weft/finally.h"
#include "weft/foreign.h"
#include "weft/io/memory_stream.h"
#include "weft/scope.h"
#include "weft/sync/barrier.h"
#include "weft/sync/condition_variable.h"
#include "weft/sync/event.h"
#include "weft/sync/exchanger.h"
#include "weft/sync/latch.h"
#include "weft/sync/lazy.h"
#include "weft/sync/mutex.h"
#include "weft/sync/once.h"
#include "weft/sync/phaser.h"
#include "weft/sync/rate_limiter.h"
#include "weft/sync/recursive_mutex.h"
#include "weft/sync/semaphore.h"
#include "weft/sync/shared_mutex.h"
#include "weft/task.h"
#include "weft/thread_builder.h"
#include "weft/time.h"
#include "weft/virtual_thread.h"

namespace weft::testing {
namespace {

// Scopes, locks, sleeps, timeouts, a failure, and a destructor that has to wait.
Task<int> Workload() {
  Mutex mutex;
  Semaphore semaphore(2);
  Event event;
  int sum = 0;
  AwaitAll scope;
  for (int i = 0; i < 6; ++i) {
    scope.Fork([&, i]() -> Task<void> {
      Permit permit = co_await semaphore.Acquire();
      co_await Sleep(absl::Milliseconds(i % 3));
      MutexGuard guard = co_await mutex.Lock();
      co_await Yield();
      sum += i;
      if (i == 4) event.Set();
    });
  }
  (void)co_await WithTimeout(absl::Milliseconds(1), [](Event& waited) -> Task<void> { co_await waited.Wait(); }(event));
  scope.Fork([]() -> Task<absl::Status> {
    ShutdownOnFailure inner;
    inner.Fork([]() -> Task<void> { co_await Sleep(absl::Hours(1)); });
    inner.Fork([]() -> Task<absl::Status> { co_return absl::AbortedError("x"); });
    co_return co_await inner.Join();
  });
  scope.Fork([]() -> Task<void> {
    AwaitAll dying;
    dying.Fork([]() -> Task<void> { co_await Sleep(absl::Hours(1)); });
    co_await Yield();
  });
  (co_await scope.Join()).IgnoreFailures();
  co_return sum;
}

TEST(SimulationTest, TheSameSeedIsTheSameRun) {
  std::set<uint64_t> hashes;
  for (uint64_t seed = 1; seed <= 1000; ++seed) {
    uint64_t hash[2];
    uint64_t dispatches[2];
    absl::Duration end[2];
    for (int run = 0; run < 2; ++run) {
      Simulation simulation({.carriers = 1 + static_cast<int>(seed % 3), .seed = seed});
      ASSERT_EQ(simulation.Run(Workload()), 15);
      hash[run] = simulation.trace_hash();
      dispatches[run] = simulation.dispatches();
      end[run] = simulation.now();
    }
    ASSERT_EQ(hash[0], hash[1]) << "seed " << seed;
    ASSERT_EQ(dispatches[0], dispatches[1]) << "seed " << seed;
    ASSERT_EQ(end[0], end[1]) << "seed " << seed;
    hashes.insert(hash[0]);
  }
  EXPECT_GT(hashes.size(), 900u) << "other seeds are other runs";
}

TEST(SimulationTest, TimeJumpsToTheNextTimerWhenAllAreParked) {
  const absl::Time wall = absl::Now();
  Simulation simulation({.carriers = 2});
  EXPECT_EQ(simulation.now(), absl::ZeroDuration());
  simulation.Run([]() -> Task<void> {
    const MonotonicTime start = MonotonicNow();
    AwaitAll scope;
    for (int i = 1; i <= 3; ++i) {
      scope.Fork([i]() -> Task<void> { co_await Sleep(i * absl::Hours(1000)); });
    }
    (co_await scope.Join()).IgnoreFailures();
    EXPECT_GE(MonotonicNow() - start, absl::Hours(3000));
    EXPECT_LT(MonotonicNow() - start, absl::Hours(3000) + absl::Milliseconds(1));
  }());
  EXPECT_GE(simulation.now(), absl::Hours(3000));
  EXPECT_LT(absl::Now() - wall, absl::Minutes(1));
}

TEST(SimulationTest, TimersAreExactAndInTheOrderOfTheirTimes) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    Simulation simulation({.carriers = 1 + static_cast<int>(seed % 3), .seed = seed});
    simulation.Run([]() -> Task<void> {
      const MonotonicTime begin = MonotonicNow();
      for (int i = 0; i < 1'000; ++i) co_await Sleep(absl::Nanoseconds(1'234'567));
      EXPECT_EQ(MonotonicNow() - begin, 1'000 * absl::Nanoseconds(1'234'567));
      std::vector<int> order;
      AwaitAll scope;
      for (const int number : {3, 1, 2, 0}) {
        scope.Fork([&order, number]() -> Task<void> {
          co_await Sleep(absl::Milliseconds(1) + number * absl::Nanoseconds(1));
          order.push_back(number);
        });
      }
      (co_await scope.Join()).IgnoreFailures();
      EXPECT_EQ(order, (std::vector<int>{0, 1, 2, 3}));
      EXPECT_TRUE(co_await MoveOnAfter(absl::Nanoseconds(1'001), Sleep(absl::Nanoseconds(1'000))));
      EXPECT_FALSE(co_await MoveOnAfter(absl::Nanoseconds(1'000), Sleep(absl::Nanoseconds(1'001))));
    }());
  }
}

// Whatever a task can await.
TEST(SimulationTest, RunsWhatATaskCanAwait) {
  const auto give = [](int value) -> Task<int> { co_return value; };
  Simulation simulation;
  EXPECT_EQ(simulation.Run(All(give(1), give(2))), std::tuple(1, 2));
  EXPECT_EQ(simulation.TryRun(Sleep(absl::Hours(1))), absl::OkStatus());
}

TEST(SimulationTest, TimeStandsStillWhileAThreadCanRun) {
  Simulation simulation;
  simulation.Run([]() -> Task<void> {
    const MonotonicTime start = MonotonicNow();
    for (int i = 0; i < 1000; ++i) co_await Yield();
    EXPECT_EQ(MonotonicNow(), start);
  }());
}

TEST(SimulationTest, ATurnTakesAsLongAsTheOptionsSay) {
  Simulation simulation({.turn_time = absl::Milliseconds(3)});
  simulation.Run([]() -> Task<void> {
    const MonotonicTime start = MonotonicNow();
    for (int i = 0; i < 10; ++i) co_await Yield();
    EXPECT_EQ(MonotonicNow() - start, absl::Milliseconds(30));
  }());
}

TEST(SimulationDeathTest, ATurnTakesATimeFromZeroOnWithAnEnd) {
  EXPECT_DEATH(Simulation({.turn_time = absl::Nanoseconds(-1)}), "a turn takes -1ns in this simulation");
  EXPECT_DEATH(Simulation({.turn_time = absl::InfiniteDuration()}), "a turn takes inf in this simulation");
}

TEST(SimulationTest, ManyRunsOneAfterTheOther) {
  Simulation simulation;
  for (int i = 0; i < 10; ++i) EXPECT_EQ(simulation.Run(Workload()), 15);
}

// ---- Deadlocks.

// Runs a task that never ends, and gives the report of that.
std::string ReportOf(Task<void> task, SimulationOptions options) {
  std::string report;
  options.on_deadlock = [&report](const std::string& text) { report = text; };
  Simulation simulation(std::move(options));
  EXPECT_EQ(simulation.TryRun(std::move(task)).code(), absl::StatusCode::kCancelled);
  return report;
}

// A ring of threads, each of which holds one lock and waits for the next; and bystanders in other waits. Which, the
// seed decides.
TEST(SimulationTest, TwentyDeadlocksAreNamed) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    std::minstd_rand random(seed);
    const int ring = 2 + static_cast<int>(random() % 4);
    const bool mutexes = random() % 2 == 0;
    const bool bystander = random() % 2 == 0;
    const std::string report = ReportOf(
        [](int size, bool with_mutexes, bool with_bystander) -> Task<void> {
          std::vector<std::unique_ptr<Mutex>> mutex;
          std::vector<std::unique_ptr<Semaphore>> semaphore;
          std::vector<std::unique_ptr<Event>> locked;
          for (int i = 0; i < size; ++i) {
            mutex.push_back(std::make_unique<Mutex>());
            semaphore.push_back(std::make_unique<Semaphore>(1));
            locked.push_back(std::make_unique<Event>());
          }
          Event never;
          AwaitAll scope;
          for (int i = 0; i < size; ++i) {
            scope.Fork(
                [&, i]() -> Task<void> {
                  const int next = (i + 1) % size;
                  if (with_mutexes) {
                    MutexGuard mine = co_await mutex[i]->Lock();
                    locked[i]->Set();
                    co_await locked[next]->Wait();
                    MutexGuard other = co_await mutex[next]->Lock();
                  } else {
                    Permit mine = co_await semaphore[i]->Acquire();
                    locked[i]->Set();
                    co_await locked[next]->Wait();
                    Permit other = co_await semaphore[next]->Acquire();
                  }
                },
                {.name = absl::StrCat("ring-", i)});
          }
          if (with_bystander) {
            scope.Fork([&never]() -> Task<void> { co_await never.Wait(); }, {.name = "bystander"});
          }
          (co_await scope.Join()).IgnoreFailures();
        }(ring, mutexes, bystander),
        {.carriers = 1 + static_cast<int>(random() % 3), .seed = seed});
    SCOPED_TRACE(absl::StrCat("seed ", seed, "\n", report));
    EXPECT_TRUE(absl::StrContains(report, "deadlock: all virtual threads are parked, with no timer and no I/O\n"));
    EXPECT_TRUE(absl::StrContains(report, "VirtualThread[#1]/waiting in StructuredTaskScope::Join at " __FILE__ ":"));
    for (int i = 0; i < ring; ++i) {
      EXPECT_TRUE(
          absl::StrContains(report, absl::StrCat(",ring-", i, mutexes ? "]/blocked in Mutex::Lock" :
                                                 "]/waiting in Semaphore::Acquire", " at " __FILE__ ":")));
    }
    EXPECT_EQ(absl::StrContains(report, ",bystander]/waiting in Event::Wait at " __FILE__ ":"), bystander);
    EXPECT_EQ(std::count(report.begin(), report.end(), '\n'), 2 + ring + bystander) << "and nobody else";
  }
}

TEST(SimulationTest, AReportHasALineForEachThreadWhateverItsNameHas) {
  const std::string report = ReportOf([]() -> Task<void> {
    AwaitAll scope;
    scope.Fork([]() -> Task<void> {
      Event never;
      co_await never.Wait();
    }, {.name = std::string("two\n  VirtualThread[#9]\0\x7f\xc3\xa9\\", 28)});
    (co_await scope.Join()).IgnoreFailures();
  }(), {});
  EXPECT_EQ(std::count(report.begin(), report.end(), '\n'), 3) << report;
  EXPECT_TRUE(absl::StrContains(
      report, "\n  VirtualThread[#2,two\\x0a  VirtualThread[#9]\\x00\\x7f\xc3\xa9\\]/waiting in Event::Wait"))
      << report;
}

TEST(SimulationDeathTest, WithoutAHandlerADeadlockIsPrintedAndEndsTheProcess) {
  EXPECT_DEATH(
      {
        Simulation simulation;
        simulation.Run([]() -> Task<void> {
          Event never;
          co_await never.Wait();
        }());
      },
      "deadlock: all virtual threads are parked, with no timer and no I/O\n  VirtualThread\\[#1\\]/waiting in "
      "Event::Wait at " __FILE__ ":[0-9]+\n");
}

// ---- Every wait is named, with its line.

constexpr char kFile[] = __FILE__;

Task<void> Never() {
  Event never;
  co_await never.Wait();
}

Task<void> Hidden() { co_await Shield(Never()); }
Task<void> Hidden(Event& begun) {
  begun.Set();
  co_await Hidden();
}

// On one line each, which is the line.
struct Wait {
  const char* in;
  int line;
  Task<void> (*run)();

  friend std::ostream& operator<<(std::ostream& out, const Wait& wait) { return out << wait.in << ":" << wait.line; }
};

template <class T>
void Use(T&&) {}

// Another thread has locked it, and has left its guard to this one.
using Held = std::optional<RecursiveMutexGuard>;
Task<void> Lock(RecursiveMutex& mutex, Held& guard) {
  AwaitAll scope;
  scope.Fork([&]() -> Task<void> { guard.emplace(co_await mutex.Lock()); });
  (co_await scope.Join()).IgnoreFailures();
}

using IntLazy = Lazy<int>;
Task<int> NeverOne() {
  co_await Never();
  co_return 1;
}

std::pair<io::MemoryStream, io::MemoryStream> Ends() { return io::MemoryStream::Pair({.capacity = 0}); }

constexpr RateLimiterOptions kRarely = {.permits_per_second = 1e-300};  // after the end of time

const Wait kWaits[] = {
    {"Event::Wait", __LINE__, []() -> Task<void> { Event never; co_await never.Wait(); }},
    {"Latch::Wait", __LINE__, []() -> Task<void> { Latch latch(1); co_await latch.Wait(); }},
    {"Latch::Wait", __LINE__, []() -> Task<void> { Latch latch(2); co_await latch.ArriveAndWait(); }},
    {"Barrier::ArriveAndWait", __LINE__, []() -> Task<void> { Barrier two(2); Use(co_await two.ArriveAndWait()); }},
    {"Phaser::AwaitAdvance", __LINE__, []() -> Task<void> { Phaser two(2); co_await two.ArriveAndAwaitAdvance(); }},
    {"Exchanger::Exchange", __LINE__, []() -> Task<void> { Exchanger<int> alone; co_await alone.Exchange(1); }},
    {"Once::Run", __LINE__, []() -> Task<void> { Once o; co_await All(o.Run(&Never), o.Run(&Never)); }},
    {"Once::Run",
     __LINE__, []() -> Task<void> { IntLazy l([] { return NeverOne(); }); Use(co_await All(l.Get(), l.Get())); }},
    {"Sleep", __LINE__, []() -> Task<void> { RateLimiter r(kRarely); r.TryAcquire(); co_await r.Acquire(); }},
    {"Mutex::Lock",
     __LINE__, []() -> Task<void> { RateLimiter r(kRarely); r.TryAcquire(); co_await All(r.Acquire(), r.Acquire()); }},
    {"Event::Wait", __LINE__, []() -> Task<void> { DelayQueue<int> empty; co_await empty.Receive(); }},
    {"Event::Wait",
     __LINE__, []() -> Task<void> { DelayQueue<int> q; q.Send(1, absl::InfiniteDuration()); co_await q.Receive(); }},
    {"Mutex::Lock",
     __LINE__, []() -> Task<void> { DelayQueue<int> q; Use(co_await All(q.Receive(), q.Receive())); }},
    {"Mutex::Lock", __LINE__, []() -> Task<void> { Mutex m; auto held = m.TryLock(); Use(co_await m.Lock()); }},
    {"Semaphore::Acquire", __LINE__, []() -> Task<void> { Semaphore none(0); Use(co_await none.Acquire()); }},
    {"SharedMutex::Lock",
     __LINE__, []() -> Task<void> { SharedMutex m; auto held = m.TryLockShared(); Use(co_await m.Lock()); }},
    {"SharedMutex::LockShared",
     __LINE__, []() -> Task<void> { SharedMutex m; auto held = m.TryLock(); Use(co_await m.LockShared()); }},
    {"RecursiveMutex::Lock",
     __LINE__, []() -> Task<void> { RecursiveMutex m; Held held; co_await Lock(m, held); Use(co_await m.Lock()); }},
    {"ConditionVariable::Wait",
     __LINE__, []() -> Task<void> { Mutex m; ConditionVariable c; auto g = co_await m.Lock(); co_await c.Wait(g); }},
    {"Sleep", __LINE__, []() -> Task<void> { co_await Sleep(absl::InfiniteDuration()); }},
    {"Sleep", __LINE__, []() -> Task<void> { co_await SleepUntil(MonotonicTime::InfiniteFuture()); }},
    {"Sleep", __LINE__, []() -> Task<void> { co_await SleepUntil(absl::InfiniteFuture()); }},
    {"Read",
     __LINE__, []() -> Task<void> { auto [a, b] = Ends(); char c[1]; Use(co_await a.Read(c)); }},
    {"Write",
     __LINE__, []() -> Task<void> { auto [a, b] = Ends(); Use(co_await a.Write("x")); }},
    {"StructuredTaskScope::Join",
     __LINE__, []() -> Task<void> { AwaitAll s; s.Fork(Never()); Use(co_await s.Join()); }},
    {"StructuredTaskScope::Join",
     __LINE__, []() -> Task<void> { Event e; AwaitAll s; s.Fork(Hidden(e)); co_await e.Wait(); co_await s.Close(); }},
    {"StructuredTaskScope::NextCompleted",
     __LINE__, []() -> Task<void> { AsCompleted<void> s; s.Fork(Never()); Use(co_await s.NextCompleted()); }},
    {"StructuredTaskScope::Join", __LINE__, []() -> Task<void> { Use(co_await All(Never(), Never())); }},
    {"StructuredTaskScope::Join", __LINE__, []() -> Task<void> { Use(co_await All(Never(), Never(), Never())); }},
    {"Yield", __LINE__, []() -> Task<void> { for (;;) co_await Yield(); }},
};

class WaitLineTest : public ::testing::TestWithParam<Wait> {};
INSTANTIATE_TEST_SUITE_P(Every, WaitLineTest, ::testing::ValuesIn(kWaits));

TEST_P(WaitLineTest, IsInTheReport) {
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    std::string first;
    Simulation simulation({.carriers = 1 + static_cast<int>(seed % 3),
                           .seed = seed,
                           .on_deadlock = [&first](const std::string& report) { if (first.empty()) first = report; },
                           .max_turns = 1000});
    EXPECT_EQ(simulation.TryRun(GetParam().run()).code(), absl::StatusCode::kCancelled);
    EXPECT_TRUE(absl::StrContains(first, absl::StrCat(" in ", GetParam().in, " at ", kFile, ":", GetParam().line)))
        << first;
  }
}

// ---- What does not end by itself is ended.

// Ends only when it is made to.
struct Endless {
  const char* name;
  const char* report;  // how the first one begins
  int reports;
  Task<void> (*run)();

  friend std::ostream& operator<<(std::ostream& out, const Endless& endless) { return out << endless.name; }
};

Task<void> Ticks() {
  for (;;) co_await Sleep(absl::Minutes(1));
}

// A destructor that waits for children that are shielded.
Task<void> LeavesShieldedChildren() {
  {
    Event begun;
    AwaitAll scope;
    scope.Fork(Hidden(begun));
    co_await begun.Wait();
  }
  co_await Yield();  // cancelled by then
}

Task<void> LocksInARing() {
  Mutex mutex[2];
  AwaitAll scope;
  for (int i = 0; i < 2; ++i) {
    scope.Fork([&mutex, i]() -> Task<void> {
      MutexGuard first = co_await mutex[i].Lock();
      co_await Yield();
      co_await Sleep(absl::Milliseconds(1));
      MutexGuard second = co_await mutex[1 - i].Lock();
    });
  }
  (co_await scope.Join()).IgnoreFailures();
}

// A function of Blocking() that asks on and on.
Task<void> AsksUntilItIsToEnd() {
  Use(co_await Blocking([] {
    while (!CancelRequested()) {
    }
  }));
  co_await Yield();  // cancelled by then
}

constexpr char kDeadlock[] = "deadlock: all virtual threads are parked, with no timer and no I/O";
constexpr char kTime[] = "limit: 1h of virtual time in one Run()";
constexpr char kTurns[] = "limit: 10000 turns of virtual threads in one Run()";

const Endless kEndless[] = {
    {"AWait", kDeadlock, 1, []() -> Task<void> { co_await Never(); }},
    {"AShield", kDeadlock, 2, []() -> Task<void> { co_await Shield(Never()); }},
    {"AShieldInAShield", kDeadlock, 2, []() -> Task<void> { co_await Shield(Hidden()); }},
    {"AShieldWithoutALimit", kDeadlock, 2,
     []() -> Task<void> { co_await Shield(absl::InfiniteDuration(), Never()); }},
    {"AShieldInAChild", kDeadlock, 2,
     []() -> Task<void> {
       AwaitAll scope;
       scope.Fork(Hidden());
       scope.Fork(Never());
       (co_await scope.Join()).IgnoreFailures();
     }},
    {"AShieldAroundChildren", kDeadlock, 2,
     []() -> Task<void> {
       co_await Shield([]() -> Task<void> {
         AwaitAll scope;
         for (int i = 0; i < 100; ++i) scope.Fork(Never());
         (co_await scope.Join()).IgnoreFailures();
       }());
     }},
    {"AShieldInATimeout", kTime, 2,
     []() -> Task<void> { Use(co_await WithTimeout(absl::Hours(5), Hidden())); }},
    {"ShieldAfterShield", kDeadlock, 2,
     []() -> Task<void> {
       for (;;) co_await Shield(Never());
     }},
    {"ACleanUp", kDeadlock, 2, []() -> Task<void> { co_await Finally(Never(), [] { return Never(); }); }},
    {"ACleanUpThatGoesOn", kDeadlock, 2, []() -> Task<void> { co_await Finally(Never(), [] { return Ticks(); }); }},
    {"ADestructor", kDeadlock, 2, []() -> Task<void> { co_await LeavesShieldedChildren(); }},
    {"LocksInARing", kDeadlock, 1, []() -> Task<void> { co_await LocksInARing(); }},
    {"ShieldedLocksInARing", kDeadlock, 2, []() -> Task<void> { co_await Shield(LocksInARing()); }},
    {"AWaitBesideATicker", kTime, 1,
     []() -> Task<void> {
       AwaitAll scope;
       scope.Fork(Ticks());
       scope.Fork(Never());
       (co_await scope.Join()).IgnoreFailures();
     }},
    {"AShieldBesideATicker", kTime, 2,
     []() -> Task<void> {
       AwaitAll scope;
       scope.Fork([]() -> Task<void> { co_await Shield(Ticks()); });
       scope.Fork(Never());
       (co_await scope.Join()).IgnoreFailures();
     }},
    {"ADeadlineAtTheEndOfTheMonotonicClock", kDeadlock, 1,
     []() -> Task<void> { Use(co_await WithDeadline(MonotonicTime::InfiniteFuture(), Never())); }},
    {"ADeadlineAtTheEndOfTheWallClock", kDeadlock, 1,
     []() -> Task<void> { Use(co_await WithDeadline(absl::InfiniteFuture(), Never())); }},
    {"AJoinInAFunctionOfBlocking", kDeadlock, 1,
     []() -> Task<void> {
       const VirtualThread never = VirtualThread::Start(Never());
       Use(co_await Blocking([&never] { return never.JoinBlocking(); }));
       co_await Yield();  // cancelled by then
     }},
    {"AFunctionOfBlockingThatAsks", kTurns, 1, []() -> Task<void> { co_await AsksUntilItIsToEnd(); }},
    {"AShieldedFunctionOfBlockingThatAsks", kTurns, 2,
     []() -> Task<void> { co_await Shield(AsksUntilItIsToEnd()); }},
    {"ATimerThatIsFarAway", kTime, 1, []() -> Task<void> { co_await Sleep(absl::Hours(1'000'000)); }},
    {"ALoopOfYields", kTurns, 1,
     []() -> Task<void> {
       for (;;) co_await Yield();
     }},
    {"AShieldedLoopOfYields", kTurns, 2,
     []() -> Task<void> {
       co_await Shield([]() -> Task<void> {
         for (;;) co_await Yield();
       }());
     }},
    {"ALoopOfShieldedYields", kTurns, 2,
     []() -> Task<void> {
       for (;;) co_await Shield([]() -> Task<void> { co_await Yield(); }());
     }},
    {"TwoThatWakeEachOther", kTurns, 1,
     []() -> Task<void> {
       Event there, back;
       AwaitAll scope;
       const auto pass = [](Event& from, Event& to) -> Task<void> {
         for (;;) {
           co_await from.Wait();
           from.Reset();
           to.Set();
         }
       };
       scope.Fork(pass(there, back));
       scope.Fork(pass(back, there));
       there.Set();
       (co_await scope.Join()).IgnoreFailures();
     }},
};

class EndlessTest : public ::testing::TestWithParam<Endless> {};
INSTANTIATE_TEST_SUITE_P(Every, EndlessTest, ::testing::ValuesIn(kEndless), ::testing::PrintToStringParamName());

TEST_P(EndlessTest, IsReportedAtMostTwiceAndThenOver) {
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    std::vector<std::string> reports;
    Simulation simulation({.carriers = 1 + static_cast<int>(seed % 3),
                           .seed = seed,
                           .on_deadlock = [&reports](const std::string& report) { reports.push_back(report); },
                           .max_time = absl::Hours(1),
                           .max_turns = 10'000});
    for (int round = 0; round < 2; ++round) {
      reports.clear();
      EXPECT_EQ(simulation.TryRun(GetParam().run()).code(), absl::StatusCode::kCancelled);
      ASSERT_EQ(reports.size(), static_cast<size_t>(GetParam().reports)) << (reports.empty() ? "" : reports.back());
      EXPECT_TRUE(absl::StartsWith(reports[0], absl::StrCat(GetParam().report, "\n  VirtualThread[#"))) << reports[0];
      if (reports.size() == 1) continue;
      EXPECT_TRUE(absl::StrContains(
          reports[1], "; all were asked to end before, and now shields hide nothing any more\n  VirtualThread[#"))
          << reports[1];
    }
    EXPECT_EQ(simulation.Run(Workload()), 15) << "and in the next Run() shields are shields";
    EXPECT_EQ(reports.size(), static_cast<size_t>(GetParam().reports));
  }
}

// What a Run() takes it may take, and not one less.
TEST(LimitTest, ALimitIsReachedByWhatTakesMore) {
  const auto sleep = [](absl::Duration duration) -> Task<void> {
    for (int i = 0; i < 3; ++i) co_await Yield();
    co_await Sleep(duration);
  };
  for (const absl::Duration duration : {absl::Nanoseconds(1), absl::Milliseconds(1), absl::Hours(100)}) {
    SCOPED_TRACE(duration);
    Simulation simulation;
    simulation.Run(sleep(duration));
    const absl::Duration time = simulation.now();
    const uint64_t turns = simulation.dispatches();
    for (const int64_t less : {0, 1}) {
      for (const bool of_time : {true, false}) {
        int reports = 0;
        SimulationOptions options = {.on_deadlock = [&reports](const std::string&) { ++reports; }};
        if (of_time) options.max_time = time - absl::Nanoseconds(less);
        if (!of_time) options.max_turns = turns - static_cast<uint64_t>(less);
        Simulation limited(options);
        EXPECT_EQ(limited.TryRun(sleep(duration)).ok(), less == 0) << "a limit of " << (of_time ? "time" : "turns");
        EXPECT_EQ(reports, less);
      }
    }
  }
}

// Nothing of Weft's knows how to end it.
TEST(SimulationDeathTest, WhatNothingEndsEndsTheProcess) {
  struct Nobody {
    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<>) const noexcept {}
    void await_resume() const noexcept {}
  };
  EXPECT_DEATH(
      {
        Simulation simulation({.on_deadlock = [](const std::string&) {}});
        simulation.Run([]() -> Task<void> { co_await Foreign(Nobody()); }());
      },
      "deadlock: all virtual threads are parked, with no timer and no I/O; all were asked to end, shields hide nothing "
      "any more, and nothing ends them\n  VirtualThread\\[#1\\]/waiting in Foreign");
}

TEST(SimulationTest, ALimitIsThatOfOneRun) {
  Simulation simulation({.max_time = absl::Hours(1), .max_turns = 1000});
  for (int i = 0; i < 10; ++i) {
    simulation.Run([]() -> Task<void> {
      co_await Sleep(absl::Minutes(59));
      for (int turn = 0; turn < 900; ++turn) co_await Yield();
    }());
  }
  EXPECT_GE(simulation.now(), absl::Hours(9));
}

TEST(SimulationTest, ADeadlockInJoinBlockingIsThatOfOneJoin) {
  int reports = 0;
  Simulation simulation({.on_deadlock = [&reports](const std::string&) { ++reports; }});
  for (int round = 1; round <= 2; ++round) {
    std::optional<VirtualThread> never;
    simulation.Run([&never]() -> Task<void> {
      never = VirtualThread::Start(Never());
      co_return;
    });
    EXPECT_EQ(never->JoinBlocking().code(), absl::StatusCode::kCancelled);
    EXPECT_EQ(reports, round);
    EXPECT_EQ(simulation.Run(Workload()), 15) << "the next Run() is cancelled by nothing";
  }
}

TEST(SimulationTest, TheReportTellsWhoHoldsWhatAThreadWaitsFor) {
  std::string report;
  Simulation simulation({.on_deadlock = [&report](const std::string& text) { report = text; }});
  EXPECT_FALSE(simulation
                   .TryRun([]() -> Task<void> {
                     Mutex mutex, outside;
                     Semaphore one(1), two(2), none(0);
                     RecursiveMutex again;
                     const std::optional<MutexGuard> by_root = outside.TryLock();
                     AwaitAll scope;
                     Event held;
                     scope.Fork([&]() -> Task<void> {
                       MutexGuard guard = co_await mutex.Lock();
                       Permit first = co_await one.Acquire();
                       Permit second = co_await two.Acquire();
                       Permit third = co_await two.Acquire();
                       RecursiveMutexGuard outer = co_await again.Lock();
                       RecursiveMutexGuard inner = co_await again.Lock();
                       held.Set();
                       co_await Never();
                     });
                     co_await held.Wait();
                     scope.Fork([&]() -> Task<void> { Use(co_await mutex.Lock()); }, {.name = "mutex"});
                     scope.Fork([&]() -> Task<void> { Use(co_await outside.Lock()); }, {.name = "outside"});
                     scope.Fork([&]() -> Task<void> { Use(co_await one.Acquire()); }, {.name = "one"});
                     scope.Fork([&]() -> Task<void> { Use(co_await two.Acquire()); }, {.name = "two"});
                     scope.Fork([&]() -> Task<void> { Use(co_await none.Acquire()); }, {.name = "none"});
                     scope.Fork([&]() -> Task<void> { Use(co_await one.Acquire(4)); }, {.name = "many"});
                     scope.Fork([&]() -> Task<void> { Use(co_await again.Lock()); }, {.name = "again"});
                     (co_await scope.Join()).IgnoreFailures();
                   }())
                   .ok());
  for (const auto& [name, holder] : std::map<std::string, std::string>{
           {"mutex", ", held by VirtualThread[#2]"},
           {"outside", ", held by VirtualThread[#1]"},
           {"one", ", held by VirtualThread[#2]"},
           {"two", ", all 2 permits held, the last one by VirtualThread[#2]"},
           {"none", ", which has no permits"},
           {"many", ", held by VirtualThread[#2]"},
           {"again", ", held by VirtualThread[#2]"},
       }) {
    const size_t at = report.find(absl::StrCat(",", name, "]/"));
    ASSERT_NE(at, std::string::npos) << report;
    EXPECT_TRUE(
        absl::StrContains(report.substr(at, report.find('\n', at) - at), absl::StrCat(holder, ", forked by #1")))
        << report;
  }
}

TEST(SimulationTest, TheReportTellsForHowLongAThreadHasWaited) {
  std::string report;
  Simulation simulation({.on_deadlock = [&report](const std::string& text) { report = text; }});
  EXPECT_FALSE(simulation
                   .TryRun([]() -> Task<void> {
                     AwaitAll scope;
                     scope.Fork(Never());
                     co_await Sleep(absl::Seconds(5));
                     (co_await scope.Join()).IgnoreFailures();
                   }())
                   .ok());
  EXPECT_TRUE(absl::StrContains(report, " for 5s, ")) << report;
}

// ---- Stacks.

// Uses about `bytes` of the stack; the compiler does not know that nobody looks.
[[gnu::noinline]] size_t UseStack(size_t bytes) {
  volatile char local[1000];
  local[bytes % sizeof(local)] = 1;
  if (bytes <= sizeof(local)) return static_cast<size_t>(local[bytes % sizeof(local)]);
  return UseStack(bytes - sizeof(local)) + static_cast<size_t>(local[0]);
}

TEST(SimulationTest, ACarrierHasTheStackOfAnOsThread) {
  Simulation simulation({.carriers = 2});
  simulation.Run([]() -> Task<void> {
    AwaitAll scope;
    scope.Fork([]() -> Task<void> {
      // Sanitizers make frames larger, several times.
      EXPECT_GT(UseStack(internal::Thread::StackBytes() / 8), 0u);
      co_return;
    });
    (co_await scope.Join()).IgnoreFailures();
  }());
}

TEST(SimulationDeathTest, AStackThatIsUsedUpIsNamed) {
  EXPECT_DEATH(Simulation().Run([]() -> Task<void> {
                 EXPECT_GT(UseStack(SIZE_MAX), 0u);
                 co_return;
               }()),
               "weft: the stack of carrier 0 of a simulation is used up, all [0-9]+ KiB: a recursion that is too deep, "
               "or a local that is too large\n");
}

}  // namespace
}  // namespace weft::testing

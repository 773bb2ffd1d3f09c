// The simulation. Goal: the same seed is the same run (row P2), time is virtual, and a deadlock is told at once with
// who waits on what (row Q2). Method: workloads that use every kind of wait, run twice under a thousand seeds;
// deadlocks made from seeds.
#include "weft/testing/simulation.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <memory>
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
#include "weft/cancellation.h"
#include "weft/scope.h"
#include "weft/sync/event.h"
#include "weft/sync/mutex.h"
#include "weft/sync/semaphore.h"
#include "weft/task.h"
#include "weft/time.h"

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
    const absl::Duration start = MonotonicNow();
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

TEST(SimulationTest, TimeStandsStillWhileAThreadCanRun) {
  Simulation simulation;
  simulation.Run([]() -> Task<void> {
    const absl::Duration start = MonotonicNow();
    for (int i = 0; i < 1000; ++i) co_await Yield();
    EXPECT_EQ(MonotonicNow(), start);
  }());
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
    EXPECT_TRUE(absl::StrContains(report, "VirtualThread[#1]/waiting in StructuredTaskScope::Join\n"));
    for (int i = 0; i < ring; ++i) {
      EXPECT_TRUE(
          absl::StrContains(report, absl::StrCat(",ring-", i, "]/waiting in ",
                                                 mutexes ? "Mutex::Lock" : "Semaphore::Acquire", ", forked by #1\n")));
    }
    EXPECT_EQ(absl::StrContains(report, ",bystander]/waiting in Event::Wait, forked by #1\n"), bystander);
    EXPECT_EQ(std::count(report.begin(), report.end(), '\n'), 2 + ring + bystander) << "and nobody else";
  }
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
      "Event::Wait\n");
}

}  // namespace
}  // namespace weft::testing

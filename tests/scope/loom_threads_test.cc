// Threads, their scheduler, locks and executors as users of the JDK know them, and what stands in their places here.
// Goal: what docs/from-loom.md says of them, one test each, where no other test says it. Method: the same bodies in
// simulations under many seeds and on real carriers; where an order is promised, on one real carrier; a lock that waits
// for itself, in a simulation.
#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/time/time.h"
#include "lib/cancel/boundary.h"
#include "tests/support/on_both.h"
#include "weft/scope.h"
#include "weft/sync/event.h"
#include "weft/sync/mutex.h"
#include "weft/task.h"
#include "weft/testing/simulation.h"
#include "weft/time.h"
#include "weft/virtual_thread.h"

namespace weft {
namespace {

using testing::Introduction;

class LoomThreadTest : public testing::OnBoth {};
WEFT_ON_BOTH(LoomThreadTest);

TEST_P(LoomThreadTest, IdsAreUniqueAndAThreadKeepsItsOwn) {
  Everywhere([]() -> Task<void> {
    constexpr int kThreads = 20;
    std::vector<uint64_t> before(kThreads), after(kThreads);
    AwaitAll scope;
    for (size_t i = 0; i < kThreads; ++i) {
      scope.Fork([&, i]() -> Task<void> {
        before[i] = VirtualThread::Current().id();
        co_await Yield();
        after[i] = VirtualThread::Current().id();
      });
    }
    (co_await scope.Join()).IgnoreFailures();
    EXPECT_EQ(before, after);
    std::set<uint64_t> all(before.begin(), before.end());
    all.insert(VirtualThread::Current().id());
    EXPECT_EQ(all.size(), kThreads + 1);
    EXPECT_GE(*all.begin(), 1u);
  });
}

TEST_P(LoomThreadTest, AHandleOutlivesItsThreadAndAThreadWithoutANameHasAnEmptyOne) {
  Everywhere([]() -> Task<void> {
    std::optional<VirtualThread> handle;
    {
      AwaitAll scope;
      scope.Fork([&]() -> Task<void> {
        handle = VirtualThread::Current();
        co_return;
      });
      (co_await scope.Join()).IgnoreFailures();
    }
    EXPECT_EQ(handle->name(), "");
    EXPECT_EQ(handle->state(), VirtualThread::State::kTerminated);
    EXPECT_EQ(handle->carrier(), -1);
  });
}

TEST(LoomThreadDeathTest, CurrentOutsideAVirtualThread) {
  EXPECT_FALSE(VirtualThread::HasCurrent());
  EXPECT_DEATH(static_cast<void>(VirtualThread::Current()), "VirtualThread::Current\\(\\)");
}

// ---- The scheduler's order, on one real carrier: a simulation takes another one for each seed.

class LoomSchedulerTest : public testing::OnBoth {};
INSTANTIATE_TEST_SUITE_P(OnOneCarrier, LoomSchedulerTest, ::testing::Values(testing::Place{false, 1}),
                         [](const auto&) { return std::string("Real"); });

TEST_P(LoomSchedulerTest, AJoinRunsTheNewestChildFirst) {
  Everywhere([]() -> Task<void> {
    std::vector<int> order;
    AwaitAll scope;
    for (int i = 1; i <= 3; ++i) {
      scope.Fork([&order, i]() -> Task<void> {
        order.push_back(i);
        co_return;
      });
    }
    EXPECT_TRUE(order.empty());  // who forks goes on
    (co_await scope.Join()).IgnoreFailures();
    EXPECT_EQ(order, (std::vector<int>{3, 2, 1}));
  });
}

TEST_P(LoomSchedulerTest, ThreadsThatAreWokenRunInTheOrderOfTheirWakes) {
  Everywhere([]() -> Task<void> {
    std::vector<int> order;
    Event events[3];
    Introduction waits[3];
    AwaitAll scope;
    for (int i = 0; i < 3; ++i) {
      scope.Fork([&, i]() -> Task<void> {
        waits[i].Make();
        co_await events[i].Wait();
        order.push_back(i);
      });
    }
    for (Introduction& wait : waits) co_await wait.AwaitParked();
    for (Event& event : events) event.Set();
    (co_await scope.Join()).IgnoreFailures();
    EXPECT_EQ(order, (std::vector<int>{0, 1, 2}));
  });
}

// ---- Locks.

Task<void> LockAgain(Mutex& mutex, bool& locked_again) {
  std::optional<MutexGuard> outer = mutex.TryLock();  // which a debug build takes for one that may be passed on
  MutexGuard inner = co_await mutex.Lock();
  locked_again = true;
}

TEST(LoomLockSimulationTest, AMutexIsNotReentrantAndASimulationSaysWhoWaits) {
  bool locked_again = false;
  std::string report;
  Mutex mutex;
  testing::Simulation simulation({.on_deadlock = [&](const std::string& text) { report = text; }});
  EXPECT_TRUE(absl::IsCancelled(simulation.TryRun(LockAgain(mutex, locked_again))));
  EXPECT_FALSE(locked_again);
  EXPECT_TRUE(absl::StrContains(report, "utex")) << report;
}

class LoomLockTest : public testing::OnBoth {};
WEFT_ON_BOTH(LoomLockTest);

TEST_P(LoomLockTest, TryLockOfAMutexThatTheThreadHoldsItselfGivesNothing) {
  Everywhere([]() -> Task<void> {
    Mutex mutex;
    {
      MutexGuard guard = co_await mutex.Lock();
      EXPECT_FALSE(mutex.TryLock().has_value());
    }
    EXPECT_TRUE(mutex.TryLock().has_value());
  });
}

TEST_P(LoomLockTest, AMutexIsUnlockedByWhoeverHasTheGuard) {
  Everywhere([]() -> Task<void> {
    Mutex mutex;
    AwaitAll scope;
    {
      MutexGuard guard = co_await mutex.Lock();
      scope.Fork([given = std::move(guard)]() mutable -> Task<void> {
        co_await Yield();
        given.Unlock();
        given.Unlock();  // nothing
      });
    }
    MutexGuard again = co_await mutex.Lock();
    (co_await scope.Join()).IgnoreFailures();
  });
}

}  // namespace
}  // namespace weft

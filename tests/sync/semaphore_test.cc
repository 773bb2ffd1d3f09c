// Semaphore of several permits at once, timed, for OS threads. Goal: a request gets all that it wants or nothing, in
// turn, and none is lost. Method: the same bodies in simulations and on carriers; OS threads of their own. (What holds
// for single permits is in sync_test.cc.)
#include <gtest/gtest.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "lib/runtime/runtime_core.h"
#include "tests/support/on_both.h"
#include "weft/cancellation.h"
#include "weft/channel/select.h"
#include "weft/runtime.h"
#include "weft/scope.h"
#include "weft/sync/event.h"
#include "weft/sync/semaphore.h"
#include "weft/task.h"
#include "weft/testing/simulation.h"
#include "weft/time.h"

namespace weft {
namespace {

using testing::Introduction;

class SemaphoreTest : public testing::OnBoth {};
WEFT_ON_BOTH(SemaphoreTest);

// Notes `name` when it has got so many, and gives them back.
Task<void> Note(Semaphore& semaphore, int64_t permits, int name, std::vector<int>& order, Introduction& waiting) {
  waiting.Make();
  Permit permit = co_await semaphore.Acquire(permits);
  EXPECT_EQ(permit.permits(), permits);
  order.push_back(name);  // the test sees to it that nobody else does at the same time
}

TEST_P(SemaphoreTest, SeveralPermitsAreTakenAndGivenBackTogether) {
  Everywhere([]() -> Task<void> {
    Semaphore semaphore(5);
    Permit three = co_await semaphore.Acquire(3);
    EXPECT_EQ(three.permits(), 3);
    EXPECT_EQ(semaphore.available(), 2);
    EXPECT_FALSE(semaphore.TryAcquire(3).has_value());
    EXPECT_EQ(semaphore.available(), 2) << "all or nothing";
    std::optional<Permit> two = semaphore.TryAcquire(2);
    EXPECT_TRUE(two.has_value());
    EXPECT_EQ(semaphore.available(), 0);
    Permit moved = std::move(three);
    EXPECT_EQ(three.permits(), 0);
    EXPECT_EQ(moved.permits(), 3);
    moved.Release();
    moved.Release();
    EXPECT_EQ(semaphore.available(), 3);
    *two = co_await semaphore.Acquire(1);
    EXPECT_EQ(semaphore.available(), 4);
    two.reset();
    EXPECT_EQ(semaphore.available(), 5);
    const Permit none = co_await semaphore.Acquire(0);
    EXPECT_EQ(none.permits(), 0);
    EXPECT_EQ(semaphore.available(), 5);
  });
}

TEST_P(SemaphoreTest, ANewOneHasAsManyPermitsAsItWasGiven) {
  Everywhere([]() -> Task<void> {
    for (const int64_t permits : {0, 1, 42}) {
      Semaphore semaphore(permits);
      EXPECT_EQ(semaphore.available(), permits);
      EXPECT_EQ(semaphore.QueueLength(), 0);
      EXPECT_FALSE(semaphore.TryAcquire(permits + 1).has_value());
      EXPECT_EQ((co_await semaphore.Acquire(permits)).permits(), permits);
    }
  });
}

TEST_P(SemaphoreTest, ALargeRequestThatIsFirstIsNotOvertaken) {
  Everywhere([]() -> Task<void> {
    Semaphore semaphore(4);
    std::vector<int> order;
    AwaitAll scope;
    Introduction large, small;
    Permit one = co_await semaphore.Acquire();
    scope.Fork(Note(semaphore, 4, 4, order, large));
    co_await large.AwaitParked();
    scope.Fork(Note(semaphore, 1, 1, order, small));
    co_await small.AwaitParked();
    EXPECT_EQ(semaphore.available(), 3);
    EXPECT_EQ(semaphore.QueueLength(), 2);
    EXPECT_FALSE(semaphore.TryAcquire().has_value()) << "nobody overtakes a waiter";
    EXPECT_EQ(semaphore.Drain().permits(), 0);
    one.Release();
    (co_await scope.Join()).IgnoreFailures();
    EXPECT_EQ(order, (std::vector<int>{4, 1}));
    EXPECT_EQ(semaphore.QueueLength(), 0);
  });
}

TEST_P(SemaphoreTest, ARequestForMoreThanThereAreIsInNobodysWayAndWaitsUntilItIsCancelled) {
  Everywhere([]() -> Task<void> {
    Semaphore semaphore(3);
    AwaitAll scope;
    Introduction too_large;
    bool got = false;
    const auto doomed = scope.Fork([&]() -> Task<void> {
      too_large.Make();
      const Permit four = co_await semaphore.Acquire(4);
      got = true;
    });
    co_await too_large.AwaitParked();
    EXPECT_EQ(semaphore.QueueLength(), 1);
    {
      const Permit two = co_await semaphore.Acquire(2);
      EXPECT_TRUE(semaphore.TryAcquire().has_value());
      EXPECT_EQ(semaphore.Drain().permits(), 1);
      Introduction next;
      scope.Fork([&]() -> Task<void> {
        next.Make();
        const Permit all = co_await semaphore.Acquire(3);
      });
      co_await next.AwaitParked();
      EXPECT_FALSE(semaphore.TryAcquire().has_value()) << "one that can be granted is behind it";
    }
    EXPECT_TRUE((co_await semaphore.TryAcquireFor(absl::Hours(1), 3)).has_value());
    scope.Shutdown();
    (co_await scope.Join()).IgnoreFailures();
    EXPECT_FALSE(got);
    EXPECT_EQ(semaphore.available(), 3);
    EXPECT_EQ(semaphore.QueueLength(), 0);
  });
}

TEST_P(SemaphoreTest, WhatIsReleasedServesAsManyAsItIsEnoughFor) {
  Everywhere([]() -> Task<void> {
    Semaphore semaphore(6);
    Event enough;
    std::atomic<int> served{0};
    AwaitAll scope;
    Permit all = co_await semaphore.Acquire(6);
    for (const int permits : {1, 2, 3, 1}) {
      Introduction waiting;
      scope.Fork([&, permits]() -> Task<void> {
        waiting.Make();
        Permit mine = co_await semaphore.Acquire(permits);
        ++served;
        co_await enough.Wait();
      });
      co_await waiting.AwaitParked();
    }
    all.Release();
    while (served < 3) co_await Yield();
    for (int i = 0; i < 10; ++i) co_await Yield();
    EXPECT_EQ(served, 3);
    EXPECT_EQ(semaphore.available(), 0);
    enough.Set();
    (co_await scope.Join()).IgnoreFailures();
    EXPECT_EQ(semaphore.available(), 6);
  });
}

TEST_P(SemaphoreTest, WhoWaitedBehindACancelledRequestIsServedAtOnce) {
  Everywhere([]() -> Task<void> {
    Semaphore semaphore(3);
    std::vector<int> order;
    Introduction large, small;
    AwaitAll kept;
    AwaitAll cancelled;
    Permit one = co_await semaphore.Acquire();
    cancelled.Fork(Note(semaphore, 3, 3, order, large));
    co_await large.AwaitParked();
    kept.Fork(Note(semaphore, 2, 2, order, small));
    co_await small.AwaitParked();
    cancelled.Shutdown();
    (co_await cancelled.Join()).IgnoreFailures();
    (co_await kept.Join()).IgnoreFailures();  // `one` is held still
    EXPECT_EQ(order, std::vector<int>{2});
    EXPECT_EQ(semaphore.available(), 2);
  });
}

TEST_P(SemaphoreTest, ATimedRequestThatIsLateHoldsNothing) {
  Everywhere([]() -> Task<void> {
    Semaphore semaphore(3);
    Permit two = co_await semaphore.Acquire(2);
    EXPECT_FALSE((co_await semaphore.TryAcquireFor(absl::Milliseconds(1), 2)).has_value());
    EXPECT_EQ(semaphore.available(), 1);
    std::optional<Permit> got = co_await semaphore.TryAcquireFor(absl::Hours(1));
    EXPECT_EQ(got->permits(), 1);
    got.reset();
    two.Release();
    EXPECT_EQ((co_await semaphore.TryAcquireFor(absl::Hours(1), 3))->permits(), 3);
    EXPECT_EQ(semaphore.available(), 3);
  });
}

TEST_P(SemaphoreTest, DrainTakesWhatIsFree) {
  Everywhere([]() -> Task<void> {
    Semaphore semaphore(5);
    Permit two = co_await semaphore.Acquire(2);
    {
      const Permit rest = semaphore.Drain();
      EXPECT_EQ(rest.permits(), 3);
      EXPECT_EQ(semaphore.available(), 0);
      EXPECT_EQ(semaphore.Drain().permits(), 0);
    }
    EXPECT_EQ(semaphore.available(), 3);
  });
}

TEST_P(SemaphoreTest, AtMostSoManyHoweverManyEachTakes) {
  Everywhere([]() -> Task<void> {
    Semaphore semaphore(5);
    std::atomic<int64_t> inside{0};
    AwaitAll scope;
    for (int i = 0; i < 20; ++i) {
      scope.Fork([&, permits = i % 5 + 1]() -> Task<void> {
        for (int n = 0; n < 3; ++n) {
          Permit permit = co_await semaphore.Acquire(permits);
          EXPECT_LE(inside += permits, 5);
          co_await Yield();
          inside -= permits;
        }
      });
    }
    (co_await scope.Join()).IgnoreFailures();
    EXPECT_EQ(semaphore.available(), 5);
  });
}

// Requests of all sizes are cancelled while others are served.
TEST_P(SemaphoreTest, NoPermitIsLostToRequestsThatAreCancelled) {
  Everywhere([]() -> Task<void> {
    Semaphore semaphore(4);
    AwaitAll kept;
    {
      AwaitAll cancelled;
      for (int i = 0; i < 12; ++i) {
        auto contend = [&semaphore, permits = i % 4 + 1]() -> Task<void> {
          for (int n = 0; n < 3; ++n) {
            Permit permit = co_await semaphore.Acquire(permits);
            co_await Yield();
          }
        };
        if (i % 3 == 0) {
          kept.Fork(contend);
        } else {
          cancelled.Fork(contend);
        }
      }
      for (int i = 0; i < 4; ++i) co_await Yield();
      cancelled.Shutdown();
      (co_await cancelled.Join()).IgnoreFailures();
    }
    (co_await kept.Join()).IgnoreFailures();
    EXPECT_EQ(semaphore.available(), 4);
    EXPECT_EQ(semaphore.QueueLength(), 0);
  });
}

// A storm of requests whose time is up at about the moment when they are served.
TEST_P(SemaphoreTest, NoPermitIsLostToRequestsThatAreLate) {
  Everywhere([]() -> Task<void> {
    Semaphore semaphore(4);
    AwaitAll scope;
    Permit all = co_await semaphore.Acquire(4);
    for (int i = 0; i < 8; ++i) {
      scope.Fork([&semaphore, permits = i % 2 + 1]() -> Task<void> {
        while (!(co_await semaphore.TryAcquireFor(absl::Microseconds(1), permits)).has_value()) continue;
      });
    }
    for (int i = 0; i < 4; ++i) co_await Yield();
    all.Release();
    (co_await scope.Join()).IgnoreFailures();
    EXPECT_EQ(semaphore.available(), 4);
    EXPECT_EQ(semaphore.QueueLength(), 0);
  });
}

TEST_P(SemaphoreTest, OsThreadsStandInTheSameQueue) {
  OnEveryRuntime([](Runtime& runtime) {
    if (simulated()) return;  // which has one OS thread
    Semaphore semaphore(3);
    std::atomic<int64_t> inside{0};
    constexpr int kRounds = 100;
    std::vector<std::thread> outside;
    for (int i = 0; i < 2; ++i) {
      outside.emplace_back([&, permits = i + 1] {
        for (int n = 0; n < kRounds; ++n) {
          const Permit permit = semaphore.AcquireBlocking(permits);
          EXPECT_LE(inside += permits, 3);
          inside -= permits;
        }
      });
    }
    runtime.Run([](Semaphore& wanted, std::atomic<int64_t>& held) -> Task<void> {
      AwaitAll scope;
      for (int i = 0; i < 3; ++i) {
        scope.Fork([&, permits = i + 1]() -> Task<void> {
          for (int n = 0; n < kRounds; ++n) {
            const Permit permit = co_await wanted.Acquire(permits);
            EXPECT_LE(held += permits, 3);
            co_await Yield();
            held -= permits;
          }
        });
      }
      (co_await scope.Join()).IgnoreFailures();
    }(semaphore, inside));
    for (std::thread& thread : outside) thread.join();
    EXPECT_EQ(semaphore.available(), 3);
  });
}

TEST(SemaphoreThreadsTest, AnOsThreadThatWaitsIsServedInItsTurn) {
  Semaphore semaphore(2);
  std::optional<Permit> held = semaphore.TryAcquire(2);
  std::atomic<bool> got{false};
  std::thread waiter([&] {
    const Permit permit = semaphore.AcquireBlocking(2);
    got = true;
  });
  while (semaphore.QueueLength() == 0) std::this_thread::yield();
  EXPECT_FALSE(got);
  EXPECT_FALSE(semaphore.TryAcquire(0).has_value()) << "nobody overtakes it";
  held.reset();
  waiter.join();
  EXPECT_EQ(semaphore.available(), 2);
}

TEST(SemaphoreDeathTest, MisuseIsACheckThatSaysWhatIsWrong) {
  EXPECT_DEATH(testing::Simulation().Run([]() -> Task<void> {
    Semaphore semaphore(1);
    const Permit permit = semaphore.AcquireBlocking();
    co_return;
  }()),
               "Semaphore::AcquireBlocking\\(\\) by .*VirtualThread\\[#1\\].*, which would hold its carrier");
  EXPECT_DEATH(testing::Simulation().Run([]() -> Task<void> {
    Semaphore semaphore(1);
    const Permit permit = co_await semaphore.Acquire(-2);
  }()),
               "Semaphore::Acquire\\(-2\\); it needs 0 or more");
  EXPECT_DEATH(testing::Simulation().Run([]() -> Task<void> {
    Semaphore semaphore(1);
    co_await Select(semaphore.Acquire(-1), Sleep(absl::InfiniteDuration()));
  }()),
               "Semaphore::Acquire\\(-1\\); it needs 0 or more");
  Semaphore semaphore(1);
  EXPECT_DEATH(static_cast<void>(semaphore.TryAcquire(-2)), "Semaphore::TryAcquire\\(-2\\); it needs 0 or more");
  EXPECT_DEATH(static_cast<void>(semaphore.AcquireBlocking(-2)), "AcquireBlocking\\(-2\\); it needs 0 or more");
  EXPECT_DEATH(static_cast<void>(semaphore.AcquireBlocking(2)),
               "Semaphore::AcquireBlocking\\(2\\) of a Semaphore of 1 permits: it would wait for ever");
}

}  // namespace
}  // namespace weft

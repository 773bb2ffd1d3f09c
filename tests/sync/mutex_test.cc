// Mutex and RecursiveMutex: timed, for OS threads, locked again. Goal: one thread at a time, in turn, and the end of
// the last guard unlocks. Method: the same bodies in simulations and on carriers; OS threads of their own. (More of
// Mutex is in sync_test.cc.)
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "lib/runtime/runtime_core.h"
#include "tests/support/on_both.h"
#include "weft/cancellation.h"
#include "weft/runtime.h"
#include "weft/scope.h"
#include "weft/sync/condition_variable.h"
#include "weft/sync/event.h"
#include "weft/sync/mutex.h"
#include "weft/sync/recursive_mutex.h"
#include "weft/sync/shared_mutex.h"
#include "weft/task.h"
#include "weft/testing/simulation.h"
#include "weft/time.h"

namespace weft {
namespace {

using testing::Introduction;

class MutexTest : public testing::OnBoth {};
WEFT_ON_BOTH(MutexTest);

// ---- What both do.

template <class M>
Task<void> TimedLocks() {
  M mutex;
  AwaitAll scope;
  Introduction holding;
  Event release;
  scope.Fork([&]() -> Task<void> {
    auto guard = co_await mutex.Lock();
    holding.Make();
    co_await release.Wait();
  });
  co_await holding.AwaitParked();
  EXPECT_FALSE((co_await mutex.LockFor(absl::Milliseconds(1))).has_value());
  EXPECT_EQ(mutex.QueueLength(), 0) << "who was late waits no more";
  release.Set();
  EXPECT_TRUE((co_await mutex.LockFor(absl::Hours(1))).has_value());
  EXPECT_TRUE(mutex.TryLock().has_value());
  (co_await scope.Join()).IgnoreFailures();
}

TEST_P(MutexTest, ATimedLockThatIsLateHoldsNothing) {
  Everywhere(&TimedLocks<Mutex>);
  Everywhere(&TimedLocks<RecursiveMutex>);
}

template <class M>
void WithOsThreads(Runtime& runtime) {
  M mutex;
  int plain = 0;
  constexpr int kRounds = 200;
  std::vector<std::thread> outside;
  for (int i = 0; i < 2; ++i) {
    outside.emplace_back([&] {
      for (int n = 0; n < kRounds; ++n) {
        const auto guard = mutex.LockBlocking();
        ++plain;
      }
    });
  }
  runtime.Run([](M& wanted, int& counted) -> Task<void> {
    AwaitAll scope;
    for (int i = 0; i < 3; ++i) {
      scope.Fork([&]() -> Task<void> {
        for (int n = 0; n < kRounds; ++n) {
          const auto guard = co_await wanted.Lock();
          const int before = counted;
          co_await Yield();
          counted = before + 1;
        }
      });
    }
    (co_await scope.Join()).IgnoreFailures();
  }(mutex, plain));
  for (std::thread& thread : outside) thread.join();
  EXPECT_EQ(plain, 5 * kRounds);
  EXPECT_TRUE(mutex.TryLock().has_value());
}

TEST_P(MutexTest, OsThreadsStandInTheSameQueue) {
  OnEveryRuntime([](Runtime& runtime) {
    if (simulated()) return;  // which has one OS thread
    WithOsThreads<Mutex>(runtime);
    WithOsThreads<RecursiveMutex>(runtime);
  });
}

TEST(MutexThreadsTest, AnOsThreadThatWaitsIsServedInItsTurn) {
  Mutex mutex;
  std::optional<MutexGuard> held = mutex.TryLock();
  std::thread waiter([&] { const MutexGuard guard = mutex.LockBlocking(); });
  while (mutex.QueueLength() == 0) std::this_thread::yield();
  held.reset();
  waiter.join();
  EXPECT_TRUE(mutex.TryLock().has_value());
}

// ---- RecursiveMutex.

Task<int> Depth(RecursiveMutex& mutex, int levels) {
  const RecursiveMutexGuard guard = co_await mutex.Lock();
  EXPECT_GE(mutex.HoldCount(), 1);
  if (levels == 0) co_return static_cast<int>(mutex.HoldCount());
  co_await Yield();
  co_return co_await Depth(mutex, levels - 1);
}

TEST_P(MutexTest, TheHolderLocksAgainAndUnlocksWithItsLastGuard) {
  Everywhere([]() -> Task<void> {
    RecursiveMutex mutex;
    EXPECT_EQ(mutex.HoldCount(), 0);
    EXPECT_EQ(co_await Depth(mutex, 4), 5);
    EXPECT_EQ(mutex.HoldCount(), 0);
    RecursiveMutexGuard first = co_await mutex.Lock();
    std::optional<RecursiveMutexGuard> second = mutex.TryLock();
    EXPECT_EQ(mutex.HoldCount(), 2);
    first.Unlock();
    first.Unlock();
    EXPECT_EQ(mutex.HoldCount(), 1);
    AwaitAll scope;
    Introduction waiting;
    auto other = scope.Fork([&]() -> Task<bool> {
      EXPECT_EQ(mutex.HoldCount(), 0) << "another thread has it";
      EXPECT_FALSE(mutex.TryLock().has_value());
      waiting.Make();
      const RecursiveMutexGuard guard = co_await mutex.Lock();
      co_return mutex.HoldCount() == 1;
    });
    co_await waiting.AwaitParked();
    EXPECT_EQ(mutex.QueueLength(), 1);
    {
      const RecursiveMutexGuard third = co_await mutex.Lock();  // overtakes, because it does not wait
      EXPECT_EQ(mutex.HoldCount(), 2);
    }
    second.reset();
    (co_await scope.Join()).IgnoreFailures();
    EXPECT_TRUE(*other);
  });
}

TEST_P(MutexTest, AThreadThatIsUnwoundUnlocksAsOftenAsItHasLocked) {
  Everywhere([]() -> Task<void> {
    RecursiveMutex mutex;
    AwaitAll scope;
    Introduction holding;
    scope.Fork([&]() -> Task<void> {
      const RecursiveMutexGuard outer = co_await mutex.Lock();
      const RecursiveMutexGuard inner = co_await mutex.Lock();
      co_await testing::Forever(holding);
    });
    co_await holding.AwaitParked();
    EXPECT_FALSE(mutex.TryLock().has_value());
    scope.Shutdown();
    const RecursiveMutexGuard mine = co_await mutex.Lock();
    EXPECT_EQ(mutex.HoldCount(), 1);
    (co_await scope.Join()).IgnoreFailures();
  });
}

TEST_P(MutexTest, ACancelledLockAddsNoHold) {
  Everywhere([]() -> Task<void> {
    RecursiveMutex mutex;
    const RecursiveMutexGuard guard = co_await mutex.Lock();
    // Late at its first checkpoint, also for the holder, which would not have had to wait.
    EXPECT_FALSE((co_await mutex.LockFor(absl::ZeroDuration())).has_value());
    EXPECT_EQ(mutex.HoldCount(), 1);
  });
}

// The next one probably has the same stack, and the same thread-local variables.
TEST(MutexThreadsTest, AnOsThreadIsNotTheOneThatHasEnded) {
  RecursiveMutex mutex;
  std::optional<RecursiveMutexGuard> guard;
  std::thread([&] { guard = mutex.LockBlocking(); }).join();
  for (int i = 0; i < 10; ++i) {
    std::thread([&mutex] {
      EXPECT_FALSE(mutex.TryLock().has_value());
      EXPECT_EQ(mutex.HoldCount(), 0);
    }).join();
  }
}

TEST(MutexThreadsTest, AnOsThreadLocksARecursiveMutexAgain) {
  RecursiveMutex mutex;
  RecursiveMutexGuard first = mutex.LockBlocking();
  RecursiveMutexGuard second = mutex.LockBlocking();
  EXPECT_EQ(mutex.HoldCount(), 2);
  std::thread other([&mutex] {
    EXPECT_EQ(mutex.HoldCount(), 0);
    EXPECT_FALSE(mutex.TryLock().has_value());
    const RecursiveMutexGuard guard = mutex.LockBlocking();
    EXPECT_EQ(mutex.HoldCount(), 1);
  });
  while (mutex.QueueLength() == 0) std::this_thread::yield();
  first.Unlock();
  EXPECT_EQ(mutex.HoldCount(), 1);
  second.Unlock();
  other.join();
  EXPECT_EQ(mutex.HoldCount(), 0);
}

// ---- Misuse.

TEST(MutexDeathTest, ABlockingLockOnACarrier) {
  EXPECT_DEATH(testing::Simulation().Run([]() -> Task<void> {
    Mutex mutex;
    const MutexGuard guard = mutex.LockBlocking();
    co_return;
  }()),
               "Mutex::LockBlocking\\(\\) by VirtualThread\\[#1\\]/runnable@carrier-0, which would hold its carrier");
  EXPECT_DEATH(testing::Simulation().Run([]() -> Task<void> {
    RecursiveMutex mutex;
    const RecursiveMutexGuard guard = mutex.LockBlocking();
    co_return;
  }()),
               "RecursiveMutex::LockBlocking\\(\\) by .*which would hold its carrier");
}

TEST(MutexDeathTest, ARecursiveMutexIsDestroyedWhileItIsLocked) {
  EXPECT_DEATH(testing::Simulation().Run([]() -> Task<void> {
    auto mutex = std::make_unique<RecursiveMutex>();
    const RecursiveMutexGuard guard = co_await mutex->Lock();
    mutex.reset();
  }()),
               "a RecursiveMutex is destroyed by VirtualThread\\[#1\\]/runnable@carrier-0 while it is locked by "
               "VirtualThread\\[#1\\]");
}

// ---- A thread that waits for itself, in a debug build.

#ifndef NDEBUG
Task<void> LockTwice(Mutex& mutex) {
  const MutexGuard first = co_await mutex.Lock();
  const MutexGuard second = co_await mutex.Lock();
}

TEST(MutexDeathTest, AThreadThatWaitsForItselfNamesBothPlaces) {
  EXPECT_DEATH(testing::Simulation().Run([]() -> Task<void> {
    Mutex mutex;
    co_await LockTwice(mutex);
  }()),
               "Mutex::Lock\\(\\) at .*mutex_test.cc:[0-9]+ by VirtualThread\\[#1\\].*, which has locked the same "
               "Mutex at .*mutex_test.cc:[0-9]+ and holds it still: it would wait for itself");
}

TEST(MutexDeathTest, AThreadThatWaitsForItselfAfterAWaitThatWasLateNamesBothPlaces) {
  EXPECT_DEATH(testing::Simulation().Run([]() -> Task<void> {
    Mutex mutex;
    ConditionVariable never;
    MutexGuard first = co_await mutex.Lock();
    EXPECT_FALSE(co_await never.WaitFor(first, absl::Milliseconds(1)));
    const MutexGuard second = co_await mutex.Lock();
  }()),
               "and holds it still: it would wait for itself");
}

TEST(MutexDeathTest, AnOsThreadThatWaitsForItselfNamesBothPlaces) {
  Mutex mutex;
  const MutexGuard first = mutex.LockBlocking();
  EXPECT_DEATH(static_cast<void>(mutex.LockBlocking()),
               "Mutex::LockBlocking\\(\\) at .*mutex_test.cc:[0-9]+ by .*, which has locked the same Mutex at "
               ".*mutex_test.cc:[0-9]+ and holds it still: it would wait for itself");
  SharedMutex shared;
  const WriterGuard writer = shared.LockBlocking();
  EXPECT_DEATH(static_cast<void>(shared.LockSharedBlocking()), "it would wait for itself");
}
#endif

TEST_P(MutexTest, AGuardThatWasMovedBeforeAWaitForAConditionMayBeUnlockedByAnotherThread) {
  Everywhere([]() -> Task<void> {
    Mutex mutex;
    ConditionVariable condition;
    std::optional<MutexGuard> kept;
    AwaitAll scope;
    kept.emplace(co_await mutex.Lock());
    scope.Fork([&]() -> Task<void> {
      {
        const MutexGuard guard = co_await mutex.Lock();
        condition.NotifyOne();
      }
      while (mutex.QueueLength() == 0) co_await Yield();
      kept.reset();
    });
    co_await condition.Wait(*kept);
    const MutexGuard again = co_await mutex.Lock();
    (co_await scope.Join()).IgnoreFailures();
  });
}

TEST_P(MutexTest, WhoMovesItsGuardElsewhereMayLockAgain) {
  Everywhere([]() -> Task<void> {
    Mutex mutex;
    AwaitAll scope;
    MutexGuard guard = co_await mutex.Lock();
    scope.Fork([given = std::move(guard)]() mutable -> Task<void> {
      co_await Yield();
      given.Unlock();
    });
    const MutexGuard again = co_await mutex.Lock();
    (co_await scope.Join()).IgnoreFailures();
  });
}

}  // namespace
}  // namespace weft

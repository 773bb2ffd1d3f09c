// ConditionVariable. Goal: no signal is lost, and the lock is held again whenever a wait has ended, however it ended.
// Method: the same bodies in simulations and on carriers, with the guards of all locks; OS threads of their own.
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <optional>
#include <string>
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

class ConditionVariableTest : public testing::OnBoth {
 protected:
  // body(Mutex) for every lock that a condition goes with.
  template <class Body>
  static void WithEveryLock(Body body) {
    Everywhere([body] { return body.template operator()<Mutex>(); });
    Everywhere([body] { return body.template operator()<RecursiveMutex>(); });
    Everywhere([body] { return body.template operator()<SharedMutex>(); });
  }
};
WEFT_ON_BOTH(ConditionVariableTest);

// What the threads share; `plain` is guarded by the mutex, which TSan checks.
template <class M>
struct Shared {
  M mutex;
  ConditionVariable changed;
  int plain = 0;
};

TEST_P(ConditionVariableTest, AWaitEndsWithTheLockWhenItIsNotified) {
  WithEveryLock([]<class M>() -> Task<void> {
    Shared<M> shared;
    AwaitAll scope;
    Introduction waiting;
    auto waiter = scope.Fork([&]() -> Task<int> {
      auto guard = co_await shared.mutex.Lock();
      waiting.Make();
      co_await shared.changed.Wait(guard);
      co_return shared.plain;
    });
    co_await waiting.AwaitParked();
    {
      auto guard = co_await shared.mutex.Lock();  // it was given back
      EXPECT_EQ(shared.changed.QueueLength(), 1);
      shared.changed.NotifyOne();
      EXPECT_EQ(shared.changed.QueueLength(), 0);
      EXPECT_EQ(shared.mutex.QueueLength(), 1) << "it is moved, and not woken, while the lock is held";
      co_await Yield();
      shared.plain = 7;
    }
    (co_await scope.Join()).IgnoreFailures();
    EXPECT_EQ(*waiter, 7);
    EXPECT_TRUE(shared.mutex.TryLock().has_value());
  });
}

TEST_P(ConditionVariableTest, ThoseWhoWaitAreNotifiedInTheirOrder) {
  WithEveryLock([]<class M>() -> Task<void> {
    Shared<M> shared;
    std::vector<int> order;
    AwaitAll scope;
    for (int i = 0; i < 5; ++i) {
      Introduction waiting;
      scope.Fork([&, i]() -> Task<void> {
        auto guard = co_await shared.mutex.Lock();
        waiting.Make();
        co_await shared.changed.Wait(guard);
        order.push_back(i);
      });
      co_await waiting.AwaitParked();
    }
    shared.changed.NotifyOne();  // without the lock
    shared.changed.NotifyOne();
    while (true) {
      auto guard = co_await shared.mutex.Lock();
      if (order.size() == 2) break;
    }
    EXPECT_EQ(shared.changed.QueueLength(), 3);
    shared.changed.NotifyAll();
    (co_await scope.Join()).IgnoreFailures();
    EXPECT_EQ(order, (std::vector<int>{0, 1, 2, 3, 4}));
    shared.changed.NotifyOne();  // nobody
    shared.changed.NotifyAll();
  });
}

TEST_P(ConditionVariableTest, APredicateIsAskedWithTheLock) {
  WithEveryLock([]<class M>() -> Task<void> {
    Shared<M> shared;
    AwaitAll scope;
    for (int i = 1; i <= 3; ++i) {
      scope.Fork([&, i]() -> Task<void> {
        auto guard = co_await shared.mutex.Lock();
        co_await shared.changed.Wait(guard, [&] { return shared.plain >= i; });
        EXPECT_GE(shared.plain, i);
      });
    }
    for (int i = 0; i < 3; ++i) {
      auto guard = co_await shared.mutex.Lock();
      ++shared.plain;
      shared.changed.NotifyAll();
    }
    (co_await scope.Join()).IgnoreFailures();
  });
}

// A bounded buffer: two conditions of one lock.
TEST_P(ConditionVariableTest, ABufferWithTwoConditionsLosesNothing) {
  Everywhere([]() -> Task<void> {
    Mutex mutex;
    ConditionVariable not_full, not_empty;
    std::vector<int> buffer;
    int received = 0;
    constexpr int kEach = 20;
    AwaitAll scope;
    for (int i = 0; i < 3; ++i) {
      scope.Fork([&]() -> Task<void> {
        for (int n = 0; n < kEach; ++n) {
          MutexGuard guard = co_await mutex.Lock();
          co_await not_full.Wait(guard, [&] { return buffer.size() < 2; });
          buffer.push_back(n);
          not_empty.NotifyOne();
        }
      });
      scope.Fork([&]() -> Task<void> {
        for (int n = 0; n < kEach; ++n) {
          MutexGuard guard = co_await mutex.Lock();
          co_await not_empty.Wait(guard, [&] { return !buffer.empty(); });
          buffer.pop_back();
          ++received;
          not_full.NotifyOne();
        }
      });
    }
    (co_await scope.Join()).IgnoreFailures();
    EXPECT_EQ(received, 3 * kEach);
  });
}

TEST_P(ConditionVariableTest, AWaitThatIsLateEndsWithTheLock) {
  WithEveryLock([]<class M>() -> Task<void> {
    Shared<M> shared;
    auto guard = co_await shared.mutex.Lock();
    EXPECT_FALSE(co_await shared.changed.WaitFor(guard, absl::Milliseconds(1)));
    EXPECT_EQ(shared.changed.QueueLength(), 0);
    EXPECT_FALSE(co_await shared.changed.WaitFor(guard, absl::Milliseconds(1), [] { return false; }));
    EXPECT_TRUE(co_await shared.changed.WaitFor(guard, absl::ZeroDuration(), [] { return true; }));
    AwaitAll scope;
    auto other = scope.Fork([&]() -> Task<bool> { co_return shared.mutex.TryLock().has_value(); });
    (co_await scope.Join()).IgnoreFailures();
    EXPECT_FALSE(*other) << "the guard holds it";
    guard.Unlock();
    EXPECT_TRUE(shared.mutex.TryLock().has_value());
  });
}

TEST_P(ConditionVariableTest, ATimedWaitThatIsNotifiedInTimeSaysSo) {
  WithEveryLock([]<class M>() -> Task<void> {
    Shared<M> shared;
    AwaitAll scope;
    Introduction waiting;
    auto waiter = scope.Fork([&]() -> Task<bool> {
      auto guard = co_await shared.mutex.Lock();
      waiting.Make();
      co_return co_await shared.changed.WaitFor(guard, absl::Hours(1));
    });
    co_await waiting.AwaitParked();
    shared.changed.NotifyOne();
    (co_await scope.Join()).IgnoreFailures();
    EXPECT_TRUE(*waiter);
  });
}

// Its first wait was notified, which ends a wait for good: a request must still end the second one.
TEST_P(ConditionVariableTest, AWaitThatIsAwaitedAgainCanBeCancelled) {
  WithEveryLock([]<class M>() -> Task<void> {
    Shared<M> shared;
    std::atomic<bool> went_on = false;
    AwaitAll scope;
    Introduction waiting;
    scope.Fork([&]() -> Task<void> {
      auto guard = co_await shared.mutex.Lock();
      auto wait = shared.changed.Wait(guard);
      waiting.Make();
      co_await std::move(wait);
      co_await std::move(wait);
      went_on = true;
    });
    co_await waiting.AwaitParked();
    shared.changed.NotifyOne();
    while (shared.changed.QueueLength() == 0) co_await Yield();  // until it waits again
    scope.Shutdown();
    (co_await scope.Join()).IgnoreFailures();
    EXPECT_FALSE(went_on);
    EXPECT_TRUE(shared.mutex.TryLock().has_value());
  });
}

TEST_P(ConditionVariableTest, NotifyAllEndsAllWaitsWhateverTheirForm) {
  WithEveryLock([]<class M>() -> Task<void> {
    Shared<M> shared;
    AwaitAll scope;
    for (int form = 0; form < 3; ++form) {
      Introduction waiting;
      scope.Fork([&, form]() -> Task<void> {
        auto guard = co_await shared.mutex.Lock();
        waiting.Make();
        if (form == 0) co_await shared.changed.Wait(guard);
        if (form == 1) EXPECT_TRUE(co_await shared.changed.WaitFor(guard, absl::Hours(1)));
        if (form == 2) co_await shared.changed.Wait(guard, [&] { return shared.plain == 1; });
        EXPECT_EQ(shared.plain, 1);
      });
      co_await waiting.AwaitParked();
    }
    auto guard = co_await shared.mutex.Lock();
    EXPECT_EQ(shared.changed.QueueLength(), 3);
    shared.plain = 1;
    shared.changed.NotifyAll();
    EXPECT_EQ(shared.changed.QueueLength(), 0);
    guard.Unlock();
    (co_await scope.Join()).IgnoreFailures();
  });
}

// Time is up, or the thread is cancelled, while another one holds the lock.
TEST_P(ConditionVariableTest, ACancelledWaitHasTheLockWhenItIsUnwound) {
  WithEveryLock([]<class M>() -> Task<void> {
    Shared<M> shared;
    std::atomic<bool> unwound = false;
    AwaitAll scope;
    Introduction waiting;
    scope.Fork([&]() -> Task<void> {
      auto guard = co_await shared.mutex.Lock();
      struct Unwound {
        ~Unwound() {
          ++shared.plain;  // with the lock
          done = true;
        }
        Shared<M>& shared;
        std::atomic<bool>& done;
      } const at_end{shared, unwound};
      waiting.Make();
      co_await shared.changed.Wait(guard);
    });
    co_await waiting.AwaitParked();
    {
      auto guard = co_await shared.mutex.Lock();
      scope.Shutdown();
      while (shared.changed.QueueLength() > 0) co_await Yield();  // a request takes its time down the tree
      for (int i = 0; i < 10; ++i) co_await Yield();
      EXPECT_FALSE(unwound) << "the lock is held";
      EXPECT_EQ(shared.mutex.QueueLength(), 1);
      shared.changed.NotifyOne();  // nobody: it was cancelled before
      ++shared.plain;
    }
    (co_await scope.Join()).IgnoreFailures();
    EXPECT_TRUE(unwound);
    EXPECT_EQ(shared.plain, 2);
    EXPECT_TRUE(shared.mutex.TryLock().has_value());
  });
}

TEST_P(ConditionVariableTest, ANotifiedWaitIsNotCancelled) {
  WithEveryLock([]<class M>() -> Task<void> {
    Shared<M> shared;
    std::atomic<bool> went_on = false;
    AwaitAll scope;
    Introduction waiting;
    scope.Fork([&]() -> Task<void> {
      auto guard = co_await shared.mutex.Lock();
      waiting.Make();
      co_await shared.changed.Wait(guard);
      went_on = true;
      co_await testing::Forever();  // cancelled
    });
    co_await waiting.AwaitParked();
    {
      auto guard = co_await shared.mutex.Lock();
      shared.changed.NotifyOne();
      scope.Shutdown();
      for (int i = 0; i < 10; ++i) co_await Yield();
      EXPECT_FALSE(went_on);
    }
    (co_await scope.Join()).IgnoreFailures();
    EXPECT_TRUE(went_on);
  });
}

// A child that waits for a condition, cancelled with its owner, which has the lock, and gives it back first.
TEST_P(ConditionVariableTest, ACancelledOwnerGivesItsLockToAChildWhoseWaitIsCancelled) {
  WithEveryLock([]<class M>() -> Task<void> {
    Shared<M> shared;
    AwaitAll scope;
    Introduction holding;
    scope.Fork([&]() -> Task<void> {
      AwaitAll inner;
      Introduction waiting;
      inner.Fork([&]() -> Task<void> {
        auto guard = co_await shared.mutex.Lock();
        waiting.Make();
        co_await shared.changed.Wait(guard);
      });
      co_await waiting.AwaitParked();
      auto guard = co_await shared.mutex.Lock();
      co_await testing::Forever(holding);
    });
    co_await holding.AwaitParked();
    scope.Shutdown();
    (co_await scope.Join()).IgnoreFailures();
    EXPECT_TRUE(shared.mutex.TryLock().has_value());
  });
}

// As many are notified as there are things to take, while others are cancelled: each thing is taken.
TEST_P(ConditionVariableTest, NoSignalIsLostToAWaitThatIsCancelled) {
  WithEveryLock([]<class M>() -> Task<void> {
    Shared<M> shared;
    AwaitAll kept;
    AwaitAll cancelled;
    auto take = [&]() -> Task<void> {
      auto guard = co_await shared.mutex.Lock();
      while (shared.plain == 0) co_await shared.changed.Wait(guard);
      --shared.plain;
    };
    for (int i = 0; i < 12; ++i) {
      if (i % 3 == 0) {
        kept.Fork(take);
      } else {
        cancelled.Fork(take);
      }
    }
    for (int i = 0; i < 3; ++i) co_await Yield();
    for (int i = 0; i < 12; ++i) {
      {
        auto guard = co_await shared.mutex.Lock();
        ++shared.plain;
        shared.changed.NotifyOne();
      }
      if (i == 4) cancelled.Shutdown();
    }
    (co_await kept.Join()).IgnoreFailures();
    (co_await cancelled.Join()).IgnoreFailures();
  });
}

TEST_P(ConditionVariableTest, AllHoldsAreGivenBackAndRestored) {
  Everywhere([]() -> Task<void> {
    RecursiveMutex mutex;
    ConditionVariable changed;
    AwaitAll scope;
    Introduction waiting;
    scope.Fork([&]() -> Task<void> {
      const RecursiveMutexGuard outer = co_await mutex.Lock();
      RecursiveMutexGuard inner = co_await mutex.Lock();
      EXPECT_EQ(mutex.HoldCount(), 2);
      waiting.Make();
      co_await changed.Wait(inner);
      EXPECT_EQ(mutex.HoldCount(), 2);
      EXPECT_FALSE(co_await changed.WaitFor(inner, absl::Milliseconds(1)));
      EXPECT_EQ(mutex.HoldCount(), 2);
      inner.Unlock();
      EXPECT_EQ(mutex.HoldCount(), 1);
    });
    co_await waiting.AwaitParked();
    {
      const RecursiveMutexGuard guard = co_await mutex.Lock();
      EXPECT_EQ(mutex.HoldCount(), 1);
      changed.NotifyAll();
    }
    (co_await scope.Join()).IgnoreFailures();
    EXPECT_TRUE(mutex.TryLock().has_value());
  });
}

TEST_P(ConditionVariableTest, ReadersGoOnWhileAWriterWaits) {
  Everywhere([]() -> Task<void> {
    SharedMutex mutex;
    ConditionVariable changed;
    AwaitAll scope;
    Introduction waiting;
    scope.Fork([&]() -> Task<void> {
      WriterGuard guard = co_await mutex.Lock();
      waiting.Make();
      co_await changed.Wait(guard);
      EXPECT_EQ(mutex.ReaderCount(), 0);
    });
    co_await waiting.AwaitParked();
    {
      const ReaderGuard one = co_await mutex.LockShared();
      const ReaderGuard two = co_await mutex.LockShared();
      changed.NotifyOne();
      EXPECT_EQ(mutex.QueueLength(), 1);
    }
    (co_await scope.Join()).IgnoreFailures();
  });
}

TEST_P(ConditionVariableTest, OsThreadsWaitToo) {
  OnEveryRuntime([](Runtime& runtime) {
    if (simulated()) return;  // which has one OS thread
    constexpr int kRounds = 100;
    Shared<Mutex> shared;
    // They take turns: even numbers are the OS thread's.
    std::thread outside([&] {
      for (int n = 0; n < kRounds; ++n) {
        MutexGuard guard = shared.mutex.LockBlocking();
        while (shared.plain % 2 != 0) shared.changed.WaitBlocking(guard);
        ++shared.plain;
        shared.changed.NotifyAll();
      }
    });
    runtime.Run([](Shared<Mutex>& with) -> Task<void> {
      for (int n = 0; n < kRounds; ++n) {
        MutexGuard guard = co_await with.mutex.Lock();
        co_await with.changed.Wait(guard, [&] { return with.plain % 2 == 1; });
        ++with.plain;
        with.changed.NotifyAll();
      }
    }(shared));
    outside.join();
    EXPECT_EQ(shared.plain, 2 * kRounds);
  });
}

TEST(ConditionVariableSimulationTest, TheReportTellsWhoHoldsTheLockOfOneThatWasNotified) {
  std::string report;
  testing::Simulation simulation({.on_deadlock = [&report](const std::string& text) {
    if (report.empty()) report = text;
  }});
  EXPECT_FALSE(simulation
                   .TryRun([]() -> Task<void> {
                     Mutex mutex;
                     ConditionVariable changed, never;
                     AwaitAll scope;
                     Introduction one, two;
                     scope.Fork([&]() -> Task<void> {
                       MutexGuard guard = co_await mutex.Lock();
                       one.Make();
                       co_await changed.Wait(guard);
                     });
                     co_await one.AwaitParked();
                     scope.Fork([&]() -> Task<void> {
                       MutexGuard guard = co_await mutex.Lock();
                       two.Make();
                       co_await never.Wait(guard);
                     });
                     co_await two.AwaitParked();
                     const std::optional<MutexGuard> held = mutex.TryLock();
                     changed.NotifyOne();
                     (co_await scope.Join()).IgnoreFailures();
                   }())
                   .ok());
  EXPECT_NE(report.find("waiting in ConditionVariable::Wait"), std::string::npos) << report;
  EXPECT_NE(report.find(", notified, for its lock, held by VirtualThread[#1]"), std::string::npos) << report;
}

// ---- Misuse.

// Whatever the form of the wait, and whether the guard gave its lock away before the call, or after it.
TEST(ConditionVariableDeathTest, AWaitThatBeginsWithAGuardThatHoldsNothingIsACheck) {
  using Wait = Task<void> (*)(ConditionVariable& changed, MutexGuard& guard);
  static constexpr Wait kWaits[] = {
      [](ConditionVariable& changed, MutexGuard& guard) -> Task<void> {
        guard.Unlock();
        co_await changed.Wait(guard);
      },
      [](ConditionVariable& changed, MutexGuard& guard) -> Task<void> {
        guard.Unlock();
        co_await changed.WaitFor(guard, absl::Hours(1));
      },
      [](ConditionVariable& changed, MutexGuard& guard) -> Task<void> {
        guard.Unlock();
        co_await changed.Wait(guard, [] { return true; });
      },
      [](ConditionVariable& changed, MutexGuard& guard) -> Task<void> {
        guard.Unlock();
        co_await changed.WaitFor(guard, absl::Hours(1), [] { return true; });
      },
      [](ConditionVariable& changed, MutexGuard& guard) -> Task<void> {
        auto wait = changed.Wait(guard);
        guard.Unlock();
        co_await std::move(wait);
      },
      [](ConditionVariable& changed, MutexGuard& guard) -> Task<void> {
        auto wait = changed.WaitFor(guard, absl::Hours(1));
        guard.Unlock();
        co_await std::move(wait);
      },
      [](ConditionVariable& changed, MutexGuard& guard) -> Task<void> {
        auto wait = changed.Wait(guard);
        const MutexGuard taken = std::move(guard);
        co_await std::move(wait);
      },
  };
  for (const Wait wait : kWaits) {
    EXPECT_DEATH(testing::Simulation().Run([](Wait of) -> Task<void> {
      Mutex mutex;
      ConditionVariable changed;
      MutexGuard guard = co_await mutex.Lock();
      co_await of(changed, guard);
    }(wait)),
                 "ConditionVariable::Wait\\(\\) by VirtualThread\\[#1\\].* with a guard that holds nothing")
        << "wait " << &wait - kWaits;
  }
  Mutex mutex;
  ConditionVariable changed;
  MutexGuard guard = mutex.LockBlocking();
  guard.Unlock();
  EXPECT_DEATH(changed.WaitBlocking(guard),
               "ConditionVariable::WaitBlocking\\(\\) by .* with a guard that holds nothing");
}

TEST(ConditionVariableDeathTest, MisuseIsACheckThatSaysWhatIsWrong) {
  EXPECT_DEATH(testing::Simulation().Run([]() -> Task<void> {
    Mutex mutex;
    ConditionVariable changed;
    MutexGuard guard = co_await mutex.Lock();
    changed.WaitBlocking(guard);
  }()),
               "ConditionVariable::WaitBlocking\\(\\) by .*which would hold its carrier");
  EXPECT_DEATH(testing::Simulation().Run([]() -> Task<void> {
    Mutex mutex, other;
    ConditionVariable changed;
    AwaitAll scope;
    Introduction waiting;
    scope.Fork([&]() -> Task<void> {
      MutexGuard guard = co_await mutex.Lock();
      waiting.Make();
      co_await changed.Wait(guard);
    });
    co_await waiting.AwaitParked();
    MutexGuard guard = co_await other.Lock();
    co_await changed.Wait(guard);
  }()),
               "ConditionVariable::Wait\\(\\) by VirtualThread\\[#1\\].*, while others wait with another lock");
  EXPECT_DEATH(testing::Simulation().Run([]() -> Task<void> {
    Mutex mutex;
    auto changed = std::make_unique<ConditionVariable>();
    AwaitAll scope;
    Introduction waiting;
    scope.Fork([&]() -> Task<void> {
      MutexGuard guard = co_await mutex.Lock();
      waiting.Make();
      co_await changed->Wait(guard);
    });
    co_await waiting.AwaitParked();
    changed.reset();
  }()),
               "a ConditionVariable is destroyed by VirtualThread\\[#1\\].* while VirtualThread\\[#2\\].* waits for "
               "it");
}

}  // namespace
}  // namespace weft

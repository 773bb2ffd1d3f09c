// Event, Semaphore, Mutex. Goal: who waits is served in order, is woken once, and what was granted is never lost,
// whoever is cancelled meanwhile. Method: the same bodies in simulations and on carriers; OS threads of their own for
// wake-ups from outside.
#include <gtest/gtest.h>
#include <pthread.h>
#include <signal.h>

#include <array>
#include <atomic>
#include <memory>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "lib/runtime/runtime_core.h"
#include "tests/support/on_both.h"
#include "weft/cancellation.h"
#include "weft/runtime.h"
#include "weft/scope.h"
#include "weft/sync/event.h"
#include "weft/sync/mutex.h"
#include "weft/sync/semaphore.h"
#include "weft/task.h"
#include "weft/testing/simulation.h"
#include "weft/time.h"

namespace weft {
namespace {

using testing::Introduction;

class SyncTest : public testing::OnBoth {};
WEFT_ON_BOTH(SyncTest);

// ---- Event.

TEST_P(SyncTest, SetWakesAllAndLaterWaitsDoNotWait) {
  Everywhere([]() -> Task<void> {
    Event event;
    EXPECT_FALSE(event.IsSet());
    std::atomic<int> woken{0};
    AwaitAll scope;
    for (int i = 0; i < 5; ++i) {
      Introduction waiting;
      scope.Fork([&]() -> Task<void> {
        waiting.Make();
        co_await event.Wait();
        ++woken;
      });
      co_await waiting.AwaitParked();
    }
    EXPECT_EQ(woken, 0);
    event.Set();
    event.Set();
    EXPECT_TRUE(event.IsSet());
    (co_await scope.Join()).IgnoreFailures();
    EXPECT_EQ(woken, 5);
    co_await event.Wait();
  });
}

TEST_P(SyncTest, AResetEventIsWaitedForAgain) {
  Everywhere([]() -> Task<void> {
    Event event;
    event.Set();
    event.Reset();
    EXPECT_FALSE(event.IsSet());
    Introduction waiting;
    std::atomic<bool> woken{false};
    AwaitAll scope;
    scope.Fork([&]() -> Task<void> {
      waiting.Make();
      co_await event.Wait();
      woken = true;
    });
    co_await waiting.AwaitParked();
    EXPECT_FALSE(woken);
    event.Set();
    event.Reset();  // does not concern whoever was woken
    (co_await scope.Join()).IgnoreFailures();
    EXPECT_TRUE(woken);
  });
}

TEST_P(SyncTest, ACancelledWaitLeavesTheEventToTheOthers) {
  Everywhere([]() -> Task<void> {
    Event event;
    AwaitAll cancelled;
    AwaitAll kept;
    Introduction first, second, third;
    kept.Fork([&]() -> Task<void> {
      first.Make();
      co_await event.Wait();
    });
    co_await first.AwaitParked();
    auto lost = cancelled.Fork([&]() -> Task<int> {
      second.Make();
      co_await event.Wait();
      co_return 1;
    });
    co_await second.AwaitParked();
    auto last = kept.Fork([&]() -> Task<int> {
      third.Make();
      co_await event.Wait();
      co_return 1;
    });
    co_await third.AwaitParked();
    cancelled.Shutdown();
    (co_await cancelled.Join()).IgnoreFailures();
    event.Set();
    EXPECT_EQ(lost.state(), Subtask<int>::State::kUnavailable);
    (co_await kept.Join()).IgnoreFailures();
    EXPECT_EQ(*last, 1);
  });
}

TEST_P(SyncTest, AnEventIsSetByAnOsThreadOfItsOwn) {
  OnEveryRuntime([](Runtime& runtime) {
    if (simulated()) return;  // which has one OS thread
    for (int i = 0; i < 20; ++i) {
      Event event;
      std::thread setter([&event] { event.Set(); });
      runtime.Run([](Event& waited) -> Task<void> { co_await waited.Wait(); }(event));
      setter.join();
    }
  });
}

// A regression: Set() went on to look for an idle carrier when the thread that it had woken had ended, and its runtime
// with it.
//   1. OS thread: Set() takes the waiter out, and puts it into the inject queue
//   2. carrier: runs it to its end; main: destroys the runtime
//   3. OS thread: looks whether a carrier is to be rung
TEST(SyncRaceTest, ARuntimeMayGoAsSoonAsTheThreadThatAnOsThreadWokeHasEnded) {
  for (int i = 0; i < 500; ++i) {
    Event event;
    std::unique_ptr<Runtime> runtime = *Runtime::Create({.parallelism = 1 + i % 2, .io = IoBackend::kEpoll});
    std::thread setter([&event, i, core = &runtime->core()] {
      while (core->Counts().waiters == 0) {
      }
      // Early, while the carrier still stands in the frame; late, when it is parked; and in between, while it searches
      // for work and nobody needs to ring it.
      for (int n = i % 50; n > 0; --n) (void)core->Counts();
      event.Set();
    });
    runtime->Run([](Event& waited) -> Task<void> { co_await waited.Wait(); }(event));
    runtime.reset();
    setter.join();
  }
}

TEST(SyncRaceTest, WakeUpsFromOsThreadsRaceWithParking) {
  for (const int parallelism : {1, 2}) {
    auto runtime = Runtime::Create({.parallelism = parallelism});
    constexpr int kRounds = 3000;
    std::vector<std::unique_ptr<Event>> ping, pong;
    for (int i = 0; i < kRounds; ++i) {
      ping.push_back(std::make_unique<Event>());
      pong.push_back(std::make_unique<Event>());
    }
    std::thread outside([&] {
      for (int i = 0; i < kRounds; ++i) {
        ping[i]->Set();
        if (i % 2 == 0) {
          while (!pong[i]->IsSet()) std::this_thread::yield();
        }
      }
    });
    (*runtime)->Run([](auto& in, auto& out) -> Task<void> {
      for (int i = 0; i < kRounds; ++i) {
        co_await in[i]->Wait();
        out[i]->Set();
      }
    }(ping, pong));
    outside.join();
  }
}

// ---- Shared by two runtimes.

// Runs each on a runtime of its own, at the same time.
void OnTwoRuntimes(IoBackend io, int parallelism, Task<void> one, Task<void> two) {
  const std::unique_ptr<Runtime> first = Runtime::Create({.parallelism = parallelism, .io = io}).value();
  const std::unique_ptr<Runtime> second = Runtime::Create({.parallelism = parallelism, .io = io}).value();
  std::thread other([&] { second->Run(std::move(two)); });
  first->Run(std::move(one));
  other.join();
}

template <class Work>
Task<void> Several(Work work) {
  AwaitAll scope;
  for (int i = 0; i < 4; ++i) scope.Fork(work);
  (co_await scope.Join()).IgnoreFailures();
}

// Each sets what the other waits for, and waits itself; before that it has waited in vain.
void AnEventForEachSide(IoBackend io, int parallelism) {
  constexpr int kRounds = 50;
  std::array<std::array<Event, kRounds>, 2> events;
  std::atomic<int> woken = 0;
  auto side = [&](size_t mine, size_t others) {
    return Several([&, mine, others]() -> Task<void> {
      for (int i = 0; i < kRounds; ++i) {
        co_await MoveOnAfter(absl::ZeroDuration(),
                             [](Event& event) -> Task<void> { co_await event.Wait(); }(events[mine][i]));
        events[others][i].Set();
        co_await events[mine][i].Wait();
        ++woken;
      }
    });
  };
  OnTwoRuntimes(io, parallelism, side(0, 1), side(1, 0));
  EXPECT_EQ(woken, 2 * 4 * kRounds);
}

// Both sides wait for one event, many times over.
void AnEventForBoth(IoBackend io, int parallelism) {
  for (int i = 0; i < 20; ++i) {
    Event event;
    std::atomic<int> begun = 0, woken = 0;
    auto wait = [&]() -> Task<void> {
      return Several([&]() -> Task<void> {
        if (++begun == 8) event.Set();
        co_await event.Wait();
        ++woken;
      });
    };
    OnTwoRuntimes(io, parallelism, wait(), wait());
    EXPECT_EQ(woken, 8);
  }
}

// As many inside as may be, whosever they are, whether those before were served or gave up.
template <class Get>
void SomethingThatIsHeld(IoBackend io, int parallelism, int limit, Get get) {
  constexpr int kRounds = 100;
  std::atomic<int> inside = 0, served = 0;
  auto side = [&] {
    return Several([&]() -> Task<void> {
      for (int i = 0; i < kRounds; ++i) {
        co_await MoveOnAfter(absl::ZeroDuration(),
                             [](Get wanted) -> Task<void> { const auto held = co_await wanted(); }(get));
        const auto held = co_await get();
        EXPECT_LE(++inside, limit);
        co_await Yield();
        --inside;
        ++served;
      }
    });
  };
  OnTwoRuntimes(io, parallelism, side(), side());
  EXPECT_EQ(served, 2 * 4 * kRounds);
}

TEST(TwoRuntimesTest, WhatTheyShareServesBoth) {
  for (const IoBackend io : {IoBackend::kEpoll, IoBackend::kUring}) {
    for (const int parallelism : {1, 2}) {
      AnEventForEachSide(io, parallelism);
      AnEventForBoth(io, parallelism);
      Mutex mutex;
      SomethingThatIsHeld(io, parallelism, 1, [&mutex] { return mutex.Lock(); });
      for (const int permits : {1, 3}) {
        Semaphore semaphore(permits);
        SomethingThatIsHeld(io, parallelism, permits, [&semaphore] { return semaphore.Acquire(); });
      }
    }
  }
}

// What event.h says to do in place of calling Set() in a signal handler.
TEST(EventTest, AnOsThreadThatWaitsForASignalSetsTheEvent) {
  sigset_t signals;
  sigset_t before;
  sigemptyset(&signals);
  sigaddset(&signals, SIGUSR2);
  ASSERT_EQ(pthread_sigmask(SIG_BLOCK, &signals, &before), 0);
  {
    Event raised;
    std::thread waiter([&] {
      int signal = 0;
      EXPECT_EQ(sigwait(&signals, &signal), 0);
      EXPECT_EQ(signal, SIGUSR2);
      raised.Set();
    });
    (*Runtime::Create({.parallelism = 1}))->Run([](Event& event, pthread_t target) -> Task<void> {
      pthread_kill(target, SIGUSR2);  // to a thread, because other tests' runtimes do not block the signal
      co_await event.Wait();
    }(raised, waiter.native_handle()));
    waiter.join();
  }
  ASSERT_EQ(pthread_sigmask(SIG_SETMASK, &before, nullptr), 0);
}

// ---- Semaphore.

TEST_P(SyncTest, PermitsAreGrantedInTheOrderOfAcquire) {
  Everywhere([]() -> Task<void> {
    Semaphore semaphore(1);
    std::vector<int> order;
    Event looked;
    AwaitAll scope;
    {
      Permit permit = co_await semaphore.Acquire();
      for (int i = 0; i < 5; ++i) {
        Introduction waiting;
        scope.Fork([&, i]() -> Task<void> {
          waiting.Make();
          Permit mine = co_await semaphore.Acquire();
          order.push_back(i);  // one at a time
          co_await looked.Wait();
        });
        co_await waiting.AwaitParked();
      }
      EXPECT_FALSE(semaphore.TryAcquire().has_value());
    }
    EXPECT_FALSE(semaphore.TryAcquire().has_value()) << "nobody overtakes a waiter";
    looked.Set();
    (co_await scope.Join()).IgnoreFailures();
    EXPECT_EQ(order, (std::vector<int>{0, 1, 2, 3, 4}));
    EXPECT_EQ(semaphore.available(), 1);
  });
}

TEST_P(SyncTest, AtMostSoManyAtATime) {
  Everywhere([]() -> Task<void> {
    Semaphore semaphore(3);
    std::atomic<int> inside{0};
    std::atomic<int> most{0};
    AwaitAll scope;
    for (int i = 0; i < 30; ++i) {
      scope.Fork([&]() -> Task<void> {
        Permit permit = co_await semaphore.Acquire();
        const int now = ++inside;
        int seen = most;
        while (seen < now && !most.compare_exchange_weak(seen, now)) {
        }
        co_await Yield();
        --inside;
      });
    }
    (co_await scope.Join()).IgnoreFailures();
    EXPECT_LE(most, 3);
    EXPECT_EQ(semaphore.available(), 3);
  });
}

TEST_P(SyncTest, APermitIsReleasedOnceWhateverBecomesOfIt) {
  Everywhere([]() -> Task<void> {
    Semaphore semaphore(2);
    Permit a = co_await semaphore.Acquire();
    Permit b = std::move(a);
    EXPECT_EQ(semaphore.available(), 1);
    b.Release();
    b.Release();
    EXPECT_EQ(semaphore.available(), 2);
    std::optional<Permit> c = semaphore.TryAcquire();
    EXPECT_EQ(semaphore.available(), 1);
    c.reset();
    EXPECT_EQ(semaphore.available(), 2);
  });
}

// Waiters are cancelled while permits are handed to them.
TEST_P(SyncTest, APermitIsNeverLostToAWaiterThatIsCancelled) {
  Everywhere([]() -> Task<void> {
    Semaphore semaphore(1);
    Mutex mutex;
    std::atomic<int> served{0};
    AwaitAll kept;
    {
      AwaitAll cancelled;
      for (int i = 0; i < 12; ++i) {
        auto contend = [&]() -> Task<void> {
          for (int n = 0; n < 3; ++n) {
            Permit permit = co_await semaphore.Acquire();
            co_await Yield();
            MutexGuard guard = co_await mutex.Lock();
            ++served;
            permit.Release();
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
    EXPECT_GE(served, 12);
    EXPECT_EQ(semaphore.available(), 1);
    EXPECT_TRUE(mutex.TryLock().has_value());
  });
}

TEST_P(SyncTest, AWaiterThatIsLateGetsNoPermit) {
  Everywhere([]() -> Task<void> {
    Semaphore semaphore(1);
    Permit held = co_await semaphore.Acquire();
    const absl::Status late = co_await WithTimeout(absl::Milliseconds(1), [](Semaphore& wanted) -> Task<void> {
      Permit permit = co_await wanted.Acquire();
    }(semaphore));
    EXPECT_EQ(late.code(), absl::StatusCode::kDeadlineExceeded);
    held.Release();
    EXPECT_EQ(semaphore.available(), 1);
  });
}

// ---- Mutex.

TEST_P(SyncTest, OneAtATimeOverSuspensionsToo) {
  Everywhere([]() -> Task<void> {
    Mutex mutex;
    int plain = 0;
    AwaitAll scope;
    for (int i = 0; i < 10; ++i) {
      scope.Fork([&]() -> Task<void> {
        for (int n = 0; n < 5; ++n) {
          MutexGuard guard = co_await mutex.Lock();
          const int before = plain;
          co_await Yield();
          plain = before + 1;
        }
      });
    }
    (co_await scope.Join()).IgnoreFailures();
    EXPECT_EQ(plain, 50);
    EXPECT_TRUE(mutex.TryLock().has_value());
  });
}

TEST_P(SyncTest, AMutexIsHandedOverInTheOrderOfLock) {
  Everywhere([]() -> Task<void> {
    Mutex mutex;
    std::vector<int> order;
    AwaitAll scope;
    MutexGuard guard = co_await mutex.Lock();
    for (int i = 0; i < 5; ++i) {
      Introduction waiting;
      scope.Fork([&, i]() -> Task<void> {
        waiting.Make();
        MutexGuard mine = co_await mutex.Lock();
        order.push_back(i);
      });
      co_await waiting.AwaitParked();
    }
    EXPECT_FALSE(mutex.TryLock().has_value());
    guard.Unlock();
    guard.Unlock();
    (co_await scope.Join()).IgnoreFailures();
    EXPECT_EQ(order, (std::vector<int>{0, 1, 2, 3, 4}));
  });
}

TEST_P(SyncTest, AGuardThatIsUnwoundUnlocks) {
  Everywhere([]() -> Task<void> {
    Mutex mutex;
    AwaitAll scope;
    Introduction holding;
    scope.Fork([&]() -> Task<void> {
      MutexGuard guard = co_await mutex.Lock();
      co_await testing::Forever(holding);
    });
    co_await holding.AwaitParked();
    EXPECT_FALSE(mutex.TryLock().has_value());
    scope.Shutdown();
    MutexGuard mine = co_await mutex.Lock();
    (co_await scope.Join()).IgnoreFailures();
  });
}

// ---- What is held, moved.

// A lock of one, whatever it is: tries to take it, and gives what releases it.
struct OneMutex {
  std::optional<MutexGuard> Try() { return mutex.TryLock(); }
  Mutex mutex;
};
struct OnePermit {
  std::optional<Permit> Try() { return semaphore.TryAcquire(); }
  Semaphore semaphore{1};
};
template <class Lock>
class HeldTest : public ::testing::Test {};
using Locks = ::testing::Types<OneMutex, OnePermit>;
TYPED_TEST_SUITE(HeldTest, Locks);

TYPED_TEST(HeldTest, WhatIsMovedOntoIsReleasedAtOnce) {
  TypeParam first, second;
  auto held = *first.Try();
  auto other = *second.Try();
  held = std::move(other);
  EXPECT_TRUE(first.Try().has_value());
  EXPECT_FALSE(second.Try().has_value());
  held = std::move(other);  // nothing
  EXPECT_TRUE(second.Try().has_value());
  other = *first.Try();  // onto nothing
  EXPECT_FALSE(first.Try().has_value());
}

TYPED_TEST(HeldTest, WhatIsMovedOntoItselfIsHeldStill) {
  TypeParam lock;
  {
    auto held = *lock.Try();
    auto& same = held;
    held = std::move(same);
    EXPECT_FALSE(lock.Try().has_value());
  }
  EXPECT_TRUE(lock.Try().has_value());
}

TYPED_TEST(HeldTest, AMoveReleasesOnce) {
  TypeParam lock;
  auto held = *lock.Try();
  auto moved = std::move(held);
  EXPECT_FALSE(lock.Try().has_value());
  held = std::move(moved);
  EXPECT_FALSE(lock.Try().has_value());
}

TEST_P(SyncTest, WhoWaitsForWhatIsMovedOntoGoesOn) {
  Everywhere([]() -> Task<void> {
    Semaphore first(1), second(1);
    AwaitAll scope;
    Permit permit = co_await first.Acquire();
    auto waiter = scope.Fork([&first]() -> Task<void> { Permit mine = co_await first.Acquire(); });
    permit = co_await second.Acquire();
    (co_await scope.Join()).IgnoreFailures();  // `permit` is there still
    EXPECT_EQ(waiter.state(), Subtask<void>::State::kSuccess);
    EXPECT_EQ(second.available(), 0);
  });
}

// ---- Misuse.

template <class Make>
void Simulate(Make make) {
  testing::Simulation simulation;
  simulation.Run(make());
}

TEST(SyncDeathTest, AnEventIsDestroyedWithAWaiter) {
  EXPECT_DEATH(Simulate([]() -> Task<void> {
                 AwaitAll scope;
                 Event event;
                 scope.Fork([&event]() -> Task<void> { co_await event.Wait(); }, {.name = "waiter"});
                 co_await Yield();
                 co_await Yield();
               }),
               "an Event is destroyed by VirtualThread\\[#1\\]/runnable@carrier-0 while "
               "VirtualThread\\[#2,waiter\\]/waiting waits for it");
}

TEST(SyncDeathTest, ASemaphoreIsDestroyedWithAWaiter) {
  EXPECT_DEATH(Simulate([]() -> Task<void> {
                 AwaitAll scope;
                 Semaphore semaphore(0);
                 scope.Fork([&semaphore]() -> Task<void> { Permit permit = co_await semaphore.Acquire(); },
                            {.name = "waiter"});
                 co_await Yield();
                 co_await Yield();
               }),
               "a Semaphore is destroyed by VirtualThread\\[#1\\]/runnable@carrier-0 while "
               "VirtualThread\\[#2,waiter\\]/waiting waits for it");
}

TEST(SyncDeathTest, AMutexIsDestroyedWhileItIsLocked) {
  EXPECT_DEATH(Simulate([]() -> Task<void> {
                 auto mutex = std::make_unique<Mutex>();
                 MutexGuard guard = co_await mutex->Lock();
                 mutex.reset();
               }),
               "a Mutex is destroyed by VirtualThread\\[#1\\]/runnable@carrier-0 while it is locked by "
               "VirtualThread\\[#1\\]");
}

TEST(SyncDeathTest, AMutexIsDestroyedWhileAnotherHasIt) {
  EXPECT_DEATH(Simulate([]() -> Task<void> {
                 AwaitAll scope;
                 auto mutex = std::make_unique<Mutex>();
                 std::optional<MutexGuard> first(co_await mutex->Lock());
                 Introduction waiting;
                 scope.Fork([&]() -> Task<void> {
                   waiting.Make();
                   MutexGuard guard = co_await mutex->Lock();
                   co_await testing::Forever();
                 });
                 co_await waiting.AwaitParked();
                 first.reset();  // it is handed over
                 mutex.reset();
               }),
               "a Mutex is destroyed by VirtualThread\\[#1\\]/runnable@carrier-0 while it is locked by "
               "VirtualThread\\[#2\\]");
}

TEST(SyncDeathTest, AMutexIsDestroyedOutsideWhileItIsLocked) {
  EXPECT_DEATH(
      {
        std::optional<MutexGuard> guard;
        Mutex mutex;
        guard = mutex.TryLock();
      },
      "a Mutex is destroyed by an OS thread that runs no virtual thread while it is locked by an OS thread");
}

TEST(SyncDeathTest, ASemaphoreIsDestroyedBeforeItsPermits) {
  EXPECT_DEATH(
      Simulate([]() -> Task<void> {
        auto semaphore = std::make_unique<Semaphore>(3);
        Permit one = co_await semaphore->Acquire();
        Permit other = co_await semaphore->Acquire();
        semaphore.reset();
      }),
      "a Semaphore is destroyed by VirtualThread\\[#1\\]/runnable@carrier-0 while 2 of its 3 permits are held; "
      "the last one was acquired by VirtualThread\\[#1\\]");
}

TEST(SyncDeathTest, ASemaphoreIsDestroyedWithAPermitThatWasHandedOver) {
  EXPECT_DEATH(Simulate([]() -> Task<void> {
                 AwaitAll scope;
                 auto semaphore = std::make_unique<Semaphore>(1);
                 Permit mine = co_await semaphore->Acquire();
                 Introduction waiting;
                 scope.Fork([&]() -> Task<void> {
                   waiting.Make();
                   Permit permit = co_await semaphore->Acquire();
                   co_await testing::Forever();
                 });
                 co_await waiting.AwaitParked();
                 mine.Release();
                 semaphore.reset();
               }),
               "while 1 of its 1 permits are held; the last one was acquired by VirtualThread\\[#2\\]");
}

TEST(SyncDeathTest, ASemaphoreIsDestroyedOutsideBeforeItsPermits) {
  EXPECT_DEATH(
      {
        std::optional<Permit> permit;
        Semaphore semaphore(1);
        permit = semaphore.TryAcquire();
      },
      "a Semaphore is destroyed by an OS thread that runs no virtual thread while 1 of its 1 permits are held; "
      "the last one was acquired by an OS thread");
}

TEST(SyncDeathTest, ASemaphoreOfLessThanNoPermits) {
  EXPECT_DEATH(Semaphore(-1), "a Semaphore of -1 permits; it needs 0 or more");
}

}  // namespace
}  // namespace weft

// SharedMutex. Goal: one writer or any number of readers, in turn: neither side starves, and nobody waits for one that
// was cancelled. Method: the same bodies in simulations and on carriers; OS threads of their own.
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
#include "weft/sync/event.h"
#include "weft/sync/shared_mutex.h"
#include "weft/task.h"
#include "weft/testing/simulation.h"
#include "weft/time.h"

namespace weft {
namespace {

using testing::Introduction;

class SharedMutexTest : public testing::OnBoth {};
WEFT_ON_BOTH(SharedMutexTest);

// Children that lock one after the other, and hold until they are told to go on.
struct Queue {
  Task<void> Write(Introduction& waiting, Event& release) {
    waiting.Make();
    const WriterGuard guard = co_await mutex.Lock();
    ++writers;
    co_await release.Wait();
    --writers;
  }
  Task<void> Read(Introduction& waiting, Event& release) {
    waiting.Make();
    const ReaderGuard guard = co_await mutex.LockShared();
    ++readers;
    co_await release.Wait();
    --readers;
  }

  SharedMutex mutex;
  std::atomic<int> writers{0}, readers{0};
};

TEST_P(SharedMutexTest, ReadersShareAndAWriterIsAlone) {
  Everywhere([]() -> Task<void> {
    SharedMutex mutex;
    int plain = 0;
    std::atomic<int> readers{0};
    AwaitAll scope;
    for (int i = 0; i < 12; ++i) {
      scope.Fork([&, writes = i % 3 == 0]() -> Task<void> {
        for (int n = 0; n < 4; ++n) {
          if (writes) {
            const WriterGuard guard = co_await mutex.Lock();
            EXPECT_EQ(readers, 0);
            const int before = plain;
            co_await Yield();
            plain = before + 1;
          } else {
            const ReaderGuard guard = co_await mutex.LockShared();
            ++readers;
            const int before = plain;
            co_await Yield();
            EXPECT_EQ(plain, before);
            --readers;
          }
        }
      });
    }
    (co_await scope.Join()).IgnoreFailures();
    EXPECT_EQ(plain, 16);
    EXPECT_EQ(mutex.ReaderCount(), 0);
    EXPECT_TRUE(mutex.TryLock().has_value());
  });
}

TEST_P(SharedMutexTest, AWriterGetsItWhenTheLastReaderHasUnlocked) {
  Everywhere([]() -> Task<void> {
    Queue queue;
    Event release;
    AwaitAll scope;
    Introduction waiting;
    ReaderGuard first = co_await queue.mutex.LockShared();
    ReaderGuard second = co_await queue.mutex.LockShared();
    EXPECT_TRUE(queue.mutex.TryLockShared().has_value()) << "readers share";
    EXPECT_FALSE(queue.mutex.TryLock().has_value());
    EXPECT_EQ(queue.mutex.ReaderCount(), 2);
    scope.Fork(queue.Write(waiting, release));
    co_await waiting.AwaitParked();
    first.Unlock();
    first.Unlock();
    EXPECT_EQ(queue.mutex.ReaderCount(), 1);
    EXPECT_EQ(queue.mutex.QueueLength(), 1);
    EXPECT_EQ(queue.writers, 0);
    second.Unlock();
    while (queue.writers == 0) co_await Yield();
    EXPECT_FALSE(queue.mutex.TryLock().has_value());
    EXPECT_FALSE(queue.mutex.TryLockShared().has_value());
    release.Set();
    (co_await scope.Join()).IgnoreFailures();
    EXPECT_TRUE(queue.mutex.TryLock().has_value());
  });
}

TEST_P(SharedMutexTest, AReaderDoesNotOvertakeAWriterThatWaits) {
  Everywhere([]() -> Task<void> {
    Queue queue;
    Event first, rest;
    AwaitAll scope;
    Introduction one, two, three, four;
    scope.Fork(queue.Read(one, first));
    co_await one.AwaitParked();
    scope.Fork(queue.Write(two, rest));
    co_await two.AwaitParked();
    EXPECT_FALSE(queue.mutex.TryLockShared().has_value());
    scope.Fork(queue.Read(three, rest));
    co_await three.AwaitParked();
    scope.Fork(queue.Read(four, rest));
    co_await four.AwaitParked();
    EXPECT_EQ(queue.mutex.ReaderCount(), 1);
    EXPECT_EQ(queue.mutex.QueueLength(), 3);
    first.Set();
    while (queue.writers == 0) co_await Yield();
    EXPECT_EQ(queue.readers, 0);
    EXPECT_EQ(queue.mutex.ReaderCount(), 0);
    EXPECT_EQ(queue.mutex.QueueLength(), 2);
    rest.Set();
    (co_await scope.Join()).IgnoreFailures();
  });
}

TEST_P(SharedMutexTest, ReadersThatStandSideBySideAreServedTogether) {
  Everywhere([]() -> Task<void> {
    Queue queue;
    Event release;
    AwaitAll scope;
    WriterGuard writing = co_await queue.mutex.Lock();
    for (int i = 0; i < 3; ++i) {
      Introduction waiting;
      scope.Fork(queue.Read(waiting, release));
      co_await waiting.AwaitParked();
    }
    Introduction waiting;
    scope.Fork(queue.Write(waiting, release));
    co_await waiting.AwaitParked();
    writing.Unlock();
    while (queue.readers < 3) co_await Yield();
    EXPECT_EQ(queue.writers, 0);
    EXPECT_EQ(queue.mutex.ReaderCount(), 3);
    release.Set();
    (co_await scope.Join()).IgnoreFailures();
  });
}

TEST_P(SharedMutexTest, AWriterBecomesAReaderBeforeAnyOtherWriter) {
  Everywhere([]() -> Task<void> {
    Queue queue;
    Event release;
    AwaitAll scope;
    WriterGuard writing = co_await queue.mutex.Lock();
    Introduction one, two, three;
    scope.Fork(queue.Read(one, release));
    co_await one.AwaitParked();
    scope.Fork(queue.Write(two, release));
    co_await two.AwaitParked();
    scope.Fork(queue.Read(three, release));
    co_await three.AwaitParked();
    ReaderGuard reading = std::move(writing).Downgrade();
    writing.Unlock();  // nothing
    while (queue.readers == 0) co_await Yield();
    EXPECT_EQ(queue.mutex.ReaderCount(), 2);
    EXPECT_EQ(queue.mutex.QueueLength(), 2) << "the reader behind the writer waits";
    release.Set();
    for (int i = 0; i < 10; ++i) co_await Yield();
    EXPECT_EQ(queue.mutex.QueueLength(), 2);
    reading.Unlock();
    (co_await scope.Join()).IgnoreFailures();
    EXPECT_TRUE(queue.mutex.TryLock().has_value());
  });
}

TEST_P(SharedMutexTest, ReadersGoOnWhenTheWriterBeforeThemIsCancelled) {
  Everywhere([]() -> Task<void> {
    Queue queue;
    Event release;
    release.Set();
    AwaitAll kept;
    AwaitAll cancelled;
    Introduction one, two;
    const ReaderGuard reading = co_await queue.mutex.LockShared();
    cancelled.Fork(queue.Write(one, release));
    co_await one.AwaitParked();
    kept.Fork(queue.Read(two, release));
    co_await two.AwaitParked();
    cancelled.Shutdown();
    (co_await cancelled.Join()).IgnoreFailures();
    (co_await kept.Join()).IgnoreFailures();  // `reading` is there still
    EXPECT_EQ(queue.mutex.ReaderCount(), 1);
  });
}

TEST_P(SharedMutexTest, ATimedLockThatIsLateHoldsNothing) {
  Everywhere([]() -> Task<void> {
    SharedMutex mutex;
    {
      const ReaderGuard reading = co_await mutex.LockShared();
      EXPECT_FALSE((co_await mutex.LockFor(absl::Milliseconds(1))).has_value());
      EXPECT_TRUE((co_await mutex.LockSharedFor(absl::Hours(1))).has_value());
      EXPECT_FALSE(mutex.TryLock().has_value());
      EXPECT_TRUE(mutex.TryLockShared().has_value());
    }
    const std::optional<WriterGuard> writing = co_await mutex.LockFor(absl::Hours(1));
    EXPECT_TRUE(writing.has_value());
    EXPECT_FALSE((co_await mutex.LockSharedFor(absl::Milliseconds(1))).has_value());
    EXPECT_FALSE(mutex.TryLockShared().has_value());
    EXPECT_EQ(mutex.QueueLength(), 0);
  });
}

TEST_P(SharedMutexTest, NothingIsLostToThoseThatAreCancelled) {
  Everywhere([]() -> Task<void> {
    SharedMutex mutex;
    AwaitAll kept;
    {
      AwaitAll cancelled;
      for (int i = 0; i < 12; ++i) {
        auto contend = [&mutex, writes = i % 2 == 0]() -> Task<void> {
          for (int n = 0; n < 3; ++n) {
            if (writes) {
              WriterGuard guard = co_await mutex.Lock();
              co_await Yield();
              const ReaderGuard reading = std::move(guard).Downgrade();
              co_await Yield();
            } else {
              const ReaderGuard guard = co_await mutex.LockShared();
              co_await Yield();
            }
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
    EXPECT_TRUE(mutex.TryLock().has_value());
  });
}

// The drain of a cancelled writer: a lock that it got after its scope is given back before its children have ended.
TEST_P(SharedMutexTest, ACancelledWriterGivesTheLockToItsOwnChildrensCleanUps) {
  Everywhere([]() -> Task<void> {
    SharedMutex mutex;
    AwaitAll scope;
    Introduction holding;
    std::atomic<int> cleaned{0};
    scope.Fork([&]() -> Task<void> {
      AwaitAll inner;
      inner.Fork([&]() -> Task<void> {
        co_await Shield([](SharedMutex& wanted, std::atomic<int>& done) -> Task<void> {
          const ReaderGuard guard = co_await wanted.LockShared();
          ++done;
        }(mutex, cleaned));
      });
      const WriterGuard guard = co_await mutex.Lock();
      co_await testing::Forever(holding);
    });
    co_await holding.AwaitParked();
    scope.Shutdown();
    (co_await scope.Join()).IgnoreFailures();
    EXPECT_TRUE(mutex.TryLock().has_value());
  });
}

TEST_P(SharedMutexTest, OsThreadsStandInTheSameQueue) {
  OnEveryRuntime([](Runtime& runtime) {
    if (simulated()) return;  // which has one OS thread
    SharedMutex mutex;
    int plain = 0;
    constexpr int kRounds = 100;
    std::thread writer([&] {
      for (int n = 0; n < kRounds; ++n) {
        const WriterGuard guard = mutex.LockBlocking();
        ++plain;
      }
    });
    std::thread reader([&] {
      for (int n = 0; n < kRounds; ++n) {
        const ReaderGuard guard = mutex.LockSharedBlocking();
        EXPECT_GE(plain, 0);
      }
    });
    runtime.Run([](SharedMutex& wanted, int& counted) -> Task<void> {
      AwaitAll scope;
      for (int i = 0; i < 4; ++i) {
        scope.Fork([&, writes = i % 2 == 0]() -> Task<void> {
          for (int n = 0; n < kRounds; ++n) {
            if (writes) {
              const WriterGuard guard = co_await wanted.Lock();
              const int before = counted;
              co_await Yield();
              counted = before + 1;
            } else {
              const ReaderGuard guard = co_await wanted.LockShared();
              const int before = counted;
              co_await Yield();
              EXPECT_EQ(counted, before);
            }
          }
        });
      }
      (co_await scope.Join()).IgnoreFailures();
    }(mutex, plain));
    writer.join();
    reader.join();
    EXPECT_EQ(plain, 3 * kRounds);
  });
}

TEST_P(SharedMutexTest, GuardsAreMoved) {
  Everywhere([]() -> Task<void> {
    SharedMutex first, second;
    ReaderGuard reading = co_await first.LockShared();
    ReaderGuard other = co_await second.LockShared();
    reading = std::move(other);
    EXPECT_EQ(first.ReaderCount(), 0);
    EXPECT_EQ(second.ReaderCount(), 1);
    WriterGuard writing = co_await first.Lock();
    WriterGuard moved = std::move(writing);
    writing.Unlock();
    EXPECT_FALSE(first.TryLockShared().has_value());
    moved.Unlock();
    EXPECT_TRUE(first.TryLockShared().has_value());
  });
}

// More than the 65535 of the JDK's.
TEST(SharedMutexReadersTest, AnyNumberMayRead) {
  constexpr int kReaders = 1 << 17;
  SharedMutex mutex;
  std::vector<ReaderGuard> reading;
  for (int i = 0; i < kReaders; ++i) reading.push_back(*mutex.TryLockShared());
  EXPECT_EQ(mutex.ReaderCount(), kReaders);
  EXPECT_FALSE(mutex.TryLock().has_value());
  reading.clear();
  EXPECT_EQ(mutex.ReaderCount(), 0);
  EXPECT_TRUE(mutex.TryLock().has_value());
}

TEST(SharedMutexSimulationTest, TheReportTellsWhoHoldsIt) {
  std::string report;
  testing::Simulation simulation({.on_deadlock = [&report](const std::string& text) { report = text; }});
  EXPECT_FALSE(simulation
                   .TryRun([]() -> Task<void> {
                     SharedMutex written, read;
                     const std::optional<WriterGuard> writing = written.TryLock();
                     const std::optional<ReaderGuard> reading = read.TryLockShared();
                     AwaitAll scope;
                     scope.Fork([&]() -> Task<void> { const ReaderGuard guard = co_await written.LockShared(); });
                     scope.Fork([&]() -> Task<void> { const WriterGuard guard = co_await read.Lock(); });
                     (co_await scope.Join()).IgnoreFailures();
                   }())
                   .ok());
  EXPECT_NE(report.find("blocked in SharedMutex::LockShared"), std::string::npos) << report;
  EXPECT_NE(report.find(", held by VirtualThread[#1]"), std::string::npos) << report;
  EXPECT_NE(report.find("blocked in SharedMutex::Lock at"), std::string::npos) << report;
  EXPECT_NE(report.find(", held by 1 readers, the last one VirtualThread[#1]"), std::string::npos) << report;
}

// ---- Misuse.

TEST(SharedMutexDeathTest, MisuseIsACheckThatSaysWhatIsWrong) {
  EXPECT_DEATH(testing::Simulation().Run([]() -> Task<void> {
    auto mutex = std::make_unique<SharedMutex>();
    const ReaderGuard guard = co_await mutex->LockShared();
    mutex.reset();
  }()),
               "a SharedMutex is destroyed by VirtualThread\\[#1\\]/runnable@carrier-0 while 1 threads hold it to "
               "read; the last one is VirtualThread\\[#1\\]");
  EXPECT_DEATH(testing::Simulation().Run([]() -> Task<void> {
    auto mutex = std::make_unique<SharedMutex>();
    const WriterGuard guard = co_await mutex->Lock();
    mutex.reset();
  }()),
               "a SharedMutex is destroyed by VirtualThread\\[#1\\]/runnable@carrier-0 while it is locked by "
               "VirtualThread\\[#1\\]");
  EXPECT_DEATH(testing::Simulation().Run([]() -> Task<void> {
    SharedMutex mutex;
    const ReaderGuard guard = mutex.LockSharedBlocking();
    co_return;
  }()),
               "SharedMutex::LockSharedBlocking\\(\\) by .*which would hold its carrier");
  EXPECT_DEATH(testing::Simulation().Run([]() -> Task<void> {
    SharedMutex mutex;
    WriterGuard guard = co_await mutex.Lock();
    guard.Unlock();
    const ReaderGuard reading = std::move(guard).Downgrade();
  }()),
               "Downgrade\\(\\) of a guard that holds nothing");
}

#ifndef NDEBUG
TEST(SharedMutexDeathTest, AWriterThatWaitsForItselfNamesBothPlaces) {
  EXPECT_DEATH(testing::Simulation().Run([]() -> Task<void> {
    SharedMutex mutex;
    const WriterGuard writing = co_await mutex.Lock();
    const ReaderGuard reading = co_await mutex.LockShared();
  }()),
               "SharedMutex::LockShared\\(\\) at .*shared_mutex_test.cc:[0-9]+ by .*which has locked the same "
               "SharedMutex at .*shared_mutex_test.cc:[0-9]+ and holds it still");
}
#endif

}  // namespace
}  // namespace weft

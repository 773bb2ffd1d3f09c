// The order of locks. Goal: in a debug build, two orders in which threads could wait for each other are reported once,
// with all places, whether they do or not; what cannot wait, or holds nothing any more, is not. In other builds nothing
// is said. Method: each order is taken by threads one after the other, so that none of these tests can hang but the one
// that is about that; standard error is read. `Debug(n)`: n reports in a debug build.
#include <gtest/gtest.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstddef>
#include <initializer_list>
#include <memory>
#include <mutex>
#include <optional>
#include <regex>
#include <source_location>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "lib/sync/lock_state.h"
#include "tests/support/allocator.h"
#include "tests/support/on_both.h"
#include "weft/channel/select.h"
#include "weft/runtime.h"
#include "weft/scope.h"
#include "weft/sync/condition_variable.h"
#include "weft/sync/event.h"
#include "weft/sync/lock_core.h"
#include "weft/sync/mutex.h"
#include "weft/sync/recursive_mutex.h"
#include "weft/sync/shared_mutex.h"
#include "weft/task.h"
#include "weft/testing/simulation.h"
#include "weft/time.h"

namespace weft {
namespace {

constexpr int Debug(int reports) { return internal::kNotesSites ? reports : 0; }

// What is written to standard error meanwhile.
template <class Run>
std::string SaidBy(Run run) {
  ::testing::internal::CaptureStderr();
  run();
  return ::testing::internal::GetCapturedStderr();
}

int ReportsIn(const std::string& said) {
  int reports = 0;
  for (size_t at = said.find("inverted lock order"); at != std::string::npos; ++reports) {
    at = said.find("inverted lock order", at + 1);
  }
  return reports;
}

// How many reports a simulation of the body makes.
template <class Body>
int ReportsOf(Body body) {
  return ReportsIn(SaidBy([&] { testing::Simulation().Run(body()); }));
}

template <class First, class Second>
Task<void> LockBoth(First& first, Second& second) {
  const auto one = co_await first.Lock();
  const auto other = co_await second.Lock();
}

// Each of the places in the order in which they are named.
std::string Places(std::initializer_list<const char*> parts, std::initializer_list<int> lines) {
  std::string pattern;
  auto line = lines.begin();
  for (const char* part : parts) {
    absl::StrAppend(&pattern, part);
    if (line != lines.end()) absl::StrAppend(&pattern, "\\S*lock_order_test\\.cc:", *line++);
  }
  return pattern;
}

void ExpectSays(const std::string& said, const std::string& pattern) {
  if (!internal::kNotesSites) {
    EXPECT_EQ(said, "");
  } else {
    EXPECT_TRUE(std::regex_match(said, std::regex(pattern))) << said;
  }
}

// ---- What is reported.

TEST(LockOrderTest, TwoOrdersAreReportedWithAllFourPlaces) {
  int one = 0, two = 0, three = 0, four = 0;
  ExpectSays(SaidBy([&] {
               testing::Simulation().Run([&]() -> Task<void> {
                 Mutex a, b;
                 {
                   const MutexGuard first = co_await a.Lock(); one = __LINE__;
                   const MutexGuard second = co_await b.Lock(); two = __LINE__;
                 }
                 const MutexGuard first = co_await b.Lock(); three = __LINE__;
                 const MutexGuard second = co_await a.Lock(); four = __LINE__;
               }());
             }),
             Places({"weft: inverted lock order, which can be a deadlock: VirtualThread\\[#1\\] locks Mutex 2 at ",
                     " while it holds Mutex 1, locked at ", "; before, Mutex 1 was locked at ",
                     " while Mutex 2 was held, locked at ", "\n"},
                    {four, three, two, one}));
}

TEST(LockOrderTest, ALongerWayRoundIsReportedWithEachStep) {
  int lines[6] = {};
  ExpectSays(SaidBy([&lines] {
               testing::Simulation().Run([](int (&at)[6]) -> Task<void> {
                 Mutex a;
                 RecursiveMutex b;
                 SharedMutex c;
                 {
                   const MutexGuard first = co_await a.Lock(); at[0] = __LINE__;
                   const RecursiveMutexGuard second = co_await b.Lock(); at[1] = __LINE__;
                 }
                 {
                   const RecursiveMutexGuard first = co_await b.Lock(); at[2] = __LINE__;
                   const WriterGuard second = co_await c.Lock(); at[3] = __LINE__;
                 }
                 const WriterGuard first = co_await c.Lock(); at[4] = __LINE__;
                 const MutexGuard second = co_await a.Lock(); at[5] = __LINE__;
               }(lines));
             }),
             Places({"weft: inverted lock order, which can be a deadlock: VirtualThread\\[#1\\] locks Mutex 2 at ",
                     " while it holds SharedMutex 1, locked at ", "; before, RecursiveMutex 3 was locked at ",
                     " while Mutex 2 was held, locked at ", ", and SharedMutex 1 was locked at ",
                     " while RecursiveMutex 3 was held, locked at ", "\n"},
                    {lines[5], lines[4], lines[1], lines[0], lines[3], lines[2]}));
}

TEST(LockOrderTest, TheReportNamesTheThread) {
  const std::string said = SaidBy([] {
    testing::Simulation().Run([]() -> Task<void> {
      Mutex a, b;
      co_await LockBoth(a, b);
      AwaitAll scope;
      scope.Fork(LockBoth(b, a), {.name = "clerk"});
      (co_await scope.Join()).IgnoreFailures();
    }());
  });
  EXPECT_EQ(said.find("VirtualThread[#2,clerk] locks Mutex 2 at ") != std::string::npos, internal::kNotesSites) << said;
}

TEST(LockOrderTest, APairIsReportedOnce) {
  EXPECT_EQ(ReportsOf([]() -> Task<void> {
              Mutex a, b;
              for (int i = 0; i < 3; ++i) {
                co_await LockBoth(a, b);
                co_await LockBoth(b, a);
              }
            }),
            Debug(1));
  // Also if the way round that was reported first is a longer one.
  EXPECT_EQ(ReportsOf([]() -> Task<void> {
              Mutex a, b, c;
              co_await LockBoth(a, b);
              co_await LockBoth(b, c);
              co_await LockBoth(c, a);
              co_await LockBoth(a, c);
              co_await LockBoth(c, a);
            }),
            Debug(1));
}

TEST(LockOrderTest, EachPairIsReported) {
  EXPECT_EQ(ReportsOf([]() -> Task<void> {
              Mutex a, b, c;
              {
                const MutexGuard first = co_await a.Lock();
                co_await LockBoth(b, c);
              }
              {
                const MutexGuard first = co_await b.Lock();
                const MutexGuard second = co_await c.Lock();
                const MutexGuard third = co_await a.Lock();
              }
            }),
            Debug(2));
}

TEST(LockOrderTest, ADeadlockIsReportedAsItComes) {
  std::string deadlock;
  const std::string said = SaidBy([&deadlock] {
    testing::Simulation simulation({.on_deadlock = [&deadlock](const std::string& text) { deadlock = text; }});
    EXPECT_FALSE(simulation.TryRun([]() -> Task<void> {
      Mutex a, b;
      AwaitAll scope;
      for (const bool turned : {false, true}) {
        scope.Fork([&a, &b, turned]() -> Task<void> {
          const MutexGuard first = co_await (turned ? b : a).Lock();
          co_await Yield();
          co_await Yield();
          co_await Yield();
          const MutexGuard second = co_await (turned ? a : b).Lock();
        });
      }
      (co_await scope.Join()).IgnoreFailures();
    }()).ok());
  });
  EXPECT_NE(deadlock, "");
  EXPECT_EQ(ReportsIn(said), Debug(1)) << said;
}

TEST(LockOrderTest, ACancelledWaitCountsAsAWait) {
  EXPECT_EQ(ReportsOf([]() -> Task<void> {
              Mutex a, b;
              AwaitAll scope;
              testing::Introduction waiting;
              std::optional<MutexGuard> held = b.TryLock();
              scope.Fork([&]() -> Task<void> {
                const MutexGuard first = co_await a.Lock();
                waiting.Make();
                const MutexGuard second = co_await b.Lock();
              });
              co_await waiting.AwaitParked();
              scope.Shutdown();
              (co_await scope.Join()).IgnoreFailures();
              held.reset();
              co_await LockBoth(b, a);
            }),
            Debug(1));
}

// ---- What is not.

TEST(LockOrderTest, OneOrderIsNotReported) {
  EXPECT_EQ(ReportsOf([]() -> Task<void> {
              Mutex a, b, c;
              for (int i = 0; i < 3; ++i) {
                co_await LockBoth(a, b);
                co_await LockBoth(b, c);
                co_await LockBoth(a, c);
              }
            }),
            0);
}

TEST(LockOrderTest, WhatDoesNotWaitForALockAloneHasNoOrder) {
  EXPECT_EQ(ReportsOf([]() -> Task<void> {
              Mutex a, b;
              co_await LockBoth(a, b);
              {
                const MutexGuard first = co_await b.Lock();
                EXPECT_TRUE(a.TryLock().has_value());
                EXPECT_EQ((co_await Select(a.Lock(), Sleep(absl::Hours(1)))).index(), 0u);
              }
              // Nor has what is locked while such a lock is held, whose guard was moved to where it lies.
              const std::optional<MutexGuard> tried = b.TryLock();
              const MutexGuard second = co_await a.Lock();
            }),
            0);
}

TEST(LockOrderTest, ALockThatWasGivenBackHasNoOrder) {
  EXPECT_EQ(ReportsOf([]() -> Task<void> {
              Mutex a, b;
              co_await LockBoth(a, b);
              {
                MutexGuard first = co_await b.Lock();
                first.Unlock();
                const MutexGuard second = co_await a.Lock();
              }
              // Also if another thread has given it back.
              MutexGuard first = co_await b.Lock();
              AwaitAll scope;
              scope.Fork([&first]() -> Task<void> {
                first.Unlock();
                co_return;
              });
              (co_await scope.Join()).IgnoreFailures();
              const MutexGuard second = co_await a.Lock();
            }),
            0);
}

TEST(LockOrderTest, ALockThatWasGivenBackAndIsTakenAgainHasItsOrderAgain) {
  EXPECT_EQ(ReportsOf([]() -> Task<void> {
              Mutex a, b, other;
              co_await LockBoth(b, a);
              { const MutexGuard guard = co_await a.Lock(); }
              { const MutexGuard guard = co_await other.Lock(); }  // looks at a, which nobody holds
              co_await LockBoth(a, b);
            }),
            Debug(1));
}

TEST(LockOrderTest, ALockThatAnotherThreadHasTakenSinceIsThatOnes) {
  EXPECT_EQ(ReportsOf([]() -> Task<void> {
              Mutex a, b;
              AwaitAll scope;
              testing::Introduction holding;
              Event release;
              co_await LockBoth(a, b);
              { const MutexGuard before = co_await b.Lock(); }
              scope.Fork([&]() -> Task<void> {
                const MutexGuard mine = co_await b.Lock();
                holding.Make();
                co_await release.Wait();
              });
              co_await holding.AwaitParked();
              { const MutexGuard second = co_await a.Lock(); }
              release.Set();
              (co_await scope.Join()).IgnoreFailures();
            }),
            0);
}

TEST(LockOrderTest, AGuardThatWasMovedElsewhereHasNoOrder) {
  EXPECT_EQ(ReportsOf([]() -> Task<void> {
              Mutex a, b;
              co_await LockBoth(a, b);
              AwaitAll scope;
              Event release;
              MutexGuard given = co_await b.Lock();
              scope.Fork([&release, guard = std::move(given)]() mutable -> Task<void> {
                co_await release.Wait();
                guard.Unlock();
              });
              { const MutexGuard second = co_await a.Lock(); }
              release.Set();
              (co_await scope.Join()).IgnoreFailures();
              // The next holder's counts again.
              co_await LockBoth(a, b);
            }),
            0);
  EXPECT_EQ(ReportsOf([]() -> Task<void> {
              Mutex a, b;
              {
                MutexGuard first = co_await a.Lock();
                const MutexGuard moved = std::move(first);
              }
              co_await LockBoth(a, b);
              co_await LockBoth(b, a);
            }),
            Debug(1));
}

TEST(LockOrderTest, ALockWhereAnotherOneHasLainHasAnOrderOfItsOwn) {
  EXPECT_EQ(ReportsOf([]() -> Task<void> {
              std::optional<Mutex> a;
              Mutex b;
              a.emplace();
              co_await LockBoth(*a, b);
              a.emplace();
              co_await LockBoth(b, *a);
              a.emplace();
              co_await LockBoth(*a, b);
            }),
            0);
}

// ---- A RecursiveMutex, a SharedMutex, a condition.

TEST(LockOrderTest, ARecursiveMutexThatIsLockedAgainIsNotWaitedFor) {
  EXPECT_EQ(ReportsOf([]() -> Task<void> {
              RecursiveMutex a;
              Mutex b;
              const RecursiveMutexGuard first = co_await a.Lock();
              co_await LockBoth(b, a);
            }),
            0);
  // It counts as held until its last guard is gone.
  EXPECT_EQ(ReportsOf([]() -> Task<void> {
              RecursiveMutex a;
              Mutex b;
              co_await LockBoth(b, a);
              const RecursiveMutexGuard first = co_await a.Lock();
              { const RecursiveMutexGuard second = co_await a.Lock(); }
              const MutexGuard last = co_await b.Lock();
            }),
            Debug(1));
}

TEST(LockOrderTest, AReaderWaitsForAWriter) {
  EXPECT_EQ(ReportsOf([]() -> Task<void> {
              SharedMutex a;
              Mutex b;
              {
                const WriterGuard first = co_await a.Lock();
                const MutexGuard second = co_await b.Lock();
              }
              const MutexGuard first = co_await b.Lock();
              const ReaderGuard second = co_await a.LockShared();
            }),
            Debug(1));
  // But only the writer is known as its holder.
  EXPECT_EQ(ReportsOf([]() -> Task<void> {
              SharedMutex a;
              Mutex b;
              co_await LockBoth(b, a);
              {
                const ReaderGuard first = co_await a.LockShared();
                const MutexGuard second = co_await b.Lock();
              }
              WriterGuard writing = co_await a.Lock();
              const ReaderGuard first = std::move(writing).Downgrade();
              const MutexGuard second = co_await b.Lock();
            }),
            0);
}

TEST(LockOrderTest, AWaitForAConditionGivesTheLockBackAndTakesItAgain) {
  EXPECT_EQ(ReportsOf([]() -> Task<void> {
              Mutex a, b;
              ConditionVariable condition;
              AwaitAll scope;
              testing::Introduction waiting;
              bool ready = false;
              co_await LockBoth(b, a);
              scope.Fork([&]() -> Task<void> {
                MutexGuard guard = co_await a.Lock();
                waiting.Make();
                co_await condition.Wait(guard, [&ready] { return ready; });
                const MutexGuard second = co_await b.Lock();  // inverted
              });
              co_await waiting.AwaitParked();
              {
                const MutexGuard guard = co_await a.Lock();
                ready = true;
                condition.NotifyOne();
              }
              (co_await scope.Join()).IgnoreFailures();
            }),
            Debug(1));
}

// Another thread may unlock it.
TEST(LockOrderTest, AGuardThatWasMovedBeforeAWaitForAConditionCountsNoMoreAfterIt) {
  EXPECT_EQ(ReportsOf([]() -> Task<void> {
              Mutex a, b;
              ConditionVariable condition;
              std::optional<MutexGuard> kept;
              AwaitAll scope;
              co_await LockBoth(b, a);
              kept.emplace(co_await a.Lock());
              scope.Fork([&]() -> Task<void> {
                {
                  const MutexGuard guard = co_await a.Lock();
                  condition.NotifyOne();
                }
                while (a.QueueLength() == 0) co_await Yield();
                kept.reset();
              });
              co_await condition.Wait(*kept);
              co_await LockBoth(b, a);
              (co_await scope.Join()).IgnoreFailures();
            }),
            0);
}

TEST(LockOrderTest, WhoWaitsForAConditionWithAnotherLockWaitsForItsOwn) {
  int one = 0, two = 0, three = 0;
  ExpectSays(SaidBy([&] {
               testing::Simulation().Run([&]() -> Task<void> {
                 Mutex a, b;
                 ConditionVariable condition;
                 MutexGuard first = co_await a.Lock(); one = __LINE__;
                 const MutexGuard second = co_await b.Lock(); two = __LINE__;
                 AwaitAll scope;
                 scope.Fork([&]() -> Task<void> {
                   const MutexGuard guard = co_await a.Lock();
                   condition.NotifyOne();
                 });
                 co_await condition.Wait(first); three = __LINE__;
                 (co_await scope.Join()).IgnoreFailures();
               }());
             }),
             Places({"weft: .* VirtualThread\\[#1\\] locks Mutex 2 at ", " while it holds Mutex 1, locked at ",
                     "; before, Mutex 1 was locked at ", " while Mutex 2 was held, locked at ", "\n"},
                    {three, two, two, one}));
}

// ---- OS threads, and many.

TEST(LockOrderThreadsTest, AnOsThreadHasTheSameOrder) {
  Mutex a;
  RecursiveMutex b;
  SharedMutex c;
  ConditionVariable condition;
  const std::string said = SaidBy([&] {
    std::thread([&] {
      const MutexGuard first = a.LockBlocking();
      const RecursiveMutexGuard second = b.LockBlocking();
      const RecursiveMutexGuard again = b.LockBlocking();
      const WriterGuard third = c.LockBlocking();
    }).join();
    std::thread([&] {
      const MutexGuard first = a.LockBlocking();
      const ReaderGuard second = c.LockSharedBlocking();
    }).join();
  });
  EXPECT_EQ(said, "");
  int one = 0, two = 0;
  ExpectSays(SaidBy([&] {
               std::thread([&] {
                 const WriterGuard first = c.LockBlocking(); one = __LINE__;
                 const MutexGuard second = a.LockBlocking(); two = __LINE__;
               }).join();
             }),
             Places({"weft: .*: an OS thread locks Mutex 2 at ", " while it holds SharedMutex 1, locked at ",
                     "; before, SharedMutex 1 was locked at [^\n]*\n"},
                    {two, one}));
  // A virtual thread and an OS thread can wait for each other.
  EXPECT_EQ(ReportsOf([&]() -> Task<void> { co_await LockBoth(b, a); }), Debug(1));
}

TEST(LockOrderThreadsTest, AnOsThreadThatWaitsForAConditionHasItsLockAgain) {
  Mutex a, b;
  ConditionVariable condition;
  bool waits = false;
  const std::string said = SaidBy([&] {
    std::thread first([&] {
      const MutexGuard before = b.LockBlocking();
      const MutexGuard after = a.LockBlocking();
    });
    first.join();
    std::thread waiter([&] {
      MutexGuard guard = a.LockBlocking();
      waits = true;
      condition.WaitBlocking(guard);
      const MutexGuard second = b.LockBlocking();  // inverted
    });
    for (bool told = false; !told;) {
      const MutexGuard guard = a.LockBlocking();
      told = waits;
      condition.NotifyOne();
    }
    waiter.join();
  });
  EXPECT_EQ(ReportsIn(said), Debug(1)) << said;
}

// It has the locks of its parent's other threads, too, as they were at that moment.
TEST(LockOrderThreadsTest, TheChildOfAForkLooksAtItsOwnLocksOnly) {
  internal::LockCore known(internal::LockKind::kMutex, 1);
  known.BlockAt(1, std::source_location::current());
  internal::LockSteps<internal::ThreadBlock>::GiveWhole(known);
  std::atomic<bool> held = false, over = false;
  std::thread user([&] {
    const std::lock_guard guard(known.waiters.lock);
    held = true;
    while (!over) std::this_thread::yield();
  });
  while (!held) std::this_thread::yield();
  const pid_t child = ::fork();
  if (child == 0) {
    Mutex a, b;
    const MutexGuard first = a.LockBlocking();
    const MutexGuard second = b.LockBlocking();
    ::_exit(0);
  }
  int status = -1;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  over = true;
  user.join();
}

bool memory = true;

TEST(LockOrderThreadsTest, WithoutMemoryLocksWorkAndOnlyTheOrderIsLost) {
  testing::may_allocate = [](size_t, bool throws) noexcept { return throws || memory; };
  Mutex a, b;
  const auto lock_both = [](Mutex& one, Mutex& other) {
    const MutexGuard first = one.LockBlocking();
    const MutexGuard second = other.LockBlocking();
    EXPECT_FALSE(one.TryLock().has_value());
    EXPECT_FALSE(other.TryLock().has_value());
  };
  EXPECT_EQ(SaidBy([&] {
              memory = false;
              lock_both(a, b);
              memory = true;
              lock_both(b, a);
            }),
            "");
  EXPECT_EQ(ReportsIn(SaidBy([&] { lock_both(a, b); })), Debug(1)) << "as soon as there is memory";
  testing::may_allocate = nullptr;
}

class LockOrderOnBothTest : public testing::OnBoth {};
WEFT_ON_BOTH(LockOrderOnBothTest);

// Threads that take locks in one order, and in the other by TryLock(); that move guards to others, wait for conditions,
// are cancelled, and destroy locks.
Task<void> KeepOneOrder() {
  Mutex a, b;
  RecursiveMutex c;
  ConditionVariable condition;
  bool told = false;
  AwaitAll scope;
  for (int i = 0; i < 6; ++i) {
    scope.Fork([&]() -> Task<void> {
      for (int n = 0; n < 5; ++n) {
        auto own = std::make_unique<Mutex>();
        MutexGuard first = co_await a.Lock();
        co_await Yield();
        MutexGuard second = co_await b.Lock();
        const RecursiveMutexGuard third = co_await c.Lock();
        co_await LockBoth(c, *own);
        first.Unlock();
        AwaitAll inner;
        inner.Fork([guard = std::move(second)]() mutable -> Task<void> {
          co_await Yield();
          guard.Unlock();
        });
        EXPECT_FALSE((co_await own->LockFor(absl::ZeroDuration())).has_value());
        static_cast<void>(a.TryLock());
        (co_await inner.Join()).IgnoreFailures();
      }
    });
  }
  scope.Fork([&]() -> Task<void> {
    MutexGuard guard = co_await a.Lock();
    co_await condition.Wait(guard, [&told] { return told; });
    co_await LockBoth(b, c);
  });
  scope.Fork([&]() -> Task<void> {
    const MutexGuard guard = co_await a.Lock();
    told = true;
    condition.NotifyAll();
  });
  (co_await scope.Join()).IgnoreFailures();
}

TEST_P(LockOrderOnBothTest, ManyThreadsThatKeepOneOrderAreNotReported) {
  EXPECT_EQ(SaidBy([] { Everywhere(&KeepOneOrder); }), "");
}

}  // namespace
}  // namespace weft

// Clean-ups that were promised, in threads that are cancelled before they begin. Goal: a task that Finally() has made,
// and that is given to what runs tasks, begins, so that its clean-up runs: what was leased is given back. Method: a
// table of the ways to start such tasks, times those in which their scope ends, times those in which everything around
// is cancelled, in simulations under many seeds and on real carriers.
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <memory>
#include <ostream>
#include <span>
#include <stop_token>
#include <string_view>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "lib/coro/frame_fault.h"
#include "tests/support/on_both.h"
#include "weft/all.h"
#include "weft/cancellation.h"
#include "weft/finally.h"
#include "weft/for_each.h"
#include "weft/race.h"
#include "weft/ready.h"
#include "weft/runtime.h"
#include "weft/scope.h"
#include "weft/scoped_value.h"
#include "weft/stop_token.h"
#include "weft/task.h"
#include "weft/time.h"

namespace weft::testing {
namespace {

ScopedValue<int> kValue;

// What is to be given back.
struct Pool {
  void Enter() {
    const int now = ++cleaning;
    int before = most.load();
    while (before < now && !most.compare_exchange_weak(before, now)) {
    }
  }
  void Leave() {
    --cleaning;
    ++released;
  }

  std::atomic<int> leased{0};
  std::atomic<int> released{0};
  std::atomic<int> cleaning{0};  // just now
  std::atomic<int> most{0};      // at once
};

Task<void> GiveBack(Pool& pool) {
  pool.Enter();
  co_await Yield();
  co_await Sleep(absl::Microseconds(1));
  pool.Leave();
}

// A lease that is given back however its work ends. Not a coroutine: what is leased is leased when the task is made.
template <class T = void>
Task<T> Lease(Pool& pool) {
  ++pool.leased;
  return Finally(
      []() -> Task<T> {
        co_await Yield();
        co_await Sleep(absl::Microseconds(10));
        if constexpr (!std::is_void_v<T>) co_return T(1);
      }(),
      [&pool] { return GiveBack(pool); });
}

// The same without work: what gives back is handed over at once.
auto ShieldedReturn(Pool& pool, absl::Duration grace = absl::InfiniteDuration()) {
  ++pool.leased;
  return Shield(grace, GiveBack(pool));
}

Task<void> Nap() { co_await Yield(); }

// A coroutine of the user's that is given the task.
Task<void> Await(int, Task<void> task) { co_await std::move(task); }
template <class A>
Task<void> AwaitAny(A awaitable) {
  static_cast<void>(co_await std::move(awaitable));
}
Task<void> AwaitAllOf(std::vector<Task<void>> tasks) {
  for (Task<void>& task : tasks) co_await std::move(task);
}
Task<void> AwaitBoth(std::array<Task<void>, 2> tasks) {
  for (Task<void>& task : tasks) co_await std::move(task);
}

// How the owner of a scope goes on when it has forked.
enum class Exit { kJoins, kIsShutBefore, kShutsDown, kCloses, kReturns, kSiblingFails, kTimesOut };
constexpr Exit kExits[] = {Exit::kJoins,   Exit::kIsShutBefore, Exit::kShutsDown, Exit::kCloses,
                           Exit::kReturns, Exit::kSiblingFails, Exit::kTimesOut};
std::ostream& operator<<(std::ostream& out, Exit exit) {
  constexpr const char* kNames[] = {"joins",   "is shut before", "shuts down", "closes",
                                    "returns", "sibling fails",  "times out"};
  return out << kNames[static_cast<int>(exit)];
}

Task<absl::Status> Fail() { co_return absl::DataLossError("as planned"); }

// Opens a scope, has `fork` fork into it, and leaves.
template <class Fork>
Task<void> InScope(Exit exit, Fork fork, int max_concurrency = ScopeOptions::kUnlimited) {
  ShutdownOnFailure scope({.max_concurrency = max_concurrency});
  if (exit == Exit::kIsShutBefore) scope.Shutdown();
  if (exit == Exit::kSiblingFails) scope.Fork(Fail());
  fork(scope);
  switch (exit) {
    case Exit::kJoins:
    case Exit::kIsShutBefore:
      co_return (co_await scope.Join()).IgnoreFailures();
    case Exit::kShutsDown:
      scope.Shutdown();
      co_return (co_await scope.Join()).IgnoreFailures();
    case Exit::kCloses:
      co_return co_await scope.Close();
    case Exit::kReturns:
      co_return;
    case Exit::kSiblingFails:
      scope.Fork(Fail());
      co_return (co_await scope.Join()).IgnoreFailures();
    case Exit::kTimesOut: {
      const auto joined = co_await scope.JoinFor(absl::ZeroDuration());
      if (joined.has_value()) joined->IgnoreFailures();
      co_return;
    }
  }
}

struct Start {
  const char* name;
  Task<void> (*run)(Pool& pool, Exit exit);
  bool has_scope = true;  // the exit matters
  int limit = 0;          // of clean-ups at once; 0: none
  friend std::ostream& operator<<(std::ostream& out, const Start& start) { return out << start.name; }
};

template <class Make>
void ForkThree(ShutdownOnFailure& scope, Make make) {
  for (int i = 0; i < 3; ++i) scope.Fork(make());
}

#define WEFT_FORKED(task)                                                                                    \
  [](Pool& pool, Exit exit) {                                                                                \
    return InScope(exit, [&pool](ShutdownOnFailure& scope) { ForkThree(scope, [&pool] { return task; }); }); \
  }
#define WEFT_AWAITED(task) [](Pool& pool, Exit) -> Task<void> { static_cast<void>(co_await task); }

const Start kStarts[] = {
    {"Fork", WEFT_FORKED(Lease(pool))},
    {"ForkWithAName",
     [](Pool& pool, Exit exit) {
       return InScope(exit, [&pool](ShutdownOnFailure& scope) { scope.Fork(Lease(pool), {.name = "named"}); });
     }},
    {"ForkOfAClosure", WEFT_FORKED([&pool] { return Lease(pool); })},
    {"ForkDaemon",
     [](Pool& pool, Exit exit) {
       return InScope(exit, [&pool](ShutdownOnFailure& scope) {
         for (int i = 0; i < 3; ++i) scope.ForkDaemon(Lease(pool));
       });
     }},
    {"ForkByAChild",
     [](Pool& pool, Exit exit) {
       return InScope(exit, [&pool](ShutdownOnFailure& scope) {
         scope.Fork([&pool, &scope]() -> Task<void> {
           ForkThree(scope, [&pool] { return Lease(pool); });
           co_await Yield();
           ForkThree(scope, [&pool] { return Lease(pool); });
         });
       });
     }},
    {"ForkByAChildThatIsCancelled",
     [](Pool& pool, Exit exit) {
       return InScope(exit, [&pool](ShutdownOnFailure& scope) {
         scope.Fork([&pool, &scope]() -> Task<void> {
           co_await MoveOnAfter(absl::ZeroDuration(), [](Pool& pool, ShutdownOnFailure& scope) -> Task<void> {
             ForkThree(scope, [&pool] { return Lease(pool); });
             co_return;
           }(pool, scope));
         });
       });
     }},
    {"Start",
     [](Pool& pool, Exit) -> Task<void> {
       AwaitAll scope;
       for (int i = 0; i < 2; ++i) {
         static_cast<void>(co_await scope.Start([&pool](Ready ready) {
           ready.Set();
           return Lease(pool);
         }));
       }
       scope.Shutdown();
       (co_await scope.Join()).IgnoreFailures();
     },
     /*has_scope=*/false},
    {"WithinALimit",
     [](Pool& pool, Exit exit) {
       return InScope(
           exit, [&pool](ShutdownOnFailure& scope) { ForkThree(scope, [&pool] { return Lease(pool); }); }, 1);
     },
     true, 1},
    {"WithinALimitMoreThanAreAskedAtOnce",
     [](Pool& pool, Exit) {
       return InScope(
           Exit::kShutsDown,
           [&pool](ShutdownOnFailure& scope) {
             for (int i = 0; i < 70; ++i) scope.Fork(Lease(pool));
           },
           1);
     },
     false, 1},
    {"WithinALimitAmongOthers",
     [](Pool& pool, Exit exit) {
       return InScope(
           exit,
           [&pool](ShutdownOnFailure& scope) {
             for (int i = 0; i < 6; ++i) {
               scope.Fork(Forever());
               scope.Fork(Lease(pool));
             }
             if (!scope.IsShutdown()) scope.Shutdown();
             for (int i = 0; i < 3; ++i) scope.Fork(Lease(pool));
           },
           2);
     },
     true, 2},
    {"WithinALimitInRounds",
     [](Pool& pool, Exit exit) -> Task<void> {
       ShutdownOnFailure scope({.max_concurrency = 2});
       for (int round = 0; round < 2; ++round) {
         for (int i = 0; i < 4; ++i) scope.Fork(Lease(pool));
         if (exit != Exit::kJoins) scope.Shutdown();
         (co_await scope.Join()).IgnoreFailures();
       }
     },
     true, 2},

    {"All", WEFT_AWAITED(All(Lease(pool), Lease(pool))), false},
    {"AllOfThreeAndOthers", WEFT_AWAITED(All(Lease(pool), Forever(), Fail(), Lease(pool))), false},
    {"AllOfARange",
     [](Pool& pool, Exit) -> Task<void> {
       std::vector<Task<void>> tasks;
       for (int i = 0; i < 70; ++i) tasks.push_back(Lease(pool));
       co_await All(std::move(tasks));
     },
     false},
    {"AllOfAnArray", WEFT_AWAITED(All(std::array{Lease(pool), Lease(pool)})), false},
    {"AllIntoASpan",
     [](Pool& pool, Exit) -> Task<void> {
       std::array<int, 2> results;
       co_await All(std::array{Lease<int>(pool), Lease<int>(pool)}, std::span(results));
     },
     false},
    {"Race", WEFT_AWAITED(Race(Lease<int>(pool), Lease<int>(pool))), false},
    {"Any", WEFT_AWAITED(Any(Lease<int>(pool), Lease<int>(pool))), false},
    {"ForEach",
     [](Pool& pool, Exit) -> Task<void> {
       std::vector<int> items(5);
       co_await ForEach(items, 2, [&pool](int&) { return Lease(pool); });
     },
     false, 2},
    {"Map",
     [](Pool& pool, Exit) -> Task<void> {
       std::vector<int> items(5);
       static_cast<void>(co_await Map(items, 2, [&pool](int&) { return Lease<int>(pool); }));
     },
     false, 2},
    {"MapSettled",
     [](Pool& pool, Exit) -> Task<void> {
       std::vector<int> items(5);
       static_cast<void>(co_await MapSettled(items, 2, [&pool](int&) { return Lease<int>(pool); }));
     },
     false, 2},

    {"Awaited",
     [](Pool& pool, Exit) -> Task<void> { co_await Lease(pool); }, false},
    {"WithTimeout", WEFT_AWAITED(WithTimeout(absl::Hours(1), Lease(pool))), false},
    {"WithTimeoutThatIsOver", WEFT_AWAITED(WithTimeout(absl::ZeroDuration(), Lease(pool))), false},
    {"MoveOnAfter", WEFT_AWAITED(MoveOnAfter(absl::ZeroDuration(), Lease(pool))), false},
    {"WithStopToken", WEFT_AWAITED(WithStopToken(std::stop_token(), Lease(pool))), false},
    {"CatchCancelled", WEFT_AWAITED(CatchCancelled(Lease(pool))), false},
    {"Shield", [](Pool& pool, Exit) -> Task<void> { co_await Shield(Lease(pool)); }, false},
    {"ShieldWithGrace",
     [](Pool& pool, Exit) -> Task<void> { co_await Shield(absl::ZeroDuration(), Lease(pool)); }, false},

    {"ForkOfAll", WEFT_FORKED(All(Lease(pool), Nap()))},
    {"ForkOfAllOfARange",
     [](Pool& pool, Exit exit) {
       return InScope(exit, [&pool](ShutdownOnFailure& scope) {
         std::vector<Task<void>> tasks;
         for (int i = 0; i < 3; ++i) tasks.push_back(i == 1 ? Nap() : Lease(pool));
         scope.Fork(All(std::move(tasks)));
       });
     }},
    {"ForkOfAllOfAnArray", WEFT_FORKED(All(std::array{Lease(pool), Nap()}))},
    {"ForkOfWithTimeout", WEFT_FORKED(WithTimeout(absl::Hours(1), Lease(pool)))},
    {"ForkOfCatchCancelled", WEFT_FORKED(CatchCancelled(Lease(pool)))},
    {"ForkOfShield", WEFT_FORKED(Shield(Lease(pool)))},
    {"ForkOfShieldWithGrace", WEFT_FORKED(Shield(absl::ZeroDuration(), Lease(pool)))},
    {"ForkOfWithStopToken", WEFT_FORKED(WithStopToken(std::stop_token(), Lease(pool)))},
    {"ForkOfACoroutineThatIsGivenABoundary",
     WEFT_FORKED(AwaitAny(WithTimeout(absl::Hours(1), All(Lease(pool), Nap()))))},
    {"AllOfBoundaries", WEFT_AWAITED(All(Shield(Lease(pool)), CatchCancelled(Lease(pool)))), false},
    {"RaceOfBoundaries",
     WEFT_AWAITED(Race(WithTimeout(absl::Hours(1), Lease(pool)), CatchCancelled(Lease(pool)))), false},
    {"ForkOfAShieldedReturn", WEFT_FORKED(ShieldedReturn(pool))},
    {"ForkOfAReturnThatHasSomeTime", WEFT_FORKED(ShieldedReturn(pool, absl::Hours(1)))},
    {"ForkOfAShieldedReturnInABoundary", WEFT_FORKED(WithTimeout(absl::Hours(1), ShieldedReturn(pool)))},
    {"AllOfShieldedReturns", WEFT_AWAITED(All(ShieldedReturn(pool), Nap(), ShieldedReturn(pool))), false},
    {"ForkOfRace", WEFT_FORKED(Race(Forever(), Lease(pool)))},
    {"ForkOfAny", WEFT_FORKED(Any(Lease(pool), Forever()))},
    {"ForkOfRun", WEFT_FORKED(Where(kValue, 1).Run(Lease(pool)))},
    {"ForkOfFinally", WEFT_FORKED(Finally(Lease(pool), []() -> Task<void> { co_await Yield(); }))},
    {"ForkOfACoroutineThatIsGivenIt", WEFT_FORKED(Await(1, Lease(pool)))},
    {"ForkOfACoroutineThatIsGivenAList",
     [](Pool& pool, Exit exit) {
       return InScope(exit, [&pool](ShutdownOnFailure& scope) {
         std::vector<Task<void>> tasks;
         tasks.push_back(Lease(pool));
         scope.Fork(AwaitAllOf(std::move(tasks)));
       });
     }},
    {"ForkOfACoroutineThatIsGivenAnArray", WEFT_FORKED(AwaitBoth(std::array{Lease(pool), Nap()}))},
    {"ForkOfAllOfRacesOfRuns",
     WEFT_FORKED(All(Race(Where(kValue, 1).Run(Lease(pool)), Forever()), Await(1, Lease(pool)), Nap()))},
};

// How everything around is cancelled.
struct Around {
  const char* name;
  Task<void> (*run)(const Start& start, Pool& pool, Exit exit);
  friend std::ostream& operator<<(std::ostream& out, const Around& around) { return out << around.name; }
};

Task<void> Shut(AwaitAll& scope, int yields) {
  for (int i = 0; i < yields; ++i) co_await Yield();
  scope.Shutdown();
}

const Around kArounds[] = {
    {"not at all", [](const Start& start, Pool& pool, Exit exit) { return start.run(pool, exit); }},
    {"before",
     [](const Start& start, Pool& pool, Exit exit) -> Task<void> {
       co_await MoveOnAfter(absl::ZeroDuration(), start.run(pool, exit));
     }},
    {"soon",
     [](const Start& start, Pool& pool, Exit exit) -> Task<void> {
       co_await MoveOnAfter(absl::Microseconds(5), start.run(pool, exit));
     }},
    {"by the scope around",
     [](const Start& start, Pool& pool, Exit exit) -> Task<void> {
       for (int yields = 0; yields < 3; ++yields) {
         AwaitAll scope;
         scope.Fork(start.run(pool, exit));
         scope.Fork(Shut(scope, yields));
         (co_await scope.Join()).IgnoreFailures();
       }
     }},
    {"by a destructor",
     [](const Start& start, Pool& pool, Exit exit) -> Task<void> {
       AwaitAll scope;
       scope.Fork(start.run(pool, exit));
       co_await Yield();
     }},
};

class OwedCleanUpTest : public OnBoth {};
WEFT_ON_BOTH(OwedCleanUpTest);

void Try(Runtime& runtime, const Start& start, const Around& around, Exit exit) {
  SCOPED_TRACE(::testing::Message() << start << ", cancelled " << around << ", whose owner " << exit);
  Pool pool;
  runtime.Run(around.run(start, pool, exit));
  EXPECT_EQ(pool.leased, pool.released);
  if (start.limit != 0) EXPECT_LE(pool.most, start.limit);
}

TEST_P(OwedCleanUpTest, WhatWasLeasedIsGivenBackHoweverItIsStartedAndCancelled) {
  constexpr int kParts = 10;  // of the table: one in each run
  int part = 0;
  OnEveryRuntime([&part](Runtime& runtime) {
    int at = part++;
    for (const Start& start : kStarts) {
      for (const Around& around : kArounds) {
        for (const Exit exit : kExits) {
          if (!start.has_scope && exit != Exit::kJoins) continue;
          if (at++ % kParts == 0 && !HasFailure()) Try(runtime, start, around, exit);
        }
      }
    }
  });
}

// Keeps a carrier busy until it is asked to end.
Task<absl::Status> Spin(std::atomic<int>& spinning) {
  ++spinning;
  while (!CancelRequested()) {
  }
  co_return absl::OkStatus();
}

class OwedCleanUpOfARootTest : public ::testing::TestWithParam<int> {};
INSTANTIATE_TEST_SUITE_P(Carriers, OwedCleanUpOfARootTest, ::testing::Values(1, 2, 4));

TEST_P(OwedCleanUpOfARootTest, ARootThatIsCancelledBeforeItBeginsCleansUp) {
  // Without spare carriers: they would run it.
  absl::StatusOr<std::unique_ptr<Runtime>> created =
      Runtime::Create({.parallelism = GetParam(), .held_carrier_threshold = absl::ZeroDuration()});
  ASSERT_TRUE(created.ok()) << created.status();
  Runtime& runtime = **created;
  std::atomic<int> spinning{0};
  Pool pool;
  std::vector<std::thread> callers;
  for (int i = 0; i < GetParam(); ++i) {
    callers.emplace_back([&] { static_cast<void>(runtime.TryRun(Spin(spinning))); });
  }
  while (spinning < GetParam()) std::this_thread::yield();
  callers.emplace_back([&] {
    ++pool.leased;
    const absl::Status done = runtime.TryRun(Finally(testing::Forever(), [&pool] { return GiveBack(pool); }));
    EXPECT_EQ(done.code(), absl::StatusCode::kCancelled);
  });
  while (runtime.Stats().threads_alive < GetParam() + 1) std::this_thread::yield();
  created->reset();
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(pool.leased, 1);
  EXPECT_EQ(pool.released, 1);
}

TEST_P(OwedCleanUpTest, TheTaskOfAChildThatIsCancelledRunsToItsFirstCheckpoint) {
  Everywhere([]() -> Task<void> {
    std::vector<int> notes;
    AwaitAll scope;
    scope.Shutdown("as planned");
    const auto child = scope.Fork(Finally(
        [](std::vector<int>& notes) -> Task<void> {
          EXPECT_TRUE(CancelRequested());
          notes.push_back(1);
          co_await Yield();
          notes.push_back(-1);
        }(notes),
        [&notes]() -> Task<void> {
          EXPECT_FALSE(CancelRequested());
          co_await Yield();
          notes.push_back(2);
        }));
    EXPECT_TRUE((co_await scope.Join()).ok());
    EXPECT_EQ(notes, (std::vector<int>{1, 2}));
    EXPECT_EQ(child.state(), AnySubtask::State::kUnavailable);
    EXPECT_NE(child.status().message().find("as planned"), std::string_view::npos) << child.status();
  });
}

TEST_P(OwedCleanUpTest, WhatIsNeverHandedOverOrFindsNoMemoryPromisesNothing) {
  Everywhere([]() -> Task<void> {
    Pool pool;
    { const Task<void> dropped = Lease(pool); }
    AwaitAll scope;
    {
      Task<void> lease = Lease(pool);
      const internal::ScopedFrameFault fault({.here = true});
      const auto child = scope.Fork(std::move(lease));
      EXPECT_EQ(child.state(), AnySubtask::State::kFailed);
    }
    scope.Shutdown();
    scope.Fork([&pool] { return Lease(pool); });
    co_await scope.Close();
    EXPECT_EQ(pool.leased, 2);
    EXPECT_EQ(pool.released, 0);
  });
}

}  // namespace
}  // namespace weft::testing

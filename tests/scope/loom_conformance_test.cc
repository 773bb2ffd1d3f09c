// StructuredTaskScope as the JDK 21 has it (JEP 453), and what its ThreadFlock guarantees below any interface. Goal:
// what is promised there and kept here, one test each, where no other test says it; docs/from-loom.md has the whole
// list, and where we depart. Method: the same bodies in simulations under many seeds and on real carriers; death tests
// in simulations.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "tests/support/counted.h"
#include "tests/support/on_both.h"
#include "weft/all.h"
#include "weft/cancellation.h"
#include "weft/scope.h"
#include "weft/sync/event.h"
#include "weft/task.h"
#include "weft/testing/simulation.h"
#include "weft/time.h"

namespace weft {
namespace {

using testing::Counted;
using testing::Forever;
using testing::Introduction;
using State = AnySubtask::State;

class LoomScopeTest : public testing::OnBoth {};
WEFT_ON_BOTH(LoomScopeTest);

Task<int> Give(int value) { co_return value; }
Task<absl::StatusOr<int>> GiveOr(absl::StatusOr<int> result) { co_return result; }
Task<absl::Status> End(absl::Status status) { co_return status; }
Task<void> WaitFor(Event& event) { co_await event.Wait(); }

// Takes its time, and then takes note.
Task<void> EndLate(bool& ended) {
  for (int i = 0; i < 5; ++i) co_await Yield();
  ended = true;
}

TEST_P(LoomScopeTest, AScopeThatWasGivenNoNameHasNone) {
  Everywhere([]() -> Task<void> {
    const AwaitAll nameless;
    EXPECT_EQ(nameless.name(), "");
    EXPECT_FALSE(nameless.IsShutdown());
    co_return;
  });
}

// ---- fork.

TEST_P(LoomScopeTest, ABranchOfAnAllIsInTheTreeOfWhateverIsOpenAroundIt) {
  Everywhere([]() -> Task<void> {
    AwaitAll scope;
    const auto fork = [](AwaitAll& into, int value) -> Task<Subtask<int>> {
      co_await Yield();
      co_return into.Fork(Give(value));
    };
    auto [one, two] = co_await All(fork(scope, 1), fork(scope, 2));
    EXPECT_TRUE((co_await scope.Join()).ok());
    EXPECT_EQ(*one, 1);
    EXPECT_EQ(*two, 2);
  });
}

// A regression: what the owner made of a join was read while others wrote it.
//   1. owner: its join of `outer` is over, for the time being; it collects the failures
//   2. child of `inner`: forks into `outer`, as it may
//   3. what it has forked fails, and is put with the failures
TEST_P(LoomScopeTest, AThreadOfANestedScopeForksWhileTheOwnerJoinsTheOuterOne) {
  Everywhere([]() -> Task<void> {
    constexpr uint64_t kForks = 20;
    AwaitAll outer;
    AwaitAll inner;
    inner.Fork([&outer]() -> Task<void> {
      for (uint64_t i = 0; i < kForks; ++i) {
        outer.Fork(End(absl::AbortedError("x")));
        co_await Yield();
      }
    });
    for (uint64_t seen = 0; seen < kForks; co_await Yield()) {
      const Outcome outcome = co_await outer.Join();
      EXPECT_EQ(outcome.failures().size(), outcome.failure_count());
      EXPECT_GE(outcome.failure_count(), seen);
      seen = outcome.failure_count();
    }
    EXPECT_TRUE((co_await inner.Join()).ok());
    EXPECT_EQ((co_await outer.Join()).failure_count(), kForks);
  });
}

// ---- join.

TEST_P(LoomScopeTest, AShutdownDoesNotEndAJoinBeforeEveryChildHasEnded) {
  Everywhere([]() -> Task<void> {
    bool ended = false;
    AwaitAll scope;
    Introduction running;
    scope.Fork([&]() -> Task<void> {
      running.Make();
      co_await Shield(EndLate(ended));
    });
    (void)co_await running.Await();
    scope.Shutdown();
    (co_await scope.Join()).IgnoreFailures();
    EXPECT_TRUE(ended);
  });
}

TEST_P(LoomScopeTest, TheFirstFailureIsTheOutcomeOfLaterRoundsTooAndOutlivesTheScope) {
  Everywhere([]() -> Task<void> {
    Outcome last;
    {
      AwaitAll scope;
      scope.Fork(End(absl::AbortedError("a")));
      EXPECT_EQ((co_await scope.Join()).status(), absl::AbortedError("a"));
      EXPECT_EQ((co_await scope.Join()).status(), absl::AbortedError("a")) << "a join may be repeated";
      scope.Fork(End(absl::InternalError("b")));
      last = co_await scope.Join();
    }
    EXPECT_EQ(last.status(), absl::AbortedError("a"));
    EXPECT_EQ(last.failure_count(), 2u);
    EXPECT_EQ(last.failures().back().status, absl::InternalError("b"));
  });
}

// A regression: a join returned while a child ran.
//   1. the last child of `outer` ends, and wakes the owner, which has opened `inner` since and is parked
//   2. child of `inner`: forks another into `outer`, before the owner has its turn
//   3. owner: goes on, as if there were none
TEST(LoomScopeSimulationTest, AJoinWaitsForWhatANestedScopeForksBeforeTheOwnerGoesOn) {
  for (const int carriers : {1, 2, 3}) {
    for (uint64_t seed = 1; seed <= 50; ++seed) {
      testing::Simulation simulation({.carriers = carriers, .seed = seed});
      simulation.Run([]() -> Task<void> {
        int running = 0;
        bool done = false;
        AllSuccessful<int> outer;
        AwaitAll inner;
        inner.Fork([&]() -> Task<void> {
          for (int i = 0; i < 20; ++i) {
            outer.Fork([&running]() -> Task<int> {
              ++running;
              co_await Yield();
              --running;
              co_return 1;
            });
            co_await Yield();
          }
          done = true;
        });
        size_t values = 0;
        for (bool last = false; !last; co_await Yield()) {
          last = done;
          const absl::StatusOr<std::vector<int>> joined = co_await outer.Join();
          EXPECT_EQ(running, 0);
          EXPECT_EQ(joined.status(), absl::OkStatus());
          if (joined.ok()) values += joined->size();
        }
        EXPECT_EQ(values, 20u);
        EXPECT_TRUE((co_await inner.Join()).ok());
      }());
    }
  }
}

// ---- shutdown.

TEST_P(LoomScopeTest, ShutdownDoesNotWaitForThoseItAsksToEnd) {
  Everywhere([]() -> Task<void> {
    AwaitAll scope;
    Introduction shielded;
    Event gate;
    scope.Fork([&]() -> Task<void> {
      shielded.Make();
      co_await Shield(WaitFor(gate));
    });
    co_await shielded.AwaitParked();
    const VirtualThread waiting = co_await shielded.Await();
    scope.Shutdown();
    EXPECT_NE(waiting.state(), VirtualThread::State::kTerminated);
    gate.Set();
    EXPECT_TRUE((co_await scope.Join()).ok());
  });
}

TEST_P(LoomScopeTest, AThreadOfANestedScopeShutsTheOuterOneDownAndGoesOn) {
  Everywhere([]() -> Task<void> {
    AwaitAll outer;
    auto waits = outer.Fork(Forever());
    AwaitAll inner;
    auto caller = inner.Fork([&outer]() -> Task<int> {
      outer.Shutdown();
      co_await Yield();
      co_await Yield();
      co_return 3;
    });
    EXPECT_TRUE((co_await inner.Join()).ok());
    EXPECT_EQ(*caller, 3) << "it is no thread of the outer scope";
    EXPECT_FALSE(inner.IsShutdown());
    EXPECT_TRUE((co_await outer.Join()).ok());
    EXPECT_EQ(waits.state(), State::kUnavailable);
  });
}

TEST_P(LoomScopeTest, AnyThreadMayAskWhetherAScopeIsShutDown) {
  Everywhere([]() -> Task<void> {
    Event opened, asked, shut, asked_again;
    const AwaitAll* theirs = nullptr;
    AwaitAll siblings;
    siblings.Fork([&]() -> Task<void> {
      AwaitAll scope;
      theirs = &scope;
      opened.Set();
      co_await asked.Wait();
      scope.Shutdown();
      shut.Set();
      co_await asked_again.Wait();
    });
    siblings.Fork([&]() -> Task<void> {
      co_await opened.Wait();
      EXPECT_FALSE(theirs->IsShutdown());
      asked.Set();
      co_await shut.Wait();
      EXPECT_TRUE(theirs->IsShutdown());
      asked_again.Set();
    });
    EXPECT_TRUE((co_await siblings.Join()).ok());
  });
}

// ---- close.

TEST_P(LoomScopeTest, AScopeIsShutDownWhenItIsClosedAndItsResultsStay) {
  Everywhere([]() -> Task<void> {
    AwaitAll scope;
    auto child = scope.Fork(Give(3));
    EXPECT_TRUE((co_await scope.Join()).ok());
    EXPECT_FALSE(scope.IsShutdown());
    EXPECT_EQ(co_await scope.Close(7), 7);
    EXPECT_TRUE(scope.IsShutdown());
    EXPECT_EQ(*child, 3);
  });
}

TEST_P(LoomScopeTest, ACloseByACancelledThreadWaitsForTheChildrenAndTheThreadGoesOnBeingCancelled) {
  Everywhere([]() -> Task<void> {
    bool ended = false;
    AwaitAll scope;
    Introduction running;
    scope.Fork([&]() -> Task<void> {
      AwaitAll inner;
      Introduction shielded;
      inner.Fork([&]() -> Task<void> {
        shielded.Make();
        co_await Shield(EndLate(ended));
      });
      (void)co_await shielded.Await();
      running.Make();
      co_await testing::UntilAsked();
      co_await inner.Close();
      ADD_FAILURE() << "it is a checkpoint";
    });
    (void)co_await running.Await();
    scope.Shutdown();
    EXPECT_TRUE((co_await scope.Join()).ok());
    EXPECT_TRUE(ended);
  });
}

TEST_P(LoomScopeTest, WhatIsForkedWhileTheScopeIsClosedIsNotStarted) {
  Everywhere([]() -> Task<void> {
    std::atomic<bool> ran{false};
    AwaitAll scope;
    Introduction running;
    scope.Fork([&]() -> Task<void> {
      running.Make();
      co_await testing::UntilAsked();
      auto late = scope.Fork([flag = &ran]() -> Task<void> {
        *flag = true;
        co_return;
      });
      EXPECT_EQ(late.state(), State::kUnavailable);
    });
    (void)co_await running.Await();
    co_await scope.Close();
    EXPECT_FALSE(ran);
  });
}

// ---- Subtasks.

TEST_P(LoomScopeTest, WhatASubtaskDidHappensBeforeAnotherThreadReadsItsResult) {
  Everywhere([]() -> Task<void> {
    int plain = 0;
    AwaitAll scope;
    auto first = scope.Fork([&plain]() -> Task<int> {
      co_await Yield();
      plain = 5;
      co_return 6;
    });
    scope.Fork([&plain, &first]() -> Task<void> {
      while (first.state() == State::kUnavailable) co_await Yield();
      EXPECT_EQ(first.get(), 6);
      EXPECT_EQ(plain, 5);
    });
    EXPECT_TRUE((co_await scope.Join()).ok());
  });
}

// ---- ShutdownOnSuccess.

TEST_P(LoomScopeTest, ASuccessIsTheResultHoweverManyHaveFailedBefore) {
  Everywhere([]() -> Task<void> {
    ShutdownOnSuccess<int> scope;
    std::vector<Subtask<int>> failing;
    for (int i = 0; i < 5; ++i) failing.push_back(scope.Fork(GiveOr(absl::NotFoundError("it"))));
    scope.Fork([&failing]() -> Task<int> {
      for (const Subtask<int>& subtask : failing) {
        while (subtask.state() != State::kFailed) co_await Yield();
      }
      co_return 7;
    });
    const absl::StatusOr<int> joined = co_await scope.Join();
    EXPECT_EQ(*joined, 7);
  });
}

TEST_P(LoomScopeTest, ASecondSuccessIsTooLate) {
  Everywhere([]() -> Task<void> {
    ShutdownOnSuccess<int> scope;
    Introduction shielded;
    Event gate;
    auto second = scope.Fork([&]() -> Task<int> {
      shielded.Make();
      co_await Shield(WaitFor(gate));
      co_return 2;
    });
    co_await shielded.AwaitParked();
    scope.Fork(Give(1));
    while (!scope.IsShutdown()) co_await Yield();
    gate.Set();
    EXPECT_EQ((co_await scope.Join()).value(), 1);
    EXPECT_EQ(second.state(), State::kUnavailable);
  });
}

TEST_P(LoomScopeTest, AWinnersValueThatCannotBeCopiedIsMovedOutByTheFirstJoin) {
  Everywhere([]() -> Task<void> {
    ShutdownOnSuccess<std::unique_ptr<int>> scope;
    scope.Fork([]() -> Task<std::unique_ptr<int>> { co_return std::make_unique<int>(4); });
    EXPECT_EQ(*(co_await scope.Join()).value(), 4);
    EXPECT_EQ((co_await scope.Join()).status().code(), absl::StatusCode::kFailedPrecondition);
  });
}

// ---- ThreadFlock.

TEST_P(LoomScopeTest, NoForkSlipsPastAShutdown) {
  Everywhere([]() -> Task<void> {
    AwaitAll scope;
    AwaitAll inner;
    Event forking;
    inner.Fork([&]() -> Task<void> {
      for (bool shut = false; !shut;) {
        shut = scope.IsShutdown();
        // Neither refused nor asked to end, it would wait for ever, and the join with it.
        scope.Fork([shut, held = Counted()]() -> Task<void> {
          EXPECT_FALSE(shut) << "started after the shutdown";
          co_await Forever();
        });
        forking.Set();
        co_await Yield();
      }
    });
    co_await forking.Wait();
    scope.Shutdown();
    EXPECT_TRUE((co_await inner.Join()).ok());
    EXPECT_TRUE((co_await scope.Join()).ok());
  });
}

TEST_P(LoomScopeTest, AFailureReachesWhatTheOwnerForksMeanwhile) {
  Everywhere([]() -> Task<void> {
    ShutdownOnFailure scope;
    scope.Fork(End(absl::AbortedError("x")));
    std::vector<Subtask<void>> others;
    for (int i = 0; i < 30; ++i) {
      others.push_back(scope.Fork(Forever()));
      if (i % 10 == 9) co_await Yield();
    }
    EXPECT_EQ((co_await scope.Join()).status(), absl::AbortedError("x"));
    for (const Subtask<void>& other : others) EXPECT_EQ(other.state(), State::kUnavailable);
  });
}

// ---- Misuse.

template <class Make>
void Simulate(Make make) {
  testing::Simulation simulation;
  simulation.Run(make());
}

TEST(LoomScopeDeathTest, WhoForkedTheOwnerIsAStrangerToItsScope) {
  EXPECT_DEATH(Simulate([]() -> Task<void> {
                 Event opened;
                 AwaitAll* theirs = nullptr;
                 AwaitAll scope;
                 scope.Fork(
                     [&]() -> Task<void> {
                       AwaitAll inner;
                       theirs = &inner;
                       opened.Set();
                       co_await Forever();
                     },
                     {.name = "child"});
                 co_await opened.Wait();
                 theirs->Fork(Give(1));
               }),
               "Fork\\(\\) by VirtualThread\\[#1\\].*; the scope is owned by VirtualThread\\[#2,child\\].*, and the "
               "caller is not in the tree below it");
}

TEST(LoomScopeDeathTest, AForkAfterTheShutdownCountsForTheRound) {
  EXPECT_DEATH(Simulate([]() -> Task<void> {
                 AwaitAll scope;
                 scope.Shutdown();
                 (co_await scope.Join()).IgnoreFailures();
                 auto late = scope.Fork(Give(1), {.name = "late"});
                 late.get();
               }),
               "Subtask::get\\(\\) by the owner VirtualThread\\[#1\\].* before Join\\(\\); the subtask is "
               "VirtualThread\\[#2,late\\]");
}

TEST(LoomScopeDeathTest, AJoinWhoseTimeIsUpDoesNotCompleteTheRound) {
  EXPECT_DEATH(Simulate([]() -> Task<void> {
                 AwaitAll scope;
                 auto first = scope.Fork(Give(1), {.name = "first"});
                 scope.Fork(Forever());
                 EXPECT_FALSE((co_await scope.JoinFor(absl::Milliseconds(1))).has_value());
                 EXPECT_EQ(first.state(), State::kSuccess);
                 first.get();
               }),
               "Subtask::get\\(\\) by the owner VirtualThread\\[#1\\].* before Join\\(\\); the subtask is "
               "VirtualThread\\[#2,first\\]");
}

TEST(LoomScopeDeathTest, JoinForByAChildNamesBoth) {
  EXPECT_DEATH(Simulate([]() -> Task<void> {
                 AwaitAll scope;
                 scope.Fork([&scope]() -> Task<void> { (void)co_await scope.JoinFor(absl::Hours(1)); },
                            {.name = "child"});
                 (co_await scope.Join()).IgnoreFailures();
               }),
               "JoinFor\\(\\) by VirtualThread\\[#2,child\\].*; the scope is owned by VirtualThread\\[#1\\]");
}

TEST(LoomScopeDeathTest, JoinUntilOfAClosedScope) {
  EXPECT_DEATH(Simulate([]() -> Task<void> {
                 AwaitAll scope;
                 co_await scope.Close();
                 (void)co_await scope.JoinUntil(Now() + absl::Hours(1));
               }),
               "Join\\(\\) of a scope that is closed, by VirtualThread\\[#1\\]");
}

TEST(LoomScopeDeathTest, AnotherThreadReadsASubtaskThatHasNotCompleted) {
  const auto read_while_it_waits = [](auto read) {
    Simulate([&read]() -> Task<void> {
      AwaitAll scope;
      auto waits = scope.Fork(Forever(), {.name = "slow"});
      scope.Fork([&]() -> Task<void> {
        read(waits);
        co_return;
      });
      (co_await scope.Join()).IgnoreFailures();
    });
  };
  EXPECT_DEATH(read_while_it_waits([](const Subtask<void>& subtask) { subtask.get(); }),
               "Subtask::get\\(\\) of a subtask that is UNAVAILABLE .*, not SUCCESS: VirtualThread\\[#2,slow\\]");
  EXPECT_DEATH(read_while_it_waits([](const Subtask<void>& subtask) { (void)subtask.exception(); }),
               "Subtask::exception\\(\\) of a subtask that is UNAVAILABLE .*, not FAILED: VirtualThread\\[#2,slow\\]");
}

// The JDK closes such a scope and waits. Here a scope lies in a frame, and this one in none of the thread's own.
TEST(LoomScopeDeathTest, ARootThatEndsWithAScopeOpen) {
  struct OpenedInTime final : AwaitAll {};
  std::optional<OpenedInTime> left_open;
  EXPECT_DEATH(Simulate([&left_open]() -> Task<void> {
                 left_open.emplace();
                 co_return;
               }),
               "VirtualThread\\[#1\\].* ends while a scope that it has opened is still open");
}

TEST(LoomScopeDeathTest, AThreadThatEndsWithAScopeOpen) {
  struct OpenedInTime final : AwaitAll {};
  EXPECT_DEATH(Simulate([]() -> Task<void> {
                 std::optional<OpenedInTime> left_open;
                 AwaitAll scope;
                 scope.Fork(
                     [&left_open]() -> Task<void> {
                       left_open.emplace();
                       co_return;
                     },
                     {.name = "opener"});
                 (co_await scope.Join()).IgnoreFailures();
               }),
               "VirtualThread\\[#2,opener\\].* ends while a scope that it has opened is still open; a scope is a local "
               "of the coroutine that opens it");
}

}  // namespace
}  // namespace weft

// Structured task scopes without exceptions. Goal: the sentences of scope.h and subtask.h, one test each.
// Method: the same bodies in simulations under many seeds and on real carriers; events order what has to be ordered.
#include "weft/scope.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "lib/coro/frame_cache.h"
#include "tests/support/counted.h"
#include "tests/support/on_both.h"
#include "weft/cancellation.h"
#include "weft/sync/event.h"
#include "weft/sync/mutex.h"

namespace weft {
namespace {

using testing::Counted;
using testing::Forever;
using testing::Introduction;

class ScopeTest : public testing::OnBoth {};
WEFT_ON_BOTH(ScopeTest);

Task<int> Give(int value) { co_return value; }
Task<absl::StatusOr<int>> GiveOr(absl::StatusOr<int> result) { co_return result; }
Task<absl::Status> End(absl::Status status) { co_return status; }
Task<void> DoNothing() { co_return; }

// ---- Fork and join.

TEST_P(ScopeTest, JoinWaitsForEveryChildAndTheirResultsAreThere) {
  Everywhere([]() -> Task<void> {
    AwaitAll scope;
    std::vector<Subtask<int>> subtasks;
    for (int i = 0; i < 10; ++i) {
      subtasks.push_back(scope.Fork([i]() -> Task<int> {
        for (int n = 0; n < i; ++n) co_await Yield();
        co_return i;
      }));
    }
    EXPECT_TRUE((co_await scope.Join()).ok());
    for (int i = 0; i < 10; ++i) {
      EXPECT_EQ(subtasks[i].state(), Subtask<int>::State::kSuccess);
      EXPECT_EQ(*subtasks[i], i);
      EXPECT_EQ(subtasks[i].status(), absl::OkStatus());
    }
  });
}

TEST_P(ScopeTest, AJoinOfNothingIsOk) {
  Everywhere([]() -> Task<void> {
    ShutdownOnFailure scope;
    EXPECT_TRUE((co_await scope.Join()).ok());
    EXPECT_TRUE((co_await scope.Join()).ok());
  });
}

TEST_P(ScopeTest, TheCallerOfForkGoesOnAtOnce) {
  Everywhere([]() -> Task<void> {
    AwaitAll scope;
    Event gate;
    auto child = scope.Fork([&gate]() -> Task<int> {
      co_await gate.Wait();
      co_return 5;
    });
    EXPECT_EQ(child.state(), Subtask<int>::State::kUnavailable);
    gate.Set();
    (co_await scope.Join()).IgnoreFailures();
    EXPECT_EQ(*child, 5);
  });
}

TEST_P(ScopeTest, EveryRoundOfForksHasItsJoin) {
  Everywhere([]() -> Task<void> {
    ShutdownOnFailure scope;
    std::vector<Subtask<int>> subtasks;
    for (int round = 0; round < 5; ++round) {
      subtasks.push_back(scope.Fork(Give(round)));
      subtasks.push_back(scope.Fork(Give(10 * round)));
      EXPECT_TRUE((co_await scope.Join()).ok());
      for (int done = 0; done <= round; ++done) {
        EXPECT_EQ(*subtasks[2 * done], done);
        EXPECT_EQ(*subtasks[2 * done + 1], 10 * done);
      }
    }
  });
}

TEST_P(ScopeTest, ScopesNestInOneThreadAndAreClosedInReverseOrder) {
  Everywhere([]() -> Task<void> {
    ShutdownOnFailure outer;
    auto first = outer.Fork(Give(1));
    {
      AwaitAll inner;
      auto second = inner.Fork(Give(2));
      (co_await inner.Join()).IgnoreFailures();
      EXPECT_EQ(*second, 2);
    }
    EXPECT_TRUE((co_await outer.Join()).ok());
    EXPECT_EQ(*first, 1);
  });
}

Task<int> CountLeaves(int depth) {
  if (depth == 0) co_return 1;
  ShutdownOnFailure scope;
  auto left = scope.Fork(CountLeaves(depth - 1));
  auto right = scope.Fork([depth] { return CountLeaves(depth - 1); });
  (co_await scope.Join()).IgnoreFailures();
  co_return *left + *right;
}

TEST_P(ScopeTest, ATreeOfScopesSumsUp) {
  Everywhere([]() -> Task<void> { EXPECT_EQ(co_await CountLeaves(7), 128); });
}

TEST_P(ScopeTest, WhatTheOwnerDidBeforeForkIsSeenByTheChildAndBack) {
  Everywhere([]() -> Task<void> {
    int plain = 1;
    AwaitAll scope;
    scope.Fork([&plain]() -> Task<void> {
      EXPECT_EQ(plain, 1);
      plain = 2;
      co_return;
    });
    (co_await scope.Join()).IgnoreFailures();
    EXPECT_EQ(plain, 2);
  });
}

TEST_P(ScopeTest, ANameGivenToForkIsTheChilds) {
  Everywhere([]() -> Task<void> {
    AwaitAll scope("servers");
    EXPECT_EQ(scope.name(), "servers");
    auto named = scope.Fork([]() -> Task<std::string> { co_return std::string(VirtualThread::Current().name()); },
                            {.name = "worker-7"});
    auto nameless = scope.Fork([]() -> Task<std::string> { co_return std::string(VirtualThread::Current().name()); });
    (co_await scope.Join()).IgnoreFailures();
    EXPECT_EQ(*named, "worker-7");
    EXPECT_EQ(*nameless, "");
  });
}

TEST_P(ScopeTest, ASubtaskKnowsTheIdOfItsThread) {
  Everywhere([]() -> Task<void> {
    AwaitAll scope;
    auto first = scope.Fork([]() -> Task<uint64_t> { co_return VirtualThread::Current().id(); });
    auto second = scope.Fork([]() -> Task<uint64_t> { co_return VirtualThread::Current().id(); });
    EXPECT_NE(first.thread_id(), second.thread_id());
    EXPECT_NE(first.thread_id(), VirtualThread::Current().id());
    (co_await scope.Join()).IgnoreFailures();
    EXPECT_EQ(*first, first.thread_id());
    EXPECT_EQ(*second, second.thread_id());
  });
}

TEST_P(ScopeTest, AThreadOfTheTreeForksIntoAnOuterScope) {
  Everywhere([]() -> Task<void> {
    AwaitAll outer;
    std::optional<Subtask<int>> by_grandchild;
    std::optional<Subtask<int>> by_child;
    outer.Fork([&]() -> Task<void> {
      by_child.emplace(outer.Fork(Give(3)));
      AwaitAll inner;
      inner.Fork([&]() -> Task<void> {
        by_grandchild.emplace(outer.Fork([]() -> Task<int> {
          co_await Yield();
          co_return 4;
        }));
        co_return;
      });
      (co_await inner.Join()).IgnoreFailures();
    });
    (co_await outer.Join()).IgnoreFailures();
    EXPECT_EQ(**by_child, 3);
    EXPECT_EQ(**by_grandchild, 4);
  });
}

TEST_P(ScopeTest, AnotherThreadOfTheTreeReadsASubtaskAsSoonAsItHasCompleted) {
  Everywhere([]() -> Task<void> {
    AwaitAll scope;
    auto first = scope.Fork(Give(8));
    scope.Fork([&first]() -> Task<void> {
      while (first.state() == Subtask<int>::State::kUnavailable) co_await Yield();
      EXPECT_EQ(first.get(), 8);
    });
    (co_await scope.Join()).IgnoreFailures();
  });
}

// ---- What a Task may return.

TEST_P(ScopeTest, ResultsAreFlattened) {
  Everywhere([]() -> Task<void> {
    static int target = 6;
    AwaitAll scope;
    Subtask<int> value = scope.Fork(Give(1));
    Subtask<int> value_or = scope.Fork(GiveOr(2));
    Subtask<void> nothing = scope.Fork(DoNothing());
    Subtask<void> status = scope.Fork(End(absl::OkStatus()));
    Subtask<int&> reference = scope.Fork([]() -> Task<int&> { co_return target; });
    Subtask<std::unique_ptr<int>> moved =
        scope.Fork([]() -> Task<std::unique_ptr<int>> { co_return std::make_unique<int>(4); });
    Subtask<std::unique_ptr<int>> moved_or =
        scope.Fork([]() -> Task<absl::StatusOr<std::unique_ptr<int>>> { co_return std::make_unique<int>(5); });
    EXPECT_TRUE((co_await scope.Join()).ok());
    EXPECT_EQ(*value, 1);
    EXPECT_EQ(*value_or, 2);
    nothing.get();
    status.get();
    EXPECT_EQ(&*reference, &target);
    EXPECT_EQ(**moved, 4);
    std::unique_ptr<int> taken = std::move(moved_or).get();
    EXPECT_EQ(*taken, 5);
  });
}

TEST_P(ScopeTest, AStatusThatIsNotOkIsAFailedSubtask) {
  Everywhere([]() -> Task<void> {
    AwaitAll scope;
    auto failed = scope.Fork(GiveOr(absl::NotFoundError("no such user")));
    auto also = scope.Fork(End(absl::InternalError("broken")));
    const Outcome outcome = co_await scope.Join();
    EXPECT_FALSE(outcome.ok());
    EXPECT_EQ(outcome.failure_count(), 2u);
    EXPECT_EQ(failed.state(), Subtask<int>::State::kFailed);
    EXPECT_EQ(failed.status(), absl::NotFoundError("no such user"));
    EXPECT_EQ(failed.exception(), nullptr);
    EXPECT_EQ(also.status(), absl::InternalError("broken"));
  });
}

// ---- ShutdownOnFailure.

TEST_P(ScopeTest, TheFirstFailureCancelsTheRestAndIsTheOutcome) {
  Everywhere([]() -> Task<void> {
    ShutdownOnFailure scope;
    std::atomic<bool> went_on{false};
    Introduction waiting;
    auto waits = scope.Fork([&]() -> Task<int> {
      co_await Forever(waiting);
      went_on = true;
      co_return 1;
    });
    co_await waiting.AwaitParked();
    auto failed = scope.Fork(GiveOr(absl::DataLossError("gone")));
    const absl::Status joined = co_await scope.Join();
    EXPECT_EQ(joined, absl::DataLossError("gone"));
    EXPECT_TRUE(scope.IsShutdown());
    EXPECT_EQ(waits.state(), Subtask<int>::State::kUnavailable);
    EXPECT_EQ(waits.status().code(), absl::StatusCode::kUnavailable);
    EXPECT_EQ(failed.state(), Subtask<int>::State::kFailed);
    EXPECT_FALSE(went_on);
  });
}

TEST_P(ScopeTest, AfterAShutdownForkStartsNothing) {
  Everywhere([]() -> Task<void> {
    ShutdownOnFailure scope;
    scope.Fork(End(absl::AbortedError("x")));
    (co_await scope.Join()).IgnoreFailures();
    std::atomic<bool> ran{false};
    auto late = scope.Fork([&ran]() -> Task<int> {
      ran = true;
      co_return 1;
    });
    EXPECT_EQ(late.state(), Subtask<int>::State::kUnavailable);
    const absl::Status joined = co_await scope.Join();
    EXPECT_EQ(joined, absl::AbortedError("x"));
    EXPECT_EQ(late.state(), Subtask<int>::State::kUnavailable);
    EXPECT_FALSE(ran);
  });
}

TEST_P(ScopeTest, ASubtaskThatCompletesAfterTheShutdownStaysUnavailableButItsFailureIsKept) {
  Everywhere([]() -> Task<void> {
    ShutdownOnFailure scope;
    Introduction shielded;
    Event gate;
    auto slow_failure = scope.Fork([&]() -> Task<absl::Status> {
      shielded.Make();
      co_await Shield([](Event& event) -> Task<void> { co_await event.Wait(); }(gate));
      co_return absl::InternalError("second");
    });
    auto slow_success = scope.Fork([&]() -> Task<int> {
      co_await Shield([](Event& event) -> Task<void> { co_await event.Wait(); }(gate));
      co_return 1;
    });
    co_await shielded.AwaitParked();
    auto first = scope.Fork(End(absl::AbortedError("first")));
    while (!scope.IsShutdown()) co_await Yield();
    gate.Set();
    const Outcome outcome = co_await scope.Join();
    EXPECT_EQ(outcome.status(), absl::AbortedError("first"));
    EXPECT_EQ(outcome.failure_count(), 2u);
    EXPECT_EQ(outcome.failures().size(), 2u);
    EXPECT_EQ(outcome.failures().back().status, absl::InternalError("second"));
    EXPECT_EQ(outcome.failures().front().thread, first.thread_id());
    EXPECT_EQ(outcome.failures().back().thread, slow_failure.thread_id());
    EXPECT_EQ(slow_failure.state(), Subtask<void>::State::kUnavailable);
    EXPECT_EQ(slow_success.state(), Subtask<int>::State::kUnavailable);
  });
}

TEST_P(ScopeTest, OfManyFailuresTheFirst65AreKeptAndAllAreCounted) {
  Everywhere([]() -> Task<void> {
    AwaitAll scope;
    for (int i = 0; i < 100; ++i) scope.Fork(End(absl::InternalError(std::to_string(i))));
    const Outcome outcome = co_await scope.Join();
    EXPECT_EQ(outcome.failure_count(), 100u);
    EXPECT_EQ(outcome.failures().size(), 1 + Outcome::kMaxSuppressed);
    EXPECT_EQ(outcome.status(), outcome.failures().front().status);
    for (const Failure& failure : outcome.failures()) {
      EXPECT_FALSE(failure.status.ok());
      EXPECT_NE(failure.thread, 0u);
    }
  });
}

// ---- ShutdownOnSuccess.

TEST_P(ScopeTest, TheFirstSuccessWinsAndTheLosersHaveEndedWhenJoinReturns) {
  Everywhere([]() -> Task<void> {
    Counted::alive = 0;
    ShutdownOnSuccess<int> scope;
    std::vector<Subtask<int>> losers;
    for (int i = 0; i < 5; ++i) {
      losers.push_back(scope.Fork([held = Counted(i)]() -> Task<int> {
        Counted local(held.value());
        co_await Forever();
        co_return -1;
      }));
    }
    auto winner = scope.Fork(Give(42));
    ValueOutcome<int> outcome = co_await scope.Join();
    EXPECT_TRUE(outcome.ok());
    EXPECT_EQ(outcome.status(), absl::OkStatus());
    EXPECT_EQ(Counted::alive, 0) << "the losers have ended, frames, closures and all";
    EXPECT_EQ(std::move(outcome).value(), 42);
    EXPECT_EQ(winner.state(), Subtask<int>::State::kSuccess);
    for (const Subtask<int>& loser : losers) EXPECT_EQ(loser.state(), Subtask<int>::State::kUnavailable);
  });
}

TEST_P(ScopeTest, WithoutASuccessTheOutcomeIsTheFirstFailure) {
  Everywhere([]() -> Task<void> {
    ShutdownOnSuccess<int> scope;
    scope.Fork(GiveOr(absl::NotFoundError("a")));
    scope.Fork(GiveOr(absl::NotFoundError("a")));
    absl::StatusOr<int> joined = co_await scope.Join();
    EXPECT_EQ(joined.status(), absl::NotFoundError("a"));
    auto late = scope.Fork(GiveOr(3));  // the scope is open still
    joined = co_await scope.Join();
    EXPECT_EQ(*joined, 3);
  });
}

TEST_P(ScopeTest, WithoutASubtaskTheOutcomeOfShutdownOnSuccessIsNotFound) {
  Everywhere([]() -> Task<void> {
    ShutdownOnSuccess<int> scope;
    EXPECT_EQ((co_await scope.Join()).status().code(), absl::StatusCode::kNotFound);
    scope.Shutdown();
    scope.Fork(Give(1));
    EXPECT_EQ((co_await scope.Join()).status().code(), absl::StatusCode::kNotFound);
  });
}

TEST_P(ScopeTest, AMoveOnlyWinnerIsMovedOut) {
  Everywhere([]() -> Task<void> {
    ShutdownOnSuccess<std::unique_ptr<int>> scope;
    for (int i = 0; i < 3; ++i) {
      scope.Fork([i]() -> Task<absl::StatusOr<std::unique_ptr<int>>> { co_return std::make_unique<int>(i); });
    }
    const std::unique_ptr<int> won = (co_await scope.Join()).value();
    EXPECT_NE(won, nullptr);
    EXPECT_GE(*won, 0);
    EXPECT_LT(*won, 3);
  });
}

// ---- AwaitAll.

TEST_P(ScopeTest, AwaitAllLetsTheRestRunWhenOneFails) {
  Everywhere([]() -> Task<void> {
    AwaitAll scope;
    Event failed;
    scope.Fork([&failed]() -> Task<absl::Status> {
      failed.Set();
      co_return absl::InternalError("x");
    });
    auto slow = scope.Fork([&failed]() -> Task<int> {
      co_await failed.Wait();
      for (int i = 0; i < 5; ++i) co_await Yield();
      co_return 9;
    });
    const absl::Status joined = co_await scope.Join();
    EXPECT_EQ(joined, absl::InternalError("x"));
    EXPECT_FALSE(scope.IsShutdown());
    EXPECT_EQ(*slow, 9);
  });
}

TEST_P(ScopeTest, AServersScopeFreesFinishedChildrenAtOnce) {
  Everywhere([]() -> Task<void> {
    Counted::alive = 0;
    AwaitAll scope;
    co_await Yield();
    const int64_t before = internal::LiveFrames();  // with what the run before may have left to be freed
    for (int i = 0; i < 100; ++i) {
      Event ended;
      scope.Fork(Give(i));
      scope.Fork([held = Counted(i), &ended]() -> Task<absl::StatusOr<Counted>> {
        co_await Yield();
        ended.Set();
        co_return Counted(held.value());
      });
      co_await ended.Wait();
      while (internal::LiveFrames() > before) co_await Yield();
    }
    (co_await scope.Join()).IgnoreFailures();
    EXPECT_EQ(Counted::alive, 0);
  });
}

// ---- Shutdown.

TEST_P(ScopeTest, TheOwnerShutsDown) {
  Everywhere([]() -> Task<void> {
    AwaitAll scope;
    EXPECT_FALSE(scope.IsShutdown());
    auto child = scope.Fork([]() -> Task<int> {
      co_await Forever();
      co_return 1;
    });
    scope.Shutdown();
    EXPECT_TRUE(scope.IsShutdown());
    scope.Shutdown();  // idempotent
    EXPECT_TRUE((co_await scope.Join()).ok()) << "a cancelled subtask is no failure";
    EXPECT_EQ(child.state(), Subtask<int>::State::kUnavailable);
  });
}

TEST_P(ScopeTest, AChildThatShutsDownIsSpared) {
  Everywhere([]() -> Task<void> {
    AwaitAll scope;
    Introduction waiting;
    auto other = scope.Fork(Forever(waiting));
    std::atomic<bool> went_on{false};
    auto caller = scope.Fork([&]() -> Task<int> {
      scope.Shutdown();
      EXPECT_FALSE(CancelRequested());
      co_await Yield();
      co_await Yield();
      went_on = true;
      co_return 3;
    });
    EXPECT_TRUE((co_await scope.Join()).ok());
    EXPECT_TRUE(went_on);
    EXPECT_EQ(caller.state(), Subtask<int>::State::kUnavailable) << "it completed after the shutdown";
    EXPECT_EQ(other.state(), Subtask<void>::State::kUnavailable);
  });
}

TEST_P(ScopeTest, AGrandchildThatShutsDownIsCancelledWithItsParent) {
  Everywhere([]() -> Task<void> {
    AwaitAll scope;
    std::atomic<bool> parent_went_on{false};
    std::atomic<bool> caller_went_on{false};
    scope.Fork([&]() -> Task<void> {
      AwaitAll inner;
      inner.Fork([&]() -> Task<void> {
        scope.Shutdown();
        co_await Forever();
        caller_went_on = true;
      });
      (co_await inner.Join()).IgnoreFailures();
      parent_went_on = true;
    });
    EXPECT_TRUE((co_await scope.Join()).ok());
    EXPECT_FALSE(parent_went_on);
    EXPECT_FALSE(caller_went_on);
  });
}

TEST_P(ScopeTest, AChildThatShutDownIsStillReachedByARequestFromOutside) {
  Everywhere([]() -> Task<void> {
    AwaitAll outer;
    Introduction spared;
    outer.Fork([&]() -> Task<void> {
      AwaitAll scope;
      scope.Fork([&]() -> Task<void> {
        scope.Shutdown();
        co_await Forever(spared);
      });
      (co_await scope.Join()).IgnoreFailures();
    });
    co_await spared.AwaitParked();
    outer.Shutdown();
    EXPECT_TRUE((co_await outer.Join()).ok());
  });
}

// It has passed no checkpoint, so the scope does not know it when the request comes.
TEST_P(ScopeTest, AChildThatShutDownIsToldTheRequestFromOutsideAlsoIfThatComesBeforeItsFirstCheckpoint) {
  Everywhere([]() -> Task<void> {
    AwaitAll outer;
    std::optional<Subtask<void>> child;
    outer.Fork([&]() -> Task<void> {
      AwaitAll scope;
      child = scope.Fork([&]() -> Task<void> {
        scope.Shutdown("its own");
        outer.Shutdown("from outside");
        co_await Forever();
      });
      (co_await scope.Join()).IgnoreFailures();
    });
    EXPECT_TRUE((co_await outer.Join()).ok());
    EXPECT_EQ(ReasonOf(child->status()).text, "from outside");
  });
}

TEST_P(ScopeTest, AShutdownFlowsDownTheTreeAtOnce) {
  Everywhere([]() -> Task<void> {
    Counted::alive = 0;
    AwaitAll scope;
    Introduction deepest;
    for (int i = 0; i < 3; ++i) {
      scope.Fork([&deepest, i]() -> Task<void> {
        Counted one;
        AwaitAll middle;
        for (int n = 0; n < 3; ++n) {
          middle.Fork([&deepest, i, n]() -> Task<void> {
            Counted two;
            ShutdownOnFailure inner;
            inner.Fork(Forever());
            if (i == 2 && n == 2) {
              inner.Fork(Forever(deepest));
            }
            (co_await inner.Join()).IgnoreFailures();
          });
        }
        (co_await middle.Join()).IgnoreFailures();
      });
    }
    co_await deepest.AwaitParked();
    scope.Shutdown();
    (co_await scope.Join()).IgnoreFailures();
    EXPECT_EQ(Counted::alive, 0);
  });
}

// ---- Handles, results and closures.

TEST_P(ScopeTest, AHandleDroppedEarlyFreesTheResultAtTheChildsEnd) {
  Everywhere([]() -> Task<void> {
    Counted::alive = 0;
    AwaitAll scope;
    auto kept = scope.Fork([]() -> Task<Counted> { co_return Counted(1); });
    {
      auto dropped = scope.Fork([]() -> Task<Counted> { co_return Counted(2); });
    }
    (co_await scope.Join()).IgnoreFailures();
    EXPECT_EQ(Counted::alive, 1);
    EXPECT_EQ(kept->value(), 1);
    {
      const Subtask<Counted> last = std::move(kept);
    }
    EXPECT_EQ(Counted::alive, 0);
  });
}

TEST_P(ScopeTest, TheResultOfAnUnavailableSubtaskIsDestroyedBeforeJoinReturns) {
  Everywhere([]() -> Task<void> {
    Counted::alive = 0;
    AwaitAll scope;
    Event gate;
    Introduction shielded;
    auto kept = scope.Fork([&]() -> Task<Counted> {
      shielded.Make();
      co_await Shield([](Event& event) -> Task<void> { co_await event.Wait(); }(gate));
      co_return Counted(1);
    });
    co_await shielded.AwaitParked();
    scope.Shutdown();
    gate.Set();
    (co_await scope.Join()).IgnoreFailures();
    EXPECT_EQ(kept.state(), Subtask<Counted>::State::kUnavailable);
    EXPECT_EQ(Counted::alive, 0);
  });
}

TEST_P(ScopeTest, AHandleMayOutliveItsScope) {
  Everywhere([]() -> Task<void> {
    std::optional<Subtask<int>> kept;
    {
      AwaitAll scope;
      kept.emplace(scope.Fork(Give(7)));
      (co_await scope.Join()).IgnoreFailures();
    }
    EXPECT_EQ(**kept, 7);
  });
}

TEST_P(ScopeTest, CapturesLiveUntilTheChildHasEndedAndAreGoneThenEvenIfTheHandleIsKept) {
  Everywhere([]() -> Task<void> {
    Counted::alive = 0;
    AwaitAll scope;
    Event gate;
    auto child = scope.Fork([held = std::make_unique<Counted>(11), &gate]() -> Task<int> {
      co_await gate.Wait();
      co_return held->value();
    });
    co_await Yield();
    EXPECT_EQ(Counted::alive, 1);
    gate.Set();
    (co_await scope.Join()).IgnoreFailures();
    EXPECT_EQ(*child, 11);
    EXPECT_EQ(Counted::alive, 0);
  });
}

TEST_P(ScopeTest, CapturesOfAChildThatNeverStartsAreGoneWhenForkReturns) {
  Everywhere([]() -> Task<void> {
    Counted::alive = 0;
    AwaitAll scope;
    scope.Shutdown();
    auto closure = scope.Fork([held = Counted(1)]() -> Task<int> { co_return held.value(); });
    auto task = scope.Fork([](Counted held) -> Task<int> { co_return held.value(); }(Counted(2)));
    EXPECT_EQ(Counted::alive, 0);
    (co_await scope.Join()).IgnoreFailures();
  });
}

TEST_P(ScopeTest, AMutableClosureMayGiveItsCapturesAway) {
  Everywhere([]() -> Task<void> {
    Counted::alive = 0;
    AwaitAll scope;
    Mutex mutex;
    MutexGuard guard = co_await mutex.Lock();
    auto child = scope.Fork(
        [held = std::move(guard), p = std::make_unique<Counted>(1)]() mutable -> Task<std::unique_ptr<Counted>> {
          held.Unlock();
          co_return std::move(p);
        });
    (co_await scope.Join()).IgnoreFailures();
    EXPECT_EQ((*child)->value(), 1);
    EXPECT_TRUE(mutex.TryLock().has_value());
  });
}

TEST_P(ScopeTest, AClosureNeedNotBeACoroutineItself) {
  Everywhere([]() -> Task<void> {
    AwaitAll scope;
    auto child = scope.Fork([id = 4] { return Give(id); });
    (co_await scope.Join()).IgnoreFailures();
    EXPECT_EQ(*child, 4);
  });
}

// ---- Close.

TEST_P(ScopeTest, CloseCancelsWaitsAndGivesTheValueBack) {
  Everywhere([]() -> Task<void> {
    Counted::alive = 0;
    const auto body = []() -> Task<absl::Status> {
      ShutdownOnFailure scope;
      scope.Fork([held = Counted()]() -> Task<void> { co_await Forever(); });
      const absl::Status bad = absl::FailedPreconditionError("early");
      if (!bad.ok()) co_return co_await scope.Close(bad);
      co_return absl::OkStatus();
    };
    EXPECT_EQ(co_await body(), absl::FailedPreconditionError("early"));
    EXPECT_EQ(Counted::alive, 0);
  });
}

TEST_P(ScopeTest, CloseTakesMoveOnlyValuesAndNone) {
  Everywhere([]() -> Task<void> {
    AwaitAll first;
    first.Fork(Forever());
    const std::unique_ptr<int> value = co_await first.Close(std::make_unique<int>(3));
    EXPECT_EQ(*value, 3);
    AwaitAll second;
    second.Fork(Forever());
    co_await second.Close();
    EXPECT_TRUE(second.IsShutdown());
  });
}

TEST_P(ScopeTest, AResultThatWasThereBeforeCloseIsReadable) {
  Everywhere([]() -> Task<void> {
    AwaitAll scope;
    Event done;
    auto child = scope.Fork([&done]() -> Task<int> {
      done.Set();
      co_return 2;
    });
    while (child.state() == Subtask<int>::State::kUnavailable) co_await Yield();
    co_await scope.Close();
    EXPECT_EQ(*child, 2);
  });
}

// ---- Scopes of cancelled threads.

TEST_P(ScopeTest, AScopeOpenedByACancelledThreadIsShutFromTheStart) {
  Everywhere([]() -> Task<void> {
    std::atomic<bool> started{false};
    AwaitAll scope;
    Event gate;
    Introduction shielded;
    scope.Fork([&]() -> Task<void> {
      shielded.Make();
      co_await Shield([](Event& event) -> Task<void> { co_await event.Wait(); }(gate));
      co_await testing::UntilAsked();
      AwaitAll inner;
      EXPECT_TRUE(inner.IsShutdown());
      auto child = inner.Fork([&started]() -> Task<int> {
        started = true;
        co_return 1;
      });
      EXPECT_EQ(child.state(), Subtask<int>::State::kUnavailable);
      (co_await inner.Join()).IgnoreFailures();
      started = true;
    });
    co_await shielded.AwaitParked();
    scope.Shutdown();
    gate.Set();
    (co_await scope.Join()).IgnoreFailures();
    EXPECT_FALSE(started);
  });
}

TEST_P(ScopeTest, ACancelledThreadForksNothingIntoAnOuterScopeEither) {
  Everywhere([]() -> Task<void> {
    AwaitAll outer;
    std::atomic<bool> started{false};
    Introduction asked;
    outer.Fork([&]() -> Task<void> {
      AwaitAll scope;
      scope.Fork([&]() -> Task<void> {
        struct ForkAtTheEnd {
          AwaitAll& outer;
          std::atomic<bool>& started;
          ~ForkAtTheEnd() {
            outer.Fork([flag = &started]() -> Task<void> {
              *flag = true;
              co_return;
            });
          }
        } at_the_end{outer, started};
        co_await Forever(asked);
      });
      co_await asked.AwaitParked();
      scope.Shutdown();
      (co_await scope.Join()).IgnoreFailures();
    });
    (co_await outer.Join()).IgnoreFailures();
    EXPECT_FALSE(started);
  });
}

}  // namespace
}  // namespace weft

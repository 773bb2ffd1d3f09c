// Scopes with a limit, with a timeout, and joins that do not wait for ever. Goal: the sentences of ScopeOptions,
// JoinFor() and JoinUntil(), one test each. Method: the same bodies in simulations under many seeds and on real
// carriers.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <optional>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "tests/support/counted.h"
#include "tests/support/on_both.h"
#include "weft/scope.h"
#include "weft/sync/event.h"
#include "weft/testing/simulation.h"

namespace weft {
namespace {

using testing::Counted;
using testing::Forever;
using testing::Introduction;
using State = AnySubtask::State;

class ScopeOptionsTest : public testing::OnBoth {};
WEFT_ON_BOTH(ScopeOptionsTest);

Task<int> Give(int value) { co_return value; }

// ---- max_concurrency.

TEST_P(ScopeOptionsTest, NoMoreChildrenRunAtOnceThanTheLimitSays) {
  Everywhere([]() -> Task<void> {
    std::atomic<int> running = 0, most = 0, ended = 0;
    ShutdownOnFailure scope({.max_concurrency = 3});
    for (int i = 0; i < 30; ++i) {
      scope.Fork([&, i]() -> Task<void> {
        const int now = ++running;
        for (int seen = most; seen < now && !most.compare_exchange_weak(seen, now);) {
        }
        for (int n = 0; n < i % 4; ++n) co_await Yield();
        --running;
        ++ended;
      });
    }
    EXPECT_TRUE((co_await scope.Join()).ok());
    EXPECT_EQ(ended, 30);
    EXPECT_LE(most, 3);
  });
}

TEST_P(ScopeOptionsTest, ChildrenBeyondTheLimitStartInTheirOrder) {
  Everywhere([]() -> Task<void> {
    std::vector<int> begun;
    AwaitAll scope({.max_concurrency = 1});
    for (int i = 0; i < 10; ++i) {
      scope.Fork([&begun, i]() -> Task<void> {
        begun.push_back(i);
        co_await Yield();
      });
    }
    EXPECT_TRUE((co_await scope.Join()).ok());
    EXPECT_TRUE(std::is_sorted(begun.begin(), begun.end()));
    EXPECT_EQ(begun.size(), 10);
  });
}

TEST_P(ScopeOptionsTest, AShutdownLeavesThoseThatWaitUnrun) {
  Everywhere([]() -> Task<void> {
    Counted::alive = 0;
    std::atomic<int> begun = 0;
    AwaitAll scope({.max_concurrency = 2});
    std::vector<AnySubtask> subtasks;
    Event begin;
    for (int i = 0; i < 200; ++i) {  // more than a shutdown asks at once
      subtasks.push_back(scope.Fork([&begun, &begin, held = Counted(i)]() -> Task<void> {
        ++begun;
        begin.Set();
        co_await Forever();
      }));
    }
    co_await begin.Wait();
    scope.Shutdown();
    EXPECT_TRUE((co_await scope.Join()).ok());
    EXPECT_LE(begun, 2);
    for (const AnySubtask& subtask : subtasks) EXPECT_EQ(subtask.state(), State::kUnavailable);
    EXPECT_EQ(Counted::alive, 0) << "closures and all";
  });
}

TEST_P(ScopeOptionsTest, AFailureShutsTheScopeDownForThoseThatWait) {
  Everywhere([]() -> Task<void> {
    ShutdownOnFailure scope({.max_concurrency = 1});
    scope.Fork([]() -> Task<absl::Status> { co_return absl::NotFoundError("it"); });
    auto second = scope.Fork([]() -> Task<int> {
      ADD_FAILURE() << "it was to start after the first, which has failed";
      co_return 1;
    });
    EXPECT_EQ((co_await scope.Join()).status(), absl::NotFoundError("it"));
    EXPECT_EQ(second.state(), State::kUnavailable);
  });
}

TEST_P(ScopeOptionsTest, AScopeThatIsDestroyedLeavesThoseThatWaitUnrun) {
  Everywhere([]() -> Task<void> {
    Counted::alive = 0;
    {
      AwaitAll scope({.max_concurrency = 1});
      for (int i = 0; i < 5; ++i) scope.Fork([held = Counted(i)]() -> Task<void> { co_await Forever(); });
    }
    EXPECT_EQ(Counted::alive, 0);
    co_return;
  });
}

TEST_P(ScopeOptionsTest, AThreadOfTheTreeForksWithinTheLimitToo) {
  Everywhere([]() -> Task<void> {
    std::atomic<int> ended = 0;
    AwaitAll scope({.max_concurrency = 2});
    scope.Fork([&]() -> Task<void> {
      for (int i = 0; i < 5; ++i) {
        scope.Fork([&ended]() -> Task<void> {
          co_await Yield();
          ++ended;
        });
      }
      co_await Yield();
      ++ended;
    });
    EXPECT_TRUE((co_await scope.Join()).ok());
    EXPECT_EQ(ended, 6);
  });
}

TEST(ScopeOptionsDeathTest, ALimitBelowOneIsRefused) {
  EXPECT_DEATH(
      {
        testing::Simulation simulation({.carriers = 1, .seed = 1});
        simulation.Run([]() -> Task<void> {
          AwaitAll scope({.name = "s", .max_concurrency = 0});
          co_return;
        }());
      },
      "the scope 's' of VirtualThread\\[#1\\].* lets 0 children run at once; it has to be one at least");
}

// ---- Whoever shuts the scope down is spared, until the owner leaves.

Task<void> ShutDownAndWait(AwaitAll& scope, Introduction& introduction) {
  const Counted held;
  scope.Shutdown();
  introduction.Make();
  co_await Forever();
}

TEST_P(ScopeOptionsTest, AChildThatHasShutTheScopeDownIsEndedByClose) {
  Everywhere([]() -> Task<void> {
    Counted::alive = 0;
    AwaitAll scope;
    Introduction introduction;
    scope.Fork(ShutDownAndWait(scope, introduction));
    co_await introduction.AwaitParked();
    EXPECT_EQ(Counted::alive, 1);
    co_await scope.Close();
    EXPECT_EQ(Counted::alive, 0);
  });
}

TEST_P(ScopeOptionsTest, AChildThatHasShutTheScopeDownIsEndedByItsDestructor) {
  Everywhere([]() -> Task<void> {
    Counted::alive = 0;
    Introduction introduction;
    {
      AwaitAll scope;
      scope.Fork(ShutDownAndWait(scope, introduction));
      co_await introduction.AwaitParked();
    }
    EXPECT_EQ(Counted::alive, 0);
  });
}

// ---- timeout.

TEST_P(ScopeOptionsTest, WhenItsTimeIsUpTheScopeIsShutDown) {
  Everywhere([]() -> Task<void> {
    ShutdownOnFailure scope({.timeout = absl::Milliseconds(2)});
    auto done = scope.Fork(Give(1));
    auto waits = scope.Fork([]() -> Task<void> { co_await Forever(); });
    const Outcome outcome = co_await scope.Join();
    EXPECT_EQ(outcome.status().code(), absl::StatusCode::kDeadlineExceeded);
    EXPECT_EQ(ReasonOf(outcome.status()).kind, CancelReason::Kind::kTimeout);
    EXPECT_TRUE(scope.IsShutdown());
    EXPECT_EQ(waits.state(), State::kUnavailable);
  });
}

TEST_P(ScopeOptionsTest, AScopeThatHasEndedInTimeHasNotTimedOut) {
  Everywhere([]() -> Task<void> {
    ShutdownOnFailure scope({.timeout = absl::Hours(1)});
    auto done = scope.Fork(Give(1));
    EXPECT_TRUE((co_await scope.Join()).ok());
    EXPECT_EQ(*done, 1);
  });
}

TEST_P(ScopeOptionsTest, ATimeoutThatHasPassedShutsTheScopeDownFromTheStart) {
  Everywhere([]() -> Task<void> {
    AwaitAll scope({.timeout = -absl::Seconds(1)});
    EXPECT_TRUE(scope.IsShutdown());
    auto never = scope.Fork([]() -> Task<int> {
      ADD_FAILURE() << "started in a scope that was shut";
      co_return 1;
    });
    EXPECT_EQ((co_await scope.Join()).status().code(), absl::StatusCode::kDeadlineExceeded);
    EXPECT_EQ(never.state(), State::kUnavailable);
  });
}

TEST_P(ScopeOptionsTest, AllUntilGivesWhatThereIsWhenItsTimeIsUp) {
  Everywhere([]() -> Task<void> {
    AllUntil<int> scope([](const Subtask<int>&) { return false; }, {.timeout = absl::Milliseconds(2)});
    scope.Fork([]() -> Task<int> {
      co_await Forever();
      co_return 1;
    });
    const std::vector<Subtask<int>> all = co_await scope.Join();
    EXPECT_EQ(all.size(), 1);
    EXPECT_EQ(all[0].state(), State::kUnavailable);
  });
}

TEST_P(ScopeOptionsTest, AScopeIsDestroyedBeforeItsTimeIsUp) {
  Everywhere([]() -> Task<void> {
    AwaitAll scope({.timeout = absl::Milliseconds(1)});
    scope.Fork([]() -> Task<void> { co_await Forever(); });
    co_await Yield();
  });
}

// ---- JoinFor and JoinUntil.

TEST_P(ScopeOptionsTest, AJoinWhoseTimeIsUpGivesNothingAndTheScopeGoesOn) {
  Everywhere([]() -> Task<void> {
    Event go;
    ShutdownOnFailure scope;
    auto waits = scope.Fork([&go]() -> Task<int> {
      co_await go.Wait();
      co_return 1;
    });
    std::optional<Outcome> joined = co_await scope.JoinFor(absl::Milliseconds(1));
    EXPECT_FALSE(joined.has_value());
    EXPECT_FALSE(scope.IsShutdown());
    auto more = scope.Fork(Give(2));
    go.Set();
    joined = co_await scope.JoinFor(absl::Hours(1));
    EXPECT_TRUE(joined.has_value() && joined->ok());
    EXPECT_EQ(*waits + *more, 3);
  });
}

TEST_P(ScopeOptionsTest, AJoinWithoutTimeLooksAndDoesNotWait) {
  Everywhere([]() -> Task<void> {
    AwaitAll scope;
    EXPECT_TRUE((co_await scope.JoinFor(absl::ZeroDuration())).has_value()) << "nothing to wait for";
    Event go;
    scope.Fork([&go]() -> Task<void> { co_await go.Wait(); });
    EXPECT_FALSE((co_await scope.JoinFor(-absl::Seconds(1))).has_value());
    EXPECT_FALSE((co_await scope.JoinUntil(absl::InfinitePast())).has_value());
    go.Set();
    EXPECT_TRUE((co_await scope.Join()).ok());
    EXPECT_TRUE((co_await scope.JoinUntil(absl::InfinitePast())).has_value());
  });
}

TEST_P(ScopeOptionsTest, AJoinUntilALaterTimeWaitsForTheChildren) {
  Everywhere([]() -> Task<void> {
    AllSuccessful<int> scope;
    for (int i = 0; i < 3; ++i) scope.Fork(Give(i));
    auto joined = co_await scope.JoinUntil(Now() + absl::Hours(1));
    EXPECT_TRUE(joined.has_value());
    EXPECT_EQ(std::move(*joined).value(), (std::vector<int>{0, 1, 2}));
  });
}

TEST_P(ScopeOptionsTest, AnOuterTimeoutUnwindsAJoinThatWaits) {
  Everywhere([]() -> Task<void> {
    Counted::alive = 0;
    const absl::Status done = co_await WithTimeout(absl::Milliseconds(1), []() -> Task<void> {
      AwaitAll scope;
      scope.Fork([held = Counted(1)]() -> Task<void> { co_await Forever(); });
      (void)co_await scope.JoinFor(absl::Hours(1));
      ADD_FAILURE() << "it was unwound";
    }());
    EXPECT_EQ(done.code(), absl::StatusCode::kDeadlineExceeded);
    EXPECT_EQ(Counted::alive, 0);
  });
}

}  // namespace
}  // namespace weft

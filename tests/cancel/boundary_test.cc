// Boundaries of cancellation. Goal: which request stops where, and what is told of it.
// Method: the same bodies in simulations and on carriers; what depends on exact times, in simulations only.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>
#include <stop_token>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "tests/support/counted.h"
#include "tests/support/on_both.h"
#include "weft/all.h"
#include "weft/blocking.h"
#include "weft/cancel_reason.h"
#include "weft/cancellation.h"
#include "weft/deadline.h"
#include "weft/scope.h"
#include "weft/scope_options.h"
#include "weft/stop_token.h"
#include "weft/sync/event.h"
#include "weft/task.h"
#include "weft/testing/simulation.h"
#include "weft/time.h"

namespace weft {
namespace {

using testing::Counted;
using testing::Forever;
using testing::Introduction;
using testing::Simulation;
using testing::UntilAsked;

using Kind = CancelReason::Kind;

class BoundaryTest : public testing::OnBoth {};
WEFT_ON_BOTH(BoundaryTest);

Task<int> Give(int value) { co_return value; }
Task<void> WaitFor(Event& event) { co_await event.Wait(); }

// Runs body() as a child, asks it to end once it waits for the first time, and waits for its end.
template <class Body>
Task<void> Cancelled(Body body) {
  AwaitAll scope;
  Introduction running;
  auto victim = scope.Fork([&]() -> Task<void> {
    running.Make();
    co_await body();
  });
  co_await running.AwaitParked();
  scope.Shutdown();
  (co_await scope.Join()).IgnoreFailures();
}

// ---- WithTimeout.

TEST_P(BoundaryTest, ATaskThatIsInTimeGivesItsOwnOutcome) {
  Everywhere([]() -> Task<void> {
    const absl::StatusOr<int> value = co_await WithTimeout(absl::Hours(1), Give(3));
    EXPECT_EQ(*value, 3);
    EXPECT_TRUE((co_await WithTimeout(absl::Hours(1), []() -> Task<void> { co_await Yield(); }())).ok());
    const absl::Status failed =
        co_await WithTimeout(absl::Hours(1), []() -> Task<absl::Status> { co_return absl::InternalError("own"); }());
    EXPECT_EQ(failed, absl::InternalError("own"));
    absl::StatusOr<std::unique_ptr<int>> moved = co_await WithTimeout(
        absl::Hours(1), []() -> Task<absl::StatusOr<std::unique_ptr<int>>> { co_return std::make_unique<int>(4); }());
    EXPECT_EQ(**moved, 4);
    EXPECT_FALSE(CancelRequested());
  });
}

TEST_P(BoundaryTest, ATaskThatIsLateIsUnwoundAndTheThreadGoesOn) {
  Everywhere([]() -> Task<void> {
    Counted::alive = 0;
    std::atomic<bool> went_on{false};
    const absl::Status late = co_await WithTimeout(absl::Milliseconds(1), [](std::atomic<bool>& flag) -> Task<void> {
      Counted local;
      co_await Forever();
      flag = true;
    }(went_on));
    EXPECT_EQ(late.code(), absl::StatusCode::kDeadlineExceeded);
    EXPECT_EQ(ReasonOf(late).kind, Kind::kTimeout);
    EXPECT_FALSE(went_on);
    EXPECT_EQ(Counted::alive, 0);
    EXPECT_FALSE(CancelRequested());
    co_await Yield();  // a checkpoint that does not cancel
  });
}

TEST_P(BoundaryTest, ATimeoutEndsTheScopesInside) {
  Everywhere([]() -> Task<void> {
    Counted::alive = 0;
    const absl::StatusOr<int> late = co_await WithTimeout(absl::Milliseconds(1), []() -> Task<int> {
      AwaitAll scope;
      for (int i = 0; i < 3; ++i) scope.Fork([held = Counted()]() -> Task<void> { co_await Forever(); });
      (co_await scope.Join()).IgnoreFailures();
      co_return 1;
    }());
    EXPECT_EQ(late.status().code(), absl::StatusCode::kDeadlineExceeded);
    EXPECT_EQ(Counted::alive, 0);
  });
}

TEST_P(BoundaryTest, AJoinThatIsInTimeFailsLikeItsFirstSubtask) {
  Everywhere([]() -> Task<void> {
    const auto fail = []() -> Task<absl::StatusOr<int>> { co_return absl::DataLossError("gone"); };
    AwaitAll scope;
    scope.Fork(fail());
    const absl::Status joined = co_await WithTimeout(absl::InfiniteDuration(), scope.Join());
    EXPECT_EQ(joined, absl::DataLossError("gone"));
    ShutdownOnSuccess<int> race;
    race.Fork(fail());
    const absl::StatusOr<int> first = co_await CatchCancelled(race.Join());
    EXPECT_EQ(first.status(), absl::DataLossError("gone"));
    ShutdownOnSuccess<int> won;
    won.Fork([]() -> Task<int> { co_return 1; });
    EXPECT_EQ((co_await CatchCancelled(won.Join())).value(), 1);
  });
}

TEST_P(BoundaryTest, ATimeoutThatIsNotPositiveLetsTheTaskRunToItsFirstCheckpoint) {
  Everywhere([]() -> Task<void> {
    for (const absl::Duration timeout : {absl::ZeroDuration(), -absl::Seconds(1), -absl::InfiniteDuration()}) {
      int steps = 0;
      const absl::StatusOr<int> late = co_await WithTimeout(timeout, [](int& count) -> Task<int> {
        ++count;
        EXPECT_TRUE(CancelRequested());
        co_await Yield();
        ++count;
        co_return 1;
      }(steps));
      EXPECT_EQ(late.status().code(), absl::StatusCode::kDeadlineExceeded);
      EXPECT_EQ(steps, 1);
      const absl::StatusOr<int> no_checkpoint = co_await WithTimeout(timeout, Give(2));
      EXPECT_EQ(*no_checkpoint, 2) << "an operation completes, or is cancelled";
    }
  });
}

TEST_P(BoundaryTest, AnInfiniteTimeoutNeverEnds) {
  Everywhere([]() -> Task<void> {
    EXPECT_EQ(*co_await WithTimeout(absl::InfiniteDuration(), Give(2)), 2);
    co_await Cancelled([]() -> Task<void> {
      const absl::Status never = co_await WithTimeout(absl::InfiniteDuration(), Forever());
      ADD_FAILURE() << "the cancellation goes past it: " << never;
    });
  });
}

TEST_P(BoundaryTest, TheCalleesOwnDeadlineExceededIsToldApart) {
  Everywhere([]() -> Task<void> {
    const absl::Status own = co_await WithTimeout(
        absl::Hours(1), []() -> Task<absl::Status> { co_return absl::DeadlineExceededError("the server's"); }());
    EXPECT_EQ(own.code(), absl::StatusCode::kDeadlineExceeded);
    EXPECT_EQ(ReasonOf(own).kind, Kind::kNone);
    const absl::Status ours = co_await WithTimeout(absl::Milliseconds(1), Forever());
    EXPECT_EQ(ours.code(), absl::StatusCode::kDeadlineExceeded);
    EXPECT_EQ(ReasonOf(ours).kind, Kind::kTimeout);
  });
}

TEST_P(BoundaryTest, WithDeadlineInThePastEndsAtTheFirstCheckpoint) {
  Everywhere([]() -> Task<void> {
    const absl::Status late = co_await WithDeadline(absl::Now() - absl::Seconds(1), Forever());
    EXPECT_EQ(ReasonOf(late).kind, Kind::kTimeout);
    EXPECT_TRUE((co_await WithDeadline(absl::InfiniteFuture(), Give(1))).ok());
  });
}

TEST(BoundarySimulationTest, TheEarliestOfNestedDeadlinesDecides) {
  for (const bool inner_first : {true, false}) {
    Simulation simulation;
    simulation.Run([](bool inner_is_first) -> Task<void> {
      const MonotonicTime start = MonotonicNow();
      bool after_inner = false;
      const absl::Status outer =
          co_await WithTimeout(absl::Milliseconds(inner_is_first ? 20 : 10), [](bool& reached) -> Task<absl::Status> {
            const absl::Status inner = co_await WithTimeout(absl::Milliseconds(15), Forever());
            reached = true;
            EXPECT_EQ(ReasonOf(inner).kind, Kind::kTimeout);
            co_return absl::AlreadyExistsError("the inner one");
          }(after_inner));
      EXPECT_EQ(after_inner, inner_is_first);
      EXPECT_EQ(outer.code(), inner_is_first ? absl::StatusCode::kAlreadyExists : absl::StatusCode::kDeadlineExceeded);
      const absl::Duration took = MonotonicNow() - start;
      EXPECT_GE(took, absl::Milliseconds(inner_is_first ? 15 : 10));
      EXPECT_LT(took, absl::Milliseconds(inner_is_first ? 16 : 11));
    }(inner_first));
  }
}

TEST(BoundarySimulationTest, AnOuterDeadlineThatComesWhileTheInnerIsDrainedTakesOver) {
  Simulation simulation;
  simulation.Run([]() -> Task<void> {
    const MonotonicTime start = MonotonicNow();
    bool after_inner = false;
    const absl::Status outer = co_await WithTimeout(absl::Milliseconds(20), [](bool& reached) -> Task<void> {
      (void)co_await WithTimeout(absl::Milliseconds(10), []() -> Task<void> {
        ShutdownOnFailure scope;
        scope.Fork(
            []() -> Task<void> { co_await Shield([]() -> Task<void> { co_await Sleep(absl::Milliseconds(50)); }()); });
        co_await Sleep(absl::Seconds(1));
        (co_await scope.Join()).IgnoreFailures();
      }());
      reached = true;
      co_await Yield();
    }(after_inner));
    EXPECT_EQ(ReasonOf(outer).kind, Kind::kTimeout);
    EXPECT_FALSE(after_inner) << "the target is found again after the drain";
    EXPECT_GE(MonotonicNow() - start, absl::Milliseconds(50)) << "no child outlives its scope";
  }());
}

TEST_P(BoundaryTest, ALoopOfTimeoutsInACancelledThreadEnds) {
  Everywhere([]() -> Task<void> {
    std::atomic<int> rounds{0};
    co_await Cancelled([&rounds]() -> Task<void> {
      for (;;) {
        ++rounds;
        const absl::Status step = co_await WithTimeout(absl::Hours(1), Forever());
        if (step.ok()) co_return;
      }
    });
    EXPECT_EQ(rounds, 1);
  });
}

TEST_P(BoundaryTest, ATimeoutInALoopMayBeUsedAgainAndAgain) {
  Everywhere([]() -> Task<void> {
    int late = 0;
    for (int i = 0; i < 5; ++i) {
      const absl::Status step = co_await WithTimeout(absl::Microseconds(10), Forever());
      late += ReasonOf(step).kind == Kind::kTimeout;
    }
    EXPECT_EQ(late, 5);
  });
}

TEST_P(BoundaryTest, AnEndInTimeRacesWithTheDeadlineAndIsOneOrTheOther) {
  Everywhere([]() -> Task<void> {
    for (int i = 0; i < 20; ++i) {
      Counted::alive = 0;
      {
        const absl::StatusOr<Counted> either = co_await WithTimeout(absl::Microseconds(300), []() -> Task<Counted> {
          co_await Sleep(absl::Microseconds(300));
          co_return Counted(5);
        }());
        if (either.ok()) {
          EXPECT_EQ(either->value(), 5);
        } else {
          EXPECT_EQ(ReasonOf(either.status()).kind, Kind::kTimeout);
        }
      }
      EXPECT_EQ(Counted::alive, 0);
    }
  });
}

// ---- Shield.

TEST_P(BoundaryTest, AShieldRunsToItsEndAndTheNextCheckpointCancels) {
  Everywhere([]() -> Task<void> {
    std::atomic<int> steps{0};
    AwaitAll scope;
    Introduction shielded;
    Event gate;
    scope.Fork([&]() -> Task<void> {
      shielded.Make();
      const int value = co_await Shield([](Event& event, std::atomic<int>& count) -> Task<int> {
        co_await event.Wait();
        ++count;
        co_await Yield();
        co_await Sleep(absl::Microseconds(1));
        EXPECT_FALSE(CancelRequested()) << "hidden";
        ++count;
        co_return 6;
      }(gate, steps));
      EXPECT_EQ(value, 6);
      co_await UntilAsked();
      ++steps;  // leaving is not a checkpoint
      co_await Shield([](std::atomic<int>& count) -> Task<void> {
        ++count;  // nor is entering
        co_await Yield();
        ++count;
      }(steps));
      ++steps;
      co_await Yield();
      ADD_FAILURE() << "the next checkpoint cancels";
    });
    co_await shielded.AwaitParked();
    scope.Shutdown();
    gate.Set();
    (co_await scope.Join()).IgnoreFailures();
    EXPECT_EQ(steps, 6);
  });
}

TEST_P(BoundaryTest, AScopeInsideAShieldLives) {
  Everywhere([]() -> Task<void> {
    AwaitAll scope;
    Introduction shielded;
    Event gate;
    std::atomic<int> sum{0};
    scope.Fork([&]() -> Task<void> {
      co_await Shield([](Introduction& here, Event& event, std::atomic<int>& result) -> Task<void> {
        ShutdownOnFailure inner;
        auto child = inner.Fork([&event]() -> Task<int> {
          co_await event.Wait();
          co_return 4;
        });
        here.Make();
        co_await event.Wait();
        EXPECT_FALSE(inner.IsShutdown());
        auto late = inner.Fork(Give(5));
        (co_await inner.Join()).IgnoreFailures();
        result = *child + *late;
      }(shielded, gate, sum));
    });
    co_await shielded.AwaitParked();
    scope.Shutdown();
    gate.Set();
    (co_await scope.Join()).IgnoreFailures();
    EXPECT_EQ(sum, 9);
  });
}

TEST_P(BoundaryTest, AScopeAroundAShieldIsShutAndSoAreForksIntoItFromInside) {
  Everywhere([]() -> Task<void> {
    AwaitAll scope;
    Introduction shielded;
    Event gate;
    Counted::alive = 0;
    std::atomic<bool> late_ran{false};
    scope.Fork([&]() -> Task<void> {
      AwaitAll around;
      around.Fork([held = Counted()]() -> Task<void> { co_await Forever(); });
      co_await Shield([](Introduction& here, Event& event, AwaitAll& outer, std::atomic<bool>& ran) -> Task<void> {
        here.Make();
        co_await event.Wait();
        while (Counted::alive > 0) co_await Yield();  // the child outside of the shield ends
        EXPECT_TRUE(outer.IsShutdown());
        outer.Fork([flag = &ran]() -> Task<void> {
          *flag = true;
          co_return;
        });
      }(shielded, gate, around, late_ran));
    });
    co_await shielded.AwaitParked();
    scope.Shutdown();
    gate.Set();
    (co_await scope.Join()).IgnoreFailures();
    EXPECT_FALSE(late_ran);
  });
}

TEST_P(BoundaryTest, ATimeoutInsideAShieldWorks) {
  Everywhere([]() -> Task<void> {
    std::atomic<bool> timed_out{false};
    AwaitAll scope;
    Introduction running;
    scope.Fork([&]() -> Task<void> {
      running.Make();
      co_await Shield([](std::atomic<bool>& flag) -> Task<void> {
        const absl::Status late = co_await WithTimeout(absl::Milliseconds(1), Forever());
        flag = ReasonOf(late).kind == Kind::kTimeout;
        co_await Yield();
      }(timed_out));
    });
    co_await running.AwaitParked();
    scope.Shutdown();
    (co_await scope.Join()).IgnoreFailures();
    EXPECT_TRUE(timed_out);
  });
}

TEST_P(BoundaryTest, ATimeoutAroundAShieldWaitsForIt) {
  Everywhere([]() -> Task<void> {
    bool done = false;
    bool after = false;
    const absl::Status late =
        co_await WithTimeout(absl::ZeroDuration(), [](bool& shielded, bool& went_on) -> Task<void> {
          co_await Shield([](bool& flag) -> Task<void> {
            co_await Yield();
            co_await Sleep(absl::Microseconds(1));
            flag = true;
          }(shielded));
          co_await Yield();
          went_on = true;
        }(done, after));
    EXPECT_EQ(ReasonOf(late).kind, Kind::kTimeout);
    EXPECT_TRUE(done);
    EXPECT_FALSE(after);
  });
}

TEST_P(BoundaryTest, ShieldsNest) {
  Everywhere([]() -> Task<void> {
    std::atomic<int> steps{0};
    AwaitAll scope;
    Introduction shielded;
    Event gate;
    scope.Fork([&]() -> Task<void> {
      co_await Shield([](Introduction& here, Event& event, std::atomic<int>& count) -> Task<void> {
        here.Make();
        co_await Shield(WaitFor(event));
        co_await Yield();
        ++count;
        co_await Shield([]() -> Task<void> { co_await Yield(); }());
        co_await Yield();
        ++count;
      }(shielded, gate, steps));
      co_await UntilAsked();
      co_await Yield();
      ++steps;
    });
    co_await shielded.AwaitParked();
    scope.Shutdown();
    gate.Set();
    (co_await scope.Join()).IgnoreFailures();
    EXPECT_EQ(steps, 2);
  });
}

TEST_P(BoundaryTest, AShieldOfAThreadThatIsNotCancelledDoesNothing) {
  Everywhere([]() -> Task<void> {
    EXPECT_EQ(co_await Shield(Give(2)), 2);
    co_await Shield([]() -> Task<void> { co_await Yield(); }());
    const std::unique_ptr<int> moved =
        co_await Shield([]() -> Task<std::unique_ptr<int>> { co_return std::make_unique<int>(3); }());
    EXPECT_EQ(*moved, 3);
  });
}

// ---- CatchCancelled.

TEST_P(BoundaryTest, CatchCancelledStopsARequestThatArrivesInsideAndTheNextCheckpointGoesOn) {
  Everywhere([]() -> Task<void> {
    Counted::alive = 0;
    std::atomic<bool> caught{false};
    std::atomic<bool> went_on{false};
    co_await Cancelled([&]() -> Task<void> {
      const absl::Status status = co_await CatchCancelled([]() -> Task<void> {
        Counted local;
        co_await Forever();
      }());
      EXPECT_EQ(Counted::alive, 0);
      EXPECT_EQ(status.code(), absl::StatusCode::kCancelled);
      EXPECT_EQ(ReasonOf(status).kind, Kind::kShutdown);
      EXPECT_TRUE(CancelRequested());
      caught = true;
      co_await Yield();
      went_on = true;
    });
    EXPECT_TRUE(caught);
    EXPECT_FALSE(went_on);
  });
}

TEST_P(BoundaryTest, EnteringCatchCancelledWhenAlreadyCancelledUnwindsPastIt) {
  Everywhere([]() -> Task<void> {
    std::atomic<bool> entered{false};
    std::atomic<int> caught{0};
    co_await Cancelled([&]() -> Task<void> {
      (void)co_await CatchCancelled(Forever());
      ++caught;
      (void)co_await CatchCancelled([](std::atomic<bool>& flag) -> Task<void> {
        flag = true;
        co_return;
      }(entered));
      ++caught;
    });
    EXPECT_EQ(caught, 1);
    EXPECT_FALSE(entered);
  });
}

TEST_P(BoundaryTest, NestedCatchesStopOneAfterTheOther) {
  Everywhere([]() -> Task<void> {
    std::atomic<int> inner{0};
    std::atomic<int> outer{0};
    co_await Cancelled([&]() -> Task<void> {
      const absl::Status status = co_await CatchCancelled([](std::atomic<int>& count) -> Task<void> {
        const absl::Status first = co_await CatchCancelled(Forever());
        EXPECT_EQ(ReasonOf(first).kind, Kind::kShutdown);
        ++count;
        co_await Yield();
        ++count;
      }(inner));
      EXPECT_EQ(ReasonOf(status).kind, Kind::kShutdown);
      ++outer;
      co_await Yield();
      ++outer;
    });
    EXPECT_EQ(inner, 1);
    EXPECT_EQ(outer, 1);
  });
}

TEST_P(BoundaryTest, CatchCancelledStopsAnOuterDeadlineToo) {
  Everywhere([]() -> Task<void> {
    bool caught = false;
    bool went_on = false;
    const absl::Status outer = co_await WithTimeout(absl::Milliseconds(1), [](bool& flag, bool& later) -> Task<void> {
      const absl::Status status = co_await CatchCancelled(Forever());
      EXPECT_EQ(status.code(), absl::StatusCode::kDeadlineExceeded);
      EXPECT_EQ(ReasonOf(status).kind, Kind::kTimeout);
      flag = true;
      co_await Yield();
      later = true;
    }(caught, went_on));
    EXPECT_TRUE(caught || !simulated());  // elsewhere the time may be up before it has begun
    EXPECT_FALSE(went_on);
    EXPECT_EQ(ReasonOf(outer).kind, Kind::kTimeout);
  });
}

TEST_P(BoundaryTest, CatchCancelledLeavesAnInnerDeadlineAlone) {
  Everywhere([]() -> Task<void> {
    bool after = false;
    const absl::Status status = co_await CatchCancelled([](bool& flag) -> Task<void> {
      const absl::Status late = co_await WithTimeout(absl::Milliseconds(1), Forever());
      EXPECT_EQ(ReasonOf(late).kind, Kind::kTimeout);
      co_await Yield();
      flag = true;
    }(after));
    EXPECT_TRUE(status.ok());
    EXPECT_TRUE(after);
  });
}

TEST_P(BoundaryTest, CatchCancelledGivesTheOutcomeOfATaskThatIsNotCancelled) {
  Everywhere([]() -> Task<void> {
    EXPECT_EQ(*co_await CatchCancelled(Give(3)), 3);
    const absl::Status own =
        co_await CatchCancelled([]() -> Task<absl::Status> { co_return absl::CancelledError("own"); }());
    EXPECT_EQ(own, absl::CancelledError("own"));
    EXPECT_EQ(ReasonOf(own).kind, Kind::kNone);
  });
}

// ---- The reason.

TEST_P(BoundaryTest, TheReasonNamesTheSiblingThatFailed) {
  Everywhere([]() -> Task<void> {
    ShutdownOnFailure scope;
    Introduction waiting;
    absl::Status seen;
    scope.Fork([&]() -> Task<void> {
      waiting.Make();
      seen = co_await CatchCancelled(Forever());
    });
    co_await waiting.AwaitParked();
    auto failing = scope.Fork([]() -> Task<absl::Status> { co_return absl::InternalError("x"); });
    (co_await scope.Join()).IgnoreFailures();
    EXPECT_EQ(seen.code(), absl::StatusCode::kCancelled);
    EXPECT_EQ(ReasonOf(seen).kind, Kind::kSiblingFailed);
    EXPECT_EQ(ReasonOf(seen).thread, failing.thread_id());
    EXPECT_NE(seen.message().find(absl::StrCat("#", failing.thread_id())), absl::string_view::npos) << seen;
  });
}

TEST_P(BoundaryTest, TheReasonNamesTheSiblingThatSucceeded) {
  Everywhere([]() -> Task<void> {
    ShutdownOnSuccess<int> scope;
    Introduction waiting;
    absl::Status seen;
    scope.Fork([&]() -> Task<int> {
      waiting.Make();
      seen = co_await CatchCancelled(Forever());
      co_return 0;
    });
    co_await waiting.AwaitParked();
    auto winning = scope.Fork(Give(1));
    (co_await scope.Join()).IgnoreFailures();
    EXPECT_EQ(ReasonOf(seen).kind, Kind::kSiblingSucceeded);
    EXPECT_EQ(ReasonOf(seen).thread, winning.thread_id());
  });
}

TEST_P(BoundaryTest, TheReasonTravelsDownTheTreeUnchanged) {
  Everywhere([]() -> Task<void> {
    AwaitAll scope;
    Introduction waiting;
    absl::Status seen;
    scope.Fork([&]() -> Task<void> {
      AwaitAll middle;
      middle.Fork([&]() -> Task<void> {
        AwaitAll inner;
        inner.Fork([&]() -> Task<void> {
          waiting.Make();
          seen = co_await CatchCancelled(Forever());
        });
        (co_await inner.Join()).IgnoreFailures();
      });
      (co_await middle.Join()).IgnoreFailures();
    });
    co_await waiting.AwaitParked();
    scope.Shutdown();
    (co_await scope.Join()).IgnoreFailures();
    EXPECT_EQ(ReasonOf(seen).kind, Kind::kShutdown);
    EXPECT_EQ(ReasonOf(seen).thread, VirtualThread::Current().id());
  });
}

TEST_P(BoundaryTest, TheReasonOfAClosedScopeAndOfADeadlineAreTold) {
  Everywhere([]() -> Task<void> {
    absl::Status seen;
    {
      AwaitAll scope;
      Introduction waiting;
      scope.Fork([&]() -> Task<void> {
        waiting.Make();
        seen = co_await CatchCancelled(Forever());
      });
      co_await waiting.AwaitParked();
      co_await scope.Close();
    }
    EXPECT_EQ(ReasonOf(seen).kind, Kind::kScopeClosed);
    EXPECT_EQ(ReasonOf(seen).thread, VirtualThread::Current().id());
    seen = absl::OkStatus();
    (void)co_await WithTimeout(absl::Milliseconds(1), [](absl::Status& status) -> Task<void> {
      AwaitAll scope;
      scope.Fork([&status]() -> Task<void> { status = co_await CatchCancelled(Forever()); });
      (co_await scope.Join()).IgnoreFailures();
    }(seen));
    if (!simulated() && seen.ok()) co_return;  // the time was up before the child had begun
    EXPECT_EQ(ReasonOf(seen).kind, Kind::kTimeout);
    EXPECT_EQ(seen.code(), absl::StatusCode::kDeadlineExceeded);
  });
}

// ---- The root, and the start.

TEST_P(BoundaryTest, AChildThatIsCancelledBeforeItsFirstRunNeverStarts) {
  Everywhere([]() -> Task<void> {
    Counted::alive = 0;
    std::atomic<int> started{0};
    AwaitAll scope;
    std::vector<Subtask<int>> subtasks;
    for (int i = 0; i < 20; ++i) {
      subtasks.push_back(scope.Fork([&started, held = Counted()]() -> Task<int> {
        ++started;
        co_await Forever();
        co_return 1;
      }));
      subtasks.push_back(scope.Fork([](std::atomic<int>& count, Counted) -> Task<int> {
        ++count;
        co_await Forever();
        co_return 1;
      }(started, Counted())));
    }
    scope.Shutdown();
    const int at_shutdown = started;
    (co_await scope.Join()).IgnoreFailures();
    if (carriers() == 1) {
      EXPECT_EQ(started, 0);
    }
    EXPECT_LE(started - at_shutdown, carriers());  // some may have been about to
    EXPECT_EQ(Counted::alive, 0);
  });
}

TEST_P(BoundaryTest, CancelRequestedIsForComputingThatWantsToStopEarly) {
  Everywhere([]() -> Task<void> {
    AwaitAll scope;
    Introduction running;
    Event gate;
    auto child = scope.Fork([&]() -> Task<int> {
      EXPECT_FALSE(CancelRequested());
      running.Make();
      co_await Shield(WaitFor(gate));
      co_return CancelRequested() ? 1 : 0;
    });
    co_await running.AwaitParked();
    scope.Shutdown();
    gate.Set();
    (co_await scope.Join()).IgnoreFailures();
    EXPECT_FALSE(CancelRequested());
  });
}

// ---- CurrentDeadline.

// What is left, to the second.
int64_t SecondsLeft() {
  const absl::Duration left = TimeLeft();
  if (left == absl::InfiniteDuration()) return -1;
  EXPECT_EQ(left, std::max(CurrentDeadline() - MonotonicNow(), absl::ZeroDuration()));
  return absl::ToInt64Seconds(left + absl::Milliseconds(10));
}
Task<int64_t> LeftOf() { co_return SecondsLeft(); }

void Simulated(Task<void> (*body)()) { Simulation().Run(body()); }

TEST_P(BoundaryTest, WithoutADeadlineThereIsAllTheTime) {
  EXPECT_EQ(TimeLeft(), absl::InfiniteDuration()) << "on any OS thread";
  Everywhere([]() -> Task<void> {
    EXPECT_EQ(CurrentDeadline(), MonotonicTime::InfiniteFuture());
    EXPECT_EQ(TimeLeft(), absl::InfiniteDuration());
    EXPECT_EQ(*co_await WithTimeout(absl::InfiniteDuration(), LeftOf()), -1);
    EXPECT_EQ(*co_await CatchCancelled(LeftOf()), -1);
    const absl::StatusOr<MonotonicTime> inside =
        co_await WithTimeout(absl::Hours(1), []() -> Task<MonotonicTime> { co_return CurrentDeadline(); }());
    EXPECT_LE(*inside, MonotonicNow() + absl::Hours(1));
    EXPECT_EQ(TimeLeft(), absl::InfiniteDuration()) << "afterwards";
  });
}

TEST(BoundarySimulationTest, OfAllDeadlinesAroundTheEarliestIsTheCurrentOne) {
  Simulated([]() -> Task<void> {
    EXPECT_EQ(*co_await WithTimeout(absl::Seconds(20), WithTimeout(absl::Seconds(10), LeftOf())), 10);
    EXPECT_EQ(*co_await WithTimeout(absl::Seconds(10), WithTimeout(absl::Seconds(20), LeftOf())), 10);
    EXPECT_EQ(*co_await MoveOnAfter(absl::Seconds(7), LeftOf()), 7);
    EXPECT_EQ(*co_await MoveOnAt(MonotonicNow() + absl::Seconds(8), LeftOf()), 8);
    EXPECT_EQ(*co_await WithDeadline(Now() + absl::Seconds(9), LeftOf()), 9);
    EXPECT_EQ(*co_await WithDeadline(absl::InfiniteFuture(), LeftOf()), -1);
    EXPECT_EQ(*co_await WithStopToken(std::stop_source().get_token(), LeftOf()), -1);
    EXPECT_EQ(*co_await WithTimeout(absl::Seconds(10), []() -> Task<int64_t> {
      co_await Sleep(absl::Seconds(4));
      co_return SecondsLeft();
    }()), 6);
  });
}

TEST(BoundarySimulationTest, AChildHasTheDeadlineOfWhoForkedItAndOfItsScope) {
  Simulated([]() -> Task<void> {
    const auto child_of = [](ScopeOptions options) -> Task<int64_t> {
      AwaitAll scope(options);
      const auto child = scope.Fork([]() -> Task<int64_t> {
        AwaitAll inner;
        const auto grandchild = inner.Fork(LeftOf());
        (co_await inner.Join()).IgnoreFailures();
        co_return grandchild.get();
      });
      EXPECT_EQ(TimeLeft() == absl::InfiniteDuration(), CurrentDeadline() == MonotonicTime::InfiniteFuture());
      (co_await scope.Join()).IgnoreFailures();
      co_return child.get();
    };
    EXPECT_EQ(co_await child_of({}), -1);
    EXPECT_EQ(co_await child_of({.timeout = absl::Seconds(5)}), 5);
    EXPECT_EQ(*co_await WithTimeout(absl::Seconds(3), child_of({.timeout = absl::Seconds(5)})), 3);
    EXPECT_EQ(*co_await WithTimeout(absl::Seconds(5), child_of({.timeout = absl::Seconds(3)})), 3);
    // It ends the children, not the owner.
    AwaitAll timed({.timeout = absl::Seconds(5)});
    EXPECT_EQ(TimeLeft(), absl::InfiniteDuration());
    (co_await timed.Join()).IgnoreFailures();
    const auto [first, second] = *co_await WithTimeout(absl::Seconds(6), All(LeftOf(), LeftOf()));
    EXPECT_EQ(first, 6);
    EXPECT_EQ(second, 6);
    EXPECT_EQ(*co_await WithTimeout(absl::Seconds(4), Blocking([] { return SecondsLeft(); })), 4);
  });
}

TEST(BoundarySimulationTest, AShieldHidesDeadlinesAndItsGraceDefersThem) {
  Simulated([]() -> Task<void> {
    EXPECT_EQ(*co_await WithTimeout(absl::Seconds(3), Shield(LeftOf())), -1);
    EXPECT_EQ(*co_await WithTimeout(absl::Seconds(3), Shield(WithTimeout(absl::Seconds(9), LeftOf()))), 9);
    EXPECT_EQ(*co_await WithTimeout(absl::Seconds(3), Shield(absl::Seconds(2), LeftOf())), 5);
    EXPECT_EQ(*co_await WithTimeout(absl::Seconds(3), Shield(absl::InfiniteDuration(), LeftOf())), -1);
    EXPECT_EQ(co_await Shield(absl::Seconds(2), LeftOf()), -1);
    (co_await WithTimeout(absl::Seconds(3), Shield(absl::Seconds(2), []() -> Task<void> {
      co_await Sleep(absl::Seconds(4));
      EXPECT_EQ(SecondsLeft(), 1) << "of the grace, which has begun";
    }()))).IgnoreError();
  });
}

// When it is unwound, in seconds from now; whatever it is told meanwhile has to be that.
Task<int64_t> UnwoundAfter(Task<void> (*enter)(Task<void> body)) {
  struct Ends {
    ~Ends() { at = MonotonicNow(); }
    MonotonicTime& at;
  };
  const MonotonicTime from = MonotonicNow();
  MonotonicTime at;
  const auto body = [](MonotonicTime begun, MonotonicTime& end) -> Task<void> {
    const Ends ends{end};
    for (;;) {
      EXPECT_EQ(SecondsLeft() + absl::ToInt64Seconds(MonotonicNow() - begun + absl::Milliseconds(20)), 7);
      co_await Sleep(absl::Seconds(1));
    }
  };
  co_await enter(body(from, at));
  co_return absl::ToInt64Seconds(at - from);
}

TEST(BoundarySimulationTest, OfNestedGracesTheLongestCounts) {
  Simulated([]() -> Task<void> {
    EXPECT_EQ(co_await UnwoundAfter([](Task<void> body) -> Task<void> {
      (co_await WithTimeout(absl::Seconds(3), Shield(absl::Seconds(2), Shield(absl::Seconds(4), std::move(body)))))
          .IgnoreError();
    }), 7);
    EXPECT_EQ(co_await UnwoundAfter([](Task<void> body) -> Task<void> {
      (co_await WithTimeout(absl::Seconds(3), Shield(absl::Seconds(4), Shield(absl::Seconds(2), std::move(body)))))
          .IgnoreError();
    }), 7);
    // The outer request is the earlier one.
    EXPECT_EQ(co_await UnwoundAfter([](Task<void> body) -> Task<void> {
      (co_await WithTimeout(absl::Seconds(1), Shield(absl::Seconds(5), WithTimeout(absl::Seconds(3),
          Shield(absl::Seconds(6), std::move(body)))))).IgnoreError();
    }), 7);
  });
}

// A regression: in a simulation such a loop let nobody run, and so was never asked to end.
TEST(BoundarySimulationTest, AFunctionThatAsksForItsDeadlineLetsOthersRun) {
  Simulated([]() -> Task<void> {
    AwaitAll scope;
    scope.Fork([]() -> Task<void> {
      (co_await Blocking([] {
        while (TimeLeft() > absl::ZeroDuration()) {
        }
      })).IgnoreError();
    });
    co_await Sleep(absl::Milliseconds(1));
    scope.Shutdown();
    (co_await scope.Join()).IgnoreFailures();
  });
}

TEST_P(BoundaryTest, WhoWasAskedToEndHasNoTimeLeft) {
  Everywhere([]() -> Task<void> {
    (co_await WithTimeout(absl::ZeroDuration(), []() -> Task<void> {
      EXPECT_EQ(CurrentDeadline(), MonotonicTime::InfinitePast());
      EXPECT_EQ(TimeLeft(), absl::ZeroDuration());
      co_return;
    }())).IgnoreError();
    co_await Cancelled([]() -> Task<void> {
      (co_await CatchCancelled(Forever())).IgnoreError();
      EXPECT_EQ(TimeLeft(), absl::ZeroDuration());
    });
  });
}

TEST(BoundaryDeathTest, CancelRequestedOutsideAVirtualThread) {
  EXPECT_DEATH(CancelRequested(), "CancelRequested\\(\\) outside a virtual thread; start one with weft::Run\\(task\\)");
}

}  // namespace
}  // namespace weft

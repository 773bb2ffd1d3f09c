// What a scope does when its subtasks end. Goal: the sentences of policy.h, and what scope.h says of the policies that
// there are, one test each. Method: the same bodies in simulations under many seeds and on real carriers.
#include "weft/policy.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "tests/support/counted.h"
#include "tests/support/on_both.h"
#include "weft/scope.h"
#include "weft/sync/event.h"

namespace weft {
namespace {

using testing::Counted;
using testing::Forever;
using testing::Introduction;
using State = AnySubtask::State;

class PolicyTest : public testing::OnBoth {};
WEFT_ON_BOTH(PolicyTest);

Task<int> Give(int value) { co_return value; }
Task<absl::StatusOr<int>> GiveOr(absl::StatusOr<int> result) { co_return result; }
Task<int> GiveAfter(int yields, int value) {
  for (int i = 0; i < yields; ++i) co_await Yield();
  co_return value;
}
Task<int> GiveNever() {
  co_await Forever();
  co_return -1;
}

// ---- One that a user has written.

class FirstThree {
 public:
  using Value = int;
  bool OnComplete(const Subtask<int>& subtask) {
    if (subtask.state() == State::kSuccess) values_.push_back(*subtask);
    return values_.size() == 3;
  }
  std::vector<int> Result(const Outcome&) { return std::exchange(values_, {}); }

 private:
  std::vector<int> values_;
};

TEST_P(PolicyTest, OneThatCountsShutsTheScopeDownWhenItHasEnough) {
  Everywhere([]() -> Task<void> {
    StructuredTaskScope<FirstThree> scope;
    for (int i = 0; i < 8; ++i) scope.Fork(i % 2 == 0 ? Give(i) : GiveNever());
    const std::vector<int> values = co_await scope.Join();
    EXPECT_EQ(values.size(), 3);
    for (int value : values) EXPECT_EQ(value % 2, 0);
    EXPECT_TRUE(scope.IsShutdown());
  });
}

// Sees everything, and is not safe for two callers at once.
class Witness {
 public:
  struct Seen {
    std::vector<AnySubtask> forked, completed;
    bool twice = false;
  };

  void OnFork(AnySubtask subtask) {
    Enter();
    seen_.forked.push_back(std::move(subtask));
    inside_ = false;
  }
  bool OnComplete(const AnySubtask& subtask) {
    Enter();
    seen_.completed.push_back(subtask);
    inside_ = false;
    return false;
  }
  Seen Result(const Outcome&) { return std::exchange(seen_, {}); }

 private:
  void Enter() { seen_.twice |= std::exchange(inside_, true); }
  bool inside_ = false;
  Seen seen_;
};

TEST_P(PolicyTest, CallsComeOneAfterAnotherAndNeedNoAtomics) {
  Everywhere([]() -> Task<void> {
    constexpr int kChildren = 60;
    StructuredTaskScope<Witness> scope;
    for (int i = 0; i < kChildren; ++i) scope.Fork(GiveAfter(i % 3, i));
    const Witness::Seen seen = co_await scope.Join();
    EXPECT_FALSE(seen.twice);
    EXPECT_EQ(seen.forked.size(), kChildren);
    EXPECT_EQ(seen.completed.size(), kChildren);
  });
}

TEST_P(PolicyTest, ForksAreSeenInTheirOrderWithWhateverTheyYield) {
  Everywhere([]() -> Task<void> {
    StructuredTaskScope<Witness> scope;
    const AnySubtask number = scope.Fork(Give(1));
    const AnySubtask nothing = scope.Fork([]() -> Task<void> { co_return; });
    const AnySubtask failing = scope.Fork(GiveOr(absl::NotFoundError("it")));
    const Witness::Seen seen = co_await scope.Join();
    EXPECT_EQ(seen.forked, (std::vector<AnySubtask>{number, nothing, failing}));
    EXPECT_EQ(number.state(), State::kSuccess);
    EXPECT_EQ(failing.status(), absl::NotFoundError("it"));
  });
}

TEST_P(PolicyTest, AForkAfterTheShutdownIsSeenAndACompletionAfterItIsNot) {
  Everywhere([]() -> Task<void> {
    StructuredTaskScope<Witness> scope;
    Introduction runs;
    scope.Fork([&runs]() -> Task<void> {
      runs.Make();
      co_await testing::UntilAsked();  // then ends without a checkpoint: successfully, but too late
    });
    co_await runs.Await();
    scope.Shutdown();
    scope.Fork(Give(2));
    const Witness::Seen seen = co_await scope.Join();
    EXPECT_EQ(seen.forked.size(), 2);
    EXPECT_TRUE(seen.completed.empty());
    for (const AnySubtask& subtask : seen.forked) EXPECT_EQ(subtask.state(), State::kUnavailable);
  });
}

class DecidesAtOnce {
 public:
  struct Calls {
    int before = 0, after = 0;
  };
  bool OnComplete(const AnySubtask&) {
    ++(calls_.before == 0 ? calls_.before : calls_.after);
    return true;
  }
  Calls Result(const Outcome&) { return calls_; }

 private:
  Calls calls_;
};

TEST_P(PolicyTest, OneThatHasDecidedIsNotAskedAgain) {
  Everywhere([]() -> Task<void> {
    for (int round = 0; round < 20; ++round) {
      StructuredTaskScope<DecidesAtOnce> scope;
      for (int i = 0; i < 20; ++i) scope.Fork(GiveAfter(i % 2, i));
      const DecidesAtOnce::Calls calls = co_await scope.Join();
      EXPECT_EQ(calls.before, 1);
      EXPECT_EQ(calls.after, 0);
    }
  });
}

// ---- The order of failures.

// Tells who fails, before the scope has the failure.
class Herald {
 public:
  using Value = void;
  explicit Herald(Event& told) : told_(&told) {}
  bool OnComplete(const Subtask<void>& subtask) {
    if (subtask.status() == absl::InternalError("first")) told_->Set();
    return false;
  }
  Outcome Result(Outcome outcome) { return outcome; }

 private:
  Event* told_;
};

TEST_P(PolicyTest, FailuresAreKeptInTheOrderInWhichThePolicyIsToldOfThem) {
  Everywhere([]() -> Task<void> {
    Event told;
    StructuredTaskScope<Herald> scope(Herald(told), {});
    scope.Fork([&told]() -> Task<absl::Status> {
      co_await told.Wait();
      co_return absl::AbortedError("second");
    });
    scope.Fork([]() -> Task<absl::Status> { co_return absl::InternalError("first"); });
    const Outcome outcome = co_await scope.Join();
    EXPECT_EQ(outcome.status(), absl::InternalError("first"));
    EXPECT_EQ(outcome.failures().back().status, absl::AbortedError("second"));
  });
}

TEST_P(PolicyTest, WhoSeesAFailureFindsItsScopeShutAndIsNotTheFirst) {
  Everywhere([]() -> Task<void> {
    ShutdownOnFailure scope;
    Event go;
    const Subtask<void> first = scope.Fork([&go]() -> Task<absl::Status> {
      co_await go.Wait();
      co_return absl::InternalError("first");
    });
    scope.Fork([&]() -> Task<absl::Status> {
      co_await Shield([](Event& set, const Subtask<void>& seen) -> Task<void> {
        set.Set();
        while (seen.state() != State::kFailed) co_await Yield();
      }(go, first));
      EXPECT_TRUE(scope.IsShutdown());
      co_return absl::AbortedError("because of the first");
    });
    const Outcome outcome = co_await scope.Join();
    EXPECT_EQ(outcome.status(), absl::InternalError("first"));
    EXPECT_EQ(outcome.failure_count(), 2u);
  });
}

TEST_P(PolicyTest, AScopeThatIsDestroyedWithChildrenCallsItsPolicyToTheEnd) {
  Everywhere([]() -> Task<void> {
    Counted::alive = 0;
    {
      StructuredTaskScope<Witness> scope;
      for (int i = 0; i < 5; ++i) {
        scope.Fork([held = Counted(i)]() -> Task<void> {
          co_await Yield();
          co_await Yield();
        });
      }
      co_await Yield();
    }
    EXPECT_EQ(Counted::alive, 0);
  });
}

TEST_P(PolicyTest, AHandleCanBeCopiedAndIsTheSameChild) {
  Everywhere([]() -> Task<void> {
    AwaitAll scope;
    Subtask<int> one = scope.Fork(Give(7));
    Subtask<int> other = one;
    const AnySubtask any = other;
    EXPECT_EQ(one, other);
    EXPECT_EQ(any, one);
    one = scope.Fork(Give(8));
    EXPECT_FALSE(one == other);
    EXPECT_TRUE((co_await scope.Join()).ok());
    EXPECT_EQ(*one, 8);
    EXPECT_EQ(*other, 7);
    EXPECT_EQ(any.status(), absl::OkStatus());
  });
}

// ---- AllSuccessful.

TEST_P(PolicyTest, AllSuccessfulGivesTheValuesInTheOrderOfTheForks) {
  Everywhere([]() -> Task<void> {
    AllSuccessful<int> scope;
    for (int i = 0; i < 10; ++i) scope.Fork(GiveAfter(10 - i, i));
    absl::StatusOr<std::vector<int>> values = co_await scope.Join();
    EXPECT_EQ(*values, (std::vector<int>{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}));
    for (int i = 0; i < 3; ++i) scope.Fork(Give(i));  // another round has values of its own
    values = co_await scope.Join();
    EXPECT_EQ(*values, (std::vector<int>{0, 1, 2}));
  });
}

TEST_P(PolicyTest, AllSuccessfulOfNothingIsAnEmptyList) {
  Everywhere([]() -> Task<void> {
    AllSuccessful<int> scope;
    EXPECT_TRUE((co_await scope.Join()).value().empty());
  });
}

TEST_P(PolicyTest, AllSuccessfulGivesTheFirstFailureAndCancelsTheRest) {
  Everywhere([]() -> Task<void> {
    AllSuccessful<int> scope;
    auto waits = scope.Fork(GiveNever());
    scope.Fork(GiveOr(absl::NotFoundError("it")));
    const absl::StatusOr<std::vector<int>> values = co_await scope.Join();
    EXPECT_EQ(values.status(), absl::NotFoundError("it"));
    EXPECT_EQ(waits.state(), State::kUnavailable);
  });
}

TEST_P(PolicyTest, AllSuccessfulOfAScopeThatWasShutDownIsCancelled) {
  Everywhere([]() -> Task<void> {
    AllSuccessful<int> scope;
    scope.Fork(GiveNever());
    scope.Shutdown();
    const absl::StatusOr<std::vector<int>> values = co_await scope.Join();
    EXPECT_EQ(values.status().code(), absl::StatusCode::kCancelled);
  });
}

// ---- AllUntil.

TEST_P(PolicyTest, AllUntilGivesAllSubtasksInTheOrderOfTheForks) {
  Everywhere([]() -> Task<void> {
    int failures = 0;
    AllUntil<int> scope([&failures](const Subtask<int>& subtask) {
      return subtask.state() == State::kFailed && ++failures == 2;
    });
    auto good = scope.Fork(Give(1));
    auto bad = scope.Fork(GiveOr(absl::NotFoundError("a")));
    auto waits = scope.Fork(GiveNever());
    auto worse = scope.Fork(GiveOr(absl::NotFoundError("b")));
    const std::vector<Subtask<int>> all = co_await scope.Join();
    EXPECT_EQ(all, (std::vector<Subtask<int>>{good, bad, waits, worse}));
    EXPECT_TRUE(scope.IsShutdown());
    EXPECT_EQ(waits.state(), State::kUnavailable);
    EXPECT_EQ(failures, 2);
  });
}

TEST_P(PolicyTest, AllUntilNothingLetsAllRun) {
  Everywhere([]() -> Task<void> {
    AllUntil<int> scope([](const Subtask<int>&) { return false; });
    for (int i = 0; i < 4; ++i) scope.Fork(Give(i));
    const std::vector<Subtask<int>> all = co_await scope.Join();
    EXPECT_EQ(all.size(), 4);
    for (int i = 0; i < 4; ++i) EXPECT_EQ(*all[i], i);
    EXPECT_FALSE(scope.IsShutdown());
    EXPECT_TRUE((co_await scope.Join()).empty());
  });
}

// ---- Supervisor.

TEST_P(PolicyTest, ASupervisorReportsEachFailureAndLetsTheOthersRun) {
  Everywhere([]() -> Task<void> {
    std::vector<absl::Status> reported;
    Supervisor scope([&reported](const AnySubtask& failed) { reported.push_back(failed.status()); });
    scope.Fork(GiveOr(absl::NotFoundError("a")));
    auto good = scope.Fork(GiveAfter(5, 3));
    scope.Fork(GiveOr(absl::NotFoundError("a")));
    const Outcome outcome = co_await scope.Join();
    EXPECT_EQ(reported, (std::vector<absl::Status>(2, absl::NotFoundError("a"))));
    EXPECT_EQ(outcome.failure_count(), 2);
    EXPECT_EQ(*good, 3);
    EXPECT_FALSE(scope.IsShutdown());
  });
}

TEST(SupervisorTest, WithoutAFunctionItReportsOnStandardError) {
  ::testing::internal::CaptureStderr();
  testing::Simulation simulation({.carriers = 1, .seed = 1});
  simulation.Run([]() -> Task<void> {
    Supervisor scope;
    scope.Fork(GiveOr(absl::NotFoundError("a mirror")));
    (co_await scope.Join()).IgnoreFailures();
  }());
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "weft: a subtask of a Supervisor failed: NOT_FOUND: a mirror\n");
}

// ---- AsCompleted.

TEST_P(PolicyTest, SubtasksAreGivenAsTheyComplete) {
  Everywhere([]() -> Task<void> {
    AsCompleted<int> scope;
    Event first_taken;
    auto later = scope.Fork([&first_taken]() -> Task<int> {
      co_await first_taken.Wait();
      co_return 2;
    });
    auto sooner = scope.Fork(Give(1));
    std::optional<Subtask<int>> next = co_await scope.NextCompleted();
    EXPECT_EQ(next, sooner);
    EXPECT_EQ(**next, 1) << "the owner may look at it before a join";
    first_taken.Set();
    next = co_await scope.NextCompleted();
    EXPECT_EQ(next, later);
    next = co_await scope.NextCompleted();
    EXPECT_EQ(next, std::nullopt);
    EXPECT_TRUE((co_await scope.Join()).ok());
  });
}

TEST_P(PolicyTest, FailuresAreGivenAsWell) {
  Everywhere([]() -> Task<void> {
    AsCompleted<int> scope;
    scope.Fork(GiveOr(absl::NotFoundError("it")));
    const std::optional<Subtask<int>> next = co_await scope.NextCompleted();
    EXPECT_EQ(next->status(), absl::NotFoundError("it"));
    EXPECT_EQ(co_await scope.NextCompleted(), std::nullopt);
    EXPECT_EQ((co_await scope.Join()).status(), absl::NotFoundError("it"));
  });
}

TEST_P(PolicyTest, WhatIsCancelledIsNotGiven) {
  Everywhere([]() -> Task<void> {
    AsCompleted<int> scope;
    for (int i = 0; i < 3; ++i) scope.Fork(GiveNever());
    scope.Fork([&scope]() -> Task<int> {
      scope.Shutdown();  // while the owner waits
      co_return 1;
    });
    EXPECT_EQ(co_await scope.NextCompleted(), std::nullopt);
    EXPECT_TRUE((co_await scope.Join()).ok());
    scope.Fork(Give(1));
    EXPECT_EQ(co_await scope.NextCompleted(), std::nullopt) << "not even started";
  });
}

TEST_P(PolicyTest, ManyAreAllGivenOnceWhileMoreAreForked) {
  Everywhere([]() -> Task<void> {
    AsCompleted<int> scope;
    int64_t sum = 0;
    int forked = 0;
    for (; forked < 5; ++forked) scope.Fork(GiveAfter(forked % 3, forked));
    while (const std::optional<Subtask<int>> next = co_await scope.NextCompleted()) {
      sum += **next;
      if (forked < 50) {
        scope.Fork(GiveAfter(forked % 3, forked));
        ++forked;
      }
    }
    EXPECT_EQ(sum, 49 * 50 / 2);
    EXPECT_TRUE((co_await scope.Join()).ok());
  });
}

TEST_P(PolicyTest, WhatNobodyTakesIsFreedWithTheScope) {
  Everywhere([]() -> Task<void> {
    Counted::alive = 0;
    {
      AsCompleted<Counted> scope;
      for (int i = 0; i < 5; ++i) scope.Fork([i]() -> Task<Counted> { co_return Counted(i); });
      EXPECT_TRUE((co_await scope.Join()).ok());
      EXPECT_EQ(Counted::alive, 5);
    }
    EXPECT_EQ(Counted::alive, 0);
  });
}

TEST_P(PolicyTest, AnOwnerThatIsCancelledWhileItWaitsForTheNextEndsItsChildren) {
  Everywhere([]() -> Task<void> {
    Counted::alive = 0;
    const absl::Status done = co_await WithTimeout(absl::Milliseconds(1), []() -> Task<void> {
      AsCompleted<int> scope;
      scope.Fork([held = Counted(1)]() -> Task<int> { co_return co_await GiveNever(); });
      co_await scope.NextCompleted();
    }());
    EXPECT_EQ(done.code(), absl::StatusCode::kDeadlineExceeded);
    EXPECT_EQ(Counted::alive, 0);
  });
}

// ---- Misuse.

TEST(PolicyDeathTest, ASubtaskThatWasMovedFromIsNotUsed) {
  EXPECT_DEATH(
      {
        testing::Simulation simulation({.carriers = 1, .seed = 1});
        simulation.Run([]() -> Task<void> {
          AwaitAll scope;
          Subtask<int> one = scope.Fork(Give(1));
          const Subtask<int> other = std::move(one);
          (co_await scope.Join()).IgnoreFailures();
          *one;
        }());
      },
      "a Subtask that was moved from is used");
}

}  // namespace
}  // namespace weft

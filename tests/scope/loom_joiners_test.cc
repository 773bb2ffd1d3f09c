// The joiners of JDK 25 and 26 (JEP 505, JEP 525) as policies of a scope. Goal: what a Joiner may rely on there and a
// policy relies on here, one test each, where policy_test.cc and scope_options_test.cc do not say it; docs/from-loom.md
// has the whole list. Method: the same bodies in simulations under many seeds and on real carriers; what depends on
// exact times, in simulations only.
#include <gtest/gtest.h>

#include <cstdint>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "lib/base/fence.h"
#include "tests/support/counted.h"
#include "tests/support/on_both.h"
#include "weft/cancel_reason.h"
#include "weft/internal/atomic.h"
#include "weft/policy.h"
#include "weft/scope.h"
#include "weft/task.h"
#include "weft/testing/simulation.h"
#include "weft/time.h"
#include "weft/virtual_thread.h"

namespace weft {
namespace {

using testing::Counted;
using testing::Forever;
using testing::Simulation;
using Kind = CancelReason::Kind;
using State = AnySubtask::State;

class LoomJoinerTest : public testing::OnBoth {};
WEFT_ON_BOTH(LoomJoinerTest);

Task<int> Give(int value) { co_return value; }
Task<int> GiveNever() {
  const Counted held;
  co_await Forever();
  co_return -1;
}
Task<absl::StatusOr<int>> GiveOr(absl::StatusOr<int> result) { co_return result; }
Task<absl::Status> End(absl::Status status) { co_return status; }

// ---- onFork.

// Who forks, and what.
class ForkLog {
 public:
  struct Entry {
    uint64_t by;
    uint64_t forked;
    State state;
    friend bool operator==(const Entry&, const Entry&) = default;
  };
  void OnFork(const AnySubtask& subtask) {
    log_.push_back({VirtualThread::Current().id(), subtask.thread_id(), subtask.state()});
  }
  std::vector<Entry> Result(const Outcome&) { return std::exchange(log_, {}); }

 private:
  std::vector<Entry> log_;
};

TEST_P(LoomJoinerTest, OnForkIsCalledByWhoForksWithASubtaskThatHasNotStarted) {
  Everywhere([]() -> Task<void> {
    const uint64_t owner = VirtualThread::Current().id();
    StructuredTaskScope<ForkLog> scope;
    const auto child = scope.Fork([&scope]() -> Task<uint64_t> { co_return scope.Fork(Give(1)).thread_id(); });
    const std::vector<ForkLog::Entry> log = co_await scope.Join();
    EXPECT_EQ(log, (std::vector<ForkLog::Entry>{{owner, child.thread_id(), State::kUnavailable},
                                                {child.thread_id(), *child, State::kUnavailable}}));
  });
}

// A regression: Result() ran while OnFork() did.
//   1. owner: its join of `outer` is over, for the time being; the policy gives what it has
//   2. child of `inner`: forks into `outer`, as it may, and the policy is told
TEST_P(LoomJoinerTest, APolicyIsCalledByOneAtATimeAlsoWhenANestedScopeForksDuringTheJoin) {
  Everywhere([]() -> Task<void> {
    constexpr size_t kForks = 20;
    StructuredTaskScope<ForkLog> outer;
    AwaitAll inner;
    inner.Fork([&outer]() -> Task<void> {
      for (size_t i = 0; i < kForks; ++i) {
        outer.Fork(Give(1));
        co_await Yield();
      }
    });
    for (size_t seen = 0; seen < kForks; co_await Yield()) seen += (co_await outer.Join()).size();
    EXPECT_TRUE((co_await inner.Join()).ok());
    EXPECT_TRUE((co_await outer.Join()).empty());
  });
}

// ---- onComplete.

class CompletionLog {
 public:
  using Value = int;
  struct Log {
    bool on_its_thread = true;
    std::vector<State> states;
    int sum = 0;
  };
  bool OnComplete(const Subtask<int>& subtask) {
    log_.on_its_thread &= VirtualThread::Current().id() == subtask.thread_id();
    log_.states.push_back(subtask.state());
    if (subtask.state() == State::kSuccess) log_.sum += *subtask;
    return false;
  }
  Log Result(const Outcome&) { return std::exchange(log_, {}); }

 private:
  Log log_;
};

TEST_P(LoomJoinerTest, OnCompleteMayReadTheResultAndRunsOnTheSubtasksThread) {
  Everywhere([]() -> Task<void> {
    StructuredTaskScope<CompletionLog> scope;
    for (int i = 1; i <= 10; ++i) {
      scope.Fork([i]() -> Task<int> {
        if (i % 2 == 0) co_await Yield();
        co_return i;
      });
    }
    CompletionLog::Log log = co_await scope.Join();
    EXPECT_TRUE(log.on_its_thread);
    EXPECT_EQ(log.states, std::vector<State>(10, State::kSuccess));
    EXPECT_EQ(log.sum, 55);
    scope.Fork(GiveOr(absl::NotFoundError("it")));
    log = co_await scope.Join();
    EXPECT_EQ(log.states, std::vector<State>{State::kFailed});
  });
}

// Has enough at the third, and counts those beyond. It takes its time, so that others come meanwhile.
class Three {
 public:
  bool OnComplete(const AnySubtask&) {
    for (int i = 0; i < 2000; ++i) internal::CpuRelax();
    return ++shown_ == 3;
  }
  int Result(const Outcome&) { return shown_; }

 private:
  int shown_ = 0;
};

// A regression: a policy that had enough was shown another subtask.
//   1. a carrier: the third subtask has completed; OnComplete() says that it is enough
//   2. another carrier: the fourth has completed; OnComplete() is called, since the scope is not shut down yet
//   3. the first carrier: shuts the scope down
TEST_P(LoomJoinerTest, OnceOnCompleteHasEnoughItIsShownNothingElse) {
  Everywhere([]() -> Task<void> {
    StructuredTaskScope<Three> scope;
    for (int i = 0; i < 40; ++i) {
      scope.Fork([i]() -> Task<int> {
        co_await Yield();
        co_return i;
      });
    }
    EXPECT_EQ(co_await scope.Join(), 3);
    EXPECT_TRUE(scope.IsShutdown());
  });
}

// ---- result.

class Finale {
 public:
  struct Seen {
    uint64_t by;
    int64_t alive;
  };
  bool OnComplete(const AnySubtask&) { return true; }
  Seen Result(const Outcome&) { return {VirtualThread::Current().id(), Counted::alive}; }
};

TEST_P(LoomJoinerTest, ResultIsCalledByTheOwnerWhenEveryChildHasEnded) {
  Everywhere([]() -> Task<void> {
    Counted::alive = 0;
    StructuredTaskScope<Finale> scope;
    for (int i = 0; i < 5; ++i) scope.Fork(GiveNever());
    scope.Fork(Give(1));
    const Finale::Seen seen = co_await scope.Join();
    EXPECT_EQ(seen.by, VirtualThread::Current().id());
    EXPECT_EQ(seen.alive, 0);
  });
}

TEST_P(LoomJoinerTest, AwaitAllOfNothingIsOk) {
  Everywhere([]() -> Task<void> {
    AwaitAll scope;
    EXPECT_TRUE((co_await scope.Join()).ok());
  });
}

TEST(LoomNamesTest, TheNamesOfJdk25AreThoseOfTheSameScopes) {
  EXPECT_TRUE((std::is_same_v<AwaitAllSuccessful, ShutdownOnFailure>));
  EXPECT_TRUE((std::is_same_v<AnySuccessful<int>, ShutdownOnSuccess<int>>));
}

// ---- The timeout of a scope.

// Takes note of it, and lets the outcome be.
class TimeKeeper {
 public:
  struct Log {
    bool timed_out;
    absl::Status status;
  };
  void OnTimeout() { timed_out_ = true; }
  Log Result(const Outcome& outcome) { return {timed_out_, outcome.status()}; }

 private:
  bool timed_out_ = false;
};

TEST_P(LoomJoinerTest, OnTimeoutIsCalledBeforeResultIfTheTimeWasUp) {
  Everywhere([]() -> Task<void> {
    StructuredTaskScope<TimeKeeper> late({.timeout = absl::Milliseconds(1)});
    late.Fork(GiveNever());
    TimeKeeper::Log log = co_await late.Join();
    EXPECT_TRUE(log.timed_out);
    EXPECT_EQ(log.status, absl::OkStatus()) << "the policy has taken it";
    StructuredTaskScope<TimeKeeper> in_time({.timeout = absl::Hours(1)});
    in_time.Fork(Give(1));
    log = co_await in_time.Join();
    EXPECT_FALSE(log.timed_out);
  });
}

template <class Scope>
Task<absl::Status> CutShort() {
  Scope scope({.timeout = absl::Milliseconds(1)});
  scope.Fork(GiveNever());
  auto outcome = co_await scope.Join();
  co_return outcome.status();
}

TEST_P(LoomJoinerTest, AScopeThatIsCutShortByItsTimeSaysSoWhateverItsPolicy) {
  Everywhere([]() -> Task<void> {
    EXPECT_EQ(ReasonOf(co_await CutShort<AllSuccessful<int>>()).kind, Kind::kTimeout);
    EXPECT_EQ(ReasonOf(co_await CutShort<AnySuccessful<int>>()).kind, Kind::kTimeout);
    EXPECT_EQ(ReasonOf(co_await CutShort<AwaitAllSuccessful>()).kind, Kind::kTimeout);
    EXPECT_EQ(ReasonOf(co_await CutShort<AwaitAll>()).kind, Kind::kTimeout);
    EXPECT_EQ(ReasonOf(co_await CutShort<AsCompleted<int>>()).kind, Kind::kTimeout);
    EXPECT_EQ(ReasonOf(co_await CutShort<Supervisor>()).kind, Kind::kTimeout);
  });
}

// Runs make() in simulations, where nothing takes time but waiting.
template <class Make>
void InVirtualTime(Make make) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    Simulation simulation({.carriers = 2, .seed = seed});
    simulation.Run(make());
  }
}

TEST(LoomJoinerSimulationTest, TheTimeOfAScopeIsCountedFromItsOpening) {
  InVirtualTime([]() -> Task<void> {
    const MonotonicTime opened = MonotonicNow();
    AwaitAll scope({.timeout = absl::Milliseconds(10)});
    co_await Sleep(absl::Milliseconds(6));
    scope.Fork(Forever());
    EXPECT_EQ(ReasonOf((co_await scope.Join()).status()).kind, Kind::kTimeout);
    const absl::Duration took = MonotonicNow() - opened;
    EXPECT_GE(took, absl::Milliseconds(10));
    EXPECT_LT(took, absl::Milliseconds(11));
  });
}

TEST(LoomJoinerSimulationTest, TheTimeOfAScopeGoesOnAfterAJoin) {
  InVirtualTime([]() -> Task<void> {
    AwaitAll scope({.timeout = absl::Milliseconds(10)});
    const auto child = scope.Fork(Give(1));
    EXPECT_TRUE((co_await scope.Join()).ok());
    co_await Sleep(absl::Milliseconds(20));
    EXPECT_TRUE(scope.IsShutdown());
    EXPECT_EQ(ReasonOf((co_await scope.Join()).status()).kind, Kind::kTimeout);
    EXPECT_EQ(*child, 1);
  });
}

TEST(LoomJoinerSimulationTest, AScopeThatWasShutDownBeforeItsTimeHasNotTimedOut) {
  InVirtualTime([]() -> Task<void> {
    ShutdownOnFailure scope({.timeout = absl::Milliseconds(10)});
    scope.Fork(End(absl::AbortedError("x")));
    co_await Sleep(absl::Milliseconds(20));
    const Outcome outcome = co_await scope.Join();
    EXPECT_EQ(outcome.status(), absl::AbortedError("x"));
    EXPECT_EQ(outcome.failure_count(), 1u);
  });
}

TEST(LoomJoinerSimulationTest, ATimeoutComesBeforeTheFailuresThatCameBeforeIt) {
  InVirtualTime([]() -> Task<void> {
    AnySuccessful<int> scope({.timeout = absl::Milliseconds(10)});
    scope.Fork(GiveOr(absl::NotFoundError("a")));
    scope.Fork(GiveNever());
    const ValueOutcome<int> outcome = co_await scope.Join();
    EXPECT_EQ(ReasonOf(outcome.status()).kind, Kind::kTimeout);
    EXPECT_EQ(outcome.failures().size(), 2u);
    EXPECT_EQ(outcome.failures().back().status, absl::NotFoundError("a"));
  });
}

}  // namespace
}  // namespace weft

// Daemons. Goal: a join waits for the other children, then ends the daemons, and returns when they have ended, whoever
// ends last and however the join waits; else they are children like others. Method: the same bodies in simulations and
// on carriers; what depends on exact times, in simulations only.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>
#include <stop_token>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "lib/base/fence.h"
#include "lib/cancel/cancel_request.h"
#include "tests/support/counted.h"
#include "tests/support/on_both.h"
#include "weft/cancel_reason.h"
#include "weft/cancellation.h"
#include "weft/ext/scheduling_observer.h"
#include "weft/internal/thread_block.h"
#include "weft/ready.h"
#include "weft/runtime.h"
#include "weft/scope.h"
#include "weft/stop_token.h"
#include "weft/sync/event.h"
#include "weft/task.h"
#include "weft/testing/simulation.h"
#include "weft/time.h"
#include "weft/virtual_thread.h"

namespace weft {
namespace {

using testing::Counted;
using testing::Forever;
using testing::Introduction;

class DaemonTest : public testing::OnBoth {};
WEFT_ON_BOTH(DaemonTest);

Task<int> GiveLater(int value) {
  for (int i = 0; i < value; ++i) co_await Yield();
  co_return value;
}

TEST_P(DaemonTest, AJoinEndsThemWhenTheOthersHaveEnded) {
  Everywhere([]() -> Task<void> {
    Counted::alive = 0;
    AwaitAll scope;
    absl::Status seen;
    std::atomic<int> ticks{0};
    std::atomic<bool> others{true};
    Event begun;
    auto daemon = scope.ForkDaemon([&, held = Counted()]() -> Task<void> {
      seen = co_await CatchCancelled([](Event& caught, std::atomic<int>& count) -> Task<void> {
        caught.Set();
        for (;; ++count) co_await Yield();
      }(begun, ticks));
      EXPECT_FALSE(others);
    });
    co_await begun.Wait();
    auto child = scope.Fork([&]() -> Task<int> {
      const int value = co_await GiveLater(5);
      others = false;
      co_return value;
    });
    EXPECT_TRUE((co_await scope.Join()).ok());
    EXPECT_EQ(*child, 5);
    EXPECT_EQ(ReasonOf(seen).kind, CancelReason::Kind::kOthersEnded);
    EXPECT_EQ(ReasonOf(seen).thread, VirtualThread::Current().id());
    EXPECT_EQ(daemon.state(), AnySubtask::State::kSuccess);  // it has stopped the request, and returned
    EXPECT_FALSE(scope.IsShutdown());
    EXPECT_EQ(Counted::alive, 0);
  });
}

TEST_P(DaemonTest, OneThatHasNotBegunNeverDoes) {
  Everywhere([]() -> Task<void> {
    AwaitAll scope;
    std::atomic<bool> ran{false};
    auto daemon = scope.ForkDaemon([&ran, held = Counted()]() -> Task<void> {
      ran = true;
      co_await Forever();
    });
    EXPECT_TRUE((co_await scope.Join()).ok());
    EXPECT_EQ(ReasonOf(daemon.status()).kind, CancelReason::Kind::kOthersEnded);
    if (carriers() == 1 && !simulated()) EXPECT_FALSE(ran);
    EXPECT_EQ(Counted::alive, 0);
  });
}

TEST_P(DaemonTest, ManyEndWhateverTheyDo) {
  Everywhere([]() -> Task<void> {
    Counted::alive = 0;
    AwaitAll scope;
    Event never;
    for (int i = 0; i < 150; ++i) {
      scope.ForkDaemon([&never, i, held = Counted()]() -> Task<void> {
        Counted local;
        if (i % 5 == 0) co_return;
        if (i % 5 == 1) co_await Shield(GiveLater(i % 7));
        if (i % 5 == 2) {
          AwaitAll inner;
          inner.Fork([held = Counted()]() -> Task<void> { co_await Forever(); });
          (co_await inner.Join()).IgnoreFailures();
        }
        if (i % 5 == 3) co_await GiveLater(i % 11);
        co_await never.Wait();
      });
      if (i % 10 == 0) scope.Fork(GiveLater(i % 4));
    }
    EXPECT_TRUE((co_await scope.Join()).ok());
    EXPECT_EQ(Counted::alive, 0);
  });
}

// A daemon that is asked to end is runnable, until it has had its turn.
class CountsRunnable : public ext::SchedulingObserver {
 public:
  void OnMount(const ext::ThreadEvent&) noexcept override {
    int runnable = 0;
    for (const VirtualThread& daemon : daemons) runnable += daemon.state() == VirtualThread::State::kRunnable;
    most_at_once = std::max(most_at_once, runnable - std::exchange(runnable_before_, runnable));
  }
  std::vector<VirtualThread> daemons;
  int most_at_once = 0;

 private:
  int runnable_before_ = 0;
};

TEST(DaemonBatchTest, AThousandAreAskedSomeAtATime) {
  CountsRunnable observer;
  testing::Simulation simulation({.observer = &observer});
  simulation.Run([](CountsRunnable& seen) -> Task<void> {
    constexpr int kCount = 1000;
    AwaitAll scope;
    std::vector<VirtualThread> daemons;
    for (int i = 0; i < kCount; ++i) {
      scope.ForkDaemon([&daemons]() -> Task<void> {
        daemons.push_back(VirtualThread::Current());
        co_await Forever();
      });
    }
    while (daemons.size() < kCount) co_await Yield();
    co_await testing::UntilParked(daemons.back());
    seen.daemons = std::move(daemons);
    scope.Fork(GiveLater(1));
    EXPECT_TRUE((co_await scope.Join()).ok());
    seen.daemons.clear();
  }(observer));
  EXPECT_GT(observer.most_at_once, 0);
  // A carrier asks a batch at each of its looks at the cancel queue, of which there are a few between two turns.
  EXPECT_LE(observer.most_at_once, 4 * internal::CancelBatch::kMax);
}

TEST_P(DaemonTest, OneThatIsForkedWhileOthersAreAskedIsNotMeant) {
  Everywhere([]() -> Task<void> {
    struct StopsAtItsEnd {
      explicit StopsAtItsEnd(std::stop_source& stopped) : source(stopped) {}
      ~StopsAtItsEnd() { source.request_stop(); }
      std::stop_source& source;
    };
    struct SetsAtItsEnd {
      explicit SetsAtItsEnd(Event& event) : ended(&event) {}
      SetsAtItsEnd(SetsAtItsEnd&& other) noexcept : ended(std::exchange(other.ended, nullptr)) {}
      ~SetsAtItsEnd() {
        if (ended != nullptr) ended->Set();
      }
      Event* ended;
    };
    std::stop_source source;
    Event ended;
    std::atomic<bool> whole{false};
    AwaitAll scope;
    for (int i = 0; i < 300; ++i) {
      scope.ForkDaemon([&source]() -> Task<void> {
        StopsAtItsEnd local(source);
        co_await Forever();
      });
    }
    for (int i = 0; i < 300; ++i) co_await Yield();
    // Given up when the first of them has been asked, and has come to its end.
    const auto join = [](AwaitAll& joined) -> Task<void> { (co_await joined.Join()).IgnoreFailures(); };
    (co_await WithStopToken(source.get_token(), join(scope))).IgnoreError();
    scope.ForkDaemon([&whole, local = SetsAtItsEnd(ended)]() -> Task<void> {
      for (int i = 0; i < 400; ++i) co_await Yield();
      whole = true;
    });
    co_await ended.Wait();
    EXPECT_TRUE(whole);
    co_await scope.Close();
  });
}

TEST_P(DaemonTest, OneThatShutsTheScopeDownIsAskedByTheJoin) {
  Everywhere([]() -> Task<void> {
    AwaitAll scope;
    absl::Status seen;
    Event shut;
    const auto daemon = [&]() -> Task<void> {
      scope.Shutdown("by a daemon");  // which spares it
      shut.Set();
      co_await Forever();
    };
    scope.ForkDaemon([&]() -> Task<void> { seen = co_await CatchCancelled(daemon()); });
    co_await shut.Wait();
    (co_await scope.Join()).IgnoreFailures();
    EXPECT_EQ(ReasonOf(seen).kind, CancelReason::Kind::kOthersEnded);
    EXPECT_EQ(ReasonOf(scope.Fork(GiveLater(1)).status()).kind, CancelReason::Kind::kShutdown);
    (co_await scope.Join()).IgnoreFailures();
  });
}

TEST_P(DaemonTest, OneThatEndsByItselfIsAChildLikeOthers) {
  Everywhere([]() -> Task<void> {
    AwaitAll scope;
    auto daemon = scope.ForkDaemon(GiveLater(2));
    scope.Fork([daemon]() -> Task<void> {
      while (daemon.state() != AnySubtask::State::kSuccess) co_await Yield();
    });
    EXPECT_TRUE((co_await scope.Join()).ok());
    EXPECT_EQ(*daemon, 2);
  });
}

TEST_P(DaemonTest, ItsFailureIsTheScopes) {
  Everywhere([]() -> Task<void> {
    ShutdownOnFailure scope;
    scope.Fork(Forever());
    auto daemon = scope.ForkDaemon([]() -> Task<absl::Status> { co_return absl::DataLossError("daemon"); });
    const Outcome outcome = co_await scope.Join();
    EXPECT_EQ(outcome.status(), absl::DataLossError("daemon"));
    EXPECT_EQ(outcome.failures().front().thread, daemon.thread_id());
  });
}

TEST_P(DaemonTest, OfItsValueThePolicyHearsNothing) {
  Everywhere([]() -> Task<void> {
    AllSuccessful<int> all;
    all.ForkDaemon(Forever());
    all.ForkDaemon(GiveLater(9));
    all.Fork(GiveLater(1));
    all.Fork(GiveLater(2));
    EXPECT_EQ((co_await all.Join()).value(), (std::vector<int>{1, 2}));

    ShutdownOnSuccess<int> first;
    auto daemon = first.ForkDaemon(GiveLater(0));
    first.Fork([daemon]() -> Task<int> {
      while (daemon.state() == AnySubtask::State::kUnavailable) co_await Yield();
      co_return 7;
    });
    EXPECT_EQ((co_await first.Join()).value(), 7);

    AsCompleted<int> completed;
    completed.ForkDaemon(GiveLater(0));
    completed.ForkDaemon(Forever());
    completed.Fork(GiveLater(1));
    EXPECT_EQ((co_await completed.NextCompleted())->get(), 1);
    EXPECT_FALSE((co_await completed.NextCompleted()).has_value());
    (co_await completed.Join()).IgnoreFailures();
  });
}

TEST_P(DaemonTest, ItDoesNotCountAgainstTheLimit) {
  Everywhere([]() -> Task<void> {
    AwaitAll scope({.max_concurrency = 1});
    scope.ForkDaemon(Forever());
    scope.ForkDaemon(Forever());
    auto a = scope.Fork(GiveLater(1));
    auto b = scope.Fork(GiveLater(2));
    EXPECT_TRUE((co_await scope.Join()).ok());
    EXPECT_EQ(*a + *b, 3);
  });
}

TEST_P(DaemonTest, EachRoundHasItsOwn) {
  Everywhere([]() -> Task<void> {
    AwaitAll scope;
    for (int round = 0; round < 4; ++round) {
      Introduction waiting;
      scope.ForkDaemon([&waiting, held = Counted()]() -> Task<void> { co_await Forever(waiting); });
      if (round % 2 == 0) co_await waiting.AwaitParked();
      auto child = scope.Fork(GiveLater(round));
      EXPECT_TRUE((co_await scope.Join()).ok());
      EXPECT_EQ(*child, round);
      EXPECT_EQ(Counted::alive, 0);
    }
    EXPECT_TRUE((co_await scope.Join()).ok());
  });
}

// In a join that can be interrupted the owner parks, and is woken for each of the two waits.
TEST_P(DaemonTest, AJoinWithAnotherScopeOpenInsideEndsThemToo) {
  Everywhere([]() -> Task<void> {
    AwaitAll outer;
    Event go;
    outer.ForkDaemon([held = Counted()]() -> Task<void> { co_await Forever(); });
    outer.Fork([&go]() -> Task<void> { co_await go.Wait(); });
    AwaitAll inner;
    inner.Fork([&]() -> Task<void> {
      for (int i = 0; i < 5; ++i) {
        outer.Fork(GiveLater(i));
        co_await Yield();
      }
      go.Set();
    });
    EXPECT_TRUE((co_await outer.Join()).ok());
    EXPECT_EQ(Counted::alive, 0);
    EXPECT_TRUE((co_await inner.Join()).ok());
    EXPECT_TRUE((co_await outer.Join()).ok());
  });
}

TEST_P(DaemonTest, AJoinThatIsCancelledEndsThemToo) {
  Everywhere([]() -> Task<void> {
    Counted::alive = 0;
    for (const bool nested : {false, true}) {
      AwaitAll siblings;
      Introduction waiting;
      siblings.Fork([&waiting, nested]() -> Task<void> {
        AwaitAll scope;
        scope.ForkDaemon([held = Counted()]() -> Task<void> { co_await Forever(); });
        scope.Fork([held = Counted()]() -> Task<void> { co_await Forever(); });
        waiting.Make();
        if (nested) {
          AwaitAll inner;
          (co_await scope.Join()).IgnoreFailures();
        }
        (co_await scope.Join()).IgnoreFailures();
        ADD_FAILURE() << "the join is cancelled";
      });
      co_await waiting.AwaitParked();
      siblings.Shutdown();
      (co_await siblings.Join()).IgnoreFailures();
      EXPECT_EQ(Counted::alive, 0);
    }
  });
}

TEST_P(DaemonTest, CloseAndTheDestructorEndThem) {
  Everywhere([]() -> Task<void> {
    Counted::alive = 0;
    {
      AwaitAll closed;
      Introduction waiting;
      closed.ForkDaemon([&waiting, held = Counted()]() -> Task<void> { co_await Forever(waiting); });
      co_await waiting.AwaitParked();
      co_await closed.Close();
      EXPECT_EQ(Counted::alive, 0);
      AwaitAll left;
      Introduction here;
      left.ForkDaemon([&here, held = Counted()]() -> Task<void> { co_await Forever(here); });
      co_await here.AwaitParked();
    }
    EXPECT_EQ(Counted::alive, 0);
  });
}

TEST_P(DaemonTest, AfterAShutdownNoneStarts) {
  Everywhere([]() -> Task<void> {
    AwaitAll scope;
    scope.Shutdown();
    std::atomic<bool> ran{false};
    auto daemon = scope.ForkDaemon([&ran]() -> Task<void> {
      ran = true;
      co_return;
    });
    EXPECT_EQ(daemon.state(), AnySubtask::State::kUnavailable);
    (co_await scope.Join()).IgnoreFailures();
    EXPECT_FALSE(ran);
  });
}

TEST_P(DaemonTest, AServiceMayBeOne) {
  Everywhere([]() -> Task<void> {
    AwaitAll scope;
    auto service = co_await scope.StartDaemon([](Ready ready) -> Task<void> {
      co_await Yield();
      ready.Set();
      co_await Forever();
    });
    EXPECT_TRUE(service.ok());
    auto child = scope.Fork(GiveLater(3));
    EXPECT_TRUE((co_await scope.Join()).ok());
    EXPECT_EQ(*child, 3);
  });
}

TEST(DaemonSimulationTest, AJoinThatGivesUpLeavesThemRunning) {
  for (const int carriers : {1, 2, 3}) {
    for (uint64_t seed = 1; seed <= 30; ++seed) {
      testing::Simulation simulation({.carriers = carriers, .seed = seed});
      simulation.Run([]() -> Task<void> {
        AwaitAll scope;
        std::atomic<int> ticks{0};
        scope.ForkDaemon([&ticks, held = Counted()]() -> Task<void> {
          for (;; ++ticks) co_await Sleep(absl::Seconds(1));
        });
        scope.Fork([]() -> Task<void> { co_await Sleep(absl::Seconds(10)); });
        EXPECT_FALSE((co_await scope.JoinFor(absl::Milliseconds(3'500))).has_value());
        EXPECT_EQ(ticks, 3);
        EXPECT_FALSE((co_await scope.JoinFor(absl::Seconds(4))).has_value());
        EXPECT_EQ(ticks, 7);
        EXPECT_TRUE((co_await scope.JoinFor(absl::Hours(1))).has_value());
        EXPECT_GE(ticks, 9);
        EXPECT_EQ(Counted::alive, 0);
      }());
    }
  }
}

TEST_P(DaemonTest, AJoinWithoutTimeThatFindsNothingElseEndsThem) {
  Everywhere([]() -> Task<void> {
    AwaitAll scope;
    scope.ForkDaemon([held = Counted()]() -> Task<void> { co_await Forever(); });
    Event go;
    auto child = scope.Fork([&go]() -> Task<void> { co_await go.Wait(); });
    EXPECT_FALSE((co_await scope.JoinFor(absl::ZeroDuration())).has_value());
    go.Set();
    while (!(co_await scope.JoinFor(absl::ZeroDuration())).has_value()) co_await Yield();
    EXPECT_EQ(child.state(), AnySubtask::State::kSuccess);
    EXPECT_EQ(Counted::alive, 0);
  });
}

// A result whose destructor says that it has begun, and goes on when it may.
struct SlowToGo {
  struct Steps {
    std::atomic<bool> begun{false}, may_end{false};
  };
  explicit SlowToGo(Steps& of) : steps(&of) {}
  SlowToGo(SlowToGo&& other) noexcept : steps(std::exchange(other.steps, nullptr)) {}
  ~SlowToGo() {
    if (steps == nullptr) return;
    steps->begun = true;
    while (!steps->may_end) internal::CpuRelax();
  }
  Steps* steps;
};

TEST(DaemonThreadTest, OneThatDestroysItsResultIsNoneOfThoseThatAJoinWithALimitWaitsFor) {
  const std::unique_ptr<Runtime> runtime = *Runtime::Create({.parallelism = 2});
  std::thread lets_end;
  runtime->Run([&]() -> Task<void> {
    SlowToGo::Steps steps;
    Event is_listed;  // by its scope, and its handle is gone: the last one that holds it destroys the result
    {
      AwaitAll scope;
      scope.ForkDaemon([&]() -> Task<SlowToGo> {
        co_await is_listed.Wait();
        co_return SlowToGo(steps);
      });
      is_listed.Set();
      while (!steps.begun) co_await Yield();
      lets_end = std::thread([&runtime, &steps, owner = VirtualThread::Current()] {
        runtime->Run(testing::UntilParked(owner));
        steps.may_end = true;
      });
      EXPECT_TRUE((co_await scope.JoinFor(absl::ZeroDuration())).has_value());
      (co_await scope.Join()).IgnoreFailures();
    }
    EXPECT_TRUE(steps.may_end);
  }());
  lets_end.join();
}

TEST_P(DaemonTest, ASupervisorIsToldOfItsFailure) {
  Everywhere([]() -> Task<void> {
    std::vector<absl::Status> reported;
    Supervisor scope([&reported](const AnySubtask& failed) { reported.push_back(failed.status()); });
    scope.ForkDaemon([]() -> Task<absl::Status> { co_return absl::NotFoundError("watchdog"); });
    auto other = scope.ForkDaemon(GiveLater(1));
    scope.Fork([other]() -> Task<void> {
      while (other.state() == AnySubtask::State::kUnavailable) co_await Yield();
    });
    // Also if it did not begin before the others had ended.
    const Outcome outcome = co_await scope.Join();
    EXPECT_EQ(reported.size(), static_cast<size_t>(outcome.failure_count()));
    for (const absl::Status& status : reported) EXPECT_EQ(status, absl::NotFoundError("watchdog"));
  });
}

TEST(DaemonDeathTest, OnlyTheOwnerStartsThem) {
  EXPECT_DEATH(
      {
        testing::Simulation simulation({.carriers = 1});
        simulation.Run([]() -> Task<void> {
          AwaitAll scope;
          scope.Fork([&scope]() -> Task<void> {
            scope.ForkDaemon(Forever());
            co_return;
          });
          (co_await scope.Join()).IgnoreFailures();
        }());
      },
      "ForkDaemon\\(\\) by VirtualThread\\[#2\\].*; the scope is owned by VirtualThread\\[#1\\].*, and only the owner, "
      "who "
      "joins, starts daemons");
}

}  // namespace
}  // namespace weft

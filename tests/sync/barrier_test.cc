// Barrier. Goal: parties meet round by round, the action comes between, and nobody waits for a party that does not
// come. Method: the same bodies in simulations and on carriers. What an action throws is in aids_throw_test.cc.
#include "weft/sync/barrier.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/time/time.h"
#include "tests/support/on_both.h"
#include "weft/cancellation.h"
#include "weft/scope.h"
#include "weft/sync/event.h"
#include "weft/task.h"
#include "weft/testing/simulation.h"
#include "weft/time.h"

namespace weft {
namespace {

using testing::Introduction;

class BarrierTest : public testing::OnBoth {};
WEFT_ON_BOTH(BarrierTest);

// One that arrives and is parked there.
Task<Subtask<int64_t>> ForkWaiting(AwaitAll& scope, Barrier& barrier) {
  Introduction waiting;
  auto subtask = scope.Fork([&waiting, &barrier]() -> Task<absl::StatusOr<int64_t>> {
    waiting.Make();
    co_return co_await barrier.ArriveAndWait();
  });
  co_await waiting.AwaitParked();
  co_return subtask;
}

TEST_P(BarrierTest, EachRoundEndsWhenAllPartiesHaveCome) {
  Everywhere([]() -> Task<void> {
    constexpr int kParties = 4, kRounds = 10;
    Barrier barrier(kParties);
    EXPECT_EQ(barrier.parties(), kParties);
    std::array<std::atomic<int>, kRounds> come = {};
    std::array<std::atomic<int64_t>, kRounds> indices = {};
    AwaitAll scope;
    for (int i = 0; i < kParties; ++i) {
      scope.Fork([&]() -> Task<void> {
        for (int round = 0; round < kRounds; ++round) {
          ++come[round];
          const absl::StatusOr<int64_t> met = co_await barrier.ArriveAndWait();
          EXPECT_EQ(come[round], kParties);
          if (met.ok()) indices[round] += int64_t{1} << *met;
        }
      });
    }
    (co_await scope.Join()).IgnoreFailures();
    for (const auto& each : indices) EXPECT_EQ(each, (1 << kParties) - 1) << "each number once";
    EXPECT_EQ(barrier.waiting(), 0);
    EXPECT_FALSE(barrier.IsBroken());
  });
}

TEST_P(BarrierTest, PartiesAreNumberedInTheOrderInWhichTheyCome) {
  Everywhere([]() -> Task<void> {
    Barrier barrier(3);
    AwaitAll scope;
    const auto first = co_await ForkWaiting(scope, barrier);
    const auto second = co_await ForkWaiting(scope, barrier);
    EXPECT_EQ(barrier.waiting(), 2);
    EXPECT_EQ((co_await barrier.ArriveAndWait()).value(), 0);
    (co_await scope.Join()).IgnoreFailures();
    EXPECT_EQ(*first, 2);
    EXPECT_EQ(*second, 1);
  });
}

TEST_P(BarrierTest, TheActionIsCalledOnceARoundBeforeAnybodyGoesOn) {
  Everywhere([]() -> Task<void> {
    constexpr int kParties = 3, kRounds = 10;
    int calls = 0;  // no atomic: the barrier orders it
    Barrier barrier(kParties, [&calls] { ++calls; });
    AwaitAll scope;
    for (int i = 0; i < kParties; ++i) {
      scope.Fork([&]() -> Task<void> {
        for (int round = 1; round <= kRounds; ++round) {
          EXPECT_TRUE((co_await barrier.ArriveAndWait()).ok());
          EXPECT_EQ(calls, round);
          EXPECT_TRUE((co_await barrier.ArriveAndWait()).ok());
          if (++round <= kRounds) EXPECT_EQ(calls, round);
        }
      });
    }
    (co_await scope.Join()).IgnoreFailures();
    EXPECT_GE(calls, kRounds);
  });
}

TEST_P(BarrierTest, MoreThreadsThanPartiesMeetInGroupsAndActionsDoNotOverlap) {
  Everywhere([]() -> Task<void> {
    constexpr int kThreads = 12, kParties = 3;
    std::atomic<int> inside = 0;
    int calls = 0;
    Barrier barrier(kParties, [&] {
      EXPECT_EQ(++inside, 1);
      ++calls;
      --inside;
    });
    std::atomic<int> last = 0;
    AwaitAll scope;
    for (int i = 0; i < kThreads; ++i) {
      scope.Fork([&]() -> Task<void> {
        const absl::StatusOr<int64_t> met = co_await barrier.ArriveAndWait();
        if (met.ok() && *met == 0) ++last;
      });
    }
    (co_await scope.Join()).IgnoreFailures();
    EXPECT_EQ(calls, kThreads / kParties);
    EXPECT_EQ(last, kThreads / kParties);
  });
}

// By the action itself, which no carrier leaves: several rounds come together during it.
TEST(BarrierActionTest, WhoComesDuringAnActionWaitsForTheNextRound) {
  for (uint64_t seed = 1; seed <= 50; ++seed) {
    testing::Simulation({.carriers = 1, .seed = seed}).Run([]() -> Task<void> {
      Event go;
      std::vector<int64_t> order;
      Barrier barrier(2, [&order] { order.push_back(-1); });
      AwaitAll scope;
      for (int i = 0; i < 6; ++i) {
        scope.Fork([&]() -> Task<void> {
          co_await go.Wait();
          order.push_back((co_await barrier.ArriveAndWait()).value());
        });
      }
      go.Set();
      (co_await scope.Join()).IgnoreFailures();
      EXPECT_EQ(std::count(order.begin(), order.end(), -1), 3);
      EXPECT_EQ(std::count(order.begin(), order.end(), 0), 3);
      EXPECT_EQ(std::count(order.begin(), order.end(), 1), 3);
    }());
  }
}

TEST_P(BarrierTest, APartyThatIsCancelledWhileItWaitsBreaksIt) {
  Everywhere([]() -> Task<void> {
    Barrier barrier(3);
    AwaitAll kept, cancelled;
    const auto first = co_await ForkWaiting(kept, barrier);
    const auto lost = co_await ForkWaiting(cancelled, barrier);
    cancelled.Shutdown();
    (co_await cancelled.Join()).IgnoreFailures();
    (co_await kept.Join()).IgnoreFailures();
    EXPECT_EQ(first.status().code(), absl::StatusCode::kAborted);
    EXPECT_TRUE(absl::StrContains(first.status().message(), "was cancelled at it")) << first.status();
    EXPECT_TRUE(barrier.IsBroken());
    EXPECT_EQ(barrier.waiting(), 0);
    EXPECT_EQ((co_await barrier.ArriveAndWait()).status().code(), absl::StatusCode::kAborted) << "until a Reset()";
    barrier.Reset();
    EXPECT_FALSE(barrier.IsBroken());
    AwaitAll again;
    co_await ForkWaiting(again, barrier);
    co_await ForkWaiting(again, barrier);
    EXPECT_EQ((co_await barrier.ArriveAndWait()).value(), 0);
    (co_await again.Join()).IgnoreFailures();
  });
}

TEST_P(BarrierTest, APartyThatIsCancelledAsItArrivesBreaksIt) {
  Everywhere([]() -> Task<void> {
    Barrier barrier(2);
    AwaitAll kept;
    const auto first = co_await ForkWaiting(kept, barrier);
    AwaitAll cancelled;
    Introduction begun;
    cancelled.Fork([&]() -> Task<void> {
      begun.Make();
      co_await testing::UntilAsked();
      static_cast<void>(co_await barrier.ArriveAndWait());
      ADD_FAILURE() << "it was cancelled";
    });
    co_await begun.Await();
    cancelled.Shutdown();
    (co_await cancelled.Join()).IgnoreFailures();
    (co_await kept.Join()).IgnoreFailures();
    EXPECT_EQ(first.status().code(), absl::StatusCode::kAborted);
  });
}

TEST_P(BarrierTest, AResetBreaksTheRoundOfThoseWhoWait) {
  Everywhere([]() -> Task<void> {
    Barrier barrier(2);
    AwaitAll scope;
    const auto first = co_await ForkWaiting(scope, barrier);
    barrier.Reset();
    (co_await scope.Join()).IgnoreFailures();
    EXPECT_EQ(first.status().code(), absl::StatusCode::kAborted);
    EXPECT_FALSE(barrier.IsBroken());
    EXPECT_EQ(barrier.waiting(), 0);
  });
}

TEST_P(BarrierTest, APartyWhoseTimeIsUpBreaksItForThoseWithMoreTimeToo) {
  Everywhere([]() -> Task<void> {
    Barrier barrier(4);
    AwaitAll scope;
    const auto untimed = co_await ForkWaiting(scope, barrier);
    Introduction waiting;
    scope.Fork([&]() -> Task<void> {
      waiting.Make();
      const auto met = co_await MoveOnAfter(absl::Hours(1), barrier.ArriveAndWait());
      EXPECT_TRUE(met.has_value()) << "its own time is not up";
      if (met.has_value()) EXPECT_EQ(met->status().code(), absl::StatusCode::kAborted);
    });
    co_await waiting.AwaitParked();
    EXPECT_EQ(barrier.waiting(), 2);
    EXPECT_FALSE((co_await MoveOnAfter(absl::Milliseconds(1), barrier.ArriveAndWait())).has_value());
    (co_await scope.Join()).IgnoreFailures();
    EXPECT_EQ(untimed.status().code(), absl::StatusCode::kAborted);
    EXPECT_TRUE(barrier.IsBroken());
  });
}

TEST_P(BarrierTest, AResetWithoutAnybodyWhoWaitsChangesNothing) {
  Everywhere([]() -> Task<void> {
    Barrier barrier(2);
    for (int round = 0; round < 3; ++round) {
      barrier.Reset();
      EXPECT_FALSE(barrier.IsBroken());
      EXPECT_EQ(barrier.waiting(), 0);
      AwaitAll scope;
      const auto first = co_await ForkWaiting(scope, barrier);
      EXPECT_EQ((co_await barrier.ArriveAndWait()).value(), 0);
      (co_await scope.Join()).IgnoreFailures();
      EXPECT_EQ(*first, 1);
    }
  });
}

// A party that comes again after each reset is told once of each.
TEST_P(BarrierTest, EachResetBreaksOneRound) {
  Everywhere([]() -> Task<void> {
    constexpr int kResets = 5;
    Barrier barrier(2);
    int broken = 0;
    AwaitAll scope;
    scope.Fork([&]() -> Task<void> {
      while (!(co_await barrier.ArriveAndWait()).ok()) ++broken;
    });
    for (int i = 0; i < kResets; ++i) {
      while (barrier.waiting() == 0) co_await Yield();
      barrier.Reset();
    }
    while (barrier.waiting() == 0) co_await Yield();
    EXPECT_TRUE((co_await barrier.ArriveAndWait()).ok());
    (co_await scope.Join()).IgnoreFailures();
    EXPECT_EQ(broken, kResets);
  });
}

TEST_P(BarrierTest, AResetMendsItWhateverHasBrokenIt) {
  Everywhere([]() -> Task<void> {
    bool fails = true;
    Barrier barrier(2, [&fails] { return fails ? absl::DataLossError("as planned") : absl::OkStatus(); });
    for (int round = 0; round < 2; ++round) {
      EXPECT_FALSE((co_await MoveOnAfter(absl::Milliseconds(1), barrier.ArriveAndWait())).has_value());
      EXPECT_TRUE(barrier.IsBroken());
      EXPECT_EQ(barrier.waiting(), 0);
      barrier.Reset();
      EXPECT_FALSE(barrier.IsBroken());
      AwaitAll scope;
      const auto first = co_await ForkWaiting(scope, barrier);
      EXPECT_EQ((co_await barrier.ArriveAndWait()).status(), absl::DataLossError("as planned"));
      (co_await scope.Join()).IgnoreFailures();
      EXPECT_TRUE(barrier.IsBroken());
      EXPECT_EQ(barrier.waiting(), 0);
      barrier.Reset();
      EXPECT_FALSE(barrier.IsBroken());
    }
    fails = false;
    AwaitAll scope;
    const auto first = co_await ForkWaiting(scope, barrier);
    EXPECT_EQ((co_await barrier.ArriveAndWait()).value(), 0);
    (co_await scope.Join()).IgnoreFailures();
    EXPECT_EQ(*first, 1);
  });
}

TEST_P(BarrierTest, AnActionThatFailsBreaksItAndItsCallerGetsTheFailure) {
  Everywhere([]() -> Task<void> {
    Barrier barrier(3, [] { return absl::DataLossError("as planned"); });
    AwaitAll scope;
    const auto first = co_await ForkWaiting(scope, barrier);
    const auto second = co_await ForkWaiting(scope, barrier);
    EXPECT_EQ((co_await barrier.ArriveAndWait()).status(), absl::DataLossError("as planned"));
    (co_await scope.Join()).IgnoreFailures();
    EXPECT_EQ(first.status().code(), absl::StatusCode::kAborted);
    EXPECT_EQ(second.status().code(), absl::StatusCode::kAborted);
    EXPECT_TRUE(absl::StrContains(second.status().message(), "its action, called by")) << second.status();
    EXPECT_TRUE(barrier.IsBroken());
  });
}

// Whoever is cancelled when: all are told the same of a round.
TEST_P(BarrierTest, ARoundIsCompleteForAllOrForNobody) {
  Everywhere([]() -> Task<void> {
    Barrier barrier(3, [] {});
    std::atomic<int> met = 0, broken = 0;
    AwaitAll cancelled, kept;
    for (AwaitAll* scope : {&kept, &kept, &cancelled}) {
      scope->Fork([&]() -> Task<void> { ++((co_await barrier.ArriveAndWait()).ok() ? met : broken); });
    }
    co_await Yield();
    cancelled.Shutdown();
    (co_await cancelled.Join()).IgnoreFailures();
    co_await kept.Close();  // one that was cancelled before its first run has not arrived
    EXPECT_TRUE(met == 0 || broken == 0) << met << " and " << broken;
  });
}

TEST_P(BarrierTest, OfOnePartyItLetsEverybodyPass) {
  Everywhere([]() -> Task<void> {
    int calls = 0;
    Barrier barrier(1, [&calls] { ++calls; });
    for (int i = 0; i < 100; ++i) EXPECT_EQ((co_await barrier.ArriveAndWait()).value(), 0);
    EXPECT_EQ(calls, 100);
  });
}

TEST(BarrierReportTest, TellsHowManyHaveArrived) {
  std::string report;
  testing::Simulation simulation({.on_deadlock = [&report](const std::string& text) { report = text; }});
  EXPECT_FALSE(simulation
                   .TryRun([]() -> Task<void> {
                     Barrier barrier(5);
                     AwaitAll scope;
                     for (int i = 0; i < 2; ++i) {
                       scope.Fork([&]() -> Task<void> { static_cast<void>(co_await barrier.ArriveAndWait()); });
                     }
                     (co_await scope.Join()).IgnoreFailures();
                   }())
                   .ok());
  EXPECT_TRUE(absl::StrContains(report, "in Barrier::ArriveAndWait at " __FILE__)) << report;
  EXPECT_TRUE(absl::StrContains(report, ", 2 of 5 have arrived")) << report;
}

TEST(BarrierDeathTest, IsDestroyedWithAWaiter) {
  EXPECT_DEATH(testing::Simulation().Run([]() -> Task<void> {
                 AwaitAll scope;
                 Barrier barrier(2);
                 scope.Fork([&]() -> Task<void> { static_cast<void>(co_await barrier.ArriveAndWait()); },
                            {.name = "waiter"});
                 co_await Yield();
                 co_await Yield();
               }()),
               "a Barrier is destroyed by VirtualThread\\[#1\\]/runnable@carrier-0 while "
               "VirtualThread\\[#2,waiter\\]/waiting waits for it");
}

TEST(BarrierDeathTest, HasParties) {
  EXPECT_DEATH(Barrier(0), "a Barrier of 0 parties; it needs 1 or more");
  EXPECT_DEATH(Barrier(-1, [] {}), "a Barrier of -1 parties; it needs 1 or more");
}

}  // namespace
}  // namespace weft

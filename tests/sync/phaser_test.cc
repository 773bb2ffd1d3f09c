// Phaser. Goal: a phase ends when all who are registered have arrived, whoever comes and goes, and once. Method: the
// same bodies in simulations and on carriers. What on_advance throws is in aids_throw_test.cc.
#include "weft/sync/phaser.h"

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/match.h"
#include "tests/support/on_both.h"
#include "weft/runtime.h"
#include "weft/scope.h"
#include "weft/task.h"
#include "weft/testing/simulation.h"
#include "weft/time.h"

namespace weft {
namespace {

using testing::Introduction;

class PhaserTest : public testing::OnBoth {};
WEFT_ON_BOTH(PhaserTest);

TEST_P(PhaserTest, APhaseEndsWhenAllHaveArrived) {
  Everywhere([]() -> Task<void> {
    constexpr int kParties = 4, kPhases = 10;
    Phaser phaser(kParties);
    std::array<std::atomic<int>, kPhases> come = {};
    AwaitAll scope;
    for (int i = 0; i < kParties; ++i) {
      scope.Fork([&]() -> Task<void> {
        for (int phase = 0; phase < kPhases; ++phase) {
          ++come[phase];
          EXPECT_EQ(co_await phaser.ArriveAndAwaitAdvance(), phase + 1);
          EXPECT_EQ(come[phase], kParties);
        }
      });
    }
    (co_await scope.Join()).IgnoreFailures();
    EXPECT_EQ(phaser.phase(), kPhases);
    EXPECT_EQ(phaser.registered(), kParties);
    EXPECT_EQ(phaser.arrived(), 0);
  });
}

TEST_P(PhaserTest, ArrivingDoesNotWaitAndOthersMayWaitForThePhase) {
  Everywhere([]() -> Task<void> {
    Phaser phaser(2);
    AwaitAll scope;
    Introduction waiting;
    scope.Fork([&]() -> Task<void> {
      waiting.Make();
      EXPECT_EQ(co_await phaser.AwaitAdvance(0), 1);
    });
    co_await waiting.AwaitParked();
    EXPECT_EQ(phaser.Arrive(), 0);
    EXPECT_EQ(phaser.arrived(), 1);
    EXPECT_EQ(phaser.Arrive(), 0);
    (co_await scope.Join()).IgnoreFailures();
    EXPECT_EQ(phaser.phase(), 1);
    EXPECT_EQ(co_await phaser.AwaitAdvance(0), 1) << "which is over";
    EXPECT_EQ(co_await phaser.AwaitAdvance(-1), 1);
  });
}

TEST_P(PhaserTest, PartiesComeAndGo) {
  Everywhere([]() -> Task<void> {
    Phaser phaser;
    EXPECT_EQ(phaser.Register(), 0);
    std::atomic<int> inside = 0;
    AwaitAll scope;
    for (int i = 1; i <= 4; ++i) {
      EXPECT_EQ(phaser.Register(), 0);
      scope.Fork([&, i]() -> Task<void> {
        ++inside;
        for (int phase = 1; phase <= i; ++phase) EXPECT_EQ(co_await phaser.ArriveAndAwaitAdvance(), phase);
        phaser.ArriveAndDeregister();
      });
    }
    EXPECT_EQ(co_await phaser.ArriveAndAwaitAdvance(), 1);
    EXPECT_EQ(inside, 4);
    EXPECT_EQ(phaser.ArriveAndDeregister(), 1);
    (co_await scope.Join()).IgnoreFailures();
    EXPECT_TRUE(phaser.IsTerminated()) << "the last one has gone";
    EXPECT_LT(phaser.Register(), 0);
    EXPECT_LT(phaser.Arrive(), 0);
    EXPECT_EQ(phaser.phase(), ~int64_t{5});
    EXPECT_EQ(co_await phaser.AwaitAdvance(5), ~int64_t{5});
  });
}

TEST_P(PhaserTest, OnAdvanceComesBeforeTheWaitsEndAndMayTerminate) {
  Everywhere([]() -> Task<void> {
    constexpr int kParties = 3;
    std::vector<int64_t> phases;  // no lock: the phaser orders it
    Phaser phaser(kParties, [&](int64_t phase, int64_t registered) {
      EXPECT_EQ(registered, kParties);
      phases.push_back(phase);
      return phase == 4;
    });
    AwaitAll scope;
    for (int i = 0; i < kParties; ++i) {
      scope.Fork([&]() -> Task<void> {
        for (int64_t phase = 0; phase < 4; ++phase) {
          EXPECT_EQ(co_await phaser.ArriveAndAwaitAdvance(), phase + 1);
          EXPECT_GE(phases.size(), static_cast<size_t>(phase + 1));
          EXPECT_EQ(co_await phaser.AwaitAdvance(phase), phase + 1);
        }
        EXPECT_EQ(co_await phaser.ArriveAndAwaitAdvance(), ~int64_t{5});
        EXPECT_EQ(co_await phaser.ArriveAndAwaitAdvance(), ~int64_t{5});
      });
    }
    (co_await scope.Join()).IgnoreFailures();
    EXPECT_EQ(phases, (std::vector<int64_t>{0, 1, 2, 3, 4}));
  });
}

// A round of it is two phases, so nobody counts for a round before all have counted for the last one.
TEST_P(PhaserTest, NobodyGoesOnBeforeAllHaveArrived) {
  Everywhere([]() -> Task<void> {
    constexpr int kParties = 4, kRounds = 3;
    Phaser phaser(kParties);
    std::atomic<int> count = 0;
    AwaitAll scope;
    for (int i = 0; i < kParties; ++i) {
      scope.Fork([&]() -> Task<void> {
        for (int round = 0; round < kRounds; ++round) {
          EXPECT_EQ(co_await phaser.ArriveAndAwaitAdvance(), 2 * round + 1);
          ++count;
          const int64_t phase = phaser.Arrive();
          EXPECT_EQ(phase, 2 * round + 1);
          EXPECT_EQ(co_await phaser.AwaitAdvance(phase), phase + 1);
          EXPECT_EQ(count, kParties * (round + 1));
        }
      });
    }
    (co_await scope.Join()).IgnoreFailures();
  });
}

TEST_P(PhaserTest, ThoseWhoWaitHaveArrivedAndThoseWhoLeaveDoNotWait) {
  Everywhere([]() -> Task<void> {
    constexpr int kWaiting = 3, kLeaving = 5;
    Phaser phaser(1);
    AwaitAll waiting, leaving;
    for (int i = 0; i < kWaiting; ++i) {
      EXPECT_EQ(phaser.Register(), 0);
      waiting.Fork([&]() -> Task<void> { EXPECT_EQ(co_await phaser.ArriveAndAwaitAdvance(), 1); });
    }
    for (int i = 0; i < kLeaving; ++i) {
      EXPECT_EQ(phaser.Register(), 0);
      leaving.Fork([&]() -> Task<void> {
        EXPECT_EQ(phaser.ArriveAndDeregister(), 0);
        co_return;
      });
    }
    (co_await leaving.Join()).IgnoreFailures();
    while (phaser.arrived() < kWaiting) co_await Yield();
    EXPECT_EQ(phaser.registered(), kWaiting + 1);
    EXPECT_EQ(phaser.phase(), 0);
    EXPECT_EQ(co_await phaser.ArriveAndAwaitAdvance(), 1);
    (co_await waiting.Join()).IgnoreFailures();
    EXPECT_EQ(phaser.registered(), kWaiting + 1);
    EXPECT_EQ(phaser.arrived(), 0);
  });
}

// ---- What is counted.

struct Counts {
  int64_t phase, registered, arrived;
  bool operator==(const Counts&) const = default;
};
Counts CountsOf(Phaser& phaser) { return {phaser.phase(), phaser.registered(), phaser.arrived()}; }

TEST(PhaserCountsTest, WhoRegistersIsToArriveInThePhaseThatItIsTold) {
  Phaser phaser;
  EXPECT_EQ(CountsOf(phaser), (Counts{0, 0, 0}));
  EXPECT_FALSE(phaser.IsTerminated());
  EXPECT_EQ(phaser.Register(0), 0);
  EXPECT_EQ(CountsOf(phaser), (Counts{0, 0, 0}));
  EXPECT_EQ(phaser.Register(), 0);
  EXPECT_EQ(CountsOf(phaser), (Counts{0, 1, 0}));
  EXPECT_EQ(phaser.Arrive(), 0);
  EXPECT_EQ(CountsOf(phaser), (Counts{1, 1, 0}));
  EXPECT_EQ(phaser.Register(20), 1);
  EXPECT_EQ(phaser.Arrive(), 1);
  EXPECT_EQ(CountsOf(phaser), (Counts{1, 21, 1}));
  EXPECT_EQ(phaser.Register(), 1);
  EXPECT_EQ(CountsOf(phaser), (Counts{1, 22, 1})) << "who has arrived has arrived";
}

TEST(PhaserCountsTest, APhaseHasAsManyArrivalsAsThereAreParties) {
  for (int parties = 1; parties < 9; ++parties) {
    Phaser phaser(parties);
    for (int i = 0; i < 10 * parties; ++i) {
      EXPECT_EQ(CountsOf(phaser), (Counts{i / parties, parties, i % parties}));
      EXPECT_EQ(phaser.Arrive(), i / parties);
    }
  }
}

TEST(PhaserCountsTest, WhoLeavesIsCountedNoMoreAndTheLastOneTerminatesIt) {
  Phaser phaser(1);
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(phaser.Register(), 0);
    EXPECT_EQ(phaser.ArriveAndDeregister(), 0);
    EXPECT_EQ(CountsOf(phaser), (Counts{0, 1, 0}));
  }
  EXPECT_EQ(phaser.Register(), 0);
  EXPECT_EQ(phaser.Arrive(), 0);
  EXPECT_EQ(phaser.ArriveAndDeregister(), 0);
  EXPECT_EQ(CountsOf(phaser), (Counts{1, 1, 0})) << "the phase was complete without it";
  EXPECT_EQ(phaser.ArriveAndDeregister(), 1);
  EXPECT_EQ(CountsOf(phaser), (Counts{~int64_t{2}, 0, 0}));
}

TEST(PhaserCountsTest, WhatIsTerminatedCountsNothing) {
  Phaser phaser(3);
  EXPECT_EQ(phaser.Arrive(), 0);
  phaser.Terminate();
  EXPECT_TRUE(phaser.IsTerminated());
  EXPECT_EQ(phaser.Register(), ~int64_t{0});
  EXPECT_EQ(phaser.Arrive(), ~int64_t{0});
  EXPECT_EQ(phaser.ArriveAndDeregister(), ~int64_t{0});
  EXPECT_EQ(CountsOf(phaser), (Counts{~int64_t{0}, 3, 1}));
}

// ---- What comes during an advance.

// What is done in on_advance belongs to the next phase.
TEST(PhaserAdvanceTest, WhatComesDuringAnAdvanceBelongsToTheNextPhase) {
  Phaser* self = nullptr;
  std::vector<std::pair<int64_t, int64_t>> calls;
  Phaser phaser(1, [&](int64_t phase, int64_t registered) {
    calls.emplace_back(phase, registered);
    if (phase == 0) {
      EXPECT_EQ(self->Register(2), 1);
      EXPECT_EQ(self->arrived(), 0);
      for (int i = 0; i < 3; ++i) EXPECT_EQ(self->Arrive(), 1);
    }
    return false;
  });
  self = &phaser;
  EXPECT_EQ(phaser.Arrive(), 0);
  EXPECT_EQ(phaser.phase(), 2);
  EXPECT_EQ(calls, (std::vector<std::pair<int64_t, int64_t>>{{0, 1}, {1, 3}}));
}

// A phase that is complete but for an advance that is under way is open again.
TEST(PhaserAdvanceTest, WhoRegistersDuringAnAdvanceIsWaitedForInTheNextPhase) {
  Phaser* self = nullptr;
  std::vector<std::pair<int64_t, int64_t>> calls;
  Phaser phaser(1, [&](int64_t phase, int64_t registered) {
    calls.emplace_back(phase, registered);
    if (phase == 0) {
      EXPECT_EQ(self->Arrive(), 1);
      EXPECT_EQ(self->Register(), 1);
    }
    return false;
  });
  self = &phaser;
  EXPECT_EQ(phaser.Arrive(), 0);
  EXPECT_EQ(phaser.phase(), 1);
  EXPECT_EQ(phaser.Arrive(), 1);
  EXPECT_EQ(phaser.phase(), 2);
  EXPECT_EQ(calls, (std::vector<std::pair<int64_t, int64_t>>{{0, 1}, {1, 2}}));
}

TEST(PhaserAdvanceTest, WhatTerminatesDuringAnAdvanceEndsItInThatPhase) {
  Phaser* self = nullptr;
  Phaser phaser(1, [&](int64_t, int64_t) {
    self->Terminate();
    EXPECT_EQ(self->phase(), ~int64_t{0});
    return false;
  });
  self = &phaser;
  EXPECT_EQ(phaser.Arrive(), 0);
  EXPECT_EQ(phaser.phase(), ~int64_t{0});
}

TEST_P(PhaserTest, TerminateEndsAllWaits) {
  Everywhere([]() -> Task<void> {
    Phaser phaser(3);
    AwaitAll scope;
    for (int i = 0; i < 2; ++i) {
      Introduction waiting;
      scope.Fork([&, i]() -> Task<void> {
        waiting.Make();
        EXPECT_EQ(i == 0 ? co_await phaser.AwaitAdvance(0) : co_await phaser.ArriveAndAwaitAdvance(), ~int64_t{0});
      });
      co_await waiting.AwaitParked();
    }
    phaser.Terminate();
    phaser.Terminate();
    (co_await scope.Join()).IgnoreFailures();
  });
}

TEST_P(PhaserTest, AnArrivalThatIsCancelledIsTakenBackAndAPartyThatLeavesIsNotWaitedFor) {
  Everywhere([]() -> Task<void> {
    Phaser phaser(2);
    AwaitAll kept, cancelled;
    Introduction first, second;
    kept.Fork([&]() -> Task<void> {
      first.Make();
      EXPECT_EQ(co_await phaser.AwaitAdvance(0), 1);
    });
    co_await first.AwaitParked();
    cancelled.Fork([&]() -> Task<void> {
      absl::Cleanup leave = [&] { phaser.ArriveAndDeregister(); };
      second.Make();
      co_await phaser.ArriveAndAwaitAdvance();
      co_await testing::Forever();
    });
    co_await second.AwaitParked();
    EXPECT_EQ(phaser.arrived(), 1);
    cancelled.Shutdown();
    (co_await cancelled.Join()).IgnoreFailures();
    EXPECT_EQ(phaser.registered(), 1);
    EXPECT_EQ(phaser.arrived(), 0);
    EXPECT_EQ(co_await phaser.ArriveAndAwaitAdvance(), 1);
    (co_await kept.Join()).IgnoreFailures();
  });
}

struct Leave {
  void operator()(Phaser* phaser) const { phaser->ArriveAndDeregister(); }
};

// Parties that are cancelled at any moment leave, and those that stay go on.
TEST_P(PhaserTest, WhoeverIsCancelledTheOthersGoOn) {
  Everywhere([]() -> Task<void> {
    constexpr int kParties = 3;
    Phaser phaser(2 * kParties, [](int64_t phase, int64_t) { return phase >= 20; });
    AwaitAll kept, cancelled;
    for (AwaitAll* scope : {&kept, &cancelled}) {
      for (int i = 0; i < kParties; ++i) {
        scope->Fork([&phaser, leave = std::unique_ptr<Phaser, Leave>(&phaser)]() -> Task<void> {
          while (co_await phaser.ArriveAndAwaitAdvance() >= 0) continue;
        });
      }
    }
    for (int i = 0; i < 3; ++i) co_await Yield();
    cancelled.Shutdown();
    (co_await cancelled.Join()).IgnoreFailures();
    (co_await kept.Join()).IgnoreFailures();
    EXPECT_TRUE(phaser.IsTerminated());
  });
}

TEST(PhaserThreadsTest, AnArrivalInTheNextPhaseCanBeTakenBackWhileThisOneAdvances) {
  (*Runtime::Create({.parallelism = 1}))->Run([]() -> Task<void> {
    std::atomic<bool> advances = false, go_on = false;
    Phaser phaser(1, [&](int64_t phase, int64_t) {
      if (phase > 0) return false;
      advances = true;
      while (!go_on) std::this_thread::yield();
      return false;
    });
    std::thread other([&] { phaser.Arrive(); });
    while (!advances) co_await Yield();
    AwaitAll scope;
    scope.Fork([&]() -> Task<void> { co_await phaser.ArriveAndAwaitAdvance(); });
    while (phaser.arrived() == 0) co_await Yield();  // so the next phase is complete as well
    scope.Shutdown();
    phaser.Register();  // and now it is not
    go_on = true;
    other.join();
    (co_await scope.Join()).IgnoreFailures();
    EXPECT_EQ(phaser.phase(), 1);
    EXPECT_EQ(phaser.arrived(), 0);
    EXPECT_EQ(phaser.registered(), 2);
  }());
}

TEST(PhaserThreadsTest, OsThreadsArriveToo) {
  const auto runtime = Runtime::Create({.parallelism = 2}).value();
  for (int i = 0; i < 50; ++i) {
    Phaser phaser(2);
    std::thread outside([&] { EXPECT_EQ(phaser.Arrive(), 0); });
    runtime->Run([](Phaser& of) -> Task<void> { EXPECT_EQ(co_await of.ArriveAndAwaitAdvance(), 1); }(phaser));
    outside.join();
  }
}

TEST(PhaserReportTest, TellsThePhaseAndHowManyHaveArrived) {
  std::string report;
  testing::Simulation simulation({.on_deadlock = [&report](const std::string& text) { report = text; }});
  EXPECT_FALSE(simulation
                   .TryRun([]() -> Task<void> {
                     Phaser phaser(2);
                     phaser.Arrive();
                     phaser.Arrive();
                     co_await phaser.ArriveAndAwaitAdvance();
                   }())
                   .ok());
  EXPECT_TRUE(absl::StrContains(report, "in Phaser::AwaitAdvance at " __FILE__)) << report;
  EXPECT_TRUE(absl::StrContains(report, " in phase 1, 1 of 2 have arrived")) << report;
}

TEST(PhaserDeathTest, IsDestroyedWithAWaiter) {
  EXPECT_DEATH(testing::Simulation().Run([]() -> Task<void> {
                 AwaitAll scope;
                 Phaser phaser(2);
                 scope.Fork([&]() -> Task<void> { co_await phaser.ArriveAndAwaitAdvance(); }, {.name = "waiter"});
                 co_await Yield();
                 co_await Yield();
               }()),
               "a Phaser is destroyed by VirtualThread\\[#1\\]/runnable@carrier-0 while "
               "VirtualThread\\[#2,waiter\\]/waiting waits for it");
}

TEST(PhaserDeathTest, WithoutAPartyThatIsStillToArriveNobodyArrives) {
  EXPECT_DEATH(Phaser(0).Arrive(),
               "an OS thread .* arrives at a Phaser of 0 parties, all of which have arrived in phase 0");
  EXPECT_DEATH(Phaser(0).ArriveAndDeregister(), "arrives at a Phaser of 0 parties");
  EXPECT_DEATH(testing::Simulation().Run([]() -> Task<void> {
    Phaser phaser;
    co_await phaser.ArriveAndAwaitAdvance();
  }()),
               "VirtualThread\\[#1\\]/runnable@carrier-0 arrives at a Phaser of 0 parties");
  EXPECT_DEATH(Phaser(-1), "a Phaser of -1 parties; it needs 0 or more");
  EXPECT_DEATH(Phaser().Register(-1), "Register\\(-1\\) of a Phaser; it needs 0 or more");
  EXPECT_DEATH(Phaser(INT64_MAX).Register(1), "Register\\(1\\) of a Phaser of 9223372036854775807 parties: .* many");
}

}  // namespace
}  // namespace weft

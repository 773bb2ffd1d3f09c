// Rows C1 and D1 for scopes. Goal: whatever the moment at which a tree of scopes is cancelled, shut down, left, or
// loses its runtime, it ends as promised (scope_run.h). Method: each scenario (scope_scenarios.h) runs once to count
// its checkpoints or its turns, and then once for each of them, and once for every pair of checkpoints; on one to three
// carriers, under WEFT_INJECTION_SEEDS seeds (1, unless the environment says otherwise; twice as many where that is
// cheap).
#include <gtest/gtest.h>

#include <cstdint>
#include <cstdlib>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "tests/cancel/scope_run.h"
#include "tests/cancel/scope_scenarios.h"
#include "tests/support/proof_row.h"

namespace weft::testing {
namespace {

using Act = ScopeRun::Act;
using Plan = ScopeRun::Plan;

uint64_t Seeds() {
  uint64_t seeds = 1;
  if (const char* text = std::getenv("WEFT_INJECTION_SEEDS")) EXPECT_TRUE(absl::SimpleAtoi(text, &seeds)) << text;
  return seeds;
}

// Calls body(scenario, plan, steps) for every scenario on one to three carriers, under seeds from 1 on, until one
// fails. `steps` is what a run of the plan has of them.
template <class Body>
void ForEverySchedule(const Plan& of, uint64_t seeds, Body body) {
  for (const Scenario& scenario : kScenarios) {
    for (int carriers = 1; carriers <= 3; ++carriers) {
      for (uint64_t seed = 1; seed <= seeds; ++seed) {
        if (::testing::Test::HasFailure()) return;
        SCOPED_TRACE(absl::StrCat(scenario.name, ", carriers: ", carriers, ", seed: ", seed));
        Plan plan = of;
        plan.carriers = carriers;
        plan.seed = seed;
        body(scenario, plan, ScopeRun::Try(scenario, plan).steps);
      }
    }
  }
}

// Does something at every step, before the first and after the last included.
void AtEveryStep(const Scenario& scenario, Plan plan, int steps, ProofRow& row) {
  for (int at = 0; at <= steps + 1 && !::testing::Test::HasFailure(); ++at) {
    SCOPED_TRACE(absl::StrCat("at step ", at, " of ", steps));
    plan.first = at;
    // All that runs before it runs as it did when the steps were counted.
    EXPECT_TRUE(ScopeRun::Try(scenario, plan).done == 1 || at > steps);
    row.AddRun();
  }
}

// There are many pairs of two scenarios: each of these has one number of carriers.
bool IsForPairs(const Scenario& scenario, const Plan& plan) {
  return plan.carriers == 1 + static_cast<int>(&scenario - kScenarios) % 3;
}

// The same for every pair of steps of two scopes. Of nested scopes, one need not come: the other may have ended all by
// then.
void AtEveryPairOfSteps(const Scenario& scenario, Plan plan, int steps, ProofRow& row) {
  for (plan.first = 0; plan.first <= steps; ++plan.first) {
    for (plan.second = 0; plan.second <= steps && !::testing::Test::HasFailure(); ++plan.second) {
      SCOPED_TRACE(absl::StrCat("at steps ", plan.first, " and ", plan.second, " of ", steps));
      EXPECT_GE(ScopeRun::Try(scenario, plan).done, plan.side_by_side ? 2 : 1);
      row.AddRun();
    }
  }
}

TEST(ScopeInjectionTest, ScopesCancelledAtAnyCheckpointEndAsPromised) {
  ProofRow row("C1", "scopes cancelled at every checkpoint");
  ForEverySchedule({}, 2 * Seeds(), [&row](const Scenario& scenario, const Plan& plan, int steps) {
    EXPECT_GT(steps, 0);
    if (plan.carriers == 1) EXPECT_LE(steps, kMaxCheckpoints);
    AtEveryStep(scenario, plan, steps, row);
  });
}

TEST(ScopeInjectionTest, AScopeAndTheOneAroundItCancelledAtAnyTwoCheckpointsEndAsPromised) {
  ProofRow row("C1", "two nested scopes cancelled at every pair of checkpoints");
  ForEverySchedule({}, Seeds(), [&row](const Scenario& scenario, const Plan& plan, int steps) {
    AtEveryPairOfSteps(scenario, plan, steps, row);
  });
}

TEST(ScopeInjectionTest, TwoScopesSideBySideCancelledAtAnyTwoCheckpointsEndAsPromised) {
  ProofRow row("C1", "two sibling scopes cancelled at every pair of checkpoints");
  ForEverySchedule({.side_by_side = true}, Seeds(), [&row](const Scenario& scenario, const Plan& plan, int steps) {
    if (IsForPairs(scenario, plan)) AtEveryPairOfSteps(scenario, plan, steps, row);
  });
}

TEST(ScopeInjectionTest, AScopeShutDownAtAnyStepEndsAsPromised) {
  ProofRow row("D1", "scopes shut down at every step");
  for (const Occasion step : {Occasion::kMount, Occasion::kUnmount}) {
    ForEverySchedule({.step = step}, Seeds(), [&row](const Scenario& scenario, const Plan& plan, int steps) {
      AtEveryStep(scenario, plan, steps, row);
    });
  }
}

TEST(ScopeInjectionTest, AScopeLeftAtAnyStepEndsAsPromised) {
  ProofRow row("D1", "scopes destroyed and closed at every step");
  for (const Act act : {Act::kReturn, Act::kClose}) {
    ForEverySchedule(
        {.step = Occasion::kMount, .act = act}, Seeds(),
        [&row](const Scenario& scenario, const Plan& plan, int steps) { AtEveryStep(scenario, plan, steps, row); });
  }
}

TEST(ScopeInjectionTest, ARuntimeThatEndsAtAnyStepEndsItsScopesAsPromised) {
  ProofRow row("D1", "runtimes ended at every step");
  ForEverySchedule(
      {.step = Occasion::kMount, .act = Act::kAbandon}, Seeds(),
      [&row](const Scenario& scenario, const Plan& plan, int steps) { AtEveryStep(scenario, plan, steps, row); });
}

}  // namespace
}  // namespace weft::testing

// The way out of scopes with live children by an exception. Goal and method: as in scope_exit_matrix_test.cc.
#include "gtest/gtest.h"
#include "tests/scope/scope_exit_matrix.h"
#include "weft/task.h"

namespace weft::testing {
namespace {

struct WayOut {};

void Throw() { throw WayOut(); }

Task<void> Catching(ExitRun& run) {
  try {
    co_await EnterScopes(run);
    ADD_FAILURE() << "nothing was thrown";
  } catch (const WayOut&) {
  }
}

const Way kByThrow = {"Throw", &Throw, &Catching};

TEST_P(ScopeExitMatrixTest, EndsAndLeavesNothing) { LeaveInEveryNest(GetParam()); }

INSTANTIATE_TEST_SUITE_P(Every, ScopeExitMatrixTest, ::testing::ValuesIn(ExitCases({&kByThrow})),
                         ::testing::PrintToStringParamName());

TEST_P(ScopeExitWaysTest, StrangersRunWhileAShieldedChildHoldsItUp) { LeaveWhileAStrangerRuns(GetParam()); }

TEST_P(ScopeExitWaysTest, EachOfAThousandChildrenIsDispatchedOnce) { LeaveMany(GetParam(), 1100); }

INSTANTIATE_TEST_SUITE_P(Every, ScopeExitWaysTest, ::testing::ValuesIn(Exits({&kByThrow})),
                         ::testing::PrintToStringParamName());

}  // namespace
}  // namespace weft::testing

// Every way out of scopes with live children that needs no exception. Goal: it ends, within a bounded number of
// dispatches once no child computes or is shielded; it leaves nothing behind, and lets strangers run meanwhile. Method:
// the matrix of scope_exit_matrix.h, for an early return, and for owners that are unwound by a timeout and by a
// shutdown.
#include "tests/scope/scope_exit_matrix.h"

#include "gtest/gtest.h"

namespace weft::testing {
namespace {

TEST_P(ScopeExitMatrixTest, EndsAndLeavesNothing) { LeaveInEveryNest(GetParam()); }

INSTANTIATE_TEST_SUITE_P(Every, ScopeExitMatrixTest,
                         ::testing::ValuesIn(ExitCases({&kByReturn, &kByTimeout, &kByShutdown})),
                         ::testing::PrintToStringParamName());

TEST_P(ScopeExitWaysTest, StrangersRunWhileAShieldedChildHoldsItUp) { LeaveWhileAStrangerRuns(GetParam()); }

TEST_P(ScopeExitWaysTest, EachOfAThousandChildrenIsDispatchedOnce) { LeaveMany(GetParam(), 1100); }

INSTANTIATE_TEST_SUITE_P(Every, ScopeExitWaysTest, ::testing::ValuesIn(Exits({&kByReturn, &kByTimeout, &kByShutdown})),
                         ::testing::PrintToStringParamName());

}  // namespace
}  // namespace weft::testing

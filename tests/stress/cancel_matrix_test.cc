// Row C3: the JDK's matrix of cancellation. Goal: a scope that is shut down while it forks ends, with every child
// accounted for, however many were forked before and after. Method: 0 to 15 forks before the shutdown, 0 to 15 after
// it, four kinds of children, on one, two and four carriers; WEFT_MATRIX_ROUNDS times each (10, unless the environment
// says otherwise). (JDK, test/jdk/java/util/concurrent/StructuredTaskScope/StressShutdown.java.)
#include <gtest/gtest.h>

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "tests/support/counted.h"
#include "tests/support/on_both.h"
#include "tests/support/proof_row.h"
#include "weft/runtime.h"
#include "weft/scope.h"
#include "weft/time.h"

namespace weft {
namespace {

using testing::Counted;
using testing::Forever;

constexpr int kForks = 16;

enum class Kind { kFails, kWaits, kSpins, kNests };

Task<absl::Status> Child(Kind kind, std::atomic<int>& begun) {
  const Counted held;
  ++begun;
  switch (kind) {
    case Kind::kFails:
      co_return absl::InternalError("it fails");
    case Kind::kWaits:
      co_await Forever();
      break;
    case Kind::kSpins:
      for (;;) co_await Yield();
    case Kind::kNests: {
      AwaitAll inner;
      for (int i = 0; i < 2; ++i) inner.Fork([]() -> Task<void> { co_await Forever(); });
      co_return co_await inner.Join();
    }
  }
  co_return absl::OkStatus();
}

Task<void> ShutDownBetween(int before, int after, Kind kind) {
  std::atomic<int> begun = 0;
  std::vector<AnySubtask> subtasks;
  AwaitAll scope;
  for (int i = 0; i < before; ++i) subtasks.push_back(scope.Fork([&begun, kind] { return Child(kind, begun); }));
  scope.Shutdown();
  const size_t early = subtasks.size();
  for (int i = 0; i < after; ++i) subtasks.push_back(scope.Fork([&begun, kind] { return Child(kind, begun); }));
  const Outcome outcome = co_await scope.Join();
  EXPECT_LE(begun, before);
  EXPECT_LE(outcome.failure_count(), static_cast<uint64_t>(begun));
  for (size_t i = 0; i < subtasks.size(); ++i) {
    // One that failed before the shutdown says so; nobody succeeds; what was forked after it never began.
    const AnySubtask::State state = subtasks[i].state();
    EXPECT_NE(state, AnySubtask::State::kSuccess);
    if (i >= early || kind != Kind::kFails) EXPECT_EQ(state, AnySubtask::State::kUnavailable);
  }
}

int Rounds() {
  int rounds = 10;
  if (const char* text = std::getenv("WEFT_MATRIX_ROUNDS")) EXPECT_TRUE(absl::SimpleAtoi(text, &rounds)) << text;
  return rounds;
}

class CancelMatrixTest : public ::testing::TestWithParam<int> {};

TEST_P(CancelMatrixTest, AScopeThatIsShutDownAmongItsForksEndsWithAllOfThem) {
  Counted::alive = 0;
  const int carriers = GetParam();
  auto runtime = Runtime::Create({.parallelism = carriers});
  ASSERT_TRUE(runtime.ok()) << runtime.status();
  const std::string what = absl::StrCat("matrix of shutdowns, carriers: ", carriers);
  testing::ProofRow row("C3", what);
  for (int round = 0, rounds = Rounds(); round < rounds && !HasFailure(); ++round) {
    for (const Kind kind : {Kind::kFails, Kind::kWaits, Kind::kSpins, Kind::kNests}) {
      for (int before = 0; before < kForks; ++before) {
        for (int after = 0; after < kForks; ++after) {
          SCOPED_TRACE(absl::StrCat(before, " before, ", after, " after, kind ", static_cast<int>(kind)));
          (*runtime)->Run(ShutDownBetween(before, after, kind));
          row.AddRun();
        }
      }
    }
  }
  EXPECT_EQ(Counted::alive, 0);
}

INSTANTIATE_TEST_SUITE_P(Carriers, CancelMatrixTest, ::testing::Values(1, 2, 4), ::testing::PrintToStringParamName());

}  // namespace
}  // namespace weft

// Depth. Goal: chains of a million awaits, and of a million nested scopes, start, end, fail and are cancelled in
// constant stack. Method: simulations, whose carriers have stacks of 256 KiB; the same on real carriers.
//
// A tenth of the scopes, unless WEFT_DEPTH_SCOPES says otherwise: a million of them take 24 s of a processor and 2 GB
// where nothing is optimised, and 5 s and 1.2 GB with --config=opt.
#include <gtest/gtest.h>

#include <cstdlib>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "tests/support/on_both.h"
#include "tests/support/proof_row.h"
#include "weft/cancel_reason.h"
#include "weft/cancellation.h"
#include "weft/runtime.h"
#include "weft/scope.h"
#include "weft/stop_event.h"
#include "weft/sync/event.h"
#include "weft/task.h"
#include "weft/testing/simulation.h"
#include "weft/time.h"

namespace weft {
namespace {

constexpr int kAwaits = 1'000'000;

int Scopes() {
  int scopes = 100'000;
  if (const char* text = std::getenv("WEFT_DEPTH_SCOPES")) EXPECT_TRUE(absl::SimpleAtoi(text, &scopes)) << text;
  return scopes;
}

class DepthTest : public testing::OnBoth {
 protected:
  // Once, not under every seed.
  template <class T>
  static absl::StatusOr<T> RunOnce(Task<T> task) {
    if (simulated()) {
      testing::Simulation simulation({.carriers = carriers()});
      return simulation.TryRun(std::move(task));
    }
    auto runtime = Runtime::Create({.parallelism = carriers()});
    return (*runtime)->TryRun(std::move(task));
  }
  // For a row.
  static const char* Where() { return simulated() ? ", simulated" : ", on carriers"; }
};
INSTANTIATE_TEST_SUITE_P(Some, DepthTest, ::testing::Values(testing::Place{true, 1}, testing::Place{false, 2}),
                         ::testing::PrintToStringParamName());

Task<int> Await(int depth, absl::Duration park) {
  if (depth == 0) {
    if (park > absl::ZeroDuration()) co_await Sleep(park);
    co_return 0;
  }
  co_return 1 + co_await Await(depth - 1, park);
}

TEST_P(DepthTest, AMillionNestedAwaitsReturn) { EXPECT_EQ(*RunOnce(Await(kAwaits, absl::ZeroDuration())), kAwaits); }

TEST_P(DepthTest, AMillionNestedAwaitsParkAndReturn) {
  EXPECT_EQ(*RunOnce(Await(kAwaits, absl::Milliseconds(1))), kAwaits);
}

TEST_P(DepthTest, AMillionNestedAwaitsAreCancelled) {
  const absl::StatusOr<int> cancelled = RunOnce([]() -> Task<int> {
    const absl::StatusOr<int> late =
        co_await WithTimeout(absl::Milliseconds(1), Await(kAwaits, absl::InfiniteDuration()));
    co_return ReasonOf(late.status()).kind == CancelReason::Kind::kTimeout ? 1 : 0;
  }());
  EXPECT_EQ(*cancelled, 1);
}

// Every level is a boundary of its own.
Task<int> AwaitInTime(int depth) {
  if (depth == 0) {
    co_await Yield();
    co_return 0;
  }
  co_return 1 + *co_await WithTimeout(absl::InfiniteDuration(), AwaitInTime(depth - 1));
}

TEST_P(DepthTest, AThousandNestedTimeoutsReturn) { EXPECT_EQ(*RunOnce(AwaitInTime(1000)), 1000); }

// Each is passed in constant time, else this takes minutes.
TEST_P(DepthTest, AHundredThousandNestedTimeoutsAreUnwoundToABoundaryAroundThem) {
  struct Nest {
    static Task<int> Down(int depth, testing::Introduction& here) {
      if (depth == 0) {
        co_await testing::Forever(here);
        co_return 0;
      }
      co_return 1 + *co_await WithTimeout(absl::InfiniteDuration(), Down(depth - 1, here));
    }
  };
  const absl::StatusOr<int> stopped = RunOnce([]() -> Task<int> {
    AwaitAll scope;
    Event stop;
    testing::Introduction deepest;
    auto chain = scope.Fork([&]() -> Task<int> {
      co_return (co_await WithStopEvent(stop, Nest::Down(100'000, deepest))).ok() ? 0 : 1;
    });
    co_await deepest.AwaitParked();
    stop.Set();
    (co_await scope.Join()).IgnoreFailures();
    co_return *chain;
  }());
  EXPECT_EQ(*stopped, 1);
}

Task<int> Fork(int depth, absl::Duration park) {
  if (depth == 0) {
    if (park > absl::ZeroDuration()) co_await Sleep(park);
    co_return 0;
  }
  ShutdownOnFailure scope;
  auto child = scope.Fork(Fork(depth - 1, park));
  (co_await scope.Join()).IgnoreFailures();
  co_return 1 + *child;
}

TEST_P(DepthTest, AMillionNestedScopesReturn) {
  const std::string what = absl::StrCat(Scopes(), " nested scopes return", Where());
  testing::ProofRow row("depth", what);
  EXPECT_EQ(*RunOnce(Fork(Scopes(), absl::ZeroDuration())), Scopes());
  row.AddRun();
}

TEST_P(DepthTest, AMillionNestedScopesAreCancelled) {
  const std::string what = absl::StrCat(Scopes(), " nested scopes are cancelled", Where());
  testing::ProofRow row("depth", what);
  const absl::StatusOr<int> cancelled = RunOnce([]() -> Task<int> {
    ShutdownOnFailure scope;
    testing::Introduction deepest;
    auto chain = scope.Fork([&deepest]() -> Task<int> {
      struct Nest {
        static Task<int> Down(int depth, testing::Introduction& here) {
          if (depth == 0) {
            co_await testing::Forever(here);
            co_return 0;
          }
          ShutdownOnFailure inner;
          auto child = inner.Fork(Down(depth - 1, here));
          (co_await inner.Join()).IgnoreFailures();
          co_return 1 + *child;
        }
      };
      return Nest::Down(Scopes(), deepest);
    });
    co_await deepest.AwaitParked();
    scope.Shutdown();
    (co_await scope.Join()).IgnoreFailures();
    co_return chain.state() == Subtask<int>::State::kUnavailable ? 1 : 0;
  }());
  EXPECT_EQ(*cancelled, 1);
  row.AddRun();
}

// Not one of a million frames is left by a failure at the bottom.
TEST_P(DepthTest, AFailureClimbsAMillionScopes) {
  const std::string what = absl::StrCat("a failure climbs ", Scopes(), " nested scopes", Where());
  testing::ProofRow row("depth", what);
  struct Nest {
    static Task<absl::Status> Down(int depth) {
      if (depth == 0) co_return absl::DataLossError("at the bottom");
      ShutdownOnFailure inner;
      inner.Fork(Down(depth - 1));
      co_return co_await inner.Join();
    }
  };
  const absl::StatusOr<int> failed = RunOnce([]() -> Task<int> {
    const absl::Status status = co_await Nest::Down(Scopes());
    co_return status == absl::DataLossError("at the bottom") ? 1 : 0;
  }());
  EXPECT_EQ(*failed, 1);
  row.AddRun();
}

}  // namespace
}  // namespace weft

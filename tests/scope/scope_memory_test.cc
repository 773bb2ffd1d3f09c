// Scopes when memory is short. Goal: a fork that finds none is a subtask that has failed, and whichever allocation
// fails, nothing leaks, nothing hangs, and what comes of it is kResourceExhausted or std::bad_alloc. Method: a fault in
// the allocator of frames and control blocks, around one fork, and then at every allocation of a scenario in turn:
// once, and from there on.
#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <mutex>
#include <new>
#include <ranges>
#include <span>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "lib/coro/frame_cache.h"
#include "lib/coro/frame_fault.h"
#include "tests/support/counted.h"
#include "tests/support/on_both.h"
#include "tests/support/proof_row.h"
#include "weft/all.h"
#include "weft/finally.h"
#include "weft/for_each.h"
#include "weft/internal/frame_cache.h"
#include "weft/cancellation.h"
#include "weft/race.h"
#include "weft/ready.h"
#include "weft/scope.h"
#include "weft/scoped_value.h"
#include "weft/testing/simulation.h"

namespace weft {
namespace {

using internal::LiveFrames;
using internal::ScopedFrameFault;
using testing::Counted;
using testing::Forever;
using State = AnySubtask::State;

class ScopeMemoryTest : public testing::OnBoth {};
WEFT_ON_BOTH(ScopeMemoryTest);

Task<int> Give(int value) { co_return value; }

template <class Scope>
auto ForkWithoutMemory(Scope& scope, ForkOptions options = {}) {
  const ScopedFrameFault fault({.here = true});
  return scope.Fork([held = Counted()] { return Give(1); }, options);
}

TEST_P(ScopeMemoryTest, AForkWithoutMemoryIsASubtaskThatHasFailed) {
  Everywhere([]() -> Task<void> {
    Counted::alive = 0;
    AwaitAll scope;
    const Subtask<int> failed = ForkWithoutMemory(scope);
    EXPECT_EQ(Counted::alive, 0);
    EXPECT_EQ(failed.state(), State::kFailed);
    EXPECT_EQ(failed.status().code(), absl::StatusCode::kResourceExhausted);
    const Subtask<int> other = scope.Fork(Give(2));
    const Outcome outcome = co_await scope.Join();
    EXPECT_EQ(outcome.status().code(), absl::StatusCode::kResourceExhausted);
    EXPECT_EQ(outcome.failure_count(), 1);
    EXPECT_EQ(outcome.failures().size(), 1);
    EXPECT_EQ(*other, 2);
  });
}

TEST_P(ScopeMemoryTest, AForkWithoutMemoryIntoAScopeThatIsShutStaysUnavailable) {
  Everywhere([]() -> Task<void> {
    ShutdownOnFailure scope;
    scope.Shutdown();
    EXPECT_EQ(ForkWithoutMemory(scope).state(), State::kUnavailable);
    EXPECT_TRUE((co_await scope.Join()).ok());
  });
}

TEST_P(ScopeMemoryTest, TheScopeGoesByItsPolicy) {
  Everywhere([]() -> Task<void> {
    ShutdownOnFailure scope;
    const Subtask<void> waits = scope.Fork([]() -> Task<void> { co_await Forever(); });
    ForkWithoutMemory(scope);
    EXPECT_TRUE(scope.IsShutdown());
    const absl::Status joined = co_await scope.Join();
    EXPECT_EQ(joined.code(), absl::StatusCode::kResourceExhausted);
    EXPECT_EQ(waits.state(), State::kUnavailable);
  });
}

TEST_P(ScopeMemoryTest, AnyPolicySeesItAsAFailure) {
  Everywhere([]() -> Task<void> {
    std::vector<absl::StatusCode> reported;
    Supervisor scope([&reported](const AnySubtask& failed) { reported.push_back(failed.status().code()); });
    ForkWithoutMemory(scope);
    (co_await scope.Join()).IgnoreFailures();
    EXPECT_EQ(reported, std::vector<absl::StatusCode>{absl::StatusCode::kResourceExhausted});
    AllSuccessful<int> all;
    all.Fork(Give(1));
    ForkWithoutMemory(all);
    const absl::StatusOr<std::vector<int>> values = co_await all.Join();
    EXPECT_EQ(values.status().code(), absl::StatusCode::kResourceExhausted);
  });
}

// All of them share one object.
TEST_P(ScopeMemoryTest, ScopesOfManyThreadsJoinSuchSubtasksAtOnce) {
  Everywhere([]() -> Task<void> {
    std::mutex one_fault_at_a_time;
    const auto join_one = [&one_fault_at_a_time]() -> Task<void> {
      AllSuccessful<int> all;
      {
        std::lock_guard guard(one_fault_at_a_time);
        ForkWithoutMemory(all);
      }
      co_await Yield();
      EXPECT_EQ((co_await all.Join()).status().code(), absl::StatusCode::kResourceExhausted);
    };
    AwaitAll scope;
    for (int i = 0; i < 8; ++i) scope.Fork(join_one());
    EXPECT_TRUE((co_await scope.Join()).ok());
  });
}

// ---- On one OS thread, whose allocations fail, in virtual time.

template <class Body>
void UnderSeeds(Body body) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    testing::Simulation({.carriers = 1 + static_cast<int>(seed % 3), .seed = seed}).Run(body());
  }
}

TEST(ScopeMemorySimulationTest, TheOutcomeHasAllFailuresInTheirOrder) {
  UnderSeeds([]() -> Task<void> {
    AwaitAll scope({.timeout = absl::Milliseconds(5)});
    const auto fail = []() -> Task<absl::Status> { co_return absl::NotFoundError("not there"); };
    const Subtask<void> first = scope.Fork(fail());
    while (first.state() == State::kUnavailable) co_await Yield();
    ForkWithoutMemory(scope);
    ForkWithoutMemory(scope);
    const Subtask<void> last = scope.Fork(fail());
    while (last.state() == State::kUnavailable) co_await Yield();
    scope.Fork(Forever());
    const Outcome outcome = co_await scope.Join();
    std::vector<absl::StatusCode> codes;
    for (const Failure& each : outcome.failures()) codes.push_back(each.status.code());
    using enum absl::StatusCode;
    EXPECT_EQ(codes, (std::vector{kDeadlineExceeded, kNotFound, kResourceExhausted, kResourceExhausted, kNotFound}));
    EXPECT_EQ(outcome.failure_count(), 5);
    EXPECT_EQ(outcome.status().code(), kDeadlineExceeded);
  });
}

TEST(ScopeMemorySimulationTest, AStartWithoutMemoryForTheServiceHasFailedAtOnce) {
  UnderSeeds([]() -> Task<void> {
    for (const bool timed : {false, true}) {
      for (const bool shut : {false, true}) {
        AwaitAll scope;
        if (shut) scope.Shutdown();
        auto start = scope.Start([held = Counted()](Ready ready) -> Task<void> {
          ready.Set();
          co_return;
        });
        const ScopedFrameFault fault({.first = timed ? 2 : 1, .here = true});  // the child; a boundary comes first
        absl::Status started;
        if (timed) {
          started = (co_await WithTimeout(absl::Minutes(1), std::move(start))).status();
        } else {
          started = (co_await std::move(start)).status();
        }
        EXPECT_EQ(started.code(), absl::StatusCode::kFailedPrecondition) << started;
        const absl::Status joined = (co_await scope.Join()).status();
        EXPECT_EQ(joined.code(), shut ? absl::StatusCode::kOk : absl::StatusCode::kResourceExhausted) << joined;
      }
    }
  });
}

#if WEFT_EXCEPTIONS

ScopedValue<int> kNumber;

Task<absl::Status> Scenario() {
  ScopedBinding number(kNumber, 1);
  ShutdownOnFailure scope({.max_concurrency = 2});
  std::vector<Subtask<int>> subtasks;
  for (int i = 0; i < 3; ++i) {
    subtasks.push_back(scope.Fork(
        [i, held = Counted(i)]() -> Task<int> {
          co_await Yield();
          co_return i + kNumber.Get();
        },
        {.name = i == 1 ? "b" : ""}));
  }
  scope.Fork([]() -> Task<void> {
    auto [a, b] = co_await All(Give(1), Give(2));
    co_await All(std::views::iota(0, 3) | std::views::transform(Give));
    std::array<int, 2> both;
    co_await All(std::array{Give(1), Give(2)}, std::span(both));
    co_await All(std::array{Give(1), Give(2)});
    co_await Finally(ForEach(std::vector<int>{a, b}, 2, [](int) -> Task<void> { co_await Yield(); }),
                     []() -> Task<void> { co_await Yield(); });
    co_await Any(Give(1), Give(2));
  });
  absl::Status joined = co_await scope.Join();
  if (!joined.ok()) co_return co_await scope.Close(std::move(joined));
  AwaitAll services;
  const auto service = co_await services.Start([held = Counted()](Ready ready) -> Task<void> {
    ready.Set();
    co_await Yield();
  });
  absl::Status served = (co_await services.Join()).status();
  if (!served.ok() || !service.ok()) co_return co_await services.Close(served.ok() ? service.status() : served);
  AsCompleted<int> more;
  for (int i = 0; i < 2; ++i) more.Fork([i]() -> Task<int> { co_return i; });
  while (auto next = co_await more.NextCompleted()) {
    if (!next->status().ok()) co_return co_await more.Close(next->status());
  }
  co_return co_await more.Join();
}

// Whether it had the memory that it needs.
bool RunsThrough(uint64_t seed, const ScopedFrameFault::Options& options, int64_t& allocations) {
  const ScopedFrameFault fault(options);
  bool through = false;
  try {
    testing::Simulation simulation({.carriers = 2, .seed = seed});
    const absl::Status done = simulation.runtime().TryRun(Scenario());
    if (!done.ok()) EXPECT_EQ(done.code(), absl::StatusCode::kResourceExhausted) << done;
    through = done.ok();
  } catch (const std::bad_alloc&) {
    // It was a frame of the scenario's own, or the root.
  }
  allocations = fault.allocations();
  return through;
}

TEST(ScopeMemoryFaultTest, WhicheverAllocationFailsNothingLeaksAndNothingHangs) {
  Counted::alive = 0;
  const int64_t frames = LiveFrames();
  testing::ProofRow row("F1", "allocations that fail under scopes");
  for (uint64_t seed = 1; seed <= 3; ++seed) {
    int64_t allocations = 0;
    EXPECT_TRUE(RunsThrough(seed, {.times = 0}, allocations));
    EXPECT_GT(allocations, 20);
    for (const int64_t times : {int64_t{1}, ScopedFrameFault::kForever}) {
      for (int64_t first = 1; first <= allocations && !::testing::Test::HasFailure(); ++first) {
        SCOPED_TRACE(absl::StrCat("seed ", seed, ", allocation ", first, ", ", times, " times"));
        int64_t made = 0;
        RunsThrough(seed, {.first = first, .times = times}, made);
        EXPECT_EQ(Counted::alive, 0);
        EXPECT_EQ(LiveFrames(), frames);
        row.AddRun();
      }
    }
  }
}

#endif

}  // namespace
}  // namespace weft

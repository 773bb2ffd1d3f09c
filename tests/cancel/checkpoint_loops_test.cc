// Goal: a loop over any checkpoint lets others run, however soon each round is over, and ends when its thread is
// cancelled. Method: the loops of checkpoint_loops.h. As many threads as there are carriers run one of them; a thread
// beside them gets its turns, and its timer fires: in simulations within a bounded number of rounds; on real carriers,
// the test does not end otherwise. Then one runs it, and is cancelled after some rounds: it does not run to its end.
// Both also with threads that are pinned.
#include "tests/cancel/checkpoint_loops.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "weft/pin.h"
#include "weft/runtime.h"
#include "weft/scope.h"
#include "weft/task.h"
#include "weft/testing/simulation.h"
#include "weft/time.h"
#include "weft/virtual_thread.h"

namespace weft::testing {
namespace {

constexpr int kCarriers[] = {1, 2, 3, 4};
constexpr int64_t kNoLimit = INT64_MAX;

// What a loop runs on: without I/O if it needs none, and on both backends if it does.
std::vector<std::optional<IoBackend>> BackendsFor(const CheckpointLoop& loop) {
  if (!loop.needs_io) return {std::nullopt};
  return {IoBackend::kUring, IoBackend::kEpoll};
}

const char* Name(std::optional<IoBackend> io) {
  return !io.has_value() ? "without I/O" : *io == IoBackend::kUring ? "on io_uring" : "on epoll";
}

class CheckpointLoopTest : public ::testing::TestWithParam<CheckpointLoop> {
 protected:
  static void InSimulations(const std::function<void(Simulation&, int carriers)>& run) {
    for (const std::optional<IoBackend> io : BackendsFor(GetParam())) {
      for (const int carriers : kCarriers) {
        SCOPED_TRACE(absl::StrCat(carriers, " simulated carriers ", Name(io)));
        Simulation simulation({.carriers = carriers, .seed = static_cast<uint64_t>(carriers), .io = io});
        run(simulation, carriers);
        if (HasFailure()) return;
      }
    }
  }
  static void OnRuntimes(const std::function<void(Runtime&, int carriers)>& run) {
    for (const std::optional<IoBackend> io : BackendsFor(GetParam())) {
      for (const int carriers : kCarriers) {
        SCOPED_TRACE(absl::StrCat(carriers, " carriers ", Name(io)));
        const absl::StatusOr<std::unique_ptr<Runtime>> runtime =
            Runtime::Create({.parallelism = carriers, .io = io.value_or(IoBackend::kAuto)});
        ASSERT_TRUE(runtime.ok()) << runtime.status();
        run(**runtime, carriers);
        if (HasFailure()) return;
      }
    }
  }
};

INSTANTIATE_TEST_SUITE_P(Of, CheckpointLoopTest, ::testing::ValuesIn(EveryCheckpointLoop()),
                         ::testing::PrintToStringParamName());

// How far the loops had come when the thread beside them had its turns, and when its timer fired; -1: not before they
// were at their limit.
struct Beside {
  int64_t turns_at = -1;
  int64_t timer_at = -1;
};

Task<void> RunBeside(Rounds& rounds, Beside& beside) {
  co_await Yield();
  co_await Yield();
  beside.turns_at = rounds.count();
  co_await Sleep(absl::Microseconds(1));
  beside.timer_at = rounds.count();
  rounds.Stop();
}

// As a pinned thread.
Task<void> RunPinned(const CheckpointLoop& loop, Rounds& rounds) {
  const Pin pin;
  const int carrier = VirtualThread::Current().carrier();
  co_await loop.run(rounds);
  EXPECT_EQ(VirtualThread::Current().carrier(), carrier);
}
Task<void> RunLoop(const CheckpointLoop& loop, Rounds& rounds, bool pinned) {
  return pinned ? RunPinned(loop, rounds) : loop.run(rounds);
}

Task<void> RunLoops(const CheckpointLoop& loop, int count, Rounds& rounds, Beside& beside, bool pinned) {
  AwaitAll scope;
  scope.Fork(RunBeside(rounds, beside));
  for (int i = 0; i < count; ++i) scope.Fork(RunLoop(loop, rounds, pinned));
  (co_await scope.Join()).IgnoreFailures();
}

TEST_P(CheckpointLoopTest, LetsOthersRun) {
  // A thread has up to 64 rounds in a turn, and a simulation chooses who has the next. Its time passes after 10,000
  // rounds.
  constexpr int64_t kRoundsForTurns = 64 * 100;
  constexpr int64_t kLimit = 100'000;
  InSimulations([&](Simulation& simulation, int carriers) {
    for (const bool pinned : {false, true}) {
      SCOPED_TRACE(pinned ? "pinned" : "not pinned");
      Rounds rounds(kLimit);
      Beside beside;
      simulation.Run(RunLoops(GetParam(), carriers, rounds, beside, pinned));
      EXPECT_GE(beside.turns_at, 0);
      EXPECT_LE(beside.turns_at, kRoundsForTurns);
      EXPECT_LT(beside.timer_at, kLimit);
    }
  });
}

TEST_P(CheckpointLoopTest, LetsOthersRunOnRealCarriers) {
  OnRuntimes([&](Runtime& runtime, int carriers) {
    for (const bool pinned : {false, true}) {
      Rounds rounds(kNoLimit);
      Beside beside;
      runtime.Run(RunLoops(GetParam(), carriers, rounds, beside, pinned));
      EXPECT_GE(beside.timer_at, beside.turns_at);
    }
  });
}

// Ends when its thread is asked to, unless it runs on for too many rounds.
Task<void> RunUntilCancelled(const CheckpointLoop& loop, Rounds& rounds, bool pinned) {
  AwaitAll scope;
  auto runner = scope.Fork(RunLoop(loop, rounds, pinned));
  while (rounds.count() < 3) co_await Yield();
  scope.Shutdown();
  (co_await scope.Join()).IgnoreFailures();
  EXPECT_EQ(runner.state(), AnySubtask::State::kUnavailable) << "it ran to its end";
}

TEST_P(CheckpointLoopTest, EndsWhenItsThreadIsCancelled) {
  if (GetParam().hides_requests) return;
  const auto run = [&](Runtime& runtime, int64_t limit) {
    for (const bool pinned : {false, true}) {
      Rounds rounds(limit);
      runtime.Run(RunUntilCancelled(GetParam(), rounds, pinned));
      EXPECT_LT(rounds.count(), limit);
    }
  };
  InSimulations([&](Simulation& simulation, int) { run(simulation.runtime(), 1'000'000); });
  // On a machine with much to do the request may be late.
  OnRuntimes([&](Runtime& runtime, int) { run(runtime, kNoLimit); });
}

}  // namespace
}  // namespace weft::testing

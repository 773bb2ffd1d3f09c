// Unwinding. Goal: whatever a coroutine awaits, and wherever the request meets it, its locals and temporaries are
// destroyed once, and nothing is left behind. Method: every shape of await, cancelled at every checkpoint, on entry to
// every turn, and between every last step and its park; in simulations of one to three carriers, and raced on real
// ones.
#include <gtest/gtest.h>

#include <cstdint>
#include <string>

#include "absl/strings/str_cat.h"
#include "tests/cancel/cancel_at.h"
#include "tests/cancel/shapes.h"
#include "tests/support/counted.h"
#include "tests/support/on_both.h"
#include "weft/scope.h"
#include "weft/task.h"

namespace weft {
namespace {

using testing::Counted;
using testing::Occasion;
using testing::Shape;

class UnwindingTest : public ::testing::TestWithParam<Shape> {};
INSTANTIATE_TEST_SUITE_P(Shapes, UnwindingTest, ::testing::ValuesIn(testing::kShapes),
                         [](const auto& info) { return std::string(info.param.name); });

TEST_P(UnwindingTest, DestroysEveryLocalOnceWhereverItIsCancelled) {
  constexpr const char* kNames[] = {"checkpoint", "mount", "unmount"};
  const Shape shape = GetParam();
  for (const Occasion occasion : {Occasion::kCheckpoint, Occasion::kMount, Occasion::kUnmount}) {
    for (int carriers = 1; carriers <= 3; ++carriers) {
      for (uint64_t seed = 1; seed <= 5; ++seed) {
        int cancelled = 0;
        for (int n = 0;; ++n) {
          SCOPED_TRACE(
              absl::StrCat(kNames[static_cast<int>(occasion)], " ", n, ", ", carriers, " carriers, seed ", seed));
          Counted::alive = 0;
          const bool requested = testing::RunCancelledAt<int>(
              occasion, n, {.carriers = carriers, .seed = seed}, shape.make, [&](Subtask<int>& victim) {
                // A request that comes after the last checkpoint is not noticed.
                if (victim.state() == Subtask<int>::State::kSuccess) {
                  EXPECT_EQ(*victim, shape.result);
                } else {
                  EXPECT_EQ(victim.state(), Subtask<int>::State::kUnavailable);
                  ++cancelled;
                }
                EXPECT_EQ(Counted::alive, 0);
              });
          EXPECT_EQ(Counted::alive, 0);
          EXPECT_EQ(Counted::bad, 0);
          if (!requested || HasFailure()) break;
        }
        // A thread that is mounted for the last time comes to no checkpoint any more.
        if (occasion != Occasion::kMount)
          EXPECT_GT(cancelled, 0) << kNames[static_cast<int>(occasion)] << ", " << carriers << " carriers, seed "
                                  << seed;
        if (HasFailure()) return;
      }
    }
  }
}

class RacedUnwindingTest : public testing::OnBoth {};
WEFT_ON_BOTH(RacedUnwindingTest);

TEST_P(RacedUnwindingTest, DestroysEveryLocalOnceWhenARequestRacesWithItAll) {
  int turn = 0;
  OnEveryRuntime([&turn](Runtime& runtime) {
    for (const Shape& shape : testing::kShapes) {
      SCOPED_TRACE(shape.name);
      Counted::alive = 0;
      runtime.Run([](Shape raced, int yields) -> Task<void> {
        AwaitAll scope;
        auto victim = scope.Fork([raced] { return raced.make(); });
        for (int i = 0; i < yields; ++i) co_await Yield();
        scope.Shutdown();
        EXPECT_TRUE((co_await scope.Join()).ok());
        if (victim.state() == Subtask<int>::State::kSuccess) {
          EXPECT_EQ(*victim, raced.result);
        }
      }(shape, turn++ % 17));
      EXPECT_EQ(Counted::alive, 0);
      EXPECT_EQ(Counted::bad, 0);
    }
  });
}

}  // namespace
}  // namespace weft

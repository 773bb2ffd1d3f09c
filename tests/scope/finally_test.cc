// Finally and MoveOnAfter. Goal: the sentences of finally.h, and that of MoveOnAfter(), one test each. Method: the same
// bodies in simulations under many seeds and on real carriers. (Exceptions: policy_throw_test.cc.)
#include "weft/finally.h"

#include <gtest/gtest.h>

#include <optional>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "tests/support/counted.h"
#include "tests/support/on_both.h"
#include "weft/cancellation.h"
#include "weft/scope.h"

namespace weft {
namespace {

using testing::Counted;
using testing::Forever;

class FinallyTest : public testing::OnBoth {};
WEFT_ON_BOTH(FinallyTest);

// A clean-up that waits and then takes note.
Task<void> Note(std::vector<int>& notes, int note) {
  co_await Yield();
  co_await Sleep(absl::Microseconds(10));
  notes.push_back(note);
}

Task<int> Give(int value) {
  co_await Yield();
  co_return value;
}

TEST_P(FinallyTest, TheCleanUpRunsAfterTheTaskWhoseResultItIs) {
  Everywhere([]() -> Task<void> {
    std::vector<int> notes;
    EXPECT_EQ(co_await Finally(Give(3), [&] { return Note(notes, 1); }), 3);
    EXPECT_EQ(notes, std::vector<int>{1});
    const absl::Status failed = co_await Finally([]() -> Task<absl::Status> { co_return absl::NotFoundError("it"); }(),
                                                 [&] { return Note(notes, 2); });
    EXPECT_EQ(failed, absl::NotFoundError("it"));
    EXPECT_EQ(notes, (std::vector<int>{1, 2}));
    co_await Finally([]() -> Task<void> { co_return; }(), [&] { return Note(notes, 3); });
    EXPECT_EQ(notes.size(), 3);
  });
}

TEST_P(FinallyTest, TheCleanUpsOfACancelledThreadRunFromTheInnermostAndWait) {
  Everywhere([]() -> Task<void> {
    std::vector<int> notes;
    const absl::Status done = co_await WithTimeout(
        absl::Milliseconds(1), Finally(
                                   [](std::vector<int>& notes) -> Task<void> {
                                     co_await Finally(
                                         [](std::vector<int>& notes) -> Task<void> {
                                           AwaitAll scope;
                                           scope.Fork(Finally(Forever(), [&notes] { return Note(notes, 1); }));
                                           (co_await scope.Join()).IgnoreFailures();
                                         }(notes),
                                         [&notes] { return Note(notes, 2); });
                                     ADD_FAILURE() << "it goes on being cancelled";
                                   }(notes),
                                   [&notes] { return Note(notes, 3); }));
    EXPECT_EQ(done.code(), absl::StatusCode::kDeadlineExceeded);
    EXPECT_EQ(notes, (std::vector<int>{1, 2, 3}));
  });
}

TEST_P(FinallyTest, InAThreadThatIsAskedToEndTheTaskRunsToItsFirstCheckpoint) {
  Everywhere([]() -> Task<void> {
    std::vector<int> notes;
    AwaitAll scope;
    scope.Fork([&]() -> Task<void> {
      scope.Shutdown();  // spares the caller
      co_return;
    });
    scope.Fork([&]() -> Task<void> {
      co_await testing::UntilAsked();
      co_await Finally(
          [](std::vector<int>& notes) -> Task<void> {
            notes.push_back(1);
            co_await Yield();
            notes.push_back(-1);
          }(notes),
          [&] { return Note(notes, 2); });
      notes.push_back(-2);
    });
    (co_await scope.Join()).IgnoreFailures();
    if (!notes.empty()) EXPECT_EQ(notes, (std::vector<int>{1, 2}));  // it may have been asked before it began
  });
}

TEST_P(FinallyTest, MoveOnAfterGivesWhetherThereIsAResult) {
  Everywhere([]() -> Task<void> {
    Counted::alive = 0;
    EXPECT_EQ(co_await MoveOnAfter(absl::Hours(1), Give(3)), 3);
    EXPECT_TRUE(co_await MoveOnAfter(absl::Hours(1), []() -> Task<void> { co_return; }()));
    const std::optional<int> none = co_await MoveOnAfter(absl::Milliseconds(1), []() -> Task<int> {
      const Counted held;
      co_await Forever();
      co_return 1;
    }());
    EXPECT_EQ(none, std::nullopt);
    EXPECT_FALSE(co_await MoveOnAfter(absl::Milliseconds(1), Forever()));
    EXPECT_EQ(Counted::alive, 0);
  });
}

}  // namespace
}  // namespace weft

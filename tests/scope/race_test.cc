// Race and Any. Goal: the sentences of race.h, one test each, with statuses and with values. Method: the same bodies in
// simulations under many seeds and on real carriers. (Exceptions: policy_throw_test.cc.)
#include "weft/race.h"

#include <gtest/gtest.h>

#include <ranges>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "tests/support/counted.h"
#include "tests/support/on_both.h"
#include "weft/all.h"
#include "weft/cancellation.h"
#include "weft/sync/event.h"

namespace weft {
namespace {

using testing::Counted;
using testing::Forever;

class RaceTest : public testing::OnBoth {};
WEFT_ON_BOTH(RaceTest);

Task<int> Give(int value) { co_return value; }
Task<int> GiveNever() {
  Counted held;
  co_await Forever();
  co_return -1;
}
Task<absl::StatusOr<int>> GiveOr(absl::StatusOr<int> result) { co_return result; }
Task<absl::StatusOr<int>> GiveOrNever() {
  Counted held;
  co_await Forever();
  co_return -1;
}
Task<absl::Status> End(absl::Status status) { co_return status; }
Task<absl::Status> EndNever() {
  co_await Forever();
  co_return absl::OkStatus();
}

TEST_P(RaceTest, TheFirstToEndIsTheResultAndTheOthersHaveEnded) {
  Everywhere([]() -> Task<void> {
    Counted::alive = 0;
    EXPECT_EQ(co_await Race(GiveNever(), Give(1), GiveNever()), 1);
    EXPECT_EQ(Counted::alive, 0);
  });
}

TEST_P(RaceTest, ARaceIsDecidedByAFailureToo) {
  Everywhere([]() -> Task<void> {
    EXPECT_EQ((co_await Race(GiveOrNever(), GiveOr(absl::NotFoundError("it")))).status(), absl::NotFoundError("it"));
    EXPECT_EQ(co_await Race(EndNever(), End(absl::NotFoundError("it"))), absl::NotFoundError("it"));
    EXPECT_EQ(co_await Race(EndNever(), End(absl::OkStatus())), absl::OkStatus());
  });
}

TEST_P(RaceTest, AnyGoesOnToTheFirstSuccess) {
  Everywhere([]() -> Task<void> {
    Counted::alive = 0;
    const absl::StatusOr<int> result =
        co_await Any(GiveOr(absl::NotFoundError("a")), GiveOrNever(), GiveOr(3), GiveOr(absl::NotFoundError("b")));
    EXPECT_EQ(*result, 3);
    EXPECT_EQ(Counted::alive, 0);
  });
}

TEST_P(RaceTest, AnyWithoutASuccessIsTheFirstFailure) {
  Everywhere([]() -> Task<void> {
    EXPECT_EQ((co_await Any(GiveOr(absl::NotFoundError("a")), GiveOr(absl::NotFoundError("a")))).status(),
              absl::NotFoundError("a"));
    EXPECT_EQ(co_await Any(End(absl::NotFoundError("a"))), absl::NotFoundError("a"));
  });
}

TEST_P(RaceTest, ARangeOfTasksIsTakenAsWell) {
  Everywhere([]() -> Task<void> {
    std::vector<Task<absl::StatusOr<int>>> tasks;
    for (int i = 0; i < 5; ++i) tasks.push_back(GiveOr(i == 3 ? absl::StatusOr<int>(3) : absl::NotFoundError("no")));
    EXPECT_EQ(*co_await Any(std::move(tasks)), 3);
    EXPECT_EQ(co_await Race(std::views::iota(4, 5) | std::views::transform(Give)), 4);
    const auto pairs = [](int i) { return All(Give(i), Give(-i)); };
    EXPECT_EQ(co_await Any(std::views::iota(4, 5) | std::views::transform(pairs)), std::tuple(4, -4));
  });
}

TEST_P(RaceTest, OfNoTasksAtAllTheResultIsNotFound) {
  Everywhere([]() -> Task<void> {
    EXPECT_EQ((co_await Any(std::vector<Task<absl::StatusOr<int>>>())).status().code(), absl::StatusCode::kNotFound);
    EXPECT_EQ((co_await Race(std::vector<Task<absl::Status>>())).code(), absl::StatusCode::kNotFound);
  });
}

TEST_P(RaceTest, CancelledItEndsItsTasks) {
  Everywhere([]() -> Task<void> {
    Counted::alive = 0;
    const absl::StatusOr<int> result = co_await WithTimeout(absl::Milliseconds(1), Any(GiveNever(), GiveNever()));
    EXPECT_EQ(result.status().code(), absl::StatusCode::kDeadlineExceeded);
    EXPECT_EQ(Counted::alive, 0);
  });
}

}  // namespace
}  // namespace weft

// All. Goal: the table in all.h, row by row. Method: the same bodies in simulations and on carriers.
#include "weft/all.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "tests/support/counted.h"
#include "tests/support/on_both.h"
#include "weft/cancellation.h"
#include "weft/scope.h"
#include "weft/sync/event.h"
#include "weft/task.h"

namespace weft {
namespace {

using testing::Counted;
using testing::Forever;

class AllTest : public testing::OnBoth {};
WEFT_ON_BOTH(AllTest);

Task<int> Give(int value) {
  co_await Yield();
  co_return value;
}
Task<void> DoNothing() { co_return; }
Task<absl::Status> End(absl::Status status) { co_return status; }
Task<absl::StatusOr<int>> GiveOr(absl::StatusOr<int> result) { co_return result; }

TEST_P(AllTest, BranchesWithoutStatusesGiveATuple) {
  Everywhere([]() -> Task<void> {
    auto [a, b, c] = co_await All(Give(1), []() -> Task<std::string> { co_return "two"; }(), DoNothing());
    static_assert(std::is_same_v<decltype(c), std::monostate>);
    EXPECT_EQ(a, 1);
    EXPECT_EQ(b, "two");
    const std::tuple<int> one = co_await All(Give(4));
    EXPECT_EQ(std::get<0>(one), 4);
    const std::tuple<> none = co_await All();
    (void)none;
  });
}

TEST_P(AllTest, OneStatusMakesItAStatusOrOfATuple) {
  Everywhere([]() -> Task<void> {
    absl::StatusOr<std::tuple<int, std::monostate, int>> all = co_await All(Give(1), End(absl::OkStatus()), GiveOr(3));
    EXPECT_TRUE(all.ok());
    EXPECT_EQ(std::get<0>(*all), 1);
    EXPECT_EQ(std::get<2>(*all), 3);
  });
}

TEST_P(AllTest, TheFirstFailureCancelsTheOthersAndIsTheResult) {
  Everywhere([]() -> Task<void> {
    Counted::alive = 0;
    const auto never = []() -> Task<absl::StatusOr<int>> {
      Counted local;
      co_await Forever();
      co_return 1;
    };
    const auto all = co_await All(never(), End(absl::NotFoundError("x")), never());
    EXPECT_EQ(all.status(), absl::NotFoundError("x"));
    EXPECT_EQ(Counted::alive, 0);
  });
}

TEST_P(AllTest, MoveOnlyResultsAndReferencesAreHandedOn) {
  Everywhere([]() -> Task<void> {
    static int target = 0;
    auto [pointer, reference] =
        co_await All([]() -> Task<std::unique_ptr<int>> { co_return std::make_unique<int>(3); }(),
                     []() -> Task<int&> { co_return target; }());
    EXPECT_EQ(*pointer, 3);
    EXPECT_EQ(&reference, &target);
    auto or_pointer =
        co_await All([]() -> Task<absl::StatusOr<std::unique_ptr<int>>> { co_return std::make_unique<int>(5); }());
    EXPECT_EQ(*std::get<0>(*or_pointer), 5);
  });
}

TEST_P(AllTest, BranchesRunAtTheSameTimeEachOnAThreadOfItsOwn) {
  Everywhere([]() -> Task<void> {
    Event there, back;
    const auto first = [](Event& mine, Event& other) -> Task<uint64_t> {
      mine.Set();
      co_await other.Wait();
      co_return VirtualThread::Current().id();
    };
    auto [a, b] = co_await All(first(there, back), first(back, there));
    EXPECT_NE(a, b);
    EXPECT_NE(a, VirtualThread::Current().id());
  });
}

TEST_P(AllTest, ACancelledAllCancelsItsBranches) {
  Everywhere([]() -> Task<void> {
    Counted::alive = 0;
    const auto never = []() -> Task<int> {
      Counted local;
      co_await Forever();
      co_return 1;
    };
    const auto late = co_await WithTimeout(absl::Milliseconds(1), All(never(), never()));
    EXPECT_EQ(late.status().code(), absl::StatusCode::kDeadlineExceeded);
    EXPECT_EQ(Counted::alive, 0);
  });
}

TEST_P(AllTest, AnAllThatIsNotAwaitedRunsNothing) {
  Everywhere([]() -> Task<void> {
    Counted::alive = 0;
    {
      auto all = All([](Counted) -> Task<int> {
        ADD_FAILURE();
        co_return 1;
      }(Counted()));
      EXPECT_EQ(Counted::alive, 1);
    }
    EXPECT_EQ(Counted::alive, 0);
    co_return;
  });
}

}  // namespace
}  // namespace weft

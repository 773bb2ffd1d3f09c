// ForEach and Map. Goal: the sentences of for_each.h, one test each. Method: the same bodies in simulations under many
// seeds and on real carriers.
#include "weft/for_each.h"

#include <gtest/gtest.h>

#include <atomic>
#include <forward_list>
#include <memory>
#include <numeric>
#include <ranges>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "tests/support/counted.h"
#include "tests/support/on_both.h"
#include "weft/cancellation.h"
#include "weft/testing/simulation.h"

namespace weft {
namespace {

using testing::Counted;
using testing::Forever;

class ForEachTest : public testing::OnBoth {};
WEFT_ON_BOTH(ForEachTest);

std::vector<int> UpTo(int n) {
  std::vector<int> numbers(n);
  std::iota(numbers.begin(), numbers.end(), 0);
  return numbers;
}

TEST_P(ForEachTest, TheFunctionIsCalledOnceForEachElementAndBoundedlyManyAtOnce) {
  Everywhere([]() -> Task<void> {
    std::vector<int> seen(50);
    std::atomic<int> running = 0, most = 0;
    co_await ForEach(UpTo(50), 4, [&](const int& number) -> Task<void> {
      const int now = ++running;
      for (int before = most; before < now && !most.compare_exchange_weak(before, now);) {
      }
      for (int i = 0; i < number % 3; ++i) co_await Yield();
      ++seen[number];
      --running;
    });
    EXPECT_EQ(seen, std::vector<int>(50, 1));
    EXPECT_LE(most, 4);
  });
}

TEST_P(ForEachTest, MapGivesTheResultsInTheOrderOfTheRange) {
  Everywhere([]() -> Task<void> {
    const std::vector<int> numbers = UpTo(20);
    const std::vector<int> squares = co_await Map(numbers, 3, [](int number) -> Task<int> {
      for (int i = 0; i < 5 - number % 5; ++i) co_await Yield();
      co_return number * number;
    });
    EXPECT_EQ(squares.size(), 20);
    for (int i = 0; i < 20; ++i) EXPECT_EQ(squares[i], i * i);
  });
}

TEST_P(ForEachTest, ElementsOfARangeThatIsReferredToCanBeChanged) {
  Everywhere([]() -> Task<void> {
    std::forward_list<int> numbers = {1, 2, 3};
    co_await ForEach(numbers, 2, [](int& number) -> Task<void> {
      number *= 10;
      co_return;
    });
    EXPECT_EQ(numbers, (std::forward_list<int>{10, 20, 30}));
  });
}

TEST_P(ForEachTest, ResultsThatCanOnlyBeMovedAreMoved) {
  Everywhere([]() -> Task<void> {
    absl::StatusOr<std::vector<std::unique_ptr<int>>> made =
        co_await Map(std::views::iota(0, 5), 2, [](int number) -> Task<absl::StatusOr<std::unique_ptr<int>>> {
          co_return std::make_unique<int>(number);
        });
    EXPECT_EQ(made->size(), 5);
    for (int i = 0; i < 5; ++i) EXPECT_EQ(*(*made)[i], i);
  });
}

TEST_P(ForEachTest, AnEmptyRangeIsOver) {
  Everywhere([]() -> Task<void> {
    EXPECT_EQ(co_await ForEach(UpTo(0), 2, [](int) -> Task<absl::Status> { co_return absl::InternalError("called"); }),
              absl::OkStatus());
    EXPECT_TRUE((co_await Map(UpTo(0), 2, [](int) -> Task<int> { co_return 1; })).empty());
  });
}

TEST_P(ForEachTest, TheFirstFailureCancelsTheRestAndIsTheResult) {
  Everywhere([]() -> Task<void> {
    Counted::alive = 0;
    const auto fail_at_three = [](int number) -> Task<absl::Status> {
      const Counted held(number);
      if (number == 3) co_return absl::NotFoundError("three");
      if (number > 3) ADD_FAILURE() << "begun after the failure";
      co_await Forever();
      co_return absl::OkStatus();
    };
    EXPECT_EQ(co_await ForEach(UpTo(4), 4, fail_at_three), absl::NotFoundError("three"));
    EXPECT_EQ(Counted::alive, 0);
    const absl::StatusOr<std::vector<int>> mapped =
        co_await Map(UpTo(10), 1, [](int number) -> Task<absl::StatusOr<int>> {
          if (number == 3) co_return absl::NotFoundError("three");
          EXPECT_LT(number, 3);
          co_return number;
        });
    EXPECT_EQ(mapped.status(), absl::NotFoundError("three"));
  });
}

Task<void> Wait() { co_await Sleep(absl::Microseconds(100)); }

TEST_P(ForEachTest, CancelledItBeginsNoOtherElement) {
  Everywhere([]() -> Task<void> {
    std::atomic<int> begun = 0;
    const absl::Status done =
        co_await WithTimeout(absl::Milliseconds(1), ForEach(UpTo(100), 2, [&begun](int) -> Task<void> {
                               ++begun;
                               // No checkpoint of its own.
                               while (!CancelRequested()) co_await Shield(Wait());
                             }));
    EXPECT_EQ(done.code(), absl::StatusCode::kDeadlineExceeded);
    EXPECT_LE(begun, 2);
  });
}

TEST(ForEachDeathTest, ALimitBelowOneIsRefused) {
  EXPECT_DEATH(
      {
        testing::Simulation simulation({.carriers = 1, .seed = 1});
        simulation.Run([]() -> Task<void> {
          co_await ForEach(std::vector<int>{1}, 0, [](int) -> Task<void> { co_return; });
        }());
      },
      "ForEach\\(\\) and Map\\(\\) with a limit of 0; it has to be one at least");
}

}  // namespace
}  // namespace weft

// ForEach and Map where something throws. Goal: the sentences of for_each.h about that.
#include <gtest/gtest.h>

#include <atomic>
#include <ranges>
#include <stdexcept>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "tests/support/counted.h"
#include "tests/support/on_both.h"
#include "weft/for_each.h"

namespace weft {
namespace {

using testing::Counted;
using testing::Forever;

class ForEachThrowTest : public testing::OnBoth {};
WEFT_ON_BOTH(ForEachThrowTest);

// Its iterator throws at 3: when it is advanced, or when it is dereferenced.
struct Exploding {
  static inline std::atomic<bool> exploded;
  static void Explode() {
    exploded = true;
    throw std::out_of_range("three");
  }
  static auto Advanced() {
    return std::views::iota(0, 10) | std::views::filter([](int number) {
             if (number == 3) Explode();
             return true;
           });
  }
  static auto Dereferenced() {
    return std::views::iota(0, 10) | std::views::transform([](int number) {
             if (number == 3) Explode();
             return Counted(number);
           });
  }
};

// At most so many begin: one that is on its way may have been begun when another throws.
template <class R>
Task<void> ThrowsAtThree(R range, int at_most) {
  std::atomic<int> begun = 0;
  bool thrown = false;
  try {
    co_await ForEach(std::move(range), 2, [&begun](const auto&) -> Task<void> {
      ++begun;
      co_await Yield();
    });
  } catch (const std::out_of_range& error) {
    thrown = error.what() == std::string("three");
  }
  EXPECT_TRUE(thrown);
  EXPECT_LE(begun, at_most);
  EXPECT_EQ(Counted::alive, 0);
}

TEST_P(ForEachThrowTest, WhatAnIteratorThrowsIsThrownByTheCall) {
  Everywhere([]() -> Task<void> {
    Counted::alive = 0;
    co_await ThrowsAtThree(Exploding::Advanced(), 4);
    co_await ThrowsAtThree(Exploding::Dereferenced(), 9);  // the others go on until they are asked to end
  });
}

TEST_P(ForEachThrowTest, SettledKeepsWhatATaskOrItsFunctionThrows) {
  Everywhere([]() -> Task<void> {
    const std::vector<absl::StatusOr<int>> outcomes =
        co_await MapSettled(std::views::iota(0, 4), 3, [](int number) -> Task<int> {
          co_await Yield();
          if (number == 1) throw std::invalid_argument("one");
          co_return number;
        });
    EXPECT_EQ(outcomes[0].value(), 0);
    EXPECT_EQ(outcomes[1].status(), absl::InvalidArgumentError("one"));
    EXPECT_EQ(outcomes[3].value(), 3);
    const std::vector<absl::Status> called = co_await MapSettled(std::views::iota(0, 2), 3, [](int number) {
      if (number == 0) throw std::invalid_argument("when called");
      return []() -> Task<void> { co_return; }();
    });
    EXPECT_EQ(called, (std::vector<absl::Status>{absl::InvalidArgumentError("when called"), absl::OkStatus()}));
  });
}

TEST_P(ForEachThrowTest, SettledThrowsWhatAnIteratorThrowsAlsoIfTheTimeIsUpBeforeTheRestHasEnded) {
  Everywhere([]() -> Task<void> {
    const auto throws_as_it_explodes = [](auto range) -> Task<void> {
      bool thrown = false;
      Exploding::exploded = false;
      try {
        co_await MapSettled(
            std::move(range), 4, [](const auto&) { return Shield(Sleep(absl::Milliseconds(20))); },
            {.timeout = absl::Milliseconds(1)});
      } catch (const std::out_of_range&) {
        thrown = true;
      }
      EXPECT_EQ(thrown, Exploding::exploded);
      // Elsewhere the time may be up before the iterator has come so far.
      if (simulated()) EXPECT_TRUE(thrown);
    };
    co_await throws_as_it_explodes(Exploding::Advanced());
    co_await throws_as_it_explodes(Exploding::Dereferenced());
  });
}

TEST_P(ForEachThrowTest, WhatAFunctionThrowsWhenCalledCancelsTheRest) {
  Everywhere([]() -> Task<void> {
    bool thrown = false;
    try {
      co_await ForEach(std::views::iota(0, 3), 3, [](int number) {
        if (number == 2) throw std::runtime_error("two");
        return Forever();
      });
    } catch (const std::runtime_error&) {
      thrown = true;
    }
    EXPECT_TRUE(thrown);
  });
}

}  // namespace
}  // namespace weft

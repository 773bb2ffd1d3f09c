// ForEach and Map. Goal: the sentences of for_each.h, one test each. Method: the same bodies in simulations under many
// seeds and on real carriers.
#include "weft/for_each.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <forward_list>
#include <iterator>
#include <memory>
#include <numeric>
#include <ranges>
#include <sstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "tests/support/counted.h"
#include "tests/support/on_both.h"
#include "weft/cancellation.h"
#include "weft/runtime.h"
#include "weft/testing/simulation.h"
#include "weft/virtual_thread.h"

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

// ---- Threads.

// One element after another, and no way to know whether there is another one but to ask.
class Numbers {
 public:
  class Iterator {
   public:
    using value_type = std::unique_ptr<int>;
    using difference_type = ptrdiff_t;
    explicit Iterator(int end) : end_(end) {}
    Iterator(Iterator&&) = default;
    Iterator& operator=(Iterator&&) = default;
    std::unique_ptr<int> operator*() const { return std::make_unique<int>(at_); }
    Iterator& operator++() {
      ++at_;
      return *this;
    }
    void operator++(int) { ++at_; }
    bool operator==(std::default_sentinel_t) const { return at_ == end_; }

   private:
    int at_ = 0;
    int end_;
  };
  explicit Numbers(int end) : end_(end) {}
  Iterator begin() const { return Iterator(end_); }
  static std::default_sentinel_t end() { return {}; }

 private:
  int end_;
};
static_assert(std::ranges::input_range<Numbers> && !std::ranges::forward_range<Numbers>);

// How many threads a call over `range` starts, beside the one that calls, when every task waits.
template <class R>
int64_t ThreadsStarted(R range, int limit) {
  testing::Simulation simulation({.carriers = 2, .seed = 1});
  simulation.Run([](R range, int limit) -> Task<void> {
    co_await ForEach(std::move(range), limit, [](const auto&) -> Task<void> { co_await Sleep(absl::Milliseconds(1)); });
  }(std::move(range), limit));
  return simulation.runtime().Stats().threads_started - 1;
}

TEST(ForEachThreadsTest, ThereIsOneForEachElementUpToTheLimit) {
  constexpr int kMany = 1'000'000;
  const std::vector<int> two = UpTo(2);
  EXPECT_EQ(ThreadsStarted(two, kMany), 2);
  EXPECT_EQ(ThreadsStarted(std::forward_list<int>{1, 2}, kMany), 2);
  EXPECT_EQ(ThreadsStarted(UpTo(5) | std::views::filter([](int number) { return number % 2 == 1; }), kMany), 2);
  EXPECT_EQ(ThreadsStarted(std::views::iota(0) | std::views::take(2), kMany), 2);
  EXPECT_EQ(ThreadsStarted(UpTo(100), 7), 7);
  EXPECT_EQ(ThreadsStarted(UpTo(1), kMany), 1);
  EXPECT_EQ(ThreadsStarted(UpTo(0), kMany), 1) << "the one that looks";
  EXPECT_EQ(ThreadsStarted(Numbers(2), kMany), 3) << "the one that asks for a third";
  EXPECT_EQ(ThreadsStarted(Numbers(2), 2), 2);
}

TEST_P(ForEachTest, TwoElementsAndALimitOfAMillionRunAtTheSameTime) {
  Everywhere([]() -> Task<void> {
    Event first, second;
    co_await ForEach(std::views::iota(0, 2) | std::views::filter([](int) { return true; }), 1'000'000,
                     [&](int number) -> Task<void> {
                       (number == 0 ? first : second).Set();
                       co_await (number == 0 ? second : first).Wait();
                     });
  });
}

TEST_P(ForEachTest, TasksThatWaitForNothingLetOthersRun) {
  Everywhere([]() -> Task<void> {
    std::atomic<bool> stop = false;
    AwaitAll scope;
    scope.Fork([&]() -> Task<void> {
      stop = true;
      co_return;
    });
    const absl::Status stopped = co_await ForEach(std::views::iota(0), 1, [&](int) -> Task<absl::Status> {
      co_return stop ? absl::AbortedError("stopped") : absl::OkStatus();
    });
    EXPECT_EQ(stopped, absl::AbortedError("stopped"));
    (co_await scope.Join()).IgnoreFailures();
  });
}

// ---- Elements.

TEST_P(ForEachTest, TheIndexIsGivenToAFunctionThatTakesIt) {
  Everywhere([]() -> Task<void> {
    const std::vector<std::string> words = {"a", "b", "c"};
    const std::vector<std::string> numbered =
        co_await Map(words, 2, [](const std::string& word, size_t index) -> Task<std::string> {
          co_await Yield();
          co_return word + std::to_string(index);
        });
    EXPECT_EQ(numbered, (std::vector<std::string>{"a0", "b1", "c2"}));
    std::vector<int> seen(3);
    co_await ForEach(Numbers(3), 2, [&seen](const std::unique_ptr<int>& number, size_t index) -> Task<void> {
      seen[index] = *number + 1;
      co_return;
    });
    EXPECT_EQ(seen, (std::vector<int>{1, 2, 3}));
  });
}

TEST_P(ForEachTest, TheElementsOfAnInputRangeLiveAsLongAsTheirTasks) {
  Everywhere([]() -> Task<void> {
    Counted::alive = 0;
    std::istringstream words("one two three four");
    const std::vector<std::string> doubled = co_await Map(
        std::views::istream<std::string>(words), 3, [](const std::string& word) -> Task<std::string> {
          co_await Yield();
          co_return word + word;
        });
    EXPECT_EQ(doubled, (std::vector<std::string>{"oneone", "twotwo", "threethree", "fourfour"}));
    EXPECT_EQ(co_await Map(Numbers(20), 4,
                           [](std::unique_ptr<int>& number) -> Task<int> {
                             co_await Yield();
                             const std::unique_ptr<int> taken = std::move(number);
                             co_return *taken;
                           }),
              UpTo(20));
  });
}

TEST_P(ForEachTest, WhatARangeMakesOnTheWayLivesAsLongAsItsTask) {
  Everywhere([]() -> Task<void> {
    Counted::alive = 0;
    Counted::bad = 0;
    const auto made = UpTo(10) | std::views::transform([](int number) { return Counted(number); });
    const std::vector<int> values = co_await Map(made, 3, [](const Counted& counted) -> Task<int> {
      co_await Yield();
      EXPECT_GE(Counted::alive, 1);
      co_return counted.value();
    });
    EXPECT_EQ(values, UpTo(10));
    EXPECT_EQ(Counted::alive, 0);
    EXPECT_EQ(Counted::bad, 0);
  });
}

// ---- Results.

// Knows how often it was moved.
class Moved {
 public:
  Moved() = default;
  Moved(Moved&& other) noexcept : times_(other.times_ + 1) {}
  Moved& operator=(Moved&&) = delete;
  int times() const { return times_; }

 private:
  int times_ = 0;
};

// The most moves of one result.
int64_t MostMoves(int results) {
  return testing::Simulation().Run([](int results) -> Task<int64_t> {
    int most = 0;
    const auto make = [](int) -> Task<Moved> { co_return Moved(); };
    for (const Moved& each : co_await Map(UpTo(results), 3, make)) most = std::max(most, each.times());
    for (const absl::StatusOr<Moved>& each : co_await MapSettled(UpTo(results), 3, make)) {
      most = std::max(most, each->times());
    }
    co_return most;
  }(results));
}

TEST(ForEachResultsTest, OfManyResultsEachIsMovedAsOftenAsOneThatIsAlone) {
  EXPECT_EQ(MostMoves(1'000), MostMoves(1));
}

// Each of its moves lasts until other elements have been begun and ended.
struct Others {
  std::atomic<int> begun{0};
  std::atomic<bool> stop{false};
};
class MovedAmongOthers {
 public:
  explicit MovedAmongOthers(Others* others) : others_(others) {}
  MovedAmongOthers(MovedAmongOthers&& other) noexcept : others_(other.others_) {
    if (others_ == nullptr) return;
    for (const int before = others_->begun; !others_->stop && others_->begun < before + 3;) std::this_thread::yield();
  }
  MovedAmongOthers& operator=(MovedAmongOthers&&) = delete;

 private:
  Others* const others_;  // null: its moves last no time
};

TEST(ForEachResultsTest, AResultIsMovedWhileThoseOfOtherElementsAreKept) {
  const auto runtime = Runtime::Create({.parallelism = 2, .held_carrier_threshold = absl::ZeroDuration()}).value();
  runtime->Run([]() -> Task<void> {
    Others others;
    std::atomic<uint64_t> slow = 0;  // the thread of the first element, which ends all when it comes to another one
    const auto range = std::views::iota(0) | std::views::take_while([&others](int) { return !others.stop; });
    co_await Map(range, 2, [&](int number) -> Task<MovedAmongOthers> {
      if (number == 0) {
        slow = VirtualThread::Current().id();
        co_return MovedAmongOthers(&others);
      }
      if (VirtualThread::Current().id() == slow) others.stop = true;
      ++others.begun;
      co_return MovedAmongOthers(nullptr);
    });
  }());
}

// ---- MapSettled.

TEST_P(ForEachTest, SettledKeepsEveryOutcome) {
  Everywhere([]() -> Task<void> {
    const std::vector<absl::StatusOr<int>> outcomes =
        co_await MapSettled(UpTo(6), 2, [](int number) -> Task<absl::StatusOr<int>> {
          co_await Yield();
          if (number % 2 == 1) co_return absl::NotFoundError(std::to_string(number));
          co_return number;
        });
    EXPECT_EQ(outcomes.size(), 6);
    for (int i = 0; i < 6; ++i) {
      if (i % 2 == 1) {
        EXPECT_EQ(outcomes[i].status(), absl::NotFoundError(std::to_string(i)));
      } else {
        EXPECT_EQ(outcomes[i].value(), i);
      }
    }
    EXPECT_EQ(co_await MapSettled(Numbers(2), 1, [](const auto&, size_t index) -> Task<absl::Status> {
                co_return index == 0 ? absl::OkStatus() : absl::InternalError("one");
              }),
              (std::vector<absl::Status>{absl::OkStatus(), absl::InternalError("one")}));
    EXPECT_EQ(co_await MapSettled(UpTo(2), 9, [](int) -> Task<void> { co_return; }),
              (std::vector<absl::Status>{absl::OkStatus(), absl::OkStatus()}));
    EXPECT_TRUE((co_await MapSettled(UpTo(0), 9, [](int) -> Task<int> { co_return 1; })).empty());
    int object = 0;
    const auto references = co_await MapSettled(UpTo(1), 1, [&object](int) -> Task<int&> { co_return object; });
    EXPECT_EQ(&references[0]->get(), &object);
  });
}

TEST(MapSettledTest, WhatHasEndedWhenTheTimeIsUpIsKept) {
  for (uint64_t seed = 1; seed <= 50; ++seed) {
    testing::Simulation simulation({.carriers = static_cast<int>(seed % 3) + 1, .seed = seed});
    simulation.Run([]() -> Task<void> {
      Counted::alive = 0;
      const auto work = [](const auto&, size_t index) -> Task<int> {
        const Counted held;
        co_await Sleep(index == 1 ? absl::InfiniteDuration() : absl::Milliseconds(10));
        co_return static_cast<int>(index);
      };
      // Two at once, one of which waits for ever: 10 ms each for 0, 2, 3, and the fifth is under way.
      const std::vector<absl::StatusOr<int>> outcomes =
          co_await MapSettled(UpTo(8), 2, work, {.timeout = absl::Milliseconds(39)});
      EXPECT_EQ(outcomes.size(), 8);
      for (const int done : {0, 2, 3}) EXPECT_EQ(outcomes[done].value_or(-1), done);
      for (const int late : {1, 4, 5, 6, 7}) {
        EXPECT_EQ(outcomes[late].status().code(), absl::StatusCode::kDeadlineExceeded);
        EXPECT_EQ(ReasonOf(outcomes[late].status()).kind, CancelReason::Kind::kTimeout);
        EXPECT_NE(ReasonOf(outcomes[late].status()).where.find("for_each_test.cc"), std::string::npos);
      }
      EXPECT_EQ(Counted::alive, 0);
      // What cannot be counted has as many as were begun.
      EXPECT_EQ((co_await MapSettled(Numbers(8), 2, work, {.timeout = absl::Milliseconds(39)})).size(), 5);
      EXPECT_EQ((co_await MapSettled(std::views::iota(0), 2, work, {.timeout = absl::Milliseconds(39)})).size(), 5);
      // Cancelled from outside it is unwound, like everything else.
      const auto outside =
          co_await WithTimeout(absl::Milliseconds(5), MapSettled(UpTo(8), 2, work, {.timeout = absl::Seconds(1)}));
      EXPECT_EQ(outside.status().code(), absl::StatusCode::kDeadlineExceeded);
      EXPECT_EQ(Counted::alive, 0);
    }());
  }
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

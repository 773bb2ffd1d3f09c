// All. Goal: the table in all.h, row by row. Method: the same bodies in simulations and on carriers.
#include "weft/all.h"

#include <gtest/gtest.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <ranges>
#include <span>
#include <sstream>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "tests/support/counted.h"
#include "tests/support/on_both.h"
#include "weft/cancellation.h"
#include "weft/scope.h"
#include "weft/scoped_value.h"
#include "weft/sync/event.h"
#include "weft/sync/semaphore.h"
#include "weft/task.h"
#include "weft/time.h"
#include "weft/virtual_thread.h"

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
    static_assert(std::is_same_v<decltype(c), Unit>);
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
    absl::StatusOr<std::tuple<int, Unit, int>> all = co_await All(Give(1), End(absl::OkStatus()), GiveOr(3));
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
    const auto never = [](Counted) -> Task<int> {
      ADD_FAILURE();
      co_return 1;
    };
    {
      auto all = All(never(Counted()));
      auto of_array = All(std::array{never(Counted()), never(Counted())});
      auto of_range = All(std::views::iota(0, 3) | std::views::transform([&](int) { return never(Counted()); }));
      auto moved = std::move(of_range);
      EXPECT_EQ(Counted::alive, 6);
    }
    EXPECT_EQ(Counted::alive, 0);
    co_return;
  });
}

// ---- Ranges.

template <class T>
std::vector<T> VectorOf(T first, T second) {
  std::vector<T> both;
  both.push_back(std::move(first));
  both.push_back(std::move(second));
  return both;
}

TEST_P(AllTest, TheTasksOfAViewAreMadeByTheCallInTheirOrder) {
  Everywhere([]() -> Task<void> {
    int made = 0;
    auto all = All(std::views::iota(1, 5) | std::views::transform([&made](int i) {
                     EXPECT_EQ(++made, i);
                     return Give(10 * i);
                   }));
    EXPECT_EQ(made, 4);
    EXPECT_EQ(co_await std::move(all), std::vector<int>({10, 20, 30, 40}));
    EXPECT_EQ(made, 4);
  });
}

TEST_P(AllTest, AnInputRangeIsPassedOnce) {
  Everywhere([]() -> Task<void> {
    std::istringstream digits("3 1 4 1 5");
    EXPECT_EQ(co_await All(std::views::istream<int>(digits) | std::views::transform(Give)),
              std::vector<int>({3, 1, 4, 1, 5}));
  });
}

TEST_P(AllTest, TheTasksOfAContainerAreMovedOutOfItWhetherItIsMovedOrNot) {
  Everywhere([]() -> Task<void> {
    EXPECT_EQ(co_await All(VectorOf(Give(1), Give(2))), std::vector<int>({1, 2}));
    std::vector<Task<int>> named = VectorOf(Give(3), Give(4));
    EXPECT_EQ(co_await All(named), std::vector<int>({3, 4}));
    EXPECT_EQ(named.size(), 2);
    std::array<Task<int>, 2> fixed = {Give(5), Give(6)};
    EXPECT_EQ(co_await All(std::span(fixed)), std::vector<int>({5, 6}));
    Task<int> plain[] = {Give(7), Give(8)};
    EXPECT_EQ(co_await All(plain), std::vector<int>({7, 8}));
    std::list<Task<int>> listed;
    listed.push_back(Give(9));
    EXPECT_EQ(co_await All(std::move(listed)), std::vector<int>({9}));
  });
}

TEST_P(AllTest, WhatBecomesATaskIsABranchOfARange) {
  Everywhere([]() -> Task<void> {
    const auto pairs = [](int i) { return All(Give(i), Give(-i)); };
    EXPECT_EQ(co_await All(std::views::iota(1, 3) | std::views::transform(pairs)),
              (std::vector<std::tuple<int, int>>({{1, -1}, {2, -2}})));
    const auto rows = [](int i) { return All(std::views::iota(0, i) | std::views::transform(Give)); };
    EXPECT_EQ(co_await All(std::views::iota(1, 3) | std::views::transform(rows)),
              (std::vector<std::vector<int>>({{0}, {0, 1}})));
  });
}

TEST_P(AllTest, ARangeGivesWhatItsTasksGive) {
  Everywhere([]() -> Task<void> {
    const auto each = [](auto give) { return std::views::iota(0, 3) | std::views::transform(give); };
    co_await All(each([](int) { return DoNothing(); }));
    EXPECT_EQ(co_await All(each([](int) { return End(absl::OkStatus()); })), absl::OkStatus());
    EXPECT_EQ(*co_await All(each([](int i) { return GiveOr(i); })), std::vector<int>({0, 1, 2}));
    const std::vector<std::unique_ptr<int>> pointers =
        co_await All(each([](int i) -> Task<std::unique_ptr<int>> { co_return std::make_unique<int>(i); }));
    EXPECT_EQ(*pointers[2], 2);
  });
}

TEST_P(AllTest, OfNoTasksAtAllARangeGivesNoResults) {
  Everywhere([]() -> Task<void> {
    EXPECT_TRUE((co_await All(std::views::empty<int> | std::views::transform(Give))).empty());
    EXPECT_EQ(co_await All(std::list<Task<absl::Status>>()), absl::OkStatus());
  });
}

TEST_P(AllTest, AnArrayGivesAnArray) {
  Everywhere([]() -> Task<void> {
    const std::array<int, 3> three = co_await All(std::array{Give(1), Give(2), Give(3)});
    EXPECT_EQ(three, (std::array{1, 2, 3}));
    std::array<Task<int>, 2> named = {Give(4), Give(5)};
    EXPECT_EQ(co_await All(named), (std::array{4, 5}));
    co_await All(std::array{DoNothing(), DoNothing()});
    EXPECT_EQ(co_await All(std::array{End(absl::OkStatus()), End(absl::OkStatus())}), absl::OkStatus());
    const absl::StatusOr<std::array<int, 2>> both = co_await All(std::array{GiveOr(6), GiveOr(7)});
    EXPECT_EQ(*both, (std::array{6, 7}));
    const auto pointer = [](int i) -> Task<std::unique_ptr<int>> { co_return std::make_unique<int>(i); };
    const std::array<std::unique_ptr<int>, 2> pointers = co_await All(std::array{pointer(8), pointer(9)});
    EXPECT_EQ(*pointers[1], 9);
    const std::array<std::tuple<int, int>, 1> pairs = co_await All(std::array{All(Give(10), Give(11))});
    EXPECT_EQ(std::get<1>(pairs[0]), 11);
  });
}

TEST_P(AllTest, AnArrayOfNoTasksGivesNoResults) {
  Everywhere([]() -> Task<void> {
    const std::array<int, 0> none = co_await All(std::array<Task<int>, 0>());
    EXPECT_TRUE(none.empty());
    co_await All(std::array<Task<void>, 0>());
    EXPECT_EQ(co_await All(std::array<Task<absl::Status>, 0>()), absl::OkStatus());
    EXPECT_TRUE((co_await All(std::array<Task<absl::StatusOr<int>>, 0>())).ok());
  });
}

TEST_P(AllTest, WithASpanTheResultsAreInIt) {
  Everywhere([]() -> Task<void> {
    std::array<int64_t, 5> results = {-1, -1, -1, -1, -1};
    co_await All(std::views::iota(1, 4) | std::views::transform(Give), std::span(results));
    EXPECT_EQ(results, (std::array<int64_t, 5>{1, 2, 3, -1, -1})) << "what no task is for is left as it is";
    std::vector<std::unique_ptr<int>> pointers(2);
    const auto pointer = [](int i) -> Task<std::unique_ptr<int>> { co_return std::make_unique<int>(i); };
    co_await All(std::array{pointer(1), pointer(2)}, std::span(pointers));
    EXPECT_EQ(*pointers[1], 2);
    EXPECT_EQ(co_await All(std::array{GiveOr(8), GiveOr(9)}, std::span(results)), absl::OkStatus());
    EXPECT_EQ(results, (std::array<int64_t, 5>{8, 9, 3, -1, -1}));
    EXPECT_EQ(co_await All(std::array{GiveOr(1), GiveOr(absl::DataLossError("no"))}, std::span(results)),
              absl::DataLossError("no"));
    EXPECT_EQ(results, (std::array<int64_t, 5>{8, 9, 3, -1, -1})) << "after a failure nothing is assigned";
    co_await All(std::vector<Task<int>>(), std::span<int>());
  });
}

TEST_P(AllTest, ASpanTakesWhatATaskRefersTo) {
  Everywhere([]() -> Task<void> {
    std::array<std::string, 2> words = {"one", "two"};
    const auto find = [&words](size_t i) -> Task<std::string&> { co_return words[i]; };
    std::array<std::string, 2> copies;
    co_await All(std::array{find(1), find(0)}, std::span(copies));
    EXPECT_EQ(copies, (std::array<std::string, 2>{"two", "one"}));
    EXPECT_EQ(words, (std::array<std::string, 2>{"one", "two"}));
  });
}

void AllOfTwoInto(std::span<int> results) { std::ignore = All(VectorOf(Give(1), Give(2)), results); }

TEST(AllDeathTest, ASpanThatIsTooShortIsACheck) {
  std::array<int, 1> results;
  EXPECT_DEATH(AllOfTwoInto(results), "the results of 2 tasks go to a span of 1");
}

// A range whose size() is less than what it holds.
struct Understated {
  auto begin() { return tasks.begin(); }
  auto end() { return tasks.end(); }
  size_t size() const { return tasks.size() - 1; }
  std::vector<Task<int>> tasks;
};

TEST(AllDeathTest, ARangeWithMoreTasksThanItSaysIsACheck) {
  EXPECT_DEATH(std::ignore = All(Understated{VectorOf(Give(1), Give(2))}),
               "a range of tasks has more of them than its size\\(\\), which is 1");
}

Task<absl::StatusOr<int>> ThirdFails(int i) {
  Counted local;
  if (i == 2) co_return absl::NotFoundError("the third");
  co_await Forever();
  co_return i;
}

TEST_P(AllTest, TheFirstFailureOfAnArrayCancelsTheOthersAndIsTheResult) {
  Everywhere([]() -> Task<void> {
    Counted::alive = 0;
    const absl::StatusOr<std::array<int, 4>> all =
        co_await All(std::array{ThirdFails(0), ThirdFails(1), ThirdFails(2), ThirdFails(3)});
    EXPECT_EQ(all.status(), absl::NotFoundError("the third"));
    EXPECT_EQ(Counted::alive, 0);
  });
}

TEST_P(AllTest, TheFirstFailureOfARangeCancelsTheOthersAndIsTheResult) {
  Everywhere([]() -> Task<void> {
    Counted::alive = 0;
    const auto tasks = std::views::iota(0, 5) | std::views::transform(ThirdFails);
    const absl::StatusOr<std::vector<int>> all = co_await All(tasks);
    EXPECT_EQ(all.status(), absl::NotFoundError("the third"));
    EXPECT_EQ(Counted::alive, 0);
  });
}

TEST_P(AllTest, AnAllOfARangeIsForkedAndGivenATimeout) {
  Everywhere([]() -> Task<void> {
    const auto three = std::views::iota(0, 3) | std::views::transform(Give);
    EXPECT_EQ(*co_await WithTimeout(absl::InfiniteDuration(), All(three)), std::vector<int>({0, 1, 2}));
    ShutdownOnFailure scope;
    const auto all = scope.Fork(All(three));
    EXPECT_EQ(co_await scope.Join(), absl::OkStatus());
    EXPECT_EQ(*all, std::vector<int>({0, 1, 2}));
  });
}

// ---- Branches that go on in each other's control blocks. (internal/all_scope.h)

const ScopedValue<int> kBound;

// What a branch may do before another one begins where it has ended.
Task<void> ReturnsAtOnce() { co_return; }
Task<void> Waits() { co_await Yield(); }
Task<void> IsKnown() {
  EXPECT_TRUE(VirtualThread::Current().id() != 0);
  co_return;
}
Task<void> Binds() {
  const ScopedBinding binding(kBound, 1);
  co_await Yield();
}
Task<void> OpensAScope() {
  ShutdownOnFailure scope;
  scope.Fork(Waits());
  EXPECT_EQ((co_await scope.Join()).status(), absl::OkStatus());
}
Task<void> IsAskedAndGoesOn() {
  EXPECT_EQ((co_await WithTimeout(absl::ZeroDuration(), Forever())).code(), absl::StatusCode::kDeadlineExceeded);
}
Task<void> TakesAPermit() {
  static Semaphore permits(1'000'000);
  const Permit permit = co_await permits.Acquire();
  co_await Yield();
}
constexpr Task<void> (*kBefore[])() = {ReturnsAtOnce, Waits, IsKnown, Binds,
                                       OpensAScope, IsAskedAndGoesOn, TakesAPermit};

// Finds nothing of that.
Task<uint64_t> IsAsNew() {
  EXPECT_FALSE(CancelRequested());
  EXPECT_FALSE(kBound.IsBound());
  co_await OpensAScope();
  co_return VirtualThread::Current().id();
}

TEST_P(AllTest, ABranchThatBeginsWhereAnotherHasEndedFindsNothingOfIt) {
  for (const auto before : kBefore) {
    Everywhere([before]() -> Task<void> {
      const auto [none, a, again, b] = co_await All(before(), IsAsNew(), before(), IsAsNew());
      EXPECT_NE(a, b);
      EXPECT_NE(a, VirtualThread::Current().id());
    });
  }
}

TEST_P(AllTest, ABranchThatBeginsWhereAnotherHasEndedIsCancelledWithItsAll) {
  for (const auto before : kBefore) {
    Everywhere([before]() -> Task<void> {
      Counted::alive = 0;
      const auto never = []() -> Task<void> {
        Counted local;
        co_await Forever();
      };
      const auto late = co_await WithTimeout(absl::Milliseconds(1), All(before(), before(), never()));
      EXPECT_EQ(late.status().code(), absl::StatusCode::kDeadlineExceeded);
      EXPECT_EQ(Counted::alive, 0);
    });
  }
}

TEST_P(AllTest, OfBranchesThatEndWhereOthersHaveEndedTheOneThatFailsIsTheResult) {
  for (const auto before : kBefore) {
    Everywhere([before]() -> Task<void> {
      const auto quiet = [](auto what) -> Task<absl::Status> {
        co_await what();
        co_return absl::OkStatus();
      };
      const auto all = co_await All(quiet(before), quiet(before), End(absl::NotFoundError("the third")), quiet(before));
      EXPECT_EQ(all.status(), absl::NotFoundError("the third"));
    });
  }
}

}  // namespace
}  // namespace weft

// Scoped values as the JDK 25 has them (JEP 506). Goal: what is promised there and kept here, one test each, where
// scoped_value_test.cc does not say it; docs/from-loom.md has the whole list. Method: the same bodies in simulations
// under many seeds and on real carriers; death tests in simulations.
#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "tests/support/on_both.h"
#include "weft/all.h"
#include "weft/for_each.h"
#include "weft/race.h"
#include "weft/scope.h"
#include "weft/scoped_value.h"
#include "weft/task.h"
#include "weft/testing/simulation.h"
#include "weft/time.h"

namespace weft {
namespace {

ScopedValue<int> kNumber;
ScopedValue<std::string> kText;
ScopedValue<const char*> kPointer;

class LoomScopedValueTest : public testing::OnBoth {};
WEFT_ON_BOTH(LoomScopedValueTest);

Task<int> Number() {
  co_await Yield();
  co_return kNumber.OrElse(-1);
}

TEST_P(LoomScopedValueTest, ANullPointerIsAValueLikeAnyOther) {
  Everywhere([]() -> Task<void> {
    EXPECT_STREQ(kPointer.OrElse("unbound"), "unbound");
    ScopedBinding binding(kPointer, nullptr);
    EXPECT_TRUE(kPointer.IsBound());
    EXPECT_EQ(kPointer.Get(), nullptr);
    EXPECT_EQ(kPointer.OrElse("unbound"), nullptr);
    co_return;
  });
}

TEST(LoomScopedValueTypeTest, WhatIsBoundCannotBeChanged) {
  EXPECT_TRUE((std::is_same_v<decltype(kNumber.Get()), const int&>));
}

TEST_P(LoomScopedValueTest, WhereBindsNothingBeforeItRuns) {
  Everywhere([]() -> Task<void> {
    auto four = Where(kNumber, 4).Where(kText, "four");
    EXPECT_FALSE(kNumber.IsBound());
    ScopedBinding binding(kNumber, 1);
    EXPECT_EQ(co_await Number(), 1);
    EXPECT_EQ(co_await std::move(four).Run(Number()), 4);
    EXPECT_EQ(co_await Number(), 1);
    EXPECT_FALSE(kText.IsBound());
  });
}

TEST_P(LoomScopedValueTest, WhateverStartsThreadsHandsTheBindingsOn) {
  Everywhere([]() -> Task<void> {
    ScopedBinding binding(kNumber, 4);
    const auto [one, two] = co_await All(Number(), Number());
    EXPECT_EQ(one, 4);
    EXPECT_EQ(two, 4);
    EXPECT_EQ(co_await Race(Number(), Number()), 4);
    EXPECT_EQ(co_await Any(Number(), Number()), 4);
    const std::vector<int> mapped = co_await Map(std::vector<int>(3), 2, [](int) { return Number(); });
    EXPECT_EQ(mapped, (std::vector<int>{4, 4, 4}));
  });
}

TEST_P(LoomScopedValueTest, EachScopeForksUnderTheBindingsItWasOpenedUnder) {
  Everywhere([]() -> Task<void> {
    ScopedBinding outer_binding(kNumber, 1);
    AwaitAll outer;
    const auto before = outer.Fork(Number());
    {
      ScopedBinding inner_binding(kNumber, 2);
      AwaitAll inner;
      const auto inside = inner.Fork(Number());
      EXPECT_TRUE((co_await inner.Join()).ok());
      EXPECT_EQ(*inside, 2);
    }
    const auto after = outer.Fork(Number());
    EXPECT_TRUE((co_await outer.Join()).ok());
    EXPECT_EQ(*before, 1);
    EXPECT_EQ(*after, 1);
  });
}

TEST_P(LoomScopedValueTest, AChildWhoseOwnBindingHasEndedForksIntoTheScopeItIsIn) {
  Everywhere([]() -> Task<void> {
    ScopedBinding binding(kNumber, 1);
    AwaitAll scope;
    std::optional<Subtask<int>> forked;
    scope.Fork([&]() -> Task<void> {
      {
        ScopedBinding mine(kNumber, 2);
        EXPECT_EQ(co_await Number(), 2);
      }
      forked.emplace(scope.Fork(Number()));
    });
    EXPECT_TRUE((co_await scope.Join()).ok());
    EXPECT_EQ(**forked, 1);
  });
}

// ---- Misuse.

template <class Make>
void Simulate(Make make) {
  testing::Simulation simulation;
  simulation.Run(make());
}

TEST(LoomScopedValueDeathTest, ABindingToAnEqualValueIsNotTheSameBinding) {
  EXPECT_DEATH(
      Simulate([]() -> Task<void> {
        ScopedBinding binding(kNumber, 1);
        AwaitAll scope;
        ScopedBinding again(kNumber, 1);
        scope.Fork(Number());
        co_return;
      }),
      "Fork\\(\\) by VirtualThread\\[#1\\].* under other scoped-value bindings than those the scope was opened "
      "under by VirtualThread\\[#1\\]");
}

TEST(LoomScopedValueDeathTest, AThreadThatInheritedMoreThanTheScopeWasOpenedUnder) {
  EXPECT_DEATH(
      Simulate([]() -> Task<void> {
        AwaitAll outer;
        ScopedBinding binding(kNumber, 1);
        AwaitAll inner;
        inner.Fork(
            [&outer]() -> Task<void> {
              outer.Fork(Number());
              co_return;
            },
            {.name = "inside"});
        (co_await inner.Join()).IgnoreFailures();
      }),
      "Fork\\(\\) by VirtualThread\\[#2,inside\\].* under other scoped-value bindings than those the scope was "
      "opened under by VirtualThread\\[#1\\]");
}

}  // namespace
}  // namespace weft

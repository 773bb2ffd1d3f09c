// Scoped values. Goal: a binding is seen by what is called and forked inside it, and by nobody else, and misuse of its
// structure is named. Method: the same bodies in simulations and on carriers; death tests in simulations.
#include "weft/scoped_value.h"

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "tests/support/counted.h"
#include "tests/support/on_both.h"
#include "weft/blocking.h"
#include "weft/cancellation.h"
#include "weft/executor/thread_pool_executor.h"
#include "weft/runtime.h"
#include "weft/scope.h"
#include "weft/task.h"
#include "weft/testing/simulation.h"

namespace weft {
namespace {

using testing::Counted;

ScopedValue<int> kNumber;
ScopedValue<std::string> kText;
ScopedValue<Counted> kCounted;

class ScopedValueTest : public testing::OnBoth {};
WEFT_ON_BOTH(ScopedValueTest);

Task<int> Number() {
  co_await Yield();
  co_return kNumber.OrElse(-1);
}

TEST_P(ScopedValueTest, ABindingLastsAsLongAsItsObject) {
  Everywhere([]() -> Task<void> {
    EXPECT_FALSE(kNumber.IsBound());
    EXPECT_EQ(kNumber.OrElse(7), 7);
    {
      ScopedBinding binding(kNumber, 1);
      EXPECT_TRUE(kNumber.IsBound());
      EXPECT_EQ(kNumber.Get(), 1);
      co_await Yield();
      EXPECT_EQ(co_await Number(), 1);
    }
    EXPECT_FALSE(kNumber.IsBound());
  });
}

TEST_P(ScopedValueTest, AnInnerBindingHidesTheOuterOneForAWhile) {
  Everywhere([]() -> Task<void> {
    ScopedBinding outer(kNumber, 1);
    ScopedBinding text(kText, "one");
    {
      ScopedBinding inner(kNumber, 2);
      EXPECT_EQ(co_await Number(), 2);
      EXPECT_EQ(kText.Get(), "one");
    }
    EXPECT_EQ(co_await Number(), 1);
  });
}

TEST_P(ScopedValueTest, ForkedChildrenInheritAndSeeOneObject) {
  Everywhere([]() -> Task<void> {
    Counted::alive = 0;
    {
      ScopedBinding binding(kCounted, Counted(5));
      EXPECT_EQ(Counted::alive, 1);
      const Counted* mine = &kCounted.Get();
      AwaitAll scope;
      scope.Fork([mine]() -> Task<void> {
        EXPECT_EQ(&kCounted.Get(), mine);
        AwaitAll inner;
        inner.Fork([mine]() -> Task<void> {
          co_await Yield();
          EXPECT_EQ(&kCounted.Get(), mine);
        });
        (co_await inner.Join()).IgnoreFailures();
      });
      (co_await scope.Join()).IgnoreFailures();
      EXPECT_EQ(Counted::alive, 1) << "inherited by a pointer, not by a copy";
    }
    EXPECT_EQ(Counted::alive, 0);
  });
}

TEST_P(ScopedValueTest, AChildsOwnBindingIsItsOwn) {
  Everywhere([]() -> Task<void> {
    ScopedBinding binding(kNumber, 1);
    AwaitAll scope;
    auto rebinds = scope.Fork([]() -> Task<int> {
      ScopedBinding mine(kNumber, 2);
      co_return co_await Number();
    });
    auto inherits = scope.Fork(Number());
    (co_await scope.Join()).IgnoreFailures();
    EXPECT_EQ(*rebinds, 2);
    EXPECT_EQ(*inherits, 1);
    EXPECT_EQ(kNumber.Get(), 1);
  });
}

TEST_P(ScopedValueTest, WhereBindsForOneCall) {
  Everywhere([]() -> Task<void> {
    EXPECT_EQ(co_await Where(kNumber, 4).Run(Number()), 4);
    EXPECT_FALSE(kNumber.IsBound());
    const std::string text =
        co_await Where(kNumber, 4).Where(kText, "four").Where(kNumber, 5).Run([]() -> Task<std::string> {
          co_await Yield();
          co_return kText.Get() + std::to_string(kNumber.Get());
        }());
    EXPECT_EQ(text, "four5") << "the last one is the innermost";
    EXPECT_FALSE(kText.IsBound());
  });
}

// Binds `left` more values, each of its own key, around a look at all of them.
Task<void> BindMore(std::vector<std::unique_ptr<ScopedValue<int>>>& keys, size_t bound) {
  if (bound == keys.size()) {
    for (int round = 0; round < 2; ++round) {
      for (size_t i = 0; i < keys.size(); ++i) EXPECT_EQ(keys[i]->Get(), static_cast<int>(i));
      EXPECT_FALSE(kText.IsBound());
    }
    AwaitAll scope;
    for (int child = 0; child < 3; ++child) {
      scope.Fork([&keys]() -> Task<void> {
        for (size_t i = 0; i < keys.size(); ++i) EXPECT_EQ(keys[i]->Get(), static_cast<int>(i));
        co_await Yield();
        ScopedBinding hidden(*keys[0], -5);
        EXPECT_EQ(keys[0]->Get(), -5);
        EXPECT_EQ(keys[1]->Get(), 1);
      });
    }
    (co_await scope.Join()).IgnoreFailures();
    co_return;
  }
  ScopedBinding binding(*keys[bound], static_cast<int>(bound));
  co_await BindMore(keys, bound + 1);
  EXPECT_EQ(keys[bound]->Get(), static_cast<int>(bound));
  EXPECT_EQ(keys[0]->Get(), 0);
}

TEST_P(ScopedValueTest, EachOfManyValuesIsFoundAtAnyDepth) {
  Everywhere([]() -> Task<void> {
    std::vector<std::unique_ptr<ScopedValue<int>>> keys;
    for (int i = 0; i < 100; ++i) keys.push_back(std::make_unique<ScopedValue<int>>());
    co_await BindMore(keys, 0);
    for (const auto& key : keys) EXPECT_FALSE(key->IsBound());
  });
}

TEST_P(ScopedValueTest, WhatWasFoundBeforeIsHiddenByABindingFurtherIn) {
  Everywhere([]() -> Task<void> {
    ScopedBinding outer(kNumber, 1);
    ScopedBinding text(kText, "t");
    EXPECT_EQ(kNumber.Get(), 1);
    {
      ScopedBinding inner(kNumber, 2);
      ScopedBinding other(kText, "u");
      EXPECT_EQ(kNumber.Get(), 2);
      EXPECT_EQ(kNumber.Get(), 2);
    }
    EXPECT_EQ(kNumber.Get(), 1);
    co_return;
  });
}

TEST_P(ScopedValueTest, AnUnwoundBindingIsUndone) {
  Everywhere([]() -> Task<void> {
    Counted::alive = 0;
    ScopedBinding outer(kNumber, 1);
    const absl::Status late = co_await WithTimeout(absl::Milliseconds(1), []() -> Task<void> {
      ScopedBinding inner(kNumber, 2);
      ScopedBinding counted(kCounted, Counted());
      co_await testing::Forever();
    }());
    EXPECT_FALSE(late.ok());
    EXPECT_EQ(kNumber.Get(), 1);
    EXPECT_FALSE(kCounted.IsBound());
    EXPECT_EQ(Counted::alive, 0);
  });
}

TEST_P(ScopedValueTest, ARootInheritsNothing) {
  OnEveryRuntime([](Runtime& runtime) {
    EXPECT_FALSE(kNumber.IsBound());
    EXPECT_EQ(runtime.Run(Number()), -1);
  });
}

TEST_P(ScopedValueTest, AFunctionThatBlocksSeesWhatTheThreadThatAwaitsItHasBound) {
  Everywhere([]() -> Task<void> {
    EXPECT_EQ(*co_await Blocking([] { return kNumber.OrElse(-1); }), -1);
    ScopedBinding binding(kNumber, 1);
    EXPECT_EQ(*co_await Blocking([] { return kNumber.Get(); }), 1);
    ThreadPoolExecutor pool(1);
    EXPECT_EQ(co_await pool.Run([] { return kNumber.Get(); }), 1);
    // Nobody awaits these.
    EXPECT_EQ(co_await pool.Submit([] { return kNumber.OrElse(-1); }).Get(), -1);
    EXPECT_EQ(*co_await Blocking([] { return Runtime::Current().TryRun(Number()); }), -1);
    EXPECT_EQ(kNumber.Get(), 1);
  });
}

// ---- Misuse.

template <class Make>
void Simulate(Make make) {
  testing::Simulation simulation;
  simulation.Run(make());
}

TEST(ScopedValueDeathTest, GetOfAnUnboundValue) {
  EXPECT_DEATH(Simulate([]() -> Task<void> {
                 kNumber.Get();
                 co_return;
               }),
               "ScopedValue::Get\\(\\) of a value that is not bound on VirtualThread\\[#1\\]");
  EXPECT_DEATH(kNumber.Get(), "not bound on this OS thread, which runs no virtual thread");
  EXPECT_DEATH(Simulate([]() -> Task<void> { (co_await Blocking([] { kNumber.Get(); })).IgnoreError(); }),
               "not bound on VirtualThread\\[#1\\]");
}

TEST(ScopedValueDeathTest, BindingOutsideAVirtualThread) {
  EXPECT_DEATH(ScopedBinding outside(kNumber, 1), "binding a ScopedValue outside a virtual thread");
  EXPECT_DEATH(Simulate([]() -> Task<void> {
                 (co_await Blocking([] { ScopedBinding inside(kNumber, 1); })).IgnoreError();
               }),
               "binding a ScopedValue outside a virtual thread");
}

TEST(ScopedValueDeathTest, BindingsThatEndInTheOrderOfBinding) {
  EXPECT_DEATH(
      Simulate([]() -> Task<void> {
        std::optional<ScopedBinding<int>> first, second;
        first.emplace(kNumber, 1);
        second.emplace(kNumber, 2);
        first.reset();
        co_return;
      }),
      "a ScopedBinding of VirtualThread\\[#1\\].* is ended while one that was made later is not; end them in the "
      "reverse order");
}

TEST(ScopedValueDeathTest, AScopeThatOutlivesTheBindingItWasOpenedUnder) {
  EXPECT_DEATH(
      Simulate([]() -> Task<void> {
        std::optional<ScopedBinding<int>> binding;
        binding.emplace(kNumber, 1);
        AwaitAll scope;
        binding.reset();
        co_return;
      }),
      "a ScopedBinding of VirtualThread\\[#1\\].* is ended while a scope that was opened under it is still open");
}

// The address of the first binding is used again by the second: the pointer alone would not tell.
TEST(ScopedValueDeathTest, ABindingAtTheSameAddressIsNotTakenForTheOldOne) {
  EXPECT_DEATH(Simulate([]() -> Task<void> {
                 std::optional<ScopedBinding<int>> binding;
                 binding.emplace(kNumber, 1);
                 AwaitAll scope;
                 binding.reset();
                 binding.emplace(kNumber, 2);
                 scope.Fork(Number());
                 (co_await scope.Join()).IgnoreFailures();
               }),
               "is ended while a scope that was opened under it is still open");
}

TEST(ScopedValueDeathTest, ABindingThatEndsOnAnotherThread) {
  EXPECT_DEATH(Simulate([]() -> Task<void> {
                 auto binding = std::make_shared<std::optional<ScopedBinding<int>>>();
                 binding->emplace(kNumber, 1);
                 AwaitAll scope;
                 scope.Fork(
                     [binding]() -> Task<void> {
                       binding->reset();
                       co_return;
                     },
                     {.name = "thief"});
                 (co_await scope.Join()).IgnoreFailures();
               }),
               "a ScopedBinding of VirtualThread\\[#1\\].* is ended by VirtualThread\\[#2,thief\\]");
}

}  // namespace
}  // namespace weft

// The order of closing. Goal: a scope that is closed, by Close() or by its destructor, while something is open that its
// owner has opened since, a scope or a scoped value's binding, is a CHECK that names both; a join, which ends nothing,
// may be called then, and what is open goes on; boundaries are no obstacle. Method: a table of each call with each
// thing that can be open inside, in simulations of one carrier (each death a program of one OS thread).
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <optional>
#include <ostream>
#include <source_location>
#include <stop_token>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "tests/support/on_both.h"
#include "weft/cancellation.h"
#include "weft/policy.h"
#include "weft/scope.h"
#include "weft/scoped_value.h"
#include "weft/stop_token.h"
#include "weft/subtask.h"
#include "weft/task.h"
#include "weft/testing/simulation.h"

namespace weft {
namespace {

// Runs make() on one carrier.
template <class Make>
void Simulate(Make make) {
  testing::Simulation simulation({.carriers = 1, .seed = 1});
  simulation.Run(make());
}

Task<int> Give() { co_return 1; }
Task<int> GiveNever() {
  co_await testing::Forever();
  co_return 1;
}

// The scope around, which is closed when a test likes.
struct Outer final : AsCompleted<int> {
  using AsCompleted<int>::AsCompleted;
};
using Kept = std::optional<Outer>;

// ---- What is called for it.

struct Call {
  const char* name;
  Task<void> (*make)(Kept& outer);
  friend std::ostream& operator<<(std::ostream& out, const Call& call) { return out << call.name; }
};

constexpr Call kEnds[] = {
    {"Close", [](Kept& outer) -> Task<void> { co_await outer->Close(); }},
    {"CloseWithAValue", [](Kept& outer) -> Task<void> { EXPECT_EQ(co_await outer->Close(1), 1); }},
    {"Destructor",
     [](Kept& outer) -> Task<void> {
       outer.reset();
       co_return;
     }},
};
constexpr Call kJoins[] = {
    {"Join", [](Kept& outer) -> Task<void> { EXPECT_TRUE((co_await outer->Join()).ok()); }},
    {"JoinFor",
     [](Kept& outer) -> Task<void> { EXPECT_TRUE((co_await outer->JoinFor(absl::InfiniteDuration())).has_value()); }},
    {"JoinUntil",
     [](Kept& outer) -> Task<void> { EXPECT_TRUE((co_await outer->JoinUntil(absl::InfiniteFuture())).has_value()); }},
    {"NextCompleted", [](Kept& outer) -> Task<void> { EXPECT_TRUE((co_await outer->NextCompleted()).has_value()); }},
    {"Shutdown",
     [](Kept& outer) -> Task<void> {
       outer->Shutdown();
       co_return;
     }},
};

// ---- What is open inside.

using Act = std::function<Task<void>()>;
struct Inside {
  const char* name;
  const char* described;  // a regular expression; null: no obstacle
  Task<void> (*open)(const Act& act);
  friend std::ostream& operator<<(std::ostream& out, const Inside& inside) { return out << inside.name; }
};

constexpr const char* kInnerScope = "the scope 'inner' opened at [^ ]*scope_order_test.cc:[0-9]+";
constexpr const char* kUnnamedScope = "the scope opened at [^ ]*scope_order_test.cc:[0-9]+";
constexpr const char* kBinding = "a ScopedBinding made at [^ ]*scope_order_test.cc:[0-9]+";

template <class Policy>
Policy MakePolicy() {
  if constexpr (std::is_default_constructible_v<Policy>) {
    return Policy();
  } else {
    return Policy([](const Subtask<int>&) { return false; });
  }
}

// Counts those that there are.
class Running {
 public:
  explicit Running(int& count) : count_(++count) {}
  Running(const Running&) = delete;
  Running& operator=(const Running&) = delete;
  ~Running() { --count_; }

 private:
  int& count_;
};

enum class Inner { kWithoutChildren, kWithAChild, kJoined, kShut };

// After the call: what is inside was left alone.
template <class Policy, Inner kState>
Task<void> OpenScope(const Act& act) {
  StructuredTaskScope<Policy> inner(MakePolicy<Policy>(), {.name = "inner"});
  int runs = 0;
  if (kState == Inner::kWithAChild) {
    inner.Fork([&runs]() -> Task<int> {
      const Running running(runs);
      co_return co_await GiveNever();
    });
    while (runs == 0) co_await Yield();
  }
  if (kState == Inner::kJoined) {
    inner.Fork(Give());
    (void)co_await inner.Join();
  }
  if (kState == Inner::kShut) inner.Shutdown();
  co_await act();
  EXPECT_EQ(runs, kState == Inner::kWithAChild ? 1 : 0);
  EXPECT_EQ(inner.IsShutdown(), kState == Inner::kShut ||
                                    (kState == Inner::kJoined && std::is_same_v<Policy, ShutdownOnSuccessPolicy<int>>));
  co_await inner.Close();
}

ScopedValue<int> kValue;
ScopedValue<int> kOther;

constexpr Inside kObstacles[] = {
    {"ShutdownOnFailure", kInnerScope, &OpenScope<ShutdownOnFailurePolicy, Inner::kWithAChild>},
    {"ShutdownOnFailureEmpty", kInnerScope, &OpenScope<ShutdownOnFailurePolicy, Inner::kWithoutChildren>},
    {"ShutdownOnSuccess", kInnerScope, &OpenScope<ShutdownOnSuccessPolicy<int>, Inner::kWithAChild>},
    {"ShutdownOnSuccessJoined", kInnerScope, &OpenScope<ShutdownOnSuccessPolicy<int>, Inner::kJoined>},
    {"AwaitAll", kInnerScope, &OpenScope<AwaitAllPolicy, Inner::kWithAChild>},
    {"AwaitAllEmpty", kInnerScope, &OpenScope<AwaitAllPolicy, Inner::kWithoutChildren>},
    {"AwaitAllJoined", kInnerScope, &OpenScope<AwaitAllPolicy, Inner::kJoined>},
    {"AwaitAllShut", kInnerScope, &OpenScope<AwaitAllPolicy, Inner::kShut>},
    {"AllSuccessful", kInnerScope, &OpenScope<AllSuccessfulPolicy<int>, Inner::kWithAChild>},
    {"AllUntil", kInnerScope, &OpenScope<AllUntilPolicy<int>, Inner::kWithAChild>},
    {"AsCompleted", kInnerScope, &OpenScope<AsCompletedPolicy<int>, Inner::kWithAChild>},
    {"Supervisor", kInnerScope, &OpenScope<SupervisorPolicy, Inner::kWithAChild>},
    {"ScopeWithoutName", kUnnamedScope,
     [](const Act& act) -> Task<void> {
       AwaitAll inner;
       co_await act();
     }},
    {"ScopeOnTheHeap", kInnerScope,
     [](const Act& act) -> Task<void> {
       struct Holder {
         AwaitAll scope{"inner"};
       };
       const auto inner = std::make_unique<Holder>();
       inner->scope.Fork(GiveNever());
       co_await act();
     }},
    {"ScopeUnderABoundary", kInnerScope,
     [](const Act& act) -> Task<void> {
       EXPECT_TRUE(
           (co_await WithTimeout(absl::InfiniteDuration(), OpenScope<AwaitAllPolicy, Inner::kWithAChild>(act))).ok());
     }},
    {"ScopeAroundABoundary", kInnerScope,
     [](const Act& act) -> Task<void> {
       AwaitAll inner("inner");
       EXPECT_TRUE((co_await WithTimeout(absl::InfiniteDuration(), act())).ok());
     }},
    {"Binding", kBinding,
     [](const Act& act) -> Task<void> {
       ScopedBinding binding(kValue, 1);
       co_await act();
     }},
    {"Where", kBinding, [](const Act& act) -> Task<void> { co_await Where(kValue, 1).Where(kOther, 2).Run(act()); }},
};

constexpr Inside kNoObstacles[] = {
    {"Nothing", nullptr, [](const Act& act) -> Task<void> { co_await act(); }},
    {"WithTimeout", nullptr,
     [](const Act& act) -> Task<void> { EXPECT_TRUE((co_await WithTimeout(absl::InfiniteDuration(), act())).ok()); }},
    {"CatchCancelled", nullptr,
     [](const Act& act) -> Task<void> { EXPECT_TRUE((co_await CatchCancelled(act())).ok()); }},
    {"Shield", nullptr, [](const Act& act) -> Task<void> { co_await Shield(act()); }},
    {"WithStopToken", nullptr,
     [](const Act& act) -> Task<void> {
       std::stop_source source;
       EXPECT_TRUE((co_await WithStopToken(source.get_token(), act())).ok());
     }},
};

// StopOnCancel, and a scope that is closed, lie there until their destructors, which are to come before the outer's.
constexpr Inside kNoObstaclesToClose[] = {
    {"StopOnCancel", nullptr,
     [](const Act& act) -> Task<void> {
       StopOnCancel inner;
       co_await act();
     }},
    {"AClosedScope", nullptr,
     [](const Act& act) -> Task<void> {
       AwaitAll inner("inner");
       inner.Fork(GiveNever());
       co_await inner.Close();
       co_await act();
     }},
};

Task<void> MakeInside(const Call& call, const Inside& inside, Task<int> child) {
  Kept outer(std::in_place, "outer");
  outer->Fork(std::move(child));
  const Act act = [&]() -> Task<void> { return call.make(outer); };
  co_await inside.open(act);
}

std::string NameOf(const ::testing::TestParamInfo<std::tuple<Call, Inside>>& info) {
  return absl::StrCat(std::get<0>(info.param).name, "With", std::get<1>(info.param).name);
}

class ScopeOrderDeathTest : public ::testing::TestWithParam<std::tuple<Call, Inside>> {};
INSTANTIATE_TEST_SUITE_P(EachEnd, ScopeOrderDeathTest,
                         ::testing::Combine(::testing::ValuesIn(kEnds), ::testing::ValuesIn(kObstacles)), NameOf);

TEST_P(ScopeOrderDeathTest, AScopeThatEndsBeforeWhatWasOpenedInsideNamesBoth) {
  const auto& [call, inside] = GetParam();
  EXPECT_DEATH(
      Simulate([&] { return MakeInside(call, inside, GiveNever()); }),
      absl::StrCat("the scope 'outer' opened at [^ ]*[:][0-9]+ by virtual thread #1 is closed( at [^ ]*[:][0-9]+)? "
                   "while something that was opened inside it is still open; close them in the reverse order: ",
                   inside.described));
}

class ScopeOrderTest : public ::testing::TestWithParam<std::tuple<Call, Inside>> {};
INSTANTIATE_TEST_SUITE_P(EachJoin, ScopeOrderTest,
                         ::testing::Combine(::testing::ValuesIn(kJoins), ::testing::ValuesIn(kObstacles)), NameOf);
INSTANTIATE_TEST_SUITE_P(EachJoinAtABoundary, ScopeOrderTest,
                         ::testing::Combine(::testing::ValuesIn(kJoins), ::testing::ValuesIn(kNoObstacles)), NameOf);
INSTANTIATE_TEST_SUITE_P(EachCloseAtABoundary, ScopeOrderTest,
                         ::testing::Combine(::testing::Values(kEnds[0], kEnds[1]),
                                            ::testing::ValuesIn(kNoObstacles)),
                         NameOf);
INSTANTIATE_TEST_SUITE_P(EachCloseBefore, ScopeOrderTest,
                         ::testing::Combine(::testing::Values(kEnds[0], kEnds[1]),
                                            ::testing::ValuesIn(kNoObstaclesToClose)),
                         NameOf);

TEST_P(ScopeOrderTest, WhatIsOpenInsideGoesOn) {
  const auto& [call, inside] = GetParam();
  Simulate([&] { return MakeInside(call, inside, Give()); });
}

// The boundary is opened outside of the scope, and goes on when that is closed.
TEST(ScopeOrderBoundaryTest, ABoundaryOutsideTheScopeIsNoObstacle) {
  for (const Call& call : kEnds) {
    Simulate([&]() -> Task<void> {
      const auto closes = [&call]() -> Task<void> {
        Kept outer(std::in_place, "outer");
        outer->Fork(GiveNever());
        co_await call.make(outer);
      };
      EXPECT_TRUE((co_await WithTimeout(absl::InfiniteDuration(), closes())).ok());
      EXPECT_TRUE((co_await CatchCancelled(closes())).ok());
      co_await Shield(closes());
      ScopedBinding binding(kValue, 1);
      AwaitAll around;
      co_await closes();
    });
  }
}

// Bindings that end out of order name both as well.
TEST(ScopeOrderBindingDeathTest, ABindingThatEndsBeforeWhatWasOpenedUnderIt) {
  EXPECT_DEATH(Simulate([]() -> Task<void> {
                 std::optional<ScopedBinding<int>> binding(std::in_place, kValue, 1, std::source_location::current());
                 AwaitAll inner("inner");
                 binding.reset();
                 co_return;
               }),
               absl::StrCat("ScopedBinding of VirtualThread\\[#1\\].* made at [^ ]*scope_order_test.cc:[0-9]+ is ended "
                            "while a scope that was opened under it is still open: ",
                            kInnerScope));
  EXPECT_DEATH(
      Simulate([]() -> Task<void> {
        std::optional<ScopedBinding<int>> binding(std::in_place, kValue, 1, std::source_location::current());
        ScopedBinding later(kOther, 1);
        binding.reset();
        co_return;
      }),
      "ScopedBinding of VirtualThread\\[#1\\].* made at [^ ]*scope_order_test.cc:[0-9]+ is ended while one that "
      "was made later is not; end them in the reverse order: [^ ]*scope_order_test.cc:[0-9]+");
}

}  // namespace
}  // namespace weft

// A second join, and a result that is taken twice. Goal: no join gives a value that was moved from, and says so by
// being ok(): it gives the value again, or what there is since the join before, or that the value was taken; and
// whoever looks for a value that was moved out meets a CHECK. Method: a table of every policy, each way to join before
// each way to join again, and results that can be copied, that cannot, and that only claim to; on both kinds of
// runtime.
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "tests/support/on_both.h"
#include "weft/policy.h"
#include "weft/scope.h"
#include "weft/subtask.h"
#include "weft/sync/event.h"
#include "weft/task.h"
#include "weft/testing/simulation.h"
#include "weft/time.h"

namespace weft {
namespace {

class JoinAgainTest : public testing::OnBoth {};
WEFT_ON_BOTH(JoinAgainTest);

// ---- Results.

std::vector<std::unique_ptr<int>> Owned(int value) {
  std::vector<std::unique_ptr<int>> owned;
  owned.push_back(std::make_unique<int>(value));
  return owned;
}

struct Number {
  using T = int;
  static constexpr bool kCopied = true;
  static T Make() { return 7; }
  static bool Is(const T& value) { return value == 7; }
};
struct Text {
  using T = std::string;
  static constexpr bool kCopied = true;
  static T Make() { return std::string(100, 'x'); }
  static bool Is(const T& value) { return value == Make(); }
};
struct Texts {
  using T = std::map<std::string, std::vector<std::string>>;
  static constexpr bool kCopied = true;
  static T Make() { return {{"a", {"b", "c"}}}; }
  static bool Is(const T& value) { return value == Make(); }
};
struct Shared {
  using T = std::shared_ptr<int>;
  static constexpr bool kCopied = true;
  static T Make() { return std::make_shared<int>(7); }
  static bool Is(const T& value) { return value != nullptr && *value == 7; }
};
// Its value_type is itself.
struct Nested : std::vector<Nested> {};
struct Tree {
  using T = Nested;
  static constexpr bool kCopied = true;
  static T Make() {
    T tree;
    tree.emplace_back();
    return tree;
  }
  static bool Is(const T& value) { return value.size() == 1; }
};
struct Referred {
  using T = int&;
  static constexpr bool kCopied = true;
  static inline int there = 7;
  static T Make() { return there; }
  static bool Is(const int& value) { return &value == &there; }
};
struct Unique {
  using T = std::unique_ptr<int>;
  static constexpr bool kCopied = false;
  static T Make() { return std::make_unique<int>(7); }
  static bool Is(const T& value) { return value != nullptr && *value == 7; }
};
// These claim to be copyable.
struct Uniques {
  using T = std::vector<std::unique_ptr<int>>;
  static constexpr bool kCopied = false;
  static T Make() { return Owned(7); }
  static bool Is(const T& value) { return value.size() == 1 && *value[0] == 7; }
};
struct Mapped {
  using T = std::map<int, std::unique_ptr<int>>;
  static constexpr bool kCopied = false;
  static T Make() {
    T map;
    map.emplace(1, std::make_unique<int>(7));
    return map;
  }
  static bool Is(const T& value) { return value.size() == 1 && *value.at(1) == 7; }
};
struct Perhaps {
  using T = std::optional<std::vector<std::unique_ptr<int>>>;
  static constexpr bool kCopied = false;
  static T Make() { return Owned(7); }
  static bool Is(const T& value) { return value.has_value() && Uniques::Is(*value); }
};
struct Paired {
  using T = std::tuple<int, std::pair<std::vector<std::unique_ptr<int>>, int>>;
  static constexpr bool kCopied = false;
  static T Make() { return T(1, std::make_pair(Owned(7), 2)); }
  static bool Is(const T& value) { return Uniques::Is(std::get<1>(value).first); }
};
struct Either {
  using T = std::variant<std::vector<std::unique_ptr<int>>, int>;
  static constexpr bool kCopied = false;
  static T Make() { return Owned(7); }
  static bool Is(const T& value) { return value.index() == 0 && Uniques::Is(std::get<0>(value)); }
};

template <class Kind>
Task<typename Kind::T> Give() {
  co_return Kind::Make();
}
Task<absl::Status> Fail() { co_return absl::AbortedError("x"); }

// ---- Ways to join.

enum class Way { kJoin, kJoinFor, kJoinUntil };
constexpr Way kWays[] = {Way::kJoin, Way::kJoinFor, Way::kJoinUntil};
constexpr std::pair<Way, Way> kTwoWays[] = {{Way::kJoin, Way::kJoin},
                                            {Way::kJoin, Way::kJoinFor},
                                            {Way::kJoinFor, Way::kJoin},
                                            {Way::kJoinUntil, Way::kJoinUntil}};

template <class Scope>
Task<typename Scope::Result> JoinBy(Scope& scope, Way way) {
  if (way == Way::kJoin) co_return co_await scope.Join();
  std::optional<typename Scope::Result> result;
  if (way == Way::kJoinFor) {
    result.emplace(*co_await scope.JoinFor(absl::InfiniteDuration()));
  } else {
    result.emplace(*co_await scope.JoinUntil(absl::InfiniteFuture()));
  }
  co_return *std::move(result);
}

// ---- What each policy gives, twice.

template <class Kind>
Task<void> SucceedsAgain(Way first_way, Way second_way) {
  ShutdownOnSuccess<typename Kind::T> scope;
  auto handle = scope.Fork(Give<Kind>());
  auto first = co_await JoinBy(scope, first_way);
  EXPECT_TRUE(first.ok());
  EXPECT_TRUE(Kind::Is(std::move(first).value()));
  for (int i = 0; i < 3; ++i) {
    auto again = co_await JoinBy(scope, second_way);
    EXPECT_EQ(again.ok(), Kind::kCopied);
    EXPECT_EQ(handle.taken(), !Kind::kCopied);
    if constexpr (Kind::kCopied) {
      EXPECT_TRUE(Kind::Is(std::move(again).value()));
      EXPECT_TRUE(Kind::Is(*handle));
    } else {
      EXPECT_EQ(again.status().code(), absl::StatusCode::kFailedPrecondition);
      EXPECT_NE(again.status().message().find("value was taken"), std::string::npos) << again.status();
      EXPECT_EQ(again.failures().size(), 1);
    }
  }
}

// Whoever has a handle may take the value before the join does.
template <class Kind>
Task<void> IsTakenByAHandle() {
  ShutdownOnSuccess<typename Kind::T> scope;
  AllSuccessful<typename Kind::T> all;
  auto handle = scope.Fork(Give<Kind>());
  auto one_of_all = all.Fork(Give<Kind>());
  AwaitAll others;
  others.Fork([&]() -> Task<void> {
    for (auto* each : {&handle, &one_of_all}) {
      while (each->state() != AnySubtask::State::kSuccess) co_await Yield();
      EXPECT_TRUE(Kind::Is(std::move(*each).get()));
      EXPECT_TRUE(each->taken());
    }
  });
  (co_await others.Join()).IgnoreFailures();
  co_await others.Close();
  const auto taken = co_await scope.Join();
  EXPECT_EQ(taken.status().code(), absl::StatusCode::kFailedPrecondition);
  const auto none = co_await all.Join();
  EXPECT_EQ(none.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_NE(none.status().message().find("value was taken"), std::string::npos) << none.status();
}

template <class Kind>
Task<void> AllSucceedAgain(Way first_way, Way second_way) {
  AllSuccessful<typename Kind::T> scope;
  scope.Fork(Give<Kind>());
  scope.Fork(Give<Kind>());
  const auto first = (co_await JoinBy(scope, first_way)).value();
  EXPECT_EQ(first.size(), 2);
  for (const auto& value : first) EXPECT_TRUE(Kind::Is(value));
  EXPECT_TRUE((co_await JoinBy(scope, second_way)).value().empty()) << "none were forked since the join before";
  scope.Fork(Give<Kind>());
  EXPECT_EQ((co_await JoinBy(scope, first_way)).value().size(), 1);
}

template <class Kind>
Task<void> AllAreGivenAgain(Way first_way, Way second_way) {
  using T = typename Kind::T;
  AllUntil<T> scope([](const Subtask<T>&) { return false; });
  scope.Fork(Give<Kind>());
  scope.Fork(Give<Kind>());
  const std::vector<Subtask<T>> first = co_await JoinBy(scope, first_way);
  EXPECT_EQ(first.size(), 2);
  for (int i = 0; i < 2; ++i) {
    for (const Subtask<T>& subtask : first) EXPECT_TRUE(Kind::Is(subtask.get())) << "to look takes nothing";
  }
  EXPECT_TRUE((co_await JoinBy(scope, second_way)).empty()) << "none were forked since the join before";
}

// Those that give an Outcome: the same again, and the results stay.
template <class Scope, class Kind>
Task<void> OutcomesStay(Way first_way, Way second_way) {
  Scope scope;
  auto handle = scope.Fork(Give<Kind>());
  EXPECT_TRUE((co_await JoinBy(scope, first_way)).ok());
  EXPECT_TRUE(Kind::Is(*handle));
  EXPECT_TRUE((co_await JoinBy(scope, second_way)).ok());
  EXPECT_TRUE(Kind::Is(*handle)) << "to look takes nothing";
}
template <class Scope>
Task<void> FailuresStay(Scope& scope, Way first_way, Way second_way) {
  const Outcome first = co_await JoinBy(scope, first_way);
  const Outcome second = co_await JoinBy(scope, second_way);
  EXPECT_EQ(first.status(), absl::AbortedError("x"));
  EXPECT_EQ(second.status(), first.status());
  EXPECT_EQ(second.failure_count(), first.failure_count());
  EXPECT_EQ(second.failures().size(), first.failures().size());
}
void Ignore(const AnySubtask&) {}

template <class Kind>
Task<void> EveryPolicy(Way first, Way second) {
  using T = typename Kind::T;
  co_await SucceedsAgain<Kind>(first, second);
  co_await AllSucceedAgain<Kind>(first, second);
  co_await AllAreGivenAgain<Kind>(first, second);
  co_await OutcomesStay<ShutdownOnFailure, Kind>(first, second);
  co_await OutcomesStay<AwaitAll, Kind>(first, second);
  co_await OutcomesStay<Supervisor, Kind>(first, second);
  co_await OutcomesStay<AsCompleted<T>, Kind>(first, second);
}

template <class... Kind>
Task<void> EveryPolicyOf() {
  for (const auto& [first, second] : kTwoWays) (co_await EveryPolicy<Kind>(first, second), ...);
}

TEST_P(JoinAgainTest, AResultThatCanBeCopiedIsGivenAgain) {
  Everywhere([]() -> Task<void> { co_await EveryPolicyOf<Number, Text, Texts, Shared, Tree, Referred>(); });
}

TEST_P(JoinAgainTest, OneThatCannotIsSaidToBeTaken) {
  Everywhere([]() -> Task<void> { co_await EveryPolicyOf<Unique, Uniques, Mapped, Perhaps, Paired, Either>(); });
}

TEST_P(JoinAgainTest, AValueThatAHandleHasTakenIsSaidToBeTaken) {
  Everywhere([]() -> Task<void> {
    co_await IsTakenByAHandle<Text>();
    co_await IsTakenByAHandle<Unique>();
    co_await IsTakenByAHandle<Uniques>();
  });
}

TEST_P(JoinAgainTest, AFailureIsGivenAgain) {
  Everywhere([]() -> Task<void> {
    for (const auto& [first, second] : kTwoWays) {
      ShutdownOnFailure cancels;
      cancels.Fork(Fail());
      co_await FailuresStay(cancels, first, second);
      AwaitAll awaits;
      awaits.Fork(Fail());
      awaits.Fork(Fail());
      co_await FailuresStay(awaits, first, second);
      Supervisor supervises(&Ignore);
      supervises.Fork(Fail());
      co_await FailuresStay(supervises, first, second);
      AsCompleted<void> completed;
      completed.Fork(Fail());
      co_await FailuresStay(completed, first, second);
    }
  });
}

// ---- Taken twice.

TEST_P(JoinAgainTest, WhatIsTriviallyCopiedOrReferredToStaysWhereItIs) {
  Everywhere([]() -> Task<void> {
    AwaitAll scope;
    auto number = scope.Fork(Give<Number>());
    auto referred = scope.Fork(Give<Referred>());
    (co_await scope.Join()).IgnoreFailures();
    for (int i = 0; i < 2; ++i) {
      EXPECT_EQ(std::move(number).get(), 7);
      EXPECT_EQ(std::move(referred).get(), 7);
      EXPECT_FALSE(number.taken());
      EXPECT_FALSE(referred.taken());
    }
  });
}

// Runs make() on one carrier.
template <class Make>
void Simulate(Make make) {
  testing::Simulation simulation({.carriers = 1, .seed = 1});
  simulation.Run(make());
}

constexpr const char* kTaken = "Subtask::get\\(\\) of a subtask whose value was taken: VirtualThread\\[#2,giver\\]";

template <class Kind, class Look>
void LookAfterItWasTaken(Look look) {
  EXPECT_DEATH(Simulate([look]() -> Task<void> {
                 AwaitAll scope;
                 auto handle = scope.Fork(Give<Kind>(), {.name = "giver"});
                 const auto other = handle;
                 (co_await scope.Join()).IgnoreFailures();
                 (void)std::move(handle).get();
                 EXPECT_TRUE(other.taken());
                 look(other);
               }),
               kTaken);
}

template <class Kind>
void EveryLookAfterItWasTaken() {
  LookAfterItWasTaken<Kind>([](const auto& subtask) { (void)subtask.get(); });
  LookAfterItWasTaken<Kind>([](const auto& subtask) { (void)*subtask; });
  LookAfterItWasTaken<Kind>([](const auto& subtask) { (void)subtask.operator->(); });
  LookAfterItWasTaken<Kind>([](auto subtask) { (void)std::move(subtask).get(); });
}

TEST(JoinAgainDeathTest, ALookAtAValueThatWasTaken) {
  EveryLookAfterItWasTaken<Text>();
  EveryLookAfterItWasTaken<Unique>();
  EveryLookAfterItWasTaken<Uniques>();
}

// What the join of a policy has given is not in the handles any more.
TEST(JoinAgainDeathTest, ALookAtAValueThatAJoinHasTaken) {
  EXPECT_DEATH(Simulate([]() -> Task<void> {
                 ShutdownOnSuccess<std::unique_ptr<int>> scope;
                 auto handle = scope.Fork(Give<Unique>(), {.name = "giver"});
                 (co_await scope.Join()).IgnoreFailures();
                 (void)*handle;
               }),
               kTaken);
  EXPECT_DEATH(Simulate([]() -> Task<void> {
                 AllSuccessful<std::string> scope;
                 auto handle = scope.Fork(Give<Text>(), {.name = "giver"});
                 (co_await scope.Join()).IgnoreFailures();
                 (void)*handle;
               }),
               kTaken);
}

// ---- After Close().

template <class Scope, class... Args>
void JoinAfterClose(Args... args) {
  for (const Way way : kWays) {
    EXPECT_DEATH(Simulate([&]() -> Task<void> {
                   Scope scope(args...);
                   auto handle = scope.Fork(Give<Unique>());
                   while (handle.state() != AnySubtask::State::kSuccess) co_await Yield();
                   co_await scope.Close();
                   EXPECT_EQ(*handle.get(), 7) << "what had completed is there";
                   (void)co_await JoinBy(scope, way);
                 }),
                 "of a scope that is closed, by VirtualThread\\[#1\\]");
  }
}

TEST(JoinAgainDeathTest, AJoinAfterClose) {
  using T = std::unique_ptr<int>;
  JoinAfterClose<ShutdownOnFailure>();
  JoinAfterClose<ShutdownOnSuccess<T>>();
  JoinAfterClose<AwaitAll>();
  JoinAfterClose<AllSuccessful<T>>();
  JoinAfterClose<AllUntil<T>>([](const Subtask<T>&) { return false; });
  JoinAfterClose<AsCompleted<T>>();
  JoinAfterClose<Supervisor>();
}

// ---- A thread of a scope inside forks into the one that is joined.

// The owner's turn is used up by `ready` waits: at one number of them it lets the other thread go first in the join.
template <class Policy, class Join>
Task<void> JoinAfter(int ready, StructuredTaskScope<Policy>& outer, Task<int> forked, Join join) {
  Event set;
  set.Set();
  Event go;
  AwaitAll inner;
  inner.Fork([&]() -> Task<void> {
    co_await go.Wait();
    outer.Fork(std::move(forked));
  });
  co_await Sleep(absl::Milliseconds(1));  // it waits now
  co_await Yield();
  go.Set();
  for (int i = 0; i < ready; ++i) co_await set.Wait();
  co_await join();
  (co_await inner.Join()).IgnoreFailures();
}

TEST(JoinForkedMeanwhileTest, AChildThatIsForkedWhileTheOwnerLetsOthersGoFirstIsWaitedForOrForTheNextJoin) {
  for (int ready = 50; ready < 70; ++ready) {
    testing::Simulation({.carriers = 1, .seed = 1}).Run([](int ready) -> Task<void> {
      AllSuccessful<int> outer;
      size_t values = 0;
      const auto join = [&]() -> Task<void> {
        auto joined = co_await outer.Join();
        EXPECT_TRUE(joined.ok()) << ready << " waits: " << joined.status();
        if (joined.ok()) values += std::move(joined).value().size();
      };
      const auto seven = []() -> Task<int> {
        co_await Yield();
        co_return 7;
      };
      co_await JoinAfter(ready, outer, seven(), join);
      co_await join();
      EXPECT_EQ(values, 1u) << ready << " waits";
    }(ready));
  }
}

TEST(JoinForkedMeanwhileTest, AJoinWithATimeLimitDoesNotWaitForAChildThatIsForkedAfterItsLook) {
  for (int ready = 50; ready < 70; ++ready) {
    testing::Simulation({.carriers = 1, .seed = 1}).Run([](int ready) -> Task<void> {
      StructuredTaskScope<AwaitAllPolicy> outer;
      const auto join = [&]() -> Task<void> {
        const MonotonicTime begin = MonotonicNow();
        static_cast<void>(co_await outer.JoinFor(absl::Milliseconds(10)));
        EXPECT_LE(MonotonicNow() - begin, absl::Milliseconds(11)) << ready << " waits";
      };
      const auto hour = []() -> Task<int> {
        co_await Sleep(absl::Hours(1));
        co_return 7;
      };
      co_await JoinAfter(ready, outer, hour(), join);
    }(ready));
  }
}

}  // namespace
}  // namespace weft

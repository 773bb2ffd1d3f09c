// Misuse of scopes. Goal: each violation of structure ends the process with a sentence that names both sides.
// Method: death tests; the statement is a whole simulation, so that the child process has one OS thread.
#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "tests/support/on_both.h"
#include "weft/all.h"
#include "weft/scope.h"
#include "weft/scoped_value.h"
#include "weft/sync/event.h"
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

// A scope that a test opens and closes when it likes.
struct MovableInTime final : AwaitAll {};

Task<int> Give(int value) { co_return value; }
Task<absl::Status> Fail() { co_return absl::InternalError("broken"); }

// Two siblings 'a' and 'b': a opens a scope, and b does act(scope) while a waits.
template <class Act>
Task<void> ByAStranger(Act act) {
  Event opened;
  AwaitAll* opened_scope = nullptr;
  AwaitAll siblings;
  siblings.Fork(
      [&]() -> Task<void> {
        AwaitAll scope;
        opened_scope = &scope;
        opened.Set();
        co_await testing::Forever();
      },
      {.name = "a"});
  siblings.Fork(
      [&]() -> Task<void> {
        co_await opened.Wait();
        co_await act(*opened_scope);
      },
      {.name = "b"});
  (co_await siblings.Join()).IgnoreFailures();
}

TEST(ScopeStructureDeathTest, ForkByAStrangerNamesBoth) {
  EXPECT_DEATH(Simulate([] {
                 return ByAStranger([](AwaitAll& scope) -> Task<void> {
                   scope.Fork(Give(1));
                   co_return;
                 });
               }),
               "Fork\\(\\) by VirtualThread\\[#3,b\\]/runnable@carrier-0; the scope is owned by "
               "VirtualThread\\[#2,a\\]/waiting, and the caller is not in the tree below it");
}

TEST(ScopeStructureDeathTest, ShutdownByAStrangerNamesBoth) {
  EXPECT_DEATH(Simulate([] {
                 return ByAStranger([](AwaitAll& scope) -> Task<void> {
                   scope.Shutdown();
                   co_return;
                 });
               }),
               "Shutdown\\(\\) by VirtualThread\\[#3,b\\].*; the scope is owned by VirtualThread\\[#2,a\\]");
}

TEST(ScopeStructureDeathTest, JoinByAStrangerNamesBoth) {
  EXPECT_DEATH(Simulate([] {
                 return ByAStranger([](AwaitAll& scope) -> Task<void> { (co_await scope.Join()).IgnoreFailures(); });
               }),
               "Join\\(\\) by VirtualThread\\[#3,b\\].*; the scope is owned by VirtualThread\\[#2,a\\]");
}

// What is passed to another thread is awaited by that one.
TEST(ScopeStructureDeathTest, NextCompletedByABranchNamesBoth) {
  EXPECT_DEATH(Simulate([]() -> Task<void> {
                 AsCompleted<int> scope;
                 scope.Fork(Give(1));
                 co_await All(scope.NextCompleted(), scope.NextCompleted());
               }),
               "NextCompleted\\(\\) by VirtualThread\\[#3\\].*; the scope is owned by VirtualThread\\[#1\\]");
}

TEST(ScopeStructureDeathTest, CloseByAStrangerNamesBoth) {
  EXPECT_DEATH(Simulate([] { return ByAStranger([](AwaitAll& scope) -> Task<void> { co_await scope.Close(); }); }),
               "Close\\(\\) by VirtualThread\\[#3,b\\].*; the scope is owned by VirtualThread\\[#2,a\\]");
}

TEST(ScopeStructureDeathTest, JoinByAChildNamesBoth) {
  EXPECT_DEATH(Simulate([]() -> Task<void> {
                 AwaitAll scope;
                 scope.Fork([&scope]() -> Task<void> { (co_await scope.Join()).IgnoreFailures(); }, {.name = "child"});
                 (co_await scope.Join()).IgnoreFailures();
               }),
               "Join\\(\\) by VirtualThread\\[#2,child\\].*; the scope is owned by VirtualThread\\[#1\\]");
}

// A thread of the outer scope may not fork into the inner one.
TEST(ScopeStructureDeathTest, AChildOfTheOuterScopeIsAStrangerToTheInner) {
  EXPECT_DEATH(Simulate([]() -> Task<void> {
                 AwaitAll outer;
                 AwaitAll inner;
                 outer.Fork(
                     [&inner]() -> Task<void> {
                       inner.Fork(Give(1));
                       co_return;
                     },
                     {.name = "outside"});
                 (co_await outer.Join()).IgnoreFailures();
               }),
               "Fork\\(\\) by VirtualThread\\[#2,outside\\].*; the scope is owned by VirtualThread\\[#1\\]");
}

TEST(ScopeStructureDeathTest, AScopeOutsideAVirtualThread) {
  EXPECT_DEATH(AwaitAll(),
               "opening a StructuredTaskScope outside a virtual thread; start one with weft::Run\\(task\\)");
}

ScopedValue<int> kValue;

TEST(ScopeStructureDeathTest, ForkUnderOtherBindingsThanTheScopes) {
  EXPECT_DEATH(
      Simulate([]() -> Task<void> {
        AwaitAll scope;
        ScopedBinding binding(kValue, 1);
        scope.Fork(Give(1));
        co_return;
      }),
      "Fork\\(\\) by VirtualThread\\[#1\\].* under other scoped-value bindings than those the scope was opened "
      "under by VirtualThread\\[#1\\]");
}

TEST(ScopeStructureDeathTest, ForkByAChildUnderABindingOfItsOwn) {
  EXPECT_DEATH(
      Simulate([]() -> Task<void> {
        AwaitAll scope;
        scope.Fork(
            [&scope]() -> Task<void> {
              ScopedBinding binding(kValue, 1);
              scope.Fork(Give(1));
              co_return;
            },
            {.name = "binder"});
        (co_await scope.Join()).IgnoreFailures();
      }),
      "Fork\\(\\) by VirtualThread\\[#2,binder\\].* under other scoped-value bindings .* by VirtualThread\\[#1\\]");
}

TEST(ScopeStructureDeathTest, TheOwnerReadsAResultBeforeJoin) {
  EXPECT_DEATH(Simulate([]() -> Task<void> {
                 AwaitAll scope;
                 auto child = scope.Fork(Give(1), {.name = "c"});
                 while (child.state() == Subtask<int>::State::kUnavailable) co_await Yield();
                 child.get();
               }),
               "Subtask::get\\(\\) by the owner VirtualThread\\[#1\\].* before Join\\(\\); the subtask is "
               "VirtualThread\\[#2,c\\]");
}

TEST(ScopeStructureDeathTest, AResultOfANewRoundIsReadBeforeItsJoin) {
  EXPECT_DEATH(Simulate([]() -> Task<void> {
                 AwaitAll scope;
                 auto first = scope.Fork(Give(1));
                 (co_await scope.Join()).IgnoreFailures();
                 first.get();
                 auto second = scope.Fork(Give(2), {.name = "second"});
                 first.get();
                 while (second.state() == Subtask<int>::State::kUnavailable) co_await Yield();
                 second.get();
               }),
               "Subtask::get\\(\\) by the owner .* before Join\\(\\); the subtask is VirtualThread\\[#3,second\\]");
}

TEST(ScopeStructureDeathTest, TheOwnerReadsAFailureBeforeJoin) {
  EXPECT_DEATH(Simulate([]() -> Task<void> {
                 AwaitAll scope;
                 auto child = scope.Fork(Fail());
                 while (child.state() == Subtask<void>::State::kUnavailable) co_await Yield();
                 (void)child.exception();
               }),
               "Subtask::exception\\(\\) by the owner .* before Join\\(\\)");
}

TEST(ScopeStructureDeathTest, GetOfAnUnavailableSubtask) {
  EXPECT_DEATH(
      Simulate([]() -> Task<void> {
        AwaitAll scope;
        auto child = scope.Fork(testing::Forever(), {.name = "lost"});
        scope.Shutdown();
        (co_await scope.Join()).IgnoreFailures();
        child.get();
      }),
      "Subtask::get\\(\\) of a subtask that is UNAVAILABLE \\(cancelled, not started, or not ended\\), not SUCCESS: "
      "VirtualThread\\[#2,lost\\]/terminated");
}

TEST(ScopeStructureDeathTest, GetOfAFailedSubtaskSaysHowItFailed) {
  EXPECT_DEATH(Simulate([]() -> Task<void> {
                 AwaitAll scope;
                 auto child = scope.Fork(Fail());
                 (co_await scope.Join()).IgnoreFailures();
                 child.get();
               }),
               "Subtask::get\\(\\) of a subtask that is FAILED, not SUCCESS: .*INTERNAL: broken");
}

TEST(ScopeStructureDeathTest, ExceptionOfASuccess) {
  EXPECT_DEATH(Simulate([]() -> Task<void> {
                 AwaitAll scope;
                 auto child = scope.Fork(Give(1));
                 (co_await scope.Join()).IgnoreFailures();
                 (void)child.exception();
               }),
               "Subtask::exception\\(\\) of a subtask that is SUCCESS, not FAILED");
}

TEST(ScopeStructureDeathTest, ForkIntoAClosedScope) {
  EXPECT_DEATH(Simulate([]() -> Task<void> {
                 AwaitAll scope;
                 co_await scope.Close();
                 scope.Fork(Give(1));
               }),
               "Fork\\(\\) by VirtualThread\\[#1\\].* into a scope that is closed");
}

TEST(ScopeStructureDeathTest, JoinOfAClosedScope) {
  EXPECT_DEATH(Simulate([]() -> Task<void> {
                 AwaitAll scope;
                 co_await scope.Close();
                 (co_await scope.Join()).IgnoreFailures();
               }),
               "Join\\(\\) of a scope that is closed, by VirtualThread\\[#1\\]");
}

TEST(ScopeStructureDeathTest, CloseOfAClosedScope) {
  EXPECT_DEATH(Simulate([]() -> Task<void> {
                 AwaitAll scope;
                 co_await scope.Close();
                 co_await scope.Close();
               }),
               "Close\\(\\) of a scope that is closed, by VirtualThread\\[#1\\]");
}

TEST(ScopeStructureDeathTest, ShutdownOfAClosedScope) {
  EXPECT_DEATH(Simulate([]() -> Task<void> {
                 AwaitAll scope;
                 co_await scope.Close();
                 scope.Shutdown();
               }),
               "Shutdown\\(\\) of a scope that is closed");
}

TEST(ScopeStructureDeathTest, ScopesClosedInTheOrderOfOpening) {
  EXPECT_DEATH(Simulate([]() -> Task<void> {
                 std::optional<MovableInTime> first(std::in_place);
                 std::optional<MovableInTime> second(std::in_place);
                 first.reset();
                 co_return;
               }),
               "virtual thread #1 is closed while something that was opened inside it is still open; close them in the "
               "reverse order");
}

TEST(ScopeStructureDeathTest, ATaskIsForkedTwice) {
  EXPECT_DEATH(Simulate([]() -> Task<void> {
                 AwaitAll scope;
                 Task<int> task = Give(1);
                 scope.Fork(std::move(task));
                 scope.Fork(std::move(task));
                 co_return;
               }),
               "Fork\\(\\) of a Task that was moved from or awaited before; a Task is awaited once");
}

// A regression: a handle that outlives its scope was taken for one of a later scope of another thread, opened at the
// same address with the same number, and reading it was called too early.
//   1. child: opens its first scope, forks and joins, and gives the handle away as its result
//   2. owner: awaits the child, and opens its own first scope where that of the child lay
//   3. owner: forks, and reads the child's handle before it joins
TEST(ScopeStructureTest, AHandleIsNotTakenForOneOfAnotherThreadsScopeAtTheSameAddress) {
  alignas(MovableInTime) static unsigned char memory[sizeof(MovableInTime)];
  Simulate([]() -> Task<void> {
    std::optional<Subtask<int>> handle;
    const auto open = [&handle](bool first) -> Task<void> {
      auto* scope = ::new (static_cast<void*>(memory)) MovableInTime();
      if (first) {
        handle.emplace(scope->Fork(Give(7)));
      } else {
        scope->Fork(Give(8));
        EXPECT_EQ(handle->get(), 7);
      }
      (co_await scope->Join()).IgnoreFailures();
      scope->~MovableInTime();
    };
    // Two siblings, one after the other, each of which opens the first scope of its life.
    AwaitAll siblings;
    siblings.Fork(open(true));
    (co_await siblings.Join()).IgnoreFailures();
    siblings.Fork(open(false));
    (co_await siblings.Join()).IgnoreFailures();
  });
}

// A regression: a thread of a nested scope was a stranger to the scope that its own owner had opened around it.
//   1. owner: opens `outer`, and then `inner`
//   2. child of `inner`: forks into `outer`
//   3. its own child, in a scope further in: forks into `outer` too
TEST(ScopeStructureTest, AThreadOfANestedScopeForksIntoTheOuterOne) {
  Simulate([]() -> Task<void> {
    std::optional<Subtask<int>> near;
    std::optional<Subtask<int>> far;
    AwaitAll outer;
    AwaitAll inner;
    inner.Fork([&]() -> Task<void> {
      near.emplace(outer.Fork(Give(1)));
      AwaitAll own;
      own.Fork([&]() -> Task<void> {
        far.emplace(outer.Fork(Give(2)));
        co_return;
      });
      (co_await own.Join()).IgnoreFailures();
    });
    (co_await inner.Join()).IgnoreFailures();
    (co_await outer.Join()).IgnoreFailures();
    EXPECT_EQ(near->get() + far->get(), 3);
  });
}

}  // namespace
}  // namespace weft

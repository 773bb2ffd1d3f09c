// VirtualThreadLocal and InheritableVirtualThreadLocal. Goal: their sentences, one test each. Method: the same bodies
// in simulations under many seeds and on real carriers.
#include "weft/virtual_thread_local.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "tests/support/counted.h"
#include "tests/support/on_both.h"
#include "weft/all.h"
#include "weft/finally.h"
#include "weft/for_each.h"
#include "weft/race.h"
#include "weft/runtime.h"
#include "weft/scope.h"
#include "weft/sync/event.h"
#include "weft/task.h"
#include "weft/testing/simulation.h"
#include "weft/thread_builder.h"
#include "weft/time.h"
#include "weft/virtual_thread.h"

namespace weft {
namespace {

using testing::Counted;
using testing::Forever;

absl::Status Lost() { return absl::NotFoundError("lost"); }

class ThreadLocalTest : public testing::OnBoth {};
WEFT_ON_BOTH(ThreadLocalTest);

TEST_P(ThreadLocalTest, EachThreadHasItsOwnValue) {
  static VirtualThreadLocal<int> counter("counter", [] { return 40; });
  static VirtualThreadLocal<std::string> text("text");
  Everywhere([]() -> Task<void> {
    EXPECT_EQ(text.Find(), nullptr);
    counter.Set(1);
    text.Set("root");
    AwaitAll scope;
    for (int i = 0; i < 3; ++i) {
      scope.Fork([i]() -> Task<void> {
        EXPECT_EQ(text.Find(), nullptr);
        counter.Get() += i;
        text.Get() += "child";
        co_await Yield();
        EXPECT_EQ(counter.Get(), 40 + i);
        EXPECT_EQ(text.Get(), "child");
        counter.Remove();
        EXPECT_EQ(counter.Find(), nullptr);
        EXPECT_EQ(counter.Get(), 40);
      });
    }
    (co_await scope.Join()).IgnoreFailures();
    const auto branch = []() -> Task<int> {
      co_await Yield();
      co_return ++counter.Get();
    };
    const auto [a, b] = co_await All(branch(), branch());
    EXPECT_EQ(a + b, 82);
    EXPECT_EQ(counter.Get(), 1);
    EXPECT_EQ(text.Get(), "root");
  });
}

TEST_P(ThreadLocalTest, ManyThreadLocalsOfOneThreadAreToldApart) {
  Everywhere([]() -> Task<void> {
    std::vector<std::unique_ptr<VirtualThreadLocal<int>>> variables;
    for (int i = 0; i < 20; ++i) variables.push_back(std::make_unique<VirtualThreadLocal<int>>(Literal("many")));
    for (int i = 0; i < 20; ++i) variables[static_cast<size_t>(i)]->Set(i);
    for (int i = 0; i < 20; i += 3) variables[static_cast<size_t>(i)]->Remove();
    for (int i = 0; i < 20; ++i) EXPECT_EQ(variables[static_cast<size_t>(i)]->Find() == nullptr, i % 3 == 0);
    for (int i = 0; i < 20; ++i) EXPECT_EQ(variables[static_cast<size_t>(i)]->Get(), i % 3 == 0 ? 0 : i);
    variables.clear();  // before the values
    co_return;
  });
}

TEST_P(ThreadLocalTest, ThreadLocalsAreDestroyedOnTheThreadThatEnds) {
  struct Witness {
    explicit Witness(int order = 0) : thread(VirtualThread::Current().id()), order(order) {}
    Witness(Witness&& other) noexcept : thread(std::exchange(other.thread, 0)), order(other.order) {}
    ~Witness() {
      if (thread == 0) return;
      EXPECT_EQ(VirtualThread::Current().id(), thread);
      ended().push_back(order);
      if (order == 2) again().Get();  // makes another value, which is destroyed as well
    }
    static std::vector<int>& ended() {
      static std::vector<int> orders;
      return orders;
    }
    static VirtualThreadLocal<Witness>& again() {
      static VirtualThreadLocal<Witness> variable("again", [] { return Witness(3); });
      return variable;
    }
    uint64_t thread;
    int order;
  };
  static VirtualThreadLocal<Witness> one("one", [] { return Witness(1); });
  static VirtualThreadLocal<Witness> two("two", [] { return Witness(2); });
  enum Way { kReturns, kFails, kIsCancelled };
  for (const Way way : {kReturns, kFails, kIsCancelled}) {
    const auto use = [way](Event& used) -> Task<absl::Status> {
      one.Get();
      two.Get();
      one.Get();  // the last made goes first, whichever was used last
      used.Set();
      if (way == kIsCancelled) co_await Forever();
      co_return way == kFails ? Lost() : absl::OkStatus();
    };
    const auto expect_ended = [](const char* whose) {
      EXPECT_EQ(Witness::ended(), (std::vector<int>{2, 3, 1})) << whose;
      Witness::ended().clear();
    };
    OnEveryRuntime([&](Runtime& runtime) {
      runtime.Run([&]() -> Task<void> {
        Event used;
        const VirtualThread thread = VirtualThread::Start([&] { return use(used); });
        co_await used.Wait();
        thread.RequestCancel();
        (co_await thread.Join()).IgnoreError();
        expect_ended("a thread outside of scopes");
        Event used_by_child;
        AwaitAll scope;
        scope.Fork([&] { return use(used_by_child); });
        co_await used_by_child.Wait();
        scope.Shutdown();
        (co_await scope.Join()).IgnoreFailures();
        expect_ended("a child");
        if (way == kIsCancelled) co_return;
        static_cast<void>(co_await All(use(used)));
        expect_ended("a branch of All");
      }());
      if (way == kIsCancelled) return;
      Event used;
      runtime.Run(use(used)).IgnoreError();
      expect_ended("a Run()");
    });
  }
}

TEST_P(ThreadLocalTest, AnInheritableValueIsCopiedToTheThreadsThatAThreadMakes) {
  static InheritableVirtualThreadLocal<std::string> inherited("inherited");
  static VirtualThreadLocal<std::string> own("own");
  Everywhere([]() -> Task<void> {
    inherited.Set("root");
    own.Set("root");
    VirtualThread::Builder builder;
    const VirtualThread unstarted = builder.Unstarted([]() -> Task<void> {
      EXPECT_EQ(inherited.Get(), "root");
      EXPECT_EQ(own.Find(), nullptr);
      inherited.Set("child");
      const VirtualThread grandchild = VirtualThread::Start([]() -> Task<void> {
        EXPECT_EQ(inherited.Get(), "child");
        co_return;
      });
      EXPECT_EQ(co_await grandchild.Join(), absl::OkStatus());
    });
    inherited.Set("changed");
    unstarted.Start();
    EXPECT_EQ(co_await unstarted.Join(), absl::OkStatus());
    EXPECT_EQ(inherited.Get(), "changed");
    const VirtualThread alone = builder.InheritThreadLocals(false).Start([]() -> Task<void> {
      EXPECT_EQ(inherited.Find(), nullptr);
      co_return;
    });
    EXPECT_EQ(co_await alone.Join(), absl::OkStatus());
  });
}

// The last that was made goes first, also of copies: a value may have been made of another one.
TEST_P(ThreadLocalTest, WhatIsInheritedIsDestroyedInTheSameOrder) {
  struct Says {
    explicit Says(int number) : number(number) {}
    Says(const Says&) = default;
    ~Says() { ended().push_back(number); }
    static std::vector<int>& ended() {
      static std::vector<int> numbers;
      return numbers;
    }
    int number;
  };
  static InheritableVirtualThreadLocal<Says> one("one", [] { return Says(1); });
  static InheritableVirtualThreadLocal<Says> two("two", [] { return Says(2); });
  static InheritableVirtualThreadLocal<Says> three("three", [] { return Says(3); });
  Everywhere([]() -> Task<void> {
    one.Get();
    two.Get();
    three.Get();
    two.Get();
    AwaitAll scope;
    scope.Fork([]() -> Task<void> {
      one.Get();
      Says::ended().clear();
      co_return;
    });
    (co_await scope.Join()).IgnoreFailures();
    EXPECT_EQ(Says::ended(), (std::vector<int>{3, 2, 1}));
    two.Remove();
    EXPECT_EQ(one.Find()->number + three.Find()->number, 4);
    EXPECT_EQ(two.Find(), nullptr);
  });
}

TEST_P(ThreadLocalTest, AnInitialValueReplacesWhatItsFunctionHasSet) {
  static VirtualThreadLocal<int> variable("variable", [] {
    variable.Set(1);
    return 2;
  });
  Everywhere([]() -> Task<void> {
    EXPECT_EQ(variable.Get(), 2);
    variable.Remove();
    EXPECT_EQ(variable.Find(), nullptr);
    co_return;
  });
}

// Race() and its like fork; only the branches of All() do not.
TEST_P(ThreadLocalTest, WhatForksForItsCallerInheritsToo) {
  static InheritableVirtualThreadLocal<int> inherited("inherited");
  Everywhere([]() -> Task<void> {
    inherited.Set(1);
    const auto read = []() -> Task<int> { co_return inherited.Get(); };
    EXPECT_EQ(co_await Race(read(), read()), 1);
    EXPECT_EQ(co_await Any(read(), read()), 1);
    const std::vector<int> two = {0, 0};
    EXPECT_EQ(co_await Map(two, 2, [&](int) { return read(); }), (std::vector<int>{1, 1}));
  });
}

// A child that has promised a clean-up is started although its scope is shut, and has what the clean-up may need.
TEST_P(ThreadLocalTest, AnOwedCleanUpInheritsToo) {
  static InheritableVirtualThreadLocal<int> inherited("inherited");
  Everywhere([]() -> Task<void> {
    inherited.Set(1);
    int seen = 0;
    AwaitAll scope;
    scope.Shutdown();
    scope.Fork(Finally(Forever(), [&seen]() -> Task<void> {
      seen = inherited.Get();
      co_return;
    }));
    (co_await scope.Join()).IgnoreFailures();
    EXPECT_EQ(seen, 1);
  });
}

// Like in the JDK, where a scope's threads inherit from the one that forks, when it forks.
TEST_P(ThreadLocalTest, WhatAThreadThatNeverRunsHasInheritedIsDestroyedByWhoeverHasForkedIt) {
  static InheritableVirtualThreadLocal<Counted> inherited("inherited", [] { return Counted(1); });
  Everywhere([]() -> Task<void> {
    inherited.Get();
    const int before = Counted::alive;
    AwaitAll scope;
    std::optional<Subtask<int>> never;
    struct ForksAtItsEnd {
      ~ForksAtItsEnd() {
        never.emplace(scope.Fork([]() -> Task<int> { co_return 1; }));
        alive = Counted::alive;
      }
      AwaitAll& scope;
      std::optional<Subtask<int>>& never;
      int& alive;
    };
    int alive = 0;
    EXPECT_FALSE(co_await MoveOnAfter(absl::Milliseconds(1), [&]() -> Task<void> {
      const ForksAtItsEnd forks{scope, never, alive};
      co_await Forever();
    }()));
    EXPECT_EQ(alive, before);
    EXPECT_EQ(never->state(), Subtask<int>::State::kUnavailable);
    (co_await scope.Join()).IgnoreFailures();
  });
}

TEST_P(ThreadLocalTest, AnInheritableValueIsCopiedToTheThreadsThatAThreadForks) {
  static InheritableVirtualThreadLocal<std::string> inherited("inherited");
  static VirtualThreadLocal<std::string> own("own");
  Everywhere([]() -> Task<void> {
    const int64_t before = Counted::alive.load();
    static InheritableVirtualThreadLocal<Counted> counted("counted");
    AwaitAll scope;
    scope.Fork([]() -> Task<void> {
      EXPECT_EQ(inherited.Find(), nullptr) << "a thread that was forked before there was a value";
      co_return;
    });
    inherited.Set("first");
    own.Set("own");
    counted.Get();
    Event changed;
    const auto child = [&changed](std::string expected) -> Task<void> {
      co_await changed.Wait();
      EXPECT_EQ(inherited.Get(), expected);
      EXPECT_EQ(own.Find(), nullptr);
      inherited.Set("child's");
      AwaitAll inner;
      for (int i = 0; i < 2; ++i) {
        inner.Fork([]() -> Task<void> {
          EXPECT_EQ(inherited.Get(), "child's");
          EXPECT_NE(counted.Find(), nullptr);
          co_return;
        }, {.name = "grandchild"});
      }
      (co_await inner.Join()).IgnoreFailures();
    };
    scope.Fork([&child] { return child("first"); });
    inherited.Set("second");
    scope.Fork([&child] { return child("second"); });
    inherited.Set("third");
    changed.Set();
    const auto branch = []() -> Task<void> {
      EXPECT_EQ(inherited.Find(), nullptr) << "branches begin without";
      co_return;
    };
    co_await All(branch(), branch());
    (co_await scope.Join()).IgnoreFailures();
    EXPECT_EQ(inherited.Get(), "third");

    // A shut scope starts nothing, and what was copied, if anything, is gone.
    scope.Shutdown();
    scope.Fork([&child] { return child("none"); });
    (co_await scope.Join()).IgnoreFailures();
    EXPECT_EQ(Counted::alive.load(), before + 1);
    counted.Remove();
  });
}

TEST(ThreadLocalTraceTest, EachFirstUseIsALineIfItIsAskedFor) {
  static VirtualThreadLocal<int> traced("traced");
  testing::Simulation simulation({.carriers = 1});
  const auto use = []() -> Task<void> {
    traced.Get() += 1;
    traced.Get() += 1;
    co_return;
  };
  ::testing::internal::CaptureStderr();
  simulation.Run(use());
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "");
  ASSERT_EQ(setenv("WEFT_TRACE_THREAD_LOCALS", "1", 1), 0);
  ::testing::internal::CaptureStderr();
  simulation.Run(use());
  const std::string said = ::testing::internal::GetCapturedStderr();
  ASSERT_EQ(unsetenv("WEFT_TRACE_THREAD_LOCALS"), 0);
  EXPECT_EQ(std::count(said.begin(), said.end(), '\n'), 1) << said;
  EXPECT_NE(said.find("weft: VirtualThread[#2] first uses the thread-local \"traced\" "
                      "(tests/unscoped/thread_local_test.cc:"),
            std::string::npos) << said;
  EXPECT_NE(said.find(") at tests/unscoped/thread_local_test.cc:"), std::string::npos) << said;
}

// ---- Misuse.

// Runs make() on one carrier of a simulation, so that the child process has one OS thread.
template <class Make>
void Simulate(Make make) {
  testing::Simulation simulation({.carriers = 1, .seed = 1});
  simulation.Run(make());
}

TEST(ThreadLocalDeathTest, AThreadThatMustNotUseThemIsNamedWithTheVariable) {
  static VirtualThreadLocal<int> forbidden("forbidden");
  EXPECT_DEATH(Simulate([]() -> Task<void> {
                 VirtualThread::Builder builder;
                 const VirtualThread thread = builder.Name("lean").AllowThreadLocals(false).Start([]() -> Task<void> {
                   EXPECT_EQ(forbidden.Find(), nullptr);
                   forbidden.Set(1);
                   co_return;
                 });
                 (co_await thread.Join()).IgnoreError();
               }),
               "VirtualThread\\[#2,lean\\]/runnable@carrier-0 uses the thread-local \"forbidden\" "
               "\\(.*thread_local_test.cc:.*\\) at .*thread_local_test.cc:.*, and was built with "
               "AllowThreadLocals\\(false\\)");
}

TEST(ThreadLocalDeathTest, OnlyVirtualThreadsHaveThem) {
  static VirtualThreadLocal<int> variable("variable");
  EXPECT_DEATH(variable.Get(), "VirtualThreadLocal::Get\\(\\) outside a virtual thread");
}

TEST(ThreadLocalDeathTest, WithoutAnInitialValueThereIsNone) {
  struct NoDefault {
    explicit NoDefault(int) {}
  };
  static VirtualThreadLocal<NoDefault> variable("bare");
  EXPECT_DEATH(Simulate([]() -> Task<void> {
                 variable.Get();
                 co_return;
               }),
               "VirtualThread\\[#1\\]/runnable@carrier-0 gets the thread-local \"bare\" .* which has no value and no "
               "initial one; Set\\(\\) it first");
}

}  // namespace
}  // namespace weft

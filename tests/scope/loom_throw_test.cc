// What the JDK throws, in programs that throw. Goal: where an exception is the JDK's way and ours as well, one test
// each, where scope_throw_test.cc and policy_throw_test.cc do not say it; docs/from-loom.md has the whole list. Method:
// the same bodies in simulations under many seeds and on real carriers.
#include <gtest/gtest.h>

#include <exception>
#include <stdexcept>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "tests/support/counted.h"
#include "tests/support/on_both.h"
#include "weft/policy.h"
#include "weft/scope.h"
#include "weft/scoped_value.h"
#include "weft/task.h"
#include "weft/time.h"
#include "weft/virtual_thread_local.h"

namespace weft {
namespace {

using testing::Counted;
using testing::Forever;
using testing::Introduction;
using State = AnySubtask::State;

ScopedValue<int> kNumber;

class LoomThrowTest : public testing::OnBoth {};
WEFT_ON_BOTH(LoomThrowTest);

Task<int> Give(int value) { co_return value; }
Task<int> Throw(std::string what) {
  co_await Yield();
  throw std::runtime_error(what);
}

// What `task` throws.
template <class T>
Task<std::string> Thrown(Task<T> task) {
  try {
    (void)co_await std::move(task);
  } catch (const std::exception& error) {
    co_return error.what();
  }
  co_return "nothing";
}

// ---- Outcomes.

TEST_P(LoomThrowTest, ThrowIfFailedThrowsNothingWhereNothingHasFailed) {
  Everywhere([]() -> Task<void> {
    ShutdownOnFailure scope;
    auto child = scope.Fork(Give(1));
    const Outcome outcome = co_await scope.Join();
    EXPECT_NO_THROW(outcome.ThrowIfFailed());
    EXPECT_EQ(outcome.exception(), nullptr);
    EXPECT_EQ(*child, 1);
  });
}

TEST_P(LoomThrowTest, AnotherThreadReadsTheExceptionAsSoonAsTheSubtaskHasFailed) {
  Everywhere([]() -> Task<void> {
    AwaitAll scope;
    auto failing = scope.Fork(Throw("it"));
    scope.Fork([&failing]() -> Task<void> {
      while (failing.state() == State::kUnavailable) co_await Yield();
      try {
        std::rethrow_exception(failing.exception());
      } catch (const std::runtime_error& error) {
        EXPECT_STREQ(error.what(), "it");
      }
    });
    EXPECT_EQ((co_await scope.Join()).failure_count(), 1u);
  });
}

// ---- Joiners.

class ThrowsItsFirstResult {
 public:
  Outcome Result(Outcome outcome) {
    if (!std::exchange(thrown_, true)) throw std::runtime_error("no result");
    return outcome;
  }

 private:
  bool thrown_ = false;
};

TEST_P(LoomThrowTest, WhatResultThrowsJoinThrowsAndTheRoundIsComplete) {
  Everywhere([]() -> Task<void> {
    StructuredTaskScope<ThrowsItsFirstResult> scope;
    auto child = scope.Fork(Give(1));
    std::string caught;
    try {
      (co_await scope.Join()).IgnoreFailures();
    } catch (const std::runtime_error& error) {
      caught = error.what();
    }
    EXPECT_EQ(caught, "no result");
    EXPECT_EQ(*child, 1);
    EXPECT_TRUE((co_await scope.Join()).ok());
  });
}

struct ThrowsOnTimeout {
  void OnTimeout() { throw std::runtime_error("late"); }
  Outcome Result(Outcome outcome) { return outcome; }
};

TEST_P(LoomThrowTest, WhatOnTimeoutThrowsJoinThrows) {
  Everywhere([]() -> Task<void> {
    Counted::alive = 0;
    StructuredTaskScope<ThrowsOnTimeout> scope(ThrowsOnTimeout(), {.timeout = absl::Milliseconds(1)});
    scope.Fork([held = Counted()]() -> Task<void> { co_await Forever(); });
    std::string caught;
    try {
      (co_await scope.Join()).IgnoreFailures();
    } catch (const std::runtime_error& error) {
      caught = error.what();
    }
    EXPECT_EQ(caught, "late");
    EXPECT_EQ(Counted::alive, 0);
  });
}

// ---- Scoped values.

TEST_P(LoomThrowTest, OrElseThrowThrowsWhatItIsGivenWhereNothingIsBound) {
  Everywhere([]() -> Task<void> {
    const auto missing = [] { return std::out_of_range("no number"); };
    std::string caught;
    try {
      kNumber.OrElseThrow(missing);
    } catch (const std::out_of_range& error) {
      caught = error.what();
    }
    EXPECT_EQ(caught, "no number");
    ScopedBinding binding(kNumber, 3);
    EXPECT_EQ(kNumber.OrElseThrow(missing), 3);
    co_return;
  });
}

TEST_P(LoomThrowTest, AnExceptionPassesOutOfAWhereUnchangedAndTheBindingsAreRestored) {
  Everywhere([]() -> Task<void> {
    ScopedBinding binding(kNumber, 1);
    EXPECT_EQ(co_await Thrown(Where(kNumber, 2).Run([]() -> Task<void> {
                co_await Yield();
                throw std::runtime_error(std::to_string(kNumber.Get()));
              }())),
              "2");
    EXPECT_EQ(kNumber.Get(), 1);
  });
}

TEST_P(LoomThrowTest, AnExceptionEndsTheScopesThatWereOpenedUnderABindingAndThenTheBinding) {
  Everywhere([]() -> Task<void> {
    Counted::alive = 0;
    ScopedBinding binding(kNumber, 1);
    EXPECT_EQ(co_await Thrown([]() -> Task<void> {
                ScopedBinding inner(kNumber, 2);
                AwaitAll scope;
                Introduction waiting;
                scope.Fork([&waiting, held = Counted()]() -> Task<void> { co_await Forever(waiting); });
                co_await waiting.AwaitParked();
                throw std::runtime_error("early");
              }()),
              "early");
    EXPECT_EQ(kNumber.Get(), 1);
    EXPECT_EQ(Counted::alive, 0);
  });
}

// What childValue() throws.
TEST_P(LoomThrowTest, AForkThatCannotCopyAnInheritableValueThrowsAndThereIsNoChild) {
  struct CopiedOnce {
    CopiedOnce() = default;
    CopiedOnce(const CopiedOnce& other) : copies(other.copies) {
      if (++copies > 1) throw std::runtime_error("copied twice");
    }
    CopiedOnce& operator=(const CopiedOnce&) = default;
    int copies = 0;
    Counted counted;
  };
  static InheritableVirtualThreadLocal<Counted> first("first");
  static InheritableVirtualThreadLocal<CopiedOnce> second("second");
  Everywhere([]() -> Task<void> {
    Counted::alive = 0;
    first.Get();
    second.Get();
    AwaitAll scope;
    scope.Fork([held = Counted()]() -> Task<void> {
      AwaitAll inner;
      EXPECT_EQ(co_await Thrown([](AwaitAll& forked) -> Task<void> {
                  forked.Fork([held = Counted()]() -> Task<void> {
                    ADD_FAILURE() << "it runs";
                    co_return;
                  });
                  co_return;
                }(inner)),
                "copied twice");
      EXPECT_TRUE((co_await inner.Join()).ok());
    });
    EXPECT_TRUE((co_await scope.Join()).ok());
    first.Remove();
    second.Remove();
    EXPECT_EQ(Counted::alive, 0);
  });
}

}  // namespace
}  // namespace weft

// Scopes in programs that throw. Goal: an exception is a failure like any other, leaves a scope in order, and is seen
// by nobody whom it does not concern. Method: as in scope_test.cc; exceptions in flight and caught, over children in
// every state.
#include <gtest/gtest.h>

#include <atomic>
#include <exception>
#include <memory>
#include <new>
#include <ranges>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "tests/support/counted.h"
#include "tests/support/on_both.h"
#include "weft/all.h"
#include "weft/cancellation.h"
#include "weft/outcome.h"
#include "weft/ready.h"
#include "weft/runtime.h"
#include "weft/scope.h"
#include "weft/stop_token.h"
#include "weft/sync/event.h"
#include "weft/task.h"
#include "weft/testing/simulation.h"
#include "weft/time.h"

namespace weft {
namespace {

using testing::Counted;
using testing::Forever;
using testing::Introduction;

class ScopeThrowTest : public testing::OnBoth {};
WEFT_ON_BOTH(ScopeThrowTest);

Task<int> Throw(std::string what) {
  co_await Yield();
  throw std::runtime_error(what);
}
Task<void> WaitFor(Event& event) { co_await event.Wait(); }

template <class F>
std::string WhatIsThrownBy(F f) {
  try {
    f();
  } catch (const std::exception& error) {
    return error.what();
  }
  return "nothing";
}

// ---- Failures.

TEST_P(ScopeThrowTest, AnExceptionFailsItsSubtaskAndDecides) {
  Everywhere([]() -> Task<void> {
    ShutdownOnFailure scope;
    Introduction waiting;
    auto waits = scope.Fork(Forever(waiting));
    co_await waiting.AwaitParked();
    auto failed = scope.Fork(Throw("own"));
    const Outcome outcome = co_await scope.Join();
    EXPECT_EQ(outcome.status(), absl::UnknownError("own"));
    EXPECT_NE(outcome.exception(), nullptr);
    EXPECT_EQ(WhatIsThrownBy([&] { outcome.ThrowIfFailed(); }), "own");
    EXPECT_THROW(outcome.ThrowIfFailed(), std::runtime_error) << "the child's own exception";
    EXPECT_EQ(failed.state(), Subtask<int>::State::kFailed);
    EXPECT_EQ(failed.status(), absl::UnknownError("own"));
    EXPECT_EQ(WhatIsThrownBy([&] { std::rethrow_exception(failed.exception()); }), "own");
    EXPECT_EQ(waits.state(), Subtask<void>::State::kUnavailable);
  });
}

TEST_P(ScopeThrowTest, BothStylesMeetInOneScope) {
  Everywhere([]() -> Task<void> {
    AwaitAll scope;
    Event first;
    scope.Fork([]() -> Task<absl::Status> { co_return absl::NotFoundError("status"); });
    scope.Fork([]() -> Task<absl::StatusOr<int>> {
      throw std::out_of_range("thrown");
      co_return 1;
    });
    const Outcome outcome = co_await scope.Join();
    EXPECT_EQ(outcome.failure_count(), 2u);
    int statuses = 0;
    int exceptions = 0;
    for (const Failure& failure : outcome.failures()) {
      statuses += failure.status == absl::NotFoundError("status") && failure.exception == nullptr;
      exceptions += failure.status == absl::OutOfRangeError("thrown") && failure.exception != nullptr;
    }
    EXPECT_EQ(statuses, 1);
    EXPECT_EQ(exceptions, 1);
  });
}

TEST_P(ScopeThrowTest, AStatusIsThrownAsAStatusError) {
  Everywhere([]() -> Task<void> {
    ShutdownOnFailure scope;
    scope.Fork([]() -> Task<absl::Status> { co_return absl::DataLossError("gone"); });
    const Outcome outcome = co_await scope.Join();
    EXPECT_EQ(outcome.exception(), nullptr);
    try {
      outcome.ThrowIfFailed();
      ADD_FAILURE();
    } catch (const StatusError& error) {
      EXPECT_EQ(error.status(), absl::DataLossError("gone"));
      EXPECT_STREQ(error.what(), "DATA_LOSS: gone");
    }
  });
}

TEST(OutcomeThrowTest, ExceptionsBecomeStatusesByTheTable) {
  const auto status_of = [](auto exception) { return ExceptionToStatus(std::make_exception_ptr(exception)); };
  EXPECT_EQ(ExceptionToStatus(nullptr), absl::OkStatus());
  EXPECT_EQ(status_of(std::bad_alloc()).code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(status_of(std::invalid_argument("a")), absl::InvalidArgumentError("a"));
  EXPECT_EQ(status_of(std::out_of_range("b")), absl::OutOfRangeError("b"));
  EXPECT_EQ(status_of(StatusError(absl::AbortedError("c"))), absl::AbortedError("c"));
  EXPECT_EQ(status_of(StatusError(absl::OkStatus())), absl::UnknownError("a StatusError of a status that is OK"));
  EXPECT_EQ(status_of(absl::BadStatusOrAccess(absl::AbortedError("c"))), absl::AbortedError("c"));
  EXPECT_EQ(status_of(std::logic_error("d")), absl::UnknownError("d"));
  EXPECT_EQ(status_of(7).code(), absl::StatusCode::kUnknown);
}

TEST_P(ScopeThrowTest, AValueOutcomeThrowsTheFirstFailure) {
  Everywhere([]() -> Task<void> {
    ShutdownOnSuccess<int> scope;
    scope.Fork(Throw("a"));
    EXPECT_EQ(WhatIsThrownBy([outcome = co_await scope.Join()]() mutable { (void)std::move(outcome).value(); }), "a");
    ShutdownOnSuccess<int> nothing;
    try {
      (void)(co_await nothing.Join()).value();
      ADD_FAILURE();
    } catch (const StatusError& error) {
      EXPECT_EQ(error.status().code(), absl::StatusCode::kNotFound);
    }
  });
}

TEST_P(ScopeThrowTest, AClosureThatThrowsBeforeItsTaskIsAFailedSubtask) {
  Everywhere([]() -> Task<void> {
    Counted::alive = 0;
    ShutdownOnFailure scope;
    auto child = scope.Fork([held = Counted()]() -> Task<int> {
      if (held.value() == 0) throw std::invalid_argument("no task");
      return Throw("never");
    });
    const absl::Status joined = co_await scope.Join();
    EXPECT_EQ(joined, absl::InvalidArgumentError("no task"));
    EXPECT_EQ(child.state(), Subtask<int>::State::kFailed);
    EXPECT_EQ(Counted::alive, 0);
  });
}

// A service whose closure throws when it is moved for the `left`-th time.
class ServiceThatThrowsWhenMoved {
 public:
  explicit ServiceThatThrowsWhenMoved(int& left) : left_(left) {}
  ServiceThatThrowsWhenMoved(ServiceThatThrowsWhenMoved&& other) : left_(other.left_) {
    if (--left_ == 0) throw std::runtime_error("moved");
  }
  Task<void> operator()(Ready ready) {
    ready.Set();
    co_return;
  }

 private:
  int& left_;
};

// A regression: from the closure into the child the move was noexcept, and ended the program.
TEST_P(ScopeThrowTest, AServiceThatCannotBeMovedIntoItsChildThrowsFromItsStart) {
  Everywhere([]() -> Task<void> {
    // How often it is moved, of which the last time is into the child, and the one before into the closure.
    constexpr int kNever = 1'000;
    int left = kNever;
    {
      AwaitAll scope;
      EXPECT_TRUE((co_await scope.Start(ServiceThatThrowsWhenMoved(left))).ok());
      EXPECT_TRUE((co_await scope.Join()).ok());
    }
    const int moves = kNever - left;
    for (int at : {moves - 1, moves}) {
      AwaitAll scope;
      left = at;
      bool thrown = false;
      try {
        static_cast<void>(co_await scope.Start(ServiceThatThrowsWhenMoved(left)));
      } catch (const std::runtime_error&) {
        thrown = true;
      }
      EXPECT_TRUE(thrown);
      EXPECT_TRUE((co_await scope.Join()).ok());
    }
  });
}

TEST_P(ScopeThrowTest, TheExceptionOfATaskIsRethrownWhereItIsAwaited) {
  Everywhere([]() -> Task<void> {
    Counted::alive = 0;
    std::string caught;
    try {
      Counted local;
      (void)co_await []() -> Task<int> {
        Counted inner;
        co_return co_await Throw("deep");
      }();
    } catch (const std::runtime_error& error) {
      caught = error.what();
    }
    EXPECT_EQ(caught, "deep");
    EXPECT_EQ(Counted::alive, 0);
  });
}

TEST_P(ScopeThrowTest, ExceptionsPassThroughBoundaries) {
  Everywhere([]() -> Task<void> {
    const auto caught = [](auto awaitable) -> Task<std::string> {
      try {
        (void)co_await awaitable();
      } catch (const std::runtime_error& error) {
        co_return error.what();
      }
      co_return "nothing";
    };
    EXPECT_EQ(co_await caught([] { return WithTimeout(absl::Hours(1), Throw("timeout")); }), "timeout");
    EXPECT_EQ(co_await caught([] { return CatchCancelled(Throw("catch")); }), "catch");
    EXPECT_EQ(co_await caught([] { return Shield(Throw("shield")); }), "shield");
  });
}

TEST_P(ScopeThrowTest, RunRethrowsTheTasksException) {
  OnEveryRuntime([](Runtime& runtime) {
    EXPECT_EQ(WhatIsThrownBy([&runtime] { runtime.Run(Throw("root")); }), "root");
    EXPECT_EQ(WhatIsThrownBy([&runtime] { (void)runtime.TryRun(Throw("root")); }), "root");
  });
}

// ---- All.

TEST_P(ScopeThrowTest, AllThrowsTheFirstExceptionAndCancelsTheOthers) {
  Everywhere([]() -> Task<void> {
    Counted::alive = 0;
    std::string caught;
    try {
      auto [a, b] = co_await All(Throw("left"), []() -> Task<int> {
        Counted local;
        co_await Forever();
        co_return 1;
      }());
      ADD_FAILURE() << a << b;
    } catch (const std::runtime_error& error) {
      caught = error.what();
    }
    EXPECT_EQ(caught, "left");
    EXPECT_EQ(Counted::alive, 0);
  });
}

TEST_P(ScopeThrowTest, AllOfStatusesThrowsAnExceptionAllTheSame) {
  Everywhere([]() -> Task<void> {
    std::string caught;
    try {
      (void)co_await All(Throw("thrown"), []() -> Task<absl::Status> {
        co_await Forever();
        co_return absl::OkStatus();
      }());
    } catch (const std::runtime_error& error) {
      caught = error.what();
    }
    EXPECT_EQ(caught, "thrown");
  });
}

TEST_P(ScopeThrowTest, AllOfARangeThrowsTheFirstExceptionAndCancelsTheOthers) {
  Everywhere([]() -> Task<void> {
    Counted::alive = 0;
    const auto wait = []() -> Task<absl::StatusOr<int>> {
      Counted local;
      co_await Forever();
      co_return 1;
    };
    const auto fail = []() -> Task<absl::StatusOr<int>> { co_return co_await Throw("the third"); };
    std::string caught;
    try {
      const auto all =
          co_await All(std::views::iota(0, 5) | std::views::transform([&](int i) { return i == 2 ? fail() : wait(); }));
      ADD_FAILURE() << all.status();
    } catch (const std::runtime_error& error) {
      caught = error.what();
    }
    EXPECT_EQ(caught, "the third");
    EXPECT_EQ(Counted::alive, 0);
  });
}

TEST_P(ScopeThrowTest, ARangeThatThrowsDoesSoInTheCallAndNoBranchRuns) {
  Everywhere([]() -> Task<void> {
    Counted::alive = 0;
    const auto branch = [](Counted) -> Task<void> {
      ADD_FAILURE();
      co_return;
    };
    const auto make = [&](int i) {
      if (i == 2) throw std::runtime_error("the third");
      return branch(Counted());
    };
    EXPECT_EQ(WhatIsThrownBy([&] { (void)All(std::views::iota(0, 5) | std::views::transform(make)); }), "the third");
    EXPECT_EQ(Counted::alive, 0);
    co_return;
  });
}

// ---- Leaving a scope by an exception.

TEST_P(ScopeThrowTest, AnExceptionEndsTheChildrenBeforeItIsCaught) {
  Everywhere([]() -> Task<void> {
    Counted::alive = 0;
    std::string caught;
    try {
      AwaitAll scope;
      Introduction waiting, joining;
      scope.Fork([&waiting, held = Counted()]() -> Task<void> { co_await Forever(waiting); });
      scope.Fork([&joining, held = Counted()]() -> Task<void> {
        AwaitAll inner;
        inner.Fork([held = Counted()]() -> Task<void> { co_await Sleep(absl::InfiniteDuration()); });
        joining.Make();
        (co_await inner.Join()).IgnoreFailures();
      });
      co_await waiting.AwaitParked();
      co_await joining.AwaitParked();
      throw std::runtime_error("early");
    } catch (const std::runtime_error& error) {
      caught = error.what();
      EXPECT_EQ(Counted::alive, 0);
    }
    EXPECT_EQ(caught, "early");
    co_await Yield();
  });
}

Task<void> ThrowNested(int depth, Event& started) {
  Counted local;
  AwaitAll scope;
  if (depth > 0) {
    scope.Fork(ThrowNested(depth - 1, started));
  } else {
    started.Set();
  }
  co_await Shield(WaitFor(started));
  throw std::runtime_error("all at once");
}

TEST_P(ScopeThrowTest, EveryLevelOfATreeThrowsAtOnce) {
  Everywhere([]() -> Task<void> {
    Counted::alive = 0;
    Event started;
    std::string caught;
    try {
      co_await ThrowNested(4, started);
    } catch (const std::runtime_error& error) {
      caught = error.what();
    }
    EXPECT_EQ(caught, "all at once");
    EXPECT_EQ(Counted::alive, 0);
  });
}

// What a destructor tells a failure from a success by.
struct SeesExceptions {
  explicit SeesExceptions(std::atomic<int>& sees) : seen(sees) {}
  ~SeesExceptions() { seen += std::uncaught_exceptions() - before + (std::current_exception() != nullptr); }
  std::atomic<int>& seen;
  const int before = std::uncaught_exceptions();
};

TEST_P(ScopeThrowTest, ChildrenThatRunInsideADestructorSeeNoneOfTheOwnersExceptions) {
  Everywhere([]() -> Task<void> {
    std::atomic<int> seen{0};
    const auto guarded = [](std::atomic<int>& sees, Introduction& here, int own) -> Task<void> {
      SeesExceptions before_parking(sees);
      here.Make();
      co_await Shield([](std::atomic<int>& inner_sees, int throws) -> Task<void> {
        SeesExceptions local(inner_sees);
        co_await Sleep(absl::Microseconds(300));
        inner_sees += std::uncaught_exceptions() + (std::current_exception() != nullptr);
        if (throws != 0) {
          try {
            throw throws;
          } catch (int caught) {  // exceptions of its own are as ever
            EXPECT_NE(std::current_exception(), nullptr);
            EXPECT_EQ(caught, throws);
          }
        }
        co_await Yield();
        inner_sees += std::uncaught_exceptions() + (std::current_exception() != nullptr);
      }(sees, own));
    };
    // In flight.
    try {
      AwaitAll scope;
      Introduction first, second;
      scope.Fork(guarded(seen, first, 0));
      scope.Fork(guarded(seen, second, 5));
      (void)co_await first.Await();
      (void)co_await second.Await();
      throw std::runtime_error("in flight");
    } catch (const std::runtime_error& error) {
      EXPECT_STREQ(error.what(), "in flight");
      EXPECT_EQ(std::uncaught_exceptions(), 0);
    }
    EXPECT_EQ(seen, 0);
    // Caught, and its handler still running.
    Introduction third;
    try {
      throw std::runtime_error("caught");
    } catch (const std::runtime_error& error) {
      AwaitAll scope;
      scope.Fork(guarded(seen, third, 6));
      EXPECT_NE(std::current_exception(), nullptr);
    }
    EXPECT_EQ(seen, 0);
    EXPECT_EQ(std::current_exception(), nullptr);
  });
}

// The same of the callbacks of a child's stop token, which run on the carrier of whoever waits for it.
TEST(ScopeThrowStopTest, StopCallbacksSeeNoneOfTheOwnersExceptions) {
  (*Runtime::Create({.parallelism = 1, .max_pool_size = 1}))->Run([]() -> Task<void> {
    int seen = -1;
    try {
      AwaitAll scope;
      scope.Fork([&seen]() -> Task<void> {
        StopOnCancel stop;
        const std::stop_callback callback(stop.token(), [&seen] { seen = std::uncaught_exceptions(); });
        co_await Forever();
      });
      co_await Yield();
      co_await Yield();
      throw std::runtime_error("the owner's");
    } catch (const std::runtime_error&) {
    }
    EXPECT_EQ(seen, 0);
  }());
}

TEST_P(ScopeThrowTest, TheOwnersHandlerIsIntactAfterADestructorThatRanThrowingChildren) {
  Everywhere([]() -> Task<void> {
    std::string rethrown;
    try {
      try {
        throw std::runtime_error("outer");
      } catch (...) {
        {
          AwaitAll scope;
          // Not cancelled before it starts, for it is shielded from within by nothing: it may or may not run.
          scope.Fork(Throw("inner"));
          scope.Fork([]() -> Task<void> {
            try {
              throw 1;
            } catch (int) {
              AwaitAll nested;
              nested.Fork(Forever());
            }
            co_return;
          });
        }
        throw;
      }
    } catch (const std::runtime_error& error) {
      rethrown = error.what();
    }
    EXPECT_EQ(rethrown, "outer");
    co_return;
  });
}

// ---- Cancellation is no exception.

TEST_P(ScopeThrowTest, NoCatchSeesACancellation) {
  Everywhere([]() -> Task<void> {
    std::atomic<int> caught{0};
    AwaitAll scope;
    Introduction waiting;
    scope.Fork([&]() -> Task<void> {
      try {
        try {
          co_await Forever(waiting);
        } catch (...) {
          ++caught;
        }
      } catch (...) {
        ++caught;
      }
      ++caught;
    });
    co_await waiting.AwaitParked();
    scope.Shutdown();
    EXPECT_TRUE((co_await scope.Join()).ok());
    EXPECT_EQ(caught, 0);
  });
}

TEST_P(ScopeThrowTest, AFailureByThrowingAfterTheShutdownIsKept) {
  Everywhere([]() -> Task<void> {
    ShutdownOnFailure scope;
    Introduction shielded;
    Event gate;
    scope.Fork([&]() -> Task<void> {
      shielded.Make();
      co_await Shield(WaitFor(gate));
      throw std::runtime_error("late");
    });
    co_await shielded.AwaitParked();
    scope.Fork(Throw("first"));
    while (!scope.IsShutdown()) co_await Yield();
    gate.Set();
    const Outcome outcome = co_await scope.Join();
    EXPECT_EQ(outcome.status().message(), "first");
    EXPECT_EQ(outcome.failure_count(), 2u);
    EXPECT_EQ(outcome.failures().back().status.message(), "late");
  });
}

Task<int> ThrowAt(int depth) {
  if (depth == 0) {
    co_await Yield();
    throw std::runtime_error("bottom");
  }
  co_return 1 + co_await ThrowAt(depth - 1);
}

TEST(DepthThrowTest, AnExceptionClimbsAHundredThousandAwaits) {
  testing::Simulation simulation;
  EXPECT_EQ(WhatIsThrownBy([&simulation] { simulation.Run(ThrowAt(100'000)); }), "bottom");
}

}  // namespace
}  // namespace weft

// Policies, races, services and clean-ups with exceptions. Goal: the sentences about throwing in policy.h, race.h,
// for_each.h and finally.h, one test each. Method: the same bodies in simulations under many seeds and on real
// carriers.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <exception>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "tests/support/counted.h"
#include "tests/support/on_both.h"
#include "weft/finally.h"
#include "weft/for_each.h"
#include "weft/policy.h"
#include "weft/race.h"
#include "weft/runtime.h"
#include "weft/scope.h"
#include "weft/testing/simulation.h"

namespace weft {
namespace {

using testing::Counted;
using testing::Forever;
using State = AnySubtask::State;

class PolicyThrowTest : public testing::OnBoth {};
WEFT_ON_BOTH(PolicyThrowTest);

Task<int> Give(int value) { co_return value; }
Task<int> Throw(const char* what) {
  co_await Yield();
  throw std::runtime_error(what);
}
Task<int> GiveNever() {
  const Counted held;
  co_await Forever();
  co_return -1;
}

// What `call` throws.
template <class T>
Task<std::string> Thrown(Task<T> call) {
  try {
    static_cast<void>(co_await std::move(call));
  } catch (const std::exception& error) {
    co_return error.what();
  }
  co_return "";
}

// Lets no more than two be forked.
class AtMostTwo {
 public:
  void OnFork(const AnySubtask&) {
    if (++forked_ > 2) throw std::runtime_error("enough");
  }
  Outcome Result(Outcome outcome) { return outcome; }

 private:
  int forked_ = 0;
};

TEST_P(PolicyThrowTest, WhenOnForkThrowsForkDoesAndNothingIsStarted) {
  Everywhere([]() -> Task<void> {
    Counted::alive = 0;
    std::atomic<int> begun = 0;
    StructuredTaskScope<AtMostTwo> scope;
    int refused = 0;
    for (int i = 0; i < 5; ++i) {
      try {
        scope.Fork([&begun, held = Counted()]() -> Task<void> {
          ++begun;
          co_return;
        });
      } catch (const std::runtime_error& error) {
        EXPECT_STREQ(error.what(), "enough");
        ++refused;
      }
    }
    EXPECT_TRUE((co_await scope.Join()).ok());
    EXPECT_EQ(refused, 3);
    EXPECT_EQ(begun, 2);
    EXPECT_EQ(Counted::alive, 0);
  });
}

class ThrowsOnComplete {
 public:
  bool OnComplete(const AnySubtask&) { throw std::runtime_error("oh"); }
  Outcome Result(Outcome outcome) { return outcome; }
};

TEST(PolicyReportTest, WhenOnCompleteThrowsThatIsReportedAndTheScopeGoesOn) {
  ::testing::internal::CaptureStderr();
  testing::Simulation simulation({.carriers = 1, .seed = 1});
  simulation.Run([]() -> Task<void> {
    StructuredTaskScope<ThrowsOnComplete> scope;
    auto one = scope.Fork(Give(1));
    EXPECT_TRUE((co_await scope.Join()).ok());
    EXPECT_EQ(*one, 1);
    EXPECT_FALSE(scope.IsShutdown());
  }());
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "weft: OnComplete() of a scope's policy threw: UNKNOWN: oh\n");
}

TEST(PolicyReportTest, TheHandlerOfTheRuntimeIsToldInstead) {
  std::vector<std::string> told;
  {
    const auto runtime = Runtime::Create({.parallelism = 1,
                                          .on_uncaught_failure =
                                              [&told](std::string_view what, const absl::Status& status,
                                                      const std::exception_ptr& exception) {
                                                told.push_back(absl::StrCat(std::string(what), ": ", status.ToString(),
                                                                            exception != nullptr ? ", thrown" : ""));
                                              }})
                             .value();
    runtime->Run([]() -> Task<void> {
      StructuredTaskScope<ThrowsOnComplete> throws;
      throws.Fork(Give(1));
      EXPECT_TRUE((co_await throws.Join()).ok());
      Supervisor supervisor;
      supervisor.Fork([]() -> Task<absl::Status> { co_return absl::NotFoundError("a mirror"); });
      supervisor.Fork(Throw("it"));
      (co_await supervisor.Join()).IgnoreFailures();
    }());
  }
  std::sort(told.begin(), told.end());
  EXPECT_EQ(told, (std::vector<std::string>{"OnComplete() of a scope's policy threw: UNKNOWN: oh, thrown",
                                            "a subtask of a Supervisor failed: NOT_FOUND: a mirror",
                                            "a subtask of a Supervisor failed: UNKNOWN: it, thrown"}));
}

TEST_P(PolicyThrowTest, ASubtaskThatThrewIsGivenAsCompleted) {
  Everywhere([]() -> Task<void> {
    AsCompleted<int> scope;
    scope.Fork(Throw("it"));
    const std::optional<Subtask<int>> next = co_await scope.NextCompleted();
    EXPECT_EQ(next->state(), State::kFailed);
    EXPECT_NE(next->exception(), nullptr);
    EXPECT_EQ((co_await scope.Join()).status().message(), "it");
  });
}

TEST_P(PolicyThrowTest, ARaceThrowsWhatTheFirstToEndThrew) {
  Everywhere([]() -> Task<void> {
    Counted::alive = 0;
    EXPECT_EQ(co_await Thrown(Race(GiveNever(), Throw("it"))), "it");
    EXPECT_EQ(co_await Any(Throw("a"), Give(2)), 2);
    EXPECT_EQ(co_await Thrown(Any(Throw("a"), Throw("a"))), "a");
    EXPECT_EQ(co_await Thrown(Any(std::vector<Task<int>>())), absl::NotFoundError("no task completed").ToString());
    EXPECT_EQ(Counted::alive, 0);
  });
}

TEST_P(PolicyThrowTest, ForEachAndMapThrowWhatTheFirstElementThrew) {
  Everywhere([]() -> Task<void> {
    const std::vector<int> numbers = {0, 1, 2, 3};
    EXPECT_EQ(co_await Thrown(Map(numbers, 4, [](int number) { return number == 2 ? Throw("two") : GiveNever(); })),
              "two");
    EXPECT_EQ(co_await Thrown(ForEach(numbers, 2,
                                      [](int number) -> Task<absl::Status> {
                                        if (number == 1) throw std::runtime_error("one");
                                        co_return absl::OkStatus();
                                      })),
              "one");
  });
}

TEST_P(PolicyThrowTest, FinallyCleansUpAndThrowsOn) {
  Everywhere([]() -> Task<void> {
    bool cleaned = false;
    const auto clean = [&cleaned]() -> Task<void> {
      co_await Yield();
      cleaned = true;
    };
    EXPECT_EQ(co_await Thrown(Finally(Throw("it"), clean)), "it");
    EXPECT_TRUE(cleaned);
    EXPECT_EQ(co_await Thrown(Finally(Throw("it"),
                                      []() -> Task<void> {
                                        co_await Yield();
                                        throw std::runtime_error("worse");
                                      })),
              "worse");
  });
}

TEST_P(PolicyThrowTest, AServiceWhoseClosureThrowsHasNotStarted) {
  Everywhere([]() -> Task<void> {
    ShutdownOnFailure scope;
    const auto failed =
        co_await scope.Start([](Ready) -> Task<void> { throw std::runtime_error("no port"); });
    EXPECT_EQ(failed.status().code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_EQ((co_await scope.Join()).status().message(), "no port");
  });
}

}  // namespace
}  // namespace weft

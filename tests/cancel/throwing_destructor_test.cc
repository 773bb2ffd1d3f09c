// Destructors that throw while an unwinding destroys the frames that they lie in. Goal: a sentence, wherever the object
// lies, and nothing else. Method: each place in a frame, under each end of an unwinding.
#include <gtest/gtest.h>

#include <memory>
#include <stdexcept>
#include <string>
#include <utility>

#include "absl/time/time.h"
#include "weft/cancellation.h"
#include "weft/scope.h"
#include "weft/task.h"
#include "weft/testing/simulation.h"
#include "weft/time.h"

namespace weft {
namespace {

struct Throws {
  explicit Throws(bool armed = true) : throws(armed) {}
  Throws(Throws&& other) noexcept : throws(std::exchange(other.throws, false)) {}
  ~Throws() noexcept(false) {
    if (throws) throw std::runtime_error("as planned");
  }
  int value() const { return 1; }
  bool throws;
};

Task<void> Forever() { co_await Sleep(absl::Hours(1)); }
Task<void> InALocal() {
  const Throws local;
  co_await Forever();
}
Task<void> InTheLeaf() {
  const Throws local;
  co_await Sleep(absl::Hours(1));
}
Task<int> AwaitAndGive(int value) {
  co_await Forever();
  co_return value;
}
Task<void> InATemporary() { static_cast<void>(Throws().value() + co_await AwaitAndGive(1)); }
Task<void> InATryBlock() {
  try {
    const Throws local;
    co_await Forever();
  } catch (const std::exception&) {
  }
}
Task<void> BeforeAWait() {
  try {
    const Throws local;
    co_await Forever();
  } catch (const std::exception&) {
  }
  co_await Forever();
}
Task<void> UnderAScope() {
  AwaitAll scope;
  scope.Fork(Forever());
  const Throws local;
  co_await Forever();
}

struct Place {
  const char* name;
  Task<void> (*make)();
};
constexpr Place kPlaces[] = {{"a local", InALocal},
                             {"a local of the leaf", InTheLeaf},
                             {"a temporary", InATemporary},
                             {"a local in a try block", InATryBlock},
                             {"a local in a try block, before a wait", BeforeAWait},
                             {"a local after a scope", UnderAScope}};

Task<void> TimedOut(Task<void> task) {
  static_cast<void>(co_await MoveOnAfter(absl::Milliseconds(1), std::move(task)));
}
Task<void> ShutDown(Task<void> task) {
  AwaitAll scope;
  scope.Fork(std::move(task));
  co_await Sleep(absl::Milliseconds(1));
  co_await scope.Close();
}

TEST(ThrowingDestructorDeathTest, OneThatAnUnwindingRunsIsACheckThatSaysSo) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  for (const Place& place : kPlaces) {
    for (Task<void> (*end)(Task<void>) : {TimedOut, ShutDown}) {
      SCOPED_TRACE(place.name);
      EXPECT_DEATH(
          {
            testing::Simulation simulation({.seed = 1});
            simulation.runtime().Run(end(place.make()));
          },
          "a destructor .*VirtualThread.* has thrown while the thread was cancelled and unwound: "
          "(as planned|a handler in the same coroutine has caught it)");
    }
  }
}

// A regression: the first value was never destroyed.
TEST(ThrowingDestructorTest, AValueThatASecondCoReturnReplacesIsDestroyed) {
  testing::Simulation().Run([]() -> Task<void> {
    const auto second = []() -> Task<std::shared_ptr<int>> {
      std::weak_ptr<int> first;
      try {
        const Throws local;
        auto value = std::make_shared<int>(1);
        first = value;
        co_return value;
      } catch (const std::runtime_error&) {
      }
      auto value = std::make_shared<int>(2);
      EXPECT_EQ(first.use_count(), 1) << "held as the result";
      co_return value;
    };
    const std::shared_ptr<int> value = co_await second();
    EXPECT_EQ(*value, 2);
    EXPECT_EQ(value.use_count(), 1);
  }());
}

}  // namespace
}  // namespace weft

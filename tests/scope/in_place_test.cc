// Children that run in their owner's place. Goal: what a scope and an All promise holds whether a child was begun on
// the spot, stolen, parked on the way or broken off, in any mixture; and whoever else waits for the carrier gets its
// turn. Method: trees of calls whose leaves do something different each time, cancelled at any moment; and long trees
// beside a thread that waits.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdint>
#include <numeric>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "tests/support/counted.h"
#include "tests/support/on_both.h"
#include "weft/all.h"
#include "weft/cancellation.h"
#include "weft/scope.h"
#include "weft/sync/event.h"
#include "weft/task.h"
#include "weft/time.h"
#include "weft/virtual_thread.h"

namespace weft {
namespace {

using testing::Counted;
using testing::Forever;
using testing::Introduction;

class InPlaceTest : public testing::OnBoth {};
WEFT_ON_BOTH(InPlaceTest);

// A number that looks random and is not.
uint64_t Mix(uint64_t x) {
  x = (x ^ (x >> 31)) * 0x9e3779b97f4a7c15u;
  return (x ^ (x >> 27)) * 0x94d049bb133111ebu >> 33;
}

// What a leaf does before it gives its number.
Task<void> Pause(uint64_t which) {
  switch (Mix(which) % 8) {
    case 0:
      co_await Yield();
      break;
    case 1:
      co_await Sleep(absl::Microseconds(Mix(which) % 50));
      break;
    case 2: {
      Event set;
      set.Set();
      co_await set.Wait();
      break;
    }
    default:
      break;
  }
}

// The sum of `leaves` numbers from `first`, by every way to fork.
Task<int64_t> Sum(int64_t first, int64_t leaves) {
  Counted local;
  if (leaves == 1) {
    co_await Pause(first);
    co_return first;
  }
  const int64_t half = leaves / 2;
  switch (Mix(first + leaves) % 4) {
    case 0: {
      auto [a, b] = co_await All(Sum(first, half), Sum(first + half, leaves - half));
      co_return a + b;
    }
    case 1: {
      std::vector<Task<int64_t>> parts;
      parts.push_back(Sum(first, half));
      parts.push_back(Sum(first + half, leaves - half));
      const std::vector<int64_t> sums = co_await All(std::move(parts));
      co_return std::accumulate(sums.begin(), sums.end(), int64_t{0});
    }
    case 2: {
      ShutdownOnFailure scope;
      auto a = scope.Fork(Sum(first, half));
      auto b = scope.Fork([first, half, leaves] { return Sum(first + half, leaves - half); });
      (co_await scope.Join()).IgnoreFailures();
      co_return *a + *b;
    }
    default: {
      AwaitAll scope;
      auto a = scope.Fork(Sum(first, half));
      const int64_t b = co_await Sum(first + half, leaves - half);
      (co_await scope.Join()).IgnoreFailures();
      co_return *a + b;
    }
  }
}

TEST_P(InPlaceTest, EveryLeafIsCountedOnce) {
  Everywhere([]() -> Task<void> {
    Counted::alive = 0;
    EXPECT_EQ(co_await Sum(0, 200), 199 * 200 / 2);
    EXPECT_EQ(Counted::alive, 0);
  });
}

TEST_P(InPlaceTest, ATreeThatIsCancelledAnywhereLeavesNothing) {
  Everywhere([]() -> Task<void> {
    for (int i = 0; i < 6; ++i) {
      Counted::alive = 0;
      const absl::StatusOr<int64_t> sum = co_await WithTimeout(absl::Microseconds(20 * i * i), Sum(1000 * i, 200));
      EXPECT_EQ(Counted::alive, 0);
      if (sum.ok()) {
        EXPECT_EQ(*sum, 200'000 * i + 199 * 200 / 2);
      } else {
        EXPECT_EQ(ReasonOf(sum.status()).kind, CancelReason::Kind::kTimeout);
      }
    }
  });
}

TEST_P(InPlaceTest, AFailureInATreeEndsItsSiblings) {
  Everywhere([]() -> Task<void> {
    Counted::alive = 0;
    const auto fails = []() -> Task<absl::StatusOr<int64_t>> {
      co_await Yield();
      co_return absl::NotFoundError("leaf");
    };
    const auto sums = [](int64_t first) -> Task<absl::StatusOr<int64_t>> {
      co_await Sleep(absl::Microseconds(10));
      co_return co_await Sum(first, 50);
    };
    const auto all = co_await All(sums(0), fails(), sums(100), sums(200));
    EXPECT_EQ(all.status(), absl::NotFoundError("leaf"));
    EXPECT_EQ(Counted::alive, 0);
  });
}

TEST_P(InPlaceTest, AllOfAVectorGivesTheResultsInOrder) {
  Everywhere([]() -> Task<void> {
    std::vector<Task<std::string>> words;
    for (int i = 0; i < 100; ++i) {
      words.push_back([](int number) -> Task<std::string> {
        co_await Pause(number);
        co_return std::to_string(number);
      }(i));
    }
    const std::vector<std::string> all = co_await All(std::move(words));
    EXPECT_EQ(all.size(), 100u);
    for (size_t i = 0; i < all.size(); ++i) EXPECT_EQ(all[i], std::to_string(i));
    EXPECT_TRUE((co_await All(std::vector<Task<int>>())).empty());
  });
}

TEST_P(InPlaceTest, AllOfAVectorFailsAsItsFirstFailure) {
  Everywhere([]() -> Task<void> {
    std::vector<Task<absl::Status>> statuses;
    for (int i = 0; i < 10; ++i) {
      statuses.push_back([](int number) -> Task<absl::Status> {
        if (number != 3) co_await Forever();
        co_return absl::AbortedError("three");
      }(i));
    }
    const absl::Status all = co_await All(std::move(statuses));
    EXPECT_EQ(all, absl::AbortedError("three"));
    std::vector<Task<absl::StatusOr<int>>> values;
    for (int i = 0; i < 3; ++i) values.push_back([](int number) -> Task<absl::StatusOr<int>> { co_return number; }(i));
    const absl::StatusOr<std::vector<int>> found = co_await All(std::move(values));
    EXPECT_TRUE(found.ok());
    EXPECT_EQ(*found, (std::vector<int>{0, 1, 2}));
    std::vector<Task<void>> nothing;
    nothing.push_back([]() -> Task<void> { co_return; }());
    co_await All(std::move(nothing));
  });
}

TEST_P(InPlaceTest, AllIsTakenWhereATaskIsExpected) {
  Everywhere([]() -> Task<void> {
    const auto one = []() -> Task<int> { co_return 1; };
    AwaitAll scope;
    auto forked = scope.Fork(All(one(), one()));
    const auto in_time = co_await WithTimeout(absl::Hours(1), All(one(), one()));
    const auto shielded = co_await Shield(All(one()));
    const auto caught = co_await CatchCancelled(All(one()));
    (co_await scope.Join()).IgnoreFailures();
    EXPECT_EQ(*forked, std::make_tuple(1, 1));
    EXPECT_EQ(*in_time, std::make_tuple(1, 1));
    EXPECT_EQ(shielded, std::make_tuple(1));
    EXPECT_EQ(*caught, std::make_tuple(1));
  });
}

TEST_P(InPlaceTest, ABranchHasAnIdentityThatOutlivesIt) {
  Everywhere([]() -> Task<void> {
    std::optional<VirtualThread> first, second;
    const auto introduce = [](std::optional<VirtualThread>& who) -> Task<void> {
      who.emplace(VirtualThread::Current());
      EXPECT_EQ(who->state(), VirtualThread::State::kRunnable);
      co_await Yield();
      EXPECT_EQ(*who, VirtualThread::Current());
    };
    co_await All(introduce(first), introduce(second));
    EXPECT_NE(first->id(), second->id());
    EXPECT_NE(*first, VirtualThread::Current());
    EXPECT_EQ(first->state(), VirtualThread::State::kTerminated);
    EXPECT_EQ(second->carrier(), -1);
  });
}

TEST_P(InPlaceTest, WhoWaitsForABranchIsWaiting) {
  Everywhere([]() -> Task<void> {
    Introduction joining;
    AwaitAll scope;
    scope.Fork([&joining]() -> Task<void> {
      joining.Make();
      co_await All(Forever(), Forever());
    });
    const VirtualThread thread = co_await joining.Await();
    co_await testing::UntilParked(thread);
    EXPECT_EQ(thread.state(), VirtualThread::State::kWaiting);
    co_await scope.Close();
    EXPECT_EQ(thread.state(), VirtualThread::State::kTerminated);
  });
}

TEST_P(InPlaceTest, AJoinOfAnOuterScopeEndsWithItsTimeoutAndTheChildrenGoOn) {
  Everywhere([]() -> Task<void> {
    Event go;
    std::atomic<bool> done{false};
    AwaitAll scope;
    scope.Fork([](Event& event, std::atomic<bool>& flag) -> Task<void> {
      co_await event.Wait();
      flag = true;
    }(go, done));
    const absl::Status late = co_await WithTimeout(
        absl::Milliseconds(1), [](AwaitAll& outer) -> Task<void> { (co_await outer.Join()).IgnoreFailures(); }(scope));
    EXPECT_EQ(late.code(), absl::StatusCode::kDeadlineExceeded);
    EXPECT_FALSE(done);
    EXPECT_FALSE(scope.IsShutdown());
    go.Set();
    (co_await scope.Join()).IgnoreFailures();
    EXPECT_TRUE(done);
  });
}

TEST_P(InPlaceTest, AChildThatComputesIsAskedAtItsNextCheckpoint) {
  Everywhere([]() -> Task<void> {
    Counted::alive = 0;
    std::atomic<bool> shut{false};
    ShutdownOnFailure scope;
    auto computing = scope.Fork([&shut, held = Counted()]() -> Task<int> {
      // Nothing up to here has told the scope of this child.
      while (!shut && carriers() > 1 && !simulated()) {
      }
      Event set;
      set.Set();
      co_await set.Wait();
      co_return 1;
    });
    scope.Shutdown();
    shut = true;
    (co_await scope.Join()).IgnoreFailures();
    EXPECT_EQ(computing.state(), Subtask<int>::State::kUnavailable);
    EXPECT_EQ(Counted::alive, 0);
  });
}

Task<int64_t> Fib(int n) {
  if (n < 2) co_return n;
  auto [a, b] = co_await All(Fib(n - 1), Fib(n - 2));
  co_return a + b;
}

// On one carrier nobody else could wake it, or run it.
TEST(InPlaceFairnessTest, WhoeverWaitsGetsATurnInTheMiddleOfALongTree) {
  const std::unique_ptr<Runtime> runtime =
      *Runtime::Create({.parallelism = 1, .held_carrier_threshold = absl::ZeroDuration()});
  runtime->Run([]() -> Task<void> {
    bool slept = false;
    bool ran = false;
    std::atomic<bool> over{false};
    AwaitAll scope;
    scope.Fork([&]() -> Task<void> {
      co_await Sleep(absl::Milliseconds(1));
      EXPECT_FALSE(over);
      slept = true;
    });
    scope.Fork([&]() -> Task<void> {
      while (!slept || !ran) EXPECT_GT(co_await Fib(15), 0);
      over = true;
    });
    scope.Fork([&]() -> Task<void> {
      ran = true;
      co_return;
    });
    (co_await scope.Join()).IgnoreFailures();
    EXPECT_TRUE(over);
  }());
}

// A single branch is begun before it lies in the deque, and must not be taken for what lies there.
TEST(InPlaceFairnessTest, WhoeverWaitsGetsATurnBesideALoopOfAllsOfOne) {
  const std::unique_ptr<Runtime> runtime =
      *Runtime::Create({.parallelism = 1, .held_carrier_threshold = absl::ZeroDuration()});
  runtime->Run([]() -> Task<void> {
    bool ran = false;
    AwaitAll scope;
    scope.Fork([&ran]() -> Task<void> {
      const auto nothing = []() -> Task<void> { co_return; };
      while (!ran) co_await All(nothing());
    });
    scope.Fork([&ran]() -> Task<void> {
      co_await Yield();
      ran = true;
    });
    (co_await scope.Join()).IgnoreFailures();
  }());
}

}  // namespace
}  // namespace weft

// Very many virtual threads. Goal: a million parked at once under one scope, cancelled and joined, with exact sums and
// a clean census; the usual tortures of fork and join. Method: the numbers of an optimised build; a tenth of them
// otherwise.
//
// WEFT_STRESS_THREADS overrides the number of threads.
#include <gtest/gtest.h>
#include <stdlib.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "weft/all.h"
#include "weft/runtime.h"
#include "weft/scope.h"
#include "weft/sync/event.h"
#include "weft/task.h"
#include "weft/time.h"

namespace weft {
namespace {

int ThreadCount() {
  if (const char* text = getenv("WEFT_STRESS_THREADS")) return atoi(text);
#ifdef NDEBUG
  return 1'000'000;
#else
  return 100'000;
#endif
}

class StressTest : public ::testing::TestWithParam<int> {
 protected:
  StressTest() : runtime_(*Runtime::Create({.parallelism = GetParam()})) {}
  Runtime& runtime() { return *runtime_; }

 private:
  std::unique_ptr<Runtime> runtime_;
};
INSTANTIATE_TEST_SUITE_P(Carriers, StressTest, ::testing::Values(1, 2, 4), ::testing::PrintToStringParamName());

struct Sums {
  std::atomic<int64_t> entered{0};
  std::atomic<int64_t> left{0};
  std::atomic<int64_t> returned{0};
};

Task<void> ParkIn(Event& event, Sums& sums, int64_t value) {
  struct Left {
    Sums& sums;
    int64_t value;
    ~Left() { sums.left += value; }
  } left{sums, value};
  sums.entered += value;
  co_await event.Wait();
  sums.returned += value;
}

TEST_P(StressTest, AMillionParkedThreadsAreCancelledAndJoined) {
  const int count = ThreadCount();
  Sums sums;
  runtime().Run([](int threads, Sums& all, Runtime& mine) -> Task<void> {
    Event never;
    AwaitAll scope;
    for (int i = 1; i <= threads; ++i) scope.Fork(ParkIn(never, all, i));
    const int64_t expected = int64_t{threads} * (threads + 1) / 2;
    while (all.entered != expected) co_await Yield();
    EXPECT_EQ(mine.Stats().threads_alive, threads + 1);
    EXPECT_EQ(all.left, 0);
    scope.Shutdown();
    EXPECT_TRUE((co_await scope.Join()).ok());
    EXPECT_EQ(all.left, expected);
    EXPECT_EQ(all.returned, 0);
  }(count, sums, runtime()));
}

TEST_P(StressTest, AMillionParkedThreadsAreWokenAndJoined) {
  const int count = ThreadCount();
  Sums sums;
  runtime().Run([](int threads, Sums& all) -> Task<void> {
    Event event;
    AwaitAll scope;
    for (int i = 1; i <= threads; ++i) scope.Fork(ParkIn(event, all, i));
    const int64_t expected = int64_t{threads} * (threads + 1) / 2;
    while (all.entered != expected) co_await Yield();
    event.Set();
    EXPECT_TRUE((co_await scope.Join()).ok());
    EXPECT_EQ(all.returned, expected);
    EXPECT_EQ(all.left, expected);
  }(count, sums));
}

// Each is either woken or cancelled.
TEST_P(StressTest, WakeUpsRaceWithACancellationOfAll) {
  const int count = ThreadCount() / 4;
  Sums sums;
  runtime().Run([](int threads, Sums& all) -> Task<void> {
    Event event;
    AwaitAll setters;
    AwaitAll scope;
    for (int i = 1; i <= threads; ++i) scope.Fork(ParkIn(event, all, 1));
    while (all.entered != threads) co_await Yield();
    setters.Fork([&event]() -> Task<void> {
      event.Set();
      co_return;
    });
    scope.Shutdown();
    EXPECT_TRUE((co_await scope.Join()).ok());
    (co_await setters.Join()).IgnoreFailures();
    EXPECT_EQ(all.left, threads);
    EXPECT_LE(all.returned, threads);
  }(count, sums));
}

Task<int64_t> Skynet(int64_t number, int64_t size) {
  if (size == 1) co_return number;
  AwaitAll scope;
  std::vector<Subtask<int64_t>> children;
  children.reserve(10);
  for (int i = 0; i < 10; ++i) children.push_back(scope.Fork(Skynet(number + i * (size / 10), size / 10)));
  (co_await scope.Join()).IgnoreFailures();
  int64_t sum = 0;
  for (const Subtask<int64_t>& child : children) sum += *child;
  co_return sum;
}

TEST_P(StressTest, Skynet) {
  const int64_t leaves = ThreadCount() >= 1'000'000 ? 1'000'000 : 100'000;
  EXPECT_EQ(runtime().Run(Skynet(0, leaves)), leaves * (leaves - 1) / 2);
}

Task<int> Fib(int n) {
  if (n < 2) co_return n;
  auto [a, b] = co_await All(Fib(n - 1), Fib(n - 2));
  co_return a + b;
}

TEST_P(StressTest, Fib) { EXPECT_EQ(runtime().Run(Fib(20)), 6765); }

TEST_P(StressTest, PingPong) {
  const int rounds = ThreadCount() / 10;
  const int64_t sum = runtime().Run([](int count) -> Task<int64_t> {
    int64_t plain = 0;
    Event a, b;
    AwaitAll scope;
    scope.Fork([&]() -> Task<void> {
      for (int i = 0; i < count; ++i) {
        co_await a.Wait();
        a.Reset();
        ++plain;
        b.Set();
      }
    });
    scope.Fork([&]() -> Task<void> {
      for (int i = 0; i < count; ++i) {
        a.Set();
        co_await b.Wait();
        b.Reset();
        ++plain;
      }
    });
    (co_await scope.Join()).IgnoreFailures();
    co_return plain;
  }(rounds));
  EXPECT_EQ(sum, 2 * int64_t{rounds});
}

TEST_P(StressTest, AMillionChildrenThatDoNothing) {
  const int count = ThreadCount();
  runtime().Run([](int children) -> Task<void> {
    std::atomic<int> ended{0};
    AwaitAll scope;
    for (int i = 0; i < children; ++i) {
      scope.Fork([&ended]() -> Task<void> {
        ++ended;
        co_return;
      });
    }
    (co_await scope.Join()).IgnoreFailures();
    EXPECT_EQ(ended, children);
  }(count));
}

}  // namespace
}  // namespace weft

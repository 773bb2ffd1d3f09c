// Exceptions in futures. Goal: what a task throws is thrown to everybody who gets its future, and nothing that user
// code throws is lost or hurts anybody else. Method: as in future_test.cc.
#include <gtest/gtest.h>

#include <atomic>
#include <exception>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "tests/support/on_both.h"
#include "weft/executor/future.h"
#include "weft/executor/promise.h"
#include "weft/executor/when.h"
#include "weft/outcome.h"
#include "weft/task.h"

namespace weft {
namespace {

class FutureThrowTest : public testing::OnBoth {};
WEFT_ON_BOTH(FutureThrowTest);

template <class T>
Task<std::string> WhatItThrows(Future<T> future) {
  try {
    static_cast<void>(co_await future.Get());
  } catch (const std::exception& thrown) {
    co_return thrown.what();
  }
  co_return "nothing";
}

TEST_P(FutureThrowTest, GetThrowsWhatThePromiseWasGivenAndTryGetMakesAStatusOfIt) {
  Everywhere([]() -> Task<void> {
    Promise<int> promise;
    promise.SetException(std::make_exception_ptr(std::out_of_range("too far")));
    const Future<int> future = promise.future();
    EXPECT_EQ(co_await WhatItThrows(future), "too far");
    EXPECT_EQ(co_await WhatItThrows(future), "too far");
    EXPECT_EQ((co_await future.TryGet()).status().code(), absl::StatusCode::kOutOfRange);

    Promise<int> status;
    status.SetStatus(absl::DataLossError("gone"));
    bool thrown = false;
    try {
      co_await status.future().Get();
    } catch (const StatusError& error) {
      thrown = error.status() == absl::DataLossError("gone");
    }
    EXPECT_TRUE(thrown);
  });
}

TEST_P(FutureThrowTest, AnExceptionKeepsItsTypeOnItsWay) {
  // Several futures share it. The test lets go of it last: its count is in the compiler's library, so ThreadSanitizer
  // does not see that who reads it here comes before who destroys it there.
  const std::exception_ptr planned = std::make_exception_ptr(std::logic_error("as planned"));
  Everywhere([&planned]() -> Task<void> {
    Promise<int> promise;
    Future<int> other = Promise<int>().future();
    Future<int> passed = promise.future().Then([](int value) { return value; }).WithTimeout(absl::Hours(1));
    Future<int> combined = promise.future().Combine(other, [](int a, int b) { return a + b; });
    Future<std::vector<int>> all = WhenAll(std::vector{promise.future()});
    promise.SetException(planned);
    EXPECT_EQ(co_await WhatItThrows(passed), "as planned");
    EXPECT_EQ(co_await WhatItThrows(combined), "as planned");
    EXPECT_EQ(co_await WhatItThrows(all), "as planned");
    EXPECT_EQ(co_await passed.Recover([](absl::Status) { return 1; }).Get(), 1);
  });
}

// The work's thread may have the last reference to a future, at any time. To ThreadSanitizer it would be a race if it
// destroyed the exception, too.
TEST(FutureThrowThreadsTest, AnExceptionThatWasCaughtIsNotDestroyedByWhoeverStillKeepsTheFuture) {
  Promise<int> promise;
  Future<int> future = promise.future();
  promise.SetException(std::make_exception_ptr(std::logic_error("as planned")));
  {
    const Promise<int> gone = std::move(promise);
  }
  internal::FutureBase& state = internal::FutureAccess::State(future);
  state.Keep();
  std::atomic<bool> caught{false};  // relaxed: it must order nothing
  std::thread keeper([&] {
    while (!caught.load(std::memory_order_relaxed)) std::this_thread::yield();
    state.LetGo();
  });
  std::string thrown;
  try {
    const Future<int> last = std::move(future);
    last.GetBlocking();
  } catch (const std::logic_error& error) {
    thrown = error.what();
  }
  caught.store(true, std::memory_order_relaxed);
  keeper.join();
  EXPECT_EQ(thrown, "as planned");
}

TEST_P(FutureThrowTest, AFunctionThatThrowsFailsItsFutureAndNoOther) {
  Everywhere([]() -> Task<void> {
    Promise<int> promise;
    const Future<int> future = promise.future();
    Future<int> throws = future.Then([](int) -> int { throw std::logic_error("by the function"); });
    Future<int> in_task = future.Then([](int) -> Task<int> {
      throw std::logic_error("by the task");
      co_return 1;
    });
    Future<int> recovers = throws.Recover([](absl::Status) -> int { throw std::logic_error("again"); });
    Future<int> good = future.Then([](int value) { return value; });
    promise.SetValue(1);
    EXPECT_EQ(co_await WhatItThrows(throws), "by the function");
    EXPECT_EQ(co_await WhatItThrows(in_task), "by the task");
    EXPECT_EQ(co_await WhatItThrows(recovers), "again");
    EXPECT_EQ(co_await good.Get(), 1);
  });
}

struct ThrowsWhenMade {
  explicit ThrowsWhenMade(int value) {
    if (value > 0) throw std::logic_error("not made");
  }
};

TEST_P(FutureThrowTest, AValueThatCannotBeMadeIsTheOutcome) {
  Everywhere([]() -> Task<void> {
    Promise<ThrowsWhenMade> promise;
    EXPECT_TRUE(promise.SetValue(1));
    EXPECT_EQ(co_await WhatItThrows(promise.future()), "not made");
  });
}

}  // namespace
}  // namespace weft

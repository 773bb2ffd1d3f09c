// Exceptions of submitted tasks. Goal: what a task throws is thrown to whoever gets its future, of whatever kind the
// task is. Method: as in executor_test.cc.
#include <gtest/gtest.h>

#include <exception>
#include <future>
#include <new>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "tests/support/allocator.h"
#include "tests/support/on_both.h"
#include "weft/executor/bounded_executor.h"
#include "weft/executor/executor.h"
#include "weft/executor/per_task_executor.h"
#include "weft/executor/promise.h"
#include "weft/executor/std_future.h"
#include "weft/executor/thread_pool_executor.h"
#include "weft/outcome.h"
#include "weft/task.h"
#include "weft/thread_builder.h"
#include "weft/time.h"

namespace weft {
namespace {

class ExecutorThrowTest : public testing::OnBoth {};
WEFT_ON_BOTH(ExecutorThrowTest);

Task<int> Throws(const char* what) {
  co_await Yield();
  throw std::logic_error(what);
}

TEST_P(ExecutorThrowTest, GetThrowsWhatTheTaskHasThrown) {
  Everywhere([]() -> Task<void> {
    VirtualThreadPerTaskExecutor executor;
    std::vector<Future<int>> futures;
    futures.push_back(executor.Submit(Throws("a task")));
    futures.push_back(executor.Submit([] { return Throws("a closure"); }));
    futures.push_back(executor.Submit([]() -> int { throw std::logic_error("a call"); }));
    futures.push_back(executor.Submit([]() -> Task<int> {
      throw std::logic_error("no task");
      return Throws("never");
    }));
    std::string thrown;
    for (const Future<int>& each : futures) {
      try {
        co_await each.Get();
      } catch (const std::logic_error& error) {
        thrown += std::string(error.what()) + ";";
      }
      EXPECT_EQ((co_await each.TryGet()).status().code(), absl::StatusCode::kUnknown);
    }
    EXPECT_EQ(thrown, "a task;a closure;a call;no task;");
    co_await executor.Close();
  });
}

TEST_P(ExecutorThrowTest, InvokeAnyThrowsTheFirstFailureIfAllFail) {
  Everywhere([]() -> Task<void> {
    VirtualThreadPerTaskExecutor executor;
    std::vector<Task<int>> works;
    works.push_back(Throws("first"));
    works.push_back(Throws("second"));
    std::string thrown;
    try {
      co_await executor.InvokeAny(std::move(works));
    } catch (const std::logic_error& error) {
      thrown = error.what();
    }
    EXPECT_EQ(thrown, "first");
    bool refused = false;
    try {
      co_await executor.InvokeAny(std::vector<Task<int>>());
    } catch (const StatusError& error) {
      refused = error.status().code() == absl::StatusCode::kInvalidArgument;
    }
    EXPECT_TRUE(refused);
    co_await executor.Close();
  });
}

// ---- No memory.

// So many allocations of this OS thread are left before all fail; negative: none fails.
thread_local int allocations_left = -1;

[[maybe_unused]] const bool hooked = [] {
  testing::may_allocate = [](size_t, bool) noexcept {
    if (allocations_left > 0) --allocations_left;
    return allocations_left != 0;
  };
  return true;
}();

TEST_P(ExecutorThrowTest, WithoutMemoryForANameTheFutureHasFailed) {
  Everywhere([]() -> Task<void> {
    VirtualThreadPerTaskExecutor executor(VirtualThread::Builder().Name(std::string(100, 'n'), 0).Factory());
    int failed = 0;
    for (int left = 0;; ++left) {
      std::optional<Future<int>> future;
      allocations_left = left;
      try {
        future = executor.Submit([] { return 1; });
      } catch (const std::bad_alloc&) {
      }
      allocations_left = -1;
      if (!future.has_value()) continue;
      const absl::StatusOr<int> got = co_await future->TryGet();
      if (got.ok()) break;
      EXPECT_EQ(got.status().code(), absl::StatusCode::kResourceExhausted);
      ++failed;
    }
    EXPECT_GE(failed, 3);  // the settings, the whole name, the identity
    co_await executor.Close();
  });
}

TEST_P(ExecutorThrowTest, WithoutMemoryForTheWordsATaskIsRefusedWithoutThem) {
  Everywhere([]() -> Task<void> {
    VirtualThreadPerTaskExecutor closed;
    co_await closed.Close();
    BoundedExecutor full(1);
    full.Submit(testing::Forever());
    const auto refuse = [](Executor& executor, absl::StatusCode code) -> Task<void> {
      bool without_words = false;
      absl::Status status;
      for (int left = 0; status.message().empty(); ++left) {
        allocations_left = left;
        const Future<int> future = executor.Submit([] { return 1; });
        allocations_left = -1;
        status = (co_await future.TryGet()).status();
        without_words |= status.code() == code && status.message().empty();
      }
      EXPECT_TRUE(without_words);
      EXPECT_EQ(status.code(), code);
    };
    co_await refuse(closed, absl::StatusCode::kFailedPrecondition);
    co_await refuse(full, absl::StatusCode::kResourceExhausted);
    full.ShutdownNow();
    co_await full.Close();
  });
}

TEST(ThreadPoolExecutorThrowTest, WithoutMemoryForAnOsThreadNorForTheWordsATaskFails) {
  ThreadPoolExecutor pool(1);
  int failed = 0;
  for (;; ++failed) {
    allocations_left = failed;
    const Future<int> future = pool.Submit([] { return 1; });
    allocations_left = -1;
    const absl::StatusOr<int> got = future.TryGetBlocking();
    if (got.ok()) break;
    EXPECT_EQ(got.status().code(), absl::StatusCode::kResourceExhausted);
  }
  EXPECT_GE(failed, 1);
  pool.CloseBlocking();
}

// ---- std::future.

TEST(StdFutureTest, AFutureBecomesAStdFutureOfTheSameOutcome) {
  Promise<int> value, status, exception;
  Promise<void> nothing;
  std::future<int> of_value = ToStdFuture(value.future());
  // Shared: it keeps the exception until we have looked. Otherwise the thread that has set it may be the last to drop
  // it, after us, as the standard library counts; but that count ThreadSanitizer does not see.
  const std::shared_future<int> of_status = ToStdFuture(status.future()).share();
  const std::shared_future<int> of_exception = ToStdFuture(exception.future()).share();
  std::future<void> of_nothing = ToStdFuture(nothing.future());
  value.SetValue(3);
  status.SetStatus(absl::DataLossError("gone"));
  exception.SetException(std::make_exception_ptr(std::logic_error("thrown")));
  nothing.SetValue();
  EXPECT_EQ(of_value.get(), 3);
  try {
    of_status.get();
    ADD_FAILURE() << "no failure";
  } catch (const StatusError& error) {
    EXPECT_EQ(error.status(), absl::DataLossError("gone"));
  }
  EXPECT_THROW(of_exception.get(), std::logic_error);
  of_nothing.get();
}

TEST(StdFutureTest, AStdFutureThatThrowsFailsItsFuture) {
  ThreadPoolExecutor pool(1);
  std::promise<int> promise;
  const Future<int> ours = FromStdFuture(pool, promise.get_future());
  promise.set_exception(std::make_exception_ptr(std::logic_error("thrown")));
  EXPECT_THROW(ours.GetBlocking(), std::logic_error);
  pool.CloseBlocking();
}

}  // namespace
}  // namespace weft

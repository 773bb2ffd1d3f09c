// Exceptions of submitted tasks. Goal: what a task throws is thrown to whoever gets its future, of whatever kind the
// task is. Method: as in executor_test.cc.
#include <gtest/gtest.h>

#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "tests/support/on_both.h"
#include "weft/executor/executor.h"
#include "weft/executor/per_task_executor.h"
#include "weft/outcome.h"
#include "weft/task.h"
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

}  // namespace
}  // namespace weft

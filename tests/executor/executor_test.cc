// Executors. Goal: what is submitted runs once, on a thread of its own, wherever it was submitted from; an executor
// terminates when all have ended, and not before; no task is left behind on any way out; and what is refused or
// cancelled says so. Method: the same bodies in simulations and on carriers; OS threads for what these may call.
// (executor_throw_test.cc: exceptions.)
#include "weft/executor/executor.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "lib/coro/frame_fault.h"
#include "tests/support/allocator.h"
#include "tests/support/counted.h"
#include "tests/support/on_both.h"
#include "weft/cancel_reason.h"
#include "weft/cancellation.h"
#include "weft/executor/bounded_executor.h"
#include "weft/executor/per_task_executor.h"
#include "weft/executor/promise.h"
#include "weft/finally.h"
#include "weft/runtime.h"
#include "weft/scope.h"
#include "weft/scoped_value.h"
#include "weft/stop_token.h"
#include "weft/sync/event.h"
#include "weft/task.h"
#include "weft/testing/simulation.h"
#include "weft/thread_builder.h"
#include "weft/time.h"
#include "weft/virtual_thread.h"
#include "weft/virtual_thread_local.h"

namespace weft {
namespace {

using testing::Counted;
using testing::Forever;

class ExecutorTest : public testing::OnBoth {};
WEFT_ON_BOTH(ExecutorTest);

Task<int> Twice(int value) {
  co_await Yield();
  co_return 2 * value;
}

// ---- Submit.

TEST_P(ExecutorTest, EachTaskHasAVirtualThreadOfItsOwn) {
  Everywhere([]() -> Task<void> {
    VirtualThreadPerTaskExecutor executor;
    std::vector<Future<uint64_t>> futures;
    for (int i = 0; i < 20; ++i) futures.push_back(executor.Submit([] { return VirtualThread::Current().id(); }));
    std::set<uint64_t> threads = {VirtualThread::Current().id()};
    for (const Future<uint64_t>& future : futures) threads.insert(co_await future.Get());
    EXPECT_EQ(threads.size(), 21u);
    co_await executor.Close();
  });
}

TEST_P(ExecutorTest, SubmitTakesTasksAndClosuresOfEveryKind) {
  Everywhere([]() -> Task<void> {
    VirtualThreadPerTaskExecutor executor;
    EXPECT_EQ(co_await executor.Submit(Twice(2)).Get(), 4);
    EXPECT_EQ(co_await executor.Submit([] { return Twice(3); }).Get(), 6);
    EXPECT_EQ(co_await executor.Submit([] { return 7; }).Get(), 7);
    int called = 0;
    co_await executor.Submit([&called] { ++called; }).Get();
    EXPECT_EQ(called, 1);
    co_await executor.Submit(Sleep(absl::Microseconds(1))).Get();
    // Statuses flatten.
    EXPECT_EQ((co_await executor.Submit([] { return absl::StatusOr<int>(absl::DataLossError("gone")); }).TryGet())
                  .status(),
              absl::DataLossError("gone"));
    EXPECT_EQ(co_await executor.Submit([]() -> Task<absl::Status> { co_return absl::DataLossError("gone"); }).TryGet(),
              absl::DataLossError("gone"));
    EXPECT_EQ(*co_await executor.Submit([kept = std::make_unique<int>(5)]() mutable { return std::move(kept); }).Get(),
              5);
    co_await executor.Close();
  });
}

TEST_P(ExecutorTest, AClosureIsDestroyedBeforeItsFutureIsDone) {
  Everywhere([]() -> Task<void> {
    VirtualThreadPerTaskExecutor executor;
    const int64_t alive = Counted::alive;
    Future<int> value = executor.Submit([kept = Counted(3)] { return kept.value(); });
    EXPECT_EQ(co_await value.Get(), 3);
    EXPECT_EQ(Counted::alive, alive);
    Future<int> task = executor.Submit([kept = Counted(3)]() -> Task<int> {
      co_await Yield();
      co_return kept.value();
    });
    EXPECT_EQ(co_await task.Get(), 3);
    EXPECT_EQ(Counted::alive, alive);
    executor.Submit([] { return Counted(1); });  // nobody reads it
    co_await executor.Close();
    EXPECT_EQ(Counted::alive, alive);
  });
}

TEST_P(ExecutorTest, ATaskMaySubmitAndInheritsNoScopedValues) {
  static ScopedValue<int> value;
  Everywhere([]() -> Task<void> {
    VirtualThreadPerTaskExecutor executor;
    const ScopedBinding binding(value, 1);
    Future<bool> bound = executor.Submit([&executor]() -> Task<bool> {
      co_return co_await executor.Submit([] { return value.IsBound(); }).Get();
    });
    EXPECT_FALSE(co_await bound.Get());
    co_await executor.Close();
  });
}

TEST_P(ExecutorTest, OsThreadsSubmitAndGet) {
  if (simulated()) GTEST_SKIP() << "OS threads are not simulated";
  OnEveryRuntime([](Runtime& runtime) {
    VirtualThreadPerTaskExecutor executor(runtime);
    std::atomic<int> sum{0};
    std::vector<std::thread> others;
    for (int i = 0; i < 3; ++i) {
      others.emplace_back([&executor, &sum] {
        for (int k = 0; k < 10; ++k) sum += executor.Submit(Twice(1)).GetBlocking();
      });
    }
    for (std::thread& each : others) each.join();
    EXPECT_EQ(sum, 60);
    executor.CloseBlocking();
  });
}

// ---- The end.

TEST_P(ExecutorTest, WhoHasJoinedTheThreadOfATaskFindsTheFutureDoneAndItsPlaceFree) {
  Everywhere([]() -> Task<void> {
    BoundedExecutor executor(1);
    for (int i = 0; i < 10; ++i) {
      testing::Introduction made;
      const Future<void> future = executor.Submit([&made]() -> Task<void> {
        made.Make();
        co_return;
      });
      EXPECT_EQ(co_await (co_await made.Await()).Join(), absl::OkStatus());
      EXPECT_TRUE(future.IsDone());
    }
    co_await executor.Close();
  });
}

TEST_P(ExecutorTest, CloseWaitsForAllAndLaterTasksAreRefused) {
  Everywhere([]() -> Task<void> {
    VirtualThreadPerTaskExecutor executor;
    std::atomic<int> ended{0};
    for (int i = 0; i < 5; ++i) {
      executor.Submit([&ended, i]() -> Task<void> {
        co_await Sleep(absl::Microseconds(i));
        co_await Shield([](std::atomic<int>& count) -> Task<void> {
          ++count;
          co_return;
        }(ended));
      });
      co_await Yield();
    }
    EXPECT_FALSE(executor.IsShutdown());
    co_await executor.Close();
    EXPECT_TRUE(executor.IsShutdown());
    EXPECT_TRUE(executor.IsTerminated());
    EXPECT_EQ(ended, 5);
    bool called = false;
    const absl::Status refused = co_await executor.Submit([&called] { called = true; }).TryGet();
    EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_EQ((co_await executor.Submit(Twice(1)).TryGet()).status().code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_FALSE(called);
    co_await executor.Close();
  });
}

TEST_P(ExecutorTest, ShutdownLetsTasksGoOnAndAwaitTerminationTells) {
  Everywhere([]() -> Task<void> {
    VirtualThreadPerTaskExecutor executor;
    Event go;
    Future<int> future = executor.Submit([&go]() -> Task<int> {
      co_await go.Wait();
      co_return 1;
    });
    executor.Shutdown();
    executor.Shutdown();
    EXPECT_TRUE(executor.IsShutdown());
    EXPECT_FALSE(executor.IsTerminated());
    EXPECT_FALSE(co_await executor.AwaitTermination(absl::Milliseconds(1)));
    go.Set();
    EXPECT_TRUE(co_await executor.AwaitTermination());
    EXPECT_TRUE(future.IsDone());
    EXPECT_EQ(co_await future.Get(), 1);
  });
}

TEST_P(ExecutorTest, ShutdownNowCancelsWithAReasonWhateverHasBegun) {
  Everywhere([]() -> Task<void> {
    VirtualThreadPerTaskExecutor executor;
    std::vector<Future<void>> futures;
    for (int i = 0; i < 70; ++i) futures.push_back(executor.Submit(Forever()));
    co_await Yield();
    for (int i = 0; i < 70; ++i) futures.push_back(executor.Submit([] { return Forever(); }));
    executor.ShutdownNow();
    executor.ShutdownNow();
    EXPECT_TRUE(co_await executor.AwaitTermination());
    for (const Future<void>& future : futures) {
      const absl::Status status = co_await future.TryGet();
      EXPECT_EQ(status.code(), absl::StatusCode::kCancelled);
      EXPECT_EQ(ReasonOf(status).kind, CancelReason::Kind::kShutdown);
      EXPECT_NE(ReasonOf(status).where.find("executor_test.cc"), std::string::npos) << status;
    }
  });
}

TEST_P(ExecutorTest, TheDestructorAsksAllToEndAndWaits) {
  Everywhere([]() -> Task<void> {
    const int64_t alive = Counted::alive;
    Future<int> future;
    {
      VirtualThreadPerTaskExecutor executor;
      future = executor.Submit([kept = Counted(1)]() -> Task<int> {
        AwaitAll scope;
        scope.Fork(Forever());
        (co_await scope.Join()).IgnoreFailures();
        co_return 1;
      });
      executor.Submit([kept = Counted(1)]() -> Task<void> {
        co_await Shield(Sleep(absl::Milliseconds(1)));
        co_await Forever();
      });
      for (int i = 0; i < 3; ++i) co_await Yield();
    }
    EXPECT_EQ(Counted::alive, alive);
    EXPECT_TRUE(future.IsDone());
    EXPECT_EQ(ReasonOf((co_await future.TryGet()).status()).kind, CancelReason::Kind::kScopeClosed);
  });
}

TEST_P(ExecutorTest, ItMayEndAtAnyMomentWhileOthersSubmit) {
  Everywhere([]() -> Task<void> {
    std::atomic<int> begun{0}, ended{0};
    auto* executor = new VirtualThreadPerTaskExecutor;
    AwaitAll scope;
    for (int i = 0; i < 3; ++i) {
      scope.Fork([&, executor]() -> Task<void> {
        for (int k = 0; k < 5; ++k) {
          executor->Submit([&]() -> Task<void> {
            ++begun;
            co_await Shield(Yield());
            ++ended;
          });
          co_await Yield();
        }
      });
    }
    co_await executor->Close();
    EXPECT_EQ(begun, ended);
    (co_await scope.Join()).IgnoreFailures();  // nobody submits any more
    delete executor;
  });
}

// Its last task may have left, and be about to say so.
TEST_P(ExecutorTest, ItMayEndAsSoonAsItsOnlyTaskHasAResult) {
  Everywhere([]() -> Task<void> {
    AwaitAll scope;
    for (int i = 0; i < carriers(); ++i) {
      scope.Fork([]() -> Task<void> {
        for (int k = 0; k < (simulated() ? 5 : 5'000); ++k) {
          VirtualThreadPerTaskExecutor executor;
          EXPECT_EQ(co_await executor.Submit([k] { return k; }).Get(), k);
        }
      });
    }
    (co_await scope.Join()).IgnoreFailures();
  });
}

// What it refers to may go when the executor has terminated.
TEST_P(ExecutorTest, AResultThatNobodyReadsAnyMoreIsGoneWhenTheExecutorHasTerminated) {
  struct Result {
    explicit Result(const std::atomic<bool>& of) : arena_gone(of) {}
    Result(const Result&) = default;
    ~Result() { EXPECT_FALSE(arena_gone); }
    const std::atomic<bool>& arena_gone;
  };
  Everywhere([]() -> Task<void> {
    for (int k = 0; k < (simulated() ? 5 : 1'000); ++k) {
      std::atomic<bool> arena_gone{false};
      {
        VirtualThreadPerTaskExecutor executor;
        Future<Result> future = executor.Submit([&arena_gone] { return Result(arena_gone); });
        static_cast<void>(co_await future.Get());
        future = {};
        co_await executor.Close();
        arena_gone = true;
        co_await Yield();
      }
    }
  });
}

// Each of the two may let the other one destroy the executor before it returns.
TEST_P(ExecutorTest, ItMayEndAsSoonAsItHasTerminated) {
  if (simulated()) GTEST_SKIP() << "OS threads are not simulated";
  Everywhere([]() -> Task<void> {
    for (int k = 0; k < 200; ++k) {
      auto executor = std::make_unique<VirtualThreadPerTaskExecutor>();
      std::thread other([running = executor.get(), closes = k % 2 == 0] {
        closes ? running->CloseBlocking() : running->ShutdownNow();
      });
      co_await executor->AwaitTermination();
      executor.reset();
      other.join();
    }
  });
}

// 1. The last task ends. 2. The one who waits first destroys the executor. 3. The other goes on in Close().
TEST_P(ExecutorTest, ItMayEndBeforeTheCallerOfCloseGoesOn) {
  Everywhere([]() -> Task<void> {
    auto executor = std::make_unique<VirtualThreadPerTaskExecutor>();
    Event go;
    executor->Submit([&go]() -> Task<void> { co_await go.Wait(); });
    AwaitAll scope;
    testing::Introduction waits, closes;
    scope.Fork([&]() -> Task<void> {
      waits.Make();
      EXPECT_TRUE(co_await executor->AwaitTermination());
      executor.reset();
    });
    co_await waits.AwaitParked();
    scope.Fork([&]() -> Task<void> {
      closes.Make();
      co_await executor->Close();
    });
    co_await closes.AwaitParked();
    go.Set();
    (co_await scope.Join()).IgnoreFailures();
    EXPECT_EQ(executor, nullptr);
  });
}

TEST_P(ExecutorTest, ACallerThatIsCancelledInCloseCancelsTheTasks) {
  Everywhere([]() -> Task<void> {
    VirtualThreadPerTaskExecutor executor;
    Future<void> future = executor.Submit(Forever());
    EXPECT_FALSE(co_await MoveOnAfter(absl::Milliseconds(1), executor.Close()));
    EXPECT_TRUE(co_await executor.AwaitTermination());
    EXPECT_EQ(ReasonOf(co_await future.TryGet()).kind, CancelReason::Kind::kShutdown);
  });
}

TEST_P(ExecutorTest, TheEndOfAnOsThreadsExecutorNeedsNoCarrier) {
  if (simulated()) GTEST_SKIP() << "OS threads are not simulated";
  OnEveryRuntime([](Runtime& runtime) {
    Future<int> future, cancelled;
    {
      VirtualThreadPerTaskExecutor executor(runtime);
      future = executor.Submit(Twice(2));
      EXPECT_FALSE(executor.AwaitTerminationBlocking(absl::ZeroDuration()));
      executor.CloseBlocking();
      EXPECT_TRUE(executor.AwaitTerminationBlocking(absl::ZeroDuration()));
    }
    {
      VirtualThreadPerTaskExecutor executor(runtime);
      cancelled = executor.Submit([]() -> Task<int> {
        co_await Forever();
        co_return 1;
      });
    }
    EXPECT_EQ(future.GetBlocking(), 4);
    EXPECT_EQ(ReasonOf(cancelled.TryGetBlocking().status()).kind, CancelReason::Kind::kScopeClosed);
  });
}

TEST(ExecutorRuntimeTest, TheEndOfTheRuntimeEndsItsTasks) {
  absl::StatusOr<std::unique_ptr<Runtime>> runtime = Runtime::Create({.parallelism = 2});
  ASSERT_TRUE(runtime.ok());
  VirtualThreadPerTaskExecutor executor(**runtime);
  const Future<void> future = executor.Submit(Forever());
  runtime->reset();
  EXPECT_EQ(ReasonOf(future.TryGetBlocking()).kind, CancelReason::Kind::kRuntimeExit);
}

TEST(ExecutorDeathTest, AFactorysThreadsHaveThreadLocalsOnlyIfItAllowsThem) {
  ::testing::GTEST_FLAG(death_test_style) = "threadsafe";
  static VirtualThreadLocal<int> counter("counter");
  weft::Run([]() -> Task<void> {
    VirtualThreadPerTaskExecutor executor(VirtualThread::Builder().Name("rich").Factory());
    EXPECT_EQ(co_await executor.Submit([] { return ++counter.Get(); }).Get(), 1);
  }());
  EXPECT_DEATH(weft::Run([]() -> Task<void> {
                 VirtualThreadPerTaskExecutor executor(
                     VirtualThread::Builder().Name("lean").AllowThreadLocals(false).Factory());
                 co_await executor.Submit([] { counter.Set(1); }).Get();
               }()),
               ",lean\\]/runnable.* uses the thread-local \"counter\" .*AllowThreadLocals\\(false\\)");
}

TEST(ExecutorDeathTest, ATaskThatWouldWaitForItselfIsACheck) {
  ::testing::GTEST_FLAG(death_test_style) = "threadsafe";
  EXPECT_DEATH(weft::Run([]() -> Task<void> {
                 VirtualThreadPerTaskExecutor executor;
                 co_await executor.Submit([&executor]() -> Task<void> { co_await executor.Close(); }).Get();
               }()),
               "Close.. of an Executor by VirtualThread.*which is a task of it, or below one");
  EXPECT_DEATH(weft::Run([]() -> Task<void> {
                 Event dropped;
                 auto executor = std::make_shared<VirtualThreadPerTaskExecutor>();
                 Future<void> last =
                     executor->Submit([executor, &dropped]() -> Task<void> { co_await dropped.Wait(); });
                 executor.reset();
                 dropped.Set();
                 co_await last.Get();
               }()),
               "the destruction of an Executor by VirtualThread.*which is a task of it, or below one");
}


TEST_P(ExecutorTest, ATimeThatIsOverLeavesWhatIsDoneDone) {
  Everywhere([]() -> Task<void> {
    VirtualThreadPerTaskExecutor executor;
    Future<int> future = executor.Submit([] { return 1; });
    co_await executor.Close();
    for (const absl::Duration over : {absl::ZeroDuration(), absl::Seconds(-1)}) {
      EXPECT_EQ(co_await future.GetFor(over), 1);
      EXPECT_EQ(co_await future.WithTimeout(over).Get(), 1);
      EXPECT_TRUE(co_await executor.AwaitTermination(over));
    }
  });
}

// ---- Cancel.

TEST_P(ExecutorTest, CancelEndsTheWorkAndTheFutureIsDoneWhenThatHasEnded) {
  Everywhere([]() -> Task<void> {
    VirtualThreadPerTaskExecutor executor;
    Event begun;
    bool cleaned_up = false;
    Future<int> future = executor.Submit([&]() -> Task<int> {
      begun.Set();
      co_return co_await Finally(
          []() -> Task<int> {
            co_await Forever();
            co_return 1;
          }(),
          [&cleaned_up]() -> Task<void> {
            co_await Yield();
            cleaned_up = true;
          });
    });
    co_await begun.Wait();
    future.Cancel();
    EXPECT_EQ(ReasonOf((co_await future.TryGet()).status()).kind, CancelReason::Kind::kFutureCancelled);
    EXPECT_TRUE(cleaned_up);

    Future<int> value = executor.Submit([] { return 1; });
    EXPECT_EQ(co_await value.Get(), 1);
    value.Cancel();
    EXPECT_EQ(co_await value.Get(), 1);
    co_await executor.Close();
  });
}

TEST_P(ExecutorTest, ACancelBeforeTheFirstRunDropsAClosureAndBeginsWhatOwesACleanUp) {
  Everywhere([]() -> Task<void> {
    VirtualThreadPerTaskExecutor executor;
    std::atomic<int> cleaned_up{0};
    std::vector<Future<void>> futures;
    for (int i = 0; i < 5; ++i) {
      futures.push_back(executor.Submit(Finally(Forever(), [&cleaned_up]() -> Task<void> {
        ++cleaned_up;
        co_return;
      })));
      futures.back().Cancel();
      futures.push_back(executor.Submit([] { return Forever(); }));
      futures.back().Cancel();
    }
    co_await executor.Close();
    EXPECT_EQ(cleaned_up, 5);
    for (const Future<void>& future : futures) {
      EXPECT_EQ((co_await future.TryGet()).code(), absl::StatusCode::kCancelled);
    }
  });
}

// ---- All and any.

TEST_P(ExecutorTest, InvokeAllYieldsFuturesThatAreDone) {
  Everywhere([]() -> Task<void> {
    VirtualThreadPerTaskExecutor executor;
    std::vector<Task<int>> works;
    for (int i = 0; i < 5; ++i) works.push_back(Twice(i));
    const std::vector<Future<int>> futures = co_await executor.InvokeAll(std::move(works));
    for (size_t i = 0; i < futures.size(); ++i) {
      EXPECT_TRUE(futures[i].IsDone());
      EXPECT_EQ(co_await futures[i].Get(), 2 * static_cast<int>(i));
    }
    co_await executor.Close();
  });
}

TEST_P(ExecutorTest, ACallerThatIsCancelledInInvokeAllCancelsTheRest) {
  Everywhere([]() -> Task<void> {
    VirtualThreadPerTaskExecutor executor;
    std::vector<Task<void>> works;
    for (int i = 0; i < 5; ++i) works.push_back(Forever());
    EXPECT_EQ(co_await MoveOnAfter(absl::Milliseconds(1), executor.InvokeAll(std::move(works))), std::nullopt);
    executor.Shutdown();
    EXPECT_TRUE(co_await executor.AwaitTermination());
  });
}

TEST_P(ExecutorTest, InvokeAnyYieldsASuccessAndCancelsTheOthers) {
  Everywhere([]() -> Task<void> {
    VirtualThreadPerTaskExecutor executor;
    const auto ask = [](int value) -> Task<absl::StatusOr<int>> {
      if (value == 0) co_return absl::DataLossError("gone");
      if (value == 2) co_await Forever();
      co_await Yield();
      co_return value;
    };
    std::vector<Task<absl::StatusOr<int>>> works, failing;
    for (int i = 0; i < 3; ++i) works.push_back(ask(i));
    EXPECT_EQ(co_await executor.InvokeAny(std::move(works)), 1);
    failing.push_back(ask(0));
    EXPECT_EQ((co_await executor.TryInvokeAny(std::move(failing))).status(), absl::DataLossError("gone"));
    EXPECT_EQ((co_await executor.TryInvokeAny(std::vector<Task<int>>())).status().code(),
              absl::StatusCode::kInvalidArgument);
    executor.Shutdown();
    EXPECT_TRUE(co_await executor.AwaitTermination());
  });
}

TEST_P(ExecutorTest, AnyOfTasksThatFailOneAfterAnotherFindsTheOneThatSucceeds) {
  Everywhere([]() -> Task<void> {
    constexpr int kTasks = 12;
    for (int good = 0; good < kTasks; good += 5) {
      VirtualThreadPerTaskExecutor first, second;
      const auto ask = [good](int task, Executor& by) -> Task<absl::StatusOr<int>> {
        co_return co_await by
            .Submit([task, good]() -> Task<absl::StatusOr<int>> {
              for (int i = 0; i < task; ++i) co_await Yield();
              if (task != good) co_return absl::DataLossError("gone");
              co_return task;
            })
            .TryGet();
      };
      std::vector<Task<absl::StatusOr<int>>> works;
      for (int i = 0; i < kTasks; ++i) works.push_back(ask(i, second));
      EXPECT_EQ(co_await first.InvokeAny(std::move(works)), good);
      co_await first.Close();
      co_await second.Close();
    }
  });
}

TEST_P(ExecutorTest, ACallerThatIsCancelledInInvokeAnyCancelsTheRestWhateverHasFailedByThen) {
  Everywhere([]() -> Task<void> {
    for (int turns = 0; turns < 12; ++turns) {
      const auto ignore = [](TextView, const absl::Status&, const std::exception_ptr&) {};
      VirtualThreadPerTaskExecutor executor(VirtualThread::Builder().OnUncaughtFailure(ignore).Factory());
      std::vector<Task<absl::StatusOr<int>>> works;
      for (int i = 0; i < 5; ++i) {
        works.push_back([](int task) -> Task<absl::StatusOr<int>> {
          for (int k = 0; k < task; ++k) co_await Yield();
          if (task == 4) co_await Forever();
          co_return absl::DataLossError("gone");
        }(i));
      }
      AwaitAll scope;
      std::stop_source source;
      scope.Fork([turns, &source]() -> Task<void> {
        for (int i = 0; i < turns; ++i) co_await Yield();
        source.request_stop();
      });
      const absl::StatusOr<int> any =
          co_await WithStopToken(source.get_token(), executor.InvokeAny(std::move(works)));
      EXPECT_EQ(any.status().code(), absl::StatusCode::kCancelled);
      (co_await scope.Join()).IgnoreFailures();
      executor.Shutdown();
      EXPECT_TRUE(co_await executor.AwaitTermination());
    }
  });
}

// Of this OS thread.
thread_local int64_t allocations = 0;

[[maybe_unused]] const bool counts_allocations = [] {
  testing::may_allocate = [](size_t, bool) noexcept {
    ++allocations;
    return true;
  };
  return true;
}();

// How often it asks for memory while `tasks` tasks fail, one after another.
int64_t AllocationsOfAny(int tasks) {
  const int64_t before = allocations;
  testing::Simulation().Run([](int tasks) -> Task<void> {
    VirtualThreadPerTaskExecutor executor;
    std::vector<Task<absl::Status>> works;
    for (int i = 0; i < tasks; ++i) {
      works.push_back([](int i) -> Task<absl::Status> {
        co_await Sleep(absl::Milliseconds(i + 1));
        co_return absl::DataLossError("");
      }(i));
    }
    EXPECT_EQ(co_await executor.TryInvokeAny(std::move(works)), absl::DataLossError(""));
  }(tasks));
  return allocations - before;
}

TEST(ExecutorRuntimeTest, WhatAFailureCostsAnyDoesNotDependOnHowManyTasksAreLeft) {
  const int64_t few = AllocationsOfAny(50);
  EXPECT_LE(AllocationsOfAny(1'000), 20 * few);
}

// ---- No memory.

TEST_P(ExecutorTest, WithoutMemoryForTheTaskTheFutureHasFailed) {
  Everywhere([]() -> Task<void> {
    VirtualThreadPerTaskExecutor executor;
    Promise<int> promise;
    promise.SetValue(1);
    Future<int> number, then;
    Future<void> nothing;
    {
      const internal::ScopedFrameFault fault({.times = internal::ScopedFrameFault::kForever, .here = true});
      number = executor.Submit([] { return 1; });
      nothing = executor.Submit([] {});
      then = promise.future().Then([](int value) { return value; });
    }
    EXPECT_EQ((co_await number.TryGet()).status().code(), absl::StatusCode::kResourceExhausted);
    EXPECT_EQ((co_await nothing.TryGet()).code(), absl::StatusCode::kResourceExhausted);
    EXPECT_EQ((co_await then.TryGet()).status().code(), absl::StatusCode::kResourceExhausted);
    number.Cancel();
    co_await executor.Close();
  });
}

// ---- Nobody holds the future.

TEST(ExecutorRuntimeTest, AFailureThatNobodyCanReadGoesToTheHandler) {
  std::vector<absl::Status> failures;
  const auto keep = [&failures](TextView, const absl::Status& status, const std::exception_ptr&) {
    failures.push_back(status);
  };
  const absl::StatusOr<std::unique_ptr<Runtime>> runtime =
      Runtime::Create({.parallelism = 1, .on_uncaught_failure = keep});
  ASSERT_TRUE(runtime.ok());
  (*runtime)->Run([]() -> Task<void> {
    VirtualThreadPerTaskExecutor executor;
    executor.Submit([] { return absl::DataLossError("gone"); });
    executor.Submit(Forever()).Cancel();
    co_await executor.Close();
  }());
  EXPECT_EQ(failures, std::vector{absl::DataLossError("gone")});
}

// What the handler of a runtime is told.
class UntoldFailureTest : public ::testing::Test {
 protected:
  void Run(Task<void> (*body)()) { runtime_->Run(body()); }
  void Tell(TextView, const absl::Status& status, const std::exception_ptr&) { told_.push_back(status); }
  std::vector<absl::Status> told_;
  std::unique_ptr<Runtime> runtime_ = *Runtime::Create(
      {.parallelism = 1, .on_uncaught_failure = std::bind_front(&UntoldFailureTest::Tell, this)});
};

TEST_F(UntoldFailureTest, AFailureThatNobodyHasLookedAtIsToldWhenTheLastFutureGoes) {
  runtime_->Run([](std::vector<absl::Status>& told) -> Task<void> {
    VirtualThreadPerTaskExecutor executor;
    const auto fail = []() -> absl::StatusOr<int> { return absl::DataLossError("gone"); };
    std::optional<Future<int>> first = executor.Submit(fail);
    Future<int> second = *first;
    Future<void> all = executor.Submit([] { return absl::UnavailableError("gone too"); });
    co_await executor.Close();
    EXPECT_TRUE(second.IsDone());  // which is no look at the failure
    first.reset();
    EXPECT_TRUE(told.empty());
    second = {};
    EXPECT_EQ(told, std::vector{absl::DataLossError("gone")});
    all = {};
    EXPECT_EQ(told, (std::vector{absl::DataLossError("gone"), absl::UnavailableError("gone too")}));
  }(told_));
}

TEST_F(UntoldFailureTest, WhatSomebodyHasLookedAtIsNotTold) {
  Run([]() -> Task<void> {
    VirtualThreadPerTaskExecutor executor;
    const auto fail = []() -> absl::StatusOr<int> { return absl::DataLossError("gone"); };
    EXPECT_EQ((co_await executor.Submit(fail).TryGet()).status(), absl::DataLossError("gone"));
    EXPECT_EQ(co_await executor.Submit(fail).Recover([](const absl::Status&) { return 3; }).Get(), 3);
    EXPECT_EQ((co_await executor.Submit(fail).Then([](int value) { return value; }).TryGet()).status(),
              absl::DataLossError("gone"));
    const auto theirs = [] { return absl::CancelledError("by the peer"); };
    EXPECT_EQ(co_await executor.Submit(theirs).TryGet(), absl::CancelledError("by the peer"));
    co_await executor.Close();
  });
  EXPECT_TRUE(told_.empty());
}

TEST_F(UntoldFailureTest, OfAnyTheFailuresBeforeTheValueAreNotToldAndOfAllTheyAreIfNobodyLooks) {
  Run([]() -> Task<void> {
    VirtualThreadPerTaskExecutor executor;
    const auto works = [] {
      std::vector<std::function<absl::StatusOr<int>()>> works;
      works.push_back([] { return absl::DataLossError("gone"); });
      works.push_back([] { return 2; });
      works.push_back([] { return absl::UnavailableError("gone too"); });
      return works;
    };
    EXPECT_EQ(co_await executor.InvokeAny(works()), 2);
    static_cast<void>(co_await executor.InvokeAll(works()));
    co_await executor.Close();
  });
  EXPECT_EQ(told_, (std::vector{absl::DataLossError("gone"), absl::UnavailableError("gone too")}));
}

TEST_F(UntoldFailureTest, OfAnyThatIsCancelledTheFailuresThatItHasSeenAreNotTold) {
  Run([]() -> Task<void> {
    VirtualThreadPerTaskExecutor executor;
    std::stop_source source;
    std::vector<Task<absl::Status>> works;
    works.push_back([]() -> Task<absl::Status> { co_return absl::DataLossError("gone"); }());
    works.push_back([](std::stop_source source) -> Task<absl::Status> {
      for (int i = 0; i < 10; ++i) co_await Yield();
      source.request_stop();
      co_await Forever();
      co_return absl::OkStatus();
    }(source));
    const absl::Status any = co_await WithStopToken(source.get_token(), executor.TryInvokeAny(std::move(works)));
    EXPECT_EQ(any.code(), absl::StatusCode::kCancelled);
    co_await executor.Close();
  });
  EXPECT_TRUE(told_.empty());
}

TEST_F(UntoldFailureTest, AFutureThatOutlivesExecutorAndRuntimeTellsTheSameHandler) {
  Future<void> future;
  Future<void> refused;
  runtime_->Run([](Future<void>& future, Future<void>& refused) -> Task<void> {
    VirtualThreadPerTaskExecutor executor;
    future = executor.Submit([] { return absl::DataLossError("gone"); });
    co_await executor.Close();
    refused = executor.Submit([] {});
  }(future, refused));
  runtime_.reset();
  EXPECT_TRUE(told_.empty());
  future = {};
  EXPECT_EQ(told_, std::vector{absl::DataLossError("gone")});
  EXPECT_EQ(refused.TryGetBlocking().code(), absl::StatusCode::kFailedPrecondition);
}

TEST_F(UntoldFailureTest, OfARefusedTaskItIsToldToTheSameHandlerWhoeverDropsTheFuture) {
  BoundedExecutor executor(*runtime_, 1);
  const Future<void> running = executor.Submit(Forever());
  executor.Submit([] {});
  ASSERT_EQ(told_.size(), 1u);
  EXPECT_EQ(told_.back().code(), absl::StatusCode::kResourceExhausted);
  executor.ShutdownNow();
  executor.Submit([] {});
  ASSERT_EQ(told_.size(), 2u);
  EXPECT_EQ(told_.back().code(), absl::StatusCode::kFailedPrecondition);

  absl::Status told_by_the_factory;
  VirtualThread::Builder builder(*runtime_);
  builder.OnUncaughtFailure([&told_by_the_factory](TextView, const absl::Status& status, const std::exception_ptr&) {
    told_by_the_factory = status;
  });
  VirtualThreadPerTaskExecutor with_factory(builder.Factory());
  with_factory.Shutdown();
  with_factory.Submit([] {});
  EXPECT_EQ(told_by_the_factory.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(told_.size(), 2u);
}

TEST_P(ExecutorTest, ThreadsAreLikeThoseOfTheFactory) {
  Everywhere([]() -> Task<void> {
    std::vector<absl::Status> failures;
    VirtualThreadPerTaskExecutor executor(
        VirtualThread::Builder()
            .Name("job-", 0)
            .OnUncaughtFailure([&failures](TextView, const absl::Status& status, const std::exception_ptr&) {
              failures.push_back(status);
            })
            .Factory());
    for (int i = 0; i < 3; ++i) {
      Future<std::string> name = executor.Submit([] { return std::string(VirtualThread::Current().name()); });
      EXPECT_EQ(co_await name.Get(), "job-" + std::to_string(i));
    }
    Event dropped;  // the future is, before the task ends
    executor.Submit([&dropped]() -> Task<absl::Status> {
      co_await dropped.Wait();
      co_return absl::DataLossError("gone");
    });
    dropped.Set();
    co_await executor.Close();
    EXPECT_EQ(failures, std::vector{absl::DataLossError("gone")});
  });
}

TEST(ExecutorRuntimeTest, TenThousandTasksAreSubmittedAndRead) {
  EXPECT_EQ(weft::Run([]() -> Task<int64_t> {
              VirtualThreadPerTaskExecutor executor;
              std::vector<Future<int>> futures;
              for (int i = 0; i < 10'000; ++i) futures.push_back(executor.Submit([i] { return i; }));
              int64_t sum = 0;
              for (Future<int>& future : futures) sum += co_await future.Get();
              co_await executor.Close();
              co_return sum;
            }()),
            int64_t{10'000} * 9'999 / 2);
}

}  // namespace
}  // namespace weft

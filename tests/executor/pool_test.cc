// The other executors. Goal: a pool of OS threads runs what is queued once, in order, and n at a time; what is queued
// can be cancelled and what has begun is awaited; a bound holds whoever submits; what is scheduled runs at its time and
// no longer than wanted. Method: on carriers, and in simulations, where hours take no time.
#include <gtest/gtest.h>

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <future>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "lib/os/syscalls.h"
#include "lib/testing/syscall_fault.h"
#include "tests/support/counted.h"
#include "tests/support/on_both.h"
#include "weft/blocking.h"
#include "weft/cancel_reason.h"
#include "weft/cancellation.h"
#include "weft/errno.h"
#include "weft/executor/bounded_executor.h"
#include "weft/executor/executor.h"
#include "weft/executor/per_task_executor.h"
#include "weft/executor/promise.h"
#include "weft/executor/scheduled_executor.h"
#include "weft/executor/std_future.h"
#include "weft/executor/thread_pool_executor.h"
#include "weft/finally.h"
#include "weft/pin.h"
#include "weft/runtime.h"
#include "weft/scope.h"
#include "weft/sync/event.h"
#include "weft/task.h"
#include "weft/testing/simulation.h"
#include "weft/thread_builder.h"
#include "weft/time.h"
#include "weft/virtual_thread.h"

namespace weft {
namespace {

using testing::Counted;
using testing::Forever;

class BoundedExecutorTest : public testing::OnBoth {};
WEFT_ON_BOTH(BoundedExecutorTest);
class ScheduledExecutorTest : public testing::OnBoth {};
WEFT_ON_BOTH(ScheduledExecutorTest);
class ThreadPoolExecutorTest : public testing::OnBoth {};
WEFT_ON_BOTH(ThreadPoolExecutorTest);

// Lets an OS thread go on when a virtual thread says so.
class Gate {
 public:
  void Open() { promise_.SetValue(); }
  void Pass() const { future_.GetBlocking(); }

 private:
  Promise<void> promise_;
  Future<void> future_ = promise_.future();
};

// What a task keeps whose destruction goes on until it may end. relaxed: it orders nothing that others do meanwhile.
class SlowToEnd {
 public:
  std::shared_ptr<void> Keep() {
    return {nullptr, [this](void*) {
              ends_.store(true, std::memory_order_relaxed);
              while (!may_end_.load(std::memory_order_relaxed)) std::this_thread::yield();
            }};
  }
  void AwaitEnding() const {
    while (!ends_.load(std::memory_order_relaxed)) std::this_thread::yield();
  }
  void LetEnd() { may_end_.store(true, std::memory_order_relaxed); }

 private:
  std::atomic<bool> ends_{false}, may_end_{false};
};

// In its frame.
Task<void> Keeping(std::shared_ptr<void> kept) {
  co_await Forever();
  kept.reset();
}

// ---- BoundedExecutor.

TEST_P(BoundedExecutorTest, SubmitRefusesWhatHasNoPlace) {
  Everywhere([]() -> Task<void> {
    BoundedExecutor executor(2);
    Event go;
    std::vector<Future<void>> futures;
    for (int i = 0; i < 2; ++i) futures.push_back(executor.Submit([&go]() -> Task<void> { co_await go.Wait(); }));
    EXPECT_EQ(executor.free_places(), 0);
    EXPECT_EQ((co_await executor.Submit([] { return 1; }).TryGet()).status().code(),
              absl::StatusCode::kResourceExhausted);
    EXPECT_EQ(executor.free_places(), 0);
    go.Set();
    for (const Future<void>& each : futures) co_await each.Get();
    co_await executor.Close();
    EXPECT_EQ(executor.free_places(), 2);
  });
}

// 1. A task ends on another carrier. 2. Its future is done. 3. Who waited for that submits the next one, which is not
// refused.
TEST_P(BoundedExecutorTest, WhenAFutureIsDoneThePlaceOfItsTaskIsFree) {
  Everywhere([]() -> Task<void> {
    BoundedExecutor executor(1);
    for (int i = 0; i < 200; ++i) EXPECT_EQ((co_await executor.Submit([i] { return i; }).TryGet()).value_or(-1), i);
    const Future<void> cancelled = executor.Submit(testing::Forever());
    cancelled.Cancel();
    EXPECT_FALSE((co_await cancelled.TryGet()).ok());
    EXPECT_EQ(executor.free_places(), 1);
    co_await executor.Close();
  });
}

TEST_P(BoundedExecutorTest, SubmitWhenFreeWaitsInOrderAndTheBoundHolds) {
  Everywhere([]() -> Task<void> {
    BoundedExecutor executor(2);
    std::atomic<int> running{0}, most{0}, ended{0};
    AwaitAll scope;
    for (int i = 0; i < 4; ++i) {
      scope.Fork([&]() -> Task<void> {
        for (int k = 0; k < 3; ++k) {
          co_await executor.SubmitWhenFree([&]() -> Task<void> {
            const int now = ++running;
            int before = most;
            while (before < now && !most.compare_exchange_weak(before, now)) {
            }
            co_await Yield();
            --running;
            ++ended;
          });
        }
      });
    }
    (co_await scope.Join()).IgnoreFailures();
    co_await executor.Close();
    EXPECT_LE(most, 2);
    EXPECT_EQ(ended, 12);
  });
}

TEST_P(BoundedExecutorTest, AWaitForAPlaceIsCancelledOrRefused) {
  Everywhere([]() -> Task<void> {
    BoundedExecutor executor(1);
    Event go;
    executor.Submit([&go]() -> Task<void> { co_await go.Wait(); });
    EXPECT_EQ(co_await MoveOnAfter(absl::Milliseconds(1), executor.SubmitWhenFree([] { return 1; })), std::nullopt);
    AwaitAll scope;
    testing::Introduction waiting;
    auto refused = scope.Fork([&]() -> Task<absl::Status> {
      waiting.Make();
      const Future<int> future = co_await executor.SubmitWhenFree([] { return 1; });
      const absl::Status status = (co_await future.TryGet()).status();
      EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
      co_return absl::OkStatus();
    });
    co_await waiting.AwaitParked();
    executor.Shutdown();
    go.Set();
    (co_await scope.Join()).IgnoreFailures();
    EXPECT_EQ(refused.status(), absl::OkStatus());
    co_await executor.Close();
    EXPECT_EQ(executor.free_places(), 1);
  });
}

// 1. A Submit() is refused, and destroys the frame. 2. ShutdownNow() asks all tasks to end. 3. The frame is gone.
TEST(BoundedExecutorOsTest, AShutdownMayComeWhileATaskIsRefused) {
  const std::unique_ptr<Runtime> runtime = *Runtime::Create({.parallelism = 1});
  BoundedExecutor executor(*runtime, 1);
  const Future<void> running = executor.Submit(Forever());
  SlowToEnd kept;
  Future<void> refused;
  std::thread submits([&] { refused = executor.Submit(Keeping(kept.Keep())); });
  kept.AwaitEnding();
  executor.ShutdownNow();
  kept.LetEnd();
  submits.join();
  EXPECT_EQ(refused.TryGetBlocking().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(ReasonOf(running.TryGetBlocking()).kind, CancelReason::Kind::kShutdown);
}

// The destructor ends the task, which gives its place to the thread that waits; and that has not run since.
TEST(BoundedExecutorDeathTest, ToDestroyItWhileAThreadWaitsToSubmitIsACheck) {
  ::testing::GTEST_FLAG(death_test_style) = "threadsafe";
  for (const int waiting : {1, 2}) {
    EXPECT_DEATH(
        {
          const std::unique_ptr<Runtime> runtime = *Runtime::Create({.parallelism = 1, .max_pool_size = 1});
          runtime->Run([](int threads) -> Task<void> {
            auto executor = std::make_unique<BoundedExecutor>(1);
            executor->Submit(Forever());
            AwaitAll scope;
            for (int i = 0; i < threads; ++i) {
              testing::Introduction waits;
              scope.Fork([&executor, &waits]() -> Task<void> {
                waits.Make();
                co_await executor->SubmitWhenFree([] {});
              });
              co_await waits.AwaitParked();
            }
            executor.reset();
            (co_await scope.Join()).IgnoreFailures();
          }(waiting));
        },
        waiting == 1 ? "a BoundedExecutor is destroyed by .* while a thread that was given a place waits to submit"
                     : "a BoundedExecutor is destroyed by .* while VirtualThread.* waits to submit");
  }
}

// ---- ScheduledExecutor.

TEST_P(ScheduledExecutorTest, ATaskRunsAfterItsDelay) {
  Everywhere([]() -> Task<void> {
    ScheduledExecutor executor;
    const MonotonicTime begin = MonotonicNow();
    Future<MonotonicTime> later = executor.Schedule(absl::Milliseconds(2), [] { return MonotonicNow(); });
    Future<int> task = executor.Schedule(absl::ZeroDuration(), []() -> Task<int> {
      co_await Yield();
      co_return 1;
    });
    EXPECT_EQ(co_await task.Get(), 1);
    EXPECT_GE(co_await later.Get() - begin, absl::Milliseconds(2));
    co_await executor.Close();
  });
}

TEST_P(ScheduledExecutorTest, AtAFixedRateNoRunIsLeftOutAndWithAFixedDelayTheEndCounts) {
  if (!simulated()) GTEST_SKIP() << "of virtual time";
  Everywhere([]() -> Task<void> {
    ScheduledExecutor executor;
    const MonotonicTime begin = MonotonicNow();
    std::vector<int64_t> rate, delay;
    Event three, two;
    const auto hours = [begin] { return absl::ToInt64Hours(MonotonicNow() - begin); };
    Future<void> at_rate = executor.ScheduleAtFixedRate(absl::Hours(1), absl::Hours(2), [&]() -> Task<void> {
      rate.push_back(hours());
      if (rate.size() == 1) co_await Sleep(absl::Hours(3));  // the second run is an hour late
      if (rate.size() == 4) three.Set();
    });
    co_await three.Wait();
    at_rate.Cancel();
    EXPECT_EQ(rate, (std::vector<int64_t>{1, 4, 5, 7}));
    const int64_t from = hours();
    const auto late = [&]() -> Task<void> {
      delay.push_back(hours() - from);
      co_await Sleep(absl::Hours(1));
      if (delay.size() == 3) two.Set();
    };
    Future<void> with_delay = executor.ScheduleWithFixedDelay(absl::ZeroDuration(), absl::Hours(2), late);
    co_await two.Wait();
    with_delay.Cancel();
    EXPECT_EQ(delay, (std::vector<int64_t>{0, 3, 6}));
    EXPECT_EQ(ReasonOf(co_await at_rate.TryGet()).kind, CancelReason::Kind::kFutureCancelled);
    co_await executor.Close();
  });
}

TEST(ScheduledExecutorFailureTest, WhatAShutdownEndsHasNotFailedAlsoIfNobodyHoldsItsFuture) {
  int failures = 0;
  testing::Simulation simulation({.on_uncaught_failure = [&](const auto&...) { ++failures; }});
  simulation.Run([]() -> Task<void> {
    ScheduledExecutor executor;
    executor.ScheduleAtFixedRate(absl::ZeroDuration(), absl::Seconds(1), [] {});
    co_await Sleep(absl::Seconds(3));
    co_await executor.Close();
  }());
  EXPECT_EQ(failures, 0);
}

TEST_P(ScheduledExecutorTest, AFailureEndsTheRuns) {
  Everywhere([]() -> Task<void> {
    ScheduledExecutor executor;
    int runs = 0;
    Future<void> future = executor.ScheduleAtFixedRate(absl::ZeroDuration(), absl::Microseconds(1), [&runs] {
      return ++runs == 3 ? absl::DataLossError("gone") : absl::OkStatus();
    });
    EXPECT_EQ(co_await future.TryGet(), absl::DataLossError("gone"));
    EXPECT_EQ(runs, 3);
    co_await executor.Close();
  });
}

TEST_P(ScheduledExecutorTest, AShutdownEndsWhatRunsAgainAndLetsWhatRunsOnceCome) {
  Everywhere([]() -> Task<void> {
    ScheduledExecutor executor;
    Future<void> again = executor.ScheduleAtFixedRate(absl::Hours(1), absl::Hours(1), [] {});
    Future<int> once = executor.Schedule(absl::Milliseconds(1), [] { return 1; });
    co_await executor.Close();
    EXPECT_EQ(co_await once.Get(), 1);
    EXPECT_EQ((co_await again.TryGet()).code(), absl::StatusCode::kCancelled);

    ScheduledExecutor ended;
    Future<int> never = ended.Schedule(absl::Hours(1), [] { return 1; });
    ended.ShutdownNow();
    co_await ended.Close();
    EXPECT_EQ((co_await never.TryGet()).status().code(), absl::StatusCode::kCancelled);
  });
}

TEST_P(ScheduledExecutorTest, AShutdownAlsoEndsWhatRunsAgainAndIsLate) {
  Everywhere([]() -> Task<void> {
    ScheduledExecutor executor;
    std::atomic<int> runs{0};
    Event begun;
    Future<void> late = executor.ScheduleAtFixedRate(absl::ZeroDuration(), absl::Nanoseconds(1), [&]() -> Task<void> {
      ++runs;
      begun.Set();
      co_await Shield(Sleep(absl::Microseconds(10)));
    });
    co_await begun.Wait();
    executor.Shutdown();
    const int so_far = runs;
    co_await executor.Close();
    EXPECT_LE(runs, so_far + 1);
    EXPECT_EQ(ReasonOf(co_await late.TryGet()).kind, CancelReason::Kind::kShutdown);
  });
}

// The time of the next run and that of the shutdown are the same.
TEST(ScheduledExecutorSimulatedTest, NoRunBeginsAfterAShutdownThatCameBetweenItsTimeAndItsTurn) {
  for (uint64_t seed = 1; seed <= 50; ++seed) {
    testing::Simulation simulation({.carriers = 1 + static_cast<int>(seed % 3), .seed = seed});
    simulation.Run([]() -> Task<void> {
      ScheduledExecutor executor;
      std::atomic<int> runs{0};
      const Future<void> again = executor.ScheduleAtFixedRate(absl::Hours(1), absl::Hours(1), [&] { ++runs; });
      co_await Sleep(absl::Hours(1));
      executor.Shutdown();
      const int so_far = runs;
      co_await executor.Close();
      EXPECT_EQ(runs, so_far);
    }());
  }
}

// ---- ThreadPoolExecutor.

TEST_P(ThreadPoolExecutorTest, RunCallsOnAnOsThreadAndYieldsWhatTheClosureReturns) {
  Everywhere([]() -> Task<void> {
    ThreadPoolExecutor pool(2);
    const std::thread::id carrier = std::this_thread::get_id();
    int seen = 0;
    EXPECT_EQ(co_await pool.Run([&seen] {
      EXPECT_FALSE(VirtualThread::HasCurrent());
      seen = 1;
      return 2;
    }),
              2);
    EXPECT_EQ(seen, 1);
    EXPECT_EQ(co_await pool.Run([] { return std::this_thread::get_id(); }) == carrier, simulated());
    EXPECT_EQ(*co_await pool.Run([] { return std::make_unique<int>(3); }), 3);
    EXPECT_EQ(co_await pool.Run([] { return absl::DataLossError("gone"); }), absl::DataLossError("gone"));
    co_await pool.Run([] {});
    co_await pool.Close();
    EXPECT_EQ((co_await pool.Run([] { return absl::StatusOr<int>(1); })).status().code(),
              absl::StatusCode::kFailedPrecondition);
  });
}

TEST_P(ThreadPoolExecutorTest, TasksRunInOrderAndNAtATime) {
  Everywhere([]() -> Task<void> {
    ThreadPoolExecutor one(1);
    std::vector<int> order;
    std::vector<Future<void>> futures;
    for (int i = 0; i < 20; ++i) futures.push_back(one.Submit([&order, i] { order.push_back(i); }));
    for (const Future<void>& each : futures) co_await each.Get();
    for (int i = 0; i < 20; ++i) EXPECT_EQ(order[static_cast<size_t>(i)], i);
    EXPECT_EQ(one.threads(), 1);
    co_await one.Close();

    ThreadPoolExecutor two(2);
    std::atomic<int> running{0}, too_many{0};
    std::vector<Future<void>> computing;
    for (int i = 0; i < 20; ++i) {
      computing.push_back(two.Submit([&] {
        if (++running > 2) ++too_many;
        --running;
      }));
    }
    co_await two.Close();
    EXPECT_EQ(too_many, 0);
    for (const Future<void>& each : computing) EXPECT_TRUE(each.IsDone());
  });
}

TEST_P(ThreadPoolExecutorTest, WhatIsQueuedIsCancelledAndWhatHasBegunGoesOn) {
  Everywhere([]() -> Task<void> {
    const int64_t alive = Counted::alive;
    ThreadPoolExecutor pool(1);
    Gate begun, go;
    Future<int> first = pool.Submit([&] {
      begun.Open();
      go.Pass();
      return 1;
    });
    co_await pool.Submit([] {}).GetFor(absl::ZeroDuration());
    Future<int> second = pool.Submit([kept = Counted(2)] { return kept.value(); });
    Future<int> third = pool.Submit([kept = Counted(3)] { return kept.value(); });
    AwaitAll scope;
    testing::Introduction waiting;
    bool ran = false;
    auto run = scope.Fork([&]() -> Task<int> {
      waiting.Make();
      co_return co_await pool.Run([&ran] {
        ran = true;
        return 4;
      });
    });
    co_await waiting.AwaitParked();
    second.Cancel();
    EXPECT_TRUE(second.IsDone());
    scope.Shutdown();
    (co_await scope.Join()).IgnoreFailures();
    EXPECT_EQ(run.state(), Subtask<int>::State::kUnavailable);
    first.Cancel();  // it has begun, or is about to
    go.Open();
    EXPECT_EQ(ReasonOf((co_await second.TryGet()).status()).kind, CancelReason::Kind::kFutureCancelled);
    EXPECT_EQ(co_await third.Get(), 3);
    co_await pool.Close();
    EXPECT_FALSE(ran);
    EXPECT_TRUE(first.IsDone());
    EXPECT_EQ(Counted::alive, alive);
  });
}

TEST_P(ThreadPoolExecutorTest, ShutdownNowEndsWhatIsQueued) {
  Everywhere([]() -> Task<void> {
    ThreadPoolExecutor pool(1);
    Gate go;
    std::atomic<bool> begun{false};
    Future<int> running = pool.Submit([&] {
      begun = true;
      go.Pass();
      return 1;
    });
    while (!begun) co_await Yield();
    std::vector<Future<int>> queued;
    for (int i = 0; i < 100; ++i) queued.push_back(pool.Submit([] { return 2; }));
    pool.ShutdownNow();
    for (const Future<int>& each : queued) {
      EXPECT_EQ(ReasonOf((co_await each.TryGet()).status()).kind, CancelReason::Kind::kShutdown);
    }
    EXPECT_FALSE(pool.IsTerminated());
    go.Open();
    EXPECT_TRUE(co_await pool.AwaitTermination());
    EXPECT_EQ(co_await running.Get(), 1);
  });
}

TEST_P(ThreadPoolExecutorTest, ATaskHoldsAPlaceAndRunsAsAVirtualThread) {
  Everywhere([]() -> Task<void> {
    ThreadPoolExecutor pool(2);
    Executor& executor = pool;
    std::vector<Future<uint64_t>> futures;
    for (int i = 0; i < 10; ++i) {
      futures.push_back(executor.Submit([]() -> Task<uint64_t> {
        co_await Sleep(absl::Microseconds(1));
        co_return VirtualThread::Current().id();
      }));
    }
    for (const Future<uint64_t>& each : futures) EXPECT_NE(co_await each.Get(), 0u);
    Future<void> cancelled = executor.Submit(Forever());
    cancelled.Cancel();
    EXPECT_EQ((co_await cancelled.TryGet()).code(), absl::StatusCode::kCancelled);
    co_await executor.Close();
  });
}

TEST_P(ThreadPoolExecutorTest, CloseWaitsForARun) {
  Everywhere([]() -> Task<void> {
    ThreadPoolExecutor pool(1);
    Gate go;
    std::atomic<bool> begun{false}, ended{false};
    AwaitAll scope;
    scope.Fork([&]() -> Task<void> {
      co_await pool.Run([&] {
        begun = true;
        go.Pass();
        ended = true;
      });
    });
    while (!begun) co_await Yield();
    EXPECT_FALSE(co_await MoveOnAfter(absl::Milliseconds(1), pool.Close()));
    go.Open();
    co_await pool.Close();
    EXPECT_TRUE(ended);
    (co_await scope.Join()).IgnoreFailures();
  });
}

TEST_P(ThreadPoolExecutorTest, WhatOwesACleanUpBeginsAlsoIfItIsCancelledInTheQueue) {
  Everywhere([]() -> Task<void> {
    ThreadPoolExecutor pool(1);
    Gate go;
    std::atomic<bool> begun{false};
    pool.Submit([&] {
      begun = true;
      go.Pass();
    });
    while (!begun) co_await Yield();  // in the queue, ShutdownNow() would end it
    std::atomic<int> cleaned_up{0};
    const auto owing = [&cleaned_up] {
      return Finally(Forever(), [&cleaned_up]() -> Task<void> {
        ++cleaned_up;
        co_return;
      });
    };
    Future<void> cancelled = pool.Submit(owing());
    Future<void> shut_down = pool.Submit(owing());
    cancelled.Cancel();
    pool.ShutdownNow();
    EXPECT_EQ(cleaned_up, 0);
    go.Open();
    co_await pool.Close();
    EXPECT_EQ(cleaned_up, 2);
    EXPECT_EQ(ReasonOf(co_await cancelled.TryGet()).kind, CancelReason::Kind::kFutureCancelled);
    EXPECT_EQ(ReasonOf(co_await shut_down.TryGet()).kind, CancelReason::Kind::kShutdown);
  });
}

TEST_P(ThreadPoolExecutorTest, AClosureCanAskWhetherItWasAskedToEnd) {
  Everywhere([]() -> Task<void> {
    ThreadPoolExecutor pool(1);
    Gate begun;
    Future<bool> before = pool.Submit([] { return CancelRequested(); });
    EXPECT_FALSE(co_await before.Get());
    Future<void> asked = pool.Submit([&begun] {
      begun.Open();
      while (!CancelRequested()) std::this_thread::yield();
    });
    EXPECT_TRUE((co_await Blocking([&begun] { begun.Pass(); })).ok());
    asked.Cancel();
    EXPECT_TRUE((co_await asked.TryGet()).ok());
    EXPECT_FALSE(co_await pool.Submit([] { return CancelRequested(); }).Get());
    Gate inside;
    Future<bool> within = pool.Submit([&inside] {
      inside.Open();
      while (!CancelRequested()) std::this_thread::yield();
      bool requested = true;  // of a virtual thread that this OS thread runs
      testing::Simulation({.carriers = 1}).Run([&requested]() -> Task<void> {
        requested = CancelRequested();
        co_return;
      });
      return requested;
    });
    EXPECT_TRUE((co_await Blocking([&inside] { inside.Pass(); })).ok());
    within.Cancel();
    EXPECT_FALSE(co_await within.Get());
    co_await pool.Close();
  });
}

TEST_P(ThreadPoolExecutorTest, ItsDestructionByAVirtualThreadAsksWhatRunsToEndAndWaits) {
  Everywhere([]() -> Task<void> {
    Future<bool> asked;
    Future<void> queued, sleeping;
    {
      ThreadPoolExecutor pool(2);
      Gate begun;
      asked = pool.Submit([&begun] {
        begun.Open();
        while (!CancelRequested()) std::this_thread::yield();
        return true;
      });
      EXPECT_TRUE((co_await Blocking([&begun] { begun.Pass(); })).ok());
      sleeping = pool.Submit(Forever());
      for (int i = 0; i < 3; ++i) queued = pool.Submit(Forever());
    }
    EXPECT_TRUE(asked.IsDone() && queued.IsDone() && sleeping.IsDone());
    EXPECT_TRUE(co_await asked.Get());
    EXPECT_EQ(ReasonOf(co_await queued.TryGet()).kind, CancelReason::Kind::kScopeClosed);
  });
}

// The thread in Run() can go on on no carrier but the one that is held: there is no other, or it is pinned there.
TEST(ThreadPoolExecutorOsTest, ItsDestructionByAVirtualThreadLetsOneInRunGoOn) {
  for (const bool pinned : {false, true}) {
    const std::unique_ptr<Runtime> runtime = *Runtime::Create({.parallelism = 1, .max_pool_size = pinned ? 2 : 1});
    runtime->Run([](bool with_pin) -> Task<void> {
      auto pool = std::make_unique<ThreadPoolExecutor>(1);
      Gate begun, go;
      bool returned = false;
      AwaitAll scope;
      scope.Fork([&]() -> Task<void> {
        std::optional<Pin> pin;
        if (with_pin) pin.emplace();
        co_await pool->Run([&] {
          begun.Open();
          go.Pass();
        });
        returned = true;
      });
      EXPECT_TRUE((co_await Blocking([&begun] { begun.Pass(); })).ok());
      go.Open();
      pool.reset();
      EXPECT_TRUE(returned);
      (co_await scope.Join()).IgnoreFailures();
    }(pinned));
  }
}

TEST(SimulatedThreadPoolExecutorTest, ASeedDeterminesWhatItRunsWhen) {
  const auto orders = [](uint64_t seed) {
    std::string order;
    testing::Simulation simulation({.carriers = 2, .seed = seed});
    simulation.Run([&order]() -> Task<void> {
      ThreadPoolExecutor pool(2), other(1);
      for (char name : {'a', 'b', 'c'}) {
        for (ThreadPoolExecutor* each : {&pool, &other}) {
          each->Submit([&order, name] {
            order += name;
            static_cast<void>(CancelRequested());  // others run
            order += name;
          });
        }
      }
      co_await pool.Close();
      co_await other.Close();
    }());
    return absl::StrCat(order, " ", simulation.trace_hash());
  };
  std::set<std::string> seen;
  for (uint64_t seed = 0; seed < 30; ++seed) {
    seen.insert(orders(seed));
    EXPECT_EQ(orders(seed), orders(seed));
  }
  EXPECT_GT(seen.size(), 20u);
}

TEST_P(ThreadPoolExecutorTest, WhenItHasTerminatedTheOutcomesThatNobodyHasAreGone) {
  Everywhere([]() -> Task<void> {
    const int64_t alive = Counted::alive;
    for (bool close : {true, false}) {
      ThreadPoolExecutor pool(2);
      for (int i = 0; i < 4; ++i) {
        pool.Submit([]() -> Task<Counted> {
          co_await Yield();
          co_return Counted(1);
        });
        pool.Submit([] { return Counted(2); });
      }
      if (close) {
        co_await pool.Close();
        EXPECT_EQ(Counted::alive, alive);
      }
    }
    EXPECT_EQ(Counted::alive, alive);
  });
}

TEST_P(ThreadPoolExecutorTest, ItsClosuresHaveTheTime) {
  Everywhere([]() -> Task<void> {
    ThreadPoolExecutor pool(1);
    const MonotonicTime begin = MonotonicNow();
    const absl::Time wall = Now();
    const auto later = [begin, wall] { return MonotonicNow() >= begin && Now() >= wall; };
    EXPECT_TRUE(co_await pool.Submit(later).Get());
    EXPECT_TRUE(co_await pool.Run(later));
    co_await pool.Close();
    if (simulated()) EXPECT_EQ(MonotonicNow(), begin);
  });
}

TEST(SimulatedThreadPoolExecutorTest, ItsLimitsHoldAtItsEnd) {
  int reports = 0;
  std::unique_ptr<ThreadPoolExecutor> pool;
  {
    testing::Simulation simulation({.on_deadlock = [&](const std::string&) { ++reports; }, .max_turns = 1'000});
    simulation.Run([&]() -> Task<void> {
      pool = std::make_unique<ThreadPoolExecutor>(1);
      Event begun;
      VirtualThread::Start([&]() -> Task<void> {
        begun.Set();
        co_await Shield([&]() -> Task<void> {
          for (;;) co_await pool->Run([] {});
        });
      });
      co_await begun.Wait();
    }());
  }
  EXPECT_EQ(reports, 2);
}

TEST(SimulatedThreadPoolExecutorTest, TheEndOfTheSimulationWaitsForWhatIsQueued) {
  int ran = 0;
  std::unique_ptr<ThreadPoolExecutor> pool;
  {
    testing::Simulation simulation;
    simulation.Run([&]() -> Task<void> {
      pool = std::make_unique<ThreadPoolExecutor>(1);
      for (int i = 0; i < 3; ++i) {
        pool->Submit([&ran] {
          static_cast<void>(CancelRequested());
          ++ran;
        });
      }
      co_return;
    }());
  }
  EXPECT_EQ(ran, 3);
}

TEST(SimulatedThreadPoolExecutorDeathTest, APoolOfAnotherWorldIsACheck) {
  ::testing::GTEST_FLAG(death_test_style) = "threadsafe";
  static constexpr auto kRun = [](ThreadPoolExecutor& pool) -> Task<void> { co_await pool.Run([] {}); };
  static constexpr auto kSubmit = [](ThreadPoolExecutor& pool) -> Task<void> { co_await pool.Submit([] {}).Get(); };
  const char* const real = "a ThreadPoolExecutor is used in a simulation, and was not made there";
  for (const auto& use : {+kRun, +kSubmit}) {
    EXPECT_DEATH(
        {
          ThreadPoolExecutor pool(1);
          testing::Simulation().Run(use(pool));
        },
        real);
  }
  EXPECT_DEATH(
      {
        std::unique_ptr<ThreadPoolExecutor> pool;
        testing::Simulation().Run([&pool]() -> Task<void> {
          pool = std::make_unique<ThreadPoolExecutor>(1);
          co_return;
        }());
        pool->Submit(Forever());
      },
      "work for a ThreadPoolExecutor whose simulation has ended");
}

// The runtime's end waits for them, and asks them to end as soon as they are there.
TEST(ThreadPoolExecutorOsTest, QueuedTasksKeepTheRuntimeThatTheyAreToRunOn) {
  std::unique_ptr<ThreadPoolExecutor> pool;
  Gate go;
  Future<void> forever, cancelled;
  std::thread opener;
  {
    const std::unique_ptr<Runtime> runtime = *Runtime::Create({.parallelism = 1});
    runtime->Run([&]() -> Task<void> {
      pool = std::make_unique<ThreadPoolExecutor>(1);
      pool->Submit([&go] { go.Pass(); });
      cancelled = pool->Submit(Forever());
      forever = pool->Submit(Forever());
      cancelled.Cancel();
      co_return;
    }());
    opener = std::thread([&go] { go.Open(); });
  }
  EXPECT_EQ(ReasonOf(forever.TryGetBlocking()).kind, CancelReason::Kind::kRuntimeExit);
  EXPECT_EQ(ReasonOf(cancelled.TryGetBlocking()).kind, CancelReason::Kind::kFutureCancelled);
  opener.join();
}

TEST(ThreadPoolExecutorOsTest, AFailureThatNobodyCanReadGoesToTheHandlerOfTheRuntime) {
  std::vector<absl::Status> failures;
  const auto keep = [&failures](TextView, const absl::Status& status, const std::exception_ptr&) {
    failures.push_back(status);
  };
  const std::unique_ptr<Runtime> runtime = *Runtime::Create({.parallelism = 1, .on_uncaught_failure = keep});
  runtime->Run([]() -> Task<void> {
    ThreadPoolExecutor pool(1);
    Gate go;
    pool.Submit([&go] { go.Pass(); });
    pool.Submit([] { return absl::DataLossError("gone"); });
    go.Open();
    co_await pool.Close();
  }());
  EXPECT_EQ(failures, std::vector{absl::DataLossError("gone")});
}

TEST(ThreadPoolExecutorDeathTest, AClosureThatWouldWaitForItselfIsACheck) {
  ::testing::GTEST_FLAG(death_test_style) = "threadsafe";
  EXPECT_DEATH(
      {
        ThreadPoolExecutor pool(2);
        pool.Submit([&pool] { pool.CloseBlocking(); }).GetBlocking();
      },
      "CloseBlocking.. of an Executor by a closure that runs on an OS thread of it: it would wait for itself");
  EXPECT_DEATH(
      {
        Gate dropped;
        auto pool = std::make_shared<ThreadPoolExecutor>(1);
        Future<void> last = pool->Submit([pool, &dropped] { dropped.Pass(); });
        pool.reset();
        dropped.Open();
        last.GetBlocking();
      },
      "the destruction of an Executor by a closure that runs on an OS thread of it");
}

// 1. A request takes a task out of the queue, and destroys its frame. 2. Another request comes. 3. The frame is gone.
TEST(ThreadPoolExecutorOsTest, ARequestMayComeWhileAnotherOneDestroysTheTask) {
  ThreadPoolExecutor pool(1);
  Gate go;
  pool.Submit([&go] { go.Pass(); });
  SlowToEnd kept;
  const Future<void> queued = pool.Submit(Keeping(kept.Keep()));
  std::thread cancels([&queued] { queued.Cancel(); });
  kept.AwaitEnding();
  queued.Cancel();
  kept.LetEnd();
  cancels.join();
  EXPECT_EQ(ReasonOf(queued.TryGetBlocking()).kind, CancelReason::Kind::kFutureCancelled);
  go.Open();
  pool.CloseBlocking();
}

TEST(ThreadPoolExecutorOsTest, WithoutAnOsThreadATaskFailsAndSaysWhy) {
  std::vector<absl::Status> failures;
  const auto keep = [&failures](TextView, const absl::Status& status, const std::exception_ptr&) {
    failures.push_back(status);
  };
  const std::unique_ptr<Runtime> runtime = *Runtime::Create({.parallelism = 1, .on_uncaught_failure = keep});
  std::unique_ptr<ThreadPoolExecutor> pool;
  runtime->Run([](std::unique_ptr<ThreadPoolExecutor>& made) -> Task<void> {
    made = std::make_unique<ThreadPoolExecutor>(1);
    co_return;
  }(pool));
  for (const int error : {EAGAIN, EPERM}) {
    const internal::ScopedSyscallFault fault(&internal::Syscalls::pthread_create,
                                             {.times = internal::ScopedSyscallFault::kForever, .error = error});
    const absl::Status status = pool->Submit([] { return 1; }).TryGetBlocking().status();
    EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
    EXPECT_EQ(ErrnoOf(status), error);
    EXPECT_EQ(status.message().find("a ThreadPoolExecutor has no OS thread, and none can be made: "), 0u) << status;
    pool->Submit([] {});  // by an OS thread, and nobody looks
    ASSERT_FALSE(failures.empty());
    EXPECT_EQ(failures.back(), status);
  }
  EXPECT_EQ(failures.size(), 2u);
  EXPECT_EQ(pool->Submit([] { return 2; }).GetBlocking(), 2);
  pool->CloseBlocking();
}

TEST(ThreadPoolExecutorOsTest, AnOsThreadUsesAPoolWithoutAnyRuntime) {
  ThreadPoolExecutor pool(2);
  std::vector<Future<int>> futures;
  for (int i = 0; i < 100; ++i) futures.push_back(pool.Submit([i] { return i; }));
  int sum = 0;
  for (const Future<int>& each : futures) sum += each.GetBlocking();
  EXPECT_EQ(sum, 4950);
  pool.CloseBlocking();
  EXPECT_EQ(pool.Submit([] { return 1; }).TryGetBlocking().status().code(), absl::StatusCode::kFailedPrecondition);
}

// ---- Bridges.

TEST_P(ThreadPoolExecutorTest, AStdFutureBecomesAFuture) {
  Everywhere([]() -> Task<void> {
    ThreadPoolExecutor pool(1);
    std::promise<int> promise;
    Future<int> ours = FromStdFuture(pool, promise.get_future());
    for (int turn = 0; turn < 10; ++turn) co_await Yield();  // it may wait already
    promise.set_value(3);
    EXPECT_EQ(co_await ours.Get(), 3);
    co_await pool.Close();
  });
}

// The function waits for what comes after the request, and the end of the std::future for the function.
TEST(ThreadPoolExecutorOsTest, ARequestDoesNotWaitForTheFunctionOfAStdFuture) {
  for (const bool shut_down : {false, true}) {
    ThreadPoolExecutor pool(1);
    Gate before, go;
    pool.Submit([&before] { before.Pass(); });
    const Future<void> ours = FromStdFuture(pool, std::async(std::launch::async, [&go] { go.Pass(); }));
    shut_down ? pool.ShutdownNow() : ours.Cancel();
    EXPECT_FALSE(ours.IsDone());
    go.Open();
    before.Open();
    EXPECT_EQ(ReasonOf(ours.TryGetBlocking()).kind,
              shut_down ? CancelReason::Kind::kShutdown : CancelReason::Kind::kFutureCancelled);
    pool.CloseBlocking();
  }
}

TEST_P(ScheduledExecutorTest, ACallbackIsCalledOnceWithTheOutcome) {
  Everywhere([]() -> Task<void> {
    Promise<int> good, bad;
    Promise<void> called, called_too;
    OnDone(good.future(), [&called](absl::StatusOr<int> outcome) {
      EXPECT_EQ(*outcome, 1);
      EXPECT_TRUE(called.SetValue());
    });
    OnDone(bad.future(), [&called_too](absl::StatusOr<int> outcome) -> Task<void> {
      co_await Yield();
      EXPECT_EQ(outcome.status(), absl::DataLossError("gone"));
      EXPECT_TRUE(called_too.SetValue());
    });
    good.SetValue(1);
    bad.SetStatus(absl::DataLossError("gone"));
    co_await called.future().Get();
    co_await called_too.future().Get();
  });
}

TEST(OnDoneTest, TheEndOfTheRuntimeCallsTheCallbackAsWell) {
  absl::Status told;
  Promise<int> promise;
  {
    const absl::StatusOr<std::unique_ptr<Runtime>> runtime = Runtime::Create({.parallelism = 1});
    ASSERT_TRUE(runtime.ok());
    (*runtime)->Run([&]() -> Task<void> {
      OnDone(promise.future(), [&told](absl::StatusOr<int> outcome) { told = outcome.status(); });
      co_return;
    }());
  }
  EXPECT_EQ(ReasonOf(told).kind, CancelReason::Kind::kRuntimeExit);
}

}  // namespace
}  // namespace weft

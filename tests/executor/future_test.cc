// Future, Promise, and what makes one future of another. Goal: a future is completed once, everybody who waits for it
// is woken and reads the same, nothing is lost or leaked whoever is cancelled when, and failures pass by whom they do
// not concern. Method: the same bodies in simulations and on carriers; OS threads for what these may call.
// (future_throw_test.cc: exceptions.)
#include "weft/executor/future.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "lib/runtime/runtime_core.h"
#include "tests/support/counted.h"
#include "tests/support/on_both.h"
#include "weft/cancel_reason.h"
#include "weft/cancellation.h"
#include "weft/executor/per_task_executor.h"
#include "weft/executor/promise.h"
#include "weft/executor/when.h"
#include "weft/runtime.h"
#include "weft/scope.h"
#include "weft/sync/event.h"
#include "weft/task.h"
#include "weft/time.h"
#include "weft/virtual_thread.h"

namespace weft {
namespace {

using testing::Counted;
using testing::Introduction;

class FutureTest : public testing::OnBoth {};
WEFT_ON_BOTH(FutureTest);

// ---- A promise and those who wait.

TEST_P(FutureTest, AllWhoWaitAreWokenAndReadTheSameValue) {
  Everywhere([]() -> Task<void> {
    Promise<std::string> promise;
    const Future<std::string> future = promise.future();
    EXPECT_FALSE(future.IsDone());
    AwaitAll scope;
    std::atomic<int> read{0};
    for (int i = 0; i < 5; ++i) {
      Introduction waiting;
      scope.Fork([&]() -> Task<void> {
        waiting.Make();
        EXPECT_EQ(co_await future.Get(), "value");
        ++read;
      });
      co_await waiting.AwaitParked();
    }
    EXPECT_TRUE(promise.SetValue("value"));
    (co_await scope.Join()).IgnoreFailures();
    EXPECT_EQ(read, 5);
    EXPECT_TRUE(future.IsDone());
    EXPECT_EQ(co_await future.Get(), "value");
    EXPECT_EQ((co_await future.TryGet()).value(), "value");
  });
}

TEST_P(FutureTest, TheFirstCompletionCounts) {
  Everywhere([]() -> Task<void> {
    Promise<int> promise;
    EXPECT_TRUE(promise.SetValue(1));
    EXPECT_FALSE(promise.SetValue(2));
    EXPECT_FALSE(promise.SetStatus(absl::InternalError("late")));
    EXPECT_FALSE(promise.Set(3));
    EXPECT_TRUE(promise.IsDone());
    EXPECT_EQ(co_await promise.future().Get(), 1);

    // Raced: exactly one wins.
    Promise<int> raced;
    std::atomic<int> won{0};
    AwaitAll scope;
    for (int i = 0; i < 4; ++i) {
      scope.Fork([&raced, &won, i]() -> Task<void> {
        if (raced.SetValue(i)) ++won;
        co_return;
      });
    }
    (co_await scope.Join()).IgnoreFailures();
    EXPECT_EQ(won, 1);
  });
}

TEST_P(FutureTest, AFailureIsReadAsAStatusByEverybody) {
  Everywhere([]() -> Task<void> {
    Promise<int> promise;
    EXPECT_TRUE(promise.Set(absl::DataLossError("gone")));
    const Future<int> future = promise.future();
    EXPECT_EQ((co_await future.TryGet()).status(), absl::DataLossError("gone"));
    EXPECT_EQ((co_await future.TryGet()).status(), absl::DataLossError("gone"));

    Promise<void> nothing;
    EXPECT_TRUE(nothing.SetStatus(absl::DataLossError("gone")));
    EXPECT_EQ(co_await nothing.future().TryGet(), absl::DataLossError("gone"));
  });
}

TEST_P(FutureTest, APromiseThatIsDestroyedIsAFailureThatSaysSo) {
  Everywhere([]() -> Task<void> {
    Future<int> dropped, replaced;
    {
      Promise<int> promise;
      dropped = promise.future();
      Promise<int> other;
      replaced = other.future();
      other = std::move(promise);
      EXPECT_TRUE(replaced.IsDone());
      EXPECT_FALSE(dropped.IsDone());
    }
    for (const Future<int>& future : {dropped, replaced}) {
      const absl::Status status = (co_await future.TryGet()).status();
      EXPECT_EQ(status.code(), absl::StatusCode::kAborted);
      EXPECT_NE(status.message().find("broken promise"), std::string::npos) << status;
    }
  });
}

TEST_P(FutureTest, ACancelledGetLeavesTheFutureToTheOthers) {
  Everywhere([]() -> Task<void> {
    Promise<int> promise;
    const Future<int> future = promise.future();
    AwaitAll kept, cancelled;
    Introduction first, second;
    auto stays = kept.Fork([&]() -> Task<int> {
      first.Make();
      co_return co_await future.Get();
    });
    co_await first.AwaitParked();
    auto goes = cancelled.Fork([&]() -> Task<int> {
      second.Make();
      co_return co_await future.Get();
    });
    co_await second.AwaitParked();
    cancelled.Shutdown();
    (co_await cancelled.Join()).IgnoreFailures();
    EXPECT_EQ(goes.state(), Subtask<int>::State::kUnavailable);
    EXPECT_FALSE(future.IsDone());
    promise.SetValue(7);
    (co_await kept.Join()).IgnoreFailures();
    EXPECT_EQ(*stays, 7);
  });
}

TEST_P(FutureTest, GetForGivesUpAndTheFutureGoesOn) {
  Everywhere([]() -> Task<void> {
    Promise<int> promise;
    Promise<void> nothing;
    EXPECT_EQ(co_await promise.future().GetFor(absl::Milliseconds(1)), std::nullopt);
    EXPECT_FALSE(co_await nothing.future().GetFor(absl::Milliseconds(1)));
    promise.SetValue(1);
    nothing.SetValue();
    EXPECT_EQ(co_await promise.future().GetFor(absl::Hours(1)), 1);
    EXPECT_TRUE(co_await nothing.future().GetFor(absl::Hours(1)));
  });
}

TEST_P(FutureTest, CancelCompletesTheFutureOfAPromiseAndNamesTheLine) {
  Everywhere([]() -> Task<void> {
    Promise<int> promise;
    const Future<int> future = promise.future();
    future.Cancel();
    future.Cancel();
    EXPECT_TRUE(promise.IsDone());
    EXPECT_FALSE(promise.SetValue(1));
    const absl::Status status = (co_await future.TryGet()).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kCancelled);
    EXPECT_EQ(ReasonOf(status).kind, CancelReason::Kind::kFutureCancelled);
    EXPECT_EQ(ReasonOf(status).thread, VirtualThread::Current().id());
    EXPECT_NE(ReasonOf(status).where.find("future_test.cc"), std::string::npos) << status;

    Promise<int> done;
    done.SetValue(1);
    done.future().Cancel();
    EXPECT_EQ(co_await done.future().Get(), 1);
  });
}

TEST_P(FutureTest, AnOsThreadCompletesWhatAVirtualThreadWaitsFor) {
  if (simulated()) GTEST_SKIP() << "OS threads are not simulated";
  Everywhere([]() -> Task<void> {
    Promise<int> promise;
    const Future<int> future = promise.future();
    std::thread other([promise = std::move(promise)]() mutable { promise.SetValue(5); });
    EXPECT_EQ(co_await future.Get(), 5);
    other.join();
  });
}

// The promise and the only handle lie in the frame of the thread that waits, which goes while the completion returns.
TEST_P(FutureTest, WhoeverSeesThatItIsDoneMayDestroyThePromise) {
  if (simulated()) GTEST_SKIP() << "OS threads are not simulated";
  Everywhere([]() -> Task<void> {
    constexpr int kRounds = 3'000;
    std::atomic<Promise<int>*> next = nullptr;
    std::thread completes([&next] {
      for (int i = 0; i < kRounds; ++i) {
        Promise<int>* promise;
        while ((promise = next.exchange(nullptr)) == nullptr) std::this_thread::yield();
        promise->SetValue(i);
      }
    });
    const auto ask = [&next](int round) -> Task<int> {
      Promise<int> promise;
      next = &promise;
      for (volatile int spin = round % 200; spin > 0; spin = spin - 1) {
      }
      co_return co_await promise.future().Get();
    };
    for (int i = 0; i < kRounds; ++i) EXPECT_EQ(co_await ask(i), i);
    completes.join();
  });
}

TEST(FutureOsTest, OsThreadsBlockUntilItIsDone) {
  for (int round = 0; round < 20; ++round) {
    Promise<int> promise;
    Promise<void> nothing;
    std::vector<std::thread> others;
    std::atomic<int> sum{0};
    for (int i = 0; i < 3; ++i) {
      others.emplace_back([&sum, future = promise.future(), done = nothing.future()] {
        sum += future.GetBlocking();
        done.GetBlocking();
        sum += future.TryGetBlocking().value();
      });
    }
    promise.SetValue(1);
    nothing.SetValue();
    for (std::thread& each : others) each.join();
    EXPECT_EQ(sum, 6);
  }
}

TEST(FutureDeathTest, ACarrierIsNotBlocked) {
  const auto block = []() -> Task<void> {
    Promise<int> promise;
    promise.future().GetBlocking();
    co_return;
  };
  EXPECT_DEATH(weft::Run(block()), "Future::GetBlocking\\(\\) by VirtualThread.*which would hold its carrier");
}

TEST(FutureDeathTest, AFutureThatIsNoneIsACheck) {
  EXPECT_DEATH(static_cast<void>(Future<int>().IsDone()), "a Future that was moved from");
  Promise<int> promise;
  const Promise<int> taken = std::move(promise);
  EXPECT_DEATH(static_cast<void>(promise.future()), "a Promise that was moved from");
}

// ---- Values.

TEST_P(FutureTest, AValueThatCannotBeCopiedIsMovedOut) {
  Everywhere([]() -> Task<void> {
    Promise<std::unique_ptr<int>> promise;
    Future<std::unique_ptr<int>> future = promise.future();
    promise.SetValue(std::make_unique<int>(3));
    const std::unique_ptr<int> value = co_await std::move(future).Get();
    EXPECT_EQ(*value, 3);
    EXPECT_FALSE(future.IsValid());  // it was moved from
  });
}

TEST_P(FutureTest, TheLastHandleMovesAndOthersCopy) {
  Everywhere([]() -> Task<void> {
    const int64_t alive = Counted::alive;
    {
      Future<Counted> future;
      {
        Promise<Counted> promise;
        future = promise.future();
        promise.SetValue(4);
      }
      Future<Counted> other = future;
      EXPECT_EQ((co_await std::move(other).Get()).value(), 4);
      EXPECT_EQ((co_await future.Get()).value(), 4);
      EXPECT_EQ((co_await std::move(future).Get()).value(), 4);
    }
    EXPECT_EQ(Counted::alive, alive);
  });
}

// Whoever completes it may be about to leave, and does not look at the outcome any more.
TEST_P(FutureTest, TheLastHandleMovesWhoeverStillKeepsTheFuture) {
  Everywhere([]() -> Task<void> {
    VirtualThreadPerTaskExecutor executor;
    Future<std::shared_ptr<int>> future = executor.Submit([] { return std::make_shared<int>(1); });
    internal::FutureBase& state = internal::FutureAccess::State(future);
    state.Keep();
    EXPECT_EQ((co_await std::move(future).Get()).use_count(), 1);
    state.LetGo();
    co_await executor.Close();
  });
}

TEST_P(FutureTest, TheLastHandleDestroysTheOutcomeOfADoneFutureWhoeverStillKeepsIt) {
  Everywhere([]() -> Task<void> {
    VirtualThreadPerTaskExecutor executor;
    const auto value = std::make_shared<int>(1);
    Future<std::shared_ptr<int>> submitted = executor.Submit([value] { return value; });
    Promise<std::shared_ptr<int>> promise;
    Future<std::shared_ptr<int>> promised = promise.future();
    promise.SetValue(value);
    {
      const Promise<std::shared_ptr<int>> gone = std::move(promise);
    }
    for (Future<std::shared_ptr<int>>* const each : {&submitted, &promised}) {
      EXPECT_EQ(*co_await each->Get(), 1);
      internal::FutureBase& state = internal::FutureAccess::State(*each);
      state.Keep();
      Future<std::shared_ptr<int>> copy = *each;
      *each = {};
      const int64_t uses = value.use_count();
      copy = {};
      EXPECT_EQ(value.use_count(), uses - 1);
      state.LetGo();
    }
    EXPECT_EQ(value.use_count(), 1);
    co_await executor.Close();
  });
}

TEST_P(FutureTest, AValueThatNobodyReadsIsDestroyed) {
  Everywhere([]() -> Task<void> {
    const int64_t alive = Counted::alive;
    {
      Promise<Counted> promise;
      promise.SetValue(1);
      const Future<Counted> future = promise.future();
    }
    EXPECT_EQ(Counted::alive, alive);
    co_return;
  });
}

// ---- One future of another.

TEST_P(FutureTest, ThenTakesAValueOrATaskAndFlattens) {
  Everywhere([]() -> Task<void> {
    Promise<int> promise;
    const Future<int> one = promise.future();
    const uint64_t self = VirtualThread::Current().id();
    Future<int> three = one.Then([](int value) { return value + 1; })
                            .Then([](int value) -> Task<int> {
                              co_await Yield();
                              co_return value + 1;
                            });
    Future<std::string> flat = one.Then([](int) -> Task<absl::StatusOr<std::string>> { co_return "flat"; })
                                   .Then([](std::string text) -> absl::StatusOr<std::string> { return text + "!"; });
    Future<void> nothing = one.Then([](int) {}).Then([] { return absl::OkStatus(); }).Then([]() -> Task<void> {
      co_return;
    });
    Future<uint64_t> thread = one.Then([](int) { return VirtualThread::Current().id(); });
    promise.SetValue(1);
    EXPECT_EQ(co_await three.Get(), 3);
    EXPECT_EQ(co_await flat.Get(), "flat!");
    co_await nothing.Get();
    EXPECT_NE(co_await thread.Get(), self);
    EXPECT_EQ(co_await one.Get(), 1);
  });
}

TEST_P(FutureTest, AFailurePassesByUntilSomethingRecovers) {
  Everywhere([]() -> Task<void> {
    Promise<int> promise;
    promise.SetStatus(absl::DataLossError("gone"));
    int called = 0;
    Future<int> failed = promise.future().Then([&called](int value) { return ++called + value; });
    EXPECT_EQ((co_await failed.TryGet()).status(), absl::DataLossError("gone"));
    EXPECT_EQ(called, 0);
    EXPECT_EQ(co_await failed.Recover([](absl::Status why) { return static_cast<int>(why.code()); }).Get(),
              static_cast<int>(absl::StatusCode::kDataLoss));
    Future<int> replaced = failed.Recover([](absl::Status) -> Task<absl::StatusOr<int>> {
      co_return absl::NotFoundError("nor here");
    });
    EXPECT_EQ((co_await replaced.TryGet()).status(), absl::NotFoundError("nor here"));

    Promise<int> good;
    good.SetValue(2);
    EXPECT_EQ(co_await good.future().Recover([&called](absl::Status) { return ++called; }).Get(), 2);
    EXPECT_EQ(called, 0);
  });
}

TEST_P(FutureTest, CombineTakesBothValuesAndTheFirstFailure) {
  Everywhere([]() -> Task<void> {
    Promise<int> left;
    Promise<std::string> right;
    Promise<void> nothing;
    Future<std::string> both = left.future().Combine(
        right.future(), [](int number, std::string text) { return text + std::to_string(number); });
    Future<int> with_void = nothing.future().Combine(left.future(), [](int number) { return number; });
    Future<int> failing = left.future().Combine(Future<void>(nothing.future()), [](int number) { return number; });
    right.SetValue("a");
    left.SetValue(1);
    EXPECT_EQ(co_await both.Get(), "a1");
    nothing.SetStatus(absl::DataLossError("gone"));
    EXPECT_EQ((co_await with_void.TryGet()).status(), absl::DataLossError("gone"));
    EXPECT_EQ((co_await failing.TryGet()).status(), absl::DataLossError("gone"));
  });
}

TEST_P(FutureTest, WithTimeoutFailsInTimeAndTheWorkGoesOn) {
  Everywhere([]() -> Task<void> {
    Promise<int> promise;
    Future<int> late = promise.future().WithTimeout(absl::Milliseconds(1));
    const absl::Status status = (co_await late.TryGet()).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kDeadlineExceeded);
    EXPECT_EQ(ReasonOf(status).kind, CancelReason::Kind::kTimeout);
    EXPECT_FALSE(promise.IsDone());
    Future<int> in_time = promise.future().WithTimeout(absl::Hours(1));
    promise.SetValue(1);
    EXPECT_EQ(co_await in_time.Get(), 1);
  });
}

TEST_P(FutureTest, WhenAllYieldsTheValuesInOrder) {
  Everywhere([]() -> Task<void> {
    std::vector<Promise<int>> promises(3);
    std::vector<Future<int>> futures;
    for (Promise<int>& each : promises) futures.push_back(each.future());
    Future<std::vector<int>> all = WhenAll(futures);
    Promise<void> nothing;
    Future<std::tuple<int, int>> some = WhenAll(futures[2], nothing.future(), futures[0]);
    for (int i : {2, 0, 1}) promises[static_cast<size_t>(i)].SetValue(i);
    nothing.SetValue();
    EXPECT_EQ(co_await all.Get(), (std::vector<int>{0, 1, 2}));
    EXPECT_EQ(co_await some.Get(), std::tuple(2, 0));
    EXPECT_EQ(co_await WhenAll(std::vector<Future<int>>()).Get(), std::vector<int>());
    co_await WhenAll(std::vector<Future<void>>{nothing.future()}).Get();

    Promise<int> failed;
    failed.SetStatus(absl::DataLossError("gone"));
    futures.push_back(failed.future());
    EXPECT_EQ((co_await WhenAll(futures).TryGet()).status(), absl::DataLossError("gone"));
    EXPECT_EQ((co_await WhenAll(futures[0], futures[3]).TryGet()).status(), absl::DataLossError("gone"));
  });
}

// Not in the order in which they come.
TEST_P(FutureTest, WhenAllFailsWithTheFirstFailureInTheOrderOfTheFutures) {
  Everywhere([]() -> Task<void> {
    Promise<int> first, second, third;
    const std::vector futures = {first.future(), second.future(), third.future()};
    const Future<std::vector<int>> all = WhenAll(futures);
    const Future<std::tuple<int, int, int>> some = WhenAll(futures[0], futures[1], futures[2]);
    third.SetStatus(absl::DataLossError("third"));
    second.SetStatus(absl::DataLossError("second"));
    for (int i = 0; i < 4; ++i) co_await Yield();
    EXPECT_FALSE(all.IsDone());
    EXPECT_FALSE(some.IsDone());
    first.SetValue(1);
    EXPECT_EQ((co_await all.TryGet()).status(), absl::DataLossError("second"));
    EXPECT_EQ((co_await some.TryGet()).status(), absl::DataLossError("second"));

    // What comes after it is not waited for.
    const Promise<int> never;
    EXPECT_EQ((co_await WhenAll(futures[1], never.future()).TryGet()).status(), absl::DataLossError("second"));
    EXPECT_EQ((co_await WhenAll(std::vector{futures[1], never.future()}).TryGet()).status(),
              absl::DataLossError("second"));
  });
}

TEST_P(FutureTest, WhenAnyIsDoneWithTheFirst) {
  Everywhere([]() -> Task<void> {
    for (size_t first = 0; first < 3; ++first) {
      std::vector<Promise<int>> promises(3);
      std::vector<Future<int>> futures;
      for (Promise<int>& each : promises) futures.push_back(each.future());
      Future<size_t> any = WhenAny(futures);
      promises[first].SetStatus(absl::DataLossError("done, too"));
      EXPECT_EQ(co_await any.Get(), first);
      EXPECT_EQ(co_await WhenAny(futures).Get(), first);
    }
    EXPECT_EQ((co_await WhenAny(std::vector<Future<int>>()).TryGet()).status().code(),
              absl::StatusCode::kInvalidArgument);
  });
}

TEST_P(FutureTest, WhenAnyIsRacedByAllAndByACancel) {
  Everywhere([]() -> Task<void> {
    std::vector<Promise<int>> promises(3);
    std::vector<Future<int>> futures;
    for (Promise<int>& each : promises) futures.push_back(each.future());
    Future<size_t> any = WhenAny(futures);
    AwaitAll scope;
    for (Promise<int>& each : promises) {
      scope.Fork([&each]() -> Task<void> {
        each.SetValue(1);
        co_return;
      });
    }
    scope.Fork([&any]() -> Task<void> {
      any.Cancel();
      co_return;
    });
    (co_await scope.Join()).IgnoreFailures();
    const absl::StatusOr<size_t> first = co_await any.TryGet();
    if (first.ok()) {
      EXPECT_LT(*first, 3u);
    } else {
      EXPECT_EQ(ReasonOf(first.status()).kind, CancelReason::Kind::kFutureCancelled);
    }
  });
}

TEST_P(FutureTest, CancelOfADerivedFutureEndsItsThreadAndNotTheWork) {
  Everywhere([]() -> Task<void> {
    Promise<int> promise;
    Future<int> waiting = promise.future().Then([](int value) { return value; });
    waiting.Cancel();
    EXPECT_EQ(ReasonOf((co_await waiting.TryGet()).status()).kind, CancelReason::Kind::kFutureCancelled);
    EXPECT_FALSE(promise.IsDone());

    Event begun;
    Future<int> running = promise.future().Then([&begun](int value) -> Task<int> {
      begun.Set();
      co_await testing::Forever();
      co_return value;
    });
    promise.SetValue(1);
    co_await begun.Wait();
    running.Cancel();
    EXPECT_EQ((co_await running.TryGet()).status().code(), absl::StatusCode::kCancelled);
  });
}

TEST_P(FutureTest, AChainOfAnyLengthNeedsNoStack) {
  Everywhere([]() -> Task<void> {
    constexpr int kLength = 2'000;
    Promise<int> promise;
    Future<int> last = promise.future();
    for (int i = 0; i < kLength; ++i) last = std::move(last).Then([](int value) { return value + 1; });
    promise.SetValue(0);
    EXPECT_EQ(co_await std::move(last).Get(), kLength);
  });
}

TEST(FutureChainTest, AHundredThousandThensDoNotRecurse) {
  constexpr int kLength = 100'000;
  EXPECT_EQ(weft::Run([]() -> Task<int> {
              Promise<int> promise;
              Future<int> last = promise.future();
              for (int i = 0; i < kLength; ++i) last = std::move(last).Then([](int value) { return value + 1; });
              promise.SetValue(0);
              co_return co_await std::move(last).Get();
            }()),
            kLength);
}

// The runtime's end asks the threads behind Then() to end, and their futures are cancelled; nothing hangs.
TEST(FutureRuntimeTest, TheEndOfTheRuntimeCancelsWhatWaits) {
  Promise<int> promise;
  Future<int> waiting;
  {
    const absl::StatusOr<std::unique_ptr<Runtime>> runtime = Runtime::Create({.parallelism = 1});
    ASSERT_TRUE(runtime.ok());
    (*runtime)->Run([&]() -> Task<void> {
      waiting = promise.future().Then([](int value) { return value; });
      co_return;
    }());
  }
  EXPECT_EQ(ReasonOf(waiting.TryGetBlocking().status()).kind, CancelReason::Kind::kRuntimeExit);
}

TEST(FutureRuntimeTest, WhatAnOsThreadMakesOfSeveralRunsWhereTheFirstOfThemDoes) {
  const std::unique_ptr<Runtime> runtime = *Runtime::Create({.parallelism = 1});
  VirtualThreadPerTaskExecutor executor(*runtime);
  Event go;
  const auto number = [&go]() -> Task<int> {
    co_await go.Wait();
    co_return 1;
  };
  std::vector<Future<int>> futures{executor.Submit(number), executor.Submit(number)};
  const int64_t before = runtime->core().Counts().threads;
  const auto all = WhenAll(futures);
  const auto both = WhenAll(futures[0], futures[1]);
  const auto any = WhenAny(futures);
  EXPECT_EQ(runtime->core().Counts().threads, before + 3);
  go.Set();
  EXPECT_EQ(all.GetBlocking(), (std::vector{1, 1}));
  EXPECT_EQ(both.GetBlocking(), std::tuple(1, 1));
  EXPECT_LT(any.GetBlocking(), 2u);
  executor.CloseBlocking();
}

TEST(FutureRuntimeTest, AnOsThreadMayUseAllOfIt) {
  Promise<int> promise;
  Future<int> twice = promise.future().Then([](int value) { return 2 * value; });
  Future<std::vector<int>> all = WhenAll(std::vector{promise.future(), twice});
  EXPECT_TRUE(promise.SetValue(4));
  EXPECT_EQ(all.GetBlocking(), (std::vector<int>{4, 8}));
  Promise<int> cancelled;
  cancelled.future().Cancel();
  EXPECT_EQ(cancelled.future().TryGetBlocking().status().code(), absl::StatusCode::kCancelled);
}

}  // namespace
}  // namespace weft

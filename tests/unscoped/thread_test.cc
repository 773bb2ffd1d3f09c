// Threads outside of scopes: VirtualThread::Start(), Builder, ThreadFactory, Join(), RequestCancel(). Goal: their
// sentences, one test each. Method: the same bodies in simulations under many seeds and on real carriers; what the end
// of a runtime does is looked at on runtimes of their own.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "tests/support/counted.h"
#include "tests/support/on_both.h"
#include "weft/blocking.h"
#include "weft/cancel_reason.h"
#include "weft/cancellation.h"
#include "weft/channel/select.h"
#include "weft/finally.h"
#include "weft/runtime.h"
#include "weft/scope.h"
#include "weft/scoped_value.h"
#include "weft/sync/event.h"
#include "weft/sync/mutex.h"
#include "weft/task.h"
#include "weft/testing/census.h"
#include "weft/testing/simulation.h"
#include "weft/thread_builder.h"
#include "weft/time.h"
#include "weft/virtual_thread.h"

namespace weft {
namespace {

using testing::Counted;
using testing::Forever;
using testing::Introduction;
using testing::UntilParked;

using Kind = CancelReason::Kind;
using State = VirtualThread::State;

// What a handler was told.
class Told {
 public:
  UncaughtFailureHandler Handler() {
    return [this](TextView what, const absl::Status& status, const std::exception_ptr&) {
      std::lock_guard guard(lock_);
      told_.push_back(absl::StrCat(std::string(what), ": ", status.ToString()));
    };
  }
  std::vector<std::string> all() {
    std::lock_guard guard(lock_);
    return told_;
  }

 private:
  std::mutex lock_;
  std::vector<std::string> told_;
};

absl::Status Lost() { return absl::NotFoundError("lost"); }
Task<absl::Status> Fail() { co_return Lost(); }
std::string Uncaught(const VirtualThread& thread) {
  return absl::StrCat("VirtualThread[#", thread.id(), "] has failed, and nobody has joined it: ", Lost().ToString());
}

class ThreadTest : public testing::OnBoth {
 protected:
  // Calls run(runtime) for runtimes of their own; `told` is their handler. They end when it returns.
  template <class Run>
  static void OnNewRuntimes(Told* told, Run run) {
    const UncaughtFailureHandler handler = told == nullptr ? nullptr : told->Handler();
    if (simulated()) {
      for (uint64_t seed = 1; seed <= kSeeds && !HasFailure(); ++seed) {
        testing::Simulation simulation(
            {.carriers = carriers(), .seed = seed, .on_uncaught_failure = handler});
        run(simulation.runtime());
      }
    } else {
      for (int round = 0; round < kRounds && !HasFailure(); ++round) {
        run(*Runtime::Create({.parallelism = carriers(), .on_uncaught_failure = handler}).value());
      }
    }
  }
};
WEFT_ON_BOTH(ThreadTest);

// ---- Starts.

TEST_P(ThreadTest, AStartedThreadRunsAndItsEndIsJoined) {
  Everywhere([]() -> Task<void> {
    int ran = 0;
    const VirtualThread by_closure = VirtualThread::Start([&ran]() -> Task<void> {
      co_await Yield();
      ++ran;
    });
    EXPECT_EQ(co_await by_closure.Join(), absl::OkStatus());
    const auto work = [](int& ran) -> Task<int> {
      ++ran;
      co_return 1;
    };
    const VirtualThread by_task = VirtualThread::Start(work(ran));
    EXPECT_EQ(co_await by_task.Join(), absl::OkStatus());
    const VirtualThread by_wait = VirtualThread::Start(Sleep(absl::Microseconds(1)));
    EXPECT_EQ(co_await by_wait.Join(), absl::OkStatus());
    EXPECT_EQ(ran, 2);
    EXPECT_EQ(by_closure.name(), "");
    EXPECT_NE(by_closure.id(), by_task.id());
    EXPECT_FALSE(by_task.IsAlive());
    EXPECT_EQ(by_task.state(), State::kTerminated);
    EXPECT_EQ(by_task.ToString(), absl::StrCat("VirtualThread[#", by_task.id(), "]/terminated"));
  });
}

TEST_P(ThreadTest, AnyNumberMayJoinWhileItRunsAndAfterwards) {
  Everywhere([]() -> Task<void> {
    Event go;
    const VirtualThread worker = VirtualThread::Start([&go]() -> Task<absl::Status> {
      co_await go.Wait();
      co_return Lost();
    });
    AwaitAll scope;
    std::vector<Subtask<void>> joins;
    for (int i = 0; i < 5; ++i) joins.push_back(scope.Fork(worker.Join()));
    for (int i = 0; i < 10; ++i) co_await Yield();
    EXPECT_TRUE(worker.IsAlive());
    go.Set();
    (co_await scope.Join()).IgnoreFailures();
    for (const Subtask<void>& join : joins) EXPECT_EQ(join.status(), Lost());
    EXPECT_EQ(co_await worker.Join(), Lost());
  });
}

TEST_P(ThreadTest, AThreadThatWasNotStartedIsNewUntilItIs) {
  Everywhere([]() -> Task<void> {
    bool ran = false;
    VirtualThread::Builder builder;
    const VirtualThread later = builder.Name("later").Unstarted([&ran]() -> Task<void> {
      ran = true;
      co_return;
    });
    EXPECT_EQ(later.state(), State::kNew);
    EXPECT_EQ(later.precise_state(), VirtualThread::PreciseState::kNew);
    EXPECT_EQ(later.ToString(), absl::StrCat("VirtualThread[#", later.id(), ",later]/new"));
    EXPECT_FALSE(later.IsAlive());
    AwaitAll scope;
    const Subtask<void> joined = scope.Fork(later.Join());
    for (int i = 0; i < 10; ++i) co_await Yield();
    EXPECT_EQ(joined.state(), Subtask<void>::State::kUnavailable);
    EXPECT_FALSE(ran);
    later.Start();
    (co_await scope.Join()).IgnoreFailures();
    EXPECT_EQ(joined.status(), absl::OkStatus());
    EXPECT_TRUE(ran);
    EXPECT_EQ(later.state(), State::kTerminated);
  });
}

TEST_P(ThreadTest, OneThatIsNeverStartedIsDestroyedWithItsLastHandle) {
  Everywhere([]() -> Task<void> {
    const int64_t before = Counted::alive.load();
    {
      VirtualThread::Builder builder;
      const VirtualThread closure = builder.Unstarted([held = Counted()]() -> Task<void> { co_return; });
      const VirtualThread copy = closure;
      const VirtualThread task = builder.Unstarted([](Counted) -> Task<void> { co_return; }(Counted()));
      EXPECT_EQ(Counted::alive, before + 2);
    }
    EXPECT_EQ(Counted::alive, before);
    co_return;
  });
}

TEST_P(ThreadTest, ABuilderNumbersItsThreadsAndAFactoryHasACounterOfItsOwn) {
  Everywhere([]() -> Task<void> {
    const auto nothing = []() -> Task<void> { co_return; };
    VirtualThread::Builder builder;
    builder.Name("loader-", 7);
    const VirtualThread first = builder.Start(nothing);
    const VirtualThread second = builder.Unstarted(nothing);
    EXPECT_EQ(first.name(), "loader-7");
    EXPECT_EQ(second.name(), "loader-8");
    const ThreadFactory factory = builder.Factory();
    const ThreadFactory same = factory;
    EXPECT_EQ(factory.New(nothing).name(), "loader-9");
    EXPECT_EQ(same.New(nothing).name(), "loader-10");
    EXPECT_EQ(builder.Start(nothing).name(), "loader-9");
    EXPECT_EQ(builder.Name("alone").Start(nothing).name(), "alone");
    EXPECT_EQ(co_await first.Join(), absl::OkStatus());

    std::vector<std::string> names;
    AwaitAll scope;
    for (int i = 0; i < 4; ++i) {
      scope.Fork([&factory, nothing]() -> Task<void> {
        for (int k = 0; k < 3; ++k) {
          const VirtualThread made = factory.Start(nothing);
          EXPECT_EQ(co_await made.Join(), absl::OkStatus());
        }
      });
    }
    (co_await scope.Join()).IgnoreFailures();
    EXPECT_EQ(factory.New(nothing).name(), "loader-23");
  });
}

TEST_P(ThreadTest, AThreadOutsideOfScopesInheritsNoScopedValuesAndMayOutliveItsStarter) {
  static ScopedValue<int> depth;
  OnEveryRuntime([](Runtime& runtime) {
    std::optional<VirtualThread> left;
    Event go;
    bool bound = true;
    runtime.Run([](std::optional<VirtualThread>& left, Event& go, bool& bound) -> Task<void> {
      const ScopedBinding binding(depth, 3);
      left = VirtualThread::Start([&go, &bound]() -> Task<void> {
        co_await go.Wait();
        bound = depth.IsBound();
      });
      co_return;
    }(left, go, bound));
    EXPECT_TRUE(left->IsAlive());
    go.Set();
    EXPECT_EQ(left->JoinBlocking(), absl::OkStatus());
    EXPECT_FALSE(bound);
  });
}

TEST_P(ThreadTest, AnOsThreadStartsAndJoinsOnTheRuntimeOfTheBuilder) {
  OnEveryRuntime([](Runtime& runtime) {
    VirtualThread::Builder builder(runtime);
    int value = 0;
    const VirtualThread direct = builder.Start([&value]() -> Task<absl::Status> {
      co_await Yield();
      value = 7;
      co_return Lost();
    });
    EXPECT_EQ(direct.JoinBlocking(), Lost());
    EXPECT_EQ(value, 7);
    EXPECT_EQ(direct.JoinBlocking(), Lost());
    const VirtualThread later = builder.Unstarted([]() -> Task<void> { co_return; });
    later.Start();
    EXPECT_EQ(later.JoinBlocking(), absl::OkStatus());
  });
}

TEST(ThreadOfDefaultRuntimeTest, WithoutABuilderAnOsThreadStartsOnTheDefaultRuntime) {
  Runtime* seen = nullptr;
  const VirtualThread thread = VirtualThread::Start([&seen]() -> Task<void> {
    seen = &Runtime::Default();
    co_return;
  });
  std::vector<std::thread> joins;
  for (int i = 0; i < 3; ++i) joins.emplace_back([&thread] { EXPECT_EQ(thread.JoinBlocking(), absl::OkStatus()); });
  EXPECT_EQ(thread.JoinBlocking(), absl::OkStatus());
  for (std::thread& join : joins) join.join();
  EXPECT_EQ(seen, &Runtime::Default());
  EXPECT_GE(Runtime::Default().Stats().threads_started, 1);
}

// ---- Ends.

TEST_P(ThreadTest, ARequestEndsAThreadWithItsReason) {
  Everywhere([]() -> Task<void> {
    const VirtualThread parked = VirtualThread::Start(Forever());
    co_await UntilParked(parked);
    parked.RequestCancel("no longer wanted");
    parked.RequestCancel("said before");
    const absl::Status ended = co_await parked.Join();
    EXPECT_EQ(ended.code(), absl::StatusCode::kCancelled);
    const CancelReason reason = ReasonOf(ended);
    EXPECT_EQ(reason.kind, Kind::kRequested);
    EXPECT_EQ(reason.text, "no longer wanted");
    EXPECT_EQ(reason.thread, VirtualThread::Current().id());
    EXPECT_NE(reason.where.find("thread_test.cc:"), std::string::npos) << reason.where;
    parked.RequestCancel("too late");
    EXPECT_EQ(ReasonOf(co_await parked.Join()).text, "no longer wanted");
  });
}

TEST_P(ThreadTest, ARequestBeforeTheStartOrBeforeTheFirstRunKeepsAThreadFromRunning) {
  Everywhere([]() -> Task<void> {
    bool ran = false;
    const auto run = [&ran]() -> Task<void> {
      co_await Yield();
      ran = true;
    };
    const VirtualThread unstarted = VirtualThread::Builder().Unstarted(run);
    unstarted.RequestCancel("before");
    EXPECT_EQ(unstarted.state(), State::kNew);
    unstarted.Start();
    EXPECT_EQ(ReasonOf(co_await unstarted.Join()).text, "before");
    // On several carriers it may run before the request, and waits then.
    const VirtualThread started = VirtualThread::Start([&ran]() -> Task<void> {
      co_await Forever();
      ran = true;
    });
    started.RequestCancel("at once");
    EXPECT_EQ(ReasonOf(co_await started.Join()).text, "at once");
    EXPECT_FALSE(ran);
  });
}

TEST_P(ThreadTest, ARequestToAThreadEndsItsScopesAndRunsItsCleanUps) {
  Everywhere([]() -> Task<void> {
    const int64_t before = Counted::alive.load();
    int cleaned = 0;
    Introduction deep;
    const VirtualThread owner = VirtualThread::Start([&]() -> Task<void> {
      const Counted local;
      AwaitAll scope;
      scope.Fork([&]() -> Task<void> {
        co_await Finally(Forever(deep), [&]() -> Task<void> {
          co_await Yield();
          ++cleaned;
        });
      });
      (co_await scope.Join()).IgnoreFailures();
    });
    co_await deep.AwaitParked();
    owner.RequestCancel();
    EXPECT_EQ(ReasonOf(co_await owner.Join()).kind, Kind::kRequested);
    EXPECT_EQ(cleaned, 1);
    EXPECT_EQ(Counted::alive, before);
  });
}

TEST_P(ThreadTest, AThreadMayAskItselfToEnd) {
  Everywhere([]() -> Task<void> {
    bool after = false;
    const VirtualThread thread = VirtualThread::Start([&after]() -> Task<void> {
      VirtualThread::Current().RequestCancel("enough");
      EXPECT_TRUE(CancelRequested());
      co_await Yield();
      after = true;
    });
    EXPECT_EQ(ReasonOf(co_await thread.Join()).text, "enough");
    EXPECT_FALSE(after);
  });
}

TEST_P(ThreadTest, AJoinCanBeGivenUpAndTheThreadGoesOn) {
  Everywhere([]() -> Task<void> {
    Event go;
    const VirtualThread worker = VirtualThread::Start([&go]() -> Task<void> { co_await go.Wait(); });
    EXPECT_FALSE((co_await MoveOnAfter(absl::Milliseconds(1), worker.Join())).has_value());
    EXPECT_EQ((co_await testing::StopOnceItWaits([](VirtualThread joined) -> Task<absl::Status> {
                co_return co_await joined.Join();
              }(worker))).code(),
              absl::StatusCode::kCancelled);
    EXPECT_TRUE(worker.IsAlive());
    go.Set();
    EXPECT_EQ(co_await MoveOnAfter(absl::InfiniteDuration(), worker.Join()), absl::OkStatus());
  });
}

TEST_P(ThreadTest, AThreadThatWaitsForALockIsBlocked) {
  Everywhere([]() -> Task<void> {
    Mutex mutex;
    std::optional<MutexGuard> held = co_await mutex.Lock();
    const VirtualThread waiter = VirtualThread::Start([&mutex]() -> Task<void> {
      const MutexGuard guard = co_await mutex.Lock();
    });
    co_await UntilParked(waiter);
    EXPECT_EQ(waiter.state(), State::kBlocked);
    EXPECT_EQ(waiter.precise_state(), VirtualThread::PreciseState::kBlocked);
    EXPECT_EQ(waiter.waits_in(), "Mutex::Lock");
    held.reset();
    EXPECT_EQ(waiter.waits_in(), "") << "it waits no more, whether or not it has run yet";
    EXPECT_EQ(co_await waiter.Join(), absl::OkStatus());
  });
}

TEST_P(ThreadTest, AThreadThatSleepsIsNeverSeenToWaitForSomethingElse) {
  Everywhere([]() -> Task<void> {
    bool enough = false;
    const VirtualThread sleeper = VirtualThread::Start([&enough]() -> Task<void> {
      for (int i = 0; i < 100; ++i) co_await Sleep(absl::Nanoseconds(1));
      enough = true;
    });
    while (sleeper.IsAlive()) {
      EXPECT_NE(sleeper.state(), State::kWaiting);
      co_await Yield();
    }
    EXPECT_EQ(co_await sleeper.Join(), absl::OkStatus());
    EXPECT_TRUE(enough);
  });
}

TEST_P(ThreadTest, AThreadThatIsSeenToHaveTerminatedIsNotAlive) {
  Everywhere([]() -> Task<void> {
    const VirtualThread worker = VirtualThread::Start([]() -> Task<void> { co_await Yield(); });
    while (worker.state() != State::kTerminated) co_await Yield();
    EXPECT_FALSE(worker.IsAlive());
  });
}

TEST_P(ThreadTest, AThreadOfAScopeCanBeJoinedAndItsFailureIsItsScopes) {
  Everywhere([]() -> Task<void> {
    Introduction made;
    Event go;
    AwaitAll scope;
    const auto child = scope.Fork([&]() -> Task<absl::Status> {
      made.Make();
      co_await go.Wait();
      co_return Lost();
    });
    const VirtualThread thread = co_await made.Await();
    EXPECT_TRUE(thread.IsAlive());
    go.Set();
    EXPECT_EQ(co_await thread.Join(), absl::OkStatus());
    EXPECT_EQ((co_await scope.Join()).status(), Lost());
    EXPECT_EQ(child.status(), Lost());
  });
}

// ---- Failures.

TEST_P(ThreadTest, AFailureThatIsJoinedIsNotTold) {
  Told told;
  OnNewRuntimes(&told, [](Runtime& runtime) {
    EXPECT_EQ(VirtualThread::Builder(runtime).Start(Fail()).JoinBlocking(), Lost());
    runtime.Run([]() -> Task<void> {
      VirtualThread::Builder builder;
      EXPECT_EQ(co_await builder.OnUncaughtFailure([](TextView, const absl::Status&, const std::exception_ptr&) {
                  ADD_FAILURE() << "told";
                }).Start(Fail()).Join(), Lost());
    }());
  });
  EXPECT_TRUE(told.all().empty()) << told.all().front();
}

TEST_P(ThreadTest, AFailureThatNobodyJoinsIsToldOnce) {
  OnNewRuntimes(nullptr, [](Runtime& runtime) {
    Told told;
    std::vector<std::string> expected;
    {
      VirtualThread::Builder builder(runtime);
      builder.OnUncaughtFailure(told.Handler());
      const VirtualThread kept = builder.Start(Fail());
      expected.push_back(Uncaught(kept));
      runtime.Run([](VirtualThread::Builder builder, std::vector<std::string>& expected) -> Task<void> {
        const VirtualThread dropped = builder.Start(Fail());  // with its last handle, before or after its end
        expected.push_back(Uncaught(dropped));
        co_return;
      }(builder, expected));
      while (kept.IsAlive()) runtime.Run([]() -> Task<void> { co_await Yield(); }());
      for (const std::string& line : told.all()) EXPECT_NE(line, expected[0]) << "it still has a handle";
    }
    while (told.all().size() < 2) runtime.Run([]() -> Task<void> { co_await Yield(); }());
    std::vector<std::string> all = told.all();
    std::sort(all.begin(), all.end());
    std::sort(expected.begin(), expected.end());
    EXPECT_EQ(all, expected);
  });
}

TEST_P(ThreadTest, WithoutAHandlerOfItsOwnTheRuntimesIsToldAlsoWhenTheRuntimeHasEnded) {
  Told told;
  std::vector<VirtualThread> failed;
  std::vector<std::string> expected;
  OnNewRuntimes(&told, [&](Runtime& runtime) {
    failed.push_back(VirtualThread::Builder(runtime).Start(Fail()));
    expected.push_back(Uncaught(failed.back()));
    while (failed.back().IsAlive()) runtime.Run([]() -> Task<void> { co_await Yield(); }());
  });
  EXPECT_TRUE(told.all().empty());
  failed.clear();
  EXPECT_EQ(told.all(), expected);
}

TEST(UncaughtFailureTest, WithoutAnyHandlerItIsALineOnStandardError) {
  ::testing::internal::CaptureStderr();
  testing::Simulation simulation({.carriers = 1});
  simulation.Run([]() -> Task<void> {
    VirtualThread::Builder().Name("lost").Start(Fail());
    co_await Yield();
    co_await Yield();
  }());
  EXPECT_EQ(::testing::internal::GetCapturedStderr(),
            "weft: VirtualThread[#2,lost] has failed, and nobody has joined it: NOT_FOUND: lost\n");
}

TEST_P(ThreadTest, AHandlerThatRunsOnTheThreadMayAskWhoItIs) {
  Everywhere([]() -> Task<void> {
    std::optional<VirtualThread> seen;
    Event told, dropped;
    VirtualThread::Builder()
        .Name("failing")
        .OnUncaughtFailure([&](TextView, const absl::Status&, const std::exception_ptr&) {
          if (VirtualThread::HasCurrent()) seen = VirtualThread::Current();
          told.Set();
        })
        .Start([&dropped]() -> Task<absl::Status> {
          co_await dropped.Wait();
          co_return Lost();
        });
    dropped.Set();
    co_await told.Wait();
    EXPECT_EQ(seen->name(), "failing");
    EXPECT_EQ(co_await seen->Join(), Lost());
  });
}

TEST_P(ThreadTest, ACancelledThreadIsNoFailure) {
  Told told;
  OnNewRuntimes(&told, [](Runtime& runtime) {
    const VirtualThread thread = VirtualThread::Builder(runtime).Start(Forever());
    thread.RequestCancel();
  });
  EXPECT_TRUE(told.all().empty());
}

// ---- The end of the runtime.

TEST_P(ThreadTest, TheRuntimesEndAsksThreadsToEndAndWaitsForThem) {
  const int64_t before = Counted::alive.load();
  OnNewRuntimes(nullptr, [](Runtime& runtime) {
    runtime.Run([]() -> Task<void> {
      for (int i = 0; i < 10; ++i) {
        VirtualThread::Start([held = Counted()]() -> Task<void> {
          const Counted local;
          co_await Finally(Forever(), []() -> Task<void> { co_await Sleep(absl::Milliseconds(1)); });
        });
      }
      co_await Yield();
    }());
    EXPECT_GT(Counted::alive, 0);
  });
  EXPECT_EQ(Counted::alive, before);
}

TEST_P(ThreadTest, TheCensusCountsAThreadThatLivesOn) {
  OnNewRuntimes(nullptr, [](Runtime& runtime) {
    const int64_t before = testing::Census::Take().virtual_threads;
    const VirtualThread daemon = VirtualThread::Builder(runtime).Start(Forever());
    runtime.Run(UntilParked(daemon));
    EXPECT_EQ(testing::Census::Take().virtual_threads, before + 1);
    EXPECT_EQ(runtime.Stats().threads_alive, 1);
  });
}

TEST_P(ThreadTest, AThreadThatIsStartedWhileTheRuntimeEndsNeverRuns) {
  static int cleaned, ran;
  cleaned = ran = 0;
  std::vector<VirtualThread> late;
  OnNewRuntimes(nullptr, [&late](Runtime& runtime) {
    const VirtualThread waits = VirtualThread::Builder(runtime).Start([&late]() -> Task<void> {
      co_await Finally(Forever(), [&late]() -> Task<void> {
        const auto run = []() -> Task<void> {
          ++ran;
          co_return;
        };
        late.push_back(VirtualThread::Start(run));
        const VirtualThread later = VirtualThread::Builder().Unstarted(run);
        later.Start();
        late.push_back(later);
        late.push_back(VirtualThread::Builder().Unstarted(run));
        ++cleaned;
        co_return;
      });
    });
    runtime.Run(UntilParked(waits));
  });
  EXPECT_GT(cleaned, 0);
  EXPECT_EQ(ran, 0);
  for (const VirtualThread& thread : late) {
    EXPECT_EQ(thread.state(), State::kTerminated);
    EXPECT_EQ(ReasonOf(thread.JoinBlocking()).kind, Kind::kRuntimeExit);
    thread.RequestCancel();
  }
}

TEST_P(ThreadTest, AThreadThatWasNotStartedEndsWithItsRuntime) {
  std::optional<VirtualThread> unstarted;
  OnNewRuntimes(nullptr, [&unstarted](Runtime& runtime) {
    unstarted = VirtualThread::Builder(runtime).Unstarted([held = Counted()]() -> Task<void> { co_return; });
    EXPECT_EQ(unstarted->state(), State::kNew);
  });
  EXPECT_EQ(unstarted->state(), State::kTerminated);
  unstarted->Start();
  EXPECT_EQ(unstarted->state(), State::kTerminated);
  EXPECT_EQ(ReasonOf(unstarted->JoinBlocking()).kind, Kind::kRuntimeExit);
  EXPECT_EQ(Counted::alive, 1);
  unstarted.reset();
  EXPECT_EQ(Counted::alive, 0);
}

TEST_P(ThreadTest, AHandleMayOutliveTheRuntime) {
  std::optional<VirtualThread> thread;
  OnNewRuntimes(nullptr, [&thread](Runtime& runtime) {
    VirtualThread::Builder builder(runtime);
    thread = builder.Name("kept").Start(Forever());
  });
  EXPECT_EQ(thread->name(), "kept");
  EXPECT_EQ(thread->state(), State::kTerminated);
  EXPECT_EQ(ReasonOf(thread->JoinBlocking()).kind, Kind::kRuntimeExit);
  weft::Run([](VirtualThread joined) -> Task<void> {
    EXPECT_EQ(ReasonOf(co_await joined.Join()).kind, Kind::kRuntimeExit);
  }(*thread));
}

// ---- Misuse.

// Runs make() on one carrier of a simulation, so that the child process has one OS thread.
template <class Make>
void Simulate(Make make) {
  testing::Simulation simulation({.carriers = 1, .seed = 1});
  simulation.Run(make());
}

TEST(ThreadDeathTest, AThreadIsStartedOnce) {
  EXPECT_DEATH(Simulate([]() -> Task<void> {
                 const VirtualThread twice = VirtualThread::Builder().Name("twice").Unstarted(Forever());
                 twice.Start();
                 twice.Start();
                 co_return;
               }),
               "Start\\(\\) of VirtualThread\\[#2,twice\\]/runnable, which was started before");
  EXPECT_DEATH(Simulate([]() -> Task<void> {
                 VirtualThread::Current().Start();
                 co_return;
               }),
               "Start\\(\\) of VirtualThread\\[#1\\]/runnable@carrier-0, which was started before");
}

TEST(ThreadDeathTest, AThreadDoesNotJoinItself) {
  EXPECT_DEATH(Simulate([]() -> Task<void> { (co_await VirtualThread::Current().Join()).IgnoreError(); }),
               "VirtualThread\\[#1\\]/runnable@carrier-0 joins itself");
}

TEST(ThreadDeathTest, AThreadDoesNotJoinItselfAsACaseOfASelectEither) {
  EXPECT_DEATH(Simulate([]() -> Task<void> {
                 auto got = co_await Select(Sleep(absl::Seconds(1)), VirtualThread::Current().Join());
                 static_cast<void>(got);
               }),
               "VirtualThread\\[#1\\]/runnable@carrier-0 joins itself");
}

TEST(ThreadDeathTest, AThreadDoesNotJoinItselfByWayOfBlocking) {
  EXPECT_DEATH(Simulate([]() -> Task<void> {
                 const VirtualThread self = VirtualThread::Current();
                 (co_await Blocking([self] { self.JoinBlocking().IgnoreError(); })).IgnoreError();
               }),
               "VirtualThread\\[#1\\].* joins itself, by a function that it awaits in Blocking\\(\\)");
}

TEST(ThreadDeathTest, ACarrierIsNotBlockedByAJoin) {
  EXPECT_DEATH(Simulate([]() -> Task<void> {
                 VirtualThread::Start(Forever()).JoinBlocking().IgnoreError();
                 co_return;
               }),
               "JoinBlocking\\(\\) of VirtualThread\\[#2\\]/runnable on a carrier would hold it; co_await Join\\(\\)");
}

TEST(ThreadDeathTest, AThreadOfAScopeIsEndedByItsScope) {
  EXPECT_DEATH(Simulate([]() -> Task<void> {
                 Introduction made;
                 AwaitAll scope;
                 scope.Fork(Forever(made), {.name = "child"});
                 (co_await made.Await()).RequestCancel();
               }),
               "RequestCancel\\(\\) by VirtualThread\\[#1\\]/runnable@carrier-0 of "
               "VirtualThread\\[#2,child\\]/waiting, which is a thread of a scope of "
               "VirtualThread\\[#1\\].*; shut that down");
}

TEST(ThreadDeathTest, ThreadsAreNumberedFromZeroOrMore) {
  EXPECT_DEATH(VirtualThread::Builder().Name("worker-", -1), "numbered from -1; it must be 0 or more");
}

// One that waits for a thread that nobody starts: the report names both.
TEST(ThreadDeadlockTest, TheReportSaysWhoWaitsForWhom) {
  std::string report;
  testing::Simulation simulation({.carriers = 1, .on_deadlock = [&report](const std::string& text) { report = text; }});
  static_cast<void>(simulation.TryRun([]() -> Task<void> {
    const VirtualThread unstarted = VirtualThread::Builder().Name("never").Unstarted(Forever());
    (co_await unstarted.Join()).IgnoreError();
  }()));
  EXPECT_NE(report.find("VirtualThread[#1]/waiting in VirtualThread::Join at "), std::string::npos) << report;
  EXPECT_NE(report.find(", of VirtualThread[#2,never]"), std::string::npos) << report;
  EXPECT_NE(report.find("VirtualThread[#2,never]/new"), std::string::npos) << report;
}

}  // namespace
}  // namespace weft


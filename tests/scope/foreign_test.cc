// Foreign() and AsForeign(). Goal: the sentences of foreign.h that hold with and without exceptions, one test each.
// Method: another library as small as it can be (foreign_task.h), whose coroutines are run in simulations under many
// seeds and on real carriers, and, on real ones, on an OS thread of its own. (Exceptions, and with them all that
// foreign code sees of a cancellation: foreign_throw_test.cc.)
#include "weft/foreign.h"

#include <gtest/gtest.h>

#include <atomic>
#include <coroutine>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "tests/support/counted.h"
#include "tests/support/foreign_task.h"
#include "tests/support/on_both.h"
#include "weft/all.h"
#include "weft/cancellation.h"
#include "weft/internal/compiler.h"
#include "weft/runtime.h"
#include "weft/scope.h"
#include "weft/stop_token.h"
#include "weft/scoped_value.h"
#include "weft/sync/event.h"
#include "weft/sync/mutex.h"
#include "weft/testing/simulation.h"
#include "weft/time.h"
#include "weft/virtual_thread.h"

namespace weft {
namespace {

using testing::Counted;
using testing::Introduction;
using testing::OnBoth;
using testing::Place;
using testing::UntilParked;

class ForeignTest : public OnBoth {};
WEFT_ON_BOTH(ForeignTest);

// With an OS thread beside the carriers, which a simulation has not.
class ForeignThreadTest : public OnBoth {};
INSTANTIATE_TEST_SUITE_P(Everywhere, ForeignThreadTest,
                         ::testing::Values(Place{false, 1}, Place{false, 2}, Place{false, 4}),
                         ::testing::PrintToStringParamName());

// ---- What can be awaited, and what it yields.

// There already, or resumed at once from within await_suspend().
template <class T>
struct Inline {
  bool await_ready() const noexcept { return ready; }
  void await_suspend(std::coroutine_handle<> awaiting) const { awaiting.resume(); }
  T await_resume() { return std::forward<T>(value); }
  T value;
  bool ready = true;
};
struct WithMemberOperator {
  Inline<int> operator co_await() const noexcept { return {value}; }
  int value;
};
struct WithFreeOperator {
  int value;
};
Inline<int> operator co_await(const WithFreeOperator & from) noexcept { return {from.value}; }
struct Unmovable {
  explicit Unmovable(int result) noexcept : value(result) {}
  Unmovable(const Unmovable&) = delete;
  bool await_ready() const noexcept { return true; }
  void await_suspend(std::coroutine_handle<>) const noexcept {}
  int await_resume() const noexcept { return value; }
  int value;
};

template <class T>
other::task<T> Return(T value) {
  co_return std::forward<T>(value);
}
other::task<> ReturnNothing() { co_return; }

Task<int> Give(int value) {
  co_await Yield();
  co_return value;
}

TEST_P(ForeignTest, AnythingThatCanBeAwaitedIsAwaited) {
  Everywhere([]() -> Task<void> {
    EXPECT_EQ(co_await Foreign(Inline<int>{1}), 1);
    EXPECT_EQ(co_await Foreign(Inline<int>{2, /*ready=*/false}), 2);
    EXPECT_EQ(co_await Foreign(WithMemberOperator{3}), 3);
    EXPECT_EQ(co_await Foreign(WithFreeOperator{4}), 4);
    EXPECT_EQ(co_await Foreign(Return(5)), 5);
    co_await Foreign(std::suspend_never());
    co_await Foreign(ReturnNothing());
    Unmovable named(6);
    EXPECT_EQ(co_await Foreign(named), 6);
    other::task<int> task = Return(7);
    EXPECT_EQ(co_await Foreign(task), 7);
  });
}

TEST_P(ForeignTest, TheResultIsWhatTheAwaitableYields) {
  Everywhere([]() -> Task<void> {
    int there = 1;
    int& same = co_await Foreign(Return<int&>(there));
    EXPECT_EQ(&same, &there);
    int& same_inline = co_await Foreign(Inline<int&>{there});
    EXPECT_EQ(&same_inline, &there);
    std::unique_ptr<int> moved = co_await Foreign(Return(std::make_unique<int>(2)));
    EXPECT_EQ(*moved, 2);
    static_assert(std::is_same_v<decltype(Foreign(Inline<std::string&&>{{}})), Task<std::string>>);
    EXPECT_EQ(co_await Foreign(Inline<std::string&&>{std::string("of a reference")}), "of a reference");
    Counted counted = co_await Foreign(Return(Counted(3)));
    EXPECT_EQ(counted.value(), 3);
  });
  EXPECT_EQ(Counted::alive.load(), 0);
  EXPECT_EQ(Counted::bad.load(), 0);
}

TEST_P(ForeignTest, AForeignOneIsATask) {
  Everywhere([]() -> Task<void> {
    auto [a, b] = co_await All(Foreign(Return(1)), Foreign(Return(2)));
    EXPECT_EQ(a + b, 3);
    ShutdownOnFailure scope;
    auto c = scope.Fork(Foreign(Return(3)));
    auto failing = scope.Fork(Foreign(Return(absl::StatusOr<int>(absl::DataLossError("foreign")))));
    EXPECT_EQ(co_await scope.Join(), absl::DataLossError("foreign"));
  });
}

TEST_P(ForeignTest, ForeignCodeRunsOnTheVirtualThread) {
  static const ScopedValue<int> value;
  Everywhere([]() -> Task<void> {
    const uint64_t self = VirtualThread::Current().id();
    ScopedBinding binding(value, 7);
    co_await Foreign([](uint64_t thread) -> other::task<> {
      EXPECT_EQ(VirtualThread::Current().id(), thread);
      EXPECT_EQ(value.Get(), 7);
      EXPECT_FALSE(CancelRequested());
      co_await AsForeign(Yield());
      EXPECT_EQ(VirtualThread::Current().id(), thread);
      EXPECT_EQ(value.Get(), 7);
    }(self));
  });
}

// ---- Suspended on something foreign.

TEST_P(ForeignTest, AThreadWhoseForeignWorkIsSuspendedIsParked) {
  Everywhere([]() -> Task<void> {
    other::baton baton;
    Introduction waiter;
    int written = 0;
    AwaitAll scope;
    auto waits = scope.Fork([&]() -> Task<int> {
      waiter.Make();
      co_await Foreign(baton);
      co_return written;
    });
    scope.Fork([&]() -> Task<void> {
      co_await waiter.AwaitParked();
      written = 4;
      baton.post();
    });
    (co_await scope.Join()).IgnoreFailures();
    EXPECT_EQ(*waits, 4);
  });
}

TEST_P(ForeignTest, WhatIsEndedOnAnotherVirtualThreadGoesOnOnItsOwn) {
  Everywhere([]() -> Task<void> {
    other::baton baton;
    AwaitAll scope;
    uint64_t ended_on = 0;
    auto waits = scope.Fork([&]() -> Task<bool> {
      const uint64_t self = VirtualThread::Current().id();
      co_await Foreign([](other::baton& baton, uint64_t& ended_on) -> other::task<> {
        co_await baton;
        ended_on = VirtualThread::Current().id();
      }(baton, ended_on));
      co_return VirtualThread::Current().id() == self;
    });
    // Before the other waits, while it parks, or after: as the seed has it.
    scope.Fork([&]() -> Task<void> {
      co_await Yield();
      baton.post();
    });
    (co_await scope.Join()).IgnoreFailures();
    EXPECT_TRUE(*waits);
    EXPECT_NE(ended_on, 0);
  });
}

TEST_P(ForeignThreadTest, WhatIsEndedOnAnotherOsThreadGoesOnOnACarrier) {
  other::thread elsewhere;
  OnEveryRuntime([&elsewhere](Runtime& runtime) {
    runtime.Run([](other::thread& elsewhere) -> Task<void> {
      const uint64_t self = VirtualThread::Current().id();
      const int moved = co_await Foreign([](other::thread& elsewhere) -> other::task<int> {
        co_await elsewhere.schedule();
        EXPECT_EQ(std::this_thread::get_id(), elsewhere.id());
        EXPECT_FALSE(VirtualThread::HasCurrent());
        co_return 5;
      }(elsewhere));
      EXPECT_EQ(moved, 5);
      EXPECT_EQ(VirtualThread::Current().id(), self);
      EXPECT_NE(std::this_thread::get_id(), elsewhere.id());
    }(elsewhere));
  });
}

// The end comes at any point of the park: the first thread spends its time between the two.
TEST_P(ForeignThreadTest, AnEndThatComesWhileTheThreadParksIsNotLost) {
  static constexpr int kThreads = 4, kHops = 50;
  other::thread elsewhere;
  OnEveryRuntime([&elsewhere](Runtime& runtime) {
    runtime.Run([](other::thread& elsewhere) -> Task<void> {
      AwaitAll scope;
      std::vector<Subtask<int>> sums;
      for (int i = 0; i < kThreads; ++i) {
        sums.push_back(scope.Fork([&elsewhere]() -> Task<int> {
          int sum = 0;
          for (int hop = 0; hop < kHops; ++hop) {
            // Written there, read here.
            sum += *co_await Foreign([](other::thread& elsewhere) -> other::task<std::unique_ptr<int>> {
              co_await elsewhere.schedule();
              co_return std::make_unique<int>(1);
            }(elsewhere));
          }
          co_return sum;
        }));
      }
      (co_await scope.Join()).IgnoreFailures();
      for (Subtask<int>& sum : sums) EXPECT_EQ(*sum, kHops);
    }(elsewhere));
  });
}

TEST(ForeignSimulationTest, AReportOfADeadlockNamesForeignWork) {
  other::baton baton;
  std::string report;
  testing::Simulation simulation({.on_deadlock = [&](const std::string& text) {
    report = text;
    baton.post();
  }});
  simulation.Run([](other::baton& baton) -> Task<void> { co_await Foreign(baton); }(baton));
  EXPECT_NE(report.find("Foreign"), std::string::npos) << report;
}

// ---- A foreign coroutine that awaits what is Weft's.

TEST_P(ForeignTest, AForeignCoroutineSleeps) {
  Everywhere([]() -> Task<void> {
    co_await Foreign([]() -> other::task<> {
      const MonotonicTime begin = MonotonicNow();
      co_await AsForeign(Sleep(absl::Milliseconds(1)));
      EXPECT_GE(MonotonicNow() - begin, absl::Milliseconds(1));
      co_await AsForeign(Sleep(absl::ZeroDuration()));
    }());
  });
}

TEST_P(ForeignTest, AForeignCoroutineAwaitsTasksOfEveryResult) {
  Everywhere([]() -> Task<void> {
    co_await Foreign([]() -> other::task<> {
      EXPECT_EQ(co_await AsForeign(Give(3)), 3);
      int there = 4;
      int& same = co_await AsForeign([](int& here) -> Task<int&> { co_return here; }(there));
      EXPECT_EQ(&same, &there);
      std::unique_ptr<int> moved =
          co_await AsForeign([]() -> Task<std::unique_ptr<int>> { co_return std::make_unique<int>(5); }());
      EXPECT_EQ(*moved, 5);
      const absl::Status failed =
          co_await AsForeign([]() -> Task<absl::Status> { co_return absl::NotFoundError("it"); }());
      EXPECT_EQ(failed, absl::NotFoundError("it"));
      auto [a, b] = co_await AsForeign(All(Give(6), Give(7)));
      EXPECT_EQ(a + b, 13);
      const absl::StatusOr<int> in_time = co_await AsForeign(WithTimeout(absl::Hours(1), Give(8)));
      EXPECT_EQ(in_time.value(), 8);
      const absl::Status late = co_await AsForeign(WithTimeout(absl::Microseconds(1), testing::Forever()));
      EXPECT_EQ(late.code(), absl::StatusCode::kDeadlineExceeded);
      EXPECT_FALSE(CancelRequested());
    }());
  });
}

TEST_P(ForeignTest, AForeignCoroutineWaitsForLocksAndEvents) {
  Everywhere([]() -> Task<void> {
    Mutex mutex;
    Event event;
    int inside = 0;
    AwaitAll scope;
    for (int i = 0; i < 3; ++i) {
      scope.Fork([&]() -> Task<void> {
        co_await Foreign([](Mutex& mutex, Event& event, int& inside) -> other::task<> {
          co_await AsForeign(event.Wait());
          MutexGuard guard = co_await AsForeign(mutex.Lock());
          const int before = inside;
          co_await AsForeign(Yield());
          EXPECT_EQ(inside, before);
          inside = before + 1;
        }(mutex, event, inside));
      });
    }
    scope.Fork([&]() -> Task<void> {
      co_await Foreign([](Event& event) -> other::task<> {
        co_await AsForeign(Yield());
        event.Set();
      }(event));
    });
    (co_await scope.Join()).IgnoreFailures();
    EXPECT_EQ(inside, 3);
  });
}

TEST_P(ForeignTest, AForeignCoroutineForksAndJoins) {
  Everywhere([]() -> Task<void> {
    const int sum = co_await Foreign([]() -> other::task<int> {
      ShutdownOnFailure scope;
      auto a = scope.Fork(Give(1));
      auto b = scope.Fork([]() -> Task<int> { co_return co_await Foreign(Return(2)); });
      EXPECT_TRUE((co_await AsForeign(scope.Join())).ok());
      co_return *a + *b;
    }());
    EXPECT_EQ(sum, 3);
  });
}

TEST_P(ForeignTest, ATaskBelowForeignCodeHasScopesOfItsOwn) {
  Everywhere([]() -> Task<void> {
    const int sum = co_await Foreign([]() -> other::task<int> {
      co_return co_await AsForeign([]() -> Task<int> {
        ShutdownOnFailure scope;
        auto a = scope.Fork(Give(1));
        auto b = scope.Fork(Foreign(Return(2)));
        EXPECT_TRUE((co_await scope.Join()).ok());
        co_return *a + *b;
      }());
    }());
    EXPECT_EQ(sum, 3);
  });
}

// The carrier runs the child on top of the foreign code that waits for it.
TEST_P(ForeignTest, AScopeThatForeignCodeDestroysWaitsForItsChildren) {
  Everywhere([]() -> Task<void> {
    co_await Foreign([]() -> other::task<> {
      std::atomic<int> ended = 0;
      {
        AwaitAll scope;
        for (int i = 0; i < 3; ++i) {
          scope.Fork([&ended]() -> Task<void> {
            struct Ended {
              std::atomic<int>& count;
              ~Ended() { ++count; }
            } local{ended};
            co_await Foreign([]() -> other::task<> { co_await AsForeign(Shield(Give(1))); }());
          });
        }
        co_await AsForeign(Yield());
      }
      co_await AsForeign(Yield());
      EXPECT_FALSE(CancelRequested());
    }());
  });
}

TEST_P(ForeignTest, TheTwoSidesNest) {
  Everywhere([]() -> Task<void> {
    struct Nested {
      static Task<int> Weft(int depth) {
        co_await Yield();
        if (depth == 0) co_return 0;
        const int below = co_await Foreign(Other(depth - 1));
        co_await Yield();
        co_return below + 1;
      }
      static other::task<int> Other(int depth) {
        co_await AsForeign(Yield());
        const int below = co_await AsForeign(Weft(depth));
        co_await AsForeign(Yield());
        co_return below + 10;
      }
    };
    EXPECT_EQ(co_await Nested::Weft(5), 55);
  });
}

// Each turn has less than three bytes of a simulation's stack, which no frame would fit into.
constexpr int kManyTurns = 100'000;

TEST(ForeignStackTest, ForeignCodeThatLoopsOverWhatIsReadyRunsInConstantStack) {
  testing::Simulation simulation;
  simulation.Run([]() -> Task<void> {
    Event ready;
    ready.Set();
    co_await Foreign([](Event& ready) -> other::task<> {
      for (int i = 0; i < kManyTurns; ++i) co_await AsForeign(ready.Wait());
    }(ready));
  }());
}

TEST(ForeignStackTest, ATaskThatLoopsOverForeignWorkRunsInConstantStack) {
  testing::Simulation simulation;
  simulation.Run([]() -> Task<void> {
    for (int i = 0; i < kManyTurns; ++i) co_await Foreign(std::suspend_never());
  }());
}

// ---- Fairness and cancellation, as far as foreign code does not see them.

TEST_P(ForeignTest, ForeignWorkThatIsThereAtOnceLetsOthersRun) {
  Everywhere([]() -> Task<void> {
    std::atomic<bool> ran = false;
    AwaitAll scope;
    scope.Fork([&ran]() -> Task<void> {
      ran = true;
      co_return;
    });
    for (int i = 0; i < 1000 && !ran; ++i) co_await Foreign(Return(i));
    // On another carrier it may still be on its way.
    if (carriers() == 1) EXPECT_TRUE(ran);
    (co_await scope.Join()).IgnoreFailures();
  });
}

TEST_P(ForeignTest, InACancelledThreadForeignWorkDoesNotBegin) {
  Everywhere([]() -> Task<void> {
    const absl::Status late = co_await WithTimeout(absl::ZeroDuration(), []() -> Task<void> {
      co_await Foreign([]() -> other::task<> {
        ADD_FAILURE() << "it has begun";
        co_return;
      }());
    }());
    EXPECT_EQ(late.code(), absl::StatusCode::kDeadlineExceeded);
  });
}

TEST_P(ForeignTest, ForeignWorkThatHasBegunIsWaitedForAndItsResultDelivered) {
  Everywhere([]() -> Task<void> {
    other::baton baton;
    std::stop_source source;
    testing::Introduction waiting;
    AwaitAll scope;
    scope.Fork([&]() -> Task<void> {
      waiting.Make();
      bool next_checkpoint_passed = false;
      bool delivered = false;
      const absl::Status late = co_await WithStopToken(
          source.get_token(), [](other::baton& baton, bool& delivered, bool& passed) -> Task<void> {
            EXPECT_EQ(co_await Foreign([](other::baton& baton) -> other::task<int> {
                        co_await baton;
                        co_return 9;
                      }(baton)),
                      9);
            EXPECT_TRUE(CancelRequested());
            delivered = true;
            co_await Yield();
            passed = true;
          }(baton, delivered, next_checkpoint_passed));
      EXPECT_EQ(late.code(), absl::StatusCode::kCancelled);
      EXPECT_TRUE(delivered);
      EXPECT_FALSE(next_checkpoint_passed);
    });
    co_await waiting.AwaitParked();
    source.request_stop();
    baton.post();
    (co_await scope.Join()).IgnoreFailures();
  });
}

TEST_P(ForeignTest, ForeignCodeSeesThatItsThreadIsAskedToEnd) {
  Everywhere([]() -> Task<void> {
    const absl::StatusOr<int> done = co_await testing::StopOnceItWaits(Foreign([]() -> other::task<int> {
          // A shield passes on no request: the foreign coroutine is not told of it here.
          while (!CancelRequested()) {
            co_await AsForeign(Shield([]() -> Task<void> { co_await Sleep(absl::Microseconds(10)); }()));
          }
          co_return 1;
        }()));
    EXPECT_EQ(done.value(), 1);
  });
}

// A request comes at once; the thread ends when the work does.
TEST_P(ForeignThreadTest, TheEndOfARuntimeWaitsForForeignWork) {
  for (int round = 0; round < kRounds; ++round) {
    absl::StatusOr<std::unique_ptr<Runtime>> runtime = Runtime::Create({.parallelism = carriers()});
    ASSERT_TRUE(runtime.ok());
    other::baton baton;
    std::atomic<bool> parked = false;
    std::thread runs([&baton, &parked, &runtime = **runtime] {
      const absl::Status ended = runtime.TryRun([](other::baton& baton, std::atomic<bool>& parked) -> Task<void> {
        AwaitAll scope;
        Introduction waiter;
        bool asked = false;
        scope.Fork([&]() -> Task<void> {
          waiter.Make();
          co_await Foreign(baton);
          EXPECT_TRUE(asked);
          co_await testing::UntilAsked();  // its own request may be still on its way
        });
        scope.Fork([&]() -> Task<void> {
          co_await waiter.AwaitParked();
          parked = true;
          parked.notify_one();
          co_await testing::UntilAsked();
          asked = true;
          baton.post();
        });
        (co_await scope.Join()).IgnoreFailures();
      }(baton, parked));
      EXPECT_EQ(ReasonOf(ended).kind, CancelReason::Kind::kRuntimeExit);
    });
    parked.wait(false);
    runtime->reset();
    runs.join();
  }
}

// ---- Misuse.

Task<void> UseOutside(other::task<> task) {
  task.handle().resume();
  co_return;
}

TEST(ForeignDeathTest, AnOperationOutsideAVirtualThread) {
  EXPECT_DEATH(
      {
        other::task<> task = []() -> other::task<> { co_await AsForeign(Yield()); }();
        task.handle().resume();
      },
      "co_await of weft::AsForeign\\(\\) outside a virtual thread; foreign code that has moved to another OS thread "
      "cannot "
      "wait for Weft there");
}

TEST(ForeignDeathTest, AnOperationOnAnOsThreadToWhichForeignCodeHasMoved) {
  EXPECT_DEATH(
      {
        other::thread elsewhere;
        weft::Run(Foreign([](other::thread& elsewhere) -> other::task<> {
          co_await elsewhere.schedule();
          co_await AsForeign(Yield());
        }(elsewhere)));
      },
      "co_await of weft::AsForeign\\(\\) outside a virtual thread");
}

TEST(ForeignDeathTest, AnOperationInWhatATaskResumesItself) {
  EXPECT_DEATH(
      testing::Simulation().Run(UseOutside([]() -> other::task<> { co_await AsForeign(Yield()); }())),
      "co_await of weft::AsForeign\\(\\) on virtual thread #1, which runs no foreign code below weft::Foreign\\(\\)");
}

TEST(ForeignDeathTest, TwoOperationsAtATime) {
  EXPECT_DEATH(testing::Simulation().Run([]() -> Task<void> {
    Event never;
    auto wait = [](Event& never) -> other::task<> { co_await AsForeign(never.Wait()); };
    other::task<> first = wait(never);
    other::task<> second = wait(never);
    co_await Foreign([](std::coroutine_handle<> first, std::coroutine_handle<> second) -> other::task<> {
      first.resume();
      second.resume();
      co_return;
    }(first.handle(), second.handle()));
  }()),
               "or waits in another weft::AsForeign\\(\\) already");
}

TEST(ForeignDeathTest, WhoAwaitsIsDestroyedInsteadOfResumed) {
  struct Destroys {
    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> awaiting) const { awaiting.destroy(); }
    void await_resume() const noexcept {}
  };
  EXPECT_DEATH(testing::Simulation().Run([]() -> Task<void> { co_await Foreign(Destroys()); }()),
               "foreign code has destroyed the coroutine that awaits it in weft::Foreign\\(\\); it must resume it");
}

TEST(ForeignDeathTest, AForeignCoroutineIsDestroyedInAnOperation) {
  EXPECT_DEATH(testing::Simulation().Run([]() -> Task<void> {
    Event never;
    co_await Foreign([](Event& never) -> other::task<> {
      other::task<> wait = [](Event& never) -> other::task<> { co_await AsForeign(never.Wait()); }(never);
      wait.handle().resume();
      co_return;
    }(never));
  }()),
               "a foreign coroutine is destroyed while it waits in weft::AsForeign\\(\\)");
}

#if !WEFT_EXCEPTIONS
TEST(ForeignDeathTest, ACancellationThatNobodyCanBeToldOf) {
  EXPECT_DEATH(
      testing::Simulation().Run([]() -> Task<void> {
        (co_await WithTimeout(absl::Milliseconds(1),
                              Foreign([]() -> other::task<> { co_await AsForeign(testing::Forever()); }())))
            .IgnoreError();
      }()),
      "is cancelled \\(.*\\) while a foreign coroutine waits in weft::AsForeign\\(\\); without exceptions there "
      "is no way to tell it");
}
#endif

TEST(ForeignDeathTest, ATaskIsAwaitedTwice) {
  EXPECT_DEATH(testing::Simulation().Run(Foreign([]() -> other::task<> {
    Task<int> task = Give(1);
    co_await AsForeign(std::move(task));
    co_await AsForeign(std::move(task));
  }())),
               "AsForeign\\(\\) of a Task that was moved from or awaited before; a Task is awaited once");
}

}  // namespace
}  // namespace weft

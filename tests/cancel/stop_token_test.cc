// std::stop_token, in and out. Goal: a token cancels what is awaited under it and nothing else, whoever stops it and
// whenever; a request to cancel stops the token of StopOnCancel, once, before its thread goes past it. Method: the same
// bodies in simulations and on carriers; tokens that other OS threads stop, on carriers.
#include "weft/stop_token.h"

#include <gtest/gtest.h>

#include <atomic>
#include <coroutine>
#include <cstddef>
#include <memory>
#include <optional>
#include <stop_token>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "tests/support/counted.h"
#include "tests/support/on_both.h"
#include "weft/cancellation.h"
#include "weft/executor/per_task_executor.h"
#include "weft/foreign.h"
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
using testing::Introduction;

class StopTokenTest : public testing::OnBoth {};
WEFT_ON_BOTH(StopTokenTest);

// ---- In.

TEST_P(StopTokenTest, ATaskWhoseTokenIsNotStoppedGivesItsOwnOutcome) {
  Everywhere([]() -> Task<void> {
    std::stop_source source;
    const absl::StatusOr<int> value = co_await WithStopToken(source.get_token(), []() -> Task<int> {
      co_await Yield();
      co_return 3;
    }());
    EXPECT_EQ(*value, 3);
    source.request_stop();
    co_await Yield();  // not cancelled
    const absl::StatusOr<int> without = co_await WithStopToken(std::stop_token(), []() -> Task<int> { co_return 4; }());
    EXPECT_EQ(*without, 4);
  });
}

TEST_P(StopTokenTest, AStopUnwindsTheTaskAndTheThreadGoesOn) {
  Everywhere([]() -> Task<void> {
    Counted::alive = 0;
    std::stop_source source;
    AwaitAll scope;
    Introduction waiting;
    absl::Status seen;
    scope.Fork([&]() -> Task<void> {
      Counted local;
      seen = co_await WithStopToken(source.get_token(), Forever(waiting));
      EXPECT_FALSE(CancelRequested());
      co_await Yield();
    });
    co_await waiting.AwaitParked();
    source.request_stop();
    EXPECT_TRUE((co_await scope.Join()).ok());
    EXPECT_EQ(seen.code(), absl::StatusCode::kCancelled);
    EXPECT_EQ(ReasonOf(seen).kind, CancelReason::Kind::kStopRequested);
    EXPECT_EQ(Counted::alive, 0);
  });
}

TEST_P(StopTokenTest, ATokenThatWasStoppedBeforeLetsTheTaskRunToItsFirstCheckpoint) {
  Everywhere([]() -> Task<void> {
    std::stop_source source;
    source.request_stop();
    bool began = false;
    bool went_on = false;
    const absl::Status seen = co_await WithStopToken(source.get_token(), [](bool& first, bool& second) -> Task<void> {
      first = true;
      co_await Yield();
      second = true;
    }(began, went_on));
    EXPECT_EQ(ReasonOf(seen).kind, CancelReason::Kind::kStopRequested);
    EXPECT_TRUE(began);
    EXPECT_FALSE(went_on);
  });
}

TEST_P(StopTokenTest, AStopReachesTheScopesInside) {
  Everywhere([]() -> Task<void> {
    Counted::alive = 0;
    std::stop_source source;
    AwaitAll scope;
    Introduction waiting;
    scope.Fork([&]() -> Task<void> {
      const absl::Status seen = co_await WithStopToken(source.get_token(), [](Introduction& inside) -> Task<void> {
        AwaitAll inner;
        inner.Fork([&inside, held = Counted()]() -> Task<void> { co_await Forever(inside); });
        (co_await inner.Join()).IgnoreFailures();
      }(waiting));
      EXPECT_EQ(ReasonOf(seen).kind, CancelReason::Kind::kStopRequested);
    });
    co_await waiting.AwaitParked();
    source.request_stop();
    EXPECT_TRUE((co_await scope.Join()).ok());
    EXPECT_EQ(Counted::alive, 0);
  });
}

TEST_P(StopTokenTest, ARequestFromOutsideGoesPastIt) {
  Everywhere([]() -> Task<void> {
    std::stop_source source;
    AwaitAll scope;
    Introduction waiting;
    std::atomic<bool> went_on{false};
    scope.Fork([&]() -> Task<void> {
      static_cast<void>(co_await WithStopToken(source.get_token(), Forever(waiting)));
      went_on = true;
    });
    co_await waiting.AwaitParked();
    scope.Shutdown();
    (co_await scope.Join()).IgnoreFailures();
    EXPECT_FALSE(went_on);
    source.request_stop();  // nobody listens any more
  });
}

// Another OS thread stops the token while the task begins, waits, ends.
TEST(StopTokenThreadTest, AStopByAnOsThreadMeetsTheTaskWhereverItIs) {
  for (const int carriers : {1, 2, 4}) {
    auto runtime = Runtime::Create({.parallelism = carriers}).value();
    for (int round = 0; round < 200; ++round) {
      Counted::alive = 0;
      std::stop_source source;
      std::atomic<bool> go{false};
      std::thread stopper([&] {
        while (!go) std::this_thread::yield();
        source.request_stop();
      });
      runtime->Run([](std::stop_token token, std::atomic<bool>& flag, int steps) -> Task<void> {
        flag = true;
        const absl::Status seen = co_await WithStopToken(token, [](int yields) -> Task<void> {
          Counted local;
          AwaitAll scope;
          scope.Fork([yields]() -> Task<void> {
            Counted inner;
            for (int i = 0; i < yields; ++i) co_await Yield();
          });
          (co_await scope.Join()).IgnoreFailures();
        }(steps));
        EXPECT_TRUE(seen.ok() || ReasonOf(seen).kind == CancelReason::Kind::kStopRequested) << seen;
        co_await Yield();
      }(source.get_token(), go, round));
      stopper.join();
      EXPECT_EQ(Counted::alive, 0);
    }
  }
}

// ---- Out.

TEST_P(StopTokenTest, ARequestStopsTheTokenAndItsCallbacksRunOnNoVirtualThread) {
  Everywhere([]() -> Task<void> {
    AwaitAll scope;
    Introduction waiting;
    std::atomic<int> calls{0};
    scope.Fork([&]() -> Task<void> {
      StopOnCancel stop;
      EXPECT_TRUE(stop.token().stop_possible());
      EXPECT_FALSE(stop.token().stop_requested());
      const std::stop_callback callback(stop.token(), [&calls] { ++calls; });
      co_await Forever(waiting);
    });
    co_await waiting.AwaitParked();
    EXPECT_EQ(calls, 0);
    scope.Shutdown();
    (co_await scope.Join()).IgnoreFailures();
    EXPECT_EQ(calls, 1);
  });
}

TEST_P(StopTokenTest, WithoutARequestItIsNeverStopped) {
  Everywhere([]() -> Task<void> {
    std::stop_token kept;
    {
      StopOnCancel stop;
      kept = stop.token();
      co_await Yield();
    }
    EXPECT_FALSE(kept.stop_requested());
  });
}

TEST_P(StopTokenTest, InAThreadThatWasAskedItIsStoppedFromTheStart) {
  Everywhere([]() -> Task<void> {
    AwaitAll scope;
    std::atomic<bool> stopped{false};
    Event begun;
    scope.Fork([&]() -> Task<void> {
      begun.Set();
      co_await testing::UntilAsked();
      StopOnCancel stop;
      stopped = stop.token().stop_requested();
    });
    co_await begun.Wait();
    scope.Shutdown();
    (co_await scope.Join()).IgnoreFailures();
    EXPECT_TRUE(stopped);
  });
}

TEST_P(StopTokenTest, InAShieldItIsNotStopped) {
  Everywhere([]() -> Task<void> {
    AwaitAll scope;
    Introduction waiting;
    Event go;
    std::atomic<bool> outside{false};
    std::atomic<bool> inside{false};
    scope.Fork([&]() -> Task<void> {
      StopOnCancel outer;
      waiting.Make();
      co_await Shield([](Event& event, std::atomic<bool>& flag) -> Task<void> {
        StopOnCancel inner;
        co_await event.Wait();
        flag = inner.token().stop_requested();
      }(go, inside));
      // The token is stopped by whichever carrier comes to it.
      while (!outer.token().stop_requested()) co_await Shield([]() -> Task<void> { co_await Yield(); }());
      outside = true;
    });
    co_await waiting.AwaitParked();
    scope.Shutdown();
    go.Set();
    (co_await scope.Join()).IgnoreFailures();
    EXPECT_TRUE(outside);
    EXPECT_FALSE(inside);
  });
}

TEST_P(StopTokenTest, ItIsStoppedByARequestAroundItAndNotByOneInside) {
  Everywhere([]() -> Task<void> {
    std::stop_token kept;
    std::atomic<int> calls{0};
    const absl::Status late =
        co_await testing::StopOnceItWaits([](std::stop_token& token, std::atomic<int>& count) -> Task<void> {
          StopOnCancel stop;
          token = stop.token();
          const std::stop_callback callback(token, [&count] { ++count; });
          EXPECT_FALSE((co_await WithTimeout(absl::ZeroDuration(), Forever())).ok());
          EXPECT_FALSE(token.stop_requested());
          co_await Forever();
        }(kept, calls));
    EXPECT_EQ(ReasonOf(late).kind, CancelReason::Kind::kStopRequested);
    EXPECT_TRUE(kept.stop_requested());
    EXPECT_EQ(calls, 1);
  });
}

// The request meets its destructor, in every order that there is.
TEST_P(StopTokenTest, ARequestThatMeetsItsEndIsHarmless) {
  Everywhere([]() -> Task<void> {
    AwaitAll scope;
    std::atomic<int> bad{0};
    for (int i = 0; i < 10; ++i) {
      scope.Fork([&bad, i]() -> Task<void> {
        for (int j = 0; j < 10 + i; ++j) {
          std::atomic<bool> alive{true};
          {
            StopOnCancel stop;
            const std::stop_callback callback(stop.token(), [&] { bad += alive ? 0 : 1; });
            co_await Shield([]() -> Task<void> { co_await Yield(); }());
          }
          alive = false;
        }
      });
    }
    for (int i = 0; i < 5; ++i) co_await Yield();
    scope.Shutdown();
    (co_await scope.Join()).IgnoreFailures();
    EXPECT_EQ(bad, 0);
  });
}

// A regression: one callback that makes requests ran the next, which ran the next, on one stack. Each of these tokens
// ends the wait of another thread.
TEST(StopTokenSimulationTest, ManyTokensThatStopOthersNeedNoStack) {
  static constexpr int kMany = 3'000;
  testing::Simulation simulation({.carriers = 2, .seed = 1});
  simulation.Run([]() -> Task<void> {
    AwaitAll stopped;
    AwaitAll waiting;
    std::atomic<int> begun{0};
    std::atomic<int> ended{0};
    for (int i = 0; i < kMany; ++i) {
      auto token = std::make_shared<std::stop_token>();
      auto made = std::make_shared<Event>();
      stopped.Fork([token, made]() -> Task<void> {
        StopOnCancel stop;
        *token = stop.token();
        made->Set();
        co_await Forever();
      });
      waiting.Fork([token, made, &begun, &ended]() -> Task<void> {
        co_await made->Wait();
        ++begun;
        const absl::Status seen = co_await WithStopToken(*token, Forever());
        ended += ReasonOf(seen).kind == CancelReason::Kind::kStopRequested ? 1 : 0;
      });
    }
    while (begun < kMany) co_await Yield();
    stopped.Shutdown();
    (co_await waiting.Join()).IgnoreFailures();
    EXPECT_EQ(ended, kMany);
  }());
}

// A regression: whoever shut any scope down ran the callbacks of strangers, and died of a lock that it held itself.
//   1. A: has a callback that takes a lock; is asked to end
//   2. B: holds that lock, and shuts another scope down
TEST_P(StopTokenTest, NobodyRunsACallbackInTheMiddleOfItsOwnCode) {
  Everywhere([]() -> Task<void> {
    AwaitAll scope;
    Introduction waiting;
    std::atomic<bool> held{false};
    std::atomic<bool> called_meanwhile{false};
    std::atomic<const void*> holder{nullptr};
    static thread_local int mark;
    scope.Fork([&]() -> Task<void> {
      StopOnCancel stop;
      const std::stop_callback callback(stop.token(), [&] {
        if (held && holder == &mark) called_meanwhile = true;
      });
      co_await Forever(waiting);
    });
    co_await waiting.AwaitParked();
    AwaitAll other;
    holder = &mark;
    held = true;
    scope.Shutdown();
    other.Shutdown();
    held = false;
    (co_await other.Join()).IgnoreFailures();
    (co_await scope.Join()).IgnoreFailures();
    EXPECT_FALSE(called_meanwhile);
  });
}

// A join with it in between is one that can be interrupted.
// And others call theirs meanwhile, also those of what it waits for.
TEST_P(StopTokenTest, ACallbackMayWaitInADestructor) {
  Everywhere([]() -> Task<void> {
    std::atomic<int> called{0};
    {
      AwaitAll scope;
      for (int i = 0; i < 2; ++i) {
        Introduction waiting;
        scope.Fork([&called, &waiting]() -> Task<void> {
          Event called_inside;
          Introduction waiting_inside;
          std::optional<VirtualThreadPerTaskExecutor> executor(std::in_place);
          static_cast<void>(executor->Submit([&]() -> Task<void> {
            StopOnCancel inside;
            const std::stop_callback sets(inside.token(), [&called_inside] { called_inside.Set(); });
            waiting_inside.Make();
            co_await Shield([&called_inside]() -> Task<void> {
              co_await called_inside.Wait();
              co_await Sleep(absl::Milliseconds(1));
            }());
          }));
          co_await waiting_inside.AwaitParked();
          StopOnCancel stop;
          const std::stop_callback destroys(stop.token(), [&] {
            executor.reset();
            ++called;
          });
          co_await Forever(waiting);
        });
        co_await waiting.AwaitParked();
      }
    }
    EXPECT_EQ(called, 2);
  });
}

TEST_P(StopTokenTest, ItMayLieBetweenAScopeAndItsJoin) {
  Everywhere([]() -> Task<void> {
    AwaitAll scope;
    auto child = scope.Fork([]() -> Task<int> {
      co_await Yield();
      co_return 3;
    });
    StopOnCancel stop;
    EXPECT_TRUE((co_await scope.Join()).ok());
    EXPECT_EQ(*child, 3);
  });
}

// Foreign work that ends when all of it has been told to.
struct WorkTogether {
  struct Wait {
    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> handle) { of->waiting.push_back(handle); }
    void await_resume() const noexcept {}
    WorkTogether* of;
  };
  void Tell() {
    if (++told < all) return;
    for (const std::coroutine_handle<> handle : std::exchange(waiting, {})) handle.resume();
  }
  const size_t all;
  size_t told = 0;
  std::vector<std::coroutine_handle<>> waiting = {};
};

TEST(StopTokenThreadTest, ADestructorThatWaitsTellsAllChildren) {
  (*Runtime::Create({.parallelism = 1, .max_pool_size = 1}))->Run([]() -> Task<void> {
    WorkTogether work{.all = 20};
    {
      AwaitAll scope;
      for (size_t i = 0; i < work.all; ++i) {
        scope.Fork([&work]() -> Task<void> {
          StopOnCancel stop;
          const std::stop_callback callback(stop.token(), [&work] { work.Tell(); });
          co_await Foreign(WorkTogether::Wait{&work});
        });
      }
      while (work.waiting.size() < work.all) co_await Yield();
    }
    EXPECT_EQ(work.told, work.all);
  }());
}

// What a callback asks for belongs to the request that it is called for: all carriers may be held.
TEST(StopTokenThreadTest, AnOsThreadCallsTheCallbacksOfWhatItsCallbacksAskForToo) {
  auto runtime = Runtime::Create({.parallelism = 1, .held_carrier_threshold = absl::ZeroDuration()}).value();
  runtime->Run([]() -> Task<void> {
    std::vector<std::thread::id> called(2);
    std::optional<VirtualThread> second;
    const auto waits = [&](int number, Introduction& waiting) -> Task<void> {
      StopOnCancel stop;
      const std::stop_callback callback(stop.token(), [&called, &second, number] {
        called[static_cast<size_t>(number)] = std::this_thread::get_id();
        if (number == 0) second->RequestCancel();
      });
      co_await Forever(waiting);
    };
    Introduction waiting[2];
    const VirtualThread first = VirtualThread::Start(waits(0, waiting[0]));
    second = VirtualThread::Start(waits(1, waiting[1]));
    co_await waiting[0].AwaitParked();
    co_await waiting[1].AwaitParked();
    std::thread outside([&first] { first.RequestCancel(); });
    const std::thread::id asks = outside.get_id();
    outside.join();  // which holds the carrier
    EXPECT_EQ(called, std::vector<std::thread::id>(2, asks));
    EXPECT_FALSE((co_await first.Join()).ok());
    EXPECT_FALSE((co_await second->Join()).ok());
  }());
}

// The caller may hold a lock that a callback takes.
TEST(StopTokenThreadTest, AnOsThreadCallsOnlyTheCallbacksOfItsOwnRequest) {
  auto runtime = Runtime::Create({.parallelism = 1, .held_carrier_threshold = absl::ZeroDuration()}).value();
  runtime->Run([]() -> Task<void> {
    std::thread::id called_own, called_other;
    std::atomic<bool> own_was_called{false};
    const auto waits = [](std::thread::id& called, std::atomic<bool>* flag, Introduction& waiting) -> Task<void> {
      StopOnCancel stop;
      const std::stop_callback callback(stop.token(), [&called, flag] {
        called = std::this_thread::get_id();
        if (flag != nullptr) *flag = true;
      });
      co_await Forever(waiting);
    };
    Introduction own_waits, other_waits;
    const VirtualThread own = VirtualThread::Start(waits(called_own, &own_was_called, own_waits));
    AwaitAll scope;
    scope.Fork(waits(called_other, nullptr, other_waits));
    co_await own_waits.AwaitParked();
    co_await other_waits.AwaitParked();
    scope.Shutdown();  // whose callback the carrier calls when this thread lets it
    std::thread outside([&own] { own.RequestCancel(); });
    const std::thread::id asks = outside.get_id();
    outside.join();
    EXPECT_TRUE(own_was_called);
    EXPECT_EQ(called_own, asks);
    EXPECT_EQ(called_other, std::thread::id());
    (co_await scope.Join()).IgnoreFailures();
    EXPECT_EQ(called_other, std::this_thread::get_id());
    EXPECT_FALSE((co_await own.Join()).ok());
  }());
}

// On top of the destructor of a scope that waits. The callbacks of its children are called there: it waits for them.
// (Not simulated: there all carriers have one OS thread.)
TEST(StopTokenThreadTest, ADestructorThatWaitsRunsTheCallbacksOfItsChildrenAndNoOthers) {
  for (const int carriers : {1, 2}) {
    const std::unique_ptr<Runtime> runtime = *Runtime::Create({.parallelism = carriers});
    runtime->Run([]() -> Task<void> {
      AwaitAll strangers;
      Introduction waiting, mine;
      std::atomic<bool> held{false};
      std::atomic<bool> called_meanwhile{false};
      std::atomic<int> called{0};
      std::atomic<const void*> holder{nullptr};
      static thread_local int mark;
      strangers.Fork([&]() -> Task<void> {
        StopOnCancel stop;
        const std::stop_callback callback(stop.token(), [&] {
          if (held && holder == &mark) called_meanwhile = true;
        });
        co_await Forever(waiting);
      });
      co_await waiting.AwaitParked();
      {
        AwaitAll scope;
        scope.Fork([&]() -> Task<void> {
          StopOnCancel stop;
          const std::stop_callback callback(stop.token(), [&] { ++called; });
          co_await Forever(mine);
        });
        co_await mine.AwaitParked();
        holder = &mark;
        held = true;
        strangers.Shutdown();
      }
      held = false;
      EXPECT_EQ(called, 1);
      (co_await strangers.Join()).IgnoreFailures();
      EXPECT_FALSE(called_meanwhile);
    }());
  }
}

}  // namespace
}  // namespace weft

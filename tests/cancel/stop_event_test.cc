// WithStopEvent. Goal: an event that is set ends what is awaited under it and nothing else, whoever sets it and
// whenever, and nothing of it is touched afterwards. Method: the same bodies in simulations and on carriers; events
// that other OS threads set, on carriers.
#include "weft/stop_event.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "tests/support/counted.h"
#include "tests/support/on_both.h"
#include "weft/cancellation.h"
#include "weft/runtime.h"
#include "weft/scope.h"
#include "weft/sync/event.h"
#include "weft/task.h"
#include "weft/testing/simulation.h"
#include "weft/time.h"

namespace weft {
namespace {

using testing::Counted;
using testing::Forever;
using testing::Introduction;

class StopEventTest : public testing::OnBoth {};
WEFT_ON_BOTH(StopEventTest);

TEST_P(StopEventTest, ATaskWhoseEventIsNotSetGivesItsOwnOutcome) {
  Everywhere([]() -> Task<void> {
    Event stop;
    const absl::StatusOr<int> value = co_await WithStopEvent(stop, []() -> Task<int> {
      co_await Yield();
      co_return 3;
    }());
    EXPECT_EQ(*value, 3);
    stop.Set();
    co_await Yield();  // not cancelled
    stop.Reset();
    EXPECT_EQ(*co_await WithStopEvent(stop, []() -> Task<int> { co_return 4; }()), 4);
  });
}

TEST_P(StopEventTest, SettingItUnwindsTheTaskAndTheThreadGoesOn) {
  Everywhere([]() -> Task<void> {
    Counted::alive = 0;
    Event stop;
    AwaitAll scope;
    Introduction waiting;
    absl::Status seen;
    scope.Fork([&]() -> Task<void> {
      Counted local;
      seen = co_await WithStopEvent(stop, Forever(waiting));
      EXPECT_FALSE(CancelRequested());
      co_await Yield();
    });
    co_await waiting.AwaitParked();
    stop.Set();
    EXPECT_TRUE((co_await scope.Join()).ok());
    EXPECT_EQ(seen.code(), absl::StatusCode::kCancelled);
    EXPECT_EQ(ReasonOf(seen).kind, CancelReason::Kind::kEventSet);
    EXPECT_NE(ReasonOf(seen).where.find("stop_event_test.cc"), std::string::npos);
    EXPECT_NE(ReasonOf(seen).ToString().find("the event was set"), std::string::npos);
    EXPECT_EQ(Counted::alive, 0);
  });
}

TEST_P(StopEventTest, OneThatWasSetBeforeLetsTheTaskRunToItsFirstCheckpoint) {
  Everywhere([]() -> Task<void> {
    Event stop;
    stop.Set();
    bool began = false, went_on = false;
    const absl::Status seen = co_await WithStopEvent(stop, [](bool& first, bool& second) -> Task<void> {
      first = true;
      co_await Yield();
      second = true;
    }(began, went_on));
    EXPECT_EQ(ReasonOf(seen).kind, CancelReason::Kind::kEventSet);
    EXPECT_TRUE(began);
    EXPECT_FALSE(went_on);
  });
}

TEST_P(StopEventTest, AResetDoesNotTakeItBackAndAnotherSetDoesNotMatter) {
  Everywhere([]() -> Task<void> {
    Event stop, was_reset;
    AwaitAll scope;
    Introduction waiting;
    scope.Fork([&]() -> Task<void> {
      const absl::Status seen = co_await WithStopEvent(stop, Forever(waiting));
      EXPECT_EQ(ReasonOf(seen).kind, CancelReason::Kind::kEventSet);
      co_await was_reset.Wait();
      EXPECT_EQ(co_await WithStopEvent(stop, Yield()), absl::OkStatus());
    });
    co_await waiting.AwaitParked();
    stop.Set();
    stop.Set();
    stop.Reset();
    was_reset.Set();
    EXPECT_TRUE((co_await scope.Join()).ok());
  });
}

TEST_P(StopEventTest, TheTaskMaySetItItself) {
  Everywhere([]() -> Task<void> {
    Event stop;
    bool went_on = false;
    const absl::Status seen = co_await WithStopEvent(stop, [](Event& event, bool& second) -> Task<void> {
      event.Set();
      co_await Yield();
      second = true;
    }(stop, went_on));
    EXPECT_EQ(ReasonOf(seen).kind, CancelReason::Kind::kEventSet);
    EXPECT_FALSE(went_on);
    // And a wait for the event itself: it is over, or stopped.
    stop.Reset();
    AwaitAll scope;
    scope.Fork([&stop]() -> Task<void> { static_cast<void>(co_await WithStopEvent(stop, stop.Wait())); });
    co_await Yield();
    stop.Set();
    EXPECT_TRUE((co_await scope.Join()).ok());
  });
}

TEST_P(StopEventTest, ItReachesAllThatListenAndTheScopesInside) {
  Everywhere([]() -> Task<void> {
    constexpr int kThreads = 20;
    Counted::alive = 0;
    Event stop;
    AwaitAll scope;
    std::vector<Introduction> waiting(kThreads);
    std::atomic<int> stopped = 0;
    for (Introduction& each : waiting) {
      scope.Fork([&stop, &stopped, &each]() -> Task<void> {
        const absl::Status seen = co_await WithStopEvent(stop, [](Introduction& inside) -> Task<void> {
          AwaitAll inner;
          inner.Fork([&inside, held = Counted()]() -> Task<void> { co_await Forever(inside); });
          (co_await inner.Join()).IgnoreFailures();
        }(each));
        if (ReasonOf(seen).kind == CancelReason::Kind::kEventSet) ++stopped;
      });
    }
    for (Introduction& each : waiting) co_await each.AwaitParked();
    stop.Set();
    EXPECT_TRUE((co_await scope.Join()).ok());
    EXPECT_EQ(stopped, kThreads);
    EXPECT_EQ(Counted::alive, 0);
  });
}

TEST_P(StopEventTest, ARequestFromOutsideGoesPastIt) {
  Everywhere([]() -> Task<void> {
    Event stop;
    AwaitAll scope;
    Introduction waiting;
    std::atomic<bool> went_on{false};
    scope.Fork([&]() -> Task<void> {
      static_cast<void>(co_await WithStopEvent(stop, Forever(waiting)));
      went_on = true;
    });
    co_await waiting.AwaitParked();
    scope.Shutdown();
    (co_await scope.Join()).IgnoreFailures();
    EXPECT_FALSE(went_on);
    stop.Set();  // nobody listens any more
  });
}

TEST_P(StopEventTest, AShieldInsideHidesIt) {
  Everywhere([]() -> Task<void> {
    Event stop;
    bool finished = false;
    const absl::Status seen = co_await WithStopEvent(stop, [](Event& event, bool& done) -> Task<void> {
      event.Set();
      co_await Shield(Yield());
      done = true;
      co_await Yield();
    }(stop, finished));
    EXPECT_TRUE(finished);
    EXPECT_EQ(ReasonOf(seen).kind, CancelReason::Kind::kEventSet);
  });
}

// Another OS thread sets the event while the task begins, waits, ends. What the tasks leave is destroyed at once.
TEST(StopEventThreadTest, SetByAnOsThreadItMeetsTheTasksWhereverTheyAre) {
  for (const int carriers : {1, 2, 4}) {
    auto runtime = Runtime::Create({.parallelism = carriers}).value();
    for (int round = 0; round < 200; ++round) {
      Counted::alive = 0;
      auto stop = std::make_unique<Event>();
      std::atomic<bool> go{false};
      std::thread setter([&, event = stop.get()] {
        while (!go) std::this_thread::yield();
        event->Set();
      });
      runtime->Run([](std::unique_ptr<Event>& event, std::atomic<bool>& flag, int steps) -> Task<void> {
        AwaitAll scope;
        for (int i = 0; i < 3; ++i) {
          scope.Fork([&event, &flag, i, steps]() -> Task<void> {
            flag = true;
            const absl::Status seen = co_await WithStopEvent(*event, [](int yields, bool waits) -> Task<void> {
              Counted local;
              for (int i = 0; i < yields; ++i) co_await Yield();
              if (waits) co_await Forever();
            }(steps, i == 0));
            if (!seen.ok()) EXPECT_EQ(ReasonOf(seen).kind, CancelReason::Kind::kEventSet);
            if (i == 0) EXPECT_FALSE(seen.ok());
          });
        }
        EXPECT_TRUE((co_await scope.Join()).ok());
      }(stop, go, round % 20));
      setter.join();
      EXPECT_EQ(Counted::alive, 0);
    }
  }
}

// What came before Set() happens before what it ends.
TEST(StopEventThreadTest, WhatCameBeforeSetIsSeen) {
  auto runtime = Runtime::Create({.parallelism = 2}).value();
  for (int round = 0; round < 200; ++round) {
    Event stop;
    int written = 0;
    std::thread setter([&] {
      written = 1;
      stop.Set();
    });
    runtime->Run([](Event& event, const int& seen) -> Task<void> {
      EXPECT_FALSE((co_await WithStopEvent(event, Forever())).ok());
      EXPECT_EQ(seen, 1);
    }(stop, written));
    setter.join();
  }
}

// A thousand times: an OS thread sets the event that the body has, and may destroy, when the body sets the flag.
void WithAnEventThatIsSetOutside(Task<void> (*body)(std::unique_ptr<Event> event, std::atomic<bool>& go)) {
  auto runtime = Runtime::Create({.parallelism = 2}).value();
  for (int round = 0; round < 1000; ++round) {
    auto event = std::make_unique<Event>();
    std::atomic<bool> go{false};
    std::thread setter([&go, set = event.get()] {
      while (!go) std::this_thread::yield();
      set->Set();
    });
    runtime->Run(body(std::move(event), go));
    setter.join();
  }
}

// Set() touches nothing of the event after the last task that it stops may have gone on, not even to return.
TEST(StopEventThreadTest, TheLastTaskMayDestroyTheEvent) {
  WithAnEventThatIsSetOutside([](std::unique_ptr<Event> event, std::atomic<bool>& go) -> Task<void> {
    Introduction waiting;
    AwaitAll scope;
    scope.Fork([&waiting, &go]() -> Task<void> {
      co_await waiting.AwaitParked();  // it listens: had it come too late, the event would be set still
      go = true;
    });
    EXPECT_FALSE((co_await WithStopEvent(*event, Forever(waiting))).ok());
    event.reset();
    (co_await scope.Join()).IgnoreFailures();
  });
}

// Of tasks that have listened earlier nothing is left that Set() would look at.
TEST(StopEventThreadTest, AWaiterMayDestroyAnEventThatATaskHasListenedTo) {
  WithAnEventThatIsSetOutside([](std::unique_ptr<Event> event, std::atomic<bool>& go) -> Task<void> {
    EXPECT_TRUE((co_await WithStopEvent(*event, Yield())).ok());
    go = true;
    co_await event->Wait();
    event.reset();
  });
}

TEST(StopEventThreadTest, OneSetStopsNobodyWhoListensAfterAReset) {
  constexpr int kTasks = 100;
  auto runtime = Runtime::Create({.parallelism = 2}).value();
  for (int round = 0; round < 20; ++round) {
    Event stop, over;
    std::atomic<int> listening{0};
    std::thread setter([&] {
      while (listening < kTasks) std::this_thread::yield();
      stop.Set();
      over.Set();
    });
    runtime->Run([](Event& stops, Event& is_over, std::atomic<int>& count) -> Task<void> {
      AwaitAll scope;
      for (int i = 0; i < kTasks; ++i) {
        scope.Fork([&]() -> Task<void> {
          Introduction waiting;
          AwaitAll watch;
          watch.Fork([&]() -> Task<void> {
            co_await waiting.AwaitParked();
            ++count;
          });
          EXPECT_FALSE((co_await WithStopEvent(stops, Forever(waiting))).ok());
          stops.Reset();
          EXPECT_TRUE((co_await WithStopEvent(stops, is_over.Wait())).ok());
          (co_await watch.Join()).IgnoreFailures();
        });
      }
      (co_await scope.Join()).IgnoreFailures();
    }(stop, over, listening));
    setter.join();
  }
}

TEST(StopEventDeathTest, AnEventThatGoesBeforeTheTaskIsACheck) {
  EXPECT_DEATH(
      {
        testing::Simulation simulation({.carriers = 1, .seed = 1});
        simulation.Run([]() -> Task<void> {
          auto stop = std::make_unique<Event>();
          AwaitAll scope;
          Introduction waiting;
          scope.Fork([&]() -> Task<void> { static_cast<void>(co_await WithStopEvent(*stop, Forever(waiting))); });
          co_await waiting.AwaitParked();
          stop.reset();
          co_await scope.Close();
        }());
      },
      "an Event is destroyed by .* while .*VirtualThread.* runs a task that it is to stop");
}

TEST(StopEventDeathTest, AnEventThatGoesBeforeTheTasksThatItHasStoppedIsACheck) {
  EXPECT_DEATH(
      {
        testing::Simulation simulation({.carriers = 1, .seed = 1});
        simulation.Run([]() -> Task<void> {
          auto stop = std::make_unique<Event>();
          AwaitAll scope;
          Introduction waiting;
          scope.Fork([&]() -> Task<void> { static_cast<void>(co_await WithStopEvent(*stop, Forever(waiting))); });
          co_await waiting.AwaitParked();
          stop->Set();
          stop.reset();
          co_await scope.Close();
        }());
      },
      "an Event is destroyed by .* while a thread runs a task that it is to stop, or has stopped");
}

}  // namespace
}  // namespace weft

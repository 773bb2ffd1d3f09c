// DelayQueue. Goal: values are received in the order of their times, none before its time, each once, whoever is
// cancelled. Method: virtual time, which only passes when all are parked; on carriers what holds at any speed.
#include "weft/channel/delay_queue.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "tests/support/counted.h"
#include "tests/support/on_both.h"
#include "weft/cancellation.h"
#include "weft/runtime.h"
#include "weft/scope.h"
#include "weft/task.h"
#include "weft/testing/simulation.h"
#include "weft/time.h"

namespace weft {
namespace {

using testing::Counted;
using testing::Introduction;
using testing::Ticket;

class DelayQueueTest : public testing::OnBoth {};
WEFT_ON_BOTH(DelayQueueTest);

TEST_P(DelayQueueTest, ValuesComeInTheOrderOfTheirTimesAndNoneBeforeItsTime) {
  Everywhere([]() -> Task<void> {
    DelayQueue<int> queue;
    const MonotonicTime begin = MonotonicNow();
    for (const int ms : {3, 1, 4, 1, 5, 9, 2, 6}) EXPECT_TRUE(queue.Send(ms, absl::Milliseconds(ms)));
    EXPECT_EQ(queue.size(), 8u);
    int last = 0;
    for (int i = 0; i < 8; ++i) {
      const std::optional<int> ms = co_await queue.Receive();
      EXPECT_GE(MonotonicNow() - begin, absl::Milliseconds(*ms));
      if (simulated()) EXPECT_LE(MonotonicNow() - begin, absl::Milliseconds(*ms + 1));
      if (simulated()) EXPECT_GE(*ms, last);  // elsewhere some time may pass between two Send()
      last = *ms;
    }
    EXPECT_EQ(queue.size(), 0u);
    EXPECT_FALSE(queue.TryReceive().has_value());
  });
}

TEST_P(DelayQueueTest, WhatIsDueComesBeforeWhatWasSentEarlierForLater) {
  Everywhere([]() -> Task<void> {
    DelayQueue<int> queue;
    EXPECT_TRUE(queue.Send(1, absl::Hours(1)));
    EXPECT_TRUE(queue.Send(2, absl::ZeroDuration()));
    EXPECT_EQ(co_await queue.Receive(), 2);
    EXPECT_FALSE(queue.TryReceive().has_value());
  });
}

TEST_P(DelayQueueTest, ThoseOfOneTimeComeInTheOrderInWhichTheyWereSent) {
  Everywhere([]() -> Task<void> {
    DelayQueue<int> queue;
    for (int i = 0; i < 100; ++i) queue.Send(i, i % 2 == 0 ? absl::ZeroDuration() : -absl::InfiniteDuration());
    std::vector<int> even, odd;
    for (int i = 0; i < 100; ++i) {
      const int value = (co_await queue.Receive()).value();
      (value % 2 == 0 ? even : odd).push_back(value);
    }
    EXPECT_TRUE(std::is_sorted(even.begin(), even.end()));
    EXPECT_TRUE(std::is_sorted(odd.begin(), odd.end()));
  });
}

TEST_P(DelayQueueTest, AValueThatIsNeverDueIsInNobodysWay) {
  Everywhere([]() -> Task<void> {
    DelayQueue<int> queue;
    queue.Send(1, absl::InfiniteDuration());
    EXPECT_EQ(queue.TryReceive(), std::nullopt);
    EXPECT_FALSE((co_await MoveOnAfter(absl::Milliseconds(1), queue.Receive())).has_value());
    queue.Send(2, absl::Milliseconds(1));
    EXPECT_EQ(co_await queue.Receive(), 2);
    EXPECT_EQ(queue.TryReceive(), std::nullopt);
    EXPECT_EQ(queue.size(), 1u);
  });
}

TEST_P(DelayQueueTest, AValueThatIsDueEarlierWakesAReceiverThatWaitsForALaterOne) {
  Everywhere([]() -> Task<void> {
    DelayQueue<int> queue;
    AwaitAll scope;
    Introduction waiting;
    auto got = scope.Fork([&]() -> Task<int> {
      waiting.Make();
      co_return (co_await queue.Receive()).value();
    });
    co_await waiting.AwaitParked();
    queue.Send(1, absl::Hours(1));
    co_await Yield();
    queue.Send(2, absl::ZeroDuration());
    (co_await scope.Join()).IgnoreFailures();
    EXPECT_EQ(*got, 2);
    EXPECT_FALSE(queue.TryReceive().has_value()) << "its time has not come";
  });
}

TEST_P(DelayQueueTest, ReceiversAreServedInTheirOrder) {
  Everywhere([]() -> Task<void> {
    DelayQueue<int> queue;
    std::vector<Subtask<int>> got;
    AwaitAll scope;
    for (int i = 0; i < 4; ++i) {
      Introduction waiting;
      got.push_back(scope.Fork([&]() -> Task<int> {
        waiting.Make();
        co_return (co_await queue.Receive()).value();
      }));
      co_await waiting.AwaitParked();
    }
    for (int i = 0; i < 4; ++i) queue.Send(i, absl::ZeroDuration());
    (co_await scope.Join()).IgnoreFailures();
    for (int i = 0; i < 4; ++i) EXPECT_EQ(*got[i], i);
  });
}

TEST_P(DelayQueueTest, AClosedQueueGivesWhatIsInItEachAtItsTimeAndThenNothing) {
  Everywhere([]() -> Task<void> {
    DelayQueue<Ticket> queue;
    const MonotonicTime begin = MonotonicNow();
    queue.Send(Ticket(1), absl::Milliseconds(2));
    EXPECT_TRUE(queue.Close());
    EXPECT_FALSE(queue.Close());
    EXPECT_TRUE(queue.IsClosed());
    Ticket late(2);
    EXPECT_FALSE(queue.Send(std::move(late), absl::ZeroDuration()));
    EXPECT_TRUE(late.has_number()) << "it was left as it was";
    EXPECT_EQ((co_await queue.Receive())->number(), 1);
    EXPECT_GE(MonotonicNow() - begin, absl::Milliseconds(2));
    EXPECT_FALSE((co_await queue.Receive()).has_value());
    EXPECT_FALSE((co_await queue.Receive()).has_value());
  });
}

TEST_P(DelayQueueTest, CloseEndsTheWaitsForAnEmptyQueue) {
  Everywhere([]() -> Task<void> {
    DelayQueue<int> queue;
    AwaitAll scope;
    for (int i = 0; i < 3; ++i) {
      Introduction waiting;
      scope.Fork([&]() -> Task<void> {
        waiting.Make();
        EXPECT_FALSE((co_await queue.Receive()).has_value());
      });
      co_await waiting.AwaitParked();
    }
    queue.Close();
    (co_await scope.Join()).IgnoreFailures();
  });
}

TEST_P(DelayQueueTest, AReceiverThatIsCancelledTakesNothingWithIt) {
  Everywhere([]() -> Task<void> {
    constexpr int kValues = 20;
    DelayQueue<Counted> queue;
    std::vector<std::atomic<int>> seen(kValues);
    {
      AwaitAll kept, cancelled;
      for (AwaitAll* scope : {&cancelled, &kept, &cancelled, &kept}) {
        scope->Fork([&]() -> Task<void> {
          while (std::optional<Counted> each = co_await queue.Receive()) {
            ++seen[each->value()];
            co_await Yield();
          }
        });
      }
      for (int i = 0; i < kValues; ++i) {
        queue.Send(Counted(i), absl::Microseconds(100 * (i % 5)));
        if (i == kValues / 2) cancelled.Shutdown();
        if (i % 3 == 0) co_await Yield();
      }
      queue.Close();
      (co_await cancelled.Join()).IgnoreFailures();
      (co_await kept.Join()).IgnoreFailures();
    }
    for (int i = 0; i < kValues; ++i) EXPECT_EQ(seen[i], 1) << i;
    EXPECT_EQ(Counted::bad, 0);
  });
}

TEST_P(DelayQueueTest, MoveOnAfterLimitsAReceive) {
  Everywhere([]() -> Task<void> {
    DelayQueue<int> queue;
    EXPECT_FALSE((co_await MoveOnAfter(absl::ZeroDuration(), queue.Receive())).has_value());
    queue.Send(1, absl::Hours(1));
    EXPECT_FALSE((co_await MoveOnAfter(absl::Microseconds(1), queue.Receive())).has_value());
    EXPECT_EQ(queue.size(), 1u);
  });
}

TEST(DelayQueueThreadsTest, OsThreadsSendAndTryToo) {
  const int64_t before = Counted::alive;
  {
    DelayQueue<Counted> queue;
    for (int i = 0; i < 1000; ++i) queue.Send(Counted(i), absl::Hours(i % 7));
    EXPECT_EQ(queue.TryReceive()->value(), 0);
    EXPECT_EQ(queue.TryReceive()->value(), 7);
    EXPECT_EQ(queue.size(), 998u);
  }
  EXPECT_EQ(Counted::alive, before) << "the destructor destroys what is left";
}

TEST(DelayQueueThreadsTest, AnOsThreadSendsToAQueueInWhichAThreadWaitsAndClosesIt) {
  const std::unique_ptr<Runtime> runtime = Runtime::Create({.parallelism = 2}).value();
  for (int round = 0; round < 200; ++round) {
    DelayQueue<int> queue;
    std::thread outside([&] {
      for (int i = 0; i < 3; ++i) EXPECT_TRUE(queue.Send(i, absl::ZeroDuration()));
      queue.Close();
    });
    runtime->Run([](DelayQueue<int>& from) -> Task<void> {
      for (int i = 0; i < 3; ++i) EXPECT_EQ(co_await from.Receive(), i);
      EXPECT_EQ(co_await from.Receive(), std::nullopt);
    }(queue));
    outside.join();
  }
}

TEST(DelayQueueDeathTest, IsDestroyedWithAWaiter) {
  EXPECT_DEATH(testing::Simulation().Run([]() -> Task<void> {
                 AwaitAll scope;
                 DelayQueue<int> queue;
                 scope.Fork([&]() -> Task<void> { static_cast<void>(co_await queue.Receive()); });
                 co_await Sleep(absl::Milliseconds(1));
               }()),
               "a DelayQueue is destroyed by VirtualThread\\[#1\\]/runnable@carrier-0 while VirtualThread\\[#2\\] "
               "waits in it");
}

}  // namespace
}  // namespace weft

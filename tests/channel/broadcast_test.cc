// Broadcast and Watch. Goal: each subscriber sees each value, or is told how many it has missed. Method: the same
// bodies in simulations and on carriers.
#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <thread>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "tests/support/counted.h"
#include "tests/support/on_both.h"
#include "weft/channel/broadcast.h"
#include "weft/channel/select.h"
#include "weft/runtime.h"
#include "weft/scope.h"
#include "weft/sync/event.h"
#include "weft/task.h"
#include "weft/testing/simulation.h"
#include "weft/time.h"

namespace weft {
namespace {

using testing::Counted;
using testing::Introduction;

class BroadcastTest : public testing::OnBoth {};
WEFT_ON_BOTH(BroadcastTest);

TEST_P(BroadcastTest, EachSubscriberSeesEachValueOrHowManyItHasMissed) {
  Everywhere([]() -> Task<void> {
    constexpr int kValues = 100;
    Broadcast<Counted> broadcast(8);
    EXPECT_TRUE(broadcast.Send(Counted(-1)));  // before anyone has subscribed
    AwaitAll scope;
    for (int i = 0; i < 3; ++i) {
      scope.Fork([&, subscriber = broadcast.Subscribe(), i]() mutable -> Task<void> {
        uint64_t seen = 0, missed = 0;
        int last = -1;
        while (auto next = co_await subscriber.Receive()) {
          EXPECT_EQ(next->value->value(), last + 1 + static_cast<int>(next->missed));
          last = next->value->value();
          missed += next->missed;
          ++seen;
          if (i == 0) co_await Yield();
        }
        EXPECT_EQ(seen + missed, kValues);
        EXPECT_EQ(broadcast.status(), absl::DataLossError("that was all"));
      });
    }
    for (int i = 0; i < kValues; ++i) {
      EXPECT_TRUE(broadcast.Send(Counted(i)));
      if (i % 5 == 0) co_await Yield();
    }
    EXPECT_TRUE(broadcast.Close(absl::DataLossError("that was all")));
    EXPECT_FALSE(broadcast.Close());
    EXPECT_FALSE(broadcast.Send(Counted(0)));
    (co_await scope.Join()).IgnoreFailures();
    auto late = broadcast.Subscribe();
    EXPECT_FALSE((co_await late.Receive()).has_value());
  });
}

TEST_P(BroadcastTest, AWatchGivesTheNewestValueOnce) {
  Everywhere([]() -> Task<void> {
    Watch<int> watch(0);
    auto reader = watch.NewReader();
    EXPECT_EQ(*co_await reader.Next(), 0);
    EXPECT_EQ(reader.TryNext(), nullptr);
    for (int i = 1; i <= 5; ++i) EXPECT_TRUE(watch.Set(i));
    EXPECT_EQ(*watch.Get(), 5);
    EXPECT_EQ(*co_await reader.Next(), 5);
    EXPECT_EQ((co_await Select(reader.Next(), Sleep(absl::Milliseconds(1)))).index(), 1u);
    AwaitAll scope;
    Introduction waiting;
    scope.Fork([&, mine = reader]() mutable -> Task<void> {
      waiting.Make();
      auto got = co_await Select(Sleep(absl::Hours(1)), mine.Next());
      EXPECT_EQ(*std::get<1>(got), 6);
      EXPECT_EQ(co_await mine.Next(), nullptr) << "closed";
    });
    co_await waiting.AwaitParked();
    EXPECT_TRUE(watch.Set(6));
    co_await Yield();
    watch.Close();
    EXPECT_FALSE(watch.Set(7));
    (co_await scope.Join()).IgnoreFailures();
    EXPECT_EQ(*watch.Get(), 6);
  });
}

TEST_P(BroadcastTest, AnUpdateOfAWatchIsOneStep) {
  Everywhere([]() -> Task<void> {
    Watch<int> watch(1);
    auto reader = watch.NewReader();
    EXPECT_EQ(*co_await reader.Next(), 1);
    std::vector<int> seen;
    EXPECT_TRUE(watch.Update([&](int old) {
      seen.push_back(old);
      if (old < 3) EXPECT_TRUE(watch.Set(old + 1));  // by another, meanwhile
      return 10 * old;
    }));
    EXPECT_EQ(seen, (std::vector<int>{1, 2, 3}));
    EXPECT_EQ(*co_await reader.Next(), 30);
    constexpr int kThreads = 4, kUpdates = 100;
    AwaitAll scope;
    for (int i = 0; i < kThreads; ++i) {
      scope.Fork([&watch]() -> Task<void> {
        for (int n = 0; n < kUpdates; ++n) {
          EXPECT_TRUE(watch.Update([](int old) { return old + 1; }));
          if (n % 10 == 0) co_await Yield();
        }
      });
    }
    EXPECT_TRUE((co_await scope.Join()).ok());
    EXPECT_EQ(*watch.Get(), 30 + kThreads * kUpdates);
    EXPECT_EQ(*co_await reader.Next(), 30 + kThreads * kUpdates);
    watch.Close();
    EXPECT_FALSE(watch.Update([](int old) { return old + 1; }));
    EXPECT_EQ(*watch.Get(), 30 + kThreads * kUpdates);
  });
}

TEST(BroadcastThreadsTest, AnOsThreadSendsToThreadsThatWaitAndCloses) {
  const std::unique_ptr<Runtime> runtime = Runtime::Create({.parallelism = 2}).value();
  for (int round = 0; round < 200; ++round) {
    Broadcast<int> broadcast(4);
    Watch<int> watch(0);
    auto subscriber = broadcast.Subscribe();
    std::thread outside([&] {
      for (int i = 1; i <= 3; ++i) {
        EXPECT_TRUE(broadcast.Send(i));
        EXPECT_TRUE(watch.Set(i));
      }
      broadcast.Close();
      watch.Close();
    });
    runtime->Run([](Broadcast<int>::Subscriber& from, Watch<int>::Reader reader) -> Task<void> {
      for (int i = 1; i <= 3; ++i) EXPECT_EQ(*(co_await from.Receive())->value, i);
      EXPECT_FALSE((co_await from.Receive()).has_value());
      int newest = -1;
      while (const std::shared_ptr<const int> value = co_await reader.Next()) {
        EXPECT_GT(*value, newest);
        newest = *value;
      }
      EXPECT_EQ(newest, 3);
    }(subscriber, watch.NewReader()));
    outside.join();
  }
}

// With the wait itself, and as a case of a Select().
TEST(BroadcastDeathTest, IsDestroyedBeforeAThreadThatItHasWokenHasLooked) {
  for (const bool selects : {false, true}) {
    EXPECT_DEATH(testing::Simulation().Run([](bool as_case) -> Task<void> {
                   AwaitAll scope;
                   Broadcast<int> values(4);
                   scope.Fork([as_case, mine = values.Subscribe()]() mutable -> Task<void> {
                     Event never;
                     if (as_case) co_await Select(mine.Receive(), never.Wait());
                     if (!as_case) co_await mine.Receive();
                   });
                   co_await Sleep(absl::Milliseconds(1));
                   values.Close();
                 }(selects)),
                 "a Broadcast or Watch is destroyed by .* before 1 threads that it has woken have looked at it");
  }
}

}  // namespace
}  // namespace weft

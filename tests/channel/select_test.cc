// Select. Goal: one case happens, and no other, whoever is cancelled meanwhile. Method: the same bodies in simulations
// and on carriers, over all kinds of waits.
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <memory>
#include <optional>
#include <utility>
#include <variant>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "tests/support/counted.h"
#include "tests/support/on_both.h"
#include "weft/cancellation.h"
#include "weft/channel/channel.h"
#include "weft/channel/select.h"
#include "weft/executor/future.h"
#include "weft/executor/promise.h"
#include "weft/runtime.h"
#include "weft/scope.h"
#include "weft/sync/event.h"
#include "weft/sync/latch.h"
#include "weft/sync/mutex.h"
#include "weft/sync/semaphore.h"
#include "weft/sync/shared_mutex.h"
#include "weft/task.h"
#include "weft/testing/simulation.h"
#include "weft/thread_builder.h"
#include "weft/ticker.h"
#include "weft/time.h"
#include "weft/virtual_thread.h"

namespace weft {
namespace {

using testing::Counted;
using testing::Introduction;

class SelectTest : public testing::OnBoth {};
WEFT_ON_BOTH(SelectTest);

TEST_P(SelectTest, TheCaseThatIsThereHappensAndNoOther) {
  Everywhere([]() -> Task<void> {
    Channel<int> full(1), empty(1);
    Event set, never;
    Mutex mutex;
    Semaphore none(0);
    EXPECT_TRUE(full.TrySend(7));
    set.Set();
    auto received = co_await Select(empty.Receive(), full.Receive(), never.Wait());
    EXPECT_EQ(std::get<1>(received), 7);
    EXPECT_TRUE(full.TrySend(8));
    auto sent = co_await Select(full.Send(9), empty.Send(10), none.Acquire());
    EXPECT_EQ(sent.index(), 1u);
    EXPECT_TRUE(std::get<1>(sent));
    EXPECT_EQ(empty.TryReceive(), 10);
    EXPECT_EQ(full.TryReceive(), 8);
    EXPECT_EQ(full.TryReceive(), std::nullopt);
    EXPECT_EQ((co_await Select(never.Wait(), set.Wait())).index(), 1u);
    {
      auto locked = co_await Select(never.Wait(), mutex.Lock());
      EXPECT_EQ(locked.index(), 1u);
      EXPECT_FALSE(mutex.TryLock().has_value());
    }
    EXPECT_TRUE(mutex.TryLock().has_value());
    EXPECT_EQ((co_await Select(empty.Receive(), Sleep(absl::ZeroDuration()))).index(), 1u);
    empty.Close();
    auto closed = co_await Select(never.Wait(), empty.Receive());
    EXPECT_EQ(std::get<1>(closed), std::nullopt);
  });
}

// What can be waited for: a world in which nothing is there yet, and how to make one thing happen.
struct World {
  Channel<int> in{0};
  Channel<int> out{0};
  Event event;
  Mutex mutex;
  std::optional<MutexGuard> held = mutex.TryLock();
  Semaphore semaphore{1};
  std::optional<Permit> permit = semaphore.TryAcquire();
  SharedMutex shared;
  std::optional<WriterGuard> writing = shared.TryLock();
  Promise<int> promise;
  Future<int> future = promise.future();
  Latch latch{2};
  Ticker ticker{absl::InfiniteDuration()};
  Event go;
  VirtualThread thread = VirtualThread::Start([this]() -> Task<void> { co_await go.Wait(); });

  static constexpr size_t kCases = 9;  // and three that never happen
  auto SelectAll() {
    return Select(in.Receive(), out.Send(5), event.Wait(), mutex.Lock(), semaphore.Acquire(), future.Get(),
                  thread.Join(), latch.Wait(), shared.LockShared(), Sleep(absl::InfiniteDuration()),
                  SleepUntil(absl::InfiniteFuture()), ticker.Next());
  }
  void MakeHappen(size_t which) {
    switch (which) {
      case 0: EXPECT_TRUE(in.TrySend(4)); break;
      case 1: EXPECT_EQ(out.TryReceive(), 5); break;
      case 2: event.Set(); break;
      case 3: held.reset(); break;
      case 4: permit.reset(); break;
      case 5: promise.SetValue(6); break;
      case 6: go.Set(); break;
      case 7: latch.CountDown(2); break;
      case 8: writing.reset(); break;
      default: break;
    }
  }
  // Nothing else has happened, and will.
  void ExpectNobodyWaits() {
    EXPECT_FALSE(in.TrySend(1));
    EXPECT_EQ(out.TryReceive(), std::nullopt);
    held.reset();
    permit.reset();
    writing.reset();
    EXPECT_TRUE(mutex.TryLock().has_value());
    EXPECT_EQ(semaphore.available(), 1);
    EXPECT_TRUE(shared.TryLock().has_value());
  }
  Task<void> End() {
    go.Set();
    if (!future.IsDone()) promise.SetValue(0);
    EXPECT_EQ(co_await thread.Join(), absl::OkStatus());
  }
};

TEST_P(SelectTest, AWaitForEverythingEndsWithWhateverHappens) {
  for (size_t which = 0; which < World::kCases; ++which) {
    SCOPED_TRACE(which);
    Everywhere([which]() -> Task<void> {
      const auto world = std::make_unique<World>();
      Introduction waiting;
      AwaitAll scope;
      auto got = scope.Fork([&]() -> Task<size_t> {
        waiting.Make();
        auto happened = co_await world->SelectAll();
        if (auto* value = std::get_if<0>(&happened)) EXPECT_EQ(*value, 4);
        if (auto* value = std::get_if<1>(&happened)) EXPECT_TRUE(*value);
        if (auto* value = std::get_if<5>(&happened)) EXPECT_EQ(*value, 6);
        if (auto* value = std::get_if<6>(&happened)) EXPECT_EQ(*value, absl::OkStatus());
        co_return happened.index();
      });
      co_await waiting.AwaitParked();
      world->MakeHappen(which);
      (co_await scope.Join()).IgnoreFailures();
      EXPECT_EQ(*got, which);
      world->ExpectNobodyWaits();
      co_await world->End();
    });
  }
}

TEST_P(SelectTest, ACancelledWaitForEverythingTakesNothing) {
  Everywhere([]() -> Task<void> {
    const auto world = std::make_unique<World>();
    auto stopped = co_await testing::StopOnceItWaits([](World& of) -> Task<void> {
      co_await of.SelectAll();
      ADD_FAILURE() << "nothing has happened";
    }(*world));
    EXPECT_FALSE(stopped.ok());
    world->ExpectNobodyWaits();
    co_await world->End();
  });
}

// The frame of the select stays for as long as its scope drains: the child waits for others that stand in the queue.
TEST_P(SelectTest, ACancelledSelectIsInNobodysWay) {
  Everywhere([]() -> Task<void> {
    const auto cancel_while_it_drains = [](auto wait, auto take) -> Task<void> {
      AwaitAll cancelled;
      Introduction waiting, hidden;
      Event drained, never;
      cancelled.Fork([&]() -> Task<void> {
        AwaitAll scope;
        scope.Fork([&]() -> Task<void> {
          hidden.Make();
          co_await Shield(drained.Wait());
        });
        waiting.Make();
        co_await Select(never.Wait(), wait(), Sleep(absl::InfiniteDuration()));
      });
      co_await hidden.AwaitParked();
      co_await waiting.AwaitParked();
      EXPECT_FALSE(take()) << "it is first";
      cancelled.Shutdown();
      while (!take()) co_await Yield();  // a request takes its time down the tree
      drained.Set();
      (co_await cancelled.Join()).IgnoreFailures();
    };
    Semaphore two(2);
    const Permit one = co_await two.Acquire();
    co_await cancel_while_it_drains([&] { return two.Acquire(2); }, [&] { return two.TryAcquire().has_value(); });
    SharedMutex shared;
    const ReaderGuard reading = co_await shared.LockShared();
    co_await cancel_while_it_drains([&] { return shared.Lock(); }, [&] { return shared.TryLockShared().has_value(); });
  });
}

// The thread that has granted it goes on first, and destroys it. (AddressSanitizer sees a use.)
TEST_P(SelectTest, WhoeverHasReceivedTheLastValueMayDestroyTheChannelThatASelectHasSentItIn) {
  Everywhere([]() -> Task<void> {
    for (const bool closes : {false, true}) {
      AwaitAll scope;
      Introduction serving;
      auto reply = std::make_unique<Channel<int>>(0);
      Channel<int>* const to = reply.get();
      scope.Fork([&]() -> Task<void> {
        serving.Make();
        if (closes) {
          auto got = co_await Select(to->Receive(), Sleep(absl::Hours(1)));
          EXPECT_EQ(std::get<0>(got), std::nullopt);
        } else {
          auto got = co_await Select(to->Send(7), Sleep(absl::Hours(1)));
          EXPECT_TRUE(std::get<0>(got));
        }
      });
      co_await serving.AwaitParked();
      if (closes) {
        reply->Close();
      } else {
        EXPECT_EQ(co_await reply->Receive(), 7);
      }
      reply.reset();
      (co_await scope.Join()).IgnoreFailures();
    }
  });
}

TEST(SelectDeathTest, AChannelGoesBeforeASelectThatEndsForAnotherReason) {
  for (const bool cancelled : {false, true}) {
    EXPECT_DEATH(testing::Simulation().Run([](bool cancels) -> Task<void> {
      Channel<int> kept(0);
      auto gone = std::make_unique<Channel<int>>(0);
      AwaitAll scope;
      Introduction waiting;
      scope.Fork([&]() -> Task<void> {
        waiting.Make();
        static_cast<void>(co_await Select(kept.Receive(), gone->Receive()));
      });
      co_await waiting.AwaitParked();
      if (cancels) {
        scope.Shutdown();
      } else {
        EXPECT_TRUE(kept.TrySend(1));
      }
      EXPECT_TRUE(gone->Close());
      gone.reset();  // the select has not gone on yet
      (co_await scope.Join()).IgnoreFailures();
    }(cancelled)),
                 "a Channel is destroyed by VirtualThread\\[#1\\].* while VirtualThread\\[#2\\].* waits in it");
  }
}

// Until its thread goes on, its node is in the queue.
TEST_P(SelectTest, ACaseThatCanNoLongerHappenIsInNobodysWay) {
  Everywhere([]() -> Task<void> {
    Semaphore four(4);
    SharedMutex shared;
    Event over;
    AwaitAll scope;
    Introduction waiting;
    const Permit one = co_await four.Acquire();
    const ReaderGuard reading = co_await shared.LockShared();
    scope.Fork([&]() -> Task<void> {
      waiting.Make();
      auto got = co_await Select(four.Acquire(4), shared.Lock(), over.Wait());
      EXPECT_EQ(got.index(), 2u);
    });
    co_await waiting.AwaitParked();
    EXPECT_FALSE(four.TryAcquire().has_value());
    EXPECT_FALSE(shared.TryLockShared().has_value());
    over.Set();
    EXPECT_EQ(four.QueueLength(), 0);
    EXPECT_TRUE(four.TryAcquire().has_value());
    EXPECT_EQ(four.Drain().permits(), 3);
    EXPECT_TRUE(shared.TryLockShared().has_value());
    (co_await scope.Join()).IgnoreFailures();
  });
}

// Under the locks of all cases a guard is moved.
TEST_P(SelectTest, AGuardIsReceivedByWhoeverAlsoWaitsForItsMutex) {
  Everywhere([]() -> Task<void> {
    Mutex mutex;
    Channel<MutexGuard> guards(1);
    for (int i = 0; i < 200; ++i) {
      EXPECT_TRUE(guards.TrySend(co_await mutex.Lock()));
      auto got = co_await Select(guards.Receive(), mutex.Lock());
      EXPECT_EQ(got.index(), 0u);
    }
  });
}

TEST_P(SelectTest, ATimeLimitIsACaseLikeOthers) {
  Everywhere([]() -> Task<void> {
    Channel<int> channel(1);
    EXPECT_EQ((co_await Select(channel.Receive(), Sleep(absl::Milliseconds(1)))).index(), 1u);
    AwaitAll scope;
    scope.Fork([&]() -> Task<void> { EXPECT_TRUE(co_await channel.Send(1)); });
    auto got = co_await Select(channel.Receive(), Sleep(absl::Hours(1)));
    EXPECT_EQ(std::get<0>(got), 1);
    (co_await scope.Join()).IgnoreFailures();
  });
}

TEST_P(SelectTest, OneThingMayBeThereSeveralTimes) {
  Everywhere([]() -> Task<void> {
    Channel<int> channel(0);
    Event event;
    Introduction waiting;
    AwaitAll scope;
    scope.Fork([&]() -> Task<void> {
      waiting.Make();
      auto got = co_await Select(channel.Receive(), channel.Receive(), event.Wait(), event.Wait(), channel.Send(1));
      EXPECT_LT(got.index(), 2u);
      auto woken = co_await Select(event.Wait(), event.Wait());
      EXPECT_LT(woken.index(), 2u);
    });
    co_await waiting.AwaitParked();
    EXPECT_TRUE(channel.TrySend(3));
    EXPECT_EQ(channel.TryReceive(), std::nullopt) << "its own send did not happen";
    event.Set();
    (co_await scope.Join()).IgnoreFailures();
  });
}

TEST_P(SelectTest, ThoseThatSendAndReceiveInOneChannelMeetInPairs) {
  Everywhere([]() -> Task<void> {
    constexpr int kThreads = 4;
    constexpr int kRounds = 10;
    Channel<int> left(0), right(0);
    std::atomic<int> sent{0}, received{0}, ended{0};
    AwaitAll scope;
    for (int thread = 0; thread < kThreads; ++thread) {
      scope.Fork([&]() -> Task<void> {
        for (int round = 0; round < kRounds; ++round) {
          auto got = co_await Select(left.Send(1), left.Receive(), right.Receive(), right.Send(1));
          ++(got.index() == 0 || got.index() == 3 ? sent : received);
        }
        ++ended;
      });
    }
    // Nobody meets itself: the last one needs somebody.
    while (ended < kThreads) {
      auto got = co_await Select(left.Receive(), left.Send(1), Sleep(absl::Microseconds(300)));
      if (got.index() == 0) ++received;
      if (got.index() == 1) ++sent;
    }
    (co_await scope.Join()).IgnoreFailures();
    EXPECT_EQ(sent, received);
  });
}

TEST_P(SelectTest, NoValueIsLostWhenAnotherCaseHappens) {
  Everywhere([]() -> Task<void> {
    constexpr int kEach = 30;
    Channel<std::unique_ptr<Counted>> a(0), b(1);
    std::atomic<int> sent{0}, received{0};
    AwaitAll scope;
    Event stop;
    for (int thread = 0; thread < 2; ++thread) {
      scope.Fork([&]() -> Task<void> {
        for (int i = 0; i < kEach; ++i) {
          auto first = std::make_unique<Counted>(i);
          auto second = std::make_unique<Counted>(i);
          auto got =
              co_await Select(a.Send(std::move(first)), b.Send(std::move(second)), Sleep(absl::Microseconds(50)));
          if (got.index() < 2) ++sent;
          EXPECT_EQ(first == nullptr, got.index() == 0);
          EXPECT_EQ(second == nullptr, got.index() == 1);
        }
      });
      scope.Fork([&]() -> Task<void> {
        for (;;) {
          auto got = co_await Select(b.Receive(), stop.Wait(), a.Receive());
          if (got.index() == 1) co_return;
          ++received;
          co_await MoveOnAfter(absl::Microseconds(20), [&]() -> Task<void> {
            auto more = co_await Select(b.Receive(), a.Receive());
            static_cast<void>(more);
            ++received;
          }());
        }
      });
    }
    scope.Fork([&]() -> Task<void> {
      co_await Sleep(absl::Milliseconds(20));
      stop.Set();
    });
    (co_await scope.Join()).IgnoreFailures();
    while (b.TryReceive().has_value()) ++received;
    EXPECT_EQ(sent, received);
  });
}

TEST_P(SelectTest, EachCaseThatIsThereHasItsChance) {
  OnEveryRuntime([](Runtime& runtime) {
    constexpr int kRounds = 600;
    std::array<int, 3> times = {};
    runtime.Run([](std::array<int, 3>& chosen) -> Task<void> {
      Event a, b, never;
      a.Set();
      b.Set();
      Channel<int> channel(kUnbounded);
      for (int i = 0; i < kRounds; ++i) {
        auto got = co_await Select(a.Wait(), never.Wait(), b.Wait(), never.Wait(), channel.Send(i));
        ++chosen[got.index() / 2];
      }
    }(times));
    for (const int each : times) EXPECT_GT(each, kRounds / 6);
  });
}

}  // namespace
}  // namespace weft

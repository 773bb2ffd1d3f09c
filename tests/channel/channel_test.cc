// Channel and Select. Goal: a value is received once, or is where it was; who waits is served in order; one case of a
// select happens, and no other, whoever is cancelled meanwhile. Method: the same bodies in simulations and on carriers,
// over a table of the kinds of channels; payloads that are counted; OS threads of their own beside them.
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <numeric>
#include <optional>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "tests/support/counted.h"
#include "tests/support/on_both.h"
#include "weft/cancellation.h"
#include "weft/channel/broadcast.h"
#include "weft/channel/channel.h"
#include "weft/channel/generator.h"
#include "weft/channel/select.h"
#include "weft/executor/future.h"
#include "weft/executor/promise.h"
#include "weft/runtime.h"
#include "weft/scope.h"
#include "weft/sync/event.h"
#include "weft/sync/latch.h"
#include "weft/sync/mutex.h"
#include "weft/sync/recursive_mutex.h"
#include "weft/sync/semaphore.h"
#include "weft/sync/shared_mutex.h"
#include "weft/task.h"
#include "weft/testing/simulation.h"
#include "weft/thread_builder.h"
#include "weft/time.h"
#include "weft/virtual_thread.h"

namespace weft {
namespace {

using testing::Counted;
using testing::Introduction;

class ChannelTest : public testing::OnBoth {};
WEFT_ON_BOTH(ChannelTest);
class SelectTest : public testing::OnBoth {};
WEFT_ON_BOTH(SelectTest);
class GeneratorTest : public testing::OnBoth {};
WEFT_ON_BOTH(GeneratorTest);
class BroadcastTest : public testing::OnBoth {};
WEFT_ON_BOTH(BroadcastTest);

// ---- The kinds.

struct Kind {
  const char* name;
  int64_t capacity;  // below 0: see Make()
};
constexpr int64_t kNoLimit = -1;
constexpr int64_t kNewest = -2;
constexpr Kind kKinds[] = {{"rendezvous", 0}, {"of one", 1}, {"of three", 3}, {"unbounded", kNoLimit}};

template <class T>
std::unique_ptr<Channel<T>> Make(int64_t capacity) {
  if (capacity == kNoLimit) return std::make_unique<Channel<T>>(kUnbounded);
  if (capacity == kNewest) return std::make_unique<Channel<T>>(kConflated);
  return std::make_unique<Channel<T>>(capacity);
}

// Move-only, without a default constructor.
class Ticket {
 public:
  explicit Ticket(int number) : number_(std::make_unique<int>(number)) {}
  bool has_number() const { return number_ != nullptr; }
  int number() const { return *number_; }

 private:
  std::unique_ptr<int> number_;
};

// Its move throws when it is told to.
struct Fragile {
  explicit Fragile(int of) : value(of) {}
  Fragile(Fragile&& other) noexcept(false) : value(other.value) { other.value = -1; }
  Fragile& operator=(Fragile&& other) noexcept(false) {
    value = other.value;
    other.value = -1;
    return *this;
  }
  int value;
};

// ---- Values.

TEST_P(ChannelTest, EachValueIsReceivedOnceAndInTheOrderOfItsSender) {
  for (const Kind& kind : kKinds) {
    SCOPED_TRACE(kind.name);
    Everywhere([&kind]() -> Task<void> {
      constexpr int kSenders = 3;
      constexpr int kReceivers = 2;
      constexpr int kEach = 40;
      const auto channel = Make<Counted>(kind.capacity);
      std::array<std::vector<int>, kReceivers> received;
      AwaitAll receivers;
      for (std::vector<int>& into : received) {
        receivers.Fork([&channel, &into]() -> Task<void> {
          while (std::optional<Counted> each = co_await channel->Receive()) into.push_back(each->value());
        });
      }
      {
        AwaitAll senders;
        for (int sender = 0; sender < kSenders; ++sender) {
          senders.Fork([&channel, sender]() -> Task<void> {
            for (int i = 0; i < kEach; ++i) EXPECT_TRUE(co_await channel->Send(Counted(sender * kEach + i)));
          });
        }
        (co_await senders.Join()).IgnoreFailures();
      }
      EXPECT_TRUE(channel->Close());
      (co_await receivers.Join()).IgnoreFailures();
      std::vector<int> times(kSenders * kEach);
      for (const std::vector<int>& each : received) {
        std::array<int, kSenders> last = {-1, -1, -1};
        for (const int value : each) {
          ++times[value];
          EXPECT_LT(last[value / kEach], value);
          last[value / kEach] = value;
        }
      }
      EXPECT_EQ(times, std::vector<int>(kSenders * kEach, 1));
    });
  }
}

TEST_P(ChannelTest, OneSenderAndOneReceiverKeepTheOrder) {
  for (const Kind& kind : kKinds) {
    SCOPED_TRACE(kind.name);
    Everywhere([&kind]() -> Task<void> {
      constexpr int kValues = 300;  // more than a block of an unbounded one
      const auto channel = Make<Ticket>(kind.capacity);
      AwaitAll scope;
      scope.Fork([&]() -> Task<void> {
        for (int i = 0; i < kValues; ++i) {
          Ticket ticket(i);
          EXPECT_TRUE(co_await channel->Send(std::move(ticket)));
          EXPECT_FALSE(ticket.has_number());
        }
        channel->Close();
      });
      int expected = 0;
      while (std::optional<Ticket> ticket = co_await channel->Receive()) EXPECT_EQ(ticket->number(), expected++);
      EXPECT_EQ(expected, kValues);
      EXPECT_EQ(channel->size(), 0u);
      (co_await scope.Join()).IgnoreFailures();
    });
  }
}

TEST_P(ChannelTest, AConflatedChannelKeepsTheNewestValue) {
  Everywhere([]() -> Task<void> {
    Channel<Counted> channel(kConflated);
    for (int i = 0; i < 10; ++i) EXPECT_TRUE(co_await channel.Send(Counted(i)));
    EXPECT_EQ(channel.size(), 1u);
    EXPECT_EQ((co_await channel.Receive())->value(), 9);
    EXPECT_FALSE(channel.TryReceive().has_value());
    AwaitAll scope;
    scope.Fork([&]() -> Task<void> {
      for (int i = 0; i < 50; ++i) {
        EXPECT_TRUE(co_await channel.Send(Counted(i)));
        if (i % 7 == 0) co_await Yield();
      }
      channel.Close();
    });
    int last = -1;
    while (std::optional<Counted> each = co_await channel.Receive()) {
      EXPECT_LT(last, each->value());
      last = each->value();
    }
    EXPECT_EQ(last, 49) << "the newest is not lost";
    (co_await scope.Join()).IgnoreFailures();
  });
}

TEST_P(ChannelTest, ARendezvousIsOverWhenTheValueIsReceived) {
  Everywhere([]() -> Task<void> {
    Channel<int> channel(0);
    EXPECT_FALSE(channel.TrySend(1));
    std::atomic<bool> sent{false};
    Introduction sending;
    AwaitAll scope;
    scope.Fork([&]() -> Task<void> {
      sending.Make();
      EXPECT_TRUE(co_await channel.Send(2));
      sent = true;
    });
    co_await sending.AwaitParked();
    EXPECT_FALSE(sent);
    EXPECT_EQ(channel.size(), 0u);
    EXPECT_EQ(co_await channel.Receive(), 2);
    (co_await scope.Join()).IgnoreFailures();
    EXPECT_TRUE(sent);
  });
}

TEST_P(ChannelTest, TheCapacityIsWhatItKeeps) {
  Everywhere([]() -> Task<void> {
    Channel<int> channel(3);
    EXPECT_EQ(channel.capacity(), 3u);
    EXPECT_EQ(Channel<int>(kConflated).capacity(), 1u);
    EXPECT_EQ(Channel<int>(kUnbounded).capacity(), std::nullopt);
    for (int round = 0; round < 5; ++round) {
      for (int i = 0; i < 3; ++i) EXPECT_TRUE(channel.TrySend(i));
      EXPECT_FALSE(channel.TrySend(3));
      EXPECT_EQ(channel.size(), 3u);
      for (int i = 0; i < 2; ++i) EXPECT_EQ(channel.TryReceive(), i);
      EXPECT_TRUE(channel.TrySend(3));
      for (int i = 2; i < 4; ++i) EXPECT_EQ(channel.TryReceive(), i);
      EXPECT_EQ(channel.TryReceive(), std::nullopt);
    }
    co_return;
  });
}

TEST_P(ChannelTest, ThoseWhoWaitAreServedInTheirOrder) {
  Everywhere([]() -> Task<void> {
    Channel<int> channel(0);
    std::vector<int> order;
    AwaitAll scope;
    for (int i = 0; i < 4; ++i) {
      Introduction waiting;
      scope.Fork([&, i]() -> Task<void> {
        waiting.Make();
        EXPECT_TRUE(co_await channel.Send(i));
      });
      co_await waiting.AwaitParked();
    }
    for (int i = 0; i < 4; ++i) EXPECT_EQ(co_await channel.Receive(), i);
    std::array<std::optional<int>, 4> got;
    for (int i = 0; i < 4; ++i) {
      Introduction waiting;
      scope.Fork([&, i]() -> Task<void> {
        waiting.Make();
        got[i] = co_await channel.Receive();
      });
      co_await waiting.AwaitParked();
    }
    for (int i = 0; i < 4; ++i) EXPECT_TRUE(channel.TrySend(i)) << "one waits";
    (co_await scope.Join()).IgnoreFailures();
    for (int i = 0; i < 4; ++i) EXPECT_EQ(got[i], i);
  });
}

TEST_P(ChannelTest, ReceiveManyTakesWhatIsThere) {
  Everywhere([]() -> Task<void> {
    for (const Kind& kind : kKinds) {
      const auto channel = Make<Counted>(kind.capacity);
      AwaitAll scope;
      scope.Fork([&]() -> Task<void> {
        for (int i = 0; i < 150; ++i) EXPECT_TRUE(co_await channel->Send(Counted(i)));
        channel->Close();
      });
      int expected = 0;
      std::array<Counted, 7> some;
      std::vector<Counted> more;
      EXPECT_EQ(co_await channel->ReceiveMany(absl::Span<Counted>()), 0u);
      for (;;) {
        const size_t count = co_await channel->ReceiveMany(absl::MakeSpan(some));
        for (size_t i = 0; i < count; ++i) EXPECT_EQ(some[i].value(), expected++);
        const size_t added = co_await channel->ReceiveMany(more, 40);
        EXPECT_EQ(added, more.size());
        EXPECT_LE(added, 40u);
        for (const Counted& each : more) EXPECT_EQ(each.value(), expected++);
        more.clear();
        if (count == 0 && added == 0) break;
      }
      EXPECT_EQ(expected, 150);
      (co_await scope.Join()).IgnoreFailures();
    }
  });
}

// Also for a thread whose turn is used up: it lets others run, and takes nothing.
TEST_P(ChannelTest, ReceiveManyOfNothingIsNothing) {
  Everywhere([]() -> Task<void> {
    Channel<int> channel(1);
    std::vector<int> none;
    for (const bool kept : {false, true}) {
      if (kept) EXPECT_TRUE(channel.TrySend(1));
      for (int i = 0; i < 200; ++i) {
        EXPECT_EQ(co_await channel.ReceiveMany(absl::Span<int>()), 0u);
        EXPECT_EQ(co_await channel.ReceiveMany(none, 0), 0u);
      }
    }
    EXPECT_TRUE(none.empty());
    EXPECT_EQ(co_await channel.Receive(), 1);
  });
}

TEST_P(ChannelTest, ReceiveManyWithoutABoundTakesAllThatIsThere) {
  Everywhere([]() -> Task<void> {
    Channel<int> channel(kUnbounded);
    std::vector<int> sent(200), received;
    std::iota(sent.begin(), sent.end(), 0);
    for (const int value : sent) EXPECT_TRUE(channel.TrySend(value));
    EXPECT_EQ(co_await channel.ReceiveMany(received, SIZE_MAX), sent.size());
    EXPECT_EQ(received, sent);
  });
}

// ---- Closing.

TEST_P(ChannelTest, AClosedChannelGivesWhatItKeepsAndThenSaysWhy) {
  Everywhere([]() -> Task<void> {
    Channel<int> channel(2);
    EXPECT_TRUE(co_await channel.Send(1));
    EXPECT_TRUE(co_await channel.Send(2));
    EXPECT_EQ(channel.status(), absl::OkStatus());
    EXPECT_FALSE(channel.IsClosed());
    EXPECT_TRUE(channel.Close(absl::DataLossError("no more")));
    EXPECT_FALSE(channel.Close(absl::InternalError("too late")));
    EXPECT_TRUE(channel.IsClosed());
    EXPECT_EQ(co_await channel.Receive(), 1);
    EXPECT_EQ(channel.TryReceive(), 2);
    EXPECT_EQ(co_await channel.Receive(), std::nullopt);
    EXPECT_EQ(channel.status(), absl::DataLossError("no more"));
    EXPECT_FALSE(co_await channel.Send(3));
    EXPECT_FALSE(channel.TrySend(3));
  });
}

TEST_P(ChannelTest, CloseEndsTheWaitsOfBothSides) {
  Everywhere([]() -> Task<void> {
    Channel<Ticket> full(1);
    Channel<Ticket> empty(1);
    EXPECT_TRUE(full.TrySend(Ticket(0)));
    AwaitAll scope;
    for (int i = 0; i < 3; ++i) {
      Introduction sending, receiving;
      scope.Fork([&, i]() -> Task<void> {
        Ticket mine(i);
        sending.Make();
        EXPECT_FALSE(co_await full.Send(std::move(mine)));
        EXPECT_EQ(mine.number(), i) << "it is left as it was";
      });
      scope.Fork([&]() -> Task<void> {
        receiving.Make();
        EXPECT_FALSE((co_await empty.Receive()).has_value());
      });
      co_await sending.AwaitParked();
      co_await receiving.AwaitParked();
    }
    full.Close();
    empty.Close();
    (co_await scope.Join()).IgnoreFailures();
    EXPECT_EQ(full.TryReceive()->number(), 0);
  });
}

// ---- What T may be.

TEST_P(ChannelTest, AValueWhoseMoveMayThrowIsMovedBackIfItIsNotSent) {
  Everywhere([]() -> Task<void> {
    Channel<Fragile> channel(1);
    Fragile first(1), second(2);
    EXPECT_TRUE(co_await channel.Send(std::move(first)));
    EXPECT_EQ(first.value, -1);
    EXPECT_FALSE(channel.TrySend(std::move(second)));
    EXPECT_EQ(second.value, 2);
    auto which = co_await Select(channel.Send(std::move(second)), Sleep(absl::Milliseconds(1)));
    EXPECT_EQ(which.index(), 1u);
    EXPECT_EQ(second.value, 2);
    channel.Close();
    EXPECT_FALSE(co_await channel.Send(std::move(second)));
    EXPECT_EQ(second.value, 2);
    std::vector<Fragile> rest;
    EXPECT_EQ(co_await channel.ReceiveMany(rest, 5), 1u);
    EXPECT_EQ(rest[0].value, 1);
  });
}

TEST_P(ChannelTest, ACopyIsSentOfWhatIsNotMoved) {
  Everywhere([]() -> Task<void> {
    Channel<std::vector<int>> channel(kUnbounded);
    const std::vector<int> kept = {1, 2, 3};
    EXPECT_TRUE(co_await channel.Send(kept));
    EXPECT_TRUE(channel.TrySend(kept));
    EXPECT_EQ(co_await channel.Receive(), kept);
    EXPECT_EQ(co_await channel.Receive(), kept);
  });
}

TEST(ChannelValueTest, WhatIsLeftInAChannelIsDestroyedWithIt) {
  Counted::alive = 0;
  for (const int64_t capacity : {int64_t{5}, kNoLimit, kNewest}) {
    for (int round = 0; round < 3; ++round) {
      const auto channel = Make<Counted>(capacity);
      const int values = capacity == kNoLimit ? 500 : 5;
      for (int i = 0; i < values; ++i) EXPECT_TRUE(channel->TrySend(Counted(i)));
      for (int i = 0; i < values / 2 && capacity != kNewest; ++i) EXPECT_EQ(channel->TryReceive()->value(), i);
    }
    EXPECT_EQ(Counted::alive, 0);
  }
  EXPECT_EQ(Counted::bad, 0);
}

// ---- Cancellation.

TEST_P(ChannelTest, ASendThatIsCancelledLeavesItsValueAndTheOthersTheirPlaces) {
  Everywhere([]() -> Task<void> {
    Channel<Ticket> channel(0);
    Ticket kept(1);
    EXPECT_FALSE((co_await testing::StopOnceItWaits([](Channel<Ticket>& into, Ticket& ticket) -> Task<void> {
                   co_await into.Send(std::move(ticket));
                 }(channel, kept)))
                     .ok());
    EXPECT_EQ(kept.number(), 1);
    AwaitAll scope;
    scope.Fork([&]() -> Task<void> { EXPECT_TRUE(co_await channel.Send(std::move(kept))); });
    EXPECT_EQ((co_await channel.Receive())->number(), 1);
    (co_await scope.Join()).IgnoreFailures();
  });
}

// Everybody is impatient, and somebody closes in the middle of it.
TEST_P(ChannelTest, WhoeverIsCancelledAValueIsReceivedOrIsWhereItWas) {
  for (const int64_t capacity : {int64_t{0}, int64_t{2}, kNoLimit}) {
    SCOPED_TRACE(capacity);
    Everywhere([capacity]() -> Task<void> {
      constexpr int kThreads = 4;
      constexpr int kEach = 20;
      const auto channel = Make<std::unique_ptr<Counted>>(capacity);
      std::atomic<int> sent{0}, received{0}, kept{0};
      AwaitAll scope;
      for (int thread = 0; thread < kThreads; ++thread) {
        scope.Fork([&, thread]() -> Task<void> {
          for (int i = 0; i < kEach; ++i) {
            auto value = std::make_unique<Counted>(i);
            const auto done =
                co_await MoveOnAfter(absl::Microseconds(i % 3 * 100), channel->Send(std::move(value)));
            if (done.has_value() && *done) {
              ++sent;
              EXPECT_EQ(value, nullptr);
            } else {
              EXPECT_NE(value, nullptr);
              ++kept;
            }
            if ((i + thread) % 4 == 0) co_await Yield();
          }
        });
        scope.Fork([&, thread]() -> Task<void> {
          for (int i = 0; i < kEach; ++i) {
            auto value = co_await MoveOnAfter(absl::Microseconds((i + thread) % 3 * 100), channel->Receive());
            if (value.has_value() && value->has_value()) ++received;
          }
        });
      }
      scope.Fork([&]() -> Task<void> {
        co_await Sleep(absl::Milliseconds(1));
        channel->Close();
      });
      (co_await scope.Join()).IgnoreFailures();
      while (channel->TryReceive().has_value()) ++received;
      EXPECT_EQ(sent, received);
      EXPECT_EQ(sent + kept, kThreads * kEach);
    });
  }
}

// ---- OS threads.

TEST_P(ChannelTest, OsThreadsSendAndReceiveToo) {
  OnEveryRuntime([](Runtime& runtime) {
    if (simulated()) return;  // which has one OS thread
    for (const Kind& kind : kKinds) {
      constexpr int kValues = 200;
      const auto there = Make<int>(kind.capacity);
      const auto back = Make<int>(kind.capacity);
      std::thread outside([&] {
        int64_t sum = 0;
        while (const std::optional<int> value = there->ReceiveBlocking()) {
          sum += *value;
          EXPECT_TRUE(back->SendBlocking(*value + 1));
        }
        EXPECT_EQ(sum, kValues * (kValues - 1) / 2);
        back->Close();
        EXPECT_FALSE(back->SendBlocking(1));
      });
      runtime.Run([](Channel<int>& to, Channel<int>& from) -> Task<void> {
        AwaitAll scope;
        scope.Fork([&]() -> Task<void> {
          for (int i = 0; i < kValues; ++i) EXPECT_TRUE(co_await to.Send(i));
          to.Close();
        });
        int expected = 1;
        while (const std::optional<int> value = co_await from.Receive()) EXPECT_EQ(*value, expected++);
        EXPECT_EQ(expected, kValues + 1);
        (co_await scope.Join()).IgnoreFailures();
      }(*there, *back));
      outside.join();
    }
  });
}

TEST(ChannelThreadsTest, OsThreadsNeedNoRuntime) {
  Channel<int> channel(0);
  std::thread sender([&] {
    for (int i = 0; i < 100; ++i) EXPECT_TRUE(channel.SendBlocking(i));
    channel.Close();
  });
  int expected = 0;
  while (const std::optional<int> value = channel.ReceiveBlocking()) EXPECT_EQ(*value, expected++);
  EXPECT_EQ(expected, 100);
  sender.join();
}

// ---- Misuse.

TEST(ChannelDeathTest, MisuseIsACheckThatSaysWhatIsWrong) {
  EXPECT_DEATH(Channel<int>(-3), "a Channel with a capacity of -3; it needs 0 or more");
  EXPECT_DEATH(Channel<int>(-1), "a Channel with a capacity of -1; it needs 0 or more");
  EXPECT_DEATH(testing::Simulation().Run([]() -> Task<void> {
    AwaitAll scope;
    Introduction waiting;
    auto channel = std::make_unique<Channel<int>>(0);
    scope.Fork([&]() -> Task<void> {
      waiting.Make();
      co_await channel->Receive();
    });
    co_await waiting.AwaitParked();
    channel.reset();
    (co_await scope.Join()).IgnoreFailures();
  }()),
               "a Channel is destroyed by .*VirtualThread.* while .*VirtualThread.* waits in it");
  EXPECT_DEATH(testing::Simulation().Run([]() -> Task<void> {
    Channel<int> channel(0);
    channel.ReceiveBlocking();
    co_return;
  }()),
               "Channel::ReceiveBlocking\\(\\) by .*which would hold its carrier");
}

// ---- Select: one case happens.

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
  Event go;
  VirtualThread thread = VirtualThread::Start([this]() -> Task<void> { co_await go.Wait(); });

  static constexpr size_t kCases = 9;  // and a tenth, that never happens
  auto SelectAll() {
    return Select(in.Receive(), out.Send(5), event.Wait(), mutex.Lock(), semaphore.Acquire(), future.Get(),
                  thread.Join(), latch.Wait(), shared.LockShared(), Sleep(absl::InfiniteDuration()));
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

// ---- Broadcast and Watch.

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

// ---- Generator.

Generator<Ticket> Tickets(int count, const Counted local = Counted(1)) {
  const Counted another(local.value());
  for (int i = 0; i < count; ++i) {
    if (i % 2 == 0) co_await Yield();
    if (i % 5 == 0) co_await Sleep(absl::Microseconds(1));
    co_yield Ticket(i);
  }
}

TEST_P(GeneratorTest, ItsValuesComeInOrderAndItMayWaitInBetween) {
  Everywhere([]() -> Task<void> {
    auto tickets = Tickets(100);
    int expected = 0;
    while (std::optional<Ticket> ticket = co_await tickets.Next()) EXPECT_EQ(ticket->number(), expected++);
    EXPECT_EQ(expected, 100);
    EXPECT_FALSE((co_await tickets.Next()).has_value()) << "it has ended";
  });
}

TEST_P(GeneratorTest, ItsLocalsGoWithItWhereverItIs) {
  Everywhere([]() -> Task<void> {
    const int64_t before = Counted::alive;
    {
      auto never_asked = Tickets(3);
      auto asked = Tickets(3);
      co_await asked.Next();
      auto moved = std::move(asked);
      EXPECT_EQ((co_await moved.Next())->number(), 1);
      moved = Tickets(5);
      EXPECT_EQ((co_await moved.Next())->number(), 0);
    }
    if (simulated()) EXPECT_EQ(Counted::alive, before);
  });
}

Generator<int> OneAndThenNothing(Event& never, Counted) {
  co_yield 1;
  co_await never.Wait();
  co_yield 2;
}

TEST_P(GeneratorTest, OneThatIsCancelledInAWaitHasEnded) {
  Everywhere([]() -> Task<void> {
    Event never;
    auto generator = OneAndThenNothing(never, Counted(1));
    EXPECT_EQ(co_await generator.Next(), 1);
    EXPECT_FALSE((co_await testing::StopOnceItWaits([](Generator<int>& from) -> Task<void> {
                   co_await from.Next();
                 }(generator)))
                     .ok());
    EXPECT_EQ(co_await generator.Next(), std::nullopt);
    // And with its thread.
    AwaitAll scope;
    Introduction waiting;
    scope.Fork([&]() -> Task<void> {
      auto mine = OneAndThenNothing(never, Counted(1));
      co_await mine.Next();
      waiting.Make();
      co_await mine.Next();
      ADD_FAILURE() << "nobody sets the event";
    });
    co_await waiting.AwaitParked();
    scope.Shutdown();
    (co_await scope.Join()).IgnoreFailures();
  });
}

TEST_P(GeneratorTest, AnotherThreadMayGoOnWithIt) {
  Everywhere([]() -> Task<void> {
    auto tickets = Tickets(4);
    EXPECT_EQ((co_await tickets.Next())->number(), 0);
    AwaitAll scope;
    scope.Fork([moved = std::move(tickets)]() mutable -> Task<void> {
      for (int i = 1; i < 4; ++i) EXPECT_EQ((co_await moved.Next())->number(), i);
      EXPECT_FALSE((co_await moved.Next()).has_value());
    });
    (co_await scope.Join()).IgnoreFailures();
  });
}

Generator<int> YieldsInAScope() {
  AwaitAll scope;
  co_yield 1;
}

TEST(GeneratorDeathTest, ACoYieldInsideOfAScopeIsACheck) {
  EXPECT_DEATH(testing::Simulation().Run([]() -> Task<void> {
    auto generator = YieldsInAScope();
    co_await generator.Next();
  }()),
               "co_yield of a Generator by .*VirtualThread.* inside a scope or a boundary that the generator has open");
}

}  // namespace
}  // namespace weft

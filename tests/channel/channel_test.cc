// Channel. Goal: a value is received once, or is where it was, and who waits is served in order, whoever is cancelled
// meanwhile. Method: the same bodies in simulations and on carriers, over a table of the kinds of channels; payloads
// that are counted; OS threads of their own beside them.
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <numeric>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "tests/support/counted.h"
#include "tests/support/on_both.h"
#include "weft/cancellation.h"
#include "weft/channel/channel.h"
#include "weft/channel/select.h"
#include "weft/runtime.h"
#include "weft/scope.h"
#include "weft/task.h"
#include "weft/testing/simulation.h"
#include "weft/thread_builder.h"
#include "weft/time.h"
#include "weft/virtual_thread.h"

namespace weft {
namespace {

using testing::Counted;
using testing::Introduction;
using testing::Ticket;

class ChannelTest : public testing::OnBoth {};
WEFT_ON_BOTH(ChannelTest);

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

// Each value that is put into its place sends the next one. (Outside of the channel's locks.)
struct SendsAnother {
  explicit SendsAnother(Channel<SendsAnother>* into = nullptr) : to(into) {}
  SendsAnother(SendsAnother&&) = default;
  SendsAnother& operator=(SendsAnother&& other) noexcept {
    to = other.to;
    EXPECT_TRUE(to->TrySend(SendsAnother(to)));
    return *this;
  }
  Channel<SendsAnother>* to;
};

TEST_P(ChannelTest, ReceiveManyEndsHoweverFastTheSendersAre) {
  Everywhere([]() -> Task<void> {
    constexpr size_t kThere = 100;
    Channel<SendsAnother> channel(kUnbounded);
    std::vector<SendsAnother> many(100 * kThere);
    for (size_t i = 0; i < kThere; ++i) EXPECT_TRUE(channel.TrySend(SendsAnother(&channel)));
    const size_t count = co_await channel.ReceiveMany(absl::MakeSpan(many));
    EXPECT_GE(count, kThere);
    EXPECT_LE(count, 2 * kThere);
    EXPECT_EQ(channel.size(), kThere);
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

TEST_P(ChannelTest, ReceiveManyTakesTheValuesOfSomeOfThoseWhoWaitToSend) {
  Everywhere([]() -> Task<void> {
    constexpr size_t kSenders = 1000;
    Channel<int> channel(0);
    AwaitAll scope;
    std::atomic<size_t> begun{0};
    for (size_t i = 0; i < kSenders; ++i) {
      scope.Fork([&]() -> Task<void> {
        ++begun;
        EXPECT_TRUE(co_await channel.Send(1));
      });
    }
    while (begun < kSenders || channel.TryReceive() == std::nullopt) co_await Yield();
    size_t received = 1;
    for (bool first = true; received < kSenders; first = false) {
      std::vector<int> values;
      const size_t count = co_await channel.ReceiveMany(values, SIZE_MAX);
      EXPECT_EQ(count, values.size());
      if (first) EXPECT_LT(count, kSenders - 1) << "they are not all counted under the lock";
      received += count;
    }
    EXPECT_EQ(received, kSenders);
    (co_await scope.Join()).IgnoreFailures();
  });
}

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

// The cancel has ended the wait, or comes too late, and may have yet to take it out of the channel.
TEST(ChannelThreadsTest, WhoeverHasClosedItMayDestroyItWhileAWaitInItIsBeingCancelled) {
  const std::unique_ptr<Runtime> runtime = Runtime::Create({.parallelism = 2}).value();
  for (int round = 0; round < 1000; ++round) {
    runtime->Run([](bool receives) -> Task<void> {
      auto channel = std::make_unique<Channel<int>>(0);
      const VirtualThread sender =
          VirtualThread::Start([to = channel.get()]() -> Task<void> { static_cast<void>(co_await to->Send(1)); });
      while (sender.state() != VirtualThread::State::kWaiting) co_await Yield();
      std::atomic<bool> go{false};
      std::thread outside([&] {
        while (!go) std::this_thread::yield();
        sender.RequestCancel();
      });
      go = true;
      if (receives) static_cast<void>(channel->TryReceive());
      channel->Close();
      channel.reset();
      outside.join();
      (co_await sender.Join()).IgnoreError();
    }(round % 2 == 1));
  }
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

}  // namespace
}  // namespace weft

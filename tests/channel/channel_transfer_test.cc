// Channel: how values pass between those who wait and those who come. Goal: a place that is free, or a receiver that
// comes, is the first waiter's; and what cannot be had at once is refused to those who do not wait. Method: the same
// bodies in simulations and on carriers, in which the order of the waits is known.
#include <gtest/gtest.h>

#include <cstdint>
#include <numeric>
#include <optional>
#include <utility>
#include <vector>

#include "tests/support/counted.h"
#include "tests/support/on_both.h"
#include "weft/channel/channel.h"
#include "weft/scope.h"
#include "weft/task.h"

namespace weft {
namespace {

using testing::Introduction;
using testing::Ticket;

class ChannelTransferTest : public testing::OnBoth {};
WEFT_ON_BOTH(ChannelTransferTest);

// One that waits to send `value`, and is parked there.
Task<void> ForkSending(AwaitAll& scope, Channel<int>& channel, int value) {
  Introduction sending;
  scope.Fork([&sending, &channel, value]() -> Task<void> {
    sending.Make();
    EXPECT_TRUE(co_await channel.Send(value));
  });
  co_await sending.AwaitParked();
}

TEST_P(ChannelTransferTest, APlaceThatIsFreedIsTheFirstSendersAndItsValueComesBehindTheOthers) {
  Everywhere([]() -> Task<void> {
    Channel<int> channel(2);
    EXPECT_TRUE(channel.TrySend(0));
    EXPECT_TRUE(channel.TrySend(1));
    AwaitAll scope;
    for (int i = 2; i < 5; ++i) co_await ForkSending(scope, channel, i);
    EXPECT_FALSE(channel.TrySend(9));
    for (int i = 0; i < 3; ++i) {
      EXPECT_EQ(channel.TryReceive(), i);
      EXPECT_EQ(channel.size(), 2u) << "who waited has sent";
      EXPECT_FALSE(channel.TrySend(9)) << "nobody overtakes a waiter";
    }
    (co_await scope.Join()).IgnoreFailures();
    EXPECT_EQ(co_await channel.Receive(), 3);
    EXPECT_EQ(co_await channel.Receive(), 4);
    EXPECT_EQ(channel.TryReceive(), std::nullopt);
  });
}

TEST_P(ChannelTransferTest, ReceiveManyTakesWhatIsKeptAndThenFromThoseWhoWait) {
  for (const int64_t capacity : {0, 2}) {
    Everywhere([capacity]() -> Task<void> {
      Channel<int> channel(capacity);
      int sent = 0;
      for (; sent < capacity; ++sent) EXPECT_TRUE(channel.TrySend(sent));
      AwaitAll scope;
      for (int i = 0; i < 4; ++i) co_await ForkSending(scope, channel, sent++);
      std::vector<int> got;
      while (got.size() < static_cast<size_t>(sent)) {
        const size_t before = got.size();
        const size_t added = co_await channel.ReceiveMany(got, 3);
        EXPECT_GE(added, 1u);
        EXPECT_LE(added, 3u);
        EXPECT_EQ(got.size(), before + added);
      }
      (co_await scope.Join()).IgnoreFailures();
      std::vector<int> in_order(sent);
      std::iota(in_order.begin(), in_order.end(), 0);
      EXPECT_EQ(got, in_order);
      EXPECT_EQ(channel.size(), 0u);
    });
  }
}

TEST_P(ChannelTransferTest, ARendezvousIsRefusedUnlessSomebodyWaits) {
  Everywhere([]() -> Task<void> {
    Channel<int> channel(0);
    EXPECT_EQ(channel.capacity(), 0u);
    EXPECT_FALSE(channel.TrySend(1));
    EXPECT_EQ(channel.TryReceive(), std::nullopt);
    EXPECT_EQ(channel.size(), 0u);
    AwaitAll scope;
    co_await ForkSending(scope, channel, 2);
    EXPECT_FALSE(channel.TrySend(3)) << "another sender is no receiver";
    EXPECT_EQ(channel.TryReceive(), 2);
    Introduction receiving;
    scope.Fork([&]() -> Task<void> {
      receiving.Make();
      EXPECT_EQ(co_await channel.Receive(), 4);
    });
    co_await receiving.AwaitParked();
    EXPECT_EQ(channel.TryReceive(), std::nullopt) << "another receiver is no sender";
    EXPECT_TRUE(channel.TrySend(4));
    (co_await scope.Join()).IgnoreFailures();
    EXPECT_FALSE(channel.TrySend(5));
  });
}

// As an interrupted transfer() does.
TEST_P(ChannelTransferTest, WhoIsCancelledBehindAnotherTakesItsValueOutOfTheQueue) {
  Everywhere([]() -> Task<void> {
    Channel<Ticket> channel(0);
    Ticket mine(2);
    AwaitAll kept, cancelled;
    Introduction first, second, third;
    kept.Fork([&]() -> Task<void> {
      first.Make();
      EXPECT_TRUE(co_await channel.Send(Ticket(1)));
    });
    co_await first.AwaitParked();
    cancelled.Fork([&]() -> Task<void> {
      second.Make();
      co_await channel.Send(std::move(mine));
      ADD_FAILURE() << "it was cancelled";
    });
    co_await second.AwaitParked();
    kept.Fork([&]() -> Task<void> {
      third.Make();
      EXPECT_TRUE(co_await channel.Send(Ticket(3)));
    });
    co_await third.AwaitParked();
    EXPECT_EQ(channel.TryReceive()->number(), 1);
    cancelled.Shutdown();
    (co_await cancelled.Join()).IgnoreFailures();
    EXPECT_EQ(mine.number(), 2);
    EXPECT_EQ(channel.TryReceive()->number(), 3);
    EXPECT_FALSE(channel.TryReceive().has_value());
    (co_await kept.Join()).IgnoreFailures();
  });
}

}  // namespace
}  // namespace weft

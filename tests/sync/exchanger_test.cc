// Exchanger. Goal: values are exchanged in pairs, and each is at one place, whoever is cancelled. Method: the same
// bodies in simulations and on carriers. Values whose move throws are in aids_throw_test.cc.
#include "weft/sync/exchanger.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "tests/support/counted.h"
#include "tests/support/on_both.h"
#include "weft/cancellation.h"
#include "weft/scope.h"
#include "weft/task.h"
#include "weft/testing/simulation.h"
#include "weft/time.h"

namespace weft {
namespace {

using testing::Counted;
using testing::Introduction;
using testing::Ticket;

class ExchangerTest : public testing::OnBoth {};
WEFT_ON_BOTH(ExchangerTest);

TEST_P(ExchangerTest, EachGetsWhatTheOtherHasBrought) {
  Everywhere([]() -> Task<void> {
    Exchanger<Ticket> exchanger;
    AwaitAll scope;
    scope.Fork([&]() -> Task<void> {
      for (int i = 0; i < 20; ++i) EXPECT_EQ((co_await exchanger.Exchange(Ticket(i))).number(), 100 + i);
    });
    for (int i = 0; i < 20; ++i) {
      Ticket mine(100 + i);
      const Ticket got = co_await exchanger.Exchange(std::move(mine));
      EXPECT_EQ(got.number(), i);
      EXPECT_FALSE(mine.has_number());
    }
    (co_await scope.Join()).IgnoreFailures();
  });
}

// It can be moved, and not copied, and is trivially copyable all the same.
struct Handle {
  explicit Handle(int of) : number(of) {}
  Handle(Handle&&) = default;
  Handle(const Handle&) = delete;
  Handle& operator=(Handle&&) = default;
  Handle& operator=(const Handle&) = delete;
  int number;
};
static_assert(std::is_trivially_copyable_v<Handle>);

TEST_P(ExchangerTest, WhatCanOnlyBeMovedIsExchanged) {
  Everywhere([]() -> Task<void> {
    Exchanger<Handle> exchanger;
    AwaitAll scope;
    scope.Fork([&]() -> Task<void> {
      Handle mine(1);
      EXPECT_EQ((co_await exchanger.Exchange(std::move(mine))).number, 2);
    });
    Handle mine(2);
    EXPECT_EQ((co_await exchanger.Exchange(std::move(mine))).number, 1);
    (co_await scope.Join()).IgnoreFailures();
  });
}

TEST_P(ExchangerTest, NumbersAreExchangedToo) {
  Everywhere([]() -> Task<void> {
    Exchanger<int> exchanger;
    AwaitAll scope;
    auto other = scope.Fork([&]() -> Task<int> { co_return co_await exchanger.Exchange(1); });
    const int two = 2;
    EXPECT_EQ(co_await exchanger.Exchange(two), 1);
    (co_await scope.Join()).IgnoreFailures();
    EXPECT_EQ(*other, 2);
  });
}

TEST_P(ExchangerTest, AnExchangeThatIsCancelledLeavesTheValueWithItsOwner) {
  Everywhere([]() -> Task<void> {
    Exchanger<Ticket> exchanger;
    Ticket mine(1);
    EXPECT_FALSE((co_await MoveOnAfter(absl::ZeroDuration(), exchanger.Exchange(std::move(mine)))).has_value());
    EXPECT_EQ(mine.number(), 1);
    const absl::Status ended =
        (co_await testing::StopOnceItWaits([](Exchanger<Ticket>& in, Ticket& value) -> Task<Ticket> {
          co_return co_await in.Exchange(std::move(value));
        }(exchanger, mine)))
            .status();
    EXPECT_EQ(ReasonOf(ended).kind, CancelReason::Kind::kStopRequested);
    EXPECT_EQ(mine.number(), 1);
    AwaitAll scope;
    scope.Fork([&]() -> Task<void> { EXPECT_EQ((co_await exchanger.Exchange(Ticket(2))).number(), 1); });
    EXPECT_EQ((co_await exchanger.Exchange(std::move(mine))).number(), 2);
    (co_await scope.Join()).IgnoreFailures();
  });
}

// Each value is received once, or with its owner.
TEST_P(ExchangerTest, WhoeverIsCancelledEachValueIsAtOnePlace) {
  Everywhere([]() -> Task<void> {
    constexpr int kThreads = 6;
    Exchanger<Ticket> exchanger;
    std::vector<std::atomic<int>> seen(kThreads);
    std::vector<Ticket> mine;
    for (int i = 0; i < kThreads; ++i) mine.emplace_back(i);
    {
      AwaitAll cancelled;
      AwaitAll scope;
      for (int i = 0; i < kThreads; ++i) {
        AwaitAll& in = i % 3 == 0 ? cancelled : scope;
        in.Fork([&, i]() -> Task<void> {
          const Ticket got = co_await exchanger.Exchange(std::move(mine[i]));
          ++seen[got.number()];
        });
      }
      co_await Yield();
      cancelled.Shutdown();
      (co_await cancelled.Join()).IgnoreFailures();
      (co_await scope.JoinFor(absl::Milliseconds(1))).reset();
      co_await scope.Close();
    }
    for (int i = 0; i < kThreads; ++i) EXPECT_EQ(seen[i] + (mine[i].has_number() ? 1 : 0), 1) << i;
  });
}

TEST_P(ExchangerTest, ValuesEndOnce) {
  Everywhere([]() -> Task<void> {
    const int64_t before = Counted::alive;
    {
      Exchanger<Counted> exchanger;
      AwaitAll scope;
      for (int i = 0; i < 4; ++i) {
        scope.Fork([&, i]() -> Task<void> { co_await exchanger.Exchange(Counted(i)); });
      }
      (co_await scope.Join()).IgnoreFailures();
      Counted mine(7);
      co_await MoveOnAfter(absl::ZeroDuration(), exchanger.Exchange(std::move(mine)));
      EXPECT_EQ(mine.value(), 7);
    }
    EXPECT_EQ(Counted::alive, before);
    EXPECT_EQ(Counted::bad, 0);
  });
}

TEST(ExchangerDeathTest, IsDestroyedWithAWaiter) {
  EXPECT_DEATH(testing::Simulation().Run([]() -> Task<void> {
                 AwaitAll scope;
                 Exchanger<int> exchanger;
                 scope.Fork([&]() -> Task<void> { static_cast<void>(co_await exchanger.Exchange(1)); },
                            {.name = "waiter"});
                 co_await Yield();
                 co_await Yield();
               }()),
               "an Exchanger is destroyed by VirtualThread\\[#1\\]/runnable@carrier-0 while "
               "VirtualThread\\[#2,waiter\\]/waiting waits in it");
}

}  // namespace
}  // namespace weft

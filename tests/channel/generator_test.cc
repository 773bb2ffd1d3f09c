// Generator. Goal: its values come in order, it may wait, and its locals go with it. Method: the same bodies in
// simulations and on carriers.
#include <gtest/gtest.h>

#include <cstdint>
#include <optional>
#include <utility>

#include "absl/time/time.h"
#include "tests/support/counted.h"
#include "tests/support/on_both.h"
#include "weft/channel/generator.h"
#include "weft/scope.h"
#include "weft/sync/event.h"
#include "weft/task.h"
#include "weft/testing/simulation.h"
#include "weft/time.h"
#include "weft/virtual_thread.h"

namespace weft {
namespace {

using testing::Counted;
using testing::Introduction;
using testing::Ticket;

class GeneratorTest : public testing::OnBoth {};
WEFT_ON_BOTH(GeneratorTest);

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

Generator<int> AsksItself(Generator<int>*& self) {
  co_await self->Next();
  co_yield 1;
}

TEST(GeneratorDeathTest, ANextWhileItRunsIsACheck) {
  EXPECT_DEATH(testing::Simulation().Run([]() -> Task<void> {
    Generator<int>* self = nullptr;
    auto generator = AsksItself(self);
    self = &generator;
    co_await generator.Next();
  }()),
               "Next\\(\\) of a Generator that runs");
}

Generator<int> Sleeps() {
  co_await Sleep(absl::Hours(1));
  co_yield 1;
}

TEST(GeneratorDeathTest, ADestructionWhileItRunsIsACheck) {
  EXPECT_DEATH(testing::Simulation().Run([]() -> Task<void> {
    AwaitAll scope;
    std::optional<Generator<int>> generator = Sleeps();
    scope.Fork([&]() -> Task<void> { co_await generator->Next(); });
    co_await Sleep(absl::Seconds(1));
    generator.reset();
  }()),
               "a Generator is destroyed while it runs: a thread is in its Next");
}

}  // namespace
}  // namespace weft

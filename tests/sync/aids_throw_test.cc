// Barrier, Phaser, Once, Lazy and Exchanger with functions, or moves, that throw. Goal: the exception goes to one
// caller, and nobody waits for what does not come. Method: the same bodies in simulations and on carriers.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdint>
#include <stdexcept>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "tests/support/on_both.h"
#include "weft/scope.h"
#include "weft/sync/barrier.h"
#include "weft/sync/event.h"
#include "weft/sync/exchanger.h"
#include "weft/sync/lazy.h"
#include "weft/sync/once.h"
#include "weft/sync/phaser.h"
#include "weft/task.h"

namespace weft {
namespace {

using testing::Introduction;

class AidsThrowTest : public testing::OnBoth {};
WEFT_ON_BOTH(AidsThrowTest);

// Awaits `task`: has it thrown?
template <class T>
Task<bool> Throws(Task<T> task) {
  try {
    static_cast<void>(co_await std::move(task));
  } catch (const std::runtime_error&) {
    co_return true;
  }
  co_return false;
}

TEST_P(AidsThrowTest, AnActionThatThrowsBreaksItsBarrier) {
  Everywhere([]() -> Task<void> {
    Barrier barrier(2, [] { throw std::runtime_error("as planned"); });
    const auto arrive = [&barrier]() -> Task<absl::StatusOr<int64_t>> { co_return co_await barrier.ArriveAndWait(); };
    AwaitAll scope;
    Introduction waiting;
    scope.Fork([&]() -> Task<void> {
      waiting.Make();
      EXPECT_EQ((co_await barrier.ArriveAndWait()).status().code(), absl::StatusCode::kAborted);
    });
    co_await waiting.AwaitParked();
    EXPECT_TRUE(co_await Throws(arrive()));
    (co_await scope.Join()).IgnoreFailures();
    EXPECT_TRUE(barrier.IsBroken());
    EXPECT_FALSE(co_await Throws(arrive())) << "it is broken, and the action is not called";
  });
}

TEST_P(AidsThrowTest, AnOnAdvanceThatThrowsTerminatesItsPhaser) {
  Everywhere([]() -> Task<void> {
    Phaser phaser(2, [](int64_t, int64_t) -> bool { throw std::runtime_error("as planned"); });
    AwaitAll scope;
    Introduction waiting;
    scope.Fork([&]() -> Task<void> {
      waiting.Make();
      EXPECT_LT(co_await phaser.ArriveAndAwaitAdvance(), 0);
    });
    co_await waiting.AwaitParked();
    EXPECT_TRUE(co_await Throws([](Phaser& of) -> Task<void> { co_await of.ArriveAndAwaitAdvance(); }(phaser)));
    (co_await scope.Join()).IgnoreFailures();
    EXPECT_TRUE(phaser.IsTerminated());
  });
}

TEST_P(AidsThrowTest, AnOnAdvanceThatThrowsInAnArriveToo) {
  Phaser phaser(1, [](int64_t, int64_t) -> bool { throw std::runtime_error("as planned"); });
  EXPECT_THROW(phaser.Arrive(), std::runtime_error);
  EXPECT_TRUE(phaser.IsTerminated());
}

TEST_P(AidsThrowTest, AFunctionOfAOnceThatThrowsHandsOver) {
  Everywhere([]() -> Task<void> {
    for (const bool in_task : {false, true}) {
      Once once;
      int runs = 0;
      AwaitAll scope;
      Introduction first, second;
      Event go;
      scope.Fork([&]() -> Task<void> {
        first.Make();
        EXPECT_TRUE(co_await Throws(once.Run([&, in_task]() -> Task<void> {
          if (!in_task) co_await go.Wait();
          co_await go.Wait();
          throw std::runtime_error("as planned");
        })));
      });
      co_await first.AwaitParked();
      scope.Fork([&]() -> Task<void> {
        second.Make();
        co_await once.Run([&runs] { ++runs; });
      });
      co_await second.AwaitParked();
      go.Set();
      (co_await scope.Join()).IgnoreFailures();
      EXPECT_EQ(runs, 1);
      EXPECT_TRUE(once.IsDone());
      Once plain;
      EXPECT_TRUE(co_await Throws(plain.Run([] { throw std::runtime_error("as planned"); })));
      EXPECT_FALSE(plain.IsDone());
      co_await plain.Run([] {});
      EXPECT_TRUE(plain.IsDone());
    }
  });
}

TEST_P(AidsThrowTest, AFunctionOfALazyThatThrowsIsCalledAgain) {
  Everywhere([]() -> Task<void> {
    int computed = 0;
    Lazy<int> lazy([&computed]() -> int {
      if (++computed == 1) throw std::runtime_error("as planned");
      return computed;
    });
    EXPECT_TRUE(co_await Throws(lazy.Get()));
    EXPECT_EQ(lazy.TryGet(), nullptr);
    EXPECT_EQ(co_await lazy.Get(), 2);
  });
}

// The k-th move from now on throws; it changes nothing then.
struct Fragile {
  explicit Fragile(int of) : value(of) {}
  Fragile(Fragile&& other) noexcept(false) : value(other.value) {
    if (throws_at > 0 && --throws_at == 0) throw std::runtime_error("a move");
    other.value = -1;
  }
  int value;
  static inline std::atomic<int> throws_at = 0;
};

TEST_P(AidsThrowTest, AMoveThatThrowsLeavesTheValueWithItsOwnerOrIsThatOwnersLoss) {
  Everywhere([]() -> Task<void> {
    Exchanger<Fragile> exchanger;
    const auto exchange = [&exchanger](Fragile& mine) -> Task<int> {
      co_return (co_await exchanger.Exchange(std::move(mine))).value;
    };
    Fragile mine(1), others(2);
    Fragile::throws_at = 1;
    EXPECT_TRUE(co_await Throws(exchange(mine)));
    EXPECT_EQ(mine.value, 1);
    AwaitAll scope;
    Introduction waiting;
    auto got = scope.Fork([&]() -> Task<int> {
      waiting.Make();
      co_return co_await exchange(others);
    });
    co_await waiting.AwaitParked();
    Fragile::throws_at = 2;  // after its own value: one of those that are received, on its way out
    const bool thrown = co_await Throws(exchange(mine));
    (co_await scope.Join()).IgnoreFailures();
    EXPECT_EQ(thrown, got.state() == Subtask<int>::State::kSuccess) << "one of the two";
    Fragile::throws_at = 0;
  });
}

}  // namespace
}  // namespace weft

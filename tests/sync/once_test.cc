// Once and Lazy. Goal: one does it, all wait for it, and whoever does not finish hands over to the next. Method: the
// same bodies in simulations and on carriers. What a function throws is in aids_throw_test.cc.
#include "weft/sync/once.h"

#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "tests/support/on_both.h"
#include "weft/cancellation.h"
#include "weft/scope.h"
#include "weft/sync/event.h"
#include "weft/sync/lazy.h"
#include "weft/task.h"
#include "weft/testing/simulation.h"
#include "weft/time.h"

namespace weft {
namespace {

using testing::Introduction;

class OnceTest : public testing::OnBoth {};
WEFT_ON_BOTH(OnceTest);
class LazyTest : public testing::OnBoth {};
WEFT_ON_BOTH(LazyTest);

TEST_P(OnceTest, OneRunsAndAllWaitForIt) {
  Everywhere([]() -> Task<void> {
    Once once;
    EXPECT_FALSE(once.IsDone());
    int runs = 0;  // no atomic: the Once orders it
    AwaitAll scope;
    for (int i = 0; i < 5; ++i) {
      scope.Fork([&]() -> Task<void> {
        co_await once.Run([&]() -> Task<void> {
          co_await Yield();
          ++runs;
        });
        EXPECT_EQ(runs, 1);
        EXPECT_TRUE(once.IsDone());
      });
    }
    (co_await scope.Join()).IgnoreFailures();
    co_await once.Run([&] { ++runs; });
    EXPECT_EQ(runs, 1);
  });
}

TEST_P(OnceTest, ItsFunctionMayReturnAStatusWithOrWithoutATask) {
  Everywhere([]() -> Task<void> {
    Once once;
    EXPECT_EQ(co_await once.Run([] { return absl::DataLossError("as planned"); }), absl::DataLossError("as planned"));
    EXPECT_EQ(co_await once.Run([]() -> Task<absl::Status> { co_return absl::AbortedError("again"); }),
              absl::AbortedError("again"));
    EXPECT_FALSE(once.IsDone()) << "it has failed twice";
    EXPECT_TRUE((co_await once.Run([] { return absl::OkStatus(); })).ok());
    EXPECT_TRUE(once.IsDone());
    EXPECT_TRUE((co_await once.Run([] { return absl::DataLossError("too late"); })).ok());
  });
}

TEST_P(OnceTest, AFailureHandsOverToTheOneWhoHasWaitedLongest) {
  Everywhere([]() -> Task<void> {
    Once once;
    Event go;
    std::vector<int> order;
    AwaitAll scope;
    for (int i = 0; i < 4; ++i) {
      Introduction waiting;
      scope.Fork([&, i]() -> Task<void> {
        waiting.Make();
        const absl::Status status = co_await once.Run([&, i]() -> Task<absl::Status> {
          co_await go.Wait();
          order.push_back(i);
          co_return i < 2 ? absl::DataLossError("as planned") : absl::OkStatus();
        });
        EXPECT_EQ(status.ok(), i >= 2) << i;
      });
      co_await waiting.AwaitParked();
    }
    go.Set();
    (co_await scope.Join()).IgnoreFailures();
    EXPECT_EQ(order, (std::vector<int>{0, 1, 2}));
  });
}

TEST_P(OnceTest, ARunnerThatIsCancelledHandsOverAndAWaiterThatIsCancelledDoesNot) {
  Everywhere([]() -> Task<void> {
    Once once;
    int runs = 0;
    AwaitAll runner, waiter, kept;
    Introduction first, second, third;
    runner.Fork([&]() -> Task<void> {
      first.Make();
      co_await once.Run([] { return testing::Forever(); });
    });
    co_await first.AwaitParked();
    waiter.Fork([&]() -> Task<void> {
      second.Make();
      co_await once.Run([] { ADD_FAILURE() << "it was cancelled"; });
    });
    co_await second.AwaitParked();
    kept.Fork([&]() -> Task<void> {
      third.Make();
      co_await once.Run([&] { ++runs; });
    });
    co_await third.AwaitParked();
    waiter.Shutdown();
    (co_await waiter.Join()).IgnoreFailures();
    EXPECT_EQ(runs, 0);
    runner.Shutdown();
    (co_await runner.Join()).IgnoreFailures();
    (co_await kept.Join()).IgnoreFailures();
    EXPECT_EQ(runs, 1);
    EXPECT_TRUE(once.IsDone());
  });
}

TEST_P(OnceTest, WhoeverIsCancelledItIsDoneOnceIfAnybodyStays) {
  Everywhere([]() -> Task<void> {
    Once once;
    std::atomic<int> runs = 0, done = 0;
    AwaitAll kept, cancelled;
    for (AwaitAll* scope : {&cancelled, &kept, &cancelled, &kept, &cancelled}) {
      scope->Fork([&]() -> Task<void> {
        co_await once.Run([&]() -> Task<void> {
          co_await Yield();
          co_await Yield();
          ++runs;
        });
        ++done;
      });
    }
    co_await Yield();
    cancelled.Shutdown();
    (co_await cancelled.Join()).IgnoreFailures();
    (co_await kept.Join()).IgnoreFailures();
    EXPECT_EQ(runs, 1);
    EXPECT_GE(done, 2);
  });
}

TEST(OnceReportTest, TellsWhoRunsIt) {
  std::string report;
  testing::Simulation simulation({.on_deadlock = [&report](const std::string& text) { report = text; }});
  EXPECT_FALSE(simulation
                   .TryRun([]() -> Task<void> {
                     Once once;
                     AwaitAll scope;
                     scope.Fork([&]() -> Task<void> { co_await once.Run([] {}); });
                     co_await once.Run([] { return testing::Forever(); });
                   }())
                   .ok());
  EXPECT_TRUE(absl::StrContains(report, "in Once::Run at " __FILE__)) << report;
  EXPECT_TRUE(absl::StrContains(report, ", which VirtualThread[#1] runs")) << report;
}

TEST(OnceDeathTest, AFunctionThatWouldWaitForItselfIsACheck) {
  EXPECT_DEATH(testing::Simulation().Run([]() -> Task<void> {
    Once once;
    const auto again = [&]() -> Task<void> { return once.Run([] {}); };
    co_await once.Run(again);
  }()),
               "Run\\(\\) of a Once at .*once_test.cc:[0-9]+ by VirtualThread\\[#1\\].*, whose function it is called "
               "in: it would wait for itself");
  EXPECT_DEATH(testing::Simulation().Run([]() -> Task<void> {
    Lazy<int>* self = nullptr;
    Lazy<int> lazy([&self]() -> Task<int> { co_return co_await self->Get() + 1; });
    self = &lazy;
    co_await lazy.Get();
  }()),
               "it would wait for itself");
}

TEST(OnceDeathTest, IsDestroyedWhileAThreadRunsIt) {
  EXPECT_DEATH(testing::Simulation().Run([]() -> Task<void> {
                 AwaitAll scope;
                 Once once;
                 scope.Fork([&]() -> Task<void> { co_await once.Run([] { return testing::Forever(); }); });
                 co_await Yield();
                 co_await Yield();
               }()),
               "a Once is destroyed by VirtualThread\\[#1\\]/runnable@carrier-0 while VirtualThread\\[#2\\] runs it");
}

// ---- Lazy.

TEST_P(LazyTest, OneComputesAndAllGetTheSameValue) {
  Everywhere([]() -> Task<void> {
    int computed = 0;
    Lazy<std::unique_ptr<int>> lazy([&]() -> Task<std::unique_ptr<int>> {
      co_await Yield();
      co_return std::make_unique<int>(++computed);
    });
    EXPECT_EQ(lazy.TryGet(), nullptr);
    AwaitAll scope;
    for (int i = 0; i < 5; ++i) {
      scope.Fork([&]() -> Task<void> {
        const std::unique_ptr<int>& value = co_await lazy.Get();
        EXPECT_EQ(&value, lazy.TryGet());
        EXPECT_EQ(*value, 1);
      });
    }
    (co_await scope.Join()).IgnoreFailures();
    EXPECT_EQ(computed, 1);
  });
}

TEST_P(LazyTest, ItsFunctionNeedNotWait) {
  Everywhere([]() -> Task<void> {
    const Lazy<int>* self = nullptr;
    Lazy<int> lazy([] { return 3; });
    self = &lazy;
    EXPECT_EQ(co_await lazy.Get(), 3);
    EXPECT_EQ(*self->TryGet(), 3);
  });
}

TEST_P(LazyTest, AComputerThatIsCancelledHandsOver) {
  Everywhere([]() -> Task<void> {
    int computed = 0;
    Event go;
    Lazy<int> lazy([&]() -> Task<int> {
      if (++computed == 1) co_await testing::Forever();
      co_return computed;
    });
    AwaitAll cancelled, kept;
    Introduction first, second;
    cancelled.Fork([&]() -> Task<void> {
      first.Make();
      co_await lazy.Get();
    });
    co_await first.AwaitParked();
    kept.Fork([&]() -> Task<void> {
      second.Make();
      EXPECT_EQ(co_await lazy.Get(), 2);
    });
    co_await second.AwaitParked();
    cancelled.Shutdown();
    (co_await cancelled.Join()).IgnoreFailures();
    (co_await kept.Join()).IgnoreFailures();
    EXPECT_EQ(co_await lazy.Get(), 2);
  });
}

TEST_P(LazyTest, AFailureIsNotKept) {
  Everywhere([]() -> Task<void> {
    int computed = 0;
    Lazy<absl::StatusOr<int>> lazy([&]() -> Task<absl::StatusOr<int>> {
      if (++computed < 3) co_return absl::UnavailableError("not yet");
      co_return computed;
    });
    EXPECT_EQ((co_await lazy.Get()).status(), absl::UnavailableError("not yet"));
    EXPECT_EQ((co_await lazy.Get()).status(), absl::UnavailableError("not yet"));
    const absl::StatusOr<std::reference_wrapper<const int>> third = co_await lazy.Get();
    EXPECT_TRUE(third.ok());
    EXPECT_EQ(third->get(), 3);
    EXPECT_EQ(&third->get(), lazy.TryGet());
    EXPECT_EQ(computed, 3);
  });
}

}  // namespace
}  // namespace weft

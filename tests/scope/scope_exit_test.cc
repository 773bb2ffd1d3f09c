// Leaving a scope with children that still run. Goal: no child outlives its scope on the way of the destructor either,
// which cannot suspend and holds its carrier meanwhile. Method: early returns, with children in every kind of wait; on
// one carrier and on many.
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "tests/support/counted.h"
#include "tests/support/on_both.h"
#include "weft/cancellation.h"
#include "weft/runtime.h"
#include "weft/scope.h"
#include "weft/sync/event.h"
#include "weft/sync/mutex.h"
#include "weft/task.h"
#include "weft/testing/simulation.h"
#include "weft/time.h"

namespace weft {
namespace {

using testing::Counted;
using testing::Forever;
using testing::Introduction;

class ScopeExitTest : public testing::OnBoth {
 protected:
  // As Everywhere(), and every run counts at least `pins` pins.
  template <class Body>
  static void EverywherePinned(int64_t pins, Body body) {
    OnEveryRuntime([&](Runtime& runtime) {
      Counted::alive = 0;
      const int64_t before = runtime.Stats().pins;
      runtime.Run(body());
      EXPECT_EQ(Counted::alive, 0);
      EXPECT_GE(runtime.Stats().pins - before, pins);
    });
  }
};
WEFT_ON_BOTH(ScopeExitTest);

Task<void> WaitFor(Event& event) { co_await event.Wait(); }

TEST_P(ScopeExitTest, AnEarlyReturnCancelsTheChildrenAndWaits) {
  EverywherePinned(1, []() -> Task<void> {
    const int value = co_await []() -> Task<int> {
      AwaitAll scope;
      Introduction waiting;
      scope.Fork([&waiting, held = Counted()]() -> Task<void> { co_await Forever(waiting); });
      co_await waiting.AwaitParked();
      co_return 3;
    }();
    EXPECT_EQ(value, 3);
    EXPECT_EQ(Counted::alive, 0);
  });
}

TEST_P(ScopeExitTest, AScopeWhoseChildrenHaveEndedPinsNothing) {
  OnEveryRuntime([](Runtime& runtime) {
    const int64_t before = runtime.Stats().pins;
    runtime.Run([]() -> Task<void> {
      AwaitAll scope;
      scope.Fork([]() -> Task<void> { co_return; });
      (co_await scope.Join()).IgnoreFailures();
      AwaitAll empty;
      AwaitAll closed;
      closed.Fork(Forever());
      co_await closed.Close();
    }());
    EXPECT_EQ(runtime.Stats().pins - before, 0);
  });
}

TEST_P(ScopeExitTest, ChildrenThatHaveNotStartedNeverDo) {
  EverywherePinned(0, []() -> Task<void> {
    std::atomic<int> started{0};
    {
      AwaitAll scope;
      for (int i = 0; i < 10; ++i) {
        scope.Fork([&started, held = Counted()]() -> Task<void> {
          ++started;
          co_await Forever();
        });
      }
    }
    if (carriers() == 1) {
      EXPECT_EQ(started, 0);
    }
    EXPECT_EQ(Counted::alive, 0);
    co_return;
  });
}

TEST_P(ScopeExitTest, ChildrenInEveryKindOfWaitEnd) {
  EverywherePinned(1, []() -> Task<void> {
    Mutex mutex;
    Event shielded_may_go;
    Event never;
    std::atomic<bool> shielded_done{false};
    {
      MutexGuard guard = co_await mutex.Lock();
      AwaitAll scope;
      Introduction sleeping, waiting, locking, joining, shielded, yielding;
      scope.Fork([&, held = Counted()]() -> Task<void> {
        sleeping.Make();
        co_await Sleep(absl::InfiniteDuration());
      });
      scope.Fork([&, held = Counted()]() -> Task<void> {
        waiting.Make();
        co_await never.Wait();
      });
      scope.Fork([&, held = Counted()]() -> Task<void> {
        locking.Make();
        MutexGuard mine = co_await mutex.Lock();  // held by the owner, until after the scope
      });
      scope.Fork([&, held = Counted()]() -> Task<void> {
        AwaitAll inner;
        inner.Fork([held = Counted()]() -> Task<void> { co_await Forever(); });
        joining.Make();
        (co_await inner.Join()).IgnoreFailures();
      });
      scope.Fork([&, held = Counted()]() -> Task<void> {
        shielded.Make();
        co_await Shield([](std::atomic<bool>& done) -> Task<void> {
          Counted local;
          co_await Sleep(absl::Milliseconds(2));
          co_await Yield();
          done = true;
        }(shielded_done));
      });
      scope.Fork([&, held = Counted()]() -> Task<void> {
        yielding.Make();
        for (;;) co_await Yield();
      });
      co_await sleeping.AwaitParked();
      co_await waiting.AwaitParked();
      co_await locking.AwaitParked();
      co_await joining.AwaitParked();
      (void)co_await shielded.Await();
      (void)co_await yielding.Await();
    }
    EXPECT_TRUE(shielded_done);
    EXPECT_EQ(Counted::alive, 0);
    EXPECT_TRUE(mutex.TryLock().has_value());
  });
}

// The destructor of each level runs the next one's thread on top of itself.
Task<void> LeaveNested(int depth, Event& started, Event& go) {
  Counted local;
  AwaitAll scope;
  if (depth > 0) {
    scope.Fork([depth, &started, &go]() -> Task<void> {
      co_await Shield(LeaveNested(depth - 1, started, go));  // so that it is not cancelled, but leaves its scope itself
    });
  } else {
    started.Set();
  }
  scope.Fork([held = Counted()]() -> Task<void> { co_await Forever(); });
  co_await go.Wait();
}

TEST_P(ScopeExitTest, DestructorsNestThreeDeep) {
  EverywherePinned(1, []() -> Task<void> {
    Event started;
    Event go;
    AwaitAll scope;
    scope.Fork(LeaveNested(3, started, go));
    co_await started.Wait();
    go.Set();
    (co_await scope.Join()).IgnoreFailures();
    EXPECT_EQ(Counted::alive, 0);
  });
}

// The shielded child waits for a stranger, which a spare carrier has to run.
TEST_P(ScopeExitTest, StrangersKeepRunningMeanwhile) {
  EverywherePinned(0, []() -> Task<void> {
    AwaitAll siblings;
    Event question;
    Event answer;
    siblings.Fork([&]() -> Task<void> {
      co_await question.Wait();
      for (int i = 0; i < 5; ++i) co_await Yield();
      answer.Set();
    });
    siblings.Fork([&]() -> Task<void> {
      AwaitAll scope;
      Introduction shielded;
      scope.Fork([&, held = Counted()]() -> Task<void> {
        shielded.Make();
        co_await Shield(WaitFor(answer));
        question.Set();
      });
      co_await shielded.AwaitParked();
      question.Set();
    });
    (co_await siblings.Join()).IgnoreFailures();
  });
}

// Two destructors, each of which waits for what comes after the other's: only if neither runs a stranger on top of
// itself do both end.
TEST_P(ScopeExitTest, ADestructorNeverRunsAStrangerOnTopOfItself) {
  EverywherePinned(0, []() -> Task<void> {
    Event first_left;
    Event go;
    AwaitAll siblings;
    const auto leave = [](Event& wait_for, Event* left) -> Task<void> {
      {
        AwaitAll scope;
        Introduction shielded;
        scope.Fork([&]() -> Task<void> {
          shielded.Make();
          co_await Shield(WaitFor(wait_for));
        });
        co_await shielded.AwaitParked();
      }
      if (left != nullptr) left->Set();
    };
    siblings.Fork(leave(first_left, nullptr));
    siblings.Fork(leave(go, &first_left));
    siblings.Fork([&]() -> Task<void> {
      for (int i = 0; i < 10; ++i) co_await Yield();
      go.Set();
    });
    (co_await siblings.Join()).IgnoreFailures();
  });
}

TEST_P(ScopeExitTest, ManyDestructorsAtOnce) {
  EverywherePinned(5, []() -> Task<void> {
    AwaitAll siblings;
    for (int i = 0; i < 5; ++i) {
      siblings.Fork([]() -> Task<void> {
        AwaitAll scope;
        Introduction waiting;
        scope.Fork([&waiting, held = Counted()]() -> Task<void> {
          AwaitAll inner;
          inner.Fork([held = Counted()]() -> Task<void> { co_await Forever(); });
          waiting.Make();
          (co_await inner.Join()).IgnoreFailures();
        });
        co_await waiting.AwaitParked();
      });
    }
    EXPECT_TRUE((co_await siblings.Join()).ok());
    EXPECT_EQ(Counted::alive, 0);
  });
}

// After its destructors the thread goes on as if nothing had been: it parks, yields, joins, and is cancelled.
TEST_P(ScopeExitTest, TheOwnerGoesOnAfterwards) {
  EverywherePinned(3, []() -> Task<void> {
    const uint64_t id = VirtualThread::Current().id();
    for (int i = 0; i < 3; ++i) {
      {
        AwaitAll scope;
        Introduction waiting;
        scope.Fork(Forever(waiting));
        co_await waiting.AwaitParked();
      }
      EXPECT_EQ(VirtualThread::Current().id(), id);
      EXPECT_GE(VirtualThread::Current().carrier(), 0);
      co_await Yield();
      co_await Sleep(absl::Microseconds(1));
      AwaitAll next;
      auto child = next.Fork([]() -> Task<int> {
        co_await Yield();
        co_return 4;
      });
      (co_await next.Join()).IgnoreFailures();
      EXPECT_EQ(*child, 4);
    }
  });
}

// Also if the last child ends just when the owner, which is unwound, is about to wait for it.
TEST_P(ScopeExitTest, AnOwnerThatIsUnwoundIsOnACarrierAfterItsChildren) {
  struct LooksAtTheEnd {
    ~LooksAtTheEnd() {
      EXPECT_GE(VirtualThread::Current().carrier(), 0);
      EXPECT_EQ(VirtualThread::Current().state(), VirtualThread::State::kRunnable);
    }
  };
  Everywhere([]() -> Task<void> {
    for (int i = 0; i < (simulated() ? 1 : 200); ++i) {
      Introduction waiting;
      AwaitAll scope;
      scope.Fork([&waiting]() -> Task<void> {
        const LooksAtTheEnd looks;
        AwaitAll inner;
        inner.Fork(Forever());
        co_await Forever(waiting);
      });
      co_await waiting.AwaitParked();
      scope.Shutdown();
      EXPECT_TRUE((co_await scope.Join()).ok());
    }
  });
}

TEST_P(ScopeExitTest, AChildMayForkIntoTheDyingScopeToNoAvail) {
  EverywherePinned(1, []() -> Task<void> {
    std::atomic<bool> ran{false};
    {
      AwaitAll scope;
      Introduction shielded;
      Event gate;
      scope.Fork([&]() -> Task<void> {
        shielded.Make();
        co_await Shield([](AwaitAll& dying, std::atomic<bool>& flag) -> Task<void> {
          while (!dying.IsShutdown()) co_await Yield();
          dying.Fork([started = &flag]() -> Task<void> {
            *started = true;
            co_return;
          });
        }(scope, ran));
      });
      (void)co_await shielded.Await();
    }
    EXPECT_FALSE(ran);
  });
}

// An owner whose own cancellation comes while it is in the destructor is cancelled afterwards.
TEST_P(ScopeExitTest, ARequestThatComesMeanwhileIsDeliveredAtTheNextCheckpoint) {
  EverywherePinned(0, []() -> Task<void> {
    AwaitAll scope;
    Introduction shielded;
    Event gate;
    std::atomic<bool> went_on{false};
    scope.Fork([&]() -> Task<void> {
      {
        AwaitAll inner;
        inner.Fork([&]() -> Task<void> {
          shielded.Make();
          co_await Shield(WaitFor(gate));
        });
        (void)co_await shielded.Await();
      }
      co_await testing::UntilAsked();
      co_await Yield();
      went_on = true;
    });
    co_await shielded.AwaitParked();
    scope.Shutdown();
    gate.Set();
    (co_await scope.Join()).IgnoreFailures();
    EXPECT_FALSE(went_on);
  });
}

// A regression: a request that came while a scope was being opened was forgotten by it, and one that came while it was
// being opened or closed called a virtual function of an object whose class was just changing.
//   1. owner: opens a scope; it is in the owner's list from the middle of its constructor to the middle of its
//   destructor
//   2. another carrier: asks the owner to end, and shuts all scopes in the list
//   3. owner: goes on with the constructor, or the destructor
TEST_P(ScopeExitTest, ARequestThatComesWhileAScopeIsOpenedOrClosedIsKept) {
  EverywherePinned(0, []() -> Task<void> {
    for (int i = 0; i < 20; ++i) {
      AwaitAll scope;
      Event opening;
      scope.Fork([&opening]() -> Task<void> {
        opening.Set();
        for (bool asked = false; !asked; co_await Shield([]() -> Task<void> { co_await Yield(); }())) {
          asked = CancelRequested();
          AwaitAll inner;
          EXPECT_TRUE(inner.IsShutdown() || !asked);
        }
      });
      co_await opening.Wait();
      scope.Shutdown();
      (co_await scope.Join()).IgnoreFailures();
    }
  });
}

TEST(ScopeExitSimulationTest, OneCarrierAndNoSpareIsEnoughForChildrenThatEndByThemselves) {
  for (uint64_t seed = 1; seed <= 50; ++seed) {
    testing::Simulation simulation({.carriers = 1, .seed = seed, .max_pool_size = 1});
    simulation.Run([]() -> Task<void> {
      AwaitAll scope;
      Introduction waiting;
      scope.Fork([&waiting]() -> Task<void> {
        AwaitAll inner;
        inner.Fork([held = Counted()]() -> Task<void> { co_await Forever(); });
        waiting.Make();
        co_await Shield([]() -> Task<void> { co_await Sleep(absl::Seconds(1)); }());
      });
      co_await waiting.AwaitParked();
    }());
    EXPECT_EQ(simulation.runtime().Stats().carriers, 1);
    EXPECT_EQ(simulation.runtime().Stats().pins, 1);
  }
}

// Children of children, and so on, each in a join.
Task<void> Tree(int depth, int& begun) {
  ++begun;
  if (depth == 0) {
    co_await Forever();
    co_return;
  }
  AwaitAll scope;
  scope.Fork(Tree(depth - 1, begun));
  (co_await scope.Join()).IgnoreFailures();
}

// Each level is asked in a turn of its own, and there are more of them than the request asks at once.
Task<void> LeaveTrees(int trees) {
  constexpr int kDepth = 3;
  int begun = 0;
  AwaitAll scope;
  for (int i = 0; i < trees; ++i) scope.Fork(Tree(kDepth, begun));
  while (begun < trees * (kDepth + 1)) co_await Yield();
}

TEST(ScopeExitSimulationTest, OneCarrierAndNoSpareIsEnoughForAnyNumberOfScopesBelow) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    testing::Simulation({.carriers = 1, .seed = seed, .max_pool_size = 1}).Run(LeaveTrees(50));
  }
}

TEST(ScopeExitThreadTest, OneCarrierAndNoSpareIsEnoughForAnyNumberOfScopesBelow) {
  const std::unique_ptr<Runtime> runtime = *Runtime::Create({.parallelism = 1, .max_pool_size = 1});
  for (const int trees : {15, 16, 50}) runtime->Run(LeaveTrees(trees));
}

TEST(ScopeExitSimulationTest, ASpareCarrierIsAddedOnlyWhenTooFewAreLeft) {
  testing::Simulation simulation({.carriers = 2, .seed = 1, .min_runnable = 1});
  simulation.Run([]() -> Task<void> {
    AwaitAll scope;
    Introduction waiting;
    scope.Fork(Forever(waiting));
    co_await waiting.AwaitParked();
  }());
  EXPECT_EQ(simulation.runtime().Stats().carriers, 2);
}

}  // namespace
}  // namespace weft

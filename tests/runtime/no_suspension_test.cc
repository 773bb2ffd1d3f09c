// NoSuspension. Goal: in a debug build a thread that suspends while it has one ends the program, and both places are
// named; what does not suspend goes on; in other builds nothing happens. Method: every way to suspend, in simulations
// and on a carrier; then what is near to one. `DebugDeath` is a death in a debug build, and otherwise a run.
#include "weft/no_suspension.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "tests/support/on_both.h"
#include "weft/all.h"
#include "weft/blocking.h"
#include "weft/cancellation.h"
#include "weft/channel/generator.h"
#include "weft/runtime.h"
#include "weft/scope.h"
#include "weft/sync/event.h"
#include "weft/sync/mutex.h"
#include "weft/task.h"
#include "weft/testing/simulation.h"
#include "weft/time.h"
#include "weft/virtual_thread.h"

namespace weft {
namespace {

using testing::Introduction;

#ifdef NDEBUG
constexpr bool kDebug = false;
#else
constexpr bool kDebug = true;
#endif

// Runs `body` twice: in a simulation and on a carrier.
template <class Body>
void DebugDeath(const char* wait, Body body) {
  const auto in_a_simulation = [&body] { testing::Simulation().Run(body()); };
  const auto on_a_carrier = [&body] {
    (*Runtime::Create({.parallelism = 1, .held_carrier_threshold = absl::ZeroDuration()}))->Run(body());
  };
  if (kDebug) {
    const std::string said =
        absl::StrCat("VirtualThread\\[#[0-9]+\\] ", wait,
                     ", and holds what it must not hold over a suspension: the weft::NoSuspension that it has made at "
                     "\\S*no_suspension_test\\.cc:[0-9]+");
    EXPECT_DEATH(in_a_simulation(), said);
    EXPECT_DEATH(on_a_carrier(), said);
  } else {
    in_a_simulation();
    on_a_carrier();
  }
}

#define WAITS_IN(what) what " at \\S*no_suspension_test\\.cc:[0-9]+"

Task<int> One() { co_return 1; }
Task<void> Nothing() { co_return; }
// Until a request has come to the thread. It is not unwound meanwhile.
Task<void> AwaitRequest() {
  while (!CancelRequested()) co_await Shield(Sleep(absl::Microseconds(1)));
}

// ---- What suspends.

TEST(NoSuspensionDeathTest, AWaitThatParks) {
  DebugDeath(WAITS_IN("waits in Sleep"), []() -> Task<void> {
    const NoSuspension holds;
    co_await Sleep(absl::Nanoseconds(1));
  });
  DebugDeath(WAITS_IN("waits in Event::Wait"), []() -> Task<void> {
    Event event;
    AwaitAll scope;
    scope.Fork([&event]() -> Task<void> {
      event.Set();
      co_return;
    });
    {
      const NoSuspension holds;
      co_await event.Wait();
    }
    (co_await scope.Join()).IgnoreFailures();
  });
  DebugDeath(WAITS_IN("waits in Mutex::Lock"), []() -> Task<void> {
    Mutex mutex;
    std::optional<MutexGuard> held = mutex.TryLock();
    AwaitAll scope;
    scope.Fork([&held]() -> Task<void> {
      held.reset();
      co_return;
    });
    {
      const NoSuspension holds;
      const MutexGuard mine = co_await mutex.Lock();
    }
    (co_await scope.Join()).IgnoreFailures();
  });
}

TEST(NoSuspensionDeathTest, AYield) {
  DebugDeath(WAITS_IN("waits in Yield"), []() -> Task<void> {
    const NoSuspension holds;
    co_await Yield();
  });
}

TEST(NoSuspensionDeathTest, BothPlacesAreThoseOfTheUser) {
  if (!kDebug) return;
  const auto run = [] {
    testing::Simulation().Run([]() -> Task<void> {
      std::mutex mutex;
      const std::lock_guard guard(mutex);
      const NoSuspension holds;
      co_await Yield();
    }());
  };
  constexpr int kMade = __LINE__ - 4;
  EXPECT_DEATH(run(), absl::StrCat("no_suspension_test\\.cc:", kMade + 1, ", .*no_suspension_test\\.cc:", kMade));
}

TEST(NoSuspensionDeathTest, AJoinWhetherItsChildrenBeginInPlaceOrNot) {
  DebugDeath(WAITS_IN("waits in StructuredTaskScope::Join"), []() -> Task<void> {
    AwaitAll scope;
    scope.Fork(Nothing());
    const NoSuspension holds;
    (co_await scope.Join()).IgnoreFailures();
  });
  DebugDeath(WAITS_IN("waits in StructuredTaskScope::Join"), []() -> Task<void> {
    AwaitAll scope;
    scope.Fork(Sleep(absl::Nanoseconds(1)));
    scope.Fork(Nothing());
    co_await Yield();
    const NoSuspension holds;
    (co_await scope.Join()).IgnoreFailures();
  });
}

// Whoever ends last makes the owner run, on its own carrier: the check comes before that can be.
TEST(NoSuspensionDeathTest, AJoinWhoseLastChildEndsElsewhereMeanwhile) {
  if (!kDebug) return;
  const auto join = []() -> Task<void> {
    std::atomic<bool> begun = false, joined = false;
    AwaitAll scope;
    scope.Fork([&]() -> Task<void> {
      begun = true;
      while (!joined) {
      }
      co_return;
    });
    while (!begun) {
    }
    const NoSuspension holds;
    joined = true;
    (co_await scope.Join()).IgnoreFailures();
  };
  // It waits unless the child is faster: of many rounds there is one.
  EXPECT_DEATH(
      {
        const std::unique_ptr<Runtime> runtime = *Runtime::Create({.parallelism = 2});
        for (int round = 0; round < 10'000; ++round) runtime->Run(join());
      },
      "waits in StructuredTaskScope::Join at ");
}

TEST(NoSuspensionDeathTest, AnAllOfTwoAndOfMore) {
  DebugDeath(WAITS_IN("waits in \\S+"), []() -> Task<void> {
    const NoSuspension holds;
    co_await All(One(), One());
  });
  DebugDeath(WAITS_IN("waits in \\S+"), []() -> Task<void> {
    const NoSuspension holds;
    co_await All(One(), One(), One());
  });
}

TEST(NoSuspensionDeathTest, ACallThatBlocksElsewhere) {
  DebugDeath(WAITS_IN("waits in Blocking"), []() -> Task<void> {
    const NoSuspension holds;
    (co_await Blocking([] {})).IgnoreError();
  });
}

TEST(NoSuspensionDeathTest, ADestructorThatWaitsForChildren) {
  DebugDeath("suspends", []() -> Task<void> {
    const NoSuspension holds;
    AwaitAll scope;
    scope.Fork(Nothing());
    co_return;
  });
}

TEST(NoSuspensionDeathTest, ACancelledThreadWhoseFrameHasAScopeWithChildren) {
  if (!kDebug) return;  // it would wait for ever
  DebugDeath("waits in the end of its children", []() -> Task<void> {
    Event begun, never;
    AwaitAll outer;
    outer.Fork([&]() -> Task<void> {
      AwaitAll scope;
      scope.Fork([&]() -> Task<void> {
        begun.Set();
        co_await Shield(never.Wait());
      });
      co_await Shield(begun.Wait());
      co_await AwaitRequest();
      const NoSuspension holds;
      co_await Sleep(absl::Hours(1));
    });
    co_await begun.Wait();
    outer.Shutdown();
    (co_await outer.Join()).IgnoreFailures();
  });
}

TEST(NoSuspensionDeathTest, OneThatACalledFunctionHasMadeOrThatTheCallerHas) {
  DebugDeath(WAITS_IN("waits in Yield"), []() -> Task<void> {
    const NoSuspension holds;
    Mutex mutex;
    co_await [](Mutex& wanted) -> Task<void> {
      const MutexGuard guard = co_await wanted.Lock();
      co_await Yield();
    }(mutex);
  });
  DebugDeath(WAITS_IN("waits in Yield"), []() -> Task<void> {
    Generator<int> generator = []() -> Generator<int> {
      const NoSuspension holds;
      co_yield 1;
    }();
    EXPECT_EQ(*co_await generator.Next(), 1);
    co_await Yield();
  });
}

// ---- What does not.

class NoSuspensionTest : public testing::OnBoth {};
WEFT_ON_BOTH(NoSuspensionTest);

TEST_P(NoSuspensionTest, WhatIsThereAtOnceIsNoSuspension) {
  Everywhere([]() -> Task<void> {
    Mutex mutex;
    Event event;
    event.Set();
    AwaitAll scope;
    scope.Fork(Nothing());
    {
      const NoSuspension outer;
      {
        const NoSuspension inner;
        const MutexGuard guard = co_await mutex.Lock();
        co_await event.Wait();
        EXPECT_EQ(co_await One(), 1);
      }
      scope.Fork(Nothing());
    }
    co_await Yield();
    (co_await scope.Join()).IgnoreFailures();
  });
}

TEST_P(NoSuspensionTest, ItIsOverWithItsBlockAndOthersMaySuspend) {
  Everywhere([]() -> Task<void> {
    AwaitAll scope;
    for (int i = 0; i < 4; ++i) {
      scope.Fork([]() -> Task<void> {
        for (int n = 0; n < 5; ++n) {
          { const NoSuspension holds; }
          co_await Yield();
          {
            std::optional<NoSuspension> first(std::in_place), second(std::in_place);
            first.reset();  // they need not go in the order of a stack
          }
          co_await Sleep(absl::Nanoseconds(1));
        }
      });
    }
    (co_await scope.Join()).IgnoreFailures();
  });
}

TEST_P(NoSuspensionTest, ACancelledThreadIsUnwoundAndDoesNotSuspend) {
  Everywhere([]() -> Task<void> {
    AwaitAll scope;
    Introduction waiting;
    Event go;
    bool unwound = false;
    struct Tell {
      bool& told;
      ~Tell() { told = true; }
    };
    scope.Fork([&]() -> Task<void> {
      waiting.Make();
      co_await Shield(go.Wait());
      co_await AwaitRequest();
      const Tell tell{unwound};
      const NoSuspension holds;
      co_await Sleep(absl::Hours(1));
    });
    co_await waiting.AwaitParked();
    scope.Shutdown();
    go.Set();
    (co_await scope.Join()).IgnoreFailures();
    EXPECT_TRUE(unwound);
  });
}

TEST(NoSuspensionOsThreadTest, OnAnOsThreadItDoesNothing) {
  const NoSuspension holds;
  testing::Simulation().Run([]() -> Task<void> { co_await Yield(); }());
}

}  // namespace
}  // namespace weft

// Shields with a grace limit. Goal: what is inside goes on for that long after the request, and then is cancelled as if
// there were no shield. Method: exact times in simulations; the races of a limit with the end of its task on carriers
// too.
#include <gtest/gtest.h>

#include <memory>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "lib/runtime/runtime_core.h"
#include "tests/support/counted.h"
#include "tests/support/on_both.h"
#include "weft/cancellation.h"
#include "weft/finally.h"
#include "weft/runtime.h"
#include "weft/scope.h"
#include "weft/stop_token.h"
#include "weft/sync/event.h"
#include "weft/task.h"
#include "weft/testing/simulation.h"
#include "weft/time.h"

namespace weft {
namespace {

using testing::Counted;
using testing::Forever;
using testing::Introduction;

class ShieldGraceTest : public testing::OnBoth {};
WEFT_ON_BOTH(ShieldGraceTest);

// Calls body() in a simulation of one to three carriers, under several seeds.
template <class Body>
void Simulated(Body body) {
  for (const int carriers : {1, 2, 3}) {
    for (uint64_t seed = 1; seed <= 20; ++seed) {
      testing::Simulation simulation({.carriers = carriers, .seed = seed});
      simulation.Run(body());
    }
  }
}

Task<void> SleepCounted(absl::Duration duration) {
  Counted local;
  co_await Sleep(duration);
}

// How long after the request, which comes in a second, a child that runs body() has ended.
template <class Body>
Task<absl::Duration> EndAfterRequest(Body body) {
  AwaitAll scope;
  scope.Fork([&body]() -> Task<void> { co_await body(); });
  co_await Sleep(absl::Seconds(1));
  const absl::Time requested = Now();
  scope.Shutdown();
  (co_await scope.Join()).IgnoreFailures();
  EXPECT_EQ(Counted::alive, 0);
  co_return Now() - requested;
}

// To within some ticks of the timers.
void ExpectAbout(absl::Duration found, absl::Duration wanted) {
  EXPECT_GT(found, wanted - absl::Milliseconds(2));
  EXPECT_LT(found, wanted + absl::Milliseconds(2));
}

TEST_P(ShieldGraceTest, WithoutARequestItIsNoLimit) {
  Everywhere([]() -> Task<void> {
    const int value = co_await Shield(absl::ZeroDuration(), []() -> Task<int> {
      co_await Yield();
      co_return 3;
    }());
    EXPECT_EQ(value, 3);
  });
}

TEST(ShieldGraceSimulationTest, ATaskThatEndsWithinTheGraceIsNotCancelled) {
  Simulated([]() -> Task<void> {
    bool ended = false;
    bool went_on = false;
    ExpectAbout(co_await EndAfterRequest([&]() -> Task<void> {
                  co_await Shield(absl::Seconds(5), [](bool& flag) -> Task<void> {
                    co_await SleepCounted(absl::Seconds(4));
                    flag = true;
                  }(ended));
                  co_await Yield();
                  went_on = true;
                }),
                absl::Seconds(3));
    EXPECT_TRUE(ended);
    EXPECT_FALSE(went_on);
  });
}

TEST(ShieldGraceSimulationTest, OneThatDoesNotIsUnwoundWhenTheGraceIsOver) {
  Simulated([]() -> Task<void> {
    ExpectAbout(co_await EndAfterRequest(
                    []() -> Task<void> { co_await Shield(absl::Seconds(5), SleepCounted(absl::Hours(1))); }),
                absl::Seconds(5));
  });
}

// Also if it is made outside of the runtime, whose carriers all sleep then.
TEST(ShieldGraceThreadTest, ARequestByAnOsThreadHasItsGraceToo) {
  for (const int parallelism : {1, 2}) {
    for (const bool by_the_end : {false, true}) {
      std::unique_ptr<Runtime> runtime = *Runtime::Create({.parallelism = parallelism});
      std::stop_source source;
      std::thread caller([core = runtime.get(), token = source.get_token()] {
        const absl::Status status = core->TryRun([](std::stop_token stop) -> Task<absl::Status> {
          co_return co_await WithStopToken(stop,
                                           []() -> Task<void> { co_await Shield(absl::Milliseconds(1), Forever()); }());
        }(token));
        EXPECT_EQ(status.code(), absl::StatusCode::kCancelled);
      });
      while (runtime->core().Counts().waiters < 1) std::this_thread::yield();
      if (by_the_end) {
        runtime.reset();
      } else {
        source.request_stop();
      }
      caller.join();
    }
  }
}

TEST(ShieldGraceSimulationTest, TheGraceIsCountedFromTheRequestAndNotFromTheShield) {
  Simulated([]() -> Task<void> {
    // Three shields, one after another, of five seconds each: five in all.
    ExpectAbout(co_await EndAfterRequest([]() -> Task<void> {
                  const auto cleanup = []() -> Task<void> { co_await SleepCounted(absl::Seconds(3)); };
                  co_await Shield(absl::Seconds(5), cleanup());
                  co_await Shield(absl::Seconds(5), cleanup());
                  co_await Shield(absl::Seconds(5), cleanup());
                }),
                absl::Seconds(5));
  });
}

// A second before, or just now.
TEST(ShieldGraceSimulationTest, AGraceThatIsOverBeforeTheTaskBeginsLetsItRunToItsFirstCheckpoint) {
  for (const int over : {1, 0}) {
    for (const int grace : {0, 1}) {
      Simulated([over, grace]() -> Task<void> {
        bool began = false;
        bool went_on = false;
        ExpectAbout(co_await EndAfterRequest([&, over, grace]() -> Task<void> {
                      (co_await CatchCancelled(Forever())).IgnoreError();
                      if (over + grace > 0) co_await Shield(SleepCounted(absl::Seconds(over + grace)));
                      co_await Shield(absl::Seconds(grace), [](bool& first, bool& second) -> Task<void> {
                        first = true;
                        co_await Yield();
                        second = true;
                      }(began, went_on));
                    }),
                    absl::Seconds(over + grace));
        EXPECT_TRUE(began);
        EXPECT_FALSE(went_on);
      });
    }
  }
}

TEST(ShieldGraceSimulationTest, ItReachesTheChildrenOfScopesInside) {
  Simulated([]() -> Task<void> {
    bool asked_early = false;
    ExpectAbout(co_await EndAfterRequest([&]() -> Task<void> {
                  co_await Shield(absl::Seconds(5), [](bool& early) -> Task<void> {
                    AwaitAll inner;
                    inner.Fork(SleepCounted(absl::Hours(1)));
                    inner.Fork([&early]() -> Task<void> {
                      co_await Sleep(absl::Seconds(4));
                      early = CancelRequested();
                      co_await Forever();
                    });
                    (co_await inner.Join()).IgnoreFailures();
                  }(asked_early));
                }),
                absl::Seconds(5));
    EXPECT_FALSE(asked_early);
  });
}

TEST(ShieldGraceSimulationTest, OfNestedShieldsTheOuterOneWithoutLimitStillHides) {
  Simulated([]() -> Task<void> {
    ExpectAbout(
        co_await EndAfterRequest([]() -> Task<void> {
          co_await Shield([]() -> Task<void> { co_await Shield(absl::Seconds(1), SleepCounted(absl::Seconds(8))); }());
        }),
        absl::Seconds(7));
  });
}

TEST(ShieldGraceSimulationTest, OfNestedShieldsTheInnerOneWithoutLimitStillHides) {
  Simulated([]() -> Task<void> {
    ExpectAbout(co_await EndAfterRequest([]() -> Task<void> {
                  co_await Shield(absl::Seconds(1), []() -> Task<void> {
                    co_await Shield(SleepCounted(absl::Seconds(8)));
                    co_await Forever();
                  }());
                }),
                absl::Seconds(7));
  });
}

TEST(ShieldGraceSimulationTest, OfNestedLimitsTheLaterOneCounts) {
  Simulated([]() -> Task<void> {
    for (const auto& [outer, inner] : {std::pair(3, 6), std::pair(6, 3)}) {
      ExpectAbout(co_await EndAfterRequest([&]() -> Task<void> {
                    co_await Shield(absl::Seconds(outer), [](int seconds) -> Task<void> {
                      co_await Shield(absl::Seconds(seconds), SleepCounted(absl::Hours(1)));
                    }(inner));
                  }),
                  absl::Seconds(6));
    }
  });
}

TEST(ShieldGraceSimulationTest, ATimeoutOutsideHasItsGraceToo) {
  Simulated([]() -> Task<void> {
    const absl::Time begin = Now();
    const absl::Status late = co_await WithTimeout(
        absl::Seconds(1), []() -> Task<void> { co_await Shield(absl::Seconds(2), SleepCounted(absl::Hours(1))); }());
    EXPECT_EQ(ReasonOf(late).kind, CancelReason::Kind::kTimeout);
    ExpectAbout(Now() - begin, absl::Seconds(3));
    EXPECT_FALSE(CancelRequested());
    co_await Yield();
  });
}

TEST(ShieldGraceSimulationTest, TheEarliestOfSeveralRequestsCounts) {
  Simulated([]() -> Task<void> {
    const absl::Time begin = Now();
    const absl::Status late = co_await WithTimeout(absl::Seconds(2), []() -> Task<void> {
      const absl::Status inner = co_await WithTimeout(
          absl::Seconds(1), []() -> Task<void> { co_await Shield(absl::Seconds(3), SleepCounted(absl::Hours(1))); }());
      ADD_FAILURE() << "the outer one has a request as well: " << inner;
    }());
    EXPECT_EQ(ReasonOf(late).kind, CancelReason::Kind::kTimeout);
    ExpectAbout(Now() - begin, absl::Seconds(4));
  });
}

// A regression: a request that an outer shield hid used up the grace of an inner one.
TEST(ShieldGraceSimulationTest, ARequestThatAnotherShieldHidesIsNotCounted) {
  for (const bool before : {false, true}) {
    Simulated([before]() -> Task<void> {
      // Asked after one second. The timeout's own request comes after ten, and its grace is over after fifteen.
      const absl::Time begin = Now();
      static_cast<void>(co_await EndAfterRequest([before]() -> Task<void> {
        co_await Shield([](bool asked_before) -> Task<void> {
          if (asked_before) co_await Sleep(absl::Seconds(2));
          const absl::Duration left = absl::Seconds(asked_before ? 8 : 10);
          const absl::Status late = co_await WithTimeout(
              left, []() -> Task<void> { co_await Shield(absl::Seconds(5), SleepCounted(absl::Hours(1))); }());
          EXPECT_EQ(ReasonOf(late).kind, CancelReason::Kind::kTimeout);
        }(before));
      }));
      ExpectAbout(Now() - begin, absl::Seconds(15));
    });
  }
}

// Asked after one second: the outer limit lasts until the seventh, when the inner one, which counts from the same
// request, is over for long. The timeout's own request came first to that.
TEST(ShieldGraceSimulationTest, AFurtherRequestLengthensNoLimit) {
  for (const absl::Duration timeout : {absl::Seconds(5), absl::Milliseconds(6900), absl::Hours(1)}) {
    Simulated([timeout]() -> Task<void> {
      ExpectAbout(co_await EndAfterRequest([timeout]() -> Task<void> {
                    co_await Shield(absl::Seconds(6), [](absl::Duration within) -> Task<void> {
                      (co_await WithTimeout(within, []() -> Task<void> {
                        co_await Shield(absl::Seconds(3), SleepCounted(absl::Hours(1)));
                      }())).IgnoreError();
                    }(timeout));
                  }),
                  absl::Seconds(6));
    });
  }
}

// The first request is hidden when the second one comes, and begins to count for a shield whose timer runs.
TEST(ShieldGraceSimulationTest, AnEarlierRequestThatComesLaterShortensTheLimit) {
  Simulated([]() -> Task<void> {
    ExpectAbout(co_await EndAfterRequest([]() -> Task<void> {
                  co_await Shield(absl::Seconds(2), [](absl::Duration within) -> Task<void> {
                    (co_await WithTimeout(within, []() -> Task<void> {
                      co_await Shield(absl::Seconds(4), SleepCounted(absl::Hours(1)));
                    }())).IgnoreError();
                  }(absl::Milliseconds(2500)));
                }),
                absl::Seconds(4));
  });
}

TEST(ShieldGraceSimulationTest, ADestructorWaitsForAShieldedChildOnlyAsLongAsItsGrace) {
  Simulated([]() -> Task<void> {
    const absl::Time begin = Now();
    {
      AwaitAll scope;
      Introduction shielded;
      scope.Fork([&]() -> Task<void> {
        shielded.Make();
        co_await Shield(absl::Seconds(2), SleepCounted(absl::Hours(1)));
      });
      co_await shielded.AwaitParked();
    }
    ExpectAbout(Now() - begin, absl::Seconds(2));
    EXPECT_EQ(Counted::alive, 0);
  });
}

TEST(ShieldGraceSimulationTest, TheCleanUpOfFinallyMayHaveALimit) {
  Simulated([]() -> Task<void> {
    ExpectAbout(co_await EndAfterRequest([]() -> Task<void> {
                  co_await Finally(
                      Forever(), []() -> Task<void> { co_await SleepCounted(absl::Hours(1)); }, absl::Seconds(4));
                }),
                absl::Seconds(4));
  });
}

// The limit fires while the task ends, in every order that there is.
TEST_P(ShieldGraceTest, ALimitThatMeetsTheEndOfItsTaskIsHarmless) {
  Everywhere([]() -> Task<void> {
    AwaitAll scope;
    Counted::alive = 0;
    for (int i = 0; i < 20; ++i) {
      scope.Fork([i]() -> Task<void> {
        Counted local;
        co_await Shield(absl::Microseconds(100 * i), [](int step) -> Task<void> {
          Counted inner;
          for (int j = 0; j < 5; ++j) co_await Sleep(absl::Microseconds(20 * step));
        }(i));
        co_await Yield();
      });
    }
    co_await Sleep(absl::Microseconds(200));
    scope.Shutdown();
    (co_await scope.Join()).IgnoreFailures();
    EXPECT_EQ(Counted::alive, 0);
  });
}

}  // namespace
}  // namespace weft

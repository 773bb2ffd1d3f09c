// VirtualThread::Park() and Unpark(). Goal: their sentences, one test each. Method: the same bodies in simulations
// under many seeds and on real carriers.
#include <gtest/gtest.h>

#include <atomic>
#include <optional>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "tests/support/on_both.h"
#include "weft/cancellation.h"
#include "weft/scope.h"
#include "weft/task.h"
#include "weft/thread_builder.h"
#include "weft/time.h"
#include "weft/virtual_thread.h"

namespace weft {
namespace {

using testing::Introduction;
using testing::UntilParked;

using State = VirtualThread::State;

class ParkTest : public testing::OnBoth {};
WEFT_ON_BOTH(ParkTest);

TEST_P(ParkTest, UnparkLetsAParkedThreadGoOnAndAPermitIsKeptForTheNextPark) {
  Everywhere([]() -> Task<void> {
    std::atomic<int> steps{0};
    const VirtualThread parker = VirtualThread::Start([&steps]() -> Task<void> {
      co_await VirtualThread::Park();
      ++steps;
      co_await VirtualThread::Park();
      ++steps;
    });
    co_await UntilParked(parker);
    EXPECT_EQ(parker.state(), State::kWaiting);
    EXPECT_EQ(parker.waits_in(), "VirtualThread::Park");
    parker.Unpark();
    while (steps < 1) co_await Yield();
    co_await UntilParked(parker);
    EXPECT_EQ(steps, 1);
    parker.Unpark();
    EXPECT_EQ(co_await parker.Join(), absl::OkStatus());
    parker.Unpark();  // it has ended

    const VirtualThread early = VirtualThread::Builder().Unstarted([]() -> Task<void> {
      co_await VirtualThread::Park();
    });
    early.Unpark();
    early.Start();
    EXPECT_EQ(co_await early.Join(), absl::OkStatus());
  });
}

TEST_P(ParkTest, ThereIsOnePermitHoweverOftenItIsGiven) {
  Everywhere([]() -> Task<void> {
    const VirtualThread self = VirtualThread::Current();
    self.Unpark();
    self.Unpark();
    co_await VirtualThread::Park();
    EXPECT_FALSE(co_await MoveOnAfter(absl::Milliseconds(1), VirtualThread::Park()));
    self.Unpark();
    EXPECT_TRUE(co_await MoveOnAfter(absl::Hours(1), VirtualThread::Park()));
  });
}

TEST_P(ParkTest, AThreadOfAScopeParksAndACancelledParkLeavesThePermit) {
  Everywhere([]() -> Task<void> {
    Introduction made;
    bool permit_left = false;
    AwaitAll scope;
    scope.Fork([&]() -> Task<void> {
      made.Make();
      co_await VirtualThread::Park();
      EXPECT_EQ((co_await testing::StopOnceItWaits([]() -> Task<void> {
                  co_await VirtualThread::Park();
                }())).code(),
                absl::StatusCode::kCancelled);
      VirtualThread::Current().Unpark();
      permit_left = co_await MoveOnAfter(absl::ZeroDuration(), VirtualThread::Park());
    });
    const VirtualThread child = co_await made.Await();
    child.Unpark();
    (co_await scope.Join()).IgnoreFailures();
    EXPECT_FALSE(permit_left) << "a timeout of zero cancels at the checkpoint";
  });
}

TEST_P(ParkTest, ATimedParkThatIsUnparkedInTimeSaysSoAndOneWithoutTimeLeavesThePermit) {
  Everywhere([]() -> Task<void> {
    std::atomic<bool> unparked{false};
    const VirtualThread parker = VirtualThread::Start([&unparked]() -> Task<void> {
      unparked = co_await MoveOnAfter(absl::Hours(1), VirtualThread::Park());
    });
    co_await UntilParked(parker);
    parker.Unpark();
    EXPECT_EQ(co_await parker.Join(), absl::OkStatus());
    EXPECT_TRUE(unparked);

    const VirtualThread self = VirtualThread::Current();
    for (const absl::Duration timeout : {absl::ZeroDuration(), -absl::Seconds(1), -absl::InfiniteDuration()}) {
      EXPECT_FALSE(co_await MoveOnAfter(timeout, VirtualThread::Park()));
      self.Unpark();
      EXPECT_FALSE(co_await MoveOnAfter(timeout, VirtualThread::Park()));
      co_await VirtualThread::Park();
    }
  });
}

TEST_P(ParkTest, ARequestEndsAParkWhetherItComesBeforeOrMeanwhileAlsoIfThereIsAPermit) {
  Everywhere([]() -> Task<void> {
    const VirtualThread parked = VirtualThread::Start([]() -> Task<void> { co_await VirtualThread::Park(); });
    co_await UntilParked(parked);
    parked.RequestCancel("meanwhile");
    EXPECT_EQ((co_await parked.Join()).code(), absl::StatusCode::kCancelled);

    for (const bool permit : {false, true}) {
      std::atomic<bool> begun{false};
      const VirtualThread asked = VirtualThread::Start([&begun]() -> Task<void> {
        begun = true;
        co_await testing::UntilAsked();
        co_await VirtualThread::Park();
        ADD_FAILURE() << "it was asked to end before";
      });
      while (!begun) co_await Yield();
      if (permit) asked.Unpark();
      asked.RequestCancel("before");
      EXPECT_EQ((co_await asked.Join()).code(), absl::StatusCode::kCancelled);
    }
  });
}

// As the users of LockSupport do: look, park, look again.
TEST_P(ParkTest, NoUnparkIsLost) {
  Everywhere([]() -> Task<void> {
    constexpr int kRounds = 100;
    std::atomic<int> turn{0};
    const auto play = [&turn](int mine, const std::optional<VirtualThread>& other) -> Task<void> {
      for (int i = 0; i < kRounds; ++i) {
        while (turn.load() % 2 != mine) co_await VirtualThread::Park();
        ++turn;
        other->Unpark();
      }
    };
    std::optional<VirtualThread> ping, pong;
    VirtualThread::Builder builder;
    ping = builder.Unstarted([&] { return play(0, pong); });
    pong = builder.Unstarted([&] { return play(1, ping); });
    ping->Start();
    pong->Start();
    EXPECT_EQ(co_await ping->Join(), absl::OkStatus());
    EXPECT_EQ(co_await pong->Join(), absl::OkStatus());
    EXPECT_EQ(turn.load(), 2 * kRounds);
  });
}

}  // namespace
}  // namespace weft

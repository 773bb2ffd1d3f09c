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
    EXPECT_TRUE(co_await MoveOnAfter(absl::Milliseconds(1), VirtualThread::Park()));
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

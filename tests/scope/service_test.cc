// The start of a service: StructuredTaskScope::Start(). Goal: its sentences, one test each. Method: the same bodies in
// simulations under many seeds and on real carriers.
#include <gtest/gtest.h>

#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "tests/support/counted.h"
#include "tests/support/on_both.h"
#include "weft/cancellation.h"
#include "weft/ready.h"
#include "weft/scope.h"

namespace weft {
namespace {

using testing::Counted;
using testing::Forever;

class ServiceTest : public testing::OnBoth {};
WEFT_ON_BOTH(ServiceTest);

TEST_P(ServiceTest, StartWaitsUntilTheServiceIsReady) {
  Everywhere([]() -> Task<void> {
    bool prepared = false;
    ShutdownOnFailure scope;
    absl::StatusOr<Subtask<int>> service = co_await scope.Start([&prepared](Ready ready) -> Task<int> {
      for (int i = 0; i < 3; ++i) co_await Yield();
      prepared = true;
      ready.Set();
      ready.Set();  // said before
      co_await Yield();
      co_return 7;
    });
    EXPECT_TRUE(prepared);
    EXPECT_TRUE(service.ok());
    EXPECT_TRUE((co_await scope.Join()).ok());
    EXPECT_EQ(**service, 7);
  });
}

TEST_P(ServiceTest, AServiceThatEndsBeforeItIsReadyHasNotStarted) {
  Everywhere([]() -> Task<void> {
    ShutdownOnFailure scope;
    const auto failed = co_await scope.Start([](Ready) -> Task<absl::Status> { co_return absl::NotFoundError("port"); });
    EXPECT_EQ(failed.status().code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_EQ((co_await scope.Join()).status(), absl::NotFoundError("port"));
  });
}

TEST_P(ServiceTest, AServiceIsNotStartedInAScopeThatIsShut) {
  Everywhere([]() -> Task<void> {
    AwaitAll scope;
    scope.Shutdown();
    const auto refused = co_await scope.Start([held = Counted()](Ready ready) -> Task<void> {
      ADD_FAILURE() << "started";
      ready.Set();
      co_return;
    });
    EXPECT_EQ(refused.status().code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_TRUE((co_await scope.Join()).ok());
  });
}

TEST_P(ServiceTest, AStarterThatIsCancelledEndsTheServiceThatIsNotReadyYet) {
  Everywhere([]() -> Task<void> {
    Counted::alive = 0;
    const absl::Status done = co_await WithTimeout(absl::Milliseconds(1), []() -> Task<void> {
      AwaitAll scope;
      (void)co_await scope.Start([held = Counted()](Ready) -> Task<void> { co_await Forever(); });
      ADD_FAILURE() << "it was unwound";
    }());
    EXPECT_EQ(done.code(), absl::StatusCode::kDeadlineExceeded);
    EXPECT_EQ(Counted::alive, 0);
  });
}

}  // namespace
}  // namespace weft

// The start of a service: StructuredTaskScope::Start(). Goal: its sentences, one test each, and that a service ends
// with a Start() that is given up, however that is. Method: the same bodies in simulations under many seeds and on real
// carriers, a table of the ways to give up, and a server that waits in the kernel, on both backends.
#include <gtest/gtest.h>

#include <memory>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "tests/support/counted.h"
#include "tests/support/on_both.h"
#include "weft/all.h"
#include "weft/cancel_reason.h"
#include "weft/cancellation.h"
#include "weft/net/tcp_listener.h"
#include "weft/policy.h"
#include "weft/race.h"
#include "weft/ready.h"
#include "weft/runtime.h"
#include "weft/scope.h"
#include "weft/sync/event.h"
#include "weft/task.h"
#include "weft/time.h"

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
    const auto failed =
        co_await scope.Start([](Ready) -> Task<absl::Status> { co_return absl::NotFoundError("port"); });
    EXPECT_EQ(failed.status().code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_EQ((co_await scope.Join()).status(), absl::NotFoundError("port"));
  });
}

// A regression: the starter went on when the service's closure began to be destroyed, before its failure was the
// scope's.
TEST_P(ServiceTest, StartReturnsWhenTheScopeKnowsHowTheServiceHasEnded) {
  struct LetsOthersRun {
    ~LetsOthersRun() {
      AwaitAll scope;
      scope.Fork([]() -> Task<void> {
        for (int i = 0; i < 10; ++i) co_await Yield();
      });
    }
  };
  Everywhere([]() -> Task<void> {
    int failures = 0;
    Supervisor scope([&failures](const AnySubtask&) { ++failures; });
    const auto failed = co_await scope.Start([held = std::make_unique<LetsOthersRun>()](Ready) -> Task<absl::Status> {
      co_return absl::NotFoundError("port");
    });
    EXPECT_EQ(failed.status().code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_EQ(failures, 1);
    scope.Shutdown();
    (co_await scope.Join()).IgnoreFailures();
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

// ---- A Start() that is given up.

// What became of a service.
struct Log {
  bool asked_together = false;  // starter and service are asked one after the other, in any order
  bool begun = false;
  std::vector<CancelReason::Kind> ends;
};

// A server: it ends when it is asked to, and not before. Never ready in time.
auto Server(Log& log) {
  return [&log, held = Counted()](Ready ready) -> Task<void> {
    log.begun = true;
    const absl::Status end = co_await CatchCancelled(Forever());
    log.ends.push_back(ReasonOf(end).kind);
    ready.Set();  // there is nobody any more who waits for that
    co_await Yield();
    ADD_FAILURE() << "it is cancelled";
  };
}

Task<void> StartServer(AwaitAll& scope, Log& log) {
  static_cast<void>(co_await scope.Start(Server(log)));
  EXPECT_TRUE(log.asked_together) << "it is given up";
}
Task<void> StartServerAsDaemon(AwaitAll& scope, Log& log) {
  static_cast<void>(co_await scope.StartDaemon(Server(log)));
  EXPECT_TRUE(log.asked_together) << "it is given up";
}

Task<void> Nap() {
  for (int i = 0; i < 3; ++i) co_await Yield();
}
Task<absl::Status> Fail() {
  co_await Nap();
  co_return absl::DataLossError("as planned");
}

struct GivenUp {
  const char* name;
  CancelReason::Kind reason;
  Task<void> (*run)(AwaitAll& scope, Task<void> starter);
  bool by_owner = true;  // it is the owner of the scope who starts
  bool asks_together = false;  // the service is asked by the same shutdown as the starter, and may answer it first
};

const GivenUp kGivenUp[] = {
    {"ByATimeoutThatIsOver", CancelReason::Kind::kTimeout,
     [](AwaitAll&, Task<void> starter) -> Task<void> {
       co_await MoveOnAfter(absl::ZeroDuration(), std::move(starter));
     }},
    {"ByATimeout", CancelReason::Kind::kTimeout,
     [](AwaitAll&, Task<void> starter) -> Task<void> {
       co_await MoveOnAfter(absl::Microseconds(3), std::move(starter));
     }},
    {"ByAStopToken", CancelReason::Kind::kStopRequested,
     [](AwaitAll&, Task<void> starter) -> Task<void> {
       EXPECT_FALSE((co_await testing::StopOnceItWaits(std::move(starter))).ok());
     }},
    {"ByARace", CancelReason::Kind::kSiblingSucceeded,
     [](AwaitAll&, Task<void> starter) { return Race(std::move(starter), Nap()); }, false},
    {"ByTheFailureOfAnotherBranch", CancelReason::Kind::kSiblingFailed,
     [](AwaitAll&, Task<void> starter) -> Task<void> {
       EXPECT_FALSE((co_await All(std::move(starter), Fail())).ok());
     },
     false},
    {"ByTheShutdownOfTheStartersScope", CancelReason::Kind::kShutdown,
     [](AwaitAll&, Task<void> starter) -> Task<void> {
       AwaitAll inner;
       inner.Fork(std::move(starter));
       co_await Nap();
       inner.Shutdown();
       (co_await inner.Join()).IgnoreFailures();
     },
     false},
    {"ByADestructor", CancelReason::Kind::kScopeClosed,
     [](AwaitAll&, Task<void> starter) -> Task<void> {
       AwaitAll inner;
       inner.Fork(std::move(starter));
       co_await Nap();
     },
     false},
    {"ByTheShutdownOfItsOwnScope", CancelReason::Kind::kShutdown,
     [](AwaitAll& scope, Task<void> starter) -> Task<void> {
       scope.Fork(std::move(starter));
       co_await Nap();
       scope.Shutdown();
     },
     /*by_owner=*/false, /*asks_together=*/true},
};

// The caller of `way` may be cancelled by it.
Task<void> GiveUp(const GivenUp& way, bool daemon, Log& log) {
  log.asked_together = way.asks_together;
  AwaitAll scope;
  (void)co_await CatchCancelled(way.run(scope, daemon ? StartServerAsDaemon(scope, log) : StartServer(scope, log)));
  EXPECT_TRUE((co_await scope.Join()).ok());
}

TEST_P(ServiceTest, AServiceWhoseStartIsGivenUpIsCancelledWithIt) {
  for (const GivenUp& way : kGivenUp) {
    for (const bool daemon : {false, true}) {
      if (HasFailure()) return;
      if (daemon && !way.by_owner) continue;
      SCOPED_TRACE(::testing::Message() << way.name << (daemon ? ", a daemon" : ""));
      OnEveryRuntime([&](Runtime& runtime) {
        Counted::alive = 0;
        Log log;
        runtime.Run(GiveUp(way, daemon, log));
        EXPECT_EQ(Counted::alive, 0);
        EXPECT_LE(log.ends.size(), log.begun ? 1 : 0);  // not if it was asked to end before it came to wait
        if (!log.ends.empty()) EXPECT_EQ(log.ends[0], way.reason);
      });
    }
  }
}

TEST_P(ServiceTest, AServiceThatWaitsForItsTurnIsNotStartedOnceItsStartIsGivenUp) {
  Everywhere([]() -> Task<void> {
    Event go_on;
    Log log;
    AwaitAll scope({.max_concurrency = 1});
    scope.Fork([&go_on]() -> Task<void> { co_await go_on.Wait(); });
    EXPECT_FALSE(co_await MoveOnAfter(absl::Microseconds(3), StartServer(scope, log)));
    go_on.Set();
    EXPECT_TRUE((co_await scope.Join()).ok());
    EXPECT_FALSE(log.begun);
  });
}

TEST_P(ServiceTest, AServiceThatIsReadyOutlivesWhoHasStartedIt) {
  Everywhere([]() -> Task<void> {
    bool done = false;
    AwaitAll scope;
    EXPECT_TRUE(co_await MoveOnAfter(absl::Hours(1), [](AwaitAll& scope, bool& done) -> Task<void> {
      const auto started = co_await scope.Start([&done](Ready ready) -> Task<void> {
        ready.Set();
        co_await Nap();
        done = true;
      });
      EXPECT_TRUE(started.ok());
    }(scope, done)));
    EXPECT_TRUE((co_await scope.Join()).ok());
    EXPECT_TRUE(done);
  });
}

// Either Start() gives a service, which goes on, or the service is cancelled.
TEST_P(ServiceTest, AServiceThatIsReadyAsItsStartIsGivenUpGoesOnOrIsCancelled) {
  Everywhere([]() -> Task<void> {
    bool started = false;
    bool done = false;
    bool cancelled = false;
    Event over;  // the start: nobody asks the service to end any more
    const auto serve = [&](Ready ready) -> Task<void> {
      const absl::Status end = co_await CatchCancelled([](Event& over, Ready ready) -> Task<void> {
        co_await Sleep(absl::Microseconds(2));
        ready.Set();
        co_await over.Wait();
        co_await Yield();  // a request that came before the event may have come too late for the wait
      }(over, std::move(ready)));
      (end.ok() ? done : cancelled) = true;
    };
    AwaitAll scope;
    const auto start = [&]() -> Task<void> { started = (co_await scope.Start(serve)).ok(); };
    co_await MoveOnAfter(absl::Microseconds(3), start());
    over.Set();
    EXPECT_TRUE((co_await scope.Join()).ok());
    EXPECT_EQ(started, done);
    if (started) EXPECT_FALSE(cancelled);
  });
}

class ServiceOnSocketsTest : public ::testing::TestWithParam<IoBackend> {};
INSTANTIATE_TEST_SUITE_P(Backends, ServiceOnSocketsTest, ::testing::Values(IoBackend::kUring, IoBackend::kEpoll),
                         [](const auto& info) { return info.param == IoBackend::kUring ? "IoUring" : "Epoll"; });

TEST_P(ServiceOnSocketsTest, AServerThatAcceptsIsCancelledWithItsStart) {
  for (const int carriers : {1, 2, 4}) {
    const absl::StatusOr<std::unique_ptr<Runtime>> runtime =
        Runtime::Create({.parallelism = carriers, .io = GetParam()});
    ASSERT_TRUE(runtime.ok()) << runtime.status();
    for (int round = 0; round < 20; ++round) {
      (*runtime)->Run([]() -> Task<void> {
        AwaitAll scope;
        const auto start = co_await testing::StopOnceItWaits([](AwaitAll& scope) -> Task<void> {
          static_cast<void>(co_await scope.Start([](Ready) -> Task<absl::Status> {
            absl::StatusOr<net::TcpListener> listener = net::TcpListener::Bind("127.0.0.1:0");
            EXPECT_TRUE(listener.ok()) << listener.status();
            if (listener.ok()) co_return (co_await listener->Accept()).status();
            co_return listener.status();
          }));
        }(scope));
        EXPECT_EQ(start.code(), absl::StatusCode::kCancelled);
        EXPECT_TRUE((co_await scope.Join()).ok());
      }());
    }
  }
}

}  // namespace
}  // namespace weft

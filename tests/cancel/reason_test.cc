// What is told of a cancellation. Goal: who, why, when, from which line, and by which way, at CatchCancelled(), at a
// boundary with a limit, in an outcome, and in the handle of a subtask. Method: the same bodies in simulations and on
// carriers; what depends on exact times, in simulations only.
#include <gtest/gtest.h>

#include <optional>
#include <source_location>
#include <stop_token>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/cord.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "tests/support/on_both.h"
#include "weft/cancel_reason.h"
#include "weft/cancellation.h"
#include "weft/finally.h"
#include "weft/scope.h"
#include "weft/stop_token.h"
#include "weft/sync/event.h"
#include "weft/task.h"
#include "weft/testing/simulation.h"
#include "weft/time.h"

namespace weft {
namespace {

using testing::Forever;
using testing::Introduction;

using Kind = CancelReason::Kind;

class ReasonTest : public testing::OnBoth {};
WEFT_ON_BOTH(ReasonTest);

std::string LineAfter(std::source_location where = std::source_location::current()) {
  return absl::StrCat(where.file_name(), ":", where.line() + 1);
}

Task<void> CatchInto(absl::Status& seen, Introduction& waiting) {
  waiting.Make();
  seen = co_await CatchCancelled(Forever());
}

TEST_P(ReasonTest, AShutdownTellsItsLineAndItsWords) {
  Everywhere([]() -> Task<void> {
    AwaitAll scope;
    Introduction waiting;
    absl::Status seen;
    scope.Fork(CatchInto(seen, waiting));
    co_await waiting.AwaitParked();
    const std::string line = LineAfter();
    scope.Shutdown("no quorum");
    (co_await scope.Join()).IgnoreFailures();
    const CancelReason reason = ReasonOf(seen);
    EXPECT_EQ(reason.kind, Kind::kShutdown);
    EXPECT_EQ(reason.text, "no quorum");
    EXPECT_EQ(reason.where, line);
    EXPECT_EQ(reason.ToString(),
              absl::StrCat("shut down: no quorum (virtual thread #", VirtualThread::Current().id(), "), at ", line));
    EXPECT_EQ(seen.message(), reason.ToString());
  });
}

TEST_P(ReasonTest, ATimeoutTellsWhereItWasSet) {
  Everywhere([]() -> Task<void> {
    const std::string line = LineAfter();
    const absl::Status late = co_await WithTimeout(absl::ZeroDuration(), Forever());
    EXPECT_EQ(ReasonOf(late).kind, Kind::kTimeout);
    EXPECT_EQ(ReasonOf(late).where, line);
    EXPECT_TRUE(ReasonOf(late).path.empty());
  });
}

TEST_P(ReasonTest, ACloseTellsItsLineAndADestructorThatOfTheOpening) {
  Everywhere([]() -> Task<void> {
    absl::Status seen;
    {
      AwaitAll scope;
      Introduction waiting;
      scope.Fork(CatchInto(seen, waiting));
      co_await waiting.AwaitParked();
      const std::string line = LineAfter();
      co_await scope.Close();
      EXPECT_EQ(ReasonOf(seen).where, line);
    }
    std::string opening;
    {
      Introduction waiting;
      opening = LineAfter();
      AwaitAll scope;
      scope.Fork(CatchInto(seen, waiting));
      co_await waiting.AwaitParked();
    }
    EXPECT_EQ(ReasonOf(seen).kind, Kind::kScopeClosed);
    EXPECT_EQ(ReasonOf(seen).where, opening);
  });
}

TEST_P(ReasonTest, AScopesOwnTimeoutTellsWhereItWasOpened) {
  Everywhere([]() -> Task<void> {
    const std::string line = LineAfter();
    AwaitAll scope({.timeout = absl::ZeroDuration()});
    const Outcome outcome = co_await scope.Join();
    EXPECT_EQ(outcome.status().code(), absl::StatusCode::kDeadlineExceeded);
    EXPECT_EQ(ReasonOf(outcome.status()).where, line);
  });
}

TEST_P(ReasonTest, ThePathNamesEachThreadBelowWhatWasCancelled) {
  Everywhere([]() -> Task<void> {
    AwaitAll outer("requests");
    Introduction waiting;
    absl::Status seen;
    uint64_t middle_id = 0;
    uint64_t leaf_id = 0;
    outer.Fork(
        [&]() -> Task<void> {
          middle_id = VirtualThread::Current().id();
          AwaitAll inner;
          inner.Fork(
              [&]() -> Task<void> {
                leaf_id = VirtualThread::Current().id();
                co_await CatchInto(seen, waiting);
              },
              {.name = "leaf"});
          (co_await inner.Join()).IgnoreFailures();
        },
        {.name = "middle"});
    co_await waiting.AwaitParked();
    outer.Shutdown();
    (co_await outer.Join()).IgnoreFailures();
    const CancelReason reason = ReasonOf(seen);
    EXPECT_EQ(reason.path.size(), 2u);
    if (reason.path.size() != 2) co_return;
    EXPECT_EQ(reason.path[0], absl::StrCat("VirtualThread[#", leaf_id, ",leaf], forked in a scope of VirtualThread[#",
                                           middle_id, ",middle]"));
    EXPECT_EQ(reason.path[1], absl::StrCat("VirtualThread[#", middle_id, ",middle], forked in the scope requests of ",
                                           "VirtualThread[#", VirtualThread::Current().id(), "]"));
  });
}

TEST_P(ReasonTest, ThePathEndsAtTheThreadWhoseOwnRequestItWas) {
  Everywhere([]() -> Task<void> {
    std::stop_source source;
    Introduction waiting;
    absl::Status seen;
    // In a scope of its own, which nobody cancels.
    AwaitAll scope;
    scope.Fork([&]() -> Task<void> {
      const absl::Status stopped = co_await WithStopToken(
          source.get_token(), [](absl::Status& inside, Introduction& introduction) -> Task<void> {
            AwaitAll inner("inner");
            inner.Fork(CatchInto(inside, introduction));
            (co_await inner.Join()).IgnoreFailures();
          }(seen, waiting));
      EXPECT_EQ(ReasonOf(stopped).where, ReasonOf(seen).where);
    });
    co_await waiting.AwaitParked();
    source.request_stop();
    (co_await scope.Join()).IgnoreFailures();
    const CancelReason reason = ReasonOf(seen);
    EXPECT_EQ(reason.kind, Kind::kStopRequested);
    EXPECT_EQ(reason.path.size(), 1u);
    if (!reason.path.empty()) {
      EXPECT_TRUE(absl::StrContains(reason.path[0], "forked in the scope inner of")) << reason.path[0];
    }
  });
}

TEST_P(ReasonTest, TheHandleOfACancelledSubtaskTellsWhy) {
  Everywhere([]() -> Task<void> {
    ShutdownOnFailure scope;
    Introduction waiting;
    auto cancelled = scope.Fork(Forever(waiting));
    co_await waiting.AwaitParked();
    auto failing = scope.Fork([]() -> Task<absl::Status> { co_return absl::InternalError("x"); });
    EXPECT_FALSE((co_await scope.Join()).ok());
    auto unstarted = scope.Fork(Forever());
    EXPECT_EQ(cancelled.status().code(), absl::StatusCode::kUnavailable);
    for (const auto& subtask : {cancelled, unstarted}) {
      EXPECT_EQ(ReasonOf(subtask.status()).kind, Kind::kSiblingFailed);
      EXPECT_EQ(ReasonOf(subtask.status()).thread, failing.thread_id());
    }
    (co_await scope.Join()).IgnoreFailures();
  });
}

TEST_P(ReasonTest, AForkByACancelledThreadTellsWhyItStartedNothing) {
  Everywhere([]() -> Task<void> {
    AwaitAll scope;
    absl::Status seen;
    scope.Fork([&seen]() -> Task<void> {
      co_await testing::UntilAsked();
      AwaitAll inner;
      seen = inner.Fork(Forever()).status();
    });
    co_await Yield();
    scope.Shutdown("enough");
    (co_await scope.Join()).IgnoreFailures();
    // Unless it was cancelled before it began.
    if (seen.ok()) co_return;
    EXPECT_EQ(ReasonOf(seen).text, "enough") << seen;
  });
}

// A scope keeps the reason for its children, and a child takes it along when it ends.
TEST_P(ReasonTest, AHandleTellsWhyWhenItsScopeIsGone) {
  Everywhere([]() -> Task<void> {
    std::optional<Subtask<void>> child;
    std::optional<Subtask<void>> daemon;
    std::string opened;
    {
      Introduction waiting;
      opened = LineAfter();
      AwaitAll scope;
      daemon.emplace(scope.ForkDaemon(Forever(waiting)));
      co_await waiting.AwaitParked();
      (co_await scope.Join()).IgnoreFailures();
    }
    {
      Introduction waiting;
      AwaitAll scope;
      child.emplace(scope.Fork(Forever(waiting)));
      co_await waiting.AwaitParked();
      scope.Shutdown("over");
      (co_await scope.Join()).IgnoreFailures();
    }
    EXPECT_EQ(ReasonOf(child->status()).kind, Kind::kShutdown) << child->status();
    EXPECT_EQ(ReasonOf(child->status()).text, "over");
    EXPECT_EQ(ReasonOf(daemon->status()).kind, Kind::kOthersEnded) << daemon->status();
    EXPECT_EQ(ReasonOf(daemon->status()).where, opened);
  });
}

TEST_P(ReasonTest, AChildThatWasSparedTellsOfTheLaterRequest) {
  Everywhere([]() -> Task<void> {
    AwaitAll outer;
    std::optional<Subtask<void>> sibling;
    std::optional<Subtask<void>> spared;
    Introduction waiting;
    Event sibling_asked;  // and with it everybody but the spared child: they are asked in one step
    outer.Fork([&]() -> Task<void> {
      Introduction first;
      AwaitAll scope;
      sibling.emplace(scope.Fork(Finally(Forever(first), [&sibling_asked]() -> Task<void> {
        sibling_asked.Set();
        co_return;
      })));
      co_await first.AwaitParked();
      spared.emplace(scope.Fork([&]() -> Task<void> {
        scope.Shutdown("inner");
        co_await Forever(waiting);
      }));
      (co_await scope.Join()).IgnoreFailures();
    });
    co_await waiting.AwaitParked();
    co_await sibling_asked.Wait();
    outer.Shutdown("outer");
    (co_await outer.Join()).IgnoreFailures();
    EXPECT_EQ(ReasonOf(sibling->status()).text, "inner") << sibling->status();
    EXPECT_EQ(ReasonOf(spared->status()).text, "outer") << spared->status();
  });
}

// The scope itself is not shut: such a child is asked alone.
TEST_P(ReasonTest, AChildForkedByACancelledThreadTellsThatThreadsReason) {
  Everywhere([]() -> Task<void> {
    AwaitAll scope;
    std::optional<Subtask<void>> unstarted;
    std::optional<Subtask<void>> cleaning;
    bool cleaned = false;
    const auto fork_when_asked = [&]() -> Task<void> {
      co_await testing::UntilAsked();
      unstarted.emplace(scope.Fork(Forever()));
      cleaning.emplace(scope.Fork(Finally(Forever(), [&cleaned]() -> Task<void> {
        cleaned = true;
        co_return;
      })));
    };
    // It comes to its end, since it passes no checkpoint.
    const std::string line = LineAfter();
    EXPECT_TRUE((co_await WithTimeout(absl::Milliseconds(1), fork_when_asked())).ok());
    (co_await scope.Join()).IgnoreFailures();
    EXPECT_TRUE(cleaned);
    for (const auto& subtask : {*unstarted, *cleaning}) {
      EXPECT_EQ(ReasonOf(subtask.status()).kind, Kind::kTimeout) << subtask.status();
      EXPECT_EQ(ReasonOf(subtask.status()).where, line) << subtask.status();
    }
  });
}

TEST(ReasonSimulationTest, TheReasonTellsWhen) {
  testing::Simulation simulation({.carriers = 1});
  simulation.Run([]() -> Task<void> {
    const absl::Time begin = Now();
    absl::Status seen;
    AwaitAll scope;
    scope.Fork([&seen]() -> Task<void> {
      seen = co_await CatchCancelled([]() -> Task<void> {
        co_await Shield([]() -> Task<void> { co_await Sleep(absl::Seconds(5)); }());
        co_await Yield();
      }());
    });
    co_await Sleep(absl::Seconds(1));
    scope.Shutdown();
    (co_await scope.Join()).IgnoreFailures();
    EXPECT_GE(ReasonOf(seen).when - begin, absl::Seconds(1));
    EXPECT_LT(ReasonOf(seen).when - begin, absl::Seconds(2));
    EXPECT_GE(Now() - begin, absl::Seconds(5));
  }());
}

constexpr Kind kKinds[] = {Kind::kNone,        Kind::kSiblingFailed, Kind::kSiblingSucceeded,
                           Kind::kShutdown,    Kind::kScopeClosed,   Kind::kTimeout,
                           Kind::kRuntimeExit, Kind::kStopRequested, Kind::kOthersEnded,
                           Kind::kEventSet};

// What names, files and texts may have in them.
const std::string kTexts[] = {"",
                              "no quorum",
                              "a\nb\r\n",
                              std::string("\0 and \x7f", 8),
                              "it's \"so\" \\ and \\n",
                              "; text: x; via: y",
                              ";",
                              "; ",
                              ": ",
                              "100%, %3B %",
                              "%0",
                              " spaces ",
                              "gr\u00fc\u00df \u4e16\u754c",
                              "\xff\xfe",
                              "kind: shut down"};

void ComesBack(const CancelReason& reason) {
  const absl::Status status = CancelledStatus(reason);
  EXPECT_EQ(ReasonOf(status), reason) << status;
  const std::string payload(*status.GetPayload("weft.dev/cancel-reason"));
  for (const char c : payload) EXPECT_GE(static_cast<unsigned char>(c), 0x20) << "a line of text: " << payload;
  EXPECT_EQ(payload.find("kind: "), 0) << payload;
}

TEST(ReasonStatusTest, AReasonSurvivesAStatusWhateverIsInIt) {
  for (const Kind kind : kKinds) {
    for (const std::string& text : kTexts) {
      ComesBack({.kind = kind, .where = text});
      ComesBack({.kind = kind, .text = text});
      ComesBack({.kind = kind, .path = {text}});
      for (const std::string& other : kTexts) {
        ComesBack({.kind = kind, .thread = 7, .where = text, .text = other, .path = {other, "", text}});
      }
    }
    for (const uint64_t thread : {uint64_t{0}, uint64_t{1}, ~uint64_t{0}}) ComesBack({.kind = kind, .thread = thread});
    for (const absl::Time when :
         {absl::InfinitePast(), absl::InfiniteFuture(), absl::UnixEpoch(), absl::FromUnixNanos(1'234'567'890'123),
          absl::FromUnixNanos(INT64_MAX), absl::FromUnixNanos(-1), absl::FromUnixNanos(1) + absl::Nanoseconds(0.25)}) {
      ComesBack({.kind = kind, .when = when});
    }
  }
  EXPECT_EQ(CancelledStatus({.kind = Kind::kTimeout}).code(), absl::StatusCode::kDeadlineExceeded);
}

TEST(ReasonStatusTest, AStatusPrintsItsReasonAsText) {
  const CancelReason reason{.kind = Kind::kShutdown,
                            .thread = 7,
                            .when = absl::FromUnixNanos(1'500'000'000),
                            .where = "server/replicate.cc:31",
                            .text = "no quorum",
                            .path = {"VirtualThread[#9,fetch], forked in the scope orders of VirtualThread[#3]"}};
  EXPECT_EQ(CancelledStatus(reason).ToString(),
            "CANCELLED: shut down: no quorum (virtual thread #7), at server/replicate.cc:31 "
            "[weft.dev/cancel-reason='kind: shut down; thread: 7; when: 1970-01-01T00:00:01.5+00:00; "
            "at: server/replicate.cc:31; text: no quorum; "
            "via: VirtualThread[#9,fetch], forked in the scope orders of VirtualThread[#3]']");
}

TEST(ReasonStatusTest, AStatusWithoutAReasonOrWithOneThatCannotBeReadHasNone) {
  EXPECT_FALSE(ReasonOf(absl::CancelledError("own")));
  for (const char* payload :
       {"", "5", "kind", "kind: ", "kind:shut down", "kind: unknown", "Kind: shut down", " kind: shut down",
        "kind: shut down;", "kind: shut down; ", "kind: shut down\n", "kind: shut down; thread: x",
        "kind: shut down; thread: 07", "kind: shut down; thread: -1", "kind: shut down; thread: 18446744073709551616",
        "kind: shut down; when: now", "kind: shut down; when: 1970-01-01T00:00:01+01:00", "kind: shut down; text: ",
        "kind: shut down; text: x; at: y", "kind: shut down; at: %", "kind: shut down; at: %3B",
        "kind: shut down; at: %41", "kind: shut down; at: %3", "kind: shut down; other: x",
        "kind: shut down; via: x; text: y",
        "kind: shut down; kind: shut down"}) {
    absl::Status status = absl::CancelledError("foreign");
    status.SetPayload("weft.dev/cancel-reason", absl::Cord(payload));
    EXPECT_EQ(ReasonOf(status), CancelReason()) << payload;
  }
}

}  // namespace
}  // namespace weft

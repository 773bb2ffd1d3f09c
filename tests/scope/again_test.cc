// The second time is like the first. Goal: what was used, asked, told or shut once serves, obeys and tells again.
// Method: tables; each row is run several times over with one object, or for every order of the requests, in
// simulations and on carriers.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <source_location>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "tests/support/counted.h"
#include "tests/support/on_both.h"
#include "weft/cancel_reason.h"
#include "weft/cancellation.h"
#include "weft/scope.h"
#include "weft/stop_token.h"
#include "weft/sync/event.h"
#include "weft/sync/mutex.h"
#include "weft/sync/semaphore.h"
#include "weft/task.h"
#include "weft/time.h"
#include "weft/virtual_thread.h"

namespace weft {
namespace {

using testing::Counted;
using testing::Forever;
using testing::Introduction;
using testing::StopOnceItWaits;

using Kind = CancelReason::Kind;
using State = AnySubtask::State;

class AgainTest : public testing::OnBoth {};
WEFT_ON_BOTH(AgainTest);

constexpr int kRounds = 3;

Task<int> Give(int value) { co_return value; }
Task<void> WaitFor(Event& event) { co_await event.Wait(); }

// ---- One object, round after round.

// Each round has as many at once as the limit says, and no more: no place is lost, and none is made.
Task<void> AScopeWithALimit() {
  constexpr int kLimit = 3;
  AwaitAll scope({.max_concurrency = kLimit});
  for (int round = 0; round < kRounds; ++round) {
    std::atomic<int> running = 0, most = 0, ended = 0;
    Event full;
    for (int i = 0; i < 3 * kLimit; ++i) {
      scope.Fork([&]() -> Task<void> {
        const int now = ++running;
        for (int seen = most; seen < now && !most.compare_exchange_weak(seen, now);) {
        }
        if (now == kLimit) full.Set();
        co_await full.Wait();
        for (int n = 0; n < 3; ++n) co_await Yield();
        --running;
        ++ended;
      });
    }
    EXPECT_TRUE((co_await scope.Join()).ok());
    EXPECT_EQ(most, kLimit) << "in round " << round;
    EXPECT_EQ(ended, 3 * kLimit);
  }
}

// The same with a join that is given up in each round.
Task<void> AScopeWithALimitAndJoinsThatAreGivenUp() {
  AwaitAll scope({.max_concurrency = 1});
  for (int round = 0; round < kRounds; ++round) {
    Event go;
    int ended = 0;
    for (int i = 0; i < 3; ++i) {
      scope.Fork([&]() -> Task<void> {
        co_await go.Wait();
        ++ended;
      });
    }
    for (int n = 0; n < 2; ++n) {
      EXPECT_FALSE((co_await scope.JoinFor(absl::ZeroDuration())).has_value()) << "in round " << round;
      EXPECT_FALSE((co_await scope.JoinFor(absl::Microseconds(10))).has_value()) << "in round " << round;
    }
    EXPECT_EQ(ended, 0);
    go.Set();
    EXPECT_TRUE((co_await scope.JoinFor(absl::InfiniteDuration())).has_value());
    EXPECT_EQ(ended, 3);
  }
}

Task<void> SubtasksThatComplete() {
  AsCompleted<int> scope;
  for (int round = 0; round < kRounds; ++round) {
    int sum = 0;
    for (int i = 1; i <= 3; ++i) scope.Fork(Give(i));
    while (const auto next = co_await scope.NextCompleted()) sum += next->get();
    EXPECT_EQ(sum, 6) << "in round " << round;
    EXPECT_FALSE((co_await scope.NextCompleted()).has_value()) << "in round " << round;
    // Now with one that is waited for.
    Event go;
    auto waits = [](Event& event) -> Task<int> {
      co_await event.Wait();
      co_return 7;
    };
    scope.Fork(waits(go));
    AwaitAll setter;
    setter.Fork([&, owner = VirtualThread::Current()]() -> Task<void> {
      co_await testing::UntilParked(owner);
      go.Set();
    });
    const auto next = co_await scope.NextCompleted();
    EXPECT_EQ(next.has_value() ? next->get() : 0, 7) << "in round " << round;
    (co_await setter.Join()).IgnoreFailures();
    if (round % 2 == 1) (co_await scope.Join()).IgnoreFailures();
  }
  co_await scope.Close();
}

Task<void> AnEventThatIsReset() {
  Event event;
  for (int round = 0; round < kRounds; ++round) {
    std::atomic<int> woken = 0;
    AwaitAll scope;
    std::array<Introduction, 2> waiting;
    for (Introduction& one : waiting) {
      scope.Fork([&]() -> Task<void> {
        one.Make();
        co_await event.Wait();
        ++woken;
      });
      co_await one.AwaitParked();
    }
    EXPECT_EQ(woken, 0) << "in round " << round;
    event.Set();
    (co_await scope.Join()).IgnoreFailures();
    EXPECT_EQ(woken, 2) << "in round " << round;
    event.Reset();
    EXPECT_EQ((co_await StopOnceItWaits(WaitFor(event))).code(), absl::StatusCode::kCancelled);
  }
}

// In each round one waits in vain, and the next is served.
template <class Guard, class Get>
Task<void> SomethingThatIsHeld(Get get) {
  for (int round = 0; round < kRounds; ++round) {
    AwaitAll scope;
    Introduction waiting;
    bool served = false;
    {
      // A debug build lets a thread wait for a lock of its own only if its guard has been moved, so may be passed on.
      Guard got = co_await get();
      const Guard held = std::move(got);
      EXPECT_EQ((co_await StopOnceItWaits([](Get wanted) -> Task<void> { const Guard guard = co_await wanted(); }(get)))
                    .code(),
                absl::StatusCode::kCancelled)
          << "in round " << round;
      scope.Fork([&]() -> Task<void> {
        waiting.Make();
        const Guard guard = co_await get();
        served = true;
      });
      co_await waiting.AwaitParked();
      EXPECT_FALSE(served) << "in round " << round;
    }
    (co_await scope.Join()).IgnoreFailures();
    EXPECT_TRUE(served) << "in round " << round;
  }
}

Task<void> AMutex() {
  Mutex mutex;
  co_await SomethingThatIsHeld<MutexGuard>([&mutex] { return mutex.Lock(); });
}

Task<void> ASemaphore() {
  Semaphore semaphore(1);
  co_await SomethingThatIsHeld<Permit>([&semaphore] { return semaphore.Acquire(); });
}

TEST_P(AgainTest, WhatHasServedServesAgain) {
  constexpr std::pair<const char*, Task<void> (*)()> kRows[] = {
      {"a scope with a limit", AScopeWithALimit},
      {"a scope with a limit, and joins that are given up", AScopeWithALimitAndJoinsThatAreGivenUp},
      {"subtasks that complete", SubtasksThatComplete},
      {"an event that is reset", AnEventThatIsReset},
      {"a mutex", AMutex},
      {"a semaphore", ASemaphore},
  };
  for (const auto& [name, rounds] : kRows) {
    SCOPED_TRACE(name);
    Everywhere(rounds);
  }
}

// ---- A request after a request.

// A thread with two boundaries inside. A request to one may be followed by others, to any of the three, while the
// thread unwinds, which takes as long as its child is shielded.
enum Level { kThread, kOuter, kInner };

struct Levels {
  std::stop_source outer, inner;
  Introduction waiting;
  Event let_go;
  absl::Status outer_status, inner_status;
  bool beyond_inner = false, beyond_outer = false;
  std::string outer_line;
};

Task<void> WaitWithAChild(Levels& levels) {
  const Counted local;
  AwaitAll scope;
  Event begun;
  scope.Fork([&, held = Counted()]() -> Task<void> {
    begun.Set();
    co_await Shield(WaitFor(levels.let_go));
  });
  co_await begun.Wait();
  levels.waiting.Make();
  co_await Forever();
}

Task<void> WaitInInner(Levels& levels) {
  const Counted local;
  levels.inner_status = co_await WithStopToken(levels.inner.get_token(), WaitWithAChild(levels));
  co_await Yield();
  levels.beyond_inner = true;
}

Task<void> WaitInOuter(Levels& levels) {
  const Counted local;
  const std::source_location here = std::source_location::current();
  levels.outer_status = co_await WithStopToken(levels.outer.get_token(), WaitInInner(levels));
  levels.outer_line = absl::StrCat(here.file_name(), ":", here.line() + 1);
  co_await Yield();
  levels.beyond_outer = true;
}

// Forked after another, it is asked after that: when it has ended both have been asked.
Task<void> WaitAndSet(Event& event, Introduction& waiting, Event& ended) {
  struct AtEnd {
    Event& ended;
    ~AtEnd() { ended.Set(); }
  } const at_end{ended};
  waiting.Make();
  co_await event.Wait();
}

// The outermost that was asked is where it ends, in whatever order they were asked, and tells its own reason.
Task<void> Ask(std::vector<Level> requests, int yields) {
  Counted::alive = 0;
  Levels levels;
  AwaitAll scope;
  const AnySubtask thread = scope.Fork(WaitInOuter(levels));
  co_await levels.waiting.AwaitParked();
  Introduction last;
  Event over, last_ended;
  scope.Fork(WaitAndSet(over, last, last_ended));
  co_await last.AwaitParked();
  Level outermost = kInner;
  for (const Level level : requests) {
    outermost = std::min(outermost, level);
    if (level == kThread) scope.Shutdown("all");
    if (level == kOuter) levels.outer.request_stop();
    if (level == kInner) levels.inner.request_stop();
    for (int n = 0; n < yields; ++n) co_await Yield();
  }
  if (outermost != kThread) over.Set();
  co_await last_ended.Wait();
  levels.let_go.Set();
  (co_await scope.Join()).IgnoreFailures();
  EXPECT_EQ(Counted::alive, 0);
  EXPECT_EQ(thread.state(), outermost == kThread ? State::kUnavailable : State::kSuccess);
  EXPECT_EQ(levels.beyond_outer, outermost != kThread);
  EXPECT_EQ(levels.beyond_inner, outermost == kInner);
  if (outermost == kThread) {
    EXPECT_EQ(ReasonOf(thread.status()).text, "all");
  } else if (outermost == kOuter) {
    EXPECT_EQ(levels.outer_status.code(), absl::StatusCode::kCancelled);
    EXPECT_EQ(ReasonOf(levels.outer_status).where, levels.outer_line);
  } else {
    EXPECT_TRUE(levels.outer_status.ok());
    EXPECT_EQ(levels.inner_status.code(), absl::StatusCode::kCancelled);
  }
}

TEST_P(AgainTest, TheOutermostOfSeveralRequestsCountsInWhateverOrderTheyCome) {
  for (const Level first : {kThread, kOuter, kInner}) {
    for (const Level second : {kThread, kOuter, kInner}) {
      for (const Level third : {kThread, kOuter, kInner}) {
        if (third == second) continue;
        for (const int yields : {0, 4}) {
          SCOPED_TRACE(absl::StrCat("asked: ", first, second, third, ", yields: ", yields));
          Everywhere([&] { return Ask({first, second, third}, yields); });
        }
      }
    }
  }
}

// ---- A reason after a reason.

struct Ended {
  absl::Status status;
  Kind kind;
  const char* text;
  std::string where;
};

Task<void> CatchInto(absl::Status& seen, Introduction& waiting) {
  waiting.Make();
  seen = co_await CatchCancelled(Forever());
}

// One that is shut down, or closed, and a child of it that catches that.
template <class End>
Task<void> EndAScope(absl::Status& seen, End end) {
  AwaitAll scope;
  Introduction waiting;
  scope.Fork(CatchInto(seen, waiting));
  co_await waiting.AwaitParked();
  co_await end(scope);
}

std::string LineAfter(std::source_location where = std::source_location::current()) {
  return absl::StrCat(where.file_name(), ":", where.line() + 1);
}

Task<Ended> ByATimeout() {
  std::string line = LineAfter();
  absl::Status status = co_await WithTimeout(absl::Microseconds(1), Forever());
  co_return Ended{std::move(status), Kind::kTimeout, "", std::move(line)};
}
Task<Ended> ByAToken() {
  std::stop_source source;
  source.request_stop();
  std::string line = LineAfter();
  absl::Status status = co_await WithStopToken(source.get_token(), Forever());
  co_return Ended{std::move(status), Kind::kStopRequested, "", std::move(line)};
}
Task<Ended> ByAShutdown() {
  absl::Status status;
  std::string line;
  co_await EndAScope(status, [&line](AwaitAll& scope) -> Task<void> {
    line = LineAfter();
    scope.Shutdown("enough");
    scope.Shutdown("more than enough");
    (co_await scope.Join()).IgnoreFailures();
  });
  co_return Ended{std::move(status), Kind::kShutdown, "enough", std::move(line)};
}
Task<Ended> ByAClose() {
  absl::Status status;
  std::string line;
  co_await EndAScope(status, [&line](AwaitAll& scope) -> Task<void> {
    line = LineAfter();
    co_await scope.Close();
  });
  co_return Ended{std::move(status), Kind::kScopeClosed, "", std::move(line)};
}
// Nothing is started in it; what had been asked before is the reason.
Task<Ended> ByAScopeThatWasShut() {
  AwaitAll scope;
  std::string line = LineAfter();
  scope.Shutdown("before");
  scope.Shutdown("after");
  absl::Status status = scope.Fork(Forever()).status();
  co_await scope.Close();
  co_return Ended{std::move(status), Kind::kShutdown, "before", std::move(line)};
}

TEST_P(AgainTest, EachEndTellsItsOwnReasonWhateverWasToldBefore) {
  constexpr Task<Ended> (*kEnds[])() = {ByATimeout, ByAToken, ByAShutdown, ByAClose, ByAScopeThatWasShut};
  Everywhere([&kEnds]() -> Task<void> {
    for (const auto first : kEnds) {
      for (const auto second : kEnds) {
        for (const auto end : {first, second}) {
          const Ended ended = co_await end();
          const CancelReason reason = ReasonOf(ended.status);
          EXPECT_EQ(reason.kind, ended.kind) << ended.status;
          EXPECT_EQ(reason.text, ended.text) << ended.status;
          EXPECT_EQ(reason.where, ended.where) << ended.status;
        }
      }
    }
  });
}

// ---- A scope that is shut down, and asked again.

// Its owner is asked from outside, or goes.
enum class Again { kClose, kDestructor, kTimeoutAround, kOwnTimeout, kShutdownAround };

// The child that has shut it down waits on, and so may its own children. A second one has ended by then.
Task<void> ShutDownAndWait(AwaitAll& scope, Introduction& introduction) {
  const Counted local;
  AwaitAll inner;
  inner.Fork([held = Counted()]() -> Task<void> { co_await Forever(); });
  scope.Shutdown("by a child");
  scope.Shutdown("once more");
  co_await Forever(introduction);
}

Task<void> ShutTwice(Again again) {
  Counted::alive = 0;
  Introduction introduction;
  auto leave = [&](ScopeOptions options) -> Task<void> {
    const Counted local;
    AwaitAll scope(options);
    const AnySubtask other = scope.Fork([held = Counted()]() -> Task<void> { co_await Forever(); });
    scope.Fork(ShutDownAndWait(scope, introduction));
    // If the scope ends before that child begins, it never does. The others are asked by a thread that waits for it.
    if (again != Again::kOwnTimeout) co_await introduction.AwaitParked();
    // Otherwise it may have been asked already.
    if (again == Again::kClose || again == Again::kDestructor)
      EXPECT_GE(Counted::alive, 3) << "it waits on, and its own";
    if (again == Again::kClose) {
      co_await scope.Close();
      EXPECT_EQ(Counted::alive, 1);
    }
    if (again == Again::kClose || again == Again::kDestructor) co_return;
    (co_await scope.Join()).IgnoreFailures();
    EXPECT_EQ(again, Again::kOwnTimeout);
    EXPECT_EQ(other.state(), State::kUnavailable);
  };
  if (again == Again::kTimeoutAround) {
    const absl::Status late = co_await WithTimeout(absl::Milliseconds(2), leave({}));
    EXPECT_EQ(late.code(), absl::StatusCode::kDeadlineExceeded);
  } else if (again == Again::kShutdownAround) {
    AwaitAll around;
    around.Fork(leave({}));
    co_await introduction.AwaitParked();
    around.Shutdown();
    (co_await around.Join()).IgnoreFailures();
  } else {
    co_await leave({.timeout = again == Again::kOwnTimeout ? absl::Milliseconds(2) : absl::InfiniteDuration()});
  }
  EXPECT_EQ(Counted::alive, 0);
}

TEST_P(AgainTest, AChildThatHasShutItsScopeDownIsEndedByARequestFromOutside) {
  for (const Again again :
       {Again::kClose, Again::kDestructor, Again::kTimeoutAround, Again::kOwnTimeout, Again::kShutdownAround}) {
    SCOPED_TRACE(static_cast<int>(again));
    Everywhere([again] { return ShutTwice(again); });
  }
}

}  // namespace
}  // namespace weft

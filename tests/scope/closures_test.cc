// Closures where a Task is wanted. Goal: everything that takes a Task takes a closure that returns one. The closure is
// called when it is awaited, once. What it captured is there until the coroutine that refers to it has gone, and goes
// then. Method: a table of all that take Tasks, in a simulation; the coroutine looks behind a wait whether its captures
// are still there.
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <stop_token>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "weft/stop_event.h"
#include "weft/stop_token.h"
#include "weft/testing/simulation.h"
#include "weft/weft.h"

namespace weft::testing {
namespace {

constexpr absl::Duration kLong = absl::Hours(1);
constexpr absl::Duration kWait = absl::Milliseconds(10);

// What is seen of some closures.
struct Seen {
  int calls = 0;
  std::vector<std::weak_ptr<const int>> captures;

  int captures_there() const {
    int there = 0;
    for (const auto& capture : captures) there += capture.expired() ? 0 : 1;
    return there;
  }
};

// A closure that gives 42 after `wait`, or 0 if what it captured has gone by then.
auto Closure(Seen& seen, absl::Duration wait = kWait) {
  auto answer = std::make_shared<const int>(42);
  seen.captures.push_back(answer);
  return [&seen, wait, answer = std::move(answer)]() -> Task<int> {
    ++seen.calls;
    const std::weak_ptr<const int> captured = answer;
    co_await Sleep(wait);
    co_return captured.expired() ? 0 : *answer;
  };
}

Task<int> Passed(auto taken) { co_return co_await std::move(taken); }
Task<int> ValueOf(auto taken) { co_return (co_await std::move(taken)).value_or(-1); }
Task<int> FirstOf(auto taken) { co_return std::get<0>(co_await std::move(taken)); }
Task<int> StopToken(Seen& seen) {
  std::stop_source source;
  auto taken = WithStopToken(source.get_token(), Closure(seen));
  co_return (co_await std::move(taken)).value_or(-1);
}
Task<int> StopEvent(Seen& seen) {
  Event event;
  auto taken = WithStopEvent(event, Closure(seen));
  co_return (co_await std::move(taken)).value_or(-1);
}
Task<int> Forked(Seen& seen) {
  AwaitAll scope;
  const Subtask<int> subtask = scope.Fork(Closure(seen));
  (co_await scope.Join()).IgnoreFailures();
  co_return subtask.get();
}
Task<int> ForkedWithATimeout(Seen& seen) {
  AwaitAll scope;
  const Subtask<int> subtask = scope.Fork(WithTimeout(kLong, Closure(seen)));
  (co_await scope.Join()).IgnoreFailures();
  co_return subtask.get();
}
Task<void> Nothing() { co_return; }
Task<int> Seven() { co_return 7; }

const ScopedValue<std::string> user;

// Each passes a closure, or two, as temporaries that are gone when the Task is awaited.
struct Taker {
  std::string_view name;
  std::function<Task<int>(Seen& seen)> take;
};
const Taker kTakers[] = {
    {"WithTimeout", [](Seen& seen) { return ValueOf(WithTimeout(kLong, Closure(seen))); }},
    {"MoveOnAfter", [](Seen& seen) { return ValueOf(MoveOnAfter(kLong, Closure(seen))); }},
    {"WithDeadline", [](Seen& seen) { return ValueOf(WithDeadline(MonotonicNow() + kLong, Closure(seen))); }},
    {"WithStopToken", &StopToken},
    {"WithStopEvent", &StopEvent},
    {"CatchCancelled", [](Seen& seen) { return ValueOf(CatchCancelled(Closure(seen))); }},
    {"Shield", [](Seen& seen) { return Passed(Shield(Closure(seen))); }},
    {"Shield, with a grace", [](Seen& seen) { return Passed(Shield(kWait, Closure(seen))); }},
    {"Finally", [](Seen& seen) { return Finally(Closure(seen), &Nothing); }},
    {"Where().Run()", [](Seen& seen) { return Where(user, "ann").Run(Closure(seen)); }},
    {"All", [](Seen& seen) { return FirstOf(All(Closure(seen), Closure(seen))); }},
    {"All, beside a Task", [](Seen& seen) { return FirstOf(All(Closure(seen), Seven())); }},
    {"Race", [](Seen& seen) { return Race(Closure(seen), Closure(seen, 2 * kWait)); }},
    {"Any", [](Seen& seen) { return Any(Closure(seen), Closure(seen, 2 * kWait)); }},
    {"a boundary in a boundary", [](Seen& seen) { return ValueOf(WithTimeout(kLong, Shield(Closure(seen)))); }},
    {"Fork()", &Forked},
    {"Fork() of a boundary", &ForkedWithATimeout},
};

// Runs body(taker, seen) with each.
void WithEachTaker(const std::function<Task<void>(const Taker& taker, Seen& seen)>& body) {
  for (const Taker& taker : kTakers) {
    SCOPED_TRACE(taker.name);
    Seen seen;
    Simulation().Run(body(taker, seen));
  }
}

TEST(ClosuresTest, WhatAClosureCapturedIsThereUntilItsCoroutineHasGone) {
  WithEachTaker([](const Taker& taker, Seen& seen) -> Task<void> {
    EXPECT_EQ(co_await taker.take(seen), 42);
    EXPECT_EQ(seen.calls, static_cast<int>(seen.captures.size()));
    EXPECT_EQ(seen.captures_there(), 0);
  });
}

TEST(ClosuresTest, ACancelledClosureGoesWithItsCoroutine) {
  WithEachTaker([](const Taker& taker, Seen& seen) -> Task<void> {
    AwaitAll scope;
    scope.Fork([&]() -> Task<void> { static_cast<void>(co_await MoveOnAfter(kWait / 2, taker.take(seen))); });
    co_await Sleep(kWait / 4);
    EXPECT_EQ(seen.captures_there(), static_cast<int>(seen.captures.size()));
    (co_await scope.Join()).IgnoreFailures();
    EXPECT_EQ(seen.captures_there(), 0);
  });
}

TEST(ClosuresTest, WhatIsNeverAwaitedIsNeverCalled) {
  WithEachTaker([](const Taker& taker, Seen& seen) -> Task<void> {
    { Task<int> dropped = taker.take(seen); }
    EXPECT_EQ(seen.calls, 0);
    EXPECT_EQ(seen.captures_there(), 0);
    co_return;
  });
}

TEST(ClosuresTest, AClosureThatHasANameIsCopied) {
  Simulation simulation;
  simulation.Run([&]() -> Task<void> {
    Seen seen;
    const auto closure = Closure(seen);
    EXPECT_EQ(*co_await WithTimeout(kLong, closure), 42);
    auto [first, second] = co_await All(closure, closure);
    EXPECT_EQ(first + second, 84);
    EXPECT_EQ(seen.calls, 3);
    EXPECT_EQ(seen.captures_there(), 1);
  });
}

TEST(ClosuresTest, AClosureMayReturnWhatATaskCanAwait) {
  Simulation simulation;
  simulation.Run([&]() -> Task<void> {
    Mutex mutex;
    absl::StatusOr<MutexGuard> guard = co_await WithTimeout(kLong, [&] { return mutex.Lock(); });
    EXPECT_TRUE(guard.ok());
    const absl::Status late = co_await WithTimeout(kWait, [] { return Sleep(kLong); });
    EXPECT_EQ(late.code(), absl::StatusCode::kDeadlineExceeded) << late;
  });
}

TEST(ClosuresTest, AFunctionIsAClosure) {
  Simulation simulation;
  EXPECT_EQ(*simulation.Run(WithTimeout(kLong, Seven)), 7);
  EXPECT_EQ(*simulation.Run(WithTimeout(kLong, &Seven)), 7);
}

TEST(ClosuresTest, RuntimesRunClosures) {
  Seen seen;
  EXPECT_EQ(Simulation().Run(Closure(seen)), 42);
  EXPECT_EQ(*Simulation().TryRun(Closure(seen)), 42);
  const std::unique_ptr<Runtime> runtime = Runtime::Create({.parallelism = 1}).value();
  EXPECT_EQ(runtime->Run(Closure(seen)), 42);
  EXPECT_EQ(*runtime->TryRun(Closure(seen)), 42);
  EXPECT_EQ(RunMain(Closure(seen)), 42);
  EXPECT_EQ(seen.captures_there(), 0);
}

}  // namespace
}  // namespace weft::testing

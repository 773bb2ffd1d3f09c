// The end of what users put into scopes: captures, parameters and results. Goal: their destructors run once, on the
// thread that they belong to, and may do there what any code of that thread may, but wait. Method: a table of the
// places where they die and the ways in which they come to it, times what a destructor does (mortals.h), in simulations
// under many seeds and on real carriers. (Exceptions: mortals_throw_test.cc.)
#include "tests/scope/mortals.h"

#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "lib/coro/frame_fault.h"
#include "tests/support/on_both.h"
#include "weft/all.h"
#include "weft/cancellation.h"
#include "weft/finally.h"
#include "weft/for_each.h"
#include "weft/race.h"
#include "weft/ready.h"
#include "weft/runtime.h"
#include "weft/scope.h"
#include "weft/sync/event.h"
#include "weft/task.h"
#include "weft/time.h"

namespace weft::testing {
namespace {

// ---- A child that ends by itself; nobody has a handle by then.

Task<void> ForkAndJoin(World& world, Span span, ForkOptions options = {}) {
  AwaitAll scope;
  world.In(scope);
  Belongs(world, scope.Fork(Closure(world, span), options));
  co_await JoinAll(world, scope);
  world.results.CheckEnded("a result");
}
Task<void> EndsInPlace(World& world) { return ForkAndJoin(world, Span::kNone); }
Task<void> EndsLater(World& world) { return ForkAndJoin(world, Span::kYields); }
Task<void> EndsWithAName(World& world) { return ForkAndJoin(world, Span::kNone, {.name = "named"}); }

Task<void> EndsWithAHandleToItself(World& world) {
  std::optional<VirtualThread> thread;
  {
    AwaitAll scope;
    world.In(scope);
    Belongs(world, scope.Fork([&world, &thread, held = Mortal(world, world.captures)]() -> Task<Mortal> {
      thread.emplace(VirtualThread::Current());
      co_return Mortal(world, world.results);
    }));
    co_await JoinAll(world, scope);
  }
  EXPECT_EQ(thread->state(), VirtualThread::State::kTerminated);
}

Task<void> IsATask(World& world) {
  AwaitAll scope;
  world.In(scope);
  Belongs(world, scope.Fork(Body(world, Span::kNone, Mortal(world, world.parameters))));
  Belongs(world, scope.Fork(Body(world, Span::kYields, Mortal(world, world.parameters))));
  co_await JoinAll(world, scope);
  world.results.CheckEnded("a result");
}

Task<void> Fails(World& world) {
  AwaitAll scope;
  world.In(scope);
  Belongs(world, scope.Fork([held = Mortal(world, world.captures)]() -> Task<absl::StatusOr<Mortal>> {
    co_return absl::DataLossError("as planned");
  }));
  co_await JoinAll(world, scope);
}

Task<void> FailsAndShutsDown(World& world) {
  ShutdownOnFailure scope;
  world.In(scope);
  Belongs(world, scope.Fork(Closure(world, Span::kForever)));
  Belongs(world, scope.Fork(Closure(world, Span::kNone)));
  Belongs(world, scope.Fork([held = Mortal(world, world.captures)]() -> Task<absl::Status> {
    co_await Yield();
    co_return absl::DataLossError("as planned");
  }));
  co_await JoinAll(world, scope);
}

// ---- A result that somebody keeps belongs to whoever drops the last handle.

Task<void> IsKeptByTheOwner(World& world) {
  std::optional<Subtask<Mortal>> kept;
  {
    AwaitAll scope;
    world.In(scope);
    kept.emplace(Belongs(world, scope.Fork(Closure(world, Span::kNone))));
    world.results.BelongTo(Self());
    co_await JoinAll(world, scope);
    // What destructors fork into is open still.
    kept.reset();
    world.results.CheckEnded("a result");
    co_await JoinAll(world, scope);
  }
}

// At about the time at which the child ends.
Task<void> IsDroppedByTheOwnerMeanwhile(World& world) {
  AwaitAll scope;
  world.In(scope);
  {
    const Subtask<Mortal> kept = Belongs(world, scope.Fork(Closure(world, Span::kNone)));
    world.results.BelongTo(Self());
    co_await Yield();
  }
  co_await JoinAll(world, scope);
  world.results.CheckEnded("a result");
}

Task<void> IsDroppedByASibling(World& world) {
  AwaitAll scope;
  world.In(scope);
  world.captures.BelongTo(Self());  // if the scope is shut by then
  world.results.BelongTo(Self());
  for (const Span span : {Span::kNone, Span::kYields}) {
    auto dropped = scope.Fork([kept = Belongs(world, scope.Fork(Closure(world, span)))]() mutable -> Task<void> {
      co_await Yield();
      { const Subtask<Mortal> dropped = std::move(kept); }
    });
    world.results.BelongTo(dropped.thread_id());
  }
  co_await JoinAll(world, scope);
  world.results.CheckEnded("a result");
}

// ---- A child that is cancelled.

Task<void> IsCancelledWhileItWaits(World& world) {
  AwaitAll scope;
  world.In(scope);
  Introduction waits;
  Belongs(world, scope.Fork([&world, &waits, held = Mortal(world, world.captures)]() -> Task<void> {
    const Mortal local(world, world.parameters);
    co_await Forever(waits);
  }));
  co_await waits.AwaitParked();
  scope.Shutdown();
  co_await JoinAll(world, scope);
}

Task<void> IsCancelledBeforeItBegins(World& world) {
  AwaitAll scope;
  world.In(scope);
  Belongs(world, scope.Fork(Closure(world, Span::kForever)));
  Belongs(world, scope.Fork(Body(world, Span::kForever, Mortal(world, world.parameters))));
  scope.Shutdown();
  co_await JoinAll(world, scope);
}

Task<void> IsCancelledWhileItWaitsForItsTurn(World& world) {
  AwaitAll scope({.max_concurrency = 1});
  world.In(scope);
  for (int i = 0; i < 3; ++i) Belongs(world, scope.Fork(Closure(world, Span::kForever)));
  co_await Yield();
  scope.Shutdown();
  co_await JoinAll(world, scope);
}

Task<void> IsCancelledByADestructor(World& world) {
  AwaitAll outer;
  world.In(outer);
  {
    AwaitAll scope;
    Belongs(world, scope.Fork(Closure(world, Span::kForever)));
    co_await Yield();
    Belongs(world, scope.Fork(Closure(world, Span::kForever)));
  }
  co_await JoinAll(world, outer);
}

Task<void> IsCancelledWithItsOwner(World& world) {
  AwaitAll outer;
  world.In(outer);
  (void)co_await StopOnceItWaits([](World& world) -> Task<void> {
    ShutdownOnFailure scope;
    Belongs(world, scope.Fork(Closure(world, Span::kForever)));
    (co_await scope.Join()).IgnoreFailures();
  }(world));
  co_await JoinAll(world, outer);
}

Task<void> EndsAfterTheShutdown(World& world) {
  AwaitAll scope;
  world.In(scope);
  const Subtask<Mortal> kept = Belongs(world, scope.Fork(Closure(world, Span::kUntilAsked)));
  Belongs(world, scope.Fork(Closure(world, Span::kUntilAsked)));
  co_await Yield();
  scope.Shutdown();
  co_await JoinAll(world, scope);
  EXPECT_EQ(kept.state(), AnySubtask::State::kUnavailable);
  world.results.CheckEnded("a result");
}

// ---- What is never started belongs to who forks.

Task<void> IsForkedIntoAScopeThatIsShut(World& world) {
  AwaitAll scope;
  world.In(scope);
  scope.Shutdown();
  world.captures.BelongTo(Self());
  world.parameters.BelongTo(Self());
  scope.Fork(Closure(world, Span::kNone));
  scope.Fork(Body(world, Span::kNone, Mortal(world, world.parameters)));
  scope.ForkDaemon(Closure(world, Span::kNone));
  world.captures.CheckEnded("what was captured");
  world.parameters.CheckEnded("a parameter");
  co_await JoinAll(world, scope);
}

Task<void> IsForkedByACancelledThread(World& world) {
  AwaitAll scope;
  world.In(scope);
  AwaitAll inner;
  auto forker = inner.Fork([&]() -> Task<void> {
    co_await UntilAsked();
    scope.Fork(Closure(world, Span::kNone));
  });
  world.captures.BelongTo(forker.thread_id());
  co_await Yield();
  inner.Shutdown();
  (co_await inner.Join()).IgnoreFailures();
  co_await JoinAll(world, scope);
}

Task<void> FindsNoMemory(World& world) {
  AwaitAll scope;
  world.In(scope);
  world.captures.BelongTo(Self());
  {
    auto closure = Closure(world, Span::kNone);
    const internal::ScopedFrameFault fault({.here = true});
    scope.Fork(std::move(closure));
  }
  world.captures.CheckEnded("what was captured");
  co_await JoinAll(world, scope);
}

// ---- Daemons and services.

Task<void> IsADaemon(World& world) {
  AwaitAll scope;
  world.In(scope);
  for (const Span span : {Span::kNone, Span::kYields, Span::kForever}) {
    Belongs(world, scope.ForkDaemon(Closure(world, span)));
  }
  co_await JoinAll(world, scope);
}

Task<void> IsAService(World& world) {
  for (const bool daemon : {false, true}) {
    AwaitAll scope;
    world.In(scope);
    auto run = [&world, held = Mortal(world, world.captures)](Ready ready) {
      ready.Set();
      return Body(world, Span::kYields, Mortal(world, world.parameters));
    };
    {
      const auto started = daemon ? co_await scope.StartDaemon(std::move(run)) : co_await scope.Start(std::move(run));
      EXPECT_TRUE(started.ok());
      if (started.ok()) Belongs(world, *started);
      world.results.BelongTo(Self());
    }
    co_await JoinAll(world, scope);
  }
}

// ---- Policies, which keep results.

template <class Scope, class... Args>
Task<void> InScope(World& world, std::vector<Span> spans, Args... args) {
  AwaitAll outer;
  world.In(outer);
  world.results.BelongTo(Self());
  {
    Scope scope(args...);
    for (const Span span : spans) Belongs(world, scope.Fork(Closure(world, span)));
    static_cast<void>(co_await scope.Join());
    world.captures.CheckEnded("what was captured");
  }
  world.results.CheckEnded("a result");
  co_await JoinAll(world, outer);
}

Task<void> IsTheFirstSuccess(World& world) {
  return InScope<ShutdownOnSuccess<Mortal>>(world, {Span::kNone, Span::kYields, Span::kForever});
}
Task<void> IsOneOfAllSuccessful(World& world) {
  return InScope<AllSuccessful<Mortal>>(world, {Span::kNone, Span::kYields});
}
Task<void> IsOneOfAllUntil(World& world) {
  return InScope<AllUntil<Mortal>>(world, {Span::kNone, Span::kYields, Span::kForever},
                                   [](const Subtask<Mortal>&) { return true; });
}
Task<void> IsSupervised(World& world) { return InScope<Supervisor>(world, {Span::kNone, Span::kYields}); }
Task<void> CompletesAndIsNotTaken(World& world) {
  return InScope<AsCompleted<Mortal>>(world, {Span::kNone, Span::kYields});
}

Task<void> CompletesAndIsTaken(World& world) {
  AwaitAll outer;
  world.In(outer);
  world.results.BelongTo(Self());
  AsCompleted<Mortal> scope;
  Belongs(world, scope.Fork(Closure(world, Span::kNone)));
  Belongs(world, scope.Fork(Closure(world, Span::kYields)));
  while (co_await scope.NextCompleted()) {
  }
  (co_await scope.Join()).IgnoreFailures();
  world.results.CheckEnded("a result");
  co_await JoinAll(world, outer);
}

// Lets go of every subtask but the last: what a policy destroys belongs to the subtask that it is shown.
class KeepsTheLast {
 public:
  using Value = Mortal;
  bool OnComplete(const Subtask<Mortal>& subtask) {
    EXPECT_EQ(Self(), subtask.thread_id());
    last_ = subtask;
    return false;
  }
  Outcome Result(Outcome outcome) { return outcome; }

 private:
  std::optional<Subtask<Mortal>> last_;
};
Task<void> IsDroppedByAPolicy(World& world) {
  return InScope<StructuredTaskScope<KeepsTheLast>>(world, {Span::kNone, Span::kYields, Span::kNone, Span::kYields});
}

// ---- Combinators.

Task<Mortal> Branch(World& world, Span span) {
  world.parameters.BelongTo(Self());
  world.results.BelongTo(Self());
  return Body(world, span, Mortal(world, world.parameters));
}
Task<Mortal> Branched(World& world, Span span) { co_return co_await Branch(world, span); }
Task<absl::StatusOr<Mortal>> FailingBranch() {
  co_await Yield();
  co_return absl::DataLossError("as planned");
}
Task<absl::StatusOr<Mortal>> BranchOr(World& world, Span span) { co_return co_await Branched(world, span); }

Task<void> IsABranch(World& world) {
  AwaitAll outer;
  world.In(outer);
  world.results.BelongTo(Self());
  { const auto both = co_await All(Branched(world, Span::kNone), Branched(world, Span::kYields)); }
  { const auto failed = co_await All(BranchOr(world, Span::kNone), FailingBranch(), BranchOr(world, Span::kForever)); }
  {
    std::vector<Task<Mortal>> tasks;
    for (const Span span : {Span::kNone, Span::kYields}) tasks.push_back(Branched(world, span));
    const std::vector<Mortal> all = co_await All(std::move(tasks));
  }
  { const auto both = co_await All(std::array{Branched(world, Span::kYields), Branched(world, Span::kNone)}); }
  {
    const auto failed =
        co_await All(std::array{BranchOr(world, Span::kForever), FailingBranch(), BranchOr(world, Span::kNone)});
  }
  world.results.CheckEnded("a result");
  co_await JoinAll(world, outer);
}

Task<void> IsRaced(World& world) {
  AwaitAll outer;
  world.In(outer);
  world.results.BelongTo(Self());
  {
    const Mortal first =
        co_await Race(Branched(world, Span::kNone), Branched(world, Span::kNone), Branched(world, Span::kForever));
  }
  { const auto any = co_await Any(FailingBranch(), BranchOr(world, Span::kYields), BranchOr(world, Span::kYields)); }
  world.results.CheckEnded("a result");
  co_await JoinAll(world, outer);
}

Task<void> IsMapped(World& world) {
  AwaitAll outer;
  world.In(outer);
  world.results.BelongTo(Self());
  const std::vector<Span> spans = {Span::kNone, Span::kYields, Span::kNone};
  {
    const std::vector<Mortal> mapped =
        co_await Map(spans, 2, [&world](const Span& span) { return Branched(world, span); });
  }
  world.results.CheckEnded("a result");
  co_await JoinAll(world, outer);
}

constexpr Way kWays[] = {
    {"EndsInPlace", &EndsInPlace},
    {"EndsLater", &EndsLater},
    {"EndsWithAName", &EndsWithAName},
    {"EndsWithAHandleToItself", &EndsWithAHandleToItself},
    {"IsATask", &IsATask},
    {"Fails", &Fails},
    {"FailsAndShutsDown", &FailsAndShutsDown},
    {"IsKeptByTheOwner", &IsKeptByTheOwner},
    {"IsDroppedByTheOwnerMeanwhile", &IsDroppedByTheOwnerMeanwhile},
    {"IsDroppedByASibling", &IsDroppedByASibling},
    {"IsCancelledWhileItWaits", &IsCancelledWhileItWaits},
    {"IsCancelledBeforeItBegins", &IsCancelledBeforeItBegins},
    {"IsCancelledWhileItWaitsForItsTurn", &IsCancelledWhileItWaitsForItsTurn},
    {"IsCancelledByADestructor", &IsCancelledByADestructor},
    {"IsCancelledWithItsOwner", &IsCancelledWithItsOwner},
    {"EndsAfterTheShutdown", &EndsAfterTheShutdown},
    {"IsForkedIntoAScopeThatIsShut", &IsForkedIntoAScopeThatIsShut},
    {"IsForkedByACancelledThread", &IsForkedByACancelledThread},
    {"FindsNoMemory", &FindsNoMemory},
    {"IsADaemon", &IsADaemon},
    {"IsAService", &IsAService},
    {"IsTheFirstSuccess", &IsTheFirstSuccess},
    {"IsOneOfAllSuccessful", &IsOneOfAllSuccessful},
    {"IsOneOfAllUntil", &IsOneOfAllUntil},
    {"IsSupervised", &IsSupervised},
    {"CompletesAndIsNotTaken", &CompletesAndIsNotTaken},
    {"CompletesAndIsTaken", &CompletesAndIsTaken},
    {"IsDroppedByAPolicy", &IsDroppedByAPolicy, /*may_wait=*/false},
    {"IsABranch", &IsABranch},
    {"IsRaced", &IsRaced},
    {"IsMapped", &IsMapped},
};

class MortalsTest : public OnBoth {};
WEFT_ON_BOTH(MortalsTest);

TEST_P(MortalsTest, WhatAScopeKeepsIsDestroyedOnceOnTheThreadThatItBelongsTo) {
  for (const Way& way : kWays) {
    for (const Deed deed : kDeeds) {
      if (HasFailure()) return;
      if (deed == Deed::kOpensAScope && !way.may_wait) continue;
      SCOPED_TRACE(::testing::Message() << way << ", whose destructor " << deed);
      Everywhere([&way, deed] { return Live(way, deed, simulated()); });
    }
  }
}

// Notes where it was moved from, and is destroyed there.
struct Traveller {
  Traveller() = default;
  Traveller(Traveller&& other) noexcept { other.moved_from = std::this_thread::get_id(); }
  ~Traveller() {
    if (moved_from.has_value()) EXPECT_EQ(*moved_from, std::this_thread::get_id());
  }
  std::optional<std::thread::id> moved_from;
};

TEST_P(MortalsTest, WhatIsLeftOfAResultAfterRunIsDestroyedByWhoCalledIt) {
  OnEveryRuntime([](Runtime& runtime) {
    const Traveller result = runtime.Run([]() -> Task<Traveller> { co_return Traveller(); }());
  });
}

}  // namespace
}  // namespace weft::testing

// The end of what users put into scopes, where something throws. Goal: as mortals_test.cc; and an exception that nobody
// can read ends where a result would. Method: as there.
#include <gtest/gtest.h>

#include <memory>

#include "tests/scope/mortals.h"
#include "tests/support/on_both.h"
#include "weft/policy.h"
#include "weft/scope.h"
#include "weft/task.h"

namespace weft::testing {
namespace {

// Thrown; copied for that, if the ABI likes, and the last copy counts.
struct Thrown {
  explicit Thrown(World& world) : held(std::make_shared<Mortal>(world, world.results)) {}
  std::shared_ptr<Mortal> held;
};

auto Thrower(World& world, Span span) {
  return [&world, span, held = Mortal(world, world.captures)]() -> Task<int> {
    const Mortal local(world, world.parameters);
    co_await Spend(span);
    throw Thrown(world);
  };
}

// The first 64 failures are the scope's, and its owner's in the end. The others belong to the children.
Task<void> Throws(World& world) {
  AwaitAll outer;
  world.In(outer);
  world.results.BelongTo(Self());
  {
    AwaitAll scope;
    for (int i = 0; i < 70; ++i) Belongs(world, scope.Fork(Thrower(world, i % 2 == 0 ? Span::kNone : Span::kYields)));
    (co_await scope.Join()).IgnoreFailures();
    world.captures.CheckEnded("what was captured");
    world.parameters.CheckEnded("a local");
  }
  world.results.CheckEnded("an exception");
  co_await JoinAll(world, outer);
}

Task<void> ThrowsAndShutsDown(World& world) {
  AwaitAll outer;
  world.In(outer);
  world.results.BelongTo(Self());
  {
    ShutdownOnFailure scope;
    Belongs(world, scope.Fork(Closure(world, Span::kForever)));
    Belongs(world, scope.Fork(Thrower(world, Span::kNone)));
    Belongs(world, scope.Fork(Thrower(world, Span::kYields)));
    (co_await scope.Join()).IgnoreFailures();
  }
  world.results.CheckEnded("an exception");
  co_await JoinAll(world, outer);
}

Task<void> ThrowsWhenItIsCalled(World& world) {
  AwaitAll outer;
  world.In(outer);
  world.results.BelongTo(Self());
  {
    AwaitAll scope;
    for (int i = 0; i < 3; ++i) {
      Belongs(world,
              scope.Fork([&world, held = Mortal(world, world.captures)]() -> Task<int> { throw Thrown(world); }));
      Belongs(world, scope.Fork([&world, held = Mortal(world, world.captures)] {
        if (held.alive()) throw Thrown(world);
        return Body(world, Span::kNone, Mortal(world, world.parameters));
      }));
    }
    (co_await scope.Join()).IgnoreFailures();
  }
  world.results.CheckEnded("an exception");
  co_await JoinAll(world, outer);
}

// Nothing is started, and what was to be belongs to who forks.
struct RefusesAll {
  void OnFork(const AnySubtask&) { throw 1; }
  Outcome Result(Outcome outcome) { return outcome; }
};
Task<void> IsRefusedByThePolicy(World& world) {
  AwaitAll outer;
  world.In(outer);
  world.captures.BelongTo(Self());
  world.parameters.BelongTo(Self());
  StructuredTaskScope<RefusesAll> scope;
  for (int i = 0; i < 2; ++i) {
    try {
      if (i == 0) scope.Fork(Closure(world, Span::kNone));
      scope.Fork(Body(world, Span::kNone, Mortal(world, world.parameters)));
      ADD_FAILURE() << "forked";
    } catch (int) {
      world.captures.CheckEnded("what was captured");
    }
  }
  (co_await scope.Join()).IgnoreFailures();
  co_await JoinAll(world, outer);
}

constexpr Way kWays[] = {
    {"Throws", &Throws},
    {"ThrowsAndShutsDown", &ThrowsAndShutsDown},
    {"ThrowsWhenItIsCalled", &ThrowsWhenItIsCalled},
    {"IsRefusedByThePolicy", &IsRefusedByThePolicy},
};

class MortalsThrowTest : public OnBoth {};
WEFT_ON_BOTH(MortalsThrowTest);

TEST_P(MortalsThrowTest, WhatAScopeKeepsIsDestroyedOnceOnTheThreadThatItBelongsTo) {
  for (const Way& way : kWays) {
    for (const Deed deed : kDeeds) {
      if (HasFailure()) return;
      SCOPED_TRACE(::testing::Message() << way << ", whose destructor " << deed);
      Everywhere([&way, deed] { return Live(way, deed, simulated()); });
    }
  }
}

}  // namespace
}  // namespace weft::testing

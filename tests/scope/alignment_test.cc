// Alignment. Goal: wherever an object lies while Weft has to do with it, it lies where its type asks. Method: a table
// of every such place; in each an object that looks at its own address in every constructor, aligned to 16 up to 256
// bytes, in eight threads at once, so that no frame is aligned by luck. Compiled with -fcoro-aligned-allocation, as
// task.h asks for.
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <stop_token>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "weft/stop_token.h"
#include "weft/testing/simulation.h"
#include "weft/weft.h"

namespace weft {
namespace {

std::atomic<int64_t> looks{0};

template <size_t kAlignment>
struct alignas(kAlignment) Aligned {
  explicit Aligned(int of = 0) : value(of) { Look(); }
  Aligned(const Aligned& other) : value(other.value) { Look(); }
  Aligned(Aligned&& other) noexcept : value(other.value) { Look(); }
  Aligned& operator=(const Aligned&) = default;
  ~Aligned() { Look(); }

  void Look() const {
    auto address = reinterpret_cast<uintptr_t>(this);
    asm volatile("" : "+r"(address));
    EXPECT_EQ(address % kAlignment, 0u);
    looks.fetch_add(1, std::memory_order_relaxed);
  }
  int value;
};

template <class A>
Task<A> Make(int value) {
  co_await Yield();
  co_return A(value);
}
template <class A>
Task<absl::StatusOr<A>> TryMake(int value) {
  co_await Yield();
  co_return A(value);
}
template <class A>
Task<int> Take(A parameter) {
  const A local = parameter;
  co_await Yield();
  local.Look();
  parameter.Look();
  co_return local.value;
}

template <class A>
Task<void> Frames() {
  EXPECT_EQ(co_await Take(A(1)), 1);
  EXPECT_EQ((co_await Make<A>(2)).value, 2);
  A array[3];
  co_await Yield();
  array[2].Look();
}

template <class A>
Task<void> Children() {
  ShutdownOnFailure scope;
  auto task = scope.Fork(Make<A>(1));
  auto closure = scope.Fork([kept = A(2)] { return Make<A>(kept.value); });
  auto status_or = scope.Fork(TryMake<A>(3));
  scope.ForkDaemon([kept = A()]() -> Task<void> {
    co_await Yield();
    kept.Look();
  });
  (co_await scope.Join()).IgnoreFailures();
  EXPECT_EQ(task->value + closure->value + status_or->value, 6);
  EXPECT_EQ(std::move(task).get().value, 1);
}

template <class A>
Task<void> Services() {
  Supervisor scope;
  auto service = co_await scope.Start([kept = A(1)](Ready ready) -> Task<A> {
    kept.Look();
    ready.Set();
    co_return kept;
  });
  (co_await scope.Join()).IgnoreFailures();
  EXPECT_EQ((*service)->value, 1);
}

template <class A>
std::vector<Task<A>> MakeSome() {
  std::vector<Task<A>> tasks;
  for (int i = 0; i < 5; ++i) tasks.push_back(Make<A>(i));
  return tasks;
}

template <class A>
Task<void> Alls() {
  auto [one, two] = co_await All(Make<A>(1), Make<int>(2));
  EXPECT_EQ(one.value, 1);
  auto both = co_await All(TryMake<A>(1), TryMake<A>(2));
  EXPECT_EQ(std::get<1>(*both).value, 2);
  for (const A& each : co_await All(MakeSome<A>())) each.Look();
  std::vector<Task<absl::StatusOr<A>>> tasks;
  for (int i = 0; i < 5; ++i) tasks.push_back(TryMake<A>(i));
  const auto all = co_await All(std::move(tasks));
  for (const A& each : *all) each.Look();
  for (const A& each : co_await All(std::array{Make<A>(1), Make<A>(2)})) each.Look();
  std::vector<A> into(5);
  co_await All(MakeSome<A>(), std::span(into));
  for (const A& each : into) each.Look();
  EXPECT_GE((co_await Race(Make<A>(1), Make<A>(1))).value, 1);
  EXPECT_GE((co_await Any(MakeSome<A>())).value, 0);
}

template <class A>
Task<void> Boundaries() {
  EXPECT_EQ((co_await WithTimeout(absl::Hours(1), Make<A>(1)))->value, 1);
  EXPECT_EQ((co_await WithDeadline(Now() + absl::Hours(1), TryMake<A>(1)))->value, 1);
  EXPECT_EQ((co_await MoveOnAfter(absl::Hours(1), Make<A>(1)))->value, 1);
  EXPECT_EQ((co_await CatchCancelled(Make<A>(1)))->value, 1);
  EXPECT_EQ((co_await Shield(Make<A>(1))).value, 1);
  EXPECT_EQ((co_await Shield(absl::Hours(1), Make<A>(1))).value, 1);
  EXPECT_EQ((co_await WithStopToken(std::stop_token(), Make<A>(1)))->value, 1);
  auto cleaned = co_await Finally(Make<A>(1), [kept = A()]() -> Task<void> {
    kept.Look();
    co_return;
  });
  EXPECT_EQ(cleaned.value, 1);
}

template <class A>
Task<void> Policies() {
  ShutdownOnSuccess<A> fastest;
  fastest.Fork(Make<A>(1));
  EXPECT_EQ((co_await fastest.Join()).value().value, 1);
  AllSuccessful<A> all;
  for (int i = 0; i < 3; ++i) all.Fork(Make<A>(i));
  for (const A& each : (co_await all.Join()).value()) each.Look();
  AllUntil<A> until([kept = A()](const Subtask<A>&) {
    kept.Look();
    return false;
  });
  until.Fork(Make<A>(1));
  EXPECT_EQ((co_await until.Join()).front()->value, 1);
  AsCompleted<A> completed;
  completed.Fork(Make<A>(1));
  EXPECT_EQ((*co_await completed.NextCompleted())->value, 1);
  (co_await completed.Join()).IgnoreFailures();
}

template <class A>
Task<void> Elements() {
  std::vector<A> elements(5);
  co_await ForEach(elements, 2, [kept = A()](const A& element) -> Task<void> {
    co_await Yield();
    kept.Look();
    element.Look();
  });
  for (const A& each : co_await Map(elements, 2, [](const A&) { return Make<A>(1); })) each.Look();
  const auto mapped = co_await Map(std::move(elements), 2, [](const A&) { return TryMake<A>(1); });
  for (const A& each : *mapped) each.Look();
}

template <class A>
Task<void> Bindings() {
  static const ScopedValue<A> key;
  const auto look = []() -> Task<int> {
    key.Get().Look();
    co_return key.Get().value;
  };
  ScopedBinding binding(key, A(1));
  EXPECT_EQ(co_await look(), 1);
  EXPECT_EQ(co_await Where(key, A(2)).Run(look()), 2);
}

// What another library might give.
template <class A>
struct ForeignValue {
  bool await_ready() const noexcept { return false; }
  bool await_suspend(std::coroutine_handle<>) const noexcept { return false; }
  A await_resume() const { return value; }
  A value = A(1);
};

template <class A>
Task<void> Foreigners() {
  EXPECT_EQ((co_await Foreign(ForeignValue<A>())).value, 1);
}

struct Place {
  const char* name;
  Task<void> (*in[5])();
};

#define WEFT_PLACE(name) \
  { #name, {&name<Aligned<16>>, &name<Aligned<32>>, &name<Aligned<64>>, &name<Aligned<128>>, &name<Aligned<256>>} }

const Place kPlaces[] = {WEFT_PLACE(Frames),   WEFT_PLACE(Children), WEFT_PLACE(Services),
                         WEFT_PLACE(Alls),     WEFT_PLACE(Boundaries), WEFT_PLACE(Policies),
                         WEFT_PLACE(Elements), WEFT_PLACE(Bindings), WEFT_PLACE(Foreigners)};

// What is aligned does not depend on the order of events: a few runs are enough.
void OnSomeRuntimes(const std::function<void(Runtime&)>& run) {
  for (int carriers = 1; carriers <= 3; ++carriers) {
    testing::Simulation simulation({.carriers = carriers, .seed = 1});
    run(simulation.runtime());
  }
  run(*Runtime::Create({.parallelism = 2}).value());
}

TEST(AlignmentTest, WhatLiesSomewhereIsAlignedThere) {
  OnSomeRuntimes([](Runtime& runtime) {
    for (const Place& place : kPlaces) {
      SCOPED_TRACE(place.name);
      for (auto* const in : place.in) {
        looks = 0;
        runtime.Run([](Task<void> (*in)()) -> Task<void> {
          std::vector<Task<void>> threads;
          for (int i = 0; i < 8; ++i) threads.push_back(in());
          co_await All(std::move(threads));
        }(in));
        EXPECT_GT(looks, 0);
      }
    }
  });
}

TEST(AlignmentTest, TheResultOfARootIsAligned) {
  OnSomeRuntimes([](Runtime& runtime) {
    EXPECT_EQ(runtime.Run(Make<Aligned<64>>(1)).value, 1);
    EXPECT_EQ(runtime.TryRun(Make<Aligned<256>>(2))->value, 2);
  });
}

}  // namespace
}  // namespace weft

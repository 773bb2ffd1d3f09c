// The shapes in which C++ lets a coroutine await, each with locals and temporaries that count themselves. A frame that
// is unwound in the middle of one has some of them alive and some not yet; all that are alive are to be destroyed,
// once.
#ifndef WEFT_TESTS_CANCEL_SHAPES_H_
#define WEFT_TESTS_CANCEL_SHAPES_H_

#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "tests/support/counted.h"
#include "weft/all.h"
#include "weft/cancellation.h"
#include "weft/scope.h"
#include "weft/sync/event.h"
#include "weft/sync/mutex.h"
#include "weft/sync/semaphore.h"
#include "weft/task.h"
#include "weft/time.h"

namespace weft::testing {

struct Shape {
  const char* name;
  Task<int> (*make)();
  int result;  // of a run that is not cancelled

  friend std::ostream& operator<<(std::ostream& out, const Shape& shape) { return out << shape.name; }
};

inline volatile int kOne = 1;
inline bool Positive(int x) { return x > 0; }

inline Task<int> Leaf(int value = 1) {
  Counted local(value);
  co_await Sleep(absl::Milliseconds(1));
  co_return local.value();
}
inline Task<Counted> LeafObject(int value = 2) {
  Counted local(value);
  co_await Sleep(absl::Milliseconds(1));
  co_return Counted(value);
}
inline Task<std::vector<Counted>> LeafVector() {
  Counted local;
  co_await Yield();
  std::vector<Counted> three;
  for (int i = 1; i <= 3; ++i) three.emplace_back(i);
  co_return three;
}
inline int Sum(Counted a, Counted b, int c, std::string text) {
  return a.value() + b.value() + c + static_cast<int>(text.size());
}

inline Task<int> Direct() {
  Counted local;
  co_return co_await Leaf();
}
inline Task<int> LocalTask() {
  Task<int> task = Leaf();
  Task<int> never = Leaf();
  Counted local;
  co_return co_await std::move(task);
}
inline Task<int> VectorOfTasks() {
  std::vector<Task<int>> tasks;
  for (int i = 1; i <= 3; ++i) tasks.push_back(Leaf(i));
  int sum = 0;
  for (Task<int>& task : tasks) sum += co_await std::move(task);
  co_return sum;
}
inline Task<int> OptionalTask() {
  std::optional<Task<int>> task(Leaf());
  co_return co_await *std::move(task);
}
inline Task<int> Temporaries() {
  co_return Sum(Counted(1), co_await LeafObject(), co_await Leaf(), std::string(100, 'x'));
}
inline Task<int> Aggregate() {
  struct Three {
    Counted a, b, c;
  };
  Three first{Counted(1), co_await LeafObject(), Counted(3)};
  Three second{co_await LeafObject(), Counted(1), co_await LeafObject()};
  co_return first.a.value() + first.b.value() + first.c.value() + second.a.value() + second.b.value() +
      second.c.value();
}
inline Task<int> Array() {
  Counted array[3] = {Counted(1), co_await LeafObject(), Counted(3)};
  co_return array[0].value() + array[1].value() + array[2].value();
}
inline Task<int> InitializerList() {
  std::vector<Counted> three{Counted(1), co_await LeafObject(), Counted(3)};
  co_return three[0].value() + three[1].value() + three[2].value();
}
// Not a shape: `new T{..., co_await ...}`. The memory of a new-expression whose initializer is destroyed in a
// suspension is freed by nobody: clang emits that for exceptions only. README says so, under its limits.
inline Task<int> RangeInitializer() {
  int sum = 0;
  for (const Counted& each : co_await LeafVector()) sum += each.value() * co_await Leaf();
  co_return sum;
}
inline Task<int> Conditional() {
  const int either = Positive(kOne) ? co_await Leaf(5) : co_await Leaf(3);
  Counted object = Positive(kOne) ? co_await LeafObject() : Counted(9);
  co_return either + object.value();
}
inline Task<int> ConditionalTemporaries() {
  co_return Sum(Positive(kOne) ? co_await LeafObject() : Counted(7), Counted(3), Positive(kOne) ? co_await Leaf() : 2,
                Positive(kOne) ? std::string(80, 'q') : std::string("n"));
}
inline Task<int> Logic() {
  const bool all = (co_await Leaf()) && (co_await LeafObject()).value() && co_await Leaf();
  const bool none = (co_await Leaf(0)) || !(co_await LeafObject()).value();
  co_return all && !none;
}
inline Task<int> LambdaCoroutine() {
  Counted local(2);
  auto lambda = [held = std::make_unique<Counted>(5), &local]() -> Task<int> {
    Counted inside;
    co_await Leaf();
    co_return held->value() + local.value();
  };
  co_return co_await lambda();
}
inline Task<int> ScopeBody() {
  Counted local;
  ShutdownOnFailure scope;
  auto a = scope.Fork(Leaf());
  auto b = scope.Fork([held = std::make_unique<Counted>(4)]() -> Task<int> {
    Counted inside;
    co_return co_await Leaf(30) + held->value();
  });
  (co_await scope.Join()).IgnoreFailures();
  co_return *a + *b;
}
inline Task<int> ThreeLevels() {
  ShutdownOnFailure scope;
  auto a = scope.Fork(ScopeBody());
  auto b = scope.Fork([held = Counted(1)] { return ScopeBody(); });
  co_await Leaf();
  (co_await scope.Join()).IgnoreFailures();
  co_return *a + *b;
}
inline Task<int> TimeoutInside() {
  Counted local;
  const absl::StatusOr<int> in_time = co_await WithTimeout(absl::Hours(1), ScopeBody());
  co_await Leaf();
  const absl::StatusOr<int> late = co_await WithTimeout(absl::Microseconds(1), []() -> Task<int> {
    Counted inside;
    co_await Sleep(absl::InfiniteDuration());
    co_return 1;
  }());
  co_return *in_time + (late.status().code() == absl::StatusCode::kDeadlineExceeded ? 1000 : 0);
}
inline Task<int> DestructorForks() {
  struct Forks {
    ShutdownOnFailure* outer;
    ~Forks() {
      if (outer != nullptr) outer->Fork(Leaf());
      ShutdownOnFailure inner;
      inner.Fork(Leaf());
      inner.Fork([held = Counted()] { return Leaf(); });
    }
  };
  ShutdownOnFailure scope;
  Forks forks{&scope};
  auto a = scope.Fork(Leaf(3));
  co_await Leaf();
  (co_await scope.Join()).IgnoreFailures();
  forks.outer = nullptr;
  co_return *a;
}
inline Task<int> Locks() {
  Mutex mutex;
  Semaphore semaphore(1);
  Event event;
  AwaitAll scope;
  auto child = scope.Fork([&, held = Counted(1)]() -> Task<int> {
    MutexGuard guard = co_await mutex.Lock();
    Counted inside;
    Permit permit = co_await semaphore.Acquire();
    event.Set();
    co_return co_await Leaf(7);
  });
  int mine = 0;
  {
    Permit permit = co_await semaphore.Acquire();
    MutexGuard guard = (permit.Release(), co_await mutex.Lock());
    mine = co_await Leaf(2);
  }
  co_await event.Wait();
  (co_await scope.Join()).IgnoreFailures();
  co_return *child + mine;
}
inline Task<int> ShieldInside() {
  Counted local;
  co_return co_await Shield(ScopeBody()) + co_await Leaf();
}
inline Task<int> AllInside() {
  Counted local;
  auto [a, b, c] = co_await All(Leaf(1), LeafObject(), ScopeBody());
  co_return a + b.value() + c;
}
inline Task<int> EarlyClose() {
  ShutdownOnFailure scope;
  Counted local;
  scope.Fork([held = Counted(1)]() -> Task<void> { co_await Sleep(absl::InfiniteDuration()); });
  co_await Leaf();
  co_return co_await scope.Close(6);
}
inline Task<int> EarlyReturn() {
  ShutdownOnFailure scope;
  Counted local;
  scope.Fork([held = Counted(1)]() -> Task<void> { co_await Sleep(absl::InfiniteDuration()); });
  scope.Fork(ScopeBody());
  co_await Leaf();
  co_return 8;
}

inline constexpr Shape kShapes[] = {
    {"Direct", &Direct, 1},
    {"LocalTask", &LocalTask, 1},
    {"VectorOfTasks", &VectorOfTasks, 6},
    {"OptionalTask", &OptionalTask, 1},
    {"Temporaries", &Temporaries, 104},
    {"Aggregate", &Aggregate, 11},
    {"Array", &Array, 6},
    {"InitializerList", &InitializerList, 6},
    {"RangeInitializer", &RangeInitializer, 6},
    {"Conditional", &Conditional, 7},
    {"ConditionalTemporaries", &ConditionalTemporaries, 86},
    {"Logic", &Logic, 1},
    {"LambdaCoroutine", &LambdaCoroutine, 7},
    {"ScopeBody", &ScopeBody, 35},
    {"ThreeLevels", &ThreeLevels, 70},
    {"TimeoutInside", &TimeoutInside, 1035},
    {"DestructorForks", &DestructorForks, 3},
    {"Locks", &Locks, 9},
    {"ShieldInside", &ShieldInside, 36},
    {"AllInside", &AllInside, 38},
    {"EarlyClose", &EarlyClose, 6},
    {"EarlyReturn", &EarlyReturn, 8},
};

}  // namespace weft::testing

#endif  // WEFT_TESTS_CANCEL_SHAPES_H_

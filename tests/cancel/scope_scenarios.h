// Small programs of scopes, one for each policy and feature, to be cancelled, shut down and left at every point they
// have.
//
// A scenario is a Task that ends by itself with OK, within some milliseconds of virtual time, having met fewer than 60
// checkpoints on one carrier. What it leaves running for others to end would run for an hour. Its locals, what its
// closures hold, and its results are counted: when the scope around it has joined, all are gone. It suspends for
// kMaxShielded at most where no request reaches it, and allocates in none of its destructors.
#ifndef WEFT_TESTS_CANCEL_SCOPE_SCENARIOS_H_
#define WEFT_TESTS_CANCEL_SCOPE_SCENARIOS_H_

#include <algorithm>
#include <array>
#include <optional>
#include <ostream>
#include <span>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "tests/support/counted.h"
#include "weft/all.h"
#include "weft/blocking.h"
#include "weft/cancel_reason.h"
#include "weft/cancellation.h"
#include "weft/executor/bounded_executor.h"
#include "weft/executor/executor.h"
#include "weft/executor/future.h"
#include "weft/executor/per_task_executor.h"
#include "weft/executor/promise.h"
#include "weft/executor/scheduled_executor.h"
#include "weft/finally.h"
#include "weft/for_each.h"
#include "weft/race.h"
#include "weft/ready.h"
#include "weft/scope.h"
#include "weft/sync/event.h"
#include "weft/sync/mutex.h"
#include "weft/sync/semaphore.h"
#include "weft/task.h"
#include "weft/thread_builder.h"
#include "weft/time.h"
#include "weft/virtual_thread.h"

namespace weft::testing {

struct Scenario {
  const char* name;
  Task<absl::Status> (*make)();

  friend std::ostream& operator<<(std::ostream& out, const Scenario& scenario) { return out << scenario.name; }
};

inline constexpr int kMaxCheckpoints = 60;
inline constexpr absl::Duration kMaxShielded = absl::Milliseconds(4);

namespace scenarios {

inline constexpr int kHourMs = 3'600'000;

// Looks whether what a scenario ends with is what it should be.
inline absl::Status Expect(bool right) { return right ? absl::OkStatus() : absl::InternalError("not as planned"); }

inline Task<Counted> Give(int value, int ms = 1) {
  const Counted local(value);
  co_await Sleep(absl::Milliseconds(ms));
  co_return Counted(local.value());
}
inline Task<absl::StatusOr<Counted>> GiveOrFail(int value, int ms = 1) {
  const Counted local(value);
  co_await Sleep(absl::Milliseconds(ms));
  if (value < 0) co_return absl::DataLossError("as planned");
  co_return Counted(value);
}
inline Task<absl::Status> Fail(int ms = 1) {
  const Counted local;
  co_await Sleep(absl::Milliseconds(ms));
  co_return absl::DataLossError("as planned");
}
inline Task<void> Wait() {
  const Counted local;
  co_await Sleep(absl::Milliseconds(kHourMs));
}
// A scope whose three children take their time.
inline Task<int> Group() {
  const Counted local;
  AwaitAll scope;
  const auto first = scope.Fork(Give(1));
  const auto second = scope.Fork([held = Counted(2)] { return Give(held.value(), 2); });
  scope.Fork([]() -> Task<void> { co_await Yield(); });
  (co_await scope.Join()).IgnoreFailures();
  co_return first->value() + second->value();
}

inline Task<absl::Status> FirstFailure() {
  const Counted local;
  ShutdownOnFailure scope;
  const auto done = scope.Fork([]() -> Task<Counted> { co_return Counted(1); });
  scope.Fork(Give(1, kHourMs));
  scope.Fork([held = Counted()]() -> Task<void> { co_await Wait(); });
  scope.Fork(Fail());
  const absl::Status joined = co_await scope.Join();
  co_return Expect(joined.code() == absl::StatusCode::kDataLoss && done->value() == 1);
}

// The first two are there at the same time: one of them loses, and its result is dropped.
inline Task<absl::Status> FirstSuccess() {
  const Counted local;
  ShutdownOnSuccess<Counted> scope;
  scope.Fork([]() -> Task<absl::StatusOr<Counted>> { co_return absl::DataLossError("as planned"); });
  scope.Fork(Give(2));
  scope.Fork(Give(2));
  scope.Fork(Give(3, kHourMs));
  const Counted won = (co_await scope.Join()).value();
  co_return Expect(won.value() == 2);
}

inline Task<absl::Status> AllValues() {
  const Counted local;
  AllSuccessful<Counted> scope;
  for (int i = 1; i <= 4; ++i) scope.Fork(Give(i, 5 - i));
  absl::StatusOr<std::vector<Counted>> values = co_await scope.Join();
  co_return Expect(values.ok() && values->size() == 4 && values->back().value() == 4);
}

inline Task<absl::Status> UntilTwo() {
  const Counted local;
  int completed = 0;
  AllUntil<Counted> scope([&completed](const Subtask<Counted>&) { return ++completed == 2; });
  for (int i = 1; i <= 3; ++i) scope.Fork(Give(i, i));
  scope.Fork(Give(4, kHourMs));
  const std::vector<Subtask<Counted>> subtasks = co_await scope.Join();
  co_return Expect(subtasks.size() == 4 && subtasks[3].state() == AnySubtask::State::kUnavailable);
}

inline Task<absl::Status> AsTheyComplete() {
  const Counted local;
  AsCompleted<Counted> scope;
  for (int i = 1; i <= 3; ++i) scope.Fork(Give(i, i));
  scope.Fork([held = Counted()] { return Give(4, kHourMs); });
  int sum = 0;
  for (int i = 1; i <= 2; ++i) {
    // Nothing comes if the children were cancelled, and Close() then does not come back.
    if (const auto next = co_await scope.NextCompleted()) sum += next->get().value();
  }
  co_return co_await scope.Close(Expect(sum == 3));
}

inline Task<absl::Status> Supervised() {
  const Counted local;
  int reported = 0;
  Supervisor scope([&reported](const AnySubtask&) { ++reported; });
  scope.Fork(Fail(1));
  scope.Fork(Give(1, 2));
  scope.Fork(Fail(3));
  const Outcome outcome = co_await scope.Join();
  co_return Expect(reported == 2 && outcome.failure_count() == 2);
}

inline Task<absl::Status> Nested() {
  const Counted local;
  AwaitAll scope;
  const auto first = scope.Fork(Group());
  const auto second = scope.Fork([held = Counted()]() -> Task<int> {
    AwaitAll inner;
    const auto group = inner.Fork(Group());
    (co_await inner.Join()).IgnoreFailures();
    co_return *group;
  });
  (co_await scope.Join()).IgnoreFailures();
  co_return Expect(*first == 3 && *second == 3);
}

inline Task<absl::Status> WithinLimit() {
  const Counted local;
  int running = 0;
  int most = 0;
  ShutdownOnFailure scope({.max_concurrency = 2});
  for (int i = 0; i < 6; ++i) {
    scope.Fork([&running, &most, held = Counted(i)]() -> Task<Counted> {
      struct Ends {
        int& running;
        ~Ends() { --running; }
      } const ends{++running};
      most = std::max(most, running);
      co_return co_await Give(held.value());
    });
  }
  const absl::Status joined = co_await scope.Join();
  co_return Expect(joined.ok() && most == 2);
}

inline Task<absl::Status> TimedScope() {
  const Counted local;
  ShutdownOnFailure scope({.timeout = absl::Milliseconds(3)});
  const auto done = scope.Fork(Give(1));
  scope.Fork([held = Counted()]() -> Task<void> { co_await Wait(); });
  scope.Fork([]() -> Task<int> { co_return 2 * co_await Group(); });
  scope.Fork(Give(2, kHourMs));
  const absl::Status joined = co_await scope.Join();
  co_return Expect(joined.code() == absl::StatusCode::kDeadlineExceeded && done->value() == 1);
}

inline Task<absl::Status> JoinsForAWhile() {
  const Counted local;
  AwaitAll scope;
  scope.Fork(Give(1, 3));
  scope.Fork([held = Counted()] { return Group(); });
  int joins = 0;
  while (!(co_await scope.JoinFor(absl::Milliseconds(1))).has_value()) ++joins;
  const auto more = scope.Fork(Give(2));
  const auto joined = co_await scope.JoinFor(absl::Hours(1));
  co_return Expect(joins > 0 && joined.has_value() && more->value() == 2);
}

inline Task<absl::Status> Services() {
  const Counted local;
  AwaitAll scope;
  const auto service = co_await scope.Start([held = Counted()](Ready ready) -> Task<void> {
    co_await Sleep(absl::Milliseconds(1));
    ready.Set();
    co_await Wait();
  });
  const auto refused = co_await scope.Start([held = Counted()](Ready) -> Task<void> { co_await Yield(); });
  co_await Yield();
  co_return co_await scope.Close(Expect(service.ok() && !refused.ok()));
}

inline Task<absl::Status> Races() {
  const Counted local;
  const Counted first = co_await Race(Give(1), Give(2, kHourMs), Give(1));
  const absl::StatusOr<Counted> failed = co_await Race(GiveOrFail(-1), GiveOrFail(1, kHourMs));
  co_return Expect(first.value() == 1 && !failed.ok());
}

inline Task<absl::Status> AnyOf() {
  const Counted local;
  const absl::StatusOr<Counted> one = co_await Any(GiveOrFail(-1), GiveOrFail(2, 2), GiveOrFail(3, kHourMs));
  std::vector<Task<absl::StatusOr<Counted>>> failing;
  for (int i = 1; i <= 2; ++i) failing.push_back(GiveOrFail(-i, i));
  const absl::StatusOr<Counted> none = co_await Any(std::move(failing));
  co_return Expect(one.ok() && one->value() == 2 && !none.ok());
}

inline Task<absl::Status> ForEachElement() {
  std::vector<Counted> elements(5);
  const absl::Status done = co_await ForEach(elements, 2, [](Counted& element) -> Task<absl::Status> {
    element = Counted((co_await Give(1)).value());
    co_return absl::OkStatus();
  });
  const absl::Status failed = co_await ForEach(elements, 3, [held = Counted()](const Counted&) { return Fail(); });
  co_return Expect(done.ok() && elements.back().value() == 1 && failed.code() == absl::StatusCode::kDataLoss);
}

inline Task<absl::Status> Mapped() {
  const Counted local;
  const std::vector<int> numbers = {3, 2, 1, 4};
  const std::vector<Counted> mapped = co_await Map(numbers, 2, [](int number) { return Give(number, number); });
  co_return Expect(mapped.size() == 4 && mapped[2].value() == 1);
}

inline Task<absl::Status> AllOfTwo() {
  const Counted local;
  const auto [a, b] = co_await All(Give(1), Group());
  const auto failed = co_await All(Fail(), Give(2, kHourMs));
  co_return Expect(a.value() + b == 4 && !failed.ok());
}

inline Task<absl::Status> AllOfVector() {
  const Counted local;
  std::vector<Task<Counted>> tasks;
  for (int i = 1; i <= 4; ++i) tasks.push_back(Give(i));
  const std::vector<Counted> values = co_await All(std::move(tasks));
  std::vector<Task<absl::StatusOr<Counted>>> failing;
  for (int i = -1; i <= 1; ++i) failing.push_back(GiveOrFail(i, i < 0 ? 1 : kHourMs));
  const auto failed = co_await All(std::move(failing));
  co_return Expect(values.back().value() == 4 && !failed.ok());
}

inline Task<absl::Status> AllOfArray() {
  const Counted local;
  const std::array<Counted, 2> values = co_await All(std::array{Give(1), Give(2)});
  const auto failed = co_await All(std::array{GiveOrFail(1, kHourMs), GiveOrFail(-1, 1)});
  std::array<Counted, 2> results;
  co_await All(std::array{Give(3), Give(4)}, std::span(results));
  const absl::Status none = co_await All(std::array{GiveOrFail(-1, 1), GiveOrFail(1, kHourMs)}, std::span(results));
  co_return Expect(values[1].value() == 2 && !failed.ok() && results[1].value() == 4 && !none.ok());
}

inline Task<absl::Status> CleansUp() {
  const Counted local;
  bool cleaned = false;
  const int sum = co_await Finally(Group(), [&cleaned, held = Counted()]() -> Task<void> {
    const Counted inside;
    AwaitAll scope;
    scope.Fork(Give(1));
    (co_await scope.Join()).IgnoreFailures();
    cleaned = true;
  });
  co_return Expect(sum == 3 && cleaned);
}

inline Task<absl::Status> MovesOn() {
  const Counted local;
  AwaitAll scope;
  const auto late = scope.Fork([]() -> Task<bool> { co_return co_await MoveOnAfter(absl::Milliseconds(1), Wait()); });
  const std::optional<int> in_time = co_await MoveOnAfter(absl::Seconds(1), Group());
  (co_await scope.Join()).IgnoreFailures();
  co_return Expect(in_time == 3 && !*late);
}

inline Task<absl::Status> Shielded() {
  const Counted local;
  ShutdownOnFailure scope;
  scope.Fork([held = Counted()]() -> Task<void> {
    co_await Shield(Group());
    co_await Wait();
  });
  const int sum = co_await Shield(Group());
  co_await Yield();
  co_return co_await scope.Close(Expect(sum == 3));
}

inline Task<absl::Status> NestedTimeouts() {
  const Counted local;
  const absl::StatusOr<int> late = co_await WithTimeout(absl::Milliseconds(5), []() -> Task<int> {
    const Counted inside;
    AwaitAll scope;
    scope.Fork(Wait());
    const absl::StatusOr<int> early = co_await WithTimeout(absl::Milliseconds(2), []() -> Task<int> {
      AwaitAll inner;
      inner.Fork([held = Counted()]() -> Task<void> { co_await Wait(); });
      inner.Fork(Give(1));
      (co_await inner.Join()).IgnoreFailures();
      co_return 1;
    }());
    if (ReasonOf(early.status()).kind != CancelReason::Kind::kTimeout) co_return 0;
    (co_await scope.Join()).IgnoreFailures();
    co_return 1;
  }());
  co_return Expect(ReasonOf(late.status()).kind == CancelReason::Kind::kTimeout);
}

inline Task<absl::Status> Caught() {
  const Counted local;
  ShutdownOnFailure scope;
  const auto caught = scope.Fork([]() -> Task<int> {
    const Counted inside;
    const absl::StatusOr<int> sum = co_await CatchCancelled(Group());
    co_await Yield();  // which a thread that was cancelled does not come back from
    const absl::StatusOr<int> more = co_await CatchCancelled([]() -> Task<int> {
      const Counted innermost;
      co_await Yield();
      co_return 1;
    }());
    co_await Yield();
    co_return sum.value() + more.value();
  });
  scope.Fork(Give(1, 2));
  const absl::Status joined = co_await scope.Join();
  co_return Expect(joined.ok() && *caught == 4);
}

inline Task<absl::Status> Siblings() {
  const Counted local;
  Mutex mutex;
  Semaphore semaphore(1);
  Event event;
  ShutdownOnFailure scope;
  for (int i = 0; i < 3; ++i) {
    scope.Fork([&, held = Counted()]() -> Task<void> {
      const Counted inside;
      const MutexGuard guard = co_await mutex.Lock();
      co_await Yield();
    });
    scope.Fork([&, i]() -> Task<Counted> {
      Permit permit = co_await semaphore.Acquire();
      const Counted inside(i);
      co_await Sleep(absl::Milliseconds(1));
      permit.Release();
      if (i == 2) event.Set();
      co_await event.Wait();
      co_return Counted(inside.value());
    });
  }
  const absl::Status joined = co_await scope.Join();
  co_return Expect(joined.ok() && semaphore.available() == 1 && mutex.TryLock().has_value());
}

// A thread of the inner scope forks into the outer one.
inline Task<absl::Status> ForksOutwards() {
  const Counted local;
  int ended = 0;
  AwaitAll outer;
  {
    AwaitAll inner;
    for (int i = 0; i < 2; ++i) {
      inner.Fork([&outer, &ended, held = Counted()]() -> Task<void> {
        co_await Yield();
        outer.Fork([&ended, inside = Counted()]() -> Task<void> {
          co_await Give(1, 2);
          ++ended;
        });
        co_await Give(1);
      });
    }
    (co_await inner.Join()).IgnoreFailures();
  }
  (co_await outer.Join()).IgnoreFailures();
  co_return Expect(ended == 2);
}

inline Task<absl::Status> ShutsDown() {
  const Counted local;
  AwaitAll scope;
  scope.Fork([held = Counted()]() -> Task<void> { co_await Wait(); });
  // It is spared, because it is who asks.
  const auto spared = scope.Fork([&scope]() -> Task<Counted> {
    co_await Sleep(absl::Milliseconds(1));
    scope.Shutdown();
    co_return co_await Give(2);
  });
  (co_await scope.Join()).IgnoreFailures();
  co_return Expect(spared.state() == AnySubtask::State::kUnavailable);
}

inline Task<absl::Status> ClosesEarly() {
  const Counted local;
  ShutdownOnFailure scope;
  scope.Fork([held = Counted()]() -> Task<void> { co_await Wait(); });
  scope.Fork([]() -> Task<void> {
    AwaitAll inner;
    inner.Fork([held = Counted()]() -> Task<void> { co_await Wait(); });
    inner.Fork(Wait());
    (co_await inner.Join()).IgnoreFailures();
  });
  co_await Give(1);
  co_return co_await scope.Close(absl::OkStatus());
}

inline Task<absl::Status> ReturnsEarly() {
  const Counted local;
  ShutdownOnFailure scope;
  scope.Fork([held = Counted()]() -> Task<void> { co_await Wait(); });
  scope.Fork([]() -> Task<void> {
    AwaitAll inner;
    inner.Fork([held = Counted()]() -> Task<void> { co_await Wait(); });
    co_await Give(2);
  });
  co_await Give(1);
  co_return absl::OkStatus();
}

// Threads outside of the tree, which go on if the tree is cancelled.
inline Task<absl::Status> JoinsAThread() {
  const Counted local;
  int ran = 0;
  ShutdownOnFailure scope;
  scope.Fork([held = Counted()]() -> Task<void> {
    const VirtualThread outside = VirtualThread::Start([self = VirtualThread::Current()]() -> Task<void> {
      co_await Sleep(absl::Milliseconds(2));
      self.Unpark();
    });
    co_await VirtualThread::Park();
    (co_await outside.Join()).IgnoreError();
  });
  const VirtualThread asked = VirtualThread::Start(Sleep(absl::Hours(1)));
  scope.Fork(asked.Join());
  co_await Give(1);
  ++ran;
  asked.RequestCancel("as planned");
  const absl::Status joined = co_await scope.Join();
  co_return Expect(ran == 1 && ReasonOf(joined).text == "as planned");
}

// If the runtime ends, the tasks of executors may end before the tree hears of it.
inline bool AsPlanned(const absl::StatusOr<Counted>& outcome, int value) {
  if (!outcome.ok()) return ReasonOf(outcome.status()).kind == CancelReason::Kind::kRuntimeExit;
  return outcome->value() == value;
}

// Tasks of an executor, and a promise, that others of the tree wait for.
inline Task<absl::Status> Submits() {
  const Counted local;
  VirtualThreadPerTaskExecutor executor;
  const Future<Counted> one = executor.Submit(Give(1));
  const Future<Counted> two = executor.Submit([held = Counted(2)] { return Give(held.value(), 2); });
  const Future<void> never = executor.Submit(Wait());
  Promise<Counted> promise;
  ShutdownOnFailure scope;
  scope.Fork([&promise, held = Counted(3)]() -> Task<void> {
    co_await Yield();
    promise.SetValue(held.value());
  });
  scope.Fork([one]() -> Task<absl::Status> { co_return Expect(AsPlanned(co_await one.TryGet(), 1)); });
  scope.Fork([three = promise.future()]() -> Task<absl::Status> {
    co_return Expect(AsPlanned(co_await three.TryGet(), 3));
  });
  const absl::Status joined = co_await scope.Join();
  const bool second = AsPlanned(co_await two.TryGet(), 2);
  never.Cancel();
  const absl::Status cancelled = co_await never.TryGet();
  co_await executor.Close();
  co_return Expect(joined.ok() && second && cancelled.code() == absl::StatusCode::kCancelled);
}

// An executor with few places; one that is closed while it runs; and what is scheduled.
inline Task<absl::Status> SubmitsWhenFree() {
  const Counted local;
  BoundedExecutor bounded(1);
  AwaitAll scope;
  for (int i = 1; i <= 2; ++i) {
    scope.Fork([&bounded, i, held = Counted()]() -> Task<void> {
      co_await bounded.SubmitWhenFree([inside = Counted(i)] { return Give(inside.value()); });
    });
  }
  (co_await scope.Join()).IgnoreFailures();
  {
    ScheduledExecutor scheduled;
    scheduled.ScheduleAtFixedRate(absl::ZeroDuration(), absl::Milliseconds(1), [held = Counted()] {});
    const Future<Counted> later = scheduled.Schedule(absl::Milliseconds(2), [held = Counted()] { return Counted(5); });
    if (!AsPlanned(co_await later.TryGet(), 5)) co_return Expect(false);
  }  // which ends the other one
  co_await bounded.Close();
  co_return Expect(bounded.free_places() == 1);
}

inline Task<absl::Status> InvokesAllAndAny() {
  const Counted local;
  VirtualThreadPerTaskExecutor executor;
  std::vector<Task<Counted>> all;
  for (int i = 1; i <= 3; ++i) all.push_back(Give(i, i));
  const std::vector<Future<Counted>> futures = co_await executor.InvokeAll(std::move(all));
  std::vector<Task<absl::StatusOr<Counted>>> any;
  any.push_back(GiveOrFail(-1));
  any.push_back(GiveOrFail(2, 2));
  any.push_back(GiveOrFail(3, kHourMs));
  const absl::StatusOr<Counted> quickest = co_await executor.TryInvokeAny(std::move(any));
  const bool last = AsPlanned(co_await futures.back().TryGet(), 3);
  co_return Expect(last && AsPlanned(quickest, 2));
}

// Functions that block, of which some look whether they are still wanted.
inline Task<absl::Status> BlockingCalls() {
  const Counted local;
  ShutdownOnFailure scope;
  auto value = scope.Fork([kept = Counted()]() -> Task<absl::StatusOr<Counted>> {
    co_return co_await Blocking([held = Counted(4)] { return Counted(held.value()); });
  });
  for (int i = 0; i < 3; ++i) {
    scope.Fork([]() -> Task<absl::Status> {
      const Counted held;
      co_return co_await WithTimeout(absl::Hours(1), Blocking([kept = Counted()] {
                                       for (int look = 0; look < 3 && !CancelRequested(); ++look) {
                                       }
                                     }));
    });
  }
  const absl::Status joined = co_await scope.Join();
  co_return joined.ok() ? Expect(value->value() == 4) : joined;
}

}  // namespace scenarios

inline constexpr Scenario kScenarios[] = {
    {"BlockingCalls", &scenarios::BlockingCalls},
    {"Submits", &scenarios::Submits},
    {"SubmitsWhenFree", &scenarios::SubmitsWhenFree},
    {"InvokesAllAndAny", &scenarios::InvokesAllAndAny},
    {"FirstFailure", &scenarios::FirstFailure},
    {"FirstSuccess", &scenarios::FirstSuccess},
    {"AllValues", &scenarios::AllValues},
    {"UntilTwo", &scenarios::UntilTwo},
    {"AsTheyComplete", &scenarios::AsTheyComplete},
    {"Supervised", &scenarios::Supervised},
    {"Nested", &scenarios::Nested},
    {"WithinLimit", &scenarios::WithinLimit},
    {"TimedScope", &scenarios::TimedScope},
    {"JoinsForAWhile", &scenarios::JoinsForAWhile},
    {"Services", &scenarios::Services},
    {"Races", &scenarios::Races},
    {"AnyOf", &scenarios::AnyOf},
    {"ForEachElement", &scenarios::ForEachElement},
    {"Mapped", &scenarios::Mapped},
    {"AllOfTwo", &scenarios::AllOfTwo},
    {"AllOfVector", &scenarios::AllOfVector},
    {"AllOfArray", &scenarios::AllOfArray},
    {"CleansUp", &scenarios::CleansUp},
    {"MovesOn", &scenarios::MovesOn},
    {"Shielded", &scenarios::Shielded},
    {"NestedTimeouts", &scenarios::NestedTimeouts},
    {"Caught", &scenarios::Caught},
    {"JoinsAThread", &scenarios::JoinsAThread},
    {"Siblings", &scenarios::Siblings},
    {"ForksOutwards", &scenarios::ForksOutwards},
    {"ShutsDown", &scenarios::ShutsDown},
    {"ClosesEarly", &scenarios::ClosesEarly},
    {"ReturnsEarly", &scenarios::ReturnsEarly},
};

}  // namespace weft::testing

#endif  // WEFT_TESTS_CANCEL_SCOPE_SCENARIOS_H_

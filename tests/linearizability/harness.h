// Row L1: is an object linearizable, its waits and their cancellation included? (search.h says what that means)
//
// Method. A scenario is drawn: two or three threads, each of one to three calls, some of which cancel another thread's
// call, or end another thread. It runs in simulations under many seeds, on one to three carriers. Each run's history is
// compared with a sequential model. What waits when nothing more can happen is cancelled then: so a wake-up that is
// lost is a violation, since the call had been answered before it was asked to end. So is a call that is cancelled
// although nobody has asked for it.
//
// To add an object: a class like this, and TEST(..., ...) { ProveLinearizable<MutexRow>(); }
//
//   struct MutexRow {
//     static constexpr std::string_view kName = "Mutex";
//     static std::string NameOf(Call call);                    // for reports
//     static Call Draw(Dice& dice, int64_t number);            // a call; `number` is unique among those of a scenario
//     static std::vector<Call> Epilogue();                     // made at the end, one after the other: what is left
//
//     class Object {                                           // made by a virtual thread, one for each run
//       explicit Object(int64_t variant);                      // drawn for each scenario: a capacity, perhaps
//       void Begin(History& history);                          // optional
//       Task<Answer> Make(int thread, Call call);              // makes the call, which may wait once
//       void Leave(int thread);                                // the thread has ended: gives back what it holds
//     };
//     class Model {                                            // see search.h; in it a Leave() is a call like others,
//       explicit Model(int64_t variant);                       // of the kind kLeave, with the answer 0
//       std::optional<Answer> Begin(int thread, Call call);
//       ...
//     };
//   };
//
// Any thread may make any call at any time: one that makes no sense, like an unlock by a thread that has no lock, does
// nothing and answers with a number that says so, in the object and in the model. Threads are 0 to 2; the epilogue is
// made by number 3. What an object does by itself, like the end of a task, it tells the History, and the model takes it
// as a call of thread -1. It has no answer, so the model returns 0 if it may happen now, or nothing. What a call gives
// to others has to be in the answers: a value that is lost, or received twice, is then a violation like any other.
//
// Calls overlap where they wait, since the simulation switches between turns. What lock-free code does within a turn is
// for the model checker (tests/model): that is where the deque is proved.
#ifndef WEFT_TESTS_LINEARIZABILITY_HARNESS_H_
#define WEFT_TESTS_LINEARIZABILITY_HARNESS_H_

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "tests/linearizability/search.h"
#include "tests/support/proof_row.h"
#include "weft/ext/scheduling_observer.h"
#include "weft/scope.h"
#include "weft/stop_event.h"
#include "weft/sync/event.h"
#include "weft/task.h"
#include "weft/testing/simulation.h"
#include "weft/time.h"
#include "weft/virtual_thread.h"

namespace weft::testing {

inline constexpr int kLeave = -1;  // the kind of the call that Leave() is

// The same numbers for the same seed. (splitmix64)
class Dice {
 public:
  explicit Dice(uint64_t seed) : state_(seed) {}
  int64_t Roll(int64_t sides) {  // 0 to sides - 1
    uint64_t z = state_ += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return static_cast<int64_t>((z ^ (z >> 31)) % static_cast<uint64_t>(sides));
  }

 private:
  uint64_t state_;
};

struct Scenario {
  static constexpr int kThreads = 3;
  static constexpr int kCalls = 3;

  struct Step {
    enum class What : uint8_t { kCall, kCancelCall, kEndThread } what = What::kCall;
    Call call;
    int target = 0;  // the thread that is cancelled
  };

  template <class Row>
  static Scenario Draw(uint64_t seed) {
    Dice dice(seed);
    Scenario drawn;
    drawn.variant = dice.Roll(1 << 20);
    drawn.threads.resize(static_cast<size_t>(dice.Roll(4) == 0 ? 2 : 3));
    int64_t number = 0;
    for (std::vector<Step>& steps : drawn.threads) {
      steps.resize(static_cast<size_t>(1 + dice.Roll(kCalls)));
      for (Step& step : steps) {
        const int64_t kind = dice.Roll(16);
        step.what = kind < 2 ? Step::What::kCancelCall : kind < 3 ? Step::What::kEndThread : Step::What::kCall;
        step.target = static_cast<int>(dice.Roll(static_cast<int64_t>(drawn.threads.size())));
        if (step.what == Step::What::kCall) step.call = Row::Draw(dice, ++number);
      }
    }
    return drawn;
  }

  int64_t variant = 0;
  std::vector<std::vector<Step>> threads;
};

// The epilogue's included.
template <class Value>
using PerThread = std::array<Value, Scenario::kThreads + 1>;

// What has happened in a run so far.
class History {
 public:
  // What an object does by itself has become possible now.
  void AddOwn(Call call) { operations_.push_back({.thread = -1, .call = call, .invoked = Tick()}); }

  int64_t Tick() { return ++now_; }
  std::vector<Operation>& operations() { return operations_; }

 private:
  int64_t now_ = 0;
  std::vector<Operation> operations_;
};

// One scenario under one seed.
template <class Row>
class Run : private ext::SchedulingObserver {
 public:
  // What is wrong; empty if nothing is.
  static std::string Try(const Scenario& scenario, uint64_t schedule) {
    Run run(scenario, schedule);
    {
      Simulation simulation({.carriers = 1 + static_cast<int>(schedule % 3),
                             .seed = schedule,
                             .observer = &run,
                             // Futures are dropped unlooked at: in a million runs that would be as many lines.
                             .on_uncaught_failure = [](const auto&...) {},
                             .on_deadlock = [&run](const std::string& report) { run.stuck_ = report; }});
      static_cast<void>(simulation.TryRun(run.Main()));
    }
    using Model = typename Row::Model;
    const bool good =
        run.stuck_.empty() && Search<Model>::Linearizable(run.history_.operations(), Model(scenario.variant));
    return good ? "" : run.Report();
  }

 private:
  static constexpr int kEpilogueThread = Scenario::kThreads;
  static constexpr size_t kNone = SIZE_MAX;

  Run(const Scenario& scenario, uint64_t schedule) : scenario_(scenario), dice_(schedule) { open_.fill(kNone); }

  Task<void> Main() {
    typename Row::Object object(scenario_.variant);
    object_ = &object;
    if constexpr (requires { object.Begin(history_); }) object.Begin(history_);
    {
      AwaitAll scope;
      for (int thread = 0; thread < static_cast<int>(scenario_.threads.size()); ++thread) {
        scope.Fork([this, thread]() -> Task<void> {
          ids_[thread] = VirtualThread::Current().id();
          static_cast<void>(co_await WithStopEvent(end_[thread], Steps(thread)));
        });
      }
      // Time passes when nothing else can happen.
      if (!(co_await scope.JoinFor(absl::Hours(1))).has_value()) {
        for (int thread = 0; thread < Scenario::kThreads; ++thread) EndThread(thread);
        (co_await scope.Join()).IgnoreFailures();
      }
    }
    for (const Call& call : Row::Epilogue()) co_await Make(kEpilogueThread, 0, call);
    object.Leave(kEpilogueThread);
  }

  Task<void> Steps(int thread) {
    const Leaves leaves{*this, thread};
    const std::vector<Scenario::Step>& steps = scenario_.threads[static_cast<size_t>(thread)];
    for (int i = 0; i < static_cast<int>(steps.size()); ++i) {
      for (int64_t yields = dice_.Roll(3); yields > 0; --yields) co_await Yield();
      const Scenario::Step& step = steps[static_cast<size_t>(i)];
      next_[thread] = i;
      switch (step.what) {
        case Scenario::Step::What::kCall:
          co_await Make(thread, i, step.call);
          break;
        case Scenario::Step::What::kCancelCall:
          CancelCall(step.target);
          break;
        case Scenario::Step::What::kEndThread:
          EndThread(step.target);
          break;
      }
      next_[thread] = i + 1;
    }
  }

  Task<void> Make(int thread, int i, Call call) {
    const Opens opens(*this, thread, i, call);
    const absl::StatusOr<Answer> answer = co_await WithStopEvent(stop_[thread][i], object_->Make(thread, call));
    if (answer.ok()) opens.Answered(*answer);
  }

  // ---- Cancellation: of the call that a thread makes, or is to make next; and of all that it does.

  void CancelCall(int thread) {
    const int i = next_[thread];
    if (i >= Scenario::kCalls) return;
    NoteRequest(asked_call_[thread][i], thread);
    stop_[thread][i].Set();
  }
  void EndThread(int thread) {
    NoteRequest(asked_thread_[thread], thread);
    end_[thread].Set();
  }
  void NoteRequest(int64_t& asked, int thread) {
    if (asked == Operation::kNever) asked = history_.Tick();
    if (open_[thread] == kNone) return;
    Operation& of = history_.operations()[open_[thread]];
    of.cancel_asked = std::min(of.cancel_asked, asked);
  }

  // ---- History.

  // A call, from here on.
  class Opens {
   public:
    Opens(Run& run, int thread, int i, Call call) : run_(run), thread_(thread) {
      run_.open_[thread] = run_.history_.operations().size();
      Operation opened = {.thread = thread, .call = call, .invoked = run_.history_.Tick()};
      opened.end = Operation::End::kCancelled;
      opened.cancel_asked = std::min(run_.asked_call_[thread][i], run_.asked_thread_[thread]);
      run_.history_.operations().push_back(opened);
    }
    Opens(const Opens&) = delete;
    Opens& operator=(const Opens&) = delete;
    // By its destructor: cancelled, perhaps by an unwinding.
    ~Opens() {
      operation().ended = run_.history_.Tick();
      run_.open_[thread_] = kNone;
    }
    void Answered(Answer answer) const {
      operation().end = Operation::End::kAnswered;
      operation().answer = answer;
    }

   private:
    Operation& operation() const { return run_.history_.operations()[run_.open_[thread_]]; }
    Run& run_;
    const int thread_;
  };
  // A thread, until it ends, whichever way.
  struct Leaves {
    ~Leaves() {
      Operation left = {.thread = thread, .call = {kLeave, 0}, .invoked = run.history_.Tick()};
      run.object_->Leave(thread);
      left.ended = run.history_.Tick();
      left.end = Operation::End::kAnswered;
      run.history_.operations().push_back(left);
      run.next_[thread] = Scenario::kCalls;
    }
    Run& run;
    const int thread;
  };

  // Whoever is parked in its call has registered it: all before is one turn.
  void OnUnmount(const ext::ThreadEvent& event) noexcept override {
    if (event.waits_in.empty()) return;
    for (int thread = 0; thread < Scenario::kThreads; ++thread) {
      if (ids_[thread] != event.thread || open_[thread] == kNone) continue;
      Operation& of = history_.operations()[open_[thread]];
      if (of.registered == Operation::kNever) of.registered = history_.Tick();
    }
  }

  std::string Report() {
    std::string text = stuck_;
    for (const Operation& each : history_.operations()) {
      absl::StrAppend(&text, "\n  thread ", each.thread, ": ",
                      each.call.kind == kLeave ? "leaves" : Row::NameOf(each.call), " at ", each.invoked);
      if (each.registered != Operation::kNever) absl::StrAppend(&text, ", waits at ", each.registered);
      if (each.cancel_asked != Operation::kNever) absl::StrAppend(&text, ", asked to end at ", each.cancel_asked);
      if (each.end == Operation::End::kUnknown) continue;
      absl::StrAppend(&text, each.end == Operation::End::kCancelled ? ", cancelled" : absl::StrCat(": ", each.answer),
                      " at ", each.ended);
    }
    return text;
  }

  static constexpr std::array<int64_t, Scenario::kCalls> kNotAsked = {Operation::kNever, Operation::kNever,
                                                                      Operation::kNever};

  const Scenario& scenario_;
  Dice dice_;
  History history_;
  typename Row::Object* object_ = nullptr;
  PerThread<std::array<Event, Scenario::kCalls>> stop_;
  PerThread<Event> end_;
  PerThread<uint64_t> ids_ = {};
  PerThread<size_t> open_;    // the operation that a thread is in
  PerThread<int> next_ = {};  // the step that a thread is in, or comes to next
  PerThread<std::array<int64_t, Scenario::kCalls>> asked_call_ = {kNotAsked, kNotAsked, kNotAsked, kNotAsked};
  PerThread<int64_t> asked_thread_ = {Operation::kNever, Operation::kNever, Operation::kNever, Operation::kNever};
  std::string stuck_;
};

// How many scenarios are drawn; a row may have a kScenarios of its own.
inline constexpr int kScenarios = 1000;
template <class Row>
constexpr int ScenariosOf() {
  if constexpr (requires { Row::kScenarios; }) {
    return Row::kScenarios;
  } else {
    return kScenarios;
  }
}

// How many schedules of each scenario are tried: WEFT_LINEARIZABILITY_SCHEDULES. That is 100 in the configuration opt
// (.bazelrc), and 1,000 for tools/prove.
inline uint64_t SchedulesPerScenario() {
  uint64_t schedules = 10;
  if (const char* text = std::getenv("WEFT_LINEARIZABILITY_SCHEDULES")) {
    EXPECT_TRUE(absl::SimpleAtoi(text, &schedules)) << text;
  }
  return schedules;
}

// The first violation in so many scenarios and schedules; empty if there is none.
template <class Row>
std::string FindViolation(int scenarios, uint64_t schedules, ProofRow* row = nullptr) {
  for (int i = 1; i <= scenarios; ++i) {
    const Scenario scenario = Scenario::Draw<Row>(static_cast<uint64_t>(i));
    for (uint64_t schedule = 1; schedule <= schedules; ++schedule) {
      const std::string wrong = Run<Row>::Try(scenario, schedule);
      if (row != nullptr) row->AddRun();
      if (!wrong.empty()) return absl::StrCat("scenario ", i, ", schedule ", schedule, ":", wrong);
    }
  }
  return "";
}

template <class Row>
void ProveLinearizable() {
  ProofRow row("L1", Row::kName);
  EXPECT_EQ(FindViolation<Row>(ScenariosOf<Row>(), SchedulesPerScenario(), &row), "");
}

}  // namespace weft::testing

#endif  // WEFT_TESTS_LINEARIZABILITY_HARNESS_H_

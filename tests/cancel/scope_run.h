// Runs a scenario of scopes once, in a simulation, and does something to it at a step of that run.
//
// The scenario runs in a scope, the inner one, whose owner runs in another, the outer one; or there are two of it side
// by side, each in a scope of its own. A step is a checkpoint of the scenario, or a turn of any virtual thread. What is
// done goes through the observer: at that very moment, as another OS thread could do it.
//
// Whatever is done, this has to hold:
//   * The joins around the scenario return, and by then every local, every closure and every result is gone, once.
//   * A thread that is asked to end meets no further checkpoint but where it is shielded, or has caught the request.
//   * What was asked to end has ended at that moment of virtual time; shields may take longer, for kMaxShielded.
//   * The scenario itself fails in no case: it sees what it has planned, or is unwound.
//   * Nothing is left behind: virtual threads, frames, waiters, timers.
#ifndef WEFT_TESTS_CANCEL_SCOPE_RUN_H_
#define WEFT_TESTS_CANCEL_SCOPE_RUN_H_

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <utility>

#include "gtest/gtest.h"
#include "lib/runtime/host.h"
#include "lib/runtime/runtime_core.h"
#include "lib/thread/runtime_services.h"
#include "tests/cancel/cancel_at.h"
#include "tests/cancel/scope_scenarios.h"
#include "tests/support/counted.h"
#include "weft/cancel_reason.h"
#include "weft/ext/scheduling_observer.h"
#include "weft/internal/record.h"
#include "weft/internal/scope_record.h"
#include "weft/internal/thread_block.h"
#include "weft/internal/wait.h"
#include "weft/runtime.h"
#include "weft/scope.h"
#include "weft/sync/event.h"
#include "weft/task.h"
#include "weft/testing/census.h"
#include "weft/testing/simulation.h"

namespace weft::testing {

class ScopeRun : private ext::SchedulingObserver {
 public:
  static constexpr int kNever = -1;

  // What is done first; the second is always a shutdown.
  enum class Act {
    kShutdown,  // of the inner scope
    kReturn,    // the owner of the inner scope returns, and the scope's destructor waits
    kClose,     // the owner closes it
    kAbandon,   // the runtime ends
  };
  // An observer that hears of everything first, and has to pass it on.
  struct Around : ext::SchedulingObserver {
    // Around what is done.
    virtual void BeginAct() noexcept = 0;
    virtual void EndAct() noexcept = 0;
    ext::SchedulingObserver* next = nullptr;
  };
  struct Plan {
    int carriers = 1;
    uint64_t seed = 1;
    bool side_by_side = false;
    Occasion step = Occasion::kCheckpoint;
    Act act = Act::kShutdown;
    // At which step: 0 is before the scenario begins, and one beyond the last is after its end.
    int first = kNever;
    int second = kNever;  // of the outer scope; or of the second scenario's
    Around* around = nullptr;
  };
  struct Result {
    int steps = 0;
    int done = 0;  // of what was planned
  };

  static Result Try(const Scenario& scenario, const Plan& plan) {
    const Census before = Census::Take();
    Counted::alive = 0;
    Counted::bad = 0;
    ScopeRun run(scenario, plan);
    run.Run();
    EXPECT_EQ(Counted::alive, 0);
    EXPECT_EQ(Counted::bad, 0);
    EXPECT_EQ(Census::Take(), before);
    return {run.steps_, run.acts_};
  }

 private:
  // A root for which nobody waits by blocking this OS thread.
  class Root final : public internal::RootBlock {
   public:
    explicit Root(Task<void>&& task) noexcept : RootBlock(/*references=*/2) {
      leaf = &internal::TaskAccess::ReleaseAsRoot(std::move(task), slot_, this, "Run()");
    }
    void OnEnd(Ending) noexcept override { internal::EndRoot(*this, done); }
    internal::Atomic<uint32_t> done{0};

   private:
    internal::ResultSlot<void> slot_;
  };

  ScopeRun(const Scenario& scenario, const Plan& plan)
      : scenario_(scenario), plan_(plan), at_{plan.first, plan.second} {}

  void Run() {
    ext::SchedulingObserver* observer = this;
    if (plan_.around != nullptr) {
      plan_.around->next = this;
      observer = plan_.around;
    }
    // Whoever starts a spare carrier allocates, as the destructor of an executor may: none where allocations count.
    Simulation simulation({.carriers = plan_.carriers,
                           .seed = plan_.seed,
                           .min_runnable = plan_.around != nullptr ? 0 : 1,
                           .observer = observer});
    simulation_ = &simulation;
    internal::RuntimeCore& core = simulation.runtime().core();
    Root* const root = new Root(Hold());
    core.StartRoot(*root);
    if (plan_.act == Act::kAbandon) {
      if (at_[0] == 0) Do(0);
      core.host->AwaitDone(abandoned_);
      // As Runtime::~Runtime(), which waits until there are no roots: in a simulation, somebody has to drive them.
      if (root->done.load(std::memory_order_relaxed) == 0) {
        const Acting acting(plan_.around);
        core.CancelRoots(CancelReason::Kind::kRuntimeExit);
      }
    }
    core.host->AwaitDone(root->done);
    const bool all = acts_ == (at_[0] != kNever) + (at_[1] != kNever);
    if (acts_ > 0 && (all || !plan_.side_by_side)) EXPECT_LE(simulation.now() - last_act_, kMaxShielded);
    if (plan_.act != Act::kAbandon) EXPECT_TRUE(joined_);
    root->Release();
  }

  Task<void> Hold() {
    const Announces announces{*this};
    AwaitAll outer;
    const Exposed exposed(*this, plan_.side_by_side ? kUnused : 1, outer);
    outer.Fork(Own(0));
    if (plan_.side_by_side) outer.Fork(Own(1));
    if (at_[1] == 0 && !plan_.side_by_side) Do(1);
    const Outcome outcome = co_await outer.Join();
    EXPECT_TRUE(outcome.ok()) << outcome.status();
    EXPECT_EQ(Counted::alive, 0) << "a join has returned before all was gone";
    joined_ = true;
    if (at_[1] > steps_ && !plan_.side_by_side) Do(1);
  }

  // Owns the scope that the scenario runs in.
  Task<absl::Status> Own(int i) {
    const Harness harness(*this);
    AwaitAll inner;
    const Exposed exposed(*this, i, inner);
    const auto whole = inner.Fork([this]() -> Task<absl::Status> {
      const Ends ends{leave_};
      co_return co_await scenario_.make();
    });
    const bool mine = at_[i] != kNever && (i == 0 || plan_.side_by_side);
    if (mine && at_[i] <= steps_) Do(i);  // before it begins
    if (plan_.act == Act::kReturn || plan_.act == Act::kClose) {
      co_await leave_.Wait();
      if (plan_.act == Act::kReturn) co_return absl::OkStatus();
      co_return co_await inner.Close(absl::OkStatus());
    }
    const Outcome outcome = co_await inner.Join();
    if (acts_ == 0) EXPECT_EQ(whole.state(), AnySubtask::State::kSuccess);
    if (mine && at_[i] > steps_) Do(i);  // after its end
    co_return outcome.status();
  }

  // ---- What is done, and when.

  void Do(int i) {
    const bool shutdown = i != 0 || plan_.act == Act::kShutdown;
    if (done_[i] || (shutdown && exposed_[i] == nullptr)) return;
    done_[i] = true;
    ++acts_;
    last_act_ = simulation_->now();
    const Acting acting(plan_.around);
    if (!shutdown && plan_.act == Act::kAbandon) return abandoned_.store(1, std::memory_order_relaxed);
    if (!shutdown) return leave_.Set();
    exposed_[i]->RequestShutdown({CancelReason::Kind::kShutdown, 0});
    internal::RunShutdowns(exposed_[i]->runtime);
  }

  void Step() {
    // There has to be something to shut down.
    if (plan_.act == Act::kShutdown && !plan_.side_by_side && exposed_[0] == nullptr) return;
    ++steps_;
    for (int i = 0; i < 2; ++i) {
      if (steps_ == at_[i]) Do(i);
    }
  }

  void OnMount(const ext::ThreadEvent&) noexcept override {
    if (plan_.step == Occasion::kMount) Step();
  }
  void OnUnmount(const ext::ThreadEvent&) noexcept override {
    if (plan_.step == Occasion::kUnmount) Step();
  }
  void OnCheckpoint(uint64_t thread) noexcept override {
    if (harness_.contains(thread)) return;
    if (plan_.step == Occasion::kCheckpoint) Step();
    CheckEnds(*internal::CurrentThread());
  }

  // A thread that is asked to end is at a checkpoint: at one more for each CatchCancelled() around it, and no other.
  void CheckEnds(internal::ThreadBlock& thread) {
    if (!thread.asked()) return;
    int caught = 0;
    // relaxed: all is on one OS thread.
    for (internal::Record* at = thread.records.load(std::memory_order_relaxed); at != nullptr; at = at->outer) {
      if (at->kind == internal::Record::Kind::kShield) return;
      caught += at->kind == internal::Record::Kind::kCatch;
    }
    const auto [left, first] = checkpoints_left_.try_emplace(thread.id, caught);
    if (!first) EXPECT_GE(--left->second, 0) << "virtual thread #" << thread.id << " runs on beyond a checkpoint";
  }

  // ---- The harness's own.

  static constexpr int kUnused = 2;
  // A scope that can be asked to end, as long as it is open.
  struct Exposed {
    Exposed(ScopeRun& exposing, int index, AwaitAll& scope) : run(exposing), i(index) {
      run.exposed_[i] = static_cast<internal::ScopeRecord*>(&scope);
    }
    Exposed(const Exposed&) = delete;
    Exposed& operator=(const Exposed&) = delete;
    ~Exposed() { run.exposed_[i] = nullptr; }
    ScopeRun& run;
    const int i;
  };
  struct Acting {
    explicit Acting(Around* of) : around(of) {
      if (around != nullptr) around->BeginAct();
    }
    Acting(const Acting&) = delete;
    Acting& operator=(const Acting&) = delete;
    ~Acting() {
      if (around != nullptr) around->EndAct();
    }
    Around* const around;
  };
  // A thread that is not the scenario's.
  struct Harness {
    explicit Harness(ScopeRun& run) { run.harness_[internal::CurrentThread()->id] = true; }
  };
  struct Announces {
    explicit Announces(ScopeRun& announcing) : harness(announcing), run(announcing) {}
    Announces(const Announces&) = delete;
    Announces& operator=(const Announces&) = delete;
    ~Announces() { run.abandoned_.store(1, std::memory_order_relaxed); }
    const Harness harness;
    ScopeRun& run;
  };
  // The owner that waits for an event need not wait for ever.
  struct Ends {
    ~Ends() { event.Set(); }
    Event& event;
  };

  const Scenario& scenario_;
  const Plan plan_;
  const std::array<int, 2> at_;
  Simulation* simulation_ = nullptr;
  std::array<internal::ScopeRecord*, 3> exposed_ = {};
  std::array<bool, 2> done_ = {};
  Event leave_;
  internal::Atomic<uint32_t> abandoned_{0};  // or there is nothing left to abandon
  int steps_ = 0;
  int acts_ = 0;
  absl::Duration last_act_;
  bool joined_ = false;
  std::map<uint64_t, bool> harness_;
  std::map<uint64_t, int> checkpoints_left_;
};

}  // namespace weft::testing

#endif  // WEFT_TESTS_CANCEL_SCOPE_RUN_H_

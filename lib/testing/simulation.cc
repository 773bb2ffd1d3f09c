#include "weft/testing/simulation.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <memory_resource>
#include <source_location>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "lib/base/list.h"
#include "lib/cancel/press.h"
#include "lib/driver/backend.h"
#include "lib/driver/driver.h"
#include "lib/os/clock.h"
#include "lib/os/job_pool.h"
#include "lib/os/thread.h"
#include "lib/runtime/chooser.h"
#include "lib/runtime/host.h"
#include "lib/runtime/inspect.h"
#include "lib/runtime/runtime_core.h"
#include "lib/testing/fiber.h"
#include "lib/testing/machine/kernel.h"
#include "lib/testing/simulated_pool.h"
#include "lib/thread/runtime_services.h"
#include "lib/thread/thread_state.h"
#include "lib/timer/deadline.h"
#include "weft/internal/check.h"
#include "weft/internal/job.h"
#include "weft/testing/machine.h"

namespace weft::testing {

using internal::Atomic;
using internal::Carrier;
using internal::Duties;
using internal::Fiber;
using internal::JobPool;
using internal::SimulatedPool;
using internal::machine::Kernel;

namespace {

class VirtualClock final : public internal::Clock {
 public:
  int64_t NowNanos() noexcept override { return now_ns_; }
  int64_t WallNanos() noexcept override { return internal::SaturatedSum(now_ns_, wall_zero_ns_); }
  void SetWall(int64_t time_ns) noexcept {
    if (__builtin_sub_overflow(time_ns, now_ns_, &wall_zero_ns_)) wall_zero_ns_ = INT64_MIN;
  }
  void AdvanceTo(int64_t time_ns) noexcept { now_ns_ = std::max(now_ns_, time_ns); }

 private:
  int64_t now_ns_ = 1;  // 0 stands for "not mounted"
  int64_t wall_zero_ns_ = 1'577'836'800'000'000'000;  // 2020-01-01 UTC, as at first of a machine (wire.h)
};

}  // namespace

// Folds every event into one number, and passes it on.
class Simulation::Trace final : public ext::SchedulingObserver {
 public:
  explicit Trace(ext::SchedulingObserver* next) : next_(next) {}

  // Before anything runs.
  void SetHost(Host& host) noexcept { host_ = &host; }

  void OnStart(const ext::ThreadEvent& event) noexcept override {
    Fold(1, event);
    if (next_ != nullptr) next_->OnStart(event);
  }
  void OnMount(const ext::ThreadEvent& event) noexcept override;
  void OnUnmount(const ext::ThreadEvent& event) noexcept override {
    Fold(3, event);
    NoteWait(event);
    if (next_ != nullptr) next_->OnUnmount(event);
  }
  void OnEnd(const ext::ThreadEvent& event) noexcept override {
    Fold(4, event);
    waits_.erase(event.thread);
    if (next_ != nullptr) next_->OnEnd(event);
  }
  void OnCheckpoint(uint64_t thread) noexcept override;

  // For reports about a thread that waits: " at file.cc:31 for 2s, held by VirtualThread[#3]".
  std::string WaitOf(const internal::ThreadBlock& thread, int64_t now_ns) const {
    const internal::WaitKind* const kind = thread.wait.load(std::memory_order_relaxed);
    const auto found = waits_.find(thread.id);
    if (found == waits_.end() || found->second.in.empty() || kind == nullptr) return "";
    const Wait& wait = found->second;
    std::string text;
    if (wait.at.line() != 0) absl::StrAppend(&text, " at ", wait.at.file_name(), ":", wait.at.line());
    const absl::Duration waited = absl::Nanoseconds(now_ns - wait.since_ns);
    if (waited > absl::ZeroDuration()) absl::StrAppend(&text, " for ", absl::FormatDuration(waited));
    // Only while it is parked what it waits for surely exists.
    const bool parked = thread.state.Observe().phase() == internal::ThreadState::Phase::kParked;
    if (parked && kind->whose != nullptr) absl::StrAppend(&text, kind->whose(thread));
    return text;
  }

  uint64_t hash = 14695981039346656037u;  // FNV-1a
  uint64_t dispatches = 0;

 private:
  struct Wait {
    std::string_view in;  // static
    std::source_location at;
    int64_t since_ns = 0;
  };

  // A join may park several times. Its line is known the first time only.
  void NoteWait(const ext::ThreadEvent& event) noexcept {
    if (event.waits_in.empty()) return;
    Wait& wait = waits_[event.thread];
    if (wait.in == event.waits_in && event.waits_at.line() == 0) return;
    wait = {event.waits_in, event.waits_at, event.time_ns};
  }

  void Fold(uint64_t kind, const ext::ThreadEvent& event) noexcept {
    for (uint64_t word :
         {kind, event.thread, static_cast<uint64_t>(event.carrier), static_cast<uint64_t>(event.time_ns)}) {
      hash = (hash ^ word) * 1099511628211u;
    }
  }

  ext::SchedulingObserver* const next_;
  Host* host_ = nullptr;
  // The last wait of each thread that has not ended. In an arena for some thousand threads, because a test may assert
  // that nothing is allocated.
  static constexpr size_t kArenaBytes = size_t{1} << 19;
  const std::unique_ptr<std::byte[]> arena_ = std::make_unique_for_overwrite<std::byte[]>(kArenaBytes);
  std::pmr::monotonic_buffer_resource chunks_{arena_.get(), kArenaBytes};
  std::pmr::unsynchronized_pool_resource nodes_{&chunks_};
  std::pmr::unordered_map<uint64_t, Wait> waits_{&nodes_};
};

// One fiber for each carrier. The OS thread runs them while it waits for something itself, like the end of a Run().
class Simulation::Host final : public internal::Host {
 public:
  Host(const Trace& trace, std::shared_ptr<internal::Backend> backend, const JobPool::Options& calls, Kernel* machine,
       SimulationOptions options)
      : chooser(options.seed),
        trace_(trace),
        backend_(std::move(backend)),
        machine_(machine),
        options_(std::move(options)),
        turn_ns_(absl::ToInt64Nanoseconds(options_.turn_time)),
        calls_(std::make_shared<SimulatedPool>(calls, clock, /*runtime=*/nullptr)),
        pools_{calls_} {}
  ~Host() override { ClosePools(); }

  bool StartCarrier(Carrier& carrier, absl::Status* why) noexcept override {
    if (backend_ != nullptr) {
      absl::StatusOr<std::unique_ptr<internal::Driver>> driver = backend_->NewDriver();
      if (!driver.ok()) {
        if (why != nullptr) *why = driver.status();
        return false;
      }
      DriverOf(carrier) = *std::move(driver);
    }
    seats_.push_back(std::make_unique<Seat>(carrier));
    return true;
  }

  void Park(Carrier& carrier, int64_t deadline_ns) noexcept override {
    Seat& seat = *seats_[IndexOf(carrier)];
    if (!seat.rung) {
      seat.parked = true;
      seat.deadline_ns = deadline_ns;
      Fiber::SwitchBack();
      seat.parked = false;
    }
    seat.rung = false;
    if (DriverOf(carrier) != nullptr) DriverOf(carrier)->Poll(0);
  }
  void Ring(Carrier& carrier) noexcept override { seats_[IndexOf(carrier)]->rung = true; }
  void BetweenSteps(Carrier&) noexcept override { Fiber::SwitchBack(); }

  void AwaitDone(Atomic<uint32_t>& done) noexcept override { AwaitChange(done, 0); }
  // By the OS thread: runs what there is meanwhile. By a job: waits like a carrier that is parked.
  void AwaitChange(Atomic<uint32_t>& word, uint32_t expected) noexcept override {
    if (running_ != nullptr) return running_->Await(word, expected);
    // The OS thread may itself be in a call, of a runtime around this one.
    const internal::CallOrigin outside = internal::ExchangeCallOrigin({});
    const bool was_open = !core->roots.closed();  // closed: the runtime ends, which is one run, however often it looks
    if (was_open || !ends_) Begin();
    ends_ = !was_open;
    // relaxed: all carriers are one OS thread.
    while (word.load(std::memory_order_relaxed) == expected) RunOne();
    if (was_open && stage_ != Stage::kRuns) core->roots.Reopen();  // for the next Run()
    internal::ExchangeCallOrigin(outside);
  }
  // relaxed: as above.
  void AnnounceDone(Atomic<uint32_t>& done) noexcept override { done.store(1, std::memory_order_relaxed); }

  // A driver's descriptors and memory are shared with the parent.
  bool SurvivesFork() const noexcept override { return backend_ == nullptr; }
  bool SeedDecides() const noexcept override { return true; }

  bool StartJob(internal::Job& job) noexcept override { return calls_->Submit(job); }
  bool WithdrawJob(internal::Job& job) noexcept override { return calls_->Withdraw(job); }
  int JobThreads() noexcept override { return calls_->workers(); }
  std::shared_ptr<JobPool> MakePool(const JobPool::Options& options) override {
    std::erase_if(pools_, [](const auto& pool) { return pool.use_count() == 1 && pool->idle(); });
    return pools_.emplace_back(std::make_shared<SimulatedPool>(options, clock, core));
  }
  void YieldInJob() noexcept override {
    ++job_yields_;
    OnStep();
    Fiber::SwitchBack();
  }
  // Goes on with the job, if one runs, after that time.
  void PauseInJob(int64_t nanos) noexcept {
    if (running_ != nullptr) running_->Pause(nanos);
  }

  void JoinCarriers() noexcept override {
    for (bool running = true; running;) {
      running = false;
      for (std::unique_ptr<Seat>& seat : seats_) {
        if (seat->fiber.done()) continue;
        running = true;
        Enter(*seat);
      }
    }
    for (std::unique_ptr<Seat>& seat : seats_) DriverOf(seat->carrier).reset();
    seats_.clear();
    ClosePools();
  }

  // Some thread has begun a turn.
  void OnTurn() noexcept {
    clock.AdvanceTo(std::min(clock.NowNanos(), INT64_MAX - turn_ns_) + turn_ns_);
    OnStep();
  }
  // The same, or it has passed a checkpoint.
  void OnStep() noexcept {
    if (++steps_ <= free_steps_) return;
    free_steps_ = std::max(kFreeSteps, kFreeStepsPerThread * core->Counts().threads);
    if (steps_ > free_steps_) clock.AdvanceTo(clock.NowNanos() + kStepNanos);
  }

  internal::RuntimeCore* core = nullptr;
  VirtualClock clock;
  internal::XorShiftChooser chooser;

 private:
  // Threads that run on and on, so that never all carriers are parked, may wait for time to pass. So after that many
  // steps each further step takes about the time that it takes in production.
  static constexpr int64_t kFreeSteps = 10'000;
  static constexpr int64_t kFreeStepsPerThread = 100;  // that is alive
  static constexpr int64_t kStepNanos = 100;

  struct Seat {
    explicit Seat(Carrier& seated)
        : carrier(seated),
          name(absl::StrCat("carrier ", IndexOf(seated), " of a simulation")),
          fiber([this] { RunCarrier(carrier); }, internal::Thread::StackBytes(), name.c_str()) {}
    Carrier& carrier;
    const std::string name;
    Fiber fiber;
    bool parked = false;
    bool rung = false;
    int64_t deadline_ns = INT64_MAX;
  };

  void ClosePools() noexcept {
    for (const std::shared_ptr<SimulatedPool>& pool : pools_) pool->Close();
  }
  void EnterJob(uint32_t chosen) {
    for (const std::shared_ptr<SimulatedPool>& each : pools_) {
      const uint32_t able = each->Able();
      if (chosen < able) {
        running_ = each.get();  // `pools_` may be changed meanwhile
        running_->Enter(chosen);
        running_ = nullptr;
        return;
      }
      chosen -= able;
    }
  }

  bool CanRun(const Seat& seat) noexcept {
    return !seat.fiber.done() && (!seat.parked || seat.rung || seat.deadline_ns <= clock.NowNanos());
  }

  void Enter(Seat& seat) {
    internal::ExchangeCarrier(&seat.carrier);
    seat.fiber.SwitchTo();
    internal::ExchangeCarrier(nullptr);
  }

  // How much time, and how many turns, a Run() may take from here on.
  void SetLimits() noexcept {
    // Saturates, both times.
    const int64_t max_ns = absl::ToInt64Nanoseconds(options_.max_time);
    const int64_t now_ns = clock.NowNanos();
    time_limit_ns_ = max_ns < INT64_MAX - now_ns ? now_ns + max_ns : INT64_MAX;
    const uint64_t left = UINT64_MAX - Turns();
    turn_limit_ = options_.max_turns < left ? Turns() + options_.max_turns : UINT64_MAX;
  }
  // A function of Blocking() that asks whether it is to end may do so without end, like a thread that yields.
  uint64_t Turns() const noexcept { return trace_.dispatches + job_yields_; }

  void Begin() noexcept {
    SetLimits();
    stage_ = Stage::kRuns;
    core->shields_lifted = false;
  }

  void RunOne() {
    if (machine_ != nullptr) machine_->surroundings.wire.RunDue();
    if (++runs_ % Duties::kDispatchesPerPoll == 0) PollParked();
    if (Turns() >= turn_limit_) {
      return Stuck(absl::StrCat("limit: ", options_.max_turns, " turns of virtual threads in one Run()"));
    }
    if (clock.NowNanos() > time_limit_ns_) {
      return Stuck(absl::StrCat("limit: ", absl::FormatDuration(options_.max_time), " of virtual time in one Run()"));
    }
    uint32_t able = 0;
    for (std::unique_ptr<Seat>& seat : seats_) able += CanRun(*seat);
    uint32_t able_jobs = 0;
    for (const std::shared_ptr<SimulatedPool>& pool : pools_) able_jobs += pool->Able();
    if (able + able_jobs == 0) return Advance();
    uint32_t chosen = chooser.Choose(able + able_jobs);
    if (chosen >= able) return EnterJob(chosen - able);
    for (std::unique_ptr<Seat>& seat : seats_) {
      if (CanRun(*seat) && chosen-- == 0) return Enter(*seat);
    }
  }

  // All carriers are parked: waits for the kernel first, then lets time pass.
  void Advance() {
    steps_ = 0;
    constexpr int64_t kKernelPatienceNanos = 200'000;
    int64_t next = INT64_MAX;
    int64_t in_flight = 0;
    for (std::unique_ptr<Seat>& seat : seats_) {
      next = std::min(next, seat->deadline_ns);
      if (DriverOf(seat->carrier) != nullptr) in_flight += DriverOf(seat->carrier)->in_flight();
    }
    for (const std::shared_ptr<SimulatedPool>& pool : pools_) next = std::min(next, pool->NextNanos());
    // A machine has nothing to report that it does not know of.
    int64_t patience_ns = next == INT64_MAX ? 50 * kKernelPatienceNanos : kKernelPatienceNanos;
    if (machine_ != nullptr) {
      next = std::min(next, machine_->surroundings.wire.NextNanos());
      patience_ns = 0;
    }
    if (in_flight > 0 && PollAll(patience_ns)) return;
    if (next != INT64_MAX) return clock.AdvanceTo(next <= time_limit_ns_ ? next : time_limit_ns_ + 1);
    if (machine_ != nullptr) in_flight = 0;  // they wait for what nobody will do
    // The children of a cancelled thread may wait for something that the thread releases when its frame is destroyed.
    if (in_flight == 0 && !PressOneDrain(*core)) {
      Stuck("deadlock: all virtual threads are parked, with no timer and no I/O");
    }
  }

  // Completions reach a sleeping carrier also while others run, like in production, where the kernel wakes it.
  void PollParked() {
    for (std::unique_ptr<Seat>& seat : seats_) {
      if (seat->parked && DriverOf(seat->carrier) != nullptr && DriverOf(seat->carrier)->in_flight() > 0)
        Poll(*seat, 0);
    }
  }

  // True if something came.
  bool Poll(Seat& seat, int64_t timeout_ns) {
    internal::ExchangeCarrier(&seat.carrier);
    const bool came = DriverOf(seat.carrier)->Poll(timeout_ns) > 0;
    internal::ExchangeCarrier(nullptr);
    seat.rung |= came;
    return came;
  }

  // True if something came.
  bool PollAll(int64_t patience_ns) {
    bool came = false;
    for (int64_t timeout : {int64_t{0}, patience_ns}) {
      for (std::unique_ptr<Seat>& seat : seats_) {
        if (DriverOf(seat->carrier) == nullptr || (timeout > 0 && DriverOf(seat->carrier)->in_flight() == 0))
          continue;
        came |= Poll(*seat, timeout);
        if (came && timeout > 0) return true;
      }
      if (came || patience_ns == 0) return came;
    }
    return false;
  }

  // What was done so far to end a Run() that does not end by itself.
  enum class Stage : uint8_t { kRuns, kAsked, kUnshielded };

  // The Run() does not end by itself.
  void Stuck(const std::string& why) {
    constexpr const char* kSoFar[] = {"", "; all were asked to end before, and now shields hide nothing any more",
                                      "; all were asked to end, shields hide nothing any more, and nothing ends them"};
    const std::string report =
        absl::StrCat(why, kSoFar[static_cast<int>(stage_)], "\n",
                     DescribeThreads(*core, [this](const internal::ThreadBlock& thread) {
                       return trace_.WaitOf(thread, clock.NowNanos());
                     }));
    WEFT_CHECK(options_.on_deadlock != nullptr && stage_ != Stage::kUnshielded) << report;
    options_.on_deadlock(report);
    SetLimits();
    if (stage_ == Stage::kRuns) {
      stage_ = Stage::kAsked;
      core->CancelRoots(CancelReason::Kind::kRuntimeExit);
    } else {
      stage_ = Stage::kUnshielded;
      LiftShields(*core);
    }
  }

  const Trace& trace_;
  const std::shared_ptr<internal::Backend> backend_;
  Kernel* const machine_;  // null: there is none
  const SimulationOptions options_;
  const int64_t turn_ns_;
  int64_t steps_ = 0;  // since all were parked
  int64_t free_steps_ = kFreeSteps;
  uint64_t runs_ = 0;   // of carriers
  uint64_t job_yields_ = 0;
  Stage stage_ = Stage::kRuns;
  bool ends_ = false;
  int64_t time_limit_ns_ = INT64_MAX;
  uint64_t turn_limit_ = UINT64_MAX;
  std::vector<std::unique_ptr<Seat>> seats_;
  // For Blocking(); and those of executors.
  const std::shared_ptr<SimulatedPool> calls_;
  std::vector<std::shared_ptr<SimulatedPool>> pools_;
  SimulatedPool* running_ = nullptr;  // one of its jobs runs
};

void Simulation::Trace::OnMount(const ext::ThreadEvent& event) noexcept {
  Fold(2, event);
  ++dispatches;
  host_->OnTurn();
  if (next_ != nullptr) next_->OnMount(event);
}

void Simulation::Trace::OnCheckpoint(uint64_t thread) noexcept {
  Fold(5, {thread, {}, 0, 0});
  host_->OnStep();
  if (next_ != nullptr) next_->OnCheckpoint(thread);
}

Simulation::Simulation(SimulationOptions options)
    : trace_(std::make_unique<Trace>(options.observer)),
      machine_(options.machine == nullptr ? nullptr : options.machine->kernel_.get()) {
  const absl::Duration turn_time = options.turn_time;
  WEFT_CHECK(turn_time >= absl::ZeroDuration() && turn_time < absl::InfiniteDuration())
      << "a turn takes " << absl::FormatDuration(turn_time) << " in this simulation: a time from zero on, with an end";
  WEFT_CHECK(machine_ == nullptr || machine_ == Kernel::Here()) << "a simulation on the machine of another OS thread";
  WEFT_CHECK(machine_ == nullptr || !machine_->surroundings.wire.has_clock())
      << "a second simulation is made on a machine while the first one is still there; destroy that one before "
         "(reset() of a pointer comes before make_unique())";
  std::optional<IoBackend> io = options.io;
  if (machine_ != nullptr) io = IoBackend::kEpoll;
  std::shared_ptr<internal::Backend> backend;
  if (io.has_value()) {
    absl::StatusOr<std::shared_ptr<internal::Backend>> made = internal::NewBackend(*io, options.carriers);
    WEFT_CHECK(made.ok()) << made.status().ToString();
    backend = *std::move(made);
  }
  internal::RuntimeConfig config;
  config.parallelism = options.carriers;
  config.max_pool_size = std::max(options.max_pool_size, options.carriers);
  config.min_runnable = options.min_runnable;
  if (options.on_uncaught_failure) {
    config.on_uncaught_failure = std::make_shared<const UncaughtFailureHandler>(options.on_uncaught_failure);
  }
  const JobPool::Options calls = {
      .name = "weft-call", .max_workers = config.max_pool_size, .max_queued = config.max_queued_calls};
  auto host = std::make_unique<Host>(*trace_, backend, calls, machine_, std::move(options));
  host_ = host.get();
  if (machine_ != nullptr) {
    host_->clock.SetWall(machine_->surroundings.wire.WallNanos());
    machine_->surroundings.wire.SetClock(&host_->clock);
    machine_->pause = [host = host_](int64_t nanos) { host->PauseInJob(nanos); };
  }
  trace_->SetHost(*host_);
  config.clock = &host_->clock;
  config.chooser = &host_->chooser;
  config.observer = trace_.get();
  config.backend = std::move(backend);
  auto core = std::make_unique<internal::RuntimeCore>(std::move(config), std::move(host));
  host_->core = core.get();
  const absl::Status started = core->Start();
  WEFT_CHECK(started.ok()) << started.ToString();
  runtime_ = std::make_unique<Runtime>(std::move(core));
}

// What still runs is asked to end while time passes on the machine and it answers: an end may close a connection, which
// takes time, or clean up.
Simulation::~Simulation() {
  internal::RuntimeCore& core = *host_->core;
  if (machine_ == nullptr || core.OnCarrier()) return;  // the latter is a CHECK of ~Runtime()
  if (!core.inherited()) {
    core.CancelRoots(CancelReason::Kind::kRuntimeExit);
    core.roots.AwaitNone(*host_);
  }
  machine_->pause = nullptr;
  machine_->surroundings.wire.SetClock(nullptr);
}

Runtime& Simulation::runtime() noexcept { return *runtime_; }
absl::Duration Simulation::now() const noexcept { return absl::Nanoseconds(host_->clock.NowNanos() - 1); }
void Simulation::SetWallClock(absl::Time time) {
  host_->clock.SetWall(absl::ToUnixNanos(time));
  host_->core->clock_watch.ClockWasSet();
}

uint64_t Simulation::trace_hash() const noexcept { return trace_->hash; }
uint64_t Simulation::dispatches() const noexcept { return trace_->dispatches; }

}  // namespace weft::testing

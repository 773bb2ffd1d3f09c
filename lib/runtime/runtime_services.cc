#include "lib/thread/runtime_services.h"

#include <algorithm>
#include <cstdint>
#include <exception>
#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "lib/base/list.h"
#include "lib/cancel/cancel_request.h"
#include "lib/runtime/carrier.h"
#include "lib/runtime/pinned_run.h"
#include "lib/runtime/runtime_core.h"
#include "lib/thread/join_count.h"
#include "lib/thread/pinned.h"
#include "lib/thread/thread_state.h"
#include "lib/timer/timer_wheel.h"
#include "lib/timer/wall_timers.h"
#include "weft/deadline.h"
#include "weft/internal/check.h"
#include "weft/internal/scope_record.h"
#include "weft/internal/thread_block.h"
#include "weft/internal/wait.h"

namespace weft::internal {
namespace {

// Whose call runs on this OS thread. initial-exec: like current_carrier.
[[gnu::tls_model("initial-exec")]] constinit thread_local CallOrigin call_origin;

}  // namespace

const void* CurrentCarrier() noexcept { return Carrier::Current(); }

void CountPinned(int change) noexcept { Carrier::Current()->pinned_threads += change; }

CallOrigin ExchangeCallOrigin(CallOrigin origin) noexcept { return std::exchange(call_origin, origin); }

ThreadBlock* CallingThread() noexcept { return call_origin.thread; }

const Atomic<bool>* CallAsked() noexcept { return call_origin.asked; }

RuntimeCore* RuntimeAround() noexcept {
  const Carrier* const carrier = Carrier::Current();
  return carrier != nullptr ? &carrier->runtime : call_origin.runtime;
}

// A host that runs carriers and other jobs on this OS thread lets them run meanwhile, and keeps the origin of each.
void YieldInCall() noexcept {
  if (Carrier::Current() == nullptr && call_origin.runtime != nullptr) call_origin.runtime->host->YieldInJob();
}

std::shared_ptr<JobPool> MakeJobPool(RuntimeCore& runtime, const JobPool::Options& options) {
  return runtime.host->MakePool(options);
}

void CheckSameWorld(const JobPool& pool) noexcept {
  WEFT_CHECK(!pool.over()) << "work for a ThreadPoolExecutor whose simulation has ended";
  const RuntimeCore* const runtime = RuntimeAround();
  if (runtime == nullptr) return;  // an OS thread, perhaps between two runs of the pool's simulation
  const RuntimeCore* const simulation = runtime->host->SeedDecides() ? runtime : nullptr;
  WEFT_CHECK(pool.simulation() == simulation)
      << "a ThreadPoolExecutor is used " << (simulation != nullptr ? "in a simulation, and was not made there" :
         "outside of the simulation that it was made in") << "; a pool is for the simulation in which it is made";
}

WithoutCurrentThread::WithoutCurrentThread() noexcept
    : current_(Carrier::Current() == nullptr ? nullptr : std::exchange(Carrier::Current()->current, nullptr)) {}

void LeaveCurrentThread() noexcept { Carrier::Current()->current = nullptr; }

WithoutCurrentThread::~WithoutCurrentThread() {
  if (Carrier* const carrier = Carrier::Current()) carrier->current = current_;
}

OutsideCall::OutsideCall(RuntimeCore& runtime) noexcept : runtime_(runtime.OnCarrier() ? nullptr : &runtime) {
  // relaxed: what it is about to wake is still parked, so the runtime still exists.
  if (runtime_ != nullptr) runtime_->outside_calls.fetch_add(1, std::memory_order_relaxed);
}

OutsideCall::~OutsideCall() {
  // [outside/1] release: pairs with [outside/2], in the destructor of the runtime. The last touch.
  if (runtime_ != nullptr) runtime_->outside_calls.fetch_sub(1, std::memory_order_release);
}

bool TellUncaughtHandler(const char* where, const absl::Status& status, const std::exception_ptr& exception) noexcept {
  const Carrier* const carrier = Carrier::Current();
  if (carrier == nullptr || carrier->runtime.config.on_uncaught_failure == nullptr) return false;
  (*carrier->runtime.config.on_uncaught_failure)(where, status, exception);
  return true;
}

// Like the end of a child that had a turn of its own (InPlaceJoins::CountEnd), but on any OS thread: the owner is made
// runnable, and never resumed here.
void EndCounted(ScopeRecord& scope) noexcept {
  ThreadBlock& owner = *scope.owner;
  RuntimeCore& runtime = scope.runtime;
  switch (scope.children.End()) {
    case JoinCount::Last::kNo:
      return;
    case JoinCount::Last::kRing:
      return runtime.carriers.RingBlocked();  // the scope may be gone
    case JoinCount::Last::kResume:
      break;
  }
  if (scope.owner_parked) {
    Wake(owner);
  } else if (CompleteJoin(scope)) {
    CountWake(runtime);
    MakeRunnable(owner);
  }
}

uint32_t Choose(uint32_t count) noexcept { return Carrier::Current()->runtime.Choose(count); }
bool SeedDecides() noexcept { return Carrier::Current()->runtime.host->SeedDecides(); }

namespace {

[[gnu::cold, gnu::noinline]] void MakePinnedRunnable(RuntimeCore& runtime, ThreadBlock& thread) noexcept {
  const RuntimeHold hold(runtime);  // like below
  runtime.QueuePinned(thread);
}

// A woken thread goes to the waker's deque: the data that it was woken for is in this processor's cache.
[[gnu::always_inline]] inline void MakeRunnableOn(Carrier& carrier, ThreadBlock& thread) noexcept {
  if (IsPinned(thread)) [[unlikely]]
    return MakePinnedRunnable(carrier.runtime, thread);
  carrier.queue.PushWoken(thread);
  carrier.queue.NotifyPushed();
}

// By no carrier of the runtime.
void MakeRunnableOutside(RuntimeCore& runtime, ThreadBlock& thread) noexcept {
  if (IsPinned(thread)) return MakePinnedRunnable(runtime, thread);
  // Once it is in the queue, the thread and its root may end, and a caller that waits for the root may destroy the
  // runtime.
  runtime.roots.Hold();
  runtime.injected.Push(thread);
  runtime.NotifyWork();
  runtime.roots.Gone();
}

// In a child of fork(), a thread of the parent is memory that nobody runs, and a lock on the way to it may be held by a
// thread that is not there.
[[gnu::noinline]] void WakeOutside(RuntimeCore& runtime, ThreadBlock& thread) noexcept {
  if (runtime.inherited()) return;
  const OutsideCall call(runtime);
  if (thread.state.Wake() != ThreadState::WakeOutcome::kSchedule) return;
  CountWake(runtime);
  MakeRunnableOutside(runtime, thread);
}

}  // namespace

// Called by the one thread that owns `thread`, which must not touch it afterwards: it may be running by then.
void MakeRunnable(ThreadBlock& thread) noexcept {
  RuntimeCore& runtime = thread.runtime();
  Carrier* const carrier = Carrier::Current();
  carrier != nullptr && &carrier->runtime == &runtime ? MakeRunnableOn(*carrier, thread)
                                                      : MakeRunnableOutside(runtime, thread);
}

void Wake(ThreadBlock& thread) noexcept {
  RuntimeCore& runtime = thread.runtime();
  Carrier* const carrier = Carrier::Current();
  if (carrier == nullptr || &carrier->runtime != &runtime) return WakeOutside(runtime, thread);
  if (thread.state.Wake() != ThreadState::WakeOutcome::kSchedule) return;
  CarrierCounters::Add(carrier->counters.wakes);
  MakeRunnableOn(*carrier, thread);
}

void WakeCancelled(ThreadBlock& thread) noexcept {
  // A plain write: while its one wake-up is on the way no other thread owns it, and Wake() publishes the write.
  thread.unwind = true;
  Wake(thread);
}

void CountWake(RuntimeCore& runtime) noexcept {
  Carrier* carrier = Carrier::Current();
  if (carrier != nullptr && &carrier->runtime == &runtime) {
    CarrierCounters::Add(carrier->counters.wakes);
  } else {
    runtime.outside_wakes.fetch_add(1, std::memory_order_relaxed);
  }
}

void WakeFromOutside(ThreadBlock& thread) noexcept {
  RuntimeCore& runtime = thread.runtime();
  if (runtime.inherited()) return;  // like WakeOutside()
  const OutsideCall call(runtime);
  CountWake(runtime);
  MakeRunnable(thread);
}

void PrepareThread(ThreadBlock& thread, RuntimeCore& runtime, ThreadIdentity* identity) noexcept {
  Carrier* const carrier = Carrier::Current();
  const uint64_t id = carrier != nullptr && &carrier->runtime == &runtime
                          ? carrier->NextThreadIds(1)
                          : runtime.next_thread_id.fetch_add(1, std::memory_order_relaxed);
  thread.Place(runtime, id, identity);
}

void RegisterThread(ThreadBlock& thread) noexcept {
  if (ScopeRecord* const scope = thread.home()) return scope->Register(thread);
  thread.runtime().roots.Register(thread);
}

// Counts the thread and tells the observer before the thread can run. InPlaceJoins::StartHere() does the same on the
// fast path of a fork.
void StartThread(ThreadBlock& thread) noexcept {
  RuntimeCore& runtime = thread.runtime();
  Carrier* carrier = Carrier::Current();
  const bool inside = runtime.OnCarrier();
  if (inside) {
    CarrierCounters::Add(carrier->counters.started);
  } else {
    runtime.outside_starts.fetch_add(1, std::memory_order_relaxed);
  }
  if (ext::SchedulingObserver* observer = runtime.config.observer) {
    observer->OnStart({thread.id, thread.DisplayName(), inside ? static_cast<int>(carrier->index) : -1, runtime.Now()});
  }
  MakeRunnable(thread);
}

void CheckRunsHere(const RuntimeCore& runtime) noexcept {
  WEFT_CHECK(!runtime.inherited())
      << "a virtual thread is started in a child of fork() on a runtime that was started before the fork, and whose "
         "carriers are threads of the parent only; start one here with Runtime::Create()";
}

void BeginUnscoped(RuntimeCore& runtime) noexcept { runtime.roots.HoldUnscoped(); }
void EndUnscoped(RuntimeCore& runtime) noexcept { runtime.roots.UnscopedGone(); }
void StartUnlisted(ThreadBlock& thread, RuntimeCore& runtime) noexcept {
  runtime.roots.HoldUnscoped();
  if (!runtime.OnCarrier()) return StartThread(thread);
  Carrier::Current()->StartHere(thread);
}
void ListRoot(ThreadBlock& root) noexcept { root.runtime().roots.Add(root); }
void ListUnstarted(ThreadBlock& root) noexcept { root.runtime().roots.AddUnstarted(root); }
void UnlistRoot(RuntimeCore& runtime, ThreadBlock& root) noexcept { runtime.roots.Remove(root); }

SharedUncaughtHandler UncaughtHandlerOf(const RuntimeCore& runtime) noexcept {
  return runtime.config.on_uncaught_failure;
}

RuntimeHold::RuntimeHold(RuntimeCore& runtime) noexcept : runtime_(runtime) { runtime.roots.Hold(); }
RuntimeHold::~RuntimeHold() { runtime_.roots.Gone(); }
void RuntimeHold::AwaitChange(Atomic<uint32_t>& word, uint32_t expected) noexcept {
  runtime_.host->AwaitChange(word, expected);
}

void EnqueueShutdown(RuntimeCore& runtime, ScopeRecord& scope) noexcept { runtime.cancel_queue.Enqueue(scope); }

void RunShutdowns(RuntimeCore& runtime, uint64_t asked) noexcept {
  constexpr int kMaxBatches = 16;
  for (int i = 0; i < kMaxBatches && runtime.cancel_queue.RunBatch(Carrier::kShutdownBatch); ++i) {
  }
  // An OS thread that is no carrier calls the callbacks too, because all carriers may be held; but only those of its
  // own request, since the caller may hold a lock that another one takes. A carrier calls them between its threads, and
  // not here, above user code, for the same reason.
  if (Carrier::Current() != nullptr) return;
  if (asked != 0) return runtime.cancel_queue.RunStopCallbacksFor(asked, kMaxBatches);
  for (int i = 0; i < kMaxBatches && runtime.cancel_queue.RunStopCallbacks(); ++i) {
  }
}

void RunShutdownBatch(RuntimeCore& runtime) noexcept { runtime.cancel_queue.RunBatch(InPlaceJoins::kShutdownBatch); }

void RequestFromOutside(ThreadBlock& thread, Boundary& target, const CancelCause& cause) noexcept {
  RuntimeCore& runtime = thread.runtime();
  const OutsideCall call(runtime);
  RequestCancel(thread, target, cause);
  RunShutdowns(runtime, thread.id);
}

bool BeginPressed(RuntimeCore& runtime, uint32_t& seen, bool urgent) noexcept {
  // relaxed: numbers, which order nothing.
  const uint32_t changes = runtime.pressed_changes.load(std::memory_order_relaxed);
  const bool stands = std::exchange(seen, changes) == changes;
  const int owners = runtime.pressed.fetch_add(1, std::memory_order_relaxed) + 1;
  // In a simulation nothing depends on how many carriers there may be.
  if (runtime.config.chooser == nullptr && !runtime.carriers.MayHoldForPermit(owners, urgent && stands)) {
    runtime.pressed.fetch_sub(1, std::memory_order_relaxed);
    return false;
  }
  runtime.pressed_changes.fetch_add(1, std::memory_order_relaxed);
  return true;
}

void EndPressed(RuntimeCore& runtime) noexcept {
  // relaxed: as above
  runtime.pressed.fetch_sub(1, std::memory_order_relaxed);
  runtime.pressed_changes.fetch_add(1, std::memory_order_relaxed);
}

bool ShieldsLifted(const RuntimeCore& runtime) noexcept { return runtime.shields_lifted; }

void RunThreadsUntilOver(const PinnedWait& wait) noexcept { RunUntilOver(*Carrier::Current(), wait); }

void RingHeld(RuntimeCore& runtime) noexcept { runtime.carriers.RingBlocked(); }

void RunDescendantsUntilDrained(ScopeRecord& scope) noexcept {
  RunDescendantsUntilDrained(Carrier::Require("the destruction of a scope with children"), scope);
}

int64_t CallersNow() noexcept {
  YieldInCall();
  RuntimeCore* const runtime = RuntimeAround();
  return runtime != nullptr ? runtime->Now() : Clock::Real().NowNanos();
}

int64_t NowOf(RuntimeCore& runtime) noexcept { return runtime.Now(); }

int64_t WallNowOf(RuntimeCore& runtime) noexcept { return runtime.config.clock->WallNanos(); }

void ArmTimer(TimerNode& timer, int64_t deadline_ns) noexcept {
  Carrier::Current()->duties.timers.Insert(timer, deadline_ns);
}

void ArmDeadline(DeadlineTimer& timer, Deadline deadline) noexcept {
  Duties& duties = Carrier::Current()->duties;
  // "Never" is the same on both clocks, whoever sets one.
  if (deadline.is_wall() && deadline.time_ns() != TimerWheel::kNoDeadline) {
    return duties.wall_timers.Arm(timer, deadline.time_ns());
  }
  WallTimers::ArmMonotonic(timer, duties.timers, deadline.time_ns());
}

bool HasPassed(Deadline deadline) noexcept {
  if (deadline.time_ns() == TimerWheel::kNoDeadline) return false;  // also by a wall clock that stands there
  return (deadline.is_wall() ? RuntimeWallNow() : RuntimeNow()) >= deadline.time_ns();
}

void ArmTimerOf(RuntimeCore& runtime, TimerNode& timer, int64_t deadline_ns) noexcept {
  if (runtime.OnCarrier()) return ArmTimer(timer, deadline_ns);
  // The caller is no carrier. The carrier is rung, in case it sleeps for longer.
  Carrier& carrier = runtime.carrier(0);
  carrier.duties.timers.Insert(timer, deadline_ns);
  runtime.host->Ring(carrier);
}

void MoveTimerOf(RuntimeCore& runtime, TimerNode& timer, int64_t deadline_ns) noexcept {
  if (!timer.wheel->Move(timer, deadline_ns)) return;
  for (uint32_t i = 0; i < runtime.carrier_count(); ++i) {
    Carrier& carrier = runtime.carrier(i);
    if (&carrier.duties.timers == timer.wheel) return runtime.host->Ring(carrier);
  }
}

bool StartOperation(Operation& operation) noexcept { return Carrier::Current()->duties.driver->Start(operation); }

std::shared_ptr<Backend> RuntimeBackend() noexcept { return Carrier::Require("I/O").runtime.config.backend; }

const Backend* CurrentBackend() noexcept { return Carrier::Require("I/O").runtime.config.backend.get(); }

void VisitBackends(void (*visit)(Backend& backend, void* argument), void* argument) noexcept {
  struct Visit {
    void (*visit)(Backend& backend, void* argument);
    void* argument;
  } call = {visit, argument};
  RuntimeCore::ForEach(
      [](RuntimeCore& runtime, void* with) {
        const auto& [visit_one, its_argument] = *static_cast<const Visit*>(with);
        if (runtime.config.backend != nullptr) visit_one(*runtime.config.backend, its_argument);
      },
      &call);
}

}  // namespace weft::internal

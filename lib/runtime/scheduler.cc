#include "weft/internal/scheduler.h"

#include <coroutine>
#include <cstdint>
#include <memory>
#include <utility>

#include "lib/cancel/cancel_request.h"
#include "lib/runtime/carrier.h"
#include "lib/runtime/pinned_run.h"
#include "lib/runtime/runtime_core.h"
#include "lib/thread/join_count.h"
#include "lib/thread/thread_state.h"
#include "lib/timer/timer_wheel.h"
#include "weft/internal/check.h"
#include "weft/internal/scope_record.h"
#include "weft/internal/thread_block.h"

namespace weft::internal {

namespace {

[[noreturn, gnu::cold, gnu::noinline]] void DieOutsideThread(const char* what) noexcept {
  WEFT_CHECK(CurrentThread() != nullptr) << what << " outside a virtual thread; start one with weft::Run(task)";
  __builtin_unreachable();
}

Carrier& RequireCarrier(const char* what) noexcept {
  Carrier* carrier = Carrier::Current();
  if (carrier == nullptr || carrier->current == nullptr) [[unlikely]]
    DieOutsideThread(what);
  return *carrier;
}

}  // namespace

// Not inlined, and opaque even to link-time optimisation: a coroutine that calls it before and after a suspension may
// be on two OS threads, and the compiler must not keep the address of the variable, or its value.
[[gnu::noinline]] ThreadBlock* CurrentThread() noexcept {
  asm volatile("");
  Carrier* carrier = Carrier::Current();
  return carrier == nullptr ? nullptr : carrier->current;
}

const void* CurrentCarrier() noexcept { return Carrier::Current(); }

uint64_t CurrentThreadId() noexcept {
  const ThreadBlock* const thread = CurrentThread();
  return thread == nullptr ? 0 : thread->id;
}

WithoutCurrentThread::WithoutCurrentThread() noexcept
    : current_(Carrier::Current() == nullptr ? nullptr : std::exchange(Carrier::Current()->current, nullptr)) {}

WithoutCurrentThread::~WithoutCurrentThread() {
  if (Carrier* const carrier = Carrier::Current()) carrier->current = current_;
}

ThreadBlock& RequireThread(const char* what) noexcept { return *RequireCarrier(what).current; }

bool AtCheckpoint() noexcept { return RequireCarrier("co_await of a wait").AtCheckpoint(); }

bool EnterWait(AwaitingFrame frame, const WaitKind& kind, void* waiting_on) noexcept {
  return Carrier::Current()->EnterWait(frame, kind, waiting_on);
}

bool EnterBoundary(PromiseBase& frame) noexcept { return Carrier::Current()->EnterBoundary(frame); }

std::coroutine_handle<> GoOnWith(PromiseBase& frame, bool may_go_on) noexcept {
  return Carrier::Current()->GoOnWith(frame, may_go_on);
}

void YieldInstead() noexcept { Carrier::Current()->action = Action::kYield; }

void GoOnInstead() noexcept { Carrier::Current()->action = Action::kGone; }

void ChargeAcceptOnly() noexcept { Carrier::Current()->ChargeAcceptOnly(); }

std::coroutine_handle<> AwaitChildren(ScopeRecord& scope, AwaitingFrame frame) noexcept {
  return RequireCarrier("co_await of a join").AwaitChildren(scope, frame);
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
      return runtime.RingBlocked();  // the scope may be gone
    case JoinCount::Last::kResume:
      break;
  }
  if (scope.owner_parked) {
    Wake(owner);
  } else if (Carrier::CompleteJoin(scope)) {
    CountWake(runtime);
    MakeRunnable(owner);
  }
}

// Called by the one thread that owns `thread`, which must not touch it afterwards: it may be running by then.
void MakeRunnable(ThreadBlock& thread) noexcept {
  RuntimeCore& runtime = thread.runtime();
  Carrier* carrier = Carrier::Current();
  // A woken thread goes to the waker's deque: the data that it was woken for is in this processor's cache.
  if (carrier != nullptr && &carrier->runtime == &runtime) {
    carrier->queue.PushWoken(thread);
    carrier->queue.NotifyPushed();
  } else {
    // Once it is in the queue, the thread and its root may end, and a caller that waits for the root may destroy the
    // runtime.
    runtime.HoldRoots();
    runtime.Inject(thread);
    runtime.NotifyWork();
    runtime.RootGone();
  }
}

void Wake(ThreadBlock& thread) noexcept {
  RuntimeCore& runtime = thread.runtime();
  const RuntimeCore::OutsideCall call(runtime);
  if (thread.state.Wake() != ThreadState::WakeOutcome::kSchedule) return;
  CountWake(runtime);
  MakeRunnable(thread);
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
  const RuntimeCore::OutsideCall call(runtime);
  CountWake(runtime);
  MakeRunnable(thread);
}

void PrepareThread(ThreadBlock& thread, RuntimeCore& runtime) noexcept {
  Carrier* const carrier = Carrier::Current();
  thread.Place(runtime, carrier != nullptr && &carrier->runtime == &runtime
                            ? carrier->NextThreadIds(1)
                            : runtime.next_thread_id.fetch_add(1, std::memory_order_relaxed));
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

void EnqueueShutdown(RuntimeCore& runtime, ScopeRecord& scope) noexcept { runtime.EnqueueShutdown(scope); }

void RunShutdowns(RuntimeCore& runtime) noexcept {
  constexpr int kMaxBatches = 16;
  for (int i = 0; i < kMaxBatches && runtime.RunShutdownBatch(Carrier::kShutdownBatch); ++i) {
  }
  // An OS thread that is no carrier calls the callbacks too, because all carriers may be held. A carrier calls them
  // between its threads, and not here, above user code that may hold a lock which a callback takes.
  if (Carrier::Current() != nullptr) return;
  for (int i = 0; i < kMaxBatches && runtime.RunStopCallbacks(); ++i) {
  }
}

void RunShutdownBatch(RuntimeCore& runtime) noexcept { runtime.RunShutdownBatch(InPlaceJoins::kShutdownBatch); }

void RequestFromOutside(ThreadBlock& thread, Boundary& target, const CancelCause& cause) noexcept {
  RuntimeCore& runtime = thread.runtime();
  const RuntimeCore::OutsideCall call(runtime);
  RequestCancel(thread, target, cause);
  RunShutdowns(runtime);
}

bool ShieldsLifted(const RuntimeCore& runtime) noexcept { return runtime.shields_lifted(); }

void RunDescendantsUntilDrained(ScopeRecord& scope) noexcept {
  RunDescendantsUntilDrained(RequireCarrier("the destruction of a scope with children"), scope);
}

int64_t RuntimeNow() noexcept { return RequireCarrier("reading the runtime's clock").runtime.Now(); }

int64_t RuntimeWallNow() noexcept {
  return RequireCarrier("reading the runtime's clock").runtime.config.clock->WallNanos();
}

int64_t NowOf(RuntimeCore& runtime) noexcept { return runtime.Now(); }

int64_t WallNowOf(RuntimeCore& runtime) noexcept { return runtime.config.clock->WallNanos(); }

void ArmTimer(TimerNode& timer, int64_t deadline_ns) noexcept {
  Carrier::Current()->duties.timers.Insert(timer, deadline_ns);
}

void ArmTimerOf(RuntimeCore& runtime, TimerNode& timer, int64_t deadline_ns) noexcept {
  if (runtime.OnCarrier()) return ArmTimer(timer, deadline_ns);
  // The caller is no carrier. The carrier is rung, in case it sleeps for longer.
  Carrier& carrier = runtime.carrier(0);
  carrier.duties.timers.Insert(timer, deadline_ns);
  runtime.host->Ring(carrier);
}

bool StartOperation(Operation& operation) noexcept { return Carrier::Current()->duties.driver->Start(operation); }

std::shared_ptr<Backend> RuntimeBackend() noexcept { return RequireCarrier("I/O").runtime.config.backend; }

}  // namespace weft::internal

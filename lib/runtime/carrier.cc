#include "lib/runtime/carrier.h"

#include <algorithm>
#include <cstdint>
#include <mutex>

#include "lib/runtime/exception_state.h"
#include "lib/runtime/runtime_core.h"
#include "weft/internal/check.h"
#include "weft/internal/scheduler.h"

namespace weft::internal {
namespace {

// Spinning costs about what one wake-up across processors does, some tens of microseconds.
constexpr int kSearchRounds = 100;

constexpr WaitKind kDrainWait = {ParkReason::kDrain, /*timed=*/false, [](ThreadBlock&) noexcept { return false; }};

thread_local Carrier* current_carrier = nullptr;

}  // namespace

Carrier::Carrier(RuntimeCore& core, uint32_t carrier_index) noexcept
    : runtime(core), index(carrier_index), timers(core.Now()), sightings_(core.config.max_pool_size), chooser_(carrier_index + 1) {}

Carrier::~Carrier() = default;

// Not inlined, and opaque even to link-time optimisation: a coroutine that calls it before and after a suspension may be on
// two OS threads, and the compiler must not keep the address of the variable, or its value.
[[gnu::noinline]] Carrier* Carrier::Current() noexcept {
  asm volatile("");
  return current_carrier;
}

[[gnu::noinline]] void Carrier::SetCurrent(Carrier* carrier) noexcept {
  asm volatile("");
  current_carrier = carrier;
}

uint32_t Carrier::Choose(uint32_t count) noexcept {
  return runtime.config.chooser != nullptr ? runtime.config.chooser->Choose(count) : chooser_.Choose(count);
}

void Carrier::Main() noexcept {
  SetCurrent(this);
  while (!runtime.stopping()) {
    if (!runtime.MayRun(*this)) {
      Retire();
    } else if (!Step()) {
      Idle();
    }
    runtime.host->BetweenSteps(*this);
  }
  SetCurrent(nullptr);
}

bool Carrier::Step() noexcept {
  if (++tick_ % kDispatchesPerLook == 0) Look();
  runtime.RunShutdownBatch(kShutdownBatch);
  ThreadBlock* thread = NextThread();
  if (thread == nullptr) return false;
  // The last searcher hands on: others may have left work to it.
  if (runtime.idle.EndSearch(idle)) runtime.NotifyWork();
  RunThread(*thread);
  return true;
}

void Carrier::Look() noexcept {
  const int64_t now = runtime.Now();
  timers.FireExpired(now, kTimersPerLook);
  if (driver != nullptr) driver->Poll(0);
  if (now - relieved_ns_ >= kReliefIntervalNanos) {
    relieved_ns_ = now;
    RelieveOthers(now);
  }
}

// A join helps its own children, newest first: depth-first, with few threads alive and a warm cache. Otherwise oldest first,
// which is fair; every so often the inject queue goes first, so that nothing in it starves.
ThreadBlock* Carrier::NextThread() noexcept {
  if (help_first != nullptr) {
    if (ThreadBlock* child = NewestChildOf(*std::exchange(help_first, nullptr))) return child;
  }
  if (tick_ % kDispatchesPerLook == 0) {
    if (ThreadBlock* thread = runtime.TakeInjected()) return thread;
  }
  if (runtime.config.chooser != nullptr) {
    // A simulation: the order is not promised, so others are tried as well.
    if (Choose(4) == 0) {
      if (ThreadBlock* thread = StealFromOthers()) return thread;
    }
    if (Choose(4) == 0) {
      if (ThreadBlock* thread = deque.Pop()) return thread;
    }
  }
  if (ThreadBlock* thread = TakeOldest()) return thread;
  if (ThreadBlock* thread = runtime.TakeInjected()) return thread;
  Look();
  if (ThreadBlock* thread = TakeOldest()) return thread;
  return StealFromOthers();
}

ThreadBlock* Carrier::NewestChildOf(const ScopeRecord& scope) noexcept {
  ThreadBlock* thread = deque.Pop();
  if (thread == nullptr || thread->home == &scope) return thread;
  Push(*thread);
  return nullptr;
}

ThreadBlock* Carrier::TakeOldest() noexcept {
  return deque.TakeOldest();
}

ThreadBlock* Carrier::StealFromOthers() noexcept {
  const uint32_t count = runtime.carrier_count();
  if (count < 2) return nullptr;
  const uint32_t first = Choose(count);
  for (uint32_t i = 0; i < count; ++i) {
    Carrier& victim = runtime.carrier((first + i) % count);
    if (&victim == this) continue;
    for (;;) {
      const auto stolen = victim.deque.Steal();
      if (stolen.outcome == StealOutcome::kStolen) {
        CarrierCounters::Add(counters.steals);
        return stolen.item;
      }
      if (stolen.outcome == StealOutcome::kEmpty) break;
    }
  }
  return nullptr;
}

void Carrier::Push(ThreadBlock& thread) noexcept {
  // The deque could not grow: memory is short. The inject queue needs none.
  if (!deque.Push(&thread)) runtime.Inject(thread);
}

// ---- Running a thread.

void Carrier::Mount(ThreadBlock& thread) noexcept {
  current = &thread;
  ready_budget_ = kReadyBudget;
  CarrierCounters::Add(counters.mounts);
  const uint32_t last = thread.mounted.load(std::memory_order_relaxed);
  if (last != 0 && last != index + 1) CarrierCounters::Add(counters.moves);
  thread.mounted.store((index + 1) | ThreadBlock::kMountedBit, std::memory_order_relaxed);
  running.store(true, std::memory_order_relaxed);
  if (ext::SchedulingObserver* observer = runtime.config.observer) {
    observer->OnMount({thread.id, thread.DisplayName(), static_cast<int>(index), runtime.Now()});
  }
}

void Carrier::Unmount(ThreadBlock& thread) noexcept {
  thread.mounted.store(index + 1, std::memory_order_relaxed);
  running.store(false, std::memory_order_relaxed);
  current = nullptr;
  if (ext::SchedulingObserver* observer = runtime.config.observer) {
    observer->OnUnmount({thread.id, thread.DisplayName(), static_cast<int>(index), runtime.Now()});
  }
}

void Carrier::End(ThreadBlock& thread, bool cancelled) noexcept {
  Unmount(thread);
  CarrierCounters::Add(counters.ended);
  if (ext::SchedulingObserver* observer = runtime.config.observer) {
    observer->OnEnd({thread.id, thread.DisplayName(), static_cast<int>(index), runtime.Now()});
  }
  thread.OnEnd(cancelled);
}

void Carrier::RunThread(ThreadBlock& thread) noexcept {
  Mount(thread);
  if (!std::exchange(thread.started, true)) {
    if (IsCancelled(thread)) {
      thread.unwind = true;  // a child that is cancelled before its first run is never started
    } else if (thread.leaf == nullptr && (thread.leaf = thread.Begin()) == nullptr) {
      return End(thread, /*cancelled=*/false);
    }
  }
  EndWait(thread);
  for (;;) {
    if (thread.unwind) {
      switch (Unwind(thread)) {
        case AfterUnwind::kParked: return;
        case AfterUnwind::kAtBoundary: continue;
        case AfterUnwind::kAtRoot: action = Action::kEnd; break;
      }
      End(thread, /*cancelled=*/true);
      return;
    }
    action = Action::kEnd;  // unless the thread says otherwise before it suspends
    thread.leaf->Handle().resume();
    switch (action) {
      case Action::kEnd:
        End(thread, /*cancelled=*/false);
        return;
      case Action::kYield:
        Unmount(thread);
        Push(thread);
        runtime.NotifyWork();
        return;
      case Action::kUnwind:
        thread.unwind = true;
        continue;
      case Action::kPark:
        if (Park(thread) == AfterPark::kGone) return;
        EndWait(thread);
        continue;
    }
  }
}

void Carrier::EndWait(ThreadBlock& thread) noexcept {
  const WaitKind* wait = thread.wait.load(std::memory_order_relaxed);
  thread.wait.store(nullptr, std::memory_order_relaxed);
  if (wait != nullptr && wait->cancel_wins && IsCancelled(thread)) thread.unwind = true;
}

// The frame is suspended and registered. kGone: the thread is somebody else's.
Carrier::AfterPark Carrier::Park(ThreadBlock& thread) noexcept {
  Unmount(thread);
  CarrierCounters::Add(counters.parks);
  for (;;) {
    switch (thread.state.Park(thread.seen)) {
      case ThreadState::ParkOutcome::kParked: return AfterPark::kGone;
      case ThreadState::ParkOutcome::kNotified:
        if (deque.SizeEstimate() == 0) break;
        // Woken already, but others wait for this carrier: it has had its turn.
        CarrierCounters::Add(counters.wakes);
        Push(thread);
        return AfterPark::kGone;
      case ThreadState::ParkOutcome::kRequested: {
        // A request came between the look on entry and now; whoever brought it left it to us.
        std::lock_guard guard(thread.records_lock);
        thread.seen = thread.state.Observe();
        if (FindTarget(thread) == nullptr || !thread.wait.load(std::memory_order_relaxed)->withdraw(thread)) continue;
        thread.unwind = true;
        break;
      }
    }
    CarrierCounters::Add(counters.wakes);
    Mount(thread);
    return AfterPark::kGoOn;
  }
}

// Destroys the frames of a cancelled thread, leaf first, down to the target. The children in every scope that is open inside
// have ended by then: they may refer to those frames.
Carrier::AfterUnwind Carrier::Unwind(ThreadBlock& thread) noexcept {
  Boundary* target = nullptr;
  for (bool drained = false; !drained;) {
    drained = true;
    ScopeRecord* scope = nullptr;
    {
      std::lock_guard guard(thread.records_lock);
      // Found again after each drain: a request to something further out may have come meanwhile.
      target = FindTarget(thread);
      WEFT_CHECK(target != nullptr) << "virtual thread #" << thread.id << " is unwound, but nothing was requested";
      for (Record* at = thread.records; at != nullptr && at != target; at = at->outer) {
        if (at->kind == Record::Kind::kScope) static_cast<ScopeRecord*>(at)->RequestShutdown(target->reason);
      }
      thread.seen = thread.state.Observe();
    }
    runtime.RunShutdownBatch(kShutdownBatch);
    for (Record* at = thread.records; at != nullptr && at != target; at = at->outer) {
      if (at->kind != Record::Kind::kScope) continue;
      scope = static_cast<ScopeRecord*>(at);
      thread.wait.store(&kDrainWait, std::memory_order_relaxed);
      thread.waiting_on = scope;
      if (!scope->AwaitDrained()) continue;
      if (Park(thread) == AfterPark::kGone) return AfterUnwind::kParked;
      drained = false;
      break;
    }
  }
  PromiseBase* const stop = target->frame;
  thread.unwinding = true;
  for (PromiseBase* frame = thread.leaf; frame != stop;) {
    PromiseBase* parent = frame->parent;
    frame->Handle().destroy();
    frame = parent;
  }
  thread.unwinding = false;
  thread.unwind = false;
  if (target == &thread.root) return AfterUnwind::kAtRoot;
  target->reached = true;
  thread.leaf = stop;
  return AfterUnwind::kAtBoundary;
}

// ---- Called by the mounted thread.

bool Carrier::AtCheckpoint() noexcept {
  if (ext::SchedulingObserver* observer = runtime.config.observer) observer->OnCheckpoint(current->id);
  // Relaxed: a request that is not seen here makes Park() fail, or is seen by the next checkpoint.
  return --ready_budget_ > 0 && !current->state.Observe().requested();
}

bool Carrier::EnterBoundary(PromiseBase& frame) noexcept {
  ThreadBlock& thread = *current;
  thread.leaf = &frame;
  thread.seen = thread.state.Observe();
  if (!thread.seen.requested() || !IsCancelled(thread)) return true;
  action = Action::kUnwind;
  return false;
}

bool Carrier::EnterWait(PromiseBase& frame, const WaitKind& kind, void* waiting_on) noexcept {
  ThreadBlock& thread = *current;
  if (!EnterBoundary(frame)) return false;
  thread.wait.store(&kind, std::memory_order_relaxed);
  thread.waiting_on = waiting_on;
  action = Action::kPark;
  return true;
}

// ---- Having nothing to run.

// Spins until there is something in a queue, or for long enough; Step() looks then.
void Carrier::Search() noexcept {
  for (int round = 0; round < kSearchRounds && !runtime.HasWork(); ++round) CpuRelax();
}

// The idle protocol: see idle_carriers.h.
void Carrier::Idle() noexcept {
  if (runtime.idle.BeginSearch(idle, runtime.carrier_count())) {
    Search();
    return;
  }
  runtime.idle.Park(
      idle, [this] { return runtime.HasWork() || runtime.stopping() || !runtime.MayRun(*this); },
      [this] { ParkUntil(ParkDeadline()); });
  Look();
}

// There are as many carriers running as there should be: this one keeps serving its timers and its operations, and leaves the
// threads that they wake to others.
void Carrier::Retire() noexcept {
  if (runtime.idle.EndSearch(idle)) runtime.NotifyWork();
  Look();
  bool moved = false;
  while (ThreadBlock* thread = TakeOldest()) {
    runtime.Inject(*thread);
    moved = true;
  }
  if (moved) runtime.NotifyWork();
  // Looked at again after Look(), which takes rings: who raises the limit, or stops the runtime, rings afterwards.
  if (!runtime.MayRun(*this) && !runtime.stopping()) ParkUntil(timers.NextDeadline());
}

void Carrier::ParkUntil(int64_t deadline_ns) noexcept {
  asleep.store(true, std::memory_order_relaxed);
  runtime.host->Park(*this, deadline_ns);
  asleep.store(false, std::memory_order_relaxed);
}

// While anybody is awake, and so may be about to compute for long, an idle carrier comes back in time to see whether it does.
// Who goes to sleep says so before it looks at the others: of two that do so at once, at least the second sees the first, and of
// those that sleep without a limit, the last to look saw all others asleep.
int64_t Carrier::ParkDeadline() noexcept {
  asleep.store(true, std::memory_order_relaxed);
  StoreLoadFence();
  const int64_t deadline = timers.NextDeadline();
  const uint32_t count = runtime.carrier_count();
  for (uint32_t i = 0; i < count; ++i) {
    if (i != index && !runtime.carrier(i).asleep.load(std::memory_order_relaxed)) {
      return std::min(deadline, runtime.Now() + (relieving_ ? kReliefIntervalNanos : kReliefNanos));
    }
  }
  return deadline;
}

// A carrier that computes serves neither its timers nor its completions; an idle one does it in its place. One that has mounted
// nothing new since it was last seen, and was running both times, has been running that one thread all the while.
void Carrier::RelieveOthers(int64_t now) noexcept {
  relieving_ = false;
  const uint32_t count = runtime.carrier_count();
  for (uint32_t i = 0; i < count; ++i) {
    Carrier& other = runtime.carrier(i);
    if (&other == this || !other.running.load(std::memory_order_relaxed)) continue;
    Sighting& sighting = sightings_[i];
    const int64_t mounts = other.counters.mounts.load(std::memory_order_relaxed);
    if (sighting.mounts != mounts) {
      sighting = {mounts, now};
    } else if (now - sighting.time_ns >= kReliefNanos) {
      relieving_ = true;
      other.timers.FireExpired(now, kTimersPerLook);
      if (other.driver != nullptr) other.driver->Relieve();
    }
  }
}

// ---- A destructor that has to wait for children.

ThreadBlock* Carrier::TakeInside(const ScopeRecord& scope) noexcept {
  bool moved = false;
  ThreadBlock* found = nullptr;
  while (found == nullptr) {
    ThreadBlock* thread = TakeOldest();
    if (thread == nullptr) break;
    if (thread->IsInside(scope)) {
      found = thread;
    } else {
      runtime.Inject(*thread);  // for a carrier that may run it
      moved = true;
    }
  }
  if (found == nullptr) found = runtime.TakeInjectedInside(scope);
  if (found == nullptr) {
    // One of ours may lie in the deque of a carrier that computes. What is not ours goes where everybody finds it.
    ThreadBlock* thread = StealFromOthers();
    if (thread != nullptr && thread->IsInside(scope)) {
      found = thread;
    } else if (thread != nullptr) {
      runtime.Inject(*thread);
      moved = true;
    }
  }
  if (moved) runtime.NotifyWork();
  return found;
}

void Carrier::RunInsideUntilDrained(ScopeRecord& scope, bool (*drained)(ScopeRecord& scope)) noexcept {
  ThreadBlock* const outer = current;
  const int outer_budget = ready_budget_;
  CarrierCounters::Add(counters.pins);
  runtime.EnterBlocked(*this);
  while (!drained(scope)) {
    runtime.RunShutdownBatch(kShutdownBatch);
    // The last child rings, as does whoever injects a thread while no carrier is free. A look takes rings, so it comes before
    // everything that a ring may be about has been looked at; one that comes later makes the park return.
    Look();
    if (ThreadBlock* thread = TakeInside(scope)) {
      const ExceptionState exceptions = ExceptionState::SaveAndClear();
      RunThread(*thread);
      exceptions.Restore();
    } else if (!drained(scope)) {
      ParkUntil(timers.NextDeadline());
    }
    runtime.host->BetweenSteps(*this);
  }
  runtime.LeaveBlocked(*this);
  current = outer;
  action = Action::kEnd;
  ready_budget_ = outer_budget;
  running.store(true, std::memory_order_relaxed);
}

}  // namespace weft::internal

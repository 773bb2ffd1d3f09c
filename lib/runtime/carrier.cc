#include "lib/base/exception_state.h"
#include "lib/runtime/carrier.h"

#include <algorithm>
#include <cstdint>
#include <memory>
#include <mutex>
#include <new>
#include <thread>
#include <utility>

#include "lib/runtime/in_place.h"
#include "lib/runtime/runtime_core.h"
#include "weft/internal/check.h"
#include "weft/internal/scheduler.h"

namespace weft::internal {
namespace {

// Spinning costs about what one wake-up across processors does, some tens of microseconds.
constexpr int kSearchRounds = 100;

}  // namespace

constinit thread_local Carrier* current_carrier = nullptr;

std::unique_ptr<Carrier> Carrier::Make(RuntimeCore& runtime, uint32_t index) noexcept {
  std::unique_ptr<Sighting[]> sightings(new (std::nothrow) Sighting[static_cast<size_t>(runtime.config.max_pool_size)]);
  if (sightings == nullptr) return nullptr;
  return std::unique_ptr<Carrier>(new (std::nothrow) Carrier(runtime, index, std::move(sightings)));
}

Carrier::Carrier(RuntimeCore& core, uint32_t carrier_index, std::unique_ptr<Sighting[]> sightings) noexcept
    : runtime(core),
      index(carrier_index),
      timers(core.Now()),
      sightings_(std::move(sightings)),
      observer_(core.config.observer),
      mounted_here_((carrier_index + 1) | ThreadBlock::kMountedBit),
      chooser_(carrier_index + 1) {}

Carrier::~Carrier() = default;

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
  if (--until_look_ <= 0) Look();
  if (runtime.HasShutdowns()) [[unlikely]] {
    runtime.RunShutdownBatch(kShutdownBatch);
    runtime.RunStopCallbacks();
  }
  ThreadBlock* thread = NextThread();
  if (thread == nullptr) return false;
  // The last searcher hands on: others may have left work to it.
  if (runtime.idle.EndSearch(idle)) runtime.NotifyWork();
  if (std::exchange(stolen_, false)) {
    RunStolen(*thread);
  } else {
    RunThread(*thread);
  }
  return true;
}

// Was it worth it?
void Carrier::RunStolen(ThreadBlock& thread) noexcept {
  const int64_t begin = runtime.Now();
  RunThread(thread);
  if (runtime.Now() - begin >= kWorthStealingNanos) {
    theft_pause_ns_ = 0;
  } else {
    theft_pause_ns_ = std::clamp(2 * theft_pause_ns_, kWorthStealingNanos, kMaxPauseNanos);
  }
}

// Gives the processor away meanwhile: to the victim, if there are more carriers than processors. A victim that computes will
// not come to its threads: no longer than it takes to tell.
void Carrier::PauseBeforeTheft() noexcept {
  const int64_t progress = victim_->Progress();
  const int64_t begin = runtime.Now();
  int64_t now = begin;
  for (bool told = false; now - begin < theft_pause_ns_ && !runtime.HasInjected(); now = runtime.Now()) {
    if (!told && now - begin >= kWorthStealingNanos) {
      if (victim_->Progress() == progress) return;
      told = true;
    }
    std::this_thread::yield();
  }
}

void Carrier::Look() noexcept {
  const int64_t now = runtime.Now();
  const int64_t nanos_per_dispatch = (now - looked_ns_) / (dispatches_per_look_ - until_look_ + 1) + 1;
  dispatches_per_look_ = static_cast<int>(std::clamp<int64_t>(kLookNanos / nanos_per_dispatch, 1, kDispatchesPerLook));
  until_look_ = dispatches_per_look_;
  looked_ns_ = now;
  timers.FireExpired(now, kTimersPerLook);
  if (driver != nullptr) driver->Poll(0);
  if (now - relieved_ns_ >= kReliefIntervalNanos) {
    relieved_ns_ = now;
    RelieveOthers(now);
  }
}

// Oldest first, so that who is runnable waits for one turn of each that was so before. (A join begins its own children
// newest first, in its owner's place: depth-first, with few threads alive and a warm cache.)
ThreadBlock* Carrier::NextThread() noexcept {
  if (runtime.config.chooser != nullptr) {
    if (ThreadBlock* thread = TakeOutOfTurn()) return thread;
  }
  if (ThreadBlock* thread = TakeOldest()) return thread;
  Look();
  if (ThreadBlock* thread = TakeOldest()) return thread;
  // Not as a searcher, on whom others rely.
  if (theft_pause_ns_ > 0 && !idle.searching()) PauseBeforeTheft();
  return StealFromOthers();
}

// A simulation: others are tried as well, for the order is not promised; but never two in a row, so that the oldest
// waits for two turns of each at most, which is.
ThreadBlock* Carrier::TakeOutOfTurn() noexcept {
  if (!std::exchange(out_of_turn_, false)) {
    ThreadBlock* thread = nullptr;
    if (Choose(4) == 0) thread = StealFromOthers();
    if (thread == nullptr && Choose(4) == 0) thread = deque.Pop();
    out_of_turn_ = thread != nullptr;
    return thread;
  }
  return nullptr;
}

// What was injected comes behind what is here already, and before what comes here next. First the oldest is taken: its
// place is free then, so that neither queue starves the other when the deque is full. It does not grow: a full deque is
// the front of one long queue then, and whoever is woken goes to the end of the rest.
ThreadBlock* Carrier::TakeOldest() noexcept {
  ThreadBlock* thread = deque.TakeOldest();
  if (!runtime.HasInjected()) [[likely]]
    return thread;
  if (thread == nullptr) thread = runtime.TakeInjected();
  AdmitInjected();
  return thread;
}

// This carrier's share: every other one that comes to its queue takes one as well.
void Carrier::AdmitInjected() noexcept {
  ThreadQueue admitted;
  runtime.TakeInjected(std::min({runtime.ShareOfInjected(), kAdmittedPerDispatch, deque.Room()}), admitted);
  if (admitted.empty()) return;
  while (ThreadBlock* thread = admitted.PopFront()) PushWoken(*thread);
  NotifyPushed();
}

bool Carrier::OthersWait() const noexcept { return deque.SizeEstimate() > 0 || runtime.HasInjected(); }

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
        victim_ = &victim;
        stolen_ = runtime.config.chooser == nullptr;
        return stolen.item;
      }
      if (stolen.outcome == StealOutcome::kEmpty) break;
    }
  }
  return nullptr;
}

// A carrier takes ids by the thousand; the rest of the last thousand, if it does not suffice, is given up.
uint64_t Carrier::TakeIds(uint32_t count) noexcept {
  constexpr uint64_t kIds = 1024;
  const uint64_t taken = std::max<uint64_t>(kIds, count);
  const uint64_t first = runtime.next_thread_id.fetch_add(taken, std::memory_order_relaxed);
  next_id_ = first + count;
  end_of_ids_ = first + taken;
  return first;
}

// The deque is full and may not grow, or could not, because memory is short. The inject queue needs none.
void Carrier::InjectInstead(ThreadBlock& thread) noexcept { runtime.Inject(thread); }

// ---- Running a thread.

void Carrier::Mount(ThreadBlock& thread) noexcept {
  running.store(true, std::memory_order_relaxed);
  SwitchTo(thread);
}

// It goes on in its turn, with what is left of its share.
void Carrier::Remount(ThreadBlock& thread) noexcept {
  const int left = ready_budget_;
  Mount(thread);
  ready_budget_ = left;
}

void Carrier::Unmount(ThreadBlock& thread) noexcept {
  thread.mounted.store(index + 1, std::memory_order_relaxed);
  current = nullptr;
  if (observer_ != nullptr) ObserveUnmount(thread);
}

void Carrier::ObserveStart(const ThreadBlock& thread) noexcept {
  observer_->OnStart({thread.id, thread.DisplayName(), static_cast<int>(index), runtime.Now()});
}
void Carrier::ObserveMount(const ThreadBlock& thread) noexcept {
  waits_at = {};
  observer_->OnMount({thread.id, thread.DisplayName(), static_cast<int>(index), runtime.Now()});
}
void Carrier::ObserveUnmount(const ThreadBlock& thread) noexcept {
  const WaitKind* const wait = thread.wait.load(std::memory_order_relaxed);
  observer_->OnUnmount({thread.id, thread.DisplayName(), static_cast<int>(index), runtime.Now(),
                        wait == nullptr ? std::string_view() : ParkReasonName(wait->reason), waits_at});
}
void Carrier::ObserveEnd(const ThreadBlock& thread) noexcept {
  observer_->OnEnd({thread.id, thread.DisplayName(), static_cast<int>(index), runtime.Now()});
}

// The mounted thread would go to the end of the queue: may it go on instead? If nobody waits for this carrier, but not
// for ever: what does not lie in the deque is looked at between two threads.
bool Carrier::MayGoOn() noexcept {
  if (OthersWait() || until_look_ <= 1) return false;
  --until_look_;
  return true;
}

// A thread that yields with nobody waiting goes on.
bool Carrier::YieldsToNobody() noexcept {
  if (runtime.config.chooser != nullptr || observer_ != nullptr || !MayGoOn()) return false;
  ready_budget_ = kReadyBudget;
  CarrierCounters::Add(counters.mounts);
  return true;
}

void Carrier::RunThread(ThreadBlock& first) noexcept {
  RunChain(first);
  running.store(false, std::memory_order_relaxed);
}

// Runs `first`, and whatever runs in its place.
void Carrier::RunChain(ThreadBlock& first) noexcept {
  in_place_since_ns_ = 0;
  for (std::coroutine_handle<> next = MountFirst(first);;) {
    next.resume();
    ThreadBlock* const thread = current;  // one may have run in another's place
    switch (action) {
      case Action::kGone:
        return;
      case Action::kYield:
        if (YieldsToNobody()) {
          next = thread->leaf->Handle();
          continue;
        }
        Unmount(*thread);
        Push(*thread);
        NotifyPushed();
        return;
      case Action::kUnwind:
        thread->unwind = true;
        next = GoOn(*thread);
        continue;
      case Action::kPark:
        if (Park(*thread) == AfterPark::kGone) return;
        next = GoOn(*thread);
        continue;
      case Action::kForeign:
        if (AfterForeign(*thread) == AfterPark::kGone) return;
        next = GoOn(*thread);
        continue;
    }
  }
}

std::coroutine_handle<> Carrier::MountFirst(ThreadBlock& thread) noexcept {
  Mount(thread);
  if (!std::exchange(thread.started, true)) {
    if (IsToEndUnstarted(thread)) {
      thread.unwind = true;
    } else if (thread.leaf == nullptr && (thread.leaf = thread.Begin()) == nullptr) {
      return EndThread(thread, ThreadBlock::Ending::kFailed);
    }
  }
  return GoOn(thread);
}

// A child that is cancelled before its first run is never started, unless it owes a clean-up. It need not have been
// asked: its scope may not know it.
bool Carrier::IsToEndUnstarted(ThreadBlock& thread) noexcept {
  if (thread.home != nullptr && thread.home->shut()) thread.home->Register(thread);
  return thread.state.Observe().requested() && IsCancelled(thread) && !thread.OwesCleanUp();
}

// The wait of the thread is over, or it is to be unwound: gives what runs.
std::coroutine_handle<> Carrier::GoOn(ThreadBlock& thread) noexcept {
  if (EndWait(thread) == &kParkedJoinWait && ParkUntilJoined(thread)) [[unlikely]]
    return std::noop_coroutine();
  while (thread.unwind) {
    switch (Unwind(thread)) {
      case AfterUnwind::kLeft:
        return Leave();
      case AfterUnwind::kAtBoundary:
        // A loop over waits that end at a boundary at once lets others run, like one over waits that are over at once.
        if (ready_budget_ > 0) continue;
        action = Action::kYield;
        return std::noop_coroutine();
      case AfterUnwind::kAtRoot:
        return EndThread(thread, ThreadBlock::Ending::kCancelled);
    }
  }
  return thread.leaf->Handle();
}

const WaitKind* Carrier::EndWait(ThreadBlock& thread) noexcept {
  const WaitKind* wait = thread.wait.load(std::memory_order_relaxed);
  thread.wait.store(nullptr, std::memory_order_relaxed);
  if (wait != nullptr && wait->cancel_wins && IsCancelled(thread)) thread.unwind = true;
  return wait;
}

// The frame is suspended and registered. kGone: the thread is somebody else's.
Carrier::AfterPark Carrier::Park(ThreadBlock& thread) noexcept {
  Unmount(thread);
  CarrierCounters::Add(counters.parks);
  for (;;) {
    switch (thread.state.Park(thread.seen)) {
      case ThreadState::ParkOutcome::kParked: return AfterPark::kGone;
      case ThreadState::ParkOutcome::kNotified:
        if (MayGoOn()) break;
        // Woken already, but others wait for this carrier: it has had its turn.
        CarrierCounters::Add(counters.wakes);
        PushWoken(thread);
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
    Remount(thread);
    return AfterPark::kGoOn;
  }
}

// ---- Called by the mounted thread.

bool Carrier::EnterWait(AwaitingFrame awaiting, const WaitKind& kind, void* waiting_on) noexcept {
  ThreadBlock& thread = *current;
  if (!EnterBoundary(awaiting.frame)) return false;
  waits_at = awaiting.where;
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

// The other carriers' half of the fences at [idle/2], for those that make none: what they have pushed is seen below,
// and what they push from now on is pushed by somebody who sees that we are parked.
void Carrier::ForcePublication() noexcept {
  const uint32_t count = runtime.carrier_count();
  bool biased = false;
  for (uint32_t i = 0; i < count; ++i) {
    if (i != index) biased |= runtime.carrier(i).deque.RevokeBias();
  }
  if (biased) HeavyFence();  // [publish/3] heavy: pairs with [publish/1]
  for (uint32_t i = 0; i < count; ++i) {
    if (i == index) continue;
    if (biased) runtime.carrier(i).deque.BiasRevoked();
    runtime.carrier(i).deque.Leave();
  }
}

// The idle protocol: see idle_carriers.h.
void Carrier::Idle() noexcept {
  if (runtime.idle.BeginSearch(idle, runtime.carrier_count())) {
    Search();
    return;
  }
  runtime.idle.Park(
      idle,
      [this] {
        ForcePublication();
        return runtime.HasWork() || runtime.stopping() || !runtime.MayRun(*this);
      },
      [this] { ParkUntil(ParkDeadline()); });
  Look();
}

// There are as many carriers running as there should be: this one keeps serving its timers and its operations, and leaves the
// threads that they wake to others.
void Carrier::Retire() noexcept {
  if (runtime.idle.EndSearch(idle)) runtime.NotifyWork();
  Look();
  bool moved = false;
  while (ThreadBlock* thread = deque.TakeOldest()) {
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
  StoreLoadFence();  // [asleep/1] seq_cst: pairs with itself, on another carrier
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
      TakeOver(other);
    }
  }
}

// Its runnable threads go where every carrier finds them: nobody knows for how long it computes.
void Carrier::TakeOver(Carrier& other) noexcept {
  ThreadQueue taken;
  size_t count = 0;
  while (count < kTakenOverPerLook) {
    const auto stolen = other.deque.Steal();
    if (stolen.outcome == StealOutcome::kEmpty) break;
    if (stolen.outcome == StealOutcome::kLost) continue;
    taken.PushBack(stolen.item);
    ++count;
  }
  if (count == 0) return;
  CarrierCounters::Add(counters.steals, static_cast<int64_t>(count));
  runtime.Inject(taken, count);
  runtime.NotifyWork();
}

// ---- A destructor that has to wait for children.

// One that lies in the deque of a carrier that computes comes to the inject queue in time. (TakeOver)
ThreadBlock* Carrier::TakeInside(const ScopeRecord& scope) noexcept {
  bool moved = false;
  ThreadBlock* found = nullptr;
  while (ThreadBlock* thread = deque.TakeOldest()) {
    if (thread->IsInside(scope)) {
      found = thread;
      break;
    }
    runtime.Inject(*thread);  // for a carrier that may run it
    moved = true;
  }
  if (found == nullptr) found = runtime.TakeInjectedInside(scope);
  if (moved) runtime.NotifyWork();
  return found;
}

void Carrier::RunInsideUntilDrained(ScopeRecord& scope) noexcept {
  CarrierCounters::Add(counters.pins);
  const bool drained = scope.children.Block();
  if (!drained) RunInsideUntilRung(scope);
  scope.children.Unblock();
}

void Carrier::RunInsideUntilRung(ScopeRecord& scope) noexcept {
  ThreadBlock* const outer = current;
  const int outer_budget = ready_budget_;
  const Action outer_action = action;  // foreign code may be what destroys the scope
  ForeignCall* const outer_foreign = std::exchange(foreign, nullptr);
  runtime.EnterBlocked(*this);
  while (!scope.children.BlockedDrained()) {
    runtime.RunShutdownBatch(kShutdownBatch);
    runtime.RunStopCallbacks();
    // The last child rings, as does whoever injects a thread while no carrier is free. A look takes rings, so it comes before
    // everything that a ring may be about has been looked at; one that comes later makes the park return.
    Look();
    if (ThreadBlock* thread = TakeInside(scope)) {
      const ExceptionState exceptions = ExceptionState::Exchange({});
      RunThread(*thread);
      ExceptionState::Exchange(exceptions);
    } else if (!scope.children.BlockedDrained()) {
      ParkUntil(ParkDeadline());
    }
    runtime.host->BetweenSteps(*this);
  }
  runtime.LeaveBlocked(*this);
  current = outer;
  ready_budget_ = outer_budget;
  action = outer_action;
  foreign = outer_foreign;
  running.store(true, std::memory_order_relaxed);
}

}  // namespace weft::internal

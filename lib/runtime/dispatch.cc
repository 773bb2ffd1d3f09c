#include "lib/runtime/dispatch.h"

#include <coroutine>
#include <cstdint>
#include <mutex>

#include "lib/cancel/boundary.h"
#include "lib/runtime/foreign_turn.h"
#include "lib/runtime/runtime_core.h"
#include "lib/runtime/unwind_turn.h"
#include "lib/thread/thread_state.h"
#include "weft/internal/boundary.h"
#include "weft/internal/wait.h"

namespace weft::internal {

void Dispatch::RunThread(ThreadBlock& first) noexcept {
  RunChain(first);
  running.store(false, std::memory_order_relaxed);
}

// One turn: `first`, and every thread that runs in its place after it. When it returns, no thread is mounted, and the
// last one is parked, queued or gone.
void Dispatch::RunChain(ThreadBlock& first) noexcept {
  BeginInLoop();
  for (std::coroutine_handle<> next = BeginOrResume(first);;) {
    next.resume();
    ThreadBlock* const thread = current;  // one may have run in another's place
    switch (action) {
      case Action::kGone:
        return;
      case Action::kYield:
        no_suspensions.Check(*thread, observed.waits_at);
        if (YieldsToNobody()) {
          next = ResumeOrUnwind(*thread);
          continue;
        }
        Unmount(*thread);
        queue.Push(*thread);
        queue.NotifyPushed();
        return;
      case Action::kUnwind:
        thread->unwind = true;
        next = ResumeOrUnwind(*thread);
        continue;
      case Action::kPark:
        no_suspensions.Check(*thread, observed.waits_at);
        if (Park(*thread) == AfterPark::kGone) return;
        next = ResumeOrUnwind(*thread);
        continue;
      case Action::kForeign:
        if (AwaitForeign(*this, *thread)) {
          no_suspensions.Check(*thread, observed.waits_at);
          if (Park(*thread) == AfterPark::kGone) return;
        }
        next = ResumeOrUnwind(*thread);
        continue;
    }
  }
}

// Mounts the thread.
std::coroutine_handle<> Dispatch::BeginOrResume(ThreadBlock& thread) noexcept {
  Mount(thread);
  if (!thread.started) {
    thread.started = true;
    if (IsToEndUnstarted(thread)) {
      thread.unwind = true;
    } else if (thread.leaf == nullptr && (thread.leaf = thread.Begin()) == nullptr) {
      return EndThread(thread, ThreadBlock::Ending::kFailed);
    }
  }
  return ResumeOrUnwind(thread);
}

// A child that is cancelled before its first run is never started, unless it owes a clean-up. It may not have been
// asked: perhaps its scope, or the list of roots, does not list it.
bool Dispatch::IsToEndUnstarted(ThreadBlock& thread) noexcept {
  const ScopeRecord* const home = thread.home();
  if (home != nullptr ? home->shut() : thread.state.Observe().unregistered() && thread.runtime().roots.closed()) {
    RegisterThread(thread);
  }
  return thread.state.Observe().requested() && IsCancelled(thread) && !thread.OwesCleanUp();
}

// The thread's wait is over, or the thread must be unwound. Returns what runs next.
std::coroutine_handle<> Dispatch::ResumeOrUnwind(ThreadBlock& thread) noexcept {
  const WaitKind* const ended = EndWait(thread);
  if (ended != nullptr && ended->park_again != nullptr && ended->park_again(thread)) [[unlikely]]
    return std::noop_coroutine();
  while (thread.unwind) {
    switch (Unwind(*this, thread)) {
      case AfterUnwind::kLeft:
        return Leave();
      case AfterUnwind::kAtBoundary:
        // A loop over waits that end at a boundary at once lets others run, like one over waits that are over at once.
        if (HasShare()) continue;
        action = Action::kYield;
        return std::noop_coroutine();
      case AfterUnwind::kAtRoot:
        return EndThread(thread, ThreadBlock::Ending::kCancelled);
    }
  }
  return thread.leaf->Handle();
}

// The mounted thread should go to the end of the queue. May it go on instead? Yes, if no thread waits for this carrier,
// but not for ever: work that is not in the deque is looked for only between two threads.
bool Dispatch::MayGoOn() noexcept { return !queue.OthersWait() && duties.CountDispatch(); }

// If no thread waits, a thread that yields goes on.
bool Dispatch::YieldsToNobody() noexcept {
  if (runtime.config.chooser != nullptr || observed.on() || !MayGoOn()) return false;
  BeginShare();
  CarrierCounters::Add(counters.mounts);
  return true;
}

// The frame is suspended and registered. kGone: the thread is no longer ours.
Dispatch::AfterPark Dispatch::Park(ThreadBlock& thread) noexcept {
  Unmount(thread);
  CarrierCounters::Add(counters.parks);
  for (;;) {
    switch (thread.state.Park(seen_)) {
      case ThreadState::ParkOutcome::kParked:
        return AfterPark::kGone;
      case ThreadState::ParkOutcome::kNotified:
        if (MayGoOn()) break;
        // It was woken already, but others wait for this carrier: its turn is over.
        CarrierCounters::Add(counters.wakes);
        queue.PushWoken(thread);
        queue.NotifyPushed();
        return AfterPark::kGone;
      case ThreadState::ParkOutcome::kRequested: {
        // A request has come since EnterWait() looked; the requester left it to us.
        std::lock_guard guard(thread.records_lock);
        seen_ = thread.state.Observe();
        if (!FindTarget(thread).exists || !thread.wait.load(std::memory_order_relaxed)->withdraw(thread)) continue;
        thread.unwind = true;
        break;
      }
    }
    CarrierCounters::Add(counters.wakes);
    Remount(thread);
    return AfterPark::kGoOn;
  }
}

}  // namespace weft::internal

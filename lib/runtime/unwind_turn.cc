#include "lib/runtime/unwind_turn.h"

#include <cstdint>

#include "lib/cancel/drain.h"
#include "lib/cancel/press.h"
#include "lib/cancel/unwind.h"
#include "lib/runtime/runtime_core.h"
#include "lib/thread/join_count.h"
#include "lib/timer/timer_wheel.h"
#include "weft/internal/scope_record.h"
#include "weft/internal/thread_block.h"
#include "weft/internal/wait_kind.h"

namespace weft::internal {
namespace {

constexpr WaitKind kDrainWait = {ParkReason::kDrain, /*timed=*/false, &WaitKind::NotWithdrawn, /*cancel_wins=*/false,
                                 /*for_children=*/true};

// Like JoinCount::Wait(), for a wait that others may press.
bool EnterDrain(RuntimeCore& runtime, ThreadBlock& thread, ScopeRecord& scope) noexcept {
  Drain& drain = *scope.drain();
  const ThreadKey owner = drain.owner = thread.key();
  const uint32_t since = drain.since = scope.opened_as;
  drain.thread = &thread;
  drain.children = &scope.children;
  drain.listed = true;
  const int64_t patience = runtime.config.drain_patience_ns;
  const bool impatient = thread.HoldsPermitSince(scope);
  scope.EndPatience();  // and the scope's own timeout, which has nothing left to do
  const bool drained = TheDrains().Enter(drain, [&] {
    const int64_t now = runtime.Now();
    const bool ends = patience < TimerWheel::kNoDeadline - now;
    if (!impatient) return;
    scope.SetPatience(ends ? now + patience : TimerWheel::kNoDeadline, runtime.config.chooser == nullptr);
  });
  if (drained) return true;
  // The thread belongs to nobody from here on: what follows uses only what any other thread may use.
  if (TheWantedLocks().AnyHeldBy(owner, since)) PressHolder(owner, since);
  return false;
}

// The owner waits, suspended, until the children of `scope` have ended. Returns false if it is no longer ours.
bool AwaitDrain(Turn& turn, ThreadBlock& thread, ScopeRecord& scope) noexcept {
  thread.wait.store(&kDrainWait, std::memory_order_relaxed);
  scope.owner_parked = false;
  turn.observed.waits_at = {};  // it waits at no co_await
  turn.no_suspensions.Check(thread, turn.observed.waits_at);
  turn.Unmount(thread);
  CarrierCounters::Add(turn.counters.parks);
  // A thread that has got no lock since the scope was opened holds none that an exception would release. In a
  // simulation the children may wait for something else.
  const bool may_be_pressed =
      scope.drain() != nullptr && (thread.HasLockedSince(scope) || turn.runtime.config.chooser != nullptr);
  if (!(may_be_pressed ? EnterDrain(turn.runtime, thread, scope) : scope.children.Wait())) return false;
  CarrierCounters::Add(turn.counters.wakes);
  thread.wait.store(nullptr, std::memory_order_relaxed);
  turn.Remount(thread);
  return true;
}

}  // namespace

// Called by ResumeOrUnwind(). After kLeft the thread is no longer mounted; otherwise it is mounted, and `unwind` is
// false.
AfterUnwind Unwind(Turn& turn, ThreadBlock& thread) noexcept {
  for (;;) {
    const UnwindStep step = UnwindUntilBusy(thread);
    switch (step.reached) {
      case UnwindStep::kAtRoot: return AfterUnwind::kAtRoot;
      case UnwindStep::kAtBoundary: return AfterUnwind::kAtBoundary;
      case UnwindStep::kBusy:
        if (!AwaitDrain(turn, thread, *step.busy)) return AfterUnwind::kLeft;
    }
  }
}

}  // namespace weft::internal

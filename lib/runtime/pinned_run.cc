#include "lib/runtime/pinned_run.h"

#include "lib/base/exception_state.h"
#include "lib/runtime/runtime_core.h"
#include "lib/thread/join_count.h"
#include "weft/internal/scope_record.h"

namespace weft::internal {
namespace {

// Until the last child has rung.
void RunDescendants(Carrier& carrier, ScopeRecord& scope) noexcept {
  RuntimeCore& runtime = carrier.runtime;
  const Turn::Interrupted outer = carrier.Interrupt();
  runtime.carriers.EnterBlocked(carrier);
  while (!scope.children.BlockedDrained()) {
    runtime.cancel_queue.RunBatch(Carrier::kShutdownBatch);
    runtime.cancel_queue.RunStopCallbacks();
    // The last child rings, as does whoever injects a thread while no carrier is free. A poll takes rings, so it comes
    // before everything that a ring may be about has been looked at; one that comes later makes the park return.
    carrier.duties.PollTimersAndDriver();
    if (ThreadBlock* thread = carrier.queue.TakeDescendant(scope)) {
      const ExceptionState exceptions = ExceptionState::Exchange({});
      carrier.RunThread(*thread);
      ExceptionState::Exchange(exceptions);
    } else if (!scope.children.BlockedDrained()) {
      carrier.ParkUntil(carrier.duties.ParkDeadline());
    }
    runtime.host->BetweenSteps(carrier);
  }
  runtime.carriers.LeaveBlocked(carrier);
  carrier.GoOn(outer);
}

}  // namespace

void RunDescendantsUntilDrained(Carrier& carrier, ScopeRecord& scope) noexcept {
  CarrierCounters::Add(carrier.counters.pins);
  const bool drained = scope.children.Block();
  if (!drained) RunDescendants(carrier, scope);
  scope.children.Unblock();
}

}  // namespace weft::internal

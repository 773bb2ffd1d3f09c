#include "lib/runtime/pinned_run.h"

#include <cstdint>
#include <utility>

#include "lib/base/exception_state.h"
#include "lib/runtime/runtime_core.h"
#include "lib/thread/join_count.h"
#include "lib/thread/runtime_services.h"
#include "weft/internal/scope_record.h"
#include "weft/internal/thread_block.h"

namespace weft::internal {
namespace {

// The code of others must not see that an exception is on its way through the frame that waits.
template <class F>
void WithoutExceptions(F run) noexcept {
  const ExceptionState exceptions = ExceptionState::Exchange({});
  run();
  ExceptionState::Exchange(exceptions);
}

}  // namespace

void RunUntilOver(Carrier& carrier, const PinnedWait& wait) noexcept {
  CarrierCounters::Add(carrier.counters.pins);
  RuntimeCore& runtime = carrier.runtime;
  if (!wait.begin(wait.of, runtime)) return;
  const ThreadBlock* const mounted = carrier.current;
  const Turn::Interrupted outer = carrier.Interrupt();
  runtime.carriers.EnterBlocked(carrier);
  uint64_t injected_seen = 0;
  while (!wait.over(wait.of)) {
    // The last thread rings, as does whoever injects a thread, or has a scope to shut, while no carrier is free. A poll
    // takes rings, so it comes before everything that a ring may be about is looked at; one that comes later makes the
    // park return. For what this carrier has left to do itself nobody rings.
    carrier.duties.PollTimersAndDriver();
    bool asked = runtime.cancel_queue.RunBatch(Carrier::kShutdownBatch);
    if (runtime.cancel_queue.MayHaveCallbacks()) carrier.TellIfSlept();
    WithoutExceptions([&] { asked |= runtime.cancel_queue.RunStopCallbacksOf(wait, mounted); });
    if (ThreadBlock* thread = carrier.queue.TakeFor(wait, injected_seen)) {
      carrier.TellIfSlept();  // while it slept, all others may have gone to sleep without a limit (ParkDeadline)
      WithoutExceptions([&] { carrier.RunThread(*thread); });
    } else if (!asked && !wait.over(wait.of)) {
      carrier.ParkUntil(carrier.duties.ParkDeadline(carrier.idle));
      runtime.idle.EndWatch(carrier.idle);
    }
    runtime.host->BetweenSteps(carrier);
  }
  runtime.carriers.LeaveBlocked(carrier);
  carrier.GoOn(outer);
  carrier.TellIfSlept();
}

void RunDescendantsUntilDrained(Carrier& carrier, ScopeRecord& scope) noexcept {
  RunUntilOver(carrier, {.of = &scope,
                         .begin = [](void* of, RuntimeCore&) noexcept {
                           return !static_cast<ScopeRecord*>(of)->children.Block();
                         },
                         .over = [](void* of) noexcept {
                           return static_cast<ScopeRecord*>(of)->children.BlockedDrained();
                         },
                         .may_run = [](void* of, const ThreadBlock& thread) noexcept {
                           return thread.IsInside(*static_cast<const ScopeRecord*>(of));
                         }});
  scope.children.Unblock();
}

}  // namespace weft::internal

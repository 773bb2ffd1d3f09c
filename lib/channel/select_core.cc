#include "weft/channel/select_core.h"

#include <cstdint>

#include "lib/channel/select_wait.h"
#include "lib/thread/runtime_services.h"
#include "weft/internal/thread_block.h"
#include "weft/internal/wait.h"

namespace weft::internal {

// Of the caller's carrier, or of the simulation.
static uint32_t ChooseCase(ThreadBlock&, uint32_t count) noexcept { return Choose(count); }

template class SelectWait<ThreadBlock>;

constinit const WaitKind SelectCore::kWait = {ParkReason::kSelect, /*timed=*/false, &SelectWait::Withdraw};

bool SelectCore::Ready(Record* records, int32_t count) noexcept {
  return AtCheckpoint() && Look(records, count, *CurrentThread());
}

void SelectCore::Suspend(Record* records, int32_t count, AwaitingFrame frame) noexcept {
  ThreadBlock& self = *CurrentThread();
  Begin(records, count, self);
  if (EnterWait(frame, kWait, static_cast<SelectWait*>(this)) && LookOrAdd(records, count, self)) YieldInstead();
}

}  // namespace weft::internal

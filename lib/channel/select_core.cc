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
constinit const WaitKind SelectCore::kBefore = {ParkReason::kSelect,
                                                /*timed=*/false,
                                                &WaitKind::NotWithdrawn,
                                                /*cancel_wins=*/false,
                                                /*for_children=*/false,
                                                /*whose=*/nullptr,
                                                &SelectCore::LookOrPark};

bool SelectCore::Ready(Record* records, int32_t count) noexcept {
  return AtCheckpoint() && Look(records, count, *CurrentThread());
}

// A thread that has used up its turn lets others run before it looks: it might take a lock, for which all of them would
// wait.
bool SelectCore::Suspend(Record* records, int32_t count, AwaitingFrame frame) noexcept {
  ThreadBlock& self = *CurrentThread();
  Begin(records, count, self);
  const bool yields = HasUsedUpTurn();
  if (!EnterWait(frame, yields ? kBefore : kWait, static_cast<SelectWait*>(this))) return true;
  if (yields) {
    where_ = frame.where;
    YieldInstead();
    return true;
  }
  if (!LookOrAdd(self)) return true;
  GoOnInstead();
  return false;
}

// WaitKind::park_again, when the others have run.
bool SelectCore::LookOrPark(ThreadBlock& self) noexcept {
  auto& select = static_cast<SelectCore&>(*static_cast<SelectWait*>(self.waiting_on));
  if (!EnterWaitAgain(kWait, select.where_)) return false;
  if (!select.LookOrAdd(self)) return true;
  GoOnInstead();
  return false;
}

}  // namespace weft::internal

#include "lib/cancel/press.h"

#include "lib/thread/runtime_services.h"
#include "weft/internal/record.h"
#include "weft/internal/scope_record.h"
#include "weft/internal/wait.h"

namespace weft::internal {

namespace {

// The drain's owner was taken out of its wait, and belongs to the caller.
void ResumePressed(Drain& drain) noexcept { WakeFromOutside(*drain.thread); }

}  // namespace

PermitReceipt CountPermit() noexcept {
  ThreadBlock* const thread = CurrentThread();
  if (thread == nullptr) return {};
  thread->last_lock = static_cast<uint8_t>(thread->scopes_opened);
  if (thread->permits_held < ThreadBlock::kManyPermits) ++thread->permits_held;
  return {thread->key(), thread->scopes_opened};
}

// Called when a Permit is given back, by any thread. Only a permit that the current thread has got itself was counted
// with it.
void UncountPermit(const PermitReceipt& receipt) noexcept {
  ThreadBlock* const thread = CurrentThread();
  if (thread == nullptr || thread->key() != receipt.thread || thread->permits_held == ThreadBlock::kManyPermits) return;
  --thread->permits_held;
  // Scopes that were opened after the thread got the permit count it among those from before.
  for (Record* at = thread->records.load(std::memory_order_relaxed); at != nullptr; at = at->outer) {
    if (at->kind != Record::Kind::kScope) continue;
    auto& scope = *static_cast<ScopeRecord*>(at);
    if (scope.drain() == nullptr) continue;  // not numbered
    if (IsSince(receipt.scopes_opened, scope.opened_as)) return;
    if (scope.permits_before > 0) --scope.permits_before;
  }
}

void PressHolder(const ThreadKey& holder, uint32_t scopes_opened) noexcept {
  if (holder.address == nullptr) return;
  if (Drain* drain = TheDrains().Press(holder, scopes_opened)) ResumePressed(*drain);
}

void PressDrain(const Drain& drain) noexcept {
  Drain* const pressed = TheDrains().PressIf([&drain](const Drain& each) { return &each == &drain; });
  if (pressed != nullptr) ResumePressed(*pressed);
}

bool PressOneDrain(const RuntimeCore& runtime) noexcept {
  Drain* const pressed =
      TheDrains().PressIf([&runtime](const Drain& each) { return &each.thread->runtime() == &runtime; });
  if (pressed != nullptr) ResumePressed(*pressed);
  return pressed != nullptr;
}

}  // namespace weft::internal

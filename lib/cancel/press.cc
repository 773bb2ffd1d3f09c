#include "lib/cancel/press.h"

#include <algorithm>
#include <cstdint>
#include <iterator>

#include "lib/thread/runtime_services.h"
#include "weft/internal/atomic.h"
#include "weft/internal/record.h"
#include "weft/internal/scope_record.h"
#include "weft/internal/wait.h"

namespace weft::internal {

namespace {

// Spread, because threads wait and go on all the time.
struct alignas(64) WantedCount {
  Atomic<int32_t> locks{0};  // relaxed: a hint
};
constinit WantedCount wanted_counts[16];

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

void CountWanted(const HeldLock& held, int difference) noexcept {
  wanted_counts[reinterpret_cast<uintptr_t>(&held) / 64 % std::size(wanted_counts)].locks.fetch_add(
      difference, std::memory_order_relaxed);
}

bool AnyPermitIsWanted() noexcept {
  return std::any_of(std::begin(wanted_counts), std::end(wanted_counts), [](const WantedCount& count) {
    return count.locks.load(std::memory_order_relaxed) > 0;
  });
}

void PressForPermit(Drain& drain) noexcept {
  RuntimeCore& runtime = drain.thread->runtime();
  if (TheDrains().PressForPermit(drain)) return ResumePressed(drain);
  EndPressed(runtime);
}

bool PressOneDrain(const RuntimeCore& runtime) noexcept {
  Drain* const pressed =
      TheDrains().PressIf([&runtime](const Drain& each) { return &each.thread->runtime() == &runtime; });
  if (pressed != nullptr) ResumePressed(*pressed);
  return pressed != nullptr;
}

}  // namespace weft::internal

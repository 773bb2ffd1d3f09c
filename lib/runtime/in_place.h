// The fast path of fork and join: threads that run one in another's place, on the same stack and without a turn through
// Carrier::Main().
//
// What stands here and at the top of in_place.cc is most of what fork and join cost, and is written out for the case
// that nothing special has happened. Everything else is called by tail calls, or by functions that preserve the
// registers of their caller (WEFT_RARE), so that the usual case saves none.
#ifndef WEFT_LIB_RUNTIME_IN_PLACE_H_
#define WEFT_LIB_RUNTIME_IN_PLACE_H_

#include <coroutine>
#include <cstdint>

#include "lib/runtime/carrier.h"
#include "lib/runtime/runtime_core.h"
#include "weft/internal/thread_block.h"

namespace weft::internal {

[[gnu::always_inline]] inline void Carrier::StartHere(ThreadBlock& thread) noexcept {
  CarrierCounters::Add(counters.started);
  if (observer_ != nullptr) [[unlikely]]
    ObserveStart(thread);
  Push(thread);
  NotifyPushed();
}

// The mounted thread waits for its children, and is nobody's until they have ended.
inline void Carrier::EnterJoin(ThreadBlock& owner) noexcept {
  CarrierCounters::Add(counters.parks);
  owner.wait.store(&kJoinWait, std::memory_order_relaxed);
}

// Mounts a thread while the carrier runs on.
inline void Carrier::SwitchToUnobserved(ThreadBlock& thread) noexcept {
  current = &thread;
  ready_budget_ = kReadyBudget;
  CarrierCounters::Add(counters.mounts);
  if (const uint32_t last = thread.mounted.load(std::memory_order_relaxed); last != mounted_here_) {
    if (MovesFrom(last)) [[unlikely]]
      CarrierCounters::Add(counters.moves);
    thread.mounted.store(mounted_here_, std::memory_order_relaxed);
  }
}
inline void Carrier::SwitchTo(ThreadBlock& thread) noexcept {
  SwitchToUnobserved(thread);
  if (observer_ != nullptr) [[unlikely]]
    ObserveMount(thread);
}

// As SwitchToUnobserved(), for the first mount of a child, which runs in the place of its owner and holds the count.
inline void Carrier::MountInPlace(ThreadBlock& child) noexcept {
  current = &child;
  ready_budget_ = kReadyBudget;
  CarrierCounters::Add(counters.mounts);
  child.mounted.store(mounted_here_, std::memory_order_relaxed);
  child.started = child.holds_count = true;
}

inline std::coroutine_handle<> Carrier::BeginInPlace(ThreadBlock& child, ScopeRecord& scope) noexcept {
  MountInPlace(child);
  if (observer_ != nullptr) [[unlikely]]
    ObserveMount(child);
  return child.leaf != nullptr ? child.leaf->Handle() : BeginClosureInPlace(child, scope);
}

// AtCheckpoint() and EnterBoundary(), for a wait that never is over before it begins.
inline bool Carrier::EnterJoinOf(ThreadBlock& owner, AwaitingFrame awaiting) noexcept {
  owner.leaf = &awaiting.frame;
  if (MayEnterJoinUnobserved(owner)) [[likely]]
    return true;
  AtCheckpoint();
  waits_at = awaiting.where;
  return EnterBoundary(awaiting.frame);
}

template <class Branch>
std::coroutine_handle<> Carrier::BeginBranches(ThreadBlock& owner, ScopeRecord& scope, Branch* branches,
                                               int32_t count) noexcept {
  EnterJoin(owner);
  if (observer_ != nullptr) ObserveUnmount(owner);
  const bool in_place = MayBeginInPlace(/*own=*/0) && !scope.shut();
  CarrierCounters::Add(counters.started, count);
  if (observer_ != nullptr) {
    for (int32_t i = 0; i < count; ++i) ObserveStart(branches[i]);
  }
  for (int32_t i = count - 1; i >= 1; --i) Push(branches[i]);
  if (!in_place) Push(branches[0]);
  NotifyPushed();
  if (!in_place) return CloseJoin(scope);
  MountInPlace(branches[0]);
  if (observer_ != nullptr) ObserveMount(branches[0]);
  return branches[0].leaf->Handle();
}

[[gnu::always_inline]] inline std::coroutine_handle<> Carrier::BeginTwoBranches(ThreadBlock& owner, ScopeRecord& scope,
                                                                                ThreadBlock& first,
                                                                                ThreadBlock& second) noexcept {
  EnterJoin(owner);
  CarrierCounters::Add(counters.started, 2);
  // The look that may be part of the first may shut the scope.
  if (!MayBeginInPlace(/*own=*/0) || scope.shut()) [[unlikely]]
    return CloseJoinBefore(first, second, scope);
  Push(second);
  NotifyPushed();
  MountInPlace(first);
  return first.leaf->Handle();
}

}  // namespace weft::internal

#endif  // WEFT_LIB_RUNTIME_IN_PLACE_H_

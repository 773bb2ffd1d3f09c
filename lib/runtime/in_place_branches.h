// Layer runtime. How do the branches of an All begin and end in their owner's place?
//
// Like children that were forked (in_place_joins.h), with less to do: an All has no daemons, it closes with its join,
// and its branches have their frames. A branch that begins where another one has ended goes on in the control block of
// that one, if it was quiet. (all_scope.h)
//
// Who may call: as there.
#ifndef WEFT_LIB_RUNTIME_IN_PLACE_BRANCHES_H_
#define WEFT_LIB_RUNTIME_IN_PLACE_BRANCHES_H_

#include <coroutine>
#include <cstdint>

#include "lib/runtime/in_place_joins.h"
#include "lib/runtime/no_suspensions.h"
#include "weft/internal/scope_record.h"
#include "weft/internal/thread_block.h"

namespace weft::internal {

class InPlaceBranches : public InPlaceJoins {
 public:
  // ---- The frame of the mounted thread is suspended, and waits for `scope`, whose children are the branches. They
  // begin, the first one in its place.

  // Before that: a checkpoint. False: the owner is cancelled.
  bool EnterJoinOf(ThreadBlock& owner, AwaitingFrame awaiting) noexcept;
  // The others are branch(1) to branch(count - 1): seeds, or threads.
  template <class BranchAt>
  std::coroutine_handle<> BeginBranches(ThreadBlock& owner, ScopeRecord& scope, ThreadBlock& first, int32_t count,
                                        BranchAt branch) noexcept;
  // The same for two, after MayEnterJoinUnobserved().
  using Turn::MayEnterJoinUnobserved;
  std::coroutine_handle<> BeginTwoBranches(ThreadBlock& owner, ScopeRecord& scope, ThreadBlock& first,
                                           BranchSeed& second) noexcept;

  // The root frame of the mounted thread is gone. The thread is a branch, or another one, and has succeeded.
  std::coroutine_handle<> EndFrame(ThreadBlock& thread) noexcept;

 protected:
  using InPlaceJoins::InPlaceJoins;
  ~InPlaceBranches() = default;

 private:
  template <bool kObserved>
  std::coroutine_handle<> EndBranch(ThreadBlock& branch) noexcept;
  [[gnu::noinline]] std::coroutine_handle<> EndObservedBranch(ThreadBlock& branch) noexcept;
  template <bool kObserved>
  std::coroutine_handle<> BeginNextBranch(ThreadBlock& ended, ScopeRecord& scope) noexcept;
  std::coroutine_handle<> BeginTakenBranch(ThreadBlock& ended, Queued* taken, ScopeRecord& scope) noexcept;
  template <bool kObserved>
  std::coroutine_handle<> GoOnAfterBranch(ThreadBlock& ended, ScopeRecord& scope) noexcept;
  [[gnu::cold, gnu::noinline]] std::coroutine_handle<> SendHomeAfter(ThreadBlock& ended, ThreadBlock& owner) noexcept;
  std::coroutine_handle<> CloseJoinAfter(ThreadBlock& ended, ScopeRecord& scope) noexcept;
  std::coroutine_handle<> CloseJoinBeforeTwo(ThreadBlock& first, BranchSeed& second, ScopeRecord& scope) noexcept;
};

// ---- The fast path.

// AtCheckpoint() and EnterBoundary(), for a wait that never is over before it begins.
inline bool InPlaceBranches::EnterJoinOf(ThreadBlock& owner, AwaitingFrame awaiting) noexcept {
  owner.leaf = &awaiting.frame;
  if constexpr (NoSuspensions::kChecked) observed.waits_at = awaiting.where;
  if (MayEnterJoinUnobserved(owner)) [[likely]]
    return true;
  AtCheckpoint();
  observed.waits_at = awaiting.where;
  return EnterBoundary(awaiting.frame);
}

template <class BranchAt>
std::coroutine_handle<> InPlaceBranches::BeginBranches(ThreadBlock& owner, ScopeRecord& scope, ThreadBlock& first,
                                                       int32_t count, BranchAt branch) noexcept {
  EnterJoin(owner);
  if (observed.on()) observed.Unmount(owner);
  const bool in_place = MayBeginInPlace(/*own=*/0) && !scope.shut();
  CarrierCounters::Add(counters.started, count);
  if (observed.on()) {
    observed.Start(first);
    for (int32_t i = 1; i < count; ++i) observed.Start(branch(i));
  }
  for (int32_t i = count - 1; i >= 1; --i) queue.Push(branch(i));
  if (!in_place) queue.Push(first);
  queue.NotifyPushed();
  if (!in_place) return CloseJoin(scope);
  MountInPlace(first);
  if (observed.on()) observed.Mount(first);
  return first.leaf->Handle();
}

[[gnu::always_inline]] inline std::coroutine_handle<> InPlaceBranches::BeginTwoBranches(ThreadBlock& owner,
                                                                                        ScopeRecord& scope,
                                                                                        ThreadBlock& first,
                                                                                        BranchSeed& second) noexcept {
  owner.wait.store(&kJoinWait, std::memory_order_relaxed);
  no_suspensions.Check(owner, observed.waits_at);
  // The look that may be part of the first may shut the scope.
  if (!MayBeginInPlace(/*own=*/0) || scope.shut()) [[unlikely]]
    return CloseJoinBeforeTwo(first, second, scope);
  CarrierCounters::Add(counters.pairs);
  queue.Push(second);
  queue.NotifyPushed();
  MountUncounted(first);
  return first.leaf->Handle();
}

}  // namespace weft::internal

#endif  // WEFT_LIB_RUNTIME_IN_PLACE_BRANCHES_H_

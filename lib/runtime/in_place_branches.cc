#include "lib/runtime/in_place_branches.h"

#include <atomic>
#include <coroutine>

#include "lib/cancel/open_record.h"
#include "lib/runtime/carrier.h"
#include "lib/thread/join_count.h"
#include "lib/thread/thread_state.h"
#include "weft/internal/promise.h"

namespace weft::internal {
namespace {

// Of a branch that has ended in its owner's place, and has no identity: may the next one take over its control block?
inline bool IsQuiet(const ThreadBlock& ended) noexcept {
  return ended.state.Observe().untouched() && ended.records.load(std::memory_order_relaxed) == nullptr;
}

// Makes it that next one.
inline void Succeed(ThreadBlock& ended, const BranchSeed& seed) noexcept {
  // relaxed: for who describes the thread meanwhile.
  std::atomic_ref(ended.id).store(seed.id, std::memory_order_relaxed);
  ended.leaf = seed.root;
  ended.leaf->MakeRoot(&ended);
}

}  // namespace

// ---- The usual case: a branch has run in its owner's place, and has succeeded; the next one is where it was put, or
// there is none and the owner goes on. EndThread() does the same for all cases; with it alone fib(30) by All takes 36 %
// more instructions. (BM_FibAll of benchmarks/fork_join_benchmark.cc on one carrier, counted by callgrind, 2026-11-27)

std::coroutine_handle<> EndRootFrame(ThreadBlock& thread) noexcept { return Carrier::Current()->EndFrame(thread); }

std::coroutine_handle<> EndFailedRootFrame(ThreadBlock& thread) noexcept {
  return Carrier::Current()->EndThread(thread, ThreadBlock::Ending::kFailed);
}

[[gnu::always_inline]] inline std::coroutine_handle<> InPlaceBranches::EndFrame(ThreadBlock& thread) noexcept {
  if (!thread.in_frame) return EndForked(thread);
  if (observed.on()) [[unlikely]]
    return EndObservedBranch(thread);
  return EndBranch</*kObserved=*/false>(thread);
}

template <bool kObserved>
[[gnu::always_inline]] inline std::coroutine_handle<> InPlaceBranches::EndBranch(ThreadBlock& branch) noexcept {
  ScopeRecord* scope;
  if (!branch.holds_count || !branch.HomeUnlessKnown(scope)) [[unlikely]]
    return EndThread(branch, ThreadBlock::Ending::kSucceeded);
  if constexpr (kObserved) {
    observed.Unmount(branch);
    observed.End(branch);
  }
  scope->children.EndLocal();
  return scope->children.MayHaveLocal() ? BeginNextBranch<kObserved>(branch, *scope)
                                        : GoOnAfterBranch<kObserved>(branch, *scope);
}

std::coroutine_handle<> InPlaceBranches::EndObservedBranch(ThreadBlock& branch) noexcept {
  return EndBranch</*kObserved=*/true>(branch);
}

// Like ContinueJoin(), for the scope of an All: it has no daemons, and its children have their frames. The next branch
// takes over the control block of the one that has ended, if that was quiet. (all_scope.h)
template <bool kObserved>
[[gnu::always_inline]] inline std::coroutine_handle<> InPlaceBranches::BeginNextBranch(ThreadBlock& ended,
                                                                                       ScopeRecord& scope) noexcept {
  if (!MayBeginInPlace(scope.children.local())) [[unlikely]]
    return CloseJoinAfter(ended, scope);
  Queued* const taken = queue.deque.Pop();
  BranchSeed* const seed = Queued::Seed(taken);
  if (seed == nullptr || seed->scope != &scope || scope.shut() || !IsQuiet(ended)) [[unlikely]]
    return BeginTakenBranch(ended, taken, scope);
  BeginShare();
  CarrierCounters::AddEnd(counters.successions);
  Succeed(ended, *seed);
  if constexpr (kObserved) observed.Mount(ended);
  return ended.leaf->Handle();
}

// The same with a control block of its own.
std::coroutine_handle<> InPlaceBranches::BeginTakenBranch(ThreadBlock& ended, Queued* taken,
                                                          ScopeRecord& scope) noexcept {
  CarrierCounters::AddEnd(counters.ended);
  ended.state.End();
  if (taken == nullptr) return CloseJoin(scope);
  if (BranchSeed* const seed = Queued::Seed(taken); seed != nullptr && seed->scope != &scope)
    return CloseJoinBefore(taken, scope);
  ThreadBlock& next = *Queued::Thread(taken);
  if (!IsToBeginInPlace(next, scope)) return CloseJoinBefore(Queued::Of(next), scope);
  MountInPlace(next);
  if (observed.on()) observed.Mount(next);
  return next.leaf->Handle();
}

// Like CloseJoin(), CompleteJoin() and ResumeOwner(), for the scope of an All, which closes with its join.
template <bool kObserved>
[[gnu::always_inline]] inline std::coroutine_handle<> InPlaceBranches::GoOnAfterBranch(ThreadBlock& ended,
                                                                                       ScopeRecord& scope) noexcept {
  ThreadBlock& owner = *scope.owner;
  if (!scope.children.Drained() || owner.records.load(std::memory_order_relaxed) != &scope) [[unlikely]]
    return CloseJoinAfter(ended, scope);
  if (PopInnermost(owner, scope)) [[unlikely]]
    return CloseJoinAfter(ended, scope);  // another thread had walked the records before: see CompleteJoin()
  if (!MountOn(owner)) [[unlikely]]
    return SendHomeAfter(ended, owner);
  CarrierCounters::AddEnd(counters.returns);
  current = &owner;
  BeginShare();
  if constexpr (kObserved) observed.Mount(owner);
  owner.wait.store(nullptr, std::memory_order_relaxed);
  if (owner.unwind) [[unlikely]] {
    action = Action::kUnwind;
    return std::noop_coroutine();
  }
  return owner.leaf->Handle();
}

std::coroutine_handle<> InPlaceBranches::SendHomeAfter(ThreadBlock& ended, ThreadBlock& owner) noexcept {
  CarrierCounters::AddEnd(counters.ended);
  ended.state.End();
  CarrierCounters::Add(counters.wakes);
  return SendHome(owner);
}

[[gnu::noinline]] std::coroutine_handle<> InPlaceBranches::CloseJoinAfter(ThreadBlock& ended,
                                                                          ScopeRecord& scope) noexcept {
  CarrierCounters::AddEnd(counters.ended);
  ended.state.End();
  return CloseJoin(scope);
}

// Like CloseJoinBefore(), for two that were never in the deque; `first` will be the next to begin in its owner's place,
// if any does.
std::coroutine_handle<> InPlaceBranches::CloseJoinBeforeTwo(ThreadBlock& first, BranchSeed& second,
                                                            ScopeRecord& scope) noexcept {
  CarrierCounters::Add(counters.parks);
  CarrierCounters::Add(counters.started, 2);
  queue.Push(second);
  return CloseJoinBefore(Queued::Of(first), scope);
}

}  // namespace weft::internal

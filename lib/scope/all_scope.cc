#include "weft/internal/all_scope.h"

#include <algorithm>
#include <cstdint>
#include <mutex>
#include <new>
#include <string_view>
#include <type_traits>

#include "lib/cancel/boundary.h"
#include "lib/cancel/cancel_request.h"
#include "lib/cancel/open_record.h"
#include "lib/runtime/calling_carrier.h"
#include "lib/thread/join_count.h"
#include "lib/thread/runtime_services.h"
#include "lib/thread/thread_state.h"
#include "weft/internal/boundary.h"
#include "weft/internal/check.h"
#include "weft/internal/scope_record.h"

namespace weft::internal {

const ScopeRecord::Operations AllScope::kOperations = {
    .request_shutdown = [](ScopeRecord& scope,
                           const CancelCause& cause) noexcept { static_cast<AllScope&>(scope).RequestShutdown(cause); },
    .shut_down_some = [](ScopeRecord& scope,
                         int max) noexcept { return static_cast<AllScope&>(scope).ShutDownSome(max); },
    .cause_for = [](const ScopeRecord& scope, Asker) noexcept { return static_cast<const AllScope&>(scope).cause_; },
    .register_child = [](ScopeRecord& scope,
                         ThreadBlock& child) noexcept { static_cast<AllScope&>(scope).Register(child); },
    .for_each_child = [](ScopeRecord& scope, void (*visit)(ThreadBlock& child, void* argument),
                         void* argument) noexcept { static_cast<AllScope&>(scope).ForEachChild(visit, argument); },
    .name = [](const ScopeRecord&) noexcept { return std::string_view("All"); },
};

// For an All() of two, the compiler knows the count.
template <class Count>
[[gnu::always_inline]] inline AllScope& AllScope::Make(AllScope* place, BranchBlock* branches,
                                                       PromiseBase* const* roots, Count count, ThreadBlock& owner,
                                                       RuntimeCore& runtime, uint64_t first_id) noexcept {
  AllScope& scope = *::new (place) AllScope(owner, runtime, branches, count);
  for (int32_t i = 0; i < count; ++i) {
    BranchBlock& branch = *::new (branches + i) BranchBlock;
    branch.Place(scope, first_id + static_cast<uint32_t>(i), owner.bindings);
    branch.leaf = roots[i];
    roots[i]->MakeRoot(&branch);
  }
  return scope;
}

std::coroutine_handle<> AllScope::Begin(AllScope* place, BranchBlock* branches, PromiseBase* const* roots,
                                        int32_t count, AwaitingFrame awaiting) noexcept {
  CallingCarrier carrier;
  ThreadBlock& owner = carrier.thread();
  constexpr auto kOwes = [](PromiseBase* root) { return root->owes_clean_up(); };
  if (!carrier.EnterJoinOf(owner, awaiting) && std::none_of(roots, roots + count, kOwes)) {
    for (int32_t i = 0; i < count; ++i) roots[i]->Handle().destroy();
    return std::noop_coroutine();
  }
  AllScope& scope = Make(place, branches, roots, count, owner, carrier.runtime(),
                         carrier.NextThreadIds(static_cast<uint32_t>(count)));
  if (PushRecord(owner, scope)) return BeginShut(scope, branches, count);
  return carrier.BeginBranches(owner, scope, branches, count);
}

std::coroutine_handle<> AllScope::BeginShut(AllScope& scope, BranchBlock* branches, int32_t count) noexcept {
  scope.RequestShutdown(WhyCancelled(*scope.owner));
  return CallingCarrier().BeginBranches(*scope.owner, scope, branches, count);
}

// The same, for the case that nothing special happens. With Begin() instead, fib(30) by All takes 15 % more
// instructions. (in_place_joins.cc says how it was counted)
std::coroutine_handle<> AllScope::BeginTwo(AllOf<2>& place, PromiseBase* const* roots,
                                           AwaitingFrame awaiting) noexcept {
  CallingCarrier carrier;
  ThreadBlock& owner = carrier.thread();
  if (!carrier.MayEnterJoinUnobserved(owner)) [[unlikely]]
    return Begin(&place.scope, place.branches, roots, 2, awaiting);
  owner.leaf = &awaiting.frame;
  BranchBlock* const branches = place.branches;
  AllScope& scope = Make(&place.scope, branches, roots, std::integral_constant<int32_t, 2>(), owner, carrier.runtime(),
                         carrier.NextThreadIds(2));
  if (PushRecord(owner, scope)) [[unlikely]]
    return BeginShut(scope, branches, 2);
  return carrier.BeginTwoBranches(owner, scope, branches[0], branches[1]);
}

void BranchBlock::OnEnd(Ending ending) noexcept {
  if (ending == Ending::kFailed) static_cast<AllScope*>(home())->BranchFailed(*this);
  state.End();
}

// Called at the end of a branch that has failed. The first one shuts the scope; later ones change nothing.
void AllScope::BranchFailed(BranchBlock& branch) noexcept {
  {
    std::lock_guard guard(lock_);
    if (shut()) return;
    first_failure_ = static_cast<int32_t>(&branch - branches_);
    branch.state.End();  // it need not be asked
    ShutLocked({CancelReason::Kind::kSiblingFailed, branch.id, NowOf(runtime)});
  }
  RunShutdowns(runtime);
}

void AllScope::RequestShutdown(const CancelCause& cause) noexcept {
  std::lock_guard guard(lock_);
  ShutLocked(cause);
}

// The thread that drains the cancel queue asks the branches to end, some at a time.
void AllScope::ShutLocked(const CancelCause& cause) noexcept {
  if (shut()) return;
  state_.store(State::kShut, std::memory_order_relaxed);
  cause_ = cause;
  if (std::all_of(branches_, branches_ + count_, [](const BranchBlock& branch) { return branch.state.ended(); }))
    return;
  children.Add();
  EnqueueShutdown(runtime, *this);
}

// Called by whoever drains the cancel queue, until it returns true; then the scope may be gone.
bool AllScope::ShutDownSome(int max) noexcept {
  {
    std::lock_guard guard(lock_);
    CancelBatch batch(Asker::kScope, cause_);
    for (int i = 0; i < max && cursor_ < count_; ++i) {
      BranchBlock& branch = branches_[cursor_++];
      if (!branch.state.ended()) batch.Add(branch);
    }
    batch.Request();
    if (cursor_ < count_) return false;
  }
  EndCounted(*this);
  return true;
}

// Branches are registered from the start. A branch that begins after a shutdown is asked to end at once.
void AllScope::Register(ThreadBlock& branch) noexcept {
  {
    std::lock_guard guard(lock_);
    if (!shut()) return;
  }
  RequestEnd(branch, Asker::kScope, cause_);  // constant from then on
}

void AllScope::ForEachChild(void (*visit)(ThreadBlock& child, void* argument), void* argument) noexcept {
  std::lock_guard guard(lock_);
  for (int32_t i = 0; i < count_; ++i) {
    if (!branches_[i].state.ended()) visit(branches_[i], argument);
  }
}

}  // namespace weft::internal

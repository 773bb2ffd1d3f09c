#include "weft/internal/all_scope.h"

#include <algorithm>
#include <cstdint>
#include <mutex>
#include <new>
#include <string_view>
#include <utility>

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
    .make_branch = [](ScopeRecord& scope, BranchSeed& seed) noexcept -> ThreadBlock& {
      return static_cast<AllScope&>(scope).MakeBranch(seed);
    },
    .register_child = [](ScopeRecord& scope,
                         ThreadBlock& child) noexcept { static_cast<AllScope&>(scope).Register(child); },
    .for_each_child = [](ScopeRecord& scope, void (*visit)(ThreadBlock& child, void* argument),
                         void* argument) noexcept { static_cast<AllScope&>(scope).ForEachChild(visit, argument); },
    .name = [](const ScopeRecord&) noexcept { return std::string_view("All"); },
};

[[gnu::always_inline]] inline AllScope& AllScope::Open(AllScope* place, BranchPlace* branches, PromiseBase& first,
                                                       int32_t count, ThreadBlock& owner, RuntimeCore& runtime,
                                                       uint64_t first_id) noexcept {
  AllScope& scope = *::new (place) AllScope(owner, runtime, branches, count, first_id);
  BranchBlock& branch = *::new (&branches->block) BranchBlock;
  branch.Place(scope, first_id, owner.bindings);
  branch.leaf = &first;
  first.MakeRoot(&branch);
  return scope;
}

inline void AllScope::Plant(BranchSeed& place, PromiseBase& root, uint64_t id) noexcept {
  ::new (&place) BranchSeed{this, &root, id};
}

std::coroutine_handle<> AllScope::Begin(AllScope* place, BranchPlace* branches, PromiseBase* const* roots,
                                        int32_t count, AwaitingFrame awaiting) noexcept {
  CallingCarrier carrier;
  ThreadBlock& owner = carrier.thread();
  constexpr auto kOwes = [](PromiseBase* root) { return root->owes_clean_up(); };
  if (!carrier.EnterJoinOf(owner, awaiting) && std::none_of(roots, roots + count, kOwes)) {
    for (int32_t i = 0; i < count; ++i) roots[i]->Handle().destroy();
    return std::noop_coroutine();
  }
  const uint64_t first_id = carrier.NextThreadIds(static_cast<uint32_t>(count));
  AllScope& scope = Open(place, branches, *roots[0], count, owner, carrier.runtime(), first_id);
  for (int32_t i = 1; i < count; ++i) scope.Plant(branches[i].seed, *roots[i], first_id + static_cast<uint32_t>(i));
  if (PushRecord(owner, scope)) return BeginShut(scope, branches, count);
  const auto branch = [branches](int32_t i) -> BranchSeed& { return branches[i].seed; };
  return carrier.BeginBranches(owner, scope, branches->block, count, branch);
}

std::coroutine_handle<> AllScope::BeginShut(AllScope& scope, BranchPlace* branches, int32_t count) noexcept {
  for (int32_t i = 1; i < count; ++i) scope.MakeBranch(branches[i].seed);
  scope.RequestShutdown(WhyCancelled(*scope.owner));
  const auto branch = [branches](int32_t i) -> ThreadBlock& { return branches[i].block; };
  return CallingCarrier().BeginBranches(*scope.owner, scope, branches->block, count, branch);
}

// The same, for the case that nothing special happens. With Begin() instead, fib(30) by All takes 13 % more
// instructions. (in_place_branches.cc says how it was counted)
std::coroutine_handle<> AllScope::BeginTwo(AllOf<2>& place, PromiseBase& first, PromiseBase& second,
                                           AwaitingFrame awaiting) noexcept {
  CallingCarrier carrier;
  ThreadBlock& owner = carrier.thread();
  if (!carrier.MayEnterJoinUnobserved(owner)) [[unlikely]]
    return BeginTwoSlow(place, first, second, awaiting);
  owner.leaf = &awaiting.frame;
  carrier.NoteWaitsAt(awaiting.where);
  BranchPlace* const branches = place.branches;
  const uint64_t first_id = carrier.NextThreadIds(2);
  AllScope& scope = Open(&place.scope, branches, first, 2, owner, carrier.runtime(), first_id);
  scope.Plant(branches[1].seed, second, first_id + 1);
  if (PushRecord(owner, scope)) [[unlikely]]
    return BeginShut(scope, branches, 2);
  return carrier.BeginTwoBranches(owner, scope, branches->block, branches[1].seed);
}

std::coroutine_handle<> AllScope::BeginTwoSlow(AllOf<2>& place, PromiseBase& first, PromiseBase& second,
                                               AwaitingFrame awaiting) noexcept {
  PromiseBase* const roots[] = {&first, &second};
  return Begin(&place.scope, place.branches, roots, 2, awaiting);
}

// A branch that is made after a shutdown is asked to end at once.
BranchBlock& AllScope::MakeBranch(BranchSeed& seed) noexcept {
  const auto [scope, root, id] = seed;
  BranchBlock& branch = *::new (static_cast<void*>(&seed)) BranchBlock;  // in its place
  branch.Place(*this, id, owner->bindings);
  branch.leaf = root;
  root->MakeRoot(&branch);
  {
    std::lock_guard guard(lock_);
    branch.ListNode<SiblingTag>::next = std::exchange(first_.ListNode<SiblingTag>::next, &branch);
    if (!shut()) return branch;
  }
  RequestEnd(branch, Asker::kScope, cause_);  // constant from then on
  return branch;
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
    first_failure_ = static_cast<int32_t>(branch.id - first_id_);
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
  state_.store(kShut, std::memory_order_relaxed);
  cause_ = cause;
  next_to_ask_ = &first_;
  children.Add();
  EnqueueShutdown(runtime, *this);
}

// Called by whoever drains the cancel queue, until it returns true; then the scope may be gone.
bool AllScope::ShutDownSome(int max) noexcept {
  {
    std::lock_guard guard(lock_);
    CancelBatch batch(Asker::kScope, cause_);
    for (int i = 0; i < max && next_to_ask_ != nullptr; ++i) {
      BranchBlock& branch = *std::exchange(next_to_ask_, next_to_ask_->next_made());
      if (!branch.state.ended()) batch.Add(branch);
    }
    batch.Request();
    if (next_to_ask_ != nullptr) return false;
  }
  EndCounted(*this);
  return true;
}

// Branches are registered from when they are made. One that begins after a shutdown is asked to end at once.
void AllScope::Register(ThreadBlock& branch) noexcept {
  {
    std::lock_guard guard(lock_);
    if (!shut()) return;
  }
  RequestEnd(branch, Asker::kScope, cause_);  // constant from then on
}

void AllScope::ForEachChild(void (*visit)(ThreadBlock& child, void* argument), void* argument) noexcept {
  std::lock_guard guard(lock_);
  for (BranchBlock* branch = &first_; branch != nullptr; branch = branch->next_made()) {
    if (!branch->state.ended()) visit(*branch, argument);
  }
}

}  // namespace weft::internal

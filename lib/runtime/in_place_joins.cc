#include "lib/runtime/in_place_joins.h"

#include <coroutine>
#include <cstdint>
#include <utility>

#include "lib/cancel/boundary.h"
#include "lib/cancel/open_record.h"
#include "lib/runtime/carrier.h"
#include "lib/runtime/no_suspensions.h"
#include "lib/runtime/runtime_core.h"
#include "lib/thread/describe.h"
#include "lib/thread/join_count.h"
#include "lib/thread/runtime_services.h"
#include "lib/thread/thread_state.h"
#include "weft/internal/boundary.h"
#include "weft/internal/check.h"
#include "weft/internal/scope_record.h"
#include "weft/internal/wait.h"

namespace weft::internal {

// A join that can be interrupted.
static constinit const WaitKind kParkedJoinWait = {
    ParkReason::kJoin,
    /*timed=*/false,
    [](ThreadBlock& thread) noexcept {
      auto& scope = *static_cast<ScopeRecord*>(thread.waiting_on);
      if (!scope.children.Withdraw()) return false;
      if (scope.has_daemons) scope.IncludeDaemons();
      return true;
    },
    /*cancel_wins=*/true,
    /*for_children=*/false,
    /*whose=*/nullptr,
    [](ThreadBlock& thread) noexcept { return Carrier::Current()->ParkUntilJoined(thread); }};

// It ends with the children, because what cancels the owner there shuts the scope as well.
constinit const WaitKind kJoinWait = {ParkReason::kJoin, /*timed=*/false, &WaitKind::NotWithdrawn, /*cancel_wins=*/true,
                                      /*for_children=*/true};

namespace {

// Does every request that would unwind this join shut the scope as well, so that it ends when the children do?
bool EndsWithItsScope(const ThreadBlock& owner, const ScopeRecord& scope) noexcept {
  return owner.records.load(std::memory_order_relaxed) == &scope && !owner.HasLockedSince(scope);
}

bool IsJoined(ScopeRecord& scope) noexcept {
  if (!scope.children.Drained()) return false;
  if (!scope.has_daemons) [[likely]]
    return true;
  scope.EndDaemons();
  return scope.children.Drained();
}

}  // namespace

std::coroutine_handle<> InPlaceJoins::EndForked(ThreadBlock& thread) noexcept {
  if (!thread.holds_count || observed.on()) [[unlikely]]
    return EndThread(thread, ThreadBlock::Ending::kSucceeded);
  CarrierCounters::AddEnd(counters.ended);
  ScopeRecord& scope = *thread.HomeOfChild();
  thread.OnEnd(ThreadBlock::Ending::kSucceeded);
  current = nullptr;
  scope.children.EndLocal();
  return ContinueJoin(scope);
}

// ---- All cases.

// The end of a thread, except the count of its scope.
void InPlaceJoins::Finish(ThreadBlock& thread, ThreadBlock::Ending ending) noexcept {
  CarrierCounters::AddEnd(counters.ended);
  if (observed.on()) [[unlikely]] {
    observed.Unmount(thread);
    observed.End(thread);
  }
  if (thread.in_frame) {
    if (thread.known()) [[unlikely]]
      thread.DropIdentity();
    if (ending == ThreadBlock::Ending::kSucceeded) return thread.state.End();
  }
  thread.OnEnd(ending);
  current = nullptr;
}

std::coroutine_handle<> InPlaceJoins::EndThread(ThreadBlock& thread, ThreadBlock::Ending ending) noexcept {
  ScopeRecord* const scope = thread.home();
  const bool holds_count = thread.holds_count;
  Finish(thread, ending);
  if (scope == nullptr) return Leave();
  if (!holds_count) return CountEnd(*scope);
  scope->children.EndLocal();
  return ContinueJoin(*scope);
}

// For a child that had a turn of its own. If it was the last of `scope`, the owner goes on: here, if there is time in
// this turn, or from the queue. Otherwise no thread is mounted any more.
std::coroutine_handle<> InPlaceJoins::CountEnd(ScopeRecord& scope) noexcept {
  switch (scope.children.End()) {
    case JoinCount::Last::kNo:
      return Leave();
    case JoinCount::Last::kRing:
      runtime.carriers.RingBlocked();
      return Leave();  // the scope may be gone
    case JoinCount::Last::kResume:
      break;
  }
  if (scope.owner_parked) {
    Wake(*scope.owner);
    return Leave();
  }
  if (!CompleteJoin(scope)) return Leave();
  // In a destructor that waits, the owner may be no descendant of what is waited for.
  if (blocked.load(std::memory_order_relaxed) == 0 && MayBeginInPlace(/*own=*/0)) return ResumeOwner(scope);
  CarrierCounters::Add(counters.wakes);
  MakeRunnable(*scope.owner);
  return Leave();
}

// Called by whoever brings the count of `scope` to zero, instead of by the owner: ends the daemons, or closes the scope
// of an All. In both cases the count may rise again; then the owner waits on.
bool CompleteJoin(ScopeRecord& scope) noexcept {
  if (scope.has_daemons) [[unlikely]] {
    scope.EndDaemons();
    return scope.children.Drained() || scope.children.Wait();
  }
  ThreadBlock& owner = *scope.owner;
  if (!scope.closes_with_join || owner.records.load(std::memory_order_relaxed) != &scope) return true;
  if (!PopRecord(owner, scope)) [[likely]]
    return true;
  // Another thread had walked the records before: a shutdown may be on its way to children that it took for alive. No
  // other can come.
  return scope.children.Drained() || scope.children.Wait();
}

// After CompleteJoin(): mounts the owner in place of the child that has just ended, and returns its leaf, unless it
// must be unwound, or is pinned to another carrier.
std::coroutine_handle<> InPlaceJoins::ResumeOwner(ScopeRecord& scope) noexcept {
  ThreadBlock& owner = *scope.owner;
  CarrierCounters::Add(counters.wakes);
  if (!MountOn(owner)) [[unlikely]]
    return SendHome(owner);
  GoOnAs(owner);
  owner.wait.store(nullptr, std::memory_order_relaxed);
  // Like in EndWait(): a join that ends in a cancelled thread counts as cancelled, and a drain goes on unwinding.
  if (!owner.state.Observe().requested() && !owner.unwind) [[likely]]
    return owner.leaf->Handle();
  if (owner.unwind || IsCancelled(owner)) {
    action = Action::kUnwind;
    return std::noop_coroutine();
  }
  return owner.leaf->Handle();
}

// The holder of the count has nothing left to begin, or may begin nothing now.
std::coroutine_handle<> InPlaceJoins::CloseJoin(ScopeRecord& scope) noexcept {
  if (scope.children.Drained() && !scope.has_daemons && !scope.closes_with_join) [[likely]]
    return ResumeOwner(scope);
  return CloseJoinChecked(scope);
}

std::coroutine_handle<> InPlaceJoins::CloseJoinChecked(ScopeRecord& scope) noexcept {
  return (scope.children.Drained() || scope.children.Wait()) && CompleteJoin(scope) ? ResumeOwner(scope) : Leave();
}

// The same, for what was taken out of the deque, and gets a turn of its own.
std::coroutine_handle<> InPlaceJoins::CloseJoinBefore(Queued* queued, ScopeRecord& scope) noexcept {
  queue.Push(queued);
  queue.NotifyPushed();
  return CloseJoin(scope);
}

std::coroutine_handle<> InPlaceJoins::BeginObservedInPlace(ThreadBlock& child, ScopeRecord& scope) noexcept {
  observed.Mount(child);
  return child.leaf != nullptr ? child.leaf->Handle() : BeginClosureInPlace(child, scope);
}

std::coroutine_handle<> InPlaceJoins::BeginClosureInPlace(ThreadBlock& child, ScopeRecord& scope) noexcept {
  child.leaf = child.Begin();
  if (child.leaf != nullptr) return child.leaf->Handle();
  // The closure threw. The others get turns of their own; begun here, one after another, they would pile up on the
  // stack.
  Finish(child, ThreadBlock::Ending::kFailed);
  scope.children.EndLocal();
  return CloseJoin(scope);
}

std::coroutine_handle<> InPlaceJoins::ContinueJoin(ScopeRecord& scope) noexcept {
  // A daemon cannot hold the count: the join is over before it ends.
  if (!scope.children.MayHaveLocal() || scope.has_daemons || !MayBeginInPlace(scope.children.local())) {
    return CloseJoin(scope);
  }
  Queued* const taken = queue.deque.Pop();
  if (taken == nullptr) return CloseJoin(scope);
  if (Queued::IsSeed(taken)) [[unlikely]]
    return BeginSeed(taken, scope);
  ThreadBlock& child = *Queued::Made(taken);
  return IsToBeginInPlace(child, scope) ? BeginInPlace(child, scope) : CloseJoinBefore(taken, scope);
}

// The scope may be that of an All.
std::coroutine_handle<> InPlaceJoins::BeginSeed(Queued* taken, ScopeRecord& scope) noexcept {
  ThreadBlock& branch = *Queued::Thread(taken);
  return IsToBeginInPlace(branch, scope) ? BeginInPlace(branch, scope) : CloseJoinBefore(Queued::Of(branch), scope);
}

// Called every kPerLook threads that begin in place: looks at the clock, and does what is due. False: other threads
// wait, and have waited for long enough.
bool InPlaceJoins::RefillInPlaceBudget(int64_t own) noexcept {
  if (runtime.config.chooser != nullptr) {
    in_place_budget_ = 1;
    return queue.Choose(2) == 0;
  }
  in_place_budget_ = kPerLook;
  const int64_t now = runtime.Now();
  if (in_place_since_ns_ == 0) in_place_since_ns_ = now;
  if (now - duties.polled_ns() < kPollNanos) return true;
  duties.PollTimersAndDriver();
  runtime.cancel_queue.RunBatch(kShutdownBatch);
  if (now - in_place_since_ns_ < kMaxNanos) return true;
  // Is nothing waiting except children of this very scope? (A stolen child is counted as if it waited here. A thread
  // that it hides by that is at the old end, where thieves take first.)
  return !runtime.injected.MayHave() && !queue.pinned.MayHave() &&
         static_cast<int64_t>(queue.deque.SizeEstimate()) <= own;
}

// The checkpoint and the wait of a join. It returns the owner's frame if nothing is left to wait for, or else the first
// child that runs in the owner's place, or nothing. The usual case: the newest child lies in the deque. With
// AwaitChildrenChecked() alone fib(30) by Fork takes 4.1 % more instructions. (in_place_branches.cc says how it was
// counted)
std::coroutine_handle<> InPlaceJoins::AwaitChildren(ScopeRecord& scope, AwaitingFrame awaiting) noexcept {
  ThreadBlock& thread = *current;
  if (&thread != scope.owner || !MayEnterJoinUnobserved(thread) || scope.children.Drained() || scope.has_daemons ||
      !EndsWithItsScope(thread, scope)) [[unlikely]] {
    return AwaitChildrenChecked(scope, awaiting);
  }
  thread.leaf = &awaiting.frame;
  if constexpr (NoSuspensions::kChecked) observed.waits_at = awaiting.where;
  scope.owner_parked = false;
  EnterJoin(thread);
  return ContinueJoin(scope);
}

std::coroutine_handle<> InPlaceJoins::AwaitChildrenChecked(ScopeRecord& scope, AwaitingFrame awaiting) noexcept {
  ThreadBlock& thread = *current;
  PromiseBase& frame = awaiting.frame;
  // The owner began this join, but may have passed it to another thread: Fork(scope.Join()).
  WEFT_CHECK(&thread == scope.owner) << "a join is awaited by " << DescribeThread(thread)
                                     << "; the scope is owned by " << DescribeThread(*scope.owner);
  const bool may_go_on = AtCheckpoint();
  const bool drained = scope.children.Drained();
  // After the look at the children: the same request may have ended them and cancelled us.
  if (!EnterBoundary(frame)) return std::noop_coroutine();
  observed.waits_at = awaiting.where;
  if (drained) {
    // After other threads it looks once more: one of a scope inside may have forked into this one.
    if (!may_go_on) {
      thread.waiting_on = &scope;
      thread.wait.store(&kParkedJoinWait, std::memory_order_relaxed);
    }
    return GoOnWith(frame, may_go_on);
  }
  if (scope.has_daemons) [[unlikely]]
    scope.ExcludeDaemons();
  if (EndsWithItsScope(thread, scope)) {
    scope.owner_parked = false;
    EnterJoin(thread);
    if (observed.on()) [[unlikely]]
      observed.Unmount(thread);
    return ContinueJoin(scope);
  }
  // Either a boundary was opened after the scope, up to which the thread may be unwound while the children go on. Or a
  // lock was taken after it, which an unwinding gives back, and which the children may need in order to end.
  thread.waiting_on = &scope;
  if (ParkUntilJoined(thread)) return std::noop_coroutine();
  if (!thread.unwind) return GoOnWith(frame, may_go_on);
  action = Action::kUnwind;
  return std::noop_coroutine();
}

// Called for the owner in a join that can be interrupted: before it parks, when it was woken because all had ended, and
// when it must leave the join, to be unwound. Returns true if it parks. It may have to park again: a thread of a scope
// that it has opened inside may have forked into the joined scope before the owner got its turn; and when the other
// children have ended it waits for the daemons.
bool InPlaceJoins::ParkUntilJoined(ThreadBlock& thread) noexcept {
  auto& scope = *static_cast<ScopeRecord*>(thread.waiting_on);
  while (!thread.unwind && !IsJoined(scope)) {
    if (!EnterWaitAgain(kParkedJoinWait, observed.waits_at)) break;
    scope.owner_parked = true;
    if (!scope.children.Wait()) return true;
    EndWait(thread);
  }
  if (thread.unwind && scope.has_daemons) scope.IncludeDaemons();
  return false;
}

}  // namespace weft::internal

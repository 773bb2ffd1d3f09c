#include "weft/internal/scope_base.h"

#include <cstdint>
#include <mutex>
#include <string>
#include <utility>

#include "lib/runtime/in_place.h"
#include "weft/internal/check.h"
#include "weft/internal/child.h"
#include "weft/internal/scheduler.h"
#include "weft/internal/thread_block.h"

namespace weft::internal {

const ScopeRecord::Operations ScopeBase::kOperations = {
    .request_shutdown =
        [](ScopeRecord& scope, const CancelReason& reason) noexcept {
          static_cast<ScopeBase&>(scope).RequestShutdown(reason);
        },
    .shut_down_some = [](ScopeRecord& scope,
                         int max) noexcept { return static_cast<ScopeBase&>(scope).ShutDownSome(max); },
    .register_child =
        [](ScopeRecord& scope, ThreadBlock& child) noexcept {
          static_cast<ScopeBase&>(scope).Register(static_cast<ChildBase&>(child));
        },
    .for_each_child = [](ScopeRecord& scope, void (*visit)(ThreadBlock& child, void* argument),
                         void* argument) noexcept { static_cast<ScopeBase&>(scope).ForEachChild(visit, argument); },
};

ScopeBase::ScopeBase(PolicyRules rules, std::string name)
    : ScopeRecord(&RequireThread("opening a StructuredTaskScope"), kOperations),
      rules_(rules),
      name_(std::move(name)),
      bindings_(owner->bindings),
      serial_(owner->id << 24 | (++owner->scopes_opened & 0xffffff)) {
  // From here on others may shut it.
  if (const CancelReason reason = PushRecord(*owner, *this)) {
    std::lock_guard guard(lock_);
    ShutLocked(reason, nullptr);
  }
}

ScopeBase::~ScopeBase() {
  CheckOwner("the destruction of a StructuredTaskScope");
  if (!children.Drained()) {
    {
      std::lock_guard guard(lock_);
      ShutLocked({CancelReason::Kind::kScopeClosed, owner->id}, nullptr);
    }
    RunShutdowns(*owner->runtime);
    RunInsideUntilDrained(*this);
  }
  PopRecord(*owner, *this);
  if (first_success_ != nullptr) first_success_->Release();
  while (ThreadBlock* child = failed_.PopFront()) child->Release();
}

// ---- Who may.

void ScopeBase::CheckOwner(const char* what) const {
  ThreadBlock& self = RequireThread(what);
  WEFT_CHECK(&self == owner) << what << " by " << DescribeThread(self) << "; the scope is owned by " << DescribeThread(*owner);
}

void ScopeBase::CheckOwnerOrInside(const char* what) const {
  ThreadBlock& self = RequireThread(what);
  WEFT_CHECK(&self == owner || self.IsInside(*this))
      << what << " by " << DescribeThread(self) << "; the scope is owned by " << DescribeThread(*owner)
      << ", and the caller is not in the tree below it";
}

// ---- Children.

inline void ScopeBase::PlaceChild(ChildBase& child, const ThreadBlock& self, uint32_t round, uint64_t id) noexcept {
  child.runtime = self.runtime;
  child.home = this;
  child.id = id;
  child.bindings = bindings_;
  child.scope_serial_ = serial_;
  child.round_ = round;
}

// The usual case: the owner forks, and nothing keeps it from it. StartChildChecked() does the same for all cases.
void ScopeBase::StartChild(ChildBase& child, ThreadIdentity* name) {
  Carrier* const carrier = Carrier::Current();
  ThreadBlock& self = *owner;
  if (carrier == nullptr || carrier->current != &self || closed_ || self.bindings != bindings_ || name != nullptr ||
      shut() || self.state.Observe().attention()) [[unlikely]] {
    return StartChildChecked(child, name);
  }
  uint32_t round = fork_round_.load(std::memory_order_relaxed);
  if (round == last_join_completed_) fork_round_.store(++round, std::memory_order_relaxed);
  PlaceChild(child, self, round, carrier->NextThreadIds(1));
  children.AddLocal();
  carrier->StartHere(child);
}

void ScopeBase::StartChildChecked(ChildBase& child, ThreadIdentity* name) {
  ThreadBlock& self = RequireThread("Fork()");
  Carrier& carrier = *Carrier::Current();
  const bool by_owner = &self == owner;
  if (!by_owner) CheckOwnerOrInside("Fork()");
  WEFT_CHECK(!closed_) << "Fork() by " << DescribeThread(self) << " into a scope that is closed";
  WEFT_CHECK(self.bindings == bindings_) << "Fork() by " << DescribeThread(self)
                                         << " under other scoped-value bindings than those the scope was opened under by "
                                         << DescribeThread(*owner);
  uint32_t round = fork_round_.load(std::memory_order_relaxed);
  if (by_owner && round == last_join_completed_) fork_round_.store(++round, std::memory_order_relaxed);
  PlaceChild(child, self, round, carrier.NextThreadIds(1));
  if (name != nullptr) {
    name->Bind(child);
    // [identity/1] release: pairs with [identity/2].
    child.identity.store(name, std::memory_order_release);
  }
  // A cancelled thread starts nothing. A shutdown that is missed here is seen when the child is to begin.
  if (shut() || IsCancelled(self)) return child.DropUnstarted();
  if (by_owner) {
    children.AddLocal();
  } else {
    children.Add();
  }
  carrier.StartHere(child);
}

// On the carrier on which the child has ended, which then counts it.
void ScopeBase::ChildEnded(ChildBase& child, ThreadBlock::Ending ending) noexcept {
  RuntimeCore& runtime = *child.runtime;
  const Completion kind = ending == ThreadBlock::Ending::kSucceeded ? Completion::kSuccess
                          : ending == ThreadBlock::Ending::kFailed  ? Completion::kFailed
                                                                    : Completion::kUnavailable;
  bool shut_by_child = false;
  bool kept = false;
  const bool registered = !child.state.Observe().unregistered();
  if (registered || kind != Completion::kUnavailable) {
    std::lock_guard guard(lock_);
    const bool was_shut = shut_.load(std::memory_order_relaxed);
    if (kind == Completion::kFailed) {
      kept = ++failure_count_ <= 1 + Outcome::kMaxSuppressed;
      if (kept) {
        child.refs.fetch_add(1, std::memory_order_relaxed);  // the scope's
        failed_.PushBack(&child);
      }
    }
    if (!was_shut && kind != Completion::kUnavailable) {
      child.Publish(kind);
      ApplyPolicyLocked(child, kind);
    }
    shut_by_child = shut_.load(std::memory_order_relaxed) && !was_shut;
    if (registered) {
      if (cursor_ == &child) cursor_ = children_.Next(&child);
      SiblingList::Remove(&child);
    }
  }
  // What the result's destructor touches may be the owner's: it has run before the owner can go on.
  if (!kept && child.completion() == Completion::kUnavailable) child.DropResult();
  child.state.End();
  child.Release();
  if (shut_by_child) RunShutdowns(runtime);
}

void ScopeBase::ApplyPolicyLocked(ChildBase& child, Completion kind) noexcept {
  if (kind == Completion::kFailed && rules_.shut_down_on_failure) {
    ShutLocked({CancelReason::Kind::kSiblingFailed, child.id}, nullptr);
  }
  if (kind == Completion::kSuccess && rules_.shut_down_on_success) {
    child.refs.fetch_add(1, std::memory_order_relaxed);  // the scope's
    first_success_ = &child;
    ShutLocked({CancelReason::Kind::kSiblingSucceeded, child.id}, nullptr);
  }
}

// The child itself: it has not parked, passed a checkpoint or opened anything before, so that nobody can have missed
// it.
void ScopeBase::Register(ChildBase& child) noexcept {
  bool shut_already;
  CancelReason reason;
  {
    std::lock_guard guard(lock_);
    children_.PushBack(&child);
    child.state.Registered();
    shut_already = shut_.load(std::memory_order_relaxed) && spared_ != &child;
    reason = reason_;
  }
  if (shut_already) RequestCancel(child, child.root, reason);
}

// ---- Shutdown.

// Under lock_. The children are asked by whoever drains the cancel queue, some at a time.
void ScopeBase::ShutLocked(const CancelReason& reason, const ThreadBlock* spare) noexcept {
  if (shut_.load(std::memory_order_relaxed)) return;
  shut_.store(true, std::memory_order_relaxed);
  reason_ = reason;
  spared_ = spare;
  cursor_ = children_.front();
  if (cursor_ == nullptr) return;
  carrying_on_ = true;
  children.Add();
  EnqueueShutdown(*owner->runtime, *this);
}

void ScopeBase::Shutdown() {
  CheckOwnerOrInside("Shutdown()");
  WEFT_CHECK(!closed_) << "Shutdown() of a scope that is closed";
  ThreadBlock& self = *CurrentThread();
  {
    std::lock_guard guard(lock_);
    ShutLocked({CancelReason::Kind::kShutdown, self.id}, &self);
  }
  RunShutdowns(*self.runtime);
}

void ScopeBase::RequestShutdown(const CancelReason& reason) noexcept {
  std::lock_guard guard(lock_);
  // A scope that was shut before has spared nobody but a child that asked for it; a request from outside reaches that one too.
  if (shut_.load(std::memory_order_relaxed) && spared_ != nullptr) {
    spared_ = nullptr;
    if (!carrying_on_ && !children_.empty()) {
      carrying_on_ = true;
      children.Add();
      cursor_ = children_.front();
      reason_ = reason;
      EnqueueShutdown(*owner->runtime, *this);
    } else if (carrying_on_) {
      cursor_ = children_.front();
    }
    return;
  }
  ShutLocked(reason, nullptr);
}

bool ScopeBase::ShutDownSome(int max) noexcept {
  {
    std::lock_guard guard(lock_);
    CancelBatch batch(reason_);
    for (int i = 0; i < max && cursor_ != nullptr; ++i) {
      ThreadBlock* child = std::exchange(cursor_, children_.Next(cursor_));
      if (child != spared_) batch.Add(*child);
    }
    batch.Request();
    if (cursor_ != nullptr) return false;
    carrying_on_ = false;
  }
  EndCounted(*this);
  return true;
}

void ScopeBase::ForEachChild(void (*visit)(ThreadBlock& child, void* argument), void* argument) noexcept {
  std::lock_guard guard(lock_);
  for (ThreadBlock* child = children_.front(); child != nullptr; child = children_.Next(child)) visit(*child, argument);
}

void ScopeBase::BeginJoin(const char* what) {
  CheckOwner(what);
  WEFT_CHECK(!closed_) << what << " of a scope that is closed, by " << DescribeThread(*owner);
}

void ScopeBase::BeginClose(const char* what) {
  BeginJoin(what);
  {
    std::lock_guard guard(lock_);
    ShutLocked({CancelReason::Kind::kScopeClosed, owner->id}, nullptr);
  }
  RunShutdowns(*owner->runtime);
}

// Nobody else changes the list: all children have ended.
Outcome ScopeBase::MakeOutcome() {
  std::vector<Failure> failures;
  for (ThreadBlock* child = failed_.front(); child != nullptr; child = failed_.Next(child)) {
    failures.push_back(static_cast<ChildBase*>(child)->MakeFailure());
  }
  return Outcome(std::move(failures), failure_count_);
}

// ---- A child's own.

void ChildBase::DropUnstarted() noexcept {
  if (leaf != nullptr) leaf->Handle().destroy();
  DropClosure();
  state.End();
  Release();
}

void ChildBase::OnEnd(Ending ending) noexcept {
  auto& scope = *static_cast<ScopeBase*>(home);
  const bool unknown = state.Observe().unregistered();
  if (ending != Ending::kSucceeded || !unknown || scope.rules_.shut_down_on_success || scope.shut()) [[unlikely]]
    return scope.ChildEnded(*this, ending);
  // Its scope has never heard of it, and nothing follows from its success.
  Publish(Completion::kSuccess);
  state.End();
  Release();
}

absl::Status ChildBase::status() const {
  switch (completion()) {
    case Completion::kUnavailable: return absl::UnavailableError("the subtask has no result: it was cancelled, not started, or has not ended");
    case Completion::kSuccess: return absl::OkStatus();
    case Completion::kFailed: return FailureStatus();
  }
  return absl::OkStatus();
}

void ChildBase::CheckResultMayBeRead(const char* what, Completion wanted) const {
  // The owner: only after a join of the round. The scope is looked for among what this thread has open; if it is not there, it was
  // closed, and all has ended.
  if (ThreadBlock* self = CurrentThread()) {
    for (Record* at = self->records.load(std::memory_order_relaxed); at != nullptr; at = at->outer) {
      if (at != home) continue;
      const auto& scope = *static_cast<const ScopeBase*>(home);
      if (scope.serial_ != scope_serial_) break;  // another scope, at the address of ours
      WEFT_CHECK(round_ <= scope.last_join_completed_)
          << what << " by the owner " << DescribeThread(*self) << " before Join(); the subtask is " << DescribeThread(*this);
    }
  }
  const Completion found = completion();
  constexpr const char* kNames[] = {"UNAVAILABLE (cancelled, not started, or not ended)", "SUCCESS", "FAILED"};
  WEFT_CHECK(found == wanted) << what << " of a subtask that is " << kNames[static_cast<int>(found)] << ", not "
                              << kNames[static_cast<int>(wanted)] << ": " << DescribeThread(*this)
                              << (found == Completion::kFailed ? ": " + FailureStatus().ToString() : std::string());
}

}  // namespace weft::internal

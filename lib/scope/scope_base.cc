#include "weft/internal/scope_base.h"

#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>

#include "lib/cancel/boundary.h"
#include "lib/cancel/open_record.h"
#include "lib/runtime/calling_carrier.h"
#include "lib/thread/describe.h"
#include "lib/thread/join_count.h"
#include "lib/thread/new_identity.h"
#include "lib/thread/runtime_services.h"
#include "lib/thread/thread_state.h"
#include "weft/cancel_reason.h"
#include "weft/internal/check.h"

namespace weft::internal {

namespace {

inline Opener OpenedBy(CallingCarrier carrier) noexcept { return {carrier.thread(), carrier.runtime()}; }

}  // namespace

ScopeBase::ScopeBase(const PolicyHooks& hooks, void* policy, CompletionQueue* completions, const ScopeOptions& options)
    : PolicyScope(OpenedBy(CallingCarrier("opening a StructuredTaskScope")), hooks, policy, completions, options) {
  if (!options.name.empty()) [[unlikely]]
    SetName(options.name);
  if (limit_.max() < 1) [[unlikely]]
    DieOfLimit();
  permits_before = owner->permits_held;
  opened_as = ++owner->scopes_opened;
  // From here on other threads may shut it.
  if (PushRecord(*owner, *this)) [[unlikely]]
    ShutFromTheStart();
  if (timer_.timed()) [[unlikely]]
    StartTimeout(options.timeout);
}

void ScopeBase::DieOfLimit() const {
  WEFT_CHECK(false) << "the scope '" << own_name() << "' of " << DescribeThread(*owner) << " lets " << limit_.max()
                    << " children run at once; it has to be one at least";
  __builtin_unreachable();
}

// Its owner is cancelled.
void ScopeBase::ShutFromTheStart() noexcept {
  const CancelCause cause = WhyCancelled(*owner);
  std::lock_guard guard(lock_);
  ShutLocked(cause, nullptr);
}

void ScopeBase::StartTimeout(absl::Duration timeout) noexcept {
  if (timeout > absl::ZeroDuration()) {
    timer_.StartTimeout(*this);
  } else {
    OnTimeout();
  }
}

// Also after a Close(), when there is nothing left to do. Children that are left hold the carrier until they have
// ended.
ScopeBase::~ScopeBase() {
  if (!CallingCarrier().Runs(*owner)) [[unlikely]]
    DieOfOther("the destruction of a StructuredTaskScope");
  CheckNothingInside({});
  timer_.Stop();
  if (!children.Drained()) {
    RequestShutdown(MakeCause(CancelReason::Kind::kScopeClosed, owner->id));
    RunShutdowns(runtime);
    RunDescendantsUntilDrained(*this);
  }
  PopRecord(*owner, *this);
}

void ScopeBase::BeginClose(std::source_location where) {
  CheckJoin("Close()");
  CheckNothingInside(where);
  RequestShutdown({CancelReason::Kind::kScopeClosed, owner->id, NowOf(runtime), where});
  RunShutdowns(runtime);
}

// ---- Forks.

inline void ScopeBase::PlaceChild(ChildBase& child, uint64_t round, uint64_t id) noexcept {
  child.Place(*this, id, bindings_);
  child.round_ = static_cast<uint32_t>(round);
}

// The usual case: the owner forks, and nothing prevents it. StartChildChecked() does the same for all cases; with it
// alone fib(30) by Fork takes 7.9 % more instructions. (in_place_branches.cc says how it was counted)
void ScopeBase::StartChild(ChildBase& child) {
  CallingCarrier carrier;
  ThreadBlock& self = *owner;
  if (!carrier.Runs(self) || self.bindings != bindings_ || !IsPlain(kPlainForks) ||
      self.state.Observe().attention()) [[unlikely]] {
    return StartChildChecked(child, /*name=*/nullptr, /*daemon=*/false);
  }
  const uint64_t id = carrier.NextThreadIds(1);
  PlaceChild(child, RoundOfFork(id), id);
  children.AddLocal();
  carrier.StartHere(child);
}

namespace {

void InheritLocals(const ThreadBlock& self, ThreadBlock& child) {
  ThreadIdentity& heir = child.Identity();
  heir.InheritLocals(*self.identity());
  if (heir.locals != nullptr) child.state.HandsDown();
}

}  // namespace

// Copies the inheritable thread-locals. If one cannot be copied, Fork() throws, and there is no child.
void ScopeBase::HandDown(const ThreadBlock& self, ChildBase& child) {
#if WEFT_EXCEPTIONS
  try {
    InheritLocals(self, child);
  } catch (...) {
    child.DropUnstarted();
    throw;
  }
#else
  InheritLocals(self, child);
#endif
}

// Every case of a fork: by another thread, with a name, a limit, hooks, a shut scope. Leaves the child counted and
// started, or waiting for its turn, or dropped.
void ScopeBase::StartChildChecked(ChildBase& child, ThreadIdentity* name, bool daemon) {
  policy_turns_.CheckOutside("Fork()");
  ThreadBlock& self = RequireThread("Fork()");
  CallingCarrier carrier;
  const bool by_owner = &self == owner;
  CheckFork(self);
  if (daemon) CheckForkDaemon(self);
  const uint64_t id = carrier.NextThreadIds(1);
  PlaceChild(child, by_owner ? RoundOfFork(id) : Round(), id);
  if (name != nullptr) child.SetIdentity(*name);
  if (self.state.Observe().hands_down() && (!shut() || child.OwesCleanUp())) HandDown(self, child);
  child.daemon_ = daemon;
  if (hooks_.on_fork != nullptr && !daemon) AnnounceFork(child);
  // A cancelled thread starts nothing except what owes a clean-up. A shutdown that is missed here is seen when the
  // child would begin.
  if (shut() || IsCancelled(self)) {
    CancelUnstarted(child, self);
    if (!child.OwesCleanUp()) return child.DropUnstarted();
  }
  if (daemon) return StartDaemon(child);
  if (completions_ != nullptr) completions_->Forked();
  if (!limit_.unlimited()) return StartWithinLimit(child);
  if (by_owner) {
    children.AddLocal();
  } else {
    children.Add();
  }
  carrier.StartHere(child);
}

// No other thread knows the child. Its handle will tell why it was not started.
void ScopeBase::CancelUnstarted(ChildBase& child, ThreadBlock& self) noexcept {
  static_cast<void>(child.state.Request());
  if (std::unique_lock guard(lock_); shut()) {
    child.asker = asker_;
  } else {
    guard.unlock();
    child.TryIdentity();
    child.SetAsker(Asker::kAlone, WhyCancelled(self));
  }
}

void ScopeBase::StartDaemon(ChildBase& child) noexcept {
  has_daemons = true;
  children.AddLocal();
  AddDaemon(child);
  CallingCarrier().StartHere(child);
}

void ScopeBase::StartWithinLimit(ChildBase& child) noexcept {
  children.Add();
  {
    std::lock_guard guard(lock_);
    if (!limit_.Admit(child, shut())) return;
  }
  CallingCarrier().StartHere(child);
}

void* ScopeBase::AllocateChild(size_t size, size_t alignment, std::string_view name, ThreadIdentity*& named) noexcept {
  void* const memory = AllocateFrameNoThrow(size, alignment);
  if (memory == nullptr || name.empty()) return memory;
  named = NewIdentity([name] { return std::string(name); });
  if (named != nullptr) return memory;
  FreeFrame(memory, size, alignment);
  return nullptr;
}

}  // namespace weft::internal

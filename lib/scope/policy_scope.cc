#include "weft/internal/policy_scope.h"

#include <cstddef>
#include <exception>
#include <mutex>
#include <new>
#include <optional>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "lib/cancel/boundary.h"
#include "lib/thread/runtime_services.h"
#include "lib/thread/thread_state.h"
#include "weft/cancel_reason.h"
#include "lib/cancel/explain.h"
#include "weft/internal/wait.h"

namespace weft::internal {
namespace {

// Stands for every child that there was no memory for, of whatever type: it is never asked for a value. Never
// destroyed, because handles may outlive everything.
class Unallocated final : public ChildBase {
 public:
  static ChildBase& Failed() noexcept {
    alignas(Unallocated) static char storage[sizeof(Unallocated)];
    static Unallocated& instance = *::new (storage) Unallocated(Completion::kFailed);
    return instance;
  }
  // For a child that would not have been started anyway.
  static ChildBase& Unavailable() noexcept {
    alignas(Unallocated) static char storage[sizeof(Unallocated)];
    static Unallocated& instance = *::new (storage) Unallocated(Completion::kUnavailable);
    return instance;
  }
  std::exception_ptr exception() const noexcept override {
#if WEFT_EXCEPTIONS
    return std::make_exception_ptr(std::bad_alloc());
#else
    return nullptr;
#endif
  }

 private:
  explicit Unallocated(Completion completion) noexcept : ChildBase(/*holds=*/false) {
    Publish(completion);
    ShowToOwner();  // whoever its owners are, they write nothing
    state.End();
  }
  absl::Status FailureStatus() const override { return absl::ResourceExhaustedError("no memory for a virtual thread"); }
  void DropResult() noexcept override {}
};

}  // namespace

// ---- Forks.

void PolicyScope::AnnounceFork(ChildBase& child) {
#if WEFT_EXCEPTIONS
  try {
    const PolicyTurn turn(policy_turns_, "OnFork()");
    hooks_.on_fork(policy_, child);
  } catch (...) {
    child.DropUnstarted();
    throw;
  }
#else
  const PolicyTurn turn(policy_turns_, "OnFork()");
  hooks_.on_fork(policy_, child);
#endif
}

// A fork without memory for the child: does what the end of a failed child would do, with one of two static children in
// its place.
ChildBase& PolicyScope::FailFork(bool daemon) {
  policy_turns_.CheckOutside("Fork()");
  ThreadBlock& self = RequireThread("Fork()");
  CheckFork(self);
  if (daemon) CheckForkDaemon(self);
  const bool unavailable = shut() || IsCancelled(self);
  ChildBase& child = unavailable ? Unallocated::Unavailable() : Unallocated::Failed();
  child.AddRef();  // the caller's
  if (hooks_.on_fork != nullptr && !daemon) {
    child.AddRef();  // in place of the run's, which AnnounceFork() drops if the policy throws
    AnnounceFork(child);
    child.Release();
  }
  if (unavailable) return child;
  std::optional<PolicyTurn> turn;
  const bool to_shut = Complete(child, Completion::kFailed, daemon, turn);
  {
    std::lock_guard guard(lock_);
    failures_.AddUnallocated();
    if (to_shut) ShutLocked(MakeCause(CancelReason::Kind::kSiblingFailed, 0), nullptr);
  }
  turn.reset();
  if (to_shut) RunShutdowns(runtime);
  return child;
}

// ---- Ends.

// The child itself, at its end, after which its carrier counts it.
void PolicyScope::ChildEnded(ChildBase& child, ThreadBlock::Ending ending) noexcept {
  const Completion kind = ending == ThreadBlock::Ending::kSucceeded ? Completion::kSuccess
                          : ending == ThreadBlock::Ending::kFailed  ? Completion::kFailed
                                                                    : Completion::kUnavailable;
  std::optional<PolicyTurn> turn;
  const bool to_shut = Complete(child, kind, child.daemon_, turn);
  bool shut_by_child = false;
  bool kept = false;
  ThreadBlock* next = nullptr;
  const bool known = !child.state.Observe().unregistered();
  if (known || !IsPlain(kPlainEnds) || kind == Completion::kFailed) {
    std::lock_guard guard(lock_);
    const bool late = shut();
    if (kind == Completion::kFailed) kept = failures_.Add(child);
    if (to_shut && !late) {
      ShutLocked(MakeCause(kind == Completion::kFailed ? CancelReason::Kind::kSiblingFailed
                                                       : CancelReason::Kind::kSiblingSucceeded,
                           child.id),
                 nullptr);
      shut_by_child = true;
    }
    // Whoever sees the failure finds it in its place among the others, and the scope shut.
    if (kind == Completion::kFailed && !late && !turn.has_value()) child.Publish(kind);
    if (known) ForgetLocked(child);
    if (!child.daemon_) next = limit_.NextAfter(child, shut());
  }
  turn.reset();
  if (shut_by_child) [[unlikely]]
    RunShutdowns(runtime);
  // An exception has a destructor too.
  const bool there = (child.holds_ || kind == Completion::kFailed) && !DropUnread(child, ending, kept);
  // Until its result is gone nobody takes it for one of the children that a join with a limit waits for.
  if (child.daemon_) {
    std::lock_guard guard(lock_);
    daemons_.Ended(children);
  }
  if (completions_ != nullptr && !child.daemon_) {
    completions_->Ended(child, child.completion() != Completion::kUnavailable);
  }
  if (next != nullptr) StartThread(*next);
  if (child.asked()) return child.LeaveWith(there);
  child.Leave(there);
}

// The same for a child that its scope lists, and that has succeeded, if nothing follows from that.
void PolicyScope::QuietChildEnded(ChildBase& child) noexcept {
  if (child.daemon_) [[unlikely]]
    return ChildEnded(child, ThreadBlock::Ending::kSucceeded);
  child.Publish(Completion::kSuccess);
  Forget(child);
  const bool there = child.holds_ && !DropUnread(child, ThreadBlock::Ending::kSucceeded, /*kept=*/false);
  if (child.asked()) [[unlikely]]
    return child.LeaveWith(there);
  child.Leave(there);
}

// Destroys the result, if nobody can read it. Its destructor may touch what belongs to the owner, so it runs before the
// owner can go on. Returns true if no result is left.
bool PolicyScope::DropUnread(ChildBase& child, ThreadBlock::Ending ending, bool kept) noexcept {
  if (ending == ThreadBlock::Ending::kCancelled) return true;
  const bool completed = child.completion() != Completion::kUnavailable;
  const bool queued = completed && completions_ != nullptr && !child.daemon_;
  if (kept || queued || (completed && child.HasHandle())) return false;
  child.DropUnread();
  return true;
}

// Returns whether the scope must be shut down. A child that completes after a shutdown stays kUnavailable. A failure is
// the caller's to publish, unless the policy is asked; then `turn` lasts until the caller has kept it, so that failures
// are kept in the order in which the policy is told of them.
bool PolicyScope::Complete(ChildBase& child, Completion kind, bool daemon, std::optional<PolicyTurn>& turn) noexcept {
  if (kind == Completion::kUnavailable || shut()) return false;
  const bool failed = kind == Completion::kFailed;
  const bool fatal = failed && hooks_.shut_down_on_failure;
  if (hooks_.on_complete == nullptr || (daemon && !(failed && hooks_.takes_any_subtask))) {
    if (!failed) child.Publish(kind);
    return fatal;
  }
  turn.emplace(policy_turns_, "OnComplete()");
  // Once the policy has decided it is not asked again, although the shutdown may not have begun yet.
  if (shut() || policy_turns_.decided) return false;
  child.Publish(kind);
  return policy_turns_.decided = hooks_.on_complete(policy_, child) || fatal;
}

// ---- Joins.

Outcome PolicyScope::MakeOutcome(bool with_timeout) {
  if (failures_.none() && !timer_.timed()) [[likely]]
    return Outcome();
  return CollectFailures(with_timeout);
}

// The children of the round have ended, but a thread of a scope nested in this one may fork others meanwhile, which
// fail.
Outcome PolicyScope::CollectFailures(bool with_timeout) {
  Failures::Found found;
  bool timed_out;
  {
    std::lock_guard guard(lock_);
    found = failures_.Find();
    timed_out = with_timeout && timer_.has_shut_scope;
  }
  std::vector<Failure> failures;
  if (timed_out) failures.push_back({0, CancelledStatus(Explain(cause_, owner))});
  for (size_t i = 0; i < found.size; ++i) {
    const ChildBase& child = found.first[i] != nullptr ? *found.first[i] : Unallocated::Failed();
    failures.push_back(child.MakeFailure());
  }
  if (failures.size() > Failures::kMostKept) failures.pop_back();
  return Outcome(std::move(failures), found.count + (timed_out ? 1 : 0));
}

}  // namespace weft::internal

#include "weft/internal/child.h"

#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "lib/cancel/boundary.h"
#include "lib/cancel/explain.h"
#include "lib/cancel/open_record.h"
#include "lib/thread/describe.h"
#include "lib/thread/thread_state.h"
#include "weft/cancel_reason.h"
#include "weft/internal/boundary.h"
#include "weft/internal/check.h"
#include "weft/internal/scope_base.h"
#include "weft/internal/wait.h"
#include "weft/subtask.h"

namespace weft::internal {

bool HasEndedForOwner(const AnySubtask& subtask) noexcept {
  ChildBase& child = subtask.child();
  if (!child.state.ended()) return false;
  child.ShowToOwner();
  return true;
}

void ChildBase::DropUnstarted() noexcept {
  if (leaf != nullptr) leaf->Handle().destroy();
  DropClosure();
  EndIdentity();
  if (asked()) KeepCause(CauseOfEnd(*this));
  state.End();
  Release();
}

void ChildBase::LeaveEmpty() noexcept {
  state.End();
  Release();
}

void ChildBase::Leave(bool holds) noexcept {
  if (holds || known()) [[unlikely]]
    return LeaveWith(holds);
  LeaveEmpty();
}

// Called when the frames and the closure are gone. Leaves the child ended and released; its carrier counts it
// afterwards.
void ChildBase::OnEnd(Ending ending) noexcept {
  CheckNothingOpen(*this);
  ScopeRecord* home;
  if (ending != Ending::kSucceeded || !HomeUnlessKnown(home)) [[unlikely]]
    return EndKnown(ending);
  auto& scope = static_cast<ScopeBase&>(*home);
  if (!scope.IsPlain(ScopeBase::kPlainEnds)) [[unlikely]]
    return scope.ChildEnded(*this, ending);
  // Nothing follows from its success. With ChildEnded() instead, fib(30) by Fork takes 5.8 % more instructions.
  // (in_place_branches.cc says how it was counted)
  if (!state.Observe().unregistered()) return scope.QuietChildEnded(*this);
  Publish(Completion::kSuccess);
  if (holds_) return LeaveUnknown();
  LeaveEmpty();
}

void ChildBase::EndKnown(Ending ending) noexcept {
  if (known()) identity()->DestroyLocals();
  static_cast<ScopeBase&>(*HomeOfChild()).ChildEnded(*this, ending);
}

void ChildBase::LeaveUnknown() noexcept {
  if (HasHandle()) return LeaveWith(/*result=*/true);
  DropUnread();
  Leave(/*holds=*/false);
}

// Its scope need not list it for that. But a destructor may open something, or ask whether it is cancelled; then the
// child enters itself in the list (again), so that a request finds what is open.
void ChildBase::DropUnread() noexcept {
  if (!state.Observe().unregistered()) state.NoLongerRegistered();
  DropResult();
  if (known()) [[unlikely]]
    identity()->DestroyLocals();
  CheckNothingOpen(*this);
  if (!state.Observe().unregistered()) [[unlikely]]
    static_cast<ScopeBase&>(*HomeOfChild()).Forget(*this);
}

void ChildBase::LeaveWith(bool result) noexcept {
  EndIdentity();
  // Without a result there is nothing left to do as this thread, and all that it went on with is free.
  if (asked() && completion() == Completion::kUnavailable) KeepCause(CauseOfEnd(*this));
  state.End();
  if (!ReleaseLast()) return;
  if (result) return LeaveAsTheLast();
  delete this;
}

// The last handle was dropped since we looked for it, and the result still exists.
void ChildBase::LeaveAsTheLast() noexcept {
  state.Resume();
  DropUnread();
  EndIdentity();
  delete this;
}

absl::Status ChildBase::status() const {
  switch (completion()) {
    case Completion::kUnavailable: {
      // When it has ended, nobody asks anything of it any more.
      const bool ended = state.ended();
      if (completion() != Completion::kUnavailable) return status();  // meanwhile
      if (!ended || !asked()) {
        return absl::UnavailableError("the subtask has no result: it was cancelled, not started, or has not ended");
      }
      const CancelReason reason = Explain(kept_cause());
      return WithReason(absl::UnavailableError(absl::StrCat("the subtask was cancelled: ", reason.ToString())), reason);
    }
    case Completion::kSuccess: return absl::OkStatus();
    case Completion::kFailed: return FailureStatus();
  }
  return absl::OkStatus();
}

// The owner may read the result only after a join of its round. We look for the scope among the records of this thread.
// If it is not there, it was closed, and all children have ended.
bool ChildBase::IsTooEarlyFor(const ThreadBlock* self) const noexcept {
  if (self == nullptr) return false;
  const ScopeRecord* const scope = HomeOfChild();
  for (const Record* at = self->records.load(std::memory_order_relaxed); at != nullptr; at = at->outer) {
    if (at != scope || at->kind != Record::Kind::kScope) continue;
    const auto* const ours = static_cast<const ScopeBase*>(ScopeBase::From(*scope));
    // If the serial differs, another scope lies at the address of ours.
    return ours != nullptr && ours->IsOfOpenRound(round_) && !shown_to_owner_;
  }
  return false;
}

void ChildBase::CheckResultMayBeRead(const char* what, Completion wanted) const {
  if (completion() != wanted || taken() || IsTooEarlyFor(CurrentThread())) [[unlikely]]
    DieOfResult(what, wanted);
}

void ChildBase::DieOfResult(const char* what, Completion wanted) const {
  WEFT_CHECK(!IsTooEarlyFor(CurrentThread()))
      << what << " by the owner " << DescribeCaller() << " before Join(); the subtask is " << DescribeThread(*this);
  const Completion found = completion();
  constexpr const char* kNames[] = {"UNAVAILABLE (cancelled, not started, or not ended)", "SUCCESS", "FAILED"};
  WEFT_CHECK(found == wanted) << what << " of a subtask that is " << kNames[static_cast<int>(found)] << ", not "
                              << kNames[static_cast<int>(wanted)] << ": " << DescribeThread(*this)
                              << (found == Completion::kFailed ? ": " + FailureStatus().ToString() : std::string());
  WEFT_CHECK(!taken()) << what << " of a subtask whose value was taken: " << DescribeThread(*this)
                       << "; it is moved out once, by std::move(subtask).get() or by a join";
  __builtin_unreachable();
}

}  // namespace weft::internal

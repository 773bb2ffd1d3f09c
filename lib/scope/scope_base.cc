#include "weft/internal/scope_base.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <mutex>
#include <new>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"
#include "lib/cancel/boundary.h"
#include "lib/cancel/cancel_request.h"
#include "lib/cancel/explain.h"
#include "lib/cancel/open_record.h"
#include "lib/cancel/press.h"
#include "lib/runtime/in_place_joins.h"
#include "lib/runtime/runtime_core.h"
#include "lib/thread/describe.h"
#include "lib/thread/join_count.h"
#include "lib/thread/thread_state.h"
#include "lib/timer/deadline.h"
#include "lib/timer/timer_wheel.h"
#include "weft/internal/binding.h"
#include "weft/internal/check.h"
#include "weft/internal/child.h"
#include "weft/internal/scheduler.h"
#include "weft/internal/scope_record.h"
#include "weft/internal/thread_block.h"

namespace weft::internal {

const ScopeRecord::Operations ScopeBase::kOperations = {
    .request_shutdown =
        [](ScopeRecord& scope, const CancelCause& cause) noexcept {
          static_cast<ScopeBase&>(scope).RequestShutdown(cause);
        },
    .shut_down_some = [](ScopeRecord& scope,
                         int max) noexcept { return static_cast<ScopeBase&>(scope).ShutDownSome(max); },
    .cause_for = [](const ScopeRecord& scope,
                    Asker asker) noexcept { return static_cast<const ScopeBase&>(scope).CauseFor(asker); },
    .register_child =
        [](ScopeRecord& scope, ThreadBlock& child) noexcept {
          static_cast<ScopeBase&>(scope).Register(static_cast<ChildBase&>(child));
        },
    .for_each_child = [](ScopeRecord& scope, void (*visit)(ThreadBlock& child, void* argument),
                         void* argument) noexcept { static_cast<ScopeBase&>(scope).ForEachChild(visit, argument); },
    .exclude_daemons = [](ScopeRecord& scope) noexcept { static_cast<ScopeBase&>(scope).ExcludeDaemons(); },
    .end_daemons = [](ScopeRecord& scope) noexcept { static_cast<ScopeBase&>(scope).EndDaemons(); },
    .include_daemons =
        [](ScopeRecord& scope) noexcept {
          std::lock_guard guard(static_cast<ScopeBase&>(scope).lock_);
          static_cast<ScopeBase&>(scope).IncludeDaemonsLocked();
        },
    .drain = [](ScopeRecord& scope) noexcept { return &static_cast<ScopeBase&>(scope).drain_; },
    .set_patience = [](ScopeRecord& scope,
                       int64_t deadline_ns) noexcept { static_cast<ScopeBase&>(scope).SetPatience(deadline_ns); },
    .end_patience = [](ScopeRecord& scope) noexcept { static_cast<ScopeBase&>(scope).timer_.Stop(); },
    .name = [](const ScopeRecord& scope) noexcept -> std::string_view {
      return static_cast<const ScopeBase&>(scope).name_;
    },
};

ScopeBase::ScopeBase(const PolicyHooks& hooks, void* policy, CompletionQueue* completions, const ScopeOptions& options)
    : ScopeRecord(&RequireThread("opening a StructuredTaskScope"), kOperations),
      hooks_(hooks),
      policy_(policy),
      completions_(completions),
      limit_(options.max_concurrency),
      timed_(options.timeout != absl::InfiniteDuration()),
      plain_forks_(hooks.on_fork == nullptr && completions == nullptr && limit_.unlimited()),
      quiet_(hooks.on_complete == nullptr && completions == nullptr && limit_.unlimited()),
      name_(options.name),
      where_(options.where),
      bindings_(owner->bindings) {
  WEFT_CHECK(limit_.max() >= 1) << "the scope '" << name_ << "' of " << DescribeThread(*owner) << " lets "
                                << limit_.max() << " children run at once; it has to be one at least";
  permits_before = owner->permits_held;
  opened_as = ++owner->scopes_opened;
  // From here on others may shut it.
  if (PushRecord(*owner, *this)) {
    const CancelCause cause = WhyCancelled(*owner);
    std::lock_guard guard(lock_);
    ShutLocked(cause, nullptr);
  }
  if (timed_) timer_.Start(*this, options.timeout);
}

ScopeBase::~ScopeBase() {
  CheckOwner("the destruction of a StructuredTaskScope");
  CheckNothingInside({});
  timer_.Stop();
  if (!children.Drained()) {
    RequestShutdown(MakeCause(CancelReason::Kind::kScopeClosed, owner->id));
    RunShutdowns(runtime);
    RunDescendantsUntilDrained(*this);
  }
  PopRecord(*owner, *this);
}

// ---- Its own timeout.

void ScopeBase::Timer::Start(ScopeBase& timed, absl::Duration timeout) noexcept {
  if (timeout <= absl::ZeroDuration()) return timed.TimeIsUp();
  scope = &timed;
  fire = [](TimerNode* node) noexcept {
    ScopeBase& expired = *static_cast<Timer*>(node)->scope;
    RuntimeCore& runtime = expired.runtime;
    expired.TimeIsUp();
    RunShutdowns(runtime);
  };
  cancel_waits = true;  // what it touches goes away with the scope
  ArmTimer(*this, DeadlineAfter(RuntimeNow(), timeout));
}

void ScopeBase::Timer::Stop() noexcept {
  if (wheel != nullptr) wheel->Cancel(*this);
}

void ScopeBase::TimeIsUp() noexcept {
  std::lock_guard guard(lock_);
  timed_out_ = !shut();
  RequestShutdownLocked(MakeCause(CancelReason::Kind::kTimeout, 0));
}

bool ScopeBase::TimedOut() const noexcept {
  if (!timed_) return false;
  std::lock_guard guard(lock_);
  return timed_out_;
}

CancelCause ScopeBase::MakeCause(CancelReason::Kind kind, uint64_t thread) const noexcept {
  return {kind, thread, runtime.Now(), where_};
}

// ---- Its owner drains.

void ScopeBase::SetPatience(int64_t deadline_ns) noexcept {
  timer_.scope = this;
  timer_.fire = [](TimerNode* node) noexcept {
    PressDrain(static_cast<Timer*>(node)->scope->drain_);
  };
  timer_.cancel_waits = true;
  ArmTimer(timer_, deadline_ns);
}

// ---- Which threads may call.

void ScopeBase::CheckOwner(const char* what) const {
  const Carrier* const carrier = Carrier::Current();
  if (carrier == nullptr || carrier->current != owner) [[unlikely]]
    DieOfOther(what);
}

void ScopeBase::DieOfOther(const char* what) const {
  ThreadBlock& self = RequireThread(what);
  WEFT_CHECK(&self == owner) << what << " by " << DescribeThread(self) << "; the scope is owned by "
                             << DescribeThread(*owner);
  __builtin_unreachable();
}

void ScopeBase::CheckOwnerOrInside(const char* what) const {
  ThreadBlock& self = RequireThread(what);
  WEFT_CHECK(&self == owner || self.IsInside(*this))
      << what << " by " << DescribeThread(self) << "; the scope is owned by " << DescribeThread(*owner)
      << ", and the caller is not in the tree below it";
}

std::string ScopeBase::Describe() const {
  const std::string name = name_.empty() ? "" : absl::StrCat("'", name_, "' ");
  return absl::StrCat("the scope ", name, "opened at ", where_.file_name(), ":", where_.line());
}

std::string DescribeRecord(const Record& record) {
  const ScopeBase* const scope =
      record.kind == Record::Kind::kScope ? ScopeBase::From(static_cast<const ScopeRecord&>(record)) : nullptr;
  return scope == nullptr ? "a boundary" : scope->Describe();
}

inline void ScopeBase::CheckNothingInside(std::source_location closed_at) const {
  if (owner->records.load(std::memory_order_relaxed) == this && owner->bindings == bindings_) [[likely]]
    return;
  CheckOnlyBoundariesInside(closed_at);
}

// Scopes that are closed, but not destroyed, are not at fault. Nor are boundaries, since the call may be made inside
// them; if the scope is destroyed inside one, PopRecord() finds that.
void ScopeBase::CheckOnlyBoundariesInside(std::source_location closed_at) const {
  const auto die = [&](const std::string& inside) {
    const std::string at =
        closed_at.line() == 0 ? "" : absl::StrCat(" at ", closed_at.file_name(), ":", closed_at.line());
    WEFT_CHECK(false) << Describe() << " by virtual thread #" << owner->id << " is closed" << at
                      << " while something that was opened inside it is still open; close them in the reverse order: "
                      << inside;
  };
  const Record* at = owner->records.load(std::memory_order_relaxed);
  for (; at != nullptr && at != this; at = at->outer) {
    if (at->kind != Kind::kScope) continue;
    const ScopeBase* const scope = From(static_cast<const ScopeRecord&>(*at));
    if (scope != nullptr && !scope->closed()) die(scope->Describe());
  }
  if (owner->bindings == bindings_) return;
  const std::source_location bound = owner->bindings->where;
  die(absl::StrCat("a ScopedBinding made at ", bound.file_name(), ":", bound.line()));
}

// ---- Children.

// The owner forks a child with that id: which round is it in?
inline uint64_t ScopeBase::RoundOfFork(uint64_t id) noexcept {
  uint64_t round = fork_round_.load(std::memory_order_relaxed);
  if (round == last_join_completed_) fork_round_.store(round = id, std::memory_order_relaxed);
  return round;
}

inline void ScopeBase::PlaceChild(ChildBase& child, uint64_t round, uint64_t id) noexcept {
  child.Place(*this, id, bindings_);
  child.round_ = static_cast<uint32_t>(round);
}

// The usual case: the owner forks, and nothing keeps it from it. StartChildChecked() does the same for all cases; by it
// alone fib(30) by Fork takes 7.9 % more instructions. (in_place_joins.cc says how it was counted)
void ScopeBase::StartChild(ChildBase& child) {
  Carrier* const carrier = Carrier::Current();
  ThreadBlock& self = *owner;
  if (carrier == nullptr || carrier->current != &self || closed() || self.bindings != bindings_ || !plain_forks_ ||
      shut() || self.state.Observe().attention()) [[unlikely]] {
    return StartChildChecked(child, /*name=*/nullptr, /*daemon=*/false);
  }
  const uint64_t id = carrier->NextThreadIds(1);
  PlaceChild(child, RoundOfFork(id), id);
  children.AddLocal();
  carrier->StartHere(child);
}

void ScopeBase::CheckFork(const ThreadBlock& self) const {
  if (&self != owner) CheckOwnerOrInside("Fork()");
  WEFT_CHECK(!closed()) << "Fork() by " << DescribeThread(self) << " into a scope that is closed";
  WEFT_CHECK(self.bindings == bindings_)
      << "Fork() by " << DescribeThread(self)
      << " under other scoped-value bindings than those the scope was opened under by " << DescribeThread(*owner);
}

void ScopeBase::CheckForkDaemon(const ThreadBlock& self) const {
  WEFT_CHECK(&self == owner) << "ForkDaemon() by " << DescribeThread(self) << "; the scope is owned by "
                             << DescribeThread(*owner) << ", and only the owner, who joins, starts daemons";
}

void ScopeBase::StartChildChecked(ChildBase& child, ThreadIdentity* name, bool daemon) {
  policy_turns_.CheckOutside("Fork()");
  ThreadBlock& self = RequireThread("Fork()");
  Carrier& carrier = *Carrier::Current();
  const bool by_owner = &self == owner;
  CheckFork(self);
  if (daemon) CheckForkDaemon(self);
  const uint64_t id = carrier.NextThreadIds(1);
  PlaceChild(child, by_owner ? RoundOfFork(id) : fork_round_.load(std::memory_order_relaxed), id);
  if (name != nullptr) child.SetIdentity(*name);
  child.daemon_ = daemon;
  if (hooks_.on_fork != nullptr && !daemon) AnnounceFork(child);
  // A cancelled thread starts nothing except what owes a clean-up. A shutdown that is missed here is seen when the
  // child is to begin.
  if (shut() || IsCancelled(self)) {
    CancelUnstarted(child, self);
    if (!child.OwesCleanUp()) return child.DropUnstarted();
  }
  if (daemon) return PlaceDaemon(child);
  if (completions_ != nullptr) completions_->Forked();
  if (!limit_.unlimited()) return StartWithinLimit(child);
  if (by_owner) {
    children.AddLocal();
  } else {
    children.Add();
  }
  carrier.StartHere(child);
}

// Nobody else knows it. Its handle tells why.
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

// A daemon is listed from the start: the thread that ends the daemons must find it.
void ScopeBase::PlaceDaemon(ChildBase& child) noexcept {
  has_daemons = true;
  children.AddLocal();
  {
    std::lock_guard guard(lock_);
    ++daemons_;
    // The daemons of a join that was given up are perhaps still being asked to end. Placed in front, this one is not.
    asking_ == Asking::kDaemons ? children_.PushFront(&child) : children_.PushBack(&child);
    child.state.Registered();
  }
  Carrier::Current()->StartHere(child);
}

ThreadIdentity* ScopeBase::NewName(std::string_view name) noexcept {
#if WEFT_EXCEPTIONS
  try {
    return new ThreadIdentity(std::string(name));
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
#else
  return new (std::nothrow) ThreadIdentity(std::string(name));
#endif
}

namespace {

// All that there was no memory for, of whatever type: nobody asks it for a value. Never destroyed, since handles may
// outlive everything.
class Unallocated final : public ChildBase {
 public:
  static ChildBase& Failed() noexcept {
    alignas(Unallocated) static char storage[sizeof(Unallocated)];
    static Unallocated& instance = *::new (storage) Unallocated(Completion::kFailed);
    return instance;
  }
  // It would not have been started either.
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
    state.End();
  }
  absl::Status FailureStatus() const override { return absl::ResourceExhaustedError("no memory for a virtual thread"); }
  void DropResult() noexcept override {}
};

}  // namespace

ChildBase& ScopeBase::FailFork(bool daemon) {
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
  const bool to_shut = Complete(child, Completion::kFailed, daemon);
  {
    std::lock_guard guard(lock_);
    failures_.AddUnallocated();
    if (to_shut) ShutLocked(MakeCause(CancelReason::Kind::kSiblingFailed, 0), nullptr);
  }
  if (to_shut) RunShutdowns(runtime);
  return child;
}

void ScopeBase::AnnounceFork(ChildBase& child) {
#if WEFT_EXCEPTIONS
  try {
    const PolicyTurn turn(*this, "OnFork()");
    hooks_.on_fork(policy_, child);
  } catch (...) {
    child.DropUnstarted();
    throw;
  }
#else
  const PolicyTurn turn(*this, "OnFork()");
  hooks_.on_fork(policy_, child);
#endif
}

void ScopeBase::StartWithinLimit(ChildBase& child) noexcept {
  children.Add();
  {
    std::lock_guard guard(lock_);
    if (!limit_.Admit(child, shut())) return;
  }
  Carrier::Current()->StartHere(child);
}

// The child itself, at its end, after which its carrier counts it.
void ScopeBase::ChildEnded(ChildBase& child, ThreadBlock::Ending ending) noexcept {
  const Completion kind = ending == ThreadBlock::Ending::kSucceeded ? Completion::kSuccess
                          : ending == ThreadBlock::Ending::kFailed  ? Completion::kFailed
                                                                    : Completion::kUnavailable;
  const bool to_shut = Complete(child, kind, child.daemon_);
  bool shut_by_child = false;
  bool kept = false;
  ThreadBlock* next = nullptr;
  if (const bool known = !child.state.Observe().unregistered(); known || !quiet_ || kind == Completion::kFailed) {
    std::lock_guard guard(lock_);
    if (kind == Completion::kFailed) kept = failures_.Add(child);
    if (to_shut && !shut()) {
      ShutLocked(MakeCause(kind == Completion::kFailed ? CancelReason::Kind::kSiblingFailed
                                                       : CancelReason::Kind::kSiblingSucceeded,
                           child.id),
                 nullptr);
      shut_by_child = true;
    }
    if (known) ForgetLocked(child);
    if (child.daemon_) {
      --daemons_;
      if (daemons_excluded_) children.Add();  // it counts again, until its very end
    } else {
      next = limit_.NextAfter(child, shut());
    }
  }
  if (shut_by_child) [[unlikely]]
    RunShutdowns(runtime);
  // An exception has a destructor too.
  const bool there = (child.holds_ || kind == Completion::kFailed) && !DropUnread(child, ending, kept);
  if (completions_ != nullptr && !child.daemon_) {
    completions_->Ended(child, child.completion() != Completion::kUnavailable);
  }
  if (next != nullptr) StartThread(*next);
  if (child.asked()) return child.LeaveWith(there);
  child.Leave(there);
}

// Destroys the result, if nobody can read it. What its destructor touches may be the owner's: it runs before the owner
// can go on. True: nothing is there any more.
bool ScopeBase::DropUnread(ChildBase& child, ThreadBlock::Ending ending, bool kept) noexcept {
  if (ending == ThreadBlock::Ending::kCancelled) return true;
  const bool completed = child.completion() != Completion::kUnavailable;
  const bool queued = completed && completions_ != nullptr && !child.daemon_;
  if (kept || queued || (completed && child.HasHandle())) return false;
  child.DropUnread();
  return true;
}

// The child itself: nothing can be asked of it from here on.
void ScopeBase::Forget(ChildBase& child) noexcept {
  std::lock_guard guard(lock_);
  ForgetLocked(child);
}

void ScopeBase::ForgetLocked(ChildBase& child) noexcept {
  if (cursor_ == &child) cursor_ = children_.Next(&child);
  SiblingList::Remove(&child);
}

// Returns whether the scope must be shut down. A child that completes after a shutdown stays kUnavailable.
bool ScopeBase::Complete(ChildBase& child, Completion kind, bool daemon) noexcept {
  if (kind == Completion::kUnavailable || shut()) return false;
  const bool fatal = kind == Completion::kFailed && hooks_.shut_down_on_failure;
  if (hooks_.on_complete == nullptr || (daemon && !(kind == Completion::kFailed && hooks_.takes_any_subtask))) {
    child.Publish(kind);
    return fatal;
  }
  const PolicyTurn turn(*this, "OnComplete()");
  // Once it has decided it is not asked again, though the shutdown may not have begun yet.
  if (shut() || policy_turns_.decided) return false;
  child.Publish(kind);
  return policy_turns_.decided = hooks_.on_complete(policy_, child) || fatal;
}

// The child itself: it has not parked, passed a checkpoint or opened anything before, so that nobody can have missed
// it. (A daemon is known from its start.)
void ScopeBase::Register(ChildBase& child) noexcept {
  Asker asker;
  {
    std::lock_guard guard(lock_);
    if (child.state.Observe().unregistered()) {
      children_.PushBack(&child);
      child.state.Registered();
    }
    if (!shut_.load(std::memory_order_relaxed) || spared_ == &child) return;
    asker = asker_;
  }
  RequestEnd(child, asker, CauseFor(asker));
}

void ScopeBase::ForEachChild(void (*visit)(ThreadBlock& child, void* argument), void* argument) noexcept {
  std::lock_guard guard(lock_);
  for (ThreadBlock* child = children_.front(); child != nullptr; child = children_.Next(child)) visit(*child, argument);
}

// ---- Joins, and what they find.

void ScopeBase::BeginJoin(const char* what) {
  CheckOwner(what);
  WEFT_CHECK(!closed()) << what << " of a scope that is closed, by " << DescribeThread(*owner);
}

void ScopeBase::BeginClose(const char* what, std::source_location where) {
  BeginJoin(what);
  CheckNothingInside(where);
  RequestShutdown({CancelReason::Kind::kScopeClosed, owner->id, runtime.Now(), where});
  RunShutdowns(runtime);
}

Outcome ScopeBase::MakeOutcome(bool with_timeout) {
  if (failures_.none() && !timed_) [[likely]]
    return Outcome();
  return CollectFailures(with_timeout);
}

// The children of the round have ended, but a thread of a scope nested in this one may fork others meanwhile, which
// fail.
Outcome ScopeBase::CollectFailures(bool with_timeout) {
  Failures::Found found;
  bool timed_out;
  {
    std::lock_guard guard(lock_);
    found = failures_.Find();
    timed_out = with_timeout && timed_out_;
  }
  std::vector<Failure> failures;
  if (found.first_is_unallocated) failures.push_back(Unallocated::Failed().MakeFailure());
  if (timed_out) failures.push_back({0, CancelledStatus(Explain(cause_, owner))});
  for (size_t i = 0; i < found.kept_count; ++i) failures.push_back(found.kept[i]->MakeFailure());
  if (failures.size() > Failures::kMostKept) failures.pop_back();
  return Outcome(std::move(failures), found.count + (timed_out ? 1 : 0));
}

}  // namespace weft::internal

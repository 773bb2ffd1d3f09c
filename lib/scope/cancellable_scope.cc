#include "weft/internal/cancellable_scope.h"

#include <cstdint>
#include <mutex>
#include <new>
#include <source_location>
#include <string_view>
#include <utility>

#include "lib/base/list.h"
#include "lib/thread/join_count.h"
#include "lib/thread/runtime_services.h"
#include "lib/thread/thread_state.h"
#include "weft/cancel_reason.h"
#include "lib/cancel/cancel_request.h"
#include "weft/internal/check.h"
#include "weft/internal/child.h"
#include "weft/internal/wait.h"

namespace weft::internal {

const ScopeRecord::Operations CancellableScope::kOperations = {
    .request_shutdown =
        [](ScopeRecord& scope, const CancelCause& cause) noexcept {
          static_cast<CancellableScope&>(scope).RequestShutdown(cause);
        },
    .shut_down_some = [](ScopeRecord& scope,
                         int max) noexcept { return static_cast<CancellableScope&>(scope).ShutDownSome(max); },
    .cause_for = [](const ScopeRecord& scope,
                    Asker asker) noexcept { return static_cast<const CancellableScope&>(scope).CauseFor(asker); },
    .register_child = [](ScopeRecord& scope,
                         ThreadBlock& child) noexcept { static_cast<CancellableScope&>(scope).Register(child); },
    .for_each_child =
        [](ScopeRecord& scope, void (*visit)(ThreadBlock& child, void* argument), void* argument) noexcept {
          static_cast<CancellableScope&>(scope).ForEachChild(visit, argument);
        },
    .exclude_daemons = [](ScopeRecord& scope) noexcept { static_cast<CancellableScope&>(scope).ExcludeDaemons(); },
    .end_daemons = [](ScopeRecord& scope) noexcept { static_cast<CancellableScope&>(scope).EndDaemons(); },
    .include_daemons = [](ScopeRecord& scope) noexcept { static_cast<CancellableScope&>(scope).IncludeDaemons(); },
    .drain = [](ScopeRecord& scope) noexcept { return &static_cast<CancellableScope&>(scope).drain_; },
    .set_patience =
        [](ScopeRecord& record, int64_t deadline_ns, bool looks_again) noexcept {
          auto& scope = static_cast<CancellableScope&>(record);
          scope.timer_.StartPatience(scope, deadline_ns, looks_again);
        },
    .end_patience = [](ScopeRecord& scope) noexcept { static_cast<CancellableScope&>(scope).timer_.Stop(); },
    .deadline_ns = [](const ScopeRecord& scope) noexcept {
      return static_cast<const CancellableScope&>(scope).timer_.deadline_ns();
    },
    .name = [](const ScopeRecord& scope) noexcept -> std::string_view {
      return static_cast<const CancellableScope&>(scope).own_name();
    },
};

// ---- Shutdowns, and whoever asks for one.

CancelCause CancellableScope::MakeCause(CancelReason::Kind kind, uint64_t thread) const noexcept {
  return {kind, thread, NowOf(runtime), where_};
}

// Called under lock_. The thread that drains the cancel queue asks the children to end, some at a time.
void CancellableScope::ShutLocked(const CancelCause& cause, const ThreadBlock* spare) noexcept {
  if (shut()) return;
  state_.store(kShut, std::memory_order_relaxed);
  cause_ = cause;
  limit_.BeginShutdown();
  spared_ = spare;
  if (!children_.empty() || limit_.anybody_waits() || asking_ != Asking::kNobody) AskFromTheFirst(Asking::kAll);
}

CancelCause CancellableScope::CauseFor(Asker asker) const noexcept {
  switch (asker) {
    case Asker::kJoin:
      return {CancelReason::Kind::kOthersEnded, owner->id, joined_ns_.load(std::memory_order_relaxed), where_};
    case Asker::kScopeAgain: return later_cause_;
    default: return cause_;
  }
}

// Called under lock_. If children are being asked already, that starts again from the first.
void CancellableScope::AskFromTheFirst(Asking whom) noexcept {
  cursor_ = children_.front();
  if (std::exchange(asking_, whom) != Asking::kNobody) return;
  children.Add();
  EnqueueShutdown(runtime, *this);
}

void CancellableScope::Shutdown(Literal why, std::source_location where) {
  CheckOwnerOrInside("Shutdown()");
  WEFT_CHECK(!closed()) << "Shutdown() of a scope that is closed";
  ThreadBlock& self = *CurrentThread();
  {
    std::lock_guard guard(lock_);
    ShutLocked({CancelReason::Kind::kShutdown, self.id, NowOf(runtime), where, why.c_str()}, &self);
  }
  RunShutdowns(runtime);
}

void CancellableScope::RequestShutdown(const CancelCause& cause) noexcept {
  std::lock_guard guard(lock_);
  RequestShutdownLocked(cause);
}

// Called under lock_, for a request from outside or a timeout.
void CancellableScope::RequestShutdownLocked(const CancelCause& cause) noexcept {
  // A scope that was shut before has asked all children, except one that called Shutdown() itself. A request from
  // outside reaches that one too.
  if (shut() && std::exchange(spared_, nullptr) != nullptr) {
    if (asking_ == Asking::kNobody) {
      // For that one also if it has yet to register, and is not in the list.
      later_cause_ = cause;
      asker_ = Asker::kScopeAgain;
      if (children_.empty()) return;
    }
    return AskFromTheFirst(Asking::kAll);
  }
  ShutLocked(cause, nullptr);
}

// Called by whoever drains the cancel queue, until it returns true; then the scope may be gone. Asks up to `max`
// children to end, and starts those that wait for their turn.
bool CancellableScope::ShutDownSome(int max) noexcept {
  ThreadQueue to_start;
  bool done;
  {
    std::lock_guard guard(lock_);
    const Asker asker = asking_ == Asking::kAll ? asker_ : Asker::kJoin;
    CancelBatch batch(asker, CauseFor(asker));
    int left = max;
    for (; left > 0 && cursor_ != nullptr; --left) {
      auto* child = static_cast<ChildBase*>(std::exchange(cursor_, children_.Next(cursor_)));
      if (asking_ == Asking::kAll ? child != spared_ : child->daemon_) batch.Add(*child);
    }
    batch.Request();
    if (asking_ == Asking::kAll) {
      for (; left > 0 && limit_.anybody_waits(); --left) {
        if (ChildBase* const child = limit_.TakeForShutdown()) to_start.PushBack(child);
      }
    }
    done = cursor_ == nullptr && (!limit_.anybody_waits() || asking_ == Asking::kDaemons);
    if (done) asking_ = Asking::kNobody;
  }
  // These children are started only to end at once, or soon, if they owe a clean-up. The scope stays alive, because
  // they are counted, and so is this shutdown.
  while (ThreadBlock* child = to_start.PopFront()) StartThread(*child);
  if (done) EndCounted(*this);
  return done;
}

void CancellableScope::OnTimeout() noexcept {
  std::lock_guard guard(lock_);
  timer_.has_shut_scope = !shut();
  RequestShutdownLocked(MakeCause(CancelReason::Kind::kTimeout, 0));
}

bool CancellableScope::TimedOut() const noexcept {
  if (!timer_.timed()) return false;
  std::lock_guard guard(lock_);
  return timer_.has_shut_scope;
}

// ---- The children that are known.

// Called by the child. It has not parked, passed a checkpoint or opened anything before, so no request can have missed
// it. (A daemon is listed from its start.)
void CancellableScope::Register(ThreadBlock& child) noexcept {
  Asker asker;
  {
    std::lock_guard guard(lock_);
    if (child.state.Observe().unregistered()) {
      children_.PushBack(&child);
      child.state.Registered();
    }
    if (!shut() || spared_ == &child) return;
    asker = asker_;
  }
  RequestEnd(child, asker, CauseFor(asker));
}

void CancellableScope::ForgetLocked(ThreadBlock& child) noexcept {
  if (cursor_ == &child) cursor_ = children_.Next(&child);
  SiblingList::Remove(&child);
}

// Called by the child: from here on it cannot be asked to end.
void CancellableScope::Forget(ThreadBlock& child) noexcept {
  std::lock_guard guard(lock_);
  ForgetLocked(child);
}

void CancellableScope::ForEachChild(void (*visit)(ThreadBlock& child, void* argument), void* argument) noexcept {
  std::lock_guard guard(lock_);
  for (ThreadBlock* child = children_.front(); child != nullptr; child = children_.Next(child)) visit(*child, argument);
}

// ---- Daemons. (daemons.h)

// It is listed from the start: the thread that ends the daemons must find it.
void CancellableScope::AddDaemon(ChildBase& daemon) noexcept {
  std::lock_guard guard(lock_);
  daemons_.Started();
  // The daemons of a join that was given up may still be in the middle of being asked to end. This one is placed in
  // front, and so is not asked.
  asking_ == Asking::kDaemons ? children_.PushFront(&daemon) : children_.PushBack(&daemon);
  daemon.state.Registered();
}

bool CancellableScope::AllEnded() noexcept {
  if (children.Drained()) return true;
  if (!has_daemons) return false;
  std::lock_guard guard(lock_);
  return children.Left() == daemons_.running() + (asking_ != Asking::kNobody ? 1 : 0);
}

void CancellableScope::ExcludeDaemons() noexcept {
  std::lock_guard guard(lock_);
  daemons_.Exclude(children);
}

void CancellableScope::IncludeDaemons() noexcept {
  std::lock_guard guard(lock_);
  static_cast<void>(daemons_.Include(children));
}

// The daemons are asked to end like all children at a shutdown, some at a time.
void CancellableScope::EndDaemons() noexcept {
  std::lock_guard guard(lock_);
  if (!daemons_.Include(children) || daemons_.running() == 0) return;
  // If the scope is shut the daemons have been asked, or will be, except one that has shut it itself.
  if (shut() && std::exchange(spared_, nullptr) == nullptr) return;
  if (asking_ != Asking::kAll) joined_ns_.store(NowOf(runtime), std::memory_order_relaxed);
  AskFromTheFirst(asking_ == Asking::kAll ? Asking::kAll : Asking::kDaemons);
}

}  // namespace weft::internal

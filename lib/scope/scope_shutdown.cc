// How a scope asks its children to end: all of them, at a shutdown, or its daemons, at the end of a join.
#include <cstdint>
#include <mutex>
#include <new>
#include <source_location>
#include <utility>

#include "lib/cancel/cancel_request.h"
#include "lib/runtime/runtime_core.h"
#include "lib/thread/join_count.h"
#include "weft/cancel_reason.h"
#include "weft/internal/check.h"
#include "weft/internal/child.h"
#include "weft/internal/scheduler.h"
#include "weft/internal/scope_base.h"
#include "weft/internal/thread_block.h"

namespace weft::internal {

// Called under lock_. The thread that drains the cancel queue asks the children to end, some at a time.
void ScopeBase::ShutLocked(const CancelCause& cause, const ThreadBlock* spare) noexcept {
  if (shut_.load(std::memory_order_relaxed)) return;
  shut_.store(true, std::memory_order_relaxed);
  cause_ = cause;
  limit_.BeginShutdown();
  spared_ = spare;
  if (!children_.empty() || limit_.anybody_waits() || asking_ != Asking::kNobody) AskFromTheFirst(Asking::kAll);
}

// Of what has been asked by now: without the lock.
CancelCause ScopeBase::CauseFor(Asker asker) const noexcept {
  switch (asker) {
    case Asker::kJoin:
      return {CancelReason::Kind::kOthersEnded, owner->id, joined_ns_.load(std::memory_order_relaxed), where_};
    case Asker::kScopeAgain: return later_cause_;
    default: return cause_;
  }
}

// Called under lock_. If children are being asked already, that begins again.
void ScopeBase::AskFromTheFirst(Asking whom) noexcept {
  cursor_ = children_.front();
  if (std::exchange(asking_, whom) != Asking::kNobody) return;
  children.Add();
  EnqueueShutdown(runtime, *this);
}

void ScopeBase::Shutdown(Literal why, std::source_location where) {
  CheckOwnerOrInside("Shutdown()");
  WEFT_CHECK(!closed()) << "Shutdown() of a scope that is closed";
  ThreadBlock& self = *CurrentThread();
  {
    std::lock_guard guard(lock_);
    ShutLocked({CancelReason::Kind::kShutdown, self.id, runtime.Now(), where, why.c_str()}, &self);
  }
  RunShutdowns(runtime);
}

void ScopeBase::RequestShutdown(const CancelCause& cause) noexcept {
  std::lock_guard guard(lock_);
  RequestShutdownLocked(cause);
}

void ScopeBase::RequestShutdownLocked(const CancelCause& cause) noexcept {
  // A scope that was shut before has spared nobody but a child that asked for it; a request from outside reaches that
  // one too.
  if (shut_.load(std::memory_order_relaxed) && std::exchange(spared_, nullptr) != nullptr) {
    if (asking_ == Asking::kNobody) {
      if (children_.empty()) return;
      later_cause_ = cause;
      asker_ = Asker::kScopeAgain;
    }
    return AskFromTheFirst(Asking::kAll);
  }
  ShutLocked(cause, nullptr);
}

bool ScopeBase::ShutDownSome(int max) noexcept {
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
  // They end before they begin, or soon, for those that owe a clean-up. The scope stays: they are counted, and so are
  // we.
  while (ThreadBlock* child = to_start.PopFront()) StartThread(*child);
  if (done) EndCounted(*this);
  return done;
}

// ---- Daemons.

bool ScopeBase::AllEnded() noexcept {
  if (children.Drained()) return true;
  if (!has_daemons) return false;
  std::lock_guard guard(lock_);
  return children.Left() == daemons_ + (asking_ != Asking::kNobody ? 1 : 0);
}

// A daemon that ends meanwhile puts itself back into the count, under the lock, before it leaves the list. So the
// thread that finds nothing else left, and takes the lock, counts the daemons in the list, and no other daemon touches
// the scope uncounted.
void ScopeBase::ExcludeDaemons() noexcept {
  std::lock_guard guard(lock_);
  daemons_excluded_ = true;
  children.Add(-daemons_);
}

bool ScopeBase::IncludeDaemonsLocked() noexcept {
  if (!std::exchange(daemons_excluded_, false)) return false;
  children.Add(daemons_);
  return true;
}

// They are asked like all children are at a shutdown, some at a time.
void ScopeBase::EndDaemons() noexcept {
  std::lock_guard guard(lock_);
  if (!IncludeDaemonsLocked() || daemons_ == 0) return;
  // If the scope is shut they have been asked, or will be, except one that has shut it.
  if (shut() && std::exchange(spared_, nullptr) == nullptr) return;
  if (asking_ != Asking::kAll) joined_ns_.store(runtime.Now(), std::memory_order_relaxed);
  AskFromTheFirst(asking_ == Asking::kAll ? Asking::kAll : Asking::kDaemons);
}

}  // namespace weft::internal

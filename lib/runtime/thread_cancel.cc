// Requests to cancel, and where they stop. See the notes in record.h, thread_block.h and thread_state.h.
#include <mutex>

#include "weft/internal/atomic.h"
#include "weft/internal/check.h"
#include "weft/internal/record.h"
#include "weft/internal/scheduler.h"
#include "weft/internal/thread_block.h"

namespace weft::internal {

Boundary* FindTarget(ThreadBlock& thread) noexcept {
  Boundary* target = thread.root.requested ? &thread.root : nullptr;
  // [records/2] acquire: pairs with [records/1].
  Record* const innermost = thread.records.load(std::memory_order_acquire);
  Record* end = nullptr;  // nothing from here outwards counts: it is the target, or hidden
  for (Record* at = innermost; at != nullptr; at = at->outer) {
    if (at->kind == Record::Kind::kShield) {
      // What is requested outside of the innermost shield is hidden from the frame that runs now.
      target = nullptr;
      end = at;
      break;
    }
  }
  for (Record* at = innermost; at != end; at = at->outer) {
    if (at->kind != Record::Kind::kTimeout) continue;
    auto* boundary = static_cast<Boundary*>(at);
    if (boundary->requested && target != &thread.root) target = boundary;  // the outermost so far
  }
  if (target == nullptr) return nullptr;
  for (Record* at = innermost; at != end && at != target; at = at->outer) {
    if (at->kind != Record::Kind::kCatch) continue;
    auto* boundary = static_cast<Boundary*>(at);
    if (!boundary->requested) {
      // What it stops is the request that lies outside; it has none of its own.
      boundary->reason = target->reason;
    }
    return boundary;
  }
  return target;
}

bool IsCancelledUnderAttention(ThreadBlock& thread) noexcept {
  if (thread.state.Observe().unregistered()) thread.home->Register(thread);
  if (!thread.state.Observe().requested()) return false;
  std::lock_guard guard(thread.records_lock);
  return FindTarget(thread) != nullptr;
}

namespace {

enum class Fence { kNeeded, kPassed };

// With kPassed the thread was watched, and a fence has been passed since.
void RequestCancel(ThreadBlock& thread, Boundary& boundary, const CancelReason& reason, Fence fence) noexcept {
  bool runnable = false;
  {
    std::lock_guard guard(thread.records_lock);
    if (boundary.requested) return;
    boundary.requested = true;
    boundary.reason = reason;
    const ThreadState::Snapshot before = thread.state.Request();
    // A thread that was asked before has been looking ever since. One that is not watched any more was let go by
    // another watcher.
    if (!before.asleep() && !before.requested() && (fence == Fence::kNeeded || !before.watched())) HeavyFence();
    // The outermost shield inside the boundary hides everything within it. (The root is not in the list: its end is null.)
    Record* const innermost = thread.records.load(std::memory_order_acquire);  // [records/2]
    Record* exposed = innermost;
    bool hidden = false;
    for (Record* at = innermost; at != nullptr && at != &boundary; at = at->outer) {
      if (at->kind != Record::Kind::kShield) continue;
      exposed = at->outer;
      hidden = true;
    }
    // The thread before its children: one that is woken because they have ended sees that it is cancelled (cancel_wins).
    if (!hidden && thread.state.Claim()) {
      const bool withdrawn = thread.wait.load(std::memory_order_relaxed)->withdraw(thread);
      if (withdrawn) thread.unwind = true;
      runnable = thread.state.EndCancel(withdrawn);
    }
    for (Record* at = exposed; at != nullptr && at != &boundary; at = at->outer) {
      if (at->kind == Record::Kind::kScope) static_cast<ScopeRecord*>(at)->RequestShutdown(reason);
    }
  }
  if (!runnable) return;
  CountWake(*thread.runtime);
  MakeRunnable(thread);
}

}  // namespace

void RequestCancel(ThreadBlock& thread, Boundary& boundary, const CancelReason& reason) noexcept {
  RequestCancel(thread, boundary, reason, Fence::kNeeded);
}

void CancelBatch::Request() noexcept {
  bool awake = false;
  for (int i = 0; i < count_; ++i) {
    const ThreadState::Snapshot before = threads_[i]->state.Watch();
    awake |= !before.asleep() && !before.requested();
  }
  if (awake) HeavyFence();
  for (int i = 0; i < count_; ++i) {
    RequestCancel(*threads_[i], threads_[i]->root, reason_, Fence::kPassed);
    // From here on it is asked, and looks.
    threads_[i]->state.Unwatch();
  }
}

RecordsWatch::RecordsWatch(ThreadBlock& thread) noexcept : thread_(thread) {
  thread.records_lock.lock();
  const ThreadState::Snapshot before = thread.state.Watch();
  if (!before.asleep() && !before.requested()) HeavyFence();
}

RecordsWatch::~RecordsWatch() {
  thread_.state.Unwatch();
  thread_.records_lock.unlock();
}

CancelReason PushedUnderAttention(ThreadBlock& thread) noexcept {
  if (thread.state.Observe().unregistered()) thread.home->Register(thread);
  std::lock_guard guard(thread.records_lock);
  if (thread.state.Observe().requested()) {
    if (const Boundary* target = FindTarget(thread)) return target->reason;
  }
  // In a destructor that an unwinding runs, the request may be hidden again by now, or delivered.
  if (thread.unwinding) return {CancelReason::Kind::kScopeClosed, thread.id};
  return {};
}

void PoppedUnderAttention(ThreadBlock& thread) noexcept {
  std::lock_guard guard(thread.records_lock);
  if (!thread.state.Observe().requested()) return;
  bool left = thread.root.requested;
  for (Record* at = thread.records.load(std::memory_order_relaxed); at != nullptr && !left; at = at->outer) {
    left = at->kind == Record::Kind::kTimeout && static_cast<Boundary*>(at)->requested;
  }
  if (!left) thread.state.ClearRequested();
}

void DieOutOfOrder(const ThreadBlock& thread) noexcept {
  WEFT_CHECK(false)
      << "a scope or a boundary of virtual thread #" << thread.id
      << " is closed while something that was opened inside it is still open; close them in the reverse order";
  __builtin_unreachable();
}

}  // namespace weft::internal

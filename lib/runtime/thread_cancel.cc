// Requests to cancel, and where they stop. See design notes in record.h and thread_state.h.
#include <mutex>

#include "weft/internal/check.h"
#include "weft/internal/record.h"
#include "weft/internal/scheduler.h"
#include "weft/internal/thread_block.h"

namespace weft::internal {

Boundary* FindTarget(ThreadBlock& thread) noexcept {
  Boundary* target = thread.root.requested ? &thread.root : nullptr;
  Record* end = nullptr;  // nothing from here outwards counts: it is the target, or hidden
  for (Record* at = thread.records; at != nullptr; at = at->outer) {
    if (at->kind == Record::Kind::kShield) {
      // What is requested outside of the innermost shield is hidden from the frame that runs now.
      target = nullptr;
      end = at;
      break;
    }
  }
  for (Record* at = thread.records; at != end; at = at->outer) {
    if (at->kind != Record::Kind::kTimeout) continue;
    auto* boundary = static_cast<Boundary*>(at);
    if (boundary->requested && target != &thread.root) target = boundary;  // the outermost so far
  }
  if (target == nullptr) return nullptr;
  for (Record* at = thread.records; at != end && at != target; at = at->outer) {
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

bool IsCancelled(ThreadBlock& thread) noexcept {
  if (!thread.state.Observe().requested()) return false;
  std::lock_guard guard(thread.records_lock);
  return FindTarget(thread) != nullptr;
}

void RequestCancel(ThreadBlock& thread, Boundary& boundary, const CancelReason& reason) noexcept {
  bool runnable = false;
  {
    std::lock_guard guard(thread.records_lock);
    if (boundary.requested) return;
    boundary.requested = true;
    boundary.reason = reason;
    // The outermost shield inside the boundary hides everything within it. (The root is not in the list: its end is null.)
    Record* exposed = thread.records;
    bool hidden = false;
    for (Record* at = thread.records; at != nullptr && at != &boundary; at = at->outer) {
      if (at->kind != Record::Kind::kShield) continue;
      exposed = at->outer;
      hidden = true;
    }
    // The thread before its children: one that is woken because they have ended sees that it is cancelled (cancel_wins).
    if (thread.state.Request(/*interrupt=*/!hidden) == ThreadState::RequestOutcome::kClaimed) {
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

CancelReason PushRecord(ThreadBlock& thread, Record& record) noexcept {
  std::lock_guard guard(thread.records_lock);
  record.outer = thread.records;
  thread.records = &record;
  if (thread.state.Observe().requested()) {
    if (const Boundary* target = FindTarget(thread)) return target->reason;
  }
  // In a destructor that an unwinding runs, the request may be hidden again by now, or delivered.
  if (thread.unwinding) return {CancelReason::Kind::kScopeClosed, thread.id};
  return {};
}

void PopRecord(ThreadBlock& thread, Record& record) noexcept {
  std::lock_guard guard(thread.records_lock);
  WEFT_CHECK(thread.records == &record) << "a scope or a boundary of virtual thread #" << thread.id
                                        << " is closed while something that was opened inside it is still open; "
                                           "close them in the reverse order";
  thread.records = record.outer;
  if (!thread.state.Observe().requested()) return;
  bool left = thread.root.requested;
  for (Record* at = thread.records; at != nullptr && !left; at = at->outer) {
    left = at->kind == Record::Kind::kTimeout && static_cast<Boundary*>(at)->requested;
  }
  if (!left) thread.state.ClearRequested();
}

}  // namespace weft::internal

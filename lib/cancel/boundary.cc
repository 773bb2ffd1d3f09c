#include "lib/cancel/boundary.h"

#include <cstdint>
#include <mutex>

#include "lib/thread/records.h"
#include "lib/thread/runtime_services.h"
#include "lib/thread/thread_state.h"
#include "weft/internal/scope_record.h"

namespace weft::internal {

bool Hides(const ThreadBlock& thread, const Record& record) noexcept {
  const bool hides = record.kind == Record::Kind::kShield ||
                     (record.kind == Record::Kind::kGraceShield && !static_cast<const Boundary&>(record).requested);
  return hides && !ShieldsLifted(thread.runtime());
}

// Two walks: the first finds the innermost shield, the second the outermost request inside it. Then the innermost
// kCatch inside that request takes its place.
CancelTarget FindTarget(ThreadBlock& thread) noexcept {
  bool to_root = thread.asked();
  Boundary* target = nullptr;
  Record* const innermost = InnermostRecord(thread);
  Record* end = nullptr;  // from here outwards nothing counts: here is the target, or the shield
  for (Record* at = innermost; at != nullptr; at = at->outer) {
    if (!Hides(thread, *at)) continue;
    // What is requested outside of the innermost shield is hidden from the frame that runs now.
    to_root = false;
    end = at;
    break;
  }
  for (Record* at = innermost; at != end && !to_root; at = at->outer) {
    if (at->kind != Record::Kind::kOwnRequest) continue;
    auto* boundary = static_cast<Boundary*>(at);
    if (boundary->requested) target = boundary;  // the outermost so far
  }
  if (!to_root && target == nullptr) return {};
  const CancelTarget found{.exists = true, .boundary = target};
  if (target != nullptr) end = target;
  for (Record* at = innermost; at != end; at = at->outer) {
    if (at->kind != Record::Kind::kCatch) continue;
    auto* boundary = static_cast<Boundary*>(at);
    // It stops the request that lies outside; it has none of its own.
    boundary->cause = CauseAt(thread, found);
    return {.exists = true, .boundary = boundary};
  }
  return found;
}

CancelCause CauseOfEnd(const ThreadBlock& thread) noexcept {
  const Asker asker = thread.asker;
  if (asker == Asker::kAlone) return thread.CauseAlone();
  if (asker < Asker::kAloneOfKind) return thread.HomeOfChild()->CauseFor(asker);
  return {static_cast<CancelReason::Kind>(static_cast<uint8_t>(asker) - static_cast<uint8_t>(Asker::kAloneOfKind)), 0};
}

bool IsCancelledSlow(ThreadBlock& thread) noexcept {
  if (thread.state.Observe().unregistered()) RegisterThread(thread);
  if (!thread.state.Observe().requested()) return false;
  std::lock_guard guard(thread.records_lock);
  return FindTarget(thread).exists;
}

CancelCause WhyCancelled(ThreadBlock& thread) noexcept {
  std::lock_guard guard(thread.records_lock);
  if (const CancelTarget target = FindTarget(thread); target.exists) return CauseAt(thread, target);
  return {CancelReason::Kind::kScopeClosed, thread.id, NowOf(thread.runtime())};
}

}  // namespace weft::internal

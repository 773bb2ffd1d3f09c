#include "weft/internal/boundary.h"

#include <mutex>

#include "weft/internal/records.h"
#include "weft/internal/scheduler.h"
#include "weft/internal/scope_record.h"

namespace weft::internal {

bool Hides(const ThreadBlock& thread, const Record& record) noexcept {
  const bool hides = record.kind == Record::Kind::kShield ||
                     (record.kind == Record::Kind::kGraceShield && !static_cast<const Boundary&>(record).requested);
  return hides && !ShieldsLifted(*thread.runtime);
}

CancelTarget* FindTarget(ThreadBlock& thread) noexcept {
  CancelTarget* target = thread.root.requested ? &thread.root : nullptr;
  Record* const innermost = InnermostRecord(thread);
  Record* end = nullptr;  // from here outwards nothing counts: here is the target, or the shield
  for (Record* at = innermost; at != nullptr; at = at->outer) {
    if (!Hides(thread, *at)) continue;
    // What is requested outside of the innermost shield is hidden from the frame that runs now.
    target = nullptr;
    end = at;
    break;
  }
  for (Record* at = innermost; at != end; at = at->outer) {
    if (at->kind != Record::Kind::kOwnRequest) continue;
    auto* boundary = static_cast<Boundary*>(at);
    if (boundary->requested && target != &thread.root) target = boundary;  // the outermost so far
  }
  if (target == nullptr) return nullptr;
  if (target != &thread.root) end = RecordOf(thread, *target);
  for (Record* at = innermost; at != end; at = at->outer) {
    if (at->kind != Record::Kind::kCatch) continue;
    auto* boundary = static_cast<Boundary*>(at);
    // It stops the request that lies outside; it has none of its own.
    boundary->cause = target->cause;
    return boundary;
  }
  return target;
}

bool IsCancelledSlow(ThreadBlock& thread) noexcept {
  if (thread.state.Observe().unregistered()) thread.home->Register(thread);
  if (!thread.state.Observe().requested()) return false;
  std::lock_guard guard(thread.records_lock);
  return FindTarget(thread) != nullptr;
}

CancelCause WhyCancelled(ThreadBlock& thread) noexcept {
  std::lock_guard guard(thread.records_lock);
  if (const CancelTarget* target = FindTarget(thread)) return target->cause;
  return {CancelReason::Kind::kScopeClosed, thread.id, NowOf(*thread.runtime)};
}

}  // namespace weft::internal

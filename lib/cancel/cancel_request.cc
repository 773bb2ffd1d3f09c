#include "lib/cancel/cancel_request.h"

#include <mutex>

#include "lib/cancel/boundary.h"
#include "lib/thread/records.h"
#include "lib/thread/runtime_services.h"
#include "lib/thread/thread_state.h"
#include "weft/cancellation.h"
#include "weft/internal/boundary.h"
#include "weft/internal/scope_record.h"

namespace weft::internal {
namespace {

Record* OutermostShield(const ThreadBlock& thread, Record* innermost, const Record* end) noexcept {
  Record* outermost = nullptr;
  for (Record* at = innermost; at != end; at = at->outer) {
    if (Hides(thread, *at)) outermost = at;
  }
  return outermost;
}

// Under the records lock: brings the request that was made to `end`, or to the root if that is null, to whatever no
// shield hides. Returns true if the thread was parked: the caller must make it runnable.
[[nodiscard]] bool Deliver(ThreadBlock& thread, Boundary* end, const CancelCause& cause) noexcept {
  Record* const innermost = InnermostRecord(thread);
  // The outermost shield inside the target hides everything within it.
  Record* shield = OutermostShield(thread, innermost, end);
  while (shield != nullptr && shield->kind == Record::Kind::kGraceShield) {
    static_cast<GraceShield*>(shield)->BeginGrace(cause);
    if (Hides(thread, *shield)) break;
    shield = OutermostShield(thread, innermost, end);  // its grace was over already
  }
  Record* const exposed = shield == nullptr ? innermost : shield->outer;
  const bool hidden = shield != nullptr;
  bool runnable = false;
  // The thread comes before its children: if it is woken because they have ended, it must see that it is cancelled
  // (cancel_wins).
  if (!hidden && thread.state.Claim()) {
    const bool withdrawn = thread.wait.load(std::memory_order_relaxed)->withdraw(thread);
    if (withdrawn) thread.unwind = true;
    runnable = thread.state.EndCancel(withdrawn);
  }
  for (Record* at = exposed; at != end; at = at->outer) {
    if (at->kind == Record::Kind::kScope) static_cast<ScopeRecord*>(at)->RequestShutdown(cause);
  }
  return runnable;
}

}  // namespace

// Called when a shield has stopped hiding. Announces the request once, and delivers every request again: those that had
// arrived lose nothing by it.
bool DeliverAll(ThreadBlock& thread, Record* innermost) noexcept {
  // This makes a thread look again that is about to park.
  AnnounceRequest(thread, FencePassed::kNo);
  bool runnable = false;
  for (Record* at = innermost; at != nullptr; at = at->outer) {
    if (at->kind != Record::Kind::kOwnRequest) continue;
    auto& boundary = static_cast<Boundary&>(*at);
    if (boundary.requested) runnable |= Deliver(thread, &boundary, boundary.cause);
  }
  if (thread.asked()) runnable |= Deliver(thread, nullptr, CauseOfEnd(thread));
  return runnable;
}

void WakeDelivered(ThreadBlock& thread) noexcept {
  CountWake(thread.runtime());
  MakeRunnable(thread);
}

namespace {

void RequestEnd(ThreadBlock& thread, Asker asker, const CancelCause& cause, FencePassed passed) noexcept {
  bool runnable = false;
  {
    std::lock_guard guard(thread.records_lock);
    if (thread.asked()) return;
    thread.SetAsker(asker, cause);
    AnnounceRequest(thread, passed);
    runnable = Deliver(thread, nullptr, cause);
  }
  if (runnable) WakeDelivered(thread);
}

}  // namespace

void RequestCancel(ThreadBlock& thread, Boundary& target, const CancelCause& cause) noexcept {
  bool runnable = false;
  {
    std::lock_guard guard(thread.records_lock);
    if (target.requested) return;
    target.requested = true;
    target.cause = cause;
    AnnounceRequest(thread, FencePassed::kNo);
    runnable = Deliver(thread, &target, cause);
  }
  if (runnable) WakeDelivered(thread);
}

void RequestEnd(ThreadBlock& thread, Asker asker, const CancelCause& cause) noexcept {
  RequestEnd(thread, asker, cause, FencePassed::kNo);
}

void CancelBatch::Request() noexcept {
  WatchEach(threads_, count_, [this](ThreadBlock& thread) {
    RequestEnd(thread, asker_, cause_, FencePassed::kByWatchEach);
  });
}

}  // namespace weft::internal

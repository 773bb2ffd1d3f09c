// Requests to cancel, and where they stop. See the notes in record.h, records.h and thread_state.h.
#include <cstdint>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "lib/runtime/runtime_core.h"
#include "weft/cancellation.h"
#include "weft/internal/atomic.h"
#include "weft/internal/check.h"
#include "weft/internal/record.h"
#include "weft/internal/scheduler.h"
#include "weft/internal/thread_block.h"

namespace weft::internal {

namespace {

// Is what is requested of `thread` outside of it hidden from what is inside?
bool Hides(const ThreadBlock& thread, const Record& record) noexcept {
  const bool hides = record.kind == Record::Kind::kShield ||
                     (record.kind == Record::Kind::kGraceShield && !static_cast<const Boundary&>(record).requested);
  return hides && !thread.runtime->shields_lifted();
}

}  // namespace

CancelTarget* FindTarget(ThreadBlock& thread) noexcept {
  CancelTarget* target = thread.root.requested ? &thread.root : nullptr;
  Record* const innermost = InnermostRecord(thread);
  Record* end = nullptr;  // nothing from here outwards counts: it is the target, or hidden
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
    // What it stops is the request that lies outside; it has none of its own.
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

namespace {

Record* OutermostShield(const ThreadBlock& thread, Record* innermost, const Record* end) noexcept {
  Record* outermost = nullptr;
  for (Record* at = innermost; at != end; at = at->outer) {
    if (Hides(thread, *at)) outermost = at;
  }
  return outermost;
}

// Under the records lock: brings what is requested of `target` to whatever no shield hides. True: the thread was
// parked, and is to be made runnable.
[[nodiscard]] bool Deliver(ThreadBlock& thread, CancelTarget& target) noexcept {
  Record* const end = RecordOf(thread, target);
  Record* const innermost = InnermostRecord(thread);
  // The outermost shield inside the target hides everything within it.
  Record* shield = OutermostShield(thread, innermost, end);
  while (shield != nullptr && shield->kind == Record::Kind::kGraceShield) {
    static_cast<GraceShield*>(shield)->BeginGrace(target.cause);
    if (Hides(thread, *shield)) break;
    shield = OutermostShield(thread, innermost, end);  // its grace was over already
  }
  Record* const exposed = shield == nullptr ? innermost : shield->outer;
  const bool hidden = shield != nullptr;
  bool runnable = false;
  // The thread before its children: one that is woken because they have ended sees that it is cancelled (cancel_wins).
  if (!hidden && thread.state.Claim()) {
    const bool withdrawn = thread.wait.load(std::memory_order_relaxed)->withdraw(thread);
    if (withdrawn) thread.unwind = true;
    runnable = thread.state.EndCancel(withdrawn);
  }
  for (Record* at = exposed; at != end; at = at->outer) {
    if (at->kind == Record::Kind::kScope) static_cast<ScopeRecord*>(at)->RequestShutdown(target.cause);
  }
  return runnable;
}

// Under the records lock: something hides nothing any more. What was requested, from `innermost` outwards, is brought to
// what is inside.
[[nodiscard]] bool DeliverAll(ThreadBlock& thread, Record* innermost) noexcept {
  // A thread that is about to park looks again.
  AnnounceRequest(thread, FencePassed::kNo);
  bool runnable = false;
  for (Record* at = innermost; at != nullptr; at = at->outer) {
    if (at->kind != Record::Kind::kOwnRequest) continue;
    auto& boundary = static_cast<Boundary&>(*at);
    if (boundary.requested) runnable |= Deliver(thread, boundary);
  }
  if (thread.root.requested) runnable |= Deliver(thread, thread.root);
  return runnable;
}

void WakeDelivered(ThreadBlock& thread) noexcept {
  CountWake(*thread.runtime);
  MakeRunnable(thread);
}

void RequestCancel(ThreadBlock& thread, CancelTarget& target, const CancelCause& cause, FencePassed passed) noexcept {
  bool runnable = false;
  {
    std::lock_guard guard(thread.records_lock);
    if (target.requested) return;
    target.requested = true;
    target.cause = cause;
    AnnounceRequest(thread, passed);
    runnable = Deliver(thread, target);
  }
  if (runnable) WakeDelivered(thread);
}

}  // namespace

void RequestCancel(ThreadBlock& thread, CancelTarget& target, const CancelCause& cause) noexcept {
  RequestCancel(thread, target, cause, FencePassed::kNo);
}

// ---- A shield with a grace limit.

void GraceShield::Enter(PromiseBase& awaiting) noexcept {
  thread_ = &RequireThread("Shield()");
  frame = &awaiting;
  PushRecord(*thread_, *this);
  if (!thread_->state.Observe().requested()) return;
  // What was requested before counts from then: the earliest that no other shield hides.
  std::lock_guard guard(thread_->records_lock);
  const CancelTarget* earliest = nullptr;
  Record* at = outer;
  for (; at != nullptr && !Hides(*thread_, *at); at = at->outer) {
    if (at->kind != Kind::kOwnRequest) continue;
    const auto& boundary = static_cast<const Boundary&>(*at);
    if (boundary.requested && (earliest == nullptr || boundary.cause.when_ns < earliest->cause.when_ns)) {
      earliest = &boundary;
    }
  }
  if (at == nullptr && thread_->root.requested &&
      (earliest == nullptr || thread_->root.cause.when_ns < earliest->cause.when_ns)) {
    earliest = &thread_->root;
  }
  if (earliest != nullptr) BeginGrace(earliest->cause);
}

void GraceShield::Leave() noexcept {
  if (thread_ == nullptr || std::exchange(left_, true)) return;
  // Without attention nothing was requested, and no grace has begun.
  if (PopRecord(*thread_, *this) && timer_.wheel != nullptr) timer_.wheel->Cancel(timer_);
}

void GraceShield::BeginGrace(const CancelCause& cause) noexcept {
  if (std::exchange(begun_, true)) return;
  const int64_t now = thread_->runtime->Now();
  const int64_t since = cause.when_ns == CancelCause::kUnknownTime ? now : cause.when_ns;
  const int64_t deadline = grace_ns_ > TimerWheel::kNoDeadline - since ? TimerWheel::kNoDeadline : since + grace_ns_;
  if (deadline <= now) {
    requested = true;
    return;
  }
  timer_.shield = this;
  timer_.fire = &Fire;
  timer_.cancel_waits = true;  // what it touches goes away with us
  ArmTimerOf(*thread_->runtime, timer_, deadline);
}

// From now on it hides nothing: what was requested outside is brought to what is inside.
void GraceShield::Fire(TimerNode* node) noexcept {
  GraceShield& shield = *static_cast<Timer*>(node)->shield;
  ThreadBlock& thread = *shield.thread_;
  RuntimeCore& runtime = *thread.runtime;
  bool runnable = false;
  {
    std::lock_guard guard(thread.records_lock);
    shield.requested = true;
    Record* at = InnermostRecord(thread);
    while (at != nullptr && at != &shield) at = at->outer;
    if (at == nullptr) return;  // it was closed just now
    runnable = DeliverAll(thread, shield.outer);
  }
  if (runnable) WakeDelivered(thread);
  RunShutdowns(runtime);
}

// ---- All shields, of a simulation in which nothing else can go on.

void RuntimeCore::LiftShields() noexcept {
  shields_lifted_ = true;
  std::vector<ThreadBlock*> threads;
  ForEachThread(
      [](ThreadBlock& thread, void* argument) {
        static_cast<std::vector<ThreadBlock*>*>(argument)->push_back(&thread);
      },
      &threads);
  for (ThreadBlock* thread : threads) {
    if (!thread->state.Observe().requested()) continue;
    bool runnable = false;
    {
      std::lock_guard guard(thread->records_lock);
      runnable = DeliverAll(*thread, InnermostRecord(*thread));
    }
    if (runnable) WakeDelivered(*thread);
  }
  RunShutdowns(*this);
}

// ---- Several at once.

void CancelBatch::Request() noexcept {
  WatchEach(threads_, count_, [this](ThreadBlock& thread) {
    RequestCancel(thread, thread.root, cause_, FencePassed::kByWatchEach);
  });
}

// ---- The thread, where somebody asks for its attention.

bool PushRecordSlow(ThreadBlock& thread) noexcept {
  if (thread.state.Observe().unregistered()) thread.home->Register(thread);
  return LookUnderLock(thread, [&thread] {
    // In a destructor that an unwinding runs, the request may be hidden again by now, or delivered.
    return thread.unwinding || (thread.state.Observe().requested() && FindTarget(thread) != nullptr);
  });
}

void PopRecordSlow(ThreadBlock& thread) noexcept {
  LookUnderLock(thread, [&thread] {
    if (!thread.state.Observe().requested()) return;
    bool left = thread.root.requested;
    for (Record* at = thread.records.load(std::memory_order_relaxed); at != nullptr && !left; at = at->outer) {
      left = at->kind == Record::Kind::kOwnRequest && static_cast<Boundary*>(at)->requested;
    }
    if (!left) thread.state.ClearRequested();
  });
}

CancelCause WhyCancelled(ThreadBlock& thread) noexcept {
  std::lock_guard guard(thread.records_lock);
  if (const CancelTarget* target = FindTarget(thread)) return target->cause;
  return {CancelReason::Kind::kScopeClosed, thread.id, thread.runtime->Now()};
}

CancelReason Explain(const CancelCause& cause, ThreadBlock* thread) {
  CancelReason reason{.kind = static_cast<CancelReason::Kind>(cause.kind), .thread = cause.thread};
  if (cause.where.line() != 0) reason.where = absl::StrCat(cause.where.file_name(), ":", cause.where.line());
  if (cause.text != nullptr) reason.text = cause.text;
  if (thread == nullptr) return reason;
  if (cause.when_ns != CancelCause::kUnknownTime) {
    const int64_t ago = thread->runtime->Now() - cause.when_ns;
    reason.when = absl::FromUnixNanos(thread->runtime->config.clock->WallNanos() - ago);
  }
  // As long as a thread was asked to end as a whole, by its scope: who owns that is further out.
  for (ThreadBlock* at = thread; at->home != nullptr; at = at->home->owner) {
    {
      std::lock_guard guard(at->records_lock);
      if (!at->root.requested || !at->root.cause.IsOf(cause)) break;
    }
    const std::string scope(at->home->name());
    reason.path.push_back(absl::StrCat(ThreadLabel(*at),
                                       scope.empty() ? ", forked in a scope" : ", forked in the scope ", scope, " of ",
                                       ThreadLabel(*at->home->owner)));
  }
  return reason;
}

void DieWithScopeOpen(const ThreadBlock& thread) noexcept {
  WEFT_CHECK(false) << DescribeThread(thread)
                    << " ends while a scope that it has opened is still open; a scope is a local "
                    << "of the coroutine that opens it";
  __builtin_unreachable();
}

void DieOutOfOrder(const ThreadBlock& thread) noexcept {
  WEFT_CHECK(false)
      << "a scope or a boundary of virtual thread #" << thread.id
      << " is closed while something that was opened inside it is still open; close them in the reverse order";
  __builtin_unreachable();
}

}  // namespace weft::internal

#include "lib/runtime/unwind.h"

#include <cstdint>
#include <exception>
#include <mutex>
#include <string_view>
#include <utility>

#include "lib/runtime/runtime_core.h"
#include "weft/internal/check.h"
#include "weft/internal/drain.h"
#include "weft/internal/record.h"
#include "weft/internal/scheduler.h"
#include "weft/internal/thread_block.h"
#include "weft/internal/timer_wheel.h"

namespace weft::internal {
namespace {

constexpr WaitKind kDrainWait = {ParkReason::kDrain, /*timed=*/false, &WaitKind::NotWithdrawn, /*cancel_wins=*/false,
                                 /*for_children=*/true};

// The target, found anew after each step: a request to something further out may have come meanwhile. Shuts what is
// open inside it.
CancelTarget& ShutInside(ThreadBlock& thread) noexcept {
  std::lock_guard guard(thread.records_lock);
  CancelTarget* const target = FindTarget(thread);
  WEFT_CHECK(target != nullptr) << "virtual thread #" << thread.id << " is unwound, but nothing was requested";
  const Record* const end = RecordOf(thread, *target);
  for (Record* at = thread.records.load(std::memory_order_relaxed); at != end; at = at->outer) {
    if (at->kind == Record::Kind::kScope) static_cast<ScopeRecord*>(at)->RequestShutdown(target->cause);
  }
  return *target;
}

// The wait for the children of `scope` is over, if there was one.
void LeaveDrain(ScopeRecord& scope) noexcept {
  Drain* const drain = scope.drain();
  if (drain == nullptr || !std::exchange(drain->listed, false)) return;
  TheDrains().Leave(*drain);
  scope.EndPatience();
}

// Goes on to the innermost scope before `end` that has children; null if none has.
ScopeRecord* NextBusy(ThreadBlock& thread, const Record* end) noexcept {
  for (Record* at = thread.records.load(std::memory_order_relaxed); at != end; at = at->outer) {
    if (at->kind != Record::Kind::kScope) continue;
    auto* scope = static_cast<ScopeRecord*>(at);
    LeaveDrain(*scope);
    if (!scope->children.Drained()) return scope;
  }
  return nullptr;
}

// The frame, inside `stop`, that the scope lies in. Of frames that do not overlap it is the last that begins before the
// scope. Null if that one is not inside, as happens to a scope that lies in no frame: then no frame can go before the
// children have ended.
PromiseBase* FrameOf(const ThreadBlock& thread, const ScopeRecord& scope, const PromiseBase* stop) noexcept {
  const auto place = reinterpret_cast<uintptr_t>(&scope);
  PromiseBase* found = nullptr;
  bool inside = true;
  bool found_inside = false;
  for (PromiseBase* frame = thread.leaf; frame != nullptr; frame = frame->parent()) {
    if (frame == stop) inside = false;
    const auto begin = reinterpret_cast<uintptr_t>(frame);
    if (begin > place || (found != nullptr && begin < reinterpret_cast<uintptr_t>(found))) continue;
    found = frame;
    found_inside = inside;
  }
  return found_inside ? found : nullptr;
}

[[noreturn, gnu::cold]] void DieOfThrowingDestructor(const ThreadBlock& thread, std::string_view what) noexcept {
  WEFT_CHECK(false) << "a destructor of a local of " << DescribeThread(thread)
                    << " has thrown while the thread was cancelled and unwound: " << what
                    << "; a destructor that an unwinding runs must not throw";
  __builtin_unreachable();
}

#if WEFT_EXCEPTIONS
[[noreturn, gnu::cold]] void DieOfException(const ThreadBlock& thread) noexcept {
  try {
    throw;
  } catch (const std::exception& exception) {
    DieOfThrowingDestructor(thread, exception.what());
  } catch (...) {
    DieOfThrowingDestructor(thread, "an exception that is no std::exception");
  }
}

#endif

void DestroyFrame(const ThreadBlock& thread, PromiseBase& frame) noexcept {
#if WEFT_EXCEPTIONS
  try {
    // As coroutine_handle::destroy(), of which the compiler takes for granted that it does not throw.
    frame.header().destroy(frame.Handle().address());
  } catch (...) {
    DieOfException(thread);
  }
#else
  static_cast<void>(thread);
  frame.Handle().destroy();
#endif
}

// From the leaf to the last before `stop`, which is the leaf then.
void DestroyFrames(ThreadBlock& thread, PromiseBase* stop) noexcept {
  thread.unwinding = true;
  while (thread.leaf != stop) {
    PromiseBase& frame = *thread.leaf;
    thread.leaf = frame.parent();
    frame.Doom();
    DestroyFrame(thread, frame);
  }
  thread.unwinding = false;
}

}  // namespace

void CheckMayFail() noexcept {
#if WEFT_EXCEPTIONS
  const ThreadBlock* const thread = CurrentThread();
  if (thread != nullptr && thread->unwinding) DieOfException(*thread);
#endif
}

void DieOfRevived() noexcept {
  DieOfThrowingDestructor(RequireThread("the end of a coroutine"), "a handler in the same coroutine has caught it");
}

namespace {

// As JoinCount::Wait(), for a wait that others may press.
bool EnterDrain(RuntimeCore& runtime, ThreadBlock& thread, ScopeRecord& scope) noexcept {
  Drain& drain = *scope.drain();
  const ThreadKey owner = drain.owner = thread.key();
  const uint32_t since = drain.since = scope.opened_as;
  drain.thread = &thread;
  drain.children = &scope.children;
  drain.listed = true;
  const int64_t patience = runtime.config.drain_patience_ns;
  const bool impatient = thread.HoldsPermitSince(scope);
  scope.EndPatience();  // and the scope's own timeout, which has nothing left to do
  const bool drained = TheDrains().Enter(drain, [&] {
    const int64_t now = runtime.Now();
    const bool ends = patience < TimerWheel::kNoDeadline - now;
    if (impatient) scope.SetPatience(ends ? now + patience : TimerWheel::kNoDeadline);
  });
  if (drained) return true;
  // The thread is nobody's: from here on it is looked at from outside, as by anybody else.
  if (TheWantedLocks().AnyHeldBy(owner, since)) PressHolder(owner, since);
  return false;
}

// The owner is suspended until the children of `scope` have ended. False: it is somebody else's.
bool AwaitDrain(Turn& turn, ThreadBlock& thread, ScopeRecord& scope) noexcept {
  thread.wait.store(&kDrainWait, std::memory_order_relaxed);
  scope.owner_parked = false;
  turn.waits_at = {};  // at no co_await
  turn.Unmount(thread);
  CarrierCounters::Add(turn.counters.parks);
  // A thread that has got no lock since the scope was opened holds none that an exception would give back. In a
  // simulation it may be something else that the children wait for.
  const bool may_be_pressed =
      scope.drain() != nullptr && (thread.HasLockedSince(scope) || turn.runtime.config.chooser != nullptr);
  if (!(may_be_pressed ? EnterDrain(turn.runtime, thread, scope) : scope.children.Wait())) return false;
  CarrierCounters::Add(turn.counters.wakes);
  turn.Remount(thread);
  return true;
}

}  // namespace

AfterUnwind Unwind(Turn& turn, ThreadBlock& thread) noexcept {
  for (;;) {
    CancelTarget& target = ShutInside(thread);
    turn.runtime.RunShutdownBatch(InPlaceJoins::kShutdownBatch);
    Record* const end = RecordOf(thread, target);
    PromiseBase* const stop = end == nullptr ? nullptr : static_cast<Boundary*>(end)->frame;
    ScopeRecord* const busy = NextBusy(thread, end);
    if (busy == nullptr) {
      DestroyFrames(thread, stop);
      thread.unwind = false;
      if (end == nullptr) return AfterUnwind::kAtRoot;
      target.reached = true;
      return AfterUnwind::kAtBoundary;
    }
    PromiseBase* const keep = FrameOf(thread, *busy, stop);
    if (Drain* const drain = busy->drain(); drain != nullptr && std::exchange(drain->pressed, false)) {
      DestroyFrames(thread, keep == nullptr ? stop : keep->parent());
      continue;
    }
    if (keep != nullptr) DestroyFrames(thread, keep);
    if (!AwaitDrain(turn, thread, *busy)) return AfterUnwind::kLeft;
  }
}

namespace {

// Its owner was taken out of its wait: it is the caller's.
void ResumePressed(Drain& drain) noexcept {
  ThreadBlock& thread = *drain.thread;
  RuntimeCore& core = *thread.runtime;
  const RuntimeCore::OutsideCall call(core);
  CountWake(core);
  MakeRunnable(thread);
}

}  // namespace

PermitReceipt CountPermit() noexcept {
  ThreadBlock* const thread = CurrentThread();
  if (thread == nullptr) return {};
  thread->last_lock = static_cast<uint8_t>(thread->scopes_opened);
  if (thread->permits_held < ThreadBlock::kManyPermits) ++thread->permits_held;
  return {thread->key(), thread->scopes_opened};
}

void UncountPermit(const PermitReceipt& receipt) noexcept {
  ThreadBlock* const thread = CurrentThread();
  if (thread == nullptr || thread->key() != receipt.thread || thread->permits_held == ThreadBlock::kManyPermits) return;
  --thread->permits_held;
  // For scopes that were opened since, it was one from before.
  for (Record* at = thread->records.load(std::memory_order_relaxed); at != nullptr; at = at->outer) {
    if (at->kind != Record::Kind::kScope) continue;
    auto& scope = *static_cast<ScopeRecord*>(at);
    if (scope.drain() == nullptr) continue;  // not numbered
    if (IsSince(receipt.scopes_opened, scope.opened_as)) return;
    if (scope.permits_before > 0) --scope.permits_before;
  }
}

void PressHolder(const ThreadKey& holder, uint32_t scopes_opened) noexcept {
  if (Drain* drain = TheDrains().Press(holder, scopes_opened)) ResumePressed(*drain);
}

void PressDrain(const Drain& drain) noexcept {
  Drain* const pressed = TheDrains().PressIf([&drain](const Drain& each) { return &each == &drain; });
  if (pressed != nullptr) ResumePressed(*pressed);
}

bool RuntimeCore::PressOneDrain() noexcept {
  Drain* const pressed = TheDrains().PressIf([this](const Drain& each) { return each.thread->runtime == this; });
  if (pressed != nullptr) ResumePressed(*pressed);
  return pressed != nullptr;
}

}  // namespace weft::internal

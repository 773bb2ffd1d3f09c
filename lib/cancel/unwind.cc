#include "lib/cancel/unwind.h"

#include <cstdint>
#include <exception>
#include <mutex>
#include <string_view>
#include <utility>

#include "lib/cancel/boundary.h"
#include "lib/cancel/drain.h"
#include "lib/thread/describe.h"
#include "lib/thread/join_count.h"
#include "lib/thread/runtime_services.h"
#include "weft/internal/boundary.h"
#include "weft/internal/check.h"
#include "weft/internal/promise.h"
#include "weft/internal/record.h"
#include "weft/internal/scope_record.h"
#include "weft/internal/thread_block.h"
#include "weft/internal/wait.h"

namespace weft::internal {
namespace {

// Returns the target, and shuts the scopes that are open inside it. Called before each step: a request to something
// further out may have come meanwhile.
CancelTarget ShutInside(ThreadBlock& thread) noexcept {
  std::lock_guard guard(thread.records_lock);
  const CancelTarget target = FindTarget(thread);
  WEFT_CHECK(target.exists) << "virtual thread #" << thread.id << " is unwound, but nothing was requested";
  const Record* const end = target.boundary;
  const CancelCause cause = CauseAt(thread, target);
  for (Record* at = thread.records.load(std::memory_order_relaxed); at != end; at = at->outer) {
    if (at->kind == Record::Kind::kScope) static_cast<ScopeRecord*>(at)->RequestShutdown(cause);
  }
  return target;
}

// The wait for the children of `scope` is over, if there was one.
void LeaveDrain(ScopeRecord& scope) noexcept {
  Drain* const drain = scope.drain();
  if (drain == nullptr || !std::exchange(drain->listed, false)) return;
  TheDrains().Leave(*drain);
  scope.EndPatience();
}

// The owner, which has left the drain: was it pressed?
Drain::Pressed TakePress(ScopeRecord& scope) noexcept {
  Drain* const drain = scope.drain();
  return drain == nullptr ? Drain::kNotPressed : std::exchange(drain->pressed, Drain::kNotPressed);
}

// Returns the innermost scope before `end` that has children; null if none has. Leaves the drains of all scopes up to
// that one.
ScopeRecord* NextBusy(ThreadBlock& thread, const Record* end) noexcept {
  for (Record* at = thread.records.load(std::memory_order_relaxed); at != end; at = at->outer) {
    if (at->kind != Record::Kind::kScope) continue;
    auto* scope = static_cast<ScopeRecord*>(at);
    LeaveDrain(*scope);
    if (!scope->children.Drained()) return scope;
    // They may have ended after it was pressed.
    if (TakePress(*scope) == Drain::kForPermit) EndPressed(thread.runtime());
  }
  return nullptr;
}

// The frame, inside `stop`, that the scope lies in: since frames do not overlap, the last one that begins before the
// scope. Null if that frame is not inside `stop`, which happens if the scope lies in no frame: then no frame can be
// destroyed before the children have ended.
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
    // Does what coroutine_handle::destroy() does; the compiler would assume that that does not throw.
    frame.header().destroy(frame.Handle().address());
  } catch (...) {
    DieOfException(thread);
  }
#else
  static_cast<void>(thread);
  frame.Handle().destroy();
#endif
}

// From the leaf to the last frame before `stop`. Then `stop` is the leaf.
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

// The loop of an unwinding: finds the target, shuts the scopes inside, and destroys frames up to the next scope with
// children, or up to the target.
UnwindStep UnwindUntilBusy(ThreadBlock& thread) noexcept {
  for (;;) {
    Boundary* const end = ShutInside(thread).boundary;
    RunShutdownBatch(thread.runtime());
    PromiseBase* const stop = end == nullptr ? nullptr : end->frame;
    ScopeRecord* const busy = NextBusy(thread, end);
    if (busy == nullptr) {
      DestroyFrames(thread, stop);
      thread.unwind = false;
      if (end == nullptr) return {UnwindStep::kAtRoot, nullptr};
      end->reached = true;
      return {UnwindStep::kAtBoundary, nullptr};
    }
    PromiseBase* const keep = FrameOf(thread, *busy, stop);
    if (const Drain::Pressed pressed = TakePress(*busy); pressed != Drain::kNotPressed) {
      DestroyFrames(thread, keep == nullptr ? stop : keep->parent());
      if (pressed == Drain::kForPermit) EndPressed(thread.runtime());
      continue;
    }
    if (keep != nullptr) DestroyFrames(thread, keep);
    return {UnwindStep::kBusy, busy};
  }
}

}  // namespace weft::internal

// What awaiters are made of. Users need none of it.
//
// How a wait is written (sync/event.h has a complete one):
//
//   bool await_ready() { return AtCheckpoint() && <it is there already>; }
//   void await_suspend(std::coroutine_handle<Promise> frame,
//                      std::source_location where = std::source_location::current()) {
//     if (!EnterWait({frame.promise(), where}, kKind, this)) return;   // cancelled: the carrier unwinds the thread
//     <register; whoever grants calls Wake() once>            // do not touch `this` after it was registered
//   }
//
// Each awaiter calls AtCheckpoint() exactly once, first: that makes it a checkpoint. It must do what AtCheckpoint()
// says also if there is nothing to wait for, so that a loop over checkpoints lets other threads run.
//
// It is implemented in lib/runtime/wait.cc, the wakes in lib/runtime/runtime_services.cc: what else the packages around
// lib/runtime ask of it is in lib/thread/runtime_services.h.
#ifndef WEFT_INTERNAL_WAIT_H_
#define WEFT_INTERNAL_WAIT_H_

#include "weft/internal/compiler.h"

#include <coroutine>
#include <cstdint>

#include "weft/internal/promise.h"
#include "weft/internal/scope_record.h"
#include "weft/internal/thread_block.h"
#include "weft/internal/wait_kind.h"

namespace weft::internal {

// The virtual thread mounted on this OS thread, or null. Not inlined: its value may change over a co_await.
ThreadBlock* CurrentThread() noexcept;
// Same, checked: "<what> outside a virtual thread; ...".
ThreadBlock& RequireThread(const char* what) noexcept;
// Its id, or 0.
uint64_t CurrentThreadId() noexcept;

// ---- Called by the current virtual thread.

// False: the awaiter must suspend, because the thread is cancelled, or has used up its turn and must yield.
bool AtCheckpoint() noexcept;
// False: the thread is cancelled and will be unwound; register nothing. True: it will park, on what the caller now
// registers.
bool EnterWait(AwaitingFrame frame, const WaitKind& kind, void* waiting_on) noexcept;
// Like EnterWait(), on entry to a boundary that waits for nothing itself. True: the thread goes on.
bool EnterBoundary(PromiseBase& frame) noexcept;
// For await_suspend, after EnterBoundary(): the thread goes on with `frame`, after other threads if AtCheckpoint()
// returned false. Returns what runs next.
std::coroutine_handle<> GoOnWith(PromiseBase& frame, bool may_go_on) noexcept;
// After EnterWait(), instead of registering: what was waited for is there. The thread goes to the end of the queue.
void YieldInstead() noexcept;
// After EnterWait(), instead of registering: what was waited for is there, and await_suspend returns false.
void GoOnInstead() noexcept;
// Same, if that is a connection from a listener's backlog: it uses less of the thread's turn than other checkpoints.
// Connections in the backlog wait to be served like runnable threads; without this, the last of them would wait for too
// many rounds.
void ChargeAcceptOnly() noexcept;
// For await_suspend: waits until all children of `scope`, which the thread owns, have ended. Returns what runs next.
// The carrier begins the newest child in the thread's place, if it has one: depth-first. A checkpoint: calls
// AtCheckpoint() itself.
std::coroutine_handle<> AwaitChildren(ScopeRecord& scope, AwaitingFrame frame) noexcept;

// The runtime's clocks, in nanoseconds: since some fixed moment, and since 1970-01-01 UTC.
int64_t RuntimeNow() noexcept;
int64_t RuntimeWallNow() noexcept;

// ---- Any OS thread, once per registration: the wait is over. The thread must not be touched afterwards.
void Wake(ThreadBlock& thread) noexcept;
// Like Wake(), for a wait that ended because it was cancelled: the thread is unwound.
void WakeCancelled(ThreadBlock& thread) noexcept;

}  // namespace weft::internal

#endif  // WEFT_INTERNAL_WAIT_H_

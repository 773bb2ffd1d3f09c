// What awaiters, scopes and locks ask of the runtime. For the implementation of waits; users see none of it.
//
// A wait is written so (see sync/event.h for a whole one):
//
//   bool await_ready() { return AtCheckpoint() && <it is there already>; }
//   void await_suspend(std::coroutine_handle<Promise> frame,
//                      std::source_location where = std::source_location::current()) {
//     if (!EnterWait({frame.promise(), where}, kKind, this)) return;   // cancelled: the carrier unwinds the thread
//     <register; whoever grants calls Wake() once>            // do not touch `this` after it was registered
//   }
//
// This is what the packages below lib/runtime ask of it, too: lib/runtime/scheduler.cc implements it.
//
// Each awaiter calls AtCheckpoint() exactly once, first; that is what makes it a checkpoint. What it says is heeded,
// also where there is nothing to wait for: a loop over checkpoints lets others run.
#ifndef WEFT_INTERNAL_SCHEDULER_H_
#define WEFT_INTERNAL_SCHEDULER_H_

#include "weft/internal/compiler.h"

#include <coroutine>
#include <cstdint>
#include <memory>

#include "weft/internal/promise.h"
#include "weft/internal/scope_record.h"
#include "weft/internal/thread_block.h"
#include "weft/internal/wait_kind.h"

namespace weft::internal {

class Backend;
struct Boundary;
struct Operation;
struct TimerNode;

// The virtual thread mounted on this OS thread, or null. Not inlined: its value may change over a co_await.
ThreadBlock* CurrentThread() noexcept;
// Same, checked: "<what> outside a virtual thread; ...".
ThreadBlock& RequireThread(const char* what) noexcept;
// Its id, or 0.
uint64_t CurrentThreadId() noexcept;
// While it lives there is no current thread here: for user code that a carrier calls for none of them.
class WithoutCurrentThread {
 public:
  WithoutCurrentThread() noexcept;
  WithoutCurrentThread(const WithoutCurrentThread&) = delete;
  WithoutCurrentThread& operator=(const WithoutCurrentThread&) = delete;
  ~WithoutCurrentThread();

 private:
  ThreadBlock* const current_;
};

// The carrier that the caller is on, or null: to be compared only.
const void* CurrentCarrier() noexcept;

// ---- Waits, called by the current virtual thread.

// False: the awaiter must suspend: the thread is cancelled, or has had its share and is to yield.
bool AtCheckpoint() noexcept;
// False: the thread is cancelled and will be unwound; register nothing. True: it will park, on what the caller now
// registers.
bool EnterWait(AwaitingFrame frame, const WaitKind& kind, void* waiting_on) noexcept;
// As EnterWait(), on entry to a boundary that waits for nothing itself: true if the thread goes on.
bool EnterBoundary(PromiseBase& frame) noexcept;
// For await_suspend, after EnterBoundary(): the thread goes on with `frame`; if AtCheckpoint() has said that it has had
// its share, after others. Returns what runs next.
std::coroutine_handle<> GoOnWith(PromiseBase& frame, bool may_go_on) noexcept;
// After EnterWait(), instead of registering: what was waited for is there. The thread goes to the end of the queue.
void YieldInstead() noexcept;
// After EnterWait(), instead of registering: what was waited for is there, and await_suspend returns false.
void GoOnInstead() noexcept;
// Same, where that is a connection from a listener's backlog: it takes less of the thread's share than other
// checkpoints. Those in the backlog wait to be served like any thread that is runnable, and the last of them would
// otherwise wait for as many rounds of the others as there are shares in the backlog.
void ChargeAcceptOnly() noexcept;

// For await_suspend: waits until all children of `scope`, which the thread owns, have ended; gives what runs next. The
// carrier begins the newest child in the thread's place, if it has one: depth-first. A checkpoint, AtCheckpoint()
// included.
std::coroutine_handle<> AwaitChildren(ScopeRecord& scope, AwaitingFrame frame) noexcept;
// What was counted in the join count of `scope`, and is neither a child nor the owner, has ended: a shutdown that was
// carried on.
void EndCounted(ScopeRecord& scope) noexcept;

// Any OS thread, once per registration: the wait is over. The thread must not be touched afterwards.
void Wake(ThreadBlock& thread) noexcept;
// As Wake(), for a wait that ended because it was cancelled: the thread is unwound.
void WakeCancelled(ThreadBlock& thread) noexcept;

// ---- Threads.

// Puts a thread that nobody else owns into a run queue: this carrier's, or the inject queue.
void MakeRunnable(ThreadBlock& thread) noexcept;
// Gives a new root its id and its runtime. From here on it can be asked to end.
void PrepareThread(ThreadBlock& thread, RuntimeCore& runtime) noexcept;
// Makes a prepared thread runnable: its `leaf` is its root frame, or null if Begin() is to make it.
void StartThread(ThreadBlock& thread) noexcept;
// For the census: a parked thread of `runtime` has been woken.
void CountWake(RuntimeCore& runtime) noexcept;
// A thread that the caller has taken out of its wait goes on. On any OS thread: the runtime stays until this has
// returned.
void WakeFromOutside(ThreadBlock& thread) noexcept;

// ---- Cancellation queue: scopes that still have children to ask. (scope_record.h, ShutDownSome)
void EnqueueShutdown(RuntimeCore& runtime, ScopeRecord& scope) noexcept;
// Carries on with what is queued, at most a bounded number of children; carriers do the rest between their threads.
// Call it without locks held.
void RunShutdowns(RuntimeCore& runtime) noexcept;
// A part of that.
void RunShutdownBatch(RuntimeCore& runtime) noexcept;
// RequestCancel() and RunShutdowns(), on any OS thread: the runtime stays until both have returned.
void RequestFromOutside(ThreadBlock& thread, Boundary& target, const CancelCause& cause) noexcept;
// Do shields hide nothing, in a simulation that could not go on otherwise?
bool ShieldsLifted(const RuntimeCore& runtime) noexcept;

// Blocks this OS thread, for a destructor that has to wait for children: its carrier runs threads inside `scope`, and
// nothing else, until all have ended.
void RunDescendantsUntilDrained(ScopeRecord& scope) noexcept;

// ---- Time and I/O, called by the current virtual thread.
int64_t RuntimeNow() noexcept;      // nanoseconds on the runtime's clock
int64_t RuntimeWallNow() noexcept;  // same, since 1970-01-01 UTC
int64_t NowOf(RuntimeCore& runtime) noexcept;  // as those two, called by any OS thread
int64_t WallNowOf(RuntimeCore& runtime) noexcept;
void ArmTimer(TimerNode& timer, int64_t deadline_ns) noexcept;
// As ArmTimer(), called by any OS thread.
void ArmTimerOf(RuntimeCore& runtime, TimerNode& timer, int64_t deadline_ns) noexcept;
// To take it back, from any thread: TimerWheel::Cancel(timer).
bool StartOperation(Operation& operation) noexcept;  // Driver::Start() of this carrier
std::shared_ptr<Backend> RuntimeBackend() noexcept;

}  // namespace weft::internal

#endif  // WEFT_INTERNAL_SCHEDULER_H_

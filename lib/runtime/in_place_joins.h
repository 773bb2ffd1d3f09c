// Layer runtime. How does a thread run in another's place, without a turn through the carrier's loop?
//
// When a thread joins, the newest child that it forked runs in its place at once, if that child lies in this carrier's
// deque. When the child ends, the next one runs in its place, and after the last one the owner. So fork and join are
// depth-first, with few threads alive and a warm cache. A thread that must wait returns to the loop (dispatch.h).
//
// The functions that return a coroutine handle return what runs next on this stack: a frame, or std::noop_coroutine(),
// after which the carrier looks at `action`.
//
//   what has come to its end          goes to                 which begins the next child, or
//   the owner, at its co_await        AwaitChildren()         lets the owner park
//   the owner, at an All              BeginBranches()         leaves the count to those that were stolen
//   a child, in its owner's place     EndFrame()              resumes the owner
//   a child, in a turn of its own     EndThread()             counts itself; the last one resumes the owner
//
// BeginBranches() and EndFrame(), with what else an All has of its own, are in in_place_branches.h.
//
// The code at the end of this file and that one is most of what fork and join cost. It is written out for the case that
// nothing special has happened. It calls everything else by tail calls, or through functions that preserve the
// registers of their caller (WEFT_RARE), so that the usual case saves no registers.
#ifndef WEFT_LIB_RUNTIME_IN_PLACE_JOINS_H_
#define WEFT_LIB_RUNTIME_IN_PLACE_JOINS_H_

#include <coroutine>
#include <cstdint>

#include "lib/cancel/cancel_request.h"
#include "lib/runtime/duties.h"
#include "lib/runtime/run_queue.h"
#include "lib/runtime/turn.h"
#include "lib/thread/thread_state.h"
#include "weft/internal/scope_record.h"
#include "weft/internal/thread_block.h"

namespace weft::internal {

// The wait of a thread for its children, if whatever cancels the thread there shuts their scope as well: then the wait
// ends with them.
extern const WaitKind kJoinWait;

// All of `scope` has ended: can its owner go on? If not, it will be resumed a little later.
bool CompleteJoin(ScopeRecord& scope) noexcept;

class InPlaceJoins : public Turn {
 public:
  // After kPerLook threads that begin in their owner's place the carrier looks at the clock. After kPollNanos it looks
  // after timers and completions; after kMaxNanos in a row other threads get a turn, if there are any. Shorter times
  // would cost memory: joins that are broken off leave their threads half done.
  static constexpr int kPerLook = 61;
  static constexpr int64_t kPollNanos = 200'000;
  static constexpr int64_t kMaxNanos = 10'000'000;
  // Children asked to end in one step, so that a large scope's shutdown does not hold up timers and I/O.
  static constexpr int kShutdownBatch = CancelBatch::kMax;

  // A new thread, made by the one that is mounted here.
  void StartHere(ThreadBlock& thread) noexcept;
  // The frame of the mounted thread is suspended, and waits for the children of `scope`.
  std::coroutine_handle<> AwaitChildren(ScopeRecord& scope, AwaitingFrame frame) noexcept;

  // The owner, in a join that can be interrupted: true if it parks, once more.
  bool ParkUntilJoined(ThreadBlock& thread) noexcept;

  // The root frame of the mounted thread is gone.
  std::coroutine_handle<> EndThread(ThreadBlock& thread, ThreadBlock::Ending ending) noexcept;

  RunQueue queue;
  Duties duties;

  // ---- Shared.
  // How many threads on this OS thread's stack wait in a destructor (pinned_run.h). relaxed: the fences at [blocked/1]
  // order it.
  Atomic<uint32_t> blocked{0};

 protected:
  InPlaceJoins(RuntimeCore& core, uint32_t carrier_index) noexcept
      : Turn(core, carrier_index), queue(core, carrier_index, counters), duties(core, carrier_index, queue) {}
  ~InPlaceJoins() = default;

  // A turn through the loop begins.
  void BeginInLoop() noexcept { in_place_since_ns_ = 0; }

  // ---- For the branches of an All too. (in_place_branches.h)

  // May one more begin in place? `own`: how many children of the scope in question lie in the deque.
  [[gnu::always_inline]] bool MayBeginInPlace(int64_t own) noexcept {
    return --in_place_budget_ > 0 || RefillInPlaceBudget(own);
  }
  WEFT_RARE bool RefillInPlaceBudget(int64_t own) noexcept;
  void MountInPlace(ThreadBlock& child) noexcept;
  void MountUncounted(ThreadBlock& child) noexcept;
  std::coroutine_handle<> BeginInPlace(ThreadBlock& child, ScopeRecord& scope) noexcept;
  [[gnu::noinline]] std::coroutine_handle<> BeginObservedInPlace(ThreadBlock& child, ScopeRecord& scope) noexcept;
  [[gnu::noinline]] std::coroutine_handle<> BeginClosureInPlace(ThreadBlock& child, ScopeRecord& scope) noexcept;
  [[gnu::noinline]] std::coroutine_handle<> BeginSeed(Queued* taken, ScopeRecord& scope) noexcept;

  void EnterJoin(ThreadBlock& owner) noexcept;
  // The holder of the count of `scope` has nothing more to do. Begins the newest child in its place, or leaves the
  // count to the others.
  std::coroutine_handle<> ContinueJoin(ScopeRecord& scope) noexcept;
  [[gnu::noinline]] std::coroutine_handle<> CloseJoin(ScopeRecord& scope) noexcept;
  [[gnu::noinline]] std::coroutine_handle<> CloseJoinChecked(ScopeRecord& scope) noexcept;
  [[gnu::noinline]] std::coroutine_handle<> CloseJoinBefore(Queued* queued, ScopeRecord& scope) noexcept;
  static bool IsToBeginInPlace(const ThreadBlock& child, const ScopeRecord& scope) noexcept;

  // Like EndThread(), for a child that was forked into a scope and has succeeded. Not in EndFrame(), which would save a
  // register for it.
  [[gnu::noinline]] std::coroutine_handle<> EndForked(ThreadBlock& thread) noexcept;

 private:
  [[gnu::noinline]] std::coroutine_handle<> AwaitChildrenChecked(ScopeRecord& scope, AwaitingFrame frame) noexcept;
  std::coroutine_handle<> ResumeOwner(ScopeRecord& scope) noexcept;
  void Finish(ThreadBlock& thread, ThreadBlock::Ending ending) noexcept;
  std::coroutine_handle<> CountEnd(ScopeRecord& scope) noexcept;

  int64_t in_place_since_ns_ = 0;  // 0: not looked at the clock since the last turn through the loop
  int in_place_budget_ = 1;
};

// ---- The fast path.

[[gnu::always_inline]] inline void InPlaceJoins::StartHere(ThreadBlock& thread) noexcept {
  CarrierCounters::Add(counters.started);
  if (observed.on()) [[unlikely]]
    observed.Start(thread);
  queue.Push(thread);
  queue.NotifyPushed();
}

// May this child, from the deque, begin in its owner's place? It must not have begun, and must not have been asked to
// end.
inline bool InPlaceJoins::IsToBeginInPlace(const ThreadBlock& child, const ScopeRecord& scope) noexcept {
  return child.IsChildOf(scope) && !child.started && !scope.shut() && !child.state.Observe().requested();
}

// The mounted thread waits for its children. It belongs to nobody until they have ended.
inline void InPlaceJoins::EnterJoin(ThreadBlock& owner) noexcept {
  CarrierCounters::Add(counters.parks);
  owner.wait.store(&kJoinWait, std::memory_order_relaxed);
  no_suspensions.Check(owner, observed.waits_at);
}

// Like SwitchTo(), without the observer, for the first mount of a child that runs in its owner's place and holds the
// count. It was on no carrier before. With SwitchTo() fib(30) by All takes 1.8 % more instructions. (Counted as said
// above EndRootFrame().)
inline void InPlaceJoins::MountInPlace(ThreadBlock& child) noexcept {
  CarrierCounters::Add(counters.mounts);
  MountUncounted(child);
}
inline void InPlaceJoins::MountUncounted(ThreadBlock& child) noexcept {
  current = &child;
  BeginShare();
  child.mounted.store(mounted_here(), std::memory_order_relaxed);
  child.started = child.holds_count = true;
}

inline std::coroutine_handle<> InPlaceJoins::BeginInPlace(ThreadBlock& child, ScopeRecord& scope) noexcept {
  MountInPlace(child);
  if (observed.on()) [[unlikely]]
    return BeginObservedInPlace(child, scope);
  return child.leaf != nullptr ? child.leaf->Handle() : BeginClosureInPlace(child, scope);
}

}  // namespace weft::internal

#endif  // WEFT_LIB_RUNTIME_IN_PLACE_JOINS_H_

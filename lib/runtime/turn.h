// Layer runtime. What does a carrier know of the thread that is mounted on it, and what does the thread ask of the
// carrier?
//
// A turn begins when a thread is mounted and ends when it parks, yields or ends. In between other threads may run in
// its place (in_place_joins.h): `current` is the one that runs now. When the coroutine's resume() returns to the
// carrier, `action` says what becomes of `current`.
//
//   action     set by                                      the carrier then
//   kGone      Leave(): no thread mounted; GoOnInstead()   takes the next thread
//   kPark      EnterWait(): the frame is registered        parks it (dispatch.h)
//   kYield     YieldInstead(), GoOnWith()                  puts it behind the others
//   kUnwind    EnterBoundary(): it is cancelled            destroys its frames (unwind_turn.h)
//   kForeign   ForeignCall::Enter()                        asks the foreign code (foreign_turn.h)
//
// Who may call: the OS thread, or the fiber, that runs the carrier. Any thread may read the counters.
#ifndef WEFT_LIB_RUNTIME_TURN_H_
#define WEFT_LIB_RUNTIME_TURN_H_

#include <coroutine>
#include <cstdint>

#include "lib/cancel/boundary.h"
#include "lib/runtime/no_suspensions.h"
#include "lib/runtime/observation.h"
#include "lib/thread/runtime_services.h"
#include "lib/thread/thread_state.h"
#include "weft/internal/atomic.h"
#include "weft/internal/check.h"
#include "weft/internal/promise.h"
#include "weft/internal/thread_block.h"

namespace weft::internal {

class RuntimeCore;
class ForeignCall;

enum class Action : uint8_t { kGone, kPark, kYield, kUnwind, kForeign };

// Counts for the census and for statistics: written by one carrier, read by anyone. Not for control.
struct CarrierCounters {
  Atomic<int64_t> started{0};  // threads made runnable for the first time. relaxed: one writer
  Atomic<int64_t> ended{0};
  Atomic<int64_t> parks{0};  // ... or waits for children
  Atomic<int64_t> wakes{0};  // of parked threads
  Atomic<int64_t> mounts{0};  // relaxed: one writer
  Atomic<int64_t> moves{0};  // mounts on another carrier than the time before
  Atomic<int64_t> steals{0};
  Atomic<int64_t> pins{0};  // times that a destructor had to wait for children

  // Of what happens together, one count stands for all of it.
  Atomic<int64_t> pairs{0};        // relaxed: one writer. All()s of two: 2 started, 1 parked, 1 mounted
  Atomic<int64_t> successions{0};  // branches that ended where the next one began: 1 ended, 1 mounted
  Atomic<int64_t> returns{0};      // branches that ended where their owner went on: 1 ended, 1 woken, 1 mounted

  int64_t Started() const noexcept { return Load(started) + 2 * Load(pairs); }
  int64_t Ended() const noexcept { return LoadEnds(ended) + LoadEnds(successions) + LoadEnds(returns); }
  int64_t Parks() const noexcept { return Load(parks) + Load(pairs); }
  int64_t Wakes() const noexcept { return Load(wakes) + Load(returns); }
  int64_t Mounts() const noexcept { return Load(mounts) + Load(pairs) + Load(successions) + Load(returns); }

  static int64_t Load(const Atomic<int64_t>& counter) noexcept {
    return counter.load(std::memory_order_relaxed);  // relaxed: a number to look at
  }
  static void Add(Atomic<int64_t>& counter, int64_t n = 1) noexcept {
    counter.store(counter.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);  // relaxed: one writer
  }
  // The same for the counters of ended threads: whoever has read of an end finds the start, which another carrier may
  // have counted.
  static int64_t LoadEnds(const Atomic<int64_t>& counter) noexcept {
    return counter.load(std::memory_order_acquire);  // [counters/1] acquire: pairs with [counters/2].
  }
  static void AddEnd(Atomic<int64_t>& counter) noexcept {
    // [counters/2] release: pairs with [counters/1]. relaxed: one writer.
    counter.store(counter.load(std::memory_order_relaxed) + 1, std::memory_order_release);
  }
  // Changes whenever the carrier starts a thread, or mounts one.
  int64_t Progress() const noexcept {
    return Started() + Mounts();
  }
};

class Turn {
 public:
  // A thread yields when it has used up kReadyBudget in one turn. Each checkpoint at which there was nothing to wait
  // for, or whose wait ended at a boundary at once, takes kCheckpointUnits; one that accepted a connection takes
  // kAcceptUnits.
  static constexpr int kCheckpointUnits = 16;
  static constexpr int kAcceptUnits = 1;
  static constexpr int kReadyBudget = 64 * kCheckpointUnits;

  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;

  // ---- Called by the thread that is mounted. (wait.h)
  bool AtCheckpoint() noexcept;
  bool EnterWait(AwaitingFrame frame, const WaitKind& kind, void* waiting_on) noexcept;
  bool EnterBoundary(PromiseBase& frame) noexcept;
  std::coroutine_handle<> GoOnWith(PromiseBase& frame, bool may_go_on) noexcept;
  bool HasShare() const noexcept { return ready_budget_ > 0; }
  void ChargeAcceptOnly() noexcept { ready_budget_ += kCheckpointUnits - kAcceptUnits; }
  // The first of `count` ids for new threads, unique in the runtime, and in order on one carrier.
  uint64_t NextThreadIds(uint32_t count) noexcept {
    next_id_ += count;
    return next_id_ <= end_of_ids_ ? next_id_ - count : TakeIds(count);
  }

  // ---- Called by whoever runs it.
  void Mount(ThreadBlock& thread) noexcept;
  // The thread goes on in its turn, with what is left of its share.
  void Remount(ThreadBlock& thread) noexcept;
  void Unmount(ThreadBlock& thread) noexcept;
  // The thread is unmounted, and no longer ours.
  std::coroutine_handle<> Leave() noexcept {
    current = nullptr;
    action = Action::kGone;
    return std::noop_coroutine();
  }
  // Ends the thread's wait, and returns its kind, or null. Marks the thread to be unwound if it is cancelled and the
  // kind says so (cancel_wins).
  static const WaitKind* EndWait(ThreadBlock& thread) noexcept;

  // Another turn inside this one: what a destructor runs while it waits for children. (pinned_run.h)
  struct Interrupted {
    ThreadBlock* current;
    int ready_budget;
    // Set if the mounted thread has entered a wait already: foreign code that it then lets go on may destroy the scope.
    Action action;
    ThreadState::Snapshot seen;
    ForeignCall* foreign;
  };
  // The mounted thread is about to wait: what its state word is now, before it registers, is what it is parked on.
  ThreadState::Snapshot SeeBeforeWait(const ThreadBlock& thread) noexcept { return seen_ = thread.state.Observe(); }
  Interrupted Interrupt() noexcept;
  void GoOn(const Interrupted& interrupted) noexcept;

  RuntimeCore& runtime;
  const uint32_t index;
  ThreadBlock* current = nullptr;
  Action action = Action::kGone;
  Observation observed;
  ForeignCall* foreign = nullptr;  // while the mounted thread runs foreign code

  NoSuspensions no_suspensions;  // of the mounted thread

  // ---- Shared.
  Atomic<bool> running{false};  // a thread is mounted. relaxed: a hint
  CarrierCounters counters;

 protected:
  Turn(RuntimeCore& core, uint32_t carrier_index) noexcept;
  ~Turn() = default;

  bool MayEnterJoinUnobserved(const ThreadBlock& owner) const noexcept {
    return !observed.on() && !owner.state.Observe().attention();
  }
  // Mounts a thread while the carrier runs on.
  void SwitchTo(ThreadBlock& thread) noexcept;
  // The part of that which the thread keeps. False: it is pinned to another carrier, and nothing was done.
  [[nodiscard]] bool MountOn(ThreadBlock& thread) noexcept;
  // Then it goes on there.
  [[gnu::cold, gnu::noinline]] std::coroutine_handle<> SendHome(ThreadBlock& thread) noexcept;
  // The rest.
  void GoOnAs(ThreadBlock& thread) noexcept;
  void BeginShare() noexcept { ready_budget_ = kReadyBudget; }
  uint16_t mounted_here() const noexcept { return mounted_here_; }

  ThreadState::Snapshot seen_;  // SeeBeforeWait()

 private:
  WEFT_RARE bool MoveHere(const ThreadBlock& thread) noexcept;
  WEFT_RARE uint64_t TakeIds(uint32_t count) noexcept;

  const uint16_t mounted_here_;        // ThreadBlock::mounted of a thread that is
  int ready_budget_ = 0;               // units
  uint64_t next_id_ = 1;
  uint64_t end_of_ids_ = 0;
};

inline bool Turn::AtCheckpoint() noexcept {
  if (observed.on()) [[unlikely]]
    observed.Checkpoint(*current);
  ThreadState::Snapshot seen = current->state.Observe();
  if (seen.unregistered()) [[unlikely]] {
    RegisterThread(*current);
    seen = current->state.Observe();
  }
  // A request that is not seen here makes Park() fail, or is seen by the next checkpoint.
  return (ready_budget_ -= kCheckpointUnits) > 0 && !seen.requested();
}

inline bool Turn::EnterBoundary(PromiseBase& frame) noexcept {
  ThreadBlock& thread = *current;
  if (thread.unwinding) [[unlikely]]
    DieOfRevived();
  thread.leaf = &frame;
  if (!SeeBeforeWait(thread).requested() || !IsCancelled(thread)) [[likely]]
    return true;
  action = Action::kUnwind;
  return false;
}

inline std::coroutine_handle<> Turn::GoOnWith(PromiseBase& frame, bool may_go_on) noexcept {
  if (may_go_on) return frame.Handle();
  current->leaf = &frame;
  action = Action::kYield;
  return std::noop_coroutine();
}

inline bool Turn::MountOn(ThreadBlock& thread) noexcept {
  const uint16_t last = thread.mounted.load(std::memory_order_relaxed);
  if (last == mounted_here_) return true;
  const uint16_t last_carrier = last & (ThreadBlock::kMountedBit - 1);
  if (last_carrier != 0 && last_carrier != index + 1) [[unlikely]] {
    if (!MoveHere(thread)) return false;
  }
  thread.mounted.store(mounted_here_, std::memory_order_relaxed);
  return true;
}

// Counts first: whoever interrupts the carrier takes `current` for the thread of a hold only if nothing was counted
// since. (watchdog.cc)
inline void Turn::GoOnAs(ThreadBlock& thread) noexcept {
  CarrierCounters::Add(counters.mounts);
  // [turn/1] release: pairs with [turn/2], in a signal handler of this OS thread.
  std::atomic_signal_fence(WEFT_ORDER("turn/1", std::memory_order_release));
  current = &thread;
  ready_budget_ = kReadyBudget;
  if (observed.on()) [[unlikely]]
    observed.Mount(thread);
}

inline void Turn::SwitchTo(ThreadBlock& thread) noexcept {
  const bool here = MountOn(thread);
  WEFT_DCHECK(here) << "a pinned thread was in another carrier's queue";
  GoOnAs(thread);
}

}  // namespace weft::internal

#endif  // WEFT_LIB_RUNTIME_TURN_H_

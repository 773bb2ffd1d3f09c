// Layer runtime. Which runnable thread runs next on a carrier?
//
// The oldest of its deque; if that is empty, one of the inject queue, which belongs to no carrier; else another
// carrier's oldest. Oldest first, so that a runnable thread waits for one turn of each thread that was runnable before
// it. HACKING.md, "Who is next, and when", has the rules.
//
// Thefts. A theft costs both sides some hundred nanoseconds, mostly for cache lines that move. If it brought less work
// than kWorthStealingNanos, the thief pauses before the next one, twice as long each time. The pause ends early if the
// victim computes. (A million children that do nothing, forked in one scope on four carriers of two processors: 180 to
// 260 ns a child without pauses, 65 to 90 with them.)
//
// Pinned threads wait in `pinned` (pinned_queue.h), now and then in the deque of their carrier, but never in another
// one's, and never in the inject queue.
//
// Who may call: the carrier that owns it. Thieves take from `deque`; any thread pushes into `pinned`.
#ifndef WEFT_LIB_RUNTIME_RUN_QUEUE_H_
#define WEFT_LIB_RUNTIME_RUN_QUEUE_H_

#include <cstddef>
#include <cstdint>
#include <utility>

#include "lib/lockfree/work_stealing_deque.h"
#include "lib/runtime/chooser.h"
#include "lib/runtime/pinned_queue.h"
#include "lib/runtime/turn.h"
#include "weft/internal/thread_block.h"

namespace weft::internal {

class RuntimeCore;
struct PinnedWait;

// What lies in a deque, by its address: a thread that is runnable, or the seed of one, which is made when it is taken
// out, unless it begins in place of another branch. (all_scope.h)
class Queued {
 public:
  static Queued* Of(ThreadBlock& thread) noexcept { return reinterpret_cast<Queued*>(&thread); }
  static Queued* Of(BranchSeed& seed) noexcept {
    return reinterpret_cast<Queued*>(reinterpret_cast<uintptr_t>(&seed) + kSeed);
  }
  static bool IsSeed(Queued* queued) noexcept { return (reinterpret_cast<uintptr_t>(queued) & kSeed) != 0; }
  // Null: it is a thread, or null.
  static BranchSeed* Seed(Queued* queued) noexcept {
    return IsSeed(queued) ? reinterpret_cast<BranchSeed*>(reinterpret_cast<uintptr_t>(queued) - kSeed) : nullptr;
  }
  // It is no seed.
  static ThreadBlock* Made(Queued* queued) noexcept { return reinterpret_cast<ThreadBlock*>(queued); }
  // Makes it, if need be.
  static ThreadBlock* Thread(Queued* queued) noexcept {
    BranchSeed* const seed = Seed(queued);
    return seed == nullptr ? Made(queued) : &seed->scope->MakeBranch(*seed);
  }

 private:
  static constexpr uintptr_t kSeed = 1;
};

class RunQueue {
 public:
  // How many threads move from the inject queue into the deque in one dispatch, at most: a dispatch must stay short.
  static constexpr size_t kAdmittedPerDispatch = 64;
  static constexpr int64_t kWorthStealingNanos = 500;
  static constexpr int64_t kMaxPauseNanos = 32'000;
  // After so many thefts in a row that were not worth it, the last ones with the longest pause between them, a carrier
  // does better to sleep.
  static constexpr int kTheftsInVain = 32;
  // Threads that it takes over at once from the deque of a carrier that computes.
  static constexpr size_t kTakenOverAtOnce = 1024;

  RunQueue(RuntimeCore& runtime, uint32_t index, CarrierCounters& counters) noexcept
      : runtime_(runtime), counters_(counters), index_(index), chooser_(index + 1) {}
  RunQueue(const RunQueue&) = delete;
  RunQueue& operator=(const RunQueue&) = delete;

  // ---- Puts a runnable thread in; NotifyPushed() then tells idle carriers.
  [[gnu::always_inline]] void Push(ThreadBlock& thread) noexcept { Push(Queued::Of(thread)); }
  [[gnu::always_inline]] void Push(BranchSeed& seed) noexcept { Push(Queued::Of(seed)); }
  [[gnu::always_inline]] void Push(Queued* queued) noexcept {
    if (!deque.Push(queued)) [[unlikely]]
      InjectInstead(queued);
  }
  // The same for a thread that is woken: does not allocate. A thread that does not fit goes to the inject queue, and
  // comes to the end of a deque when there is room.
  void PushWoken(ThreadBlock& thread) noexcept {
    if (!deque.PushIfRoom(Queued::Of(thread))) [[unlikely]]
      InjectInstead(Queued::Of(thread));
  }
  void NotifyPushed() noexcept;  // (runtime_core.h)

  // ---- Takes one out, or returns null.
  ThreadBlock* TakeOldest() noexcept;
  // In a simulation, tried first: now and then another one than the oldest.
  ThreadBlock* TakeOutOfTurn() noexcept;
  // Another carrier's oldest. Pauses first if thefts have not been worth it, unless others rely on the caller.
  ThreadBlock* Steal(bool may_pause) noexcept;
  // A pinned thread, if it is the turn of one. Called when the carrier has polled, or has nothing else.
  ThreadBlock* TakePinned() noexcept;
  // The same for a carrier that runs no others.
  ThreadBlock* TakePinnedAlone() noexcept { return pinned.Take(deque.TakenEstimate(), 0); }
  // After its turn: if the newest in the deque is pinned, it goes to the other pinned ones.
  void TakeBackPinned() noexcept;
  // One that may run meanwhile. Other threads of this deque go to the inject queue, for a carrier that may run them.
  // Those in the deque of a carrier that computes get there too, in time. (TakeOver)
  // `injected_seen` is the wait's own, and begins with 0: up to which push it has looked through the inject queue.
  ThreadBlock* TakeFor(const PinnedWait& wait, uint64_t& injected_seen) noexcept;

  // Was the thread that was taken last stolen? Asked once.
  bool TookStolen() noexcept { return std::exchange(stolen_, false); }
  // The turn of the stolen thread has taken that long.
  void JudgeTheft(int64_t nanos) noexcept;
  // Would the next theft be for nothing, by all that is known?
  bool StealsInVain() const noexcept { return thefts_in_vain_ >= kTheftsInVain; }

  // A hint.
  bool OthersWait() const noexcept;
  // Moves all of its threads to where every carrier finds them. False: there were none.
  bool InjectAll() noexcept;
  // The same for the threads of another carrier, which computes, for an unknown time.
  void TakeOver(RunQueue& other) noexcept;

  uint32_t Choose(uint32_t count) noexcept;

  // ---- Shared.
  WorkStealingDeque<Queued> deque;
  PinnedQueue pinned;

 private:
  void AdmitInjected() noexcept;
  ThreadBlock* StealFromAny() noexcept;
  void PauseBeforeTheft() noexcept;
  WEFT_RARE void InjectInstead(Queued* queued) noexcept;
  ThreadBlock* TakeOldestHere() noexcept { return Queued::Thread(deque.TakeOldest()); }

  RuntimeCore& runtime_;
  CarrierCounters& counters_;
  const uint32_t index_;
  XorShiftChooser chooser_;
  const CarrierCounters* victim_ = nullptr;  // of the last theft
  int64_t theft_pause_ns_ = 0;               // before the next one
  int thefts_in_vain_ = 0;                   // in a row
  bool stolen_ = false;                      // what was taken last
  bool out_of_turn_ = false;                 // the same: it was not the oldest, in a simulation
};

}  // namespace weft::internal

#endif  // WEFT_LIB_RUNTIME_RUN_QUEUE_H_

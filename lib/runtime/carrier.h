// A carrier: what virtual threads are mounted on. It takes a runnable thread, resumes it, and decides what becomes of it when
// the resume returns: parked, yielded, unwound, or ended.
//
// Everything here is the carrier's own, touched by the OS thread (or fiber) that runs Main(), but for the members under
// "Shared".
#ifndef WEFT_LIB_RUNTIME_CARRIER_H_
#define WEFT_LIB_RUNTIME_CARRIER_H_

#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <source_location>

#include "absl/status/status.h"
#include "lib/lockfree/idle_carriers.h"
#include "lib/lockfree/work_stealing_deque.h"
#include "lib/runtime/chooser.h"
#include "weft/ext/scheduling_observer.h"
#include "weft/internal/atomic.h"
#include "weft/internal/driver.h"
#include "weft/internal/thread_block.h"
#include "weft/internal/timer_wheel.h"

namespace weft::internal {

class RuntimeCore;
class Carrier;
class ForeignCall;

// initial-exec: this is part of the program or of a library that it was linked with, and one instruction finds it.
[[gnu::tls_model("initial-exec")]] extern constinit thread_local Carrier* current_carrier;

// What is to become of the thread that is mounted by the time resume() returns. kGone: none is, it is somebody else's
// or has ended. kForeign: foreign code runs on it, or did (weft/foreign.h).
enum class Action : uint8_t { kGone, kPark, kYield, kUnwind, kForeign };

// Counts for the census and for statistics: written by one carrier, read by anyone. Not for control.
struct CarrierCounters {
  Atomic<int64_t> started{0};  // threads made runnable for the first time. relaxed: one writer
  Atomic<int64_t> ended{0};
  Atomic<int64_t> parks{0};    // ... or waits for children
  Atomic<int64_t> wakes{0};    // of parked threads
  Atomic<int64_t> mounts{0};   // relaxed: one writer
  Atomic<int64_t> moves{0};    // mounts on another carrier than the time before
  Atomic<int64_t> steals{0};
  Atomic<int64_t> pins{0};     // times that a destructor had to wait for children

  // relaxed: one writer.
  static void Add(Atomic<int64_t>& counter, int64_t n = 1) noexcept {
    counter.store(counter.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
  }
};

// How a thread waits for its children, if whatever cancels it there shuts their scope as well, so that the wait ends
// with them.
extern const WaitKind kJoinWait;
// A join that can be interrupted.
extern const WaitKind kParkedJoinWait;

class Carrier {
 public:
  // Dispatches between two looks at the timers, the driver and the other carriers: so many at most, and fewer where
  // turns are long, so that a look is not much more than kLookNanos late.
  static constexpr int kDispatchesPerLook = 61;
  static constexpr int64_t kLookNanos = 1'000'000;
  // Threads that come from the inject queue into the deque in one dispatch: what they cost must not be felt.
  static constexpr size_t kAdmittedPerDispatch = 64;
  // A thread yields after so many checkpoints in one turn at which there was nothing to wait for, or which ended at a
  // boundary at once; they are counted in units, of which one that accepted a connection takes kAcceptUnits.
  static constexpr int kCheckpointUnits = 16;
  static constexpr int kAcceptUnits = 1;
  static constexpr int kReadyBudget = 64 * kCheckpointUnits;
  // Threads begun in their owner's place between two looks at the clock; after kInPlaceLookNanos timers and completions
  // are looked after, after kInPlaceMaxNanos in a row other threads get a turn, if there are any. More often costs
  // memory: what a turn breaks off waits in pieces.
  static constexpr int kInPlacePerLook = 61;
  static constexpr int64_t kInPlaceLookNanos = 200'000;
  static constexpr int64_t kInPlaceMaxNanos = 10'000'000;
  // A theft costs both sides some hundred nanoseconds, most of it for cache lines that change hands. After one that
  // brought less work than this, from a carrier that went on with its own meanwhile, the thief pauses before the next,
  // twice as long each time. (A million children that do nothing, forked in one scope on four carriers of two
  // processors: 180 to 260 ns a child without, 65 to 90 with.)
  static constexpr int64_t kWorthStealingNanos = 500;
  static constexpr int64_t kMaxPauseNanos = 32'000;
  // Children asked to end in one step, so that a large scope's shutdown does not hold up timers and I/O.
  static constexpr int kShutdownBatch = CancelBatch::kMax;
  // Timers fired in one look; more are due at once, and are fired in the next.
  static constexpr int kTimersPerLook = 1024;
  // A carrier that runs one thread has its timers and completions served by an idle one within twice this time: the idle one has
  // to see it twice (Go's bound is 10 ms as well).
  static constexpr int64_t kReliefNanos = 5'000'000;
  // How often it then does so, and how often a carrier looks at the others at most.
  static constexpr int64_t kReliefIntervalNanos = 1'000'000;
  // Threads that it takes over at once from the deque of a carrier that computes.
  static constexpr size_t kTakenOverPerLook = 1024;

  // Null: no memory.
  static std::unique_ptr<Carrier> Make(RuntimeCore& runtime, uint32_t index) noexcept;
  ~Carrier();

  // The carrier on this OS thread, or null. Not for code that is inlined into coroutines: they may go on elsewhere.
  static Carrier* Current() noexcept { return current_carrier; }
  // In a child of fork(2), on whose only thread it is: from now on what needs the scheduler is refused. (fork.cc)
  void RefuseInChild() noexcept;
  // For hosts that switch carriers on one OS thread.
  static void SetCurrent(Carrier* carrier) noexcept { current_carrier = carrier; }

  // Runs threads until the runtime stops.
  void Main() noexcept;

  // ---- Called by the thread that is mounted here.
  bool AtCheckpoint() noexcept;
  bool EnterWait(AwaitingFrame frame, const WaitKind& kind, void* waiting_on) noexcept;
  bool EnterBoundary(PromiseBase& frame) noexcept;
  std::coroutine_handle<> GoOnWith(PromiseBase& frame, bool may_go_on) noexcept;
  bool MayEnterJoinUnobserved(const ThreadBlock& owner) const noexcept {
    return observer_ == nullptr && !owner.state.Observe().attention();
  }
  bool EnterJoinOf(ThreadBlock& owner, AwaitingFrame awaiting) noexcept;
  void RunInsideUntilDrained(ScopeRecord& scope) noexcept;

  // ---- Threads that run one in another's place, without a turn through Main(). These give what runs next on this
  // stack. (in_place.h)

  // The frame of the mounted thread is suspended, and waits for the children of `scope`.
  std::coroutine_handle<> AwaitChildren(ScopeRecord& scope, AwaitingFrame frame) noexcept;
  // The frame of the mounted thread is suspended, and waits for `scope`, whose children are these. They begin, the
  // first one in its place.
  template <class Branch>
  std::coroutine_handle<> BeginBranches(ThreadBlock& owner, ScopeRecord& scope, Branch* branches,
                                        int32_t count) noexcept;
  // The same for two, after MayEnterJoinUnobserved().
  std::coroutine_handle<> BeginTwoBranches(ThreadBlock& owner, ScopeRecord& scope, ThreadBlock& first,
                                           ThreadBlock& second) noexcept;
  // The root frame of the mounted thread is gone.
  std::coroutine_handle<> EndFrame(ThreadBlock& thread, bool succeeded) noexcept;
  std::coroutine_handle<> EndThread(ThreadBlock& thread, ThreadBlock::Ending ending) noexcept;
  // Who holds the count of `scope` has nothing more to do: begins the newest child in its place, or leaves the count to
  // the others.
  std::coroutine_handle<> ContinueJoin(ScopeRecord& scope) noexcept;
  // `own`: how many children of the scope in question lie in the deque.
  // The checkpoint of this turn that was last is over, and has given a connection.
  void ChargeAcceptOnly() noexcept { ready_budget_ += kCheckpointUnits - kAcceptUnits; }
  [[gnu::always_inline]] bool MayBeginInPlace(int64_t own) noexcept { return --in_place_budget_ > 0 || RefillInPlaceBudget(own); }
  // All of `scope` has ended: can its owner go on? If not, it will be resumed a little later.
  static bool CompleteJoin(ScopeRecord& scope) noexcept;

  // The first of `count` ids for new threads, unique in the runtime, and in order on one carrier.
  uint64_t NextThreadIds(uint32_t count) noexcept {
    next_id_ += count;
    return next_id_ <= end_of_ids_ ? next_id_ - count : TakeIds(count);
  }
  // The thread is unmounted, and somebody else's from now on.
  std::coroutine_handle<> Leave() noexcept {
    current = nullptr;
    action = Action::kGone;
    return std::noop_coroutine();
  }

  // Puts a runnable thread into the deque; NotifyPushed() then tells whoever is idle.
  [[gnu::always_inline]] void Push(ThreadBlock& thread) noexcept {
    if (!deque.Push(&thread)) [[unlikely]]
      InjectInstead(thread);
  }
  // The same for a thread that is woken, or ends another's wait: without allocating. What does not fit is for
  // everybody, and comes to the end of a deque when there is room. (AdmitInjected)
  void PushWoken(ThreadBlock& thread) noexcept {
    if (!deque.PushIfRoom(&thread)) [[unlikely]]
      InjectInstead(thread);
  }
  void NotifyPushed() noexcept;  // (runtime_core.h)

  // A new thread, made by the one that is mounted here.
  void StartHere(ThreadBlock& thread) noexcept;  // (in_place.h)

  uint32_t Choose(uint32_t count) noexcept;

  RuntimeCore& runtime;
  const uint32_t index;
  ThreadBlock* current = nullptr;
  Action action = Action::kGone;
  std::source_location waits_at;      // of the last wait that was entered here; for observers
  ForeignCall* foreign = nullptr;     // while the mounted thread runs foreign code
  std::unique_ptr<Driver> driver;     // null: no I/O
  TimerWheel timers;

  // ---- Shared.
  WorkStealingDeque<ThreadBlock> deque;
  IdleCarriers::Member idle;
  Atomic<bool> asleep{false};   // parked, and serving its timers and operations. relaxed: [asleep/1] orders it
  Atomic<uint32_t> blocked{0};  // depth of RunInsideUntilDrained(). relaxed: the fences at [blocked/1] order it
  Atomic<bool> running{false};  // a thread is mounted. relaxed: a hint
  CarrierCounters counters;

 private:
  friend class RuntimeCore;

  // What this carrier, when idle, saw of the others.
  struct Sighting {
    int64_t mounts = -1;
    int64_t time_ns = 0;
  };
  Carrier(RuntimeCore& runtime, uint32_t index, std::unique_ptr<Sighting[]> sightings) noexcept;

  bool Step() noexcept;
  ThreadBlock* NextThread() noexcept;
  ThreadBlock* TakeOldest() noexcept;
  ThreadBlock* TakeOutOfTurn() noexcept;
  void AdmitInjected() noexcept;
  bool OthersWait() const noexcept;
  ThreadBlock* StealFromOthers() noexcept;
  void TakeOver(Carrier& other) noexcept;
  void Look() noexcept;  // timers, completions, others that compute
  void RunThread(ThreadBlock& first) noexcept;
  void RunStolen(ThreadBlock& thread) noexcept;
  // Changes whenever the carrier starts a thread, or mounts one.
  int64_t Progress() const noexcept {
    return counters.started.load(std::memory_order_relaxed) + counters.mounts.load(std::memory_order_relaxed);
  }
  void PauseBeforeTheft() noexcept;
  void RunChain(ThreadBlock& first) noexcept;
  void Mount(ThreadBlock& thread) noexcept;
  void Remount(ThreadBlock& thread) noexcept;
  void Unmount(ThreadBlock& thread) noexcept;
  WEFT_RARE void InjectInstead(ThreadBlock& thread) noexcept;
  WEFT_RARE void ObserveStart(const ThreadBlock& thread) noexcept;
  WEFT_RARE void ObserveMount(const ThreadBlock& thread) noexcept;
  WEFT_RARE void ObserveUnmount(const ThreadBlock& thread) noexcept;
  void ObserveEnd(const ThreadBlock& thread) noexcept;
  std::coroutine_handle<> MountFirst(ThreadBlock& thread) noexcept;
  std::coroutine_handle<> GoOn(ThreadBlock& thread) noexcept;
  bool IsToEndUnstarted(ThreadBlock& thread) noexcept;
  std::coroutine_handle<> BeginInPlace(ThreadBlock& child, ScopeRecord& scope) noexcept;
  std::coroutine_handle<> BeginClosureInPlace(ThreadBlock& child, ScopeRecord& scope) noexcept;
  static bool IsToBeginInPlace(const ThreadBlock& child, const ScopeRecord& scope) noexcept;
  bool MayGoOn() noexcept;
  bool YieldsToNobody() noexcept;
  void Finish(ThreadBlock& thread, ThreadBlock::Ending ending) noexcept;
  void EnterJoin(ThreadBlock& owner) noexcept;
  void MountInPlace(ThreadBlock& child) noexcept;
  std::coroutine_handle<> EndForked(ThreadBlock& thread) noexcept;
  std::coroutine_handle<> AfterChildInPlace(ScopeRecord& scope) noexcept;
  std::coroutine_handle<> CloseJoin(ScopeRecord& scope) noexcept;
  std::coroutine_handle<> CloseJoinBefore(ThreadBlock& thread, ScopeRecord& scope) noexcept;
  std::coroutine_handle<> CloseJoinBefore(ThreadBlock& first, ThreadBlock& second, ScopeRecord& scope) noexcept;
  // `last` is ThreadBlock::mounted of a thread that is mounted now.
  bool MovesFrom(uint32_t last) const noexcept {
    last &= ~ThreadBlock::kMountedBit;
    return last != 0 && last != index + 1;
  }
  void SwitchTo(ThreadBlock& thread) noexcept;
  void SwitchToUnobserved(ThreadBlock& thread) noexcept;
  std::coroutine_handle<> CountEnd(ScopeRecord& scope) noexcept;
  std::coroutine_handle<> ResumeOwner(ScopeRecord& scope) noexcept;
  std::coroutine_handle<> ResumeOwnerIfDrained(ScopeRecord& scope) noexcept;
  WEFT_RARE bool RefillInPlaceBudget(int64_t own) noexcept;
  WEFT_RARE uint64_t TakeIds(uint32_t count) noexcept;
  enum class AfterPark : uint8_t { kGone, kGoOn };
  AfterPark Park(ThreadBlock& thread) noexcept;
  AfterPark AfterForeign(ThreadBlock& thread) noexcept;  // (foreign.cc)
  const WaitKind* EndWait(ThreadBlock& thread) noexcept;
  bool ParkUntilJoined(ThreadBlock& thread) noexcept;
  static bool IsJoined(ScopeRecord& scope) noexcept;
  // (unwind.cc)
  enum class AfterUnwind : uint8_t { kLeft, kAtBoundary, kAtRoot };
  AfterUnwind Unwind(ThreadBlock& thread) noexcept;
  enum class AfterDrain : uint8_t { kLeft, kGoOn };
  AfterDrain AwaitDrain(ThreadBlock& thread, ScopeRecord& scope) noexcept;
  bool EnterDrain(ThreadBlock& thread, ScopeRecord& scope) noexcept;
  void Idle() noexcept;
  void Retire() noexcept;
  void ForcePublication() noexcept;
  void RunInsideUntilRung(ScopeRecord& scope) noexcept;
  void Search() noexcept;
  int64_t ParkDeadline() noexcept;
  void ParkUntil(int64_t deadline_ns) noexcept;
  void RelieveOthers(int64_t now) noexcept;
  ThreadBlock* TakeInside(const ScopeRecord& scope) noexcept;

  const std::unique_ptr<Sighting[]> sightings_;  // one for each carrier that there may be
  int64_t relieved_ns_ = 0;
  int64_t looked_ns_ = 0;
  int64_t in_place_since_ns_ = 0;  // 0: not looked at the clock since the last turn through Main()
  int in_place_budget_ = 1;
  uint64_t next_id_ = 1;
  uint64_t end_of_ids_ = 0;
  bool relieving_ = false;  // some carrier computes, and has its duties done by us
  ext::SchedulingObserver* observer_;  // constant, but for RefuseInChild()
  const uint32_t mounted_here_;  // ThreadBlock::mounted of a thread that is
  XorShiftChooser chooser_;
  bool stolen_ = false;               // what is run next
  const Carrier* victim_ = nullptr;   // of the last theft
  int64_t theft_pause_ns_ = 0;  // before the next theft
  bool out_of_turn_ = false;             // the last dispatch was not the oldest's: in a simulation
  int dispatches_per_look_ = kDispatchesPerLook;
  int until_look_ = kDispatchesPerLook;  // dispatches
  int ready_budget_ = 0;  // units
};

// ---- Called by the mounted thread.

inline bool Carrier::AtCheckpoint() noexcept {
  if (observer_ != nullptr) [[unlikely]]
    observer_->OnCheckpoint(current->id);
  ThreadState::Snapshot seen = current->state.Observe();
  if (seen.unregistered()) [[unlikely]] {
    current->home->Register(*current);
    seen = current->state.Observe();
  }
  // A request that is not seen here makes Park() fail, or is seen by the next checkpoint.
  return (ready_budget_ -= kCheckpointUnits) > 0 && !seen.requested();
}

inline bool Carrier::EnterBoundary(PromiseBase& frame) noexcept {
  ThreadBlock& thread = *current;
  if (thread.unwinding) [[unlikely]]
    DieOfRevived();
  thread.leaf = &frame;
  thread.seen = thread.state.Observe();
  if (!thread.seen.requested() || !IsCancelled(thread)) [[likely]]
    return true;
  action = Action::kUnwind;
  return false;
}

inline std::coroutine_handle<> Carrier::GoOnWith(PromiseBase& frame, bool may_go_on) noexcept {
  if (may_go_on) return frame.Handle();
  current->leaf = &frame;
  action = Action::kYield;
  return std::noop_coroutine();
}

}  // namespace weft::internal

#endif  // WEFT_LIB_RUNTIME_CARRIER_H_

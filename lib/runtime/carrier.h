// A carrier: what virtual threads are mounted on. It takes a runnable thread, resumes it, and decides what becomes of it when
// the resume returns: parked, yielded, unwound, or ended.
//
// Everything here is the carrier's own, touched by the OS thread (or fiber) that runs Main(), but for the members under
// "Shared".
#ifndef WEFT_LIB_RUNTIME_CARRIER_H_
#define WEFT_LIB_RUNTIME_CARRIER_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "lib/lockfree/idle_carriers.h"
#include "lib/lockfree/work_stealing_deque.h"
#include "lib/runtime/chooser.h"
#include "weft/internal/atomic.h"
#include "weft/internal/driver.h"
#include "weft/internal/thread_block.h"
#include "weft/internal/timer_wheel.h"

namespace weft::internal {

class RuntimeCore;

// What the resumed thread asks of its carrier, by the time resume() returns.
enum class Action : uint8_t { kEnd, kPark, kYield, kUnwind };

// Counts for the census and for statistics: written by one carrier, read by anyone. Not for control.
struct CarrierCounters {
  Atomic<int64_t> started{0};  // threads made runnable for the first time
  Atomic<int64_t> ended{0};
  Atomic<int64_t> parks{0};
  Atomic<int64_t> wakes{0};    // of parked threads
  Atomic<int64_t> mounts{0};
  Atomic<int64_t> moves{0};    // mounts on another carrier than the time before
  Atomic<int64_t> steals{0};
  Atomic<int64_t> pins{0};     // times that a destructor had to wait for children

  static void Add(Atomic<int64_t>& counter, int64_t n = 1) noexcept {
    counter.store(counter.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);  // one writer
  }
};

class Carrier {
 public:
  // Dispatches between two looks at the inject queue, the timers and the driver (design.md, "Scheduling").
  static constexpr int kDispatchesPerLook = 61;
  // Operations that were ready at once, in one turn of a thread, after which it yields.
  static constexpr int kReadyBudget = 64;
  // Children asked to end in one step, so that a large scope's shutdown does not hold up timers and I/O.
  static constexpr int kShutdownBatch = 64;
  // Timers fired in one look; more are due at once, and are fired in the next.
  static constexpr int kTimersPerLook = 1024;
  // A carrier that runs one thread has its timers and completions served by an idle one within twice this time: the idle one has
  // to see it twice (Go's bound is 10 ms as well).
  static constexpr int64_t kReliefNanos = 5'000'000;
  // How often it then does so, and how often a carrier looks at the others at most.
  static constexpr int64_t kReliefIntervalNanos = 1'000'000;

  Carrier(RuntimeCore& runtime, uint32_t index) noexcept;
  ~Carrier();

  // The carrier on this OS thread, or null.
  static Carrier* Current() noexcept;
  // For hosts that switch carriers on one OS thread.
  static void SetCurrent(Carrier* carrier) noexcept;

  // Runs threads until the runtime stops.
  void Main() noexcept;

  // ---- Called by the thread that is mounted here.
  bool AtCheckpoint() noexcept;
  bool EnterWait(PromiseBase& frame, const WaitKind& kind, void* waiting_on) noexcept;
  bool EnterBoundary(PromiseBase& frame) noexcept;
  void RunInsideUntilDrained(ScopeRecord& scope, bool (*drained)(ScopeRecord& scope)) noexcept;

  // Puts a runnable thread into the deque.
  void Push(ThreadBlock& thread) noexcept;

  uint32_t Choose(uint32_t count) noexcept;

  RuntimeCore& runtime;
  const uint32_t index;
  ThreadBlock* current = nullptr;
  Action action = Action::kEnd;
  ScopeRecord* help_first = nullptr;  // the next dispatch looks for its newest child
  std::unique_ptr<Driver> driver;     // null: no I/O
  TimerWheel timers;

  // ---- Shared.
  WorkStealingDeque<ThreadBlock> deque;
  IdleCarriers::Member idle;
  Atomic<bool> asleep{false};         // parked, and serving its timers and operations there
  Atomic<uint32_t> rung{0};          // for hosts without a driver
  Atomic<uint32_t> blocked{0};       // depth of RunInsideUntilDrained()
  Atomic<bool> running{false};       // a thread is mounted
  CarrierCounters counters;

 private:
  friend class RuntimeCore;

  bool Step() noexcept;
  ThreadBlock* NextThread() noexcept;
  ThreadBlock* NewestChildOf(const ScopeRecord& scope) noexcept;
  ThreadBlock* TakeOldest() noexcept;
  ThreadBlock* StealFromOthers() noexcept;
  void Look() noexcept;  // timers, completions
  void RunThread(ThreadBlock& thread) noexcept;
  void Mount(ThreadBlock& thread) noexcept;
  void Unmount(ThreadBlock& thread) noexcept;
  void End(ThreadBlock& thread, bool cancelled) noexcept;
  enum class AfterPark : uint8_t { kGone, kGoOn };
  AfterPark Park(ThreadBlock& thread) noexcept;
  void EndWait(ThreadBlock& thread) noexcept;
  enum class AfterUnwind : uint8_t { kParked, kAtBoundary, kAtRoot };
  AfterUnwind Unwind(ThreadBlock& thread) noexcept;
  void Idle() noexcept;
  void Retire() noexcept;
  void Search() noexcept;
  int64_t ParkDeadline() noexcept;
  void ParkUntil(int64_t deadline_ns) noexcept;
  void RelieveOthers(int64_t now) noexcept;
  ThreadBlock* TakeInside(const ScopeRecord& scope) noexcept;

  // What this carrier, when idle, saw of the others.
  struct Sighting {
    int64_t mounts = -1;
    int64_t time_ns = 0;
  };
  std::vector<Sighting> sightings_;
  int64_t relieved_ns_ = 0;
  bool relieving_ = false;  // some carrier computes, and has its duties done by us
  XorShiftChooser chooser_;
  uint32_t tick_ = 0;
  int ready_budget_ = 0;
};

}  // namespace weft::internal

#endif  // WEFT_LIB_RUNTIME_CARRIER_H_

// The state that the carriers of one runtime share: the carriers themselves and which of them are idle, the roots, and
// the threads and shutdowns that wait for a carrier.
#ifndef WEFT_LIB_RUNTIME_RUNTIME_CORE_H_
#define WEFT_LIB_RUNTIME_RUNTIME_CORE_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "lib/driver/doorbell.h"
#include "lib/driver/driver.h"
#include "lib/lockfree/idle_carriers.h"
#include "lib/lockfree/inject_queue.h"
#include "lib/os/clock.h"
#include "lib/runtime/cancel_queue.h"
#include "lib/runtime/carrier.h"
#include "lib/runtime/carrier_pool.h"
#include "lib/runtime/chooser.h"
#include "lib/runtime/clock_watch.h"
#include "lib/runtime/host.h"
#include "lib/runtime/roots.h"
#include "lib/thread/runtime_services.h"
#include "lib/runtime/watchdog.h"
#include "weft/ext/scheduling_observer.h"
#include "weft/internal/atomic.h"
#include "weft/internal/scope_record.h"
#include "weft/internal/thread_block.h"

namespace weft {
class Runtime;
struct HeldCarrier;
}  // namespace weft

namespace weft::internal {

struct RuntimeConfig {
  int parallelism = 1;
  int max_pool_size = 256;
  int min_runnable = 1;
  int64_t drain_patience_ns = 20'000'000;
  int64_t max_queued_calls = 1'048'576;
  bool huge_pages = false;        // for frames, from now on
  bool watched = false;           // there is a watchdog
  int64_t held_threshold_ns = 0;  // 0: it does not look for holds
  Clock* clock = nullptr;                        // not null
  bool watch_wall_clock = false;                 // the kernel tells when it is set, and there is a backend
  Chooser* chooser = nullptr;                    // null: each carrier its own
  ext::SchedulingObserver* observer = nullptr;   // null: none
  std::shared_ptr<Backend> backend;              // null: no I/O
  SharedUncaughtHandler on_uncaught_failure;     // null: a line on standard error
  std::function<void(const HeldCarrier& held)> on_held_carrier = nullptr;  // null: holds are counted
};

// The sum over all carriers, and what was done by threads that are no carriers. Exact when nothing runs.
struct RuntimeCounts {
  int64_t threads = 0;     // started, not ended
  int64_t waiters = 0;     // parked
  int64_t timers = 0;      // armed
  int64_t operations = 0;  // in flight
  int64_t started = 0, mounts = 0, moves = 0, steals = 0, pins = 0, held = 0;
  int carriers = 0;
  int call_threads = 0;
};

// How long exit() waits for the virtual threads of the default runtime, which it has asked to end: about as long as a
// container is given to stop. The end of a runtime says after this time whom it waits for. Written by tests.
extern constinit int64_t g_exit_patience_ns;

class RuntimeCore {
 public:
  RuntimeCore(RuntimeConfig config, std::unique_ptr<Host> host) noexcept;
  ~RuntimeCore();

  // Starts the carriers. An error leaves none running.
  absl::Status Start() noexcept;

  // Is the caller one of this runtime's carriers?
  bool OnCarrier() const noexcept {
    const Carrier* carrier = Carrier::Current();
    return carrier != nullptr && &carrier->runtime == this;
  }

  // ---- Roots: virtual threads outside every scope.
  void StartRoot(ThreadBlock& root) noexcept;
  void CancelRoots(CancelReason::Kind kind) noexcept;
  // ---- Carriers.
  WEFT_RARE void NotifyWork() noexcept;
  // The same for the owner of a deque, after a push into it and a fence that pairs with [idle/6].
  void NotifyPushed() noexcept {
    if (idle.MayBeIdle() || carriers.any_blocked()) NotifyOfPush();
  }
  // By whoever owns the thread: puts it where every carrier finds it, a pinned one where its carrier does. The caller
  // calls NotifyWork() afterwards.
  void Inject(ThreadBlock& thread) noexcept;
  // The same for a pinned one, without that: its carrier looks. GiveBackPinned: one that was in its deque.
  void QueuePinned(ThreadBlock& thread) noexcept;
  void GiveBackPinned(ThreadBlock& thread) noexcept;
  bool HasWork() noexcept;  // any queue, except those of pinned threads
  // A hint: how many of the injected threads are one carrier's share, at least 1.
  size_t ShareOfInjected() const noexcept {
    return injected.SizeEstimate() / carriers.limit() + 1;
  }
  uint32_t carrier_count() const noexcept { return carriers.count(); }
  Carrier& carrier(uint32_t index) noexcept { return carriers.at(index); }
  // [stopping/2] acquire: pairs with [stopping/1].
  bool stopping() const noexcept { return stopping_.load(std::memory_order_acquire); }
  uint32_t Choose(uint32_t count) noexcept;

  RuntimeCounts Counts() noexcept;
  // Every runtime that there is, under a lock: for the census.
  static void ForEach(void (*visit)(RuntimeCore& runtime, void* argument), void* argument) noexcept;
  // In a child of fork(2): was it started by the parent, on OS threads? Then it has no carriers here, and may share
  // what it has in the kernel with the parent: nothing is done with it any more. (fork.h)
  bool inherited() const noexcept { return inherited_; }
  // In the child, while it has one thread: finds those.
  static void SetAsideInherited() noexcept;
  int64_t Now() noexcept { return config.clock->NowNanos(); }

  Runtime* facade = nullptr;  // what users see of it
  const RuntimeConfig config;
  const std::unique_ptr<Host> host;
  Atomic<uint64_t> next_thread_id{1};  // relaxed: a number

  WallClockWatch clock_watch{*this};
  CarrierPool carriers;
  alignas(kCacheLineSize) IdleCarriers idle;  // looked at by every fork, seldom written
  Roots roots;
  InjectQueue<ThreadBlock, QueueTag> injected;  // runnable threads that belong to no carrier
  CancelQueue cancel_queue{*this};
  Atomic<int32_t> pressed{0};           // owners that hold carriers because of a permit. relaxed: only the sum counts
  Atomic<uint32_t> pressed_changes{0};  // of that. relaxed: a hint
  // In a simulation that could not go on otherwise: shields hide nothing. (inspect.h)
  bool shields_lifted = false;

  // ---- The watchdog. (watchdog.h)
  // Used by the start and the end of the runtime: carriers that run ask `config.watched`, and ring.
  std::unique_ptr<Watchdog> watchdog;
  Doorbell watch_bell;                 // it is the owner
  Atomic<uint32_t> calms{0};           // times that carriers were asked to give memory back. relaxed: a hint
  Atomic<int64_t> held_carriers{0};    // relaxed: a count to look at

  // Wake-ups, starts and ends by threads that are no carriers.
  Atomic<int64_t> outside_wakes{0};   // relaxed: a count to look at
  Atomic<int64_t> outside_starts{0};  // relaxed: a count to look at
  Atomic<int64_t> outside_calls{0};   // OutsideCalls that are alive

 private:
  Carrier* FindParked() noexcept;
  bool NotifyFree() noexcept;
  WEFT_RARE void NotifyOfPush() noexcept;

  Atomic<bool> stopping_{false};

  RuntimeCore* next_runtime_ = nullptr;  // in the list of all, under its lock
  bool inherited_ = false;               // written in the child while it has one thread
};

inline void RunQueue::NotifyPushed() noexcept {
  deque.PublishFence();
  runtime_.NotifyPushed();
}

}  // namespace weft::internal

#endif  // WEFT_LIB_RUNTIME_RUNTIME_CORE_H_

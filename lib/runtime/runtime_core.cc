#include "lib/runtime/runtime_core.h"

#include <sched.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <mutex>
#include <utility>

#include "lib/base/fence.h"
#include "lib/coro/frame_cache.h"
#include "lib/os/global_lock.h"
#include "lib/os/membarrier.h"
#include "lib/runtime/fork.h"
#include "lib/thread/pinned.h"
#include "lib/thread/runtime_services.h"
#include "lib/thread/thread_state.h"
#include "weft/internal/check.h"

namespace weft::internal {

namespace {

constinit GlobalLock all_runtimes_lock;
constinit RuntimeCore* all_runtimes = nullptr;
constinit RuntimeCore* inherited_runtimes = nullptr;  // kept where leak checkers find them

}  // namespace

RuntimeCore::RuntimeCore(RuntimeConfig runtime_config, std::unique_ptr<Host> runtime_host) noexcept
    : config(std::move(runtime_config)), host(std::move(runtime_host)), carriers(*this, config.max_pool_size) {
  RegisterForkHandler();
  EnableAsymmetricFences();
  WEFT_CHECK(config.clock != nullptr && config.parallelism >= 1 && config.max_pool_size >= config.parallelism);
  std::lock_guard guard(all_runtimes_lock);
  next_runtime_ = std::exchange(all_runtimes, this);
}

// No root is left when this is called, so no carrier has anything to run. The destructor waits for wake-ups by other OS
// threads, then stops the carriers.
RuntimeCore::~RuntimeCore() {
  {
    std::lock_guard guard(all_runtimes_lock);
    RuntimeCore** at = &all_runtimes;
    while (*at != this) at = &(*at)->next_runtime_;
    *at = next_runtime_;
  }
  // [outside/2] acquire: pairs with [outside/1]. No thread is left, so no call can begin; those under way take no time.
  while (outside_calls.load(std::memory_order_acquire) != 0) sched_yield();
  watchdog.reset();
  // [stopping/1] release: pairs with [stopping/2]. What the threads of this runtime did comes before its carriers end.
  stopping_.store(true, std::memory_order_release);
  for (uint32_t i = 0; i < carrier_count(); ++i) host->Ring(carrier(i));
  host->JoinCarriers();
  const RuntimeCounts left = Counts();
  WEFT_CHECK(left.threads == 0 && left.waiters == 0 && left.timers == 0)
      << "a runtime ends with " << left.threads << " virtual threads, " << left.waiters << " waiters, " << left.timers
      << " timers left";
  const int32_t holding = pressed.load(std::memory_order_relaxed);
  WEFT_CHECK(holding == 0) << "a runtime ends with " << holding << " owners that hold carriers";
}

// In the child, while it has one thread.
void RuntimeCore::SetAsideInherited() noexcept {
  forks_so_far.fetch_add(1, std::memory_order_relaxed);
  RuntimeCore** at = &all_runtimes;
  while (RuntimeCore* const runtime = *at) {
    if (runtime->host->SurvivesFork()) {
      at = &runtime->next_runtime_;
      continue;
    }
    runtime->inherited_ = true;
    if (runtime->config.backend != nullptr) runtime->config.backend->BecomeInherited();
    *at = std::exchange(runtime->next_runtime_, inherited_runtimes);
    inherited_runtimes = runtime;
  }
}

void RuntimeCore::ForEach(void (*visit)(RuntimeCore& runtime, void* argument), void* argument) noexcept {
  std::lock_guard guard(all_runtimes_lock);
  for (RuntimeCore* at = all_runtimes; at != nullptr; at = at->next_runtime_) visit(*at, argument);
}

absl::Status RuntimeCore::Start() noexcept {
  if (config.huge_pages) UseHugePages();
  if (config.watched) {
    watchdog = Watchdog::Make(*this);
    if (watchdog == nullptr) return absl::ResourceExhaustedError("no memory for the watchdog");
  }
  if (absl::Status started = carriers.Start(); !started.ok()) return started;
  return watchdog == nullptr ? absl::OkStatus() : watchdog->Start();
}

uint32_t RuntimeCore::Choose(uint32_t count) noexcept {
  if (Carrier* carrier = Carrier::Current()) return carrier->queue.Choose(count);
  return config.chooser != nullptr ? config.chooser->Choose(count) : 0;
}

// ---- Roots.

void RuntimeCore::StartRoot(ThreadBlock& root) noexcept {
  roots.Hold();
  PrepareThread(root, *this);
  roots.Add(root);
  StartThread(root);
}

void RuntimeCore::CancelRoots(CancelReason::Kind kind) noexcept {
  roots.RequestEnd({kind, 0, Now()});
  RunShutdowns(*this);
}

// ---- Carriers.

Carrier* RuntimeCore::FindParked() noexcept {
  const uint32_t count = carrier_count();
  const uint32_t first = count > 1 ? Choose(count) : 0;
  for (uint32_t i = 0; i < count; ++i) {
    Carrier& each = carrier((first + i) % count);
    if (carriers.MayRun(each) && each.idle.IsParked()) return &each;
  }
  return nullptr;
}

// False: no carrier is free.
bool RuntimeCore::NotifyFree() noexcept {
  const auto notified = idle.Notify([this] { return FindParked(); }, [this](Carrier& each) { host->Ring(each); });
  return notified == IdleCarriers::Notified::kSeenTo;
}

// If no carrier is free, those that wait in a destructor look whether the work is a descendant of theirs.
void RuntimeCore::NotifyWork() noexcept {
  if (!NotifyFree() && carriers.any_blocked()) carriers.RingBlocked();
}

// A carrier that waits in a destructor takes nothing out of another one's deque. It is told once that its owner is
// awake. (duties.h)
void RuntimeCore::NotifyOfPush() noexcept {
  if (!NotifyFree() && carriers.any_blocked() && Carrier::Current()->HasSlept()) carriers.RingBlocked();
}

// In a child of fork(), a thread of the parent is memory that nobody runs, and the lock of a queue may be held by a
// thread that is not there.
void RuntimeCore::Inject(ThreadBlock& thread) noexcept {
  if (inherited_) return;
  if (IsPinned(thread)) [[unlikely]]
    return QueuePinned(thread);
  injected.Push(thread);
}

// The ring is not lost: a carrier takes rings before it looks into its queue, and sleeps afterwards.
void RuntimeCore::QueuePinned(ThreadBlock& thread) noexcept {
  if (inherited_) return;  // like Inject()
  Carrier& its = carrier(LastCarrier(thread));
  its.queue.pinned.Push(thread);
  if (&its != Carrier::Current()) host->Ring(its);
}

void RuntimeCore::GiveBackPinned(ThreadBlock& thread) noexcept {
  Carrier& its = carrier(LastCarrier(thread));
  its.queue.pinned.GiveBack(thread);
  host->Ring(its);
}

bool RuntimeCore::HasWork() noexcept {
  if (injected.MayHave() || cancel_queue.MayHave()) return true;
  const uint32_t count = carrier_count();
  for (uint32_t i = 0; i < count; ++i) {
    if (carrier(i).queue.deque.SizeEstimate() > 0) return true;
  }
  return false;
}

// ---- What there is.

// Sums what each carrier has counted, and what other OS threads have. While threads run, the numbers may be of
// different moments. A thread may start on one carrier and end on another, so all ends are read before any start: then
// no thread that is alive all the time is missing. The same holds for wake-ups and parks.
RuntimeCounts RuntimeCore::Counts() noexcept {
  RuntimeCounts counts;
  // relaxed: numbers to look at.
  const auto read = [](const Atomic<int64_t>& counter) { return counter.load(std::memory_order_relaxed); };
  counts.waiters = -read(outside_wakes);
  for (uint32_t i = 0; i < carrier_count(); ++i) {
    counts.threads -= carrier(i).counters.Ended();
    counts.waiters -= carrier(i).counters.Wakes();
  }
  counts.started = read(outside_starts);
  counts.carriers = static_cast<int>(carrier_count());
  counts.call_threads = host->JobThreads();
  counts.held = read(held_carriers);
  for (uint32_t i = 0; i < carrier_count(); ++i) {
    Carrier& each = carrier(i);
    counts.started += each.counters.Started();
    counts.waiters += each.counters.Parks();
    counts.mounts += each.counters.Mounts();
    counts.moves += read(each.counters.moves);
    counts.steals += read(each.counters.steals);
    counts.pins += read(each.counters.pins);
    counts.timers += each.duties.timers.armed();
    if (each.duties.driver != nullptr) counts.operations += each.duties.driver->in_flight();
  }
  counts.threads += counts.started;
  return counts;
}

}  // namespace weft::internal

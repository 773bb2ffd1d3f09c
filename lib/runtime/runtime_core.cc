#include "lib/runtime/runtime_core.h"

#include <sched.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <mutex>
#include <utility>

#include "lib/base/fence.h"
#include "lib/os/global_lock.h"
#include "lib/os/membarrier.h"
#include "lib/runtime/fork.h"
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
    : config(std::move(runtime_config)), host(std::move(runtime_host)) {
  RegisterForkHandler();
  EnableAsymmetricFences();
  WEFT_CHECK(config.clock != nullptr && config.parallelism >= 1 && config.max_pool_size >= config.parallelism);
  carriers_.reserve(static_cast<size_t>(config.max_pool_size));
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
  // [stopping/1] release: pairs with [stopping/2]. What the threads of this runtime did comes before its carriers end.
  stopping_.store(true, std::memory_order_release);
  for (uint32_t i = 0; i < carrier_count(); ++i) host->Ring(carrier(i));
  host->JoinCarriers();
  const RuntimeCounts left = Counts();
  WEFT_CHECK(left.threads == 0 && left.waiters == 0 && left.timers == 0)
      << "a runtime ends with " << left.threads << " virtual threads, " << left.waiters << " waiters, " << left.timers
      << " timers left";
}

// In the child, while it has one thread.
void RuntimeCore::SetAsideInherited() noexcept {
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
  std::lock_guard guard(pool_lock_);
  carrier_limit_.store(static_cast<uint32_t>(config.parallelism), std::memory_order_relaxed);
  for (int i = 0; i < config.parallelism; ++i) {
    if (absl::Status why; !AddCarrier(&why)) return why;
  }
  return absl::OkStatus();
}

// Under pool_lock_. The new carrier may run before others can find it. Returns false, and changes nothing, if something
// for it is missing; then `why`, unless it is null, says what.
bool RuntimeCore::AddCarrier(absl::Status* why) noexcept {
  const uint32_t index = static_cast<uint32_t>(carriers_.size());
  std::unique_ptr<Carrier> made = Carrier::Make(*this, index);
  if (made == nullptr) {
    if (why != nullptr) *why = absl::ResourceExhaustedError("no memory for a carrier");
    return false;
  }
  carriers_.push_back(std::move(made));  // there is room
  if (!host->StartCarrier(*carriers_.back(), why)) {
    carriers_.pop_back();
    return false;
  }
  // [carriers/1] release: pairs with [carriers/2], whose callers use the carriers below it.
  carrier_count_.store(index + 1, std::memory_order_release);
  return true;
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
    if (MayRun(each) && each.idle.IsParked()) return &each;
  }
  return nullptr;
}

void RuntimeCore::NotifyWork() noexcept {
  const auto notified = idle.Notify([this] { return FindParked(); }, [this](Carrier& each) { host->Ring(each); });
  if (notified == IdleCarriers::Notified::kSeenTo) return;
  // No carrier is free. Carriers that wait in a destructor look whether the work is a descendant of theirs.
  if (any_blocked_.load(std::memory_order_relaxed) > 0) RingBlocked();
}

bool RuntimeCore::HasWork() noexcept {
  if (injected.MayHave() || cancel_queue.MayHave()) return true;
  const uint32_t count = carrier_count();
  for (uint32_t i = 0; i < count; ++i) {
    if (carrier(i).queue.deque.SizeEstimate() > 0) return true;
  }
  return false;
}

// A carrier whose thread waits in a destructor runs only descendants of that thread's scope. If too few carriers are
// left for the other threads, a spare one takes its place meanwhile: the limit moves, and later a carrier above it
// retires when it next looks.
void RuntimeCore::EnterBlocked(Carrier& blocked) noexcept {
  if (blocked.blocked.fetch_add(1, std::memory_order_relaxed) > 0) return;  // it is counted already
  std::lock_guard guard(pool_lock_);
  ++blocked_;
  any_blocked_.store(blocked_, std::memory_order_relaxed);
  const int spares = std::max(0, config.min_runnable - (config.parallelism - blocked_));
  const auto limit = static_cast<uint32_t>(std::min(config.parallelism + spares, config.max_pool_size));
  while (carriers_.size() < limit) {
    // Without a spare one the other threads wait. The children run here, so this destructor ends.
    if (!AddCarrier(/*why=*/nullptr)) break;
  }
  carrier_limit_.store(limit, std::memory_order_relaxed);
  for (auto i = static_cast<uint32_t>(config.parallelism); i < carrier_count(); ++i) host->Ring(carrier(i));
  // [blocked/1] heavy: pairs with [idle/2], with [publish/1] and [publish/2], and with [blocked/2]. Whoever makes work
  // sees that we are blocked, or we see the work.
  HeavyFence();
}

void RuntimeCore::LeaveBlocked(Carrier& blocked) noexcept {
  if (blocked.blocked.fetch_sub(1, std::memory_order_relaxed) > 1) return;
  std::lock_guard guard(pool_lock_);
  --blocked_;
  any_blocked_.store(blocked_, std::memory_order_relaxed);
  const int spares = std::max(0, config.min_runnable - (config.parallelism - blocked_));
  const auto limit = static_cast<uint32_t>(std::min(config.parallelism + spares, config.max_pool_size));
  carrier_limit_.store(limit, std::memory_order_relaxed);
}

void RuntimeCore::RingBlocked() noexcept {
  StoreLoadFence();  // [blocked/2] seq_cst: pairs with [blocked/1]. A blocked carrier is rung, or sees our work
  const uint32_t count = carrier_count();
  for (uint32_t i = 0; i < count; ++i) {
    Carrier& each = carrier(i);
    if (each.blocked.load(std::memory_order_relaxed) > 0 && &each != Carrier::Current()) host->Ring(each);
  }
}

// ---- What there is.

// Sums what each carrier has counted, and what other OS threads have. While threads run, the numbers may be of
// different moments.
RuntimeCounts RuntimeCore::Counts() noexcept {
  RuntimeCounts counts;
  // relaxed: numbers to look at.
  const auto read = [](const Atomic<int64_t>& counter) { return counter.load(std::memory_order_relaxed); };
  counts.started = counts.threads = read(outside_starts);
  counts.waiters = -read(outside_wakes);
  counts.carriers = static_cast<int>(carrier_count());
  counts.call_threads = host->JobThreads();
  for (uint32_t i = 0; i < carrier_count(); ++i) {
    Carrier& each = carrier(i);
    counts.started += read(each.counters.started);
    counts.threads += read(each.counters.started) - read(each.counters.ended);
    counts.waiters += read(each.counters.parks) - read(each.counters.wakes);
    counts.mounts += read(each.counters.mounts);
    counts.moves += read(each.counters.moves);
    counts.steals += read(each.counters.steals);
    counts.pins += read(each.counters.pins);
    counts.timers += each.duties.timers.armed();
    if (each.duties.driver != nullptr) counts.operations += each.duties.driver->in_flight();
  }
  return counts;
}

}  // namespace weft::internal

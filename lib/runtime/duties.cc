#include "lib/runtime/duties.h"

#include <algorithm>
#include <cstdint>

#include "lib/base/fence.h"
#include "lib/runtime/run_queue.h"
#include "lib/runtime/runtime_core.h"

namespace weft::internal {

namespace {

// When somebody first saw a carrier with so many mounts: both in one word, coarsely.
constexpr int kSightingShift = 16;  // 66 us
constexpr uint64_t Sighting(int64_t mounts, int64_t now) noexcept {
  return uint64_t{static_cast<uint32_t>(mounts)} << 32 | static_cast<uint32_t>(now >> kSightingShift);
}

}  // namespace

Duties::Duties(RuntimeCore& runtime, uint32_t index, RunQueue& queue) noexcept
    // Where a seed decides, time is virtual: timers are exact, and fire in the order of their times.
    : timers(runtime.Now(), runtime.host->SeedDecides() ? 0 : TimerWheel::kTickShift),
      wall_timers(timers, *runtime.config.clock, runtime.clock_watch),
      runtime_(runtime),
      queue_(queue),
      index_(index) {}

// Called between two threads, also when there is nothing to run. Sets how many dispatches come before the next poll,
// from how long the last ones took.
void Duties::PollTimersAndDriver() noexcept {
  const int64_t now = runtime_.Now();
  const int64_t nanos_per_dispatch = (now - polled_ns_) / (dispatches_per_poll_ - until_poll_ + 1) + 1;
  dispatches_per_poll_ = static_cast<int>(std::clamp<int64_t>(kPollNanos / nanos_per_dispatch, 1, kDispatchesPerPoll));
  until_poll_ = dispatches_per_poll_;
  polled_ns_ = now;
  timers.FireExpired(now, kTimersPerPoll);
  if (driver != nullptr) driver->Poll(0);
  if (now - relieved_ns_ >= kReliefIntervalNanos) {
    relieved_ns_ = now;
    RelieveOthers(now);
  }
}

// Called before a carrier sleeps, by the carrier. The preface says why it may wake earlier than its timers while
// another carrier is awake.
int64_t Duties::ParkDeadline(IdleCarriers::Member& idle) noexcept {
  asleep.store(true, std::memory_order_relaxed);
  StoreLoadFence();  // [asleep/1] seq_cst: pairs with itself, on another carrier
  const int64_t deadline = timers.NextDeadline();
  const uint32_t count = runtime_.carrier_count();
  for (uint32_t i = 0; i < count; ++i) {
    if (i != index_ && !runtime_.carrier(i).duties.asleep.load(std::memory_order_relaxed)) {
      if (!runtime_.idle.Watch(idle)) return deadline;
      return std::min(deadline, runtime_.Now() + (relieving_ ? kReliefIntervalNanos : kReliefNanos));
    }
  }
  return deadline;
}

// A carrier that was running at both sightings, and has mounted nothing new between them, has been running one thread
// all the while.
void Duties::RelieveOthers(int64_t now) noexcept {
  relieving_ = false;
  const uint32_t count = runtime_.carrier_count();
  for (uint32_t i = 0; i < count; ++i) {
    if (i == index_) continue;
    Carrier& other = runtime_.carrier(i);
    // One that sleeps in a destructor is counted as running.
    if (!other.running.load(std::memory_order_relaxed) || other.duties.asleep.load(std::memory_order_relaxed)) continue;
    if (!other.duties.HasComputed(other.counters.Mounts(), now)) continue;
    relieving_ = true;
    other.duties.timers.FireExpired(now, kTimersPerPoll);
    if (other.duties.driver != nullptr) other.duties.driver->Relieve();
    queue_.TakeOver(other.queue);
  }
}

// By another carrier: it has seen that so many were mounted. Has that been so for kReliefNanos?
bool Duties::HasComputed(int64_t mounts, int64_t now) noexcept {
  const uint64_t seen = Sighting(mounts, now);
  uint64_t before = sighting_.load(std::memory_order_relaxed);
  if (before >> 32 == seen >> 32) {
    return static_cast<uint32_t>(seen) - static_cast<uint32_t>(before) >= kReliefNanos >> kSightingShift;
  }
  sighting_.compare_exchange_strong(before, seen, std::memory_order_relaxed);
  return false;
}

}  // namespace weft::internal

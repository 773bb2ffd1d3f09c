#include "lib/runtime/duties.h"

#include <algorithm>
#include <cstdint>
#include <memory>
#include <utility>

#include "lib/base/fence.h"
#include "lib/runtime/run_queue.h"
#include "lib/runtime/runtime_core.h"

namespace weft::internal {

Duties::Duties(RuntimeCore& runtime, uint32_t index, RunQueue& queue, std::unique_ptr<Sighting[]> sightings) noexcept
    // Where a seed decides, time is virtual: timers are exact, and fire in the order of their times.
    : timers(runtime.Now(), runtime.host->SeedDecides() ? 0 : TimerWheel::kTickShift),
      wall_timers(timers, *runtime.config.clock, runtime.clock_watch),
      runtime_(runtime),
      queue_(queue),
      sightings_(std::move(sightings)),
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

// Called before a carrier sleeps, by the carrier. The preface says why it wakes earlier than its timers while another
// carrier is awake.
int64_t Duties::ParkDeadline() noexcept {
  asleep.store(true, std::memory_order_relaxed);
  StoreLoadFence();  // [asleep/1] seq_cst: pairs with itself, on another carrier
  const int64_t deadline = timers.NextDeadline();
  const uint32_t count = runtime_.carrier_count();
  for (uint32_t i = 0; i < count; ++i) {
    if (i != index_ && !runtime_.carrier(i).duties.asleep.load(std::memory_order_relaxed)) {
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
    Sighting& sighting = sightings_[i];
    const int64_t mounts = other.counters.Mounts();
    if (sighting.mounts != mounts) {
      sighting = {mounts, now};
    } else if (now - sighting.time_ns >= kReliefNanos) {
      relieving_ = true;
      other.duties.timers.FireExpired(now, kTimersPerPoll);
      if (other.duties.driver != nullptr) other.duties.driver->Relieve();
      queue_.TakeOver(other.queue);
    }
  }
}

}  // namespace weft::internal

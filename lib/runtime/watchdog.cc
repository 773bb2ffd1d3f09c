#include "lib/runtime/watchdog.h"

#include <algorithm>
#include <cstdint>
#include <memory>
#include <new>
#include <optional>
#include <string_view>
#include <utility>

#include "absl/time/time.h"
#include "absl/types/span.h"
#include "lib/driver/doorbell.h"
#include "lib/os/clock.h"
#include "lib/os/futex.h"
#include "lib/os/sched_stat.h"
#include "lib/os/stack_sampler.h"
#include "lib/runtime/carrier.h"
#include "lib/runtime/runtime_core.h"
#include "lib/thread/thread_state.h"
#include "weft/held_carrier.h"
#include "weft/internal/thread_block.h"

namespace weft::internal {
namespace {

constexpr int64_t kSecondNanos = 1'000'000'000;
constexpr int64_t kMinPeriodNanos = 100'000;

int64_t PeriodFor(int64_t threshold_ns) noexcept {
  return threshold_ns == 0 ? kSecondNanos : std::clamp(threshold_ns / 4, kMinPeriodNanos, kSecondNanos);
}

// What the signal handler notes about the virtual thread that is mounted, if the hold is still that one.
struct Mounted {
  const int64_t progress;  // the carrier's, in the hold
  bool goes_on = false;
  uint64_t thread = 0;
  char name[64] = {};
  size_t name_bytes = 0;
};

// On the carrier's OS thread, in the handler. The members that it reads are that OS thread's own, and words; a name is
// constant once it is there.
void NoteMounted(void* argument) noexcept {
  auto& mounted = *static_cast<Mounted*>(argument);
  const Carrier* const carrier = Carrier::Current();
  const ThreadBlock* const thread = carrier == nullptr ? nullptr : carrier->current;
  // [turn/2] acquire: pairs with [turn/1]. What the handler has interrupted may be between the two.
  std::atomic_signal_fence(WEFT_ORDER("turn/2", std::memory_order_acquire));
  const bool runs = carrier != nullptr && carrier->running.load(std::memory_order_relaxed);
  if (!runs || carrier->counters.Progress() != mounted.progress) return;
  mounted.goes_on = true;
  // Callbacks and destructors may run for a thread that is not `current`. Once it has ended, it may be gone before the
  // carrier knows.
  if (thread == nullptr || thread->state.Observe().phase() == ThreadState::Phase::kEnded) return;
  mounted.thread = thread->id;
  const std::string_view name = thread->DisplayName();
  mounted.name_bytes = std::min(name.size(), sizeof(mounted.name));
  std::copy_n(name.data(), mounted.name_bytes, mounted.name);
}

}  // namespace

std::unique_ptr<Watchdog> Watchdog::Make(RuntimeCore& runtime, Use use) noexcept {
  std::unique_ptr<Sighting[]> sightings(
      new (std::nothrow) Sighting[static_cast<size_t>(runtime.config.max_pool_size)]);
  if (sightings == nullptr) return nullptr;
  return std::unique_ptr<Watchdog>(new (std::nothrow) Watchdog(runtime, std::move(sightings), use));
}

Watchdog::Watchdog(RuntimeCore& runtime, std::unique_ptr<Sighting[]> sightings, Use use) noexcept
    : runtime_(runtime),
      sightings_(std::move(sightings)),
      use_(use),
      period_ns_(PeriodFor(runtime.config.held_threshold_ns)),
      rounds_per_second_(static_cast<int>(kSecondNanos / period_ns_)),
      memory_(runtime) {}

Watchdog::~Watchdog() {
  if (!thread_.joinable()) return;
  stop_.store(1, std::memory_order_relaxed);
  FutexWake(stop_, 1);
  static_cast<void>(runtime_.watch_bell.Ring());
  thread_.Join();
}

absl::Status Watchdog::Start() { return thread_.Start("weft-watch", &Watchdog::Main, this); }

void Watchdog::Main(void* watchdog) noexcept { static_cast<Watchdog*>(watchdog)->Watch(); }

// The whole life of its OS thread.
void Watchdog::Watch() noexcept {
  int round = 0;
  int quiet = 0;  // rounds without a carrier that was awake
  bool has_memory = false;
  while (stop_.load(std::memory_order_relaxed) == 0) {
    if (quiet < rounds_per_second_ || has_memory) {
      FutexWait(stop_, 0, Clock::Real().NowNanos() + period_ns_);
    } else {
      SleepUntilRung();
      quiet = 0;
    }
    static_cast<void>(runtime_.watch_bell.TakeRing());
    quiet = Look(Clock::Real().NowNanos()) ? 0 : quiet + 1;
    if (++round < rounds_per_second_) continue;
    round = 0;
    has_memory = memory_.Step();
  }
}

// A carrier that has woken since the last TakeRing() has rung. Those that were awake by then have been looked at.
void Watchdog::SleepUntilRung() noexcept {
  Doorbell& bell = runtime_.watch_bell;
  bell.LieDown(Doorbell::kOnFutex);
  if (bell.MaySleep()) bell.SleepOnFutex(kNoDeadlineNs);
  bell.GetUp();
}

bool Watchdog::Look(int64_t now_ns) noexcept {
  bool awake = false;
  const uint32_t count = runtime_.carrier_count();
  for (uint32_t i = 0; i < count; ++i) {
    Carrier& carrier = runtime_.carrier(i);
    awake |= !carrier.duties.asleep.load(std::memory_order_relaxed);
    if (runtime_.config.held_threshold_ns > 0) LookAt(carrier, sightings_[i], now_ns);
  }
  return awake;
}

void Watchdog::LookAt(Carrier& carrier, Sighting& sighting, int64_t now_ns) noexcept {
  using State = Sighting::State;
  const int64_t progress = carrier.counters.Progress();
  const bool runs = carrier.running.load(std::memory_order_relaxed) &&
                    !carrier.duties.asleep.load(std::memory_order_relaxed);
  if (!runs || progress != sighting.progress) {
    if (sighting.state == State::kReplaced) runtime_.carriers.RemoveSpareForHeld();
    sighting.state = State::kGoesOn;
    sighting.progress = runs ? progress : -1;
    return;
  }
  if (sighting.state == State::kGoesOn) {
    sighting.state = State::kSuspect;
    sighting.held_ns = 0;
    sighting.at_ns = now_ns;
    sighting.use = use_(carrier.os_thread.id);
    return;
  }
  if (sighting.state == State::kSuspect) {
    CountHold(carrier, sighting, now_ns);
    if (sighting.held_ns < runtime_.config.held_threshold_ns) return;
    sighting.state = State::kHeld;
    Report(carrier, sighting);
  }
  // A destructor that waits has been seen to already. (CarrierPool::EnterBlocked)
  const bool blocked = carrier.blocked.load(std::memory_order_relaxed) > 0;
  if (sighting.state == State::kHeld && !blocked && OthersCouldRun() && runtime_.carriers.AddSpareForHeld()) {
    sighting.state = State::kReplaced;
  }
}

// Adds what was held, net, since the last look.
void Watchdog::CountHold(const Carrier& carrier, Sighting& sighting, int64_t now_ns) noexcept {
  const std::optional<ProcessorUse> use = use_(carrier.os_thread.id);
  int64_t held_ns = now_ns - sighting.at_ns;
  if (use.has_value() && sighting.use.has_value()) {
    held_ns = use->runnable ? use->ran_ns - sighting.use->ran_ns
                            : std::max<int64_t>(held_ns - (use->waited_ns - sighting.use->waited_ns), 0);
  }
  sighting.held_ns += held_ns;
  sighting.at_ns = now_ns;
  if (use.has_value()) sighting.use = use;
}

// By the count of a hold; once.
void Watchdog::Report(Carrier& carrier, const Sighting& sighting) noexcept {
  runtime_.held_carriers.fetch_add(1, std::memory_order_relaxed);
  if (runtime_.config.on_held_carrier == nullptr) return;
  StackSample sample;
  Mounted mounted{.progress = sighting.progress};
  HeldCarrier held;
  held.carrier = static_cast<int>(carrier.index);
  held.held = absl::Nanoseconds(sighting.held_ns);
  if (SampleStack(carrier.os_thread.handle, sample, &NoteMounted, &mounted) && mounted.goes_on) {
    held.thread = mounted.thread;
    held.name = std::string_view(mounted.name, mounted.name_bytes);
    held.stack = absl::MakeConstSpan(sample.frames, static_cast<size_t>(sample.depth));
  }
  runtime_.config.on_held_carrier(held);
}

// Is there work that a further carrier would do? Either threads are queued; or nobody serves the timers and operations,
// because no carrier is free.
bool Watchdog::OthersCouldRun() noexcept {
  if (runtime_.HasWork()) return true;
  bool waits = false;
  for (uint32_t i = 0; i < runtime_.carrier_count(); ++i) {
    Carrier& carrier = runtime_.carrier(i);
    if (sightings_[i].state < Sighting::State::kHeld && runtime_.carriers.MayRun(carrier)) return false;
    waits |= carrier.duties.timers.armed() > 0 ||
             (carrier.duties.driver != nullptr && carrier.duties.driver->in_flight() > 0);
  }
  return waits;
}

}  // namespace weft::internal

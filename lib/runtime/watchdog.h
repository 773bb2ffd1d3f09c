// Layer runtime. Which carriers are held, and what is done about it?
//
// A carrier counts its mounts. If the count stands still while a thread is mounted, that thread has been running all
// the while: it computes, or blocks its OS thread. The watchdog looks at the counts from an OS thread of its own,
// because all carriers may be held. What it makes of them:
//
//   a carrier                                   at one look of the watchdog
//   has mounted something new, or nothing       a hold that was counted is over; its spare carrier retires
//   is where it was at the last look            suspect: from now on the time counts
//   is there for the threshold, net             held: counted and reported, once
//   is held, and others could run               a spare carrier, once (CarrierPool::AddSpareForHeld)
//
// Net: without the time that its OS thread waited for a processor. (lib/os/sched_stat.h) Otherwise every carrier of a
// machine that is short of processors would be held. What counts from one look to the next is what the OS thread ran,
// if it is runnable at the second; else the time between them without the waits that ended in it. A wait that goes on
// is not in the kernel's number yet, so there is none that could be subtracted. Where the kernel does not tell, all the
// time counts.
//
// How it costs the carriers nothing: it reads what they count anyway. About once a second it also looks whether frames
// hold more memory than is needed (memory_return.h). It sleeps when no carrier was awake for a second, and there is no
// memory to return; a carrier that wakes from a sleep rings for it (lib/driver/doorbell.h: the watchdog is the owner
// there).
//
// Who may call: its OS thread, or a test in its place, calls Look().
#ifndef WEFT_LIB_RUNTIME_WATCHDOG_H_
#define WEFT_LIB_RUNTIME_WATCHDOG_H_

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <optional>

#include "absl/status/status.h"
#include "lib/os/sched_stat.h"
#include "lib/os/thread.h"
#include "lib/runtime/memory_return.h"
#include "weft/internal/atomic.h"

namespace weft::internal {

class Carrier;
class RuntimeCore;

class Watchdog {
 public:
  using Use = std::optional<ProcessorUse> (*)(pid_t thread) noexcept;

  // Null: no memory. A test has its own `use`.
  static std::unique_ptr<Watchdog> Make(RuntimeCore& runtime, Use use = &UseOfProcessors) noexcept;
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;
  ~Watchdog();  // stops the OS thread

  // Starts its OS thread.
  absl::Status Start();
  // Returns whether a carrier is awake. Looks for holds, if there is a threshold.
  bool Look(int64_t now_ns) noexcept;

 private:
  // What is known of one carrier.
  struct Sighting {
    enum class State : uint8_t { kGoesOn, kSuspect, kHeld, kReplaced };
    State state = State::kGoesOn;
    int64_t progress = -1;
    // kSuspect: held for so long by the last look, which was at that time.
    int64_t held_ns = 0;
    int64_t at_ns = 0;
    std::optional<ProcessorUse> use;
  };

  Watchdog(RuntimeCore& runtime, std::unique_ptr<Sighting[]> sightings, Use use) noexcept;
  static void Main(void* watchdog) noexcept;
  void Watch() noexcept;
  void SleepUntilRung() noexcept;
  void LookAt(Carrier& carrier, Sighting& sighting, int64_t now_ns) noexcept;
  void CountHold(const Carrier& carrier, Sighting& sighting, int64_t now_ns) noexcept;
  void Report(Carrier& carrier, const Sighting& sighting) noexcept;
  bool OthersCouldRun() noexcept;

  RuntimeCore& runtime_;
  const std::unique_ptr<Sighting[]> sightings_;  // one for each carrier that there may be
  const Use use_;
  const int64_t period_ns_;         // between two looks
  const int rounds_per_second_;
  MemoryReturn memory_;
  Thread thread_;
  Atomic<uint32_t> stop_{0};  // relaxed: the bell and the join order it
};

}  // namespace weft::internal

#endif  // WEFT_LIB_RUNTIME_WATCHDOG_H_

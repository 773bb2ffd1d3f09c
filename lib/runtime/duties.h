// Layer runtime. Who fires a carrier's timers and fetches its completions, and when?
//
// The carrier itself, between two threads: after kDispatchesPerPoll dispatches at most, and after fewer if turns are
// long, so that a poll is not much more than kPollNanos late. While the carrier sleeps, its host wakes it for a
// completion, a ring or its next deadline. While it computes, another carrier relieves it, when it sees that this one
// has mounted nothing new for kReliefNanos: it fires the timers, fetches the completions, and takes over the run queue.
// What one carrier sees of another they all share, so it does not matter who looks.
//
//   the carrier   timers and completions are served by
//   runs threads  PollTimersAndDriver(), between them
//   sleeps        the host's park, until ParkDeadline()
//   computes      the RelieveOthers() of any other carrier that polls
//
// An idle carrier sleeps until its next deadline. While any other carrier is awake, one of those that sleep watches: it
// wakes after kReliefNanos, because that other one may be about to compute (IdleCarriers::Watch). A carrier says that
// it goes to sleep before it looks at the others. So of two that do this at once, at least one sees the other; and if
// all sleep without a limit, the last of them to look saw all others asleep. So one that has slept, and goes on with
// what nobody else was told of, tells a free one and those that wait in destructors, of which one watches then
// (TellIfSlept, Main; NotifyOfPush if none is free).
//
// Who may call: the carrier, except `timers`, `wall_timers` and `driver`, whose functions say who may.
#ifndef WEFT_LIB_RUNTIME_DUTIES_H_
#define WEFT_LIB_RUNTIME_DUTIES_H_

#include <cstdint>
#include <memory>

#include "lib/driver/driver.h"
#include "lib/lockfree/idle_carriers.h"
#include "lib/runtime/turn.h"
#include "lib/timer/timer_wheel.h"
#include "lib/timer/wall_timers.h"
#include "weft/internal/atomic.h"

namespace weft::internal {

class RuntimeCore;
class RunQueue;

class Duties {
 public:
  static constexpr int kDispatchesPerPoll = 61;
  static constexpr int64_t kPollNanos = 1'000'000;
  // Timers fired in one poll; more are due at once, and are fired in the next.
  static constexpr int kTimersPerPoll = 1024;
  // The timers and completions of a carrier that runs one thread are served by another one within twice this time,
  // because that one has to see it twice. (Go's bound is 10 ms as well.)
  static constexpr int64_t kReliefNanos = 5'000'000;
  // How often it then does so, and the most often that a carrier looks at the others.
  static constexpr int64_t kReliefIntervalNanos = 1'000'000;

  Duties(RuntimeCore& runtime, uint32_t index, RunQueue& queue) noexcept;
  Duties(const Duties&) = delete;
  Duties& operator=(const Duties&) = delete;

  void PollTimersAndDriver() noexcept;
  // Before each dispatch: is it time to poll?
  bool CountAndAsk() noexcept { return --until_poll_ <= 0; }
  // It is time before the next one.
  void PollNext() noexcept { dispatches_per_poll_ = until_poll_ = 1; }
  // It is not time before the next one. After a poll.
  void DispatchNext() noexcept {
    if (until_poll_ < 2) dispatches_per_poll_ = until_poll_ = 2;
  }
  // Counts a thread that goes on like a dispatch. Returns false if it is time to poll, which is done between two
  // threads.
  bool CountDispatch() noexcept {
    if (until_poll_ <= 1) return false;
    --until_poll_;
    return true;
  }
  int64_t polled_ns() const noexcept { return polled_ns_; }

  // Returns how long the carrier may sleep. Sets `asleep`.
  int64_t ParkDeadline(IdleCarriers::Member& idle) noexcept;
  // It has slept. What others saw of it before is not that it computes.
  void Woken() noexcept {
    sighting_.store(kNotSeen, std::memory_order_relaxed);
    asleep.store(false, std::memory_order_relaxed);
  }

  TimerWheel timers;
  WallTimers wall_timers;          // those of them that wait for a time of the wall clock
  std::unique_ptr<Driver> driver;  // null: no I/O

  // ---- Shared.
  // The carrier is parked, and its timers and operations are served there. relaxed: [asleep/1] orders it.
  Atomic<bool> asleep{false};

 private:
  void RelieveOthers(int64_t now) noexcept;
  bool HasComputed(int64_t mounts, int64_t now) noexcept;

  RuntimeCore& runtime_;
  RunQueue& queue_;
  const uint32_t index_;
  bool relieving_ = false;  // some carrier computes, and this one relieves it
  int dispatches_per_poll_ = kDispatchesPerPoll;
  int until_poll_ = kDispatchesPerPoll;  // dispatches
  int64_t polled_ns_ = 0;
  int64_t relieved_ns_ = 0;

  // ---- Shared.
  static constexpr uint64_t kNotSeen = ~uint64_t{0};
  Atomic<uint64_t> sighting_{kNotSeen};  // by HasComputed(). relaxed: a hint
};

}  // namespace weft::internal

#endif  // WEFT_LIB_RUNTIME_DUTIES_H_

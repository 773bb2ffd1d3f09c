// Layer timer. How does a timer keep to a wall clock that people set?
//
// A timer wheel runs on the monotonic clock. A deadline of the wall clock is put into the wheel at the monotonic time
// at which the wall clock will reach it, if nobody sets that clock. For when somebody does, the timer is also in a list
// here. Each carrier has one WallTimers beside its wheel.
//
//   sleeper.on_time = [](DeadlineTimer* timer) noexcept { ... };
//   walls.Arm(sleeper, wall_ns);
//   WallTimers::Cancel(sleeper);
//   walls.ClockWasSet();             // moves all of them in the wheel; then ring the carrier, which may sleep too long
//
// Two steps of the clock, two answers:
//   back       a timer whose time comes looks at the wall clock, and if it is too early, is armed again. So it is never
//              early, whether or not anyone calls ClockWasSet()
//   forth      a timer would be late. A ClockWatch is told when the first timer comes and when the last one goes; it
//              calls ClockWasSet(). If it cannot know of steps, every timer looks at the wall clock once in
//              kRecheckNanos
//
// Who may call, lifetime of a timer, memory ordering: those of the wheel (timer_wheel.h), with Arm() for Insert(),
// DeadlineTimer::on_time for fire(), and WallTimers::Cancel() for Cancel(). ClockWasSet() is called by any thread.
// Cost: an uncontended lock and a list node more than the wheel. ClockWasSet() holds the lock for some 50 ns for each
// timer that waits for the wall clock: 50 ms for a million, when a clock is set.
//
// Rejected: a second wheel, on wall time. It serves a step for nothing, but each look of a carrier at its timers would
// read a second clock, and a step back would empty the wheel and fill it again.
#ifndef WEFT_LIB_TIMER_WALL_TIMERS_H_
#define WEFT_LIB_TIMER_WALL_TIMERS_H_

#include <cstdint>

#include "lib/base/list.h"
#include "lib/os/clock.h"
#include "lib/timer/timer_wheel.h"
#include "weft/internal/deadline_timer.h"
#include "weft/internal/lock.h"

namespace weft::internal {

// Finds out when the wall clock is set, while somebody wants to know. Called with no lock of this file held.
class ClockWatch {
 public:
  // Some WallTimers will no longer be empty; called by its carrier. From the return on, no step is missed.
  virtual void Begin() noexcept = 0;
  // It is empty again. Any thread.
  virtual void End() noexcept = 0;
  // Any thread. False: steps are not seen.
  virtual bool Sees() const noexcept = 0;

 protected:
  ~ClockWatch() = default;
};

class WallTimers {
 public:
  // How late a deadline may be after a step forth that nobody sees.
  static constexpr int64_t kRecheckNanos = 1'000'000'000;

  WallTimers(TimerWheel& wheel, Clock& clock, ClockWatch& watch) noexcept
      : wheel_(wheel), clock_(clock), watch_(watch) {}
  WallTimers(const WallTimers&) = delete;
  WallTimers& operator=(const WallTimers&) = delete;
  ~WallTimers() = default;  // no timer is armed

  // Arms `timer` to call on_time when the wall clock has reached `wall_ns`.
  void Arm(DeadlineTimer& timer, int64_t wall_ns) noexcept;
  // The same for a time of the monotonic clock, which needs the wheel only.
  static void ArmMonotonic(DeadlineTimer& timer, TimerWheel& wheel, int64_t deadline_ns) noexcept;
  // TimerWheel::Cancel(), for either. False also if it was never armed.
  static bool Cancel(DeadlineTimer& timer) noexcept;

  void ClockWasSet() noexcept;

 private:
  static void Fire(TimerNode* node) noexcept;
  bool AddUnlessFirst(DeadlineTimer& timer) noexcept;
  void Forget(DeadlineTimer& timer) noexcept;
  bool IsTime(DeadlineTimer& timer) noexcept;
  // lock_ is held:
  void Add(DeadlineTimer& timer) noexcept;
  static bool IsListed(const DeadlineTimer& timer) noexcept;
  bool Unlist(DeadlineTimer& timer) noexcept;
  int64_t DeadlineOf(const DeadlineTimer& timer) noexcept;

  TimerWheel& wheel_;
  Clock& clock_;
  ClockWatch& watch_;
  Lock lock_;
  // Guarded by lock_: the timers that are armed, or whose Fire() has not taken the lock yet.
  List<DeadlineTimer, WallTag> timers_;
};

}  // namespace weft::internal

#endif  // WEFT_LIB_TIMER_WALL_TIMERS_H_

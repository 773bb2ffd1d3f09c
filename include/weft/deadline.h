// Deadline: a point in time, on one of two clocks that the compiler tells apart.
//
//   co_await weft::SleepUntil(weft::MonotonicNow() + absl::Seconds(2));        // two seconds from now
//   co_await weft::SleepUntil(absl::FromCivil(midnight, zone));                // when the wall clock says so
//   weft::Deadline deadline = weft::MonotonicNow() + 200ms;                    // for all parts of a request
//   co_await weft::WithDeadline(deadline, Ask(first));
//
//   the clock        monotonic                                    wall
//   is read by       MonotonicNow()                               Now()
//   its times        MonotonicTime,                               absl::Time,
//                    std::chrono::steady_clock::time_point        std::chrono::system_clock::time_point
//   somebody sets    it never moves                               the deadline moves as well, also for those who
//   the time                                                      wait already
//   the machine      stands still: the deadline is later by       goes on: a deadline that has passed meanwhile is over
//   is suspended     the time of the suspend                      when the machine is back
//
// So lengths of time (Sleep, WithTimeout) are measured on the monotonic clock (CLOCK_MONOTONIC). Where a calendar or
// another machine names the time, use the wall clock (CLOCK_REALTIME). The kernel adjusts the pace of both clocks, by
// NTP, but never in steps that a monotonic deadline would notice. A wait for a wall deadline ends when that clock has
// reached it, never before; after a step of the clock within about a millisecond, or, where the kernel refuses to tell
// of steps (timerfd_create(2)), within a second. A simulation has virtual clocks of both kinds, and
// Simulation::SetWallClock(). There, a std::chrono time of the machine's own clock is a time that never was.
//
// Both classes are values of 16 bytes, and thread-safe as ints are. Infinite times are allowed.
#ifndef WEFT_DEADLINE_H_
#define WEFT_DEADLINE_H_

#include "weft/internal/compiler.h"

#include <chrono>
#include <compare>
#include <cstdint>

#include "absl/time/time.h"
#include "weft/time_span.h"

namespace weft {

// A time of the clock that nobody sets: its own zero and what has passed since.
class MonotonicTime {
 public:
  constexpr MonotonicTime() noexcept = default;  // the clock's zero
  constexpr explicit MonotonicTime(TimeSpan since_zero) noexcept : since_zero_(since_zero) {}
  template <class D>
  MonotonicTime(std::chrono::time_point<std::chrono::steady_clock, D> time) noexcept
      : since_zero_(TimeSpan(time.time_since_epoch())) {}
  static constexpr MonotonicTime InfiniteFuture() noexcept { return MonotonicTime(absl::InfiniteDuration()); }
  static constexpr MonotonicTime InfinitePast() noexcept { return MonotonicTime(-absl::InfiniteDuration()); }

  constexpr absl::Duration since_zero() const noexcept { return since_zero_; }

  friend MonotonicTime operator+(MonotonicTime time, TimeSpan by) noexcept {
    return MonotonicTime(time.since_zero_ + by);
  }
  friend MonotonicTime operator-(MonotonicTime time, TimeSpan by) noexcept {
    return MonotonicTime(time.since_zero_ - by);
  }
  friend absl::Duration operator-(MonotonicTime to, MonotonicTime from) noexcept {
    return to.since_zero_ - from.since_zero_;
  }
  MonotonicTime& operator+=(TimeSpan by) noexcept { return *this = *this + by; }
  MonotonicTime& operator-=(TimeSpan by) noexcept { return *this = *this - by; }
  friend constexpr bool operator==(MonotonicTime a, MonotonicTime b) noexcept { return a.since_zero_ == b.since_zero_; }
  friend constexpr std::strong_ordering operator<=>(MonotonicTime a, MonotonicTime b) noexcept {
    if (a == b) return std::strong_ordering::equal;
    return a.since_zero_ < b.since_zero_ ? std::strong_ordering::less : std::strong_ordering::greater;
  }

 private:
  absl::Duration since_zero_;
};

class Deadline {
 public:
  Deadline(MonotonicTime time) noexcept : time_ns_(absl::ToInt64Nanoseconds(time.since_zero())), wall_(false) {}
  Deadline(absl::Time time) noexcept : time_ns_(absl::ToUnixNanos(time)), wall_(true) {}
  Deadline(TimeSpan) = delete;  // a length of time is no time of a clock: MonotonicNow() + length is
  template <class D>
  Deadline(std::chrono::time_point<std::chrono::steady_clock, D> time) noexcept : Deadline(MonotonicTime(time)) {}
  template <class D>
  Deadline(std::chrono::time_point<std::chrono::system_clock, D> time) noexcept
      : Deadline(absl::UnixEpoch() + TimeSpan(time.time_since_epoch())) {}

  // Is it a time of the wall clock?
  bool is_wall() const noexcept { return wall_; }
  // On its own clock: since the zero of the monotonic one, or since 1970-01-01 UTC. INT64_MAX: never.
  int64_t time_ns() const noexcept { return time_ns_; }

 private:
  int64_t time_ns_;
  bool wall_;
};

}  // namespace weft

#endif  // WEFT_DEADLINE_H_

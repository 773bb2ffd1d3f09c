// Sleep, SleepUntil, Yield and the clocks. (For something to be done again and again: ticker.h)
//
//   co_await weft::Sleep(absl::Milliseconds(10));                        // or std::chrono::milliseconds(10)
//   co_await weft::SleepUntil(weft::MonotonicNow() + absl::Seconds(1));  // or a time of the wall clock: deadline.h
//
// The virtual thread is parked, and its carrier runs others. A sleep never ends early. It ends late by at most one tick
// of the timer wheel (0.26 ms; in a simulation a nanosecond) plus the time until a carrier is free. A sleep of zero or
// less, or until a time that has passed, lets the threads that wait for this carrier run first, like Yield(). While the
// machine is suspended, a Sleep() does not go on. What becomes of a SleepUntil() when the machine is suspended or the
// wall clock is set: deadline.h.
//
// Cancellation: Sleep(), SleepUntil() and Yield() are checkpoints. A cancelled sleep ends at once.
// Cost: one timer node in the frame, O(1) to arm and to cancel, from any carrier; nothing is allocated. The first sleep
// until a time of the wall clock makes the runtime watch that clock until the last one is over: a few microseconds.
#ifndef WEFT_TIME_H_
#define WEFT_TIME_H_

#include "weft/internal/compiler.h"

#include <coroutine>
#include <cstdint>
#include <source_location>

#include "absl/time/time.h"
#include "weft/deadline.h"
#include "weft/internal/deadline_timer.h"
#include "weft/internal/promise.h"
#include "weft/internal/timer_node.h"
#include "weft/internal/wait.h"
#include "weft/internal/wait_node.h"
#include "weft/time_span.h"

namespace weft {

namespace internal {
class SleepAwaiter;
class SleepUntilAwaiter;
class YieldAwaiter;
}  // namespace internal

// Parks for at least `duration`. absl::InfiniteDuration() sleeps until cancelled.
internal::SleepAwaiter Sleep(TimeSpan duration) noexcept;
// Parks until `deadline`, of the monotonic or the wall clock. An infinite one: until cancelled.
internal::SleepUntilAwaiter SleepUntil(Deadline deadline) noexcept;

// Lets every virtual thread that waits for this carrier run first.
internal::YieldAwaiter Yield() noexcept;

// The time of the wall clock.
absl::Time Now() noexcept;
// The time of a clock that nobody sets. In a simulation both clocks are virtual, so code that must run in one calls
// these functions instead of absl::Now(). Only virtual threads may call them, functions of Blocking() (blocking.h), and
// closures on the OS threads of an executor.
MonotonicTime MonotonicNow() noexcept;

// ---------------------------------------------------------------------------------------------------------------------

namespace internal {

class [[nodiscard("co_await the sleep")]] SleepAwaiter {
 public:
  using WeftAwaitable = void;
  using IsAwaitedOnce = void;

  explicit SleepAwaiter(absl::Duration duration) noexcept { timer_.deadline_ns = absl::ToInt64Nanoseconds(duration); }
  SleepAwaiter(SleepAwaiter&& other) noexcept { timer_.deadline_ns = other.timer_.deadline_ns; }  // not awaited yet

  bool await_ready() const noexcept {
    AtCheckpoint();
    return false;
  }
  template <WeftPromise Promise>
  void await_suspend(std::coroutine_handle<Promise> frame,
                     std::source_location where = std::source_location::current()) noexcept {
    Start({frame.promise(), where});
  }
  void await_resume() const noexcept {}
  SelectPart ForSelect() noexcept { return {this, &kSelect}; }

 private:
  void Start(AwaitingFrame frame) noexcept;
  static void Fire(TimerNode* node) noexcept;
  static bool Withdraw(ThreadBlock& thread) noexcept;
  void Arm() noexcept;

  static const WaitKind kWait;
  static const SelectableWait<ThreadBlock> kSelect;

  // For the thread, or a case of its Select(). Its deadline is the length of the sleep until it is armed: a sleeping
  // thread is small.
  TimerNode timer_;
};

class [[nodiscard("co_await the sleep")]] SleepUntilAwaiter {
 public:
  using WeftAwaitable = void;

  explicit SleepUntilAwaiter(Deadline deadline) noexcept : deadline_(deadline) {}
  SleepUntilAwaiter(SleepUntilAwaiter&& other) noexcept : deadline_(other.deadline_) {}  // before it is awaited

  bool await_ready() const noexcept {
    AtCheckpoint();
    return false;
  }
  template <WeftPromise Promise>
  void await_suspend(std::coroutine_handle<Promise> frame,
                     std::source_location where = std::source_location::current()) noexcept {
    Start({frame.promise(), where});
  }
  void await_resume() const noexcept {}
  SelectPart ForSelect() noexcept { return {this, &kSelect}; }

 private:
  void Start(AwaitingFrame frame) noexcept;

  static const WaitKind kWait;
  static const SelectableWait<ThreadBlock> kSelect;

  const Deadline deadline_;
  DeadlineTimer timer_;  // for the thread, or a case of its Select()
};

class [[nodiscard("co_await the yield")]] YieldAwaiter {
 public:
  using WeftAwaitable = void;

  bool await_ready() const noexcept {
    AtCheckpoint();
    return false;
  }
  template <WeftPromise Promise>
  void await_suspend(std::coroutine_handle<Promise> frame,
                     std::source_location where = std::source_location::current()) noexcept {
    if (EnterWait({frame.promise(), where}, kWait, nullptr)) YieldInstead();
  }
  void await_resume() const noexcept {}

 private:
  static constexpr WaitKind kWait = {ParkReason::kYield, /*timed=*/false, nullptr};
};

}  // namespace internal

inline internal::SleepAwaiter Sleep(TimeSpan duration) noexcept { return internal::SleepAwaiter(duration); }
inline internal::SleepUntilAwaiter SleepUntil(Deadline deadline) noexcept {
  return internal::SleepUntilAwaiter(deadline);
}
inline internal::YieldAwaiter Yield() noexcept { return {}; }

inline absl::Time Now() noexcept { return absl::FromUnixNanos(internal::RuntimeWallNow()); }
inline MonotonicTime MonotonicNow() noexcept {
  return MonotonicTime(absl::Nanoseconds(internal::RuntimeNow()));
}

}  // namespace weft

#endif  // WEFT_TIME_H_

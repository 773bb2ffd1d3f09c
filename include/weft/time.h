// Sleeping.
//
//   co_await weft::Sleep(absl::Milliseconds(10));
//
// The virtual thread is parked; its carrier runs others. A sleep never ends early, and late by at most one tick of the timer wheel
// (0.26 ms) plus the time until a carrier is free. A sleep of zero or less, or until a time that has passed, gives the carrier to
// whoever waits for it, as Yield() does.
//
// Cancellation: a checkpoint. A cancelled sleep ends at once.
// Cost: one timer node in the frame, O(1) to arm and to cancel; nothing is allocated.
#ifndef WEFT_TIME_H_
#define WEFT_TIME_H_

#include "weft/internal/compiler.h"

#include <coroutine>
#include <cstdint>
#include <source_location>

#include "absl/time/time.h"
#include "weft/internal/promise.h"
#include "weft/internal/scheduler.h"
#include "weft/internal/timer_wheel.h"

namespace weft {

namespace internal {

class [[nodiscard("co_await the sleep")]] SleepAwaiter {
 public:
  using WeftAwaitable = void;

  explicit SleepAwaiter(absl::Duration duration) noexcept : duration_(duration) {}
  SleepAwaiter(SleepAwaiter&& other) noexcept : duration_(other.duration_) {}  // before it is awaited

  bool await_ready() const noexcept {
    AtCheckpoint();
    return false;
  }
  template <WeftPromise Promise>
  void await_suspend(std::coroutine_handle<Promise> frame, std::source_location where = std::source_location::current()) noexcept {
    Start({frame.promise(), where});
  }
  void await_resume() const noexcept {}

 private:
  void Start(AwaitingFrame frame) noexcept;
  static void Fire(TimerNode* node) noexcept;
  static bool Withdraw(ThreadBlock& thread) noexcept;

  static const WaitKind kWait;

  struct Timer : TimerNode {
    ThreadBlock* thread = nullptr;
  };
  absl::Duration duration_;
  Timer timer_;
};

class [[nodiscard("co_await the yield")]] YieldAwaiter {
 public:
  using WeftAwaitable = void;

  bool await_ready() const noexcept {
    AtCheckpoint();
    return false;
  }
  template <WeftPromise Promise>
  void await_suspend(std::coroutine_handle<Promise> frame, std::source_location where = std::source_location::current()) noexcept {
    if (EnterWait({frame.promise(), where}, kWait, nullptr)) YieldInstead();
  }
  void await_resume() const noexcept {}

 private:
  static constexpr WaitKind kWait = {ParkReason::kYield, /*timed=*/false, nullptr};
};

}  // namespace internal

// Parks for at least `duration`. absl::InfiniteDuration() sleeps until cancelled.
inline internal::SleepAwaiter Sleep(absl::Duration duration) noexcept { return internal::SleepAwaiter(duration); }

// Lets every virtual thread that waits for this carrier run first. A checkpoint.
inline internal::YieldAwaiter Yield() noexcept { return {}; }

// The wall clock's time, and the time since some fixed point on a clock that nobody sets. In a simulation both are virtual: use them,
// rather than absl::Now(), in code that is to be simulated. Called on a virtual thread.
inline absl::Time Now() noexcept { return absl::FromUnixNanos(internal::RuntimeWallNow()); }
inline absl::Duration MonotonicNow() noexcept { return absl::Nanoseconds(internal::RuntimeNow()); }

}  // namespace weft

#endif  // WEFT_TIME_H_

// Layer runtime. Who tells the timers that wait for the wall clock that it was set?
//
// The kernel tells whoever reads a timerfd(2) of that clock with TFD_TIMER_CANCEL_ON_SET: the read fails, once for each
// time that the clock was set since the last read (by clock_settime(2), a step of NTP, a leap second, or the end of a
// suspend). While any carrier has such timers, one operation of the runtime waits until the timerfd can be read.
//
//   state      the timerfd   the operation             goes on with
//   kOff       closed        none                      Begin(): kOn, or blind and kOff
//   kOn        open          in flight                 the last End(): kStopping; its end: ClockWasSet(), and kOn again
//   kStopping  open          in flight, asked to end   its end: kOff, or kOn if there was a Begin() meanwhile
//
// No step is missed: a timer is armed after the Begin() of its carrier, and so while the timerfd is open, which notes
// steps also while nobody reads. The operation keeps the runtime: in kOn, which may last, like a thread that Start()
// has started; in kStopping, which is soon over, like a root that is about to end (Roots::unsettled).
//
// Blind: the kernel refuses a timerfd, or the wait for it. Then every timer looks at the clock once a second
// (WallTimers::kRecheckNanos), and the next Begin() tries again. A clock that is not the kernel's is not watched:
// whoever sets it calls ClockWasSet().
//
// Cost: nothing while no carrier has such timers; the first and the last one of a time, six system calls together.
// Rejected: the watchdog's OS thread, which sleeps for good while the carriers do; a virtual thread, which would be in
// every dump.
#ifndef WEFT_LIB_RUNTIME_CLOCK_WATCH_H_
#define WEFT_LIB_RUNTIME_CLOCK_WATCH_H_

#include <cstdint>

#include "lib/timer/wall_timers.h"
#include "weft/internal/atomic.h"
#include "weft/internal/lock.h"
#include "weft/internal/operation.h"

namespace weft::internal {

class RuntimeCore;

class WallClockWatch final : public ClockWatch {
 public:
  explicit WallClockWatch(RuntimeCore& runtime) noexcept;
  WallClockWatch(const WallClockWatch&) = delete;
  WallClockWatch& operator=(const WallClockWatch&) = delete;
  ~WallClockWatch() = default;  // off

  void Begin() noexcept override;
  void End() noexcept override;
  bool Sees() const noexcept override { return !blind_.load(std::memory_order_relaxed); }

  // Any thread: moves every timer, and rings its carrier, which may sleep for too long.
  void ClockWasSet() noexcept;

 private:
  enum class State : uint8_t { kOff, kOn, kStopping };

  static int32_t Look(int fd, void*) noexcept;
  void OperationEnded() noexcept;
  // lock_ is held:
  bool TurnOn() noexcept;
  bool StartLooking(bool& was_set) noexcept;
  void TurnOff() noexcept;

  RuntimeCore& runtime_;
  Atomic<bool> blind_{false};  // relaxed: a timer that is armed by the old value looks once too often, or a second late
  Lock lock_;
  // ---- Guarded by lock_.
  State state_ = State::kOff;
  int users_ = 0;  // carriers that have such timers
  Operation operation_;
};

}  // namespace weft::internal

#endif  // WEFT_LIB_RUNTIME_CLOCK_WATCH_H_

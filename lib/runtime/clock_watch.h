// Layer runtime. Who tells the timers that wait for the wall clock that it was set?
#ifndef WEFT_LIB_RUNTIME_CLOCK_WATCH_H_
#define WEFT_LIB_RUNTIME_CLOCK_WATCH_H_

#include "lib/timer/wall_timers.h"

namespace weft::internal {

class RuntimeCore;

class WallClockWatch final : public ClockWatch {
 public:
  explicit WallClockWatch(RuntimeCore& runtime) noexcept : runtime_(runtime) {}
  WallClockWatch(const WallClockWatch&) = delete;
  WallClockWatch& operator=(const WallClockWatch&) = delete;
  ~WallClockWatch() = default;

  void Begin() noexcept override {}
  void End() noexcept override {}
  bool Sees() const noexcept override { return true; }

  // Any thread: moves every timer, and rings its carrier, which may sleep for too long.
  void ClockWasSet() noexcept;

 private:
  RuntimeCore& runtime_;
};

}  // namespace weft::internal

#endif  // WEFT_LIB_RUNTIME_CLOCK_WATCH_H_

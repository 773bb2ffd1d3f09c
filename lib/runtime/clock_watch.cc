#include "lib/runtime/clock_watch.h"

#include <sys/timerfd.h>
#include <time.h>

#include <cerrno>
#include <cstdint>
#include <mutex>

#include "lib/os/syscalls.h"
#include "lib/runtime/runtime_core.h"
#include "lib/thread/runtime_services.h"

namespace weft::internal {
namespace {

// A timer of the kernel has a time. This one is in the year 2255.
constexpr itimerspec kNever = {.it_interval = {}, .it_value = {.tv_sec = 9'000'000'000, .tv_nsec = 0}};

// Returns a descriptor, or -1.
int OpenTimer() noexcept {
  const int fd = Sys().timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK | TFD_CLOEXEC);
  if (fd < 0) return -1;
  if (Sys().timerfd_settime(fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &kNever, nullptr) == 0) return fd;
  Sys().close(fd);
  return -1;
}

}  // namespace

WallClockWatch::WallClockWatch(RuntimeCore& runtime) noexcept
    : runtime_(runtime), operation_(IoRequest::CallWhenReadable({&Look, nullptr})) {}

// Called by the driver. -ECANCELED, which is no result of an operation, is what this is all about.
int32_t WallClockWatch::Look(int fd, void*) noexcept {
  uint64_t expirations;
  for (;;) {
    if (Sys().read(fd, &expirations, sizeof(expirations)) >= 0 || errno == ECANCELED) return 0;
    if (errno != EINTR) return -errno;
  }
}

void WallClockWatch::Begin() noexcept {
  if (!runtime_.config.watch_wall_clock) return;
  std::lock_guard guard(lock_);
  ++users_;
  if (state_ != State::kOff) return;
  blind_.store(!TurnOn(), std::memory_order_relaxed);
}

void WallClockWatch::End() noexcept {
  if (!runtime_.config.watch_wall_clock) return;
  std::lock_guard guard(lock_);
  if (--users_ > 0 || state_ != State::kOn) return;
  state_ = State::kStopping;
  // Both: at no time does nothing keep the runtime.
  runtime_.roots.Hold();
  runtime_.roots.UnscopedGone();
  operation_.driver->RequestCancel(operation_);
}

void WallClockWatch::ClockWasSet() noexcept {
  const uint32_t count = runtime_.carrier_count();
  for (uint32_t i = 0; i < count; ++i) {
    Carrier& carrier = runtime_.carrier(i);
    carrier.duties.wall_timers.ClockWasSet();
    runtime_.host->Ring(carrier);
  }
}

// Called by a carrier. If the clock is set at this moment, its timers are armed afterwards.
bool WallClockWatch::TurnOn() noexcept {
  const int fd = OpenTimer();
  if (fd < 0) return false;
  operation_.request.fd = fd;
  operation_.complete = [](Operation&) noexcept { Carrier::Current()->runtime.clock_watch.OperationEnded(); };
  runtime_.roots.HoldUnscoped();
  bool was_set = false;
  if (StartLooking(was_set)) return true;
  TurnOff();
  runtime_.roots.UnscopedGone();
  return false;
}

// On any carrier, whose driver has the operation from now on. False: it cannot be.
bool WallClockWatch::StartLooking(bool& was_set) noexcept {
  state_ = State::kOn;
  while (StartOperation(operation_)) {
    if (operation_.result < 0) return false;
    was_set = true;
  }
  return true;
}

void WallClockWatch::TurnOff() noexcept {
  state_ = State::kOff;
  runtime_.config.backend->Forget(operation_.request.fd);
  Sys().close(operation_.request.fd);
}

// Called by a carrier that polls.
void WallClockWatch::OperationEnded() noexcept {
  bool off = false;
  bool was_set = false;
  bool stopping;
  {
    std::lock_guard guard(lock_);
    stopping = state_ == State::kStopping;
    bool sees = operation_.cancelled || operation_.result >= 0;
    was_set = !operation_.cancelled && sees;
    if (users_ > 0 && sees) sees = StartLooking(was_set);
    off = users_ == 0 || !sees;
    if (off) {
      TurnOff();
    } else if (stopping) {  // kOn again
      runtime_.roots.HoldUnscoped();
      runtime_.roots.Gone();
    }
    if (!sees) blind_.store(true, std::memory_order_relaxed);
    was_set |= !sees;  // from here on the timers look more often
  }
  if (was_set) ClockWasSet();
  if (off) stopping ? runtime_.roots.Gone() : runtime_.roots.UnscopedGone();
}

}  // namespace weft::internal

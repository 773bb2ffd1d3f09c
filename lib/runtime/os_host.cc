#include "lib/runtime/os_host.h"

#include <cstdint>
#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "lib/os/futex.h"
#include "lib/os/thread.h"
#include "lib/runtime/carrier.h"
#include "lib/runtime/runtime_core.h"
#include "weft/internal/frame_cache.h"

namespace weft::internal {

// A driver is made by the OS thread that owns it, so StartCarrier() waits to hear whether that worked.
struct OsHost::Seat {
  OsHost& host;
  Carrier& carrier;
  Thread thread;
  absl::Status driver_status;
  Atomic<uint32_t> ready{0};
  Atomic<uint32_t> left{0};
};

OsHost::OsHost(std::shared_ptr<Backend> backend) noexcept : backend_(std::move(backend)) {}

OsHost::~OsHost() = default;

absl::Status OsHost::StartCarrier(Carrier& carrier) noexcept {
  auto seat = std::make_unique<Seat>(*this, carrier);
  absl::Status started = seat->thread.Start(absl::StrCat("weft-", carrier.index), &OsHost::RunCarrier, seat.get());
  if (!started.ok()) return started;
  AwaitDone(seat->ready);
  if (!seat->driver_status.ok()) {
    seat->thread.Join();
    return seat->driver_status;
  }
  seats_.push_back(std::move(seat));
  return absl::OkStatus();
}

void OsHost::RunCarrier(void* argument) noexcept {
  Seat& seat = *static_cast<Seat*>(argument);
  PrepareFrameCache();  // false: short of memory; the shared lists serve meanwhile
  absl::StatusOr<std::unique_ptr<Driver>> driver = seat.host.backend_->NewDriver();
  if (driver.ok()) {
    seat.carrier.driver = *std::move(driver);
  } else {
    seat.driver_status = driver.status();
  }
  const bool runs = seat.driver_status.ok();
  seat.host.AnnounceDone(seat.ready);
  if (!runs) return;
  seat.carrier.Main();
  // A driver is destroyed by its owner, and not before nobody can ring it: another carrier, or who stops the runtime.
  seat.host.AnnounceDone(seat.left);
  seat.host.AwaitDone(seat.host.all_left_);
  seat.carrier.driver.reset();
}

void OsHost::Park(Carrier& carrier, int64_t deadline_ns) noexcept {
  int64_t timeout = Driver::kNoTimeout;
  if (deadline_ns != INT64_MAX) timeout = std::max<int64_t>(deadline_ns - carrier.runtime.Now(), 0);
  carrier.driver->Poll(timeout);
}

void OsHost::Ring(Carrier& carrier) noexcept { carrier.driver->Ring(); }

void OsHost::AwaitDone(Atomic<uint32_t>& done) noexcept {
  // Acquire: pairs with the release in AnnounceDone(), before which the result was written.
  while (done.load(std::memory_order_acquire) == 0) FutexWait(done, 0);
}

void OsHost::AnnounceDone(Atomic<uint32_t>& done) noexcept {
  done.store(1, std::memory_order_release);
  FutexWake(done, INT32_MAX);
}

void OsHost::JoinCarriers() noexcept {
  for (std::unique_ptr<Seat>& seat : seats_) AwaitDone(seat->left);
  AnnounceDone(all_left_);
  for (std::unique_ptr<Seat>& seat : seats_) seat->thread.Join();
  seats_.clear();
}

}  // namespace weft::internal

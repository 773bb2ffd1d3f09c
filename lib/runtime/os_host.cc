#include "lib/runtime/os_host.h"

#include <pthread.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <memory>
#include <new>
#include <utility>

#include "absl/status/status.h"
#include "lib/coro/frame_cache.h"
#include "lib/os/futex.h"
#include "lib/os/thread.h"
#include "lib/os/worker_pool.h"
#include "lib/runtime/carrier.h"
#include "lib/runtime/runtime_core.h"
#include "weft/internal/frame_cache.h"

namespace weft::internal {

// The OS thread that owns a driver makes it, so StartCarrier() waits for the outcome.
struct OsHost::Seat {
  OsHost& host;
  Carrier& carrier;
  Thread thread;
  absl::Status driver_status;
  Atomic<uint32_t> ready{0};
  Atomic<uint32_t> left{0};
  std::unique_ptr<Seat> next = nullptr;  // in the list of the host
};

namespace {

absl::Status NoMemory() { return absl::ResourceExhaustedError("no memory for a carrier"); }

}  // namespace

OsHost::OsHost(std::shared_ptr<Backend> backend, const WorkerPool::Options& jobs) noexcept
    : backend_(std::move(backend)), jobs_(jobs) {}

OsHost::~OsHost() = default;

// Under the runtime's pool lock. When it returns true, the carrier's OS thread has a driver, and is about to call
// Main().
bool OsHost::StartCarrier(Carrier& carrier, absl::Status* why) noexcept {
  std::unique_ptr<Seat> seat(new (std::nothrow) Seat(*this, carrier));
  if (seat == nullptr) {
    if (why != nullptr) *why = NoMemory();
    return false;
  }
  char name[Thread::kMaxNameBytes + 1];
  std::snprintf(name, sizeof(name), "weft-%u", carrier.index);
  if (const int error = seat->thread.TryStart(name, &OsHost::RunCarrier, seat.get()); error != 0) {
    if (why != nullptr) *why = seat->thread.WhyNotStarted(error);
    return false;
  }
  AwaitDone(seat->ready);
  if (!seat->driver_status.ok()) {
    seat->thread.Join();
    // A status without words means that there was no memory for them.
    if (why != nullptr) *why = seat->driver_status.message().empty() ? NoMemory() : std::move(seat->driver_status);
    return false;
  }
  seat->next = std::exchange(seats_, nullptr);
  seats_ = std::move(seat);
  return true;
}

// The whole life of a carrier's OS thread.
void OsHost::RunCarrier(void* argument) noexcept {
  Seat& seat = *static_cast<Seat*>(argument);
  seat.carrier.os_thread = {::pthread_self(), ::gettid()};
  PrepareFrameCache();  // false: short of memory; the shared lists serve meanwhile
  absl::StatusOr<std::unique_ptr<Driver>> driver = seat.host.backend_->NewDriver();
  if (driver.ok()) {
    seat.carrier.duties.driver = *std::move(driver);
  } else {
    seat.driver_status = driver.status();
  }
  const bool runs = seat.driver_status.ok();
  seat.host.AnnounceDone(seat.ready);
  if (!runs) return;
  seat.carrier.Main();
  // A driver is destroyed by its owner, after the last thread that might ring it: another carrier, or the thread that
  // stops the runtime.
  seat.host.AnnounceDone(seat.left);
  seat.host.AwaitDone(seat.host.all_left_);
  seat.carrier.duties.driver.reset();
}

void OsHost::Park(Carrier& carrier, int64_t deadline_ns) noexcept {
  int64_t timeout = Driver::kNoTimeout;
  if (deadline_ns != INT64_MAX) timeout = std::max<int64_t>(deadline_ns - carrier.runtime.Now(), 0);
  carrier.duties.driver->Poll(timeout);
}

void OsHost::Ring(Carrier& carrier) noexcept { carrier.duties.driver->Ring(); }

void OsHost::AwaitDone(Atomic<uint32_t>& done) noexcept {
  // [done/1] acquire: pairs with [done/2], before which the result was written.
  while (done.load(std::memory_order_acquire) == 0) FutexWait(done, 0);
}

void OsHost::AnnounceDone(Atomic<uint32_t>& done) noexcept {
  done.store(1, std::memory_order_release);  // [done/2] release: pairs with [done/1]
  FutexWake(done, INT32_MAX);
}

void OsHost::AwaitChange(Atomic<uint32_t>& word, uint32_t expected) noexcept { FutexWait(word, expected); }

void OsHost::JoinCarriers() noexcept {
  for (Seat* seat = seats_.get(); seat != nullptr; seat = seat->next.get()) AwaitDone(seat->left);
  AnnounceDone(all_left_);
  while (seats_ != nullptr) {
    seats_->thread.Join();
    seats_ = std::exchange(seats_->next, nullptr);
  }
}

}  // namespace weft::internal

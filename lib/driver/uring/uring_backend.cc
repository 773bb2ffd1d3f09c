#include "lib/driver/uring/uring_backend.h"

#include <liburing.h>

#include <cerrno>
#include <mutex>
#include <memory>
#include <new>
#include <utility>

#include "lib/base/errno_status.h"
#include "lib/driver/pending_operations.h"
#include "lib/driver/uring/uring_driver.h"
#include "lib/driver/uring/uring_refusal.h"
#include "lib/os/syscalls.h"

namespace weft::internal {
namespace {

absl::Status CheckRing(UringDriver& driver) {
  io_uring& ring = driver.ring();
  // The kernel's structure ends with an array of a length that is not said.
  alignas(io_uring_probe) char memory[sizeof(io_uring_probe) + IORING_OP_LAST * sizeof(io_uring_probe_op)] = {};
  auto* const probe = reinterpret_cast<io_uring_probe*>(memory);
  int error = -Sys().io_uring_register(ring.ring_fd);
  if (error == 0) error = -io_uring_register_probe(&ring, probe, IORING_OP_LAST);
  if (error != 0) return UringRefused("io_uring_register", error);
  return CheckUringKernel(driver.features(), *probe);
}

}  // namespace

absl::StatusOr<std::shared_ptr<Backend>> UringBackend::Create(Options options) {
  std::shared_ptr<UringBackend> backend(new (std::nothrow) UringBackend(options));
  if (backend == nullptr) return ErrnoToStatus(ENOMEM, "allocating the io_uring backend");
  for (int i = 0; i < options.drivers; ++i) {
    absl::StatusOr<std::unique_ptr<UringDriver>> driver =
        UringDriver::Create(options.submission_entries, options.completion_entries, UringDriver::Shortage::kWaitFor);
    if (!driver.ok()) return driver.status();
    if (i == 0) {
      if (absl::Status status = CheckRing(**driver); !status.ok()) return status;
    }
    backend->made_.push_back(*std::move(driver));
  }
  return std::shared_ptr<Backend>(std::move(backend));
}

UringBackend::UringBackend(Options options) noexcept : options_(options) {}

UringBackend::~UringBackend() = default;

void UringBackend::CancelPending(int, PendingOperations& pending) noexcept {
  // With the lock held: an operation leaves the list before its complete(), so it is there, and its driver.
  std::lock_guard guard(pending.lock);
  for (Operation* op = pending.operations.front(); op != nullptr; op = pending.operations.Next(op)) {
    op->driver->RequestCancel(*op);
  }
}

absl::StatusOr<std::unique_ptr<Driver>> UringBackend::NewDriver() noexcept {
  std::unique_ptr<UringDriver> driver;
  {
    std::lock_guard guard(lock_);
    if (!made_.empty()) {
      driver = std::move(made_.back());
      made_.pop_back();
    }
  }
  if (driver == nullptr) {
    // Without a wait for memory: somebody may be waiting for this carrier, and goes on without it as well.
    absl::StatusOr<std::unique_ptr<UringDriver>> made =
        UringDriver::Create(options_.submission_entries, options_.completion_entries, UringDriver::Shortage::kRefuse);
    if (!made.ok()) return made.status();
    driver = *std::move(made);
  }
  driver->BelongToThisThread();
  return std::unique_ptr<Driver>(std::move(driver));
}

}  // namespace weft::internal

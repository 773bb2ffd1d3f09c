// Layer driver. Can this process use io_uring, and how are its drivers made?
//
//   absl::StatusOr<std::shared_ptr<Backend>> backend = UringBackend::Create({});
//
// Create() is the only place that decides. It makes the first drivers, as many as the runtime begins with, asks a ring
// what it can do, and has each of them enter the kernel once. So whatever a sandbox, a limit of locked memory or of
// descriptors refuses, it refuses here, where something else can still be chosen. A refusal is a status with the errno
// as a payload and a sentence about what a person can do. (uring_refusal.h)
//
// Rejected: asking a ring of one entry alone. It costs 8 KiB of locked memory and one descriptor, where 64 carriers
// take 2.3 MiB and 128. Rejected: epoll for those carriers for which there is no ring. It would leave the process
// without a descriptor for its sockets.
//
// What is asked for: Linux 6.0. The marker is the opcode SEND_ZC; before it, accept on a non-blocking listener did not
// wait. Everything else that the driver uses is older (EXT_ARG 5.11, multishot poll 5.13, CQE_SKIP 5.17).
#ifndef WEFT_LIB_DRIVER_URING_URING_BACKEND_H_
#define WEFT_LIB_DRIVER_URING_URING_BACKEND_H_

#include <memory>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "lib/driver/driver.h"
#include "weft/internal/lock.h"
#include "weft/internal/operation.h"

namespace weft::internal {

class UringDriver;

class UringBackend final : public Backend {
 public:
  struct Options {
    // Submissions that one io_uring_enter can carry, a power of two. More only saves calls; 64 bytes each.
    unsigned submission_entries = 256;
    // Completions that fit before the kernel has to queue them aside, which costs an allocation each and stops
    // multishot polls, a power of two. 16 bytes each. Unprivileged processes may lock 8 MiB as a rule, all rings
    // together: with these sizes that is 200 rings.
    unsigned completion_entries = 1024;
    // Made by Create(), and given out by the first calls of NewDriver(). At least 1.
    int drivers = 1;
  };

  static absl::StatusOr<std::shared_ptr<Backend>> Create(Options options);
  ~UringBackend() override;

  std::string_view name() const noexcept override { return "io_uring"; }
  absl::StatusOr<std::unique_ptr<Driver>> NewDriver() noexcept override;

  void CancelPending(int fd, PendingOperations& pending) noexcept override;
  // The kernel keeps nothing about a descriptor that no operation uses.
  void Forget(int) noexcept override {}

 private:
  explicit UringBackend(Options options) noexcept;

  const Options options_;
  Lock lock_;
  std::vector<std::unique_ptr<UringDriver>> made_;  // guarded by lock_; not given out yet
};

}  // namespace weft::internal

#endif  // WEFT_LIB_DRIVER_URING_URING_BACKEND_H_

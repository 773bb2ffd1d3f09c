// Layer io. Can this process use io_uring, and how are its drivers made?
//
//   absl::StatusOr<std::shared_ptr<Backend>> backend = UringBackend::Create({});
//
// Create() makes a ring and asks it what it can do, then gives it back; it is the only place that decides. A refusal is
// a status with the errno as a payload and a sentence about what a person can do.
//
// What is asked for: Linux 6.0. The marker is the opcode SEND_ZC; before it, accept on a non-blocking listener did not
// wait. Everything else that the driver uses is older (EXT_ARG 5.11, multishot poll 5.13, CQE_SKIP 5.17).
#ifndef WEFT_LIB_IO_URING_URING_BACKEND_H_
#define WEFT_LIB_IO_URING_URING_BACKEND_H_

#include <memory>
#include <string_view>

#include "absl/status/statusor.h"
#include "weft/internal/driver.h"

namespace weft::internal {

class UringBackend final : public Backend {
 public:
  struct Options {
    // Submissions that one io_uring_enter can carry, a power of two. More only saves calls; 64 bytes each.
    unsigned submission_entries = 256;
    // Completions that fit before the kernel has to queue them aside, which costs an allocation each and stops
    // multishot polls, a power of two. 16 bytes each. Unprivileged processes may lock 8 MiB as a rule, all rings together:
    // with these sizes that is 200 rings.
    unsigned completion_entries = 1024;
  };

  static absl::StatusOr<std::shared_ptr<Backend>> Create(Options options);

  std::string_view name() const noexcept override { return "io_uring"; }
  absl::StatusOr<std::unique_ptr<Driver>> NewDriver() noexcept override;

  void CancelPending(int fd, PendingOperations& pending) noexcept override;
  // The kernel keeps nothing about a descriptor that no operation uses.
  void Forget(int) noexcept override {}

 private:
  explicit UringBackend(Options options) noexcept : options_(options) {}

  const Options options_;
};

}  // namespace weft::internal

#endif  // WEFT_LIB_IO_URING_URING_BACKEND_H_

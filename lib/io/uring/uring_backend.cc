#include "lib/io/uring/uring_backend.h"

#include <fcntl.h>
#include <liburing.h>

#include <cerrno>
#include <mutex>
#include <new>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "lib/io/uring/uring_driver.h"
#include "lib/os/syscalls.h"
#include "weft/internal/errno_status.h"

namespace weft::internal {
namespace {

struct RequiredOpcode {
  int opcode;
  absl::string_view name;
};
constexpr RequiredOpcode kRequiredOpcodes[] = {
    {IORING_OP_POLL_ADD, "POLL_ADD"}, {IORING_OP_ASYNC_CANCEL, "ASYNC_CANCEL"},
    {IORING_OP_ACCEPT, "ACCEPT"},     {IORING_OP_CONNECT, "CONNECT"},
    {IORING_OP_SEND, "SEND"},         {IORING_OP_RECV, "RECV"},
    {IORING_OP_SEND_ZC, "SEND_ZC"},  // not used: it says Linux 6.0
};
constexpr unsigned kRequiredFeatures = IORING_FEAT_NODROP | IORING_FEAT_EXT_ARG | IORING_FEAT_CQE_SKIP;

// The setting, or 0 where the kernel has none (before 6.6).
char IoUringDisabled() noexcept {
  const int fd = Sys().openat(AT_FDCWD, "/proc/sys/kernel/io_uring_disabled", O_RDONLY | O_CLOEXEC, 0);
  if (fd < 0) return '0';
  char value = '0';
  const ssize_t size = Sys().read(fd, &value, 1);
  Sys().close(fd);
  return size == 1 ? value : '0';
}

// What io_uring_setup's refusal means, and what a person can do about it.
std::string Advice(int error) {
  switch (error) {
    case EPERM: {
      const char disabled = IoUringDisabled();
      if (disabled != '0') {
        return absl::StrCat("kernel.io_uring_disabled=", absl::string_view(&disabled, 1),
                            "; sysctl kernel.io_uring_disabled=0 allows it");
      }
      return "a seccomp filter, as in Docker; a profile that allows io_uring_setup, io_uring_enter and "
             "io_uring_register lifts it";
    }
    case ENOSYS:
      return "the kernel has no io_uring, or a sandbox such as gVisor hides it";
    case ENOMEM:
      return "no memory for the ring; on kernels before 5.12 RLIMIT_MEMLOCK (ulimit -l) limits it";
    case EMFILE:
      return "no free file descriptor in this process; RLIMIT_NOFILE (ulimit -n) limits them";
    case ENFILE:
      return "no free file descriptor in the system; fs.file-max limits them";
    case EINVAL:
      return "the kernel is older than Linux 6.0";
    default:
      return "unexpected";
  }
}

absl::Status Refused(int error) { return ErrnoToStatus(error, absl::StrCat("io_uring refused (", Advice(error), ")")); }

absl::Status TooOld(absl::string_view what) {
  return ErrnoToStatus(EOPNOTSUPP, absl::StrCat("io_uring refused (the kernel lacks ", what, ": Linux 6.0 has it)"));
}

absl::Status CheckRing(io_uring& ring) {
  if ((ring.features & kRequiredFeatures) != kRequiredFeatures) return TooOld("NODROP, EXT_ARG or CQE_SKIP");
  io_uring_probe* const probe = io_uring_get_probe_ring(&ring);
  if (probe == nullptr) return Refused(ENOMEM);
  absl::Status status;
  for (const auto& [opcode, name] : kRequiredOpcodes) {
    if (io_uring_opcode_supported(probe, opcode) == 0) status = TooOld(name);
  }
  io_uring_free_probe(probe);
  return status;
}

}  // namespace

absl::StatusOr<std::shared_ptr<Backend>> UringBackend::Create(Options options) {
  io_uring ring;
  io_uring_params params = {};
  int error = -Sys().io_uring_setup(1, params.flags);
  if (error == 0) error = -io_uring_queue_init_params(1, &ring, &params);
  if (error != 0) return Refused(error);
  const absl::Status status = CheckRing(ring);
  io_uring_queue_exit(&ring);
  if (!status.ok()) return status;
  std::shared_ptr<Backend> backend(new (std::nothrow) UringBackend(options));
  if (backend == nullptr) return ErrnoToStatus(ENOMEM, "allocating the io_uring backend");
  return backend;
}

void UringBackend::CancelPending(int, PendingOperations& pending) noexcept {
  // With the lock held: an operation leaves the list before its complete(), so it is there, and its driver.
  std::lock_guard guard(pending.lock);
  for (Operation* op = pending.operations.front(); op != nullptr; op = pending.operations.Next(op)) {
    op->driver->RequestCancel(*op);
  }
}

absl::StatusOr<std::unique_ptr<Driver>> UringBackend::NewDriver() noexcept {
  return UringDriver::Create(options_.submission_entries, options_.completion_entries);
}

}  // namespace weft::internal

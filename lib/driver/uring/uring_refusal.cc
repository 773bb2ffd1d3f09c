#include "lib/driver/uring/uring_refusal.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/types.h>

#include <cerrno>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "lib/base/errno_status.h"
#include "lib/os/syscalls.h"

namespace weft::internal {
namespace {

constexpr absl::string_view kSetup = "io_uring_setup";

struct Needed {
  unsigned number;
  absl::string_view name;
};
constexpr Needed kNeededFeatures[] = {
    {IORING_FEAT_NODROP, "NODROP"}, {IORING_FEAT_EXT_ARG, "EXT_ARG"}, {IORING_FEAT_CQE_SKIP, "CQE_SKIP"}};
constexpr Needed kNeededOpcodes[] = {
    {IORING_OP_POLL_ADD, "POLL_ADD"}, {IORING_OP_ASYNC_CANCEL, "ASYNC_CANCEL"},
    {IORING_OP_CONNECT, "CONNECT"},   {IORING_OP_SEND, "SEND"},
    {IORING_OP_RECV, "RECV"},
    {IORING_OP_SEND_ZC, "SEND_ZC"},  // not used: it says Linux 6.0
};

absl::Status TooOld(absl::string_view what) {
  return ErrnoToStatus(EOPNOTSUPP, absl::StrCat("io_uring refused (the kernel lacks ", what, ": Linux 6.0 has it)"));
}

// The setting, or 0 where the kernel has none (before 6.6).
char IoUringDisabled() noexcept {
  const int fd = Sys().openat(AT_FDCWD, "/proc/sys/kernel/io_uring_disabled", O_RDONLY | O_CLOEXEC, 0);
  if (fd < 0) return '0';
  char value = '0';
  const ssize_t size = Sys().read(fd, &value, 1);
  Sys().close(fd);
  return size == 1 ? value : '0';
}

// A seccomp filter chooses its errno freely; filters use these. Nothing else makes the later calls fail with them.
std::string Forbidden(absl::string_view call) {
  if (call == kSetup) {
    if (const char disabled = IoUringDisabled(); disabled != '0') {
      return absl::StrCat("kernel.io_uring_disabled=", absl::string_view(&disabled, 1),
                          "; sysctl kernel.io_uring_disabled=0 allows it");
    }
  }
  return "a seccomp filter, as in Docker; a profile that allows io_uring_setup, io_uring_enter and io_uring_register "
         "lifts it";
}

// The memory of rings is locked memory, and is counted for all processes of a user together, unless they have
// CAP_IPC_LOCK. (Kernels from 5.12 to 6.13 counted a part of it only.)
std::string NoMemory() {
  rlimit limit;
  if (getrlimit(RLIMIT_MEMLOCK, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return "no memory for the ring";
  return absl::StrCat("no memory for the ring; it is locked memory, of which a user's processes may have ",
                      limit.rlim_cur / 1024, " KiB together; RLIMIT_MEMLOCK (ulimit -l) is that limit");
}

std::string Advice(absl::string_view call, int error) {
  switch (error) {
    case EPERM:
    case EACCES:
      return Forbidden(call);
    case ENOSYS:
      return call == kSetup ? "the kernel has no io_uring, or a sandbox such as gVisor hides it" : Forbidden(call);
    case ENOMEM:
    case EAGAIN:
      return NoMemory();
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

}  // namespace

absl::Status UringRefused(absl::string_view call, int error) {
  return ErrnoToStatus(error, absl::StrCat("io_uring refused (", call, ": ", Advice(call, error), ")"));
}

absl::Status CheckUringKernel(unsigned features, const io_uring_probe& probe) {
  for (const auto& [feature, name] : kNeededFeatures) {
    if ((features & feature) == 0) return TooOld(name);
  }
  for (const auto& [opcode, name] : kNeededOpcodes) {
    if (io_uring_opcode_supported(&probe, static_cast<int>(opcode)) == 0) return TooOld(name);
  }
  return absl::OkStatus();
}

}  // namespace weft::internal

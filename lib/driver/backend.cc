#include "lib/driver/backend.h"

#include <unistd.h>

#include <cerrno>
#include <string>

#include "absl/strings/str_cat.h"
#include "lib/driver/epoll/epoll_backend.h"
#include "lib/driver/uring/uring_backend.h"
#include "lib/os/syscalls.h"
#include "weft/internal/atomic.h"

namespace weft::internal {
namespace {

void SayOnce(const absl::Status& refused) {
  static constinit Atomic<bool> said{false};
  // relaxed: it guards nothing but itself.
  if (said.exchange(true, std::memory_order_relaxed)) return;
  const std::string line = absl::StrCat("weft: ", refused.message(), "; using epoll\n");
  // One call, so that lines of several processes do not mix. A closed stderr is the user's choice.
  [[maybe_unused]] const ssize_t ignored = Sys().write(STDERR_FILENO, line.data(), line.size());
}

}  // namespace

absl::StatusOr<std::shared_ptr<Backend>> NewBackend(IoBackend choice, int drivers) {
  if (choice == IoBackend::kEpoll) return EpollBackend::Create();
  absl::StatusOr<std::shared_ptr<Backend>> backend = UringBackend::Create({.drivers = drivers});
  if (backend.ok() || choice == IoBackend::kUring) return backend;
  SayOnce(backend.status());
  return EpollBackend::Create();
}

}  // namespace weft::internal

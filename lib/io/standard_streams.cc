#include "weft/io/standard_streams.h"

#include <limits.h>

#include <cerrno>
#include <cstddef>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "lib/base/errno_status.h"
#include "lib/io/sigpipe.h"
#include "lib/os/syscalls.h"
#include "weft/blocking.h"
#include "weft/io/readiness.h"
#include "weft/task.h"

namespace weft::io {
namespace {

using internal::ErrnoToStatus;
using internal::Sys;

// A call that transfers bytes, or -errno; another process may have taken what made the descriptor ready (EAGAIN, if it
// was set to non-blocking mode).
template <class Call>
absl::StatusOr<ssize_t> Transfer(const Call& call, const char* what) {
  ssize_t result;
  do {
    result = call();
  } while (result < 0 && errno == EINTR);
  if (result < 0 && errno != EAGAIN) return ErrnoToStatus(errno, what);
  return result;
}

}  // namespace

Task<absl::StatusOr<size_t>> StandardInput::Read(MutableBuffer buffer) {
  // The object is a value, and may be gone.
  return [](int fd, MutableBuffer into) -> Task<absl::StatusOr<size_t>> {
    for (;;) {
      if (absl::Status ready = co_await WaitReadable(fd); !ready.ok()) co_return ready;
      const absl::StatusOr<ssize_t> got = co_await Blocking(
          [&] { return Transfer([&] { return Sys().read(fd, into.data(), into.size()); }, "read"); });
      if (!got.ok()) co_return got.status();
      if (*got >= 0) co_return static_cast<size_t>(*got);
    }
  }(fd_, buffer);
}

Task<absl::Status> StandardOutput::Write(ConstBuffer data) {
  internal::IgnoreSigpipe();
  return [](int fd, ConstBuffer left) -> Task<absl::Status> {
    do {
      if (absl::Status ready = co_await WaitWritable(fd); !ready.ok()) co_return ready;
      // A pipe that is ready has room for so much.
      const ConstBuffer chunk = left.first(PIPE_BUF);
      const absl::StatusOr<ssize_t> written = co_await Blocking(
          [&] { return Transfer([&] { return Sys().write(fd, chunk.data(), chunk.size()); }, "write"); });
      if (!written.ok()) co_return written.status();
      if (*written > 0) left.remove_prefix(static_cast<size_t>(*written));
    } while (!left.empty());
    co_return absl::OkStatus();
  }(fd_, data);
}

}  // namespace weft::io

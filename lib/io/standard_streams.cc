#include "weft/io/standard_streams.h"

#include <limits.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>

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

constexpr off_t kWhereItStands = -1;

// A transfer that has to wait has to wait for others: not for a disk, whose files are always ready.
bool WaitsForOthers(int fd) {
  struct stat status = {};
  return Sys().fstat(fd, &status) == 0 && (S_ISFIFO(status.st_mode) || S_ISSOCK(status.st_mode));
}

// Transfers bytes: `call` takes the flags of preadv2(2). That is done at once, or, if this kind of file does not know
// how not to wait (terminals, and pipes before Linux 6.5), or waits for a disk, on an OS thread that may block. Yields
// -1 if another process was faster.
template <class Call>
Task<absl::StatusOr<ssize_t>> Transfer(int fd, Call call, const char* what) {
  struct Transferred {
    ssize_t bytes;
    int error;
  };
  const auto transfer = [&call](int flags) noexcept {
    ssize_t result;
    do {
      result = call(flags);
    } while (result < 0 && errno == EINTR);
    return Transferred{result, result < 0 ? errno : 0};
  };
  Transferred done = transfer(RWF_NOWAIT);
  if (done.error == EOPNOTSUPP || (done.error == EAGAIN && !WaitsForOthers(fd))) {
    const absl::StatusOr<Transferred> waited = co_await Blocking([&] { return transfer(0); });
    if (!waited.ok()) co_return waited.status();
    done = *waited;
  }
  if (done.bytes < 0 && done.error != EAGAIN) co_return ErrnoToStatus(done.error, what);
  co_return done.bytes;
}

}  // namespace

Task<absl::StatusOr<size_t>> StandardInput::Read(MutableBuffer buffer) {
  // The object is a value, and may be gone.
  return [](int fd, MutableBuffer into) -> Task<absl::StatusOr<size_t>> {
    const iovec part = {into.data(), into.size()};
    const auto read = [&](int flags) { return Sys().preadv2(fd, &part, 1, kWhereItStands, flags); };
    for (;;) {
      if (absl::Status ready = co_await WaitReadable(fd); !ready.ok()) co_return ready;
      const absl::StatusOr<ssize_t> got = co_await Transfer(fd, read, "read");
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
      const iovec part = {const_cast<char*>(chunk.data()), chunk.size()};
      const auto write = [&](int flags) { return Sys().pwritev2(fd, &part, 1, kWhereItStands, flags); };
      const absl::StatusOr<ssize_t> written = co_await Transfer(fd, write, "write");
      if (!written.ok()) co_return written.status();
      if (*written > 0) left.remove_prefix(static_cast<size_t>(*written));
    } while (!left.empty());
    co_return absl::OkStatus();
  }(fd_, data);
}

}  // namespace weft::io

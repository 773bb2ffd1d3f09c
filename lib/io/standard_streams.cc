#include "weft/io/standard_streams.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "lib/base/errno_status.h"
#include "lib/io/sigpipe.h"
#include "lib/os/syscalls.h"
#include "weft/blocking.h"
#include "weft/internal/checkpoint.h"
#include "weft/io/pipe.h"
#include "weft/io/readiness.h"
#include "weft/task.h"

namespace weft::io {
namespace {

using internal::ErrnoToStatus;
using internal::Sys;

constexpr off_t kWhereItStands = -1;
constexpr size_t kMaxBytesNow = size_t{256} << 10;  // copied on the carrier: some 30 us

mode_t ModeOf(int fd) {
  struct stat status = {};
  return Sys().fstat(fd, &status) == 0 ? status.st_mode : 0;
}

// A transfer that has to wait has to wait for others: not for a disk, whose files are always ready.
bool WaitsForOthers(int fd) {
  const mode_t mode = ModeOf(fd);
  return S_ISFIFO(mode) || S_ISSOCK(mode);
}

// Not every kind of file knows how not to wait (EOPNOTSUPP; EINVAL of f2fs), nor every kernel and sandbox the call. Any
// other error is the file's own, and a socket says it once.
bool CannotBeMadeNow(int error) { return error == EOPNOTSUPP || error == EINVAL || error == ENOSYS || error == EPERM; }

// Transfers bytes: at once, by `try_now`; or, if that cannot be or has to wait for a disk, by `call`, on an OS thread
// that may block. Yields -1 if another process was faster.
template <class TryNow, class Call>
Task<absl::StatusOr<ssize_t>> Transfer(int fd, TryNow try_now, Call call, const char* what) {
  struct Transferred {
    ssize_t bytes;
    int error;
  };
  const auto repeat = [](const auto& make) noexcept {
    ssize_t result;
    do {
      result = make();
    } while (result < 0 && errno == EINTR);
    return Transferred{result, result < 0 ? errno : 0};
  };
  Transferred done = repeat(try_now);
  if (CannotBeMadeNow(done.error) || (done.error == EAGAIN && !WaitsForOthers(fd))) {
    const absl::StatusOr<Transferred> waited = co_await Blocking([&] { return repeat(call); });
    if (!waited.ok()) co_return waited.status();
    done = *waited;
  }
  if (done.bytes < 0 && done.error != EAGAIN) co_return ErrnoToStatus(done.error, what);
  co_return done.bytes;
}

// A terminal says that it has room also if that is less than a chunk, and knows no RWF_NOWAIT: a write would wait, and
// could not be cancelled. What is opened anew has a mode of its own, in which none waits. Null: `fd` is no terminal, or
// the system refuses (it is another user's, after su), or it is the master's side, which would be another terminal.
std::optional<PipeWriter> OpenTerminal(int fd) {
  int number;
  if (::isatty(fd) != 1 || ::ioctl(fd, TIOCGPTN, &number) == 0) return std::nullopt;
  const std::string path = absl::StrCat("/proc/self/fd/", fd);
  const int opened = Sys().openat(AT_FDCWD, path.c_str(), O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0);
  if (opened < 0) return std::nullopt;
  absl::StatusOr<PipeWriter> writer = PipeWriter::Adopt(opened);
  if (!writer.ok()) return std::nullopt;
  return *std::move(writer);
}

Task<absl::Status> WriteToTerminal(PipeWriter terminal, ConstBuffer left) {
  do {
    // The carrier copies it.
    const ConstBuffer chunk = left.first(PIPE_BUF);
    if (absl::Status written = co_await terminal.Write(chunk); !written.ok()) co_return written;
    left.remove_prefix(chunk.size());
  } while (!left.empty());
  co_return absl::OkStatus();
}

}  // namespace

Task<absl::StatusOr<size_t>> StandardInput::Read(MutableBuffer buffer) {
  // The object is a value, and may be gone.
  return [](int fd, MutableBuffer into) -> Task<absl::StatusOr<size_t>> {
    if (into.empty()) {
      co_await internal::CheckpointAwaiter();
      co_return 0;
    }
    const iovec part = {into.data(), std::min(into.size(), kMaxBytesNow)};
    // Linux 5.9 and 5.10 say 0 for what is not in the cache of a file. (preadv2(2), BUGS)
    const auto try_now = [&] {
      const ssize_t bytes = Sys().preadv2(fd, &part, 1, kWhereItStands, RWF_NOWAIT);
      if (bytes != 0 || !S_ISREG(ModeOf(fd))) return bytes;
      errno = EAGAIN;
      return ssize_t{-1};
    };
    const auto read = [&] { return Sys().read(fd, into.data(), into.size()); };
    for (;;) {
      if (absl::Status ready = co_await WaitReadable(fd); !ready.ok()) co_return ready;
      const absl::StatusOr<ssize_t> got = co_await Transfer(fd, try_now, read, "read");
      if (!got.ok()) co_return got.status();
      if (*got >= 0) co_return static_cast<size_t>(*got);
    }
  }(fd_, buffer);
}

Task<absl::Status> StandardOutput::Write(ConstBuffer data) {
  internal::IgnoreSigpipe();
  return [](int fd, ConstBuffer left) -> Task<absl::Status> {
    if (std::optional<PipeWriter> terminal = OpenTerminal(fd)) {
      co_return co_await WriteToTerminal(*std::move(terminal), left);
    }
    do {
      if (absl::Status ready = co_await WaitWritable(fd); !ready.ok()) co_return ready;
      // A pipe that is ready has room for so much.
      const ConstBuffer chunk = left.first(PIPE_BUF);
      const iovec part = {const_cast<char*>(chunk.data()), chunk.size()};
      const auto try_now = [&] { return Sys().pwritev2(fd, &part, 1, kWhereItStands, RWF_NOWAIT); };
      const auto write = [&] { return Sys().write(fd, chunk.data(), chunk.size()); };
      const absl::StatusOr<ssize_t> written = co_await Transfer(fd, try_now, write, "write");
      if (!written.ok()) co_return written.status();
      if (*written > 0) left.remove_prefix(static_cast<size_t>(*written));
    } while (!left.empty());
    co_return absl::OkStatus();
  }(fd_, data);
}

}  // namespace weft::io

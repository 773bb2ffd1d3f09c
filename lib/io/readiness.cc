#include "weft/io/readiness.h"

#include <fcntl.h>

#include <cerrno>
#include <cstdint>

#include "absl/status/status.h"
#include "lib/base/errno_status.h"
#include "lib/io/poll_call.h"
#include "lib/os/syscalls.h"
#include "weft/internal/checkpoint.h"
#include "weft/internal/descriptor.h"
#include "weft/task.h"

namespace weft::io {
namespace {

using internal::ErrnoToStatus;
using internal::OwnedDescriptor;
using internal::PollAwaiter;

Task<absl::Status> WaitFor(int fd, PollAwaiter::For wanted, const char* what) {
  // Whatever is returned then, a loop over this lets others run, and ends when it is cancelled.
  co_await internal::CheckpointAwaiter();
  // What is ready needs no descriptor: it can be used also while these are short.
  if (const int32_t now = PollAwaiter::Now(fd, wanted); now != -EAGAIN) co_return ErrnoToStatus(-now, what);
  OwnedDescriptor duplicate = OwnedDescriptor::Empty();
  if (!duplicate) co_return ErrnoToStatus(ENOMEM, what);
  const int number = internal::Sys().fcntl(fd, F_DUPFD_CLOEXEC, 0);
  if (number < 0) co_return ErrnoToStatus(errno, what);
  duplicate.Open(number);
  const int32_t result = co_await PollAwaiter(duplicate.Use(what), wanted);
  co_return ErrnoToStatus(-result, what);
}

}  // namespace

Task<absl::Status> WaitReadable(int fd) { return WaitFor(fd, PollAwaiter::For::kReadable, "WaitReadable"); }

Task<absl::Status> WaitWritable(int fd) { return WaitFor(fd, PollAwaiter::For::kWritable, "WaitWritable"); }

}  // namespace weft::io

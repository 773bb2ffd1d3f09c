#include "weft/io/pipe.h"

#include <fcntl.h>
#include <sys/uio.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "lib/base/errno_status.h"
#include "lib/io/call_awaiter.h"
#include "lib/io/parts.h"
#include "lib/io/sigpipe.h"
#include "lib/os/syscalls.h"
#include "weft/internal/descriptor.h"
#include "weft/internal/operation.h"
#include "weft/task.h"

namespace weft::io {
namespace {

using internal::CallAwaiter;
using internal::DescriptorRef;
using internal::DescriptorUse;
using internal::ErrnoToStatus;
using internal::IoRequest;
using internal::OwnedDescriptor;
using internal::Parts;
using internal::Sys;

// `useless`: the access mode with which it is of no use.
absl::StatusOr<OwnedDescriptor> Adopted(int fd, int useless) {
  const int flags = Sys().fcntl(fd, F_GETFL, 0);
  const int error = flags < 0 ? errno : 0;
  if (error == EBADF) return ErrnoToStatus(EBADF, "Adopt()");  // nothing is open to be closed
  OwnedDescriptor descriptor = OwnedDescriptor::Empty();
  if (!descriptor) {
    Sys().close(fd);
    return ErrnoToStatus(ENOMEM, "Adopt()");
  }
  descriptor.Open(fd);
  if (error != 0) return ErrnoToStatus(error, "Adopt()");
  // Reading or writing would be EBADF, which is for what we have closed. (IsClosed)
  if ((flags & O_ACCMODE) == useless || (flags & O_PATH) != 0) {
    return absl::InvalidArgumentError(absl::StrCat("Adopt() of a descriptor that is not open for ",
                                                   useless == O_WRONLY ? "reading" : "writing"));
  }
  if ((flags & O_NONBLOCK) == 0 && Sys().fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0) {
    return ErrnoToStatus(errno, "Adopt()");
  }
  return descriptor;
}

class WriteCall : public CallAwaiter {
 public:
  WriteCall(DescriptorUse use, const Parts& parts) noexcept
      : CallAwaiter(IoRequest::CallWhenWritable({&Make, this}), std::move(use), kSend),
        count_(parts.Fill(parts_).count) {}

 private:
  static int32_t Make(int fd, void* self) noexcept {
    const auto& call = *static_cast<WriteCall*>(self);
    const ssize_t written = Sys().writev(fd, call.parts_, call.count_);
    return written < 0 ? -errno : static_cast<int32_t>(written);
  }

  iovec parts_[Parts::kMaxAtOnce];
  int count_;
};

// Writes `parts`, or, without parts, `data`. It may go on after the writer was destroyed, which closes it. Begins a
// call also if there is nothing to write, because it is a checkpoint.
Task<absl::Status> WriteAll(DescriptorRef descriptor, ConstBuffer data, std::span<const ConstBuffer> parts) {
  Parts left(parts.empty() ? std::span<const ConstBuffer>(&data, 1) : parts);
  do {
    const int32_t written = co_await WriteCall(DescriptorUse(descriptor.get()), left);
    if (written < 0) co_return ErrnoToStatus(-written, "write");
    left.Skip(static_cast<size_t>(written));
  } while (!left.empty());
  co_return absl::OkStatus();
}

}  // namespace

absl::StatusOr<PipeEnds> MakePipe() {
  internal::IgnoreSigpipe();
  // First, so that no descriptor is opened without memory for it.
  OwnedDescriptor reader = OwnedDescriptor::Empty();
  OwnedDescriptor writer = OwnedDescriptor::Empty();
  if (!reader || !writer) return ErrnoToStatus(ENOMEM, "pipe");
  int fds[2];
  if (Sys().pipe2(fds, O_CLOEXEC | O_NONBLOCK) != 0) return ErrnoToStatus(errno, "pipe");
  reader.Open(fds[0]);
  writer.Open(fds[1]);
  return PipeEnds{.reader = PipeReader(std::move(reader)), .writer = PipeWriter(std::move(writer))};
}

absl::StatusOr<PipeReader> PipeReader::Adopt(int fd) {
  absl::StatusOr<OwnedDescriptor> descriptor = Adopted(fd, O_WRONLY);
  if (!descriptor.ok()) return descriptor.status();
  return PipeReader(*std::move(descriptor));
}

absl::StatusOr<PipeWriter> PipeWriter::Adopt(int fd) {
  internal::IgnoreSigpipe();
  absl::StatusOr<OwnedDescriptor> descriptor = Adopted(fd, O_RDONLY);
  if (!descriptor.ok()) return descriptor.status();
  return PipeWriter(*std::move(descriptor));
}

Task<absl::Status> PipeWriter::Write(ConstBuffer data) { return WriteAll(descriptor_.Share("Write()"), data, {}); }

Task<absl::Status> PipeWriter::WriteParts(std::span<const ConstBuffer> parts) {
  return WriteAll(descriptor_.Share("Write()"), {}, parts);
}

}  // namespace weft::io

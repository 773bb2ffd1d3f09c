#include "weft/internal/read_call.h"

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "lib/base/errno_status.h"
#include "lib/io/parts.h"
#include "lib/os/syscalls.h"
#include "weft/internal/operation.h"

namespace weft::internal {
ReadCall::ReadCall(DescriptorUse use, MutableBuffer buffer) noexcept
    : OperationAwaiter(IoRequest::CallWhenReadable({&Make, this}), std::move(use), kReceive),
      buffer_(buffer.first(kMaxBytesAtOnce)) {}

ReadCall::ReadCall(ReadCall&& other) noexcept : OperationAwaiter(std::move(other)), buffer_(other.buffer_) {
  request().call.data = this;
}

int32_t ReadCall::Make(int fd, void* self) noexcept {
  const MutableBuffer& buffer = static_cast<ReadCall*>(self)->buffer_;
  if (buffer.empty()) return 0;
  const ssize_t got = Sys().read(fd, buffer.data(), buffer.size());
  return got < 0 ? -errno : static_cast<int32_t>(got);
}

absl::StatusOr<size_t> ReadCall::await_resume() const {
  const int32_t result = OperationAwaiter::await_resume();
  if (result < 0) return ErrnoToStatus(-result, "read");
  return static_cast<size_t>(result);
}

}  // namespace weft::internal

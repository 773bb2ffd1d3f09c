#include "lib/net/send_parts.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include "lib/os/syscalls.h"
#include "weft/internal/operation.h"

namespace weft::internal {

void PartsToSend::Skip(size_t bytes) noexcept {
  sent_of_first_ += bytes;
  while (!parts_.empty() && sent_of_first_ >= parts_.front().size()) {
    sent_of_first_ -= parts_.front().size();
    parts_ = parts_.subspan(1);
  }
}

size_t PartsToSend::Fill(iovec (&into)[kMaxParts]) const noexcept {
  const size_t count = std::min(parts_.size(), kMaxParts);
  size_t sent = sent_of_first_;
  for (size_t i = 0; i < count; ++i) {
    // The kernel only reads it.
    into[i] = {.iov_base = const_cast<char*>(parts_[i].data() + sent), .iov_len = parts_[i].size() - sent};
    sent = 0;
  }
  return count;
}

SendPartsAwaiter::SendPartsAwaiter(DescriptorUse use, const PartsToSend& parts) noexcept
    : CallAwaiter(IoRequest::CallWhenWritable({&Make, this}), std::move(use), kSend) {
  message_.msg_iov = parts_;
  message_.msg_iovlen = parts.Fill(parts_);
}

int32_t SendPartsAwaiter::Make(int fd, void* self) noexcept {
  const auto& message = static_cast<SendPartsAwaiter*>(self)->message_;
  const ssize_t sent = Sys().sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
  return sent < 0 ? -errno : static_cast<int32_t>(sent);
}

}  // namespace weft::internal

#include "lib/net/messages.h"

#include <sys/socket.h>

#include <cerrno>
#include <cstdint>
#include <utility>

#include "lib/net/passed_descriptors.h"
#include "lib/os/syscalls.h"
#include "weft/internal/operation.h"

namespace weft::internal {

SendMessageAwaiter::SendMessageAwaiter(DescriptorUse use, const Message& message) noexcept
    : CallAwaiter(IoRequest::CallWhenWritable({&Make, const_cast<Message*>(&message)}), std::move(use), kSend) {}

int32_t SendMessageAwaiter::Make(int fd, void* message) noexcept {
  const msghdr& header = static_cast<const Message*>(message)->header();
  const ssize_t sent = Sys().sendmsg(fd, &header, MSG_DONTWAIT | MSG_NOSIGNAL);
  return sent < 0 ? -errno : static_cast<int32_t>(sent);
}

ReceiveMessageAwaiter::ReceiveMessageAwaiter(DescriptorUse use, Message& message,
                                             ReceivedDescriptors* descriptors) noexcept
    : CallAwaiter(IoRequest::CallWhenReadable({&Make, this}), std::move(use), kReceive),
      message_(message),
      descriptors_(descriptors) {}

int32_t ReceiveMessageAwaiter::Make(int fd, void* self) noexcept {
  auto& receive = *static_cast<ReceiveMessageAwaiter*>(self);
  const ssize_t received = Sys().recvmsg(fd, &receive.message_.header(), MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  if (received < 0) return -errno;
  if (receive.descriptors_ != nullptr) receive.descriptors_->Own();
  return static_cast<int32_t>(received);
}

}  // namespace weft::internal

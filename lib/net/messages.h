// Layer net. How does a virtual thread send or receive one message: with an address, or with descriptors?
//
//   msghdr message = {...};
//   const int32_t sent = co_await SendMessageAwaiter(socket.Use("SendTo()"), message);   // bytes, or -errno
//
// The message, and all that it points to, must stay until the call has ended.
#ifndef WEFT_LIB_NET_MESSAGES_H_
#define WEFT_LIB_NET_MESSAGES_H_

#include <sys/socket.h>
#include <sys/uio.h>

#include <cstddef>
#include <cstdint>

#include "lib/io/call_awaiter.h"
#include "lib/net/passed_descriptors.h"
#include "weft/internal/descriptor.h"
#include "weft/io/buffer.h"
#include "weft/net/socket_address.h"

namespace weft::internal {

// A message of one buffer.
class Message {
 public:
  explicit Message(ConstBuffer data) noexcept : Message(data.data(), data.size()) {}
  explicit Message(MutableBuffer buffer) noexcept : Message(buffer.data(), buffer.size()) {}
  Message(const Message&) = delete;
  Message& operator=(const Message&) = delete;

  msghdr& header() noexcept { return header_; }
  const msghdr& header() const noexcept { return header_; }
  bool truncated() const noexcept { return (header_.msg_flags & MSG_TRUNC) != 0; }

 private:
  Message(const char* data, size_t size) noexcept : part_{const_cast<char*>(data), size} {
    header_.msg_iov = &part_;
    header_.msg_iovlen = 1;
  }

  iovec part_;
  msghdr header_ = {};
};

// (messages.cc)
class SendMessageAwaiter : public CallAwaiter {
 public:
  SendMessageAwaiter(DescriptorUse use, const Message& message) noexcept;

 private:
  static int32_t Make(int fd, void* message) noexcept;
};

// (messages.cc)
class ReceiveMessageAwaiter : public CallAwaiter {
 public:
  // `descriptors` may be null: the kernel closes those that come.
  ReceiveMessageAwaiter(DescriptorUse use, Message& message, ReceivedDescriptors* descriptors = nullptr) noexcept;

 private:
  static int32_t Make(int fd, void* self) noexcept;

  Message& message_;
  ReceivedDescriptors* const descriptors_;
};

}  // namespace weft::internal

#endif  // WEFT_LIB_NET_MESSAGES_H_

// The awaiters of a socket's operations that no template needs. (weft/internal/socket.h has what they derive from.)
#ifndef WEFT_LIB_NET_SOCKET_AWAITERS_H_
#define WEFT_LIB_NET_SOCKET_AWAITERS_H_

#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "lib/io/call_awaiter.h"
#include "lib/io/parts.h"
#include "lib/os/syscalls.h"
#include "weft/internal/descriptor.h"
#include "weft/internal/operation.h"
#include "weft/internal/socket.h"
#include "weft/net/socket_address.h"

namespace weft::internal {

class SendAwaiter : public OperationAwaiter {
 public:
  SendAwaiter(DescriptorUse use, const char* buffer, size_t length) noexcept
      : OperationAwaiter(IoRequest::Send(buffer, length), std::move(use), kSend) {}
};

class AcceptAwaiter : public OperationAwaiter {
 public:
  explicit AcceptAwaiter(DescriptorUse use) noexcept
      : OperationAwaiter(IoRequest::Accept(nullptr, nullptr), std::move(use), kAccept) {}
};

// Of a Unix listener. The call of its own is for its end: once it is shut down, accept(2) would say EAGAIN for ever, if
// the listener is in non-blocking mode. (That of a TCP listener says EINVAL.)
class UnixAcceptAwaiter : public CallAwaiter {
 public:
  explicit UnixAcceptAwaiter(DescriptorUse use) noexcept
      : CallAwaiter(IoRequest::CallWhenReadable({&Make, nullptr}), std::move(use), kAccept) {}

 private:
  static int32_t Make(int fd, void*) noexcept {
    const int accepted = Sys().accept4(fd, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (accepted >= 0) return accepted;
    if (errno != EAGAIN) return -errno;
    // Another process may have done it, too.
    pollfd listener = {.fd = fd, .events = POLLRDHUP, .revents = 0};
    return Sys().poll(&listener, 1, /*timeout_ms=*/0) > 0 ? -EINVAL : -EAGAIN;
  }
};

// Sends the next of `parts`.
class SendPartsAwaiter : public CallAwaiter {
 public:
  SendPartsAwaiter(DescriptorUse use, const Parts& parts) noexcept
      : CallAwaiter(IoRequest::CallWhenWritable({&Make, this}), std::move(use), kSend) {
    message_.msg_iov = parts_;
    message_.msg_iovlen = static_cast<size_t>(parts.Fill(parts_).count);
  }

 private:
  static int32_t Make(int fd, void* self) noexcept {
    const msghdr& message = static_cast<SendPartsAwaiter*>(self)->message_;
    if (message.msg_iovlen == 0) return 0;  // sendmsg(2) would look at the state of the socket
    const ssize_t sent = Sys().sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    return sent < 0 ? -errno : static_cast<int32_t>(sent);
  }

  iovec parts_[Parts::kMaxAtOnce];
  msghdr message_ = {};
};

// `address` must stay until the operation has ended: the kernel reads it.
class ConnectAwaiter : public OperationAwaiter {
 public:
  ConnectAwaiter(DescriptorUse use, const net::SocketAddress& address) noexcept
      : OperationAwaiter(IoRequest::Connect(address.data(), &size_), std::move(use), kConnect), size_(address.size()) {}

 private:
  ConnectAwaiter(const ConnectAwaiter&) = delete;  // the operation refers to what is in here

  socklen_t size_;
};

}  // namespace weft::internal

#endif  // WEFT_LIB_NET_SOCKET_AWAITERS_H_

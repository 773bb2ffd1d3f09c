// The awaiters of a socket's operations that no template needs. (weft/internal/socket.h has what they derive from.)
#ifndef WEFT_LIB_NET_SOCKET_AWAITERS_H_
#define WEFT_LIB_NET_SOCKET_AWAITERS_H_

#include <sys/socket.h>

#include <cstddef>
#include <utility>

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

// `address` is kept here: the kernel reads it until the operation has ended.
class ConnectAwaiter : public OperationAwaiter {
 public:
  ConnectAwaiter(DescriptorUse use, const net::SocketAddress& address) noexcept
      : OperationAwaiter(IoRequest::Connect(nullptr, &size_), std::move(use), kConnect),
        address_(address),
        size_(address.size()) {
    request() = IoRequest::Connect(address_.data(), &size_);
  }

 private:
  ConnectAwaiter(const ConnectAwaiter&) = delete;  // the operation refers to what is in here

  const net::SocketAddress address_;
  socklen_t size_;
};

}  // namespace weft::internal

#endif  // WEFT_LIB_NET_SOCKET_AWAITERS_H_

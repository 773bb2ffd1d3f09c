#include "lib/net/datagrams.h"

#include <sys/socket.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "lib/net/messages.h"
#include "lib/os/syscalls.h"
#include "weft/internal/descriptor.h"
#include "weft/internal/socket.h"
#include "weft/io/buffer.h"
#include "weft/net/datagram.h"
#include "weft/net/socket_address.h"
#include "weft/task.h"

namespace weft::internal {

absl::Status ConnectDatagrams(const Socket& socket, const net::SocketAddress& peer) {
  const DescriptorUse use = socket.Use("SetPeer()");
  if (!use) return SocketStatus(EBADF, "SetPeer()");
  if (Sys().connect(use.fd(), peer.data(), peer.size()) == 0) return absl::OkStatus();
  return SocketStatus(errno, absl::StrCat("connect to ", peer.ToString()));
}

void SetReceiver(Message& message, const net::SocketAddress& receiver) noexcept {
  message.header().msg_name = const_cast<sockaddr*>(receiver.data());  // the kernel only reads it
  message.header().msg_namelen = receiver.size();
}

SenderBuffer::SenderBuffer(Message& message) noexcept {
  message.header().msg_name = &address_;
  message.header().msg_namelen = sizeof(address_);
}

absl::StatusOr<net::Datagram> SenderBuffer::Received(const Message& message, int32_t size) const {
  sockaddr_storage address = address_;
  socklen_t length = message.header().msg_namelen;
  if (length == 0) {  // a Unix socket without a name
    address.ss_family = AF_UNIX;
    length = sizeof(address.ss_family);
  }
  absl::StatusOr<net::SocketAddress> sender =
      net::SocketAddress::From(reinterpret_cast<const sockaddr*>(&address), length);
  if (!sender.ok()) return sender.status();
  return net::Datagram{.size = static_cast<size_t>(size), .truncated = message.truncated(), .sender = *sender};
}

Task<absl::StatusOr<net::Datagram>> ReceiveDatagram(DescriptorRef socket, MutableBuffer buffer) {
  Message message(buffer);
  const SenderBuffer sender(message);
  const int32_t got = co_await ReceiveMessageAwaiter(DescriptorUse(socket.get()), message);
  if (got < 0) co_return SocketStatus(-got, "receive");
  co_return sender.Received(message, got);
}

}  // namespace weft::internal

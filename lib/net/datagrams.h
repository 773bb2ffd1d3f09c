// Layer net. What do UdpSocket and UnixDatagram do alike?
#ifndef WEFT_LIB_NET_DATAGRAMS_H_
#define WEFT_LIB_NET_DATAGRAMS_H_

#include <sys/socket.h>

#include <cstdint>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "lib/net/messages.h"
#include "weft/internal/descriptor.h"
#include "weft/internal/socket.h"
#include "weft/io/buffer.h"
#include "weft/net/datagram.h"
#include "weft/net/socket_address.h"
#include "weft/task.h"

namespace weft::internal {

// connect(2), which does not wait for these sockets.
absl::Status ConnectDatagrams(const Socket& socket, const net::SocketAddress& peer);

// Who is the receiver of `message`? `receiver` must stay until it has been sent.
void SetReceiver(Message& message, const net::SocketAddress& receiver) noexcept;

// Where a message's sender is written.
class SenderBuffer {
 public:
  explicit SenderBuffer(Message& message) noexcept;
  SenderBuffer(const SenderBuffer&) = delete;
  SenderBuffer& operator=(const SenderBuffer&) = delete;

  // What was received: `size` bytes, as recvmsg(2) said.
  absl::StatusOr<net::Datagram> Received(const Message& message, int32_t size) const;

 private:
  sockaddr_storage address_ = {};
};

// ReceiveFrom(), without descriptors.
Task<absl::StatusOr<net::Datagram>> ReceiveDatagram(DescriptorRef socket, MutableBuffer buffer);

}  // namespace weft::internal

#endif  // WEFT_LIB_NET_DATAGRAMS_H_

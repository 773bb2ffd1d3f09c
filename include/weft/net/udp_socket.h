// UdpSocket: sends and receives UDP datagrams, over IPv4 or IPv6.
//
//   absl::StatusOr<UdpSocket> socket = UdpSocket::Bind("127.0.0.1:9000");
//   if (!socket.ok()) co_return socket.status();
//   char buffer[1500];
//   absl::StatusOr<Datagram> got = co_await socket->ReceiveFrom(buffer);
//   if (!got.ok()) co_return got.status();
//   co_return co_await socket->SendTo(ConstBuffer(buffer).first(got->size), got->sender);
//
// A datagram is sent and received whole, or not at all. It may be lost, come twice, or overtake another; a server must
// expect any. One of 0 bytes is a message like others: sockets of datagrams have no end.
//
// Any number of virtual threads may send and receive at the same time. Each datagram is received by one.
//
// Lifetime and closing: as of a TcpStream (tcp_stream.h). It can be moved, also while operations are pending; Close(),
// from any thread, ends them with net::IsClosed().
//
// Errors are absl::Status, with the errno as a payload. With a peer (SetPeer(), Connect()), "nobody listens there"
// comes back as kUnavailable (ECONNREFUSED), from some later operation, once; the socket goes on. A datagram that is
// too long for the protocol, or for a device that must not fragment it, is kInvalidArgument (EMSGSIZE).
//
// Cancellation: every operation is a checkpoint. What was received is delivered. A send that is cancelled has sent
// nothing.
//
// Cost: one frame for each operation.
#ifndef WEFT_NET_UDP_SOCKET_H_
#define WEFT_NET_UDP_SOCKET_H_

#include "weft/internal/compiler.h"

#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "weft/internal/socket.h"
#include "weft/io/buffer.h"
#include "weft/net/datagram.h"
#include "weft/net/socket_address.h"
#include "weft/task.h"
#include "weft/text_view.h"

namespace weft::net {

struct UdpOptions {
  // Others may bind the same address: several receivers of a multicast group each get a copy (SO_REUSEADDR).
  bool reuse_address = false;
  // Several sockets share the port, and the kernel spreads senders over them (SO_REUSEPORT).
  bool reuse_port = false;
  // As in ListenOptions.
  bool v6_only = false;
};

// (udp_socket.cc)
class UdpSocket {
 public:
  // Receives what is sent to `address`: "127.0.0.1:9000", "[::1]:9000", or ":0", any port of any IPv4 address.
  // "[::]:9000" is every IPv6 address, and every IPv4 address, too, unless net.ipv6.bindv6only says otherwise. Any
  // thread may call it. Errors: kInvalidArgument for an address that does not parse, kFailedPrecondition for one in use
  // (EADDRINUSE), others by errno.
  static absl::StatusOr<UdpSocket> Bind(TextView address, UdpOptions options = {});
  static absl::StatusOr<UdpSocket> Bind(const SocketAddress& address, UdpOptions options = {});
  // A socket on a port that the kernel chooses, with a peer. Does not wait: no datagram is exchanged.
  static absl::StatusOr<UdpSocket> Connect(TextView peer);
  static absl::StatusOr<UdpSocket> Connect(const SocketAddress& peer);
  // Takes over a socket; the rest as for TcpListener::Adopt().
  static absl::StatusOr<UdpSocket> Adopt(int fd);

  UdpSocket(UdpSocket&&) noexcept = default;
  UdpSocket& operator=(UdpSocket&&) noexcept = default;  // closes what it had

  // From now on Send() sends to `peer`, and only its datagrams are received, with its errors. (connect(2)) What had
  // come before, from whomever, is still received: Datagram::sender tells.
  absl::Status SetPeer(const SocketAddress& peer);

  // Waits while the kernel's buffer is full. `data` must stay until the Task has ended.
  Task<absl::Status> SendTo(ConstBuffer data, SocketAddress receiver);
  // To the peer; without one it is kInvalidArgument (EDESTADDRREQ).
  Task<absl::Status> Send(ConstBuffer data);
  // Waits for the next datagram. What is longer than the buffer is truncated, and Datagram::truncated says so. An empty
  // buffer receives, and truncates, like others.
  Task<absl::StatusOr<Datagram>> ReceiveFrom(MutableBuffer buffer);

  // May it send to a broadcast address, such as 255.255.255.255? If not, as at first, that is kPermissionDenied.
  absl::Status SetBroadcast(bool on);
  // Receives what is sent to a multicast group, such as "239.1.2.3:0" or "[ff02::7]:0", on an interface: by its index
  // (if_nametoindex(3)), or 0 for that of the address's zone ("[ff02::7%eth0]:0"), or for the one that the kernel
  // chooses. An index that is not the zone's is kInvalidArgument. The port is not looked at: it is that of Bind().
  absl::Status JoinGroup(const SocketAddress& group, unsigned interface_index = 0);
  absl::Status LeaveGroup(const SocketAddress& group, unsigned interface_index = 0);
  // How many networks what is sent to a group may cross: 0 to 255, and 1 at first, this one. Others are
  // kInvalidArgument.
  absl::Status SetMulticastHops(int hops);
  // Do members of the group on this machine get what this socket sends to it? At first they do.
  absl::Status SetMulticastLoop(bool on);

  // Any thread; idempotent.
  void Close() noexcept { socket_.Close(); }
  bool is_open() const noexcept { return socket_.is_open(); }
  // As TcpStream::native_handle(): no IP_RECVERR or IPV6_RECVERR, unless the error queue is read.
  int native_handle() const noexcept { return socket_.native_handle(); }
  // Has the port that the kernel chose for port 0.
  absl::StatusOr<SocketAddress> local_address() const { return socket_.LocalAddress(); }
  absl::StatusOr<SocketAddress> peer_address() const { return socket_.PeerAddress(); }

 private:
  explicit UdpSocket(internal::Socket socket) noexcept : socket_(std::move(socket)) {}
  absl::Status SetMulticast(int v4_option, int v6_option, int value, const char* what);
  absl::Status ChangeGroup(const SocketAddress& group, unsigned interface_index, int option, const char* what);

  internal::Socket socket_;
};

}  // namespace weft::net

#endif  // WEFT_NET_UDP_SOCKET_H_

// UnixDatagram: datagrams between the processes of this machine, with descriptors.
//
//   absl::StatusOr<UnixDatagram> log = UnixDatagram::Bind("/run/log.sock", {.replace_stale = true});
//   if (!log.ok()) co_return log.status();
//   char buffer[4096];
//   absl::StatusOr<Datagram> line = co_await log->ReceiveFrom(buffer);
//
//   absl::StatusOr<UnixDatagram> to_log = UnixDatagram::Connect("/run/log.sock");
//   absl::Status sent = co_await to_log->Send("started");
//
// Unlike those of UDP, these datagrams are neither lost nor reordered: a sender waits while the receiver's queue is
// full (net.unix.max_dgram_qlen, mostly 10 to 512). One of 0 bytes is a message like others.
//
// Names are those of UnixListener: a path, or "@name". What is said there of the file holds here: Close() and the
// destructor remove it. A socket without a name can send, but nobody can answer it; its Datagram::sender prints
// "unix:".
//
// Any number of virtual threads may send and receive at the same time. Lifetime, closing, errors and cancellation: as
// of a UdpSocket (udp_socket.h).
//
// Descriptors: as of a UnixStream (unix_stream.h), also in a message of 0 bytes.
#ifndef WEFT_NET_UNIX_DATAGRAM_H_
#define WEFT_NET_UNIX_DATAGRAM_H_

#include "weft/internal/compiler.h"

#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "weft/internal/socket.h"
#include "weft/io/buffer.h"
#include "weft/io/unique_descriptor.h"
#include "weft/net/datagram.h"
#include "weft/net/socket_address.h"
#include "weft/task.h"
#include "weft/text_view.h"

namespace weft::internal {
class SocketFile;
}  // namespace weft::internal

namespace weft::net {

struct UnixDatagramOptions {
  // As in UnixListenOptions.
  bool replace_stale = false;
};

// (unix_datagram.cc)
class UnixDatagram {
 public:
  // Errors: as of UnixListener::Bind(). Any thread may call these three.
  static absl::StatusOr<UnixDatagram> Bind(TextView name, UnixDatagramOptions options = {});
  // A socket without a name, that sends to `peer`. Does not wait. kUnavailable if no socket is bound to that
  // (ECONNREFUSED), kNotFound if there is no such file.
  static absl::StatusOr<UnixDatagram> Connect(TextView peer);
  // Two sockets without names, each the other's peer.
  static absl::StatusOr<std::pair<UnixDatagram, UnixDatagram>> Pair();
  // Takes over a socket; the rest as for UnixListener::Adopt().
  static absl::StatusOr<UnixDatagram> Adopt(int fd);

  UnixDatagram(UnixDatagram&&) noexcept;
  UnixDatagram& operator=(UnixDatagram&&) noexcept;  // closes what it had
  ~UnixDatagram();

  // From now on Send() sends to `peer`, and only its datagrams are received. What had come before, from whomever, is
  // still received, as Datagram::sender tells; if there was another peer, the kernel drops it.
  absl::Status SetPeer(const SocketAddress& peer);

  // To the peer. Waits while its queue is full. kUnavailable if it is gone (ECONNREFUSED); kFailedPrecondition
  // without a peer (ENOTCONN). Data and descriptors must stay until the Task has ended.
  Task<absl::Status> Send(ConstBuffer data, std::span<const int> descriptors = {});
  // The same, to a name. While the receiver's queue is full, it tries again after 1 ms, then 2, and so on up to 64 ms:
  // the kernel tells nobody but a peer when there is room. A Close() meanwhile is noticed at the next try.
  Task<absl::Status> SendTo(ConstBuffer data, SocketAddress receiver, std::span<const int> descriptors = {});
  // Waits for the next datagram. Its descriptors are closed, or appended to `descriptors`.
  Task<absl::StatusOr<Datagram>> ReceiveFrom(MutableBuffer buffer);
  Task<absl::StatusOr<Datagram>> ReceiveFrom(MutableBuffer buffer, std::vector<io::UniqueDescriptor>& descriptors);

  // Any thread; idempotent.
  void Close() noexcept;
  bool is_open() const noexcept { return socket_.is_open(); }
  // As TcpStream::native_handle().
  int native_handle() const noexcept { return socket_.native_handle(); }
  absl::StatusOr<SocketAddress> local_address() const { return socket_.LocalAddress(); }
  absl::StatusOr<SocketAddress> peer_address() const { return socket_.PeerAddress(); }

 private:
  explicit UnixDatagram(internal::Socket socket, std::unique_ptr<internal::SocketFile> file = nullptr) noexcept;

  internal::Socket socket_;
  std::unique_ptr<internal::SocketFile> file_;  // none: an abstract name, or no name
};

}  // namespace weft::net

#endif  // WEFT_NET_UNIX_DATAGRAM_H_

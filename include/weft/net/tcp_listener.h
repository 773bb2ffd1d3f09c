// TcpListener: accepts TCP connections.
//
//   absl::StatusOr<TcpListener> listener = TcpListener::Bind("127.0.0.1:8080");
//   if (!listener.ok()) co_return listener.status();
//   absl::StatusOr<TcpStream> stream = co_await listener->Accept();
//
// Lifetime. Movable, also while an Accept() is pending, which goes on. The destructor closes. Bind() may be called anywhere; the first
// Accept() ties the listener to its runtime.
//
// Cancellation: Accept() is a checkpoint, also while it waits for descriptors. A connection that was accepted is delivered.
#ifndef WEFT_NET_TCP_LISTENER_H_
#define WEFT_NET_TCP_LISTENER_H_

#include "weft/internal/compiler.h"

#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "weft/internal/open_descriptor.h"
#include "weft/internal/socket.h"
#include "weft/net/socket_address.h"
#include "weft/net/tcp_stream.h"
#include "weft/task.h"
#include "weft/text_view.h"

namespace weft::net {

struct ListenOptions {
  // Connections that the kernel keeps for Accept(); more are refused. It caps this at net.core.somaxconn.
  int backlog = 4096;
  // Several listeners, in several processes perhaps, share the port, and the kernel spreads connections over them (SO_REUSEPORT).
  bool reuse_port = false;
  // Accept() waits while descriptors or memory are short. false: that is a status, and waiting is the caller's.
  bool wait_when_exhausted = true;
};

class TcpListener {
 public:
  // Errors: kInvalidArgument for an address that does not parse, kFailedPrecondition for one in use (EADDRINUSE), and others by errno.
  // SO_REUSEADDR is set, so that a server may be started again at once.
  static absl::StatusOr<TcpListener> Bind(TextView address, ListenOptions options = {});
  static absl::StatusOr<TcpListener> Bind(const SocketAddress& address, ListenOptions options = {});

  TcpListener(TcpListener&&) noexcept = default;
  TcpListener& operator=(TcpListener&&) noexcept = default;  // closes what it had

  // The next connection. Several virtual threads may wait for one each.
  //
  // One that breaks before it is accepted is passed over. When descriptors or memory are short (EMFILE, ENFILE, ENOBUFS, ENOMEM) the
  // connection stays in the backlog, and Accept() goes on once a socket of this process has been closed, or after a pause of 5 ms, then
  // of 10 ms and so on up to 1 s, in case that something else has been given back. So a server outlives any burst: what it has to do is
  // to limit its connections, by a Semaphore of fewer permits than RLIMIT_NOFILE, before it accepts. With
  // ListenOptions::wait_when_exhausted = false such a shortage is kResourceExhausted at once.
  //
  // After Close() or Shutdown(), also in the midst of it: net::IsClosed(). Other errors, by errno, are the end of the listener, too.
  Task<absl::StatusOr<TcpStream>> Accept();

  // Any thread may call these, whatever others do with the listener, except moving or destroying it. Idempotent.
  //
  // Closes the descriptor. Accepts that are pending end with net::IsClosed(), and the descriptor is closed after the last of them, so
  // that its number is not met by an operation that was meant for another. Where the listener is shared with another process, by
  // fork(2), that one goes on listening.
  void Close() noexcept { socket_.Close(); }
  // Stops listening: connections in the backlog are reset, the port is free, and accepts end with net::IsClosed(). Every process that
  // shares the listener stops. Does not free the descriptor.
  void Shutdown() noexcept;
  // Does the kernel have it? Not after a Close(), once the accepts that were pending have ended. Then the port is free.
  bool is_open() const noexcept { return socket_.is_open(); }
  // With the port that the kernel chose for port 0.
  absl::StatusOr<SocketAddress> local_address() const { return socket_.LocalAddress(); }

 private:
  static Task<absl::StatusOr<TcpStream>> AcceptFrom(internal::DescriptorRef listener, bool wait_when_exhausted);
  TcpListener(internal::Socket socket, bool wait_when_exhausted) noexcept
      : socket_(std::move(socket)), wait_when_exhausted_(wait_when_exhausted) {}

  internal::Socket socket_;
  bool wait_when_exhausted_;
};

}  // namespace weft::net

#endif  // WEFT_NET_TCP_LISTENER_H_

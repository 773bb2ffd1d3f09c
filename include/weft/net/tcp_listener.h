// TcpListener: accepts TCP connections.
//
//   absl::StatusOr<TcpListener> listener = TcpListener::Bind("127.0.0.1:8080");
//   if (!listener.ok()) co_return listener.status();
//   absl::StatusOr<TcpStream> stream = co_await listener->Accept();
//
// Lifetime. It can be moved, also while an Accept() is pending, which goes on. The destructor closes the listener. Any
// thread may call Bind().
//
// Cancellation: Accept() is a checkpoint, also while it waits for descriptors. A connection that was accepted is
// delivered.
#ifndef WEFT_NET_TCP_LISTENER_H_
#define WEFT_NET_TCP_LISTENER_H_

#include "weft/internal/compiler.h"

#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "weft/internal/socket.h"
#include "weft/net/socket_address.h"
#include "weft/net/tcp_stream.h"
#include "weft/task.h"
#include "weft/text_view.h"

namespace weft::net {

struct ListenOptions {
  // Connections that the kernel keeps for Accept(); it refuses more. The kernel caps this at net.core.somaxconn.
  int backlog = 4096;
  // Several listeners share the port, perhaps in several processes. The kernel spreads connections over them
  // (SO_REUSEPORT).
  bool reuse_port = false;
  // An address of IPv6 is for IPv6 only, so that the same port of IPv4 stays free for another listener (IPV6_V6ONLY).
  // If not, "[::]:8080" listens for IPv4 as well, unless net.ipv6.bindv6only says otherwise.
  bool v6_only = false;
  // True: Accept() waits while descriptors or memory are short. False: it returns a status, and the caller waits.
  bool wait_when_exhausted = true;
};

// (tcp.cc)
class TcpListener {
 public:
  // Errors: kInvalidArgument for an address that does not parse, kFailedPrecondition for one in use (EADDRINUSE), and
  // others by errno. SO_REUSEADDR is set, so that a server can be started again at once.
  static absl::StatusOr<TcpListener> Bind(TextView address, ListenOptions options = {});
  static absl::StatusOr<TcpListener> Bind(const SocketAddress& address, ListenOptions options = {});
  // Takes over a listening socket that this program got from elsewhere: from a service manager that has bound it
  // (systemd's socket activation), from the process before it, or by UnixStream::Receive(). Owns `fd` from here on,
  // also if it fails. kInvalidArgument if it is no such socket. Sets it to non-blocking mode, which all processes see
  // that have it. Any thread may call it.
  static absl::StatusOr<TcpListener> Adopt(int fd);

  TcpListener(TcpListener&&) noexcept = default;
  TcpListener& operator=(TcpListener&&) noexcept = default;  // closes what it had

  // Returns the next connection. Several virtual threads may wait, for one connection each.
  //
  // A connection that breaks before it is accepted is skipped. When descriptors or memory are short (EMFILE, ENFILE,
  // ENOBUFS, ENOMEM, ENOSPC), the connection stays in the backlog. Accept() tries again when a socket of this process
  // has been closed, and after a pause of 5 ms, then of 10 ms, and so on up to 1 s, because other things may have been
  // given back. So a server survives any burst. It should still limit its connections before it accepts: by a Semaphore
  // with fewer permits than RLIMIT_NOFILE. With ListenOptions::wait_when_exhausted = false, such a shortage is
  // kResourceExhausted at once.
  //
  // After a Close() or Shutdown(), also during this call, the status is net::IsClosed(). Other errors, by errno, end
  // the listener, too.
  Task<absl::StatusOr<TcpStream>> Accept();

  // Any thread may call Close() and Shutdown() while other threads use the listener, but not while one moves or
  // destroys it. Both are idempotent.
  //
  // Closes the descriptor. Pending accepts end with net::IsClosed(). The descriptor is closed after the last of them,
  // so that no operation meets another descriptor of the same number. A process that shares the listener by fork(2)
  // goes on listening.
  void Close() noexcept { socket_.Close(); }
  // Stops listening: connections in the backlog are reset, the port is free, and accepts end with net::IsClosed().
  // Every process that shares the listener stops. Does not free the descriptor.
  void Shutdown() noexcept;
  // True while the kernel has the descriptor. False after a Close(), once the pending accepts have ended. Then the port
  // is free.
  bool is_open() const noexcept { return socket_.is_open(); }
  // As TcpStream::native_handle(). To pass it on: to a child (Process), or by UnixStream::Send().
  int native_handle() const noexcept { return socket_.native_handle(); }
  // Has the port that the kernel chose for port 0.
  absl::StatusOr<SocketAddress> local_address() const { return socket_.LocalAddress(); }

 private:
  TcpListener(internal::Socket socket, bool wait_when_exhausted) noexcept
      : socket_(std::move(socket)), wait_when_exhausted_(wait_when_exhausted) {}

  internal::Socket socket_;
  bool wait_when_exhausted_;
};

}  // namespace weft::net

#endif  // WEFT_NET_TCP_LISTENER_H_

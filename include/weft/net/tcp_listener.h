// TcpListener: accepts TCP connections.
//
//   absl::StatusOr<TcpListener> listener = TcpListener::Bind("127.0.0.1:8080");
//   if (!listener.ok()) co_return listener.status();
//   absl::StatusOr<TcpStream> stream = co_await listener->Accept();
//
// Lifetime. Movable, not while an operation is pending. The destructor closes. Bind() may be called anywhere; the first Accept() ties
// the listener to its runtime.
//
// Cancellation: Accept() is a checkpoint. A connection that was accepted is delivered.
#ifndef WEFT_NET_TCP_LISTENER_H_
#define WEFT_NET_TCP_LISTENER_H_

#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "weft/internal/errno_status.h"
#include "weft/internal/socket.h"
#include "weft/net/socket_address.h"
#include "weft/net/tcp_stream.h"

namespace weft::net {

struct ListenOptions {
  // Connections that the kernel keeps for Accept(); more are refused. It caps this at net.core.somaxconn.
  int backlog = 4096;
  // Several listeners, in several processes perhaps, share the port, and the kernel spreads connections over them (SO_REUSEPORT).
  bool reuse_port = false;
};

class TcpListener {
 public:
  // Errors: kInvalidArgument for an address that does not parse, kFailedPrecondition for one in use (EADDRINUSE), and others by errno.
  // SO_REUSEADDR is set, so that a server may be started again at once.
  static absl::StatusOr<TcpListener> Bind(absl::string_view address, ListenOptions options = {});
  static absl::StatusOr<TcpListener> Bind(const SocketAddress& address, ListenOptions options = {});

  TcpListener(TcpListener&&) noexcept = default;
  TcpListener& operator=(TcpListener&&) noexcept = default;

  // The next connection. kResourceExhausted when descriptors or memory are short (EMFILE, ENFILE, ENOBUFS, ENOMEM): the connection
  // stays in the backlog; close some, or wait, before the next Accept().
  auto Accept() {
    struct [[nodiscard("co_await the connection")]] Awaiter : internal::AcceptAwaiter {
      using AcceptAwaiter::AcceptAwaiter;
      absl::StatusOr<TcpStream> await_resume() const {
        const int32_t result = AcceptAwaiter::await_resume();
        if (result < 0) return internal::ErrnoToStatus(-result, "accept");
        return TcpStream::Accepted(result);
      }
    };
    socket_.Attach("Accept()");
    return Awaiter(socket_.fd());
  }

  // Stops listening. No Accept() is pending. Idempotent.
  void Close() noexcept { socket_.Close(); }

  bool is_open() const noexcept { return socket_.is_open(); }
  // With the port that the kernel chose for port 0.
  absl::StatusOr<SocketAddress> local_address() const { return socket_.LocalAddress(); }

 private:
  explicit TcpListener(internal::Socket socket) noexcept : socket_(std::move(socket)) {}

  internal::Socket socket_;
};

}  // namespace weft::net

#endif  // WEFT_NET_TCP_LISTENER_H_

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstdint>
#include <optional>
#include <span>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "lib/base/errno_status.h"
#include "lib/net/accept_from.h"
#include "lib/net/open_socket.h"
#include "lib/net/socket_awaiters.h"
#include "lib/net/stream.h"
#include "lib/os/syscalls.h"
#include "weft/internal/checkpoint.h"
#include "weft/internal/descriptor.h"
#include "weft/internal/socket.h"
#include "weft/io/buffer.h"
#include "weft/net/socket_address.h"
#include "weft/net/tcp_listener.h"
#include "weft/net/tcp_stream.h"
#include "weft/task.h"
#include "weft/text_view.h"

namespace weft::net {
namespace {

using internal::DescriptorUse;
using internal::ErrnoToStatus;
using internal::Socket;
using internal::SocketStatus;
using internal::Sys;

// A failure here makes a connection slower, not wrong.
void SetOption(int fd, int level, int option) noexcept { internal::SetSocketOption(fd, level, option, /*value=*/1); }

absl::StatusOr<Socket> NewTcpSocket(const SocketAddress& address) {
  if (address.family() == AF_UNIX) {
    return absl::InvalidArgumentError(absl::StrCat(address.ToString(), " is no address of TCP"));
  }
  return internal::OpenSocket(address.family(), SOCK_STREAM, IPPROTO_TCP);
}

absl::Status BindTo(int fd, const SocketAddress& address) {
  if (Sys().bind(fd, address.data(), address.size()) == 0) return absl::OkStatus();
  return ErrnoToStatus(errno, absl::StrCat("bind to ", address.ToString()));
}

absl::Status BindClient(int fd, const SocketAddress& from, const SocketAddress& to) {
  if (from.family() != to.family()) {
    return absl::InvalidArgumentError(absl::StrCat(from.ToString(), " cannot connect to ", to.ToString()));
  }
  // connect() takes a port that is free for that peer. bind() would take one that is free for all, which soon run out.
  // A port of the caller's choice may be in use for another peer, or be left from the last connection.
  if (from.port() == 0) {
    SetOption(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT);
  } else {
    SetOption(fd, SOL_SOCKET, SO_REUSEADDR);
  }
  return BindTo(fd, from);
}

}  // namespace

// ---- TcpListener.

absl::StatusOr<TcpListener> TcpListener::Bind(TextView address, ListenOptions options) {
  absl::StatusOr<SocketAddress> parsed = SocketAddress::Parse(address);
  if (!parsed.ok()) return parsed.status();
  return Bind(*parsed, options);
}

absl::StatusOr<TcpListener> TcpListener::Bind(const SocketAddress& address, ListenOptions options) {
  absl::StatusOr<Socket> socket = NewTcpSocket(address);
  if (!socket.ok()) return socket.status();
  const DescriptorUse use = socket->Use("Bind()");
  SetOption(use.fd(), SOL_SOCKET, SO_REUSEADDR);
  int error = 0;
  if (options.reuse_port) error = internal::SetSocketOption(use.fd(), SOL_SOCKET, SO_REUSEPORT, /*value=*/1);
  if (error == 0 && options.v6_only && address.family() == AF_INET6) {
    error = internal::SetSocketOption(use.fd(), IPPROTO_IPV6, IPV6_V6ONLY, /*value=*/1);
  }
  if (error != 0) return ErrnoToStatus(error, "setsockopt");
  if (absl::Status bound = BindTo(use.fd(), address); !bound.ok()) return bound;
  if (Sys().listen(use.fd(), options.backlog) != 0) {
    return ErrnoToStatus(errno, absl::StrCat("listen on ", address.ToString()));
  }
  return TcpListener(*std::move(socket), options.wait_when_exhausted);
}

absl::StatusOr<TcpListener> TcpListener::Adopt(int fd) {
  absl::StatusOr<Socket> socket = internal::AdoptSocket(
      fd, {.local = false, .type = SOCK_STREAM, .listens = true, .name = "listening socket of TCP"});
  if (!socket.ok()) return socket.status();
  return TcpListener(*std::move(socket), /*wait_when_exhausted=*/true);
}

Task<absl::StatusOr<TcpStream>> TcpListener::Accept() {
  return internal::AcceptFrom<TcpStream>(socket_.Share("Accept()"), wait_when_exhausted_, &TcpStream::Accepted);
}

void TcpListener::Shutdown() noexcept { socket_.Shutdown(SHUT_RDWR); }

// ---- TcpStream.

TcpStream TcpStream::Accepted(Socket socket, int fd) noexcept {
  SetOption(fd, IPPROTO_TCP, TCP_NODELAY);
  socket.Open(fd);
  return TcpStream(std::move(socket));
}

absl::StatusOr<TcpStream> TcpStream::Adopt(int fd) {
  absl::StatusOr<Socket> socket =
      internal::AdoptSocket(fd, {.local = false, .type = SOCK_STREAM, .listens = false, .name = "connection of TCP"});
  if (!socket.ok()) return socket.status();
  SetOption(fd, IPPROTO_TCP, TCP_NODELAY);
  return TcpStream(*std::move(socket));
}

Task<absl::StatusOr<TcpStream>> TcpStream::Connect(TextView address) {
  absl::StatusOr<SocketAddress> parsed = SocketAddress::Parse(address);
  if (!parsed.ok())
    return [](absl::Status status) -> Task<absl::StatusOr<TcpStream>> {
      co_await internal::CheckpointAwaiter();
      co_return status;
    }(parsed.status());
  return Connect(*parsed);
}

Task<absl::StatusOr<TcpStream>> TcpStream::Connect(SocketAddress address, std::optional<SocketAddress> from) {
  co_await internal::CheckpointAwaiter();  // also if no operation begins
  absl::StatusOr<Socket> socket = NewTcpSocket(address);
  if (!socket.ok()) co_return socket.status();
  DescriptorUse use = socket->Use("Connect()");
  SetOption(use.fd(), IPPROTO_TCP, TCP_NODELAY);
  if (from.has_value()) {
    if (absl::Status bound = BindClient(use.fd(), *from, address); !bound.ok()) co_return bound;
  }
  const int32_t result = co_await internal::ConnectAwaiter(std::move(use), address);
  if (result < 0) co_return SocketStatus(-result, absl::StrCat("connect to ", address.ToString()));
  co_return TcpStream(*std::move(socket));
}

Task<absl::Status> TcpStream::ReadExactly(MutableBuffer buffer) {
  return internal::FillFrom(socket_.Share("ReadExactly()"), buffer);
}

Task<absl::Status> TcpStream::WriteParts(std::span<const ConstBuffer> parts) {
  return internal::SendAll(socket_.Share("Write()"), parts);
}

Task<absl::Status> TcpStream::WaitHangUp() { return internal::AwaitHangUp(socket_.Share("WaitHangUp()")); }

absl::Status TcpStream::ShutdownWrite() { return SocketStatus(socket_.Shutdown(SHUT_WR), "shutdown"); }

void TcpStream::Shutdown() noexcept { socket_.Shutdown(SHUT_RDWR); }

}  // namespace weft::net

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "lib/net/accept_retry.h"
#include "lib/os/syscalls.h"
#include "weft/internal/errno_status.h"
#include "weft/internal/socket.h"
#include "weft/io/buffer.h"
#include "weft/net/socket_address.h"
#include "weft/net/tcp_listener.h"
#include "weft/net/tcp_stream.h"
#include "weft/task.h"
#include "weft/text_view.h"

namespace weft::net {
namespace {

using internal::ErrnoToStatus;
using internal::Socket;
using internal::Sys;

// One operation's length is an int32_t, as its result is.
constexpr size_t kMaxBytesAtOnce = size_t{1} << 30;

void SetOption(int fd, int level, int option) noexcept {
  const int on = 1;
  // What fails here makes a connection slower, not wrong.
  Sys().setsockopt(fd, level, option, &on, sizeof(on));
}

absl::StatusOr<Socket> NewTcpSocket(const SocketAddress& address) {
  const int fd = Sys().socket(address.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);
  if (fd < 0) return ErrnoToStatus(errno, "socket");
  return Socket(fd);
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
  SetOption(socket->fd(), SOL_SOCKET, SO_REUSEADDR);
  if (options.reuse_port) SetOption(socket->fd(), SOL_SOCKET, SO_REUSEPORT);
  if (Sys().bind(socket->fd(), address.data(), address.size()) != 0) {
    return ErrnoToStatus(errno, absl::StrCat("bind to ", address.ToString()));
  }
  if (Sys().listen(socket->fd(), options.backlog) != 0) {
    return ErrnoToStatus(errno, absl::StrCat("listen on ", address.ToString()));
  }
  return TcpListener(*std::move(socket), options.wait_when_exhausted);
}

Task<absl::StatusOr<TcpStream>> TcpListener::Accept() {
  using internal::AcceptRetry;
  AcceptRetry retry(wait_when_exhausted_);
  for (;;) {
    socket_.Attach("Accept()");
    retry.BeginTry();
    const int32_t result = co_await internal::AcceptAwaiter(socket_.fd());
    if (result >= 0) co_return TcpStream::Accepted(result);
    switch (retry.After(-result)) {
      case AcceptRetry::Next::kTry:
        break;
      case AcceptRetry::Next::kPause:
        co_await retry.Pause();
        break;
      case AcceptRetry::Next::kFail:
        co_return ErrnoToStatus(-result, "accept");
    }
  }
}

// ---- TcpStream.

TcpStream TcpStream::Accepted(int fd) noexcept {
  SetOption(fd, IPPROTO_TCP, TCP_NODELAY);
  Socket socket(fd);
  socket.Attach("Accept()");  // now, while nobody else has it
  return TcpStream(std::move(socket));
}

Task<absl::StatusOr<TcpStream>> TcpStream::Connect(TextView address) {
  absl::StatusOr<SocketAddress> parsed = SocketAddress::Parse(address);
  if (!parsed.ok()) return [](absl::Status status) -> Task<absl::StatusOr<TcpStream>> { co_return status; }(parsed.status());
  return Connect(*parsed);
}

Task<absl::StatusOr<TcpStream>> TcpStream::Connect(SocketAddress address) {
  absl::StatusOr<Socket> socket = NewTcpSocket(address);
  if (!socket.ok()) co_return socket.status();
  SetOption(socket->fd(), IPPROTO_TCP, TCP_NODELAY);
  socket->Attach("Connect()");
  const int32_t result = co_await internal::ConnectAwaiter(socket->fd(), address);
  if (result < 0) co_return ErrnoToStatus(-result, absl::StrCat("connect to ", address.ToString()));
  co_return TcpStream(*std::move(socket));
}

// Both begin an operation whatever there is to move: even of nothing it is a checkpoint.

Task<absl::Status> TcpStream::ReadExactly(MutableBuffer buffer) {
  do {
    absl::StatusOr<size_t> got = co_await Read(buffer.first(kMaxBytesAtOnce));
    if (!got.ok()) co_return got.status();
    if (*got == 0 && !buffer.empty()) {
      co_return absl::OutOfRangeError(absl::StrCat("the stream ended with ", buffer.size(), " bytes still to read"));
    }
    buffer.remove_prefix(*got);
  } while (!buffer.empty());
  co_return absl::OkStatus();
}

Task<absl::Status> TcpStream::Write(ConstBuffer data) {
  socket_.Attach("Write()");
  do {
    const int32_t sent = co_await internal::SendAwaiter(socket_.fd(), data.data(), std::min(data.size(), kMaxBytesAtOnce));
    if (sent < 0) co_return ErrnoToStatus(-sent, "write");
    data.remove_prefix(static_cast<size_t>(sent));
  } while (!data.empty());
  co_return absl::OkStatus();
}

absl::Status TcpStream::ShutdownWrite() {
  if (Sys().shutdown(socket_.fd(), SHUT_WR) != 0) return ErrnoToStatus(errno, "shutdown");
  return absl::OkStatus();
}

void TcpStream::Shutdown() noexcept { Sys().shutdown(socket_.fd(), SHUT_RDWR); }

}  // namespace weft::net

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <span>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "lib/base/errno_status.h"
#include "lib/io/accept_retry.h"
#include "lib/io/open_descriptor.h"
#include "lib/io/parts.h"
#include "lib/io/poll_call.h"
#include "lib/net/socket_awaiters.h"
#include "lib/os/syscalls.h"
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

using internal::AcceptRetry;
using internal::DescriptorRef;
using internal::DescriptorUse;
using internal::ErrnoToStatus;
using internal::PollAwaiter;
using internal::Socket;
using internal::SocketStatus;
using internal::Sys;

// The length of an operation is an int32_t, like its result.
constexpr size_t kMaxBytesAtOnce = size_t{1} << 30;

void SetOption(int fd, int level, int option) noexcept {
  const int on = 1;
  // A failure here makes a connection slower, not wrong.
  Sys().setsockopt(fd, level, option, &on, sizeof(on));
}

absl::StatusOr<Socket> NewTcpSocket(const SocketAddress& address) {
  Socket socket = Socket::Empty();
  if (!socket) return ErrnoToStatus(ENOMEM, "socket");
  const int fd = Sys().socket(address.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);
  if (fd < 0) return ErrnoToStatus(errno, "socket");
  socket.Open(fd);
  return socket;
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
  if (options.reuse_port) SetOption(use.fd(), SOL_SOCKET, SO_REUSEPORT);
  if (Sys().bind(use.fd(), address.data(), address.size()) != 0) {
    return ErrnoToStatus(errno, absl::StrCat("bind to ", address.ToString()));
  }
  if (Sys().listen(use.fd(), options.backlog) != 0) {
    return ErrnoToStatus(errno, absl::StrCat("listen on ", address.ToString()));
  }
  return TcpListener(*std::move(socket), options.wait_when_exhausted);
}

Task<absl::StatusOr<TcpStream>> TcpListener::Accept() {
  return AcceptFrom(socket_.Share("Accept()"), wait_when_exhausted_);
}

Task<absl::StatusOr<TcpStream>> TcpListener::AcceptFrom(DescriptorRef listener, bool wait_when_exhausted) {
  AcceptRetry retry(wait_when_exhausted);
  for (;;) {
    retry.BeginTry();
    // First, so that no connection is accepted without memory for it.
    Socket accepted = Socket::Empty();
    int32_t result = -ENOMEM;
    if (accepted) result = co_await internal::AcceptAwaiter(DescriptorUse(listener.get()));
    if (result >= 0) co_return TcpStream::Accepted(std::move(accepted), result);
    // The kernel looks for a free descriptor before it looks at the listener.
    if (listener->was_shut_down()) result = -EBADF;
    switch (retry.After(-result)) {
      case AcceptRetry::Next::kTry:
        break;
      case AcceptRetry::Next::kPause:
        co_await retry.Pause();
        break;
      case AcceptRetry::Next::kFail:
        co_return SocketStatus(-result, "accept");
    }
  }
}

void TcpListener::Shutdown() noexcept { socket_.Shutdown(SHUT_RDWR, "shutdown").IgnoreError(); }

// ---- TcpStream.

TcpStream TcpStream::Accepted(Socket socket, int fd) noexcept {
  SetOption(fd, IPPROTO_TCP, TCP_NODELAY);
  socket.Open(fd);
  return TcpStream(std::move(socket));
}

Task<absl::StatusOr<TcpStream>> TcpStream::Connect(TextView address) {
  absl::StatusOr<SocketAddress> parsed = SocketAddress::Parse(address);
  if (!parsed.ok())
    return [](absl::Status status) -> Task<absl::StatusOr<TcpStream>> { co_return status; }(parsed.status());
  return Connect(*parsed);
}

Task<absl::StatusOr<TcpStream>> TcpStream::Connect(SocketAddress address) {
  absl::StatusOr<Socket> socket = NewTcpSocket(address);
  if (!socket.ok()) co_return socket.status();
  DescriptorUse use = socket->Use("Connect()");
  SetOption(use.fd(), IPPROTO_TCP, TCP_NODELAY);
  const int32_t result = co_await internal::ConnectAwaiter(std::move(use), address);
  if (result < 0) co_return SocketStatus(-result, absl::StrCat("connect to ", address.ToString()));
  co_return TcpStream(*std::move(socket));
}

namespace {

// Both begin an operation also if there is nothing to move, because it is a checkpoint. Both may go on after the stream
// was destroyed, which closes it.

Task<absl::Status> FillFrom(DescriptorRef socket, MutableBuffer buffer) {
  do {
    const size_t wanted = std::min(buffer.size(), kMaxBytesAtOnce);
    const int32_t got = co_await internal::ReceiveAwaiter(DescriptorUse(socket.get()), buffer.data(), wanted);
    if (got < 0) co_return SocketStatus(-got, "read");
    if (got == 0 && wanted > 0) {
      co_return absl::OutOfRangeError(absl::StrCat("the stream ended with ", buffer.size(), " bytes still to read"));
    }
    buffer.remove_prefix(static_cast<size_t>(got));
  } while (!buffer.empty());
  co_return absl::OkStatus();
}

Task<absl::Status> SendAll(DescriptorRef socket, std::span<const ConstBuffer> parts) {
  internal::Parts left(parts);
  do {
    const int32_t sent = co_await internal::SendPartsAwaiter(DescriptorUse(socket.get()), left);
    if (sent < 0) co_return SocketStatus(-sent, "write");
    left.Skip(static_cast<size_t>(sent));
  } while (!left.empty());
  co_return absl::OkStatus();
}

Task<absl::Status> SendTo(DescriptorRef socket, ConstBuffer data) {
  do {
    const size_t wanted = std::min(data.size(), kMaxBytesAtOnce);
    const int32_t sent = co_await internal::SendAwaiter(DescriptorUse(socket.get()), data.data(), wanted);
    if (sent < 0) co_return SocketStatus(-sent, "write");
    data.remove_prefix(static_cast<size_t>(sent));
  } while (!data.empty());
  co_return absl::OkStatus();
}

}  // namespace

Task<absl::Status> TcpStream::ReadExactly(MutableBuffer buffer) {
  return FillFrom(socket_.Share("ReadExactly()"), buffer);
}

Task<absl::Status> TcpStream::Write(ConstBuffer data) { return SendTo(socket_.Share("Write()"), data); }

Task<absl::Status> TcpStream::WriteParts(std::span<const ConstBuffer> parts) {
  return SendAll(socket_.Share("Write()"), parts);
}

Task<absl::Status> TcpStream::WaitHangUp() {
  return [](DescriptorRef socket) -> Task<absl::Status> {
    const int32_t result = co_await PollAwaiter(DescriptorUse(socket.get()), PollAwaiter::For::kHangUp);
    co_return SocketStatus(-result, "WaitHangUp()");
  }(socket_.Share("WaitHangUp()"));
}

absl::Status TcpStream::ShutdownWrite() { return socket_.Shutdown(SHUT_WR, "shutdown"); }

void TcpStream::Shutdown() noexcept { socket_.Shutdown(SHUT_RDWR, "shutdown").IgnoreError(); }

}  // namespace weft::net

#include "weft/net/unix_stream.h"

#include <sys/socket.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "lib/io/parts.h"
#include "lib/net/messages.h"
#include "lib/net/open_socket.h"
#include "lib/net/passed_descriptors.h"
#include "lib/net/stream.h"
#include "lib/net/unix_socket.h"
#include "lib/os/syscalls.h"
#include "weft/internal/checkpoint.h"
#include "weft/internal/descriptor.h"
#include "weft/internal/socket.h"
#include "weft/io/buffer.h"
#include "weft/io/unique_descriptor.h"
#include "weft/net/socket_address.h"
#include "weft/task.h"
#include "weft/text_view.h"
#include "weft/time.h"

namespace weft::net {
namespace {

using internal::DescriptorRef;
using internal::DescriptorUse;
using internal::Message;
using internal::Socket;
using internal::SocketStatus;

static_assert(UnixStream::kMaxDescriptors == internal::kMaxPassedDescriptors);

absl::Status CheckToSend(ConstBuffer data, std::span<const int> descriptors) {
  if (!descriptors.empty() && data.empty()) {
    return absl::InvalidArgumentError("Send() of descriptors needs a byte that carries them");
  }
  return internal::CheckToPass(descriptors, "Send()");
}

Task<absl::Status> SendWith(DescriptorRef socket, ConstBuffer data, std::span<const int> descriptors) {
  if (absl::Status s = CheckToSend(data, descriptors); !s.ok()) {
    co_await internal::CheckpointAwaiter();
    co_return s;
  }
  if (data.empty()) co_return co_await internal::SendAll(std::move(socket), data);
  Message message(data.first(internal::kMaxBytesAtOnce));
  const internal::DescriptorsToPass passed(message.header(), descriptors);
  const int32_t sent = co_await internal::SendMessageAwaiter(DescriptorUse(socket.get()), message);
  if (sent < 0) co_return internal::PassingStatus(-sent, socket, "Send()");
  data.remove_prefix(static_cast<size_t>(sent));
  if (data.empty()) co_return absl::OkStatus();
  co_return co_await internal::SendAll(std::move(socket), data);
}

Task<absl::StatusOr<size_t>> ReceiveWith(DescriptorRef socket, MutableBuffer buffer,
                                         std::vector<io::UniqueDescriptor>& descriptors) {
  // recvmsg(2) would wait for a byte.
  if (buffer.empty()) co_return co_await internal::ReadAwaiter(DescriptorUse(socket.get()), nullptr, 0);
  Message message(buffer.first(internal::kMaxBytesAtOnce));
  internal::ReceivedDescriptors received(message.header());
  const int32_t got = co_await internal::ReceiveMessageAwaiter(DescriptorUse(socket.get()), message, &received);
  if (got < 0) co_return SocketStatus(-got, "read");
  if (absl::Status s = received.Take(descriptors, "Receive()"); !s.ok()) co_return s;
  co_return static_cast<size_t>(got);
}

}  // namespace

Task<absl::StatusOr<UnixStream>> UnixStream::Connect(TextView name) {
  absl::StatusOr<SocketAddress> address = internal::ParseUnixName(name);
  if (!address.ok())
    return [](absl::Status status) -> Task<absl::StatusOr<UnixStream>> {
      co_await internal::CheckpointAwaiter();
      co_return status;
    }(address.status());
  return Connect(*address);
}

Task<absl::StatusOr<UnixStream>> UnixStream::Connect(SocketAddress address) {
  co_await internal::CheckpointAwaiter();
  if (absl::Status s = internal::CheckUnix(address, "UnixStream::Connect()"); !s.ok()) co_return s;
  absl::StatusOr<Socket> socket = internal::OpenSocket(AF_UNIX, SOCK_STREAM, 0);
  if (!socket.ok()) co_return socket.status();
  // It does not wait for a handshake, so there is nothing to ask a driver.
  internal::FullQueuePauses pauses;
  while (internal::Sys().connect(socket->native_handle(), address.data(), address.size()) != 0) {
    if (errno != EAGAIN) co_return SocketStatus(errno, absl::StrCat("connect to ", address.ToString()));
    co_await Sleep(pauses.Next());
  }
  co_return UnixStream(*std::move(socket));
}

absl::StatusOr<std::pair<UnixStream, UnixStream>> UnixStream::Pair() {
  absl::StatusOr<std::pair<Socket, Socket>> pair = internal::OpenUnixPair(SOCK_STREAM);
  if (!pair.ok()) return pair.status();
  return std::pair(UnixStream(std::move(pair->first)), UnixStream(std::move(pair->second)));
}

UnixStream UnixStream::Accepted(Socket socket, int fd) noexcept {
  socket.Open(fd);
  return UnixStream(std::move(socket));
}

Task<absl::Status> UnixStream::ReadExactly(MutableBuffer buffer) {
  return internal::FillFrom(socket_.Share("ReadExactly()"), buffer);
}

Task<absl::Status> UnixStream::WriteParts(std::span<const ConstBuffer> parts) {
  return internal::SendAll(socket_.Share("Write()"), parts);
}

absl::StatusOr<UnixStream> UnixStream::Adopt(int fd) {
  absl::StatusOr<Socket> socket = internal::AdoptSocket(
      fd, {.local = true, .type = SOCK_STREAM, .listens = false, .name = "connected Unix socket"});
  if (!socket.ok()) return socket.status();
  return UnixStream(*std::move(socket));
}

Task<absl::Status> UnixStream::WaitHangUp() { return internal::AwaitHangUp(socket_.Share("WaitHangUp()")); }

Task<absl::Status> UnixStream::Send(ConstBuffer data, std::span<const int> descriptors) {
  return SendWith(socket_.Share("Send()"), data, descriptors);
}

Task<absl::StatusOr<size_t>> UnixStream::Receive(MutableBuffer buffer, std::vector<io::UniqueDescriptor>& descriptors) {
  return ReceiveWith(socket_.Share("Receive()"), buffer, descriptors);
}

absl::Status UnixStream::ShutdownWrite() { return SocketStatus(socket_.Shutdown(SHUT_WR), "shutdown"); }

void UnixStream::Shutdown() noexcept { socket_.Shutdown(SHUT_RDWR); }

absl::StatusOr<PeerCredentials> UnixStream::peer_credentials() const {
  const DescriptorUse use = socket_.Use("peer_credentials()");
  if (!use) return SocketStatus(EBADF, "peer_credentials()");
  struct ucred credentials;
  socklen_t size = sizeof(credentials);
  if (internal::Sys().getsockopt(use.fd(), SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0) {
    return SocketStatus(errno, "peer_credentials()");
  }
  return PeerCredentials{.pid = credentials.pid, .uid = credentials.uid, .gid = credentials.gid};
}

}  // namespace weft::net

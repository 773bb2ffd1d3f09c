#include "weft/net/unix_datagram.h"

#include <sys/socket.h>

#include <cerrno>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "lib/net/datagrams.h"
#include "lib/net/messages.h"
#include "lib/net/open_socket.h"
#include "lib/net/passed_descriptors.h"
#include "lib/net/socket_file.h"
#include "lib/net/unix_socket.h"
#include "lib/os/syscalls.h"
#include "weft/internal/checkpoint.h"
#include "weft/internal/descriptor.h"
#include "weft/internal/socket.h"
#include "weft/io/buffer.h"
#include "weft/io/unique_descriptor.h"
#include "weft/net/datagram.h"
#include "weft/net/socket_address.h"
#include "weft/task.h"
#include "weft/text_view.h"
#include "weft/time.h"

namespace weft::net {
namespace {

using internal::DescriptorRef;
using internal::DescriptorUse;
using internal::DescriptorsToPass;
using internal::Message;
using internal::Socket;
using internal::SocketFile;
using internal::SocketStatus;

Task<absl::Status> SendToPeer(DescriptorRef socket, ConstBuffer data, std::span<const int> descriptors) {
  if (absl::Status s = internal::CheckToPass(descriptors, "Send()"); !s.ok()) {
    co_await internal::CheckpointAwaiter();
    co_return s;
  }
  Message message(data);
  const DescriptorsToPass passed(message.header(), descriptors);
  const int32_t sent = co_await internal::SendMessageAwaiter(DescriptorUse(socket.get()), message);
  co_return sent < 0 ? internal::PassingStatus(-sent, socket, "Send()") : absl::OkStatus();
}

// What is full is the receiver, and not this socket, which is writable then: so no driver can wait for it.
Task<absl::Status> SendToName(DescriptorRef socket, ConstBuffer data, SocketAddress receiver,
                              std::span<const int> descriptors) {
  co_await internal::CheckpointAwaiter();
  if (absl::Status s = internal::CheckUnix(receiver, "SendTo()"); !s.ok()) co_return s;
  if (absl::Status s = internal::CheckToPass(descriptors, "SendTo()"); !s.ok()) co_return s;
  Message message(data);
  internal::SetReceiver(message, receiver);
  const DescriptorsToPass passed(message.header(), descriptors);
  internal::FullQueuePauses pauses;
  for (;;) {
    int error = EBADF;
    if (const DescriptorUse use(socket.get()); use) {
      const int flags = MSG_DONTWAIT | MSG_NOSIGNAL;
      error = internal::Sys().sendmsg(use.fd(), &message.header(), flags) < 0 ? errno : 0;
    }
    if (error == 0) co_return absl::OkStatus();
    if (error == EINTR) continue;
    if (error != EAGAIN) {
      co_return internal::PassingStatus(error, socket, absl::StrCat("SendTo() to ", receiver.ToString()));
    }
    co_await Sleep(pauses.Next());
  }
}

Task<absl::StatusOr<Datagram>> ReceiveWith(DescriptorRef socket, MutableBuffer buffer,
                                           std::vector<io::UniqueDescriptor>& descriptors) {
  Message message(buffer);
  const internal::SenderBuffer sender(message);
  internal::ReceivedDescriptors received(message.header());
  const int32_t got = co_await internal::ReceiveMessageAwaiter(DescriptorUse(socket.get()), message, &received);
  if (got < 0) co_return SocketStatus(-got, "receive");
  if (absl::Status s = received.Take(descriptors, "ReceiveFrom()"); !s.ok()) co_return s;
  co_return sender.Received(message, got);
}

}  // namespace

UnixDatagram::UnixDatagram(Socket socket, std::unique_ptr<SocketFile> file) noexcept
    : socket_(std::move(socket)), file_(std::move(file)) {}
UnixDatagram::UnixDatagram(UnixDatagram&&) noexcept = default;
UnixDatagram& UnixDatagram::operator=(UnixDatagram&& other) noexcept {
  if (this == &other) return *this;
  file_ = std::move(other.file_);  // first, as in Close()
  socket_ = std::move(other.socket_);
  return *this;
}
UnixDatagram::~UnixDatagram() = default;

absl::StatusOr<UnixDatagram> UnixDatagram::Bind(TextView name, UnixDatagramOptions options) {
  absl::StatusOr<SocketAddress> address = internal::ParseUnixName(name);
  if (!address.ok()) return address.status();
  absl::StatusOr<Socket> socket = internal::OpenSocket(AF_UNIX, SOCK_DGRAM, 0);
  if (!socket.ok()) return socket.status();
  absl::StatusOr<std::unique_ptr<SocketFile>> file =
      SocketFile::Bind(socket->native_handle(), *address, options.replace_stale);
  if (!file.ok()) return file.status();
  return UnixDatagram(*std::move(socket), *std::move(file));
}

absl::StatusOr<UnixDatagram> UnixDatagram::Connect(TextView peer) {
  absl::StatusOr<SocketAddress> address = internal::ParseUnixName(peer);
  if (!address.ok()) return address.status();
  absl::StatusOr<Socket> socket = internal::OpenSocket(AF_UNIX, SOCK_DGRAM, 0);
  if (!socket.ok()) return socket.status();
  if (absl::Status s = internal::ConnectDatagrams(*socket, *address); !s.ok()) return s;
  return UnixDatagram(*std::move(socket));
}

absl::StatusOr<std::pair<UnixDatagram, UnixDatagram>> UnixDatagram::Pair() {
  absl::StatusOr<std::pair<Socket, Socket>> pair = internal::OpenUnixPair(SOCK_DGRAM);
  if (!pair.ok()) return pair.status();
  return std::pair(UnixDatagram(std::move(pair->first)), UnixDatagram(std::move(pair->second)));
}

absl::StatusOr<UnixDatagram> UnixDatagram::Adopt(int fd) {
  absl::StatusOr<Socket> socket = internal::AdoptSocket(
      fd, {.local = true, .type = SOCK_DGRAM, .listens = false, .name = "Unix socket for datagrams"});
  if (!socket.ok()) return socket.status();
  return UnixDatagram(*std::move(socket));
}

absl::Status UnixDatagram::SetPeer(const SocketAddress& peer) {
  if (absl::Status s = internal::CheckUnix(peer, "SetPeer()"); !s.ok()) return s;
  return internal::ConnectDatagrams(socket_, peer);
}

Task<absl::Status> UnixDatagram::Send(ConstBuffer data, std::span<const int> descriptors) {
  return SendToPeer(socket_.Share("Send()"), data, descriptors);
}

Task<absl::Status> UnixDatagram::SendTo(ConstBuffer data, SocketAddress receiver, std::span<const int> descriptors) {
  return SendToName(socket_.Share("SendTo()"), data, receiver, descriptors);
}

Task<absl::StatusOr<Datagram>> UnixDatagram::ReceiveFrom(MutableBuffer buffer) {
  return internal::ReceiveDatagram(socket_.Share("ReceiveFrom()"), buffer);
}

Task<absl::StatusOr<Datagram>> UnixDatagram::ReceiveFrom(MutableBuffer buffer,
                                                         std::vector<io::UniqueDescriptor>& descriptors) {
  return ReceiveWith(socket_.Share("ReceiveFrom()"), buffer, descriptors);
}

// The file goes first, as in UnixListener::Close().
void UnixDatagram::Close() noexcept {
  if (file_ != nullptr) file_->Remove();
  socket_.Close();
}

}  // namespace weft::net

#include "weft/net/unix_listener.h"

#include <sys/socket.h>

#include <cerrno>
#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "lib/base/errno_status.h"
#include "lib/net/accept_from.h"
#include "lib/net/open_socket.h"
#include "lib/net/socket_file.h"
#include "lib/net/unix_socket.h"
#include "lib/os/syscalls.h"
#include "weft/internal/descriptor.h"
#include "weft/internal/socket.h"
#include "weft/io/unique_descriptor.h"
#include "weft/net/socket_address.h"
#include "weft/net/unix_stream.h"
#include "weft/task.h"
#include "weft/text_view.h"

namespace weft::net {

using internal::DescriptorUse;
using internal::Socket;
using internal::SocketFile;

namespace {

// Of a Unix listener that was shut down Linux keeps the backlog: a client that is in it would wait for ever. Where no
// descriptor is free it stays until the close.
void EmptyBacklog(const DescriptorUse& listener) noexcept {
  for (;;) {
    const io::UniqueDescriptor client(
        internal::Sys().accept4(listener.fd(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (!client && errno != EINTR) return;
  }
}

}  // namespace

UnixListener::UnixListener(Socket socket, std::unique_ptr<SocketFile> file, bool wait_when_exhausted) noexcept
    : socket_(std::move(socket)), file_(std::move(file)), wait_when_exhausted_(wait_when_exhausted) {}
UnixListener::UnixListener(UnixListener&&) noexcept = default;
UnixListener& UnixListener::operator=(UnixListener&& other) noexcept {
  if (this == &other) return *this;
  file_ = std::move(other.file_);  // first, as in Close()
  socket_ = std::move(other.socket_);
  wait_when_exhausted_ = other.wait_when_exhausted_;
  return *this;
}
UnixListener::~UnixListener() = default;

absl::StatusOr<UnixListener> UnixListener::Bind(TextView name, UnixListenOptions options) {
  absl::StatusOr<SocketAddress> address = internal::ParseUnixName(name);
  if (!address.ok()) return address.status();
  return Bind(*address, options);
}

absl::StatusOr<UnixListener> UnixListener::Bind(const SocketAddress& address, UnixListenOptions options) {
  if (absl::Status s = internal::CheckUnix(address, "UnixListener::Bind()"); !s.ok()) return s;
  absl::StatusOr<Socket> socket = internal::OpenSocket(AF_UNIX, SOCK_STREAM, 0);
  if (!socket.ok()) return socket.status();
  const int fd = socket->native_handle();
  absl::StatusOr<std::unique_ptr<SocketFile>> file = SocketFile::Bind(fd, address, options.replace_stale);
  if (!file.ok()) return file.status();
  if (internal::Sys().listen(fd, options.backlog) != 0) {
    return internal::ErrnoToStatus(errno, absl::StrCat("listen on ", address.ToString()));
  }
  return UnixListener(*std::move(socket), *std::move(file), options.wait_when_exhausted);
}

absl::StatusOr<UnixListener> UnixListener::Adopt(int fd) {
  absl::StatusOr<Socket> socket = internal::AdoptSocket(
      fd, {.local = true, .type = SOCK_STREAM, .listens = true, .name = "listening Unix socket"});
  if (!socket.ok()) return socket.status();
  return UnixListener(*std::move(socket), nullptr, /*wait_when_exhausted=*/true);
}

Task<absl::StatusOr<UnixStream>> UnixListener::Accept() {
  return internal::AcceptFrom<UnixStream, internal::UnixAcceptAwaiter>(socket_.Share("Accept()"), wait_when_exhausted_,
                                                                      &UnixStream::Accepted);
}

// The file goes first: a client that comes then finds none, and is not refused by one that seems to be left over.
void UnixListener::Close() noexcept {
  if (file_ != nullptr) file_->Remove();
  socket_.Close();
}

void UnixListener::Shutdown() noexcept {
  if (file_ != nullptr) file_->Remove();
  socket_.Shutdown(SHUT_RDWR);
  if (!socket_) return;
  if (const DescriptorUse use = socket_.Use("Shutdown()"); use) EmptyBacklog(use);
}

}  // namespace weft::net

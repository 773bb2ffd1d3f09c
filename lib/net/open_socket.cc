#include "lib/net/open_socket.h"

#include <fcntl.h>
#include <sys/socket.h>

#include <cerrno>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "lib/base/errno_status.h"
#include "lib/os/syscalls.h"
#include "weft/internal/socket.h"

namespace weft::internal {

absl::StatusOr<Socket> OpenSocket(int family, int type, int protocol) {
  Socket socket = Socket::Empty();
  if (!socket) return ErrnoToStatus(ENOMEM, "socket");
  const int fd = Sys().socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol);
  if (fd < 0) return ErrnoToStatus(errno, "socket");
  socket.Open(fd);
  return socket;
}

namespace {

bool IsOfKind(int fd, const SocketKind& kind) noexcept {
  sockaddr_storage address = {};
  socklen_t size = sizeof(address);
  if (Sys().getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0) return false;
  const auto option = [fd](int name) {
    int value = -1;
    socklen_t bytes = sizeof(value);
    return Sys().getsockopt(fd, SOL_SOCKET, name, &value, &bytes) == 0 ? value : -1;
  };
  const int family = address.ss_family;
  return (kind.local ? family == AF_UNIX : family == AF_INET || family == AF_INET6) && option(SO_TYPE) == kind.type &&
         option(SO_ACCEPTCONN) == static_cast<int>(kind.listens);
}

// fcntl(2): 0, or an errno.
int SetFlag(int fd, int get, int set, int flag) noexcept {
  const int flags = Sys().fcntl(fd, get, 0);
  if (flags < 0) return errno;
  return (flags & flag) != 0 || Sys().fcntl(fd, set, flags | flag) == 0 ? 0 : errno;
}

}  // namespace

absl::StatusOr<Socket> AdoptSocket(int fd, const SocketKind& kind) {
  int error = SetFlag(fd, F_GETFD, F_SETFD, FD_CLOEXEC);
  if (error == EBADF) return absl::InvalidArgumentError(absl::StrCat("Adopt() of ", fd, ", where nothing is open"));
  Socket socket = Socket::Empty();
  if (!socket) {
    Sys().close(fd);
    return ErrnoToStatus(ENOMEM, "Adopt()");
  }
  socket.Open(fd);
  if (!IsOfKind(fd, kind)) {
    return absl::InvalidArgumentError(absl::StrCat("Adopt() of ", fd, ", which is no ", kind.name));
  }
  if (error == 0) error = SetFlag(fd, F_GETFL, F_SETFL, O_NONBLOCK);
  if (error != 0) return ErrnoToStatus(error, "Adopt()");
  return socket;
}

}  // namespace weft::internal

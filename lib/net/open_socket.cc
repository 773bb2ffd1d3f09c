#include "lib/net/open_socket.h"

#include <sys/socket.h>

#include <cerrno>

#include "absl/status/statusor.h"
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

}  // namespace weft::internal

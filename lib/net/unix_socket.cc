#include "lib/net/unix_socket.h"

#include <sys/socket.h>

#include <cerrno>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "lib/base/errno_status.h"
#include "lib/os/syscalls.h"
#include "weft/internal/socket.h"
#include "weft/net/socket_address.h"
#include "weft/text_view.h"

namespace weft::internal {

absl::StatusOr<net::SocketAddress> ParseUnixName(TextView name) {
  return net::SocketAddress::Parse(absl::StrCat("unix:", absl::StripPrefix({name.data(), name.size()}, "unix:")));
}

absl::Status CheckUnix(const net::SocketAddress& address, absl::string_view what) {
  if (address.family() == AF_UNIX) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(what, ": ", address.ToString(), " is not a Unix socket"));
}

absl::StatusOr<std::pair<Socket, Socket>> OpenUnixPair(int type) {
  std::pair<Socket, Socket> pair(Socket::Empty(), Socket::Empty());
  if (!pair.first || !pair.second) return ErrnoToStatus(ENOMEM, "socketpair");
  int fds[2];
  if (Sys().socketpair(AF_UNIX, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) != 0) {
    return ErrnoToStatus(errno, "socketpair");
  }
  pair.first.Open(fds[0]);
  pair.second.Open(fds[1]);
  return pair;
}

}  // namespace weft::internal

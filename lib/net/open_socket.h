// Layer net. How is a socket made, or taken over?
#ifndef WEFT_LIB_NET_OPEN_SOCKET_H_
#define WEFT_LIB_NET_OPEN_SOCKET_H_

#include <cerrno>
#include <type_traits>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "lib/os/syscalls.h"
#include "weft/internal/descriptor.h"
#include "weft/internal/socket.h"

namespace weft::internal {

// As socket(2), in non-blocking mode, and closed by exec(2).
absl::StatusOr<Socket> OpenSocket(int family, int type, int protocol);

// What a socket has to be.
struct SocketKind {
  bool local;  // AF_UNIX, and not AF_INET or AF_INET6
  int type;    // SOCK_STREAM or SOCK_DGRAM
  bool listens;
  const char* name;  // for the status
};

// Takes over a socket that the program got from elsewhere: non-blocking from here on, and closed by exec(2). One that
// is not of that kind is kInvalidArgument, and closed; so it is after any other error.
absl::StatusOr<Socket> AdoptSocket(int fd, const SocketKind& kind);

// setsockopt(2): 0, or an errno.
template <class Value>
  requires std::is_trivially_copyable_v<Value>
int SetSocketOption(int fd, int level, int option, const Value& value) noexcept {
  return Sys().setsockopt(fd, level, option, &value, sizeof(value)) == 0 ? 0 : errno;
}

// The same, on a socket that may be closed meanwhile. `what` is for the status.
template <class Value>
absl::Status SetSocketOption(const Socket& socket, int level, int option, const Value& value, const char* what) {
  const DescriptorUse use = socket.Use(what);
  return SocketStatus(use ? SetSocketOption(use.fd(), level, option, value) : EBADF, what);
}

}  // namespace weft::internal

#endif  // WEFT_LIB_NET_OPEN_SOCKET_H_

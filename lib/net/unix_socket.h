// Layer net. What do the three classes of Unix sockets do alike?
#ifndef WEFT_LIB_NET_UNIX_SOCKET_H_
#define WEFT_LIB_NET_UNIX_SOCKET_H_

#include <algorithm>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "weft/internal/socket.h"
#include "weft/net/socket_address.h"
#include "weft/text_view.h"

namespace weft::internal {

// "/path", "@name", and both behind "unix:".
absl::StatusOr<net::SocketAddress> ParseUnixName(TextView name);

// kInvalidArgument, if it is of another family.
absl::Status CheckUnix(const net::SocketAddress& address, absl::string_view what);

// socketpair(2), of SOCK_STREAM or SOCK_DGRAM.
absl::StatusOr<std::pair<Socket, Socket>> OpenUnixPair(int type);

// How long to wait for a peer whose queue is full: connect(2) and sendto(2) of a Unix socket say EAGAIN then, and
// nothing tells when there is room.
class FullQueuePauses {
 public:
  absl::Duration Next() noexcept { return std::exchange(next_, std::min(2 * next_, kLongest)); }

 private:
  static constexpr absl::Duration kLongest = absl::Milliseconds(64);
  absl::Duration next_ = absl::Milliseconds(1);
};

}  // namespace weft::internal

#endif  // WEFT_LIB_NET_UNIX_SOCKET_H_

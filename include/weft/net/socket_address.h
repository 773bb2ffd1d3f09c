// SocketAddress: an IPv4 or IPv6 address with a port, or the name of a Unix socket. It does not look up the names of
// hosts, because a lookup blocks (resolver.h).
//
//   absl::StatusOr<weft::net::SocketAddress> address = weft::net::SocketAddress::Parse("[::1]:8080");
//   absl::StatusOr<weft::net::SocketAddress> local = weft::net::SocketAddress::Unix("/run/server.sock");
//
// Cost: 112 bytes, because a Unix socket's name may have 107. A copy is a copy of those bytes, and cannot fail. (A
// reference-counted name would make it 32 bytes; but then a copy might touch a counter, and the sender's address of a
// datagram might find no memory.)
#ifndef WEFT_NET_SOCKET_ADDRESS_H_
#define WEFT_NET_SOCKET_ADDRESS_H_

#include "weft/internal/compiler.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <cstdint>
#include <ostream>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "weft/text_view.h"

namespace weft::net {

class SocketAddress {
 public:
  // Reads "127.0.0.1:8080", "[::1]:8080" or ":8080" (every IPv4 address of the machine). Port 0 lets the kernel choose.
  // Reads "[fe80::1%eth0]:8080": a link-local address means something only with its zone, which is the name or the
  // index of an interface of this machine (RFC 4007, section 11).
  // Reads "unix:/run/server.sock", and "unix:@name" for an abstract name. Anything else is kInvalidArgument, with a
  // sentence that says what is wrong.
  static absl::StatusOr<SocketAddress> Parse(TextView text);
  // A Unix socket that is a file. The path has 1 to 107 bytes, none of them zero; otherwise it is kInvalidArgument. A
  // relative path counts from the working directory at each use.
  static absl::StatusOr<SocketAddress> Unix(TextView path);
  // A Unix socket that is no file: a name that the kernel keeps as long as the socket is open. Every process of the
  // network namespace may connect to it. 1 to 107 bytes, of any values; otherwise it is kInvalidArgument.
  static absl::StatusOr<SocketAddress> Abstract(TextView name);
  // Converts from the kernel's form, of family AF_INET, AF_INET6 or AF_UNIX. `size` is the number of readable bytes at
  // `address`. Fewer than the family needs are kInvalidArgument. More are ignored, like in connect(2); for AF_UNIX,
  // where the size says how long the name is, they are kInvalidArgument.
  static absl::StatusOr<SocketAddress> From(const sockaddr* address, socklen_t size);

  uint16_t port() const noexcept;  // 0 for a Unix socket
  // The file of a Unix socket; empty for all others. Valid as long as this object.
  std::string_view path() const noexcept;
  int family() const noexcept { return storage_.base.sa_family; }
  const sockaddr* data() const noexcept { return &storage_.base; }
  socklen_t size() const noexcept;

  // In the form that Parse() reads, a zone by its index; "unix:" for a Unix socket without a name, as most clients are.
  std::string ToString() const;
  friend std::ostream& operator<<(std::ostream& out, const SocketAddress& address) { return out << address.ToString(); }
  friend bool operator==(const SocketAddress& a, const SocketAddress& b) { return a.ToString() == b.ToString(); }

 private:
  SocketAddress() noexcept = default;
  static absl::StatusOr<SocketAddress> Named(bool abstract, std::string_view name);
  // sockaddr_un, and the length of the name. An abstract one begins with a zero byte.
  struct Local {
    sa_family_t family;
    char name[108];
    uint8_t length;
  };
  union Storage {
    sockaddr base;
    sockaddr_in v4;
    sockaddr_in6 v6;
    Local local = {};
  };
  Storage storage_;
};

}  // namespace weft::net

#endif  // WEFT_NET_SOCKET_ADDRESS_H_

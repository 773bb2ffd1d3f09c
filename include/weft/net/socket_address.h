// SocketAddress: an IPv4 or IPv6 address with a port. It does not look up names, because a lookup blocks.
//
//   absl::StatusOr<weft::net::SocketAddress> address = weft::net::SocketAddress::Parse("[::1]:8080");
#ifndef WEFT_NET_SOCKET_ADDRESS_H_
#define WEFT_NET_SOCKET_ADDRESS_H_

#include "weft/internal/compiler.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <cstdint>
#include <ostream>
#include <string>

#include "absl/status/statusor.h"
#include "weft/text_view.h"

namespace weft::net {

class SocketAddress {
 public:
  // Reads "127.0.0.1:8080", "[::1]:8080" or ":8080" (every IPv4 address of the machine). Port 0 lets the kernel choose.
  // Anything else is kInvalidArgument, with a sentence that says what is wrong.
  static absl::StatusOr<SocketAddress> Parse(TextView text);
  // Converts from the kernel's form, of family AF_INET or AF_INET6. `size` is the number of readable bytes at
  // `address`. Fewer than the family needs are kInvalidArgument. More are ignored, like in connect(2).
  static absl::StatusOr<SocketAddress> From(const sockaddr* address, socklen_t size);

  uint16_t port() const noexcept;
  int family() const noexcept { return storage_.base.sa_family; }
  const sockaddr* data() const noexcept { return &storage_.base; }
  socklen_t size() const noexcept { return family() == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6); }

  // In the form that Parse() reads.
  std::string ToString() const;
  friend std::ostream& operator<<(std::ostream& out, const SocketAddress& address) { return out << address.ToString(); }
  friend bool operator==(const SocketAddress& a, const SocketAddress& b) { return a.ToString() == b.ToString(); }

 private:
  SocketAddress() noexcept = default;
  union Storage {
    sockaddr base;
    sockaddr_in v4;
    sockaddr_in6 v6 = {};
  };
  Storage storage_;
};

}  // namespace weft::net

#endif  // WEFT_NET_SOCKET_ADDRESS_H_

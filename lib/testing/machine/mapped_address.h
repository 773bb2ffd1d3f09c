// Layer testing. What does a socket of IPv6 call a peer of IPv4?
//
// ::ffff:10.0.0.1 (RFC 4291, section 2.5.5.2). The network knows only 10.0.0.1: addresses are unmapped where a program
// gives them to a socket, and mapped where a socket of IPv6 shows them.
#ifndef WEFT_LIB_TESTING_MACHINE_MAPPED_ADDRESS_H_
#define WEFT_LIB_TESTING_MACHINE_MAPPED_ADDRESS_H_

#include <netinet/in.h>
#include <sys/socket.h>

#include <cstring>

#include "weft/net/socket_address.h"

namespace weft::internal::machine {

// Where in an IPv6 address that of IPv4 is.
inline constexpr size_t kMappedOffset = 12;

inline net::SocketAddress Unmapped(const net::SocketAddress& address) {
  if (address.family() != AF_INET6) return address;
  const in6_addr& host = reinterpret_cast<const sockaddr_in6*>(address.data())->sin6_addr;
  if (!IN6_IS_ADDR_V4MAPPED(&host)) return address;
  sockaddr_in plain = {};
  plain.sin_family = AF_INET;
  plain.sin_port = htons(address.port());
  std::memcpy(&plain.sin_addr, host.s6_addr + kMappedOffset, sizeof(plain.sin_addr));
  return *net::SocketAddress::From(reinterpret_cast<const sockaddr*>(&plain), sizeof(plain));
}

// As a socket of that family shows it.
inline net::SocketAddress ShownBy(int family, const net::SocketAddress& address) {
  if (family != AF_INET6 || address.family() != AF_INET) return address;
  sockaddr_in6 mapped = {};
  mapped.sin6_family = AF_INET6;
  mapped.sin6_port = htons(address.port());
  mapped.sin6_addr.s6_addr[kMappedOffset - 2] = mapped.sin6_addr.s6_addr[kMappedOffset - 1] = 0xff;
  std::memcpy(mapped.sin6_addr.s6_addr + kMappedOffset,
              &reinterpret_cast<const sockaddr_in*>(address.data())->sin_addr, sizeof(in_addr));
  return *net::SocketAddress::From(reinterpret_cast<const sockaddr*>(&mapped), sizeof(mapped));
}

}  // namespace weft::internal::machine

#endif  // WEFT_LIB_TESTING_MACHINE_MAPPED_ADDRESS_H_

#include "weft/net/socket_address.h"

#include <arpa/inet.h>

#include <cstddef>
#include <cstring>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "weft/text_view.h"

namespace weft::net {
namespace {

absl::Status Invalid(absl::string_view text, absl::string_view why) {
  return absl::InvalidArgumentError(absl::StrCat("\"", text, "\" is not a socket address: ", why));
}

// Digits only: SimpleAtoi() would also take blanks and signs. False if it is no port.
bool ParsePort(absl::string_view text, uint32_t& port) {
  for (const char c : text) {
    if (c < '0' || c > '9') return false;
  }
  return absl::SimpleAtoi(text, &port) && port <= 65535;
}

}  // namespace

absl::StatusOr<SocketAddress> SocketAddress::Parse(TextView given) {
  const absl::string_view text(given.data(), given.size());
  const size_t colon = text.rfind(':');
  if (colon == absl::string_view::npos) return Invalid(text, "it has no port, as in \"127.0.0.1:8080\"");
  std::string host(text.substr(0, colon));
  if (host.find('\0') != std::string::npos) return Invalid(text, "it contains a zero byte");
  uint32_t port = 0;
  if (!ParsePort(text.substr(colon + 1), port)) {
    return Invalid(text, "the port must be a number from 0 to 65535");
  }
  SocketAddress address;
  if (!host.empty() && host.front() == '[') {
    if (host.back() != ']') return Invalid(text, "the bracket is not closed, as in \"[::1]:8080\"");
    host = host.substr(1, host.size() - 2);
    address.storage_.v6.sin6_family = AF_INET6;
    address.storage_.v6.sin6_port = htons(static_cast<uint16_t>(port));
    if (inet_pton(AF_INET6, host.c_str(), &address.storage_.v6.sin6_addr) != 1) {
      return Invalid(text, "what is in brackets must be an IPv6 address");
    }
    return address;
  }
  if (host.find(':') != std::string::npos)
    return Invalid(text, "an IPv6 address goes in brackets, as in \"[::1]:8080\"");
  address.storage_.v4 = {};
  address.storage_.v4.sin_family = AF_INET;
  address.storage_.v4.sin_port = htons(static_cast<uint16_t>(port));
  if (!host.empty() && inet_pton(AF_INET, host.c_str(), &address.storage_.v4.sin_addr) != 1) {
    return Invalid(text, "the host must be a numeric address; names are not looked up");
  }
  return address;
}

absl::StatusOr<SocketAddress> SocketAddress::From(const sockaddr* from, socklen_t size) {
  sa_family_t family = AF_UNSPEC;
  if (size < offsetof(sockaddr, sa_family) + sizeof(family)) {
    return absl::InvalidArgumentError(absl::StrCat("an address of ", size, " bytes is too short for its family"));
  }
  std::memcpy(&family, &from->sa_family, sizeof(family));
  if (family != AF_INET && family != AF_INET6) {
    return absl::InvalidArgumentError(absl::StrCat("address family ", family, " is neither IPv4 nor IPv6"));
  }
  const size_t own = family == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6);
  if (size < own) {
    return absl::InvalidArgumentError(
        absl::StrCat("an address of ", size, " bytes is too short for its family, which has ", own));
  }
  SocketAddress address;
  std::memcpy(&address.storage_, from, own);
  return address;
}

uint16_t SocketAddress::port() const noexcept {
  return ntohs(family() == AF_INET ? storage_.v4.sin_port : storage_.v6.sin6_port);
}

std::string SocketAddress::ToString() const {
  char host[INET6_ADDRSTRLEN] = {};
  if (family() == AF_INET) {
    inet_ntop(AF_INET, &storage_.v4.sin_addr, host, sizeof(host));
    return absl::StrCat(host, ":", port());
  }
  inet_ntop(AF_INET6, &storage_.v6.sin6_addr, host, sizeof(host));
  return absl::StrCat("[", host, "]:", port());
}

}  // namespace weft::net

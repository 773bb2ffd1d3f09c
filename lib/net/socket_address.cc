#include "weft/net/socket_address.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <sys/un.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <type_traits>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "lib/net/lookup.h"
#include "weft/text_view.h"

namespace weft::net {
namespace {

static_assert(sizeof(SocketAddress) == 112 && std::is_trivially_copyable_v<SocketAddress>);

// The last byte of sun_path is for the zero behind a path.
constexpr size_t kMaxName = sizeof(sockaddr_un::sun_path) - 1;
constexpr absl::string_view kUnixPrefix = "unix:";

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
  if (text.substr(0, kUnixPrefix.size()) == kUnixPrefix) {
    const absl::string_view name = text.substr(kUnixPrefix.size());
    const bool abstract = name.substr(0, 1) == "@";
    return Named(abstract, {name.data() + abstract, name.size() - abstract});
  }
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
    const std::string without_zone = host.substr(0, host.find('%'));
    address.storage_.v6.sin6_family = AF_INET6;
    address.storage_.v6.sin6_port = htons(static_cast<uint16_t>(port));
    in6_addr& ip = address.storage_.v6.sin6_addr;
    if (inet_pton(AF_INET6, without_zone.c_str(), &ip) != 1) {
      return Invalid(text, "what is in brackets must be an IPv6 address");
    }
    if (without_zone.size() == host.size()) return address;
    if (!IN6_IS_ADDR_LINKLOCAL(&ip) && !IN6_IS_ADDR_MC_LINKLOCAL(&ip)) {
      return Invalid(text, "only a link-local address has a zone, as in \"[fe80::1%eth0]:8080\"");
    }
    // It asks the kernel for the interface, and nobody else.
    const auto zoned =
        internal::AddressesOf(internal::LookUp(host, static_cast<uint16_t>(port), AF_INET6, AI_NUMERICHOST), host);
    if (!zoned.ok()) return Invalid(text, "its zone must be the name or the index of an interface");
    return zoned->front();
  }
  if (host.find(':') != std::string::npos)
    return Invalid(text, "an IPv6 address goes in brackets, as in \"[::1]:8080\"");
  address.storage_.v4.sin_family = AF_INET;
  address.storage_.v4.sin_port = htons(static_cast<uint16_t>(port));
  if (!host.empty() && inet_pton(AF_INET, host.c_str(), &address.storage_.v4.sin_addr) != 1) {
    return Invalid(text, "the host must be a numeric address; names are not looked up");
  }
  return address;
}

absl::StatusOr<SocketAddress> SocketAddress::Unix(TextView path) {
  return Named(/*abstract=*/false, {path.data(), path.size()});
}

absl::StatusOr<SocketAddress> SocketAddress::Abstract(TextView name) {
  return Named(/*abstract=*/true, {name.data(), name.size()});
}

absl::StatusOr<SocketAddress> SocketAddress::Named(bool abstract, std::string_view name) {
  const absl::string_view kind = abstract ? "abstract name" : "path";
  if (name.empty() || name.size() > kMaxName) {
    return absl::InvalidArgumentError(
        absl::StrCat("the ", kind, " of a Unix socket has ", name.size(), " bytes; it must have 1 to ", kMaxName));
  }
  if (!abstract && name.find('\0') != std::string_view::npos) {
    return absl::InvalidArgumentError("the path of a Unix socket contains a zero byte");
  }
  SocketAddress address;
  Local& local = address.storage_.local;
  local.family = AF_UNIX;
  std::memcpy(local.name + abstract, name.data(), name.size());
  local.length = static_cast<uint8_t>(name.size() + abstract);
  return address;
}

absl::StatusOr<SocketAddress> SocketAddress::From(const sockaddr* from, socklen_t size) {
  static_assert(offsetof(Local, name) == offsetof(sockaddr_un, sun_path) &&
                sizeof(Local::name) == sizeof(sockaddr_un::sun_path));
  sa_family_t family = AF_UNSPEC;
  if (size < offsetof(sockaddr, sa_family) + sizeof(family)) {
    return absl::InvalidArgumentError(absl::StrCat("an address of ", size, " bytes is too short for its family"));
  }
  std::memcpy(&family, &from->sa_family, sizeof(family));
  SocketAddress address;
  if (family == AF_UNIX) {
    // The kernel counts the zero behind a path even if there is no room for it.
    if (size == sizeof(sockaddr_un) + 1 && reinterpret_cast<const sockaddr_un*>(from)->sun_path[0] != '\0') {
      size = sizeof(sockaddr_un);
    }
    if (size > sizeof(sockaddr_un)) {
      return absl::InvalidArgumentError(absl::StrCat("an address of ", size, " bytes is too long for a Unix socket"));
    }
    Local& local = address.storage_.local;
    std::memcpy(&local, from, size);
    // The kernel counts the zero behind a path, or not, as whoever has bound it.
    const size_t length = size - offsetof(sockaddr_un, sun_path);
    local.length = static_cast<uint8_t>(local.name[0] == '\0' ? length : strnlen(local.name, length));
    return address;
  }
  if (family != AF_INET && family != AF_INET6) {
    return absl::InvalidArgumentError(absl::StrCat("address family ", family, " is not IPv4, IPv6 or Unix"));
  }
  const size_t own = family == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6);
  if (size < own) {
    return absl::InvalidArgumentError(
        absl::StrCat("an address of ", size, " bytes is too short for its family, which has ", own));
  }
  std::memcpy(&address.storage_, from, own);
  return address;
}

uint16_t SocketAddress::port() const noexcept {
  if (family() == AF_UNIX) return 0;
  return ntohs(family() == AF_INET ? storage_.v4.sin_port : storage_.v6.sin6_port);
}

std::string_view SocketAddress::path() const noexcept {
  const Local& local = storage_.local;
  if (family() != AF_UNIX || local.name[0] == '\0') return {};
  return {local.name, local.length};
}

socklen_t SocketAddress::size() const noexcept {
  if (family() == AF_UNIX) return static_cast<socklen_t>(offsetof(sockaddr_un, sun_path)) + storage_.local.length;
  return family() == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6);
}

std::string SocketAddress::ToString() const {
  if (family() == AF_UNIX) {
    const Local& local = storage_.local;
    // "@" alone would be taken for the sign of an abstract name.
    if (const std::string_view file = path(); !file.empty()) {
      return absl::StrCat(kUnixPrefix, file[0] == '@' ? "./" : "", absl::string_view(file.data(), file.size()));
    }
    if (local.length == 0) return std::string(kUnixPrefix);
    return absl::StrCat(kUnixPrefix, "@", absl::string_view(local.name + 1, local.length - 1u));
  }
  char host[INET6_ADDRSTRLEN] = {};
  if (family() == AF_INET) {
    inet_ntop(AF_INET, &storage_.v4.sin_addr, host, sizeof(host));
    return absl::StrCat(host, ":", port());
  }
  inet_ntop(AF_INET6, &storage_.v6.sin6_addr, host, sizeof(host));
  const uint32_t zone = storage_.v6.sin6_scope_id;
  return zone == 0 ? absl::StrCat("[", host, "]:", port()) : absl::StrCat("[", host, "%", zone, "]:", port());
}

}  // namespace weft::net

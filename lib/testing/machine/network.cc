#include "lib/testing/machine/network.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "lib/testing/machine/mapped_address.h"
#include "weft/internal/check.h"

namespace weft::internal::machine {
namespace {

// net.ipv4.ip_local_port_range.
constexpr uint16_t kFirstFreePort = 32'768;
constexpr uint16_t kLastFreePort = 60'999;

// Text is unambiguous, but for the two families' names.
std::string InetKey(const net::SocketAddress& address) { return address.ToString(); }

net::SocketAddress EveryAddress(int family, uint16_t port) {
  const absl::StatusOr<net::SocketAddress> every =
      net::SocketAddress::Parse(absl::StrCat(family == AF_INET ? "0.0.0.0:" : "[::]:", port));
  WEFT_CHECK(every.ok());
  return *every;
}

bool IsForIpv6Only(const Socket& socket) noexcept { return socket.IntegerOption(IPPROTO_IPV6, IPV6_V6ONLY) != 0; }

}  // namespace

net::SocketAddress Network::WithPort(const net::SocketAddress& host, uint16_t port) {
  sockaddr_storage storage = {};
  std::memcpy(&storage, host.data(), host.size());
  if (host.family() == AF_INET) {
    reinterpret_cast<sockaddr_in*>(&storage)->sin_port = htons(port);
  } else {
    reinterpret_cast<sockaddr_in6*>(&storage)->sin6_port = htons(port);
  }
  return *net::SocketAddress::From(reinterpret_cast<const sockaddr*>(&storage), host.size());
}

bool Network::IsEveryAddress(const net::SocketAddress& address) noexcept {
  if (address.family() == AF_INET) {
    return reinterpret_cast<const sockaddr_in*>(address.data())->sin_addr.s_addr == htonl(INADDR_ANY);
  }
  if (address.family() != AF_INET6) return false;
  const in6_addr& host = reinterpret_cast<const sockaddr_in6*>(address.data())->sin6_addr;
  return std::memcmp(&host, &in6addr_any, sizeof(host)) == 0;
}

std::string Network::KeyOf(const net::SocketAddress& address) const {
  if (address.family() != AF_UNIX) return InetKey(address);
  if (address.path().empty()) return address.ToString();
  const int64_t number = files_.FindSocketFile(std::string(address.path()).c_str());
  return number < 0 ? "" : absl::StrCat("file ", number);
}

int Network::Reason(const net::SocketAddress& address) const {
  if (address.family() != AF_UNIX || address.path().empty()) return -ECONNREFUSED;
  const int64_t number = files_.FindSocketFile(std::string(address.path()).c_str());
  return number < 0 ? static_cast<int>(number) : -ECONNREFUSED;
}

std::vector<Socket*> Network::All(int type, const net::SocketAddress& address) const {
  std::vector<Socket*> found;
  const auto add = [&](const std::string& key) {
    for (auto [at, end] = bound_.equal_range(key); at != end; ++at) {
      if (at->second->type() == type) found.push_back(at->second);
    }
  };
  const std::string key = KeyOf(address);
  if (!key.empty()) add(key);
  if (!found.empty() || address.family() == AF_UNIX) return found;
  add(InetKey(EveryAddress(address.family(), address.port())));
  if (!found.empty() || address.family() == AF_INET6) return found;
  // A socket of IPv6 that is bound to every address serves IPv4, too, unless it is for IPv6 only.
  add(InetKey(EveryAddress(AF_INET6, address.port())));
  std::erase_if(found, [](const Socket* socket) { return IsForIpv6Only(*socket); });
  return found;
}

bool Network::Covers(const Socket& socket, const net::SocketAddress& one, const net::SocketAddress& other) noexcept {
  if (!IsEveryAddress(one)) return false;
  return one.family() == other.family() || (one.family() == AF_INET6 && !IsForIpv6Only(socket));
}

bool Network::IsFree(const Socket& socket, const net::SocketAddress& wanted) const {
  for (const auto& [key, other] : bound_) {
    if (other->type() != socket.type() || other->is_unix()) continue;
    const net::SocketAddress& taken = *other->name();
    if (taken.port() != wanted.port()) continue;
    const bool covers = Covers(socket, wanted, taken) || Covers(*other, taken, wanted);
    if (!covers && HostOf(taken) != HostOf(wanted)) continue;
    const auto both = [&](int option) {
      return socket.IntegerOption(SOL_SOCKET, option) != 0 && other->IntegerOption(SOL_SOCKET, option) != 0;
    };
    const bool listens = socket.type() == SOCK_STREAM && other->IntegerOption(SOL_SOCKET, SO_ACCEPTCONN) != 0;
    if (both(SO_REUSEPORT) || (both(SO_REUSEADDR) && !listens)) continue;
    return false;
  }
  return true;
}

int Network::Bind(Socket& socket, const net::SocketAddress& wanted) {
  if (socket.name().has_value()) return -EINVAL;
  if (wanted.family() != socket.family()) return -EAFNOSUPPORT;
  if (socket.is_unix() && !wanted.path().empty()) {
    const int64_t number = files_.MakeSocketFile(std::string(wanted.path()).c_str());
    if (number < 0) return number == -EEXIST ? -EADDRINUSE : static_cast<int>(number);
    return Name(socket, wanted, absl::StrCat("file ", number));
  }
  const net::SocketAddress name = Unmapped(wanted);
  if (!socket.is_unix() && name.port() == 0) return BindToFreePort(socket, name);
  if (socket.is_unix() ? bound_.contains(KeyOf(name)) : !IsFree(socket, name)) return -EADDRINUSE;
  return Name(socket, name, KeyOf(name));
}

int Network::Name(Socket& socket, const net::SocketAddress& name, std::string key) {
  socket.SetName(name);
  bound_.emplace(key, &socket);
  keys_.emplace(&socket, std::move(key));
  return 0;
}

int Network::BindToFreePort(Socket& socket, const net::SocketAddress& host) {
  constexpr int kPorts = kLastFreePort - kFirstFreePort + 1;
  if (last_port_ == 0) {
    last_port_ = static_cast<uint16_t>(kFirstFreePort + surroundings_.chance.Below(uint64_t{kPorts}));
  }
  for (int tries = 0; tries < kPorts; ++tries) {
    last_port_ = last_port_ == kLastFreePort ? kFirstFreePort : static_cast<uint16_t>(last_port_ + 1);
    const net::SocketAddress wanted = WithPort(host, last_port_);
    // Also where SO_REUSEADDR would share it: nobody asked for that port.
    if (All(socket.type(), wanted).empty() && IsFree(socket, wanted)) return Name(socket, wanted, KeyOf(wanted));
  }
  return -EADDRINUSE;
}

void Network::Unbind(Socket& socket) noexcept {
  const auto key = keys_.find(&socket);
  if (key == keys_.end()) return;
  for (auto [at, end] = bound_.equal_range(key->second); at != end; ++at) {
    if (at->second != &socket) continue;
    bound_.erase(at);
    break;
  }
  keys_.erase(key);
}

}  // namespace weft::internal::machine

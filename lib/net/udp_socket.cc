#include "weft/net/udp_socket.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "lib/base/errno_status.h"
#include "lib/net/datagrams.h"
#include "lib/net/messages.h"
#include "lib/net/open_socket.h"
#include "lib/os/syscalls.h"
#include "weft/internal/descriptor.h"
#include "weft/internal/socket.h"
#include "weft/io/buffer.h"
#include "weft/net/datagram.h"
#include "weft/net/socket_address.h"
#include "weft/task.h"
#include "weft/text_view.h"

namespace weft::net {
namespace {

using internal::DescriptorRef;
using internal::DescriptorUse;
using internal::ErrnoToStatus;
using internal::Message;
using internal::Socket;
using internal::SocketStatus;

absl::StatusOr<Socket> NewUdpSocket(const SocketAddress& address) {
  if (address.family() == AF_UNIX) {
    return absl::InvalidArgumentError(absl::StrCat(address.ToString(), " is no address of UDP"));
  }
  return internal::OpenSocket(address.family(), SOCK_DGRAM, IPPROTO_UDP);
}

Task<absl::Status> SendOne(DescriptorRef socket, ConstBuffer data, std::optional<SocketAddress> receiver) {
  Message message(data);
  if (receiver.has_value()) internal::SetReceiver(message, *receiver);
  const int32_t sent = co_await internal::SendMessageAwaiter(DescriptorUse(socket.get()), message);
  co_return sent < 0 ? SocketStatus(-sent, "send") : absl::OkStatus();
}

}  // namespace

absl::StatusOr<UdpSocket> UdpSocket::Bind(TextView address, UdpOptions options) {
  absl::StatusOr<SocketAddress> parsed = SocketAddress::Parse(address);
  if (!parsed.ok()) return parsed.status();
  return Bind(*parsed, options);
}

absl::StatusOr<UdpSocket> UdpSocket::Bind(const SocketAddress& address, UdpOptions options) {
  absl::StatusOr<Socket> socket = NewUdpSocket(address);
  if (!socket.ok()) return socket.status();
  const int fd = socket->native_handle();
  int error = 0;
  if (options.reuse_address) error = internal::SetSocketOption(fd, SOL_SOCKET, SO_REUSEADDR, /*value=*/1);
  if (options.reuse_port && error == 0) error = internal::SetSocketOption(fd, SOL_SOCKET, SO_REUSEPORT, /*value=*/1);
  if (options.v6_only && address.family() == AF_INET6 && error == 0) {
    error = internal::SetSocketOption(fd, IPPROTO_IPV6, IPV6_V6ONLY, /*value=*/1);
  }
  if (error != 0) return ErrnoToStatus(error, "setsockopt");
  if (internal::Sys().bind(fd, address.data(), address.size()) != 0) {
    return ErrnoToStatus(errno, absl::StrCat("bind to ", address.ToString()));
  }
  return UdpSocket(*std::move(socket));
}

absl::StatusOr<UdpSocket> UdpSocket::Connect(TextView peer) {
  absl::StatusOr<SocketAddress> parsed = SocketAddress::Parse(peer);
  if (!parsed.ok()) return parsed.status();
  return Connect(*parsed);
}

absl::StatusOr<UdpSocket> UdpSocket::Connect(const SocketAddress& peer) {
  absl::StatusOr<Socket> socket = NewUdpSocket(peer);
  if (!socket.ok()) return socket.status();
  if (absl::Status s = internal::ConnectDatagrams(*socket, peer); !s.ok()) return s;
  return UdpSocket(*std::move(socket));
}

absl::Status UdpSocket::SetPeer(const SocketAddress& peer) { return internal::ConnectDatagrams(socket_, peer); }

Task<absl::Status> UdpSocket::SendTo(ConstBuffer data, SocketAddress receiver) {
  return SendOne(socket_.Share("SendTo()"), data, receiver);
}

Task<absl::Status> UdpSocket::Send(ConstBuffer data) { return SendOne(socket_.Share("Send()"), data, std::nullopt); }

Task<absl::StatusOr<Datagram>> UdpSocket::ReceiveFrom(MutableBuffer buffer) {
  return internal::ReceiveDatagram(socket_.Share("ReceiveFrom()"), buffer);
}

absl::Status UdpSocket::SetBroadcast(bool on) {
  return internal::SetSocketOption(socket_, SOL_SOCKET, SO_BROADCAST, static_cast<int>(on), "SetBroadcast()");
}

absl::StatusOr<UdpSocket> UdpSocket::Adopt(int fd) {
  absl::StatusOr<Socket> socket =
      internal::AdoptSocket(fd, {.local = false, .type = SOCK_DGRAM, .listens = false, .name = "socket of UDP"});
  if (!socket.ok()) return socket.status();
  return UdpSocket(*std::move(socket));
}

absl::Status UdpSocket::JoinGroup(const SocketAddress& group, unsigned interface_index) {
  return ChangeGroup(group, interface_index, MCAST_JOIN_GROUP, "JoinGroup()");
}

absl::Status UdpSocket::LeaveGroup(const SocketAddress& group, unsigned interface_index) {
  return ChangeGroup(group, interface_index, MCAST_LEAVE_GROUP, "LeaveGroup()");
}

absl::Status UdpSocket::SetMulticastHops(int hops) {
  // The kernel takes -1 for "as at first".
  if (hops < 0) return absl::InvalidArgumentError(absl::StrCat("SetMulticastHops() of ", hops));
  return SetMulticast(IP_MULTICAST_TTL, IPV6_MULTICAST_HOPS, hops, "SetMulticastHops()");
}

absl::Status UdpSocket::SetMulticastLoop(bool on) {
  return SetMulticast(IP_MULTICAST_LOOP, IPV6_MULTICAST_LOOP, static_cast<int>(on), "SetMulticastLoop()");
}

// A socket of IPv6 sends to groups of IPv4 as well.
absl::Status UdpSocket::SetMulticast(int v4_option, int v6_option, int value, const char* what) {
  const absl::StatusOr<SocketAddress> own = local_address();
  if (!own.ok()) return own.status();
  if (own->family() == AF_INET6) {
    absl::Status set = internal::SetSocketOption(socket_, IPPROTO_IPV6, v6_option, value, what);
    if (!set.ok()) return set;
  }
  return internal::SetSocketOption(socket_, IPPROTO_IP, v4_option, value, what);
}

absl::Status UdpSocket::ChangeGroup(const SocketAddress& group, unsigned interface_index, int option,
                                    const char* what) {
  if (group.family() == AF_UNIX) return absl::InvalidArgumentError(absl::StrCat(what, " of ", group.ToString()));
  group_req request = {};
  request.gr_interface = interface_index;
  std::memcpy(&request.gr_group, group.data(), group.size());
  if (group.family() == AF_INET6) {
    // The kernel looks at gr_interface only, and not at the zone of the address.
    const unsigned zone = std::exchange(reinterpret_cast<sockaddr_in6*>(&request.gr_group)->sin6_scope_id, 0);
    if (zone != 0 && interface_index != 0 && zone != interface_index) {
      return absl::InvalidArgumentError(
          absl::StrCat(what, " of ", group.ToString(), " on interface ", interface_index));
    }
    if (zone != 0) request.gr_interface = zone;
  }
  const int level = group.family() == AF_INET ? IPPROTO_IP : IPPROTO_IPV6;
  return internal::SetSocketOption(socket_, level, option, request, what);
}

}  // namespace weft::net

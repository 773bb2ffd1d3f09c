#include "lib/testing/machine/datagram_socket.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "lib/testing/machine/mapped_address.h"

namespace weft::internal::machine {
namespace {

constexpr size_t kMaxUdpBytes = 65'507;
constexpr size_t kMaxUnixBytes = 212'960;  // net.core.wmem_default, and some overhead
constexpr size_t kReceiveBytes = 212'992;  // net.core.rmem_default
constexpr size_t kMaxUnixMessages = 11;    // net.unix.max_dgram_qlen, and one

// What Linux counts for a UDP datagram of so many bytes: its description, and the memory for it and its headers (as
// measured with Linux 6.18).
size_t TrueSize(size_t bytes) noexcept {
  constexpr size_t kDescription = 256, kHeaders = 384, kSmallest = 576, kLargestBlock = 16'384, kPage = 4096;
  const size_t whole = bytes + kHeaders;
  if (whole <= kSmallest) return kDescription + kSmallest;
  const size_t block = whole <= kLargestBlock ? std::bit_ceil(whole) : (whole + kPage - 1) / kPage * kPage;
  return kDescription + block;
}

bool IsGroup(const net::SocketAddress& address) noexcept {
  if (address.family() == AF_INET) {
    return IN_MULTICAST(ntohl(reinterpret_cast<const sockaddr_in*>(address.data())->sin_addr.s_addr));
  }
  return address.family() == AF_INET6 &&
         IN6_IS_ADDR_MULTICAST(&reinterpret_cast<const sockaddr_in6*>(address.data())->sin6_addr);
}

bool IsBroadcast(const net::SocketAddress& address) noexcept {
  if (address.family() != AF_INET) return false;
  constexpr in_addr_t kOfLoopback = 0x7fffffff;
  const in_addr_t host = ntohl(reinterpret_cast<const sockaddr_in*>(address.data())->sin_addr.s_addr);
  return host == INADDR_BROADCAST || host == kOfLoopback;
}

}  // namespace

DatagramSocket::~DatagramSocket() {
  network_.Unbind(*this);
  for (const auto& waits : wait_for_room_) {
    if (const auto socket = waits.lock()) socket->TellReady(EPOLLOUT);  // to find that nobody is here
  }
}

void DatagramSocket::Join(DatagramSocket& one, DatagramSocket& other) {
  one.unix_peer_ = std::static_pointer_cast<DatagramSocket>(other.shared_from_this());
  other.unix_peer_ = std::static_pointer_cast<DatagramSocket>(one.shared_from_this());
}

std::string DatagramSocket::Describe() const {
  return absl::StrCat("a ", is_unix() ? "Unix" : "UDP", " socket of datagrams",
                      name().has_value() ? absl::StrCat(" on ", name()->ToString()) : "",
                      peer_.has_value() ? absl::StrCat(" to ", peer_->ToString()) : "");
}

uint32_t DatagramSocket::Readiness() const noexcept {
  uint32_t ready = 0;
  if (!messages_.empty() || read_shut_ || error_ != 0) ready |= EPOLLIN;
  if (read_shut_) ready |= EPOLLRDHUP;
  if (read_shut_ && write_shut_) ready |= EPOLLHUP;
  if (error_ != 0) ready |= EPOLLERR;
  const auto receiver = unix_peer_.lock();
  if (receiver == nullptr || !receiver->IsFull()) ready |= EPOLLOUT;
  return ready;
}

bool DatagramSocket::IsFull() const noexcept { return is_unix() && messages_.size() >= kMaxUnixMessages; }

bool DatagramSocket::Speaks(int other_family) const noexcept {
  return other_family == family() || (family() == AF_INET6 && other_family == AF_INET);
}

int DatagramSocket::Connect(const net::SocketAddress& wanted) {
  if (!Speaks(wanted.family())) return -EAFNOSUPPORT;
  const net::SocketAddress peer = Unmapped(wanted);
  if (is_unix()) {
    const auto found = FindUnix(peer);
    if (found == nullptr) {
      const bool is_stream = !network_.All(SOCK_STREAM, peer).empty();
      return is_stream ? -EPROTOTYPE : network_.Reason(peer);
    }
    unix_peer_ = found;
  } else if (!name().has_value()) {
    if (const int error = network_.BindToFreePort(*this, peer); error != 0) return error;
  }
  peer_ = peer;
  return 0;
}

std::shared_ptr<DatagramSocket> DatagramSocket::FindUnix(const net::SocketAddress& name) const {
  return std::static_pointer_cast<DatagramSocket>(
      network_.Find(SOCK_DGRAM, name, [](Socket& socket) { return socket.is_unix(); }));
}

// ---- Sending.

int64_t DatagramSocket::Send(Parts from, Rights rights, const std::optional<net::SocketAddress>& to) {
  if (const int error = TakeError(); error != 0) return -error;
  if (write_shut_) return -EPIPE;
  const size_t bytes = BytesOf(from);
  if (bytes > (is_unix() ? kMaxUnixBytes : kMaxUdpBytes)) return -EMSGSIZE;
  Message message = {Gather(from, bytes), name(), std::move(rights)};
  return is_unix() ? SendUnix(std::move(message), to) : SendUdp(std::move(message), to);
}

int64_t DatagramSocket::SendUnix(Message message, const std::optional<net::SocketAddress>& to) {
  const auto receiver = to.has_value() ? FindUnix(*to) : unix_peer_.lock();
  if (receiver == nullptr) {
    if (to.has_value()) return network_.All(SOCK_STREAM, *to).empty() ? network_.Reason(*to) : -EPROTOTYPE;
    const std::weak_ptr<DatagramSocket> none;
    const bool never_had_one = !none.owner_before(unix_peer_) && !unix_peer_.owner_before(none);
    if (never_had_one) return -ENOTCONN;
    // It has closed, which is told once.
    unix_peer_.reset();
    peer_.reset();
    return -ECONNREFUSED;
  }
  if (const auto other = receiver->unix_peer_.lock(); other != nullptr && other.get() != this) return -EPERM;
  if (receiver->read_shut_) return -EPIPE;
  const auto bytes = static_cast<int64_t>(message.data.size());
  if (receiver->Take(std::move(message))) return bytes;
  receiver->wait_for_room_.push_back(std::static_pointer_cast<DatagramSocket>(shared_from_this()));
  return -EAGAIN;
}

int64_t DatagramSocket::SendUdp(Message message, const std::optional<net::SocketAddress>& to) {
  if (!to.has_value() && !peer_.has_value()) return -EDESTADDRREQ;
  if (to.has_value() && !Speaks(to->family())) return -EAFNOSUPPORT;
  const net::SocketAddress receiver = to.has_value() ? Unmapped(*to) : *peer_;
  if (receiver.port() == 0) return -EINVAL;
  if (IsBroadcast(receiver) && IntegerOption(SOL_SOCKET, SO_BROADCAST) == 0) return -EACCES;
  if (!name().has_value()) {
    const absl::StatusOr<net::SocketAddress> every =
        net::SocketAddress::Parse(family() == AF_INET ? "0.0.0.0:0" : "[::]:0");
    if (const int error = network_.BindToFreePort(*this, *every); error != 0) return error;
  }
  message.sender = name();
  if (Network::IsEveryAddress(*name())) {
    const bool to_one = !IsGroup(receiver) && !IsBroadcast(receiver);
    const absl::StatusOr<net::SocketAddress> host =
        to_one ? receiver : net::SocketAddress::Parse(receiver.family() == AF_INET ? "127.0.0.1:1" : "[::1]:1");
    message.sender = Network::WithPort(*host, name()->port());
  }
  Surroundings& surroundings = network_.surroundings();
  const auto bytes = static_cast<int64_t>(message.data.size());
  if (surroundings.chance.LosesDatagram()) return bytes;
  surroundings.wire.At(surroundings.wire.NowNanos() + surroundings.chance.Delay(),
                       [weak = weak_from_this(), &network = network_, message = std::move(message),
                        address = receiver] { Arrive(network, message, address, weak); });
  return bytes;
}

// At the receiver's host.
void DatagramSocket::Arrive(Network& network, const Message& message, const net::SocketAddress& address,
                            const std::weak_ptr<Socket>& sender) {
  Surroundings& surroundings = network.surroundings();
  if (!surroundings.routes.Reaches(*message.sender, address)) return;
  std::vector<Socket*> receivers = network.All(SOCK_DGRAM, address);
  const bool to_all = IsGroup(address) || IsBroadcast(address);
  if (receivers.size() > 1 && !to_all) receivers = {receivers[surroundings.chance.Below(receivers.size())]};
  bool arrived = to_all;
  for (Socket* const each : receivers) {
    auto& socket = static_cast<DatagramSocket&>(*each);
    if (!socket.TakesFrom(*message.sender)) continue;
    if (IsGroup(address) && !socket.groups_.contains(HostOf(address))) continue;
    arrived = true;
    socket.Take(message);
  }
  if (arrived) return;
  surroundings.wire.At(surroundings.wire.NowNanos() + surroundings.chance.Delay(), [sender] {
    const auto self = std::static_pointer_cast<DatagramSocket>(sender.lock());
    if (self != nullptr && self->peer_.has_value()) self->Fail(ECONNREFUSED);
  });
}

// ---- Receiving.

bool DatagramSocket::TakesFrom(const net::SocketAddress& sender) const {
  return !peer_.has_value() || *peer_ == sender;
}

bool DatagramSocket::Take(Message message) {
  const size_t size = TrueSize(message.data.size());
  if (is_unix() ? IsFull() : bytes_ + size > kReceiveBytes) return false;
  bytes_ += size;
  messages_.push_back(std::move(message));
  TellReady(EPOLLIN);
  return true;
}

int64_t DatagramSocket::Receive(Parts into, int flags, Received& received) {
  if (messages_.empty()) {
    if (const int error = TakeError(); error != 0) return -error;
    return read_shut_ ? 0 : -EAGAIN;
  }
  Message& first = messages_.front();
  const size_t done = Scatter(first.data.data(), first.data.size(), into);
  const size_t size = first.data.size();
  received.truncated = done < size;
  if (first.sender.has_value()) received.sender = ShownBy(family(), *first.sender);
  if ((flags & MSG_PEEK) == 0) {
    received.rights = std::move(first.rights);
    bytes_ -= TrueSize(size);
    messages_.pop_front();
    for (const auto& waits : std::exchange(wait_for_room_, {})) {
      if (const auto socket = waits.lock()) socket->TellReady(EPOLLOUT);
    }
  }
  return static_cast<int64_t>((flags & MSG_TRUNC) != 0 ? size : done);
}

// ---- The rest.

int DatagramSocket::ShutDown(int how) {
  if (how != SHUT_RD && how != SHUT_WR && how != SHUT_RDWR) return -EINVAL;
  read_shut_ |= how != SHUT_WR;
  write_shut_ |= how != SHUT_RD;
  TellReady(Readiness());
  // As in Linux, where a socket without a peer says so, and is shut down all the same.
  return is_unix() || peer_.has_value() ? 0 : -ENOTCONN;
}

int DatagramSocket::TakeError() noexcept { return std::exchange(error_, 0); }

void DatagramSocket::Fail(int error) {
  error_ = error;
  TellReady(Readiness());
}

int DatagramSocket::SetOption(int level, int option, const void* value, socklen_t size) {
  const bool joins = option == MCAST_JOIN_GROUP, leaves = option == MCAST_LEAVE_GROUP;
  if ((level != IPPROTO_IP && level != IPPROTO_IPV6) || (!joins && !leaves)) {
    int number = 0;
    std::memcpy(&number, value, std::min<size_t>(sizeof(number), size));
    const bool hops = (level == IPPROTO_IP && option == IP_MULTICAST_TTL) ||
                      (level == IPPROTO_IPV6 && option == IPV6_MULTICAST_HOPS);
    return hops && number > 255 ? -EINVAL : Socket::SetOption(level, option, value, size);
  }
  group_req request;
  if (size < sizeof(request)) return -EINVAL;
  std::memcpy(&request, value, sizeof(request));
  const socklen_t bytes = level == IPPROTO_IP ? sizeof(sockaddr_in) : sizeof(sockaddr_in6);
  const absl::StatusOr<net::SocketAddress> group =
      net::SocketAddress::From(reinterpret_cast<const sockaddr*>(&request.gr_group), bytes);
  if (!group.ok() || !IsGroup(*group)) return -EINVAL;
  const std::string host = HostOf(*group);
  if (joins) return groups_.insert(host).second ? 0 : -EADDRINUSE;
  return groups_.erase(host) > 0 ? 0 : -EADDRNOTAVAIL;
}

}  // namespace weft::internal::machine

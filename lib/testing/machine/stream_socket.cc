#include "lib/testing/machine/stream_socket.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "lib/testing/machine/mapped_address.h"

namespace weft::internal::machine {
namespace {

constexpr int kMaxBacklog = 4096;  // Linux's net.core.somaxconn

net::SocketAddress NoName() {
  sockaddr none = {};
  none.sa_family = AF_UNIX;
  return *net::SocketAddress::From(&none, sizeof(none.sa_family));
}

}  // namespace

StreamSocket::~StreamSocket() {
  network_.Unbind(*this);
  Refuse();
  if (place_.end == nullptr) return;
  // The first integer of a linger tells whether it is on; the library sets a time of 0 only.
  place_.end->Close(/*abort=*/IntegerOption(SOL_SOCKET, SO_LINGER) != 0);
}

void StreamSocket::Join(StreamSocket& one, StreamSocket& other) {
  const auto connection =
      Connection::Make(one.network_.surroundings(), /*delayed=*/false, NoName(), NoName());
  one.Take({connection, &connection->client()});
  other.Take({connection, &connection->server()});
}

void StreamSocket::Take(ConnectionPlace place) {
  place_ = std::move(place);
  place_.end->SetOwner(this);
  state_ = State::kConnected;
  ApplyOptions();
}

void StreamSocket::ApplyOptions() {
  if (place_.end == nullptr) return;
  const int bytes = IntegerOption(SOL_SOCKET, SO_SNDBUF);
  // Linux takes twice as much, for its own needs.
  if (bytes > 0) place_.end->SetBuffer(2 * static_cast<size_t>(std::max(bytes, 2304)));
  if (is_unix()) return;
  KeepAlive::Options keep_alive;
  if (IntegerOption(SOL_SOCKET, SO_KEEPALIVE) != 0) {
    constexpr int64_t kSecond = 1'000'000'000;
    const auto set_or = [this](int option, int usual) {
      const int set = IntegerOption(IPPROTO_TCP, option);
      return set > 0 ? set : usual;
    };
    // Linux's net.ipv4.tcp_keepalive_time, tcp_keepalive_intvl and tcp_keepalive_probes.
    keep_alive = {.idle_ns = set_or(TCP_KEEPIDLE, 7200) * kSecond,
                  .interval_ns = set_or(TCP_KEEPINTVL, 75) * kSecond,
                  .count = set_or(TCP_KEEPCNT, 9)};
  }
  place_.end->SetKeepAlive(keep_alive);
}

std::string StreamSocket::Describe() const {
  const std::string kind = is_unix() ? "Unix" : "TCP";
  switch (state_) {
    case State::kNew:
    case State::kShut:
      return absl::StrCat("a ", kind, " socket");
    case State::kListening:
      return absl::StrCat("a ", kind, " listener on ", name().has_value() ? name()->ToString() : "no name");
    case State::kConnecting:
      return absl::StrCat("a ", kind, " socket that connects to ", dial_->to().ToString());
    case State::kJustConnected:
    case State::kConnected:
      return absl::StrCat("a ", kind, " connection from ", place_.end->local().ToString(), " to ",
                          place_.end->remote().ToString());
  }
  __builtin_unreachable();
}

uint32_t StreamSocket::Readiness() const noexcept {
  const uint32_t failed = error_ != 0 ? EPOLLERR : 0u;
  switch (state_) {
    case State::kShut:
      return EPOLLHUP | (is_unix() ? EPOLLIN | EPOLLRDHUP : 0u);
    case State::kNew:
      return EPOLLOUT | EPOLLHUP | failed | (failed != 0 ? EPOLLIN | EPOLLRDHUP : 0u);
    case State::kListening:
      return waiting_.empty() ? 0u : EPOLLIN;
    case State::kConnecting:
      return 0;
    case State::kJustConnected:
    case State::kConnected:
      return place_.end->Readiness();
  }
  __builtin_unreachable();
}

// ---- Listening.

int StreamSocket::Listen(int backlog) {
  if (state_ != State::kNew && state_ != State::kShut && state_ != State::kListening) return -EINVAL;
  if (!name().has_value()) {
    if (is_unix()) return -EINVAL;
    const absl::StatusOr<net::SocketAddress> every =
        net::SocketAddress::Parse(family() == AF_INET ? "0.0.0.0:0" : "[::]:0");
    if (const int error = network_.BindToFreePort(*this, *every); error != 0) return error;
  }
  backlog_ = backlog < 0 ? kMaxBacklog : std::min(backlog, kMaxBacklog);
  state_ = State::kListening;
  const int listens = 1;
  return Socket::SetOption(SOL_SOCKET, SO_ACCEPTCONN, &listens, sizeof(listens));
}

int StreamSocket::Accept(std::shared_ptr<Socket>& accepted) {
  // Linux does not tell one who does not block that a Unix listener was shut down, and keeps its backlog.
  const bool accepts = state_ == State::kListening || (state_ == State::kShut && is_unix());
  if (!accepts) return -EINVAL;
  if (waiting_.empty()) return -EAGAIN;
  auto socket = std::make_shared<StreamSocket>(network_, family(), type(), 0);
  socket->Take(std::move(waiting_.front()));
  waiting_.pop_front();
  socket->SetName(socket->place_.end->local());
  accepted = std::move(socket);
  return 0;
}

std::shared_ptr<StreamSocket> StreamSocket::FindListener(const Network& network, const net::SocketAddress& address) {
  return std::static_pointer_cast<StreamSocket>(network.Find(SOCK_STREAM, address, [](Socket& socket) {
    return static_cast<StreamSocket&>(socket).state_ == State::kListening;
  }));
}

void StreamSocket::Welcome(ConnectionPlace place) {
  waiting_.push_back(std::move(place));
  TellReady(EPOLLIN);
}

// Those who wait for an Accept() that will not come.
void StreamSocket::Refuse() noexcept {
  for (const ConnectionPlace& place : std::exchange(waiting_, {})) place.end->Close(/*abort=*/true);
}

// ---- Connecting.

int StreamSocket::Connect(const net::SocketAddress& peer) {
  switch (state_) {
    case State::kListening:
    case State::kShut:
      return -EISCONN;
    case State::kConnecting:
      return -EALREADY;
    case State::kJustConnected:
      state_ = State::kConnected;
      return 0;
    case State::kConnected:
      return -EISCONN;
    case State::kNew:
      break;
  }
  if (const int error = TakeError(); error != 0) return -error;
  if (peer.family() != family()) return -EAFNOSUPPORT;
  return is_unix() ? ConnectUnix(peer) : ConnectTcp(Unmapped(peer));
}

int StreamSocket::ConnectUnix(const net::SocketAddress& peer) {
  const auto listener = FindListener(network_, peer);
  if (listener == nullptr) return network_.Reason(peer);
  if (type() != SOCK_STREAM) return -EPROTOTYPE;
  if (!listener->HasRoom()) return -EAGAIN;
  const auto connection = Connection::Make(network_.surroundings(), /*delayed=*/false,
                                           name().has_value() ? *name() : NoName(), *listener->name());
  Take({connection, &connection->client()});
  listener->Welcome({connection, &connection->server()});
  return 0;
}

int StreamSocket::ConnectTcp(const net::SocketAddress& peer) {
  const char* const host = peer.family() == AF_INET ? "127.0.0.1:" : "[::1]:";
  const net::SocketAddress to =
      Network::IsEveryAddress(peer) ? *net::SocketAddress::Parse(absl::StrCat(host, peer.port())) : peer;
  // Of several addresses of its own, Linux takes the one that it connects to.
  if (!name().has_value() && network_.BindToFreePort(*this, to) != 0) return -EADDRNOTAVAIL;
  const net::SocketAddress from = Network::IsEveryAddress(*name()) ? Network::WithPort(to, name()->port()) : *name();
  state_ = State::kConnecting;
  dial_ = std::make_shared<TcpDial>(network_, from, to, [this](int error, ConnectionPlace place) {
    Answered(error, std::move(place));
  });
  dial_->Begin();
  return -EINPROGRESS;
}

void StreamSocket::Answered(int error, ConnectionPlace place) {
  const std::shared_ptr<TcpDial> dial = std::move(dial_);  // whose function this is
  if (place.end != nullptr) {
    Take(std::move(place));
    SetName(place_.end->local());
  }
  state_ = error == 0 ? State::kJustConnected : State::kNew;
  error_ = error;
  TellReady(Readiness());
}

// ---- Connected.

int64_t StreamSocket::Send(Parts from, Rights rights, const std::optional<net::SocketAddress>& to) {
  if (place_.end == nullptr) {
    if (const int error = TakeError(); error != 0) return -error;
    return state_ == State::kConnecting ? -EAGAIN : is_unix() ? -ENOTCONN : -EPIPE;
  }
  if (to.has_value() && is_unix()) return -EISCONN;
  return place_.end->Send(from, std::move(rights));
}

int64_t StreamSocket::Receive(Parts into, int flags, Received& received) {
  if (place_.end == nullptr) {
    if (const int error = TakeError(); error != 0) return -error;
    return state_ == State::kConnecting ? -EAGAIN : is_unix() ? -EINVAL : -ENOTCONN;
  }
  return place_.end->Receive(into, (flags & MSG_PEEK) != 0, received.rights);
}

int StreamSocket::ShutDown(int how) {
  if (how != SHUT_RD && how != SHUT_WR && how != SHUT_RDWR) return -EINVAL;
  switch (state_) {
    case State::kNew:
    case State::kShut:
      return -ENOTCONN;
    case State::kListening:
      if (how == SHUT_WR) return 0;
      state_ = State::kShut;
      if (!is_unix()) {
        Refuse();
        const int listens = 0;
        static_cast<void>(Socket::SetOption(SOL_SOCKET, SO_ACCEPTCONN, &listens, sizeof(listens)));
      }
      TellReady(EPOLLIN | EPOLLHUP | EPOLLRDHUP);
      return 0;
    case State::kConnecting:
      Answered(ECONNRESET, {});
      return 0;
    case State::kJustConnected:
    case State::kConnected:
      if (place_.end->IsOver()) return -ENOTCONN;
      place_.end->ShutDown(how);
      return 0;
  }
  __builtin_unreachable();
}

std::optional<net::SocketAddress> StreamSocket::peer() const {
  if (place_.end == nullptr || place_.end->IsOver()) return std::nullopt;
  return place_.end->remote();
}

int StreamSocket::TakeError() noexcept {
  const int error = std::exchange(error_, 0);
  return error != 0 || place_.end == nullptr ? error : place_.end->TakeError();
}

void StreamSocket::Break() {
  if (place_.end != nullptr && !is_unix()) place_.end->Break();
}

int StreamSocket::SetOption(int level, int option, const void* value, socklen_t size) {
  if (const int error = Socket::SetOption(level, option, value, size); error != 0) return error;
  ApplyOptions();
  return 0;
}

}  // namespace weft::internal::machine

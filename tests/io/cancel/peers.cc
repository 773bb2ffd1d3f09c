#include "tests/io/cancel/peers.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <random>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "lib/os/syscalls.h"
#include "lib/testing/machine/kernel.h"
#include "weft/cancellation.h"
#include "weft/io/readiness.h"
#include "weft/io/unique_descriptor.h"
#include "weft/net/socket_address.h"
#include "weft/net/tcp_listener.h"
#include "weft/net/tcp_stream.h"
#include "weft/net/unix_stream.h"
#include "weft/task.h"
#include "weft/testing/machine.h"

namespace weft::testing {

using internal::Sys;
using io::UniqueDescriptor;
using net::SocketAddress;
using net::TcpListener;
using net::TcpStream;
using net::UnixStream;

template <>
Task<std::pair<TcpStream, TcpStream>> ConnectedStreams() {
  TcpListener listener = TcpListener::Bind("127.0.0.1:0").value();
  TcpStream client = (co_await TcpStream::Connect(listener.local_address().value())).value();
  TcpStream server = (co_await listener.Accept()).value();
  co_return std::pair(std::move(client), std::move(server));
}

template <>
Task<std::pair<UnixStream, UnixStream>> ConnectedStreams() {
  co_return UnixStream::Pair().value();
}

std::string BytesFrom(size_t begin, size_t count) {
  std::string bytes(count, '\0');
  for (size_t i = 0; i < count; ++i) bytes[i] = static_cast<char>((begin + i) % 251);
  return bytes;
}

void SendNow(int fd, std::string_view bytes) {
  EXPECT_EQ(Sys().send(fd, bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL),
            static_cast<ssize_t>(bytes.size()));
}

void SendNow(int fd, std::string_view bytes, int descriptor) {
  iovec part = {const_cast<char*>(bytes.data()), bytes.size()};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr message = {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof(control);
  cmsghdr* const header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof(int));
  std::memcpy(CMSG_DATA(header), &descriptor, sizeof(int));
  EXPECT_EQ(Sys().sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL), static_cast<ssize_t>(bytes.size()));
}

std::string TakeNow(int fd, size_t most) {
  std::string bytes(most, '\0');
  const ssize_t got = Sys().recv(fd, bytes.data(), most, MSG_DONTWAIT);
  bytes.resize(got > 0 ? static_cast<size_t>(got) : 0);
  return bytes;
}

void LetArrive() {
  internal::machine::Kernel* const kernel = internal::machine::Kernel::Here();
  kernel != nullptr ? kernel->surroundings.wire.RunDue() : void(::sched_yield());
}

void AwaitError(int fd) {
  if (internal::machine::Kernel::Here() != nullptr) return LetArrive();
  pollfd fails = {.fd = fd, .events = 0, .revents = 0};
  EXPECT_EQ(::poll(&fails, 1, /*timeout=*/-1), 1);
}

namespace {

// Of TCP: nothing is under way whose receipt would make room.
bool AllIsReceipted(int from) {
  tcp_info info = {};
  socklen_t size = sizeof(info);
  return Sys().getsockopt(from, IPPROTO_TCP, TCP_INFO, &info, &size) != 0 || info.tcpi_unacked == 0;
}

}  // namespace

Task<size_t> Fill(int from, int to) {
  constexpr int kPauses = 3;
  const int yes = 1;
  const int small = 8192;  // what is received has the room that it always has: a small window would open late
  Sys().setsockopt(from, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
  size_t filled = 0;
  // The kernel may still be moving what is there from one buffer to the other: until it has made no room for a while.
  for (int pauses = 0; pauses < kPauses; ++pauses) {
    for (size_t chunk = 4096; chunk > 0;) {
      const std::string bytes = BytesFrom(filled, chunk);
      const ssize_t sent = Sys().send(from, bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
      if (sent > 0) {
        filled += static_cast<size_t>(sent);
        pauses = 0;
      } else {
        chunk /= 2;
      }
    }
    Sys().setsockopt(to, IPPROTO_TCP, TCP_QUICKACK, &yes, sizeof(yes));  // it would be 40 ms
    if (!AllIsReceipted(from)) pauses = 0;
    static_cast<void>(co_await MoveOnAfter(absl::Milliseconds(1), io::WaitWritable(from)));
  }
  co_return filled;
}

std::string Take(int fd, size_t count) {
  constexpr int kMostTries = 10'000'000;
  std::string bytes;
  for (int tries = 0; bytes.size() < count && tries < kMostTries; ++tries) {
    const std::string more = TakeNow(fd, std::min<size_t>(count - bytes.size(), 1 << 16));
    if (more.empty()) LetArrive();
    bytes += more;
  }
  EXPECT_EQ(bytes.size(), count);
  return bytes;
}

SocketAddress NewUnixName() {
  static const std::string prefix = [] {
    std::random_device random;
    return absl::StrCat("unix:@weft-", random(), "-", random(), "-");
  }();
  static int names = 0;
  return SocketAddress::Parse(absl::StrCat(prefix, ++names)).value();
}

SocketAddress AnyPort() { return SocketAddress::Parse("127.0.0.1:0").value(); }

SocketAddress LocalAddressOf(int fd) {
  sockaddr_storage address;
  socklen_t size = sizeof(address);
  EXPECT_EQ(Sys().getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size), 0);
  return SocketAddress::From(reinterpret_cast<const sockaddr*>(&address), size).value();
}

namespace {

UniqueDescriptor NewSocket(int family) {
  return UniqueDescriptor(Sys().socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
}

}  // namespace

PlainListener::PlainListener(const SocketAddress& address, int backlog)
    : socket_(NewSocket(address.family())), address_(address) {
  EXPECT_EQ(Sys().bind(socket_.get(), address.data(), address.size()), 0);
  EXPECT_EQ(Sys().listen(socket_.get(), backlog), 0);
  address_ = LocalAddressOf(socket_.get());
}

UniqueDescriptor PlainListener::AcceptNow() {
  return UniqueDescriptor(Sys().accept4(socket_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
}

UniqueDescriptor ConnectNow(const SocketAddress& address) {
  UniqueDescriptor socket = NewSocket(address.family());
  if (Sys().connect(socket.get(), address.data(), address.size()) != 0) EXPECT_EQ(errno, EINPROGRESS);
  return socket;
}

SilentAddress::SilentAddress() : address_(AnyPort()) {
  if (machine != nullptr) {
    machine->Disconnect("10.0.0.9");
    address_ = SocketAddress::Parse("10.0.0.9:80").value();
    return;
  }
  listener_.emplace(address_, /*backlog=*/0);  // so one connection fills it
  address_ = listener_->address();
  client_ = ConnectNow(address_);
  const auto full = [this] {
    tcp_info info = {};
    socklen_t size = sizeof(info);
    EXPECT_EQ(Sys().getsockopt(listener_->descriptor(), IPPROTO_TCP, TCP_INFO, &info, &size), 0);
    return info.tcpi_unacked > info.tcpi_sacked;  // of a listener: how many are in the backlog, and may be
  };
  while (!full()) ::sched_yield();
}

RefusingAddress::RefusingAddress() : socket_(NewSocket(AF_INET)), address_(AnyPort()) {
  EXPECT_EQ(Sys().bind(socket_.get(), address_.data(), address_.size()), 0);
  address_ = LocalAddressOf(socket_.get());
}

}  // namespace weft::testing

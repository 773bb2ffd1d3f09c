// Adopt(). Goal: a socket that the program got from elsewhere is taken over by the class that it belongs to, and by no
// other; what is refused is closed. Method: each class with each kind of socket, made by the C library.
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "gtest/gtest.h"
#include "lib/coro/frame_fault.h"
#include "lib/os/syscalls.h"
#include "lib/testing/syscall_fault.h"
#include "tests/net/on_backends.h"
#include "weft/io/unique_descriptor.h"
#include "weft/net/udp_socket.h"
#include "weft/net/unix_datagram.h"
#include "weft/net/unix_listener.h"
#include "weft/net/unix_stream.h"
#include "weft/weft.h"

namespace weft {
namespace {

using io::UniqueDescriptor;
using net::TcpListener;
using net::TcpStream;
using net::UdpSocket;
using net::UnixDatagram;
using net::UnixListener;
using net::UnixStream;

UniqueDescriptor Bound(int family, int type) {
  UniqueDescriptor socket(::socket(family, type, 0));
  sockaddr_in6 address = {};  // large enough for each; a Unix socket gets a name of the kernel's choice
  address.sin6_family = static_cast<sa_family_t>(family);
  if (family == AF_INET) {
    reinterpret_cast<sockaddr_in*>(&address)->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  } else if (family == AF_INET6) {
    address.sin6_addr = IN6ADDR_LOOPBACK_INIT;
  }
  socklen_t size = sizeof(address);
  if (family == AF_UNIX) size = sizeof(sa_family_t);
  if (family == AF_INET) size = sizeof(sockaddr_in);
  EXPECT_EQ(::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), size), 0);
  return socket;
}

UniqueDescriptor Listening(int family) {
  UniqueDescriptor socket = Bound(family, SOCK_STREAM);
  EXPECT_EQ(::listen(socket.get(), 1), 0);
  return socket;
}

UniqueDescriptor ConnectedTcp() {
  const UniqueDescriptor listener = Listening(AF_INET);
  sockaddr_in address;
  socklen_t size = sizeof(address);
  EXPECT_EQ(::getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &size), 0);
  UniqueDescriptor socket(::socket(AF_INET, SOCK_STREAM, 0));
  EXPECT_EQ(::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), size), 0);
  return socket;
}

UniqueDescriptor OneOfAPair(int type) {
  int fds[2];
  EXPECT_EQ(::socketpair(AF_UNIX, type, 0, fds), 0);
  ::close(fds[1]);
  return UniqueDescriptor(fds[0]);
}

struct Kind {
  std::string name;
  std::vector<UniqueDescriptor (*)()> make;
  absl::Status (*adopt)(int fd);
};

template <class Class>
absl::Status Adopt(int fd) {
  absl::StatusOr<Class> adopted = Class::Adopt(fd);
  if (!adopted.ok()) return adopted.status();
  EXPECT_TRUE(adopted->is_open());
  EXPECT_EQ(adopted->native_handle(), fd);
  EXPECT_NE(::fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
  EXPECT_NE(::fcntl(fd, F_GETFD) & FD_CLOEXEC, 0);
  return absl::OkStatus();
}

const Kind kKinds[] = {
    {"TcpListener", {[] { return Listening(AF_INET); }, [] { return Listening(AF_INET6); }}, &Adopt<TcpListener>},
    {"TcpStream", {&ConnectedTcp}, &Adopt<TcpStream>},
    {"UnixListener", {[] { return Listening(AF_UNIX); }}, &Adopt<UnixListener>},
    {"UnixStream", {[] { return OneOfAPair(SOCK_STREAM); }}, &Adopt<UnixStream>},
    {"UdpSocket", {[] { return Bound(AF_INET, SOCK_DGRAM); }, [] { return Bound(AF_INET6, SOCK_DGRAM); }},
     &Adopt<UdpSocket>},
    {"UnixDatagram", {[] { return OneOfAPair(SOCK_DGRAM); }}, &Adopt<UnixDatagram>},
    {"nothing",
     {[] { return UniqueDescriptor(::open("/dev/null", O_RDONLY)); },
      [] { return UniqueDescriptor(::open("/dev/null", O_PATH)); }},
     nullptr},
};

TEST(AdoptTest, ASocketIsAdoptedByItsClassAndNoOtherAndClosedIfItIsRefused) {
  for (const Kind& kind : kKinds) {
    for (const Kind& adopter : kKinds) {
      if (adopter.adopt == nullptr) continue;
      for (UniqueDescriptor (*const make)() : kind.make) {
        UniqueDescriptor made = make();
        const int fd = made.Release();
        ASSERT_GE(fd, 0);
        const absl::Status adopted = adopter.adopt(fd);
        EXPECT_EQ(adopted.code(), &kind == &adopter ? absl::StatusCode::kOk : absl::StatusCode::kInvalidArgument)
            << adopted << ": " << kind.name << " by " << adopter.name;
        EXPECT_FALSE(io::IsClosed(adopted));
        EXPECT_EQ(::fcntl(fd, F_GETFD), -1) << kind.name << " by " << adopter.name;
      }
    }
  }
  for (const Kind& adopter : kKinds) {
    if (adopter.adopt != nullptr) EXPECT_EQ(adopter.adopt(-1).code(), absl::StatusCode::kInvalidArgument);
  }
}

// Its number may be somebody else's by then.
TEST(AdoptTest, WhatIsNotOpenIsNotClosedAlsoWithoutMemory) {
  const int fd = ::dup(0);
  ::close(fd);
  const internal::ScopedSyscallFault closes(&internal::Syscalls::close, {.times = 0});
  const internal::ScopedFrameFault no_memory({.times = internal::ScopedFrameFault::kForever, .here = true});
  for (const Kind& adopter : kKinds) {
    if (adopter.adopt != nullptr) EXPECT_EQ(adopter.adopt(fd).code(), absl::StatusCode::kInvalidArgument);
  }
  EXPECT_EQ(closes.calls(), 0);
}

class AdoptedSocketTest : public testing::OnBackends {};
WEFT_ON_REAL_BACKENDS(AdoptedSocketTest);

// As a server does that is replaced while clients connect: the next process gets the listener.
TEST_P(AdoptedSocketTest, AListenerThatIsPassedOnGoesOnAccepting) {
  Everywhere([]() -> Task<void> {
    auto [before, after] = *UnixStream::Pair();
    {
      TcpListener listener = *TcpListener::Bind("127.0.0.1:0");
      EXPECT_TRUE((co_await before.Send("l", {{listener.native_handle()}})).ok());
    }
    char byte[1];
    std::vector<UniqueDescriptor> received;
    EXPECT_EQ(*co_await after.Receive(byte, received), 1u);
    TcpListener listener = *TcpListener::Adopt(received.at(0).Release());
    TcpStream client = *co_await TcpStream::Connect(*listener.local_address());
    TcpStream server = *co_await listener.Accept();
    EXPECT_TRUE((co_await client.Write("weft")).ok());
    char word[4];
    EXPECT_TRUE((co_await server.ReadExactly(absl::MakeSpan(word))).ok());
    EXPECT_EQ(std::string(word, 4), "weft");
  });
}

}  // namespace
}  // namespace weft

// Goal: TcpOptions sets what it says, and refuses what the kernel would not take, or would block for; so do the options
// of Bind().
#include "weft/net/tcp_options.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cerrno>
#include <chrono>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "lib/os/syscalls.h"
#include "lib/testing/syscall_fault.h"
#include "weft/net/udp_socket.h"
#include "weft/weft.h"

namespace weft::net {
namespace {

int Get(const TcpStream& stream, int level, int option) {
  int value = -1;
  socklen_t size = sizeof(value);
  EXPECT_EQ(::getsockopt(stream.native_handle(), level, option, &value, &size), 0);
  return value;
}

void WithStream(void (*body)(TcpStream& stream)) {
  weft::Run([body]() -> Task<void> {
    const TcpListener listener = TcpListener::Bind("127.0.0.1:0").value();
    TcpStream stream = (co_await TcpStream::Connect(*listener.local_address())).value();
    body(stream);
  }());
}

TEST(TcpOptionsTest, TheKernelHasWhatWasSet) {
  WithStream([](TcpStream& stream) {
    TcpOptions options(stream);
    EXPECT_EQ(Get(stream, IPPROTO_TCP, TCP_NODELAY), 1);
    EXPECT_TRUE(options.SetNoDelay(false).ok());
    EXPECT_EQ(Get(stream, IPPROTO_TCP, TCP_NODELAY), 0);
    const KeepAlive keep_alive{.idle = absl::Milliseconds(59'001), .interval = std::chrono::seconds(7), .count = 3};
    EXPECT_TRUE(options.SetKeepAlive(keep_alive).ok());
    EXPECT_EQ(Get(stream, SOL_SOCKET, SO_KEEPALIVE), 1);
    EXPECT_EQ(Get(stream, IPPROTO_TCP, TCP_KEEPIDLE), 60);
    EXPECT_EQ(Get(stream, IPPROTO_TCP, TCP_KEEPINTVL), 7);
    EXPECT_EQ(Get(stream, IPPROTO_TCP, TCP_KEEPCNT), 3);
    EXPECT_TRUE(options.DisableKeepAlive().ok());
    EXPECT_EQ(Get(stream, SOL_SOCKET, SO_KEEPALIVE), 0);
    EXPECT_TRUE(options.SetSendBufferSize(20'000).ok());
    EXPECT_EQ(Get(stream, SOL_SOCKET, SO_SNDBUF), 40'000);
    EXPECT_TRUE(options.SetReceiveBufferSize(20'000).ok());
    EXPECT_EQ(Get(stream, SOL_SOCKET, SO_RCVBUF), 40'000);
    EXPECT_TRUE(options.SetLinger(absl::ZeroDuration()).ok());
    EXPECT_EQ(Get(stream, SOL_SOCKET, SO_LINGER), 1);  // l_onoff
    EXPECT_TRUE(options.SetLinger(absl::InfiniteDuration()).ok());
    EXPECT_EQ(Get(stream, SOL_SOCKET, SO_LINGER), 0);
  });
}

TEST(TcpOptionsTest, WhatIsOutOfRangeIsInvalid) {
  WithStream([](TcpStream& stream) {
    TcpOptions options(stream);
    for (const absl::Duration wrong : {absl::ZeroDuration(), -absl::Seconds(1), absl::Seconds(32'768),
                                       absl::InfiniteDuration(), -absl::InfiniteDuration()}) {
      EXPECT_EQ(options.SetKeepAlive({.idle = wrong}).code(), absl::StatusCode::kInvalidArgument) << wrong;
      EXPECT_EQ(options.SetKeepAlive({.interval = wrong}).code(), absl::StatusCode::kInvalidArgument) << wrong;
    }
    for (const int wrong : {0, 128, -1}) {
      EXPECT_EQ(options.SetKeepAlive({.count = wrong}).code(), absl::StatusCode::kInvalidArgument) << wrong;
    }
    for (const absl::Duration wrong : {absl::Seconds(1), -absl::Seconds(1), -absl::InfiniteDuration()}) {
      EXPECT_EQ(options.SetLinger(wrong).code(), absl::StatusCode::kInvalidArgument) << wrong;
    }
    EXPECT_EQ(options.SetSendBufferSize(0).code(), absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(options.SetReceiveBufferSize(-1).code(), absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(Get(stream, SOL_SOCKET, SO_KEEPALIVE), 0);
  });
}

TEST(TcpOptionsTest, AnErrorOfTheKernelIsAStatusWithTheErrno) {
  WithStream([](TcpStream& stream) {
    TcpOptions options(stream);
    for (int call = 1; call <= 4; ++call) {
      const internal::ScopedSyscallFault fault(&internal::Syscalls::setsockopt, {.first = call, .error = ENOBUFS});
      EXPECT_EQ(ErrnoOf(options.SetKeepAlive({})), ENOBUFS);
    }
    stream.Close();
    EXPECT_TRUE(IsClosed(options.SetNoDelay(true)));
    EXPECT_TRUE(IsClosed(options.SetLinger(std::chrono::seconds(0))));
  });
}

// Another process may have the port of IPv6 just then.
template <class Socket>
bool BothFamiliesHaveAPortForThemselves() {
  constexpr int kTries = 20;
  for (int i = 0; i < kTries; ++i) {
    const Socket four = Socket::Bind("0.0.0.0:0").value();
    const std::string six = "[::]:" + std::to_string(four.local_address()->port());
    EXPECT_EQ(ErrnoOf(Socket::Bind(six).status()), EADDRINUSE);
    if (Socket::Bind(six, {.v6_only = true}).ok()) return true;
  }
  return false;
}

TEST(BindTest, BothFamiliesMayHaveThePortForThemselves) {
  EXPECT_TRUE(BothFamiliesHaveAPortForThemselves<TcpListener>());
  EXPECT_TRUE(BothFamiliesHaveAPortForThemselves<UdpSocket>());
}

}  // namespace
}  // namespace weft::net

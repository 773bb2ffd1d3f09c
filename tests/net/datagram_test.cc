// Goal: UdpSocket and UnixDatagram keep their contract, whichever backend and however many carriers. Method:
// on_backends.h; a census of descriptors; errors of system calls.
#include <fcntl.h>
#include <net/if.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gtest/gtest.h"
#include "lib/os/syscalls.h"
#include "lib/testing/syscall_fault.h"
#include "tests/net/net_fixture.h"
#include "tests/net/on_backends.h"
#include "tests/support/nobody.h"
#include "tests/support/on_both.h"
#include "weft/io/readiness.h"
#include "weft/io/unique_descriptor.h"
#include "weft/net/udp_socket.h"
#include "weft/net/unix_datagram.h"
#include "weft/weft.h"

namespace weft::testing {
namespace {

using internal::ScopedSyscallFault;
using internal::Syscalls;
using io::UniqueDescriptor;
using net::Datagram;
using net::SocketAddress;
using net::UdpSocket;
using net::UnixDatagram;

class UdpSocketTest : public OnBackends {};
WEFT_ON_BACKENDS(UdpSocketTest);
class UnixDatagramTest : public OnBackends {};
WEFT_ON_BACKENDS(UnixDatagramTest);

UdpSocket Bound(const char* address = "127.0.0.1:0") { return UdpSocket::Bind(address).value(); }

// The next datagram, or why there is none.
template <class Socket>
Task<std::string> Next(Socket& socket) {
  char buffer[100];
  absl::StatusOr<Datagram> got = co_await socket.ReceiveFrom(buffer);
  EXPECT_TRUE(got.ok()) << got.status();
  if (!got.ok()) co_return std::string(got.status().message());
  EXPECT_FALSE(got->truncated);
  co_return std::string(buffer, got->size);
}

// ---- UDP.

TEST_P(UdpSocketTest, ADatagramArrivesWithItsSender) {
  Everywhere([]() -> Task<void> {
    for (const char* any : {"127.0.0.1:0", "[::1]:0"}) {
      UdpSocket a = Bound(any);
      UdpSocket b = Bound(any);
      EXPECT_TRUE((co_await a.SendTo("question", *b.local_address())).ok());
      char buffer[100];
      const Datagram got = (co_await b.ReceiveFrom(buffer)).value();
      EXPECT_EQ(std::string(buffer, got.size), "question");
      EXPECT_FALSE(got.truncated);
      EXPECT_EQ(got.sender, *a.local_address());
      EXPECT_TRUE((co_await b.SendTo("answer", got.sender)).ok());
      EXPECT_EQ(co_await Next(a), "answer");
    }
  });
}

// A regression: on the machine the answer was of a family that the socket does not speak.
TEST_P(UdpSocketTest, ASocketOfIpv6AnswersASenderOfIpv4) {
  Everywhere([]() -> Task<void> {
    UdpSocket four = Bound();
    UdpSocket six = Bound("[::]:0");
    const std::string port = std::to_string(six.local_address()->port());
    EXPECT_TRUE((co_await four.SendTo("question", *SocketAddress::Parse("127.0.0.1:" + port))).ok());
    char buffer[100];
    Datagram got = (co_await six.ReceiveFrom(buffer)).value();
    EXPECT_EQ(got.sender.ToString(), "[::ffff:127.0.0.1]:" + std::to_string(four.local_address()->port()));
    EXPECT_TRUE((co_await six.SendTo("answer", got.sender)).ok());
    got = (co_await four.ReceiveFrom(buffer)).value();
    EXPECT_EQ(std::string(buffer, got.size), "answer");
    EXPECT_EQ(got.sender.ToString(), "127.0.0.1:" + port);
    EXPECT_TRUE((co_await six.SendTo("plain", *four.local_address())).ok());
    EXPECT_EQ(co_await Next(four), "plain");
    EXPECT_EQ(ErrnoOf(co_await four.SendTo("x", *SocketAddress::Parse("[::1]:" + port))), EAFNOSUPPORT);
    EXPECT_TRUE(six.SetPeer(*SocketAddress::Parse("[::ffff:127.0.0.1]:9")).ok());
    EXPECT_EQ(six.peer_address()->ToString(), "[::ffff:127.0.0.1]:9");
  });
}

TEST_P(UdpSocketTest, AReceiveWaitsForTheNextDatagram) {
  Everywhere([]() -> Task<void> {
    UdpSocket a = Bound();
    UdpSocket b = Bound();
    Introduction receiving;
    AwaitAll scope;
    scope.Fork([&]() -> Task<void> {
      receiving.Make();
      EXPECT_EQ(co_await Next(b), "late");
    });
    co_await receiving.AwaitParked();
    EXPECT_TRUE((co_await a.SendTo("late", *b.local_address())).ok());
    (co_await scope.Join()).IgnoreFailures();
  });
}

TEST_P(UdpSocketTest, ADatagramOfNoBytesIsAMessage) {
  Everywhere([]() -> Task<void> {
    UdpSocket a = Bound();
    UdpSocket b = UdpSocket::Connect(*a.local_address()).value();
    EXPECT_TRUE((co_await b.Send({})).ok());
    EXPECT_TRUE((co_await b.Send("next")).ok());
    EXPECT_EQ(co_await Next(a), "");
    EXPECT_EQ(co_await Next(a), "next");
  });
}

TEST_P(UdpSocketTest, WhatIsLongerThanTheBufferIsTruncatedAndSaysSo) {
  Everywhere([]() -> Task<void> {
    UdpSocket a = Bound();
    UdpSocket b = Bound();
    for (int i = 0; i < 2; ++i) EXPECT_TRUE((co_await a.SendTo("too long", *b.local_address())).ok());
    EXPECT_TRUE((co_await a.SendTo("next", *b.local_address())).ok());
    char buffer[3];
    Datagram got = (co_await b.ReceiveFrom(buffer)).value();
    EXPECT_TRUE(got.truncated);
    EXPECT_EQ(std::string(buffer, got.size), "too");
    got = (co_await b.ReceiveFrom({})).value();
    EXPECT_TRUE(got.truncated);
    EXPECT_EQ(got.size, 0u);
    EXPECT_EQ(co_await Next(b), "next");
  });
}

TEST_P(UdpSocketTest, APeerThatIsNotThereIsAStatusAndTheSocketGoesOn) {
  Everywhere([]() -> Task<void> {
    const Nobody nobody("127.0.0.1:0", SOCK_DGRAM);
    UdpSocket socket = UdpSocket::Connect(nobody.address()).value();
    EXPECT_EQ(*socket.peer_address(), nobody.address());
    EXPECT_TRUE((co_await socket.Send("is there anybody")).ok());
    char buffer[8];
    absl::StatusOr<Datagram> none = co_await socket.ReceiveFrom(buffer);
    EXPECT_EQ(none.status().code(), absl::StatusCode::kUnavailable) << none.status();
    EXPECT_EQ(ErrnoOf(none.status()), ECONNREFUSED);
    UdpSocket other = Bound();
    EXPECT_TRUE(socket.SetPeer(*other.local_address()).ok());
    EXPECT_TRUE((co_await socket.Send("and now")).ok());
    EXPECT_EQ(co_await Next(other), "and now");
  });
}

TEST_P(UdpSocketTest, WhatCameBeforeThePeerWasSetIsReceived) {
  Everywhere([]() -> Task<void> {
    UdpSocket stranger = Bound(), peer = Bound(), socket = Bound();
    EXPECT_TRUE((co_await stranger.SendTo("before", *socket.local_address())).ok());
    EXPECT_TRUE((co_await io::WaitReadable(socket.native_handle())).ok());
    EXPECT_TRUE(socket.SetPeer(*peer.local_address()).ok());
    EXPECT_TRUE((co_await stranger.SendTo("after", *socket.local_address())).ok());
    EXPECT_TRUE((co_await peer.SendTo("from the peer", *socket.local_address())).ok());
    char buffer[100];
    const Datagram got = (co_await socket.ReceiveFrom(buffer)).value();
    EXPECT_EQ(std::string(buffer, got.size), "before");
    EXPECT_EQ(got.sender, *stranger.local_address());
    EXPECT_EQ(co_await Next(socket), "from the peer");
  });
}

TEST_P(UdpSocketTest, EachDatagramIsReceivedByOneOfSeveralThreads) {
  Everywhere([]() -> Task<void> {
    constexpr int kThreads = 3;
    UdpSocket a = Bound();
    UdpSocket b = Bound();
    Introduction receiving[kThreads];
    std::vector<Subtask<std::string>> got;
    ShutdownOnFailure scope;
    for (Introduction& each : receiving) {
      got.push_back(scope.Fork([&]() -> Task<std::string> {
        each.Make();
        co_return co_await Next(b);
      }));
      co_await each.AwaitParked();
    }
    for (int i = 0; i < kThreads; ++i) EXPECT_TRUE((co_await a.SendTo(std::to_string(i), *b.local_address())).ok());
    EXPECT_TRUE((co_await scope.Join()).ok());
    std::string all;
    for (int i = 0; i < kThreads; ++i) {
      for (auto& each : got) all += each.get() == std::to_string(i) ? each.get() : "";
    }
    EXPECT_EQ(all, "012");
  });
}

TEST_P(UdpSocketTest, ACancelledReceiveLosesNothingAndACloseEndsIt) {
  Everywhere([]() -> Task<void> {
    UdpSocket a = Bound();
    UdpSocket b = Bound();
    char buffer[16];
    EXPECT_FALSE((co_await StopOnceItWaits(b.ReceiveFrom(buffer))).ok());
    EXPECT_TRUE((co_await a.SendTo("still there", *b.local_address())).ok());
    EXPECT_EQ(co_await Next(b), "still there");
    Introduction receiving;
    AwaitAll scope;
    scope.Fork([&]() -> Task<void> {
      receiving.Make();
      EXPECT_TRUE(net::IsClosed((co_await b.ReceiveFrom(buffer)).status()));
    });
    co_await receiving.AwaitParked();
    b.Close();
    (co_await scope.Join()).IgnoreFailures();
    EXPECT_TRUE(net::IsClosed(co_await b.SendTo("x", *a.local_address())));
    EXPECT_TRUE(net::IsClosed(b.SetPeer(*a.local_address())));
    EXPECT_TRUE(net::IsClosed(b.SetBroadcast(true)));
  });
}

TEST_P(UdpSocketTest, WhatBeginsAfterACloseFindsTheSocketClosed) {
  Everywhere([]() -> Task<void> {
    UdpSocket a = Bound();
    UdpSocket b = Bound();
    for (const char* each : {"first", "second"}) EXPECT_TRUE((co_await a.SendTo(each, *b.local_address())).ok());
    EXPECT_EQ(co_await Next(b), "first");
    char buffer[16];
    Task<absl::StatusOr<Datagram>> receive = b.ReceiveFrom(buffer);
    Task<absl::Status> send = b.SendTo("x", *a.local_address());
    b.Close();
    EXPECT_EQ(b.native_handle(), -1);
    EXPECT_TRUE(net::IsClosed((co_await std::move(receive)).status()));
    EXPECT_TRUE(net::IsClosed(co_await std::move(send)));
    EXPECT_FALSE(b.is_open());
  });
}

TEST_P(UdpSocketTest, ABroadcastIsSentOnlyOnceItIsAllowed) {
  Everywhere([]() -> Task<void> {
    UdpSocket socket = Bound(":0");
    const std::string everybody = "127.255.255.255:" + std::to_string(socket.local_address()->port());
    const SocketAddress receiver = *SocketAddress::Parse(everybody);
    EXPECT_EQ((co_await socket.SendTo("no", receiver)).code(), absl::StatusCode::kPermissionDenied);
    EXPECT_TRUE(socket.SetBroadcast(true).ok());
    EXPECT_TRUE((co_await socket.SendTo("to all", receiver)).ok());
    EXPECT_EQ(co_await Next(socket), "to all");
  });
}

int OptionOf(const UdpSocket& socket, int level, int option) {
  int value = -1;
  socklen_t size = sizeof(value);
  EXPECT_EQ(internal::Sys().getsockopt(socket.native_handle(), level, option, &value, &size), 0);
  return value;
}

TEST_P(UdpSocketTest, AGroupIsReceivedFromWhileItIsJoined) {
  Everywhere([]() -> Task<void> {
    UdpSocket sender = Bound();
    UdpSocket member = UdpSocket::Bind(":0", {.reuse_address = true}).value();
    const std::string port = std::to_string(member.local_address()->port());
    UdpSocket other = UdpSocket::Bind("0.0.0.0:" + port, {.reuse_address = true}).value();
    const SocketAddress group = *SocketAddress::Parse("239.1.2.3:" + port);
    const unsigned loopback = ::if_nametoindex("lo");
    for (UdpSocket* each : {&member, &other}) EXPECT_TRUE(each->JoinGroup(group, loopback).ok());
    EXPECT_EQ(ErrnoOf(member.JoinGroup(group, loopback)), EADDRINUSE);
    EXPECT_TRUE((co_await sender.SendTo("to the group", group)).ok());
    EXPECT_EQ(co_await Next(member), "to the group");
    EXPECT_EQ(co_await Next(other), "to the group");
    for (UdpSocket* each : {&sender, &other}) {
      EXPECT_TRUE(each->SetMulticastHops(0).ok());
      EXPECT_TRUE(each->SetMulticastHops(255).ok());
      EXPECT_EQ(ErrnoOf(each->SetMulticastHops(256)), EINVAL);
      EXPECT_EQ(each->SetMulticastHops(-1).code(), absl::StatusCode::kInvalidArgument);
    }
    // By its option only: what the loopback interface sends it receives in any case.
    EXPECT_TRUE(sender.SetMulticastLoop(false).ok());
    EXPECT_EQ(OptionOf(sender, IPPROTO_IP, IP_MULTICAST_LOOP), 0);
    EXPECT_TRUE(sender.SetMulticastLoop(true).ok());
    EXPECT_EQ(OptionOf(sender, IPPROTO_IP, IP_MULTICAST_LOOP), 1);
    EXPECT_EQ(OptionOf(sender, IPPROTO_IP, IP_MULTICAST_TTL), 255);
    EXPECT_TRUE(member.LeaveGroup(group, loopback).ok());
    EXPECT_EQ(ErrnoOf(member.LeaveGroup(group, loopback)), EADDRNOTAVAIL);
    UdpSocket six = Bound("[::]:0");
    EXPECT_TRUE(six.SetMulticastHops(2).ok());
    EXPECT_TRUE(six.SetMulticastLoop(false).ok());
    EXPECT_EQ(OptionOf(six, IPPROTO_IPV6, IPV6_MULTICAST_HOPS), 2);
    EXPECT_EQ(OptionOf(six, IPPROTO_IPV6, IPV6_MULTICAST_LOOP), 0);
    EXPECT_TRUE(six.JoinGroup(*SocketAddress::Parse("[ff02::7]:0"), loopback).ok());
    EXPECT_TRUE(six.LeaveGroup(*SocketAddress::Parse("[ff02::7]:0"), loopback).ok());
    const std::string zone = std::to_string(loopback);
    EXPECT_TRUE(six.JoinGroup(*SocketAddress::Parse("[ff02::7%" + zone + "]:0")).ok());
    EXPECT_TRUE(six.LeaveGroup(*SocketAddress::Parse("[ff02::7]:0"), loopback).ok());
    EXPECT_EQ(six.JoinGroup(*SocketAddress::Parse("[ff02::7%" + zone + "]:0"), loopback + 1).code(),
              absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(member.JoinGroup(*SocketAddress::Unix("x")).code(), absl::StatusCode::kInvalidArgument);
  });
}

TEST_P(UdpSocketTest, EachErrorOfASystemCallIsAStatusThatHasIt) {
  Everywhere([]() -> Task<void> {
    UdpSocket socket = Bound();
    const SocketAddress own = *socket.local_address();
    char buffer[8];
    EXPECT_EQ(ErrnoOf(co_await socket.Send("x")), EDESTADDRREQ);
    EXPECT_EQ(ErrnoOf(co_await socket.SendTo(std::string(70'000, 'x'), own)), EMSGSIZE);
    EXPECT_EQ(ErrnoOf(UdpSocket::Bind(own).status()), EADDRINUSE);
    EXPECT_EQ(UdpSocket::Bind("unix:@x").status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(UdpSocket::Connect("localhost:80").status().code(), absl::StatusCode::kInvalidArgument);
    for (const int error : {EACCES, ENOBUFS, EHOSTUNREACH}) {
      {
        const ScopedSyscallFault fault(&Syscalls::socket, {.error = error});
        EXPECT_EQ(ErrnoOf(UdpSocket::Bind(":0").status()), error);
      }
      {
        const ScopedSyscallFault fault(&Syscalls::bind, {.error = error});
        EXPECT_EQ(ErrnoOf(UdpSocket::Bind(":0").status()), error);
      }
      for (const int call : {1, 2}) {
        const ScopedSyscallFault fault(&Syscalls::setsockopt, {.first = call, .error = error});
        EXPECT_EQ(ErrnoOf(UdpSocket::Bind(":0", {.reuse_address = true, .reuse_port = true}).status()), error);
      }
      {
        const ScopedSyscallFault fault(&Syscalls::connect, {.error = error});
        EXPECT_EQ(ErrnoOf(UdpSocket::Connect(own).status()), error);
      }
      {
        const ScopedSyscallFault fault(&Syscalls::sendmsg, {.error = error});
        EXPECT_EQ(ErrnoOf(co_await socket.SendTo("x", own)), error);
      }
      {
        const ScopedSyscallFault fault(&Syscalls::recvmsg, {.error = error});
        EXPECT_EQ(ErrnoOf((co_await socket.ReceiveFrom(buffer)).status()), error);
      }
    }
    const ScopedSyscallFault interrupted(&Syscalls::sendmsg, {.times = 2, .error = EINTR});
    EXPECT_TRUE((co_await socket.SendTo("x", own)).ok());
    EXPECT_EQ(co_await Next(socket), "x");
  });
}

// ---- Unix.

TEST_P(UnixDatagramTest, ADatagramArrivesWithItsSender) {
  Everywhere([]() -> Task<void> {
    const TemporaryDirectory directory;
    UnixDatagram a = UnixDatagram::Bind(directory / "s").value();
    UnixDatagram b = UnixDatagram::Bind(AbstractName("b")).value();
    EXPECT_TRUE((co_await a.SendTo("question", *b.local_address())).ok());
    char buffer[100];
    const Datagram got = (co_await b.ReceiveFrom(buffer)).value();
    EXPECT_EQ(std::string(buffer, got.size), "question");
    EXPECT_EQ(got.sender.path(), directory / "s");
    EXPECT_TRUE((co_await b.SendTo("answer", got.sender)).ok());
    EXPECT_EQ(co_await Next(a), "answer");
    UnixDatagram nameless = UnixDatagram::Connect(directory / "s").value();
    EXPECT_TRUE((co_await nameless.Send({})).ok());
    const Datagram empty = (co_await a.ReceiveFrom(buffer)).value();
    EXPECT_EQ(empty.size, 0u);
    EXPECT_EQ(empty.sender.ToString(), "unix:");
    a.Close();
    EXPECT_FALSE(Exists(directory / "s"));
    EXPECT_EQ(ErrnoOf(co_await nameless.Send("x")), ECONNREFUSED);
  });
}

TEST_P(UnixDatagramTest, WhatCameBeforeTheFirstPeerWasSetIsReceived) {
  Everywhere([]() -> Task<void> {
    UnixDatagram stranger = UnixDatagram::Bind(AbstractName("a")).value();
    UnixDatagram peer = UnixDatagram::Bind(AbstractName("b")).value();
    UnixDatagram socket = UnixDatagram::Bind(AbstractName("c")).value();
    const SocketAddress own = *socket.local_address();
    EXPECT_TRUE((co_await stranger.SendTo("before", own)).ok());
    EXPECT_TRUE(socket.SetPeer(*peer.local_address()).ok());
    EXPECT_EQ(ErrnoOf(co_await stranger.SendTo("after", own)), EPERM);
    EXPECT_TRUE((co_await peer.SendTo("from the peer", own)).ok());
    char buffer[100];
    Datagram got = (co_await socket.ReceiveFrom(buffer)).value();
    EXPECT_EQ(std::string(buffer, got.size), "before");
    EXPECT_EQ(got.sender, *stranger.local_address());
    EXPECT_EQ(co_await Next(socket), "from the peer");
  });
}

// A path may fill sun_path, so that no zero ends it. Nobody is harmed by a stranger's name.
TEST_P(UnixDatagramTest, ASenderMayHaveTheLongestPath) {
  Everywhere([]() -> Task<void> {
    const TemporaryDirectory directory;
    UnixDatagram receiver = UnixDatagram::Bind(AbstractName("r")).value();
    sockaddr_un name = {.sun_family = AF_UNIX, .sun_path = {}};
    const std::string path = (directory / "") + std::string(sizeof(name.sun_path), 'n');
    std::memcpy(name.sun_path, path.data(), sizeof(name.sun_path));
    const int sender = internal::Sys().socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    EXPECT_EQ(internal::Sys().bind(sender, reinterpret_cast<const sockaddr*>(&name), sizeof(name)), 0);
    const SocketAddress to = receiver.local_address().value();
    EXPECT_EQ(internal::Sys().connect(sender, to.data(), to.size()), 0);
    iovec part = {const_cast<char*>("hello"), 5};
    msghdr message = {};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    EXPECT_EQ(internal::Sys().sendmsg(sender, &message, 0), 5);
    char buffer[100];
    const absl::StatusOr<Datagram> got = co_await receiver.ReceiveFrom(buffer);
    EXPECT_TRUE(got.ok()) << got.status();
    EXPECT_EQ(got->size, 5u);
    EXPECT_EQ(got->sender.path(), path.substr(0, sizeof(name.sun_path)));
    internal::Sys().close(sender);
    internal::Sys().unlinkat(AT_FDCWD, path.substr(0, sizeof(name.sun_path)).c_str(), 0);
  });
}

// From one socket to another: `messages` of them, by Send() or by SendTo().
Task<absl::Status> Flood(UnixDatagram& sender, const UnixDatagram& receiver, bool to_peer, int messages) {
  const SocketAddress name = *receiver.local_address();
  for (int i = 0; i < messages; ++i) {
    const std::string text = std::to_string(i);
    absl::Status sent;
    if (to_peer) {
      sent = co_await sender.Send(text);
    } else {
      sent = co_await sender.SendTo(text, name);
    }
    if (!sent.ok()) co_return sent;
  }
  co_return absl::OkStatus();
}

TEST_P(UnixDatagramTest, ASenderWaitsWhileTheQueueIsFullAndNothingIsLost) {
  Everywhere([]() -> Task<void> {
    constexpr int kMessages = 700;
    for (const bool to_peer : {false, true}) {
      UnixDatagram receiver = UnixDatagram::Bind(AbstractName("r")).value();
      UnixDatagram sender = UnixDatagram::Connect(AbstractName("r")).value();
      ShutdownOnFailure scope;
      scope.Fork(Flood(sender, receiver, to_peer, kMessages));
      for (int i = 0; i < kMessages; ++i) EXPECT_EQ(co_await Next(receiver), std::to_string(i));
      EXPECT_TRUE((co_await scope.Join()).ok());
      EXPECT_FALSE((co_await StopOnceItWaits(Flood(sender, receiver, to_peer, 1 << 20))).ok());
    }
  });
}

TEST_P(UnixDatagramTest, DescriptorsTravelAndNoneLeaks) {
  Everywhere([]() -> Task<void> {
    const int64_t before = OpenDescriptors();
    {
      auto [a, b] = UnixDatagram::Pair().value();
      std::vector<UniqueDescriptor> got;
      char buffer[8];
      EXPECT_TRUE((co_await a.Send({}, {{STDERR_FILENO, STDERR_FILENO}})).ok());
      EXPECT_EQ((co_await b.ReceiveFrom(buffer, got)).value().size, 0u);
      EXPECT_EQ(got.size(), 2u);
      UnixDatagram named = UnixDatagram::Bind(AbstractName("n")).value();
      EXPECT_TRUE((co_await a.SendTo("x", *named.local_address(), {{STDERR_FILENO}})).ok());
      EXPECT_EQ((co_await named.ReceiveFrom(buffer, got)).value().size, 1u);
      EXPECT_EQ(got.size(), 3u);
      EXPECT_TRUE((co_await a.Send("x", {{STDERR_FILENO}})).ok());
      EXPECT_EQ(co_await Next(b), "x");
      EXPECT_FALSE((co_await StopOnceItWaits(b.ReceiveFrom(buffer, got))).ok());
      EXPECT_EQ((co_await a.Send("x", {{-1}})).code(), absl::StatusCode::kInvalidArgument);
      EXPECT_EQ((co_await a.SendTo("x", *named.local_address(), {{-1}})).code(), absl::StatusCode::kInvalidArgument);
      EXPECT_TRUE((co_await a.Send("nobody takes it", {{STDERR_FILENO}})).ok());
    }
    EXPECT_EQ(OpenDescriptors(), before);
  });
}

TEST_P(UnixDatagramTest, ThePidfdOfASenderDoesNotLeak) {
  if (GetParam().kind == NetPlace::Kind::kMachine) GTEST_SKIP() << "a machine sends none";
  Everywhere([]() -> Task<void> {
    constexpr int kPassPidfd = 76;  // Linux 6.5; not in every header
    const int64_t before = OpenDescriptors();
    {
      auto [a, b] = UnixDatagram::Pair().value();
      const int on = 1;
      if (::setsockopt(b.native_handle(), SOL_SOCKET, kPassPidfd, &on, sizeof(on)) != 0) {
        EXPECT_EQ(errno, ENOPROTOOPT);
        co_return;
      }
      std::vector<UniqueDescriptor> got;
      char buffer[8];
      EXPECT_TRUE((co_await a.Send("x", {{STDERR_FILENO}})).ok());
      EXPECT_EQ((co_await b.ReceiveFrom(buffer, got)).value().size, 1u);
      EXPECT_EQ(got.size(), 1u);
    }
    EXPECT_EQ(OpenDescriptors(), before);
  });
}

TEST_P(UnixDatagramTest, ACloseEndsWhatIsPending) {
  Everywhere([]() -> Task<void> {
    auto [a, b] = UnixDatagram::Pair().value();
    Introduction receiving;
    AwaitAll scope;
    scope.Fork([&]() -> Task<void> {
      receiving.Make();
      char buffer[8];
      EXPECT_TRUE(net::IsClosed((co_await a.ReceiveFrom(buffer)).status()));
    });
    co_await receiving.AwaitParked();
    a.Close();
    (co_await scope.Join()).IgnoreFailures();
    EXPECT_TRUE(net::IsClosed(co_await a.Send("x")));
    EXPECT_TRUE(net::IsClosed(co_await a.SendTo("x", *SocketAddress::Abstract("weft-x"))));
  });
}

TEST_P(UnixDatagramTest, EachErrorOfASystemCallIsAStatusThatHasIt) {
  Everywhere([]() -> Task<void> {
    auto [a, b] = UnixDatagram::Pair().value();
    const SocketAddress nobody = *SocketAddress::Abstract("weft-nobody");
    char buffer[8];
    std::vector<UniqueDescriptor> none;
    EXPECT_EQ(ErrnoOf(co_await a.SendTo("x", nobody)), ECONNREFUSED);
    EXPECT_EQ(ErrnoOf(UnixDatagram::Connect("@weft-nobody").status()), ECONNREFUSED);
    EXPECT_EQ((co_await a.SendTo("x", *SocketAddress::Parse(":80"))).code(), absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(a.SetPeer(*SocketAddress::Parse(":80")).code(), absl::StatusCode::kInvalidArgument);
    for (const int error : {EACCES, ENOBUFS}) {
      {
        const ScopedSyscallFault fault(&Syscalls::socketpair, {.error = error});
        EXPECT_EQ(ErrnoOf(UnixDatagram::Pair().status()), error);
      }
      {
        const ScopedSyscallFault fault(&Syscalls::socket, {.error = error});
        EXPECT_EQ(ErrnoOf(UnixDatagram::Bind(AbstractName("x")).status()), error);
      }
      {
        const ScopedSyscallFault fault(&Syscalls::bind, {.error = error});
        EXPECT_EQ(ErrnoOf(UnixDatagram::Bind(AbstractName("x")).status()), error);
      }
      {
        const ScopedSyscallFault fault(&Syscalls::sendmsg, {.times = 2, .error = error});
        EXPECT_EQ(ErrnoOf(co_await a.Send("x")), error);
        EXPECT_EQ(ErrnoOf(co_await a.SendTo("x", nobody)), error);
      }
      {
        const ScopedSyscallFault fault(&Syscalls::recvmsg, {.times = 2, .error = error});
        EXPECT_EQ(ErrnoOf((co_await b.ReceiveFrom(buffer)).status()), error);
        EXPECT_EQ(ErrnoOf((co_await b.ReceiveFrom(buffer, none)).status()), error);
      }
    }
  });
}

}  // namespace
}  // namespace weft::testing

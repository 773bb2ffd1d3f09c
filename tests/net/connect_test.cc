// Goal: Connect() reaches a host if one of its addresses answers, and soon: it neither waits for addresses that do not
// answer, nor leaves anything behind. Method: on_backends.h, with addresses of the loopback that refuse and others that
// do not answer. In simulations the virtual clock says how long it took.
#include "weft/net/connect.h"

#include <netinet/in.h>
#include <sched.h>
#include <sys/socket.h>

#include <cerrno>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "tests/net/accept_queue.h"
#include "tests/net/names.h"
#include "tests/net/net_fixture.h"
#include "tests/net/on_backends.h"
#include "tests/support/nobody.h"
#include "tests/support/on_both.h"
#include "weft/io/unique_descriptor.h"
#include "weft/weft.h"

namespace weft::testing {
namespace {

using io::UniqueDescriptor;
using net::SocketAddress;
using net::TcpListener;
using net::TcpStream;

constexpr absl::Duration kDelay = absl::Milliseconds(250);

class ConnectTest : public OnBackends {
 protected:
  // On real carriers an attempt need not last so long.
  static net::ConnectOptions Options() {
    return {.attempt_delay = GetParam().simulated() ? kDelay : absl::Milliseconds(10)};
  }
  // It took so many delays, and no more than the ticks of the timer wheel beside that.
  static void ExpectDelays(int delays, MonotonicTime since) {
    if (!GetParam().simulated()) return;
    const absl::Duration took = MonotonicNow() - since;
    EXPECT_GE(took, delays * kDelay);
    EXPECT_LT(took, delays * kDelay + absl::Milliseconds(50));
  }
};
WEFT_ON_REAL_BACKENDS(ConnectTest);

TcpListener Listen(const char* address = "127.0.0.1:0") { return TcpListener::Bind(address).value(); }

// An address that does not answer: its backlog is full, and the kernel drops what comes.
class BlackHole {
 public:
  BlackHole()
      : listener_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)),
        client_(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)) {
    const SocketAddress any = *SocketAddress::Parse("127.0.0.1:0");
    EXPECT_EQ(::bind(listener_.get(), any.data(), any.size()), 0);
    EXPECT_EQ(::listen(listener_.get(), /*backlog=*/0), 0);  // so one connection fills it
    const SocketAddress there = address();
    if (::connect(client_.get(), there.data(), there.size()) != 0) EXPECT_EQ(errno, EINPROGRESS);
    while (!QueueIsFull(listener_.get())) ::sched_yield();
  }
  SocketAddress address() const {
    sockaddr_storage address;
    socklen_t size = sizeof(address);
    EXPECT_EQ(::getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&address), &size), 0);
    return *SocketAddress::From(reinterpret_cast<const sockaddr*>(&address), size);
  }
  // Makes room for one connection.
  void Accept() { UniqueDescriptor(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC)).Reset(); }

 private:
  const UniqueDescriptor listener_, client_;
};

void ExpectPeer(const absl::StatusOr<TcpStream>& stream, const SocketAddress& address) {
  EXPECT_TRUE(stream.ok()) << stream.status();
  if (stream.ok()) EXPECT_EQ(*stream->peer_address(), address);
}

TEST_P(ConnectTest, TheFirstAddressIsTakenIfItAnswers) {
  Everywhere([]() -> Task<void> {
    TcpListener good = Listen();
    BlackHole hole;
    const MonotonicTime before = MonotonicNow();
    absl::StatusOr<TcpStream> stream =
        co_await net::ConnectToAny({*good.local_address(), hole.address()}, Options());
    ExpectPeer(stream, *good.local_address());
    ExpectDelays(0, before);
    stream = co_await net::ConnectToAny({*good.local_address()});
    ExpectPeer(stream, *good.local_address());
  });
}

TEST_P(ConnectTest, AnAddressThatRefusesIsFollowedByTheNextAtOnce) {
  Everywhere([]() -> Task<void> {
    TcpListener good = Listen();
    const Nobody four, six("[::1]:0");
    const MonotonicTime before = MonotonicNow();
    absl::StatusOr<TcpStream> stream =
        co_await net::ConnectToAny({four.address(), six.address(), *good.local_address()}, Options());
    ExpectPeer(stream, *good.local_address());
    ExpectDelays(0, before);
  });
}

TEST_P(ConnectTest, AnAddressThatDoesNotAnswerHoldsUpTheNextForOneDelay) {
  Everywhere([]() -> Task<void> {
    BlackHole hole;
    const Nobody nobody;
    TcpListener good = Listen();
    const int64_t before_descriptors = OpenDescriptors();
    {
      MonotonicTime before = MonotonicNow();
      absl::StatusOr<TcpStream> stream =
          co_await net::ConnectToAny({hole.address(), *good.local_address()}, Options());
      ExpectPeer(stream, *good.local_address());
      ExpectDelays(1, before);
      before = MonotonicNow();
      stream = co_await net::ConnectToAny({hole.address(), hole.address(), nobody.address(), *good.local_address()},
                                          Options());
      ExpectPeer(stream, *good.local_address());
      ExpectDelays(2, before);
    }
    EXPECT_EQ(OpenDescriptors(), before_descriptors) << "an attempt has left its socket";
  });
}

TEST_P(ConnectTest, AConnectionComesFromTheAddressThatIsAskedFor) {
  Everywhere([]() -> Task<void> {
    TcpListener listener = Listen();
    const SocketAddress from = *SocketAddress::Parse("127.0.0.2:0");
    const SocketAddress there = *listener.local_address();
    absl::StatusOr<TcpStream> alone = co_await TcpStream::Connect(there, from);
    absl::StatusOr<TcpStream> raced = co_await net::ConnectToAny({there, there}, {.from = from});
    for (absl::StatusOr<TcpStream>* stream : {&alone, &raced}) {
      ExpectPeer(*stream, there);
      const SocketAddress here = *(*stream)->local_address();
      EXPECT_TRUE(absl::StartsWith(here.ToString(), "127.0.0.2:")) << here;
      EXPECT_NE(here.port(), 0);
      absl::StatusOr<TcpStream> accepted = co_await listener.Accept();
      while (*accepted->peer_address() != here) accepted = co_await listener.Accept();  // a loser of the race
    }
    const TcpListener taken = Listen("127.0.0.2:0");
    EXPECT_EQ(ErrnoOf((co_await TcpStream::Connect(there, *taken.local_address())).status()), EADDRINUSE);
    // One port to two peers.
    TcpListener other = Listen();
    const Nobody bound("127.0.0.2:0");
    absl::StatusOr<TcpStream> first = co_await TcpStream::Connect(there, bound.address());
    absl::StatusOr<TcpStream> second = co_await TcpStream::Connect(*other.local_address(), bound.address());
    EXPECT_EQ(*first->local_address(), bound.address());
    EXPECT_EQ(*second->local_address(), bound.address());
  });
}

TEST_P(ConnectTest, AConnectionFromNowhereFails) {
  Everywhere([]() -> Task<void> {
    TcpListener four = Listen();
    const SocketAddress there = *four.local_address();
    const SocketAddress six = *SocketAddress::Parse("[::1]:0");
    EXPECT_EQ((co_await TcpStream::Connect(there, six)).status(),
              absl::InvalidArgumentError("[::1]:0 cannot connect to " + there.ToString()));
    EXPECT_EQ((co_await net::ConnectToAny({there}, {.from = six})).status(),
              absl::NotFoundError("no address to connect to from [::1]:0"));
    const SocketAddress none = *SocketAddress::Parse("192.0.2.1:0");  // of documentation (RFC 5737)
    EXPECT_EQ(ErrnoOf((co_await TcpStream::Connect(there, none)).status()), EADDRNOTAVAIL);
  });
}

TEST_P(ConnectTest, TheFamiliesTakeTurns) {
  Everywhere([]() -> Task<void> {
    BlackHole hole;
    TcpListener good = Listen("[::1]:0");
    const MonotonicTime before = MonotonicNow();
    absl::StatusOr<TcpStream> stream = co_await net::ConnectToAny(
        {hole.address(), hole.address(), hole.address(), *good.local_address()}, Options());
    ExpectPeer(stream, *good.local_address());
    ExpectDelays(1, before);
  });
}

TEST_P(ConnectTest, WithoutADelayAllBeginAtOnceAndWithAnInfiniteOneNoneOverlap) {
  Everywhere([]() -> Task<void> {
    BlackHole hole;
    const Nobody nobody;
    TcpListener good = Listen();
    MonotonicTime before = MonotonicNow();
    for (const absl::Duration none : {absl::ZeroDuration(), -absl::Seconds(1), -absl::InfiniteDuration()}) {
      absl::StatusOr<TcpStream> stream = co_await net::ConnectToAny(
          {hole.address(), hole.address(), *good.local_address()}, {.attempt_delay = none});
      ExpectPeer(stream, *good.local_address());
    }
    ExpectDelays(0, before);
    absl::StatusOr<TcpStream> stream =
        co_await net::ConnectToAny({nobody.address(), *good.local_address()},
                                   {.attempt_delay = absl::InfiniteDuration()});
    ExpectPeer(stream, *good.local_address());
    const net::ConnectOptions one_by_one = {.attempt_delay = absl::InfiniteDuration()};
    EXPECT_FALSE((co_await MoveOnAfter(
                      absl::Milliseconds(5),
                      net::ConnectToAny({hole.address(), *good.local_address()}, one_by_one))).has_value());
  });
}

TEST_P(ConnectTest, IfAllFailTheStatusHasWhatEachSaid) {
  Everywhere([]() -> Task<void> {
    const Nobody first, second("[::1]:0");
    absl::Status failed = (co_await net::ConnectToAny({first.address(), second.address()}, Options())).status();
    EXPECT_EQ(failed.code(), absl::StatusCode::kUnavailable) << failed;
    EXPECT_EQ(ErrnoOf(failed), ECONNREFUSED);
    EXPECT_TRUE(absl::StrContains(failed.message(), "none of 2 addresses answered; connect to ")) << failed;
    EXPECT_TRUE(absl::StrContains(failed.message(), first.address().ToString())) << failed;
    EXPECT_TRUE(absl::StrContains(failed.message(), second.address().ToString())) << failed;
    EXPECT_EQ((co_await net::ConnectToAny({})).status().code(), absl::StatusCode::kNotFound);
  });
}

TEST_P(ConnectTest, ACancelledConnectLeavesNothingBehind) {
  Everywhere([]() -> Task<void> {
    BlackHole hole;
    const int64_t before = OpenDescriptors();
    for (const int delays : {0, 1, 2, 5}) {
      const std::vector<SocketAddress> nobody(4, hole.address());
      const absl::Duration delay = Options().attempt_delay;
      const absl::Duration limit = delays * delay + absl::Milliseconds(1);
      EXPECT_FALSE((co_await MoveOnAfter(limit, net::ConnectToAny(nobody, Options()))).has_value());
      EXPECT_EQ(OpenDescriptors(), before);
    }
    EXPECT_FALSE((co_await StopOnceItWaits(net::ConnectToAny({hole.address()}))).ok());
    EXPECT_EQ(OpenDescriptors(), before);
  });
}

// ---- By name.

TEST_P(ConnectTest, ANameIsResolvedAndItsAddressesTriedInTurn) {
  const ScopedNames names({{"db.internal", {{"127.0.0.7", "::1", "127.0.0.1"}}}});
  Everywhere([]() -> Task<void> {
    std::optional<TcpListener> listener;
    std::optional<Nobody> seven, six;
    do {
      listener.emplace(Listen());
      const std::string same = ":" + std::to_string(listener->local_address()->port());
      seven.emplace("127.0.0.7" + same);
      six.emplace("[::1]" + same);
    } while (!seven->bound() || !six->bound());
    const SocketAddress good = *listener->local_address();
    const uint16_t port = good.port();
    const MonotonicTime before = MonotonicNow();
    ExpectPeer(co_await net::Connect("db.internal", port, Options()), good);
    ExpectPeer(co_await net::Connect("db.internal:" + std::to_string(port), Options()), good);
    ExpectPeer(co_await net::Connect("127.0.0.1", port), good);
    TcpListener other = Listen("[::1]:0");
    ExpectPeer(co_await net::Connect("[::1]:" + std::to_string(other.local_address()->port())), *other.local_address());
    ExpectPeer(co_await net::Connect("::1", other.local_address()->port()), *other.local_address());
    net::Resolver own;
    ExpectPeer(co_await net::Connect("db.internal", port, {.resolver = &own}), good);
    EXPECT_EQ((co_await net::Connect("other.internal", port)).status().code(), absl::StatusCode::kNotFound);
    ExpectDelays(0, before);
  });
}

TEST_P(ConnectTest, WhatIsNoHostAndPortIsInvalid) {
  Everywhere([]() -> Task<void> {
    for (const char* text :
         {"", ":", "host", "host:", ":80", "host:-1", "host:+1", "host: 1", "host:65536", "host:http", "::1:80", "::1",
          "[::1]", "[]:80", "[::1:80", "host:80:80", "host:99999999999"}) {
      EXPECT_EQ((co_await net::Connect(text)).status().code(), absl::StatusCode::kInvalidArgument) << text;
    }
  });
}

// The kernel repeats what was dropped after a second, in real time.
class LateTest : public ::testing::TestWithParam<IoBackend> {};

TEST_P(LateTest, AnAddressThatAnswersLateStillWins) {
  const std::unique_ptr<Runtime> runtime = Runtime::Create({.parallelism = 1, .io = GetParam()}).value();
  runtime->Run([]() -> Task<void> {
    BlackHole late;
    BlackHole hole;
    const Nobody nobody;
    AwaitAll scope;
    const int64_t before = OpenDescriptors();
    auto connected = scope.Fork([&]() -> Task<absl::StatusOr<TcpStream>> {
      co_return co_await net::ConnectToAny({hole.address(), late.address(), nobody.address()},
                                           {.attempt_delay = absl::Milliseconds(1)});
    });
    while (OpenDescriptors() < before + 2) co_await Yield();  // until both have been asked
    late.Accept();
    (co_await scope.Join()).IgnoreFailures();
    ExpectPeer(std::move(connected).get(), late.address());
  }());
}

INSTANTIATE_TEST_SUITE_P(Everywhere, LateTest, ::testing::Values(IoBackend::kUring, IoBackend::kEpoll));

}  // namespace
}  // namespace weft::testing

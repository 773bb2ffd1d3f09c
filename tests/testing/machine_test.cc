// The simulated machine. Goal: sockets, pipes and files in memory that behave as Linux's; the seed decides what the
// real ones would leave to chance, and the same seed decides the same; faults are survived; nothing is left open
// unnoticed. Method: small programs under many seeds. That the suites of sockets pass on it is seen where they are
// (tests/net/on_backends.h).
#include "weft/testing/machine.h"

#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "lib/testing/syscall_fault.h"
#include "weft/fs/contents.h"
#include "weft/fs/file.h"
#include "weft/fs/path.h"
#include "weft/io/pipe.h"
#include "weft/net/connect.h"
#include "weft/net/tcp_listener.h"
#include "weft/net/tcp_options.h"
#include "weft/net/tcp_stream.h"
#include "weft/net/udp_socket.h"
#include "weft/net/unix_stream.h"
#include "weft/process.h"
#include "weft/signal.h"
#include "weft/testing/simulation.h"
#include "weft/thread_builder.h"
#include "weft/weft.h"

namespace weft::testing {
namespace {

using net::SocketAddress;
using net::TcpListener;
using net::TcpStream;
using net::UdpSocket;
using net::UnixStream;

constexpr uint64_t kSeeds = 50;

// Runs body() on a machine of its own for each seed.
template <class Body>
void UnderSeeds(MachineOptions options, Body body) {
  for (uint64_t seed = 1; seed <= kSeeds && !::testing::Test::HasFailure(); ++seed) {
    SCOPED_TRACE(seed);
    options.seed = seed;
    Machine machine(options);
    Simulation simulation({.carriers = static_cast<int>(seed % 3) + 1, .seed = seed, .machine = &machine});
    simulation.Run(body(machine));
  }
}

Task<absl::Status> Echo(TcpStream stream) {
  char buffer[64];
  for (;;) {
    const absl::StatusOr<size_t> got = co_await stream.Read(buffer);
    if (!got.ok() || *got == 0) co_return got.status();
    if (absl::Status sent = co_await stream.Write({buffer, *got}); !sent.ok()) co_return sent;
  }
}

// Serves until it is cancelled, or can accept no more.
Task<absl::Status> ServeEcho(TcpListener& listener) {
  AwaitAll connections;
  for (;;) {
    absl::StatusOr<TcpStream> stream = co_await listener.Accept();
    if (!stream.ok()) co_return stream.status();
    connections.Fork([](TcpStream accepted) -> Task<void> {
      (co_await Echo(std::move(accepted))).IgnoreError();
    }(*std::move(stream)));
  }
}

Task<absl::Status> AskEcho(const SocketAddress& address, const std::string& text) {
  absl::StatusOr<TcpStream> stream = co_await TcpStream::Connect(address);
  if (!stream.ok()) co_return stream.status();
  if (absl::Status sent = co_await stream->Write(text); !sent.ok()) co_return sent;
  std::string back(text.size(), '\0');
  if (absl::Status read = co_await stream->ReadExactly(absl::MakeSpan(back.data(), back.size())); !read.ok()) {
    co_return read;
  }
  EXPECT_EQ(back, text);
  co_return absl::OkStatus();
}

// Echoes `clients` texts at once; yields how many came back.
Task<int> EchoAll(int clients) {
  absl::StatusOr<TcpListener> bound = TcpListener::Bind("10.0.0.1:7");
  while (!bound.ok()) bound = TcpListener::Bind("10.0.0.1:7");
  TcpListener listener = *std::move(bound);
  const SocketAddress address = *listener.local_address();
  int echoed = 0;
  AwaitAll serving;
  serving.Fork([&listener]() -> Task<void> { (co_await ServeEcho(listener)).IgnoreError(); });
  AwaitAll asking;
  for (int i = 0; i < clients; ++i) {
    asking.Fork([&address, &echoed, i]() -> Task<void> {
      const absl::Status status = co_await AskEcho(address, std::string(static_cast<size_t>(100 * i + 1), 'a'));
      if (status.ok()) ++echoed;
      // One thread of the OS runs the simulation, so the counter needs no lock.
      if (!status.ok()) EXPECT_TRUE(ErrnoOf(status) != 0 || absl::IsOutOfRange(status)) << status;
    });
  }
  (co_await asking.Join()).IgnoreFailures();
  serving.Shutdown();
  (co_await serving.Join()).IgnoreFailures();
  co_return echoed;
}

// ---- Time and chance.

TEST(MachineTest, WhatIsSentIsUnderWayForSuchADelay) {
  UnderSeeds({.min_delay = absl::Milliseconds(10), .max_delay = absl::Milliseconds(30)},
             [](Machine&) -> Task<void> {
               TcpListener listener = TcpListener::Bind("10.0.0.1:80").value();
               const MonotonicTime start = MonotonicNow();
               TcpStream client = (co_await TcpStream::Connect("10.0.0.1:80")).value();
               const absl::Duration connecting = MonotonicNow() - start;
               EXPECT_GE(connecting, absl::Milliseconds(20)) << "there and back";
               EXPECT_LE(connecting, absl::Milliseconds(60));
               TcpStream server = (co_await listener.Accept()).value();
               EXPECT_EQ(MonotonicNow() - start, connecting) << "it has been there for a while";
               EXPECT_TRUE((co_await client.Write("x")).ok());
               EXPECT_EQ(MonotonicNow() - start, connecting) << "a write does not wait for its arrival";
               char buffer[1];
               EXPECT_EQ(*co_await server.Read(buffer), 1u);
               const absl::Duration reading = MonotonicNow() - start - connecting;
               EXPECT_GE(reading, absl::Milliseconds(10));
               EXPECT_LE(reading, absl::Milliseconds(30));
             });
}

TEST(MachineTest, TheSameSeedsAreTheSameRunAndOthersAreNot) {
  const auto run = [](uint64_t machine_seed, uint64_t seed) {
    Machine machine({.seed = machine_seed, .faults = 0.02});
    Simulation simulation({.carriers = 2, .seed = seed, .machine = &machine});
    simulation.Run([]() -> Task<void> {
      (void)co_await EchoAll(8);
      (co_await fs::WriteFileAtomically("/tmp/f", "text")).IgnoreError();
      (co_await fs::ReadFile("/tmp/f")).IgnoreError();
    }());
    return simulation.trace_hash();
  };
  std::set<uint64_t> traces;
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
    const uint64_t trace = run(seed, 1);
    ASSERT_EQ(trace, run(seed, 1)) << "machine's seed " << seed;
    traces.insert(trace);
  }
  EXPECT_EQ(traces.size(), kSeeds) << "the machine's seed decides nothing";
}

TEST(MachineTest, ShortTransfersAndAnyOrderLoseNothing) {
  UnderSeeds({.short_transfers = 1}, [](Machine&) -> Task<void> { EXPECT_EQ(co_await EchoAll(6), 6); });
}

TEST(MachineTest, DatagramsChangePlacesAndAreLostByChance) {
  int changed = 0, lost = 0;
  UnderSeeds({.lost_datagrams = 0.2}, [&](Machine&) -> Task<void> {
    UdpSocket receiver = UdpSocket::Bind("10.0.0.1:53").value();
    UdpSocket sender = UdpSocket::Connect("10.0.0.1:53").value();
    for (char c = 'a'; c <= 'h'; ++c) EXPECT_TRUE((co_await sender.Send({&c, 1})).ok());
    std::string came;
    char buffer[8];
    while (true) {
      auto got = co_await MoveOnAfter(absl::Seconds(1), receiver.ReceiveFrom(buffer));
      if (!got.has_value()) break;
      came.append(buffer, (*got)->size);
    }
    lost += came.size() < 8;
    changed += !std::is_sorted(came.begin(), came.end());
    EXPECT_EQ(std::set<char>(came.begin(), came.end()).size(), came.size()) << "one came twice";
  });
  EXPECT_GT(changed, 5);
  EXPECT_GT(lost, 5);
}

// A regression: only what the sender had written was counted. The numbers are those of Linux 6.18.
TEST(MachineTest, AQueueOfDatagramsIsFullAsInLinux) {
  for (const auto& [bytes, room] : {std::pair<size_t, int>{1, 256}, {500, 166}, {1000, 92}, {3000, 48}, {5000, 25},
                                    {10'000, 12}, {20'000, 10}, {40'000, 5}, {65'507, 3}}) {
    SCOPED_TRACE(bytes);
    UnderSeeds({}, [&](Machine&) -> Task<void> {
      UdpSocket receiver = UdpSocket::Bind("10.0.0.1:53").value();
      UdpSocket sender = UdpSocket::Connect("10.0.0.1:53").value();
      const std::string data(bytes, 'x');
      for (int i = 0; i < 300; ++i) EXPECT_TRUE((co_await sender.Send(data)).ok());
      co_await Sleep(absl::Seconds(1));
      char buffer[1];
      int came = 0;
      while ((co_await MoveOnAfter(absl::Milliseconds(1), receiver.ReceiveFrom(buffer))).has_value()) ++came;
      EXPECT_EQ(came, room);
      EXPECT_TRUE((co_await sender.Send("x")).ok());
      EXPECT_TRUE((co_await receiver.ReceiveFrom(buffer)).ok());
    });
  }
}

TEST(MachineTest, EveryIpv4AddressLeavesThePortToThoseOfIpv6) {
  UnderSeeds({}, [](Machine&) -> Task<void> {
    const TcpListener four = TcpListener::Bind("0.0.0.0:80").value();
    const TcpListener six = TcpListener::Bind("[::1]:80").value();
    EXPECT_EQ(ErrnoOf(TcpListener::Bind("[::]:80").status()), EADDRINUSE);
    co_return;
  });
}

TEST(MachineTest, ASocketForIpv6OnlyLeavesThePortToIpv4WhicheverIsFirst) {
  UnderSeeds({}, [](Machine&) -> Task<void> {
    {
      const TcpListener four = TcpListener::Bind("0.0.0.0:80").value();
      const TcpListener six = TcpListener::Bind("[::]:80", {.v6_only = true}).value();
    }
    const TcpListener six = TcpListener::Bind("[::]:80", {.v6_only = true}).value();
    EXPECT_EQ(ErrnoOf((co_await TcpStream::Connect("127.0.0.1:80")).status()), ECONNREFUSED);
    EXPECT_TRUE((co_await TcpStream::Connect("[::1]:80")).ok());
    const TcpListener four = TcpListener::Bind("0.0.0.0:80").value();
    EXPECT_TRUE((co_await TcpStream::Connect("127.0.0.1:80")).ok());
    EXPECT_EQ(ErrnoOf(TcpListener::Bind("[::]:80").status()), EADDRINUSE);
  });
}

TEST(MachineTest, AListenerThatIsShutDownLeavesThePort) {
  UnderSeeds({}, [](Machine&) -> Task<void> {
    TcpListener first = TcpListener::Bind("10.0.0.1:80").value();
    EXPECT_EQ(ErrnoOf(TcpListener::Bind("10.0.0.1:80").status()), EADDRINUSE);
    first.Shutdown();
    TcpListener second = TcpListener::Bind("10.0.0.1:80").value();
    const TcpStream client = (co_await TcpStream::Connect("10.0.0.1:80")).value();
    EXPECT_TRUE((co_await second.Accept()).ok());
  });
}

// ---- Hosts that do not reach each other.

// A regression: it gave up after 63 s, where Linux sends its last SYN.
TEST(MachineTest, AConnectToAHostThatDoesNotAnswerTimesOutAfterTwoMinutes) {
  UnderSeeds({}, [](Machine& machine) -> Task<void> {
    TcpListener listener = TcpListener::Bind("10.0.0.1:80").value();
    machine.Disconnect("10.0.0.1");
    const MonotonicTime start = MonotonicNow();
    const absl::StatusOr<TcpStream> stream = co_await TcpStream::Connect("10.0.0.1:80");
    EXPECT_EQ(ErrnoOf(stream.status()), ETIMEDOUT) << stream.status();
    EXPECT_GE(MonotonicNow() - start, absl::Seconds(127));
    EXPECT_LT(MonotonicNow() - start, absl::Seconds(127.1));
    machine.Heal();
    EXPECT_TRUE((co_await TcpStream::Connect("10.0.0.1:80")).ok());
    EXPECT_EQ(ErrnoOf((co_await TcpStream::Connect("10.0.0.2:80")).status()), ECONNREFUSED);
  });
}

TEST(MachineTest, WhatIsSentWhileTheHostIsCutOffArrivesOnceItIsBack) {
  UnderSeeds({}, [](Machine& machine) -> Task<void> {
    TcpListener listener = TcpListener::Bind("10.0.0.1:80").value();
    TcpStream client = (co_await TcpStream::Connect("10.0.0.1:80")).value();
    TcpStream server = (co_await listener.Accept()).value();
    machine.Disconnect("10.0.0.1");
    EXPECT_TRUE((co_await client.Write("late")).ok());
    char buffer[8];
    EXPECT_FALSE((co_await MoveOnAfter(absl::Seconds(30), [](TcpStream& from, MutableBuffer to) -> Task<size_t> {
                   co_return *co_await from.Read(to);
                 }(server, buffer))).has_value());
    machine.Heal();
    EXPECT_TRUE((co_await server.ReadExactly(absl::MakeSpan(buffer, 4))).ok());
    EXPECT_EQ(std::string(buffer, 4), "late");
  });
}

// A regression: it was given up at the last try, and not the longest interval later.
TEST(MachineTest, AConnectionWhosePeerStaysAwayIsGivenUp) {
  UnderSeeds({}, [](Machine& machine) -> Task<void> {
    TcpListener listener = TcpListener::Bind("10.0.0.1:80").value();
    TcpStream client = (co_await TcpStream::Connect("10.0.0.1:80")).value();
    TcpStream server = (co_await listener.Accept()).value();
    machine.Disconnect("10.0.0.1");
    EXPECT_TRUE((co_await client.Write("lost")).ok());
    const MonotonicTime start = MonotonicNow();
    char buffer[8];
    EXPECT_EQ(ErrnoOf((co_await client.Read(buffer)).status()), ETIMEDOUT);
    EXPECT_GE(MonotonicNow() - start, absl::Seconds(924.6));
    EXPECT_LT(MonotonicNow() - start, absl::Seconds(924.7));
    machine.Heal();
    // The server has not heard of it. It does when it sends.
    EXPECT_TRUE((co_await server.Write("hello")).ok());
    EXPECT_EQ(ErrnoOf((co_await server.Read(buffer)).status()), ECONNRESET);
  });
}

struct Connected {
  TcpStream client;
  TcpStream server;
};

// To 10.0.0.1, by a listener that is closed again.
Task<Connected> Connect() {
  TcpListener listener = TcpListener::Bind("10.0.0.1:80").value();
  TcpStream client = (co_await TcpStream::Connect("10.0.0.1:80")).value();
  co_return Connected{std::move(client), (co_await listener.Accept()).value()};
}

constexpr net::KeepAlive kProbes = {.idle = absl::Seconds(10), .interval = absl::Seconds(5), .count = 3};

// A regression: the option was taken, and without effect.
TEST(MachineTest, AReaderThatIsKeptAliveNoticesThatItsPeerIsCutOff) {
  UnderSeeds({}, [](Machine& machine) -> Task<void> {
    auto [client, server] = co_await Connect();
    char buffer[8];
    EXPECT_TRUE(net::TcpOptions(server).SetKeepAlive(kProbes).ok());
    const MonotonicTime start = MonotonicNow();
    co_await Sleep(absl::Seconds(23));  // so the probes after 10 s and 20 s are answered
    machine.Disconnect("10.0.0.1");
    EXPECT_EQ(ErrnoOf((co_await server.Read(buffer)).status()), ETIMEDOUT);
    EXPECT_EQ(MonotonicNow() - start, absl::Seconds(20 + 10 + 3 * 5));
    // The client has not heard of it. It does if it asks.
    machine.Heal();
    EXPECT_TRUE(net::TcpOptions(client).SetKeepAlive(kProbes).ok());
    EXPECT_EQ(ErrnoOf((co_await client.Read(buffer)).status()), ECONNRESET);
    EXPECT_EQ(MonotonicNow() - start, absl::Seconds(45 + 10));
  });
}

TEST(MachineTest, OptionsThatAreSetAnewBeginAnew) {
  UnderSeeds({}, [](Machine& machine) -> Task<void> {
    auto [client, server] = co_await Connect();
    EXPECT_TRUE(net::TcpOptions(server).SetKeepAlive({.idle = absl::Hours(2)}).ok());
    machine.Disconnect("10.0.0.1");
    EXPECT_TRUE(net::TcpOptions(server).SetKeepAlive(kProbes).ok());
    co_await Sleep(absl::Seconds(21));  // so two probes are not answered
    constexpr net::KeepAlive kOne = {.idle = absl::Seconds(3), .interval = absl::Seconds(2), .count = 1};
    EXPECT_TRUE(net::TcpOptions(server).SetKeepAlive(kOne).ok());
    const MonotonicTime start = MonotonicNow();
    char buffer[8];
    EXPECT_EQ(ErrnoOf((co_await server.Read(buffer)).status()), ETIMEDOUT);
    EXPECT_EQ(MonotonicNow() - start, absl::Seconds(3 + 2));
  });
}

TEST(MachineTest, AReaderThatIsKeptAliveOutlastsAShortCut) {
  UnderSeeds({}, [](Machine& machine) -> Task<void> {
    auto [client, server] = co_await Connect();
    EXPECT_TRUE(net::TcpOptions(server).SetKeepAlive(kProbes).ok());
    char buffer[8];
    for (const bool kept_alive : {true, false}) {
      machine.Disconnect("10.0.0.1");
      if (!kept_alive) EXPECT_TRUE(net::TcpOptions(server).DisableKeepAlive().ok());
      const absl::Duration cut = kept_alive ? absl::Seconds(18) : absl::Hours(1);
      EXPECT_FALSE((co_await MoveOnAfter(cut, server.Read(buffer))).has_value());
      machine.Heal();
      EXPECT_FALSE((co_await MoveOnAfter(absl::Hours(1), server.Read(buffer))).has_value());
    }
    EXPECT_TRUE((co_await client.Write("x")).ok());
    EXPECT_EQ(*co_await server.Read(buffer), 1u);
  });
}

TEST(MachineTest, NoProbesFollowTheEndOfAConnection) {
  UnderSeeds({}, [](Machine& machine) -> Task<void> {
    auto [client, server] = co_await Connect();
    EXPECT_TRUE(net::TcpOptions(server).SetKeepAlive(kProbes).ok());
    for (TcpStream* stream : {&client, &server}) EXPECT_TRUE(stream->ShutdownWrite().ok());
    co_await Sleep(absl::Seconds(1));
    machine.Disconnect("10.0.0.1");
    co_await Sleep(absl::Hours(1));
    char buffer[8];
    EXPECT_EQ(*co_await server.Read(buffer), 0u);
    EXPECT_EQ(ErrnoOf(co_await server.Write("x")), EPIPE);
  });
}

TEST(MachineTest, PartedHostsLoseTheirDatagramsAndOthersDoNot) {
  UnderSeeds({}, [](Machine& machine) -> Task<void> {
    UdpSocket one = UdpSocket::Bind("10.0.0.1:9").value();
    UdpSocket two = UdpSocket::Bind("10.0.0.2:9").value();
    UdpSocket three = UdpSocket::Bind("10.0.0.3:9").value();
    machine.Part("10.0.0.1", "10.0.0.2");
    EXPECT_TRUE((co_await one.SendTo("lost", *two.local_address())).ok());
    EXPECT_TRUE((co_await three.SendTo("comes", *two.local_address())).ok());
    char buffer[8];
    const net::Datagram got = (co_await two.ReceiveFrom(buffer)).value();
    EXPECT_EQ(std::string(buffer, got.size), "comes");
    EXPECT_EQ(got.sender, *three.local_address());
    EXPECT_FALSE((co_await MoveOnAfter(absl::Seconds(1), two.ReceiveFrom(buffer))).has_value());
  });
}

TEST(MachineTest, ANameMeansItsAddresses) {
  UnderSeeds({}, [](Machine& machine) -> Task<void> {
    machine.AddHost("db.internal", "10.0.0.1");
    machine.AddHost("db.internal", "fd00::1");
    TcpListener listener = TcpListener::Bind("[fd00::1]:5432").value();
    TcpStream client = (co_await net::Connect("db.internal", 5432)).value();
    EXPECT_EQ(client.peer_address()->ToString(), "[fd00::1]:5432");
    EXPECT_EQ((co_await net::Connect("other.internal", 5432)).status().code(), absl::StatusCode::kNotFound);
  });
}

// A regression: it was unknown.
TEST(MachineTest, LocalhostIsEachAddressOfTheLoopback) {
  UnderSeeds({}, [](Machine&) -> Task<void> {
    for (const std::string host : {"[::1]", "127.0.0.1"}) {
      TcpListener listener = TcpListener::Bind(host + ":80").value();
      TcpStream client = (co_await net::Connect("localhost", 80)).value();
      EXPECT_EQ(client.peer_address()->ToString(), host + ":80");
    }
  });
}

// ---- Failures.

TEST(MachineTest, AServerSurvivesFaultsAndEachRequestEndsWell) {
  int echoed = 0;
  UnderSeeds({.short_transfers = 0.3, .faults = 0.02},
             [&](Machine&) -> Task<void> { echoed += co_await EchoAll(20); });
  // Some break, and most do not.
  EXPECT_LT(echoed, static_cast<int>(kSeeds) * 20);
  EXPECT_GT(echoed, static_cast<int>(kSeeds) * 10);
}

// A regression: no call of bind(2) or connect(2) ever failed.
TEST(MachineTest, BindsAndConnectsFailByChance) {
  std::set<int> binds, connects;
  UnderSeeds({.faults = 0.2}, [&](Machine&) -> Task<void> {
    absl::StatusOr<TcpListener> listener = TcpListener::Bind("10.0.0.1:80");
    while (!listener.ok()) {
      binds.insert(ErrnoOf(listener.status()));
      listener = TcpListener::Bind("10.0.0.1:80");
    }
    for (int i = 0; i < 20; ++i) connects.insert(ErrnoOf((co_await TcpStream::Connect("10.0.0.1:80")).status()));
  });
  for (const int error : {EADDRINUSE, EADDRNOTAVAIL}) EXPECT_TRUE(binds.contains(error)) << error;
  for (const int error : {0, ECONNREFUSED, ETIMEDOUT, EHOSTUNREACH, ENETUNREACH}) {
    EXPECT_TRUE(connects.contains(error)) << error;
  }
}

TEST(MachineTest, ASocketThatClosesWithBytesUnreadResetsItsPeer) {
  UnderSeeds({.short_transfers = 0}, [](Machine&) -> Task<void> {
    TcpListener listener = TcpListener::Bind("10.0.0.1:80").value();
    TcpStream client = (co_await TcpStream::Connect("10.0.0.1:80")).value();
    {
      TcpStream server = (co_await listener.Accept()).value();
      EXPECT_TRUE((co_await client.Write("never read")).ok());
      co_await Sleep(absl::Seconds(1));
    }
    char buffer[8];
    EXPECT_EQ(ErrnoOf((co_await client.Read(buffer)).status()), ECONNRESET);
    EXPECT_EQ(ErrnoOf(co_await client.Write("x")), EPIPE);
  });
}

TEST(MachineTest, AStreamThatIsShutDownResetsAPeerThatGoesOnSending) {
  UnderSeeds({}, [](Machine&) -> Task<void> {
    TcpListener listener = TcpListener::Bind("10.0.0.1:80").value();
    TcpStream client = (co_await TcpStream::Connect("10.0.0.1:80")).value();
    TcpStream server = (co_await listener.Accept()).value();
    server.Shutdown();
    const absl::Status sent = co_await client.Write(std::string(1'000'000, 'x'));
    EXPECT_TRUE(ErrnoOf(sent) == EPIPE || ErrnoOf(sent) == ECONNRESET) << sent;
  });
}

TEST(MachineTest, WhatWasUnderWayToASocketThatClosesIsClosed) {
  UnderSeeds({}, [](Machine&) -> Task<void> {
    auto [near, far] = UnixStream::Pair().value();
    auto [given, peer] = UnixStream::Pair().value();
    EXPECT_TRUE((co_await near.Send("x", {{given.native_handle()}})).ok());
    given.Close();
    far.Close();
    char buffer[8];
    EXPECT_EQ((co_await peer.Read(buffer)).value(), 0u);
  });
}

TEST(MachineTest, AUnixSocketThatClosesWithBytesUnreadResetsItsPeerAlsoBehindAnEnd) {
  UnderSeeds({}, [](Machine&) -> Task<void> {
    auto [near, far] = UnixStream::Pair().value();
    EXPECT_TRUE((co_await near.Write("never read")).ok());
    EXPECT_TRUE(far.ShutdownWrite().ok());
    far.Close();
    char buffer[8];
    EXPECT_EQ(ErrnoOf((co_await near.Read(buffer)).status()), ECONNRESET);
  });
}

TEST(MachineTest, ThereAreSoManyDescriptorsAndNoMore) {
  UnderSeeds({.max_descriptors = 8}, [](Machine& machine) -> Task<void> {
    std::vector<io::PipeEnds> pipes;
    absl::StatusOr<io::PipeEnds> pipe = io::MakePipe();
    for (; pipe.ok(); pipe = io::MakePipe()) pipes.push_back(*std::move(pipe));
    EXPECT_EQ(ErrnoOf(pipe.status()), EMFILE);
    EXPECT_GE(machine.open_descriptors(), 7);
    pipes.pop_back();
    EXPECT_TRUE(io::MakePipe().ok());
    co_return;
  });
}

TEST(MachineTest, ADiskThatIsFullSaysSo) {
  UnderSeeds({.disk_bytes = 100'000}, [](Machine&) -> Task<void> {
    const std::string half(60'000, 'x');
    EXPECT_TRUE((co_await fs::WriteFile("/tmp/a", half)).ok());
    EXPECT_EQ(ErrnoOf(co_await fs::WriteFile("/tmp/b", half)), ENOSPC);
    EXPECT_TRUE((co_await fs::Remove("/tmp/b")).ok());
    EXPECT_TRUE((co_await fs::Remove("/tmp/a")).ok());
    EXPECT_TRUE((co_await fs::WriteFile("/tmp/b", half)).ok());
  });
}

TEST(MachineTest, ACallThatIsToFailDoesSoOnTheMachineToo) {
  UnderSeeds({}, [](Machine&) -> Task<void> {
    const internal::ScopedSyscallFault fault(&internal::Syscalls::pipe2, {.error = ENFILE});
    EXPECT_EQ(ErrnoOf(io::MakePipe().status()), ENFILE);
    EXPECT_TRUE(io::MakePipe().ok());
    co_return;
  });
}

// What is reported of the deadlock that `task` ends in.
std::string DeadlockOf(Task<void> task) {
  std::string report;
  Machine machine;
  Simulation simulation(
      {.machine = &machine, .on_deadlock = [&report](const std::string& text) { report = text; }});
  EXPECT_FALSE(simulation.TryRun(std::move(task)).ok());
  EXPECT_TRUE(absl::StrContains(report, "deadlock")) << report;
  return report;
}

TEST(MachineTest, AReadThatNobodyAnswersIsADeadlockAtOnce) {
  const std::string report = DeadlockOf([]() -> Task<void> {
    io::PipeEnds pipe = *io::MakePipe();
    char buffer[1];
    (co_await pipe.reader.Read(buffer)).IgnoreError();
  }());
  EXPECT_TRUE(absl::StrContains(report, "Read")) << report;
}

TEST(MachineTest, ProbesThatAreAnsweredHideNoDeadlock) {
  DeadlockOf([]() -> Task<void> {
    auto [client, server] = co_await Connect();
    EXPECT_TRUE(net::TcpOptions(server).SetKeepAlive(kProbes).ok());
    char buffer[1];
    (co_await server.Read(buffer)).IgnoreError();
  }());
}

TEST(MachineTest, ThereAreNoSignalsAndNoPrograms) {
  UnderSeeds({}, [](Machine&) -> Task<void> {
    EXPECT_EQ(ErrnoOf(Signals::Open({SIGUSR1}).status()), ENOSYS);
    EXPECT_EQ(ErrnoOf((co_await Process::Start({"true"})).status()), ENOENT);
  });
}

// ---- The disk.

TEST(MachineTest, AFileThatIsWrittenAtomicallyIsTheOldOneOrTheNewOneAfterALossOfPower) {
  int old_ones = 0, new_ones = 0;
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
    SCOPED_TRACE(seed);
    Machine machine({.seed = seed, .faults = 0.05});
    const auto run = [&](auto body) {
      Simulation simulation({.seed = seed, .machine = &machine});
      simulation.Run(body());
    };
    bool written = false;
    run([&]() -> Task<void> {
      while (!(co_await fs::WriteFileAtomically("/tmp/f", "old")).ok()) {
      }
      // Cut short anywhere.
      auto done = co_await MoveOnAfter(absl::Microseconds(100 * seed), fs::WriteFileAtomically("/tmp/f", "new"));
      written = done.has_value() && done->ok();
    });
    machine.LosePower();
    run([&]() -> Task<void> {
      absl::StatusOr<std::string> text = co_await fs::ReadFile("/tmp/f");
      while (!text.ok() && ErrnoOf(text.status()) != ENOENT) text = co_await fs::ReadFile("/tmp/f");
      EXPECT_TRUE(text.ok()) << text.status();
      EXPECT_TRUE(*text == "old" || *text == "new") << *text;
      if (written) EXPECT_EQ(*text, "new");
      ++(*text == "old" ? old_ones : new_ones);
    });
  }
  EXPECT_GT(old_ones, 5);
  EXPECT_GT(new_ones, 5);
}

TEST(MachineTest, WhatWasNotSyncedGoesWithThePower) {
  Machine machine;
  Simulation({.machine = &machine}).Run([]() -> Task<void> {
    EXPECT_TRUE((co_await fs::WriteFile("/tmp/f", "text")).ok());
    EXPECT_EQ(*co_await fs::ReadFile("/tmp/f"), "text");
  }());
  machine.LosePower();
  Simulation({.machine = &machine}).Run([]() -> Task<void> {
    EXPECT_EQ(ErrnoOf((co_await fs::ReadFile("/tmp/f")).status()), ENOENT);
  }());
}

enum class AfterAFailedSync { kSyncs, kWritesAgain };

// Writes "text" to /tmp/f, whose name is on the disk, and tries Sync() or DataSync() until one succeeds.
Task<void> WriteAndSync(AfterAFailedSync then, bool data_only) {
  absl::StatusOr<fs::File> file = co_await fs::File::Open("/tmp/f", {.write = true, .create = true});
  while (!file.ok()) file = co_await fs::File::Open("/tmp/f", {.write = true, .create = true});
  absl::StatusOr<fs::File> directory = co_await fs::File::Open("/tmp", {});
  while (!directory.ok()) directory = co_await fs::File::Open("/tmp", {});
  while (!(co_await directory->Sync()).ok()) {
  }
  bool writes = true;
  do {
    while (writes && !(co_await file->WriteAt("text", 0)).ok()) {
    }
    writes = then == AfterAFailedSync::kWritesAgain;
  } while (!(co_await (data_only ? file->DataSync() : file->Sync())).ok());
}

// How often, with both kinds of a sync, what was written is not there after a loss of power.
int CountLosses(AfterAFailedSync then) {
  int losses = 0;
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
    for (const bool data_only : {false, true}) {
      Machine machine({.seed = seed, .faults = 0.3});
      Simulation({.seed = seed, .machine = &machine}).Run(WriteAndSync(then, data_only));
      machine.LosePower();
      Simulation({.seed = seed, .machine = &machine}).Run([&losses]() -> Task<void> {
        absl::StatusOr<std::string> found = co_await fs::ReadFile("/tmp/f");
        while (!found.ok() && ErrnoOf(found.status()) != ENOENT) found = co_await fs::ReadFile("/tmp/f");
        EXPECT_TRUE(found.ok()) << found.status();
        if (*found != "text") ++losses;
      }());
    }
  }
  return losses;
}

TEST(MachineTest, ASecondSyncDoesNotBringWhatTheFirstOneLostUnlessItIsWrittenAgain) {
  EXPECT_GT(CountLosses(AfterAFailedSync::kSyncs), 0);
  EXPECT_EQ(CountLosses(AfterAFailedSync::kWritesAgain), 0);
}

TEST(MachineTest, TheDiskIsTheMachinesOwn) {
  Machine machine;
  Simulation({.machine = &machine}).Run([]() -> Task<void> {
    EXPECT_FALSE(*co_await fs::Exists("/proc"));
    EXPECT_TRUE(*co_await fs::Exists("/tmp"));
  }());
}

TEST(MachineTest, TheNextSimulationsWallClockGoesOnWhereTheLastOneStopped) {
  Machine machine;
  absl::Time stopped;
  Simulation({.machine = &machine}).Run([&stopped]() -> Task<void> {
    EXPECT_EQ(absl::ToUnixSeconds(Now()), 1'577'836'800);
    co_await Sleep(absl::Hours(24 * 30));
    EXPECT_TRUE((co_await fs::WriteFile("/tmp/f", "text")).ok());
    stopped = Now();
  }());
  Simulation({.machine = &machine}).Run([&stopped]() -> Task<void> {
    EXPECT_EQ(Now(), stopped);
    EXPECT_GE(Now(), (co_await fs::Stat("/tmp/f"))->modified);
  }());
}

// Both ends take time: a FIN is under way for a moment, and a clean-up sleeps, and writes to the disk.
TEST(MachineTest, WhatStillRunsWhenASimulationGoesEndsInTheMachinesTime) {
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    Machine machine({.seed = seed});
    Simulation({.carriers = 2, .seed = seed, .machine = &machine}).Run([]() -> Task<void> {
      VirtualThread::Start([listener = TcpListener::Bind("10.0.0.1:80").value()]() mutable -> Task<void> {
        const absl::StatusOr<TcpStream> accepted = co_await listener.Accept();
        EXPECT_TRUE(accepted.ok()) << accepted.status();
        co_await Sleep(absl::InfiniteDuration());
      });
      VirtualThread::Start([]() -> Task<void> {
        co_await Finally(Sleep(absl::InfiniteDuration()), []() -> Task<void> {
          co_await Sleep(absl::Milliseconds(10));
          EXPECT_TRUE((co_await fs::WriteFile("/tmp/last", "words")).ok());
        });
      });
      const absl::StatusOr<TcpStream> connected = co_await TcpStream::Connect("10.0.0.1:80");
      EXPECT_TRUE(connected.ok()) << connected.status();
      co_await Sleep(absl::Seconds(1));
    });
    EXPECT_EQ(machine.open_descriptors(), 0) << machine.DescribeOpen();
    Simulation({.machine = &machine}).Run([]() -> Task<void> {
      EXPECT_EQ((co_await fs::ReadFile("/tmp/last")).value(), "words");
    });
  }
}

// The one that goes would take the clock of the other one away.
TEST(MachineDeathTest, ItsSimulationsComeOneAfterTheOther) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(
      {
        Machine machine;
        auto simulation = std::make_unique<Simulation>(SimulationOptions{.machine = &machine});
        simulation = std::make_unique<Simulation>(SimulationOptions{.machine = &machine});
      },
      "a second simulation is made on a machine while the first one is still there; destroy that one before");
}

// ---- What is left open.

TEST(MachineDeathTest, WhatIsLeftOpenIsNamedWhenTheMachineGoes) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(
      {
        std::optional<TcpListener> left;
        Machine machine;
        Simulation({.machine = &machine}).Run([](std::optional<TcpListener>& listener) -> Task<void> {
          listener = TcpListener::Bind("10.0.0.1:80").value();
          co_return;
        }(left));
      },
      "left open on a machine that is destroyed:.*a TCP listener on 10.0.0.1:80");
}

TEST(MachineDeathTest, ItHasItsOptionsChecked) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(Machine({.min_delay = absl::Seconds(2), .max_delay = absl::Seconds(1)}), "min_delay is not above");
  EXPECT_DEATH(Machine({.faults = 1.5}), "shares of a machine are 0 to 1");
  EXPECT_DEATH(Machine({.faults = 1}), "faults of a machine are below 1");
  EXPECT_DEATH(
      {
        Machine one;
        Machine two;
      },
      "a second machine on this OS thread");
  EXPECT_DEATH(Machine().Disconnect("10.0.0.1:80"), "is not an address without a port");
}

}  // namespace
}  // namespace weft::testing

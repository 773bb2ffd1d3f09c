// Goal: TcpListener and TcpStream keep their contract, whichever backend and however many carriers. Method:
// on_backends.h.
#include <sys/socket.h>

#include <atomic>
#include <cerrno>
#include <initializer_list>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "lib/coro/frame_fault.h"
#include "tests/net/on_backends.h"
#include "tests/support/nobody.h"
#include "tests/support/read_to_end.h"
#include "weft/io/stream.h"
#include "weft/weft.h"

namespace weft::testing {
namespace {

using net::SocketAddress;
using net::TcpListener;
using net::TcpStream;

class TcpTest : public OnBackends {};
WEFT_ON_BACKENDS(TcpTest);

TcpListener Listen() { return TcpListener::Bind("127.0.0.1:0").value(); }

struct Connected {
  TcpStream client;
  TcpStream server;
};

Task<Connected> Connect() {
  TcpListener listener = Listen();
  const SocketAddress address = *listener.local_address();
  ShutdownOnFailure scope;
  auto client = scope.Fork(TcpStream::Connect(address));
  auto server = scope.Fork([&listener]() -> Task<absl::StatusOr<TcpStream>> { co_return co_await listener.Accept(); });
  absl::Status joined = co_await scope.Join();
  EXPECT_TRUE(joined.ok()) << joined;
  co_return Connected{std::move(client).get(), std::move(server).get()};
}

TEST_P(TcpTest, WhatIsWrittenIsReadUntilTheEndOfTheStream) {
  Everywhere([]() -> Task<void> {
    auto [client, server] = co_await Connect();
    EXPECT_TRUE((co_await client.Write("hello ")).ok());
    EXPECT_TRUE((co_await client.Write("world")).ok());
    EXPECT_TRUE(client.ShutdownWrite().ok());
    EXPECT_EQ(co_await ReadToEnd(server), "hello world");
    EXPECT_TRUE((co_await server.Write("and back")).ok());
    server.Close();
    EXPECT_EQ(co_await ReadToEnd(client), "and back");
  });
}

TEST_P(TcpTest, AWriteOfMoreThanTheKernelBuffersSendsAllOfIt) {
  Everywhere([]() -> Task<void> {
    auto [client, server] = co_await Connect();
    std::string data(20'000'000, ' ');
    for (size_t i = 0; i < data.size(); ++i) data[i] = static_cast<char>(i * 31 % 251);
    ShutdownOnFailure scope;
    scope.Fork([&]() -> Task<absl::Status> {
      absl::Status sent = co_await client.Write(data);
      if (sent.ok()) sent = client.ShutdownWrite();
      co_return sent;
    });
    std::string received(data.size(), '\0');
    absl::Status read = co_await server.ReadExactly(absl::MakeSpan(received.data(), received.size()));
    EXPECT_TRUE(read.ok()) << read;
    EXPECT_TRUE(received == data);
    EXPECT_TRUE((co_await scope.Join()).ok());
  });
}

TEST_P(TcpTest, ReadExactlyTellsAnEndFromACut) {
  Everywhere([]() -> Task<void> {
    for (const bool cut : {false, true}) {
      auto [client, server] = co_await Connect();
      EXPECT_TRUE((co_await client.Write(cut ? "abc" : "abcd")).ok());
      client.Close();
      char four[4];
      absl::Status read;
      for (int i = 0; i < (cut ? 1 : 2); ++i) read = co_await server.ReadExactly(absl::MakeSpan(four));
      EXPECT_EQ(read.code(), absl::StatusCode::kOutOfRange) << read;
      EXPECT_EQ(io::IsEndOfStream(read), !cut) << read;
    }
  });
}

TEST_P(TcpTest, AWriteThatTheKernelTakesAtOnceNeedsNoMemory) {
  Everywhere([]() -> Task<void> {
    auto [client, server] = co_await Connect();
    absl::Status sent;
    {
      const internal::ScopedFrameFault no_memory({.here = true});
      sent = co_await client.Write("x");
    }
    EXPECT_EQ(sent, absl::OkStatus());
    client.Close();
    EXPECT_EQ(co_await ReadToEnd(server), "x");
  });
}

TEST_P(TcpTest, AWriteThatBeginsAfterACloseFindsTheStreamClosed) {
  Everywhere([]() -> Task<void> {
    auto [client, server] = co_await Connect();
    auto write = client.Write("x");
    client.Close();
    EXPECT_TRUE(net::IsClosed(co_await std::move(write)));
    EXPECT_FALSE(client.is_open());
    EXPECT_EQ(co_await ReadToEnd(server), "");
  });
}

TEST_P(TcpTest, AReadThatBeginsAfterACloseFindsTheStreamClosed) {
  Everywhere([]() -> Task<void> {
    auto [client, server] = co_await Connect();
    EXPECT_TRUE((co_await client.Write("xy")).ok());
    char byte = 0;
    EXPECT_TRUE((co_await server.ReadExactly({&byte, 1})).ok());  // the second one has come with it
    auto read = server.Read({&byte, 1});
    server.Close();
    EXPECT_TRUE(net::IsClosed((co_await std::move(read)).status()));
    EXPECT_EQ(byte, 'x');
    EXPECT_FALSE(server.is_open());
  });
}

TEST_P(TcpTest, AWriteThatIsNotAwaitedSendsNothing) {
  Everywhere([]() -> Task<void> {
    auto [client, server] = co_await Connect();
    { [[maybe_unused]] auto write = client.Write("x"); }
    client.Close();
    EXPECT_FALSE(client.is_open());
    EXPECT_EQ(co_await ReadToEnd(server), "");
  });
}

TEST_P(TcpTest, OneThreadReadsWhileAnotherWrites) {
  Everywhere([]() -> Task<void> {
    auto [client, server] = co_await Connect();
    constexpr int kRounds = 200;
    ShutdownOnFailure scope;
    scope.Fork([&server]() -> Task<absl::Status> {
      char buffer[64];
      for (;;) {
        absl::StatusOr<size_t> got = co_await server.Read(absl::MakeSpan(buffer));
        if (!got.ok() || *got == 0) co_return got.status();
        if (absl::Status sent = co_await server.Write({buffer, *got}); !sent.ok()) co_return sent;
      }
    });
    scope.Fork([&client]() -> Task<absl::Status> {
      for (int i = 0; i < kRounds; ++i) {
        if (absl::Status sent = co_await client.Write("ping"); !sent.ok()) co_return sent;
      }
      co_return absl::OkStatus();
    });
    std::vector<char> back(4 * kRounds);
    EXPECT_TRUE((co_await client.ReadExactly(absl::MakeSpan(back))).ok());
    EXPECT_TRUE(client.ShutdownWrite().ok());
    EXPECT_TRUE((co_await scope.Join()).ok());
  });
}

// ---- Operations on no bytes.

enum class OfNothing { kRead, kReadExactly, kWrite, kWriteNoParts, kWriteEmptyParts };
constexpr OfNothing kAllOfNothing[] = {OfNothing::kRead, OfNothing::kReadExactly, OfNothing::kWrite,
                                       OfNothing::kWriteNoParts, OfNothing::kWriteEmptyParts};

Task<absl::Status> DoNothing(OfNothing what, TcpStream& stream) {
  switch (what) {
    case OfNothing::kRead: {
      absl::StatusOr<size_t> got = co_await stream.Read({});
      if (got.ok()) EXPECT_EQ(*got, 0u);
      co_return got.status();
    }
    case OfNothing::kReadExactly:
      co_return co_await stream.ReadExactly({});
    case OfNothing::kWrite:
      co_return co_await stream.Write(ConstBuffer());
    case OfNothing::kWriteNoParts:
      co_return co_await stream.Write(std::span<const ConstBuffer>());
    case OfNothing::kWriteEmptyParts: {
      const ConstBuffer parts[] = {"", ""};
      co_return co_await stream.Write(parts);
    }
  }
}

TEST_P(TcpTest, AnOperationOnNoBytesWaitsForNobody) {
  Everywhere([]() -> Task<void> {
    auto [client, server] = co_await Connect();
    for (const OfNothing what : kAllOfNothing) EXPECT_TRUE((co_await DoNothing(what, server)).ok());
    EXPECT_TRUE((co_await client.Write("data")).ok());
    for (const OfNothing what : kAllOfNothing) EXPECT_TRUE((co_await DoNothing(what, server)).ok());
    client.Close();
    for (const OfNothing what : kAllOfNothing) EXPECT_TRUE((co_await DoNothing(what, server)).ok());
    EXPECT_EQ(co_await ReadToEnd(server), "data");
    for (const OfNothing what : kAllOfNothing) EXPECT_TRUE((co_await DoNothing(what, server)).ok());
    EXPECT_TRUE(server.ShutdownWrite().ok());
    for (const OfNothing what : kAllOfNothing) EXPECT_TRUE((co_await DoNothing(what, server)).ok());
  });
}

TEST_P(TcpTest, AnOperationOnNoBytesIsACheckpoint) {
  Everywhere([]() -> Task<void> {
    auto [client, server] = co_await Connect();
    for (const OfNothing what : kAllOfNothing) {
      std::atomic<int> rounds{0};
      AwaitAll scope;
      scope.Fork([what, &rounds, &server]() -> Task<void> {
        for (;; ++rounds) (co_await DoNothing(what, server)).IgnoreError();
      });
      while (rounds < 1000) co_await Yield();  // it lets others run
      scope.Shutdown();                        // and ends
      (co_await scope.Join()).IgnoreFailures();
    }
  });
}

TEST_P(TcpTest, ManyConnectionsAtOnce) {
  Everywhere([]() -> Task<void> {
    constexpr int kConnections = 100;
    TcpListener listener = Listen();
    const SocketAddress address = *listener.local_address();
    ShutdownOnFailure scope;
    scope.Fork([&listener]() -> Task<absl::Status> {
      ShutdownOnFailure connections;
      for (int i = 0; i < kConnections; ++i) {
        absl::StatusOr<TcpStream> stream = co_await listener.Accept();
        if (!stream.ok()) co_return stream.status();
        connections.Fork([s = *std::move(stream)]() mutable -> Task<absl::Status> {
          char byte;
          if (absl::Status read = co_await s.ReadExactly({&byte, 1}); !read.ok()) co_return read;
          co_return co_await s.Write({&byte, 1});
        });
      }
      co_return co_await connections.Join();
    });
    for (int i = 0; i < kConnections; ++i) {
      scope.Fork([address, i]() -> Task<absl::Status> {
        absl::StatusOr<TcpStream> stream = co_await TcpStream::Connect(address);
        if (!stream.ok()) co_return stream.status();
        const char sent = static_cast<char>(i);
        if (absl::Status written = co_await stream->Write({&sent, 1}); !written.ok()) co_return written;
        char back;
        if (absl::Status read = co_await stream->ReadExactly({&back, 1}); !read.ok()) co_return read;
        co_return back == sent ? absl::OkStatus() : absl::DataLossError("another byte");
      });
    }
    absl::Status joined = co_await scope.Join();
    EXPECT_TRUE(joined.ok()) << joined;
  });
}

TEST_P(TcpTest, ACancelledReadLosesNothing) {
  Everywhere([]() -> Task<void> {
    auto [client, server] = co_await Connect();
    std::string got;
    ShutdownOnFailure scope;
    scope.Fork([&client]() -> Task<absl::Status> {
      for (char c = 'a'; c <= 'z'; ++c) {
        if (absl::Status sent = co_await client.Write({&c, 1}); !sent.ok()) co_return sent;
        co_await Sleep(absl::Milliseconds(1));
      }
      co_return client.ShutdownWrite();
    });
    // Each attempt has about the time that a byte takes: some are cancelled, some deliver, and every byte arrives once.
    bool ended = false;
    while (!ended) {
      auto read = [](TcpStream& stream, std::string& into) -> Task<absl::StatusOr<bool>> {
        char buffer[16];
        absl::StatusOr<size_t> n = co_await stream.Read(absl::MakeSpan(buffer));
        if (!n.ok()) co_return n.status();
        into.append(buffer, *n);
        co_return *n == 0;
      };
      absl::StatusOr<bool> end = co_await WithTimeout(absl::Microseconds(900), read(server, got));
      if (end.ok()) {
        ended = *end;
      } else {
        EXPECT_EQ(ReasonOf(end.status()).kind, CancelReason::Kind::kTimeout) << end.status();
      }
    }
    EXPECT_EQ(got, "abcdefghijklmnopqrstuvwxyz");
    EXPECT_TRUE((co_await scope.Join()).ok());
  });
}

TEST_P(TcpTest, ACancelledAcceptLeavesTheListenerAsItWas) {
  Everywhere([]() -> Task<void> {
    TcpListener listener = Listen();
    auto accept = [](TcpListener& from) -> Task<absl::StatusOr<TcpStream>> { co_return co_await from.Accept(); };
    for (int i = 0; i < 3; ++i) {
      absl::StatusOr<TcpStream> none = co_await WithTimeout(absl::Milliseconds(1), accept(listener));
      EXPECT_EQ(ReasonOf(none.status()).kind, CancelReason::Kind::kTimeout);
    }
    absl::StatusOr<TcpStream> client = co_await TcpStream::Connect(*listener.local_address());
    EXPECT_TRUE(client.ok()) << client.status();
    EXPECT_TRUE((co_await listener.Accept()).ok());
  });
}

TEST_P(TcpTest, AScopeThatIsShutDownEndsReadsWritesAndAccepts) {
  Everywhere([]() -> Task<void> {
    TcpListener listener = Listen();
    auto [client, server] = co_await Connect();
    AwaitAll scope;
    scope.Fork([&listener]() -> Task<void> { (co_await listener.Accept()).IgnoreError(); });
    scope.Fork([&server]() -> Task<void> { co_await ReadToEnd(server); });
    scope.Fork([&server]() -> Task<void> {
      const std::string data(100'000'000, 'x');  // more than the kernel takes
      (co_await server.Write(data)).IgnoreError();
    });
    for (int i = 0; i < 10; ++i) co_await Yield();
    scope.Shutdown();
    (co_await scope.Join()).IgnoreFailures();
  });
}

// A regression: the first operation on a socket tied it to its runtime, and two first ones at once did so both.
//   1. a thread: waits for a connection, or reads; looks whether the socket is tied
//   2. another, on another carrier: waits for one as well, or writes; looks as well; both tie it
TEST_P(TcpTest, TheFirstOperationsOnASocketMayComeAtOnce) {
  Everywhere([]() -> Task<void> {
    TcpListener listener = Listen();
    AwaitAll scope;
    for (int i = 0; i < 2; ++i) {
      scope.Fork([&listener]() -> Task<void> {
        absl::StatusOr<TcpStream> stream = co_await listener.Accept();
        EXPECT_TRUE(stream.ok()) << stream.status();
        AwaitAll both;
        both.Fork([&stream]() -> Task<void> { EXPECT_EQ(co_await ReadToEnd(*stream), "question"); });
        both.Fork([&stream]() -> Task<void> { EXPECT_TRUE((co_await stream->Write("answer")).ok()); });
        (co_await both.Join()).IgnoreFailures();
      });
      scope.Fork([&listener]() -> Task<void> {
        absl::StatusOr<TcpStream> stream = co_await TcpStream::Connect(*listener.local_address());
        EXPECT_TRUE(stream.ok()) << stream.status();
        char answer[6];
        EXPECT_TRUE((co_await stream->ReadExactly(absl::MakeSpan(answer))).ok());
        EXPECT_TRUE((co_await stream->Write("question")).ok());
      });
    }
    (co_await scope.Join()).IgnoreFailures();
  });
}

TEST_P(TcpTest, NobodyListensIsAStatusWithTheErrno) {
  Everywhere([]() -> Task<void> {
    const Nobody nobody;
    absl::StatusOr<TcpStream> stream = co_await TcpStream::Connect(nobody.address());
    EXPECT_EQ(stream.status().code(), absl::StatusCode::kUnavailable) << stream.status();
    EXPECT_EQ(ErrnoOf(stream.status()), ECONNREFUSED);
  });
}

TEST_P(TcpTest, APeerThatResetsIsAStatusWithTheErrno) {
  Everywhere([]() -> Task<void> {
    auto [client, server] = co_await Connect();
    EXPECT_TRUE((co_await client.Write("unread")).ok());
    char byte;
    EXPECT_TRUE((co_await server.ReadExactly({&byte, 1})).ok());
    server.Close();  // with bytes that nobody read: a reset
    char buffer[8];
    absl::StatusOr<size_t> got = co_await client.Read(absl::MakeSpan(buffer));
    EXPECT_EQ(ErrnoOf(got.status()), ECONNRESET) << got.status();
    EXPECT_EQ(ErrnoOf(co_await client.Write("to nobody")), EPIPE);
  });
}

// Waits for a reset, or the acknowledgement of an end, to get here.
Task<void> AwaitDisconnected(const TcpStream& stream) {
  while (stream.peer_address().ok()) co_await Sleep(absl::Milliseconds(1));
  EXPECT_EQ(ErrnoOf(stream.peer_address().status()), ENOTCONN);
}

// A regression: on the machine the reader was told of the reset, and the stream had a peer still.
TEST_P(TcpTest, AResetAfterTheEndIsAnErrorOfWritersOnly) {
  Everywhere([]() -> Task<void> {
    auto [client, server] = co_await Connect();
    client.Close();
    EXPECT_EQ(co_await ReadToEnd(server), "");
    EXPECT_TRUE((co_await server.Write("to nobody")).ok());
    co_await AwaitDisconnected(server);
    EXPECT_EQ(co_await ReadToEnd(server), "");
    EXPECT_EQ(ErrnoOf(co_await server.Write("to nobody")), EPIPE);
    EXPECT_EQ(ErrnoOf(server.ShutdownWrite()), ENOTCONN);
  });
}

// A regression: on the machine it was connected until it was closed.
TEST_P(TcpTest, AStreamThatHasEndedInBothDirectionsIsNotConnected) {
  Everywhere([]() -> Task<void> {
    auto [client, server] = co_await Connect();
    EXPECT_TRUE(client.ShutdownWrite().ok());
    EXPECT_EQ(co_await ReadToEnd(server), "");
    EXPECT_TRUE(client.ShutdownWrite().ok()) << "one direction is open";
    EXPECT_TRUE(client.peer_address().ok());
    EXPECT_TRUE(server.ShutdownWrite().ok());
    EXPECT_EQ(co_await ReadToEnd(client), "");
    for (const TcpStream* stream : {&client, &server}) {
      co_await AwaitDisconnected(*stream);
      EXPECT_TRUE(stream->local_address().ok());
    }
    EXPECT_EQ(ErrnoOf(client.ShutdownWrite()), ENOTCONN);
  });
}

TEST_P(TcpTest, AStreamThatEndsEarlyIsOutOfRange) {
  Everywhere([]() -> Task<void> {
    auto [client, server] = co_await Connect();
    EXPECT_TRUE((co_await client.Write("abc")).ok());
    client.Close();
    char buffer[8];
    absl::Status read = co_await server.ReadExactly(absl::MakeSpan(buffer));
    EXPECT_EQ(read.code(), absl::StatusCode::kOutOfRange) << read;
  });
}

TEST_P(TcpTest, ShutdownEndsTheReadOfAnotherThread) {
  Everywhere([]() -> Task<void> {
    auto [client, server] = co_await Connect();
    AwaitAll scope;
    scope.Fork([&client]() -> Task<void> { EXPECT_EQ(co_await ReadToEnd(client), ""); });
    for (int i = 0; i < 5; ++i) co_await Yield();
    client.Shutdown();
    (co_await scope.Join()).IgnoreFailures();
  });
}

TEST_P(TcpTest, PartsArriveInTheirOrderAsOneStream) {
  Everywhere([]() -> Task<void> {
    auto [client, server] = co_await Connect();
    // More parts than one call takes, some of them empty, and more bytes than the buffers of the kernel hold.
    const std::string large(100'000, 'x');
    std::vector<ConstBuffer> parts;
    std::string expected;
    for (int i = 0; i < 200; ++i) {
      parts.push_back(i % 3 == 0 ? ConstBuffer() : i % 70 == 1 ? ConstBuffer(large) : ConstBuffer("ab"));
      expected.append(parts.back().data(), parts.back().size());
    }
    AwaitAll scope;
    scope.Fork([&]() -> Task<void> {
      EXPECT_TRUE((co_await client.Write(parts)).ok());
      EXPECT_TRUE((co_await client.Write(std::span<const ConstBuffer>())).ok());
      client.Close();
    });
    EXPECT_EQ(co_await ReadToEnd(server) == expected, true);
    (co_await scope.Join()).IgnoreFailures();
    EXPECT_EQ(ErrnoOf(co_await client.Write(parts)), EBADF);
  });
}

TEST_P(TcpTest, AHangUpEndsTheWaitForIt) {
  Everywhere([]() -> Task<void> {
    auto [client, server] = co_await Connect();
    AwaitAll scope;
    std::atomic<bool> hung_up = false;
    scope.Fork([&]() -> Task<void> {
      EXPECT_TRUE((co_await server.WaitHangUp()).ok());
      hung_up = true;
    });
    EXPECT_TRUE((co_await client.Write("request")).ok());
    char buffer[16];
    EXPECT_EQ(*co_await server.Read(buffer), 7u);
    EXPECT_FALSE(hung_up);
    client.Close();
    (co_await scope.Join()).IgnoreFailures();
    EXPECT_TRUE(hung_up);
    EXPECT_TRUE((co_await server.WaitHangUp()).ok());  // it still is
  });
}

TEST_P(TcpTest, AWaitForAHangUpEndsWhenThisSideCloses) {
  Everywhere([]() -> Task<void> {
    auto [client, server] = co_await Connect();
    AwaitAll scope;
    scope.Fork([&]() -> Task<void> { EXPECT_TRUE(net::IsClosed(co_await server.WaitHangUp())); });
    for (int i = 0; i < 5; ++i) co_await Yield();
    server.Close();
    (co_await scope.Join()).IgnoreFailures();
  });
}

TEST_P(TcpTest, AWaitForAHangUpCanBeCancelled) {
  Everywhere([]() -> Task<void> {
    auto [client, server] = co_await Connect();
    EXPECT_FALSE((co_await MoveOnAfter(absl::Milliseconds(1), server.WaitHangUp())).has_value());
    EXPECT_TRUE((co_await client.Write("still there")).ok());
    char buffer[16];
    EXPECT_EQ(*co_await server.Read(buffer), 11u);
  });
}

TEST_P(TcpTest, Ipv6WorksTheSame) {
  Everywhere([]() -> Task<void> {
    TcpListener listener = TcpListener::Bind("[::1]:0").value();
    absl::StatusOr<TcpStream> client = co_await TcpStream::Connect(listener.local_address()->ToString());
    EXPECT_TRUE(client.ok()) << client.status();
    if (!client.ok()) co_return;
    TcpStream server = (co_await listener.Accept()).value();
    EXPECT_EQ(server.peer_address()->ToString(), client->local_address()->ToString());
    EXPECT_TRUE((co_await client->Write("six")).ok());
    client->Close();
    EXPECT_EQ(co_await ReadToEnd(server), "six");
  });
}

// A regression: the machine showed such a client as one of IPv4.
TEST_P(TcpTest, AListenerOfIpv6ShowsAClientOfIpv4ByItsMappedAddress) {
  Everywhere([]() -> Task<void> {
    TcpListener listener = TcpListener::Bind("[::]:0").value();
    const std::string port = std::to_string(listener.local_address()->port());
    TcpStream client = (co_await TcpStream::Connect("127.0.0.1:" + port)).value();
    TcpStream server = (co_await listener.Accept()).value();
    const std::string client_port = std::to_string(client.local_address()->port());
    EXPECT_EQ(client.peer_address()->ToString(), "127.0.0.1:" + port);
    EXPECT_EQ(client.local_address()->ToString(), "127.0.0.1:" + client_port);
    EXPECT_EQ(server.peer_address()->ToString(), "[::ffff:127.0.0.1]:" + client_port);
    EXPECT_EQ(server.local_address()->ToString(), "[::ffff:127.0.0.1]:" + port);
  });
}

TEST_P(TcpTest, AListenerOfIpv4IsReachedByItsMappedAddress) {
  Everywhere([]() -> Task<void> {
    TcpListener listener = Listen();
    const std::string port = std::to_string(listener.local_address()->port());
    TcpStream client = (co_await TcpStream::Connect("[::ffff:127.0.0.1]:" + port)).value();
    TcpStream server = (co_await listener.Accept()).value();
    const std::string client_port = std::to_string(client.local_address()->port());
    EXPECT_EQ(client.peer_address()->ToString(), "[::ffff:127.0.0.1]:" + port);
    EXPECT_EQ(client.local_address()->ToString(), "[::ffff:127.0.0.1]:" + client_port);
    EXPECT_EQ(server.peer_address()->ToString(), "127.0.0.1:" + client_port);
    EXPECT_EQ(ErrnoOf(TcpListener::Bind("[::ffff:127.0.0.1]:" + port).status()), EADDRINUSE);
  });
}

// A regression: on the machine each family had its own ports.
TEST_P(TcpTest, APortOfEveryAddressIsTakenForBothFamilies) {
  Everywhere([]() -> Task<void> {
    const auto taken = [](const char* first, std::initializer_list<const char*> others) {
      const TcpListener listener = TcpListener::Bind(std::string(first) + ":0").value();
      const std::string port = ":" + std::to_string(listener.local_address()->port());
      for (const char* other : others) {
        EXPECT_EQ(ErrnoOf(TcpListener::Bind(other + port).status()), EADDRINUSE) << other;
      }
    };
    taken("[::]", {"[::]", "[::1]", "0.0.0.0", "127.0.0.1", "[::ffff:127.0.0.1]"});
    taken("0.0.0.0", {"[::]", "127.0.0.1", "[::ffff:127.0.0.1]"});
    taken("127.0.0.1", {"[::]", "0.0.0.0", "[::ffff:127.0.0.1]"});
    co_return;
  });
}

TEST_P(TcpTest, AStreamMayMoveToAnotherThreadBetweenOperations) {
  Everywhere([]() -> Task<void> {
    auto [client, server] = co_await Connect();
    EXPECT_TRUE((co_await client.Write("one")).ok());
    ShutdownOnFailure scope;
    auto moved = scope.Fork([c = std::move(client)]() mutable -> Task<TcpStream> {
      co_await Yield();
      EXPECT_TRUE((co_await c.Write("two")).ok());
      co_return std::move(c);
    });
    EXPECT_TRUE((co_await scope.Join()).ok());
    moved->Close();
    EXPECT_EQ(co_await ReadToEnd(server), "onetwo");
  });
}

TEST(TcpListenerTest, APortInUseIsAFailedPrecondition) {
  TcpListener first = Listen();
  absl::StatusOr<TcpListener> second = TcpListener::Bind(first.local_address()->ToString());
  EXPECT_EQ(second.status().code(), absl::StatusCode::kFailedPrecondition) << second.status();
  EXPECT_EQ(ErrnoOf(second.status()), EADDRINUSE);
}

TEST(TcpListenerTest, AnAddressThatDoesNotParseIsInvalid) {
  EXPECT_EQ(TcpListener::Bind("localhost:80").status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(TcpStreamDeathTest, AnOperationOnWhatWasMovedFromIsRefused) {
  EXPECT_DEATH(weft::Run([]() -> Task<void> {
                 TcpListener listener = Listen();
                 const TcpListener other = std::move(listener);
                 (co_await listener.Accept()).IgnoreError();
               }()),
               "Accept\\(\\) on a descriptor that was moved from");
}

TEST(TcpStreamDeathTest, ASimulationWithoutIoSaysSo) {
  EXPECT_DEATH(Simulation().Run([]() -> Task<void> {
                 TcpListener listener = Listen();
                 (co_await listener.Accept()).IgnoreError();
               }()),
               "Accept\\(\\) in a simulation without I/O: SimulationOptions::io");
}

}  // namespace
}  // namespace weft::testing

// Goal: a tls::Stream carries bytes as a TcpStream does, tells an end from a cut, and loses nothing when it is
// cancelled. Method: tls_ends.h.
#include <cerrno>
#include <span>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/net/on_backends.h"
#include "tests/tls/tls_ends.h"
#include "weft/io/buffered_reader.h"
#include "weft/io/closed.h"
#include "weft/io/split.h"
#include "weft/io/stream.h"
#include "weft/tls/stream.h"
#include "weft/weft.h"

namespace weft::testing {
namespace {

using ::testing::HasSubstr;

class TlsStreamTest : public OnBackends {};
WEFT_ON_BACKENDS(TlsStreamTest);

std::string Pattern(size_t size) {
  std::string data(size, ' ');
  for (size_t i = 0; i < size; ++i) data[i] = static_cast<char>(i * 31 % 251);
  return data;
}

TEST_P(TlsStreamTest, MuchGoesBothWaysAtOnce) {
  const std::string data = Pattern(1'500'000);
  Everywhere([&data]() -> Task<void> {
    auto [client, server] = co_await Secure();
    ShutdownOnFailure scope;
    scope.Fork([&]() -> Task<absl::Status> { co_return co_await client.Write(data); });
    scope.Fork([&]() -> Task<absl::Status> { co_return co_await server.Write(data); });
    scope.Fork([&]() -> Task<void> { EXPECT_TRUE(co_await ReadSome(client, data.size()) == data); });
    EXPECT_TRUE(co_await ReadSome(server, data.size()) == data);
    EXPECT_TRUE((co_await scope.Join()).ok());
  });
}

TEST_P(TlsStreamTest, PartsArriveInOrderAndSmallOnesLeaveTogether) {
  Everywhere([]() -> Task<void> {
    auto [client_side, server_side] = co_await Connect();
    Control control;
    auto [client, server] =
        co_await SecureOver(ControlledTransport(std::move(client_side), control), std::move(server_side));
    control.writes = 0;
    const ConstBuffer small[] = {"head", "", "er: ", "body", ""};
    EXPECT_TRUE((co_await client.Write(small)).ok());
    EXPECT_EQ(control.writes, 1);
    EXPECT_EQ(co_await ReadSome(server, 12), "header: body");
    const std::string large = Pattern(40'000);
    const ConstBuffer mixed[] = {"a", large, "b", large, "c"};
    ShutdownOnFailure scope;
    scope.Fork([&]() -> Task<absl::Status> { co_return co_await client.Write(mixed); });
    EXPECT_TRUE(co_await ReadSome(server, 80'003) == "a" + large + "b" + large + "c");
    EXPECT_TRUE((co_await scope.Join()).ok());
    control.writes = 0;
    EXPECT_TRUE((co_await client.Write("")).ok());
    EXPECT_TRUE((co_await client.Write(std::span<const ConstBuffer>())).ok());
    EXPECT_EQ(control.writes, 0);
    EXPECT_EQ(*co_await client.Read({}), 0u);
  });
}

// Around a record and around what is encrypted before it is sent, in one part and in two.
TEST_P(TlsStreamTest, WritesOfEverySizeArriveWhole) {
  Everywhere([]() -> Task<void> {
    auto [client, server] = co_await Secure();
    constexpr size_t kRecord = 16 * 1024;
    for (const size_t edge : {kRecord, 2 * kRecord, 4 * kRecord, 9 * kRecord}) {
      for (const size_t size : {edge - 1, edge, edge + 1}) {
        const std::string data = Pattern(size);
        ShutdownOnFailure scope;
        scope.Fork([&]() -> Task<absl::Status> {
          if (absl::Status sent = co_await client.Write(data); !sent.ok()) co_return sent;
          const ConstBuffer all(data);
          ConstBuffer rest = all;
          rest.remove_prefix(100);
          const ConstBuffer parts[] = {all.first(100), rest};
          co_return co_await client.Write(parts);
        });
        EXPECT_TRUE(co_await ReadSome(server, size) == data) << size;
        EXPECT_TRUE(co_await ReadSome(server, size) == data) << size;
        EXPECT_TRUE((co_await scope.Join()).ok());
      }
    }
  });
}

// So a large answer takes a call of the transport for 64 KiB, not for each record.
TEST_P(TlsStreamTest, RecordsLeaveFourAtATime) {
  Everywhere([]() -> Task<void> {
    auto [client_side, server_side] = co_await Connect();
    Control control;
    auto [client, server] =
        co_await SecureOver(ControlledTransport(std::move(client_side), control), std::move(server_side));
    control.writes = 0;
    const std::string data = Pattern(256 * 1024);
    ShutdownOnFailure scope;
    scope.Fork([&]() -> Task<absl::Status> { co_return co_await client.Write(data); });
    EXPECT_TRUE(co_await ReadSome(server, data.size()) == data);
    EXPECT_TRUE((co_await scope.Join()).ok());
    EXPECT_EQ(control.writes, 4);
  });
}

TEST_P(TlsStreamTest, ATransportMayYieldOneByteAtATime) {
  Everywhere([]() -> Task<void> {
    auto [client_side, server_side] = co_await Connect();
    Control one_byte;
    one_byte.max_read = 1;
    Control two_bytes;
    two_bytes.max_read = 2;
    auto [client, server] = co_await SecureOver(ControlledTransport(std::move(client_side), one_byte),
                                                ControlledTransport(std::move(server_side), two_bytes));
    EXPECT_TRUE((co_await server.Write("slowly")).ok());
    EXPECT_EQ(co_await ReadSome(client, 6), "slowly");
  });
}

TEST_P(TlsStreamTest, TlsRunsOverTls) {
  Everywhere([]() -> Task<void> {
    auto [outer_client, outer_server] = co_await Secure();
    auto [client, server] = co_await SecureOver(std::move(outer_client), std::move(outer_server));
    EXPECT_TRUE((co_await client.Write("within")).ok());
    EXPECT_TRUE((co_await client.ShutdownWrite()).ok());
    EXPECT_EQ(co_await ReadSome(server, 100), "within");
  });
}

TEST_P(TlsStreamTest, OneDirectionEndsAndTheOtherGoesOn) {
  Everywhere([]() -> Task<void> {
    auto [client, server] = co_await Secure();
    EXPECT_TRUE((co_await client.Write("last")).ok());
    EXPECT_TRUE((co_await client.ShutdownWrite()).ok());
    EXPECT_TRUE((co_await client.ShutdownWrite()).ok());
    EXPECT_EQ(ErrnoOf(co_await client.Write("more")), EPIPE);
    EXPECT_EQ(co_await ReadSome(server, 100), "last");
    char buffer[4];
    EXPECT_EQ(*co_await server.Read(buffer), 0u);
    EXPECT_EQ(*co_await server.Read(buffer), 0u);
    EXPECT_TRUE((co_await server.Write("an answer")).ok());
    EXPECT_EQ(co_await ReadSome(client, 9), "an answer");
  });
}

// A regression: the transport, which then has no peer any more, was asked again.
TEST_P(TlsStreamTest, WhatHasEndedInBothDirectionsMayBeEndedAgain) {
  Everywhere([]() -> Task<void> {
    auto [client, server] = co_await Secure();
    char buffer[4];
    EXPECT_TRUE((co_await client.ShutdownWrite()).ok());
    EXPECT_EQ(*co_await server.Read(buffer), 0u);
    EXPECT_TRUE((co_await server.ShutdownWrite()).ok());
    EXPECT_EQ(*co_await client.Read(buffer), 0u);
    while (client.transport<net::TcpStream>()->peer_address().ok()) co_await Sleep(absl::Milliseconds(1));
    EXPECT_TRUE((co_await client.ShutdownWrite()).ok());
    EXPECT_TRUE((co_await server.ShutdownWrite()).ok());
  });
}

TEST_P(TlsStreamTest, AnEndWithoutCloseNotifyIsACutUnlessTolerated) {
  const tls::Context tolerant = TrustingClient({.tolerate_truncation = true});
  Everywhere([&tolerant]() -> Task<void> {
    char buffer[16];
    {
      auto [client, server] = co_await Secure();
      EXPECT_TRUE((co_await server.Write("part")).ok());
      server.Close();
      EXPECT_EQ(co_await ReadSome(client, 4), "part");
      for (int i = 0; i < 2; ++i) {
        const absl::Status status = (co_await client.Read(buffer)).status();
        EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << status;
        EXPECT_THAT(status.message(), HasSubstr("without close_notify"));
      }
    }
    Ends ends = co_await Handshake({.host = "db.internal", .context = tolerant}, SharedServer());
    EXPECT_TRUE((co_await ends.server->Write("part")).ok());
    ends.server->Close();
    EXPECT_EQ(co_await ReadSome(*ends.client, 100), "part");
  });
}

TEST_P(TlsStreamTest, AByteThatWasChangedOnTheWayIsADataLoss) {
  Everywhere([]() -> Task<void> {
    auto [client_side, server_side] = co_await Connect();
    Control control;
    auto [client, server] =
        co_await SecureOver(std::move(client_side), ControlledTransport(std::move(server_side), control));
    control.flip_after = control.bytes_read + 10;
    EXPECT_TRUE((co_await client.Write("a message")).ok());
    char buffer[16];
    for (int i = 0; i < 2; ++i) {
      const absl::Status status = (co_await server.Read(buffer)).status();
      EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << status;
    }
    // And the peer is told.
    const absl::Status told = (co_await client.Read(buffer)).status();
    EXPECT_EQ(told.code(), absl::StatusCode::kUnavailable) << told;
    EXPECT_THAT(told.message(), HasSubstr("bad record mac"));
  });
}

TEST_P(TlsStreamTest, AReadThatIsCancelledLosesNothing) {
  Everywhere([]() -> Task<void> {
    auto [client_side, server_side] = co_await Connect();
    Control control;
    control.max_read = 1;
    auto [client, server] =
        co_await SecureOver(ControlledTransport(std::move(client_side), control), std::move(server_side));
    char buffer[64];
    // At the first byte, in the header of a record, and within it.
    for (const int bytes : {0, 3, 5, 20}) {
      control.stop_at = bytes;
      control.stopped.Reset();
      ShutdownOnFailure scope;
      if (bytes > 0) EXPECT_TRUE((co_await server.Write("all of it")).ok());
      EXPECT_TRUE(co_await CancelWhereStopped(control, client.Read(buffer)));
      if (bytes == 0) EXPECT_TRUE((co_await server.Write("all of it")).ok());
      EXPECT_EQ(co_await ReadSome(client, 9), "all of it");
    }
  });
}

TEST_P(TlsStreamTest, AWriteThatIsCancelledInARecordEndsTheWritingAndNotTheReading) {
  Everywhere([]() -> Task<void> {
    auto [client_side, server_side] = co_await Connect();
    Control control;
    auto [client, server] =
        co_await SecureOver(ControlledTransport(std::move(client_side), control), std::move(server_side));
    control.stop_at = 0;
    control.half_written = true;
    EXPECT_TRUE(co_await CancelWhereStopped(control, client.Write("never whole")));
    for (const absl::Status& status : {co_await client.Write("more"), co_await client.ShutdownWrite()}) {
      EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << status;
      EXPECT_THAT(status.message(), HasSubstr("an earlier write was cancelled"));
    }
    EXPECT_TRUE((co_await server.Write("still read")).ok());
    EXPECT_EQ(co_await ReadSome(client, 10), "still read");
  });
}

TEST_P(TlsStreamTest, AWriteThatIsCancelledBeforeItBeganHasSentNothing) {
  Everywhere([]() -> Task<void> {
    auto [client, server] = co_await Secure();
    const std::string large = Pattern(8'000'000);
    ShutdownOnFailure scope;
    Introduction writer;
    scope.Fork([&]() -> Task<absl::Status> {
      writer.Make();
      co_return co_await client.Write(large);
    });
    co_await writer.AwaitParked();
    // It waits for the first one to end.
    const absl::Status second = co_await StopOnceItWaits(client.Write("not sent"));
    EXPECT_EQ(second.code(), absl::StatusCode::kCancelled) << second;
    EXPECT_TRUE(co_await ReadSome(server, large.size()) == large);
    EXPECT_TRUE((co_await scope.Join()).ok());
    EXPECT_TRUE((co_await client.Write("third")).ok());
    EXPECT_EQ(co_await ReadSome(server, 5), "third");
  });
}

TEST_P(TlsStreamTest, ACloseEndsWhatWaitsAndWhatComesLater) {
  Everywhere([]() -> Task<void> {
    auto [client, server] = co_await Secure();
    ShutdownOnFailure scope;
    Introduction reader;
    scope.Fork([&]() -> Task<void> {
      reader.Make();
      char buffer[16];
      const absl::Status status = (co_await client.Read(buffer)).status();
      EXPECT_TRUE(io::IsClosed(status)) << status;
    });
    co_await reader.AwaitParked();
    client.Close();
    client.Close();
    EXPECT_TRUE((co_await scope.Join()).ok());
    char buffer[16];
    EXPECT_TRUE(io::IsClosed((co_await client.Read(buffer)).status()));
    EXPECT_TRUE(io::IsClosed(co_await client.Write("x")));
    EXPECT_TRUE(io::IsClosed(co_await client.ShutdownWrite()));
    // A close with something unread, such as the server's session tickets, resets the connection.
    const absl::Status cut = (co_await server.Read(buffer)).status();
    EXPECT_TRUE(absl::IsDataLoss(cut) || ErrnoOf(cut) == ECONNRESET) << cut;
  });
}

TEST_P(TlsStreamTest, AClosedStreamIsClosedHoweverItsWritingHadEnded) {
  Everywhere([]() -> Task<void> {
    for (const bool cancelled : {true, false}) {
      auto [client_side, server_side] = co_await Connect();
      Control control;
      auto [client, server] =
          co_await SecureOver(ControlledTransport(std::move(client_side), control), std::move(server_side));
      if (cancelled) {
        control.stop_at = 0;
        EXPECT_TRUE(co_await CancelWhereStopped(control, client.Write("never whole")));
      } else {
        EXPECT_TRUE((co_await client.ShutdownWrite()).ok());
      }
      client.Close();
      for (const absl::Status& status : {co_await client.Write("x"), co_await client.ShutdownWrite()}) {
        EXPECT_TRUE(io::IsClosed(status)) << status;
      }
    }
  });
}

// A peer that reads nothing, and a read that has the reader's time.
TEST(TlsSimulatedStreamTest, AReadThatHasFailedTellsThePeerForFiveSecondsAtMost) {
  Machine machine;
  Simulation({.machine = &machine}).Run([]() -> Task<void> {
    auto [client_side, server_side] = co_await Connect();
    Control control;
    auto [client, server] =
        co_await SecureOver(ControlledTransport(std::move(client_side), control), std::move(server_side));
    control.flip_after = control.bytes_read + 10;
    EXPECT_TRUE((co_await server.Write("x")).ok());
    control.stop_at = 1;  // not the read of the transport, but the alert
    MonotonicTime stopped_at;
    AwaitAll scope;
    scope.Fork([&]() -> Task<void> {
      co_await control.stopped.Wait();
      stopped_at = MonotonicNow();
    });
    char buffer[16];
    const absl::Status status = (co_await client.Read(buffer)).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << status;
    (co_await scope.Join()).IgnoreFailures();
    EXPECT_EQ(MonotonicNow() - stopped_at, absl::Seconds(5));
    EXPECT_EQ(co_await client.Write("x"), status);  // not that a write was cancelled
  }());
}

// The peer gets the alert behind what is under way; a caller that closes the stream then does not lose it.
TEST_P(TlsStreamTest, AReadThatFailsBesideAWriteReturnsOnceThePeerHasBeenTold) {
  Everywhere([]() -> Task<void> {
    auto [client_side, server_side] = co_await Connect();
    Control control;
    auto [client, server] =
        co_await SecureOver(ControlledTransport(std::move(client_side), control), std::move(server_side));
    control.stop_at = 0;
    AwaitAll scope;
    Introduction reader;
    scope.Fork([&]() -> Task<void> { EXPECT_TRUE((co_await client.Write("a message")).ok()); });
    co_await control.stopped.Wait();
    control.flip_after = control.bytes_read + 10;
    EXPECT_TRUE((co_await server.Write("x")).ok());
    scope.Fork([&]() -> Task<void> {
      reader.Make();
      char buffer[16];
      const absl::Status status = (co_await client.Read(buffer)).status();
      EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << status;
      EXPECT_TRUE(control.go_on.IsSet());
      client.Close();
    });
    co_await control.flipped.Wait();
    co_await reader.AwaitParked();
    control.go_on.Set();
    EXPECT_EQ(co_await ReadSome(server, 9), "a message");
    char buffer[16];
    const absl::Status told = (co_await server.Read(buffer)).status();
    EXPECT_EQ(told.code(), absl::StatusCode::kUnavailable) << told;
    EXPECT_THAT(told.message(), HasSubstr("bad record mac"));
    (co_await scope.Join()).IgnoreFailures();
  });
}

// A peer that takes nothing of the write, so that the alert has no chance.
TEST(TlsSimulatedStreamTest, AReadThatFailsBesideAWriteWaitsForItForFiveSecondsAtMost) {
  Machine machine;
  Simulation({.machine = &machine}).Run([]() -> Task<void> {
    auto [client_side, server_side] = co_await Connect();
    Control control;
    auto [client, server] =
        co_await SecureOver(ControlledTransport(std::move(client_side), control), std::move(server_side));
    control.stop_at = 0;
    AwaitAll scope;
    scope.Fork([&]() -> Task<void> { EXPECT_TRUE((co_await client.Write("a message")).ok()); });
    co_await control.stopped.Wait();
    control.flip_after = control.bytes_read + 10;
    const MonotonicTime begun = MonotonicNow();
    EXPECT_TRUE((co_await server.Write("x")).ok());
    char buffer[16];
    const absl::Status status = (co_await client.Read(buffer)).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << status;
    EXPECT_GE(MonotonicNow() - begun, absl::Seconds(5));
    // The write takes the alert along when it comes to that.
    control.go_on.Set();
    (co_await scope.Join()).IgnoreFailures();
    EXPECT_EQ(co_await ReadSome(server, 9), "a message");
    const absl::Status told = (co_await server.Read(buffer)).status();
    EXPECT_THAT(told.message(), HasSubstr("bad record mac"));
  }());
}

TEST_P(TlsStreamTest, WhatATransportSaysOfItselfCanBeAsked) {
  Everywhere([]() -> Task<void> {
    auto [client_side, server_side] = co_await Connect();
    const net::SocketAddress address = *client_side.local_address();
    Control control;
    auto [client, server] =
        co_await SecureOver(ControlledTransport(std::move(client_side), control), std::move(server_side));
    EXPECT_EQ(client.transport<net::TcpStream>(), nullptr);
    EXPECT_NE(client.transport<ControlledTransport>(), nullptr);
    const net::TcpStream* const transport = server.transport<net::TcpStream>();
    EXPECT_EQ(*transport->peer_address(), address);
    // Also through a stream over it.
    auto [inner_client, inner_server] = co_await SecureOver(std::move(client), std::move(server));
    EXPECT_EQ(inner_server.transport<net::TcpStream>(), nullptr);
    EXPECT_EQ(inner_server.transport<tls::Stream>()->transport<net::TcpStream>(), transport);
    inner_server.Close();
    EXPECT_TRUE(io::IsClosed(transport->peer_address().status()));
  });
}

// ---- Halves.

using ReadHalf = io::ReadHalf<tls::Stream>;
using WriteHalf = io::WriteHalf<tls::Stream>;
static_assert(io::Reader<tls::Stream> && io::VectoredWriter<tls::Stream> && io::Splittable<tls::Stream>);
static_assert(io::VectoredWriter<WriteHalf> && io::HalfCloser<WriteHalf>);

TEST_P(TlsStreamTest, TwoThreadsUseTheHalvesAtOnceAndTheEndIsSeenAsOne) {
  const std::string data = Pattern(300'000);
  Everywhere([&data]() -> Task<void> {
    auto [client, server] = co_await Secure();
    ShutdownOnFailure scope;
    for (tls::Stream* const stream : {&client, &server}) {
      auto [reader, writer] = io::Split(std::move(*stream));
      scope.Fork([&data, half = std::move(writer)]() mutable -> Task<absl::Status> {
        const ConstBuffer parts[] = {"head", data};
        if (absl::Status sent = co_await half.Write(parts); !sent.ok()) co_return sent;
        if (absl::Status sent = co_await half.Write("tail"); !sent.ok()) co_return sent;
        co_return co_await half.ShutdownWrite();
      });
      scope.Fork([&data, half = std::move(reader)]() mutable -> Task<void> {
        io::BufferedReader in(half);
        EXPECT_TRUE(*co_await in.ReadAll() == "head" + data + "tail");
      });
    }
    const absl::Status joined = co_await scope.Join();
    EXPECT_TRUE(joined.ok()) << joined;
  });
}

TEST_P(TlsStreamTest, AWriteHalfThatGoesWithoutAnEndIsACut) {
  Everywhere([]() -> Task<void> {
    auto [client, server] = co_await Secure();
    EXPECT_TRUE((co_await server.Write("unread at first")).ok());
    char buffer[16];
    {
      auto [reader, writer] = io::Split(std::move(client));
      EXPECT_TRUE((co_await writer.Write("part")).ok());
      { const WriteHalf gone = std::move(writer); }
      EXPECT_EQ(co_await ReadSome(server, 4), "part");
      // The peer waits for more, and the other half is of use.
      EXPECT_FALSE((co_await StopOnceItWaits(server.Read(buffer))).ok());
      EXPECT_EQ(*co_await reader.Read(buffer), 15u);
    }
    const absl::Status status = (co_await server.Read(buffer)).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << status;
  });
}

TEST_P(TlsStreamTest, ACloseThroughOneHalfEndsTheOthersWait) {
  Everywhere([]() -> Task<void> {
    auto [client, server] = co_await Secure();
    auto [reader, writer] = io::Split(std::move(client));
    ShutdownOnFailure scope;
    Introduction thread;
    scope.Fork([&thread, half = std::move(reader)]() mutable -> Task<void> {
      thread.Make();
      char buffer[16];
      const absl::Status status = (co_await half.Read(buffer)).status();
      EXPECT_TRUE(io::IsClosed(status)) << status;
    });
    co_await thread.AwaitParked();
    writer.stream().Close();
    EXPECT_TRUE((co_await scope.Join()).ok());
    EXPECT_TRUE(io::IsClosed(co_await writer.Write("x")));
    EXPECT_TRUE(io::IsClosed(co_await writer.ShutdownWrite()));
  });
}

TEST_P(TlsStreamTest, AStreamCanBeMovedWhileItIsRead) {
  Everywhere([]() -> Task<void> {
    auto [client, server] = co_await Secure();
    ShutdownOnFailure scope;
    Introduction reader;
    scope.Fork([&]() -> Task<void> {
      reader.Make();
      EXPECT_EQ(co_await ReadSome(client, 5), "hello");
    });
    co_await reader.AwaitParked();
    tls::Stream moved = std::move(client);
    EXPECT_TRUE((co_await server.Write("hello")).ok());
    EXPECT_TRUE((co_await scope.Join()).ok());
    EXPECT_TRUE((co_await moved.Write("back")).ok());
    EXPECT_EQ(co_await ReadSome(server, 4), "back");
  });
}

}  // namespace
}  // namespace weft::testing

// Goal: an engine without a transport: what readers leave for the peer has a bound, what a writer leaves is its own
// affair; a handshake ends with what ended it. Method: two engines, whose bytes the test carries, and may change. And a
// stream whose peer has gone beyond that bound.
#include "lib/tls/engine.h"

#include <openssl/bio.h>
#include <openssl/ssl.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/tls/byte_queue.h"
#include "lib/tls/connection.h"
#include "tests/tls/tls_ends.h"
#include "weft/io/buffer.h"
#include "weft/net/tcp_stream.h"
#include "weft/scope.h"
#include "weft/task.h"
#include "weft/testing/machine.h"
#include "weft/testing/simulation.h"
#include "weft/time.h"
#include "weft/tls/context.h"
#include "weft/tls/stream.h"
#include "weft/tls/transport.h"

namespace weft::testing {
namespace {

using internal::ByteQueue;
using internal::TlsEngine;
using Next = TlsEngine::Step::Next;
using ::testing::HasSubstr;

void Carry(TlsEngine& from, TlsEngine& to) {
  ByteQueue bytes;
  from.SwapOutput(bytes);
  if (!bytes.empty()) EXPECT_EQ(to.Feed(bytes), absl::OkStatus());
}

struct Engines {
  Engines()
      : client(TlsEngine::Client(SharedClient(), "db.internal").value()),
        server(TlsEngine::Server(SharedServer()).value()) {
    for (bool agreed = false; !agreed;) {
      agreed = client->Handshake().next == Next::kDone;
      Carry(*client, *server);
      agreed &= server->Handshake().next == Next::kDone;
      Carry(*server, *client);
    }
  }

  std::unique_ptr<TlsEngine> client, server;
};

// A read on one carrier may come between the writes of another one and their way into the transport.
TEST(TlsEngineTest, WhatAWriterLeavesInTheOutputIsNoAnswer) {
  const Engines engines;
  const std::string record(16 * 1024, 'x');
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(engines.client->Write(record).next, Next::kDone);
    char byte;
    EXPECT_EQ(engines.client->Read({&byte, 1}).next, Next::kNeedsInput);
  }
  Carry(*engines.client, *engines.server);
  std::string got(20 * record.size(), '\0');
  for (size_t done = 0; done < got.size();) {
    const TlsEngine::Step step = engines.server->Read({got.data() + done, got.size() - done});
    ASSERT_EQ(step.next, Next::kDone);
    done += step.bytes;
  }
  EXPECT_EQ(got, std::string(got.size(), 'x'));
}

void FeedBytes(TlsEngine& engine, const std::string& bytes) {
  ByteQueue queue;
  EXPECT_TRUE(queue.Append(bytes));
  EXPECT_EQ(engine.Feed(queue), absl::OkStatus());
}

// It has copied that of another one.
TEST(TlsEngineTest, AServerWithoutTheKeyOfItsCertificateIsRefused) {
  const tls::Context context = TrustingClient({.max_version = tls::Version::kTls12});
  const std::unique_ptr<TlsEngine> client = TlsEngine::Client(context, "db.internal").value();
  const std::unique_ptr<TlsEngine> server = TlsEngine::Server(SharedServer()).value();
  EXPECT_EQ(client->Handshake().next, Next::kNeedsInput);
  Carry(*client, *server);
  EXPECT_EQ(server->Handshake().next, Next::kNeedsInput);
  ByteQueue flight;
  server->SwapOutput(flight);
  std::string bytes(flight.bytes().data(), flight.size());
  // The last byte of the server's signature, before the record of its ServerHelloDone. (RFC 5246, 7.4.5)
  constexpr size_t kDone = 5 + 4;
  ASSERT_GT(bytes.size(), kDone);
  EXPECT_EQ(bytes.substr(bytes.size() - 4), std::string("\x0e\x00\x00\x00", 4));
  bytes[bytes.size() - kDone - 1] ^= 1;
  FeedBytes(*client, bytes);
  const absl::Status refused = client->Handshake().status;
  EXPECT_EQ(refused.code(), absl::StatusCode::kUnauthenticated) << refused;
  EXPECT_THAT(refused.message(), HasSubstr("bad signature"));
  Carry(*client, *server);
  const absl::Status told = server->Handshake().status;
  EXPECT_EQ(told.code(), absl::StatusCode::kUnauthenticated) << told;
}

// One that has answered a client's first message; before that an alert is no message of TLS.
std::unique_ptr<TlsEngine> ServerThatHasAnswered() {
  const tls::Context context = TrustingClient({.max_version = tls::Version::kTls12});
  const std::unique_ptr<TlsEngine> client = TlsEngine::Client(context, "db.internal").value();
  std::unique_ptr<TlsEngine> server = TlsEngine::Server(SharedServer()).value();
  EXPECT_EQ(client->Handshake().next, Next::kNeedsInput);
  Carry(*client, *server);
  EXPECT_EQ(server->Handshake().next, Next::kNeedsInput);
  return server;
}

// Whatever finds it: a write or an end may come in the middle of a message of the handshake.
TEST(TlsEngineTest, AnAlertEndsTheHandshakeWithWhatItSays) {
  using Code = absl::StatusCode;
  constexpr Code kRefused = Code::kUnauthenticated;
  struct Row {
    char level, alert;
    Code of_server, of_client, of_client_with_certificate;
  };
  constexpr Row kRows[] = {
      {1, SSL_AD_CLOSE_NOTIFY, Code::kUnavailable, Code::kUnavailable, Code::kUnavailable},
      {2, SSL_AD_CLOSE_NOTIFY, Code::kUnavailable, Code::kUnavailable, Code::kUnavailable},
      {2, SSL_AD_INTERNAL_ERROR, Code::kUnavailable, Code::kUnavailable, Code::kUnavailable},
      {2, SSL_AD_HANDSHAKE_FAILURE, Code::kFailedPrecondition, Code::kFailedPrecondition, Code::kFailedPrecondition},
      {2, SSL_AD_BAD_CERTIFICATE, kRefused, kRefused, kRefused},
      {2, SSL_AD_DECRYPT_ERROR, kRefused, Code::kUnavailable, kRefused},
  };
  const Issued ann = Trusted().Issue({.name = "ann", .names = {}});
  const tls::Context as_ann = TrustingClient({.certificate = ann.certificate_pem(), .key = ann.key_pem()});
  for (const Row& row : kRows) {
    for (const auto call : {+[](TlsEngine& engine) { return engine.Handshake(); },
                            +[](TlsEngine& engine) { return engine.Write("x"); },
                            +[](TlsEngine& engine) { return engine.ShutdownWrite(); }}) {
      const auto expect = [&](std::unique_ptr<TlsEngine> engine, Code code) {
        FeedBytes(*engine, std::string("\x15\x03\x03\x00\x02", 5) + row.level + row.alert);
        const absl::Status status = call(*engine).status;
        EXPECT_EQ(status.code(), code) << int{row.level} << " " << int{row.alert} << ": " << status;
      };
      expect(ServerThatHasAnswered(), row.of_server);
      expect(TlsEngine::Client(SharedClient(), "db.internal").value(), row.of_client);
      expect(TlsEngine::Client(as_ann, "db.internal").value(), row.of_client_with_certificate);
    }
  }
}

// Calls `call` by the clock of `simulation`; if there is none, by the system's.
template <class Call>
void By(Simulation* simulation, Call call) {
  if (simulation == nullptr) return call();
  simulation->Run([&]() -> Task<void> {
    call();
    co_return;
  }());
}

// Makes a handshake, whose two sides have different clocks, and takes the tickets. True: a session was resumed.
bool Resumes(const tls::Context& of_client, Simulation* clients, const tls::Context& of_server, Simulation* servers) {
  std::unique_ptr<TlsEngine> client;
  By(clients, [&] { client = TlsEngine::Client(of_client, "db.internal").value(); });
  const std::unique_ptr<TlsEngine> server = TlsEngine::Server(of_server).value();
  for (int round = 0; round < 2; ++round) {
    By(clients, [&] { client->Handshake(); });
    Carry(*client, *server);
    By(servers, [&] { EXPECT_NE(server->Handshake().next, Next::kFailed); });
    Carry(*server, *client);
  }
  By(clients, [&] {
    EXPECT_EQ(client->Handshake().next, Next::kDone);
    char byte;
    EXPECT_EQ(client->Read({&byte, 1}).next, Next::kNeedsInput);
  });
  return client->Facts().resumed;
}

// To the other side every session is new: no time passes there.
TEST(TlsEngineTest, EitherSideMakesAFullHandshakeAWeekAfterTheLastOne) {
  for (const bool of_client : {true, false}) {
    for (const tls::Version version : {tls::Version::kTls12, tls::Version::kTls13}) {
      const tls::Context client = TrustingClient({.max_version = version});
      const tls::Context server = DbServer();
      Simulation simulation;
      const auto resumes = [&] {
        return Resumes(client, of_client ? &simulation : nullptr, server, of_client ? nullptr : &simulation);
      };
      for (int day = 0; day <= 14; ++day) {
        EXPECT_EQ(resumes(), day % 7 != 0) << day << " of_client " << of_client;
        simulation.Run([]() -> Task<void> { co_await Sleep(absl::Hours(24)); }());
      }
      // Nobody knows how long ago the last one was.
      simulation.SetWallClock(absl::FromUnixSeconds(kSimulationsBegin_s));
      EXPECT_FALSE(resumes());
      EXPECT_TRUE(resumes());
    }
  }
}

// A peer of OpenSSL's own, without a transport either.
struct RawClient {
  RawClient() : context(SSL_CTX_new(TLS_client_method())), ssl(SSL_new(context)) {
    SSL_set_bio(ssl, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    SSL_set_connect_state(ssl);
  }
  RawClient(const RawClient&) = delete;
  RawClient& operator=(const RawClient&) = delete;
  ~RawClient() {
    SSL_free(ssl);
    SSL_CTX_free(context);
  }

  void CarryTo(TlsEngine& engine) const {
    ByteQueue bytes;
    const MutableBuffer room = bytes.Room(BIO_ctrl_pending(SSL_get_wbio(ssl)));
    if (room.empty()) return;
    bytes.Add(static_cast<size_t>(BIO_read(SSL_get_wbio(ssl), room.data(), static_cast<int>(room.size()))));
    EXPECT_EQ(engine.Feed(bytes), absl::OkStatus());
  }
  void CarryFrom(TlsEngine& engine) const {
    ByteQueue bytes;
    engine.SwapOutput(bytes);
    if (!bytes.empty()) BIO_write(SSL_get_rbio(ssl), bytes.bytes().data(), static_cast<int>(bytes.size()));
  }

  SSL_CTX* const context;
  SSL* const ssl;
};

// It asks for new keys (RFC 8446, 4.6.3) again and again, and takes no answer.
TEST(TlsEngineTest, APeerThatAsksForAnswersAndReadsNoneFails) {
  const std::unique_ptr<TlsEngine> server = TlsEngine::Server(SharedServer()).value();
  const RawClient peer;
  while (SSL_do_handshake(peer.ssl) != 1 || server->Handshake().next != Next::kDone) {
    peer.CarryTo(*server);
    server->Handshake();
    peer.CarryFrom(*server);
  }
  TlsEngine::Step step{.next = Next::kDone};
  int asked = 0;
  for (; step.next != Next::kFailed && asked < 10'000; ++asked) {
    ASSERT_EQ(SSL_key_update(peer.ssl, SSL_KEY_UPDATE_REQUESTED), 1);
    ASSERT_EQ(SSL_write(peer.ssl, "x", 1), 1);
    peer.CarryTo(*server);
    char bytes[2];
    EXPECT_EQ(server->Read(bytes).next, Next::kDone);
    step = server->Read(bytes);
  }
  EXPECT_EQ(step.status.code(), absl::StatusCode::kResourceExhausted) << step.status;
  EXPECT_GT(asked, 1'000);
}

// A stream's way to such a peer, which makes its part of the handshake when it is read from.
class RawTransport {
 public:
  RawTransport(const RawClient& peer, int& writes) : peer_(&peer), writes_(&writes) {}

  Task<absl::StatusOr<size_t>> Read(MutableBuffer into) {
    SSL_do_handshake(peer_->ssl);
    const int got = BIO_read(SSL_get_wbio(peer_->ssl), into.data(), static_cast<int>(into.size()));
    co_return static_cast<size_t>(std::max(got, 0));
  }
  Task<absl::Status> Write(ConstBuffer from) {
    ++*writes_;
    BIO_write(SSL_get_rbio(peer_->ssl), from.data(), static_cast<int>(from.size()));
    co_return absl::OkStatus();
  }

 private:
  const RawClient* peer_;
  int* writes_;
};

// It would not read that either.
TEST(TlsEngineTest, APeerThatReadsNoAnswersIsSentNoAlert) {
  Simulation().Run([]() -> Task<void> {
    const RawClient peer;
    int writes = 0;
    absl::StatusOr<tls::Stream> server = co_await tls::Server(RawTransport(peer, writes), SharedServer());
    EXPECT_TRUE(server.ok()) << server.status();
    if (!server.ok()) co_return;
    EXPECT_EQ(SSL_do_handshake(peer.ssl), 1);
    for (int i = 0; i < 4'000; ++i) {
      EXPECT_EQ(SSL_key_update(peer.ssl, SSL_KEY_UPDATE_REQUESTED), 1);
      EXPECT_EQ(SSL_do_handshake(peer.ssl), 1);
    }
    EXPECT_EQ(SSL_write(peer.ssl, "x", 1), 1);
    writes = 0;
    char bytes[2];
    const absl::Status status = (co_await server->Read(bytes)).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << status;
    EXPECT_EQ(writes, 0);
  }());
}

// A Read() on another carrier has failed, and not come to tell the peer.
TEST(TlsEngineTest, AWriteThatFindsTheEngineFailedTellsThePeer) {
  Machine machine;
  Simulation({.machine = &machine}).Run([]() -> Task<void> {
    for (const bool shuts_down : {false, true}) {
      auto [client_side, server_side] = co_await Connect();
      std::unique_ptr<TlsEngine> made = TlsEngine::Client(SharedClient(), "db.internal").value();
      TlsEngine& engine = *made;
      auto connection = std::make_shared<internal::TlsConnection>(
          std::make_unique<internal::TlsTransportOf<net::TcpStream>>(std::move(client_side)), std::move(made));
      ShutdownOnFailure scope;
      auto server = scope.Fork(tls::Server(std::move(server_side), SharedServer()));
      absl::StatusOr<tls::Stream> client = co_await internal::TlsConnection::Connect(std::move(connection));
      EXPECT_TRUE((co_await scope.Join()).ok());

      const std::string garbage = std::string("\x17\x03\x03\x00\x20", 5) + std::string(32, 'x');
      ByteQueue bytes;
      std::memcpy(bytes.Room(garbage.size()).data(), garbage.data(), garbage.size());
      bytes.Add(garbage.size());
      EXPECT_EQ(engine.Feed(bytes), absl::OkStatus());
      char buffer[16];
      EXPECT_EQ(engine.Read(buffer).next, Next::kFailed);

      const absl::Status status = shuts_down ? co_await client->ShutdownWrite() : co_await client->Write("x");
      EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << status;
      const absl::Status told = (co_await server->Read(buffer)).status();
      EXPECT_EQ(told.code(), absl::StatusCode::kUnavailable) << told;
      EXPECT_THAT(told.message(), HasSubstr("bad record mac"));
      EXPECT_EQ((co_await client->Read(buffer)).status(), status);
      EXPECT_EQ(co_await client->Write("x"), status);
    }
  }());
}

}  // namespace
}  // namespace weft::testing

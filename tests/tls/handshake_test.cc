// Goal: a handshake ends with two sides that have agreed, or with the reason on both. Method: both ends in one program,
// over TCP, on every backend.
#include <openssl/bio.h>
#include <openssl/pem.h>
#include <openssl/sha.h>
#include <openssl/x509.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <stop_token>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/string_view.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/net/on_backends.h"
#include "tests/tls/certificates.h"
#include "tests/tls/tls_ends.h"
#include "weft/io/memory_stream.h"
#include "weft/tls/stream.h"
#include "weft/weft.h"

namespace weft::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using tls::Version;

class TlsHandshakeTest : public OnBackends {};
WEFT_ON_BACKENDS(TlsHandshakeTest);

// A refusal, of which the client knows the reason, and the server the alert.
void ExpectRefusedByClient(const Ends& ends, const std::string& reason) {
  EXPECT_EQ(ends.client.status().code(), absl::StatusCode::kUnauthenticated) << ends.client.status();
  EXPECT_THAT(ends.client.status().message(), HasSubstr(reason));
  EXPECT_EQ(ends.server.status().code(), absl::StatusCode::kUnauthenticated) << ends.server.status();
}

// Of what the text of a certificate in PEM format stands for.
std::string FingerprintOf(absl::string_view pem) {
  constexpr absl::string_view kBegin = "-----BEGIN CERTIFICATE-----", kEnd = "-----END CERTIFICATE-----";
  pem = pem.substr(pem.find(kBegin) + kBegin.size());
  std::string der;
  EXPECT_TRUE(absl::Base64Unescape(absl::StrReplaceAll(pem.substr(0, pem.find(kEnd)), {{"\n", ""}}), &der));
  std::string digest(SHA256_DIGEST_LENGTH, '\0');
  SHA256(reinterpret_cast<const unsigned char*>(der.data()), der.size(),
         reinterpret_cast<unsigned char*>(digest.data()));
  return absl::BytesToHexString(digest);
}

TEST_P(TlsHandshakeTest, BothSidesAgreeInEitherVersion) {
  for (const Version version : {Version::kTls12, Version::kTls13}) {
    const tls::Context client = TrustingClient({.min_version = version, .max_version = version});
    Everywhere([&]() -> Task<void> {
      Ends ends = co_await Handshake({.host = "db.internal", .context = client}, SharedServer());
      EXPECT_TRUE(ends.client.ok()) << ends.client.status();
      EXPECT_TRUE(ends.server.ok()) << ends.server.status();
      if (!ends.client.ok() || !ends.server.ok()) co_return;
      EXPECT_EQ(ends.client->version(), version == Version::kTls12 ? "TLSv1.2" : "TLSv1.3");
      EXPECT_EQ(ends.server->version(), ends.client->version());
      EXPECT_FALSE(ends.client->cipher().empty());
      EXPECT_EQ(ends.server->cipher(), ends.client->cipher());
      EXPECT_EQ(ends.client->alpn(), "");
      EXPECT_EQ(ends.server->server_name(), "db.internal");
      EXPECT_FALSE(ends.server->peer_certificate().has_value());
      const tls::Certificate& seen = *ends.client->peer_certificate();
      EXPECT_EQ(seen.subject, "CN=the server");
      EXPECT_EQ(seen.issuer, "CN=Weft's tests");
      EXPECT_THAT(seen.names, ElementsAre("db.internal", "127.0.0.1"));
      EXPECT_THAT(seen.uris, ElementsAre("spiffe://weft/db"));
      EXPECT_EQ(seen.not_before, absl::FromUnixSeconds(kSimulationsBegin_s) - absl::Hours(1));
      EXPECT_GT(seen.not_after, absl::Now());
      EXPECT_LE(seen.not_after, absl::Now() + absl::Hours(1));
      EXPECT_EQ(seen.sha256, FingerprintOf(ForDbInternal().certificate));
      EXPECT_TRUE((co_await ends.client->Write("hello")).ok());
      EXPECT_EQ(co_await ReadSome(*ends.server, 5), "hello");
      EXPECT_TRUE((co_await ends.server->Write("world")).ok());
      EXPECT_EQ(co_await ReadSome(*ends.client, 5), "world");
    });
  }
}

TEST_P(TlsHandshakeTest, AnAddressOrANameWithTheRootsDotIsVerifiedToo) {
  Everywhere([]() -> Task<void> {
    const Ends by_address = co_await Handshake({.host = "127.0.0.1", .context = SharedClient()}, SharedServer());
    EXPECT_TRUE(by_address.client.ok()) << by_address.client.status();
    EXPECT_EQ(by_address.server->server_name(), "");
    const Ends by_root = co_await Handshake({.host = "db.internal.", .context = SharedClient()}, SharedServer());
    EXPECT_TRUE(by_root.client.ok()) << by_root.client.status();
    const Ends other = co_await Handshake({.host = "127.0.0.2", .context = SharedClient()}, SharedServer());
    ExpectRefusedByClient(other, "IP address mismatch");
  });
}

TEST_P(TlsHandshakeTest, TheWrongHostIsRefused) {
  Everywhere([]() -> Task<void> {
    const Ends ends = co_await Handshake({.host = "other.internal", .context = SharedClient()}, SharedServer());
    ExpectRefusedByClient(ends, "hostname mismatch");
    EXPECT_THAT(ends.client.status().message(), HasSubstr("other.internal"));
  });
}

TEST_P(TlsHandshakeTest, AnUnknownAuthorityIsRefusedAlsoByDefault) {
  Everywhere([]() -> Task<void> {
    ExpectRefusedByClient(co_await Handshake({.host = "db.internal"}, SharedServer()), "unable to get local issuer");
  });
}

// The issuer has the name of the trusted one, and another key.
TEST_P(TlsHandshakeTest, AForgedCertificateIsRefused) {
  const Issued forged = Authority("Weft's tests").Issue({.name = "the server", .names = "DNS:db.internal"});
  const tls::Context server = *tls::Context::Server({.certificate = forged.certificate_pem(), .key = forged.key_pem()});
  for (const Version version : {Version::kTls12, Version::kTls13}) {
    const tls::Context client = TrustingClient({.max_version = version});
    Everywhere([&]() -> Task<void> {
      const Ends ends = co_await Handshake({.host = "db.internal", .context = client}, server);
      ExpectRefusedByClient(ends, "certificate signature failure");
    });
  }
}

TEST_P(TlsHandshakeTest, AnExpiredCertificateIsRefused) {
  const Issued expired =
      Trusted().Issue({.name = "old", .names = "DNS:db.internal", .until_s = kSimulationsBegin_s - 1});
  const tls::Context server =
      *tls::Context::Server({.certificate = expired.certificate_pem(), .key = expired.key_pem()});
  Everywhere([&]() -> Task<void> {
    const Ends ends = co_await Handshake({.host = "db.internal", .context = SharedClient()}, server);
    ExpectRefusedByClient(ends, "has expired");
  });
}

TEST(TlsSimulatedHandshakeTest, CertificatesAreValidByTheSimulationsWallClock) {
  constexpr int64_t kHour_s = 3600;
  const Issued brief =
      Trusted().Issue({.name = "brief", .names = "DNS:db.internal", .until_s = kSimulationsBegin_s + kHour_s});
  const tls::Context server = *tls::Context::Server({.certificate = brief.certificate_pem(), .key = brief.key_pem()});
  Machine machine;
  Simulation simulation({.machine = &machine});
  const auto expect_refused = [&](const std::string& reason) {
    simulation.Run([&]() -> Task<void> {
      ExpectRefusedByClient(co_await Handshake({.host = "db.internal", .context = SharedClient()}, server), reason);
    }());
  };
  simulation.Run([&]() -> Task<void> {
    const Ends ends = co_await Handshake({.host = "db.internal", .context = SharedClient()}, server);
    EXPECT_TRUE(ends.client.ok()) << ends.client.status();
    co_await Sleep(absl::Seconds(kHour_s));
  }());
  expect_refused("has expired");
  simulation.SetWallClock(absl::FromUnixSeconds(kSimulationsBegin_s - 2 * kHour_s));
  expect_refused("not yet valid");
}

// A client's certificate, too.
TEST(TlsSimulatedHandshakeTest, AServerVerifiesByTheSimulationsWallClock) {
  const tls::Context server = DbServer({.client_authorities = Trusted().pem()});
  const Issued ann = Trusted().Issue({.name = "ann", .names = {}, .until_s = kSimulationsBegin_s + 1});
  const tls::Context as_ann = TrustingClient({.certificate = ann.certificate_pem(), .key = ann.key_pem()});
  Machine machine;
  Simulation({.machine = &machine}).Run([&]() -> Task<void> {
    Ends ends = co_await Handshake({.host = "db.internal", .context = as_ann}, server);
    EXPECT_TRUE(ends.server.ok()) << ends.server.status();
    co_await Sleep(absl::Seconds(2));
    ends = co_await Handshake({.host = "db.internal", .context = as_ann}, server);
    EXPECT_EQ(ends.server.status().code(), absl::StatusCode::kUnauthenticated) << ends.server.status();
  }());
}

// Two ends resume sessions until a certificate expires, an hour after the simulation's begin: OpenSSL verifies nothing
// when it resumes one. Then the client tries whatever sessions it has, and is refused.
void ExpectResumedForAnHourOnly(const tls::Context& client, const tls::Context& server,
                                void (*expect_refused)(const Ends&)) {
  Machine machine;
  Simulation({.machine = &machine}).Run([&]() -> Task<void> {
    for (int minute = 0; minute < 60; minute += 20) {
      Ends ends = co_await Handshake({.host = "db.internal", .context = client}, server);
      EXPECT_TRUE(ends.client.ok()) << ends.client.status();
      EXPECT_TRUE(ends.server.ok()) << ends.server.status();
      if (!ends.client.ok() || !ends.server.ok()) co_return;
      EXPECT_EQ(ends.client->resumed(), minute > 0);
      // Behind the tickets.
      EXPECT_TRUE((co_await ends.server->Write("x")).ok());
      EXPECT_EQ(co_await ReadSome(*ends.client, 1), "x");
      co_await Sleep(absl::Minutes(20));
    }
    for (int hour = 1; hour < 8; ++hour) {
      expect_refused(co_await Handshake({.host = "db.internal", .context = client}, server));
      co_await Sleep(absl::Hours(1));
    }
  }());
}

TEST(TlsSimulatedHandshakeTest, AClientResumesNoSessionWhoseCertificatesHaveExpired) {
  constexpr int64_t kExpiry_s = kSimulationsBegin_s + 3600;
  const Authority brief("brief", kExpiry_s);
  const Issued expires = Trusted().Issue({.name = "expires", .names = "DNS:db.internal", .until_s = kExpiry_s});
  const Issued stays = brief.Issue({.name = "stays", .names = "DNS:db.internal"});
  for (const Version version : {Version::kTls12, Version::kTls13}) {
    for (const auto& [authority, issued] : {std::pair(&Trusted(), &expires), std::pair(&brief, &stays)}) {
      ExpectResumedForAnHourOnly(
          *tls::Context::Client({.authorities = authority->pem(), .max_version = version}),
          *tls::Context::Server({.certificate = issued->certificate_pem(), .key = issued->key_pem()}),
          [](const Ends& ends) { ExpectRefusedByClient(ends, "has expired"); });
    }
  }
}

TEST(TlsSimulatedHandshakeTest, AServerResumesNoSessionWhoseClientsCertificatesHaveExpired) {
  constexpr int64_t kExpiry_s = kSimulationsBegin_s + 3600;
  const Authority brief("brief", kExpiry_s);
  const Issued expires = Trusted().Issue({.name = "expires", .names = {}, .until_s = kExpiry_s});
  const Issued stays = brief.Issue({.name = "stays", .names = {}});
  for (const Version version : {Version::kTls12, Version::kTls13}) {
    for (const auto& [authority, issued] : {std::pair(&Trusted(), &expires), std::pair(&brief, &stays)}) {
      ExpectResumedForAnHourOnly(
          TrustingClient(
              {.certificate = issued->certificate_pem(), .key = issued->key_pem(), .max_version = version}),
          DbServer({.client_authorities = authority->pem()}), [](const Ends& ends) {
            EXPECT_EQ(ends.server.status().code(), absl::StatusCode::kUnauthenticated) << ends.server.status();
            EXPECT_THAT(ends.server.status().message(), HasSubstr("has expired"));
          });
    }
  }
}

TEST(TlsSimulatedHandshakeTest, AHandshakeThatHasFailedTellsThePeerForFiveSecondsAtMost) {
  Machine machine;
  Simulation({.machine = &machine}).Run([]() -> Task<void> {
    auto [client_side, server_side] = co_await Connect();
    Control control;
    control.stop_at = 2;  // it has written, and read
    MonotonicTime stopped_at;
    AwaitAll scope;
    scope.Fork([&]() -> Task<void> { (co_await tls::Server(std::move(server_side), SharedServer())).IgnoreError(); });
    scope.Fork([&]() -> Task<void> {
      co_await control.stopped.Wait();
      stopped_at = MonotonicNow();
    });
    const tls::ClientOptions options = {.host = "other.internal", .context = SharedClient()};
    const absl::Status status =
        (co_await tls::Client(ControlledTransport(std::move(client_side), control), options)).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kUnauthenticated) << status;
    EXPECT_EQ(control.writes, 2);
    EXPECT_EQ(MonotonicNow() - stopped_at, absl::Seconds(5));
    (co_await scope.Join()).IgnoreFailures();
  }());
}

// A directory in which OpenSSL finds an authority when it looks for it, by the hash of its name.
std::string DirectoryWith(const Authority& authority) {
  BIO* const text = BIO_new_mem_buf(authority.certificate().data(), static_cast<int>(authority.certificate().size()));
  X509* const certificate = PEM_read_bio_X509(text, nullptr, nullptr, nullptr);
  const unsigned long hash = X509_subject_name_hash(certificate);
  X509_free(certificate);
  BIO_free(text);
  std::string directory = ::testing::TempDir() + "/tls_handshake_authorities";
  ::mkdir(directory.c_str(), 0700);  // or it is there
  std::ofstream(absl::StrCat(directory, "/", absl::Hex(hash, absl::kZeroPad8), ".0")) << authority.certificate();
  return directory;
}

// That a certificate was not verified for want of descriptors is no refusal; the peer is told of it all the same.
TEST(TlsSimulatedHandshakeTest, AClientThatCannotReadItsAuthoritiesSaysWhyAndTellsThePeer) {
  ASSERT_EQ(::setenv("SSL_CERT_DIR", DirectoryWith(Trusted()).c_str(), 1), 0);
  const tls::ClientOptions options = {.host = "db.internal", .context = *tls::Context::Client({})};
  ::unsetenv("SSL_CERT_DIR");
  const tls::Context& server = SharedServer();
  rlimit before;
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  Simulation().Run([&]() -> Task<void> {
    for (const bool is_short : {true, false}) {
      const rlimit none = {.rlim_cur = 0, .rlim_max = before.rlim_max};
      auto [client_side, server_side] = io::MemoryStream::Pair();
      EXPECT_EQ(::setrlimit(RLIMIT_NOFILE, is_short ? &none : &before), 0);
      const Ends ends = co_await Handshake(std::move(client_side), options, std::move(server_side), server);
      EXPECT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
      EXPECT_EQ(ErrnoOf(ends.client.status()), is_short ? EMFILE : 0) << ends.client.status();
      EXPECT_EQ(ends.client.ok(), !is_short) << ends.client.status();
      EXPECT_EQ(ends.server.ok(), !is_short) << ends.server.status();
      if (is_short) EXPECT_THAT(ends.server.status().message(), HasSubstr("an alert of the peer: unknown CA"));
    }
  }());
}

// It says that it has ended, and its side of the transport stays open. (A server: engine_test.cc)
TEST(TlsSimulatedHandshakeTest, AServerThatEndsDuringTheHandshakeIsAFailure) {
  Simulation().Run([]() -> Task<void> {
    auto [peer, stream] = io::MemoryStream::Pair();
    EXPECT_TRUE((co_await peer.Write(std::string("\x15\x03\x03\x00\x02\x01\x00", 7))).ok());
    const absl::Status status =
        (co_await tls::Client(std::move(stream), {.host = "db.internal", .context = SharedClient()})).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable) << status;
    EXPECT_THAT(status.message(), HasSubstr("ended the handshake"));
  }());
}

TEST_P(TlsHandshakeTest, WithoutVerificationAnyServerIsAccepted) {
  const tls::Context client = *tls::Context::Client({.verify = false});
  Everywhere([&]() -> Task<void> {
    EXPECT_TRUE((co_await Handshake({.host = "other.internal", .context = client}, SharedServer())).client.ok());
    EXPECT_TRUE((co_await Handshake({.context = client}, SharedServer())).client.ok());
  });
}

TEST_P(TlsHandshakeTest, TheServerChoosesTheProtocol) {
  const tls::Context server = DbServer({.alpn = {"h2", "http/1.1"}});
  const tls::Context both = TrustingClient({.alpn = {"http/1.1", "h2"}});
  const tls::Context other = TrustingClient({.alpn = {"spdy"}});
  Everywhere([&]() -> Task<void> {
    Ends ends = co_await Handshake({.host = "db.internal", .context = both}, server);
    EXPECT_EQ(ends.client->alpn(), "h2");
    EXPECT_EQ(ends.server->alpn(), "h2");
    ends = co_await Handshake({.host = "db.internal", .context = SharedClient()}, server);
    EXPECT_EQ(ends.client->alpn(), "");
    ends = co_await Handshake({.host = "db.internal", .context = both}, SharedServer());
    EXPECT_EQ(ends.client->alpn(), "");
    ends = co_await Handshake({.host = "db.internal", .context = other}, server);
    EXPECT_EQ(ends.client.status().code(), absl::StatusCode::kFailedPrecondition) << ends.client.status();
    EXPECT_THAT(ends.client.status().message(), HasSubstr("no application protocol"));
    EXPECT_EQ(ends.server.status().code(), absl::StatusCode::kFailedPrecondition) << ends.server.status();
  });
}

TEST_P(TlsHandshakeTest, AServerHasACertificateForEachName) {
  const Issued chat = Trusted().Issue({.name = "chat", .names = "DNS:chat.internal"});
  const tls::Context for_chat = *tls::Context::Server(
      {.certificate = chat.certificate_pem(), .key = chat.key_pem(), .alpn = {"chat"}});
  const tls::Context server = DbServer({.names = {{"chat.internal", for_chat}}});
  const tls::Context client = TrustingClient({.alpn = {"chat"}});
  Everywhere([&]() -> Task<void> {
    Ends ends = co_await Handshake({.host = "Chat.internal", .context = client}, server);
    EXPECT_EQ(ends.client->peer_certificate()->subject, "CN=chat");
    EXPECT_EQ(ends.client->alpn(), "chat");
    ends = co_await Handshake({.host = "db.internal", .context = client}, server);
    EXPECT_EQ(ends.client->peer_certificate()->subject, "CN=the server");
    EXPECT_EQ(ends.client->alpn(), "");
  });
}

TEST_P(TlsHandshakeTest, MutualTlsKnowsTheClientAndRefusesStrangers) {
  const tls::Context server = DbServer({.client_authorities = Trusted().pem()});
  const Issued ann = Trusted().Issue({.name = "ann", .names = {}});
  const Issued eve = Authority("somebody").Issue({.name = "eve", .names = {}});
  const Issued forged = Authority("Weft's tests").Issue({.name = "ann", .names = {}});
  const tls::Context as_ann = TrustingClient({.certificate = ann.certificate_pem(), .key = ann.key_pem()});
  struct Stranger {
    tls::Context context;
    std::string reason, alert;
  };
  const Stranger strangers[] = {
      {TrustingClient({.certificate = eve.certificate_pem(), .key = eve.key_pem()}),
       "unable to get local issuer certificate", "unknown CA"},
      {TrustingClient({.certificate = forged.certificate_pem(), .key = forged.key_pem()}),
       "certificate signature failure", "decrypt error"},
  };
  Everywhere([&]() -> Task<void> {
    Ends ends = co_await Handshake({.host = "db.internal", .context = as_ann}, server);
    EXPECT_TRUE(ends.client.ok()) << ends.client.status();
    EXPECT_EQ(ends.server->peer_certificate()->subject, "CN=ann");

    absl::Status told;
    char buffer[16];
    for (const Stranger& stranger : strangers) {
      ends = co_await Handshake({.host = "db.internal", .context = stranger.context}, server);
      EXPECT_EQ(ends.server.status().code(), absl::StatusCode::kUnauthenticated) << ends.server.status();
      EXPECT_THAT(ends.server.status().message(), HasSubstr(stranger.reason));
      // With TLS 1.3 a client is told behind the handshake.
      told = ends.client.ok() ? (co_await ends.client->Read(buffer)).status() : ends.client.status();
      EXPECT_EQ(told.code(), absl::StatusCode::kUnauthenticated) << told;
      EXPECT_THAT(told.message(), HasSubstr(stranger.alert));
    }

    ends = co_await Handshake({.host = "db.internal", .context = SharedClient()}, server);
    EXPECT_EQ(ends.server.status().code(), absl::StatusCode::kUnauthenticated) << ends.server.status();
    EXPECT_THAT(ends.server.status().message(), HasSubstr("did not return a certificate"));
    told = ends.client.ok() ? (co_await ends.client->Read(buffer)).status() : ends.client.status();
    EXPECT_EQ(told.code(), absl::StatusCode::kUnauthenticated) << told;
  });
}

TEST_P(TlsHandshakeTest, MutualTlsIsTheSameUnderEveryName) {
  const Issued chat = Trusted().Issue({.name = "chat", .names = "DNS:chat.internal"});
  const tls::Context for_chat =
      *tls::Context::Server({.certificate = chat.certificate_pem(), .key = chat.key_pem()});
  const Authority somebody("somebody");
  const tls::Context server =
      DbServer({.client_authorities = somebody.pem(), .names = {{"chat.internal", for_chat}}});
  const Issued ann = somebody.Issue({.name = "ann", .names = {}});
  const Issued eve = Trusted().Issue({.name = "eve", .names = {}});
  const tls::Context as_ann = TrustingClient({.certificate = ann.certificate_pem(), .key = ann.key_pem()});
  const tls::Context as_eve = TrustingClient({.certificate = eve.certificate_pem(), .key = eve.key_pem()});
  Everywhere([&]() -> Task<void> {
    for (const char* host : {"db.internal", "chat.internal"}) {
      Ends ends = co_await Handshake({.host = host, .context = as_ann}, server);
      EXPECT_TRUE(ends.server.ok()) << host << ": " << ends.server.status();
      if (ends.server.ok()) EXPECT_EQ(ends.server->peer_certificate()->subject, "CN=ann");
      ends = co_await Handshake({.host = host, .context = as_eve}, server);
      EXPECT_EQ(ends.server.status().code(), absl::StatusCode::kUnauthenticated) << host;
      ends = co_await Handshake({.host = host, .context = SharedClient()}, server);
      EXPECT_EQ(ends.server.status().code(), absl::StatusCode::kUnauthenticated) << host;
    }
  });
}

// RFC 9525, section 2: the common name of the subject is no name of a host.
TEST_P(TlsHandshakeTest, OnlyTheNamesThatAreMeantForItCount) {
  const Issued old = Trusted().Issue({.name = "db.internal", .names = {}});
  const tls::Context server = *tls::Context::Server({.certificate = old.certificate_pem(), .key = old.key_pem()});
  const Issued wild = Trusted().Issue({.name = "wild", .names = "DNS:*.internal"});
  const tls::Context for_all = *tls::Context::Server({.certificate = wild.certificate_pem(), .key = wild.key_pem()});
  Everywhere([&]() -> Task<void> {
    const Ends ends = co_await Handshake({.host = "db.internal", .context = SharedClient()}, server);
    EXPECT_EQ(ends.client.status().code(), absl::StatusCode::kUnauthenticated) << ends.client.status();
    const Ends dot = co_await Handshake({.host = ".internal", .context = SharedClient()}, for_all);
    EXPECT_EQ(dot.client.status().code(), absl::StatusCode::kInvalidArgument) << dot.client.status();
  });
}

// A certificate that is trusted needs nobody above it.
TEST_P(TlsHandshakeTest, OneCertificateCanBeTrustedByItself) {
  const tls::Context client =
      *tls::Context::Client({.authorities = ForDbInternal().certificate_pem()});
  Everywhere([&]() -> Task<void> {
    const Ends ends = co_await Handshake({.host = "db.internal", .context = client}, SharedServer());
    EXPECT_TRUE(ends.client.ok()) << ends.client.status();
  });
}

TEST_P(TlsHandshakeTest, TheNextConnectionToAHostResumesTheSession) {
  for (const Version version : {Version::kTls12, Version::kTls13}) {
    Everywhere([version]() -> Task<void> {
      const tls::Context client = TrustingClient({.max_version = version});
      const tls::Context server = DbServer();
      for (int round = 0; round < 3; ++round) {
        Ends ends = co_await Handshake({.host = "db.internal", .context = client}, server);
        EXPECT_TRUE(ends.client.ok()) << ends.client.status();
        EXPECT_EQ(ends.client->resumed(), round > 0);
        EXPECT_EQ(ends.server->resumed(), round > 0);
        EXPECT_EQ(ends.server->server_name(), "db.internal");
        EXPECT_EQ(ends.client->peer_certificate()->subject, "CN=the server");
        EXPECT_TRUE((co_await ends.server->Write("x")).ok());
        EXPECT_EQ(co_await ReadSome(*ends.client, 1), "x");
      }
      const Ends other_host = co_await Handshake({.host = "127.0.0.1", .context = client}, server);
      EXPECT_FALSE(other_host.client->resumed());
      // One that does not know the session's key.
      const Ends other_server = co_await Handshake({.host = "db.internal", .context = client}, DbServer());
      EXPECT_TRUE(other_server.client.ok()) << other_server.client.status();
      EXPECT_FALSE(other_server.client->resumed());
    });
  }
}

TEST_P(TlsHandshakeTest, AServerCanRefuseToResume) {
  Everywhere([]() -> Task<void> {
    const tls::Context client = TrustingClient();
    const tls::Context server = DbServer({.resume_sessions = false});
    for (int round = 0; round < 2; ++round) {
      Ends ends = co_await Handshake({.host = "db.internal", .context = client}, server);
      EXPECT_FALSE(ends.client->resumed());
      EXPECT_TRUE((co_await ends.server->Write("x")).ok());
      EXPECT_EQ(co_await ReadSome(*ends.client, 1), "x");
    }
  });
}

TEST_P(TlsHandshakeTest, NoCommonVersionIsAFailureOfBoth) {
  const tls::Context old = TrustingClient({.max_version = Version::kTls12});
  const tls::Context modern = DbServer({.min_version = Version::kTls13});
  Everywhere([&]() -> Task<void> {
    const Ends ends = co_await Handshake({.host = "db.internal", .context = old}, modern);
    EXPECT_EQ(ends.client.status().code(), absl::StatusCode::kFailedPrecondition) << ends.client.status();
    EXPECT_EQ(ends.server.status().code(), absl::StatusCode::kFailedPrecondition) << ends.server.status();
  });
}

TEST_P(TlsHandshakeTest, APeerThatDoesNotSpeakTlsOrGoesIsAFailure) {
  Everywhere([]() -> Task<void> {
    auto [plain, server_side] = co_await Connect();
    EXPECT_TRUE((co_await plain.Write("GET / HTTP/1.1\r\n\r\n")).ok());
    absl::Status status = (co_await tls::Server(std::move(server_side), SharedServer())).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << status;
    EXPECT_THAT(status.message(), HasSubstr("http request"));

    auto [client_side, gone] = co_await Connect();
    EXPECT_TRUE(gone.ShutdownWrite().ok());
    tls::ClientOptions options = {.host = "db.internal", .context = SharedClient()};
    status = (co_await tls::Client(std::move(client_side), options)).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable) << status;
    EXPECT_THAT(status.message(), HasSubstr("db.internal closed the connection"));
  });
}

TEST_P(TlsHandshakeTest, WhatCannotBeVerifiedIsRefusedBeforeItBegins) {
  Everywhere([]() -> Task<void> {
    const auto refused = [](tls::ClientOptions options) -> Task<void> {
      auto [client, server] = co_await Connect();
      const absl::Status status = (co_await tls::Client(std::move(client), std::move(options))).status();
      EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
    };
    co_await refused({.context = SharedClient()});
    co_await refused({.host = std::string("db.internal\0.evil", 16), .context = SharedClient()});
    co_await refused({.host = "db.internal", .context = SharedServer()});
    auto [client, server] = co_await Connect();
    EXPECT_EQ((co_await tls::Server(std::move(server), SharedClient())).status().code(),
              absl::StatusCode::kInvalidArgument);
  });
}

TEST_P(TlsHandshakeTest, ACancelledHandshakeClosesItsTransportWhereverItWas) {
  for (const bool of_client : {true, false}) {
    Everywhere([of_client]() -> Task<void> {
      bool cancelled = true;
      // Until the handshake has fewer operations than that.
      for (int stop_at = 0; cancelled; ++stop_at) {
        auto [client, server] = co_await Connect();
        const tls::ClientOptions options = {.host = "db.internal", .context = SharedClient()};
        Control control;
        control.stop_at = stop_at;
        absl::Status other;
        AwaitAll scope;
        if (of_client) {
          scope.Fork([&]() -> Task<void> {
            other = (co_await tls::Server(std::move(server), SharedServer())).status();
          });
          cancelled = co_await CancelWhereStopped(
              control, tls::Client(ControlledTransport(std::move(client), control), options));
        } else {
          scope.Fork([&]() -> Task<void> {
            other = (co_await tls::Client(std::move(client), options)).status();
          });
          cancelled = co_await CancelWhereStopped(
              control, tls::Server(ControlledTransport(std::move(server), control), SharedServer()));
        }
        (co_await scope.Join()).IgnoreFailures();
        EXPECT_LT(stop_at, 10);
        EXPECT_TRUE(cancelled || stop_at >= 3);
        // The client's handshake of TLS 1.3 is done before the server's, which has two more operations.
        if (cancelled && (of_client || stop_at < 2)) EXPECT_FALSE(other.ok()) << stop_at;
      }
    });
  }
}

}  // namespace
}  // namespace weft::testing

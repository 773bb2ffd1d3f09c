// Goal: TLS works with somebody else's: the program openssl, as client and as server.
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/net/on_backends.h"
#include "tests/tls/certificates.h"
#include "tests/tls/tls_ends.h"
#include "weft/process.h"
#include "weft/tls/stream.h"
#include "weft/weft.h"

namespace weft::testing {
namespace {

using ::testing::HasSubstr;

bool IsInstalled(const std::string& program) {
  const char* const path = std::getenv("PATH");
  for (const auto directory : absl::StrSplit(path == nullptr ? "" : path, ':')) {
    if (::access(absl::StrCat(directory, "/", program).c_str(), X_OK) == 0) return true;
  }
  return false;
}

class TlsPeersTest : public OnBackends {
 protected:
  void SetUp() override {
    if (!IsInstalled("openssl")) GTEST_SKIP() << "openssl is not installed (Debian: apt-get install openssl)";
    authority_ = ::testing::TempDir() + "/tls_peers_authority.pem";
    server_ = ::testing::TempDir() + "/tls_peers_server.pem";
    std::ofstream(authority_) << Trusted().certificate();
    std::ofstream(server_) << ForDbInternal().certificate << ForDbInternal().key;
  }

  std::string authority_;
  std::string server_;
};
WEFT_ON_REAL_BACKENDS(TlsPeersTest);

TEST_P(TlsPeersTest, SClientTalksToOurServer) {
  const tls::Context context = DbServer({.alpn = {"h2", "http/1.1"}});
  Everywhere([&]() -> Task<void> {
    net::TcpListener listener = *net::TcpListener::Bind("127.0.0.1:0");
    const std::string address = listener.local_address()->ToString();
    ShutdownOnFailure scope;
    scope.Fork([&]() -> Task<absl::Status> {
      absl::StatusOr<net::TcpStream> accepted = co_await listener.Accept();
      if (!accepted.ok()) co_return accepted.status();
      absl::StatusOr<tls::Stream> stream = co_await tls::Server(*std::move(accepted), context);
      if (!stream.ok()) co_return stream.status();
      EXPECT_EQ(stream->alpn(), "http/1.1");
      EXPECT_EQ(stream->server_name(), "db.internal");
      EXPECT_EQ(co_await ReadSome(*stream, 6), "hello\n");
      if (absl::Status sent = co_await stream->Write("and good bye\n"); !sent.ok()) co_return sent;
      if (absl::Status ended = co_await stream->ShutdownWrite(); !ended.ok()) co_return ended;
      EXPECT_EQ(co_await ReadSome(*stream, 100), "");
      co_return absl::OkStatus();
    });
    const absl::StatusOr<Process::Output> client = co_await Process::Run(
        {"openssl", "s_client", "-connect", address, "-servername", "db.internal", "-verify_hostname", "db.internal",
         "-CAfile", authority_, "-verify_return_error", "-alpn", "http/1.1", "-quiet"},
        {.input = "hello\n"});
    EXPECT_TRUE(client.ok()) << client.status();
    EXPECT_EQ(client->standard_output, "and good bye\n") << client->standard_error;
    const absl::Status served = co_await scope.Join();
    EXPECT_TRUE(served.ok()) << served << client->standard_error;
  });
}

TEST_P(TlsPeersTest, OurClientTalksToSServer) {
  Everywhere([&]() -> Task<void> {
    absl::StatusOr<Process> server = co_await Process::Start(
        {"openssl", "s_server", "-accept", "127.0.0.1:0", "-cert", server_, "-key", server_, "-rev"},
        {.standard_output = Process::kPipe, .standard_error = Process::kNull});
    EXPECT_TRUE(server.ok()) << server.status();
    std::string said;
    char buffer[1000];
    // "ACCEPT 127.0.0.1:45678"
    while (said.find("ACCEPT") == std::string::npos || said.back() != '\n') {
      const absl::StatusOr<size_t> got = co_await server->standard_output().Read(buffer);
      EXPECT_TRUE(got.ok() && *got > 0) << said;
      if (!got.ok() || *got == 0) co_return;
      said.append(buffer, *got);
    }
    const size_t begin = said.find("ACCEPT ") + 7;
    absl::StatusOr<net::TcpStream> connected =
        co_await net::TcpStream::Connect(said.substr(begin, said.find('\n', begin) - begin));
    EXPECT_TRUE(connected.ok()) << connected.status() << said;
    absl::StatusOr<tls::Stream> stream =
        co_await tls::Client(*std::move(connected), {.host = "db.internal", .context = SharedClient()});
    EXPECT_TRUE(stream.ok()) << stream.status();
    EXPECT_TRUE((co_await stream->Write("stressed\n")).ok());
    EXPECT_EQ(co_await ReadSome(*stream, 9), "desserts\n");
    EXPECT_TRUE((co_await stream->ShutdownWrite()).ok());
    EXPECT_EQ(co_await ReadSome(*stream, 100), "");
  });
}

}  // namespace
}  // namespace weft::testing

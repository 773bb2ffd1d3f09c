// The HTTP server and the client of the examples over TLS, and over connections in memory. Goal: what HTTP promises
// does not depend on the stream, and over TLS nobody finds an answer cut off. Method: both ends in a simulation, over
// pairs of streams in memory; and curl against a server on loopback, on each backend.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "examples/http/any_stream.h"
#include "examples/http/client.h"
#include "examples/http/message.h"
#include "examples/http/server.h"
#include "tests/tls/certificates.h"
#include "weft/io/memory_stream.h"
#include "weft/process.h"
#include "weft/testing/simulation.h"
#include "weft/tls/context.h"
#include "weft/tls/stream.h"
#include "weft/weft.h"

namespace http {
namespace {

namespace tls = weft::tls;
using ::testing::HasSubstr;
using ::testing::StartsWith;
using weft::Task;
using weft::io::MemoryStream;
using weft::net::TcpStream;

Task<Response> Echo(const Request& request) {
  if (request.target == "/large") co_return Response{.body = std::string(1'000'000, 'x')};
  co_return Response{.body = absl::StrCat(request.method, " ", request.target, " ", request.body)};
}

tls::Context ServerContext() {
  const weft::testing::Issued& issued = weft::testing::ForDbInternal();
  return tls::Context::Server({.certificate = issued.certificate_pem(), .key = issued.key_pem()}).value();
}

// ---- In memory.

struct InMemory {
  AnyStream client;
  AnyStream server;
};

Task<InMemory> Plain() {
  auto [client, server] = MemoryStream::Pair();
  co_return InMemory{AnyStream(std::move(client)), AnyStream(std::move(server))};
}

Task<InMemory> Secure() {
  auto [client_side, server_side] = MemoryStream::Pair();
  const tls::Context trusting = tls::Context::Client({.authorities = weft::testing::Trusted().pem()}).value();
  weft::ShutdownOnFailure scope;
  auto client = scope.Fork(tls::Client(std::move(client_side), {.host = "db.internal", .context = trusting}));
  auto server = scope.Fork(tls::Server(std::move(server_side), ServerContext()));
  const absl::Status joined = co_await scope.Join();
  EXPECT_TRUE(joined.ok()) << joined;
  co_return InMemory{AnyStream(std::move(client).get()), AnyStream(std::move(server).get())};
}

// Everything up to the end, which has to be one.
Task<std::string> ReadToEnd(AnyStream& stream) {
  std::string all;
  for (char buffer[256];;) {
    const absl::StatusOr<size_t> got = co_await stream.Read(absl::MakeSpan(buffer));
    EXPECT_TRUE(got.ok()) << got.status();
    if (!got.ok() || *got == 0) co_return all;
    all.append(buffer, *got);
  }
}

class HttpInMemoryTest : public testing::TestWithParam<Task<InMemory> (*)()> {
 protected:
  // Runs `client` at the other end of a connection that `server` serves. Returns when both have ended.
  static void WithServer(Server& server, std::function<Task<void>(AnyStream stream, weft::AwaitAll& serving)> client) {
    weft::testing::Simulation().Run([](Server& server, auto& client) -> Task<void> {
      auto [near, far] = co_await GetParam()();
      weft::AwaitAll serving;
      serving.Fork(server.ServeConnection(std::move(far)));
      co_await client(std::move(near), serving);
      (co_await serving.Join()).IgnoreFailures();
      EXPECT_EQ(server.counters().connections_open, 0);
    }(server, client));
  }
};

INSTANTIATE_TEST_SUITE_P(Streams, HttpInMemoryTest, testing::Values(&Plain, &Secure),
                         [](const auto& test) { return test.param == &Plain ? "Plain" : "Tls"; });

TEST_P(HttpInMemoryTest, AConnectionIsKeptForTheNextRequest) {
  Server server({}, Echo);
  WithServer(server, [&](AnyStream stream, weft::AwaitAll&) -> Task<void> {
    ClientConnection client(std::move(stream), "db.internal");
    const std::pair<Request, std::string> calls[] = {
        {{.method = "POST", .target = "/a", .body = "1"}, "POST /a 1"},
        {{.method = "HEAD"}, ""},
        {{.target = "/large"}, std::string(1'000'000, 'x')},
        {{.target = "/last"}, "GET /last "}};
    for (const auto& [request, body] : calls) {
      const absl::StatusOr<Response> response = co_await client.Call(request);
      EXPECT_TRUE(response.ok()) << response.status();
      if (!response.ok()) co_return;
      EXPECT_TRUE(response->body == body) << request.target;
    }
    EXPECT_TRUE(client.reusable());
    EXPECT_TRUE(client.readable()) << "nobody can tell";
    EXPECT_TRUE((co_await client.stream().ShutdownWrite()).ok());
  });
  EXPECT_EQ(server.counters().connections, 1);
  EXPECT_EQ(server.counters().requests, 4);
}

TEST_P(HttpInMemoryTest, EveryWayInWhichAServerEndsAConnectionIsAnEnd) {
  struct Way {
    std::string what;
    std::string sent;
    std::string begin;  // of all that is read
  };
  const std::vector<Way> ways = {
      {"a client asks for it", "GET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "HTTP/1.1 200 OK\r\n"},
      {"what comes is refused", "NONSENSE\r\n\r\nand more", "HTTP/1.1 400 Bad Request\r\n"},
      {"a request does not arrive in time", "GET / HTT", "HTTP/1.1 408 Request Timeout\r\n"},
      {"nothing comes for a time", "", ""},
      {"nothing comes for a time after a request", "GET /x HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 200 OK\r\n"},
  };
  for (const Way& way : ways) {
    SCOPED_TRACE(way.what);
    Server server({}, Echo);
    WithServer(server, [&](AnyStream stream, weft::AwaitAll&) -> Task<void> {
      EXPECT_TRUE((co_await stream.Write(way.sent)).ok());
      EXPECT_THAT(co_await ReadToEnd(stream), StartsWith(way.begin));
    });
  }
}

TEST_P(HttpInMemoryTest, AServerThatIsAskedToEndFinishesARequestAndEndsTheConnection) {
  for (const bool between_requests : {true, false}) {
    weft::Event begun, finish;
    Server server({}, [&](const Request&) -> Task<Response> {
      begun.Set();
      co_await finish.Wait();
      co_return Response{.body = "finished"};
    });
    WithServer(server, [&](AnyStream stream, weft::AwaitAll& serving) -> Task<void> {
      if (!between_requests) {
        EXPECT_TRUE((co_await stream.Write("GET / HTTP/1.1\r\nHost: a\r\n\r\n")).ok());
        co_await begun.Wait();
      } else {
        while (server.counters().connections_open == 0) co_await weft::Yield();
      }
      serving.Shutdown();
      finish.Set();
      const std::string all = co_await ReadToEnd(stream);
      if (between_requests) {
        EXPECT_EQ(all, "");
      } else {
        EXPECT_THAT(all, HasSubstr("\r\n\r\nfinished"));
      }
    });
  }
}

// ---- curl.

bool IsInstalled(const std::string& program) {
  const char* const path = std::getenv("PATH");
  for (const auto directory : absl::StrSplit(path == nullptr ? "" : path, ':')) {
    if (access(absl::StrCat(directory, "/", program).c_str(), X_OK) == 0) return true;
  }
  return false;
}

class HttpsTest : public testing::TestWithParam<weft::IoBackend> {
 protected:
  void SetUp() override {
    if (!IsInstalled("curl")) GTEST_SKIP() << "curl is not installed (Debian: apt-get install curl)";
    authority_ = testing::TempDir() + "/https_authority.pem";
    std::ofstream(authority_) << weft::testing::Trusted().certificate();
  }

  // Runs `body` beside a server, then drains that.
  void WithServer(std::function<Task<void>(Server& server, std::string port)> body) {
    auto runtime = weft::Runtime::Create({.parallelism = 2, .io = GetParam()});
    ASSERT_TRUE(runtime.ok()) << runtime.status();
    Server server({.open = [context = ServerContext()](TcpStream accepted) -> Task<absl::StatusOr<AnyStream>> {
                    absl::StatusOr<tls::Stream> stream = co_await tls::Server(std::move(accepted), context);
                    if (!stream.ok()) co_return stream.status();
                    co_return AnyStream(*std::move(stream));
                  }},
                  Echo);
    (*runtime)->Run([](Server& server, auto& body) -> Task<void> {
      weft::net::TcpListener listener = *weft::net::TcpListener::Bind("127.0.0.1:0");
      const std::string port = absl::StrCat(listener.local_address()->port());
      weft::Event stop;
      weft::ShutdownOnFailure scope;
      scope.Fork(server.Serve(listener, stop));
      co_await body(server, port);
      stop.Set();
      const absl::Status served = co_await scope.Join();
      EXPECT_TRUE(served.ok()) << served;
    }(server, body));
    EXPECT_EQ(server.counters().connections_open, 0);
  }

  Task<weft::Process::Output> Curl(std::string port, std::vector<std::string> arguments, std::string input = {}) {
    std::vector<std::string> command = {"curl",         "--silent", "--show-error", "--resolve",
                                        absl::StrCat("db.internal:", port, ":127.0.0.1")};
    command.insert(command.end(), arguments.begin(), arguments.end());
    absl::StatusOr<weft::Process::Output> done = co_await weft::Process::Run(command, {.input = input});
    EXPECT_TRUE(done.ok()) << done.status();
    co_return *std::move(done);
  }

  std::string authority_;
};

INSTANTIATE_TEST_SUITE_P(Backends, HttpsTest, testing::Values(weft::IoBackend::kUring, weft::IoBackend::kEpoll),
                         [](const auto& test) { return test.param == weft::IoBackend::kUring ? "Uring" : "Epoll"; });

TEST_P(HttpsTest, CurlHasItsAnswersWithEitherVersionOfTls) {
  WithServer([&](Server& server, std::string port) -> Task<void> {
    const std::string url = absl::StrCat("https://db.internal:", port);
    int64_t connections = 0;
    for (const std::string version : {"1.2", "1.3"}) {
      const std::vector<std::string> with = {"--cacert", authority_, "--tls-max", version};
      auto curl = [&](std::vector<std::string> arguments, std::string input = {}) {
        ++connections;
        arguments.insert(arguments.begin(), with.begin(), with.end());
        return Curl(port, std::move(arguments), std::move(input));
      };
      weft::Process::Output done =
          co_await curl({"--write-out", "%{num_connects},", url + "/one", url + "/two", url + "/three"});
      EXPECT_EQ(done.standard_output, "GET /one 1,GET /two 0,GET /three 0,") << done.standard_error;
      done = co_await curl({"--header", "Connection: close", url + "/large"});
      EXPECT_TRUE(done.standard_output == std::string(1'000'000, 'x')) << done.standard_error;
      EXPECT_EQ(done.standard_error, "");
      const std::string body(500'000, 'y');
      done = co_await curl({"--header", "Expect: 100-continue", "--data-binary", "@-", url + "/"}, body);
      EXPECT_TRUE(done.standard_output == "POST / " + body) << done.standard_error;
    }
    EXPECT_EQ(server.counters().connections, connections);
    EXPECT_EQ(server.counters().aborted, 0);
  });
}

TEST_P(HttpsTest, AClientThatDoesNotTrustOrDoesNotSpeakTlsIsClosedAndTheNextServed) {
  WithServer([&](Server& server, std::string port) -> Task<void> {
    const std::string host = absl::StrCat("db.internal:", port, "/");
    weft::Process::Output done = co_await Curl(port, {"https://" + host});
    EXPECT_THAT(done.standard_error, HasSubstr("certificate"));
    done = co_await Curl(port, {"http://" + host});
    EXPECT_EQ(done.standard_output, "");
    done = co_await Curl(port, {"--cacert", authority_, "https://" + host});
    EXPECT_EQ(done.standard_output, "GET / ") << done.standard_error;
    EXPECT_EQ(server.counters().requests, 1);
  });
}

}  // namespace
}  // namespace http

// The HTTP client, its pool and the server of the examples with a real upstream: nginx. Goal: a gateway of ours loses
// no answer that nginx gives, and passes on none that is cut off. It survives what nginx does to its connections: it
// closes kept ones, stalls, is asked to end, is gone, comes back, or reads its configuration anew. Method: a server of
// ours forwards all that it gets to an nginx that the test has started. What has to happen first is waited for by
// nginx's own counters, or by its answers.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <functional>
#include <iterator>
#include <limits>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/time.h"
#include "examples/http/client.h"
#include "examples/http/message.h"
#include "examples/http/server.h"
#include "tests/examples/nginx.h"
#include "weft/weft.h"

namespace http {
namespace {

using ::testing::HasSubstr;
using weft::Task;
using weft::net::SocketAddress;

constexpr absl::Duration kGuard = absl::Seconds(120);  // a test that waits for ever ends with this
constexpr absl::Duration kSoon = absl::Milliseconds(500);
constexpr size_t kSlowBytes = 96 << 10;  // take half a second at /slow/: the first 64 KiB come at once
constexpr Limits kLimits = {.max_body_bytes = 16 << 20};

// Of bytes that are all over the place: a piece that is lost, doubled or moved shows. None is '<', with which a
// directive for nginx may begin (/chunked/).
std::string Bytes(size_t size) {
  std::string bytes(size, '\0');
  uint32_t state = 1;
  for (char& byte : bytes) {
    state = state * 1664525 + 1013904223;
    byte = static_cast<char>(state >> 24 | 0x40);
  }
  return bytes;
}

// ---- A gateway.

// What concerns one connection only (RFC 9110, 7.6.1), and what Serialize() writes by itself.
bool IsOfTheConnection(std::string_view name) {
  constexpr std::string_view kNames[] = {"Connection", "Content-Length",    "Expect",  "Host", "Keep-Alive",
                                         "TE",         "Transfer-Encoding", "Trailer", "Upgrade"};
  for (const std::string_view other : kNames) {
    if (EqualIgnoringCase(name, other)) return true;
  }
  return false;
}

Headers PassedOn(const Headers& headers) {
  Headers passed;
  for (const auto& [name, value] : headers.fields()) {
    if (!IsOfTheConnection(name)) passed.Add(name, value);
  }
  return passed;
}

// How long a request may take, in milliseconds, where its sender says so.
constexpr char kLimitHeader[] = "Time-Limit-Ms";

Task<Response> Forward(Pool& upstream, const Request& request) {
  const std::string* const limit = request.headers.Find(kLimitHeader);
  int64_t limit_ms = absl::ToInt64Milliseconds(kGuard);
  if (limit != nullptr) EXPECT_TRUE(absl::SimpleAtoi(*limit, &limit_ms)) << *limit;
  const Request passed{.method = request.method,
                       .target = request.target,
                       .headers = PassedOn(request.headers),
                       .body = request.body};
  absl::StatusOr<Response> answer = co_await weft::WithTimeout(absl::Milliseconds(limit_ms), upstream.Call(passed));
  if (!answer.ok()) {
    const bool late = answer.status().code() == absl::StatusCode::kDeadlineExceeded;
    co_return Response{.status = late ? 504 : 502, .body = answer.status().ToString()};
  }
  Response response{
      .status = answer->status, .headers = PassedOn(answer->headers), .body = std::move(answer->body)};
  const std::string* const length = answer->headers.Find("Content-Length");
  uint64_t size = 0;
  if (request.method == "HEAD" && length != nullptr && absl::SimpleAtoi(*length, &size)) {
    response.source = BodySource{.size = size, .read_at = nullptr};  // which is not read for a HEAD
  }
  co_return response;
}

// ---- Beside nginx.

struct Beside {
  std::string directives = {};  // nginx's
  int64_t max_connections = 256;
  Limits limits = kLimits;
};

// The client of a test, the gateway, and nginx behind it.
struct Chain {
  Pool client;
  Server& gateway;
  Pool& upstream;
  Nginx& nginx;

  Task<absl::StatusOr<Response>> Get(std::string target) { co_return co_await Send({.target = std::move(target)}); }
  Task<absl::StatusOr<Response>> Send(Request request) { co_return co_await client.Call(request); }
};

class NginxTest : public testing::TestWithParam<weft::IoBackend> {
 protected:
  using Body = std::function<Task<void>(Chain& chain)>;

  void SetUp() override {
    if (access(Nginx::kProgram, X_OK) != 0) {
      GTEST_SKIP() << Nginx::kProgram << " is not there: apt-get install nginx";
    }
  }

  static void WithNginx(Beside beside, Body body) {
    // Descriptors are counted, and a spare carrier has some.
    auto runtime = weft::Runtime::Create(
        {.parallelism = 2, .held_carrier_threshold = absl::ZeroDuration(), .io = GetParam()});
    ASSERT_TRUE(runtime.ok()) << runtime.status();
    ASSERT_EQ((*runtime)->io_backend(), GetParam() == weft::IoBackend::kUring ? "io_uring" : "epoll");
    const absl::Status done = (*runtime)->Run(RunChain(std::move(beside), std::move(body)));
    EXPECT_TRUE(done.ok()) << done;
  }

  // A file, whole.
  static Task<void> ExpectFile(Chain& chain, std::string target, const std::string& contents) {
    const absl::StatusOr<Response> answer = co_await chain.Get(target);
    EXPECT_TRUE(answer.ok()) << target << ": " << answer.status();
    if (!answer.ok()) co_return;
    EXPECT_EQ(answer->status, 200) << target;
    EXPECT_TRUE(answer->body == contents) << target << ": " << answer->body.size() << " bytes";
  }

  // The status of the answer to a GET that may take so long; 0 if there is none.
  static Task<int> StatusOfGet(Chain& chain, std::string target, absl::Duration limit = kGuard) {
    Request request{.target = std::move(target)};
    request.headers.Add(kLimitHeader, absl::StrCat(absl::ToInt64Milliseconds(limit)));
    const absl::StatusOr<Response> answer = co_await chain.Send(std::move(request));
    co_return answer.ok() ? answer->status : 0;
  }

  // Until nginx works on so many requests.
  static Task<void> UntilNginxAnswers(Chain& chain, int requests) {
    Pool pool(chain.nginx.address());
    const Request request{.target = "/status"};
    const std::string wanted = absl::StrCat("Reading: 0 Writing: ", requests + 1, " ");  // one of which is this one
    for (;;) {
      const absl::StatusOr<Response> answer = co_await pool.Call(request);
      EXPECT_TRUE(answer.ok()) << answer.status();
      if (!answer.ok() || absl::StrContains(answer->body, wanted)) co_return;
      co_await weft::Yield();
    }
  }
  // How many requests nginx has begun with, this one included.
  static Task<int64_t> Requests(Chain& chain) {
    Pool pool(chain.nginx.address());
    const absl::StatusOr<Response> answer = co_await pool.Call({.target = "/status"});
    EXPECT_TRUE(answer.ok()) << answer.status();
    if (!answer.ok()) co_return std::numeric_limits<int64_t>::max();
    // "... server accepts handled requests\n 5 5 7 \nReading: ..."
    const std::string_view body = answer->body;
    const std::string numbers(body.substr(body.find("requests") + std::strlen("requests")));
    const std::vector<std::string> words = absl::StrSplit(numbers, absl::ByAnyChar(" \n"), absl::SkipEmpty());
    int64_t requests = 0;
    EXPECT_TRUE(absl::SimpleAtoi(words.at(2), &requests)) << answer->body;
    co_return requests;
  }
  // Until nginx has begun with so many requests since `before`, beside those for this number.
  static Task<void> UntilNginxHasBegun(Chain& chain, int64_t before, int requests) {
    for (int64_t asked = 1; co_await Requests(chain) < before + asked + requests; ++asked) co_await weft::Yield();
  }

 private:
  static Task<absl::Status> RunChain(Beside beside, Body body) {
    Nginx nginx;
    if (absl::Status started = co_await nginx.Start(beside.directives); !started.ok()) co_return started;
    Pool upstream(nginx.address(), {.max_connections = beside.max_connections, .limits = beside.limits});
    Server gateway({.limits = kLimits},
                   [&](const Request& request) { return Forward(upstream, request); });
    auto listener = weft::net::TcpListener::Bind("127.0.0.1:0");
    if (!listener.ok()) co_return listener.status();
    Chain chain{.client = Pool(*listener->local_address(), {.max_connections = 1000, .limits = kLimits}),
                .gateway = gateway,
                .upstream = upstream,
                .nginx = nginx};
    weft::Event stop;
    weft::ShutdownOnFailure scope("gateway");
    scope.Fork(gateway.Serve(*listener, stop));
    const absl::Status done = co_await weft::WithTimeout(kGuard, body(chain));
    stop.Set();
    absl::Status joined = co_await scope.Join();
    if (!done.ok()) co_return done;
    EXPECT_EQ(gateway.counters().connections_open, 0);
    if (nginx.is_running()) {
      const absl::StatusOr<weft::Process::Exit> exit = co_await nginx.Stop(SIGQUIT);
      EXPECT_TRUE(exit.ok() && exit->success()) << exit.status();
    }
    co_return joined;
  }
};

INSTANTIATE_TEST_SUITE_P(Backends, NginxTest, testing::Values(weft::IoBackend::kUring, weft::IoBackend::kEpoll),
                         [](const auto& test) { return test.param == weft::IoBackend::kUring ? "Uring" : "Epoll"; });

TEST_P(NginxTest, FilesOfEverySizeArriveWhole) {
  WithNginx({}, [](Chain& chain) -> Task<void> {
    const std::string all = Bytes(5'000'000);
    for (const size_t size : {0, 1, 2047, 2048, 2049, 65'536, 1'000'000, 5'000'000}) {
      const std::string name = absl::StrCat("of/", size);
      const std::string contents = all.substr(0, size);
      chain.nginx.AddFile(name, contents);
      co_await ExpectFile(chain, "/" + name, contents);
      co_await ExpectFile(chain, "/chunked/" + name, contents);
    }
    EXPECT_EQ(chain.upstream.stats().opened, 1);
  });
}

TEST_P(NginxTest, AnswersInChunksAreThatAndTheConnectionIsKept) {
  WithNginx({}, [](Chain& chain) -> Task<void> {
    chain.nginx.AddFile("a", "hello");
    const Request request{.target = "/chunked/a"};
    for (int i = 0; i < 2; ++i) {
      const absl::StatusOr<Response> answer = co_await chain.upstream.Call(request);
      EXPECT_TRUE(answer.ok()) << answer.status();
      if (!answer.ok()) co_return;
      const std::string* const coding = answer->headers.Find("Transfer-Encoding");
      EXPECT_TRUE(coding != nullptr && *coding == "chunked");
      EXPECT_EQ(answer->body, "hello");
    }
    EXPECT_EQ(chain.upstream.stats().opened, 1);
  });
}

TEST_P(NginxTest, WhatHasNoBodyOrIsNoSuccessIsPassedOnAndTheConnectionIsKept) {
  WithNginx({}, [](Chain& chain) -> Task<void> {
    chain.nginx.AddFile("a", "hello, world");
    absl::StatusOr<Response> answer = co_await chain.Get("/a");
    const std::string* const tag = answer.ok() ? answer->headers.Find("ETag") : nullptr;
    EXPECT_TRUE(tag != nullptr);
    if (tag == nullptr) co_return;
    Headers if_new;
    if_new.Add("If-None-Match", *tag);
    Headers part;
    part.Add("Range", "bytes=7-11");
    struct Case {
      Request request;
      int status;
      std::string body;
      std::string length;
    };
    const Case cases[] = {
        {{.method = "HEAD", .target = "/a"}, 200, "", "12"},
        {{.method = "HEAD", .target = "/chunked/a"}, 200, "", ""},
        {{.method = "HEAD", .target = "/none"}, 404, "", ""},
        {{.target = "/a", .headers = if_new}, 304, "", ""},
        {{.target = "/a", .headers = part}, 206, "world", "5"},
        {{.target = "/none"}, 404, "Not Found", ""},
        {{.method = "POST", .target = "/a", .body = "x"}, 405, "Not Allowed", ""},
        {{.method = "PUT", .target = "/stored/b", .body = "x"}, 201, "", "0"},
        {{.method = "DELETE", .target = "/stored/b"}, 204, "", ""},
        {{.method = "DELETE", .target = "/stored/b"}, 404, "Not Found", ""},
        {{.target = "/a"}, 200, "hello, world", "12"},
    };
    for (const Case& c : cases) {
      const std::string what = absl::StrCat(c.request.method, " ", c.request.target, ", ", c.status);
      answer = co_await chain.Send(c.request);
      EXPECT_TRUE(answer.ok()) << what << ": " << answer.status();
      if (!answer.ok()) continue;
      EXPECT_EQ(answer->status, c.status) << what;
      EXPECT_THAT(answer->body, HasSubstr(c.body)) << what;
      const std::string* const length = answer->headers.Find("Content-Length");
      if (!c.length.empty()) {
        EXPECT_TRUE(length != nullptr && *length == c.length) << what;
      }
    }
    EXPECT_EQ(chain.upstream.stats().opened, 1);
    EXPECT_EQ(chain.client.stats().opened, 1);
  });
}

TEST_P(NginxTest, BodiesAreSentWhole) {
  WithNginx({.directives = "client_max_body_size 16m;"}, [](Chain& chain) -> Task<void> {
    const std::string all = Bytes(5'000'000);
    for (const size_t size : {0, 1, 10'000, 1'000'000, 5'000'000}) {
      const absl::StatusOr<Response> answer =
          co_await chain.Send({.method = "PUT", .target = "/stored/new/a", .body = all.substr(0, size)});
      EXPECT_TRUE(answer.ok()) << answer.status();
      if (!answer.ok()) co_return;
      EXPECT_EQ(answer->status, size == 0 ? 201 : 204) << size;
      EXPECT_TRUE(chain.nginx.Stored("new/a") == all.substr(0, size)) << size;
    }
    EXPECT_EQ(chain.upstream.stats().opened, 1);
  });
}

TEST_P(NginxTest, ABodyThatNginxRefusesIsAnsweredWithItsRefusal) {
  WithNginx({}, [](Chain& chain) -> Task<void> {
    chain.nginx.AddFile("a", "hello");
    const absl::StatusOr<Response> refused =
        co_await chain.Send({.method = "PUT", .target = "/stored/a", .body = Bytes(5'000'000)});
    EXPECT_TRUE(refused.ok()) << refused.status();
    if (refused.ok()) EXPECT_EQ(refused->status, 413) << refused->body;
    EXPECT_EQ(chain.upstream.stats().open, 0);
    co_await ExpectFile(chain, "/a", "hello");
  });
}

TEST_P(NginxTest, AnInvitationToContinueIsNotTheAnswer) {
  WithNginx({}, [](Chain& chain) -> Task<void> {
    Request request{.method = "PUT", .target = "/stored/a", .body = "hello"};
    request.headers.Add("Expect", "100-continue");
    for (const int status : {201, 204}) {
      const absl::StatusOr<Response> answer = co_await chain.upstream.Call(request);
      EXPECT_TRUE(answer.ok()) << answer.status();
      if (answer.ok()) EXPECT_EQ(answer->status, status);
    }
    EXPECT_EQ(chain.upstream.stats().opened, 1);
  });
}

TEST_P(NginxTest, AnAnswerOverTheLimitIsRefusedAndItsConnectionClosed) {
  WithNginx({.limits = {.max_body_bytes = 1000}}, [](Chain& chain) -> Task<void> {
    chain.nginx.AddFile("1000", Bytes(1000));
    chain.nginx.AddFile("1001", Bytes(1001));
    for (const std::string prefix : {"/", "/chunked/"}) {
      const absl::StatusOr<Response> answer = co_await chain.Get(prefix + "1001");
      EXPECT_TRUE(answer.ok()) << answer.status();
      if (answer.ok()) EXPECT_EQ(answer->status, 502) << answer->body.size();
      EXPECT_EQ(chain.upstream.stats().open, 0);
      co_await ExpectFile(chain, prefix + "1000", Bytes(1000));
    }
  });
}

TEST_P(NginxTest, RequestsThatAreSentAtOnceAreAnsweredInTheirOrder) {
  WithNginx({}, [](Chain& chain) -> Task<void> {
    constexpr int kRounds = 50;
    chain.nginx.AddFile("a", "hello");
    auto connection = co_await ClientConnection::Connect(chain.nginx.address());
    EXPECT_TRUE(connection.ok()) << connection.status();
    if (!connection.ok()) co_return;
    const Request whole{.target = "/a"};
    const Request head{.method = "HEAD", .target = "/a"};
    const Request none{.target = "/none"};
    const Request chunked{.target = "/chunked/a"};
    for (int i = 0; i < kRounds; ++i) {
      for (const Request* const request : {&whole, &head, &none, &chunked}) {
        EXPECT_TRUE((co_await connection->Send(*request)).ok());
      }
    }
    for (int i = 0; i < kRounds; ++i) {
      for (const auto& [status, body] : {std::pair(200, "hello"), {200, ""}, {404, "Not Found"}, {200, "hello"}}) {
        const absl::StatusOr<Response> answer = co_await connection->Receive();
        EXPECT_TRUE(answer.ok()) << answer.status();
        if (!answer.ok()) co_return;
        EXPECT_EQ(answer->status, status);
        EXPECT_THAT(answer->body, HasSubstr(body));
      }
    }
    EXPECT_TRUE(connection->reusable());
  });
}

TEST_P(NginxTest, AConnectionIsUsedUntilNginxSaysThatItCloses) {
  WithNginx({.directives = "keepalive_requests 3;"}, [](Chain& chain) -> Task<void> {
    chain.nginx.AddFile("a", "hello");
    for (int i = 1; i <= 10; ++i) {
      co_await ExpectFile(chain, "/a", "hello");
      EXPECT_EQ(chain.upstream.stats().opened, (i + 2) / 3);
      EXPECT_EQ(chain.upstream.stats().open, i % 3 == 0 ? 0 : 1);
    }
  });
}

TEST_P(NginxTest, AConnectionThatNginxHasClosedWhileItWasIdleIsReadable) {
  WithNginx({.directives = "keepalive_timeout 1ms;"}, [](Chain& chain) -> Task<void> {
    const Request request;
    auto connection = co_await ClientConnection::Connect(chain.nginx.address());
    EXPECT_TRUE(connection.ok()) << connection.status();
    if (!connection.ok()) co_return;
    EXPECT_TRUE((co_await connection->Call(request)).ok());
    EXPECT_TRUE(connection->reusable());
    while (!connection->readable()) co_await weft::Yield();
    EXPECT_FALSE((co_await connection->Call(request)).ok());
    EXPECT_FALSE(connection->answer_begun());
    EXPECT_FALSE(connection->reusable());
  });
}

// A request and nginx's end of its connection may cross each other. The pauses are about as long as nginx waits.
TEST_P(NginxTest, NoIdempotentRequestFailsBecauseNginxClosesIdleConnections) {
  WithNginx({.directives = "keepalive_timeout 1ms;"}, [](Chain& chain) -> Task<void> {
    constexpr int kClients = 8;
    constexpr int kRequests = 150;
    chain.nginx.AddFile("a", "hello");
    weft::ShutdownOnFailure scope;
    for (int client = 0; client < kClients; ++client) {
      scope.Fork([&chain, client]() -> Task<void> {
        for (int i = 0; i < kRequests; ++i) {
          const char* const methods[] = {"GET", "HEAD", "PUT", "DELETE"};
          const std::string method = methods[i % std::size(methods)];
          const std::string file = absl::StrCat("/stored/", client);
          const absl::StatusOr<Response> answer =
              co_await chain.Send({.method = method, .target = i % 4 < 2 ? "/a" : file, .body = i % 4 == 2 ? "x" : ""});
          EXPECT_TRUE(answer.ok()) << answer.status();
          if (!answer.ok()) co_return;
          EXPECT_LT(answer->status, 500) << method << ": " << answer->body;
          co_await weft::Sleep(absl::Microseconds(700 + (i * 97 + client * 31) % 600));
        }
      });
    }
    const absl::Status joined = co_await scope.Join();
    EXPECT_TRUE(joined.ok()) << joined;
    EXPECT_GT(chain.upstream.stats().opened, kClients);
  });
}

int OpenDescriptors() {
  return static_cast<int>(
      std::distance(std::filesystem::directory_iterator("/proc/self/fd"), std::filesystem::directory_iterator()));
}

TEST_P(NginxTest, AnAnswerThatIsTooSlowIsGivenUpAndLeavesNothing) {
  WithNginx({}, [](Chain& chain) -> Task<void> {
    chain.nginx.AddFile("a", "hello");
    chain.nginx.AddFile("big", Bytes(1'000'000));
    const int before = OpenDescriptors();
    for (const std::string target : {"/slow/big", "/slow-chunked/big"}) {
      co_await ExpectFile(chain, "/a", "hello");  // so that a kept connection is used
      EXPECT_EQ(co_await StatusOfGet(chain, target, kSoon), 504) << target;
      EXPECT_EQ(chain.upstream.stats().open, 0);
      co_await UntilNginxAnswers(chain, 0);
    }
    EXPECT_LE(OpenDescriptors(), before + 2);  // the two ends of the client's connection
    co_await ExpectFile(chain, "/a", "hello");
  });
}

TEST_P(NginxTest, AStalledNginxIsGivenUpAndUsedAgainWhenItGoesOn) {
  WithNginx({}, [](Chain& chain) -> Task<void> {
    chain.nginx.AddFile("a", "hello");
    co_await ExpectFile(chain, "/a", "hello");
    EXPECT_TRUE(chain.nginx.Signal(SIGSTOP).ok());
    EXPECT_EQ(co_await StatusOfGet(chain, "/a", kSoon), 504);  // on the connection that was kept
    EXPECT_EQ(co_await StatusOfGet(chain, "/a", kSoon), 504);  // on one that the kernel accepts for it
    EXPECT_EQ(chain.upstream.stats().open, 0);
    EXPECT_TRUE(chain.nginx.Signal(SIGCONT).ok());
    co_await UntilNginxAnswers(chain, 0);
    co_await ExpectFile(chain, "/a", "hello");
  });
}

TEST_P(NginxTest, AClientThatHangsUpEndsTheRequestAtNginx) {
  WithNginx({}, [](Chain& chain) -> Task<void> {
    chain.nginx.AddFile("big", Bytes(1'000'000));
    {
      auto connection = co_await ClientConnection::Connect(chain.client.address());
      EXPECT_TRUE(connection.ok()) << connection.status();
      if (!connection.ok()) co_return;
      const Request request{.target = "/slow/big"};
      EXPECT_TRUE((co_await connection->Send(request)).ok());
      co_await UntilNginxAnswers(chain, 1);
    }
    co_await UntilNginxAnswers(chain, 0);
    while (chain.gateway.counters().aborted == 0) co_await weft::Yield();
    EXPECT_EQ(chain.upstream.stats().open, 0);
  });
}

TEST_P(NginxTest, ManyRequestsAtOnceEachHaveTheirAnswer) {
  WithNginx({.max_connections = 16}, [](Chain& chain) -> Task<void> {
    constexpr int kClients = 200;
    constexpr int kRequests = 5;
    for (int i = 0; i < kClients; ++i) chain.nginx.AddFile(absl::StrCat("of/", i), absl::StrCat("file ", i));
    weft::ShutdownOnFailure scope;
    for (int client = 0; client < kClients; ++client) {
      scope.Fork([&chain, client]() -> Task<void> {
        for (int i = 0; i < kRequests; ++i) {
          const std::string prefix = i % 2 == 0 ? "/of/" : "/chunked/of/";
          co_await ExpectFile(chain, absl::StrCat(prefix, client), absl::StrCat("file ", client));
        }
      });
    }
    const absl::Status joined = co_await scope.Join();
    EXPECT_TRUE(joined.ok()) << joined;
    EXPECT_EQ(chain.upstream.stats().calls, kClients * kRequests);
    EXPECT_LE(chain.upstream.stats().peak_open, 16);
    EXPECT_LE(chain.upstream.stats().opened, 16);
  });
}

// What becomes of a download: its status, and if that is 200, all of it.
Task<void> Download(Chain& chain, std::string target, const std::string& contents, int& status) {
  const absl::StatusOr<Response> answer = co_await chain.Get(target);
  EXPECT_TRUE(answer.ok()) << answer.status();
  if (!answer.ok()) co_return;
  status = answer->status;
  if (status == 200) EXPECT_TRUE(answer->body == contents) << target << ": " << answer->body.size() << " bytes";
}

TEST_P(NginxTest, WhatNginxIsAskedToFinishArrivesWholeAndTheRestIsSaidToFail) {
  WithNginx({}, [](Chain& chain) -> Task<void> {
    constexpr int kDownloads = 8;
    constexpr int kClients = 4;
    for (const int signal : {SIGQUIT, SIGTERM}) {
      const std::string contents = Bytes(signal == SIGQUIT ? kSlowBytes : 1'000'000);  // the latter take 14 s
      if (!chain.nginx.is_running()) EXPECT_TRUE((co_await chain.nginx.Start("")).ok());
      chain.nginx.AddFile("a", "hello");
      chain.nginx.AddFile("big", contents);
      int statuses[kDownloads] = {};
      const int64_t before = co_await Requests(chain);
      weft::ShutdownOnFailure scope;
      for (int i = 0; i < kDownloads; ++i) {
        scope.Fork(Download(chain, i % 2 == 0 ? "/slow/big" : "/slow-chunked/big", contents, statuses[i]));
      }
      co_await UntilNginxHasBegun(chain, before, kDownloads);
      for (int i = 0; i < kClients; ++i) {
        scope.Fork([&chain]() -> Task<void> {
          for (int status = 200; status == 200;) {
            co_await Download(chain, "/a", "hello", status);
            EXPECT_TRUE(status == 200 || status == 502) << status;
          }
        });
      }
      co_await ExpectFile(chain, "/a", "hello");
      const absl::StatusOr<weft::Process::Exit> exit = co_await chain.nginx.Stop(signal);
      EXPECT_TRUE(exit.ok() && exit->success()) << exit.status();
      const absl::Status joined = co_await scope.Join();
      EXPECT_TRUE(joined.ok()) << joined;
      EXPECT_THAT(statuses, testing::Each(signal == SIGQUIT ? 200 : 502)) << "signal " << signal;
      EXPECT_EQ(co_await StatusOfGet(chain, "/a"), 502);
      EXPECT_EQ(chain.upstream.stats().open, 0);
    }
    EXPECT_TRUE((co_await chain.nginx.Start("")).ok());
    co_await ExpectFile(chain, "/a", "hello");
  });
}

// Each answer says how often nginx has read its configuration.
TEST_P(NginxTest, NoRequestFailsWhileNginxReadsItsConfigurationAnew) {
  const auto generation = [](int number) { return absl::StrCat("add_header Generation ", number, " always;"); };
  WithNginx({.directives = generation(0)}, [&](Chain& chain) -> Task<void> {
    constexpr int kReloads = 8;
    constexpr int kClients = 8;
    const std::string contents = Bytes(30'000);
    chain.nginx.AddFile("a", contents);
    const std::string big = Bytes(kSlowBytes);
    chain.nginx.AddFile("big", big);
    std::atomic<int> newest = 0;
    weft::ShutdownOnFailure scope;
    int download = 0;
    const int64_t before = co_await Requests(chain);
    scope.Fork(Download(chain, "/slow/big", big, download));
    co_await UntilNginxHasBegun(chain, before, 1);
    for (int client = 0; client < kClients; ++client) {
      scope.Fork([&chain, &contents, &newest, client]() -> Task<void> {
        for (int i = 0; newest < kReloads; ++i) {
          const char* const methods[] = {"GET", "HEAD", "PUT"};
          const std::string method = methods[i % std::size(methods)];
          const std::string target = i % 3 == 2 ? absl::StrCat("/stored/", client) : i % 2 == 0 ? "/a" : "/chunked/a";
          const absl::StatusOr<Response> answer =
              co_await chain.Send({.method = method, .target = target, .body = i % 3 == 2 ? contents : ""});
          EXPECT_TRUE(answer.ok()) << answer.status();
          if (!answer.ok()) co_return;
          EXPECT_LT(answer->status, 300) << method << ": " << answer->body;
          if (method == "GET") EXPECT_TRUE(answer->body == contents);
          const std::string* const said = answer->headers.Find("Generation");
          int number = -1;
          EXPECT_TRUE(said != nullptr && absl::SimpleAtoi(*said, &number));
          int known = newest;
          while (number > known && !newest.compare_exchange_weak(known, number)) {
          }
        }
      });
    }
    for (int number = 1; number <= kReloads; ++number) {
      chain.nginx.Configure(generation(number));
      EXPECT_TRUE(chain.nginx.Signal(SIGHUP).ok());
      while (newest < number && !HasFailure()) co_await weft::Yield();
    }
    newest = kReloads;  // also after a failure
    const absl::Status joined = co_await scope.Join();
    EXPECT_TRUE(joined.ok()) << joined;
    EXPECT_EQ(download, 200);
  });
}

}  // namespace
}  // namespace http

// The HTTP server, client and pool of the examples, against each other and against bytes. Goal: what the headers
// promise of connections that live on, of clients that are slow, wrong, impatient or gone, and of the drain. Method: a
// server on loopback and its clients in one runtime, on each backend; what has to happen first is waited for by events
// and counters.
#include <gtest/gtest.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "examples/http/client.h"
#include "examples/http/message.h"
#include "examples/http/server.h"
#include "tests/examples/http_messages.h"
#include "weft/weft.h"

namespace http {
namespace {

using weft::Task;
using weft::net::SocketAddress;
using weft::net::TcpStream;

constexpr absl::Duration kGuard = absl::Seconds(60);  // a test that waits for ever ends with this

Task<Response> Echo(const Request& request) {
  co_return Response{.body = absl::StrCat(request.method, " ", request.target, " ", request.body)};
}

class HttpServerTest : public testing::TestWithParam<weft::IoBackend> {
 protected:
  using Body = std::function<Task<void>(Server& server, SocketAddress address)>;

  // Runs `body` beside a server, then drains that.
  void WithServer(ServerOptions options, Server::Handler handler, Body body) {
    auto runtime = weft::Runtime::Create({.parallelism = 2, .io = GetParam()});
    ASSERT_TRUE(runtime.ok()) << runtime.status();
    EXPECT_EQ((*runtime)->io_backend(), GetParam() == weft::IoBackend::kUring ? "io_uring" : "epoll");
    Server server(options, std::move(handler));
    const absl::Status done = (*runtime)->Run(Serve(server, body));
    EXPECT_TRUE(done.ok()) << done;
    EXPECT_EQ(server.counters().connections_open, 0);
  }

  // Until `counter` is `value`.
  static Task<void> Until(const std::atomic<int64_t>& counter, int64_t value) {
    while (counter != value) co_await weft::Yield();
  }

  // Connects, sends `bytes`, and reads until the server closes.
  static Task<std::string> Exchange(SocketAddress address, std::string bytes) {
    absl::StatusOr<TcpStream> stream = co_await TcpStream::Connect(address);
    if (!stream.ok()) co_return stream.status().ToString();
    if (absl::Status sent = co_await stream->Write(bytes); !sent.ok()) co_return sent.ToString();
    co_return co_await ReadToEnd(*stream);
  }
  static Task<std::string> ReadToEnd(TcpStream& stream) {
    std::string all;
    for (char buffer[256];;) {
      absl::StatusOr<size_t> got = co_await stream.Read(absl::MakeSpan(buffer));
      if (!got.ok()) co_return absl::StrCat(all, "[", got.status().ToString(), "]");
      if (*got == 0) co_return all;
      all.append(buffer, *got);
    }
  }

 private:
  static Task<absl::Status> Serve(Server& server, Body& body) {
    auto listener = weft::net::TcpListener::Bind("127.0.0.1:0");
    if (!listener.ok()) co_return listener.status();
    auto address = listener->local_address();
    if (!address.ok()) co_return address.status();
    weft::Event stop;
    weft::ShutdownOnFailure scope;
    scope.Fork(server.Serve(*listener, stop));
    absl::Status done = co_await weft::WithTimeout(kGuard, body(server, *address));
    stop.Set();
    absl::Status joined = co_await scope.Join();
    co_return done.ok() ? joined : done;
  }
};

INSTANTIATE_TEST_SUITE_P(Backends, HttpServerTest, testing::Values(weft::IoBackend::kUring, weft::IoBackend::kEpoll),
                         [](const auto& test) { return test.param == weft::IoBackend::kUring ? "Uring" : "Epoll"; });

TEST_P(HttpServerTest, AConnectionIsKeptForTheNextRequest) {
  WithServer({}, Echo, [](Server& server, SocketAddress address) -> Task<void> {
    Pool pool(address);
    for (int i = 0; i < 3; ++i) {
      const Request request{.method = "POST", .target = "/x", .body = std::to_string(i)};
      absl::StatusOr<Response> response = co_await pool.Call(request);
      EXPECT_TRUE(response.ok()) << response.status();
      if (response.ok()) {
        EXPECT_EQ(response->body, absl::StrCat("POST /x ", i));
      }
    }
    EXPECT_EQ(pool.stats().opened, 1);
    EXPECT_EQ(server.counters().connections, 1);
    EXPECT_EQ(server.counters().requests, 3);
  });
}

TEST_P(HttpServerTest, AClientThatAsksForItIsClosedAfterTheAnswer) {
  WithServer({}, Echo, [](Server&, SocketAddress address) -> Task<void> {
    const std::string answer = co_await Exchange(address, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    EXPECT_EQ(answer, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 6\r\n\r\nGET / ");
  });
}

TEST_P(HttpServerTest, RequestsThatAreSentAtOnceAreAnsweredInTheirOrder) {
  WithServer({}, Echo, [](Server& server, SocketAddress address) -> Task<void> {
    constexpr int kRequests = 100;  // far more bytes than the server buffers
    auto connection = co_await ClientConnection::Connect(address);
    EXPECT_TRUE(connection.ok()) << connection.status();
    if (!connection.ok()) co_return;
    for (int i = 0; i < kRequests; ++i) {
      const Request request{.target = absl::StrCat("/", i)};
      EXPECT_TRUE((co_await connection->Send(request)).ok());
    }
    for (int i = 0; i < kRequests; ++i) {
      absl::StatusOr<Response> response = co_await connection->Receive();
      EXPECT_TRUE(response.ok()) << response.status();
      if (!response.ok()) co_return;
      EXPECT_EQ(response->body, absl::StrCat("GET /", i, " "));
    }
    EXPECT_TRUE(connection->reusable());
    EXPECT_EQ(server.counters().connections, 1);
  });
}

TEST_P(HttpServerTest, ARequestMayComeByteByByte) {
  WithServer({}, Echo, [](Server&, SocketAddress address) -> Task<void> {
    absl::StatusOr<TcpStream> stream = co_await TcpStream::Connect(address);
    EXPECT_TRUE(stream.ok());
    const std::string request = "POST /slow HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 4\r\n\r\nbody";
    for (char byte : request) {
      EXPECT_TRUE((co_await stream->Write(absl::string_view(&byte, 1))).ok());
      co_await weft::Yield();
    }
    const std::string answer = co_await ReadToEnd(*stream);
    EXPECT_TRUE(absl::EndsWith(answer, "\r\n\r\nPOST /slow body")) << answer;
  });
}

TEST_P(HttpServerTest, WhatCannotBeServedIsAnsweredAndClosed) {
  const ServerOptions options = {.limits = {.max_head_bytes = 2000, .max_body_bytes = 100}};
  WithServer(options, Echo, [](Server& server, SocketAddress address) -> Task<void> {
    const std::vector<std::pair<std::string, std::string>> cases = {
        {absl::StrCat("GET /", std::string(3000, 'x'), " HTTP/1.1\r\n\r\n"),
         "HTTP/1.1 431 Request Header Fields Too Large\r\n"},
        {absl::StrCat("GET / HTTP/1.1\r\nHost: a\r\nX: ", std::string(100'000, 'x')),
         "HTTP/1.1 431 Request Header Fields Too Large\r\n"},
        // All of the body is sent before the answer is read: it is not lost in a reset.
        {absl::StrCat("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n", std::string(1'000'000, 'x')),
         "HTTP/1.1 413 Content Too Large\r\n"},
        {"GET / HTTP/2.0\r\n\r\n", "HTTP/1.1 505 HTTP Version Not Supported\r\n"},
    };
    for (const auto& [request, begin] : cases) {
      const std::string answer = co_await Exchange(address, request);
      EXPECT_TRUE(absl::StartsWith(answer, begin)) << answer;
      EXPECT_TRUE(absl::StrContains(answer, "\r\nConnection: close\r\n")) << answer;
    }
    EXPECT_EQ(server.counters().refused, static_cast<int64_t>(cases.size()));
    EXPECT_EQ(server.counters().requests, 0);
  });
}

TEST_P(HttpServerTest, WhatTheParserRefusesIsAnsweredAndClosed) {
  WithServer({}, Echo, [](Server& server, SocketAddress address) -> Task<void> {
    const std::vector<RefusedRequest> all = RefusedRequests();
    for (const RefusedRequest& refused : all) {
      const std::string answer = co_await Exchange(address, refused.bytes);
      EXPECT_TRUE(absl::StartsWith(answer, absl::StrCat("HTTP/1.1 ", refused.status, " ")))
          << refused.what << ": " << answer;
      EXPECT_TRUE(absl::StrContains(answer, "\r\nConnection: close\r\n")) << refused.what << ": " << answer;
    }
    EXPECT_EQ(server.counters().refused, static_cast<int64_t>(all.size()));
    EXPECT_EQ(server.counters().requests, 0);
  });
}

TEST_P(HttpServerTest, WhatOnlyLooksLikeItIsServed) {
  WithServer({}, Echo, [](Server& server, SocketAddress address) -> Task<void> {
    const std::string last = "GET /last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    const std::vector<AcceptedRequest> all = AcceptedRequests();
    for (const AcceptedRequest& accepted : all) {
      const std::string answer = co_await Exchange(address, accepted.bytes + last);
      const std::string body = absl::StrCat(accepted.method, " ", accepted.target, " ", accepted.body);
      EXPECT_TRUE(absl::StartsWith(answer, "HTTP/1.1 200 OK\r\n")) << accepted.what << ": " << answer;
      EXPECT_TRUE(absl::StrContains(answer, absl::StrCat("\r\n\r\n", body))) << accepted.what << ": " << answer;
    }
    EXPECT_EQ(server.counters().refused, 0);
  });
}

TEST_P(HttpServerTest, AHeadHasTheHeadersOfAGetAndNoBody) {
  WithServer({}, Echo, [](Server&, SocketAddress address) -> Task<void> {
    Pool pool(address);
    const Request head{.method = "HEAD"};
    for (int i = 0; i < 2; ++i) {
      const absl::StatusOr<Response> response = co_await pool.Call(head);
      EXPECT_TRUE(response.ok()) << response.status();
      if (!response.ok()) co_return;
      EXPECT_EQ(*response->headers.Find("Content-Length"), "7");  // of "HEAD / "
      EXPECT_EQ(response->body, "");
    }
    EXPECT_EQ(pool.stats().opened, 1);
  });
}

TEST_P(HttpServerTest, AHandlersStatusWithoutABodyIsSentWithout) {
  const auto handler = [](const Request& request) -> Task<Response> {
    co_return Response{.status = request.target == "/none" ? 204 : 304, .body = "body"};
  };
  WithServer({}, handler, [](Server&, SocketAddress address) -> Task<void> {
    const std::string answer = co_await Exchange(
        address, "GET /none HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    EXPECT_EQ(answer, "HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 304 Not Modified\r\nConnection: close\r\n\r\n");
  });
}

// `size` bytes, "abab...", at most three a call, of which `there` can be had; then `end`.
BodySource LettersFrom(uint64_t size, uint64_t there, absl::Status end) {
  return {.size = size,
          .read_at = [there, end](weft::MutableBuffer piece, uint64_t offset) -> Task<absl::StatusOr<size_t>> {
            if (offset >= there && !end.ok()) co_return end;
            const size_t count = std::min<uint64_t>({piece.size(), there - offset, 3});
            for (size_t i = 0; i < count; ++i) piece.data()[i] = (offset + i) % 2 == 0 ? 'a' : 'b';
            co_return count;
          }};
}

TEST_P(HttpServerTest, ABodyFromASourceIsSentPieceByPieceAndTheConnectionIsKept) {
  const auto handler = [](const Request& request) -> Task<Response> {
    const uint64_t size = request.target == "/empty" ? 0 : 10;
    co_return Response{.source = LettersFrom(size, size, absl::OkStatus())};
  };
  WithServer({}, handler, [](Server& server, SocketAddress address) -> Task<void> {
    auto connection = co_await ClientConnection::Connect(address);
    EXPECT_TRUE(connection.ok()) << connection.status();
    if (!connection.ok()) co_return;
    const std::pair<Request, std::string> expected[] = {
        {{.target = "/"}, "ababababab"}, {{.method = "HEAD"}, ""}, {{.target = "/empty"}, ""}, {{}, "ababababab"}};
    for (const auto& [request, body] : expected) {
      const absl::StatusOr<Response> response = co_await connection->Call(request);
      EXPECT_TRUE(response.ok()) << response.status();
      if (response.ok()) {
        EXPECT_EQ(response->body, body);
      }
    }
    EXPECT_EQ(server.counters().connections, 1);
  });
}

TEST_P(HttpServerTest, ASourceThatEndsEarlyOrFailsEndsTheConnection) {
  for (const absl::Status& end : {absl::OkStatus(), absl::DataLossError("the disk is gone")}) {
    const auto handler = [&](const Request&) -> Task<Response> {
      co_return Response{.source = LettersFrom(10, 5, end)};
    };
    WithServer({}, handler, [](Server&, SocketAddress address) -> Task<void> {
      EXPECT_EQ(co_await Exchange(address, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
                "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nababa");
    });
  }
}

TEST_P(HttpServerTest, ARequestThatDoesNotArriveInTimeIs408) {
  WithServer({.request_timeout = absl::Milliseconds(20)}, Echo, [](Server&, SocketAddress address) -> Task<void> {
    const std::string answer = co_await Exchange(address, "GET / HTT");
    EXPECT_TRUE(absl::StartsWith(answer, "HTTP/1.1 408 Request Timeout\r\n")) << answer;
  });
}

TEST_P(HttpServerTest, AConnectionThatStaysIdleIsClosed) {
  WithServer({.idle_timeout = absl::Milliseconds(20)}, Echo, [](Server& server, SocketAddress address) -> Task<void> {
    EXPECT_EQ(co_await Exchange(address, ""), "");
    EXPECT_EQ(server.counters().refused, 0);
  });
}

TEST_P(HttpServerTest, AClientThatWaitsForContinueIsToldTo) {
  WithServer({}, Echo, [](Server&, SocketAddress address) -> Task<void> {
    absl::StatusOr<TcpStream> stream = co_await TcpStream::Connect(address);
    EXPECT_TRUE(stream.ok());
    EXPECT_TRUE(
        (co_await stream->Write(
             "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"))
            .ok());
    const std::string expected = "HTTP/1.1 100 Continue\r\n\r\n";
    std::string got(expected.size(), ' ');
    EXPECT_TRUE((co_await stream->ReadExactly(absl::MakeSpan(got.data(), got.size()))).ok());
    EXPECT_EQ(got, expected);
    EXPECT_TRUE((co_await stream->Write("ok")).ok());
    const std::string answer = co_await ReadToEnd(*stream);
    EXPECT_TRUE(absl::EndsWith(answer, "POST / ok")) << answer;
  });
}

TEST_P(HttpServerTest, TheHandlerIsCancelledWhenTheClientHangsUp) {
  struct Noted {
    weft::Event& event;
    ~Noted() { event.Set(); }
  };
  weft::Event begun;
  weft::Event unwound;
  const auto hold = [&](const Request&) -> Task<Response> {
    Noted noted{unwound};
    begun.Set();
    co_await weft::Sleep(absl::InfiniteDuration());
    co_return Response{};
  };
  WithServer({}, hold, [&](Server& server, SocketAddress address) -> Task<void> {
    Pool pool(address);
    const Request request;
    weft::AwaitAll scope;
    scope.Fork([&]() -> Task<void> { (co_await pool.Call(request)).IgnoreError(); });
    co_await begun.Wait();
    scope.Shutdown();  // the call is cancelled, and its connection closed
    (co_await scope.Join()).IgnoreFailures();
    EXPECT_EQ(pool.stats().open, 0);
    co_await unwound.Wait();
    co_await Until(server.counters().aborted, 1);
  });
}

TEST_P(HttpServerTest, AHangUpIsNoticedBehindAnyNumberOfBytes) {
  weft::Event begun;
  const auto hold = [&](const Request&) -> Task<Response> {
    begun.Set();
    co_await weft::Sleep(absl::InfiniteDuration());
    co_return Response{};
  };
  WithServer({.max_ahead_bytes = 10'000}, hold, [&](Server& server, SocketAddress address) -> Task<void> {
    int64_t aborted = 0;
    for (size_t bytes : {0u, 1u, 1023u, 1024u, 1025u, 9'999u, 10'000u, 10'001u, 3'000'000u}) {
      begun.Reset();
      absl::StatusOr<TcpStream> stream = co_await TcpStream::Connect(address);
      EXPECT_TRUE(stream.ok());
      EXPECT_TRUE((co_await stream->Write("GET / HTTP/1.1\r\nHost: a\r\n\r\n")).ok());
      co_await begun.Wait();
      const std::string more(bytes, 'x');
      EXPECT_TRUE((co_await stream->Write(more)).ok());
      stream->Close();
      co_await Until(server.counters().aborted, ++aborted);
    }
  });
}

TEST_P(HttpServerTest, WhatAClientSendsAheadIsServedUpToALimit) {
  weft::Event answer;
  const auto hold = [&](const Request& request) -> Task<Response> {
    if (request.target == "/first") co_await answer.Wait();
    co_return Response{.body = request.target};
  };
  const std::string first = "GET /first HTTP/1.1\r\nHost: a\r\n\r\n";
  const std::string last = "GET /last HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX: ";
  const std::string end = "\r\n\r\n";
  constexpr size_t kLimit = 5'000;
  constexpr size_t kMoreThanKernelsBuffer = 32 << 20;  // so that much of it has been read when it is written
  WithServer({.max_ahead_bytes = kLimit}, hold, [&](Server& server, SocketAddress address) -> Task<void> {
    for (size_t ahead : {last.size() + end.size(), size_t{1'024}, size_t{1'025}, size_t{3'000}, kLimit,
                         kMoreThanKernelsBuffer}) {
      answer.Reset();
      absl::StatusOr<TcpStream> stream = co_await TcpStream::Connect(address);
      EXPECT_TRUE(stream.ok());
      EXPECT_TRUE((co_await stream->Write(first)).ok());
      const std::string more = last + std::string(ahead - last.size() - end.size(), 'x') + end;
      EXPECT_TRUE((co_await stream->Write(more)).ok());
      answer.Set();
      const std::string answers = co_await ReadToEnd(*stream);
      EXPECT_TRUE(absl::StrContains(answers, "\r\n\r\n/first")) << ahead << ": " << answers;
      // What fits is there whole; what does not is not served at all, and its client told so.
      EXPECT_EQ(absl::EndsWith(answers, "\r\n\r\n/last"), ahead <= kLimit) << ahead << ": " << answers;
      EXPECT_TRUE(absl::StrContains(answers, "\r\nConnection: close\r\n")) << ahead << ": " << answers;
      stream->Close();
      co_await Until(server.counters().connections_open, 0);
    }
  });
}

TEST_P(HttpServerTest, EndDrainEndsWhateverHoldsADrain) {
  struct Holder {
    std::string what;
    std::function<Task<void>(Server&, TcpStream&)> hold;  // returns when the connection holds a drain
  };
  const auto send = [](std::string bytes) {
    return [bytes](Server& server, TcpStream& stream) -> Task<void> {
      EXPECT_TRUE((co_await stream.Write(bytes)).ok());
      if (bytes.starts_with("GET /hold")) co_await Until(server.counters().requests, 1);
      if (bytes.starts_with("NONSENSE")) co_await Until(server.counters().refused, 1);
    };
  };
  const std::vector<Holder> holders = {
      {"a handler", send("GET /hold HTTP/1.1\r\nHost: a\r\n\r\n")},
      {"a handler behind a client that goes on sending",
       send("GET /hold HTTP/1.1\r\nHost: a\r\n\r\n" + std::string(1'000'000, '\n'))},
      {"a head that does not end", send("GET / HTTP/1.1\r\nHo")},
      {"a body that does not end", send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhel")},
      {"a client that does not take its answer", send("GET /large HTTP/1.1\r\nHost: a\r\n\r\n")},
      {"a refused client that stays", send("NONSENSE\r\n\r\n")},
      {"nothing", send("")},
  };
  const auto handler = [&](const Request& request) -> Task<Response> {
    if (request.target == "/large") co_return Response{.body = std::string(64 << 20, 'x')};
    co_await weft::Sleep(absl::InfiniteDuration());
    co_return Response{};
  };
  for (const Holder& holder : holders) {
    auto runtime = weft::Runtime::Create({.parallelism = 2, .io = GetParam()});
    ASSERT_TRUE(runtime.ok()) << runtime.status();
    const auto main = [&]() -> Task<void> {
      auto listener = weft::net::TcpListener::Bind("127.0.0.1:0");
      const SocketAddress address = *listener->local_address();
      const absl::Duration long_time = absl::Hours(1);
      Server server({.idle_timeout = long_time, .request_timeout = long_time, .write_timeout = long_time}, handler);
      weft::Event stop;
      weft::AwaitAll scope;
      auto served = scope.Fork(server.Serve(*listener, stop));
      auto stream = co_await TcpStream::Connect(address);
      co_await Until(server.counters().connections, 1);
      co_await holder.hold(server, *stream);
      stop.Set();
      while ((co_await TcpStream::Connect(address)).ok()) co_await weft::Yield();  // until it drains
      server.EndDrain();
      server.EndDrain();
      const auto joined = co_await scope.JoinFor(kGuard);
      EXPECT_TRUE(joined.has_value()) << holder.what;
      EXPECT_EQ(server.counters().connections_open, 0) << holder.what;
      scope.Shutdown();
      (co_await scope.Join()).IgnoreFailures();
    };
    (*runtime)->Run(main());
  }
}

TEST_P(HttpServerTest, TheDrainFinishesRequestsAndClosesIdleConnections) {
  weft::Event begun;
  weft::Event finish;
  const auto handler = [&](const Request& request) -> Task<Response> {
    if (request.target == "/idle") co_return Response{};
    begun.Set();
    co_await finish.Wait();
    co_return Response{.body = "finished"};
  };
  auto runtime = weft::Runtime::Create({.parallelism = 2, .io = GetParam()});
  ASSERT_TRUE(runtime.ok()) << runtime.status();
  const auto main = [&]() -> Task<void> {
    auto listener = weft::net::TcpListener::Bind("127.0.0.1:0");
    const SocketAddress address = *listener->local_address();
    Server server({}, handler);
    weft::Event stop;
    weft::AwaitAll scope;
    auto served = scope.Fork(server.Serve(*listener, stop));

    auto idle = co_await ClientConnection::Connect(address);
    const Request quick{.target = "/idle"};
    EXPECT_TRUE((co_await idle->Call(quick)).ok());
    auto busy = co_await ClientConnection::Connect(address);
    const Request slow{.target = "/slow"};
    EXPECT_TRUE((co_await busy->Send(slow)).ok());
    co_await begun.Wait();

    stop.Set();
    // The idle connection ends; the other one waits for its answer still.
    const absl::StatusOr<Response> none = co_await idle->Receive();
    EXPECT_TRUE(absl::IsUnavailable(none.status())) << none.status();
    co_await Until(server.counters().connections_open, 1);
    EXPECT_FALSE((co_await TcpStream::Connect(address)).ok());
    finish.Set();
    const absl::StatusOr<Response> answer = co_await busy->Receive();
    EXPECT_TRUE(answer.ok()) << answer.status();
    if (answer.ok()) {
      EXPECT_EQ(answer->body, "finished");
      EXPECT_FALSE(answer->keep_alive);
    }
    (co_await scope.Join()).IgnoreFailures();
    EXPECT_TRUE(served.status().ok()) << served.status();
  };
  (*runtime)->Run(main());
}

TEST_P(HttpServerTest, APoolKeepsToItsLimit) {
  std::atomic<int> running = 0;
  std::atomic<int> most = 0;
  const auto handler = [&](const Request&) -> Task<Response> {
    const int now = ++running;
    for (int seen = most; now > seen && !most.compare_exchange_weak(seen, now);) {
    }
    co_await weft::Yield();
    --running;
    co_return Response{};
  };
  WithServer({}, handler, [&](Server& server, SocketAddress address) -> Task<void> {
    constexpr int kCalls = 50;
    constexpr int64_t kLimit = 3;
    Pool pool(address, {.max_connections = kLimit});
    const Request request;
    weft::ShutdownOnFailure scope;
    for (int i = 0; i < kCalls; ++i)
      scope.Fork([&]() -> Task<absl::Status> { co_return (co_await pool.Call(request)).status(); });
    const absl::Status joined = co_await scope.Join();
    EXPECT_TRUE(joined.ok()) << joined;
    EXPECT_LE(most, kLimit);
    EXPECT_LE(server.counters().connections_peak, kLimit);
    EXPECT_LE(pool.stats().peak_open, kLimit);
    EXPECT_EQ(pool.stats().calls, kCalls);
  });
}

TEST_P(HttpServerTest, AKeptConnectionThatTheServerHasClosedIsReplaced) {
  WithServer({}, Echo, [](Server&, SocketAddress) -> Task<void> {
    // A server that lets its client believe that the connection lives.
    auto listener = weft::net::TcpListener::Bind("127.0.0.1:0");
    weft::Event closed;
    weft::AwaitAll scope;
    scope.Fork([&]() -> Task<void> {
      for (int i = 0; i < 2; ++i) {
        absl::StatusOr<TcpStream> stream = co_await listener->Accept();
        EXPECT_TRUE(stream.ok()) << stream.status();
        char bytes[256];
        EXPECT_TRUE((co_await stream->Read(absl::MakeSpan(bytes))).ok());
        EXPECT_TRUE((co_await stream->Write("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")).ok());
        stream->Close();
        closed.Set();
      }
    });
    Pool pool(*listener->local_address());
    const Request request;
    for (int i = 0; i < 2; ++i) {
      const absl::StatusOr<Response> response = co_await pool.Call(request);
      EXPECT_TRUE(response.ok()) << response.status();
      EXPECT_EQ(pool.stats().open, 1);
      co_await closed.Wait();
    }
    EXPECT_EQ(pool.stats().opened, 2);
    (co_await scope.Join()).IgnoreFailures();
  });
}

// What a client's kernel has of what `stream` has sent: all of it, the end included if that was sent.
Task<void> UntilReceived(const TcpStream& stream, bool finished) {
  for (;;) {
    int unsent = 0;
    tcp_info info = {};
    socklen_t size = sizeof(info);
    EXPECT_EQ(ioctl(stream.native_handle(), SIOCOUTQ, &unsent), 0);
    EXPECT_EQ(getsockopt(stream.native_handle(), IPPROTO_TCP, TCP_INFO, &info, &size), 0);
    if (unsent == 0 && (!finished || info.tcpi_state == TCP_FIN_WAIT2)) co_return;
    co_await weft::Yield();
  }
}

// A server of bytes: to each connection its own, after its first request.
class RawServer {
 public:
  RawServer() : listener_(weft::net::TcpListener::Bind("127.0.0.1:0")) { EXPECT_TRUE(listener_.ok()); }

  SocketAddress address() const { return *listener_->local_address(); }

  Task<TcpStream> AcceptAndRead() {
    absl::StatusOr<TcpStream> stream = co_await listener_->Accept();
    EXPECT_TRUE(stream.ok()) << stream.status();
    co_await ReadRequest(*stream);
    co_return *std::move(stream);
  }
  static Task<void> ReadRequest(TcpStream& stream) {
    std::string request;
    for (char bytes[256]; !absl::EndsWith(request, "\r\n\r\n");) {
      absl::StatusOr<size_t> got = co_await stream.Read(absl::MakeSpan(bytes));
      EXPECT_TRUE(got.ok() && *got > 0);
      if (!got.ok() || *got == 0) co_return;
      request.append(bytes, *got);
    }
  }

 private:
  absl::StatusOr<weft::net::TcpListener> listener_;
};

TEST_P(HttpServerTest, AKeptConnectionWithSomethingToReadIsNotUsedAgain) {
  const std::string answer = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
  struct Case {
    std::string what;
    std::string late;  // comes after the answer
    bool finished;     // and then the end
  };
  for (const Case& late : {Case{"a second answer", answer + "wrong", false}, Case{"a byte", "x", false},
                           Case{"the end", "", true}, Case{"a second answer and the end", answer + "wrong", true}}) {
    WithServer({}, Echo, [&](Server&, SocketAddress) -> Task<void> {
      RawServer raw;
      Pool pool(raw.address());
      const Request request;
      weft::Event answered, is_late;
      weft::AwaitAll scope;
      scope.Fork([&]() -> Task<void> {
        TcpStream first = co_await raw.AcceptAndRead();
        EXPECT_TRUE((co_await first.Write(answer + "first")).ok());
        co_await answered.Wait();
        EXPECT_TRUE((co_await first.Write(late.late)).ok());
        if (late.finished) {
          EXPECT_TRUE(first.ShutdownWrite().ok());
        }
        co_await UntilReceived(first, late.finished);
        is_late.Set();
        TcpStream second = co_await raw.AcceptAndRead();
        EXPECT_TRUE((co_await second.Write(answer + "right")).ok());
      });
      absl::StatusOr<Response> response = co_await pool.Call(request);
      EXPECT_TRUE(response.ok() && response->body == "first") << late.what;
      answered.Set();
      co_await is_late.Wait();
      response = co_await pool.Call(request);
      EXPECT_TRUE(response.ok() && response->body == "right") << late.what;
      EXPECT_EQ(pool.stats().opened, 2) << late.what;
      EXPECT_EQ(pool.stats().open, 1) << late.what;
      (co_await scope.Join()).IgnoreFailures();
    });
  }
}

TEST_P(HttpServerTest, WhatIsNoResponseIsAnErrorAndTheConnectionIsNotKept) {
  WithServer({}, Echo, [](Server&, SocketAddress) -> Task<void> {
    RawServer raw;
    Pool pool(raw.address());
    const Request request{.method = "POST"};
    for (const BadResponse& bad : BadResponses()) {
      weft::AwaitAll scope;
      scope.Fork([&]() -> Task<void> {
        TcpStream stream = co_await raw.AcceptAndRead();
        EXPECT_TRUE((co_await stream.Write(bad.bytes)).ok());
      });
      const absl::StatusOr<Response> response = co_await pool.Call(request);
      EXPECT_TRUE(absl::IsDataLoss(response.status()) || absl::IsUnavailable(response.status()))
          << bad.what << ": " << response.status();
      EXPECT_EQ(pool.stats().open, 0) << bad.what;
      (co_await scope.Join()).IgnoreFailures();
    }
  });
}

TEST_P(HttpServerTest, AResponseWithoutABodyLeavesTheConnectionToTheNext) {
  WithServer({}, Echo, [](Server&, SocketAddress) -> Task<void> {
    for (const GoodResponse& good : GoodResponses()) {
      RawServer raw;
      Pool pool(raw.address());
      weft::AwaitAll scope;
      scope.Fork([&]() -> Task<void> {
        TcpStream stream = co_await raw.AcceptAndRead();
        EXPECT_TRUE((co_await stream.Write(good.bytes)).ok());
        co_await RawServer::ReadRequest(stream);
        EXPECT_TRUE((co_await stream.Write(good.bytes)).ok());
      });
      const Request request{.method = good.to_head ? "HEAD" : "GET"};
      for (int i = 0; i < 2; ++i) {
        const absl::StatusOr<Response> response = co_await pool.Call(request);
        EXPECT_TRUE(response.ok()) << good.what << ": " << response.status();
        if (!response.ok()) co_return;
        EXPECT_EQ(response->status, good.status) << good.what;
        EXPECT_EQ(response->body, good.body) << good.what;
      }
      EXPECT_EQ(pool.stats().opened, 1) << good.what;
      (co_await scope.Join()).IgnoreFailures();
    }
  });
}

TEST_P(HttpServerTest, AReceiveGoesOnWhereTheOneBeforeWasCancelled) {
  WithServer({}, Echo, [](Server&, SocketAddress) -> Task<void> {
    const std::string answer = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n";
    RawServer raw;
    weft::Event sent, cancelled;
    weft::AwaitAll scope;
    scope.Fork([&]() -> Task<void> {
      TcpStream stream = co_await raw.AcceptAndRead();
      // So that one read takes both the end of the first answer and the beginning of the second.
      EXPECT_TRUE((co_await stream.Write(absl::StrCat(answer, "first.", answer.substr(0, 20)))).ok());
      co_await UntilReceived(stream, /*finished=*/false);
      sent.Set();
      co_await RawServer::ReadRequest(stream);
      co_await cancelled.Wait();
      EXPECT_TRUE((co_await stream.Write(absl::StrCat(answer.substr(20), "second"))).ok());
    });
    absl::StatusOr<ClientConnection> connection = co_await ClientConnection::Connect(raw.address());
    const Request request;
    EXPECT_TRUE((co_await connection->Send(request)).ok());
    co_await sent.Wait();
    EXPECT_TRUE((co_await connection->Send(request)).ok());
    absl::StatusOr<Response> response = co_await connection->Receive();
    EXPECT_TRUE(response.ok() && response->body == "first.") << response.status();
    for (int i = 0; i < 2; ++i) {
      response = co_await weft::WithTimeout(absl::ZeroDuration(), connection->Receive());
      EXPECT_TRUE(absl::IsDeadlineExceeded(response.status())) << response.status();
    }
    cancelled.Set();
    response = co_await connection->Receive();
    EXPECT_TRUE(response.ok() && response->body == "second") << response.status();
    EXPECT_TRUE(connection->reusable());
    (co_await scope.Join()).IgnoreFailures();
  });
}

TEST_P(HttpServerTest, WhatIsNotOneRequestIsNotSent) {
  WithServer({}, Echo, [](Server& server, SocketAddress address) -> Task<void> {
    Pool pool(address);
    const Request two{.target = "/ HTTP/1.1\r\nHost: a\r\n\r\nGET /second"};
    EXPECT_TRUE(absl::IsInvalidArgument((co_await pool.Call(two)).status()));
    absl::StatusOr<ClientConnection> connection = co_await ClientConnection::Connect(address);
    EXPECT_TRUE(absl::IsInvalidArgument((co_await connection->Call(two)).status()));
    const Request one{.target = "/one"};
    EXPECT_EQ((co_await connection->Call(one))->body, "GET /one ");
    EXPECT_EQ(server.counters().requests, 1);
  });
}

TEST_P(HttpServerTest, AServerThatIsNotThereIsUnavailable) {
  WithServer({}, Echo, [](Server&, SocketAddress) -> Task<void> {
    auto gone = weft::net::TcpListener::Bind("127.0.0.1:0");
    Pool pool(*gone->local_address());
    gone->Close();
    const Request request;
    const absl::StatusOr<Response> response = co_await pool.Call(request);
    EXPECT_TRUE(absl::IsUnavailable(response.status())) << response.status();
    EXPECT_EQ(pool.stats().open, 0);
  });
}

}  // namespace
}  // namespace http

// An HTTP/1.1 server: one virtual thread per connection, which serves its requests one after the other.
//
//   http::Server server({}, [](const http::Request& request) -> weft::Task<http::Response> { ... });
//   absl::Status ended = co_await server.Serve(*listener, stop);     // until stop.Set(), then drains
//
// The handler runs as a virtual thread of its own. It is cancelled if the client hangs up before it has its answer;
// finishing the sending half counts as hanging up. If the handler throws, the answer is 500.
//
// The server answers some requests without the handler, and closes the connection: 400 malformed, 408 too slow, 413 and
// 431 too large, 501 an unknown coding, 505 a version other than 1.0 and 1.1. A client that sends requests without
// waiting (pipelining) gets its answers in their order. While a handler runs, the server reads what the client sends,
// so that it sees a hang-up behind it, and keeps up to max_ahead_bytes. If the client sends more, the rest is dropped,
// and the connection is closed after the answer.
//
// HTTPS is the same over TLS. `open` makes a stream of each connection that was accepted:
//
//   http::Server server({.open = [context](TcpStream accepted) -> Task<absl::StatusOr<http::AnyStream>> {
//     absl::StatusOr<weft::tls::Stream> stream = co_await weft::tls::Server(std::move(accepted), context);
//     if (!stream.ok()) co_return stream.status();
//     co_return http::AnyStream(*std::move(stream));
//   }}, handler);
//
// Drain: the server accepts no more connections and closes those that are between requests. Requests that have begun to
// arrive finish, each within its time limits. Serve() returns when all connections have ended. EndDrain() ends them
// all; one that was opened may take 2 s to say its end.
#ifndef WEFT_EXAMPLES_HTTP_SERVER_H_
#define WEFT_EXAMPLES_HTTP_SERVER_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <stop_token>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "examples/http/any_stream.h"
#include "examples/http/message.h"
#include "examples/http/parser.h"
#include "weft/stop_token.h"
#include "weft/weft.h"

namespace http {

struct ServerOptions {
  Limits limits{};
  int64_t max_connections = 10'000;                    // more wait in the kernel's backlog
  size_t max_ahead_bytes = 64 * 1024;                  // of requests behind the one that is answered, a connection
  absl::Duration idle_timeout = absl::Seconds(60);     // between requests
  absl::Duration request_timeout = absl::Seconds(10);  // from a request's first byte to its last
  absl::Duration write_timeout = absl::Seconds(10);    // for the answer to be taken, or 64 KiB of its source
  // What makes a stream of a connection, within request_timeout. Empty: HTTP runs over the connection itself. A
  // connection of which it makes none is closed.
  std::function<weft::Task<absl::StatusOr<AnyStream>>(weft::net::TcpStream accepted)> open = nullptr;
};

// What a server has done so far. Any thread may read.
struct ServerCounters {
  std::atomic<int64_t> connections = 0;  // accepted, and opened
  std::atomic<int64_t> connections_open = 0;
  std::atomic<int64_t> connections_peak = 0;  // open at once
  std::atomic<int64_t> requests = 0;          // given to the handler
  std::atomic<int64_t> aborted = 0;           // of these, cancelled because the client hung up
  std::atomic<int64_t> refused = 0;           // answered without the handler
};

class Server {
 public:
  // The request stays until the handler's task has ended.
  using Handler = std::function<weft::Task<Response>(const Request& request)>;

  Server(ServerOptions options, Handler handler);
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // Serves until `stop` is set or accepting fails, then drains. Closes the listener. Once.
  weft::Task<absl::Status> Serve(weft::net::TcpListener& listener, weft::Event& stop);

  // Serves one connection over any stream, as if it had been accepted and opened, until it ends. If this is cancelled,
  // the request in progress is finished. For tests in memory, and for connections that come in another way.
  weft::Task<void> ServeConnection(AnyStream stream);

  // Cancels the requests in progress, handlers too, and closes the connections, now and of those that come later. For a
  // drain that takes too long. Any thread; idempotent.
  void EndDrain() { end_drain_.request_stop(); }

  const ServerCounters& counters() const { return counters_; }

 private:
  class Connection;
  template <class Stream>
  class ConnectionOver;

  weft::Task<absl::Status> Accept(weft::net::TcpListener& listener, weft::AwaitAll& connections);
  weft::Task<void> OpenAndServe(weft::net::TcpStream accepted);
  template <class Stream>
  weft::Task<void> ServeOver(Stream stream);
  weft::Task<bool> ServeRequest(Connection& connection);
  weft::Task<bool> ReadAndAnswer(Connection& connection);
  weft::Task<bool> Handle(Connection& connection, const Request& request);
  weft::Task<bool> Send(Connection& connection, const Response& response, bool head_only);
  weft::Task<void> Refuse(Connection& connection, int status, std::string reason);
  weft::Task<void> Linger(Connection& connection);

  const ServerOptions options_;
  const Handler handler_;
  weft::Semaphore permits_;
  std::atomic<bool> draining_ = false;
  std::stop_source end_drain_;
  ServerCounters counters_;
};

}  // namespace http

#endif  // WEFT_EXAMPLES_HTTP_SERVER_H_

// Answers every request with a greeting, by the server of examples/http, which parses with llhttp. The answer has the
// headers that Go's net/http sends by itself. It serves until it is killed. WEFT_IO chooses the backend.
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "benchmarks/io/listen.h"
#include "examples/http/message.h"
#include "examples/http/server.h"
#include "weft/weft.h"

namespace weft::benchmarks {
namespace {

// The time as HTTP writes it, made once a second for each OS thread, like every server's.
const std::string& Date() {
  thread_local time_t made_at = -1;
  thread_local std::string date;
  const absl::Time now = absl::Now();
  if (const time_t second = absl::ToTimeT(now); second != made_at) {
    date = absl::FormatTime("%a, %d %b %Y %H:%M:%S GMT", now, absl::UTCTimeZone());
    made_at = second;
  }
  return date;
}

Task<http::Response> Greet(const http::Request&) {
  http::Response response{.body = "Hello, world!\n"};
  response.headers.Add("Date", Date());
  response.headers.Add("Content-Type", "text/plain; charset=utf-8");
  co_return response;
}

Task<absl::Status> Serve() {
  absl::StatusOr<net::TcpListener> listener = ListenAndSay();
  if (!listener.ok()) co_return listener.status();
  http::Server server({}, Greet);
  Event never;
  co_return co_await server.Serve(*listener, never);
}

}  // namespace
}  // namespace weft::benchmarks

int main() { return weft::RunMain(weft::benchmarks::Serve()); }

// A server with one virtual thread per connection, and as many connections as there are descriptors for. Each has a
// context and two seconds to be served. A connection that is late gets a last word before it is closed. SIGTERM and
// SIGINT end the server when those that are there have been served.
//
// For each line that a client sends, the server answers how long the line is and where it came from.
#include <signal.h>

#include <atomic>
#include <cstdio>
#include <string>
#include <utility>

#include "absl/flags/flag.h"
#include "absl/flags/parse.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "examples/most_connections.h"
#include "weft/signal.h"
#include "weft/weft.h"

ABSL_FLAG(std::string, listen, "127.0.0.1:8080", "address to listen on; port 0 lets the kernel choose");
ABSL_FLAG(absl::Duration, timeout, absl::Seconds(2), "how long a connection is served");

namespace {

struct RequestContext {
  int number = 0;
  std::string peer;

  static RequestContext From(const weft::net::TcpStream& stream) {
    static std::atomic<int> requests = 0;
    absl::StatusOr<weft::net::SocketAddress> peer = stream.peer_address();
    return {++requests, peer.ok() ? peer->ToString() : "somebody who has gone"};
  }
};

void Announce(const weft::net::TcpListener& listener) {
  absl::StatusOr<weft::net::SocketAddress> address = listener.local_address();
  if (!address.ok()) return;
  std::printf("listening on %s\n", address->ToString().c_str());
  std::fflush(stdout);
}

weft::Task<absl::Status> Serve(weft::net::TcpStream& stream);
weft::Task<void> Reject(weft::net::TcpStream& stream, absl::Status why);

// clang-format off
//! [server]
weft::ScopedValue<RequestContext> kRequest;            // immutable, inherited by forks, gone when the binding ends

weft::Task<void> Handle(weft::net::TcpStream stream) {
  weft::ScopedBinding request(kRequest, RequestContext::From(stream));
  // kDeadlineExceeded: Serve was unwound.
  absl::Status done = co_await weft::WithTimeout(absl::GetFlag(FLAGS_timeout), Serve(stream));
  if (!done.ok()) co_await weft::Shield(Reject(stream, done));  // not cancelled with us; it has a limit of its own
}

// Until a signal asks for the end. A second one has its default action.
weft::Task<absl::Status> Terminated(weft::Signals signals) {
  co_await signals.Next();
  co_return absl::OkStatus();
}

weft::Task<absl::Status> Accept(weft::net::TcpListener& listener, weft::Semaphore& connections,
                                weft::AwaitAll& handlers) {
  while (true) {
    auto permit = co_await connections.Acquire();      // released by its destructor, on every path
    auto stream = co_await listener.Accept();          // waits if descriptors are short all the same
    if (!stream.ok()) co_return stream.status();       // an error here is the end of the listener
    handlers.Fork([p = std::move(permit), s = *std::move(stream)]() mutable -> weft::Task<void> {
      co_await Handle(std::move(s));
    });
  }
}

weft::Task<absl::Status> Main() {
  auto listener = weft::net::TcpListener::Bind(absl::GetFlag(FLAGS_listen));
  if (!listener.ok()) co_return listener.status();
  weft::Signals signals({SIGINT, SIGTERM});
  Announce(*listener);
  weft::Semaphore connections(MostConnections());      // further ones wait in the backlog
  weft::AwaitAll handlers;                             // finished children are freed at once: a server's scope
  absl::Status stopped = co_await weft::Race(Accept(*listener, connections, handlers),
                                             Terminated(std::move(signals)));
  listener->Close();                                   // whoever connects now is refused
  (co_await handlers.Join()).IgnoreFailures();         // requests in flight finish; Shutdown() first would cancel them
  co_return stopped;
}
//! [server]
// clang-format on

weft::Task<absl::Status> Serve(weft::net::TcpStream& stream) {
  std::string line;
  for (char bytes[512];;) {
    absl::StatusOr<size_t> got = co_await stream.Read(absl::MakeSpan(bytes));
    if (!got.ok()) co_return got.status();
    if (*got == 0) co_return absl::OkStatus();
    for (char byte : absl::MakeSpan(bytes, *got)) {
      if (byte != '\n') {
        line += byte;
        continue;
      }
      const RequestContext& request = kRequest.Get();  // bound by Handle(), two calls up
      const std::string reply =
          absl::StrCat("request ", request.number, " from ", request.peer, ": ", line.size(), " bytes\n");
      line.clear();
      if (absl::Status sent = co_await stream.Write(reply); !sent.ok()) co_return sent;
    }
    if (line.size() > 4096) co_return absl::OutOfRangeError("a line of more than 4,096 bytes");
  }
}

weft::Task<void> Reject(weft::net::TcpStream& stream, absl::Status why) {
  // If the client does not listen, the end of the connection is its answer.
  const std::string answer = absl::StrCat("rejected: ", why.ToString(), "\n");
  (co_await weft::WithTimeout(absl::Seconds(1), stream.Write(answer))).IgnoreError();
}

}  // namespace

int main(int argc, char** argv) {
  absl::ParseCommandLine(argc, argv);
  return weft::RunMain(Main());  // one carrier per CPU
}

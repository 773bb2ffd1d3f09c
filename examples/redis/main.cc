// A server that redis-cli and redis-benchmark take for Redis, as far as it goes (commands.h).
//
//   ./bazelw run //examples:redis -- --listen=127.0.0.1:6379
//   redis-cli SET color green EX 60
//
// SIGINT and SIGTERM end it well: what was executed is answered (server.h). Exit status 0.
#include <signal.h>

#include <cstdio>
#include <string>

#include "absl/flags/flag.h"
#include "absl/flags/parse.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "examples/most_connections.h"
#include "examples/redis/server.h"
#include "examples/redis/store.h"
#include "weft/signal.h"
#include "weft/weft.h"

ABSL_FLAG(absl::Duration, timeout, absl::Minutes(5), "for a client's next command to arrive, whole; inf: no limit");
ABSL_FLAG(std::string, listen, "127.0.0.1:6379", "address to listen on; port 0 lets the kernel choose");

namespace {

weft::Task<absl::Status> Main() {
  auto listener = weft::net::TcpListener::Bind(absl::GetFlag(FLAGS_listen));
  if (!listener.ok()) co_return listener.status();
  auto address = listener->local_address();
  if (!address.ok()) co_return address.status();

  redis::Store store;
  weft::Signals signals({SIGINT, SIGTERM});
  weft::ShutdownOnFailure scope;
  scope.Fork(redis::Serve(*listener, store,
                          {.max_connections = MostConnections(), .idle_timeout = absl::GetFlag(FLAGS_timeout)}));
  scope.Fork([&]() -> weft::Task<void> {
    co_await signals.Next();
    scope.Shutdown("a signal");
  });
  std::printf("listening on %s\n", address->ToString().c_str());
  std::fflush(stdout);
  co_return co_await scope.Join();
}

}  // namespace

int main(int argc, char** argv) {
  absl::ParseCommandLine(argc, argv);
  return weft::RunMain(Main());
}

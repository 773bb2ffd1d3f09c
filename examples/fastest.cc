// The same question to several servers; the first answer counts.
#include <atomic>
#include <cstdio>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "weft/weft.h"

namespace {

struct Server {
  std::string name;
  absl::Duration latency;
};
struct Request {
  std::string item;
};
struct Quote {
  std::string server;
  int cents = 0;
};

const std::vector<Server> servers = {
    {"silent", absl::InfiniteDuration()},
    {"near", absl::Milliseconds(5)},
    {"far", absl::Hours(1)},
};

std::atomic<int> calls_in_progress = 0;

// Counts a call from its first line until its locals are destroyed, whichever way it ends.
struct InProgress {
  InProgress() { ++calls_in_progress; }
  ~InProgress() { --calls_in_progress; }
};

// By value: a forked task outlives the statement that made it.
weft::Task<Quote> Ask(Server server, Request request) {
  InProgress call;
  co_await weft::Sleep(server.latency);
  co_return Quote{server.name, static_cast<int>(request.item.size()) * 100};
}

// clang-format off
//! [fastest]
weft::Task<Quote> Fastest(Request r) {
  weft::ShutdownOnSuccess<Quote> scope;
  for (const Server& s : servers) scope.Fork(Ask(s, r));
  co_return (co_await scope.Join()).value();           // losers are cancelled AND have ended when Join returns
}
//! [fastest]
// clang-format on

weft::Task<absl::Status> Main() {
  Quote quote = co_await Fastest({"thread"});
  std::printf("%s answered first: %d cents\n", quote.server.c_str(), quote.cents);
  std::printf("calls still in progress: %d\n", calls_in_progress.load());
  co_return absl::OkStatus();
}

}  // namespace

int main() { return weft::RunMain(Main()); }

// Very many connections, one after the other and thousands at once. Goal: each is served, or broken by a reset of its
// own client; afterwards no descriptor, operation or virtual thread is left, and the memory has not grown with the
// number of connections. Method: a Weft server that echoes, on each backend, and a plain client in another process, of
// whose connections half end by a reset. (Row K2)
//
// WEFT_CHURN_CONNECTIONS and WEFT_CHURN_AT_ONCE override their numbers.
#include <gtest/gtest.h>
#include <stdlib.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <iostream>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "tests/stress/memory_use.h"
#include "tests/stress/plain_client.h"
#include "tests/support/proof_row.h"
#include "weft/errno.h"
#include "weft/io/readiness.h"
#include "weft/testing/census.h"
#include "weft/weft.h"

namespace weft::testing {
namespace {

constexpr size_t kEchoBytes = 64;
// What the memory may grow by between a quarter of the connections and all of them: what allocators keep in places that
// they come to only then. A leak of 16 bytes a connection would be 12 MB of a million.
constexpr int64_t kMostGrowthBytes = 4 << 20;

int64_t NumberFrom(const char* variable, int64_t otherwise) {
  const char* const text = ::getenv(variable);
  return text != nullptr ? ::atoll(text) : otherwise;
}

// One carrier counts; or another one that stands in for it, for a while, where the machine holds it up.
struct Served {
  std::atomic<int64_t> accepted = 0;
  std::atomic<int64_t> ended = 0;   // by the client's end
  std::atomic<int64_t> reset = 0;   // by a reset
  std::atomic<int64_t> failed = 0;  // otherwise
  std::atomic<int64_t> open = 0;
  std::atomic<int64_t> most_open = 0;  // written by one thread
  std::atomic<int64_t> resident_at_quarter = 0;
};

void CountEnd(const absl::Status& status, Served& served) {
  const int error = ErrnoOf(status);
  if (error == ECONNRESET || error == EPIPE) {
    ++served.reset;
  } else {
    ++served.failed;
    ADD_FAILURE() << status;
  }
}

Task<void> Echo(net::TcpStream stream, Served& served) {
  struct Open {
    Served& served;
    ~Open() { --served.open; }
  } const open{served};
  char buffer[kEchoBytes];
  for (;;) {
    const absl::StatusOr<size_t> got = co_await stream.Read(absl::MakeSpan(buffer));
    if (got.ok() && *got == 0) {
      ++served.ended;
      co_return;
    }
    const absl::Status sent =
        got.ok() ? co_await stream.Write(absl::string_view(buffer, *got)) : got.status();
    if (!sent.ok()) {
      CountEnd(sent, served);
      co_return;
    }
  }
}

Task<absl::Status> Accept(net::TcpListener& listener, AwaitAll& connections, int64_t quarter, Served& served) {
  for (;;) {
    absl::StatusOr<net::TcpStream> stream = co_await listener.Accept();
    if (!stream.ok()) co_return stream.status();
    served.most_open = std::max<int64_t>(served.most_open, ++served.open);
    if (++served.accepted == quarter) served.resident_at_quarter = MemoryUse::Now().resident;
    connections.Fork(Echo(*std::move(stream), served));
  }
}

// Until the client has ended.
Task<absl::Status> Serve(net::TcpListener& listener, const PlainClient& client, int64_t quarter, Served& served) {
  AwaitAll connections;
  ShutdownOnFailure accepting;
  accepting.Fork(Accept(listener, connections, quarter, served));
  accepting.Fork([&]() -> Task<absl::Status> {
    absl::Status ended = co_await io::WaitReadable(client.done());
    accepting.Shutdown();
    co_return ended;
  });
  const absl::Status served_until_end = co_await accepting.Join();
  listener.Close();  // what was reset before it was accepted may still be in the backlog
  (co_await connections.Join()).IgnoreFailures();
  co_return served_until_end;
}

class ChurnTest : public ::testing::TestWithParam<IoBackend> {};

TEST_P(ChurnTest, EveryConnectionIsServedOrResetAndNothingIsLeft) {
  const int64_t connections = NumberFrom("WEFT_CHURN_CONNECTIONS", 20'000);
  const int64_t at_once = NumberFrom("WEFT_CHURN_AT_ONCE", 500);
  const std::string what = GetParam() == IoBackend::kUring ? "connections that echo, io_uring"
                                                           : "connections that echo, epoll";
  ProofRow row("K2", what);
  const Census before = Census::Take();
  {
    absl::StatusOr<net::TcpListener> listener = net::TcpListener::Bind("127.0.0.1:0");
    ASSERT_TRUE(listener.ok()) << listener.status();
    PlainClient client({.port = listener->local_address()->port(),
                        .connections = connections,
                        .at_once = static_cast<int>(at_once),
                        .request = std::string(kEchoBytes, 'x'),
                        .answer = std::string(kEchoBytes, 'x'),
                        .resets = true});
    const absl::StatusOr<std::unique_ptr<Runtime>> runtime = Runtime::Create({.parallelism = 1, .io = GetParam()});
    ASSERT_TRUE(runtime.ok()) << runtime.status();
    (*runtime)->Run(Sleep(absl::ZeroDuration()));
    const Census started = Census::Take();
    Served served;
    client.Go();
    const absl::Status done = (*runtime)->Run(Serve(*listener, client, connections / 4, served));
    const MemoryUse at_end = MemoryUse::Now();
    EXPECT_TRUE(done.ok()) << done;
    const ClientReport report = client.Finish();
    row.AddRuns(report.answered + report.reset);

    EXPECT_EQ(report.answered, connections - connections / 4) << report;
    EXPECT_EQ(report.answered + report.reset, connections) << report;
    EXPECT_EQ(report.most, at_once) << report;
    EXPECT_EQ(served.accepted, served.ended + served.reset);
    EXPECT_GE(served.accepted, report.answered);
    EXPECT_LE(served.accepted, connections);
    EXPECT_EQ(served.failed, 0);
    EXPECT_EQ(served.open, 0);
    if (!at_end.is_sanitizers()) EXPECT_LE(at_end.resident - served.resident_at_quarter, kMostGrowthBytes);
    const Census after = Census::Take();
    EXPECT_EQ(after.virtual_threads, started.virtual_threads);
    EXPECT_EQ(after.operations, started.operations);
    std::cout << report << "; accepted " << served.accepted << ", " << served.most_open << " at once, ended by a reset "
              << served.reset << "; resident " << served.resident_at_quarter << " bytes at a quarter, "
              << at_end.resident << " at the end\n";
  }
  EXPECT_EQ(Census::Take(), before);
}

INSTANTIATE_TEST_SUITE_P(Backends, ChurnTest, ::testing::Values(IoBackend::kUring, IoBackend::kEpoll),
                         [](const auto& test) { return test.param == IoBackend::kUring ? "Uring" : "Epoll"; });

}  // namespace
}  // namespace weft::testing

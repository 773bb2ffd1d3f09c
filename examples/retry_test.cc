// A client and a server under test, on a machine in memory whose network fails for a minute. That minute takes no time:
// a hundred seeds, each with delays and an order of its own, take less than a second.
#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "weft/io/buffered_reader.h"
#include "weft/testing/machine.h"
#include "weft/testing/simulation.h"
#include "weft/weft.h"

namespace {

using weft::Task;
using weft::net::SocketAddress;
using weft::net::TcpListener;
using weft::net::TcpStream;

Task<absl::Status> Serve(TcpListener& listener) {
  while (true) {
    absl::StatusOr<TcpStream> client = co_await listener.Accept();
    if (!client.ok()) co_return client.status();
    (co_await client->Write("hello\n")).IgnoreError();
  }
}

Task<absl::StatusOr<std::string>> Ask(SocketAddress server) {
  absl::StatusOr<TcpStream> stream = co_await TcpStream::Connect(server);
  if (!stream.ok()) co_return stream.status();
  weft::io::BufferedReader in(*stream);
  const absl::StatusOr<std::string_view> line = co_await in.ReadLine();
  if (!line.ok()) co_return line.status();
  co_return std::string(*line);
}

// clang-format off
//! [retry]
Task<std::string> AskUntilAnswered(SocketAddress server) {
  while (true) {
    auto answer = co_await weft::WithTimeout(absl::Seconds(5), Ask(server));
    if (answer.ok()) co_return *std::move(answer);
    co_await weft::Sleep(absl::Seconds(1));
  }
}

Task<void> ServeAndAsk(weft::testing::Machine& machine) {
  TcpListener listener = *TcpListener::Bind("10.0.0.1:80");
  weft::AwaitAll scope;
  scope.ForkDaemon(Serve(listener));
  machine.Disconnect("10.0.0.1");
  scope.Fork([&]() -> Task<void> {
    const absl::Time begun = weft::Now();
    EXPECT_EQ(co_await AskUntilAnswered(*listener.local_address()), "hello");
    EXPECT_GE(weft::Now() - begun, absl::Minutes(1));  // of virtual time
  });
  co_await weft::Sleep(absl::Minutes(1));
  machine.Heal();
  (co_await scope.Join()).IgnoreFailures();            // if nobody could go on: a report of who waits for what
}

TEST(RetryTest, AClientOutlivesANetworkThatFailsForAMinute) {
  for (uint64_t seed = 1; seed <= 100; ++seed) {       // the delays, and who runs when
    weft::testing::Machine machine({.seed = seed});    // its network, and its disk
    weft::testing::Simulation({.carriers = 2, .seed = seed, .machine = &machine}).Run(ServeAndAsk(machine));
  }
}
//! [retry]
// clang-format on

}  // namespace

// The Redis of the examples as a whole, on a simulated machine. Goal: whatever the network does, a command that was
// answered was executed once, one that was not was executed at most once, and the server serves on, drains, and leaves
// nothing open. Method: clients that count together, under seeds, with short reads, failing calls, connections that
// break and a host that is cut off now and then.
#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/numbers.h"
#include "absl/time/time.h"
#include "examples/redis/server.h"
#include "examples/redis/store.h"
#include "weft/io/buffered_reader.h"
#include "weft/testing/machine.h"
#include "weft/testing/simulation.h"
#include "weft/weft.h"

namespace redis {
namespace {

using weft::Task;
using weft::net::TcpListener;
using weft::net::TcpStream;

constexpr char kServer[] = "10.0.0.1:6379";
constexpr int kClients = 8;
constexpr int kIncrements = 20;  // that each client gets an answer to

struct Counts {
  int64_t asked = 0;
  int64_t answered = 0;
};

// Counts until it has had `wanted` answers, or the connection fails.
Task<absl::Status> CountOn(TcpStream& stream, int& wanted, Counts& counts) {
  weft::io::BufferedReader reader(stream);
  for (; wanted > 0; --wanted) {
    ++counts.asked;
    if (absl::Status sent = co_await stream.Write("INCR counter\r\n"); !sent.ok()) co_return sent;
    const absl::StatusOr<std::string_view> line = co_await reader.ReadLine();
    if (!line.ok()) co_return line.status();
    EXPECT_EQ(line->substr(0, 1), ":") << *line;
    ++counts.answered;
  }
  co_return absl::OkStatus();
}

Task<void> Count(Counts& counts) {
  int wanted = kIncrements;
  while (wanted > 0) {
    absl::StatusOr<TcpStream> stream = co_await TcpStream::Connect(kServer);
    if (stream.ok()) {
      // A server that has gone on without it says nothing.
      (co_await weft::WithTimeout(absl::Seconds(30), CountOn(*stream, wanted, counts))).IgnoreError();
    }
    if (wanted > 0) co_await weft::Sleep(absl::Milliseconds(10));
  }
}

// Every 47 ms, which divides no interval at which TCP sends again: otherwise that may be cut off each time.
Task<void> CutOffNowAndThen(weft::testing::Machine& machine) {
  for (;;) {
    co_await weft::Sleep(absl::Milliseconds(37));
    machine.Disconnect("10.0.0.1");
    co_await weft::Sleep(absl::Milliseconds(10));
    machine.Heal();
  }
}

Task<Counts> ServeAndCount(weft::testing::Machine& machine) {
  absl::StatusOr<TcpListener> listener = TcpListener::Bind(kServer);
  while (!listener.ok()) listener = TcpListener::Bind(kServer);
  Store store;
  Counts counts;
  weft::ShutdownOnFailure serving;
  serving.Fork(Serve(*listener, store, {.max_connections = 4}));
  weft::AwaitAll weather;
  weather.Fork(CutOffNowAndThen(machine));
  weft::AwaitAll counting;
  for (int i = 0; i < kClients; ++i) counting.Fork(Count(counts));
  (co_await counting.Join()).IgnoreFailures();
  weather.Shutdown();
  (co_await weather.Join()).IgnoreFailures();
  machine.Heal();
  serving.Shutdown();
  absl::Status served = co_await serving.Join();
  EXPECT_TRUE(served.ok()) << served;
  EXPECT_EQ(counts.answered, kClients * kIncrements);
  int64_t value = 0;
  const auto text = store.Get("counter");
  EXPECT_TRUE(text.has_value() && absl::SimpleAtoi(*text, &value));
  EXPECT_GE(value, counts.answered);
  EXPECT_LE(value, counts.asked);
  co_return counts;
}

TEST(RedisSeedsTest, WhatIsAnsweredIsCountedOnceAndTheRestAtMostOnce) {
  constexpr uint64_t kSeeds = 100;
  int64_t unanswered = 0;
  for (uint64_t seed = 1; seed <= kSeeds && !HasFailure(); ++seed) {
    SCOPED_TRACE(seed);
    weft::testing::Machine machine({.seed = seed, .short_transfers = 0.2, .faults = 0.005});
    weft::testing::Simulation simulation(
        {.carriers = static_cast<int>(seed % 3) + 1, .seed = seed, .machine = &machine});
    const Counts counts = simulation.Run(ServeAndCount(machine));
    unanswered += counts.asked - counts.answered;
    EXPECT_EQ(machine.open_descriptors(), 2) << "beside the runtime's own:\n" << machine.DescribeOpen();
  }
  EXPECT_GT(unanswered, 100) << "the network was kind";
}

}  // namespace
}  // namespace redis

// Goal: nobody who is runnable waits longer than two rounds of those who were runnable with it, whatever made it
// runnable; and nothing runnable stays behind a thread that computes.
//
// Method for the first: simulations of one to four carriers under several seeds, where time is counted in turns. In
// some a turn takes so long that a carrier looks at everything that it serves between any two. Each scenario keeps more
// threads runnable than a deque holds before it grows, some of them yielding for ever, and counts, from the moment at
// which a thread becomes runnable until it runs, the turns of the carrier that has made the most: two rounds are two
// turns for each thread of the scenario that can be runnable.
//
// Method for the second: OS threads. Threads keep every carrier busy; one forks children, and computes until they have
// run. It hangs if they never do. And what this costs idle carriers: how often an OS thread of the process goes to
// sleep.
#include <gtest/gtest.h>

#include <sys/resource.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "lib/base/fence.h"
#include "lib/runtime/duties.h"
#include "tests/runtime/fairness.h"
#include "tests/support/lines.h"
#include "weft/all.h"
#include "weft/cancellation.h"
#include "weft/internal/atomic.h"
#include "weft/net/tcp_listener.h"
#include "weft/net/tcp_stream.h"
#include "weft/runtime.h"
#include "weft/scope.h"
#include "weft/sync/event.h"
#include "weft/task.h"
#include "weft/testing/simulation.h"
#include "weft/time.h"

namespace weft::testing {
namespace {

// Each on both backends that needs one.
struct Row {
  Scenario scenario;
  std::optional<IoBackend> io;

  std::string Name() const {
    return absl::StrCat(scenario.name, !io.has_value() ? "" : *io == IoBackend::kUring ? "OfIoUring" : "OfEpoll");
  }
  friend std::ostream& operator<<(std::ostream& out, const Row& row) { return out << row.Name(); }
};
std::vector<Row> Rows() {
  std::vector<Row> rows;
  for (const Scenario& scenario : ThreadScenarios()) rows.push_back({scenario, std::nullopt});
  for (const Scenario& scenario : IoScenarios()) {
    for (const IoBackend io : {IoBackend::kUring, IoBackend::kEpoll}) rows.push_back({scenario, io});
  }
  return rows;
}

class FairnessTableTest : public ::testing::TestWithParam<std::tuple<Row, int, bool>> {};

TEST_P(FairnessTableTest, NobodyWaitsLongerThanTwoRounds) {
  const auto& [row, carriers, long_turns] = GetParam();
  const absl::Duration turn_time = absl::Nanoseconds(long_turns ? 2 * internal::Duties::kPollNanos : 0);
  for (uint64_t seed = 1; seed <= (long_turns ? 1 : 3) && !HasFailure(); ++seed) {
    SCOPED_TRACE(absl::StrCat("seed ", seed));
    Fairness fairness;
    Simulation simulation(
        {.carriers = carriers, .seed = seed, .turn_time = turn_time, .io = row.io, .observer = &fairness});
    simulation.Run(row.scenario.run(fairness));
    EXPECT_GT(fairness.waits(), 0);
    EXPECT_LE(fairness.longest(), fairness.limit());
  }
}

INSTANTIATE_TEST_SUITE_P(Table, FairnessTableTest,
                         ::testing::Combine(::testing::ValuesIn(Rows()), ::testing::Range(1, 5), ::testing::Bool()),
                         [](const ::testing::TestParamInfo<FairnessTableTest::ParamType>& info) {
                           return absl::StrCat(std::get<0>(info.param).Name(), "On", std::get<1>(info.param),
                                               std::get<2>(info.param) ? "InLongTurns" : "");
                         });

// ---- A carrier that sleeps, and is rung by nobody: a spare one that has retired with a read in its ring.

Task<void> ReadOnASpareCarrier() {
  absl::StatusOr<net::TcpListener> listener = net::TcpListener::Bind("127.0.0.1:0");
  EXPECT_TRUE(listener.ok()) << listener.status();
  const RawClient client(*listener->local_address());
  absl::StatusOr<net::TcpStream> stream = co_await listener->Accept();
  EXPECT_TRUE(stream.ok()) << stream.status();
  Event go, reads, started;
  bool got = false;
  AwaitAll scope;
  scope.Fork([&]() -> Task<void> {
    co_await go.Wait();
    reads.Set();
    char byte;
    EXPECT_TRUE((co_await stream->Read(absl::MakeSpan(&byte, 1))).ok());
    got = true;
  });
  {
    AwaitAll held;
    held.Fork([&]() -> Task<void> {
      co_await Shield([&]() -> Task<void> {
        started.Set();
        co_await reads.Wait();
      }());
    });
    co_await started.Wait();
    go.Set();
    // The destructor holds this carrier, so that a spare one begins to read.
  }
  client.Send();
  while (!got) co_await Yield();
  (co_await scope.Join()).IgnoreFailures();
}

TEST(FairnessTest, WhatASleepingCarrierWaitsForComesWhileAnotherOneYields) {
  for (const IoBackend io : {IoBackend::kUring, IoBackend::kEpoll}) {
    for (uint64_t seed = 1; seed <= 10; ++seed) {
      SCOPED_TRACE(absl::StrCat(io == IoBackend::kUring ? "io_uring" : "epoll", ", seed ", seed));
      Simulation({.carriers = 1, .seed = seed, .min_runnable = 1, .io = io}).Run(ReadOnASpareCarrier());
    }
  }
}

// ---- Behind a thread that computes.

// What keeps a carrier busy, until `done`.
using Busy = Task<void> (*)(const internal::Atomic<bool>& done);

Task<int> Nothing() { co_return 1; }

// relaxed, here and below: only says when.
Task<void> YieldOn(const internal::Atomic<bool>& done) {
  while (!done.load(std::memory_order_relaxed)) co_await Yield();
}
Task<void> AwaitWhatIsThere(const internal::Atomic<bool>& done) {
  Event event;
  event.Set();
  while (!done.load(std::memory_order_relaxed)) co_await event.Wait();
}
Task<void> JoinOn(const internal::Atomic<bool>& done) {
  while (!done.load(std::memory_order_relaxed)) co_await All(Nothing(), Nothing());
}
Task<void> ForkOn(const internal::Atomic<bool>& done) {
  while (!done.load(std::memory_order_relaxed)) {
    AwaitAll scope;
    scope.Fork(Nothing());
    (co_await scope.Join()).IgnoreFailures();
  }
}

struct BusyWith {
  const char* name;
  Busy run;
};
constexpr BusyWith kBusy[] = {
    {"Yields", &YieldOn}, {"Waits", &AwaitWhatIsThere}, {"Joins", &JoinOn}, {"Forks", &ForkOn}};

class BehindComputationTest : public ::testing::TestWithParam<std::tuple<BusyWith, int>> {};

TEST_P(BehindComputationTest, BusyCarriersRunWhatIsRunnable) {
  const auto& [busy, carriers] = GetParam();
  // No spare carrier for the one that computes.
  const absl::StatusOr<std::unique_ptr<Runtime>> runtime =
      Runtime::Create({.parallelism = carriers, .held_carrier_threshold = absl::ZeroDuration()});
  ASSERT_TRUE(runtime.ok()) << runtime.status();
  (*runtime)->Run([](Busy keep_busy, int threads) -> Task<void> {
    constexpr int kChildren = 600;
    internal::Atomic<bool> done{false};
    internal::Atomic<int> started{0};
    AwaitAll scope;
    internal::Atomic<int> busy{0};
    for (int i = 0; i < threads; ++i) {
      scope.Fork([&]() -> Task<void> {
        busy.fetch_add(1, std::memory_order_relaxed);
        co_await keep_busy(done);
      });
    }
    while (busy.load(std::memory_order_relaxed) < threads) co_await Yield();
    for (int i = 0; i < kChildren; ++i) {
      scope.Fork([&]() -> Task<void> {
        started.fetch_add(1, std::memory_order_relaxed);
        co_return;
      });
    }
    while (started.load(std::memory_order_relaxed) < kChildren) internal::CpuRelax();
    done.store(true, std::memory_order_relaxed);
    (co_await scope.Join()).IgnoreFailures();
  }(busy.run, 2 * carriers));
}

int64_t SleepsOfTheProcess() {
  rusage usage = {};
  EXPECT_EQ(::getrusage(RUSAGE_SELF, &usage), 0);
  return usage.ru_nvcsw;
}

// The others would have looked after it about 15 times as often.
TEST(IdleCarriersTest, OneOfThemWatchesTheOneThatComputes) {
  constexpr int kCarriers = 16;
  const absl::StatusOr<std::unique_ptr<Runtime>> runtime = Runtime::Create(
      {.parallelism = kCarriers, .held_carrier_threshold = absl::ZeroDuration(), .io = IoBackend::kEpoll});
  ASSERT_TRUE(runtime.ok()) << runtime.status();
  (*runtime)->Run([]() -> Task<void> {
    internal::Atomic<int> awake{1};
    internal::Atomic<bool> woken{false};
    AwaitAll scope;
    scope.Fork([&]() -> Task<void> {
      co_await Sleep(absl::Milliseconds(100));
      woken.store(true, std::memory_order_relaxed);
    });
    co_await Yield();
    for (int i = 1; i < kCarriers; ++i) {
      scope.Fork([&]() -> Task<void> {
        awake.fetch_add(1, std::memory_order_relaxed);
        while (awake.load(std::memory_order_relaxed) < kCarriers) std::this_thread::yield();
        co_return;
      });
    }
    while (awake.load(std::memory_order_relaxed) < kCarriers) std::this_thread::yield();
    const int64_t before = SleepsOfTheProcess();
    const absl::Time begin = absl::Now();
    while (absl::Now() - begin < absl::Milliseconds(300) || !woken.load(std::memory_order_relaxed)) {
      internal::CpuRelax();
    }
    EXPECT_LE(SleepsOfTheProcess() - before, 4 * absl::ToInt64Milliseconds(absl::Now() - begin) + 4 * kCarriers);
    (co_await scope.Join()).IgnoreFailures();
  }());
}

INSTANTIATE_TEST_SUITE_P(Table, BehindComputationTest,
                         ::testing::Combine(::testing::ValuesIn(kBusy), ::testing::Range(2, 5)),
                         [](const ::testing::TestParamInfo<BehindComputationTest::ParamType>& info) {
                           return absl::StrCat(std::get<0>(info.param).name, "On", std::get<1>(info.param));
                         });

}  // namespace
}  // namespace weft::testing

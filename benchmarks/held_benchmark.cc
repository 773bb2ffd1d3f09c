// What do the requests of a service notice of one among them that holds its carrier?
//
// On each of fifty TCP connections to the same runtime a request becomes due every ten milliseconds. It sends a few
// bytes to a thread of its own on the other side, and is over when it has them back. Its wait is what passes from when
// it is due until then. The holder keeps its carrier for the second that this lasts: it computes, or it is in a call
// that blocks. An operation is the 99th percentile of the waits.
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "benchmark/benchmark.h"
#include "benchmarks/measure.h"
#include "weft/weft.h"

namespace weft::benchmarks {
namespace {

constexpr int64_t kEveryNanos = 10'000'000;
int Connections() { return Size(50, 4); }
int64_t HoldNanos() { return Size<int64_t>(1'000'000'000, 20'000'000); }
constexpr size_t kBytes = 64;

template <class T>
T Require(absl::StatusOr<T> value) {
  if (value.ok()) return *std::move(value);
  std::fprintf(stderr, "%s\n", value.status().ToString().c_str());
  std::exit(EXIT_FAILURE);
}

// Until the other side has closed.
Task<void> Answer(net::TcpStream stream) {
  char buffer[kBytes];
  for (;;) {
    const absl::StatusOr<size_t> got = co_await stream.Read(absl::MakeSpan(buffer));
    if (!got.ok() || *got == 0) co_return;
    if (!(co_await stream.Write(absl::string_view(buffer, *got))).ok()) co_return;
  }
}

Task<void> Ask(const net::SocketAddress& server, int64_t first, int64_t until, std::vector<int64_t>& waits) {
  net::TcpStream stream = Require(co_await net::TcpStream::Connect(server));
  char buffer[kBytes] = {};
  for (int64_t due = first; due < until; due += kEveryNanos) {
    co_await Sleep(absl::Nanoseconds(due - Now()));
    if (!(co_await stream.Write(absl::string_view(buffer, kBytes))).ok()) std::abort();
    for (size_t got = 0; got < kBytes;) {
      const size_t more = Require(co_await stream.Read(absl::MakeSpan(buffer).subspan(got)));
      if (more == 0) std::abort();
      got += more;
    }
    waits.push_back(Now() - due);
  }
}

// kOutside: an OS thread that is none of the runtime's computes, which shows what a processor less costs.
enum class Holder { kNobody, kCall, kLoop, kOutside };

void SleepOnOsThread(int64_t until) { std::this_thread::sleep_for(std::chrono::nanoseconds(until - Now())); }
void Compute(int64_t from, int64_t until) {
  SleepOnOsThread(from);
  while (Now() < until) {
  }
}

Task<void> Hold(Holder holder, int64_t from, int64_t until) {
  co_await Sleep(absl::Nanoseconds(from - Now()));
  if (holder == Holder::kCall) {
    static std::mutex mutex;
    const std::lock_guard guard(mutex);
    SleepOnOsThread(until);
  } else {
    Compute(from, until);
  }
}

// The waits of all requests, in nanoseconds.
Task<std::vector<int64_t>> Serve(Holder holder) {
  const int connections = Connections();
  net::TcpListener listener = Require(net::TcpListener::Bind("127.0.0.1:0"));
  const net::SocketAddress server = Require(listener.local_address());
  const int64_t from = Now() + Size<int64_t>(50'000'000, 5'000'000);  // when all are connected
  const int64_t until = from + HoldNanos();
  std::vector<std::vector<int64_t>> waits(static_cast<size_t>(connections));
  AwaitAll scope;
  for (int i = 0; i < connections; ++i) {
    const int64_t first = from + i * kEveryNanos / connections;
    scope.Fork(Ask(server, first, until, waits[static_cast<size_t>(i)]));
  }
  for (int i = 0; i < connections; ++i) scope.Fork(Answer(Require(co_await listener.Accept())));
  std::thread outside;
  if (holder == Holder::kOutside) outside = std::thread(&Compute, from, until);
  if (holder == Holder::kCall || holder == Holder::kLoop) scope.Fork(Hold(holder, from, until));
  (co_await scope.Join()).IgnoreFailures();
  if (outside.joinable()) outside.join();  // it has ended with the requests, or is about to
  std::vector<int64_t> all;
  for (const std::vector<int64_t>& some : waits) all.insert(all.end(), some.begin(), some.end());
  co_return all;
}

double Percentile99(std::vector<int64_t>& waits) {
  const auto at = waits.begin() + static_cast<std::ptrdiff_t>(waits.size() * 99 / 100);
  std::nth_element(waits.begin(), at, waits.end());
  return static_cast<double>(*at);
}

void MeasureHeld(benchmark::State& state, Holder holder) {
  // Not RuntimeOf(): the watchdog, which adds a spare carrier, is part of what is measured.
  const auto runtime = Require(Runtime::Create({.parallelism = static_cast<int>(state.range(0))}));
  std::vector<double> percentile, longest;
  FloorWatch floor;
  for (auto _ : state) {
    std::vector<int64_t> waits = runtime->Run(Serve(holder));
    // Everybody was served.
    if (!Holds(state, waits.size(), static_cast<size_t>(Connections() * (HoldNanos() / kEveryNanos)))) return;
    percentile.push_back(Percentile99(waits));
    longest.push_back(static_cast<double>(*std::max_element(waits.begin(), waits.end())));
    state.SetIterationTime(percentile.back() * 1e-9);
    floor.Look();
  }
  ReportEach(state, MedianOf(percentile), 1, floor.Median());
  state.counters["longest_ns"] = MedianOf(longest);
}

void BM_HeldByNobody(benchmark::State& state) { MeasureHeld(state, Holder::kNobody); }
void BM_HeldByCall(benchmark::State& state) { MeasureHeld(state, Holder::kCall); }
void BM_HeldByLoop(benchmark::State& state) { MeasureHeld(state, Holder::kLoop); }
void BM_HeldOutside(benchmark::State& state) { MeasureHeld(state, Holder::kOutside); }

void TwoAndFour(benchmark::internal::Benchmark* benchmark) {
  benchmark->ArgName("carriers")->Arg(2)->Arg(4)->Unit(benchmark::kMillisecond)->UseManualTime()->Iterations(2);
}
BENCHMARK(BM_HeldByNobody)->Apply(TwoAndFour);
BENCHMARK(BM_HeldByCall)->Apply(TwoAndFour);
BENCHMARK(BM_HeldByLoop)->Apply(TwoAndFour);
BENCHMARK(BM_HeldOutside)->Apply(TwoAndFour);

}  // namespace
}  // namespace weft::benchmarks

// How long does a virtual thread wait at most that has something to do, while others have as well?
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "benchmark/benchmark.h"
#include "benchmarks/echo.h"
#include "benchmarks/measure.h"
#include "weft/weft.h"

namespace weft::benchmarks {
namespace {

// ---- Echo over TCP, the server on one processor, the client on another: see echo.h. An operation is the longest wait
// of the connection that waits longest; that for its first answer, which includes being accepted, stands apart.

EchoLoad Load() { return {.connections = Size(1'000, 10), .nanos = Size(2'000'000'000, 50'000'000)}; }

template <class Once>
void MeasureEcho(benchmark::State& state, Once once) {
  std::vector<double> longest, median, first, requests;
  FloorWatch floor;
  for (auto _ : state) {
    const EchoWaits waits = once(Load());
    // Everybody is served.
    if (!Holds(state, static_cast<int64_t>(waits.fewest > 0), int64_t{1})) return;
    longest.push_back(static_cast<double>(waits.longest));
    median.push_back(static_cast<double>(waits.median_longest));
    first.push_back(static_cast<double>(waits.first));
    requests.push_back(static_cast<double>(waits.requests));
    state.SetIterationTime(static_cast<double>(waits.longest) * 1e-9);
    floor.Look();
  }
  ReportEach(state, MedianOf(longest), 1, floor.Median());
  state.counters["longest_ns"] = MedianOf(longest);
  state.counters["median_ns"] = MedianOf(median);
  state.counters["first_ns"] = MedianOf(first);
  state.counters["requests"] = MedianOf(requests);
}

void BM_EchoWaitPlain(benchmark::State& state) {
  MeasureEcho(state, [](EchoLoad load) {
    uint16_t port = 0;
    const int listener = ListenForEcho(port);
    EchoClient client(port, load);
    const OnServersProcessor pinned;
    ServeEchoPlainly(listener, load.connections);
    close(listener);
    return client.Finish();
  });
}

Task<void> ServeOne(net::TcpStream stream) {
  char buffer[kEchoBytes];
  for (;;) {
    absl::StatusOr<size_t> got = co_await stream.Read(absl::MakeSpan(buffer));
    if (!got.ok() || *got == 0) co_return;
    if (!(co_await stream.Write(absl::string_view(buffer, *got))).ok()) co_return;
  }
}

Task<void> Serve(net::TcpListener& listener, int connections) {
  AwaitAll scope;
  for (int i = 0; i < connections; ++i) {
    absl::StatusOr<net::TcpStream> stream = co_await listener.Accept();
    if (!stream.ok()) break;
    scope.Fork(ServeOne(*std::move(stream)));
  }
  (co_await scope.Join()).IgnoreFailures();
}

template <class T>
T Require(absl::StatusOr<T> value) {
  if (value.ok()) return *std::move(value);
  std::fprintf(stderr, "%s\n", value.status().ToString().c_str());
  std::exit(EXIT_FAILURE);
}

void BM_EchoWait(benchmark::State& state, IoBackend io) {
  MeasureEcho(state, [&](EchoLoad load) {
    net::TcpListener listener = Require(net::TcpListener::Bind("127.0.0.1:0"));
    EchoClient client(Require(listener.local_address()).port(), load);
    const OnServersProcessor pinned;
    const auto runtime = Require(Runtime::Create({.parallelism = static_cast<int>(state.range(0)), .io = io}));
    runtime->Run(Serve(listener, load.connections));
    return client.Finish();
  });
}

void BM_EchoWaitUring(benchmark::State& state) { BM_EchoWait(state, IoBackend::kUring); }
void BM_EchoWaitEpoll(benchmark::State& state) { BM_EchoWait(state, IoBackend::kEpoll); }

void OneToFour(benchmark::internal::Benchmark* benchmark) {
  benchmark->ArgName("carriers")->DenseRange(1, 4)->Unit(benchmark::kMillisecond)->UseManualTime()->Iterations(3);
}
BENCHMARK(BM_EchoWaitPlain)->Unit(benchmark::kMillisecond)->UseManualTime()->Iterations(3);
BENCHMARK(BM_EchoWaitUring)->Apply(OneToFour);
BENCHMARK(BM_EchoWaitEpoll)->Apply(OneToFour);

}  // namespace
}  // namespace weft::benchmarks

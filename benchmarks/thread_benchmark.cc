// Threads outside of scopes, started and joined; threads that unpark one another; and thread-locals. An operation is a
// thread, a switch, or a look.
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "benchmark/benchmark.h"
#include "benchmarks/measure.h"
#include "weft/thread_builder.h"
#include "weft/virtual_thread_local.h"
#include "weft/weft.h"

namespace weft::benchmarks {
namespace {

Task<void> Nothing() { co_return; }

// So many rounds: threads are started, and then joined. How many of them ended well.
Task<int64_t> StartAndJoin(int64_t rounds, int64_t threads) {
  int64_t good = 0;
  std::vector<VirtualThread> started;
  started.reserve(static_cast<size_t>(threads));
  for (int64_t i = 0; i < rounds; ++i) {
    for (int64_t j = 0; j < threads; ++j) started.push_back(VirtualThread::Start(Nothing()));
    for (const VirtualThread& thread : started) good += (co_await thread.Join()).ok();
    started.clear();
  }
  co_return good;
}

void MeasureStartAndJoin(benchmark::State& state, int64_t rounds, int64_t threads) {
  MeasureOnRuntime(state, rounds * threads, [&](Runtime& runtime) {
    Holds(state, runtime.Run(StartAndJoin(rounds, threads)), rounds * threads);
  });
}

// To be held against BM_ForkJoin10 and BM_ForkJoin1000.
void BM_StartJoin10(benchmark::State& state) { MeasureStartAndJoin(state, Size(100'000, 10), 10); }
BENCHMARK(BM_StartJoin10)->Apply(Carriers)->Unit(benchmark::kMillisecond)->UseManualTime();

void BM_StartJoin1000(benchmark::State& state) { MeasureStartAndJoin(state, Size(1'000, 2), Size(1'000, 100)); }
BENCHMARK(BM_StartJoin1000)->Apply(Carriers)->Unit(benchmark::kMillisecond)->UseManualTime();

Task<void> Play(const std::optional<VirtualThread>& other, int rounds, int& count) {
  for (int i = 0; i < rounds; ++i) {
    co_await VirtualThread::Park();
    ++count;
    other->Unpark();
  }
}

Task<int> ParkAndUnpark(int rounds) {
  int count = 0;
  std::optional<VirtualThread> ping, pong;
  VirtualThread::Builder builder;
  ping = builder.Unstarted([&] { return Play(pong, rounds, count); });
  pong = builder.Unstarted([&] { return Play(ping, rounds, count); });
  ping->Unpark();
  ping->Start();
  pong->Start();
  (co_await ping->Join()).IgnoreError();
  (co_await pong->Join()).IgnoreError();
  co_return count;
}

// To be held against BM_PingPong.
void BM_ParkUnpark(benchmark::State& state) {
  const int rounds = Size(200'000, 1'000);
  const int switches = 2 * rounds;
  MeasureOnRuntime(state, switches,
                   [&](Runtime& runtime) { Holds(state, runtime.Run(ParkAndUnpark(rounds)), switches); });
}
BENCHMARK(BM_ParkUnpark)->Apply(Carriers)->Unit(benchmark::kMillisecond)->UseManualTime();

// So many looks, at that many thread-locals in turn.
Task<int64_t> LookAtLocals(int64_t looks, int64_t variables) {
  std::vector<std::unique_ptr<VirtualThreadLocal<int64_t>>> locals;
  for (int64_t i = 0; i < variables; ++i) {
    locals.push_back(std::make_unique<VirtualThreadLocal<int64_t>>());
    locals.back()->Set(1);
  }
  int64_t sum = 0;
  for (int64_t i = 0; i < looks; i += variables) {
    for (const auto& local : locals) sum += local->Get();
  }
  co_return sum;
}

void MeasureLooks(benchmark::State& state, int64_t variables) {
  const int64_t looks = Size(1'000'000, 1'000);
  MeasureOnRuntime(state, looks,
                   [&](Runtime& runtime) { Holds(state, runtime.Run(LookAtLocals(looks, variables)), looks); });
}

void BM_ThreadLocalGet1(benchmark::State& state) { MeasureLooks(state, 1); }
void BM_ThreadLocalGet10(benchmark::State& state) { MeasureLooks(state, 10); }
BENCHMARK(BM_ThreadLocalGet1)->ArgName("carriers")->Arg(1)->Unit(benchmark::kMillisecond)->UseManualTime();
BENCHMARK(BM_ThreadLocalGet10)->ArgName("carriers")->Arg(1)->Unit(benchmark::kMillisecond)->UseManualTime();

}  // namespace
}  // namespace weft::benchmarks

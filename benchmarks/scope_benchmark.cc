// Scopes with many children: forked and joined, and parked and cancelled.
#include <cstdint>

#include "benchmark/benchmark.h"
#include "benchmarks/measure.h"
#include "weft/internal/scheduler.h"
#include "weft/weft.h"

namespace weft::benchmarks {
namespace {

Task<void> Nothing() { co_return; }

Task<bool> ForkAndJoin(int64_t children) {
  ShutdownOnFailure scope;
  for (int64_t i = 0; i < children; ++i) scope.Fork(Nothing());
  co_return (co_await scope.Join()).ok();
}

void BM_ForkJoinMillion(benchmark::State& state) {
  constexpr int64_t kChildren = 1'000'000;
  MeasureOnRuntime(state, kChildren, [&](Runtime& runtime) { Holds(state, runtime.Run(ForkAndJoin(kChildren)), true); });
}
BENCHMARK(BM_ForkJoinMillion)->ArgName("carriers")->Arg(1)->Arg(2)->Unit(benchmark::kMillisecond)->UseRealTime();

// Only the cancellation and the join are measured.
Task<int64_t> CancelParked(int children) {
  Event never;
  AwaitAll scope;
  Event all;
  internal::Atomic<int> arrived{0};
  for (int i = 0; i < children; ++i) {
    scope.Fork([&]() -> Task<void> {
      if (arrived.fetch_add(1, std::memory_order_relaxed) + 1 == children) all.Set();
      co_await never.Wait();
    });
  }
  co_await all.Wait();
  const int64_t begin = internal::RuntimeNow();
  scope.Shutdown();
  (co_await scope.Join()).IgnoreFailures();
  co_return internal::RuntimeNow() - begin;
}

void BM_CancelParked(benchmark::State& state) {
  constexpr int kChildren = 100'000;
  Runtime& runtime = RuntimeOf(static_cast<int>(state.range(0)));
  runtime.Run(CancelParked(kChildren));
  double seconds = 0;
  for (auto _ : state) {
    const double once = static_cast<double>(runtime.Run(CancelParked(kChildren))) * 1e-9;
    state.SetIterationTime(once);
    seconds += once;
  }
  Report(state, seconds, kChildren);
}
BENCHMARK(BM_CancelParked)->ArgName("carriers")->Arg(1)->Arg(2)->Unit(benchmark::kMillisecond)->UseManualTime();

}  // namespace
}  // namespace weft::benchmarks

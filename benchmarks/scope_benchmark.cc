// Scopes with many children: forked and joined, and parked and cancelled. An operation is a child.
#include <cstdint>

#include "benchmark/benchmark.h"
#include "benchmarks/measure.h"
#include "weft/internal/atomic.h"
#include "weft/weft.h"

namespace weft::benchmarks {
namespace {

Task<void> Nothing() { co_return; }

// So many scopes, one after the other. How many of them ended well.
Task<int64_t> ForkAndJoin(int64_t scopes, int64_t children) {
  int64_t good = 0;
  for (int64_t i = 0; i < scopes; ++i) {
    ShutdownOnFailure scope;
    for (int64_t j = 0; j < children; ++j) scope.Fork(Nothing());
    good += (co_await scope.Join()).ok();
  }
  co_return good;
}

void MeasureForkAndJoin(benchmark::State& state, int64_t scopes, int64_t children) {
  MeasureOnRuntime(state, scopes * children,
                   [&](Runtime& runtime) { Holds(state, runtime.Run(ForkAndJoin(scopes, children)), scopes); });
}

void BM_ForkJoin10(benchmark::State& state) { MeasureForkAndJoin(state, Size(100'000, 10), 10); }
BENCHMARK(BM_ForkJoin10)->Apply(Carriers)->Unit(benchmark::kMillisecond)->UseManualTime();

void BM_ForkJoin1000(benchmark::State& state) { MeasureForkAndJoin(state, Size(1'000, 2), Size(1'000, 100)); }
BENCHMARK(BM_ForkJoin1000)->Apply(Carriers)->Unit(benchmark::kMillisecond)->UseManualTime();

void BM_ForkJoinMillion(benchmark::State& state) { MeasureForkAndJoin(state, 1, Size(1'000'000, 1'000)); }
BENCHMARK(BM_ForkJoinMillion)->Apply(Carriers)->Unit(benchmark::kMillisecond)->UseManualTime();

struct Cancelled {
  int64_t nanos = 0;
  int64_t unwound = 0;
};

struct CountAtExit {
  internal::Atomic<int64_t>& count;
  ~CountAtExit() { count.fetch_add(1, std::memory_order_relaxed); }  // relaxed: read after the join
};

// Only the cancellation and the join are measured.
Task<Cancelled> CancelParked(int64_t children) {
  Event never;
  Event all;
  internal::Atomic<int64_t> arrived{0};
  internal::Atomic<int64_t> unwound{0};
  AwaitAll scope;
  for (int64_t i = 0; i < children; ++i) {
    scope.Fork([&]() -> Task<void> {
      CountAtExit at_exit{unwound};
      // relaxed: only who is the last matters.
      if (arrived.fetch_add(1, std::memory_order_relaxed) + 1 == children) all.Set();
      co_await never.Wait();
    });
  }
  co_await all.Wait();
  const int64_t begin = Now();
  scope.Shutdown();
  (co_await scope.Join()).IgnoreFailures();
  co_return Cancelled{Now() - begin, unwound.load(std::memory_order_relaxed)};
}

void BM_CancelParked(benchmark::State& state) {
  const int64_t children = Size(100'000, 100);
  Runtime& runtime = RuntimeOf(static_cast<int>(state.range(0)));
  const auto once = [&] {
    const Cancelled done = runtime.Run(CancelParked(children));
    Holds(state, done.unwound, children);
    return done.nanos;
  };
  once();
  Measure(state, children, once);
}
BENCHMARK(BM_CancelParked)->Apply(Carriers)->Unit(benchmark::kMillisecond)->UseManualTime();

}  // namespace
}  // namespace weft::benchmarks

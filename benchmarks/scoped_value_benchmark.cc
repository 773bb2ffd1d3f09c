// Scoped values under 1, 10 and 100 bindings of one thread, each of another value: looking for the outermost one,
// looking for it from a binding that is made for that one look, and looking for a value that is not bound. An operation
// is a look; how deep the bindings are must make no difference.
#include <array>
#include <cstdint>

#include "benchmark/benchmark.h"
#include "benchmarks/measure.h"
#include "weft/weft.h"

namespace weft::benchmarks {
namespace {

constexpr int kDeepest = 100;

ScopedValue<int64_t> kOutermost;
std::array<ScopedValue<int64_t>, kDeepest> kInside;
ScopedValue<int64_t> kInnermost;
ScopedValue<int64_t> kUnbound;

// Calls `look` inside of `depth` bindings, that of kOutermost included.
template <class Look>
int64_t Inside(int depth, const Look& look) {
  if (depth == 1) return look();
  ScopedBinding inside(kInside[depth - 1], depth);
  return Inside(depth - 1, look);
}
template <class Look>
Task<int64_t> Under(int depth, const Look& look) {
  ScopedBinding outermost(kOutermost, 1);
  co_return Inside(depth, look);
}

template <class LookOnce>
void MeasureLooks(benchmark::State& state, int depth, LookOnce look_once) {
  const int64_t looks = Size(1'000'000, 1'000);
  const auto look = [&] {
    int64_t sum = 0;
    for (int64_t i = 0; i < looks; ++i) sum += look_once(i);
    return sum;
  };
  MeasureOnRuntime(state, looks, [&](Runtime& runtime) { Holds(state, runtime.Run(Under(depth, look)), looks); });
}

int64_t GetBound(int64_t) { return kOutermost.Get(); }
int64_t BindAndGet(int64_t i) {
  ScopedBinding innermost(kInnermost, i);
  return kOutermost.Get();
}
int64_t MissUnbound(int64_t) { return kUnbound.IsBound() ? 0 : 1; }

void BM_ScopedGet1(benchmark::State& state) { MeasureLooks(state, 1, GetBound); }
void BM_ScopedGet10(benchmark::State& state) { MeasureLooks(state, 10, GetBound); }
void BM_ScopedGet100(benchmark::State& state) { MeasureLooks(state, 100, GetBound); }
void BM_ScopedBindGet1(benchmark::State& state) { MeasureLooks(state, 1, BindAndGet); }
void BM_ScopedBindGet10(benchmark::State& state) { MeasureLooks(state, 10, BindAndGet); }
void BM_ScopedBindGet100(benchmark::State& state) { MeasureLooks(state, 100, BindAndGet); }
void BM_ScopedMiss1(benchmark::State& state) { MeasureLooks(state, 1, MissUnbound); }
void BM_ScopedMiss10(benchmark::State& state) { MeasureLooks(state, 10, MissUnbound); }
void BM_ScopedMiss100(benchmark::State& state) { MeasureLooks(state, 100, MissUnbound); }

void OneCarrier(benchmark::internal::Benchmark* benchmark) {
  benchmark->ArgName("carriers")->Arg(1)->Unit(benchmark::kMillisecond)->UseManualTime();
}
BENCHMARK(BM_ScopedGet1)->Apply(OneCarrier);
BENCHMARK(BM_ScopedGet10)->Apply(OneCarrier);
BENCHMARK(BM_ScopedGet100)->Apply(OneCarrier);
BENCHMARK(BM_ScopedBindGet1)->Apply(OneCarrier);
BENCHMARK(BM_ScopedBindGet10)->Apply(OneCarrier);
BENCHMARK(BM_ScopedBindGet100)->Apply(OneCarrier);
BENCHMARK(BM_ScopedMiss1)->Apply(OneCarrier);
BENCHMARK(BM_ScopedMiss10)->Apply(OneCarrier);
BENCHMARK(BM_ScopedMiss100)->Apply(OneCarrier);

}  // namespace
}  // namespace weft::benchmarks

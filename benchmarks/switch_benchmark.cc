// From one virtual thread to the next: yielding, and waking one another.
#include <cstdint>

#include "benchmark/benchmark.h"
#include "benchmarks/measure.h"
#include "weft/weft.h"

namespace weft::benchmarks {
namespace {

constexpr int kRounds = 100'000;

Task<int> Yields() {
  int count = 0;
  for (; count < kRounds; ++count) co_await Yield();
  co_return count;
}

void BM_Yield(benchmark::State& state) {
  MeasureOnRuntime(state, kRounds, [&](Runtime& runtime) { Holds(state, runtime.Run(Yields()), kRounds); });
}
BENCHMARK(BM_Yield)->ArgName("carriers")->Arg(1)->Unit(benchmark::kMillisecond)->UseRealTime();

Task<int> Play(Event& mine, Event& other) {
  int count = 0;
  for (; count < kRounds; ++count) {
    co_await mine.Wait();
    mine.Reset();
    other.Set();
  }
  co_return count;
}

Task<int> PingPong() {
  Event ping, pong;
  ping.Set();
  auto [a, b] = co_await All(Play(ping, pong), Play(pong, ping));
  co_return a + b;
}

void BM_PingPong(benchmark::State& state) {
  MeasureOnRuntime(state, 2 * kRounds, [&](Runtime& runtime) { Holds(state, runtime.Run(PingPong()), 2 * kRounds); });
}
BENCHMARK(BM_PingPong)->ArgName("carriers")->Arg(1)->Arg(2)->Unit(benchmark::kMillisecond)->UseRealTime();

}  // namespace
}  // namespace weft::benchmarks

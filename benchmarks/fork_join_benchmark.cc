// Fork and join at its finest: a tree of calls, each of which forks two.
#include <cstdint>
#include <vector>

#include "benchmark/benchmark.h"
#include "benchmarks/measure.h"
#include "weft/weft.h"

namespace weft::benchmarks {
namespace {

constexpr int kFib = 24;
constexpr int64_t kFibValue = 46'368;
constexpr int64_t kFibCalls = 150'049;  // of Fib(24): 2 * Fib(25) - 1

Task<int64_t> FibAll(int n) {
  if (n < 2) co_return n;
  auto [a, b] = co_await All(FibAll(n - 1), FibAll(n - 2));
  co_return a + b;
}

Task<int64_t> FibFork(int n) {
  if (n < 2) co_return n;
  ShutdownOnFailure scope;
  auto a = scope.Fork(FibFork(n - 1));
  const int64_t b = co_await FibFork(n - 2);
  (co_await scope.Join()).IgnoreFailures();
  co_return *a + b;
}

void BM_FibAll(benchmark::State& state) {
  MeasureOnRuntime(state, kFibCalls, [&](Runtime& runtime) { Holds(state, runtime.Run(FibAll(kFib)), kFibValue); });
}
BENCHMARK(BM_FibAll)->ArgName("carriers")->Arg(1)->Arg(2)->Unit(benchmark::kMillisecond)->UseRealTime();

void BM_FibFork(benchmark::State& state) {
  MeasureOnRuntime(state, kFibCalls, [&](Runtime& runtime) { Holds(state, runtime.Run(FibFork(kFib)), kFibValue); });
}
BENCHMARK(BM_FibFork)->ArgName("carriers")->Arg(1)->Arg(2)->Unit(benchmark::kMillisecond)->UseRealTime();

// Ten children each, six levels deep: a million leaves, whose numbers are added up.
Task<int64_t> Skynet(int64_t number, int64_t size) {
  if (size == 1) co_return number;
  ShutdownOnFailure scope;
  std::vector<Subtask<int64_t>> children;
  children.reserve(10);
  for (int64_t i = 0; i < 10; ++i) children.push_back(scope.Fork(Skynet(number + i * size / 10, size / 10)));
  (co_await scope.Join()).IgnoreFailures();
  int64_t sum = 0;
  for (const auto& child : children) sum += *child;
  co_return sum;
}

void BM_Skynet(benchmark::State& state) {
  MeasureOnRuntime(state, 1'111'111,
                   [&](Runtime& runtime) { Holds(state, runtime.Run(Skynet(0, 1'000'000)), int64_t{499'999'500'000}); });
}
BENCHMARK(BM_Skynet)->ArgName("carriers")->Arg(1)->Arg(2)->Unit(benchmark::kMillisecond)->UseRealTime();

}  // namespace
}  // namespace weft::benchmarks

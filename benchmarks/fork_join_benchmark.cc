// Fork and join at its finest: trees of calls, each of which forks some more.
#include <array>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <ranges>
#include <span>
#include <tuple>

#include "benchmark/benchmark.h"
#include "benchmarks/measure.h"
#include "benchmarks/work/fib.h"
#include "benchmarks/work/matrix.h"
#include "benchmarks/work/queens.h"
#include "weft/weft.h"

namespace weft::benchmarks {
namespace {

// ---- fib: two calls each. An operation is a call.

// 832,040: some ten milliseconds, beside which the start of a carrier is nothing.
int FibNumber() { return Size(30, 12); }

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
  const int n = FibNumber();
  state.counters["size"] = n;
  MeasureOnRuntime(state, FibCalls(n), [&](Runtime& runtime) { Holds(state, runtime.Run(FibAll(n)), Fib(n)); });
}
BENCHMARK(BM_FibAll)->Apply(Carriers)->Unit(benchmark::kMillisecond)->UseManualTime();

void BM_FibFork(benchmark::State& state) {
  const int n = FibNumber();
  state.counters["size"] = n;
  MeasureOnRuntime(state, FibCalls(n), [&](Runtime& runtime) { Holds(state, runtime.Run(FibFork(n)), Fib(n)); });
}
BENCHMARK(BM_FibFork)->Apply(Carriers)->Unit(benchmark::kMillisecond)->UseManualTime();

// ---- skynet: ten children each, six levels deep: a million leaves, whose numbers are added up. An operation: a call.

Task<int64_t> Skynet(int64_t number, int64_t size) {
  if (size == 1) co_return number;
  const auto child = [=](int64_t i) { return Skynet(number + i * size / 10, size / 10); };
  const std::array<int64_t, 10> sums =
      co_await All(std::array{child(0), child(1), child(2), child(3), child(4), child(5), child(6), child(7), child(8),
                              child(9)});
  co_return std::accumulate(sums.begin(), sums.end(), int64_t{0});
}

void BM_Skynet(benchmark::State& state) {
  const int64_t leaves = Size(1'000'000, 1'000);
  const int64_t calls = Size(1'111'111, 1'111);
  const int64_t sum = leaves * (leaves - 1) / 2;  // 499,999,500,000 of a million
  state.counters["size"] = static_cast<double>(leaves);
  MeasureOnRuntime(state, calls, [&](Runtime& runtime) { Holds(state, runtime.Run(Skynet(0, leaves)), sum); });
}
BENCHMARK(BM_Skynet)->Apply(Carriers)->Unit(benchmark::kMillisecond)->UseManualTime();

// ---- nqueens: a child for each safe row, none to fourteen of them. An operation is a node of the tree.

template <int kQueens>
Task<int64_t> Nqueens(int column, Board<kQueens> board) {
  if (column == kQueens) co_return 1;
  std::array<char, kQueens> safe;
  size_t count = 0;
  for (int row = 0; row < kQueens; ++row) {
    if (IsSafe<kQueens>(board, column, row)) safe[count++] = static_cast<char>(row);
  }
  const auto child = [&](char row) {
    board[column] = row;
    return Nqueens<kQueens>(column + 1, board);
  };
  std::array<int64_t, kQueens> solutions;
  co_await All(std::span(safe).first(count) | std::views::transform(child), std::span(solutions));
  co_return std::accumulate(solutions.begin(), solutions.begin() + count, int64_t{0});
}

// Warmed up with a smaller board, because this one takes seconds.
template <int kQueens, int kWarmUp>
void MeasureNqueens(benchmark::State& state) {
  Runtime& runtime = RuntimeOf(static_cast<int>(state.range(0)));
  runtime.Run(Nqueens<kWarmUp>(0, {}));
  state.counters["size"] = kQueens;
  Measure(state, QueensAnswerOf<kQueens>().nodes, [&] {
    const int64_t begin = Now();
    Holds(state, runtime.Run(Nqueens<kQueens>(0, {})), QueensAnswerOf<kQueens>().solutions);
    return Now() - begin;
  });
}

void BM_Nqueens(benchmark::State& state) {
  if (Tiny()) return MeasureNqueens<6, 6>(state);
  MeasureNqueens<14, 11>(state);
}
BENCHMARK(BM_Nqueens)->Apply(Carriers)->Unit(benchmark::kMillisecond)->UseManualTime();

// ---- matmul: four children, twice. An operation is a leaf, the product of two squares of 32.

Task<void> Matmul(Product product) {
  if (product.is_leaf()) {
    Multiply(product);
    co_return;
  }
  const auto all = [](const std::array<Product, 4>& parts) {
    return All(Matmul(parts[0]), Matmul(parts[1]), Matmul(parts[2]), Matmul(parts[3]));
  };
  std::ignore = co_await all(product.First());
  std::ignore = co_await all(product.Second());
}

void BM_Matmul(benchmark::State& state) {
  Runtime& runtime = RuntimeOf(static_cast<int>(state.range(0)));
  const int64_t size = Size(2048, 64);
  state.counters["size"] = static_cast<double>(size);
  Matrices matrices(size);
  Measure(state, matrices.leaves(), [&] {
    const Product product = matrices.Begin();
    const int64_t begin = Now();
    runtime.Run(Matmul(product));
    const int64_t nanos = Now() - begin;
    Holds(state, matrices.Checksum(), matrices.right_checksum());
    return nanos;
  });
}
BENCHMARK(BM_Matmul)->Apply(Carriers)->Unit(benchmark::kMillisecond)->UseManualTime();

}  // namespace
}  // namespace weft::benchmarks

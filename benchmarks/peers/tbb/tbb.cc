// The benchmarks in oneTBB: task_group, and parallel_invoke where the number of children is fixed. Its tasks are
// closures, which cannot wait for one another except by holding their OS thread: there is no yield, no ping-pong and
// nothing to park.
#include <array>
#include <cstdint>

#include "benchmarks/peers/harness.h"
#include "benchmarks/work/fib.h"
#include "benchmarks/work/matrix.h"
#include "benchmarks/work/queens.h"
#include "oneapi/tbb/global_control.h"
#include "oneapi/tbb/parallel_invoke.h"
#include "oneapi/tbb/task_arena.h"
#include "oneapi/tbb/task_group.h"

namespace weft::benchmarks::peers {
namespace {

constexpr int kFib = 30;
constexpr int kQueens = 14;
constexpr int64_t kMatrix = 2048;
constexpr int64_t kMillion = 1'000'000;

int64_t FibInvoke(int n) {
  if (n < 2) return n;
  int64_t a, b;
  tbb::parallel_invoke([&] { a = FibInvoke(n - 1); }, [&] { b = FibInvoke(n - 2); });
  return a + b;
}

int64_t Skynet(int64_t number, int64_t size) {
  if (size == 1) return number;
  tbb::task_group group;
  std::array<int64_t, 10> sums;
  for (int64_t i = 0; i < 9; ++i) {
    group.run([&sums, i, number, size] { sums[i] = Skynet(number + i * size / 10, size / 10); });
  }
  group.run_and_wait([&] { sums[9] = Skynet(number + 9 * size / 10, size / 10); });
  int64_t sum = 0;
  for (int64_t part : sums) sum += part;
  return sum;
}

int64_t Nqueens(int column, Board<kQueens> board) {
  if (column == kQueens) return 1;
  tbb::task_group group;
  std::array<int64_t, kQueens> solutions{};
  for (int row = 0; row < kQueens; ++row) {
    if (!IsSafe<kQueens>(board, column, row)) continue;
    board[column] = static_cast<char>(row);
    group.run([&solutions, column, row, board] { solutions[row] = Nqueens(column + 1, board); });
  }
  group.wait();
  int64_t sum = 0;
  for (int64_t part : solutions) sum += part;
  return sum;
}

void Matmul(const Product& product) {
  if (product.is_leaf()) return Multiply(product);
  const auto all = [](const std::array<Product, 4>& parts) {
    tbb::parallel_invoke([&] { Matmul(parts[0]); }, [&] { Matmul(parts[1]); }, [&] { Matmul(parts[2]); },
                         [&] { Matmul(parts[3]); });
  };
  all(product.First());
  all(product.Second());
}

int64_t ForkAndJoin(int64_t children) {
  tbb::task_group group;
  for (int64_t i = 0; i < children; ++i) group.run([] {});
  return group.wait() == tbb::complete ? children : 0;
}

int Main(int argc, char** argv) {
  const Harness harness("tbb", argc, argv);
  const tbb::global_control limit(tbb::global_control::max_allowed_parallelism, static_cast<size_t>(harness.threads()));
  tbb::task_arena arena(harness.threads());
  const auto measure = [&](const Measurement& measurement, auto once) {
    harness.Measure(measurement, [&] { return arena.execute(once); });
  };
  measure({"FibAll", kFib, FibCalls(kFib), Fib(kFib)}, [] { return FibInvoke(kFib); });
  measure({"Skynet", kMillion, 1'111'111, 499'999'500'000}, [] { return Skynet(0, kMillion); });
  const QueensAnswer queens = QueensAnswerOf<kQueens>();
  measure({"Nqueens", kQueens, queens.nodes, queens.solutions}, [] { return Nqueens(0, {}); });
  if (harness.Wants("Matmul")) {
    Matrices matrices(kMatrix);
    Product product;
    harness.Measure(
        {"Matmul", kMatrix, matrices.leaves(), static_cast<int64_t>(matrices.right_checksum())},
        [&] { product = matrices.Begin(); }, [&] { arena.execute([&] { Matmul(product); }); },
        [&] { return static_cast<int64_t>(matrices.Checksum()); });
  }
  measure({"ForkJoinMillion", kMillion, kMillion, kMillion}, [] { return ForkAndJoin(kMillion); });
  return 0;
}

}  // namespace
}  // namespace weft::benchmarks::peers

int main(int argc, char** argv) { return weft::benchmarks::peers::Main(argc, argv); }

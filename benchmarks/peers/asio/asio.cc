// The benchmarks in Boost.Asio: coroutines on a thread_pool, forked by co_spawn, joined by parallel groups. It has no
// locks for coroutines, and nothing like a thread-local.
#include <array>
#include <atomic>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/experimental/concurrent_channel.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/use_future.hpp>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <future>
#include <string>
#include <utility>
#include <vector>

#include "benchmarks/peers/asio/channels.h"
#include "benchmarks/peers/asio/sum_of.h"
#include "benchmarks/peers/harness.h"
#include "benchmarks/work/fib.h"
#include "benchmarks/work/matrix.h"
#include "benchmarks/work/queens.h"

namespace weft::benchmarks::peers {
namespace {

namespace asio = boost::asio;
using asio::awaitable;
using asio::experimental::awaitable_operators::operator&&;

constexpr int kFib = 22;
constexpr int kQueens = 11;
constexpr int64_t kMatrix = 512;
constexpr int64_t kMillion = 1'000'000;
constexpr int64_t kRounds = 200'000;

awaitable<int64_t> FibAnd(int n) {
  if (n < 2) co_return n;
  auto [a, b] = co_await (FibAnd(n - 1) && FibAnd(n - 2));
  co_return a + b;
}

awaitable<int64_t> Skynet(int64_t number, int64_t size) {
  if (size == 1) co_return number;
  std::vector<awaitable<int64_t>> children;
  children.reserve(10);
  for (int64_t i = 0; i < 10; ++i) children.push_back(Skynet(number + i * size / 10, size / 10));
  co_return co_await SumOf(std::move(children));
}

awaitable<int64_t> Nqueens(int column, Board<kQueens> board) {
  if (column == kQueens) co_return 1;
  std::vector<awaitable<int64_t>> children;
  for (int row = 0; row < kQueens; ++row) {
    if (!IsSafe<kQueens>(board, column, row)) continue;
    board[column] = static_cast<char>(row);
    children.push_back(Nqueens(column + 1, board));
  }
  if (children.empty()) co_return 0;
  co_return co_await SumOf(std::move(children));
}

awaitable<void> Matmul(Product product) {
  if (product.is_leaf()) {
    Multiply(product);
    co_return;
  }
  const auto all = [](const std::array<Product, 4>& parts) {
    return Matmul(parts[0]) && Matmul(parts[1]) && Matmul(parts[2]) && Matmul(parts[3]);
  };
  co_await all(product.First());
  co_await all(product.Second());
}

awaitable<void> Nothing() { co_return; }

// The last one that ends tells.
int64_t ForkAndJoin(asio::thread_pool& pool, int64_t children) {
  std::atomic<int64_t> left{children};
  std::promise<void> all;
  asio::post(pool, [&] {
    for (int64_t i = 0; i < children; ++i) {
      asio::co_spawn(pool, Nothing(), [&](std::exception_ptr) {
        if (left.fetch_sub(1) == 1) all.set_value();
      });
    }
  });
  all.get_future().get();
  return children - left.load();
}

awaitable<int64_t> Yields(int64_t rounds) {
  const auto executor = co_await asio::this_coro::executor;
  int64_t count = 0;
  for (; count < rounds; ++count) co_await asio::post(executor, asio::use_awaitable);
  co_return count;
}

using Channel = asio::experimental::concurrent_channel<void(boost::system::error_code)>;

awaitable<int64_t> Play(Channel& mine, Channel& other, int64_t rounds) {
  int64_t count = 0;
  for (; count < rounds; ++count) {
    co_await mine.async_receive(asio::use_awaitable);
    co_await other.async_send(boost::system::error_code(), asio::use_awaitable);
  }
  co_return count;
}

awaitable<int64_t> PingPong(int64_t rounds) {
  const auto executor = co_await asio::this_coro::executor;
  Channel ping(executor, 1), pong(executor, 1);
  co_await ping.async_send(boost::system::error_code(), asio::use_awaitable);
  auto [a, b] = co_await (Play(ping, pong, rounds) && Play(pong, ping, rounds));
  co_return a + b;
}

// A std::future is what Asio gives of a function.
int64_t SubmitAndGet(asio::thread_pool& pool, int64_t tasks, int64_t times) {
  int64_t sum = 0;
  std::vector<std::future<int64_t>> futures;
  for (; times > 0; --times) {
    for (int64_t i = 0; i < tasks; ++i) {
      futures.push_back(asio::post(pool, std::packaged_task<int64_t()>([i] { return i; })));
    }
    for (std::future<int64_t>& future : futures) sum += future.get();
    futures.clear();
  }
  return sum;
}

int64_t StartAndJoin(asio::thread_pool& pool, int64_t threads, int64_t times) {
  int64_t joined = 0;
  for (; times > 0; --times) joined += ForkAndJoin(pool, threads);
  return joined;
}

// There on another pool, and back.
awaitable<int64_t> BlockingCalls(asio::thread_pool& blocking, int64_t rounds) {
  const auto executor = co_await asio::this_coro::executor;
  int64_t count = 0;
  for (; count < rounds; ++count) {
    co_await asio::post(blocking, asio::bind_executor(blocking, asio::use_awaitable));
    co_await asio::post(executor, asio::use_awaitable);
  }
  co_return count;
}

awaitable<void> Nap() {
  asio::steady_timer timer(co_await asio::this_coro::executor, std::chrono::milliseconds(10));
  co_await timer.async_wait(asio::use_awaitable);
}

int64_t Sleeps(asio::thread_pool& pool, int64_t count) {
  std::atomic<int64_t> left{count};
  std::promise<void> all;
  for (int64_t i = 0; i < count; ++i) {
    asio::co_spawn(pool, Nap(), [&](std::exception_ptr) {
      if (left.fetch_sub(1) == 1) all.set_value();
    });
  }
  all.get_future().get();
  return count - left.load();
}

// A timer that never expires is what Asio has for an event.
awaitable<void> Park(asio::steady_timer& event, int64_t& arrived, int64_t& woken) {
  ++arrived;
  boost::system::error_code cancelled;
  co_await event.async_wait(asio::redirect_error(asio::use_awaitable, cancelled));
  ++woken;
}

// On one thread: timers, and these counters, are not for several.
void MeasureParked(const Harness& harness) {
  const Measurement measurement{"ParkedTask", kMillion, kMillion, kMillion};
  if (!harness.Wants(measurement.name)) return;
  asio::io_context context;
  asio::steady_timer event(context, asio::steady_timer::time_point::max());
  int64_t arrived = 0;
  int64_t woken = 0;
  const int64_t bytes_before = ResidentBytes();
  const auto begin = std::chrono::steady_clock::now();
  for (int64_t i = 0; i < kMillion; ++i) asio::co_spawn(context, Park(event, arrived, woken), asio::detached);
  while (arrived < kMillion) context.run_one();
  const std::chrono::duration<double, std::nano> nanos = std::chrono::steady_clock::now() - begin;
  const int64_t bytes = ResidentBytes() - bytes_before;
  event.cancel();
  context.run();
  if (woken != kMillion) std::terminate();
  harness.Print(measurement, nanos.count(),
                ",\"bytes_per_thread\":" + std::to_string(static_cast<double>(bytes) / kMillion));
}

int Main(int argc, char** argv) {
  const Harness harness("asio", argc, argv);
  // Alone, before anything else has used memory.
  MeasureParked(harness);
  asio::thread_pool pool(static_cast<size_t>(harness.threads()));
  const auto run = [&](auto task) { return asio::co_spawn(pool, std::move(task), asio::use_future).get(); };
  harness.Measure({"FibAll", kFib, FibCalls(kFib), Fib(kFib)}, [&] { return run(FibAnd(kFib)); });
  harness.Measure({"Skynet", kMillion, 1'111'111, 499'999'500'000}, [&] { return run(Skynet(0, kMillion)); });
  const QueensAnswer queens = QueensAnswerOf<kQueens>();
  harness.Measure({"Nqueens", kQueens, queens.nodes, queens.solutions}, [&] { return run(Nqueens(0, {})); });
  if (harness.Wants("Matmul")) {
    Matrices matrices(kMatrix);
    Product product;
    harness.Measure(
        {"Matmul", kMatrix, matrices.leaves(), static_cast<int64_t>(matrices.right_checksum())},
        [&] { product = matrices.Begin(); }, [&] { run(Matmul(product)); },
        [&] { return static_cast<int64_t>(matrices.Checksum()); });
  }
  harness.Measure({"ForkJoinMillion", kMillion, kMillion, kMillion}, [&] { return ForkAndJoin(pool, kMillion); });
  harness.Measure({"Yield", kMillion, kMillion, kMillion}, [&] { return run(Yields(kMillion)); });
  harness.Measure({"PingPong", kRounds, 2 * kRounds, 2 * kRounds}, [&] { return run(PingPong(kRounds)); });
  // A channel of one place is a permit, too.
  harness.Measure({"ParkUnpark", kRounds, 2 * kRounds, 2 * kRounds}, [&] { return run(PingPong(kRounds)); });
  MeasureChannels(harness, pool);
  harness.Measure({"StartJoin10", 10, 50'000, 50'000}, [&] { return StartAndJoin(pool, 10, 5'000); });
  harness.Measure({"StartJoin1000", 1'000, kMillion, kMillion}, [&] { return StartAndJoin(pool, 1'000, 1'000); });
  harness.Measure({"SubmitGet", 1'000, 200'000, 200 * 499'500}, [&] { return SubmitAndGet(pool, 1'000, 200); });
  asio::thread_pool blocking(1);
  harness.Measure({"BlockingCall", 20'000, 20'000, 20'000}, [&] { return run(BlockingCalls(blocking, 20'000)); });
  harness.Measure({"SleepVirtual", 10'000, 10'000, 10'000}, [&] { return Sleeps(pool, 10'000); });
  blocking.join();
  pool.join();
  return 0;
}

}  // namespace
}  // namespace weft::benchmarks::peers

int main(int argc, char** argv) { return weft::benchmarks::peers::Main(argc, argv); }

#include "benchmarks/peers/asio/channels.h"

#include <atomic>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/experimental/concurrent_channel.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/use_future.hpp>
#include <boost/system/error_code.hpp>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "benchmarks/peers/asio/sum_of.h"
#include "benchmarks/peers/harness.h"

namespace weft::benchmarks::peers {
namespace {

namespace asio = boost::asio;
using asio::awaitable;
using asio::experimental::awaitable_operators::operator&&;
using boost::system::error_code;

constexpr int64_t kValues = 400'000;
constexpr int64_t kRounds = 200'000;

using Channel = asio::experimental::concurrent_channel<void(error_code, int64_t)>;

// ---- Values from some coroutines to as many others.

// The last one that ends sends a zero to each consumer: closing a channel of Boost 1.81 drops what is in it.
awaitable<int64_t> Produce(Channel& channel, std::atomic<int64_t>& producers, int64_t count, int64_t consumers) {
  for (int64_t i = 1; i <= count; ++i) co_await channel.async_send(error_code(), i, asio::use_awaitable);
  if (producers.fetch_sub(1) > 1) co_return 0;
  for (int64_t i = 0; i < consumers; ++i) co_await channel.async_send(error_code(), 0, asio::use_awaitable);
  co_return 0;
}

awaitable<int64_t> Consume(Channel& channel) {
  int64_t sum = 0;
  while (const int64_t value = co_await channel.async_receive(asio::use_awaitable)) sum += value;
  co_return sum;
}

awaitable<int64_t> ManyToMany(size_t capacity, int64_t pairs) {
  Channel channel(co_await asio::this_coro::executor, capacity);
  std::atomic<int64_t> producers{pairs};
  std::vector<awaitable<int64_t>> all;
  for (int64_t i = 0; i < pairs; ++i) all.push_back(Consume(channel));
  for (int64_t i = 0; i < pairs; ++i) all.push_back(Produce(channel, producers, kValues / pairs, pairs));
  co_return co_await SumOf(std::move(all));
}

// ---- Ping-pong through a rendezvous.

awaitable<int64_t> Play(Channel& mine, Channel& other, bool first) {
  int64_t count = 0;
  if (first) co_await other.async_send(error_code(), 0, asio::use_awaitable);
  for (; count < kRounds; ++count) {
    co_await mine.async_receive(asio::use_awaitable);
    if (count + 1 < kRounds || !first) co_await other.async_send(error_code(), count, asio::use_awaitable);
  }
  co_return count;
}

awaitable<int64_t> PingPong() {
  const auto executor = co_await asio::this_coro::executor;
  Channel ping(executor, 0), pong(executor, 0);
  auto [a, b] = co_await (Play(ping, pong, true) && Play(pong, ping, false));
  co_return a + b;
}

}  // namespace

void MeasureChannels(const Harness& harness, asio::thread_pool& pool) {
  const auto run = [&](awaitable<int64_t> task) {
    return asio::co_spawn(pool, std::move(task), asio::use_future).get();
  };
  const auto sum_of = [](int64_t pairs) { return pairs * (kValues / pairs) * (kValues / pairs + 1) / 2; };
  harness.Measure({"ChannelOneToOne", kValues, kValues, sum_of(1)}, [&] { return run(ManyToMany(64, 1)); });
  harness.Measure({"ChannelFourToFour", kValues, kValues, sum_of(4)}, [&] { return run(ManyToMany(64, 4)); });
  harness.Measure({"RendezvousOneToOne", kValues, kValues, sum_of(1)}, [&] { return run(ManyToMany(0, 1)); });
  harness.Measure({"RendezvousPingPong", kRounds, 2 * kRounds, 2 * kRounds}, [&] { return run(PingPong()); });
}

}  // namespace weft::benchmarks::peers

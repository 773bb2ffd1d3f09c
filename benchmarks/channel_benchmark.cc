// Values through channels, from one virtual thread to another, and selects.
#include <cstdint>
#include <optional>
#include <variant>
#include <vector>

#include "benchmark/benchmark.h"
#include "benchmarks/measure.h"
#include "weft/channel/channel.h"
#include "weft/channel/select.h"
#include "weft/weft.h"

namespace weft::benchmarks {
namespace {

// ---- An operation is a value that is sent and received.

Task<void> Produce(Channel<int64_t>& channel, int64_t count) {
  for (int64_t i = 1; i <= count; ++i) co_await channel.Send(i);
}
Task<int64_t> Consume(Channel<int64_t>& channel) {
  int64_t sum = 0;
  while (const std::optional<int64_t> value = co_await channel.Receive()) sum += *value;
  co_return sum;
}

Task<int64_t> ManyToMany(int64_t capacity, int pairs, int64_t each) {
  Channel<int64_t> channel(capacity);
  AwaitAll consumers;
  std::vector<Subtask<int64_t>> sums;
  for (int i = 0; i < pairs; ++i) sums.push_back(consumers.Fork(Consume(channel)));
  {
    AwaitAll producers;
    for (int i = 0; i < pairs; ++i) producers.Fork(Produce(channel, each));
    (co_await producers.Join()).IgnoreFailures();
  }
  channel.Close();
  (co_await consumers.Join()).IgnoreFailures();
  int64_t sum = 0;
  for (Subtask<int64_t>& part : sums) sum += *part;
  co_return sum;
}

void MeasureValues(benchmark::State& state, int64_t capacity, int pairs) {
  const int64_t each = Size(400'000, 400) / pairs;
  MeasureOnRuntime(state, each * pairs, [&](Runtime& runtime) {
    Holds(state, runtime.Run(ManyToMany(capacity, pairs, each)), pairs * each * (each + 1) / 2);
  });
}

void BM_ChannelOneToOne(benchmark::State& state) { MeasureValues(state, 64, 1); }
BENCHMARK(BM_ChannelOneToOne)->Apply(Carriers)->Unit(benchmark::kMillisecond)->UseManualTime();
void BM_ChannelFourToFour(benchmark::State& state) { MeasureValues(state, 64, 4); }
BENCHMARK(BM_ChannelFourToFour)->Apply(Carriers)->Unit(benchmark::kMillisecond)->UseManualTime();
void BM_RendezvousOneToOne(benchmark::State& state) { MeasureValues(state, 0, 1); }
BENCHMARK(BM_RendezvousOneToOne)->Apply(Carriers)->Unit(benchmark::kMillisecond)->UseManualTime();

// ---- An operation is a switch from one thread to another, as in the ping-pong through events (switch_benchmark.cc).

Task<int> Play(Channel<int>& mine, Channel<int>& other, int rounds, bool first) {
  int count = 0;
  if (first) co_await other.Send(0);
  for (; count < rounds; ++count) {
    co_await mine.Receive();
    if (count + 1 < rounds || !first) co_await other.Send(count);
  }
  co_return count;
}

Task<int> PingPong(int rounds) {
  Channel<int> ping(0), pong(0);
  auto [a, b] = co_await All(Play(ping, pong, rounds, true), Play(pong, ping, rounds, false));
  co_return a + b;
}

void BM_RendezvousPingPong(benchmark::State& state) {
  const int rounds = Size(200'000, 1'000);
  const int switches = 2 * rounds;
  MeasureOnRuntime(state, switches, [&](Runtime& runtime) { Holds(state, runtime.Run(PingPong(rounds)), switches); });
}
BENCHMARK(BM_RendezvousPingPong)->Apply(Carriers)->Unit(benchmark::kMillisecond)->UseManualTime();

// ---- An operation is a select that receives a value, of two channels or of eight, one of which has values.

Task<int64_t> SelectOfTwo(int64_t rounds) {
  Channel<int64_t> a(1), b(1);
  int64_t sum = 0;
  for (int64_t i = 0; i < rounds; ++i) {
    (i % 2 == 0 ? a : b).TrySend(1);
    auto got = co_await Select(a.Receive(), b.Receive());
    sum += got.index() == 0 ? *std::get<0>(got) : *std::get<1>(got);
  }
  co_return sum;
}

Task<int64_t> SelectOfEight(int64_t rounds) {
  Channel<int64_t> a(1), b(1), c(1), d(1), e(1), f(1), g(1), h(1);
  Channel<int64_t>* const all[] = {&a, &b, &c, &d, &e, &f, &g, &h};
  int64_t sum = 0;
  for (int64_t i = 0; i < rounds; ++i) {
    all[i % 8]->TrySend(1);
    auto got = co_await Select(a.Receive(), b.Receive(), c.Receive(), d.Receive(), e.Receive(), f.Receive(),
                               g.Receive(), h.Receive());
    sum += std::visit([](const std::optional<int64_t>& value) { return *value; }, got);
  }
  co_return sum;
}

// The same with a select that waits for it.
Task<int64_t> SelectThatWaits(int64_t rounds) {
  Channel<int64_t> a(0), b(0);
  AwaitAll scope;
  scope.Fork([&]() -> Task<void> {
    for (int64_t i = 0; i < rounds; ++i) co_await (i % 2 == 0 ? a : b).Send(1);
  });
  int64_t sum = 0;
  for (int64_t i = 0; i < rounds; ++i) {
    auto got = co_await Select(a.Receive(), b.Receive());
    sum += got.index() == 0 ? *std::get<0>(got) : *std::get<1>(got);
  }
  (co_await scope.Join()).IgnoreFailures();
  co_return sum;
}

void MeasureSelect(benchmark::State& state, Task<int64_t> (*body)(int64_t)) {
  const int64_t rounds = Size(200'000, 200);
  MeasureOnRuntime(state, rounds, [&](Runtime& runtime) { Holds(state, runtime.Run(body(rounds)), rounds); });
}
void BM_SelectOfTwo(benchmark::State& state) { MeasureSelect(state, &SelectOfTwo); }
BENCHMARK(BM_SelectOfTwo)->ArgName("carriers")->Arg(1)->Unit(benchmark::kMillisecond)->UseManualTime();
void BM_SelectOfEight(benchmark::State& state) { MeasureSelect(state, &SelectOfEight); }
BENCHMARK(BM_SelectOfEight)->ArgName("carriers")->Arg(1)->Unit(benchmark::kMillisecond)->UseManualTime();
void BM_SelectThatWaits(benchmark::State& state) { MeasureSelect(state, &SelectThatWaits); }
BENCHMARK(BM_SelectThatWaits)->ArgName("carriers")->Arg(1)->Unit(benchmark::kMillisecond)->UseManualTime();

}  // namespace
}  // namespace weft::benchmarks

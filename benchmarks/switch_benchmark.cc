// From one virtual thread to the next: yielding, waking one another, a call on an OS thread that may block, and how
// soon an idle carrier takes what there is to do.
#include <algorithm>
#include <cstdint>
#include <vector>

#include "benchmark/benchmark.h"
#include "benchmarks/measure.h"
#include "lib/base/fence.h"
#include "weft/blocking.h"
#include "weft/weft.h"

namespace weft::benchmarks {
namespace {

// ---- An operation is a switch from one thread to another, or from one to itself.

Task<int> Yields(int rounds) {
  int count = 0;
  for (; count < rounds; ++count) co_await Yield();
  co_return count;
}

void BM_Yield(benchmark::State& state) {
  const int rounds = Size(1'000'000, 1'000);
  MeasureOnRuntime(state, rounds, [&](Runtime& runtime) { Holds(state, runtime.Run(Yields(rounds)), rounds); });
}
BENCHMARK(BM_Yield)->ArgName("carriers")->Arg(1)->Unit(benchmark::kMillisecond)->UseManualTime();

Task<int> Play(Event& mine, Event& other, int rounds) {
  int count = 0;
  for (; count < rounds; ++count) {
    co_await mine.Wait();
    mine.Reset();
    other.Set();
  }
  co_return count;
}

Task<int> PingPong(int rounds) {
  Event ping, pong;
  ping.Set();
  auto [a, b] = co_await All(Play(ping, pong, rounds), Play(pong, ping, rounds));
  co_return a + b;
}

void BM_PingPong(benchmark::State& state) {
  const int rounds = Size(200'000, 1'000);
  const int switches = 2 * rounds;
  MeasureOnRuntime(state, switches, [&](Runtime& runtime) { Holds(state, runtime.Run(PingPong(rounds)), switches); });
}
BENCHMARK(BM_PingPong)->Apply(Carriers)->Unit(benchmark::kMillisecond)->UseManualTime();

// ---- An operation is a call on an OS thread that may block, there and back.

Task<int> Calls(int rounds) {
  int count = 0;
  while (count < rounds && (co_await Blocking([] {})).ok()) ++count;
  co_return count;
}

void BM_BlockingCall(benchmark::State& state) {
  const int rounds = Size(20'000, 100);
  MeasureOnRuntime(state, rounds, [&](Runtime& runtime) { Holds(state, runtime.Run(Calls(rounds)), rounds); });
}
BENCHMARK(BM_BlockingCall)->ArgName("carriers")->Arg(1)->Unit(benchmark::kMillisecond)->UseManualTime();

// ---- Two carriers, of which one computes all the time, so that only the other one can take anything.

// Longer than an idle carrier searches before it parks.
constexpr int64_t kUntilParkedNanos = 500'000;

// As a computation: nothing is awaited.
void ComputeUntil(int64_t time) {
  while (Now() < time) internal::CpuRelax();
}
// [wake/2] acquire: pairs with [wake/1].
void ComputeUntil(const internal::Atomic<int>& count, int value) {
  while (count.load(std::memory_order_acquire) != value) internal::CpuRelax();
}

double MedianOf(const std::vector<int64_t>& values) { return benchmarks::MedianOf({values.begin(), values.end()}); }

// Wakes a thread on the other carrier again and again. From each Set() until the woken thread ran, in nanoseconds.
Task<std::vector<int64_t>> WakeParked(int rounds) {
  Event wake;
  internal::Atomic<int> waits{0};
  internal::Atomic<int> runs{0};
  int64_t ran_at = 0;
  AwaitAll scope;
  scope.Fork([&]() -> Task<void> {
    for (int round = 1; round <= rounds; ++round) {
      waits.store(round, std::memory_order_relaxed);  // relaxed: only says that the wait is about to begin
      co_await wake.Wait();
      ran_at = Now();
      wake.Reset();
      // [wake/1] release: pairs with [wake/2], for ran_at.
      runs.store(round, std::memory_order_release);
    }
  });
  std::vector<int64_t> nanos;
  for (int round = 1; round <= rounds; ++round) {
    ComputeUntil(waits, round);
    ComputeUntil(Now() + kUntilParkedNanos);
    const int64_t begin = Now();
    wake.Set();
    ComputeUntil(runs, round);
    nanos.push_back(ran_at - begin);
  }
  (co_await scope.Join()).IgnoreFailures();
  co_return nanos;
}

// An operation is a wake-up; the median of all.
void BM_WakeParked(benchmark::State& state) {
  const int rounds = Size(101, 3);
  Runtime& runtime = RuntimeOf(static_cast<int>(state.range(0)));
  std::vector<int64_t> all;
  FloorWatch floor;
  for (auto _ : state) {
    const std::vector<int64_t> nanos = runtime.Run(WakeParked(rounds));
    all.insert(all.end(), nanos.begin(), nanos.end());
    state.SetIterationTime(MedianOf(nanos) * 1e-9 * rounds);
    floor.Look();
  }
  if (!Holds(state, static_cast<int64_t>(all.size()), static_cast<int64_t>(state.iterations() * rounds))) return;
  ReportEach(state, MedianOf(all), rounds, floor.Median());
}
// The time that counts is a small part of the time that it takes: iterations by number.
BENCHMARK(BM_WakeParked)->ArgName("carriers")->Arg(2)->Unit(benchmark::kMicrosecond)->UseManualTime()->Iterations(5);

struct Stranded {
  int64_t first = 0;
  int64_t last = 0;
  int64_t started = 0;        // children
  int64_t left_to_owner = 0;  // of these, those that nobody took while their owner computed
};

// The owner forks and computes; beside it `busy` threads yield all the while. When do the children start, counted from
// the first fork?
Task<Stranded> ForkAndCompute(int children, int64_t compute_nanos, int busy) {
  internal::Atomic<bool> done{false};
  AwaitAll others;
  for (int i = 0; i < busy; ++i) {
    others.Fork([&]() -> Task<void> {
      while (!done.load(std::memory_order_relaxed)) co_await Yield();  // relaxed: says only when
    });
  }
  ComputeUntil(Now() + kUntilParkedNanos);
  const int owner = VirtualThread::Current().carrier();
  std::vector<int64_t> started(children);
  internal::Atomic<int64_t> left_to_owner{0};
  int64_t begin = 0;
  {
    AwaitAll scope;
    begin = Now();
    for (int64_t& start : started) {
      scope.Fork([&]() -> Task<void> {
        start = Now();
        // relaxed: read after the join.
        if (VirtualThread::Current().carrier() == owner) left_to_owner.fetch_add(1, std::memory_order_relaxed);
        co_return;
      });
    }
    ComputeUntil(begin + compute_nanos);
    (co_await scope.Join()).IgnoreFailures();
  }
  done.store(true, std::memory_order_relaxed);
  (co_await others.Join()).IgnoreFailures();
  const auto [first, last] = std::minmax_element(started.begin(), started.end());
  const int64_t all = std::ranges::count_if(started, [](int64_t start) { return start != 0; });
  co_return Stranded{*first - begin, *last - begin, all, left_to_owner.load(std::memory_order_relaxed)};
}

// An operation is all of it: the time until the last child has started. `left_to_owner` is a sum; it should be none.
void MeasureStranded(benchmark::State& state, int busy) {
  constexpr int kChildren = 100;
  const int64_t compute_nanos = Size(50'000'000, 5'000'000);
  Runtime& runtime = RuntimeOf(static_cast<int>(state.range(0)));
  std::vector<int64_t> first, last;
  int64_t left_to_owner = 0;
  FloorWatch floor;
  for (auto _ : state) {
    const Stranded stranded = runtime.Run(ForkAndCompute(kChildren, compute_nanos, busy));
    if (!Holds(state, stranded.started, int64_t{kChildren})) return;
    first.push_back(stranded.first);
    last.push_back(stranded.last);
    left_to_owner += stranded.left_to_owner;
    state.SetIterationTime(static_cast<double>(stranded.last) * 1e-9);
    floor.Look();
  }
  ReportEach(state, MedianOf(last), 1, floor.Median());
  state.counters["first_ns"] = MedianOf(first);
  state.counters["last_ns"] = MedianOf(last);
  state.counters["left_to_owner"] = static_cast<double>(left_to_owner);
}
// The other carrier is idle.
void BM_StrandedLatency(benchmark::State& state) { MeasureStranded(state, /*busy=*/0); }
// The other carrier has something to do all the time.
void BM_StrandedAmongBusy(benchmark::State& state) { MeasureStranded(state, /*busy=*/1); }

void TwoCarriers(benchmark::internal::Benchmark* benchmark) {
  benchmark->ArgName("carriers")->Arg(2)->Unit(benchmark::kMicrosecond)->UseManualTime()->Iterations(11);
}
BENCHMARK(BM_StrandedLatency)->Apply(TwoCarriers);
BENCHMARK(BM_StrandedAmongBusy)->Apply(TwoCarriers);

}  // namespace
}  // namespace weft::benchmarks

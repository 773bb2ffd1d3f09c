// Tasks that are submitted to an executor, and their values; and the comparison that virtual threads are for: many that
// sleep, on as many virtual threads, and on a pool of OS threads. An operation is a task.
#include <cstdint>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "benchmark/benchmark.h"
#include "benchmarks/measure.h"
#include "weft/executor/bounded_executor.h"
#include "weft/executor/executor.h"
#include "weft/executor/future.h"
#include "weft/executor/per_task_executor.h"
#include "weft/executor/thread_pool_executor.h"
#include "weft/weft.h"

namespace weft::benchmarks {
namespace {

// Submits `tasks` of what `task(i)` makes, and gets the value of each, so many times. The sum of the values.
template <class MakeTask>
Task<int64_t> SubmitAndGet(Executor& executor, int64_t rounds, int64_t tasks, MakeTask task) {
  int64_t sum = 0;
  std::vector<decltype(executor.Submit(task(0)))> futures;
  futures.reserve(static_cast<size_t>(tasks));
  for (int64_t round = 0; round < rounds; ++round) {
    for (int64_t i = 0; i < tasks; ++i) futures.push_back(executor.Submit(task(i)));
    for (auto& future : futures) sum += co_await std::move(future).Get();
    futures.clear();
  }
  co_return sum;
}

// `make` makes the executor, on the runtime.
template <class Make, class MakeTask>
void MeasureExecutor(benchmark::State& state, int64_t rounds, int64_t tasks, Make make, MakeTask task) {
  const int64_t right = rounds * tasks * (tasks - 1) / 2;
  MeasureOnRuntime(state, rounds * tasks, [&](Runtime& runtime) {
    const int64_t sum = runtime.Run([&]() -> Task<int64_t> {
      auto executor = make();
      const int64_t got = co_await SubmitAndGet(executor, rounds, tasks, task);
      co_await executor.Close();
      co_return got;
    }());
    Holds(state, sum, right);
  });
}

template <class Make>
void MeasureSubmitGet(benchmark::State& state, Make make) {
  MeasureExecutor(state, Size(200, 2), Size(1'000, 100), make, [](int64_t i) { return [i] { return i; }; });
}

void BM_SubmitGet(benchmark::State& state) {
  MeasureSubmitGet(state, [] { return VirtualThreadPerTaskExecutor(); });
}
void BM_SubmitGetBounded(benchmark::State& state) {
  MeasureSubmitGet(state, [] { return BoundedExecutor(1'000); });
}
// As many OS threads as carriers.
void BM_SubmitGetPool(benchmark::State& state) {
  MeasureSubmitGet(state, [&state] { return ThreadPoolExecutor(static_cast<int>(state.range(0))); });
}
BENCHMARK(BM_SubmitGet)->Apply(Carriers)->Unit(benchmark::kMillisecond)->UseManualTime();
BENCHMARK(BM_SubmitGetBounded)->Apply(Carriers)->Unit(benchmark::kMillisecond)->UseManualTime();
BENCHMARK(BM_SubmitGetPool)->Apply(Carriers)->Unit(benchmark::kMillisecond)->UseManualTime();

// ---- Sleeps of 10 ms: whatever waits that long for something else.

constexpr absl::Duration kNap = absl::Milliseconds(10);

void BM_SleepVirtual(benchmark::State& state) {
  MeasureExecutor(
      state, 1, Size(10'000, 100), [] { return VirtualThreadPerTaskExecutor(); },
      [](int64_t i) {
        return [i]() -> Task<int64_t> {
          co_await Sleep(kNap);
          co_return i;
        };
      });
}
// By 200 of them.
void BM_SleepOsThreads(benchmark::State& state) {
  MeasureExecutor(
      state, 1, Size(1'000, 100), [] { return ThreadPoolExecutor(200); },
      [](int64_t i) {
        return [i] {
          absl::SleepFor(kNap);
          return i;
        };
      });
}
BENCHMARK(BM_SleepVirtual)->ArgName("carriers")->Arg(1)->Arg(2)->Unit(benchmark::kMillisecond)->UseManualTime();
BENCHMARK(BM_SleepOsThreads)->ArgName("carriers")->Arg(1)->Unit(benchmark::kMillisecond)->UseManualTime();

}  // namespace
}  // namespace weft::benchmarks

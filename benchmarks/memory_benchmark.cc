// What a parked virtual thread costs: resident memory, when very many are forked in one scope and wait for one event.
//
// Each measurement is made in a process of its own, for memory that was once used stays with the process and would be
// used again. This one is forked from a process that has started no runtime, and so has one OS thread. An operation is
// a thread: it is forked and parked. `bytes_per_thread` counts all that there is more of than before: frames, control
// blocks, queues, and what lies idle.
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <optional>

#include "benchmark/benchmark.h"
#include "benchmarks/measure.h"
#include "weft/internal/atomic.h"
#include "weft/weft.h"

namespace weft::benchmarks {
namespace {

enum class From { kTask, kClosure };

struct Parked {
  int64_t bytes = 0;
  int64_t nanos = 0;
  int64_t woken = 0;
};

// Of this process, in bytes. (proc(5), statm: the second number, in pages)
int64_t ResidentBytes() {
  long long total = 0;  // the type that %lld wants
  long long resident = 0;
  FILE* statm = fopen("/proc/self/statm", "r");
  const bool read = statm != nullptr && fscanf(statm, "%lld %lld", &total, &resident) == 2;
  if (statm != nullptr) fclose(statm);
  if (!read) {
    std::perror("/proc/self/statm");
    std::_Exit(EXIT_FAILURE);
  }
  return static_cast<int64_t>(resident) * sysconf(_SC_PAGESIZE);
}

// Not in the frames, which are measured. Relaxed: they are read when the carrier, or a join, has ordered it all.
internal::Atomic<int64_t> arrived{0};
internal::Atomic<int64_t> woken{0};

Task<void> Park(Event& event) {
  arrived.fetch_add(1, std::memory_order_relaxed);
  co_await event.Wait();
  woken.fetch_add(1, std::memory_order_relaxed);
}

Task<Parked> ParkMany(From from, int64_t threads) {
  arrived.store(0, std::memory_order_relaxed);
  woken.store(0, std::memory_order_relaxed);
  Event event;
  AwaitAll scope;
  const int64_t bytes_before = ResidentBytes();
  const int64_t begin = Now();
  for (int64_t i = 0; i < threads; ++i) {
    if (from == From::kTask) {
      scope.Fork(Park(event));
    } else {
      scope.Fork([&event]() -> Task<void> {
        arrived.fetch_add(1, std::memory_order_relaxed);
        co_await event.Wait();
        woken.fetch_add(1, std::memory_order_relaxed);
      });
    }
  }
  while (arrived.load(std::memory_order_relaxed) != threads) co_await Yield();
  const int64_t nanos = Now() - begin;
  const int64_t bytes = ResidentBytes() - bytes_before;
  event.Set();
  (co_await scope.Join()).IgnoreFailures();
  co_return Parked{bytes, nanos, woken.load(std::memory_order_relaxed)};
}

// Some threads are parked before, for what the first ones cost.
[[noreturn]] void ParkInThisProcess(From from, int64_t threads, int result_pipe) {
  Runtime& runtime = RuntimeOf(1);
  runtime.Run(ParkMany(from, 100));
  const Parked parked = runtime.Run(ParkMany(from, threads));
  _exit(write(result_pipe, &parked, sizeof(parked)) == sizeof(parked) ? EXIT_SUCCESS : EXIT_FAILURE);
}

// None if that process could not be made, or did not end well.
std::optional<Parked> ParkInNewProcess(From from, int64_t threads) {
  int ends[2];
  if (pipe(ends) != 0) return std::nullopt;
  const pid_t child = fork();
  if (child < 0) return std::nullopt;
  if (child == 0) ParkInThisProcess(from, threads, ends[1]);
  close(ends[1]);
  Parked parked;
  const bool complete = read(ends[0], &parked, sizeof(parked)) == sizeof(parked);
  close(ends[0]);
  int status = 0;
  const bool ended_well =
      waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == EXIT_SUCCESS;
  if (!complete || !ended_well) return std::nullopt;
  return parked;
}

void MeasureParked(benchmark::State& state, From from, int64_t threads) {
  int64_t bytes = 0;
  Measure(state, threads, [&]() -> int64_t {
    const std::optional<Parked> parked = ParkInNewProcess(from, threads);
    if (!parked.has_value()) {
      state.SkipWithError("the process that was to park them failed");
      return 0;
    }
    Holds(state, parked->woken, threads);
    bytes += parked->bytes;
    return parked->nanos;
  });
  const double each = static_cast<double>(bytes) / static_cast<double>(state.iterations());
  state.counters["bytes_per_thread"] = each / static_cast<double>(threads);
  state.counters["rss_bytes"] = each;
}

void BM_ParkedTask(benchmark::State& state) { MeasureParked(state, From::kTask, Size(1'000'000, 1'000)); }
void BM_ParkedClosure(benchmark::State& state) { MeasureParked(state, From::kClosure, Size(1'000'000, 1'000)); }
void BM_ParkedTenMillion(benchmark::State& state) { MeasureParked(state, From::kTask, Size(10'000'000, 10'000)); }
BENCHMARK(BM_ParkedTask)->Unit(benchmark::kMillisecond)->UseManualTime()->Iterations(1);
BENCHMARK(BM_ParkedClosure)->Unit(benchmark::kMillisecond)->UseManualTime()->Iterations(1);
BENCHMARK(BM_ParkedTenMillion)->Unit(benchmark::kMillisecond)->UseManualTime()->Iterations(1);

}  // namespace
}  // namespace weft::benchmarks

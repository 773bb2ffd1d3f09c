// What a parked virtual thread costs: resident memory, when very many are forked in one scope and wait for one event.
//
// Each measurement is made in a process of its own, for memory that was once used stays with the process and would be
// used again. This one is forked from a process that has started no runtime, and so has one OS thread. An operation is
// a thread: it is forked and parked. `bytes_per_thread` counts all that there is more of than before: frames, control
// blocks, queues, and what lies idle.
//
// BM_ReturnedMemory: what is left of it when they have ended and the runtime was calm for some seconds, after the first
// time (`first_bytes`) and after the third (`rss_bytes`). An operation is a second of calm until no more goes back.
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <optional>

#include "absl/time/clock.h"
#include "absl/time/time.h"
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
struct Returned {
  int64_t first_bytes = 0;
  int64_t last_bytes = 0;
  int64_t peak_bytes = 0;
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
Parked ParkHere(From from, int64_t threads) {
  Runtime& runtime = RuntimeOf(1);
  runtime.Run(ParkMany(from, 100));
  return runtime.Run(ParkMany(from, threads));
}

// Waits until the resident memory has not fallen for three seconds; it is an OS thread that waits.
int64_t BytesAfterCalm() {
  int64_t least = ResidentBytes();
  for (int calm = 0; calm < 30; ++calm) {
    absl::SleepFor(absl::Milliseconds(100));
    if (ResidentBytes() < least) calm = 0;
    least = std::min(least, ResidentBytes());
  }
  return least;
}

Returned ParkAndReturnHere(int carriers, int64_t threads) {
  Runtime& runtime = RuntimeOf(carriers);
  runtime.Run(ParkMany(From::kTask, 100));
  const int64_t before = ResidentBytes();
  Returned returned;
  for (int round = 0; round < 3; ++round) {
    const Parked parked = runtime.Run(ParkMany(From::kTask, threads));
    returned.woken += parked.woken;
    returned.peak_bytes = std::max(returned.peak_bytes, parked.bytes);
    const int64_t begin = Now();
    returned.last_bytes = BytesAfterCalm() - before;
    returned.nanos += Now() - begin;
    if (round == 0) returned.first_bytes = returned.last_bytes;
  }
  return returned;
}

// What `measure` gives in a process of its own. None if that could not be made, or did not end well.
template <class Measured>
auto InNewProcess(Measured measure) -> std::optional<decltype(measure())> {
  int ends[2];
  if (pipe(ends) != 0) return std::nullopt;
  const pid_t child = fork();
  if (child < 0) return std::nullopt;
  if (child == 0) {
    const auto result = measure();
    _exit(write(ends[1], &result, sizeof(result)) == sizeof(result) ? EXIT_SUCCESS : EXIT_FAILURE);
  }
  close(ends[1]);
  decltype(measure()) result;
  const bool complete = read(ends[0], &result, sizeof(result)) == sizeof(result);
  close(ends[0]);
  int status = 0;
  const bool ended_well =
      waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == EXIT_SUCCESS;
  if (!complete || !ended_well) return std::nullopt;
  return result;
}

void MeasureParked(benchmark::State& state, From from, int64_t threads) {
  int64_t bytes = 0;
  Measure(state, threads, [&]() -> int64_t {
    const std::optional<Parked> parked = InNewProcess([&] { return ParkHere(from, threads); });
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

void BM_ReturnedMemory(benchmark::State& state) {
  const int64_t threads = Size(100'000, 1'000);
  Returned all;
  Measure(state, 1, [&]() -> int64_t {
    const std::optional<Returned> returned = InNewProcess([&] { return ParkAndReturnHere(/*carriers=*/2, threads); });
    if (!returned.has_value()) {
      state.SkipWithError("the process that was to park them failed");
      return 0;
    }
    Holds(state, returned->woken, 3 * threads);
    all = *returned;
    return returned->nanos;
  });
  state.counters["peak_bytes"] = static_cast<double>(all.peak_bytes);
  state.counters["first_bytes"] = static_cast<double>(all.first_bytes);
  state.counters["rss_bytes"] = static_cast<double>(all.last_bytes);
}

void BM_ParkedTask(benchmark::State& state) { MeasureParked(state, From::kTask, Size(1'000'000, 1'000)); }
void BM_ParkedClosure(benchmark::State& state) { MeasureParked(state, From::kClosure, Size(1'000'000, 1'000)); }
void BM_ParkedTenMillion(benchmark::State& state) { MeasureParked(state, From::kTask, Size(10'000'000, 10'000)); }
BENCHMARK(BM_ParkedTask)->Unit(benchmark::kMillisecond)->UseManualTime()->Iterations(1);
BENCHMARK(BM_ParkedClosure)->Unit(benchmark::kMillisecond)->UseManualTime()->Iterations(1);
BENCHMARK(BM_ParkedTenMillion)->Unit(benchmark::kMillisecond)->UseManualTime()->Iterations(1);
BENCHMARK(BM_ReturnedMemory)->Unit(benchmark::kMillisecond)->UseManualTime()->Iterations(1);

}  // namespace
}  // namespace weft::benchmarks

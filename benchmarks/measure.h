// What the benchmarks share: the floor, runtimes of N carriers, and counters in multiples of the floor.
//
// The floor F is what any coroutine costs: one is created from a hot free list, run, and destroyed. It is measured in the same process
// as the rest, because these machines differ from hour to hour: a result in multiples of F can be compared, one in nanoseconds cannot.
#ifndef WEFT_BENCHMARKS_MEASURE_H_
#define WEFT_BENCHMARKS_MEASURE_H_

#include <cstdint>

#include "benchmark/benchmark.h"
#include "lib/os/clock.h"
#include "weft/runtime.h"

namespace weft::benchmarks {

// Nanoseconds; measured once, the median of many short runs.
double FloorNanos();

// A runtime of that many carriers, made at the first call and kept.
Runtime& RuntimeOf(int carriers);

// Sets the counters `ns_per_op` and `floors` of a benchmark whose every iteration did `operations`, in `seconds` of wall time in all.
void Report(benchmark::State& state, double seconds, int64_t operations);

// Ends the benchmark with an error unless `found` is right. A wrong answer has no speed.
template <class T>
bool Holds(benchmark::State& state, const T& found, const T& right) {
  if (found == right) return true;
  state.SkipWithError("a wrong answer");
  return false;
}

// Runs `once(runtime)` for every iteration on the runtime of state.range(0) carriers, and reports.
template <class Once>
void MeasureOnRuntime(benchmark::State& state, int64_t operations, Once once) {
  Runtime& runtime = RuntimeOf(static_cast<int>(state.range(0)));
  once(runtime);  // warm
  double seconds = 0;
  for (auto _ : state) {
    const int64_t begin = internal::Clock::Real().NowNanos();
    once(runtime);
    seconds += static_cast<double>(internal::Clock::Real().NowNanos() - begin) * 1e-9;
  }
  Report(state, seconds, operations);
}

}  // namespace weft::benchmarks

#endif  // WEFT_BENCHMARKS_MEASURE_H_

// What the benchmarks share: the floor, runtimes of N carriers, and counters in multiples of the floor.
//
// The floor F is what any coroutine costs: one is created from a hot free list, run, and destroyed. It is measured in
// the same process as the rest, and again between the iterations of each benchmark, because these machines differ from
// hour to hour and from second to second: a result in multiples of F can be compared, one in nanoseconds cannot.
//
// Every benchmark sets the counters
//
//   ns_per_op    wall time of one operation: a call, a child, a switch; what it is stands beside the benchmark
//   floors       the same in multiples of the floor
//   operations   how many an iteration has
//   answer       what it has computed, and where that depends on it, `size`; numbers of less than 53 bits
//
// and fails if what it has computed is wrong. With --tiny sizes are small: it shows that a program works, and measures
// nothing.
#ifndef WEFT_BENCHMARKS_MEASURE_H_
#define WEFT_BENCHMARKS_MEASURE_H_

#include <cstdint>
#include <vector>

#include "benchmark/benchmark.h"
#include "lib/os/clock.h"
#include "weft/runtime.h"

namespace weft::benchmarks {

// The flag --tiny.
bool Tiny();
template <class T>
T Size(T full, T tiny) {
  return Tiny() ? tiny : full;
}

inline int64_t Now() { return internal::Clock::Real().NowNanos(); }

double MedianOf(std::vector<double> values);

// Samples of the floor, taken while something else is measured.
class FloorWatch {
 public:
  FloorWatch() { Sample(); }
  // Takes another sample if the last one is older than a tenth of a second; a sample takes about half a millisecond.
  void Look();
  // Takes a last sample, and gives the median, in nanoseconds.
  double Median();

 private:
  void Sample();

  std::vector<double> samples_;
  int64_t sampled_at_ = 0;
};

// A runtime of that many carriers, made at the first call and kept.
Runtime& RuntimeOf(int carriers);

// For benchmark->Apply(): one, two and four carriers. Four are too many for two CPUs, which must not cost much.
void Carriers(benchmark::internal::Benchmark* benchmark);

// Sets the counters of a benchmark whose every iteration did `operations`: in `nanos` of wall time in all, or in
// `nanos` each.
void Report(benchmark::State& state, int64_t nanos, int64_t operations, double floor);
void ReportEach(benchmark::State& state, double nanos, int64_t operations, double floor);

// Ends the benchmark with an error unless `found` is right. A wrong answer has no speed.
template <class T>
bool Holds(benchmark::State& state, const T& found, const T& right) {
  state.counters["answer"] = static_cast<double>(found);
  if (found == right) return true;
  state.SkipWithError("a wrong answer");
  return false;
}

// Calls `once` for every iteration, which gives the nanoseconds that count, and reports. The benchmark is one with
// UseManualTime().
template <class Once>
void Measure(benchmark::State& state, int64_t operations, Once once) {
  FloorWatch floor;
  int64_t nanos = 0;
  for (auto _ : state) {
    const int64_t taken = once();
    state.SetIterationTime(static_cast<double>(taken) * 1e-9);
    nanos += taken;
    floor.Look();
  }
  Report(state, nanos, operations, floor.Median());
}

// The same for `once(runtime)` on the runtime of state.range(0) carriers: all of the call counts. It is called once
// before, to warm up.
template <class Once>
void MeasureOnRuntime(benchmark::State& state, int64_t operations, Once once) {
  Runtime& runtime = RuntimeOf(static_cast<int>(state.range(0)));
  once(runtime);
  Measure(state, operations, [&] {
    const int64_t begin = Now();
    once(runtime);
    return Now() - begin;
  });
}

}  // namespace weft::benchmarks

#endif  // WEFT_BENCHMARKS_MEASURE_H_

#include "benchmarks/measure.h"

#include <algorithm>
#include <coroutine>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <vector>

#include "benchmark/benchmark.h"
#include "weft/internal/frame_cache.h"
#include "weft/runtime.h"

namespace weft::benchmarks {
namespace {

constexpr int64_t kSampleEveryNanos = 100'000'000;

// The least coroutine: frames from the cache, nothing else.
struct Bare {
  struct promise_type {
    static void* operator new(size_t size) { return internal::AllocateFrame(size); }
    static void operator delete(void* frame, size_t size) noexcept { internal::FreeFrame(frame, size); }
    Bare get_return_object() noexcept { return {std::coroutine_handle<promise_type>::from_promise(*this)}; }
    std::suspend_always initial_suspend() const noexcept { return {}; }
    std::suspend_always final_suspend() const noexcept { return {}; }
    void return_void() const noexcept {}
    void unhandled_exception() const noexcept { std::abort(); }
  };
  std::coroutine_handle<promise_type> handle;
};

[[gnu::noinline]] Bare MakeBare(int64_t* count) {
  ++*count;
  co_return;
}

void RunBare(int64_t* count) {
  Bare bare = MakeBare(count);
  benchmark::DoNotOptimize(bare.handle);  // or the frame is elided
  bare.handle.resume();
  bare.handle.destroy();
}

// A sample is the median of short runs, so that one which was interrupted does not count.
constexpr int kRunsOfSample = 11;
constexpr int kCoroutinesOfRun = 10'000;

// Adds the coroutines that have run to `count`.
double SampleFloor(int64_t* count) {
  std::vector<double> nanos;
  for (int run = 0; run < kRunsOfSample; ++run) {
    const int64_t begin = Now();
    for (int i = 0; i < kCoroutinesOfRun; ++i) RunBare(count);
    nanos.push_back(static_cast<double>(Now() - begin) / kCoroutinesOfRun);
  }
  return MedianOf(std::move(nanos));
}

// An operation is one coroutine.
void BM_Floor(benchmark::State& state) {
  std::vector<double> samples;
  int64_t count = 0;
  while (state.KeepRunningBatch(kRunsOfSample * kCoroutinesOfRun)) samples.push_back(SampleFloor(&count));
  if (!Holds(state, count, static_cast<int64_t>(state.iterations()))) return;
  state.counters["ns_per_op"] = MedianOf(samples);
  state.counters["floors"] = 1;
  state.counters["operations"] = 1;
}
BENCHMARK(BM_Floor);

}  // namespace

double MedianOf(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<int64_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

void FloorWatch::Look() {
  if (Now() - sampled_at_ > kSampleEveryNanos) Sample();
}

double FloorWatch::Median() {
  Sample();
  return MedianOf(samples_);
}

void FloorWatch::Sample() {
  int64_t count = 0;
  samples_.push_back(SampleFloor(&count));
  sampled_at_ = Now();
}

Runtime& RuntimeOf(int carriers) {
  static auto& runtimes = *new std::map<int, std::unique_ptr<Runtime>>;
  std::unique_ptr<Runtime>& runtime = runtimes[carriers];
  if (runtime == nullptr) {
    absl::StatusOr<std::unique_ptr<Runtime>> created = Runtime::Create(
        // A carrier that computes on purpose gets no spare one beside it.
        {.parallelism = carriers, .held_carrier_threshold = absl::ZeroDuration()});
    if (!created.ok()) {
      std::fprintf(stderr, "%s\n", created.status().ToString().c_str());
      std::exit(EXIT_FAILURE);
    }
    runtime = *std::move(created);
  }
  return *runtime;
}

void Carriers(benchmark::internal::Benchmark* benchmark) { benchmark->ArgName("carriers")->Arg(1)->Arg(2)->Arg(4); }

void Report(benchmark::State& state, int64_t nanos, int64_t operations, double floor) {
  ReportEach(state, static_cast<double>(nanos) / static_cast<double>(state.iterations() * operations), operations,
             floor);
}

void ReportEach(benchmark::State& state, double nanos, int64_t operations, double floor) {
  state.counters["ns_per_op"] = nanos;
  state.counters["floors"] = nanos / floor;
  state.counters["operations"] = static_cast<double>(operations);
}

}  // namespace weft::benchmarks

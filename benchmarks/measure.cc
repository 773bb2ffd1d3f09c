#include "benchmarks/measure.h"

#include <algorithm>
#include <coroutine>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <vector>

#include "benchmark/benchmark.h"
#include "lib/os/clock.h"
#include "weft/internal/frame_cache.h"
#include "weft/runtime.h"

namespace weft::benchmarks {
namespace {

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

void BM_Floor(benchmark::State& state) {
  int64_t count = 0;
  for (auto _ : state) RunBare(&count);
  if (!Holds(state, count, static_cast<int64_t>(state.iterations()))) return;
  state.counters["ns_per_op"] = FloorNanos();
  state.counters["floors"] = 1;
}
BENCHMARK(BM_Floor);

}  // namespace

double FloorNanos() {
  static const double floor = [] {
    constexpr int kRuns = 101;
    constexpr int kCoroutines = 20'000;
    std::vector<double> nanos;
    int64_t count = 0;
    for (int run = 0; run < kRuns; ++run) {
      const int64_t begin = internal::Clock::Real().NowNanos();
      for (int i = 0; i < kCoroutines; ++i) RunBare(&count);
      nanos.push_back(static_cast<double>(internal::Clock::Real().NowNanos() - begin) / kCoroutines);
    }
    std::nth_element(nanos.begin(), nanos.begin() + kRuns / 2, nanos.end());
    return nanos[kRuns / 2];
  }();
  return floor;
}

Runtime& RuntimeOf(int carriers) {
  static auto& runtimes = *new std::map<int, std::unique_ptr<Runtime>>;
  std::unique_ptr<Runtime>& runtime = runtimes[carriers];
  if (runtime == nullptr) {
    absl::StatusOr<std::unique_ptr<Runtime>> created = Runtime::Create({.parallelism = carriers});
    if (!created.ok()) {
      std::fprintf(stderr, "%s\n", created.status().ToString().c_str());
      std::exit(EXIT_FAILURE);
    }
    runtime = *std::move(created);
  }
  return *runtime;
}

void Report(benchmark::State& state, double seconds, int64_t operations) {
  const double nanos = seconds * 1e9 / static_cast<double>(state.iterations()) / static_cast<double>(operations);
  state.counters["ns_per_op"] = nanos;
  state.counters["floors"] = nanos / FloorNanos();
}

}  // namespace weft::benchmarks

int main(int argc, char** argv) {
#ifndef NDEBUG
  std::fprintf(stderr, "This is not an optimised build, and its times mean nothing: run it with --config=opt.\n");
  return EXIT_FAILURE;
#endif
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return EXIT_FAILURE;
  benchmark::RunSpecifiedBenchmarks();
  return EXIT_SUCCESS;
}

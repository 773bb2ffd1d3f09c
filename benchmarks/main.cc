// The main of every benchmark. Refuses to measure what was not optimised, knows --tiny, and keeps the names short.
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "benchmark/benchmark.h"
#include "benchmarks/measure.h"

namespace weft::benchmarks {
namespace {

bool tiny = false;

// Leaves "/manual_time" and "/iterations:N" out: a name says what is measured, BM_Skynet/carriers:2, and stays when how
// it is measured changes. Whoever compares two runs goes by the names.
class ShortNames final : public benchmark::BenchmarkReporter {
 public:
  explicit ShortNames(std::unique_ptr<benchmark::BenchmarkReporter> reporter) : reporter_(std::move(reporter)) {}

  bool ReportContext(const Context& context) override {
    reporter_->SetOutputStream(&GetOutputStream());
    reporter_->SetErrorStream(&GetErrorStream());
    return reporter_->ReportContext(context);
  }
  void ReportRuns(const std::vector<Run>& runs) override {
    std::vector<Run> renamed = runs;
    for (Run& run : renamed) {
      run.run_name.time_type.clear();
      run.run_name.iterations.clear();
    }
    reporter_->ReportRuns(renamed);
  }
  void Finalize() override { reporter_->Finalize(); }

 private:
  std::unique_ptr<benchmark::BenchmarkReporter> reporter_;
};

// Takes --tiny out of the arguments. Whether --benchmark_out is among them.
bool ParseArguments(int* argc, char** argv) {
  bool to_file = false;
  int kept = 0;
  for (int i = 0; i < *argc; ++i) {
    const std::string_view argument = argv[i];
    if (argument == "--tiny") {
      tiny = true;
      continue;
    }
    to_file |= argument.starts_with("--benchmark_out=");
    argv[kept++] = argv[i];
  }
  *argc = kept;
  return to_file;
}

int Main(int argc, char** argv) {
#if !defined(NDEBUG) || !defined(__OPTIMIZE__)
  std::fprintf(stderr, "This is not an optimised build, and its times mean nothing: run it with --config=opt.\n");
  return EXIT_FAILURE;
#endif
  const bool to_file = ParseArguments(&argc, argv);
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return EXIT_FAILURE;
  ShortNames display{std::unique_ptr<benchmark::BenchmarkReporter>(benchmark::CreateDefaultDisplayReporter())};
  ShortNames file(std::make_unique<benchmark::JSONReporter>());
  benchmark::RunSpecifiedBenchmarks(&display, to_file ? &file : nullptr);
  return EXIT_SUCCESS;
}

}  // namespace

bool Tiny() { return tiny; }

}  // namespace weft::benchmarks

int main(int argc, char** argv) { return weft::benchmarks::Main(argc, argv); }

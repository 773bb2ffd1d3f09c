#include "benchmarks/peers/harness.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

namespace weft::benchmarks::peers {

Harness::Harness(const char* peer, int argc, char** argv)
    : peer_(peer), threads_(argc > 1 ? std::atoi(argv[1]) : 0), repetitions_(argc > 2 ? std::atoi(argv[2]) : 0) {
  if (threads_ < 1 || repetitions_ < 1) {
    std::fprintf(stderr, "usage: %s THREADS REPETITIONS [NAME...]\n", argv[0]);
    std::exit(EXIT_FAILURE);
  }
  names_.assign(argv + 3, argv + argc);
}

bool Harness::Wants(const char* name) const {
  return names_.empty() || std::find(names_.begin(), names_.end(), name) != names_.end();
}

void Harness::Print(const Measurement& measurement, double nanos, const std::string& more) const {
  std::printf(
      "{\"peer\":\"%s\",\"name\":\"%s\",\"threads\":%d,\"size\":%lld,\"operations\":%lld,"
      "\"ns_per_op\":%.3f,\"answer\":%lld%s}\n",
      peer_, measurement.name, threads_, static_cast<long long>(measurement.size),
      static_cast<long long>(measurement.operations), nanos / static_cast<double>(measurement.operations),
      static_cast<long long>(measurement.right_answer), more.c_str());
  std::fflush(stdout);
}

void Harness::Check(const Measurement& measurement, int64_t answer) const {
  if (answer == measurement.right_answer) return;
  std::fprintf(stderr, "%s: %s of %lld gives %lld, and should give %lld\n", peer_, measurement.name,
               static_cast<long long>(measurement.size), static_cast<long long>(answer),
               static_cast<long long>(measurement.right_answer));
  std::exit(EXIT_FAILURE);
}

int64_t ResidentBytes() {
  long long total = 0;
  long long resident = 0;
  std::FILE* statm = std::fopen("/proc/self/statm", "r");
  if (statm == nullptr || std::fscanf(statm, "%lld %lld", &total, &resident) != 2) {
    std::perror("/proc/self/statm");
    std::exit(EXIT_FAILURE);
  }
  std::fclose(statm);
  return static_cast<int64_t>(resident) * sysconf(_SC_PAGESIZE);
}

}  // namespace weft::benchmarks::peers

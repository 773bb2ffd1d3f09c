// A million virtual threads that sleep at once, for 1 to 1,000 ms each.
//
//   sleeps COUNT
#include <atomic>
#include <cstdint>
#include <cstdio>

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/time/time.h"
#include "weft/weft.h"

namespace weft::benchmarks {
namespace {

// The lengths come in no order: 7,919 is prime, and no divisor of 1,000.
absl::Duration LengthOf(int64_t number) { return absl::Milliseconds(1 + number * 7919 % 1000); }

Task<absl::Status> SleepAll(int64_t count) {
  std::atomic<int64_t> slept = 0;
  AwaitAll sleepers;
  for (int64_t i = 0; i < count; ++i) {
    sleepers.Fork([i, &slept]() -> Task<void> {
      co_await Sleep(LengthOf(i));
      slept.fetch_add(1, std::memory_order_relaxed);
    });
  }
  (co_await sleepers.Join()).IgnoreFailures();
  co_return slept.load() == count ? absl::OkStatus() : absl::InternalError("somebody has not slept");
}

}  // namespace
}  // namespace weft::benchmarks

int main(int argc, char** argv) {
  int64_t count = 0;
  if (argc != 2 || !absl::SimpleAtoi(argv[1], &count)) {
    std::fprintf(stderr, "usage: %s COUNT\n", argv[0]);
    return 2;
  }
  return weft::RunMain(weft::benchmarks::SleepAll(count));
}

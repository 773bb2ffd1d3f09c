// A factorial by divide and conquer: each half of the range is a task of its own, submitted by the task that needs it.
// A task that waits for a future is parked, so that any number may wait, on one carrier as on many.
#include <cstdint>
#include <cstdio>

#include "absl/status/status.h"
#include "weft/executor/executor.h"
#include "weft/executor/future.h"
#include "weft/executor/per_task_executor.h"
#include "weft/weft.h"

namespace {

constexpr uint64_t kPrime = 1'000'000'007;

// The product of `first` to `last`, modulo a prime.
// clang-format off
//! [factorial]
weft::Task<uint64_t> Product(weft::Executor& executor, uint64_t first, uint64_t last) {
  if (first == last) co_return first;
  const uint64_t middle = first + (last - first) / 2;
  weft::Future<uint64_t> left = executor.Submit(Product(executor, first, middle));
  weft::Future<uint64_t> right = executor.Submit(Product(executor, middle + 1, last));
  co_return co_await left.Get() * co_await right.Get() % kPrime;
}
//! [factorial]
// clang-format on

weft::Task<absl::Status> Main() {
  weft::VirtualThreadPerTaskExecutor executor;
  for (uint64_t n : {10, 1'000}) {
    std::printf("%llu! mod p = %llu\n", static_cast<unsigned long long>(n),
                static_cast<unsigned long long>(co_await Product(executor, 1, n)));
  }
  co_await executor.Close();
  co_return absl::OkStatus();
}

}  // namespace

int main() { return weft::RunMain(Main()); }

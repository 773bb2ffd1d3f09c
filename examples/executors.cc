// Executors and futures: ten thousand submitted tasks, the first of several answers, and a total that is put together
// from two futures while both are still under way.
#include <cstdint>
#include <cstdio>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "weft/executor/executor.h"
#include "weft/executor/per_task_executor.h"
#include "weft/weft.h"

namespace {

int Process(int i) { return i % 10; }

weft::Task<int> Ask(int server) {
  co_await weft::Sleep(server == 1 ? absl::Milliseconds(1) : absl::Hours(server));  // those that lose are cancelled
  co_return server;
}

std::vector<weft::Task<int>> AskAll() {
  std::vector<weft::Task<int>> questions;
  for (int server : {3, 1, 2}) questions.push_back(Ask(server));
  return questions;
}

weft::Task<double> PriceInEur() {
  co_await weft::Sleep(absl::Milliseconds(2));
  co_return 100;
}

weft::Task<absl::StatusOr<double>> Rate() {
  co_await weft::Sleep(absl::Milliseconds(1));
  co_return 1.5;
}

using Total = double;
Total AddTax(double net) { return 1.2 * net; }

void Print(const absl::StatusOr<Total>& total) {
  if (total.ok()) {
    std::printf("total %.2f\n", *total);
  } else {
    std::printf("%s\n", absl::StatusCodeToString(total.status().code()).c_str());
  }
}

// clang-format off
//! [executors]
weft::Task<absl::Status> Main() {
  weft::VirtualThreadPerTaskExecutor executor;
  std::vector<weft::Future<int>> futures;
  for (int i = 0; i < 10'000; ++i) futures.push_back(executor.Submit([i] { return Process(i); }));
  int64_t sum = 0;
  for (weft::Future<int>& future : futures) sum += co_await future.Get();
  auto quickest = co_await executor.InvokeAny(AskAll());      // InvokeAll: a vector of futures, all done
  weft::Future<Total> total = executor.Submit(PriceInEur())
      .Combine(executor.Submit(Rate()), [](double price, double rate) { return price * rate; })
      .Then([](double net) { return AddTax(net); });        // a value or a Task; failures pass by, Recover() takes them
  Print(co_await total.WithTimeout(absl::Minutes(2)).TryGet());
  std::printf("sum %lld, quickest %d\n", static_cast<long long>(sum), quickest);
  co_await executor.Close();                                  // waits for all; ShutdownNow() first would cancel them
  co_return absl::OkStatus();
}
//! [executors]
// clang-format on

}  // namespace

int main() { return weft::RunMain(Main()); }

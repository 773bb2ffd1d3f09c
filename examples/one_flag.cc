// A fixed pool of OS threads, moved to virtual threads by one flag: the same tasks, which sleep for 10 ms each, on 200
// OS threads or on a virtual thread each.
//
//   one_flag                    200 OS threads
//   one_flag --virtual          a virtual thread for each task
//   one_flag --virtual --time   the same, and says how long it took
#include <algorithm>
#include <cstdio>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "weft/executor/executor.h"
#include "weft/executor/per_task_executor.h"
#include "weft/executor/thread_pool_executor.h"
#include "weft/weft.h"

namespace {

constexpr int kTasks = 1'000;
constexpr int kOsThreads = 200;

// clang-format off
//! [one_flag]
std::unique_ptr<weft::Executor> MakeExecutor(bool use_virtual_threads) {
  if (use_virtual_threads) return std::make_unique<weft::VirtualThreadPerTaskExecutor>();
  return std::make_unique<weft::ThreadPoolExecutor>(kOsThreads);
}
//! [one_flag]
// clang-format on

weft::Task<int> Handle(int request) {
  co_await weft::Sleep(absl::Milliseconds(10));
  co_return request % 7;
}

weft::Task<absl::Status> Main(bool use_virtual_threads, bool say_time) {
  const weft::MonotonicTime begin = weft::MonotonicNow();
  const std::unique_ptr<weft::Executor> executor = MakeExecutor(use_virtual_threads);
  std::vector<weft::Future<int>> answers;
  for (int i = 0; i < kTasks; ++i) answers.push_back(executor->Submit([i] { return Handle(i); }));
  int sum = 0;
  for (weft::Future<int>& answer : answers) sum += co_await answer.Get();
  co_await executor->Close();
  std::printf("%d answers, sum %d\n", kTasks, sum);
  if (say_time) std::printf("%.0f ms\n", absl::ToDoubleMilliseconds(weft::MonotonicNow() - begin));
  co_return absl::OkStatus();
}

}  // namespace

int main(int argc, char** argv) {
  const auto has = [&](std::string_view flag) { return std::count(argv + 1, argv + argc, flag) > 0; };
  return weft::RunMain(Main(has("--virtual"), has("--time")));
}

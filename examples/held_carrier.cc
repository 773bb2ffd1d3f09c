// A service some of whose requests keep their carrier: a std::mutex over a sleep, a computation without end in sight, a
// read() that waits. Each is reported with the function that does it, and the other requests are served meanwhile, on
// a spare carrier.
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <string>
#include <thread>

#include "absl/strings/match.h"
#include "absl/time/time.h"
#include "weft/blocking.h"
#include "weft/held_carrier.h"
#include "weft/weft.h"

namespace {

constexpr int kOthers = 10;

std::atomic<int> reports = 0;
std::string last_report;  // written before `reports` is counted up
std::atomic<int> others_served = 0;

// The slow requests last until they have been reported and the others have been served, so that the output is always
// the same. In a service nobody would know how long they take.
bool Over(int reports_before) { return reports > reports_before && others_served == kOthers; }
void AwaitOver(int reports_before) {
  while (!Over(reports_before)) std::this_thread::sleep_for(std::chrono::milliseconds(1));
}

[[gnu::noinline]] void UpdateUnderAMutex(int reports_before) {
  static std::mutex mutex;
  const std::lock_guard guard(mutex);
  AwaitOver(reports_before);
}

[[gnu::noinline]] void ComputeForLong(int reports_before) {
  while (!Over(reports_before)) {
  }
}

[[gnu::noinline]] void ReadFromAPipe(int reports_before) {
  int ends[2];
  if (::pipe(ends) != 0) std::abort();
  std::thread writer([&] {
    AwaitOver(reports_before);
    if (::write(ends[1], "x", 1) != 1) std::abort();
  });
  char byte;
  if (::read(ends[0], &byte, 1) != 1) std::abort();  // waits, and its carrier with it
  writer.join();
  ::close(ends[0]);
  ::close(ends[1]);
}

weft::Task<void> HandleSlowly(void (*handle)(int reports_before), const char* name) {
  others_served = 0;
  weft::AwaitAll scope;
  for (int i = 0; i < kOthers; ++i) {
    scope.Fork([]() -> weft::Task<void> {
      co_await weft::Sleep(absl::Milliseconds(1));
      ++others_served;
    });
  }
  co_await weft::Yield();  // they wait for their timers
  handle(reports);
  std::printf("%s: reported%s, and %d others were served meanwhile\n", name,
              absl::StrContains(last_report, name) ? " by its name" : "", others_served.load());
  (co_await scope.Join()).IgnoreFailures();
}

weft::Task<void> Main() {
  co_await HandleSlowly(&UpdateUnderAMutex, "UpdateUnderAMutex");
  co_await HandleSlowly(&ComputeForLong, "ComputeForLong");
  co_await HandleSlowly(&ReadFromAPipe, "ReadFromAPipe");
  // The cure: an OS thread that may block.
  const int before = reports;
  (co_await weft::Blocking([] { std::this_thread::sleep_for(std::chrono::milliseconds(60)); })).IgnoreError();
  std::printf("in Blocking(): %s\n", reports == before ? "not reported" : "reported");
}

}  // namespace

int main() {
  weft::RuntimeOptions options;
  options.parallelism = 1;
  options.on_held_carrier = [](const weft::HeldCarrier& held) {
    last_report = held.ToString();
    ++reports;
  };
  return weft::RunMain(Main(), options);
}

// The first program to try: one virtual thread more than there are CPUs, and each prints itself. All but the last hold
// their carriers until every carrier is taken. So one carrier serves two threads, and every other carrier serves one.
#include <atomic>
#include <cstdio>
#include <map>
#include <mutex>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "weft/weft.h"

namespace {

std::mutex served_mutex;
std::map<int, int> served;  // by carrier

weft::Task<void> SayHello(std::atomic<int>& arrived, int carriers) {
  const weft::VirtualThread self = weft::VirtualThread::Current();
  std::printf("%s\n", self.ToString().c_str());
  {
    std::lock_guard lock(served_mutex);
    ++served[self.carrier()];
  }
  if (++arrived > carriers) co_return;  // one more than there are carriers
  while (arrived < carriers) {
    // For the scheduler this is a computation: the other threads must find other carriers.
  }
}

weft::Task<absl::Status> Main(int carriers) {
  std::atomic<int> arrived = 0;
  weft::AwaitAll scope;
  for (int i = 0; i <= carriers; ++i) {
    scope.Fork([&arrived, carriers] { return SayHello(arrived, carriers); }, {.name = absl::StrCat("hello-", i)});
  }
  (co_await scope.Join()).IgnoreFailures();

  int twice = 0;
  for (const auto& [carrier, threads] : served) twice += threads == 2;
  std::printf("%d virtual threads, %d carriers, %d of which served two\n", carriers + 1,
              static_cast<int>(served.size()), twice);
  co_return absl::OkStatus();
}

}  // namespace

int main() {
  weft::Runtime& runtime = weft::Runtime::Default();  // one carrier per CPU
  const absl::Status done = runtime.Run(Main(runtime.parallelism()));
  return done.ok() ? 0 : 1;
}

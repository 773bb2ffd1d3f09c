// A library that keeps its state in a thread_local, used over co_awaits by a thread that stays on its OS thread, while
// other threads come and go on all carriers.
#include <cstdio>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "weft/pin.h"
#include "weft/weft.h"

namespace {

// It knows nothing of virtual threads: what was begun on an OS thread is used and ended there.
namespace library {
thread_local int drawn = -1;  // negative: not begun
void Begin() { drawn = 0; }
bool Draw() { return drawn >= 0 && ++drawn > 0; }
int End() {
  const int all = drawn;
  drawn = -1;
  return all;
}
}  // namespace library

//! [pin]
weft::Task<int> DrawEachFrame(int frames) {
  weft::Pin pin;                                  // this thread stays on this carrier
  library::Begin();
  for (int i = 0; i < frames; ++i) {
    co_await weft::Sleep(absl::Milliseconds(1));  // whoever wakes it, it goes on there
    if (!library::Draw()) co_return -1;
  }
  co_return library::End();
}
//! [pin]

weft::Task<absl::Status> Main() {
  weft::AwaitAll scope;
  auto drawn = scope.Fork(DrawEachFrame(20));
  // These are on whichever carrier is free.
  for (int i = 0; i < 8; ++i) {
    scope.Fork([]() -> weft::Task<void> {
      for (int k = 0; k < 100; ++k) co_await weft::Sleep(absl::Microseconds(10));
    });
  }
  (co_await scope.Join()).IgnoreFailures();
  std::printf("drew %d frames on one OS thread\n", *drawn);
  co_return absl::OkStatus();
}

}  // namespace

int main() { return weft::RunMain(Main(), {.parallelism = 2}); }

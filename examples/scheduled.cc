// Tasks that run later, and again and again: a report every few milliseconds until it is cancelled, and one task whose
// time comes although the executor is closed meanwhile.
#include <cstdio>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "weft/executor/future.h"
#include "weft/executor/scheduled_executor.h"
#include "weft/weft.h"

namespace {

// clang-format off
//! [scheduled]
weft::Task<absl::Status> Main() {
  weft::Event reported;
  int reports = 0;
  weft::ScheduledExecutor executor;                           // after what its tasks refer to: it goes first
  weft::Future<void> report = executor.ScheduleAtFixedRate(absl::ZeroDuration(), absl::Milliseconds(2), [&] {
    if (reports == 3) return;                                 // it runs on until it is cancelled
    std::printf("report %d\n", ++reports);
    if (reports == 3) reported.Set();
  });
  co_await reported.Wait();
  report.Cancel();
  absl::Status ended = co_await report.TryGet();              // kCancelled, once it has ended
  weft::Future<int> later = executor.Schedule(absl::Milliseconds(5), [] { return 42; });
  co_await executor.Close();                                  // waits for what is scheduled once
  std::printf("cancelled: %d, later: %d\n", absl::IsCancelled(ended), co_await later.Get());
  co_return absl::OkStatus();
}
//! [scheduled]
// clang-format on

}  // namespace

int main() { return weft::RunMain(Main()); }

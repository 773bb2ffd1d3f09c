// Work at fixed times: reports that leave out what they missed, an account that misses nothing, one deadline for all
// parts of a request, and a time of the wall clock.
#include <chrono>
#include <cstdint>
#include <cstdio>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "weft/channel/select.h"
#include "weft/ticker.h"
#include "weft/weft.h"

namespace {

using namespace std::chrono_literals;

// Takes longer than the period of those who call it.
weft::Task<void> Work() { co_await weft::Sleep(5ms); }

// clang-format off
//! [ticker]
weft::Task<void> Report(weft::Event& stop) {
  weft::Ticker ticker(2ms);                                 // or absl::Milliseconds(2)
  int64_t reports = 0, missed = 0;
  weft::Tick last = {.number = -1, .missed = 0, .due = {}};
  while (true) {
    auto got = co_await weft::Select(ticker.Next(), stop.Wait());
    if (got.index() == 1) break;
    last = std::get<0>(got);                                // the newest; tick n is due at n periods after tick 0
    ++reports;
    missed += last.missed;                                  // those that came while it worked
    co_await Work();
  }
  std::printf("report: %s\n", last.number + 1 == reports + missed ? "each tick was seen or missed" : "ticks are lost");
}

weft::Task<void> Account(weft::Event& done) {
  weft::Ticker ticker(2ms, {.missed = weft::Ticker::Missed::kBurst});
  for (int i = 0; i < 5; ++i) {
    weft::Tick tick = co_await ticker.Next();               // none is left out: late ones come at once
    std::printf("account: period %d\n", static_cast<int>(tick.number));
    if (i == 0) co_await Work();
  }
  done.Set();
}
//! [ticker]

//! [deadline]
weft::Task<absl::Status> Request() {
  weft::Deadline deadline = weft::MonotonicNow() + 10ms;    // nobody sets that clock
  absl::Status first = co_await weft::WithDeadline(deadline, Work());
  if (!first.ok()) co_return first;
  co_return co_await weft::WithDeadline(deadline, weft::Sleep(1h));
}

weft::Task<void> AtNoon() {
  absl::Time noon = weft::Now() + absl::Milliseconds(1);    // if the wall clock is set, noon comes earlier or later
  co_await weft::SleepUntil(noon);
  std::printf("noon: %s\n", weft::Now() >= noon ? "not before its time" : "too early");
}
//! [deadline]
// clang-format on

weft::Task<absl::Status> Main() {
  weft::Event done;
  weft::AwaitAll scope;
  scope.Fork(Report(done));
  scope.Fork(Account(done));
  (co_await scope.Join()).IgnoreFailures();
  absl::Status late = co_await Request();
  std::printf("request: %s\n", absl::IsDeadlineExceeded(late) ? "too late" : "in time");
  co_await AtNoon();
  co_return absl::OkStatus();
}

}  // namespace

int main() { return weft::RunMain(Main()); }

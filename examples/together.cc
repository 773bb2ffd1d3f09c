// What threads do together, in a few lines each: a pool that a semaphore bounds, a crawler with a rate limit, a
// configuration that all services take over at the same time, and a stream of events.
#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstdio>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "weft/channel/broadcast.h"
#include "weft/channel/generator.h"
#include "weft/sync/barrier.h"
#include "weft/sync/latch.h"
#include "weft/sync/rate_limiter.h"
#include "weft/weft.h"

namespace {

// ---- A pool: twelve jobs, three at a time.

weft::Task<int> Pool() {
  weft::Semaphore places(3);
  weft::Latch done(12);
  std::atomic<int> busy = 0, most = 0;
  weft::AwaitAll jobs;
  for (int job = 0; job < 12; ++job) {
    jobs.Fork([&]() -> weft::Task<void> {
      weft::Permit place = co_await places.Acquire();
      most = std::max(most.load(), ++busy);  // one of the three may be overlooked
      co_await weft::Sleep(absl::Milliseconds(1));
      --busy;
      done.CountDown();
    });
  }
  co_await done.Wait();
  (co_await jobs.Join()).IgnoreFailures();
  co_return most;
}

// ---- A crawler: each page has links to two others. The first five pages are visited at once, then 200 a second.

//! [crawl]
weft::Task<void> Crawl(int page, weft::RateLimiter& limiter, weft::AwaitAll& crawl, std::atomic<int>& pages) {
  co_await limiter.Acquire();  // in the order in which they ask
  ++pages;
  for (int link = 2 * page; link <= 2 * page + 1; ++link) {
    if (link < 16) crawl.Fork(Crawl(link, limiter, crawl, pages));
  }
}
//! [crawl]

weft::Task<int> CrawlAll() {
  weft::RateLimiter limiter({.permits_per_second = 200, .burst = 5});
  std::atomic<int> pages = 0;
  const weft::MonotonicTime begin = weft::MonotonicNow();
  weft::AwaitAll crawl;
  crawl.Fork(Crawl(1, limiter, crawl, pages));
  (co_await crawl.Join()).IgnoreFailures();
  std::printf("crawler: in %s\n", weft::MonotonicNow() - begin >= absl::Milliseconds(50) ? "50 ms or more" : "a hurry");
  co_return pages;
}

// ---- A configuration: whoever has the newest one waits until all have it.

struct Config {
  int version;
};

//! [reload]
weft::Task<absl::Status> Serve(weft::Watch<Config>& config, weft::Barrier& reloaded) {
  auto reader = config.NewReader();
  while (auto newest = co_await reader.Next()) {
    absl::StatusOr<int64_t> all = co_await reloaded.ArriveAndWait();
    if (!all.ok()) co_return all.status();  // some service was cancelled
  }
  co_return absl::OkStatus();
}
//! [reload]

weft::Task<absl::Status> Reload() {
  int version = 1;
  weft::Watch<Config> config({version});
  weft::Barrier reloaded(4, [&] { std::printf("configuration: all have version %d\n", version); });
  weft::ShutdownOnFailure services;
  for (int i = 0; i < 3; ++i) services.Fork(Serve(config, reloaded));
  for (;;) {
    absl::StatusOr<int64_t> all = co_await reloaded.ArriveAndWait();
    if (!all.ok()) co_return all.status();
    if (version == 3) break;
    config.Set({++version});
  }
  config.Close();
  co_return co_await services.Join();
}

// ---- A stream of events: what a sensor measures, and what of that is an alarm.

weft::Generator<int> Degrees() {
  for (int degrees : {61, 70, 86, 91, 78, 88}) {
    co_await weft::Sleep(absl::Milliseconds(1));
    co_yield degrees;
  }
}

weft::Generator<int> Alarms(weft::Generator<int> degrees, int limit) {
  while (std::optional<int> each = co_await degrees.Next()) {
    if (*each > limit) co_yield *each;
  }
}

weft::Task<absl::Status> Main() {
  std::printf("pool: never more than 3 at once: %s\n", co_await Pool() <= 3 ? "yes" : "no");
  std::printf("crawler: %d pages\n", co_await CrawlAll());
  absl::Status reloaded = co_await Reload();
  if (!reloaded.ok()) co_return reloaded;
  weft::Generator<int> alarms = Alarms(Degrees(), 85);
  while (std::optional<int> alarm = co_await alarms.Next()) std::printf("alarm: %d degrees\n", *alarm);
  co_return absl::OkStatus();
}

}  // namespace

int main() { return weft::RunMain(Main()); }

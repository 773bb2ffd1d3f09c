// Goal: nobody who is runnable waits longer than two rounds of those who were runnable with it, whatever made it
// runnable; and nothing runnable stays behind a thread that computes.
//
// Method for the first: simulations of one to four carriers under several seeds, where time is counted in turns. Each
// scenario keeps more threads runnable than a deque holds before it grows, some of them yielding for ever, and counts,
// from the moment at which a thread becomes runnable until it runs, the turns of the carrier that has made the most:
// two rounds are two turns for each thread of the scenario that can be runnable.
//
// Method for the second: OS threads. Threads keep every carrier busy; one forks children, and computes until they have
// run. It hangs if they never do.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "lib/base/fence.h"
#include "lib/runtime/duties.h"
#include "lib/runtime/host.h"
#include "tests/support/lines.h"
#include "weft/all.h"
#include "weft/blocking.h"
#include "weft/cancellation.h"
#include "weft/channel/channel.h"
#include "weft/channel/delay_queue.h"
#include "weft/channel/select.h"
#include "weft/executor/bounded_executor.h"
#include "weft/executor/future.h"
#include "weft/executor/promise.h"
#include "weft/ext/scheduling_observer.h"
#include "weft/internal/atomic.h"
#include "weft/net/tcp_listener.h"
#include "weft/net/tcp_stream.h"
#include "weft/pin.h"
#include "weft/runtime.h"
#include "weft/scope.h"
#include "weft/sync/barrier.h"
#include "weft/sync/event.h"
#include "weft/sync/exchanger.h"
#include "weft/sync/latch.h"
#include "weft/sync/lazy.h"
#include "weft/sync/once.h"
#include "weft/sync/phaser.h"
#include "weft/sync/rate_limiter.h"
#include "weft/task.h"
#include "weft/testing/simulation.h"
#include "weft/thread_builder.h"
#include "weft/time.h"
#include "weft/virtual_thread.h"

namespace weft::testing {
namespace {

// The turns that each carrier has made, and the longest wait.
class Fairness final : public ext::SchedulingObserver {
 public:
  // As many turns by each carrier.
  using Moment = std::array<int64_t, 64>;

  void OnMount(const ext::ThreadEvent& event) noexcept override { ++turns_[event.carrier]; }

  // How many can be runnable at once, and of how many turns of a carrier one of theirs consists.
  void Expect(int64_t runnable, int64_t turns = 1) {
    // The driver and the timers are looked at after 61 turns at the latest.
    limit_ = turns * (2 * runnable + 2 * internal::Duties::kDispatchesPerPoll);
  }

  Moment Now() const noexcept { return turns_; }
  // By a thread in its turn, that was runnable since then.
  void Ran(const Moment& since) noexcept {
    for (size_t i = 0; i < turns_.size(); ++i) longest_ = std::max(longest_, turns_[i] - since[i]);
    ++waits_;
  }

  int64_t longest() const { return longest_; }
  int64_t limit() const { return limit_; }
  int64_t waits() const { return waits_; }

 private:
  Moment turns_{};
  int64_t longest_ = 0;
  int64_t limit_ = 0;
  int64_t waits_ = 0;
};

Task<void> YieldsUntil(Fairness& fairness, const bool& done) {
  while (!done) {
    const Fairness::Moment runnable = fairness.Now();
    co_await Yield();
    fairness.Ran(runnable);
  }
}

Task<void> Yields(Fairness& fairness, int times, int& left) {
  for (int i = 0; i < times; ++i) {
    const Fairness::Moment runnable = fairness.Now();
    co_await Yield();
    fairness.Ran(runnable);
  }
  --left;
}

Task<void> UntilNone(const int& left) {
  while (left > 0) co_await Yield();
}

// Forks as a server does, few at a time, which then come to wait: forks let a deque grow, which wake-ups may not.
class FewAtATime {
 public:
  // By the child, before it waits.
  void Waits() { --to_wait_; }
  // By the parent, after each fork.
  Task<void> Forked() {
    if (++to_wait_ == 50) co_await All();
  }
  // Until all wait.
  Task<void> All() { return UntilNone(to_wait_); }

 private:
  int to_wait_ = 0;
};

// ---- Scenarios.

Task<void> ManyYield(Fairness& fairness) {
  constexpr int kThreads = 700;
  fairness.Expect(kThreads + 1);
  int left = kThreads;
  AwaitAll scope;
  for (int i = 0; i < kThreads; ++i) scope.Fork(Yields(fairness, 5, left));
  (co_await scope.Join()).IgnoreFailures();
}

Task<void> OneEventWakes(Fairness& fairness) {
  constexpr int kWaiters = 2'000;
  constexpr int kYield = 10;
  fairness.Expect(kWaiters + kYield + 1);
  Event event;
  Fairness::Moment set{};
  bool done = false;
  FewAtATime few;
  int left = kWaiters;
  AwaitAll scope;
  for (int i = 0; i < kWaiters; ++i) {
    scope.Fork([&]() -> Task<void> {
      few.Waits();
      co_await event.Wait();
      fairness.Ran(set);
      --left;
    });
    co_await few.Forked();
  }
  co_await few.All();
  for (int i = 0; i < kYield; ++i) scope.Fork(YieldsUntil(fairness, done));
  set = fairness.Now();
  event.Set();
  co_await UntilNone(left);
  done = true;
  (co_await scope.Join()).IgnoreFailures();
}

// A promise that is kept, while many wait for its future.
Task<void> OneCompletionWakes(Fairness& fairness) {
  constexpr int kWaiters = 1'000;
  constexpr int kYield = 10;
  fairness.Expect(kWaiters + kYield + 1);
  Promise<void> promise;
  Fairness::Moment kept{};
  bool done = false;
  FewAtATime few;
  int left = kWaiters;
  AwaitAll scope;
  for (int i = 0; i < kWaiters; ++i) {
    scope.Fork([&, future = promise.future()]() -> Task<void> {
      few.Waits();
      co_await future.Get();
      fairness.Ran(kept);
      --left;
    });
    co_await few.Forked();
  }
  co_await few.All();
  for (int i = 0; i < kYield; ++i) scope.Fork(YieldsUntil(fairness, done));
  kept = fairness.Now();
  promise.SetValue();
  co_await UntilNone(left);
  done = true;
  (co_await scope.Join()).IgnoreFailures();
}

// Tasks that are submitted begin, and the end of each gives its place to one that waits to submit.
Task<void> PlacesAreGiven(Fairness& fairness) {
  constexpr int kPlaces = 20;
  constexpr int kWaiters = 500;
  constexpr int kYield = 10;
  fairness.Expect(kPlaces + kWaiters + kYield + 1);
  BoundedExecutor executor(kPlaces);
  Event go;
  bool done = false;
  FewAtATime few;
  int left = kWaiters;
  for (int i = 0; i < kPlaces; ++i) executor.Submit(go.Wait());
  AwaitAll scope;
  for (int i = 0; i < kWaiters; ++i) {
    scope.Fork([&]() -> Task<void> {
      Fairness::Moment submitted{};
      few.Waits();
      const Future<void> task = co_await executor.SubmitWhenFree([&]() -> Task<void> {
        fairness.Ran(submitted);
        co_return;
      });
      submitted = fairness.Now();
      co_await task.Get();
      --left;
    });
    co_await few.Forked();
  }
  co_await few.All();
  for (int i = 0; i < kYield; ++i) scope.Fork(YieldsUntil(fairness, done));
  go.Set();
  co_await UntilNone(left);
  done = true;
  (co_await scope.Join()).IgnoreFailures();
  co_await executor.Close();
}

// The end of a thread that many join.
Task<void> OneEndWakes(Fairness& fairness) {
  constexpr int kWaiters = 1'000;
  constexpr int kYield = 10;
  fairness.Expect(kWaiters + kYield + 1);
  Event go;
  Fairness::Moment end{};
  bool done = false;
  FewAtATime few;
  int left = kWaiters;
  const VirtualThread joined = VirtualThread::Start([&]() -> Task<void> {
    co_await go.Wait();
    end = fairness.Now();
  });
  AwaitAll scope;
  for (int i = 0; i < kWaiters; ++i) {
    scope.Fork([&]() -> Task<void> {
      few.Waits();
      (co_await joined.Join()).IgnoreError();
      fairness.Ran(end);
      --left;
    });
    co_await few.Forked();
  }
  co_await few.All();
  for (int i = 0; i < kYield; ++i) scope.Fork(YieldsUntil(fairness, done));
  go.Set();
  co_await UntilNone(left);
  done = true;
  (co_await scope.Join()).IgnoreFailures();
}

Task<void> UnparksWake(Fairness& fairness) {
  constexpr int kWaiters = 1'000;
  constexpr int kYield = 10;
  fairness.Expect(kWaiters + kYield + 1);
  Fairness::Moment unparked{};
  bool done = false;
  FewAtATime few;
  int left = kWaiters;
  std::vector<VirtualThread> parked;
  AwaitAll scope;
  for (int i = 0; i < kWaiters; ++i) {
    scope.Fork([&]() -> Task<void> {
      parked.push_back(VirtualThread::Current());
      few.Waits();
      co_await VirtualThread::Park();
      fairness.Ran(unparked);
      --left;
    });
    co_await few.Forked();
  }
  co_await few.All();
  for (int i = 0; i < kYield; ++i) scope.Fork(YieldsUntil(fairness, done));
  unparked = fairness.Now();
  for (const VirtualThread& each : parked) each.Unpark();
  co_await UntilNone(left);
  done = true;
  (co_await scope.Join()).IgnoreFailures();
}

// Pinned threads and others yield, and pinned ones are woken, by a thread of whichever carrier.
Task<void> PinnedRunAmongOthers(Fairness& fairness, int pinned, int woken, int others) {
  fairness.Expect(pinned + woken + others + 1);
  int left = pinned + others;
  bool done = false;
  Fairness::Moment set{};
  Event event;
  FewAtATime few;
  AwaitAll scope;
  for (int i = 0; i < woken; ++i) {
    scope.Fork([&]() -> Task<void> {
      const Pin pin;
      few.Waits();
      co_await event.Wait();
      fairness.Ran(set);
      co_await YieldsUntil(fairness, done);
    });
    co_await few.Forked();
  }
  co_await few.All();
  for (int i = 0; i < pinned; ++i) {
    scope.Fork([&]() -> Task<void> {
      const Pin pin;
      co_await Yields(fairness, 10, left);
    });
  }
  for (int i = 0; i < others; ++i) scope.Fork(Yields(fairness, 10, left));
  set = fairness.Now();
  event.Set();
  co_await UntilNone(left);
  done = true;
  (co_await scope.Join()).IgnoreFailures();
}
Task<void> FewPinnedRun(Fairness& fairness) { return PinnedRunAmongOthers(fairness, 3, 3, 600); }
Task<void> ManyPinnedRun(Fairness& fairness) { return PinnedRunAmongOthers(fairness, 300, 100, 2); }
Task<void> AllRunPinned(Fairness& fairness) { return PinnedRunAmongOthers(fairness, 100, 100, 0); }

// Rings of threads, each of which wakes the next one, while few yield.
Task<void> ChainsWake(Fairness& fairness) {
  constexpr int kChains = 400;
  constexpr int kLinks = 3;
  constexpr int kRounds = 3;
  constexpr int kYield = 3;
  fairness.Expect(kChains + kYield + 1);
  struct Link {
    Event event;
    Fairness::Moment woken{};
    void Wake(const Fairness& fairness) {
      woken = fairness.Now();
      event.Set();
    }
  };
  std::vector<Link> links(kChains * kLinks);
  bool done = false;
  FewAtATime few;
  int left = kChains * kLinks;
  AwaitAll scope;
  for (int i = 0; i < kChains * kLinks; ++i) {
    Link& next = links[i % kLinks == kLinks - 1 ? i - (kLinks - 1) : i + 1];
    scope.Fork([&, &link = links[i], &next = next, last = i % kLinks == kLinks - 1]() -> Task<void> {
      few.Waits();
      for (int round = 0; round < kRounds; ++round) {
        co_await link.event.Wait();
        link.event.Reset();
        fairness.Ran(link.woken);
        if (!last || round + 1 < kRounds) next.Wake(fairness);
      }
      --left;
    });
    co_await few.Forked();
  }
  co_await few.All();
  for (int i = 0; i < kYield; ++i) scope.Fork(YieldsUntil(fairness, done));
  for (int i = 0; i < kChains; ++i) links[i * kLinks].Wake(fairness);
  co_await UntilNone(left);
  done = true;
  (co_await scope.Join()).IgnoreFailures();
}

// One thread sends to many that receive, and receives from many that send, in a channel or in a select.
Task<void> ChannelsWake(Fairness& fairness) {
  constexpr int kWaiters = 1'000;
  constexpr int kYield = 10;
  fairness.Expect(kWaiters + kYield + 1);
  Channel<int> to_many(0), from_many(0);
  Event never;
  std::vector<Fairness::Moment> woken(kWaiters);
  bool done = false;
  FewAtATime few;
  int left = kWaiters;
  AwaitAll scope;
  for (int i = 0; i < kWaiters; ++i) {
    scope.Fork([&, i]() -> Task<void> {
      few.Waits();
      switch (i % 4) {
        case 0: co_await to_many.Receive(); break;
        case 1: co_await from_many.Send(i); break;
        case 2: co_await Select(never.Wait(), to_many.Receive()); break;
        default: co_await Select(from_many.Send(i), never.Wait()); break;
      }
      fairness.Ran(woken[i]);
      --left;
    });
    co_await few.Forked();
  }
  co_await few.All();
  for (int i = 0; i < kYield; ++i) scope.Fork(YieldsUntil(fairness, done));
  for (int i = 0; i < kWaiters; ++i) {
    woken[i] = fairness.Now();
    if (i % 2 == 0) {
      EXPECT_TRUE(to_many.TrySend(i));
    } else {
      EXPECT_EQ(from_many.TryReceive(), i);
    }
  }
  co_await UntilNone(left);
  done = true;
  (co_await scope.Join()).IgnoreFailures();
}

// Latches, barriers, phasers, exchangers, and what one does for all, let many go on at once.
Task<void> MeetingsWake(Fairness& fairness) {
  constexpr int kKinds = 7;
  constexpr int kEach = 150;
  constexpr int kWaiters = kKinds * kEach;
  constexpr int kYield = 10;
  fairness.Expect(kWaiters + kYield + 1);
  Event go;
  Fairness::Moment met{}, ran_once{}, computed{};
  std::vector<Fairness::Moment> exchanged(kEach);
  Latch latch(1);
  Barrier barrier(kEach + 1);
  Phaser phaser(kEach + 1);
  std::vector<Exchanger<int>> exchangers(kEach);
  Once once;
  Lazy<int> lazy([&]() -> Task<int> {
    co_await go.Wait();
    computed = fairness.Now();
    co_return 1;
  });
  bool done = false;
  FewAtATime few;
  int left = kWaiters;
  AwaitAll scope;
  for (int i = 0; i < kWaiters; ++i) {
    scope.Fork([&, i]() -> Task<void> {
      few.Waits();
      const Fairness::Moment* since = &met;
      switch (i % kKinds) {
        case 0: co_await latch.Wait(); break;
        case 1: EXPECT_TRUE((co_await barrier.ArriveAndWait()).ok()); break;
        case 2: co_await phaser.ArriveAndAwaitAdvance(); break;
        case 3: co_await phaser.AwaitAdvance(0); break;
        case 4:
          since = &exchanged[i / kKinds];
          co_await exchangers[i / kKinds].Exchange(i);
          break;
        case 5:
          since = &ran_once;
          co_await once.Run([&]() -> Task<void> {
            co_await go.Wait();
            ran_once = fairness.Now();
          });
          break;
        default:
          since = &computed;
          co_await lazy.Get();
          break;
      }
      fairness.Ran(*since);
      --left;
    });
    co_await few.Forked();
  }
  co_await few.All();
  for (int i = 0; i < kYield; ++i) scope.Fork(YieldsUntil(fairness, done));
  met = fairness.Now();
  latch.CountDown();
  phaser.Arrive();
  EXPECT_TRUE((co_await barrier.ArriveAndWait()).ok());
  go.Set();
  for (int i = 0; i < kEach; ++i) {
    exchanged[i] = fairness.Now();
    co_await exchangers[i].Exchange(0);
  }
  co_await UntilNone(left);
  done = true;
  (co_await scope.Join()).IgnoreFailures();
}

// What is handed from one to the next, in the order in which they have come, while few yield. `wait` has one of many
// wait, and calls what it is given when it has its turn; `begin` gives the first one its turn.
template <class Wait, class Begin>
Task<void> TurnsAreHandedOn(Fairness& fairness, int64_t wakes, Wait wait, Begin begin) {
  constexpr int kWaiters = 200;
  constexpr int kYield = 10;
  // One waiter at a time can be runnable.
  fairness.Expect(1 + kYield + 1, wakes);
  std::optional<Fairness::Moment> handed_on;
  bool done = false;
  FewAtATime few;
  int come = 0, gone = 0, left = kWaiters;
  AwaitAll scope;
  for (int i = 0; i < kWaiters; ++i) {
    scope.Fork([&]() -> Task<void> {
      few.Waits();
      const int place = come++;
      co_await wait([&] {
        if (handed_on.has_value()) fairness.Ran(*handed_on);
        handed_on = fairness.Now();
        EXPECT_EQ(gone++, place);
      });
      --left;
    });
    co_await few.Forked();
  }
  co_await few.All();
  for (int i = 0; i < kYield; ++i) scope.Fork(YieldsUntil(fairness, done));
  begin(kWaiters);
  co_await UntilNone(left);
  done = true;
  (co_await scope.Join()).IgnoreFailures();
}

Task<void> AFailingOnceIsHandedOn(Fairness& fairness) {
  Once once;
  Event go;
  const auto wait = [&](auto has_turn) -> Task<void> {
    (co_await once.Run([&]() -> Task<absl::Status> {
      co_await go.Wait();
      has_turn();
      co_return absl::DataLossError("as planned");
    })).IgnoreError();
  };
  co_await TurnsAreHandedOn(fairness, /*wakes=*/1, wait, [&](int) { go.Set(); });
}
// Each waits for its turn, and then for its time.
Task<void> PermitsCome(Fairness& fairness) {
  RateLimiter limiter({.permits_per_second = 1e9});
  EXPECT_TRUE(limiter.TryAcquire());
  const auto wait = [&](auto has_turn) -> Task<void> {
    co_await limiter.Acquire();
    has_turn();
  };
  co_await TurnsAreHandedOn(fairness, /*wakes=*/2, wait, [](int) {});
}
Task<void> DelayedValuesCome(Fairness& fairness) {
  DelayQueue<int> queue;
  const auto wait = [&](auto has_turn) -> Task<void> {
    EXPECT_TRUE((co_await queue.Receive()).has_value());
    has_turn();
  };
  co_await TurnsAreHandedOn(fairness, /*wakes=*/1, wait, [&](int values) {
    for (int i = 0; i < values; ++i) EXPECT_TRUE(queue.Send(i, absl::ZeroDuration()));
  });
}

// An OS thread that is no carrier wakes many, each by a call of its own, while some yield.
Task<void> OutsideWakes(Fairness& fairness, int waiters, int yield) {
  fairness.Expect(waiters + yield + 1);
  struct Waiter {
    Event event;
    Fairness::Moment woken{};
  };
  std::vector<Waiter> all(waiters);
  bool done = false;
  FewAtATime few;
  int left = waiters;
  AwaitAll scope;
  for (int i = 0; i < waiters; ++i) {
    scope.Fork([&, &waiter = all[i]]() -> Task<void> {
      few.Waits();
      co_await waiter.event.Wait();
      fairness.Ran(waiter.woken);
      --left;
    });
    co_await few.Forked();
  }
  co_await few.All();
  for (int i = 0; i < yield; ++i) scope.Fork(YieldsUntil(fairness, done));
  for (Waiter& waiter : all) {
    waiter.woken = fairness.Now();
    // What a simulation has of other OS threads: none of its carriers is current.
    internal::Carrier* const carrier = internal::ExchangeCarrier(nullptr);
    waiter.event.Set();
    internal::ExchangeCarrier(carrier);
  }
  co_await UntilNone(left);
  done = true;
  (co_await scope.Join()).IgnoreFailures();
}
Task<void> OutsideWakesMany(Fairness& fairness) { return OutsideWakes(fairness, 1'000, 10); }
Task<void> OutsideWakesFew(Fairness& fairness) { return OutsideWakes(fairness, 100, 1); }

// Functions of Blocking() end, while some yield.
Task<void> CallsEnd(Fairness& fairness) {
  constexpr int kCalls = 1'000;
  constexpr int kYield = 10;
  fairness.Expect(kCalls + kYield + 1);
  bool done = false;
  FewAtATime few;
  int left = kCalls;
  AwaitAll scope;
  for (int i = 0; i < kYield; ++i) scope.Fork(YieldsUntil(fairness, done));
  for (int i = 0; i < kCalls; ++i) {
    scope.Fork([&]() -> Task<void> {
      few.Waits();
      Fairness::Moment ended{};
      EXPECT_TRUE((co_await Blocking([&] { ended = fairness.Now(); })).ok());
      fairness.Ran(ended);
      --left;
    });
    co_await few.Forked();
  }
  co_await UntilNone(left);
  done = true;
  (co_await scope.Join()).IgnoreFailures();
}

// All at the same time. When they become runnable is known of none but the first to run.
Task<void> TimersFire(Fairness& fairness) {
  constexpr int kSleepers = 2'000;
  fairness.Expect(kSleepers + 1);
  std::optional<Fairness::Moment> fired;
  const absl::Time end = Now() + absl::Seconds(1);
  FewAtATime few;
  AwaitAll scope;
  for (int i = 0; i < kSleepers; ++i) {
    scope.Fork([&]() -> Task<void> {
      few.Waits();
      co_await Sleep(end - Now());
      if (!fired.has_value()) fired = fairness.Now();
      fairness.Ran(*fired);
    });
    co_await few.Forked();
  }
  (co_await scope.Join()).IgnoreFailures();
}

Task<void> ForkSuccessor(Fairness& fairness, AwaitAll& scope, const bool& done, Fairness::Moment forked) {
  fairness.Ran(forked);
  if (!done) scope.Fork(ForkSuccessor(fairness, scope, done, fairness.Now()));
  co_return;
}

// Chains of threads each of which forks the next one and ends, while others yield; then a burst.
Task<void> ForksGoOn(Fairness& fairness) {
  constexpr int kChains = 50;
  constexpr int kYield = 600;
  constexpr int kBurst = 2'000;
  fairness.Expect(kChains + kYield + 1);
  bool done = false;
  int left = kYield;
  AwaitAll scope;
  for (int i = 0; i < kYield; ++i) scope.Fork(Yields(fairness, 5, left));
  for (int i = 0; i < kChains; ++i) scope.Fork(ForkSuccessor(fairness, scope, done, fairness.Now()));
  co_await UntilNone(left);
  EXPECT_LE(fairness.longest(), fairness.limit());
  fairness.Expect(kChains + kBurst + 1);
  left = kBurst;
  const Fairness::Moment forked = fairness.Now();
  for (int i = 0; i < kBurst; ++i) {
    scope.Fork([&]() -> Task<void> {
      fairness.Ran(forked);
      --left;
      co_return;
    });
  }
  co_await UntilNone(left);
  done = true;
  (co_await scope.Join()).IgnoreFailures();
}

Task<int> Nothing() { co_return 1; }

// Children that begin in their owner's place are turns as well, one after the other in that of their owner.
Task<void> JoinsGoOn(Fairness& fairness) {
  constexpr int kJoin = 100;
  constexpr int kYield = 400;
  fairness.Expect(3 * kJoin + kYield + 1, /*turns=*/2);
  bool done = false;
  int left = kYield;
  AwaitAll scope;
  for (int i = 0; i < kJoin; ++i) {
    scope.Fork([&]() -> Task<void> {
      while (!done) co_await All(Nothing(), Nothing());
    });
  }
  for (int i = 0; i < kYield; ++i) scope.Fork(Yields(fairness, 5, left));
  co_await UntilNone(left);
  done = true;
  (co_await scope.Join()).IgnoreFailures();
}

// What many wait for comes for all of them at once.
template <class Line>
Task<void> CompletionsCome(Fairness& fairness, int count, int yield) {
  constexpr int kRounds = 3;
  fairness.Expect(count + yield + 1);
  typename Line::Source source;
  std::vector<std::unique_ptr<Line>> lines;
  Fairness::Moment sent{};
  bool done = false;
  int left = 0;
  FewAtATime few;
  AwaitAll scope;
  for (int i = 0; i < count; ++i) {
    lines.push_back(std::make_unique<Line>(co_await Line::Open(source)));
    scope.Fork([&, &line = *lines.back()]() -> Task<void> {
      few.Waits();
      for (int round = 0; round < kRounds; ++round) {
        EXPECT_TRUE(co_await line.Receive());
        fairness.Ran(sent);
        --left;
      }
    });
    co_await few.Forked();
  }
  co_await few.All();
  for (int i = 0; i < yield; ++i) scope.Fork(YieldsUntil(fairness, done));
  for (int round = 0; round < kRounds; ++round) {
    // They wait by now, also where a wait is handed to the kernel only when its carrier looks.
    for (int i = 0; i < 2 * internal::Duties::kDispatchesPerPoll; ++i) co_await Yield();
    left = count;
    sent = fairness.Now();
    for (const auto& line : lines) line->Send();
    co_await UntilNone(left);
  }
  done = true;
  (co_await scope.Join()).IgnoreFailures();
}
template <class Line>
Task<void> ManyCome(Fairness& fairness) {
  return CompletionsCome<Line>(fairness, 450, 5);
}
// Of four carriers some sleep while one thread yields: what they wait for comes all the same.
template <class Line>
Task<void> FewCome(Fairness& fairness) {
  return CompletionsCome<Line>(fairness, 3, 0);
}

// Accepts go on beside connections of which each has the next bytes as soon as it has read.
Task<void> AcceptsGoOnBesideReads(Fairness& fairness) {
  constexpr int kRead = 60;
  constexpr int kAccept = 30;
  fairness.Expect(kRead + kAccept + 2);
  TcpLine::Source source;
  bool done = false;
  FewAtATime few;
  AwaitAll scope;
  std::vector<std::unique_ptr<TcpLine>> lines;
  for (int i = 0; i < kRead; ++i) {
    lines.push_back(std::make_unique<TcpLine>(co_await TcpLine::Open(source)));
    scope.Fork([&, &line = *lines.back()]() -> Task<void> {
      few.Waits();
      while (!done) {
        line.Send();
        const Fairness::Moment sent = fairness.Now();
        EXPECT_TRUE(co_await line.Receive());
        fairness.Ran(sent);
      }
    });
    co_await few.Forked();
  }
  co_await few.All();
  std::vector<RawClient> clients;
  for (int i = 0; i < kAccept; ++i) {
    clients.emplace_back(*source.listener.local_address());
    const Fairness::Moment came = fairness.Now();
    EXPECT_TRUE((co_await source.listener.Accept()).ok());
    fairness.Ran(came);
  }
  done = true;
  (co_await scope.Join()).IgnoreFailures();
}

// All of a storm of connections wait in the backlog before the first is accepted, and those that were accepted keep on
// running.
Task<void> ConnectionsCome(Fairness& fairness) {
  constexpr int kConnections = 450;
  constexpr int kYield = 100;
  fairness.Expect(kConnections + kYield + 1);
  absl::StatusOr<net::TcpListener> listener = net::TcpListener::Bind("127.0.0.1:0");
  EXPECT_TRUE(listener.ok()) << listener.status();
  std::vector<RawClient> clients;
  for (int i = 0; i < kConnections; ++i) clients.emplace_back(*listener->local_address());
  bool done = false;
  int left = kConnections;
  AwaitAll scope;
  for (int i = 0; i < kYield; ++i) scope.Fork(YieldsUntil(fairness, done));
  co_await Yield();
  const Fairness::Moment came = fairness.Now();
  for (int i = 0; i < kConnections; ++i) {
    absl::StatusOr<net::TcpStream> stream = co_await listener->Accept();
    EXPECT_TRUE(stream.ok()) << stream.status();
    scope.Fork([&, stream = *std::move(stream)]() -> Task<void> {
      fairness.Ran(came);
      --left;
      co_await YieldsUntil(fairness, done);
    });
  }
  co_await UntilNone(left);
  done = true;
  (co_await scope.Join()).IgnoreFailures();
}

struct Scenario {
  const char* name;
  Task<void> (*run)(Fairness&);
  bool needs_io = false;
};
constexpr Scenario kScenarios[] = {
    {"ManyYield", &ManyYield},
    {"OneEventWakes", &OneEventWakes},
    {"OneCompletionWakes", &OneCompletionWakes},
    {"PlacesAreGiven", &PlacesAreGiven},
    {"OneEndWakes", &OneEndWakes},
    {"UnparksWake", &UnparksWake},
    {"FewPinnedRun", &FewPinnedRun},
    {"ManyPinnedRun", &ManyPinnedRun},
    {"AllRunPinned", &AllRunPinned},
    {"ChainsWake", &ChainsWake},
    {"ChannelsWake", &ChannelsWake},
    {"MeetingsWake", &MeetingsWake},
    {"AFailingOnceIsHandedOn", &AFailingOnceIsHandedOn},
    {"PermitsCome", &PermitsCome},
    {"DelayedValuesCome", &DelayedValuesCome},
    {"OutsideWakesMany", &OutsideWakesMany},
    {"OutsideWakesFew", &OutsideWakesFew},
    {"CallsEnd", &CallsEnd},
    {"TimersFire", &TimersFire},
    {"ForksGoOn", &ForksGoOn},
    {"JoinsGoOn", &JoinsGoOn},
    {"ManyOfTcp", &ManyCome<TcpLine>, /*needs_io=*/true},
    {"ManyOfUnixStreams", &ManyCome<UnixLine>, /*needs_io=*/true},
    {"ManyOfUnixDatagrams", &ManyCome<UnixDatagramLine>, /*needs_io=*/true},
    {"ManyOfUdp", &ManyCome<UdpLine>, /*needs_io=*/true},
    {"ManyOfPipes", &ManyCome<PipeLine>, /*needs_io=*/true},
    {"ManyOfForeignDescriptors", &ManyCome<ForeignLine>, /*needs_io=*/true},
    {"FewOfTcp", &FewCome<TcpLine>, /*needs_io=*/true},
    {"FewOfUnixDatagrams", &FewCome<UnixDatagramLine>, /*needs_io=*/true},
    {"FewOfPipes", &FewCome<PipeLine>, /*needs_io=*/true},
    {"FewOfForeignDescriptors", &FewCome<ForeignLine>, /*needs_io=*/true},
    {"Connections", &ConnectionsCome, /*needs_io=*/true},
    {"AcceptsBesideReads", &AcceptsGoOnBesideReads, /*needs_io=*/true},
};

// Each on both backends that needs one.
struct Row {
  Scenario scenario;
  std::optional<IoBackend> io;

  std::string Name() const {
    return absl::StrCat(scenario.name, !io.has_value() ? "" : *io == IoBackend::kUring ? "OfIoUring" : "OfEpoll");
  }
  friend std::ostream& operator<<(std::ostream& out, const Row& row) { return out << row.Name(); }
};
std::vector<Row> Rows() {
  std::vector<Row> rows;
  for (const Scenario& scenario : kScenarios) {
    if (!scenario.needs_io) {
      rows.push_back({scenario, std::nullopt});
    } else {
      for (const IoBackend io : {IoBackend::kUring, IoBackend::kEpoll}) rows.push_back({scenario, io});
    }
  }
  return rows;
}

class FairnessTableTest : public ::testing::TestWithParam<std::tuple<Row, int>> {};

TEST_P(FairnessTableTest, NobodyWaitsLongerThanTwoRounds) {
  const auto& [row, carriers] = GetParam();
  for (uint64_t seed = 1; seed <= 3 && !HasFailure(); ++seed) {
    SCOPED_TRACE(absl::StrCat("seed ", seed));
    Fairness fairness;
    Simulation simulation({.carriers = carriers, .seed = seed, .io = row.io, .observer = &fairness});
    simulation.Run(row.scenario.run(fairness));
    EXPECT_GT(fairness.waits(), 0);
    EXPECT_LE(fairness.longest(), fairness.limit());
  }
}

INSTANTIATE_TEST_SUITE_P(Table, FairnessTableTest,
                         ::testing::Combine(::testing::ValuesIn(Rows()), ::testing::Range(1, 5)),
                         [](const ::testing::TestParamInfo<FairnessTableTest::ParamType>& info) {
                           return absl::StrCat(std::get<0>(info.param).Name(), "On", std::get<1>(info.param));
                         });

// ---- A carrier that sleeps, and is rung by nobody: a spare one that has retired with a read in its ring.

Task<void> ReadOnASpareCarrier() {
  absl::StatusOr<net::TcpListener> listener = net::TcpListener::Bind("127.0.0.1:0");
  EXPECT_TRUE(listener.ok()) << listener.status();
  const RawClient client(*listener->local_address());
  absl::StatusOr<net::TcpStream> stream = co_await listener->Accept();
  EXPECT_TRUE(stream.ok()) << stream.status();
  Event go, reads, started;
  bool got = false;
  AwaitAll scope;
  scope.Fork([&]() -> Task<void> {
    co_await go.Wait();
    reads.Set();
    char byte;
    EXPECT_TRUE((co_await stream->Read(absl::MakeSpan(&byte, 1))).ok());
    got = true;
  });
  {
    AwaitAll held;
    held.Fork([&]() -> Task<void> {
      co_await Shield([&]() -> Task<void> {
        started.Set();
        co_await reads.Wait();
      }());
    });
    co_await started.Wait();
    go.Set();
    // The destructor holds this carrier, so that a spare one begins to read.
  }
  client.Send();
  for (int i = 0; i < 10'000 && !got; ++i) co_await Yield();
  EXPECT_TRUE(got);
  (co_await scope.Join()).IgnoreFailures();
}

TEST(FairnessTest, WhatASleepingCarrierWaitsForComesWhileAnotherOneYields) {
  for (const IoBackend io : {IoBackend::kUring, IoBackend::kEpoll}) {
    for (uint64_t seed = 1; seed <= 10; ++seed) {
      SCOPED_TRACE(absl::StrCat(io == IoBackend::kUring ? "io_uring" : "epoll", ", seed ", seed));
      Simulation({.carriers = 1, .seed = seed, .min_runnable = 1, .io = io}).Run(ReadOnASpareCarrier());
    }
  }
}

// ---- Behind a thread that computes.

// What keeps a carrier busy, until `done`.
using Busy = Task<void> (*)(const internal::Atomic<bool>& done);

// relaxed, here and below: only says when.
Task<void> YieldOn(const internal::Atomic<bool>& done) {
  while (!done.load(std::memory_order_relaxed)) co_await Yield();
}
Task<void> AwaitWhatIsThere(const internal::Atomic<bool>& done) {
  Event event;
  event.Set();
  while (!done.load(std::memory_order_relaxed)) co_await event.Wait();
}
Task<void> JoinOn(const internal::Atomic<bool>& done) {
  while (!done.load(std::memory_order_relaxed)) co_await All(Nothing(), Nothing());
}
Task<void> ForkOn(const internal::Atomic<bool>& done) {
  while (!done.load(std::memory_order_relaxed)) {
    AwaitAll scope;
    scope.Fork(Nothing());
    (co_await scope.Join()).IgnoreFailures();
  }
}

struct BusyWith {
  const char* name;
  Busy run;
};
constexpr BusyWith kBusy[] = {
    {"Yields", &YieldOn}, {"Waits", &AwaitWhatIsThere}, {"Joins", &JoinOn}, {"Forks", &ForkOn}};

class BehindComputationTest : public ::testing::TestWithParam<std::tuple<BusyWith, int>> {};

TEST_P(BehindComputationTest, BusyCarriersRunWhatIsRunnable) {
  const auto& [busy, carriers] = GetParam();
  // No spare carrier for the one that computes.
  const absl::StatusOr<std::unique_ptr<Runtime>> runtime =
      Runtime::Create({.parallelism = carriers, .held_carrier_threshold = absl::ZeroDuration()});
  ASSERT_TRUE(runtime.ok()) << runtime.status();
  (*runtime)->Run([](Busy keep_busy, int threads) -> Task<void> {
    constexpr int kChildren = 600;
    internal::Atomic<bool> done{false};
    internal::Atomic<int> started{0};
    AwaitAll scope;
    internal::Atomic<int> busy{0};
    for (int i = 0; i < threads; ++i) {
      scope.Fork([&]() -> Task<void> {
        busy.fetch_add(1, std::memory_order_relaxed);
        co_await keep_busy(done);
      });
    }
    while (busy.load(std::memory_order_relaxed) < threads) co_await Yield();
    for (int i = 0; i < kChildren; ++i) {
      scope.Fork([&]() -> Task<void> {
        started.fetch_add(1, std::memory_order_relaxed);
        co_return;
      });
    }
    while (started.load(std::memory_order_relaxed) < kChildren) internal::CpuRelax();
    done.store(true, std::memory_order_relaxed);
    (co_await scope.Join()).IgnoreFailures();
  }(busy.run, 2 * carriers));
}

INSTANTIATE_TEST_SUITE_P(Table, BehindComputationTest,
                         ::testing::Combine(::testing::ValuesIn(kBusy), ::testing::Range(2, 5)),
                         [](const ::testing::TestParamInfo<BehindComputationTest::ParamType>& info) {
                           return absl::StrCat(std::get<0>(info.param).name, "On", std::get<1>(info.param));
                         });

}  // namespace
}  // namespace weft::testing

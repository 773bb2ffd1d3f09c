// Threads that become runnable in every way but by I/O. (fairness_test.cc)
#include <gtest/gtest.h>

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "lib/runtime/host.h"
#include "tests/runtime/fairness.h"
#include "weft/all.h"
#include "weft/blocking.h"
#include "weft/channel/channel.h"
#include "weft/channel/delay_queue.h"
#include "weft/channel/select.h"
#include "weft/executor/bounded_executor.h"
#include "weft/executor/future.h"
#include "weft/executor/promise.h"
#include "weft/pin.h"
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
#include "weft/time.h"
#include "weft/virtual_thread.h"

namespace weft::testing {
namespace {

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

}  // namespace

std::vector<Scenario> ThreadScenarios() {
  return {
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
  };
}

}  // namespace weft::testing

// What the waits of locks, of aids and of queues have in common. Goal: one that is late or cancelled leaves no trace,
// one that is served in time says so, and in a Shield it goes on. Method: a row for each wait; the same bodies in
// simulations and on carriers. (That nothing else of a cancelled thread runs on is in tests/cancel.)
#include <gtest/gtest.h>

#include <atomic>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "tests/support/counted.h"
#include "tests/support/on_both.h"
#include "weft/cancellation.h"
#include "weft/channel/channel.h"
#include "weft/channel/delay_queue.h"
#include "weft/scope.h"
#include "weft/sync/barrier.h"
#include "weft/sync/condition_variable.h"
#include "weft/sync/event.h"
#include "weft/sync/exchanger.h"
#include "weft/sync/latch.h"
#include "weft/sync/mutex.h"
#include "weft/sync/phaser.h"
#include "weft/sync/recursive_mutex.h"
#include "weft/sync/semaphore.h"
#include "weft/sync/shared_mutex.h"
#include "weft/task.h"
#include "weft/time.h"

namespace weft {
namespace {

using testing::Introduction;
using testing::Ticket;

// ---- The rows. One is made by a thread that does not wait in it.
//
//   Task<void> Wait();                   waits until Serve()
//   Task<bool> WaitFor(absl::Duration);  the same in time, where there is a form of its own; false: late
//   Task<void> Serve();                  once
//   bool HasNoTrace();                   of a wait that was cancelled
//   int64_t Length();                    of the queue, if there is one to ask for

struct AcquireRow {
  static constexpr const char* kName = "Semaphore::Acquire";
  Task<void> Wait() { const Permit got = co_await semaphore.Acquire(2); }
  Task<bool> WaitFor(absl::Duration timeout) {
    const std::optional<Permit> got = co_await semaphore.TryAcquireFor(timeout, 2);
    if (got.has_value()) EXPECT_EQ(got->permits(), 2);
    co_return got.has_value();
  }
  Task<void> Serve() {
    held.reset();
    co_return;
  }
  bool HasNoTrace() { return semaphore.available() == 0 && Length() == 0; }
  int64_t Length() { return semaphore.QueueLength(); }

  Semaphore semaphore{3};
  std::optional<Permit> held = semaphore.TryAcquire(3);
};

// What waits for a lock that is held.
template <class M>
struct LockedRow {
  Task<void> Serve() {
    held.reset();
    co_return;
  }
  bool HasNoTrace() { return held.has_value() && Length() == 0; }
  int64_t Length() { return mutex.QueueLength(); }

  M mutex;
  decltype(std::declval<M&>().TryLock()) held = mutex.TryLock();
};
template <class M>
struct LockRow : LockedRow<M> {
  static constexpr const char* kName = "Lock";
  Task<void> Wait() { const auto guard = co_await this->mutex.Lock(); }
  Task<bool> WaitFor(absl::Duration timeout) { co_return (co_await this->mutex.LockFor(timeout)).has_value(); }
};
struct LockSharedRow : LockedRow<SharedMutex> {
  static constexpr const char* kName = "SharedMutex::LockShared";
  Task<void> Wait() { const ReaderGuard guard = co_await mutex.LockShared(); }
  Task<bool> WaitFor(absl::Duration timeout) { co_return (co_await mutex.LockSharedFor(timeout)).has_value(); }
};
struct LockOfReadersRow {
  static constexpr const char* kName = "SharedMutex::Lock, behind a reader";
  Task<void> Wait() { const WriterGuard guard = co_await mutex.Lock(); }
  Task<bool> WaitFor(absl::Duration timeout) { co_return (co_await mutex.LockFor(timeout)).has_value(); }
  Task<void> Serve() {
    held.reset();
    co_return;
  }
  bool HasNoTrace() { return mutex.ReaderCount() == 1 && Length() == 0; }
  int64_t Length() { return mutex.QueueLength(); }

  SharedMutex mutex;
  std::optional<ReaderGuard> held = mutex.TryLockShared();
};

// The lock itself is not what it is cancelled in.
template <class M>
struct ConditionRow {
  static constexpr const char* kName = "ConditionVariable::Wait";
  Task<void> Wait() {
    auto guard = co_await Shield(mutex.Lock());
    co_await changed.Wait(guard);
  }
  Task<bool> WaitFor(absl::Duration timeout) {
    auto guard = co_await Shield(mutex.Lock());
    co_return co_await changed.WaitFor(guard, timeout);
  }
  Task<void> Serve() {
    changed.NotifyOne();
    co_return;
  }
  bool HasNoTrace() { return mutex.TryLock().has_value() && Length() == 0; }
  int64_t Length() { return changed.QueueLength(); }

  M mutex;
  ConditionVariable changed;
};

struct EventRow {
  static constexpr const char* kName = "Event::Wait";
  Task<void> Wait() { co_await event.Wait(); }
  Task<void> Serve() {
    event.Set();
    co_return;
  }
  bool HasNoTrace() { return !event.IsSet(); }

  Event event;
};

struct LatchRow {
  static constexpr const char* kName = "Latch::Wait";
  Task<void> Wait() { co_await latch.Wait(); }
  Task<void> Serve() {
    latch.CountDown();
    co_return;
  }
  bool HasNoTrace() { return latch.count() == 1; }

  Latch latch{1};
};
struct LatchArrivalRow {
  static constexpr const char* kName = "Latch::ArriveAndWait";
  Task<void> Wait() { co_await latch.ArriveAndWait(); }
  Task<void> Serve() {
    latch.CountDown();
    co_return;
  }
  bool HasNoTrace() { return latch.count() == 2; }

  Latch latch{2};
};

// The exception: a party that does not come breaks it.
struct BarrierRow {
  static constexpr const char* kName = "Barrier::ArriveAndWait";
  Task<void> Wait() { EXPECT_EQ((co_await barrier.ArriveAndWait()).value_or(-1), 1); }
  Task<void> Serve() { EXPECT_EQ((co_await barrier.ArriveAndWait()).value_or(-1), 0); }
  bool HasNoTrace() {
    const bool broken = barrier.IsBroken() && barrier.waiting() == 0;
    barrier.Reset();
    return broken && !barrier.IsBroken();
  }

  Barrier barrier{2};
};

struct PhaserRow {
  static constexpr const char* kName = "Phaser::AwaitAdvance";
  Task<void> Wait() { EXPECT_EQ(co_await phaser.AwaitAdvance(0), 1); }
  Task<void> Serve() {
    EXPECT_EQ(phaser.Arrive(), 0);
    co_return;
  }
  bool HasNoTrace() { return phaser.phase() == 0 && phaser.registered() == 1 && phaser.arrived() == 0; }

  Phaser phaser{1};
};
struct PhaserArrivalRow {
  static constexpr const char* kName = "Phaser::ArriveAndAwaitAdvance";
  Task<void> Wait() { EXPECT_EQ(co_await phaser.ArriveAndAwaitAdvance(), 1); }
  Task<void> Serve() {
    EXPECT_EQ(phaser.Arrive(), 0);
    co_return;
  }
  bool HasNoTrace() { return phaser.phase() == 0 && phaser.registered() == 2 && phaser.arrived() == 0; }

  Phaser phaser{2};
};

struct ExchangerRow {
  static constexpr const char* kName = "Exchanger::Exchange";
  Task<void> Wait() { EXPECT_EQ((co_await exchanger.Exchange(std::move(mine))).number(), 2); }
  Task<void> Serve() { EXPECT_EQ((co_await exchanger.Exchange(Ticket(2))).number(), 1); }
  bool HasNoTrace() { return mine.has_number(); }

  Exchanger<Ticket> exchanger;
  Ticket mine{1};
};

template <int64_t kCapacity>
struct SendRow {
  static constexpr const char* kName = "Channel::Send";
  SendRow() {
    for (int i = 0; i < kCapacity; ++i) EXPECT_TRUE(channel.TrySend(Ticket(0)));
  }
  Task<void> Wait() { EXPECT_TRUE(co_await channel.Send(std::move(mine))); }
  Task<void> Serve() { EXPECT_TRUE((co_await channel.Receive()).has_value()); }
  bool HasNoTrace() { return mine.has_number() && channel.size() == kCapacity; }

  Channel<Ticket> channel{kCapacity};
  Ticket mine{1};
};
template <auto kKind>  // or a capacity
struct ReceiveRow {
  static constexpr const char* kName = "Channel::Receive";
  Task<void> Wait() { EXPECT_EQ(co_await channel.Receive(), 7); }
  Task<void> Serve() { EXPECT_TRUE(co_await channel.Send(7)); }
  bool HasNoTrace() { return channel.size() == 0 && (channel.capacity() != 0u || !channel.TrySend(8)); }

  Channel<int> channel{kKind};
};
struct ReceiveManyRow : ReceiveRow<2> {
  static constexpr const char* kName = "Channel::ReceiveMany";
  Task<void> Wait() {
    std::vector<int> got;
    EXPECT_EQ(co_await channel.ReceiveMany(got, 5), 1u);
    EXPECT_EQ(got, std::vector<int>{7});
  }
};

struct DelayQueueRow {
  static constexpr const char* kName = "DelayQueue::Receive";
  Task<void> Wait() { EXPECT_EQ(co_await queue.Receive(), 7); }
  Task<void> Serve() {
    EXPECT_TRUE(queue.Send(7, absl::ZeroDuration()));
    co_return;
  }
  bool HasNoTrace() { return queue.size() == 0; }

  DelayQueue<int> queue;
};
struct NotDueRow : DelayQueueRow {
  static constexpr const char* kName = "DelayQueue::Receive, of what is not due";
  NotDueRow() { queue.Send(8, absl::Hours(100)); }
  bool HasNoTrace() { return queue.size() == 1; }
};

// ---- The sentences.

template <class Row>
Task<bool> WaitFor(Row& row, absl::Duration timeout) {
  if constexpr (requires { row.WaitFor(timeout); }) {
    co_return co_await row.WaitFor(timeout);
  } else {
    co_return co_await MoveOnAfter(timeout, row.Wait());
  }
}

// One that waits in it, in a thread of its own.
template <class Row>
Task<void> ForkWaiting(AwaitAll& scope, Row& row) {
  Introduction waiting;
  scope.Fork([&]() -> Task<void> {
    waiting.Make();
    co_await row.Wait();
  });
  co_await waiting.AwaitParked();
}

template <class Row>
Task<void> ExpectTheNextIsServed(Row& row) {
  AwaitAll scope;
  co_await ForkWaiting(scope, row);
  co_await row.Serve();
  (co_await scope.Join()).IgnoreFailures();
}

class WaitsTest : public testing::OnBoth {
 protected:
  template <class... Rows, class Body>
  static void With(Body body) {
    (WithOne<Rows>(body), ...);
  }
  template <class Body>
  static void WithEveryLock(Body body) {
    With<AcquireRow, LockRow<Mutex>, LockRow<RecursiveMutex>, LockRow<SharedMutex>, LockSharedRow, LockOfReadersRow>(
        body);
  }
  template <class Body>
  static void WithEveryCondition(Body body) {
    With<ConditionRow<Mutex>, ConditionRow<RecursiveMutex>, ConditionRow<SharedMutex>>(body);
  }
  template <class Body>
  static void WithEveryWait(Body body) {
    WithEveryLock(body);
    WithEveryCondition(body);
    With<EventRow, LatchRow, LatchArrivalRow, BarrierRow, PhaserRow, PhaserArrivalRow, ExchangerRow>(body);
    With<SendRow<0>, SendRow<2>, ReceiveRow<0>, ReceiveRow<2>, ReceiveRow<kUnbounded>, ReceiveRow<kConflated>>(body);
    With<ReceiveManyRow, DelayQueueRow, NotDueRow>(body);
  }

 private:
  template <class Row, class Body>
  static void WithOne(Body body) {
    SCOPED_TRACE(Row::kName);
    Everywhere([body] { return body.template operator()<Row>(); });
  }
};
WEFT_ON_BOTH(WaitsTest);

TEST_P(WaitsTest, OneThatIsCancelledBeforeItWaitsOrWhileItDoesLeavesNoTrace) {
  WithEveryWait([]<class Row>() -> Task<void> {
    for (const bool before : {true, false}) {
      for (const bool timed : {true, false}) {
        Row row;
        AwaitAll scope;
        Introduction begun;
        scope.Fork([&]() -> Task<void> {
          begun.Make();
          if (before) co_await testing::UntilAsked();
          if (timed) {
            co_await WaitFor(row, absl::Hours(1));
          } else {
            co_await row.Wait();
          }
          ADD_FAILURE() << "it was cancelled";
        });
        if (before) {
          co_await begun.Await();
        } else {
          co_await begun.AwaitParked();
        }
        scope.Shutdown();
        (co_await scope.Join()).IgnoreFailures();
        EXPECT_TRUE(row.HasNoTrace());
        co_await ExpectTheNextIsServed(row);
      }
    }
  });
}

TEST_P(WaitsTest, OneThatIsLateSaysSoInTimeAndLeavesNoTrace) {
  WithEveryWait([]<class Row>() -> Task<void> {
    for (const absl::Duration timeout : {absl::Milliseconds(1), absl::ZeroDuration(), -absl::InfiniteDuration()}) {
      Row row;
      AwaitAll scope;
      scope.Fork([&]() -> Task<void> {
        const MonotonicTime begin = MonotonicNow();
        EXPECT_FALSE(co_await WaitFor(row, timeout));
        EXPECT_GE(MonotonicNow() - begin, timeout);
      });
      (co_await scope.Join()).IgnoreFailures();
      EXPECT_TRUE(row.HasNoTrace());
      co_await ExpectTheNextIsServed(row);
    }
  });
}

TEST_P(WaitsTest, OneThatIsServedInTimeSaysSo) {
  WithEveryWait([]<class Row>() -> Task<void> {
    Row row;
    AwaitAll scope;
    Introduction waiting;
    auto in_time = scope.Fork([&]() -> Task<bool> {
      waiting.Make();
      co_return co_await WaitFor(row, absl::Hours(1));
    });
    co_await waiting.AwaitParked();
    co_await row.Serve();
    (co_await scope.Join()).IgnoreFailures();
    EXPECT_TRUE(*in_time);
  });
}

// TryLock() and its like are for that.
TEST_P(WaitsTest, WithoutTimeALockIsNotTakenAlsoIfItIsFree) {
  WithEveryLock([]<class Row>() -> Task<void> {
    Row row;
    co_await row.Serve();
    EXPECT_FALSE(co_await row.WaitFor(absl::ZeroDuration()));
    EXPECT_FALSE(co_await row.WaitFor(-absl::Seconds(1)));
    EXPECT_TRUE(co_await row.WaitFor(absl::Hours(1)));
  });
}

// As lock(), acquireUninterruptibly() and awaitUninterruptibly() are in the JDK.
TEST_P(WaitsTest, InAShieldItGoesOnWhetherItsThreadIsAskedToEndBeforeOrMeanwhile) {
  WithEveryWait([]<class Row>() -> Task<void> {
    for (const bool before : {true, false}) {
      Row row;
      AwaitAll scope;
      Introduction begun;
      std::atomic<bool> served = false, ended = false;
      scope.Fork([&]() -> Task<void> {
        begun.Make();
        if (before) co_await testing::UntilAsked();
        auto wait = [&]() -> Task<void> {
          co_await row.Wait();
          EXPECT_TRUE(served);
          ended = true;
        };
        co_await Shield(wait());
        co_await testing::UntilAsked();  // a request takes its time down the tree
        co_await Yield();
        ADD_FAILURE() << "it was cancelled";
      });
      if (before) {
        co_await begun.Await();
      } else {
        co_await begun.AwaitParked();
      }
      scope.Shutdown();
      co_await begun.AwaitParked();
      for (int i = 0; i < 10; ++i) co_await Yield();
      EXPECT_FALSE(ended);
      served = true;
      co_await row.Serve();
      (co_await scope.Join()).IgnoreFailures();
      EXPECT_TRUE(ended);
    }
  });
}

TEST_P(WaitsTest, TheQueueIsAsLongAsThereAreThreadsThatWait) {
  const auto body = []<class Row>() -> Task<void> {
    Row row;
    EXPECT_EQ(row.Length(), 0);
    AwaitAll kept, cancelled;
    co_await ForkWaiting(cancelled, row);
    EXPECT_EQ(row.Length(), 1);
    co_await ForkWaiting(kept, row);
    EXPECT_EQ(row.Length(), 2);
    cancelled.Shutdown();
    (co_await cancelled.Join()).IgnoreFailures();
    EXPECT_EQ(row.Length(), 1);
    co_await row.Serve();
    (co_await kept.Join()).IgnoreFailures();
    EXPECT_EQ(row.Length(), 0);
  };
  WithEveryLock(body);
  WithEveryCondition(body);
}

}  // namespace
}  // namespace weft

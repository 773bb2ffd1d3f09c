// What becomes of a thread that has used up its turn when it comes to a lock? Goal: it lets the others run before it
// has the lock, so that none of them waits for it; then it gets it like anyone else. Method: a row for each kind of
// lock; threads that lock in a loop. On one carrier none runs while another has the lock, so nobody may ever wait.
#include <gtest/gtest.h>

#include <cstdint>
#include <utility>

#include "absl/time/time.h"
#include "weft/channel/select.h"
#include "weft/runtime.h"
#include "weft/scope.h"
#include "weft/subtask.h"
#include "weft/sync/mutex.h"
#include "weft/sync/recursive_mutex.h"
#include "weft/sync/semaphore.h"
#include "weft/sync/shared_mutex.h"
#include "weft/task.h"
#include "weft/time.h"

namespace weft {
namespace {

// ---- The rows.

template <class M>
struct LockRow {
  auto Take() { return lock.Lock(); }
  M lock;
};
using MutexRow = LockRow<Mutex>;
using RecursiveMutexRow = LockRow<RecursiveMutex>;
using WriterRow = LockRow<SharedMutex>;
// Behind a writer, who is let in before it.
struct ReaderRow {
  auto Take() { return lock.LockShared(); }
  SharedMutex lock;
};
struct SemaphoreRow {
  auto Take() { return lock.Acquire(); }
  Semaphore lock{1};
};
struct SelectRow {
  auto Take() { return Select(lock.Lock(), never.Acquire()); }
  Mutex lock;
  Semaphore never{0};
};

template <class Row>
class LockTurnTest : public testing::Test {};
using Rows = testing::Types<MutexRow, RecursiveMutexRow, WriterRow, ReaderRow, SemaphoreRow, SelectRow>;
TYPED_TEST_SUITE(LockTurnTest, Rows);

template <class Body>
void OnOneCarrier(Body body) {
  // A carrier that is held for long would be relieved by another one.
  RuntimeOptions options;
  options.parallelism = 1;
  options.held_carrier_threshold = absl::ZeroDuration();
  Runtime::Create(options).value()->Run(body());
}

template <class Row>
Task<void> VisitInTurn(Row& row, int& last, int number, int& changes, int64_t& waiting) {
  for (int i = 0; i < 1'000; ++i) {
    const auto held = co_await row.Take();
    changes += std::exchange(last, number) != number;
    waiting += row.lock.QueueLength();
  }
}

TYPED_TEST(LockTurnTest, NobodyWaitsForAThreadThatLetsOthersRun) {
  OnOneCarrier([]() -> Task<void> {
    TypeParam row;
    int last = 0;
    int changes = 0;
    int64_t waiting = 0;
    AwaitAll scope;
    for (int number = 1; number <= 3; ++number) scope.Fork(VisitInTurn(row, last, number, changes, waiting));
    (co_await scope.Join()).IgnoreFailures();
    EXPECT_GT(changes, 30) << "they take turns";
    EXPECT_EQ(waiting, 0);
  });
}

// The lock is taken while it lets others run. (A reader waits only for a writer.)
template <class Row>
auto TakeAll(Row& row) {
  return row.lock.Lock();
}
auto TakeAll(SemaphoreRow& row) { return row.lock.Acquire(); }

template <class Row>
Task<void> VisitUntil(Row& row, bool& enough) {
  while (!enough) const auto held = co_await row.Take();
}

TYPED_TEST(LockTurnTest, WhoFindsTheLockTakenAfterTheOthersHaveRunWaitsForIt) {
  OnOneCarrier([]() -> Task<void> {
    TypeParam row;
    bool enough = false;
    AwaitAll scope;
    scope.Fork(VisitUntil(row, enough));
    scope.Fork([&row, &enough]() -> Task<void> {
      const auto held = co_await TakeAll(row);
      while (row.lock.QueueLength() == 0) co_await Yield();
      enough = true;
    });
    EXPECT_TRUE((co_await scope.Join()).ok());
    EXPECT_EQ(row.lock.QueueLength(), 0);
  });
}

TYPED_TEST(LockTurnTest, WhoIsAskedToEndWhileTheOthersRunTakesNoLock) {
  OnOneCarrier([]() -> Task<void> {
    TypeParam row;
    bool enough = false;
    {
      AwaitAll scope;
      const Subtask<void> visitor = scope.Fork(VisitUntil(row, enough));
      co_await Yield();
      const auto held = co_await TakeAll(row);
      EXPECT_EQ(row.lock.QueueLength(), 0);
      scope.Shutdown();
      (co_await scope.Join()).IgnoreFailures();
      EXPECT_EQ(visitor.state(), Subtask<void>::State::kUnavailable);
      EXPECT_EQ(row.lock.QueueLength(), 0);
    }
    const auto free = co_await TakeAll(row);
  });
}

}  // namespace
}  // namespace weft

// Lock, futex and clock. Goal: mutual exclusion, no lost wake-up, and destruction right after the unlock. Method:
// threads that keep a sum under the lock, with critical sections that are long enough for the others to sleep.
#include "weft/internal/lock.h"

#include <errno.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "lib/os/clock.h"
#include "lib/os/futex.h"

namespace weft::internal {
namespace {

TEST(LockTest, ExcludesOtherThreadsAndPassesOnWhatTheyWrote) {
  constexpr int kThreads = 4;
  constexpr int kRounds = 20'000;
  Lock lock;
  int64_t sum = 0;  // plain: ThreadSanitizer checks the ordering
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&] {
      for (int round = 0; round < kRounds; ++round) {
        std::lock_guard guard(lock);
        ++sum;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(sum, int64_t{kThreads} * kRounds);
}

TEST(LockTest, AWaiterThatSleepsIsWoken) {
  constexpr int kThreads = 3;
  constexpr int kRounds = 300;
  Lock lock;
  int64_t sum = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&] {
      for (int round = 0; round < kRounds; ++round) {
        std::lock_guard guard(lock);
        ++sum;
        // Gives the core away with the lock held: the others stop spinning and go to sleep.
        for (int yields = 0; yields < 20; ++yields) sched_yield();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(sum, int64_t{kThreads} * kRounds);
}

TEST(LockTest, TryLockDoesNotWait) {
  Lock lock;
  ASSERT_TRUE(lock.try_lock());
  EXPECT_FALSE(lock.try_lock());
  lock.unlock();
  EXPECT_TRUE(lock.try_lock());
  lock.unlock();
}

// The last of two users frees the memory at once after its unlock, while the other may still be in its own unlock.
TEST(LockTest, MayBeDestroyedRightAfterTheUnlock) {
  struct Shared {
    Lock lock;
    int users = 2;
  };
  constexpr int kRounds = 2'000;
  std::vector<Shared*> all(kRounds);
  for (Shared*& shared : all) shared = new Shared;
  auto use = [&] {
    for (Shared* shared : all) {
      shared->lock.lock();
      const bool last = --shared->users == 0;
      shared->lock.unlock();
      if (last) delete shared;
    }
  };
  std::thread other(use);
  use();
  other.join();
}

TEST(LockTest, LeavesErrnoAlone) {
  Lock lock;
  int waiters_done = 0;
  lock.lock();
  std::thread waiter([&] {
    errno = EXDEV;
    lock.lock();
    EXPECT_EQ(errno, EXDEV);
    ++waiters_done;
    lock.unlock();
  });
  for (int yields = 0; yields < 200; ++yields) sched_yield();
  errno = EDOM;
  lock.unlock();
  EXPECT_EQ(errno, EDOM);
  waiter.join();
  EXPECT_EQ(waiters_done, 1);
}

TEST(FutexTest, AWordThatDiffersDoesNotSleep) {
  Atomic<uint32_t> word{1};
  EXPECT_EQ(FutexWait(word, 0), FutexOutcome::kWoken);
}

TEST(FutexTest, AWaitEndsAtItsDeadlineAndNotBefore) {
  Atomic<uint32_t> word{0};
  EXPECT_EQ(FutexWait(word, 0, 0), FutexOutcome::kTimedOut);
  EXPECT_EQ(FutexWait(word, 0, -5), FutexOutcome::kTimedOut);
  const int64_t deadline_ns = Clock::Real().NowNanos() + 2'000'000;
  while (FutexWait(word, 0, deadline_ns) != FutexOutcome::kTimedOut) {
  }
  EXPECT_GE(Clock::Real().NowNanos(), deadline_ns);
}

TEST(FutexTest, AWakeAfterTheStoreIsNotLost) {
  constexpr uint32_t kRounds = 5'000;
  Atomic<uint32_t> word{0};
  // Two threads take turns: even values are the other's, odd ones are ours.
  auto turns = [&](uint32_t mine) {
    for (uint32_t value = mine; value < kRounds; value += 2) {
      for (uint32_t seen; (seen = word.load(std::memory_order_acquire)) != value;) FutexWait(word, seen);
      word.store(value + 1, std::memory_order_release);
      FutexWake(word, 1);
    }
  };
  std::thread other([&] { turns(1); });
  turns(0);
  other.join();
  EXPECT_EQ(word.load(), kRounds);
}

void RaiseHere() { ::syscall(SYS_tgkill, ::getpid(), ::gettid(), SIGUSR1); }

Atomic<uint32_t> word_of_signal{0};
volatile sig_atomic_t signals_to_come = 0;

// ThreadSanitizer keeps a signal until the thread uses an atomic or makes a call that it knows. So one comes while each
// of these handles the one before, and some last one comes just before the wait.
TEST(FutexTest, ASignalThatComesJustBeforeAWaitIsHandledAllTheSame) {
  struct sigaction action = {};
  struct sigaction before = {};
  action.sa_handler = [](int) {
    signals_to_come = signals_to_come - 1;
    if (signals_to_come > 0) return RaiseHere();
    word_of_signal.store(1);
  };
  ASSERT_EQ(::sigaction(SIGUSR1, &action, &before), 0);
  for (int signals = 1; signals <= 10; ++signals) {
    word_of_signal.store(0);
    signals_to_come = signals;
    RaiseHere();
    while (word_of_signal.load() == 0) FutexWait(word_of_signal, 0);
  }
  ASSERT_EQ(::sigaction(SIGUSR1, &before, nullptr), 0);
}

TEST(ClockTest, TheRealClockDoesNotGoBack) {
  int64_t last_ns = Clock::Real().NowNanos();
  for (int i = 0; i < 1000; ++i) {
    const int64_t now_ns = Clock::Real().NowNanos();
    ASSERT_GE(now_ns, last_ns);
    last_ns = now_ns;
  }
}

}  // namespace
}  // namespace weft::internal

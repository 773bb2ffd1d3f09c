// Pools of OS threads. Goal: each job ends once, whatever happens: it is run, refused or withdrawn, and none is left
// behind; there are no more OS threads than allowed, and none that has had nothing to do for long. Method: jobs that
// wait until they are let go; faults of pthread_create; many OS threads that submit and withdraw at once.
#include "lib/os/worker_pool.h"

#include <errno.h>
#include <gtest/gtest.h>
#include <sched.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <deque>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "lib/os/syscalls.h"
#include "lib/testing/syscall_fault.h"
#include "weft/internal/job.h"

namespace weft::internal {
namespace {

// Counts what becomes of it.
struct Counted : Job {
  Counted() noexcept : Job(&Run, &Refuse) {}

  // Runs until `go`.
  static void Run(Job& job) noexcept {
    auto& self = static_cast<Counted&>(job);
    self.place = places_.fetch_add(1) + 1;
    self.began = true;
    while (!self.go) sched_yield();
    ++self.runs;
    self.ended = true;
  }
  static void Refuse(Job& job, int error) noexcept {
    auto& self = static_cast<Counted&>(job);
    self.error = error;
    self.ended = true;
  }
  void AwaitBegun() const { Await(began); }
  void AwaitEnded() const { Await(ended); }
  static void Await(const std::atomic<bool>& flag) {
    while (!flag) sched_yield();
  }

  static inline std::atomic<int> places_{0};
  std::atomic<bool> go{true};
  std::atomic<bool> began{false};
  std::atomic<bool> ended{false};
  std::atomic<int> runs{0};
  std::atomic<int> error{0};
  std::atomic<int> place{0};  // in the order in which jobs have begun
};

void AwaitWorkers(WorkerPool& pool, int count) {
  while (pool.workers() != count) sched_yield();
}

TEST(WorkerPoolTest, HasNoOsThreadBeforeTheFirstJob) {
  WorkerPool pool({.name = "test", .max_workers = 4});
  EXPECT_EQ(pool.workers(), 0);
  Counted job;
  EXPECT_TRUE(pool.Submit(job));
  job.AwaitEnded();
  EXPECT_EQ(job.runs, 1);
  EXPECT_EQ(pool.workers(), 1);
}

TEST(WorkerPoolTest, JobsBeyondTheLimitQueueAndBeginInTheirOrder) {
  WorkerPool pool({.name = "test", .max_workers = 2});
  std::deque<Counted> jobs(10);
  for (Counted& job : jobs) job.go = false;
  for (Counted& job : jobs) EXPECT_TRUE(pool.Submit(job));
  jobs[0].AwaitBegun();
  jobs[1].AwaitBegun();
  EXPECT_EQ(pool.workers(), 2);
  EXPECT_EQ(pool.queued(), 8);
  // One at a time, so that the order is known.
  for (size_t i = 0; i + 2 < jobs.size(); ++i) {
    jobs[i].go = true;
    jobs[i + 2].AwaitBegun();
    EXPECT_FALSE(i + 3 < jobs.size() && jobs[i + 3].began);
  }
  for (size_t i = 2; i < jobs.size(); ++i) EXPECT_GT(jobs[i].place, jobs[i - 1 - (i == 2)].place);
  for (Counted& job : jobs) job.go = true;
  for (Counted& job : jobs) job.AwaitEnded();
}

// Does an OS thread of this name sleep?
bool Sleeps(const std::string& name) {
  for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
    std::string stat;
    std::getline(std::ifstream(task.path() / "stat"), stat);
    if (stat.find("(" + name + ") S ") != std::string::npos) return true;
  }
  return false;
}

TEST(WorkerPoolTest, ThereAreNoMoreOsThreadsThanJobsHaveNeededAtOnce) {
  WorkerPool pool({.name = "test", .max_workers = 100, .keep_alive_ns = WorkerPool::kForever});
  Counted first;
  first.go = false;
  EXPECT_TRUE(pool.Submit(first));
  first.AwaitBegun();
  for (int i = 0; i < 100; ++i) {
    Counted job;
    EXPECT_TRUE(pool.Submit(job));
    job.AwaitEnded();
    while (!Sleeps("test-1")) sched_yield();
    // It may have slept for a lock, on its way to be free, and another is made meanwhile.
    EXPECT_LE(pool.workers(), 3);
  }
  first.go = true;
  first.AwaitEnded();
}

TEST(WorkerPoolTest, AWorkerWithNothingToDoEndsAndTheNextJobHasAnother) {
  WorkerPool pool({.name = "test", .max_workers = 8, .keep_alive_ns = 1});
  for (int round = 0; round < 20; ++round) {
    std::deque<Counted> jobs(8);
    for (Counted& job : jobs) EXPECT_TRUE(pool.Submit(job));
    for (Counted& job : jobs) job.AwaitEnded();
    if (round % 2 == 0) AwaitWorkers(pool, 0);
  }
}

TEST(WorkerPoolTest, AJobThatIsQueuedCanBeWithdrawnAndOneThatHasBegunCannot) {
  WorkerPool pool({.name = "test", .max_workers = 1});
  Counted running, queued, last;
  running.go = false;
  EXPECT_TRUE(pool.Submit(running));
  running.AwaitBegun();
  EXPECT_TRUE(pool.Submit(queued));
  EXPECT_TRUE(pool.Submit(last));
  EXPECT_FALSE(pool.Withdraw(running));
  EXPECT_TRUE(pool.Withdraw(queued));
  EXPECT_FALSE(pool.Withdraw(queued));
  running.go = true;
  last.AwaitEnded();
  EXPECT_FALSE(pool.Withdraw(last));
  EXPECT_EQ(queued.runs, 0);
  // It may be submitted again.
  EXPECT_TRUE(pool.Submit(queued));
  queued.AwaitEnded();
  EXPECT_EQ(queued.runs, 1);
}

TEST(WorkerPoolTest, AQueueThatIsFullRefusesWithoutADeed) {
  WorkerPool pool({.name = "test", .max_workers = 1, .max_queued = 2});
  Counted running, first, second, third;
  running.go = false;
  EXPECT_TRUE(pool.Submit(running));
  running.AwaitBegun();
  EXPECT_TRUE(pool.Submit(first));
  EXPECT_TRUE(pool.Submit(second));
  EXPECT_FALSE(pool.Submit(third));
  EXPECT_TRUE(pool.Withdraw(first));
  EXPECT_TRUE(pool.Submit(third));
  running.go = true;
  second.AwaitEnded();
  third.AwaitEnded();
  EXPECT_EQ(first.runs + second.runs + third.runs, 2);
}

TEST(WorkerPoolTest, AQueueIsAsFullWhereNoFurtherOsThreadCanBeMade) {
  WorkerPool pool({.name = "test", .max_workers = 4, .max_queued = 2});
  Counted running, first, second, third;
  running.go = first.go = second.go = third.go = false;
  EXPECT_TRUE(pool.Submit(running));
  running.AwaitBegun();
  {
    ScopedSyscallFault fault(&Syscalls::pthread_create, {.times = ScopedSyscallFault::kForever, .error = EAGAIN});
    EXPECT_TRUE(pool.Submit(first));
    EXPECT_TRUE(pool.Submit(second));
    EXPECT_FALSE(pool.Submit(third));
    EXPECT_EQ(pool.queued(), 2);
    EXPECT_TRUE(pool.Withdraw(first));
    EXPECT_TRUE(pool.Submit(first));
  }
  // Who goes on makes the workers that could not be made, and then no queue is full.
  running.go = true;
  first.AwaitBegun();
  second.AwaitBegun();
  EXPECT_TRUE(pool.Submit(third));
  third.AwaitBegun();
  first.go = second.go = third.go = true;
  for (const Counted* job : {&first, &second, &third}) job->AwaitEnded();
}

TEST(WorkerPoolTest, WithoutAnyOsThreadAJobIsRefusedWithTheErrno) {
  WorkerPool pool({.name = "test", .max_workers = 4});
  Counted job;
  {
    ScopedSyscallFault fault(&Syscalls::pthread_create, {.times = ScopedSyscallFault::kForever, .error = EAGAIN});
    EXPECT_TRUE(pool.Submit(job));
    EXPECT_TRUE(job.ended);
    EXPECT_EQ(job.error, EAGAIN);
    EXPECT_EQ(job.runs, 0);
    EXPECT_EQ(pool.workers(), 0);
  }
  Counted next;
  EXPECT_TRUE(pool.Submit(next));
  next.AwaitEnded();
  EXPECT_EQ(next.runs, 1);
}

TEST(WorkerPoolTest, WithoutAFurtherOsThreadJobsWaitForThoseThatThereAre) {
  WorkerPool pool({.name = "test", .max_workers = 4});
  Counted running;
  running.go = false;
  EXPECT_TRUE(pool.Submit(running));
  running.AwaitBegun();
  std::deque<Counted> jobs(10);
  {
    ScopedSyscallFault fault(&Syscalls::pthread_create, {.times = ScopedSyscallFault::kForever, .error = EAGAIN});
    for (Counted& job : jobs) EXPECT_TRUE(pool.Submit(job));
    EXPECT_EQ(pool.workers(), 1);
    running.go = true;
    for (Counted& job : jobs) job.AwaitEnded();
    // Whoever took one has tried again.
    EXPECT_GT(fault.calls(), static_cast<int64_t>(jobs.size()));
  }
  for (Counted& job : jobs) EXPECT_EQ(job.runs, 1);
}

TEST(WorkerPoolTest, AWorkerMakesTheOneThatCouldNotBeMade) {
  WorkerPool pool({.name = "test", .max_workers = 2});
  Counted running, second, third;
  running.go = second.go = third.go = false;
  EXPECT_TRUE(pool.Submit(running));
  running.AwaitBegun();
  {
    ScopedSyscallFault fault(&Syscalls::pthread_create, {.times = ScopedSyscallFault::kForever, .error = EAGAIN});
    EXPECT_TRUE(pool.Submit(second));
    EXPECT_TRUE(pool.Submit(third));
  }
  running.go = true;
  // Both at once: the first worker has taken one of them, and has made a worker for the other.
  second.AwaitBegun();
  third.AwaitBegun();
  second.go = third.go = true;
  second.AwaitEnded();
  third.AwaitEnded();
}

// 1. Of two jobs the first keeps the only worker; a thread is being made for the second. 2. The worker runs the second
// as well, and goes to sleep. 3. A third comes, and counts on the thread that is being made. 4. That cannot be made.
TEST(WorkerPoolTest, AJobThatCountsOnAnOsThreadThatCannotBeMadeIsRunByOneThatSleeps) {
  static WorkerPool* pool_of_test;
  static std::deque<Counted>* jobs_of_test;
  WorkerPool pool({.name = "test", .max_workers = 2, .keep_alive_ns = WorkerPool::kForever});
  std::deque<Counted> jobs(3);
  pool_of_test = &pool;
  jobs_of_test = &jobs;
  jobs[0].go = false;
  EXPECT_TRUE(pool.Submit(jobs[0]));
  jobs[0].AwaitBegun();
  Syscalls failing = RealSyscalls();
  failing.pthread_create = [](pthread_t*, const pthread_attr_t*, void* (*)(void*), void*) {
    (*jobs_of_test)[0].go = true;
    (*jobs_of_test)[1].AwaitEnded();
    while (!Sleeps("test-0")) sched_yield();
    EXPECT_TRUE(pool_of_test->Submit((*jobs_of_test)[2]));
    return EAGAIN;
  };
  {
    const ScopedSyscalls scoped(failing);
    EXPECT_TRUE(pool.Submit(jobs[1]));
  }
  jobs[2].AwaitEnded();
  for (const Counted& job : jobs) EXPECT_EQ(job.runs, 1);
}

// Every k-th OS thread cannot be made, while jobs come from several threads.
TEST(WorkerPoolTest, NoJobIsStrandedWhicheverOsThreadCannotBeMade) {
  constexpr int kSubmitters = 3;
  constexpr int kJobs = 40;
  for (int64_t first = 1; first <= 12; ++first) {
    for (const int64_t times : {int64_t{1}, int64_t{3}, ScopedSyscallFault::kForever}) {
      WorkerPool pool({.name = "test", .max_workers = 4, .keep_alive_ns = 1});
      // The first calls make the submitters.
      ScopedSyscallFault fault(&Syscalls::pthread_create, {.first = first, .times = times, .error = EAGAIN});
      std::deque<Counted> jobs(kSubmitters * kJobs);
      std::vector<std::thread> submitters;
      for (int s = 0; s < kSubmitters; ++s) {
        submitters.emplace_back([&, s] {
          for (int i = 0; i < kJobs; ++i) EXPECT_TRUE(pool.Submit(jobs[static_cast<size_t>(s * kJobs + i)]));
        });
      }
      for (std::thread& submitter : submitters) submitter.join();
      for (Counted& job : jobs) {
        job.AwaitEnded();
        EXPECT_EQ(job.runs + (job.error == EAGAIN ? 1 : 0), 1);
      }
    }
  }
}

TEST(WorkerPoolTest, EachJobEndsOnceUnderManyThreadsThatSubmitAndWithdraw) {
  constexpr int kThreads = 4;
  constexpr int kJobs = 300;
  WorkerPool pool({.name = "test", .max_workers = 3, .keep_alive_ns = 1});
  std::deque<Counted> jobs(kThreads * kJobs);
  std::atomic<int> withdrawn{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kJobs; ++i) {
        Counted& job = jobs[static_cast<size_t>(t * kJobs + i)];
        EXPECT_TRUE(pool.Submit(job));
        if (i % 2 == 0 && pool.Withdraw(job)) {
          ++withdrawn;
          EXPECT_EQ(job.runs, 0);
          job.ended = true;
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  int runs = 0;
  for (Counted& job : jobs) {
    job.AwaitEnded();
    runs += job.runs;
  }
  EXPECT_EQ(runs + withdrawn, kThreads * kJobs);
}

TEST(WorkerPoolDeathTest, APoolThatIsDestroyedWithJobsQueuedIsMisuse) {
  const auto misuse = [] {
    Counted running;
    Counted queued;
    running.go = false;
    WorkerPool pool({.name = "test", .max_workers = 1});
    if (!pool.Submit(running) || !pool.Submit(queued)) return;
    running.AwaitBegun();
  };
  EXPECT_DEATH(misuse(), "destroyed with 1 jobs queued");
}

}  // namespace
}  // namespace weft::internal

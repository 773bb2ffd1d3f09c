#include "lib/os/worker_pool.h"

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <mutex>
#include <new>
#include <utility>

#include "lib/base/list.h"
#include "lib/os/clock.h"
#include "lib/os/futex.h"
#include "lib/os/thread.h"
#include "weft/internal/check.h"

namespace weft::internal {

struct WorkerPool::Worker : ListNode<WorkerTag> {
  explicit Worker(WorkerPool& of) noexcept : pool(of) {}

  WorkerPool& pool;
  Thread thread;
  Atomic<uint32_t> started{0};  // `thread` is complete. Before that nobody may join it
  bool coming = true;           // counted in coming_; guarded by lock_
  Atomic<uint32_t> woken{0};    // written under lock_. relaxed: lock_ orders what it tells
};

namespace {

constinit thread_local const WorkerPool* pool_of_thread = nullptr;

}  // namespace

bool WorkerPool::IsWorker() const noexcept { return pool_of_thread == this; }

WorkerPool::WorkerPool(const Options& options) noexcept : options_(options) {
  WEFT_CHECK(options.max_workers >= 1) << "a pool of " << options.max_workers << " OS threads; it needs 1 or more";
}

WorkerPool::~WorkerPool() {
  {
    std::lock_guard guard(lock_);
    WEFT_CHECK(jobs_.empty()) << "a pool of OS threads is destroyed with " << queued_ << " jobs queued";
    stopping_ = true;
    while (Worker* const sleeper = idle_.PopFront()) {
      CallLocked(*sleeper);
      FutexWake(sleeper->woken, 1);
    }
  }
  while (any_left_.load(std::memory_order_relaxed) != 0) FutexWait(any_left_, 1);
  Worker* last;
  {
    std::lock_guard guard(lock_);
    last = ended_;
  }
  JoinEnded(last);
}

void WorkerPool::CallLocked(Worker& sleeper) noexcept {
  ++coming_;
  sleeper.coming = true;
  sleeper.woken.store(1, std::memory_order_relaxed);
}

void WorkerPool::JoinEnded(Worker* worker) noexcept {
  if (worker == nullptr) return;
  worker->thread.Join();
  delete worker;
}

bool WorkerPool::Submit(Job& job) noexcept {
  Worker* sleeper = nullptr;
  bool make = false;
  {
    std::lock_guard guard(lock_);
    const bool no_more = is_short_ || workers_ >= options_.max_workers;
    if (queued_ >= options_.max_queued && idle_.empty() && no_more) return false;
    jobs_.PushBack(&job);
    ++queued_;
    if (queued_ > coming_ && (sleeper = idle_.PopFront()) != nullptr) {
      CallLocked(*sleeper);
    } else {
      make = CountNeededLocked();
    }
  }
  // The worker may be gone by now: only the address is used.
  if (sleeper != nullptr) FutexWake(sleeper->woken, 1);
  if (make) MakeWorker();
  return true;
}

bool WorkerPool::Withdraw(Job& job) noexcept {
  std::lock_guard guard(lock_);
  if (!job.linked()) return false;
  JobQueue::Remove(&job);
  --queued_;
  return true;
}

int WorkerPool::workers() noexcept {
  std::lock_guard guard(lock_);
  return workers_;
}

int64_t WorkerPool::queued() noexcept {
  std::lock_guard guard(lock_);
  return queued_;
}

// True: one more worker is wanted, and is counted. The caller makes it, without the lock.
bool WorkerPool::CountNeededLocked() noexcept {
  if (queued_ <= coming_ || workers_ >= options_.max_workers) return false;
  ++coming_;
  ++workers_;
  any_left_.store(1, std::memory_order_relaxed);
  return true;
}

// Makes the OS thread of a worker that is counted already. If that fails and no other worker is left to run the jobs
// that are queued, refuses them: also those that came with other attempts that have failed meanwhile.
void WorkerPool::MakeWorker() noexcept {
  auto* const worker = new (std::nothrow) Worker(*this);
  int error = ENOMEM;
  if (worker != nullptr) {
    uint32_t number;
    {
      std::lock_guard guard(lock_);
      number = made_++;
    }
    char name[Thread::kMaxNameBytes + 1];
    std::snprintf(name, sizeof(name), "%s-%u", options_.name, number);
    error = worker->thread.TryStart(name, &WorkerPool::RunWorker, worker);
    if (error == 0) {
      {
        std::lock_guard guard(lock_);
        is_short_ = false;
      }
      worker->started.store(1, std::memory_order_release);  // [worker/1] release: pairs with [worker/2]
      FutexWake(worker->started, 1);  // it may be gone by now: only the address is used
      return;
    }
    delete worker;
  }
  Worker* sleeper = nullptr;
  {
    std::lock_guard guard(lock_);
    is_short_ = true;
    --coming_;
    if (--workers_ == 0) any_left_.store(0, std::memory_order_relaxed);
    // A job may have come since that counted on this worker, while another one went to sleep.
    if (queued_ > coming_ && (sleeper = idle_.PopFront()) != nullptr) CallLocked(*sleeper);
  }
  if (sleeper != nullptr) FutexWake(sleeper->woken, 1);  // it may be gone by now: only the address is used
  while (Job* const job = TakeIfNobodyWorks()) job->refuse(*job, error);
}

Job* WorkerPool::TakeIfNobodyWorks() noexcept {
  std::lock_guard guard(lock_);
  if (workers_ > 0 || jobs_.empty()) return nullptr;
  --queued_;
  return jobs_.PopFront();
}

// The whole life of a worker's OS thread.
void WorkerPool::RunWorker(void* worker) noexcept {
  auto& self = *static_cast<Worker*>(worker);
  // [worker/2] acquire: pairs with [worker/1]. Who joins it sees what Thread::TryStart() has left.
  while (self.started.load(std::memory_order_acquire) == 0) FutexWait(self.started, 0);
  pool_of_thread = &self.pool;
  while (Job* const job = self.pool.NextJob(self)) job->run(*job);
}

// Null: the worker has retired, and must not touch the pool any more.
Job* WorkerPool::NextJob(Worker& self) noexcept {
  for (;;) {
    Job* job;
    bool make = false;
    Retired retired;
    {
      std::lock_guard guard(lock_);
      if (std::exchange(self.coming, false)) --coming_;
      job = jobs_.PopFront();
      if (job != nullptr) {
        --queued_;
        make = CountNeededLocked();  // for a job whose thread could not be made when it came
      } else if (stopping_) {
        retired = RetireLocked(self);
      } else {
        self.woken.store(0, std::memory_order_relaxed);
        idle_.PushFront(&self);
      }
    }
    if (make) MakeWorker();
    if (job != nullptr) return job;
    if (!retired.yes) retired = Sleep(self);
    if (retired.yes) {
      if (retired.was_last) FutexWake(any_left_, 1);  // the pool may be gone: only the address is used
      JoinEnded(retired.before);
      return nullptr;
    }
  }
}

// Until it is woken, or has retired because there was nothing to do for long.
WorkerPool::Retired WorkerPool::Sleep(Worker& self) noexcept {
  const int64_t deadline_ns =
      options_.keep_alive_ns == kForever ? kNoDeadlineNs : Clock::Real().NowNanos() + options_.keep_alive_ns;
  FutexOutcome outcome = FutexOutcome::kWoken;
  while (self.woken.load(std::memory_order_relaxed) == 0 && outcome != FutexOutcome::kTimedOut) {
    outcome = FutexWait(self.woken, 0, deadline_ns);
  }
  std::lock_guard guard(lock_);
  if (self.woken.load(std::memory_order_relaxed) != 0) return {};
  idle_.Remove(&self);
  return RetireLocked(self);
}

// In the same critical section in which it was seen that there is nothing to do: a job that comes later must not count
// on this worker. The worker joins the one that has retired before it, so that one at most is left to be joined.
WorkerPool::Retired WorkerPool::RetireLocked(Worker& self) noexcept {
  --workers_;
  if (workers_ == 0) any_left_.store(0, std::memory_order_relaxed);
  return {.yes = true, .was_last = workers_ == 0, .before = std::exchange(ended_, &self)};
}

}  // namespace weft::internal

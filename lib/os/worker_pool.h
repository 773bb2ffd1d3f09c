// Layer os. How does Weft run jobs that block, or compute for long, on OS threads of its own?
//
//   WorkerPool pool({.name = "weft-call", .max_workers = 256});
//   pool.Submit(job);        // job.run(job) is called on one of its threads
//   pool.Withdraw(job);      // true: it had not begun, and never will
//
// A worker is an OS thread. It is made when a job comes and no worker is free, `max_workers` at most; beyond that jobs
// queue, first come, first served. A worker that has had nothing to do for `keep_alive_ns` ends. Of the free workers
// the one that worked last gets the next job, so that those which are not needed end.
//
// No further OS thread (EAGAIN), or no memory for one: the job waits for the workers that there are. If there are none,
// `refuse` is called with the errno, for this job and for all that are queued; so no job is left behind. When a worker
// takes a job while others wait for a thread, it tries again to make one. Until an attempt succeeds, the queue is as
// full with `max_queued` jobs as it is where there are `max_workers`.
//
// Who may call: any thread. ~WorkerPool() waits for the jobs that run.
//
// Memory ordering: what came before Submit() happens before the job; a withdrawn or refused job is the caller's again.
//
// Cost: a short lock. Waking a free worker takes a futex call, making one about 20 us on the caller's side. Neither
// queueing nor waking nor withdrawing allocates.
//
// Rejected: a queue for each worker with thefts between them, as carriers have. A job blocks, which costs more than the
// lock. (Tokio lost jobs in a pool with shards, tokio #8056.) A semaphore for all workers: it does not wake the one
// that worked last.
#ifndef WEFT_LIB_OS_WORKER_POOL_H_
#define WEFT_LIB_OS_WORKER_POOL_H_

#include <cstdint>

#include "lib/os/job_pool.h"
#include "weft/internal/atomic.h"
#include "weft/internal/job.h"
#include "weft/internal/list.h"
#include "weft/internal/lock.h"

namespace weft::internal {

class WorkerPool final : public JobPool {
 public:
  explicit WorkerPool(const Options& options) noexcept;
  ~WorkerPool() override;

  bool Submit(Job& job) noexcept override;
  bool Withdraw(Job& job) noexcept override;
  int workers() noexcept override;
  bool IsWorker() const noexcept override;
  int64_t queued() noexcept;

 private:
  struct Worker;
  struct WorkerTag;

  struct Retired {
    bool yes = false;
    bool was_last = false;
    Worker* before = nullptr;  // the one to be joined
  };

  bool CountNeededLocked() noexcept;
  void CallLocked(Worker& sleeper) noexcept;
  void MakeWorker() noexcept;
  Job* TakeIfNobodyWorks() noexcept;
  static void RunWorker(void* worker) noexcept;
  Job* NextJob(Worker& self) noexcept;
  Retired Sleep(Worker& self) noexcept;
  Retired RetireLocked(Worker& self) noexcept;
  static void JoinEnded(Worker* worker) noexcept;

  const Options options_;
  Lock lock_;
  // ---- Guarded by lock_.
  JobQueue jobs_;
  int64_t queued_ = 0;
  int workers_ = 0;      // with those that are being made
  int64_t coming_ = 0;   // of these: woken, or being made, and about to look for a job
  List<Worker, WorkerTag> idle_;  // the one that worked last in front
  Worker* ended_ = nullptr;       // one that has ended and was not joined yet
  uint32_t made_ = 0;
  bool stopping_ = false;
  bool is_short_ = false;  // the last attempt to make a worker has failed
  Atomic<uint32_t> any_left_{0};  // 1 while there are workers. relaxed: lock_ orders it
};

}  // namespace weft::internal

#endif  // WEFT_LIB_OS_WORKER_POOL_H_

// Layer os. Where do jobs run that block their OS thread, or compute for long?
//
// On OS threads of a pool (worker_pool.h), or on what stands for these in a simulation (lib/testing/simulated_pool.h).
//
// A job (weft/internal/job.h) is submitted once, and ends once: it is run, refused or withdrawn. It belongs to the pool
// until then. `run` and `refuse` are called without locks; the job may be gone when they return. A pool that is
// destroyed while a job is queued is a CHECK.
#ifndef WEFT_LIB_OS_JOB_POOL_H_
#define WEFT_LIB_OS_JOB_POOL_H_

#include <cstdint>
#include <limits>

#include "weft/internal/job.h"

namespace weft::internal {

class RuntimeCore;

class JobPool {
 public:
  static constexpr int64_t kForever = std::numeric_limits<int64_t>::max();

  struct Options {
    const char* name;  // of its OS threads, before a number; lives as long as the pool
    int max_workers = 1;
    int64_t keep_alive_ns = 30'000'000'000;  // kForever: a worker ends with the pool
    int64_t max_queued = kForever;  // jobs that wait while none is free, and no other may be made, or could be
  };

  JobPool() = default;
  JobPool(const JobPool&) = delete;
  JobPool& operator=(const JobPool&) = delete;
  virtual ~JobPool() = default;

  // False: `max_queued` jobs or more wait already, and nothing was done. Otherwise the job may have been refused by the
  // time the call returns.
  [[nodiscard]] virtual bool Submit(Job& job) noexcept = 0;
  // Takes back a job that was submitted and has not ended. False: it has begun, or is being refused.
  [[nodiscard]] virtual bool Withdraw(Job& job) noexcept = 0;

  // How many OS threads there are just now.
  virtual int workers() noexcept = 0;
  // Is the caller one of them?
  virtual bool IsWorker() const noexcept = 0;
  // The runtime of its simulation; null: its OS threads are real.
  virtual const RuntimeCore* simulation() const noexcept { return nullptr; }
  // That simulation has ended.
  virtual bool over() const noexcept { return false; }
};

}  // namespace weft::internal

#endif  // WEFT_LIB_OS_JOB_POOL_H_

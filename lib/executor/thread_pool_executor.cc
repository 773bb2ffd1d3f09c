#include "weft/executor/thread_pool_executor.h"

#include <memory>
#include <source_location>

#include "lib/os/job_pool.h"
#include "lib/os/worker_pool.h"
#include "lib/thread/runtime_services.h"
#include "weft/executor/task_run.h"
#include "weft/internal/check.h"
#include "weft/internal/thread_block.h"
#include "weft/internal/wait.h"

namespace weft {

using internal::JobPool;
using internal::TaskRun;

namespace {

std::shared_ptr<JobPool> MakePool(int threads, internal::RuntimeCore* runtime) {
  WEFT_CHECK(threads >= 1) << "a ThreadPoolExecutor of " << threads << " OS threads; it needs 1 or more";
  const JobPool::Options options = {.name = "weft-pool", .max_workers = threads, .keep_alive_ns = JobPool::kForever};
  if (runtime != nullptr) return internal::MakeJobPool(*runtime, options);
  return std::make_shared<internal::WorkerPool>(options);
}

}  // namespace

ThreadPoolExecutor::ThreadPoolExecutor(int threads, std::source_location where)
    : runtime_(internal::RuntimeAround()),
      handler_(runtime_ == nullptr ? nullptr : internal::UncaughtHandlerOf(*runtime_)),
      where_(where), pool_(MakePool(threads, runtime_)) {}

ThreadPoolExecutor::~ThreadPoolExecutor() { ShutDownAndWait(where_); }

int ThreadPoolExecutor::threads() const noexcept { return pool_->workers(); }

// What is to run on our runtime keeps it while it is queued. (TaskRun::HeldWhileQueued)
void ThreadPoolExecutor::Start(TaskRun& run) noexcept {
  internal::CheckSameWorld(*pool_);
  if (runtime_ != nullptr && run.needs_thread()) internal::BeginUnscoped(*runtime_);
  WEFT_CHECK(pool_->Submit(run)) << "a queue without a bound is full";
}

bool ThreadPoolExecutor::IsOwnOsThread() const noexcept { return pool_->IsWorker(); }

bool ThreadPoolExecutor::Withdraw(TaskRun& run) noexcept { return pool_->Withdraw(run); }

}  // namespace weft

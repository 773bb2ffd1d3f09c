// VirtualThreadPerTaskExecutor: a new virtual thread for each task that is submitted. (JEP 444)
//
//   weft::VirtualThreadPerTaskExecutor executor;
//   std::vector<weft::Future<int>> futures;
//   for (int i = 0; i < 10'000; ++i) futures.push_back(executor.Submit([i] { return Process(i); }));
//   for (weft::Future<int>& future : futures) sum += co_await future.Get();
//   co_await executor.Close();
//
// Or {weft::VirtualThread::Builder().Name("job-", 0).Factory()}: threads like those of a factory: their names, their
// runtime, and the handler of failures that nobody can read. (thread_builder.h)
//
// Everything else is an Executor's. (executor.h) There is no queue: all tasks run at once. Where something has to be
// limited, limit that, by a Semaphore, or the tasks, by a BoundedExecutor.
#ifndef WEFT_EXECUTOR_PER_TASK_EXECUTOR_H_
#define WEFT_EXECUTOR_PER_TASK_EXECUTOR_H_

#include "weft/internal/compiler.h"

#include <memory>
#include <optional>
#include <source_location>

#include "weft/executor/executor.h"
#include "weft/executor/task_run.h"
#include "weft/runtime.h"
#include "weft/thread_builder.h"

namespace weft {

class VirtualThreadPerTaskExecutor : public Executor {
 public:
  // On the runtime of the calling virtual thread, or on the default runtime.
  explicit VirtualThreadPerTaskExecutor(std::source_location where = std::source_location::current());
  // Threads as the factory makes them.
  explicit VirtualThreadPerTaskExecutor(ThreadFactory factory,
                                        std::source_location where = std::source_location::current());
  // On this one, which must outlive every Submit().
  explicit VirtualThreadPerTaskExecutor(Runtime& runtime,
                                        std::source_location where = std::source_location::current()) noexcept;
  ~VirtualThreadPerTaskExecutor() override { ShutDownAndWait(where_); }

 protected:
  internal::RuntimeCore& runtime() const noexcept { return runtime_; }
  std::source_location where() const noexcept { return where_; }
  void Start(internal::TaskRun& run) noexcept override;
  std::shared_ptr<const UncaughtFailureHandler> uncaught_handler() const noexcept override { return handler_; }

 private:
  internal::RuntimeCore& runtime_;
  const std::optional<ThreadFactory> factory_;
  const std::shared_ptr<const UncaughtFailureHandler> handler_;  // the factory's, or else the runtime's
  const std::source_location where_;  // it was made
};

// As the JDK names it.
using ThreadPerTaskExecutor = VirtualThreadPerTaskExecutor;

}  // namespace weft

#endif  // WEFT_EXECUTOR_PER_TASK_EXECUTOR_H_

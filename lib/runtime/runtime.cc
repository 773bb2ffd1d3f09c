#include "weft/runtime.h"

#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "lib/cancel/explain.h"
#include "lib/cancel/open_record.h"
#include "lib/driver/backend.h"
#include "lib/os/clock.h"
#include "lib/os/cpu.h"
#include "lib/os/global_lock.h"
#include "lib/os/worker_pool.h"
#include "lib/runtime/carrier.h"
#include "lib/runtime/inspect.h"
#include "lib/runtime/os_host.h"
#include "lib/runtime/runtime_core.h"
#include "lib/thread/describe.h"
#include "lib/thread/runtime_services.h"
#include "lib/thread/thread_state.h"
#include "weft/held_carrier.h"
#include "weft/internal/atomic.h"
#include "weft/internal/check.h"

namespace weft {
namespace {

constexpr int kMaxParallelism = 1024;
constexpr int kMaxPoolSize = 32767;

[[noreturn]] void Die(const std::string& sentence) {
  std::fprintf(stderr, "weft: %s\n", sentence.c_str());
  std::exit(EXIT_FAILURE);
}

// The variable's value, or `unset` if it is not set.
int IntFromEnvironment(const char* name, int low, int high, int unset) {
  const char* text = getenv(name);
  if (text == nullptr) return unset;
  int value = 0;
  if (!absl::SimpleAtoi(text, &value) || value < low || value > high) {
    Die(absl::StrCat("the environment variable ", name, " is \"", text, "\"; it must be a whole number from ", low,
                     " to ", high));
  }
  return value;
}

IoBackend IoFromEnvironment() {
  const char* text = getenv("WEFT_IO");
  const absl::string_view value = text == nullptr ? "auto" : text;
  if (value == "auto") return IoBackend::kAuto;
  if (value == "uring") return IoBackend::kUring;
  if (value == "epoll") return IoBackend::kEpoll;
  Die(absl::StrCat("the environment variable WEFT_IO is \"", value, "\"; it must be auto, uring or epoll"));
}

int DefaultParallelism() { return std::min(internal::UsableCpus(internal::g_cpu_root), kMaxParallelism); }

absl::Status OutOfRange(const char* option, int value, int low, int high) {
  return absl::InvalidArgumentError(
      absl::StrCat("RuntimeOptions::", option, " is ", value, "; it must be from ", low, " to ", high));
}

// From options and environment to what the runtime is given. The environment is always read and checked.
absl::StatusOr<internal::RuntimeConfig> Resolve(const RuntimeOptions& options) {
  internal::RuntimeConfig config;
  const int parallelism = IntFromEnvironment("WEFT_PARALLELISM", 1, kMaxParallelism, 0);
  const int max_pool_size = IntFromEnvironment("WEFT_MAX_POOL_SIZE", 1, kMaxPoolSize, 0);
  const int min_runnable = IntFromEnvironment("WEFT_MIN_RUNNABLE", 0, kMaxParallelism, -1);

  config.parallelism = options.parallelism != 0 ? options.parallelism
                       : parallelism != 0       ? parallelism
                                                : DefaultParallelism();
  if (config.parallelism < 1 || config.parallelism > kMaxParallelism) {
    return OutOfRange("parallelism", config.parallelism, 1, kMaxParallelism);
  }
  config.max_pool_size = options.max_pool_size != 0 ? options.max_pool_size
                         : max_pool_size != 0       ? max_pool_size
                                                    : std::max(256, config.parallelism);
  if (config.max_pool_size < 1 || config.max_pool_size > kMaxPoolSize) {
    return OutOfRange("max_pool_size", config.max_pool_size, 1, kMaxPoolSize);
  }
  config.parallelism = std::min(config.parallelism, config.max_pool_size);  // as the JDK caps it
  config.min_runnable = options.min_runnable != -1 ? options.min_runnable
                        : min_runnable != -1       ? min_runnable
                                                   : std::max(config.parallelism / 2, 1);
  if (config.min_runnable < 0 || config.min_runnable > kMaxParallelism) {
    return OutOfRange("min_runnable", config.min_runnable, 0, kMaxParallelism);
  }
  constexpr int kMaxPatienceMs = 3'600'000;
  const int patience_ms = IntFromEnvironment("WEFT_DRAIN_PATIENCE_MS", 0, kMaxPatienceMs, -1);
  if (options.drain_patience >= absl::ZeroDuration()) {
    config.drain_patience_ns = absl::ToInt64Nanoseconds(options.drain_patience);  // saturates
  } else if (patience_ms != -1) {
    config.drain_patience_ns = absl::ToInt64Nanoseconds(absl::Milliseconds(patience_ms));
  }
  constexpr int kMaxQueuedCalls = std::numeric_limits<int>::max();
  const int queued_calls = IntFromEnvironment("WEFT_MAX_QUEUED_CALLS", 1, kMaxQueuedCalls, 0);
  if (options.max_queued_calls < 0) {
    return OutOfRange("max_queued_calls", options.max_queued_calls, 0, kMaxQueuedCalls);
  }
  if (options.max_queued_calls != 0) {
    config.max_queued_calls = options.max_queued_calls;
  } else if (queued_calls != 0) {
    config.max_queued_calls = queued_calls;
  }
  const int huge_pages = IntFromEnvironment("WEFT_HUGE_PAGES", 0, 1, 0);
  if (options.huge_pages < -1 || options.huge_pages > 1) return OutOfRange("huge_pages", options.huge_pages, 0, 1);
  config.huge_pages = (options.huge_pages != -1 ? options.huge_pages : huge_pages) == 1;
  config.clock = &internal::Clock::Real();
  config.watch_wall_clock = true;
  config.observer = options.observer;
  if (options.on_uncaught_failure) {
    config.on_uncaught_failure = std::make_shared<const UncaughtFailureHandler>(options.on_uncaught_failure);
  }
  constexpr int kMaxThresholdMs = 3'600'000;
  const int threshold_ms = IntFromEnvironment("WEFT_HELD_CARRIER_THRESHOLD_MS", 0, kMaxThresholdMs, 20);
  const absl::Duration threshold = options.held_carrier_threshold;
  config.held_threshold_ns =
      absl::ToInt64Nanoseconds(threshold >= absl::ZeroDuration() ? threshold : absl::Milliseconds(threshold_ms));
  config.watched = true;
  config.on_held_carrier = options.on_held_carrier;
  if (IntFromEnvironment("WEFT_TRACE_PINNED", 0, 1, 0) == 1) {
    config.on_held_carrier = [then = options.on_held_carrier](const HeldCarrier& held) {
      std::fprintf(stderr, "weft: %s\n", held.ToString().c_str());
      if (then != nullptr) then(held);
    };
  }
  // For the check: virtual_thread_local.cc looks at it itself.
  static_cast<void>(IntFromEnvironment("WEFT_TRACE_THREAD_LOCALS", 0, 1, 0));
  return config;
}

absl::StatusOr<std::shared_ptr<internal::Backend>> ResolveBackend(const RuntimeOptions& options, int carriers) {
  const IoBackend from_environment = IoFromEnvironment();
  const IoBackend choice = options.io != IoBackend::kAuto ? options.io : from_environment;
  return internal::NewBackend(choice, carriers);
}

constinit internal::GlobalLock default_lock;
constinit Runtime* default_runtime = nullptr;  // under default_lock

// exit() has begun to stop the default runtime. relaxed: written before any root is asked to end because of it.
constinit internal::Atomic<bool> process_exits{false};

// Is the calling OS thread a carrier that runs? In a child of fork(2) one of the parent's is an OS thread like any
// other.
bool OnCarrier() noexcept {
  const internal::Carrier* const carrier = internal::Carrier::Current();
  return carrier != nullptr && !carrier->runtime.inherited();
}

int64_t PatienceEnds() noexcept { return internal::Clock::Real().NowNanos() + internal::g_exit_patience_ns; }

// The handler of exit(). It leaves a default runtime that it cannot wait for as it is, to end with the process: one
// whose virtual thread calls exit(); one that is being started or stopped just now, perhaps below us on this stack; one
// whose carriers are in the parent; and one whose threads do not end in time.
void StopDefaultAtExit() {
  if (OnCarrier()) return;
  Runtime* runtime;
  {
    const std::unique_lock guard(default_lock, std::try_to_lock);
    if (!guard.owns_lock()) return;
    runtime = std::exchange(default_runtime, nullptr);
  }
  if (runtime == nullptr || runtime->core().inherited()) return;
  process_exits.store(true, std::memory_order_relaxed);  // for a Run() that learns that its root was cancelled
  internal::RuntimeCore& core = runtime->core();
  core.CancelRoots(CancelReason::Kind::kRuntimeExit);
  if (core.roots.AwaitNoneUntil(PatienceEnds())) {
    delete runtime;
    return;
  }
  std::fprintf(stderr,
               "weft: exit() waits no longer for virtual threads of the default runtime, which were asked to end:\n%s",
               internal::DescribeThreads(core).c_str());
}

}  // namespace

absl::StatusOr<std::unique_ptr<Runtime>> Runtime::Create(RuntimeOptions options) {
  absl::StatusOr<internal::RuntimeConfig> config = Resolve(options);
  if (!config.ok()) return config.status();
  absl::StatusOr<std::shared_ptr<internal::Backend>> backend = ResolveBackend(options, config->parallelism);
  if (!backend.ok()) return backend.status();
  config->backend = *backend;
  const internal::WorkerPool::Options calls = {
      .name = "weft-call", .max_workers = config->max_pool_size, .max_queued = config->max_queued_calls};
  auto host = std::make_unique<internal::OsHost>(*backend, calls);
  auto core = std::make_unique<internal::RuntimeCore>(*std::move(config), std::move(host));
  if (absl::Status started = core->Start(); !started.ok()) return started;
  return std::make_unique<Runtime>(std::move(core));
}

Runtime& Runtime::Default() {
  std::lock_guard guard(default_lock);
  if (default_runtime == nullptr) {
    default_runtime = internal::CreateOrDie({}).release();
    [[maybe_unused]] static const int registered = std::atexit(&StopDefaultAtExit);
  }
  return *default_runtime;
}

Runtime& Runtime::Current() {
  internal::RuntimeCore* const around = internal::RuntimeAround();
  return around != nullptr ? *around->facade : Default();
}

Runtime::Runtime(std::unique_ptr<internal::RuntimeCore> core) noexcept : core_(std::move(core)) {
  core_->facade = this;
}

// Also called for the default runtime, by StopDefault() and at exit().
Runtime::~Runtime() {
  if (core_->inherited()) {
    core_.release();  // nothing of it runs here, and what it has in the kernel is the parent's
    return;
  }
  WEFT_CHECK(!core_->OnCarrier())
      << "a runtime is destroyed by one of its own virtual threads, or by what its carriers "
         "call, and would wait for itself; let main(), or another OS thread, destroy it";
  const internal::ThreadBlock* const caller = internal::CallingThread();
  WEFT_CHECK(caller == nullptr || &caller->runtime() != core_.get())
      << "a runtime is destroyed by a function that " << internal::ThreadLabel(*caller)
      << " of its own awaits in Blocking(), and would wait for itself; let main(), or another OS thread, destroy it";
  core_->CancelRoots(CancelReason::Kind::kRuntimeExit);
  if (!core_->host->SeedDecides() && !core_->roots.AwaitNoneUntil(PatienceEnds())) {
    std::fprintf(stderr, "weft: the end of a runtime waits for virtual threads, which were asked to end:\n%s",
                 internal::DescribeThreads(*core_).c_str());
  }
  core_->roots.AwaitNone(*core_->host);
}

void Runtime::StopDefault() {
  Runtime* runtime;
  {
    std::lock_guard guard(default_lock);
    runtime = std::exchange(default_runtime, nullptr);
  }
  delete runtime;
}

std::string_view Runtime::io_backend() const noexcept {
  return core_->config.backend == nullptr ? "none" : core_->config.backend->name();
}

int Runtime::parallelism() const noexcept { return core_->config.parallelism; }

std::string Runtime::DescribeThreads() const { return internal::DescribeThreads(*core_); }

RuntimeStats Runtime::Stats() const noexcept {
  const internal::RuntimeCounts counts = core_->Counts();
  return {.carriers = counts.carriers,
          .threads_alive = counts.threads,
          .threads_started = counts.started,
          .mounts = counts.mounts,
          .moves = counts.moves,
          .steals = counts.steals,
          .call_threads = counts.call_threads,
          .pins = counts.pins,
          .held_carriers = counts.held};
}

namespace internal {

std::unique_ptr<Runtime> CreateOrDie(RuntimeOptions options) {
  absl::StatusOr<std::unique_ptr<Runtime>> runtime = Runtime::Create(options);
  if (!runtime.ok()) Die(absl::StrCat("the runtime cannot be started: ", runtime.status().ToString()));
  return *std::move(runtime);
}

RuntimeCore& RuntimeOfCaller() noexcept {
  return Runtime::Current().core();
}

constinit int64_t g_exit_patience_ns = 10'000'000'000;

// Called by the OS thread that has called Run(). `done` becomes 1 in EndRoot().
void RunRoot(RuntimeCore& core, ThreadBlock& root, Atomic<uint32_t>& done) noexcept {
  WEFT_CHECK(!core.inherited())
      << "Run() in a child of fork() on a runtime that was started before the fork, and whose carriers are threads of "
         "the parent only; start one here with Runtime::Create()";
  WEFT_CHECK(!OnCarrier())
      << "Run() on a carrier would hold it until the task has ended; co_await the task, or Fork it";
  // Another OS thread may destroy the runtime, which ends the root, before we begin to wait for that.
  core.roots.Hold();
  core.StartRoot(root);
  core.host->AwaitDone(done);
  core.roots.Gone();
}

void EndRoot(ThreadBlock& root, Atomic<uint32_t>& done) noexcept {
  CheckNothingOpen(root);
  RuntimeCore& core = root.runtime();
  root.EndIdentity();
  root.state.End();
  core.roots.Remove(root);
  core.host->AnnounceDone(done);
  root.Release();
  core.roots.Gone();
}

absl::Status CancelledRun(const CancelCause& cause) { return CancelledStatus(Explain(cause)); }

void EndRunWithoutResult(const CancelCause& cause) noexcept {
  WEFT_CHECK(process_exits.load(std::memory_order_relaxed))
      << "Run() of a task that was cancelled (" << Explain(cause).ToString() << ") and so has no result";
  for (;;) ::pause();
}

int ReportMain(const absl::Status& status) {
  if (status.ok()) return EXIT_SUCCESS;
  std::fprintf(stderr, "%s\n", status.ToString().c_str());
  return EXIT_FAILURE;
}

}  // namespace internal
}  // namespace weft

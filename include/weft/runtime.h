// Runtime: the carriers that virtual threads run on, and the ways to start on them.
//
//   weft::Task<absl::Status> Main() { ... co_return absl::OkStatus(); }
//   int main() { return weft::RunMain(Main()); }
//
// Most programs never name a Runtime. RunMain() makes one for main(). Run() uses the default runtime, which starts on
// first use and stops when the program exits. A program that wants other options, or several runtimes, makes its own.
// What runs on one finds it by Runtime::Current(), and may tell OS threads, which Run() tasks there.
//
// Who is next. Runnable threads take turns. A thread waits for at most two turns of each thread that was runnable with
// it, whatever made it runnable: a wake-up, a fork, a timer, I/O, or an OS thread outside. A turn ends when the thread
// waits or yields, or after 63 waits that were over at once. A join runs the thread's own newest children as part of
// its turn, for 10 ms at most if other threads wait. A thread that computes without a wait keeps its carrier; after
// about 10 ms the other carriers take what was queued behind it.
//
// Most options are also environment variables: one counts where the program leaves the option at its default. A
// variable with an invalid value ends the program with a sentence that names the variable, the value and the range.
//
//   WEFT_PARALLELISM     1..1024        carriers that run virtual threads; default: the CPUs this process may use, by
//                                       its affinity mask and the CPU quota of its container
//   WEFT_MAX_POOL_SIZE   1..32767       carriers at most, including those that stand in for blocked ones, and as many
//                                       OS threads for Blocking(); default: 256, or the parallelism if that is more
//   WEFT_MIN_RUNNABLE    0..1024        carriers that must not be blocked; default: max(parallelism / 2, 1).
//                                       Without an OS thread or memory for another, the runtime goes on with fewer
//   WEFT_DRAIN_PATIENCE_MS  0..3600000  how long a cancelled thread that holds a permit waits for its children before
//                                       it gives the permit back, if any thread waits for one; default 20 (see
//                                       cancellation.h)
//   WEFT_MAX_QUEUED_CALLS  1..2147483647  calls of Blocking() that wait for an OS thread; default: 1,048,576
//   WEFT_HELD_CARRIER_THRESHOLD_MS  0..3600000  how long a virtual thread may keep its carrier before that counts as
//                                       held (held_carrier.h); 0: never; default: 20
//   WEFT_TRACE_PINNED    0|1            1: each held carrier is printed on standard error, beside on_held_carrier
//   WEFT_TRACE_THREAD_LOCALS  0|1       1: prints on standard error where a virtual thread first uses a thread-local
//   WEFT_HUGE_PAGES      0|1            1: asks the kernel for huge pages for the frames of a process that has more
//                                       than 16 MiB of them. A million threads begin in half of the time; but memory
//                                       that is freed in small pieces stays until the system is short of it, and a
//                                       thread may be held up for milliseconds while the kernel, or the host of a
//                                       virtual machine, finds such a page. Default: as the kernel likes
//   WEFT_IO              auto|uring|epoll
//
// exit(). Called by an OS thread, it asks the virtual threads of the default runtime to end, and waits for them for 10
// seconds at most. A Run() of another OS thread then returns the status of the cancellation; if its task returns no
// status, Run() does not return, and the OS thread ends with the process. Called by a virtual thread, exit() waits for
// nothing. Other runtimes run on until they are destroyed, like those in static variables, or until the process ends.
//
// fork(2). The child process has one thread and no carriers: a runtime that was started before the fork does not run
// there. Run() on it is a CHECK; its destructor and the exit handler do nothing. The child may make a Runtime of its
// own, or start another default runtime after StopDefault(). It may close the sockets that it inherits, and use them on
// its own runtime. It may destroy a Process, Signals, a TemporaryDirectory, a FileLock, and a thread that was never
// started: what they stand for stays the parent's. It must not touch what else the parent's virtual threads use:
// events, locks, tasks. A fork on a virtual thread leaves an ordinary OS thread in the child: a checkpoint, a Fork() or
// the end of the virtual thread is a CHECK there. posix_spawn(), and fork() followed by exec(), need no care.
#ifndef WEFT_RUNTIME_H_
#define WEFT_RUNTIME_H_

#include "weft/internal/compiler.h"

#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "weft/cancel_reason.h"
#include "weft/ext/scheduling_observer.h"
#include "weft/internal/into_task.h"
#include "weft/internal/status_traits.h"
#include "weft/internal/wait.h"
#include "weft/io_backend.h"
#include "weft/task.h"
#include "weft/text_view.h"
#include "weft/time_span.h"

namespace weft {

// Called for failures that have no other recipient: an exception of OnComplete() of a scope's policy, the failure of a
// subtask of a Supervisor without a report function, that of a thread outside of scopes that nobody joins, and that of
// a task of an executor whose future nobody looks at. `what` is a sentence; `exception` is null if there was none. It
// is called on the virtual thread that has failed, at its end, and by several threads at once; it must not wait or
// throw. Of a thread that nobody joins, and of a task, whoever drops the last handle may call it, also after the
// runtime's end (thread_builder.h, executor/future.h). Null: a line on standard error.
using UncaughtFailureHandler =
    std::function<void(TextView what, const absl::Status& status, const std::exception_ptr& exception)>;

// Called with a report of each carrier that is held, once for each hold (held_carrier.h), on an OS thread of the
// runtime's own, by one at a time. It must not throw, and must not take long: nobody looks at the carriers meanwhile.
struct HeldCarrier;
using HeldCarrierHandler = std::function<void(const HeldCarrier& held)>;

struct RuntimeOptions {
  int parallelism = 0;    // 0: WEFT_PARALLELISM, else the CPUs this process may use
  int max_pool_size = 0;  // 0: WEFT_MAX_POOL_SIZE, else 256, or the parallelism if that is more
  int min_runnable = -1;  // -1: WEFT_MIN_RUNNABLE, else max(parallelism / 2, 1)
  // Negative: WEFT_DRAIN_PATIENCE_MS, else 20 ms. Infinite: for ever. (cancellation.h, "Order")
  TimeSpan drain_patience = absl::Milliseconds(-1);
  int max_queued_calls = 0;  // of Blocking(). 0: WEFT_MAX_QUEUED_CALLS, else 1,048,576
  // Negative: WEFT_HELD_CARRIER_THRESHOLD_MS, else 20 ms. 0: nobody looks.
  TimeSpan held_carrier_threshold = absl::Milliseconds(-1);
  // 1: for all runtimes of the process, and for good. -1: WEFT_HUGE_PAGES, else 0.
  int huge_pages = -1;
  IoBackend io = IoBackend::kAuto;                // kAuto: WEFT_IO, else as io_backend.h says
  ext::SchedulingObserver* observer = nullptr;    // must outlive the runtime
  UncaughtFailureHandler on_uncaught_failure = nullptr;
  HeldCarrierHandler on_held_carrier = nullptr;
};

struct RuntimeStats {
  int carriers = 0;              // OS threads that carry, or have carried
  // Virtual threads started and not ended; while threads start and end, perhaps with some that have ended meanwhile.
  int64_t threads_alive = 0;
  int64_t threads_started = 0;
  int64_t mounts = 0;            // times that a virtual thread was put on a carrier
  int64_t moves = 0;             // of these, on another carrier than the time before
  int64_t steals = 0;            // virtual threads taken from another carrier's queue
  int call_threads = 0;          // OS threads for Blocking() that there are now
  int64_t pins = 0;              // destructors that had to hold their carrier until children had ended
  int64_t held_carriers = 0;     // times that a thread kept its carrier for too long (held_carrier.h)
};

namespace internal {
template <class T>
class RootThread;
}  // namespace internal

class Runtime {
 public:
  // Errors: kInvalidArgument for an option out of range, kUnavailable if the kernel refuses the I/O backend (with the
  // errno as a payload), kResourceExhausted if OS threads cannot be made.
  static absl::StatusOr<std::unique_ptr<Runtime>> Create(RuntimeOptions options = {});

  // The default runtime. The first call starts it; it stops when the program exits. An error ends the program.
  static Runtime& Default();
  // The runtime of the calling virtual thread, or of the one that awaits the calling function of Blocking(); on any
  // other OS thread, the default one. Threads that are started there, and tasks that are submitted, run on it.
  static Runtime& Current();
  // Stops the default runtime, if it was started, like its destructor. The next use starts another. For tests, and for
  // children of fork().
  static void StopDefault();

  // Asks every virtual thread that still runs to end (kRuntimeExit), waits until all have ended, and stops the
  // carriers. After 10 seconds it prints on standard error whom it waits for, and goes on waiting. Called by one of the
  // runtime's own virtual threads it is a CHECK: that thread would wait for itself.
  ~Runtime();
  explicit Runtime(RuntimeOptions options = {}) = delete;  // use Create(), which can report a failure
  Runtime(const Runtime&) = delete;
  Runtime& operator=(const Runtime&) = delete;

  // Runs `task` as a virtual thread, and blocks the calling OS thread until it has ended. Returns the task's result, or
  // throws its exception. If the runtime's end cancels the task, Run() returns the status of that if T is absl::Status
  // or absl::StatusOr; otherwise it is a CHECK (for exit(), see above). Any OS thread except a carrier may call it,
  // also several at once; on a carrier, co_await the task.
  template <internal::TaskOrClosure A>
  internal::ValueOf<A> Run(A&& task);

  // Like Run(), but returns a status, or a StatusOr, of any task: for a task that was cancelled, the status of that.
  template <internal::TaskOrClosure A>
  internal::BoundaryResult<internal::ValueOf<A>> TryRun(A&& task);

  std::string_view io_backend() const noexcept;  // "io_uring" or "epoll"; "none" in a simulation without I/O
  int parallelism() const noexcept;
  RuntimeStats Stats() const noexcept;
  // For people, a line each: the threads of the runtime, how they are, what they wait for, and who forked them. A child
  // is not shown before its first wait or checkpoint. The text may change. Any thread may call it.
  std::string DescribeThreads() const;

  // For the testing library.
  internal::RuntimeCore& core() noexcept { return *core_; }
  explicit Runtime(std::unique_ptr<internal::RuntimeCore> core) noexcept;

 private:
  std::unique_ptr<internal::RuntimeCore> core_;
};

// Runtime::Default().Run(task).
template <internal::TaskOrClosure A>
internal::ValueOf<A> Run(A&& task) {
  return Runtime::Default().Run(std::forward<A>(task));
}

// For main(): runs `task` on a runtime of its own, and returns an exit code. A status that is not OK is printed on
// standard error, and the code is 1. An int is the code itself. For void the code is 0. An exception is not caught.
template <internal::TaskOrClosure A>
[[nodiscard("return it from main()")]] int RunMain(A&& task, RuntimeOptions options = {});

// ---------------------------------------------------------------------------------------------------------------------

namespace internal {

// Starts `root`, and blocks the calling OS thread until it has ended. (runtime.cc)
void RunRoot(RuntimeCore& core, ThreadBlock& root, Atomic<uint32_t>& done) noexcept;
void EndRoot(ThreadBlock& root, Atomic<uint32_t>& done) noexcept;
absl::Status CancelledRun(const CancelCause& cause);
// A CHECK, unless the process is about to end. Then the OS thread waits for that end.
[[noreturn]] void EndRunWithoutResult(const CancelCause& cause) noexcept;
int ReportMain(const absl::Status& status);
std::unique_ptr<Runtime> CreateOrDie(RuntimeOptions options);

template <class T>
class RootThread final : public RootBlock {
 public:
  // One reference belongs to the caller of Run(), the other to the run.
  explicit RootThread(Task<T>&& task) noexcept : RootBlock(/*references=*/2) {
    leaf = &TaskAccess::ReleaseAsRoot(std::move(task), slot_, this, "Run()");
  }

  // The caller destroys what is left of the result: an exception, or a value that was moved out.
  void DropResult() noexcept { slot_.Reset(); }

  // Result is T, or BoundaryResult<T>.
  template <class Result>
  Result RunOn(RuntimeCore& core) {
    RunRoot(core, *this, done_);
    if (cancelled_) [[unlikely]] {
      if constexpr (IsStatusLike<Result>) {
        return CancelledRun(cause());
      } else {
        EndRunWithoutResult(cause());
      }
    }
    if constexpr (std::is_same_v<Result, T>) {
      return slot_.Take();
    } else {
      return TakeOutcome(slot_);
    }
  }

 private:
  void OnEnd(Ending ending) noexcept override {
    cancelled_ = ending == Ending::kCancelled;
    EndRoot(*this, done_);
  }

  ResultSlot<T> slot_;
  bool cancelled_ = false;
  Atomic<uint32_t> done_{0};
};

}  // namespace internal

namespace internal {

template <class Result, class T>
Result RunAsRoot(RuntimeCore& core, Task<T> task) {
  struct Unref {
    RootThread<T>* root;
    ~Unref() {
      root->DropResult();
      root->Release();
    }
  };
  Unref holder{new RootThread<T>(std::move(task))};
  return holder.root->template RunOn<Result>(core);
}

}  // namespace internal

template <internal::TaskOrClosure A>
internal::ValueOf<A> Runtime::Run(A&& task) {
  return internal::RunAsRoot<internal::ValueOf<A>>(*core_, internal::AsTask(std::forward<A>(task)));
}

template <internal::TaskOrClosure A>
internal::BoundaryResult<internal::ValueOf<A>> Runtime::TryRun(A&& task) {
  using Result = internal::BoundaryResult<internal::ValueOf<A>>;
  return internal::RunAsRoot<Result>(*core_, internal::AsTask(std::forward<A>(task)));
}

template <internal::TaskOrClosure A>
int RunMain(A&& task, RuntimeOptions options) {
  using T = internal::ValueOf<A>;
  static_assert(std::is_same_v<T, absl::Status> || std::is_same_v<T, int> || std::is_void_v<T>,
                "RunMain() takes a Task of absl::Status, int or void");
  const std::unique_ptr<Runtime> runtime = internal::CreateOrDie(options);
  if constexpr (std::is_void_v<T>) {
    runtime->Run(std::forward<A>(task));
    return 0;
  } else if constexpr (std::is_same_v<T, int>) {
    return runtime->Run(std::forward<A>(task));
  } else if constexpr (std::is_same_v<T, absl::Status>) {
    return internal::ReportMain(runtime->Run(std::forward<A>(task)));
  }
}

}  // namespace weft

#endif  // WEFT_RUNTIME_H_

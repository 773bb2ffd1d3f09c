// Blocking: calls a function that blocks its OS thread, without holding a carrier.
//
//   absl::StatusOr<Image> image = co_await weft::Blocking([&] { return DecodeFile(path); });
//
// The function runs on an OS thread of a pool, and the virtual thread is parked meanwhile. It is for calls into the
// kernel or into libraries that wait by themselves: a database's client, a std::mutex. (Weft has its own for files, in
// weft/fs/, and for names, in net::Connect().) What
// computes for long needs as many OS threads as there are processors, not more: give it to a pool of that size.
//
// Result. The function returns a T, flattened like the result of a subtask: Blocking() yields absl::StatusOr<T>, or
// absl::Status if T is void or absl::Status. An exception of the function is thrown by the co_await. kResourceExhausted
// if the function was not called: there is no OS thread for it (with the errno as a payload), or too many calls are
// queued.
//
// The pool belongs to the runtime. An OS thread is made when a call comes and none is free, RuntimeOptions::
// max_pool_size (256) at most, beside the carriers; it ends when it has had nothing to do for 30 s. Further calls
// queue, first come, first served, up to RuntimeOptions::max_queued_calls (1,048,576). If the system refuses a further
// OS thread, calls wait for those that there are, and fail only if there are none.
//
// Lifetime. The function object is moved into the awaiting frame, and destroyed there. It may refer to what the frame
// has: the frame waits for it on every path.
//
// Inside the function there is no current virtual thread: VirtualThread::Current(), Fork() and to bind a scoped value
// are a CHECK there. The caller's scoped values can be read, CancelRequested() tells whether the caller was asked to
// end, and Runtime::Current() is its runtime, where TryRun() runs a task, and where what is started or submitted runs.
//
// Memory ordering: what came before the co_await happens before the function; what the function did happens before what
// follows the co_await.
//
// Cancellation. Blocking() is a checkpoint. A call that is queued is withdrawn, and its function is never called. Once
// begun, it is awaited to its end, and its result is delivered: a function that may take long asks CancelRequested()
// now and then, and returns. The end of the runtime waits for calls that have begun.
//
// In a simulation calls are made one at a time, at a moment that the seed decides, on the simulation's OS thread. A
// function lets others run when it asks CancelRequested() or Now(), and while it waits for them by what Weft has for OS
// threads: VirtualThread::JoinBlocking(), Runtime::Run(), Future::GetBlocking(), Latch::WaitBlocking(), and their like.
// One that waits for a virtual thread in another way waits for ever. For what a real OS thread does it waits by what
// the standard library has: the simulation sees no such thread, and would report a deadlock. A std::mutex must not be
// held where a function lets others run: whoever locks it then would wait for ever.
//
// Cost: a wake-up of an OS thread and one of a carrier, 10 to 20 us together. Nothing is allocated once the pool has
// its OS threads.
#ifndef WEFT_BLOCKING_H_
#define WEFT_BLOCKING_H_

#include "weft/internal/compiler.h"

#include <concepts>
#include <coroutine>
#include <exception>
#include <memory>
#include <source_location>
#include <type_traits>
#include <utility>

#include "absl/status/status.h"
#include "weft/internal/into_task.h"
#include "weft/internal/job.h"
#include "weft/internal/promise.h"
#include "weft/internal/status_traits.h"
#include "weft/internal/wait.h"
#include "weft/internal/wait_kind.h"
#include "weft/task.h"

namespace weft {

namespace internal {
template <class F>
class BlockingAwaiter;
}  // namespace internal

// Calls function() on an OS thread that may block. co_await it; yields the function's result, as above.
template <class F>
  requires std::invocable<std::decay_t<F>>  // pass a function that takes no arguments
internal::BlockingAwaiter<std::decay_t<F>> Blocking(F&& function) noexcept(
    std::is_nothrow_constructible_v<std::decay_t<F>, F>) {
  static_assert(!internal::WeftAwaitable<std::invoke_result_t<std::decay_t<F>>>,
                "the function of Blocking() runs on an OS thread outside of Weft, where no Task can be awaited; await "
                "it without Blocking()");
  return internal::BlockingAwaiter<std::decay_t<F>>(std::forward<F>(function));
}

// ---------------------------------------------------------------------------------------------------------------------

namespace internal {

class JobPool;

// One call. In the frame that awaits it, until it has ended. (blocking.cc)
class BlockingCall : private Job {
 public:
  BlockingCall(const BlockingCall&) = delete;
  BlockingCall& operator=(const BlockingCall&) = delete;

 protected:
  using Invoke = void(BlockingCall& call) noexcept;
  // On the pool of the runtime, or on one that outlives the call.
  explicit BlockingCall(Invoke* invoke, JobPool* pool = nullptr) noexcept
      : Job(&Run, &Refuse), invoke_(invoke), pool_(pool) {}
  BlockingCall(Invoke* invoke, const BlockingCall& other) noexcept : BlockingCall(invoke, other.pool_) {}
  ~BlockingCall() = default;

  void Start(AwaitingFrame frame) noexcept;
  // After the wait: was the function called?
  bool called() const noexcept { return error_ == 0; }
  absl::Status WhyNotCalled() const;

 private:
  static constexpr int kQueueIsFull = -1;

  static void Run(Job& job) noexcept;
  static void Refuse(Job& job, int error) noexcept;
  static bool Withdraw(ThreadBlock& thread) noexcept;
  static const WaitKind kWait;

  Invoke* const invoke_;
  JobPool* const pool_;  // null: that of the runtime
  ThreadBlock* thread_ = nullptr;
  int error_ = 0;  // an errno, or kQueueIsFull: it was not called
};

template <class F>
class [[nodiscard("co_await the call")]] BlockingAwaiter
    : public GivesWhenAwaited<BoundaryResult<TaskResult<std::invoke_result_t<F>>>>, private BlockingCall {
  using Value = TaskResult<std::invoke_result_t<F>>;

 public:
  using WeftAwaitable = void;
  using IsAwaitedOnce = void;

  template <class G>
    requires(!std::is_same_v<std::remove_cvref_t<G>, BlockingAwaiter>)
  explicit BlockingAwaiter(G&& function) noexcept(std::is_nothrow_constructible_v<F, G>)
      : BlockingCall(&InvokeFunction), function_(std::forward<G>(function)) {}
  BlockingAwaiter(F&& function, JobPool& pool) noexcept(std::is_nothrow_move_constructible_v<F>)
      : BlockingCall(&InvokeFunction, &pool), function_(std::move(function)) {}
  // Before it is awaited.
  BlockingAwaiter(BlockingAwaiter&& other) noexcept(std::is_nothrow_move_constructible_v<F>)
      : BlockingCall(&InvokeFunction, other), function_(std::move(other.function_)) {}

  bool await_ready() const noexcept {
    AtCheckpoint();
    return false;
  }
  template <WeftPromise Promise>
  void await_suspend(std::coroutine_handle<Promise> frame,
                     std::source_location where = std::source_location::current()) noexcept {
    Start({frame.promise(), where});
  }
  BoundaryResult<Value> await_resume() {
    if (!called()) [[unlikely]]
      return WhyNotCalled();
    return TakeOutcome(slot_);
  }

 private:
  static void InvokeFunction(BlockingCall& call) noexcept {
    auto& self = static_cast<BlockingAwaiter&>(call);
#if WEFT_EXCEPTIONS
    try {
      self.SetResult();
    } catch (...) {
      self.slot_.SetException(std::current_exception());
    }
#else
    self.SetResult();
#endif
  }
  void SetResult() {
    if constexpr (std::is_void_v<Value>) {
      std::move(function_)();
      slot_.SetValue();
    } else if constexpr (std::is_reference_v<Value>) {
      slot_.SetValue(std::addressof(std::move(function_)()));
    } else {
      slot_.SetValue(std::move(function_)());
    }
  }

  F function_;
  ResultSlot<Value> slot_;
};

}  // namespace internal

}  // namespace weft

#endif  // WEFT_BLOCKING_H_

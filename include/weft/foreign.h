// Foreign and AsForeign: a Task awaits coroutines of other libraries, and those await Weft's operations.
//
//   weft::Task<int> Count(other::File& file) {
//     co_return co_await weft::Foreign(other::ReadAsync(file));    // anything that can be awaited
//   }
//   other::Task Pause() {
//     co_await weft::AsForeign(weft::Sleep(absl::Milliseconds(5)));  // below some weft::Foreign()
//   }
//
// Foreign(awaitable) is a Task: it yields what the awaitable yields, and throws what the awaitable throws. The foreign
// code begins on the virtual thread itself, like a function that is called: VirtualThread::Current(), scoped values and
// CancelRequested() are the thread's. If the foreign code suspends, the thread is parked, and its carrier runs others.
// When the foreign work ends, on any OS thread, the virtual thread is woken, and goes on, on a carrier.
//
// AsForeign(operation) is an awaitable for coroutines of any type. The operation is a Task, a Sleep, an Event's Wait, a
// scope's Join, for example. The coroutine must be running on a virtual thread, below the Foreign() through which it
// was entered, and goes on there. Anywhere else it is a CHECK:
//   on an OS thread to which foreign code has moved;
//   in a coroutine that a Task has resumed by itself, past Foreign();
//   beside another operation that is waiting, since a virtual thread waits for one thing at a time.
// One case cannot be told: foreign code of one virtual thread resumes a coroutine that another one awaits, as an event
// does that runs its waiters in its Set(). The coroutine then runs as the thread that resumes it. Its waits, and its
// cancellation, are that one's. So between virtual threads use an Event of Weft's, or one that posts its waiters.
//
// Lifetime. Foreign() moves an rvalue into its frame; an lvalue must outlive the await. AsForeign() refers to its
// operation: await it in the expression that makes it. Foreign code must resume the coroutine that awaits it, once. If
// it destroys that coroutine instead, or destroys one that waits in AsForeign(), it is a CHECK.
//
// Memory ordering. What foreign code did before it ended happens before what follows Foreign(). What foreign code reads
// on other OS threads is ordered by whatever brought it there.
//
// Cancellation. Entering Foreign() is a checkpoint. Foreign work that has begun is waited for, because it may refer to
// frames: no request ends it, and a timeout around it ends when the work does. A foreign coroutine that waits in
// AsForeign() is not destroyed, because it is no frame of Weft's. Instead, the operation is unwound, and AsForeign()
// throws weft::Cancelled; where exceptions are off, that is a CHECK. If the exception leaves the foreign work, the task
// goes on being cancelled, and no `catch` in a Task sees anything. If foreign code keeps the exception, the next
// checkpoint that it awaits throws it again, and what the foreign code returns in the end is delivered. A Cancelled
// that comes from elsewhere is an exception like any other.
//
// In a simulation, the simulation's own virtual threads must end the foreign work: other OS threads are not simulated.
//
// Cost: for Foreign() two frames from the cache and a turn through the carrier's loop, for AsForeign() one frame, or
// none if the operation is a Task. Loops on either side run in constant stack.
//
// Rejected: awaiting the foreign awaitable in the Task itself. Its frame would then be resumed on foreign OS threads,
// and a frame that an unwinding may have to resume could be suspended in foreign code.
#ifndef WEFT_FOREIGN_H_
#define WEFT_FOREIGN_H_

#include "weft/internal/compiler.h"

#include <coroutine>
#include <exception>
#include <memory>
#include <source_location>
#include <type_traits>
#include <utility>

#include "absl/status/status.h"
#include "weft/cancellation.h"
#include "weft/internal/boundary.h"
#include "weft/internal/check.h"
#include "weft/internal/checkpoint.h"
#include "weft/internal/foreign_state.h"
#include "weft/internal/into_task.h"
#include "weft/internal/promise.h"
#include "weft/internal/record.h"
#include "weft/internal/thread_block.h"
#include "weft/internal/wait.h"
#include "weft/task.h"

namespace weft {

// What AsForeign() throws when its thread is cancelled. Only foreign code sees it, never a Task.
class Cancelled : public std::exception {
 public:
  // The status that CatchCancelled() would have returned there, with its ReasonOf(). (cancel_reason.h)
  explicit Cancelled(absl::Status status) noexcept : status_(std::move(status)) {}
  const absl::Status& status() const noexcept { return status_; }
  const char* what() const noexcept override;

 private:
  absl::Status status_;
};

namespace internal {

template <class A>
concept Awaitable = requires(A&& awaitable) {
  AwaiterOf(std::forward<A>(awaitable)).await_ready() ? 0 : 0;
  AwaiterOf(std::forward<A>(awaitable)).await_resume();
};

template <class A, class T>
Task<T> AwaitForeign(A awaitable);
template <class A>
class BridgeAwaiter;

}  // namespace internal

// Awaits an awaitable of another library. Returns a Task of what that yields.
template <class A>
  requires internal::Awaitable<A>  // pass an awaitable: an awaiter, or something with an operator co_await
auto Foreign(A&& awaitable) {
  static_assert(!internal::WeftAwaitable<A>, "this is Weft's own awaitable: co_await it directly");
  static_assert(std::is_constructible_v<A, A&&>,
                "what cannot be moved needs a name: auto read = ReadAsync(); co_await weft::Foreign(read)");
  return internal::AwaitForeign<A, internal::AwaitedResult<A>>(std::forward<A>(awaitable));
}

// For a coroutine of another library: awaits an operation of Weft's.
template <class A>
  requires internal::WeftAwaitable<A>  // only for Weft's awaitables: co_await any other directly
[[nodiscard("co_await it")]] internal::BridgeAwaiter<A> AsForeign(A&& operation [[clang::lifetimebound]]) noexcept {
  return internal::BridgeAwaiter<A>(std::forward<A>(operation));
}
template <class T>
void AsForeign(Task<T>& task) = delete;  // a Task is awaited once: weft::AsForeign(std::move(task))

// ---------------------------------------------------------------------------------------------------------------------

namespace internal {

// One Foreign() under way. In the frame of the adapter, which is the innermost frame of its thread while foreign code
// runs, and the parent of what foreign code awaits through AsForeign(). Three things resume the adapter, always on a
// carrier: the end of the work; the end of such an operation; an unwinding that has stopped there. After the last two
// it hands control to the foreign coroutine, which the operation has left in `next_`.
class ForeignCall {
 public:
  ForeignCall() noexcept : thread_(RequireThread("weft::Foreign()")) {}
  ForeignCall(const ForeignCall&) = delete;
  ForeignCall& operator=(const ForeignCall&) = delete;

  // ---- The adapter.

  // Lets `next` run on this thread, until the adapter is resumed.
  auto Run(std::coroutine_handle<> next) noexcept { return RunAwaiter(*this, next); }
  // The foreign coroutine that goes on next; null: the work has ended.
  std::coroutine_handle<> TakeNext() noexcept { return std::exchange(next_, {}); }
  bool failed() const noexcept { return exception_ != nullptr; }
  bool cancelled() const noexcept { return cancelled_; }
  std::exception_ptr TakeException() noexcept { return std::move(exception_); }

  // ---- AsForeign().

  // The call in which foreign code runs here and now, for an operation of that code; no other can begin until it has
  // ended.
  static ForeignCall& BeginOperation(std::coroutine_handle<> awaiting) noexcept;
  PromiseBase& adapter() noexcept { return *adapter_; }

  // ---- The hop.
  void SetException() noexcept;  // the one that is being handled
  // Any OS thread. The last touch, unless the thread is parked.
  void End() noexcept;
  bool ended() const noexcept;

  // ---- The carrier.
  [[nodiscard]] bool Park() noexcept;

 private:
  class RunAwaiter {
   public:
    using WeftAwaitable = void;
    RunAwaiter(ForeignCall& call, std::coroutine_handle<> next) noexcept : call_(call), next_(next) {}
    bool await_ready() const noexcept { return false; }
    template <WeftPromise Promise>
    std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> adapter) noexcept {
      call_.Enter(adapter.promise());
      return next_;
    }
    void await_resume() const noexcept {}

   private:
    ForeignCall& call_;
    const std::coroutine_handle<> next_;
  };
  void Enter(PromiseBase& adapter) noexcept;

  ThreadBlock& thread_;
  PromiseBase* adapter_ = nullptr;
  std::coroutine_handle<> next_;
  std::exception_ptr exception_;
  bool cancelled_ = false;  // the exception is a Cancelled
  ForeignState state_;
};

// The coroutine that awaits the foreign awaitable. It is no frame of the thread: it is resumed wherever foreign code
// ends.
class [[nodiscard]] Hop {
 public:
  class promise_type : public FrameMemory {
   public:
    template <class... Rest>
    explicit promise_type(ForeignCall& call, Rest&...) noexcept : call_(call) {}
    ~promise_type() {
      WEFT_CHECK(call_.ended())
          << "foreign code has destroyed the coroutine that awaits it in weft::Foreign(); it must resume it";
    }

    Hop get_return_object() noexcept { return Hop(std::coroutine_handle<promise_type>::from_promise(*this)); }
    std::suspend_always initial_suspend() const noexcept { return {}; }
    void return_void() const noexcept {}
    void unhandled_exception() noexcept { call_.SetException(); }

    // The hop has ended, and may be gone. Its resumer goes on: a carrier finds the thread in its loop, so that nothing
    // of Weft's runs on top of foreign code.
    struct FinalAwaiter {
      bool await_ready() const noexcept { return false; }
      void await_suspend(std::coroutine_handle<promise_type> ended) const noexcept { ended.promise().call_.End(); }
      void await_resume() const noexcept {}
    };
    FinalAwaiter final_suspend() const noexcept { return {}; }

   private:
    ForeignCall& call_;
  };

  Hop(const Hop&) = delete;
  Hop& operator=(const Hop&) = delete;
  ~Hop() { frame_.destroy(); }
  std::coroutine_handle<> handle() const noexcept { return frame_; }

 private:
  explicit Hop(std::coroutine_handle<promise_type> frame) noexcept : frame_(frame) {}
  const std::coroutine_handle<promise_type> frame_;
};

template <class A, class T>
Hop AwaitInHop([[maybe_unused]] ForeignCall& call, A& awaitable, ResultSlot<T>& slot) {
  if constexpr (std::is_void_v<T>) {
    co_await static_cast<A&&>(awaitable);
    slot.SetValue();
  } else if constexpr (std::is_reference_v<T>) {
    T result = co_await static_cast<A&&>(awaitable);
    slot.SetValue(std::addressof(result));
  } else {
    slot.SetValue(co_await static_cast<A&&>(awaitable));
  }
}

// The adapter.
template <class A, class T>
Task<T> AwaitForeign(A awaitable) {
  co_await CheckpointAwaiter();
  ResultSlot<T> slot;
  ForeignCall call;
  const Hop hop = AwaitInHop<A, T>(call, awaitable, slot);
  for (std::coroutine_handle<> next = hop.handle(); next; next = call.TakeNext()) co_await call.Run(next);
#if WEFT_EXCEPTIONS
  if (call.failed()) {
    // If it is this thread's own, the thread is cancelled still, and is unwound from here.
    if (call.cancelled()) co_await CheckpointAwaiter();
    std::rethrow_exception(call.TakeException());
  }
#endif
  co_return slot.Take();
}

template <class A, class T>
Task<T> OperationAsTask(A& operation) {
  co_return co_await static_cast<A&&>(operation);
}

// The current thread's unwinding has ended at `boundary`.
void ThrowCancelled(const Boundary& boundary);

// In the frame of the foreign coroutine. The boundary keeps an unwinding from going on into the adapter.
template <class A>
class [[nodiscard("co_await it")]] BridgeAwaiter : private OpenBoundary {
 public:
  using Result = AwaitedResult<A>;

  explicit BridgeAwaiter(A&& operation) noexcept : OpenBoundary(Kind::kCatch), operation_(std::forward<A>(operation)) {}
  BridgeAwaiter(const BridgeAwaiter&) = delete;
  BridgeAwaiter& operator=(const BridgeAwaiter&) = delete;
  ~BridgeAwaiter() {
    WEFT_CHECK(thread_ == nullptr) << "a foreign coroutine is destroyed while it waits in weft::AsForeign()";
  }

  bool await_ready() const noexcept { return false; }
  std::coroutine_handle<> await_suspend(std::coroutine_handle<> awaiting) {
    Task<Result> task = AsTask();  // may throw, so it comes first
    ForeignCall& call = ForeignCall::BeginOperation(awaiting);
    Enter(call.adapter());
    return TaskAccess::Release(std::move(task), slot_, call.adapter(), "AsForeign()").Handle();
  }
  Result await_resume() {
    Leave();
    if (reached) ThrowCancelled(*this);
    return slot_.Take();
  }

 private:
  Task<Result> AsTask() {
    if constexpr (IsTask<A>) {
      return std::move(operation_);
    } else {
      return OperationAsTask<A, Result>(operation_);
    }
  }

  A&& operation_;
  ResultSlot<Result> slot_;
};

}  // namespace internal
}  // namespace weft

#endif  // WEFT_FOREIGN_H_

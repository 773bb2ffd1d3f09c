// Task<T>: a function call that may suspend.
//
//   weft::Task<int> Twice(int x) {
//     co_await weft::Sleep(absl::Milliseconds(1));
//     co_return 2 * x;
//   }
//   int four = co_await Twice(2);
//
// A Task is lazy (nothing runs before it is awaited or forked), move-only, and awaited once. It runs on the virtual
// thread that awaits it, like a called function on its caller's thread. To run something at the same time as something
// else, fork it into a scope (scope.h) or use All() (all.h).
//
// Every function that takes a Task also takes what a Task can await, like a lock or a read: WithTimeout(), Fork(),
// All(), Race(), Shield(), Run() and the others. A closure that must return a Task may return such an awaitable, too.
//
//   absl::StatusOr<weft::MutexGuard> guard = co_await weft::WithTimeout(absl::Seconds(1), mutex.Lock());
//
// The awaitable must be a temporary, or be passed by std::move(). It can be moved until it is awaited. The mutex or the
// buffer that it refers to must outlive it. The operation either completes, and the result has what was acquired, or it
// is cancelled. Cost: a frame.
//
// They also take a closure without parameters that returns either. It is moved, or copied if it has a name; it is
// called when it is awaited, and kept until what it returned has ended. Cost: a frame; none for a Fork(). (A range has
// tasks: call Map(), or transform it.)
//
//   scope.Fork(weft::WithTimeout(limit, [id]() -> weft::Task<void> { ... }));
//
// Lifetime. Parameters are kept in the frame, by value or by reference as declared. A reference must outlive the call,
// as with any function. If a parameter is declared [[clang::lifetimebound]], clang warns when a Task with a name refers
// to a temporary, and from clang 22 on also when a forked Task does. Without the attribute clang cannot see this.
// Annotating Task itself with coro_lifetimebound would require coro_return_type, which rejects every function that
// returns a Task without being a coroutine, as many lambdas do. A Task that is never awaited destroys its parameters
// and runs nothing. A lambda that is a coroutine refers to its captures, so it must outlive its Task. So pass a lambda,
// not what it returns: `scope.Fork(lambda)` keeps it, `scope.Fork(lambda())` does not.
//
// Results. A value is moved out to the awaiter; an exception is rethrown there. T may be void, a reference, or any
// movable type. Without exceptions, failures are absl::Status and absl::StatusOr. Where a T& becomes part of a
// StatusOr, an optional or a vector (WithTimeout(), MoveOnAfter(), Map()), it is a std::reference_wrapper<T>. A
// coroutine that ends without a co_return is a CHECK in every build, unless T is void.
//
// Cancellation. Awaiting a Task is not a checkpoint; what it awaits at the leaves is. A cancelled chain of Tasks is
// destroyed from the leaf, without unwinding the C++ stack: destructors run, and `catch` sees nothing.
//
// Alignment. A frame is aligned to 16 bytes. An object that needs more (a __m256, an alignas(64)) may lie in a frame
// only if its source file is compiled with -fcoro-aligned-allocation. Frames that need no more than 16 cost the same
// with that flag. Without it, a coroutine with such a parameter or result does not compile, and a local compiles but is
// misaligned. Two objects of Weft's are checked when they are made: a ScopedBinding, and the result of a coroutine of
// another file. What lies in no frame is always aligned: the closure of a Fork(), the results of subtasks.
//
// Cost. One frame from the carrier's cache (frame_cache.h), two pointers of bookkeeping in it, and two indirect jumps.
// A chain of a million nested awaits starts, ends and is cancelled in constant stack.
#ifndef WEFT_TASK_H_
#define WEFT_TASK_H_

#include "weft/internal/compiler.h"

#include <algorithm>
#include <array>
#include <concepts>
#include <coroutine>
#include <cstddef>
#include <exception>
#include <new>
#include <type_traits>
#include <utility>
#include <vector>

#include "weft/internal/promise.h"
#include "weft/internal/status_traits.h"

namespace weft {

template <class T = void>
class Task;
class AnySubtask;

namespace internal {
template <class T>
class TaskPromise;
template <class T>
class TaskAwaiter;
struct TaskAccess;
template <class Promise>
std::coroutine_handle<Promise> CheckedFrame(std::coroutine_handle<Promise> frame, const char* what) noexcept;
}  // namespace internal

template <class T>
class [[nodiscard("co_await the Task, or Fork it: a Task that is dropped never runs")]] [[clang::trivial_abi]] Task {
  static_assert(!std::is_rvalue_reference_v<T>, "Task<T&&> is not supported; return Task<T>");
  static_assert(std::is_same_v<T, std::remove_cv_t<T>>,
                "Task<const T> is not supported; return Task<T>: the result is moved to the coroutine that awaits it");
  static_assert(std::is_void_v<T> || std::is_reference_v<T> || (std::is_object_v<T> && !std::is_array_v<T>),
                "the T of Task<T> is void, a reference, or an object that can be moved");

 public:
  using promise_type = internal::TaskPromise<T>;  // but see TaskPromiseFor, below
  using value_type = T;
  using WeftAwaitable = void;

  Task(const Task&) = delete;             // a Task is awaited once: std::move() it
  Task& operator=(const Task&) = delete;  // a Task is awaited once: std::move() it
  Task(Task&& other) noexcept : frame_(std::exchange(other.frame_, {})) {}
  Task& operator=(Task&& other) noexcept {
    if (this != &other) {
      if (frame_) frame_.destroy();
      frame_ = std::exchange(other.frame_, {});
    }
    return *this;
  }
  ~Task() {
    if (frame_) frame_.destroy();
  }

  // Awaiting takes the frame. Awaiting a Task twice, or a Task that was moved from, is a CHECK.
  internal::TaskAwaiter<T> operator co_await() && noexcept {
    return internal::TaskAwaiter<T>(internal::CheckedFrame(std::exchange(frame_, {}), "co_await"));
  }

 private:
  friend promise_type;
  friend internal::TaskAccess;
  explicit Task(std::coroutine_handle<promise_type> frame) noexcept : frame_(frame) {}

  std::coroutine_handle<promise_type> frame_;
};

// ---------------------------------------------------------------------------------------------------------------------

namespace internal {

[[noreturn, gnu::cold, gnu::noinline]] inline void DieOfEmptyTask(const char* what) noexcept {
  WEFT_CHECK(false) << what << " of a Task that was moved from or awaited before; a Task is awaited once";
  __builtin_unreachable();
}

template <class Promise>
std::coroutine_handle<Promise> CheckedFrame(std::coroutine_handle<Promise> frame, const char* what) noexcept {
  if (!frame) [[unlikely]]
    DieOfEmptyTask(what);
  return frame;
}

// What has something that the wait consumes: tasks, a value, how long it is, or whether it is over.
template <class A>
concept AwaitedOnce = requires { typename std::remove_cvref_t<A>::IsAwaitedOnce; };
template <class A>
concept IsTask = requires { typename std::remove_cvref_t<A>::promise_type; } &&
                 std::is_same_v<std::remove_cvref_t<A>, Task<typename std::remove_cvref_t<A>::value_type>>;

// The half of the promise that does not depend on how T is returned.
template <class T>
class TaskPromiseBase : public PromiseBase {
 public:
  // Set before the frame is started. Lies in the awaiter, or in the control block of the thread whose root this is.
  ResultSlot<T>* slot;

  // Called when the frame has ended. False if it has thrown, or returned a status that is not OK.
  bool Succeeded() const noexcept {
    if (!slot->has_value()) [[unlikely]] {
      if (!slot->has_exception()) [[unlikely]]
        DieWithoutResult(__PRETTY_FUNCTION__);
      return false;
    }
    if constexpr (IsStatusLike<T>) return slot->value().ok();
    return true;
  }

  void unhandled_exception() noexcept {
#if WEFT_EXCEPTIONS
    CheckMayFail();
    slot->SetException(std::current_exception());
#endif
  }

  template <class A>
  decltype(auto) await_transform(A&& awaitable) const noexcept {
    constexpr bool kSubtask = std::is_base_of_v<AnySubtask, std::remove_cvref_t<A>>;
    static_assert(!kSubtask, "a Subtask is not awaited: co_await scope.Join(), then look at it");
    static_assert(kSubtask || WeftAwaitable<A>,
                  "a weft::Task awaits Weft's own awaitables; this one does not know how to park a virtual thread: "
                  "co_await weft::Foreign(it)");
    static_assert(!IsTask<A> || std::is_rvalue_reference_v<A&&>, "a Task is awaited once: co_await std::move(task)");
    static_assert(!AwaitedOnce<A> || std::is_rvalue_reference_v<A&&>,
                  "this is awaited once: co_await a temporary, or std::move() it");
    static_assert(!IsTask<A> || !std::is_const_v<std::remove_reference_t<A>>,
                  "a const Task cannot be awaited, because awaiting takes its frame: declare it without const");
    return std::forward<A>(awaitable);
  }
};

template <class T>
class TaskPromise : public TaskPromiseBase<T> {
  static_assert(std::is_reference_v<T> || std::is_move_constructible_v<T>,
                "the T of Task<T> is void, a reference, or an object that can be moved");

 public:
  Task<T> get_return_object() noexcept {
    static_assert(alignof(TaskPromise) == alignof(PromiseBase),
                  "PromiseBase::Handle() needs promises aligned like their base");
    return Task<T>(std::coroutine_handle<TaskPromise>::from_promise(*this));
  }
  template <class U = T>
    requires(!std::is_reference_v<T> && std::is_convertible_v<U&&, T>)
  void return_value(U&& value) {
    this->slot->SetValue(std::forward<U>(value));
  }
  void return_value(T value)
    requires std::is_reference_v<T>
  {
    this->slot->SetValue(std::addressof(value));
  }
};

template <>
class TaskPromise<void> : public TaskPromiseBase<void> {
 public:
  Task<void> get_return_object() noexcept {
    return Task<void>(std::coroutine_handle<TaskPromise>::from_promise(*this));
  }
  void return_void() noexcept { slot->SetValue(); }
};

// The promise of a coroutine with a parameter or a result that needs a larger alignment than a frame has.
template <class T>
class OveralignedTaskPromise : public TaskPromise<T> {
 public:
  // With -fcoro-aligned-allocation the compiler calls the overload below instead.
  static void* operator new(size_t size) {
    static_assert(std::is_same_v<T, OveralignedTaskPromise>,
                  "a coroutine with a parameter or a result that is aligned to more than 16 bytes is compiled with "
                  "-fcoro-aligned-allocation; without it its frame is aligned to 16");
    return FrameMemory::operator new(size);
  }
  static void* operator new(size_t size, std::align_val_t alignment) {
    return FrameMemory::operator new(size, alignment);
  }
};

// ---- Tasks that owe a clean-up: they begin even if they were cancelled before. (finally.h)

// A coroutine with this parameter owes a clean-up.
struct CleanUpIsOwed {};

// The types of parameters that may make a coroutine owe a clean-up: a task, a list of tasks, or an awaitable with
// tasks.
template <class P>
inline constexpr bool kMayOweCleanUp =
    !std::is_lvalue_reference_v<P> && WeftAwaitable<P> &&
    requires(const std::remove_reference_t<P>& parameter) { parameter.owes_clean_up(); };
template <>
inline constexpr bool kMayOweCleanUp<CleanUpIsOwed> = true;
template <class T>
inline constexpr bool kMayOweCleanUp<Task<T>> = true;
template <class T>
inline constexpr bool kMayOweCleanUp<Task<T>&&> = true;
template <class T, size_t kCount>
inline constexpr bool kMayOweCleanUp<std::array<Task<T>, kCount>> = true;
template <class T, size_t kCount>
inline constexpr bool kMayOweCleanUp<std::array<Task<T>, kCount>&&> = true;
template <class T>
inline constexpr bool kMayOweCleanUp<std::vector<Task<T>>> = true;
template <class T>
inline constexpr bool kMayOweCleanUp<std::vector<Task<T>>&&> = true;

template <class P>
bool OwesCleanUp(const P& parameter) noexcept;

// The promise of a coroutine with such a parameter. If the coroutine owes a clean-up, the header of its frame has
// DestroyOwing() as its destroy function until the frame is resumed for the first time.
template <class Base>
class OwingTaskPromise final : public Base {
 public:
  template <class... Parameters>
  explicit OwingTaskPromise(const Parameters&... parameters) noexcept {
    static_assert(sizeof(Base) == sizeof(TaskPromise<void>), "DestroyOwing() finds destroy_ behind any TaskPromise");
    if ((OwesCleanUp(parameters) || ...)) destroy_ = BeginOwing(*this);
  }

  struct InitialAwaiter : std::suspend_always {
    explicit InitialAwaiter(OwingTaskPromise& of) noexcept : promise(of) {}
    void await_resume() const noexcept { promise.EndOwing(); }
    OwingTaskPromise& promise;
  };
  InitialAwaiter initial_suspend() noexcept { return InitialAwaiter(*this); }

  void EndOwing() noexcept {
    if (destroy_ != nullptr) internal::EndOwing(*this, destroy_);
  }

 private:
  DestroyFunction* destroy_ = nullptr;  // the header's own destroy function
};

// ---- Which promise a coroutine has.

// Of the objects in a frame; references refer to objects elsewhere.
template <class T>
inline constexpr bool kOveraligned = alignof(T) > kFrameGranuleBytes;
template <class T>
  requires std::is_void_v<T> || std::is_reference_v<T>
inline constexpr bool kOveraligned<T> = false;

template <class T, class... Parameters>
using AlignedTaskPromiseFor = std::conditional_t<(kOveraligned<T> || ... || kOveraligned<Parameters>),
                                                 OveralignedTaskPromise<T>, TaskPromise<T>>;
template <class T, class... Parameters>
using TaskPromiseFor = std::conditional_t<(kMayOweCleanUp<Parameters> || ...),
                                          OwingTaskPromise<AlignedTaskPromiseFor<T, Parameters...>>,
                                          AlignedTaskPromiseFor<T, Parameters...>>;

// Lies in the awaiting frame. Owns the Task's frame until that is started, and the result once that has ended.
template <class T>
class [[nodiscard]] TaskAwaiter {
 public:
  explicit TaskAwaiter(std::coroutine_handle<TaskPromise<T>> frame) noexcept : frame_(frame) {}
  TaskAwaiter(const TaskAwaiter&) = delete;
  TaskAwaiter& operator=(const TaskAwaiter&) = delete;
  ~TaskAwaiter() {
    if (frame_) frame_.destroy();
  }

  bool await_ready() const noexcept { return false; }
  template <WeftPromise Promise>
  std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> awaiting) noexcept {
    auto frame = std::exchange(frame_, {});
    frame.promise().SetParent(awaiting.promise());
    frame.promise().slot = &slot_;
    return frame;
  }
  T await_resume() { return slot_.Take(); }

 private:
  std::coroutine_handle<TaskPromise<T>> frame_;
  ResultSlot<T> slot_;
};

// For code that starts a Task itself: scopes, boundaries, the runtime.
struct TaskAccess {
  // Takes the frame, not started, of a Task that will not be destroyed. The caller sets the frame's `slot`, and starts
  // it or destroys it.
  template <class T>
  static TaskPromise<T>& ReleaseOfUndestroyed(const Task<T>& task, const char* what) noexcept {
    return CheckedFrame(task.frame_, what).promise();
  }
  // Takes the frame, not started, with its result going to `slot`. The caller starts it or destroys it.
  template <class T>
  static TaskPromise<T>& Release(Task<T>&& task, ResultSlot<T>& slot, const char* what) noexcept {
    TaskPromise<T>& promise = CheckedFrame(std::exchange(task.frame_, {}), what).promise();
    promise.slot = &slot;
    return promise;
  }
  // The same, for a frame that `awaiting` awaits.
  template <class T>
  static TaskPromise<T>& Release(Task<T>&& task, ResultSlot<T>& slot, PromiseBase& awaiting,
                                 const char* what) noexcept {
    TaskPromise<T>& promise = Release(std::move(task), slot, what);
    promise.SetParent(awaiting);
    return promise;
  }
  // The same, for the root of `thread`.
  template <class T>
  static TaskPromise<T>& ReleaseAsRoot(Task<T>&& task, ResultSlot<T>& slot, ThreadBlock* thread,
                                       const char* what) noexcept {
    TaskPromise<T>& promise = Release(std::move(task), slot, what);
    promise.MakeRoot(thread);
    return promise;
  }
  template <class T>
  static bool OwesCleanUp(const Task<T>& task) noexcept {
    return task.frame_ && task.frame_.promise().owes_clean_up();
  }
};

template <class P>
bool OwesCleanUp(const P& parameter) noexcept {
  if constexpr (std::is_same_v<P, CleanUpIsOwed>) {
    return true;
  } else if constexpr (IsTask<P>) {
    return TaskAccess::OwesCleanUp(parameter);
  } else if constexpr (!kMayOweCleanUp<P>) {
    return false;
  } else if constexpr (WeftAwaitable<P>) {
    return parameter.owes_clean_up();
  } else {
    return std::ranges::any_of(parameter, [](const auto& task) { return TaskAccess::OwesCleanUp(task); });
  }
}

// What a boundary yields for a task that it did not stop.
template <class T>
BoundaryResult<T> TakeOutcome(ResultSlot<T>& slot) {
  if constexpr (std::is_void_v<T>) {
    slot.Take();
    return absl::OkStatus();
  } else if constexpr (std::is_reference_v<T>) {
    return BoundaryResult<T>(Kept<T>(slot.Take()));
  } else {
    return slot.Take();
  }
}

}  // namespace internal
}  // namespace weft

template <class T, class... Parameters>
struct std::coroutine_traits<weft::Task<T>, Parameters...> {
  using promise_type = weft::internal::TaskPromiseFor<T, Parameters...>;
};

#endif  // WEFT_TASK_H_

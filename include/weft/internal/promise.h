// What every Weft coroutine frame begins with, and where its result goes.
//
// A frame knows the frame that awaits it, or the virtual thread whose root it is, and the slot where its result is to
// be put. Once started, a frame belongs to itself: it destroys itself when it has ended, or is destroyed by unwinding,
// leaf first, along the chain of parents. Nothing else destroys a started frame, so nothing is destroyed twice.
#ifndef WEFT_INTERNAL_PROMISE_H_
#define WEFT_INTERNAL_PROMISE_H_

#include "weft/internal/compiler.h"

#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <new>
#include <source_location>
#include <type_traits>
#include <utility>

#include "weft/internal/check.h"
#include "weft/internal/frame_cache.h"

namespace weft::internal {

// AllocateFrame(), which throws std::bad_alloc; where exceptions are off there is nobody to tell.
inline void* AllocateOrDie(size_t size, size_t alignment, const char* what) {
  void* memory = AllocateFrame(size, alignment);
#if !WEFT_EXCEPTIONS
  if (memory == nullptr) [[unlikely]]
    DieOutOfMemory(size, what);
#else
  static_cast<void>(what);
#endif
  return memory;
}

// Where coroutine frames come from: a base of their promises. The compiler passes an alignment with
// -fcoro-aligned-allocation only, and then always.
struct FrameMemory {
  static void* operator new(size_t size) { return AllocateOrDie(size, kFrameGranuleBytes, "a coroutine frame"); }
  static void* operator new(size_t size, std::align_val_t alignment) {
    return AllocateOrDie(size, static_cast<size_t>(alignment), "a coroutine frame");
  }
  static void operator delete(void* frame, size_t size) noexcept { FreeFrame(frame, size); }
  static void operator delete(void* frame, size_t size, std::align_val_t alignment) noexcept {
    FreeFrame(frame, size, static_cast<size_t>(alignment));
  }
};

// An object that may lie in a frame, where the compiler may have missed its alignment, is where it ought to be.
void CheckAligned(const void* object, size_t alignment) noexcept;
template <class T>
void CheckInFrame(const T* object) noexcept {
  if constexpr (alignof(T) > kFrameGranuleBytes) CheckAligned(object, alignof(T));
}

// `function` is the __PRETTY_FUNCTION__ of a template with a parameter T, the result of the coroutine.
[[noreturn, gnu::cold]] void DieWithoutResult(const char* function) noexcept;

// The result of a coroutine that has none. (Not std::monostate: <variant> is 1,400 lines to whoever includes Weft.)
struct Nothing {};

// The result of a coroutine: nothing yet, a value, or an exception.
template <class T>
class ResultSlot {
 public:
  using Stored = std::conditional_t<std::is_void_v<T>, Nothing,
                                    std::conditional_t<std::is_reference_v<T>, std::remove_reference_t<T>*, T>>;

  ResultSlot() noexcept { CheckInFrame(this); }
  ResultSlot(const ResultSlot&) = delete;
  ResultSlot& operator=(const ResultSlot&) = delete;
  ~ResultSlot() { DestroyHeld(); }

  template <class... Args>
  void SetValue(Args&&... args) {
    ::new (static_cast<void*>(std::addressof(value_))) Stored(std::forward<Args>(args)...);
    state_ = State::kValue;
  }
  // A value that was set before is dropped: a destructor of a local has thrown after `co_return`.
  void SetException(std::exception_ptr exception) noexcept {
    Reset();
    ::new (static_cast<void*>(std::addressof(exception_))) std::exception_ptr(std::move(exception));
    state_ = State::kException;
  }

  bool has_value() const noexcept { return state_ == State::kValue; }
  bool has_exception() const noexcept { return state_ == State::kException; }
  Stored& value() noexcept { return value_; }
  const Stored& value() const noexcept { return value_; }
  const std::exception_ptr& exception() const noexcept { return exception_; }

  // Moves the value out, or throws the exception. The coroutine has ended: without either, it has no co_return.
  T Take() {
    if (state_ != State::kValue) [[unlikely]]
      ThrowOrDie();
    if constexpr (std::is_reference_v<T>) {
      return static_cast<T>(*value_);
    } else if constexpr (!std::is_void_v<T>) {
      return std::move(value_);
    }
  }

  void Reset() noexcept {
    DestroyHeld();
    state_ = State::kEmpty;
  }

 private:
  [[noreturn, gnu::cold, gnu::noinline]] void ThrowOrDie() {
#if WEFT_EXCEPTIONS
    if (state_ == State::kException) std::rethrow_exception(std::move(exception_));
#endif
    DieWithoutResult(__PRETTY_FUNCTION__);
  }
  void DestroyHeld() noexcept {
    if (state_ == State::kValue) value_.~Stored();
    if (state_ == State::kException) [[unlikely]]
      exception_.~exception_ptr();
  }

  enum class State : unsigned char { kEmpty, kValue, kException };
  union {
    Stored value_;
    std::exception_ptr exception_;
  };
  State state_ = State::kEmpty;
};

class ThreadBlock;

// The root frame of `thread` has ended and is gone; its result is in its slot. Gives what the carrier runs next on this
// stack. (in_place_joins.cc)
std::coroutine_handle<> EndRootFrame(ThreadBlock& thread, bool succeeded) noexcept;

// A destructor that an unwinding runs must not throw: a CHECK. Clang's frames take what it throws for an exception of
// the coroutine, and would go on from there. (lib/cancel/unwind.cc)
void CheckMayFail() noexcept;             // a coroutine has thrown what it does not catch
[[noreturn]] void DieOfRevived() noexcept;  // it has caught it, and has gone on

using DestroyFunction = void(void* frame);

// What a frame begins with, in clang's ABI as in that of the others.
struct FrameHeader {
  void (*resume)(void* frame);
  DestroyFunction* destroy;
};

// Destroys a frame that owes a clean-up and has not begun. That it is the one to do so is what tells such a frame from
// others, which pay nothing for it. (OwingTaskPromise)
void DestroyOwing(void* frame);
// Puts it there, and gives what stood there; puts that back. Never inline: where a coroutine makes its promise, that is
// a local variable to the compiler for a while, before which there is nothing that could be written to.
struct PromiseBase;
DestroyFunction* BeginOwing(PromiseBase& promise) noexcept;
void EndOwing(PromiseBase& promise, DestroyFunction* destroy) noexcept;

struct PromiseBase : FrameMemory {
  // The frame that awaits this one; null for the root of a virtual thread.
  PromiseBase* parent() const noexcept { return is_root() ? nullptr : reinterpret_cast<PromiseBase*>(up_); }
  bool is_root() const noexcept { return (up_ & kRoot) != 0; }
  ThreadBlock& thread() const noexcept { return *reinterpret_cast<ThreadBlock*>(up_ - kRoot); }  // of a root
  void SetParent(PromiseBase& awaiting) noexcept { up_ = reinterpret_cast<uintptr_t>(&awaiting); }
  void MakeRoot(ThreadBlock* of) noexcept { up_ = reinterpret_cast<uintptr_t>(of) + kRoot; }
  // Its destructors are about to run, by an unwinding: it ends no more.
  void Doom() noexcept { up_ = kRoot; }
  bool doomed() const noexcept { return up_ == kRoot; }

  // Valid for every promise of Weft's: they begin with this base and are aligned like it (asserted by Task's promise).
  std::coroutine_handle<> Handle() noexcept { return std::coroutine_handle<PromiseBase>::from_promise(*this); }
  FrameHeader& header() noexcept { return *static_cast<FrameHeader*>(Handle().address()); }

  // Until it begins: does it owe a clean-up? Then it begins wherever it is to be run, also in a thread that is
  // cancelled by then. (finally.h)
  bool owes_clean_up() noexcept { return header().destroy == &DestroyOwing; }

  std::suspend_always initial_suspend() const noexcept { return {}; }

  // The frame is over: it goes away and its parent goes on, or whatever the carrier has to run when a root ends.
  struct FinalAwaiter {
    bool await_ready() const noexcept { return false; }
    template <class Promise>
    std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> ended) const noexcept {
      const PromiseBase up = ended.promise();
      if (up.is_root()) {
        if (up.doomed()) [[unlikely]]
          DieOfRevived();
        const bool succeeded = ended.promise().Succeeded();
        ended.destroy();
        return EndRootFrame(up.thread(), succeeded);
      }
      ended.destroy();
      return up.parent()->Handle();
    }
    void await_resume() const noexcept {}
  };
  FinalAwaiter final_suspend() const noexcept { return {}; }

 private:
  static constexpr uintptr_t kRoot = 1;
  uintptr_t up_;  // set before the frame is started
};

// A frame that is suspended, and where: the co_await that it is in. An awaiter learns that for nothing, by a parameter
// of its await_suspend that the compiler knows the value of, and only when it suspends:
//   bool await_suspend(std::coroutine_handle<Promise> frame,
//                      std::source_location where = std::source_location::current())
struct AwaitingFrame {
  AwaitingFrame(PromiseBase& suspended, std::source_location at = {}) noexcept : frame(suspended), where(at) {}

  PromiseBase& frame;
  std::source_location where;  // line() is 0 if it is not known
};

// (The compiler shows this line to callers who await Weft's awaitables elsewhere, without weft::AsForeign().)
template <class Promise>
concept WeftPromise = std::is_base_of_v<PromiseBase, Promise>;  // only a weft::Task can await this

// An awaitable made for Weft says so: it parks, wakes and cancels through the virtual thread.
template <class A>
concept WeftAwaitable = requires { typename std::remove_cvref_t<A>::WeftAwaitable; };

// What derives from this gives an R when it is awaited. (The compiler shows the line of what is deleted to who has
// forgotten that. It is for what an R can become alone: other people's operator co_await and operator new take what
// would become anything.)
template <class R>
struct GivesWhenAwaited {
  template <class To>
    requires std::is_convertible_v<R, To>
  operator To() const = delete;  // co_await it: nothing was waited for, so there is no result
};

}  // namespace weft::internal

#endif  // WEFT_INTERNAL_PROMISE_H_

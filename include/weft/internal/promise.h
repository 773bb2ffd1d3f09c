// What every Weft coroutine frame begins with, and where its result goes.
//
// A frame knows the frame that awaits it, or the virtual thread whose root it is, and the slot for its result. Once
// started, a frame belongs to itself: it destroys itself when it has ended, or an unwinding destroys it, leaf first,
// along the chain of parents. Nothing else destroys a started frame, so nothing is destroyed twice.
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
#include "weft/unit.h"

namespace weft::internal {

// AllocateFrame(), which throws std::bad_alloc. Where exceptions are off, a lack of memory ends the program.
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

// CHECKs the alignment of an object that may lie in a frame: the compiler may have missed it.
void CheckAligned(const void* object, size_t alignment) noexcept;
template <class T>
void CheckInFrame(const T* object) noexcept {
  if constexpr (alignof(T) > kFrameGranuleBytes) CheckAligned(object, alignof(T));
}

// `function` is the __PRETTY_FUNCTION__ of a template with a parameter T, the result of the coroutine.
[[noreturn, gnu::cold]] void DieWithoutResult(const char* function) noexcept;

// The result of a coroutine: nothing yet, a value, or an exception.
template <class T>
class ResultSlot {
 public:
  using Stored = std::conditional_t<std::is_void_v<T>, Unit,
                                    std::conditional_t<std::is_reference_v<T>, std::remove_reference_t<T>*, T>>;

  ResultSlot() noexcept { CheckInFrame(this); }
  ResultSlot(const ResultSlot&) = delete;
  ResultSlot& operator=(const ResultSlot&) = delete;
  ~ResultSlot() { DestroyHeld(); }

  template <class... Args>
  void SetValue(Args&&... args) {
    if constexpr (!std::is_trivially_destructible_v<Stored>) Reset();  // as in SetException()
    ::new (static_cast<void*>(std::addressof(value_))) Stored(std::forward<Args>(args)...);
    state_ = State::kValue;
  }
  void SetException(std::exception_ptr exception) noexcept {
    Reset();  // of a value that was set before: a destructor of a local has thrown after `co_return`
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

// The root frame of `thread` has ended and is gone; its result is in its slot. Returns what the carrier runs next on
// this stack. (in_place_branches.cc)
std::coroutine_handle<> EndRootFrame(ThreadBlock& thread) noexcept;        // it has succeeded
std::coroutine_handle<> EndFailedRootFrame(ThreadBlock& thread) noexcept;  // or failed

// A destructor that an unwinding runs must not throw: a CHECK. Clang's frames take what it throws for an exception of
// the coroutine, and would go on from there. (lib/cancel/unwind.cc)
void CheckMayFail() noexcept;             // a coroutine has thrown what it does not catch
[[noreturn]] void DieOfRevived() noexcept;  // it has caught it, and has gone on

using DestroyFunction = void(void* frame);

// What a frame begins with, in clang's ABI and in those of other compilers.
struct FrameHeader {
  void (*resume)(void* frame);
  DestroyFunction* destroy;
};

// Destroys a frame that owes a clean-up and has not begun. Such a frame is recognised by this destroy function.
// (Rejected: a bit in every promise. It would cost each frame an instruction, and each root two.) (OwingTaskPromise)
void DestroyOwing(void* frame);
// BeginOwing() puts it there, and returns what was there; EndOwing() puts that back. Never inlined: while a coroutine
// makes its promise, the promise is a local variable to the compiler, in front of which there is no header to write to.
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
  // An unwinding is about to run its destructors: the frame will not end by itself.
  void Doom() noexcept { up_ = kRoot; }
  bool doomed() const noexcept { return up_ == kRoot; }

  // Valid for every promise of Weft's: they begin with this base and are aligned like it (asserted by Task's promise).
  std::coroutine_handle<> Handle() noexcept { return std::coroutine_handle<PromiseBase>::from_promise(*this); }
  FrameHeader& header() noexcept { return *static_cast<FrameHeader*>(Handle().address()); }

  // Until it begins: does it owe a clean-up? Then it begins also in a thread that is cancelled by then. (finally.h)
  bool owes_clean_up() noexcept { return header().destroy == &DestroyOwing; }

  std::suspend_always initial_suspend() const noexcept { return {}; }

  // The end of a frame: it is destroyed, and its parent goes on, or, for a root, what EndRootFrame() returns.
  struct FinalAwaiter {
    bool await_ready() const noexcept { return false; }
    template <class Promise>
    std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> ended) const noexcept {
      const PromiseBase up = ended.promise();
      if (up.is_root()) {
        if (up.doomed()) [[unlikely]]
          DieOfRevived();
        if (!ended.promise().Succeeded()) [[unlikely]]
          return EndFailed(ended, up.thread());
        ended.destroy();
        return EndRootFrame(up.thread());
      }
      ended.destroy();
      return up.parent()->Handle();
    }
    void await_resume() const noexcept {}

   private:
    [[gnu::cold, gnu::noinline]] static std::coroutine_handle<> EndFailed(std::coroutine_handle<> ended,
                                                                          ThreadBlock& thread) noexcept {
      ended.destroy();
      return EndFailedRootFrame(thread);
    }
  };
  FinalAwaiter final_suspend() const noexcept { return {}; }

 private:
  static constexpr uintptr_t kRoot = 1;
  uintptr_t up_;  // set before the frame is started
};

// A frame that is suspended, and the co_await that it is in. An awaiter gets the latter at no cost, and only when it
// suspends, by a parameter of its await_suspend whose value the compiler knows:
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

// A class that derives from this yields an R when it is awaited. (The compiler shows the deleted line to code that has
// forgotten the co_await. It converts only to what an R converts to: otherwise other libraries' operator co_await and
// operator new would accept it.)
template <class R>
struct GivesWhenAwaited {
  template <class To>
    requires std::is_convertible_v<R, To>
  operator To() const = delete;  // co_await it: nothing was waited for, so there is no result
};

}  // namespace weft::internal

#endif  // WEFT_INTERNAL_PROMISE_H_

// What every Weft coroutine frame begins with, and where its result goes.
//
// A frame knows the frame that awaits it (`parent`) and the slot in that frame's awaiter where its result is to be put. Once
// started, a frame belongs to itself: it destroys itself when it has ended, or is destroyed by unwinding, leaf first, along
// the chain of parents. Nothing else destroys a started frame, so nothing is destroyed twice.
#ifndef WEFT_INTERNAL_PROMISE_H_
#define WEFT_INTERNAL_PROMISE_H_

#include <coroutine>
#include <cstddef>
#include <exception>
#include <memory>
#include <new>
#include <type_traits>
#include <utility>
#include <variant>

#include "weft/internal/check.h"
#include "weft/internal/compiler.h"
#include "weft/internal/frame_cache.h"

namespace weft::internal {

// AllocateFrame(), which throws std::bad_alloc; where exceptions are off there is nobody to tell.
inline void* AllocateOrDie(size_t size, const char* what) {
  void* memory = AllocateFrame(size);
  WEFT_CHECK(memory != nullptr) << "out of memory for " << what << " of " << size << " bytes";
  return memory;
}

// The result of a coroutine: nothing yet, a value, or an exception.
template <class T>
class ResultSlot {
 public:
  using Stored = std::conditional_t<std::is_void_v<T>, std::monostate,
                                    std::conditional_t<std::is_reference_v<T>, std::remove_reference_t<T>*, T>>;

  ResultSlot() noexcept {}
  ResultSlot(const ResultSlot&) = delete;
  ResultSlot& operator=(const ResultSlot&) = delete;
  ~ResultSlot() { Reset(); }

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

  // Moves the value out, or throws the exception. The slot must hold one of them.
  T Take() {
#if WEFT_EXCEPTIONS
    if (state_ == State::kException) std::rethrow_exception(std::move(exception_));
#endif
    WEFT_DCHECK(state_ == State::kValue) << "a Task ended without a result";
    if constexpr (std::is_reference_v<T>) {
      return static_cast<T>(*value_);
    } else if constexpr (!std::is_void_v<T>) {
      return std::move(value_);
    }
  }

  void Reset() noexcept {
    const State state = std::exchange(state_, State::kEmpty);
    if (state == State::kValue) value_.~Stored();
    if (state == State::kException) exception_.~exception_ptr();
  }

 private:
  enum class State : unsigned char { kEmpty, kValue, kException };
  union {
    Stored value_;
    std::exception_ptr exception_;
  };
  State state_ = State::kEmpty;
};

struct PromiseBase {
  PromiseBase* parent = nullptr;  // the frame that awaits this one; null for the root of a virtual thread

  // Valid for every promise of Weft's: they begin with this base and are aligned like it (asserted by Task's promise).
  std::coroutine_handle<> Handle() noexcept { return std::coroutine_handle<PromiseBase>::from_promise(*this); }

  static void* operator new(size_t size) { return AllocateOrDie(size, "a coroutine frame"); }
  static void operator delete(void* frame, size_t size) noexcept { FreeFrame(frame, size); }

  std::suspend_always initial_suspend() const noexcept { return {}; }

  // The frame is over: it goes away and its parent goes on. A root has no parent: its carrier does (see carrier.cc).
  struct FinalAwaiter {
    bool await_ready() const noexcept { return false; }
    template <class Promise>
    std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> ended) const noexcept {
      PromiseBase* parent = ended.promise().parent;
      ended.destroy();
      return parent != nullptr ? parent->Handle() : std::noop_coroutine();
    }
    void await_resume() const noexcept {}
  };
  FinalAwaiter final_suspend() const noexcept { return {}; }
};

template <class Promise>
concept WeftPromise = std::is_base_of_v<PromiseBase, Promise>;

// An awaitable made for Weft says so: it parks, wakes and cancels through the virtual thread.
template <class A>
concept WeftAwaitable = requires { typename std::remove_cvref_t<A>::WeftAwaitable; };

}  // namespace weft::internal

#endif  // WEFT_INTERNAL_PROMISE_H_

// std::stop_token, in and out: for code that is asked to stop by one, or that asks so.
//
//   absl::Status done = co_await weft::WithStopToken(token, Serve(listener));  // in: unwound when `token` is stopped
//
//   weft::StopOnCancel stop;               // out: its token is stopped when this thread is cancelled
//   database.Start(query, stop.token());
//
// In: a request by the token is a request to cancel as any other, made by whoever calls request_stop() on its OS
// thread, and stopped where WithStopToken() was awaited. Out: what a token's callbacks do is up to them. They are
// called on no virtual thread, with no lock of Weft's held: by a carrier between two of its threads, or by an OS thread
// that is no carrier, if that makes the request. So a token is stopped soon after the request, not at once; whoever
// goes past the StopOnCancel waits for that. They are to be short.
//
// There is none of this where the standard library has no std::stop_token, as libc++ before version 20 without
// -fexperimental-library.
//
// Memory ordering: what came before request_stop() happens before what follows the co_await of WithStopToken() that it
// ends; what came before the request to cancel happens before the callbacks of StopOnCancel's token.
#ifndef WEFT_STOP_TOKEN_H_
#define WEFT_STOP_TOKEN_H_

#include "weft/internal/compiler.h"

#include <coroutine>
#include <cstddef>
#include <optional>
#include <source_location>
#include <stop_token>
#include <utility>
#include <version>

#include "weft/cancellation.h"
#include "weft/internal/into_task.h"
#include "weft/internal/promise.h"
#include "weft/internal/record.h"
#include "weft/internal/status_traits.h"
#include "weft/task.h"

#ifdef __cpp_lib_jthread

namespace weft {

namespace internal {
template <class T>
class StopTokenAwaiter;
}  // namespace internal

// Awaits `task`; if `token` is stopped meanwhile, or was before, the task is unwound at its next checkpoint, and the
// result is kCancelled, with ReasonOf(): kStopRequested. Types as for WithTimeout(). Entering is not a checkpoint.
// Allocates nothing.
template <internal::IntoTask A>
[[nodiscard("co_await it")]] internal::StopTokenAwaiter<internal::ValueOf<A>> WithStopToken(
    std::stop_token token, A&& task, std::source_location where = std::source_location::current());

// A local of a coroutine, whose token is stopped when the current virtual thread is asked to end, up to a boundary
// around this, unless this lies in a Shield that hides the request. In a thread that was asked already it is stopped
// from the start. Its destructor waits for callbacks that are running. Costs an allocation, that of its
// std::stop_source: std::bad_alloc.
class StopOnCancel : private internal::ScopeRecord {
 public:
  StopOnCancel();
  ~StopOnCancel();
  StopOnCancel(const StopOnCancel&) = delete;  // it is neither copied nor moved
  StopOnCancel& operator=(const StopOnCancel&) = delete;
  static void* operator new(size_t) = delete;    // it is a local variable of a coroutine
  static void* operator new[](size_t) = delete;  // it is a local variable of a coroutine
  template <class... Where>
  static void* operator new(size_t, Where...) = delete;  // it is a local variable of a coroutine

  std::stop_token token() const noexcept { return source_.get_token(); }

 private:
  void RequestStop() noexcept;
  static const Operations kOperations;

  std::stop_source source_;
};

// ---------------------------------------------------------------------------------------------------------------------

namespace internal {

class StopTokenBoundary : public Boundary {
 public:
  StopTokenBoundary(std::stop_token token, std::source_location where) noexcept
      : Boundary(Kind::kOwnRequest), token_(std::move(token)), where_(where) {}
  StopTokenBoundary(StopTokenBoundary&& other) noexcept : StopTokenBoundary(std::move(other.token_), other.where_) {}
  ~StopTokenBoundary() { Leave(); }

 protected:
  void Enter(PromiseBase& awaiting) noexcept;
  void Leave() noexcept;

 private:
  struct Stop {
    void operator()() const noexcept { boundary->RequestOwn(); }
    StopTokenBoundary* boundary;
  };
  void RequestOwn() noexcept;

  ThreadBlock* thread_ = nullptr;  // null: not entered
  std::stop_token token_;
  const std::source_location where_;
  std::optional<std::stop_callback<Stop>> callback_;
};

template <class T>
class StopTokenAwaiter : public BoundedTask<T>, public GivesWhenAwaited<StatusOrOf<T>>, private StopTokenBoundary {
 public:
  StopTokenAwaiter(std::stop_token token, Task<T>&& task, std::source_location where) noexcept
      : BoundedTask<T>(std::move(task)), StopTokenBoundary(std::move(token), where) {}

  bool await_ready() const noexcept { return false; }
  template <WeftPromise Promise>
  std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> awaiting) noexcept {
    Enter(awaiting.promise());
    return this->StartTask(awaiting.promise(), "WithStopToken()");
  }
  StatusOrOf<T> await_resume() {
    Leave();
    return OutcomeAt(*this, this->slot_);
  }
};

}  // namespace internal

template <internal::IntoTask A>
internal::StopTokenAwaiter<internal::ValueOf<A>> WithStopToken(std::stop_token token, A&& task,
                                                               std::source_location where) {
  return internal::StopTokenAwaiter<internal::ValueOf<A>>(std::move(token), internal::AsTask(std::forward<A>(task)),
                                                          where);
}

}  // namespace weft

#endif  // __cpp_lib_jthread

#endif  // WEFT_STOP_TOKEN_H_

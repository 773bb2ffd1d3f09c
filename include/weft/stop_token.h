// WithStopToken and StopOnCancel: std::stop_token in and out, for code that is asked to stop by one, or that asks by
// one.
//
//   absl::Status done = co_await weft::WithStopToken(token, Serve(listener));  // in: unwound when `token` is stopped
//
//   weft::StopOnCancel stop;               // out: its token is stopped when this thread is cancelled
//   database.Start(query, stop.token());
//
// In: the OS thread that calls request_stop() makes a request to cancel like any other. It stops where WithStopToken()
// was awaited.
//
// Out: what a token's callbacks do is up to them. They run on no virtual thread, with no lock of Weft's held. A carrier
// calls them between two of its threads; or, if an OS thread that is no carrier makes the request, that thread does.
// The token is therefore stopped shortly after the request, not at once, and the destructor of StopOnCancel waits for
// it. Keep the callbacks short.
//
// weft/weft.h does not include this header. It is empty where the standard library has no std::stop_token, like libc++
// before version 20 without -fexperimental-library.
//
// Memory ordering: what came before request_stop() happens before what follows the co_await of WithStopToken() that it
// ends. What came before the request to cancel happens before the callbacks of StopOnCancel's token.
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
#include "weft/internal/boundary.h"
#include "weft/internal/boundary_awaiter.h"
#include "weft/internal/into_task.h"
#include "weft/internal/promise.h"
#include "weft/internal/record.h"
#include "weft/internal/scope_record.h"
#include "weft/task.h"

#ifdef __cpp_lib_jthread

namespace weft {

namespace internal {
class StopTokenBoundary;
template <class T>
using StopTokenAwaiter = BoundaryAwaiter<StopTokenBoundary, OrStatus, T>;
}  // namespace internal

// Awaits `task`. If `token` is stopped meanwhile, or was stopped before, the task is unwound at its next checkpoint,
// and the result is kCancelled, with the ReasonOf() kStopRequested. Types are those of WithTimeout(). Entering is not a
// checkpoint. Allocates nothing.
template <internal::TaskOrClosure A>
[[nodiscard("co_await it")]] internal::StopTokenAwaiter<internal::ValueOf<A>> WithStopToken(
    std::stop_token token, A&& task, std::source_location where = std::source_location::current());

// A local variable of a coroutine. Its token is stopped when a request to cancel reaches a boundary around it, unless a
// Shield around it hides the request. In a thread that was asked to end before, the token is stopped from the start.
// The destructor waits for callbacks that are running. Allocates a std::stop_source, and so may throw std::bad_alloc.
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
  static constexpr const char* kCall = "WithStopToken()";
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

}  // namespace internal

template <internal::TaskOrClosure A>
internal::StopTokenAwaiter<internal::ValueOf<A>> WithStopToken(std::stop_token token, A&& task,
                                                               std::source_location where) {
  return internal::StopTokenAwaiter<internal::ValueOf<A>>(internal::AsTask(std::forward<A>(task)), std::move(token),
                                                          where);
}

}  // namespace weft

#endif  // __cpp_lib_jthread

#endif  // WEFT_STOP_TOKEN_H_

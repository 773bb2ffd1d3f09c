// A wait inside of a function of the library, with the line of whoever has called that: for reports.
#ifndef WEFT_LIB_SYNC_AWAIT_AT_H_
#define WEFT_LIB_SYNC_AWAIT_AT_H_

#include <coroutine>
#include <source_location>

#include "weft/internal/promise.h"

namespace weft::internal {

template <class Awaiter>
struct AwaitAt {
  using WeftAwaitable = void;
  bool await_ready() noexcept { return awaiter.await_ready(); }
  template <WeftPromise Promise>
  auto await_suspend(std::coroutine_handle<Promise> frame) noexcept {
    return awaiter.await_suspend(frame, where);
  }
  decltype(auto) await_resume() noexcept { return awaiter.await_resume(); }

  Awaiter awaiter;
  std::source_location where;
};
template <class Awaiter>
AwaitAt(Awaiter, std::source_location) -> AwaitAt<Awaiter>;

}  // namespace weft::internal

#endif  // WEFT_LIB_SYNC_AWAIT_AT_H_

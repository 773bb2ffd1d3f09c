// What one thread at a time waits for, while the others wait for their turn (a Mutex). Whoever has the turn waits
// inside of a function of the library: for reports that wait has the line of whoever has called the function, and the
// thread has a name.
#ifndef WEFT_LIB_SYNC_TURN_H_
#define WEFT_LIB_SYNC_TURN_H_

#include <coroutine>
#include <cstdint>
#include <source_location>

#include "weft/internal/atomic.h"
#include "weft/internal/promise.h"
#include "weft/internal/wait.h"

namespace weft::internal {

// A wait with the line `where`.
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

// The caller has the turn: `thread` is its id, for the destructor of what it waits for. 0: nobody has it.
class TurnName {
 public:
  explicit TurnName(Atomic<uint64_t>& thread) noexcept : thread_(thread) {
    thread_.store(CurrentThreadId(), std::memory_order_relaxed);
  }
  TurnName(const TurnName&) = delete;
  TurnName& operator=(const TurnName&) = delete;
  ~TurnName() { thread_.store(0, std::memory_order_relaxed); }

 private:
  Atomic<uint64_t>& thread_;  // relaxed: it is only named
};

}  // namespace weft::internal

#endif  // WEFT_LIB_SYNC_TURN_H_

// Layer process. Has every signal handler that may use a thing ended, so that the thing can go?
//
//   a handler, on any thread                whoever takes a thing away
//   1. count += 1                           4. the thing is not to be found any more
//   2. finds the thing, and uses it         5. waits until count is 0
//   3. count -= 1                           6. the thing goes
//
// Why nobody uses what has gone. 1, the search in 2, and 4, 5 are sequentially consistent. If 1 comes before 5 in their
// order, 5 waits for 3. Otherwise 4 comes before 1, and 2 finds nothing. What the handler did happens before 6: 3
// releases, and 5 acquires. Later handlers may keep the count above 0, but each finds nothing, and ends: the wait is
// short, unless signals come without a pause.
//
// A handler may interrupt the thread that waits; it ends before the wait goes on. In a child of fork(2) the handlers of
// the parent's other threads never end: ForgetOthers().
#ifndef WEFT_LIB_PROCESS_RUNNING_HANDLERS_H_
#define WEFT_LIB_PROCESS_RUNNING_HANDLERS_H_

#include <sched.h>

#include <cstdint>

#include "weft/internal/atomic.h"

namespace weft::internal {

class RunningHandlers {
 public:
  constexpr RunningHandlers() noexcept = default;
  RunningHandlers(const RunningHandlers&) = delete;
  RunningHandlers& operator=(const RunningHandlers&) = delete;

  // In a handler; async-signal-safe. Between Enter() and Leave() it may use what Find() has found.
  void Enter() noexcept {
    // [handlers/1] seq_cst: pairs with [handlers/4], in a duel whose other steps are [handlers/2] and [handlers/3].
    count_.fetch_add(1, WEFT_ORDER("handlers/1", std::memory_order_seq_cst));
  }
  void Leave() noexcept {
    // [handlers/5] release: pairs with [handlers/4].
    count_.fetch_sub(1, WEFT_ORDER("handlers/5", std::memory_order_release));
  }
  // What a thing is wanted for; 0: it is not to be found.
  static uint64_t Find(const Atomic<uint64_t>& wanted) noexcept {
    // [handlers/2] seq_cst: pairs with [handlers/3], and with [handlers/6], which makes the thing whole.
    return wanted.load(WEFT_ORDER("handlers/2", std::memory_order_seq_cst));
  }

  // Whoever makes a thing, once the thing is whole.
  static void Show(Atomic<uint64_t>& wanted, uint64_t what_for) noexcept {
    // [handlers/6] release: pairs with [handlers/2].
    wanted.store(what_for, WEFT_ORDER("handlers/6", std::memory_order_release));
  }
  // Whoever takes it away: then AwaitNone().
  static void Hide(Atomic<uint64_t>& wanted) noexcept {
    // [handlers/3] seq_cst: pairs with [handlers/2].
    wanted.store(0, WEFT_ORDER("handlers/3", std::memory_order_seq_cst));
  }
  bool None() const noexcept {
    // [handlers/4] seq_cst: pairs with [handlers/1], and with [handlers/5].
    return count_.load(WEFT_ORDER("handlers/4", std::memory_order_seq_cst)) <= 0;
  }
  void AwaitNone() const noexcept {
    while (!None()) sched_yield();
  }

  // In a child of fork(2), while it has one thread.
  void ForgetOthers() noexcept {
    // relaxed: nobody else is there.
    count_.store(0, std::memory_order_relaxed);
  }

 private:
  Atomic<int32_t> count_{0};
};

}  // namespace weft::internal

#endif  // WEFT_LIB_PROCESS_RUNNING_HANDLERS_H_

// Layer runtime. The roots of a runtime: virtual threads outside every scope.
//
// A root is counted from before it starts until its last touch of the runtime. So the runtime may be destroyed once
// AwaitNone() has returned true. It is in the list while it can be asked to end.
//
// Who may call: any thread.
#ifndef WEFT_LIB_RUNTIME_ROOTS_H_
#define WEFT_LIB_RUNTIME_ROOTS_H_

#include <cstdint>

#include "lib/os/futex.h"
#include "weft/internal/atomic.h"
#include "weft/internal/cancel_cause.h"
#include "weft/internal/lock.h"
#include "weft/internal/thread_block.h"

namespace weft::internal {

class Roots {
 public:
  Roots() = default;
  Roots(const Roots&) = delete;
  Roots& operator=(const Roots&) = delete;

  // Counts one more. Also for an OS thread that is no carrier, and is about to start a root or to wake a thread: keeps
  // the runtime until Gone().
  void Hold() noexcept { live_.fetch_add(1, std::memory_order_relaxed); }
  // The last touch of the runtime by what Hold() has counted.
  void Gone() noexcept;
  // A root that is counted: from here on it can be asked to end, until Remove().
  void Add(ThreadBlock& root) noexcept;
  void Remove(ThreadBlock& root) noexcept;

  // [roots/3] acquire: pairs with [roots/1]. What ended roots did happens before a false.
  bool any() const noexcept { return live_.load(std::memory_order_acquire) != 0; }
  // False: the deadline, on CLOCK_MONOTONIC, came first.
  bool AwaitNone(int64_t deadline_ns = kNoDeadlineNs) noexcept;
  // Asks all of them to end.
  void RequestEnd(const CancelCause& cause) noexcept;
  // Calls visit(root, argument) for every one, under the lock of the list.
  void ForEach(void (*visit)(ThreadBlock& root, void* argument), void* argument) noexcept;

 private:
  Lock lock_;
  SiblingList list_;
  // relaxed: whoever adds knows that the runtime is not being destroyed yet, or that a root is still counted.
  Atomic<uint32_t> live_{0};
};

}  // namespace weft::internal

#endif  // WEFT_LIB_RUNTIME_ROOTS_H_

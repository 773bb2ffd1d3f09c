// Layer runtime. The roots of a runtime: virtual threads outside every scope.
//
// A root is counted from before it starts until its last touch of the runtime. So the runtime may be destroyed once
// AwaitNone() has returned true. It is in the list while it can be asked to end; a thread that was made and not started
// is there as well, and is not counted.
//
// Once all were asked to end, a root that is added is asked at once, until Reopen(): no root can slip past the end of
// the runtime.
//
// Who may call: any thread.
#ifndef WEFT_LIB_RUNTIME_ROOTS_H_
#define WEFT_LIB_RUNTIME_ROOTS_H_

#include <cstdint>

#include <optional>

#include "lib/os/futex.h"
#include "lib/runtime/host.h"
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
  // The same for a thread that Start() starts, from its start to its end. Such threads may live on while nobody waits
  // for anything.
  void HoldUnscoped() noexcept {
    unscoped_.fetch_add(1, std::memory_order_relaxed);
    Hold();
  }
  void UnscopedGone() noexcept {
    unscoped_.fetch_sub(1, std::memory_order_relaxed);
    Gone();
  }
  // A root that is counted: from here on it can be asked to end, until Remove().
  void Add(ThreadBlock& root) noexcept;
  // One that was made and not started, and has an identity. The end of the runtime ends it.
  void AddUnstarted(ThreadBlock& root) noexcept;
  // Does nothing if it is not in the list.
  void Remove(ThreadBlock& root) noexcept;

  // Does something begin, end or wait just now, besides threads that Start() has started? A hint.
  bool unsettled() const noexcept {
    // [roots/3] acquire: pairs with [roots/1]. What ended roots did happens before a false.
    const uint32_t live = live_.load(std::memory_order_acquire);
    return live > unscoped_.load(std::memory_order_relaxed);
  }
  // Lets `host` run what there is until nothing is counted.
  void AwaitNone(Host& host) noexcept;
  // The same, on OS threads. False: the deadline, on CLOCK_MONOTONIC, came first.
  bool AwaitNoneUntil(int64_t deadline_ns) noexcept;
  // Asks all of them to end.
  void RequestEnd(const CancelCause& cause) noexcept;
  void Reopen() noexcept;
  // Calls visit(root, argument) for every one, under the lock of the list.
  void ForEach(void (*visit)(ThreadBlock& root, void* argument), void* argument) noexcept;

 private:
  bool EndUnstarted(ThreadBlock& root, const CancelCause& cause) noexcept;

  Lock lock_;
  SiblingList list_;                   // guarded by lock_
  std::optional<CancelCause> ending_;  // guarded by lock_: all were asked to end, because of that
  // relaxed: whoever adds knows that the runtime is not being destroyed yet, or that a root is still counted.
  Atomic<uint32_t> live_{0};
  Atomic<uint32_t> unscoped_{0};  // of these, the ones that Start() has started. relaxed: a number to look at
};

}  // namespace weft::internal

#endif  // WEFT_LIB_RUNTIME_ROOTS_H_

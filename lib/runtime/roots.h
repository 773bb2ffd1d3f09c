// Layer runtime. The roots of a runtime: virtual threads outside every scope.
//
// A root is counted from before it starts until its last touch of the runtime. So the runtime may be destroyed once
// AwaitNone() has returned true. It is in the list while it can be asked to end; a thread that was made and not started
// is there as well, and is not counted. A thread that Start() starts enters itself in the list, like a child of a
// scope, before it first waits, passes a checkpoint, or opens anything: before that no request could have an effect.
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
  void HoldUnscoped() noexcept { unscoped_.fetch_add(1, std::memory_order_relaxed); }  // relaxed: as for live_
  void UnscopedGone() noexcept;
  // A root that is counted: from here on it can be asked to end, until Remove().
  void Add(ThreadBlock& root) noexcept;
  // A started thread enters itself.
  void Register(ThreadBlock& root) noexcept;
  // One that was made and not started, and has an identity. The end of the runtime ends it.
  void AddUnstarted(ThreadBlock& root) noexcept;
  // Does nothing if it is not in the list.
  void Remove(ThreadBlock& root) noexcept;

  // Does something begin, end or wait just now, besides threads that Start() has started? A hint.
  bool unsettled() const noexcept {
    // [roots/3] acquire: pairs with [roots/1]. What ended roots did happens before a false.
    return live_.load(std::memory_order_acquire) > 0;
  }
  // Were all asked to end? A hint; whoever was asked sees true.
  bool closed() const noexcept { return closed_.load(std::memory_order_relaxed); }
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
  void AddLocked(ThreadBlock& root) noexcept;

  // Bits of `unscoped_`: how many there are, and whether somebody sleeps until there are none.
  static constexpr uint32_t kAwaited = 1u << 31;

  Lock lock_;
  SiblingList list_;                   // guarded by lock_
  std::optional<CancelCause> ending_;  // guarded by lock_: all were asked to end, because of that
  Atomic<bool> closed_{false};  // the same, written under lock_. relaxed: a hint
  // relaxed: whoever adds knows that the runtime is not being destroyed yet, or that a root is still counted.
  Atomic<uint32_t> live_{0};      // a futex
  Atomic<uint32_t> unscoped_{0};  // those that Start() has started; a futex
};

}  // namespace weft::internal

#endif  // WEFT_LIB_RUNTIME_ROOTS_H_

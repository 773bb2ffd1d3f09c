// Latch: virtual threads, and OS threads, wait until something has happened so many times. (Java's CountDownLatch,
// std::latch.)
//
//   weft::Latch loaded(3);
//   ... loaded.CountDown();             // any thread, also an OS thread that is no carrier
//   co_await loaded.Wait();             // any number of virtual threads
//
// Members: CountDown(), TryWait(), count(); Wait(), ArriveAndWait(), WaitBlocking(). The count only goes down, and
// stays at zero: later waits do not wait. For something that happens once, or again and again, take an Event (event.h);
// for threads that meet again and again a Barrier (barrier.h).
//
// Lifetime: the latch must outlive its waits and the calls to it. It is a CHECK to destroy it while a thread waits.
// CountDown() does not touch the latch after the last waiter that it wakes may have run.
// Memory ordering: what came before a CountDown() happens before what follows a wait that ended because the count is
// zero, or a TryWait() that returned true.
// Cancellation: Wait() and ArriveAndWait() are checkpoints. An ArriveAndWait() that is cancelled has not arrived: what
// it has counted is taken back. Call CountDown() and then Wait() if the arrival is to count in any case.
// Signal handlers must not call it; event.h says what to do instead.
// Cost: Wait() on a latch at zero is one load; everything else takes a short lock. The last CountDown() is O(waiters).
// Nothing is allocated.
#ifndef WEFT_SYNC_LATCH_H_
#define WEFT_SYNC_LATCH_H_

#include "weft/internal/compiler.h"

#include <coroutine>
#include <cstdint>
#include <source_location>

#include "weft/internal/atomic.h"
#include "weft/internal/promise.h"
#include "weft/internal/thread_block.h"
#include "weft/internal/wait.h"
#include "weft/internal/wait_node.h"

namespace weft {

class Latch {
 public:
  // `count` >= 0.
  explicit Latch(int64_t count) noexcept;
  Latch(const Latch&) = delete;
  Latch& operator=(const Latch&) = delete;
  ~Latch();  // a CHECK if a thread waits

  // Counts down by `n` >= 0, to zero at most, and wakes all waiters if that is reached, in the order in which they
  // came. Any thread may call it. Does not block.
  void CountDown(int64_t n = 1) noexcept;
  // Is the count zero? Any thread may call it. Does not wait.
  bool TryWait() const noexcept {
    // [latch/1] acquire: pairs with [latch/2].
    return reached_.load(std::memory_order_acquire) != 0;
  }
  // What is left to count. The number may have changed by the time it is read.
  int64_t count() noexcept;

  // Waits until the count is zero. co_await it.
  auto Wait() noexcept { return Awaiter(*this); }
  // CountDown(n) and Wait() in one step. co_await it.
  auto ArriveAndWait(int64_t n = 1) noexcept { return ArriveAwaiter(*this, n); }
  // Wait() for an OS thread, which it blocks. On a carrier it is a CHECK.
  void WaitBlocking() noexcept;

 private:
  class [[nodiscard("co_await the wait")]] Awaiter {
   public:
    using WeftAwaitable = void;
    explicit Awaiter(Latch& latch) noexcept : latch_(latch) {}
    bool await_ready() const noexcept { return internal::AtCheckpoint() && latch_.TryWait(); }
    template <internal::WeftPromise Promise>
    bool await_suspend(std::coroutine_handle<Promise> frame,
                       std::source_location where = std::source_location::current()) noexcept {
      return latch_.Suspend({frame.promise(), where});
    }
    void await_resume() const noexcept {}
    internal::SelectPart ForSelect() const noexcept { return {&latch_, &kSelect}; }

   private:
    Latch& latch_;
  };

  class [[nodiscard("co_await the wait")]] ArriveAwaiter {
   public:
    using WeftAwaitable = void;
    ArriveAwaiter(Latch& latch, int64_t n) noexcept;
    bool await_ready() const noexcept { return internal::AtCheckpoint() && latch_.ArriveIfLast(n_); }
    template <internal::WeftPromise Promise>
    bool await_suspend(std::coroutine_handle<Promise> frame,
                       std::source_location where = std::source_location::current()) noexcept {
      return latch_.ArriveAndSuspend(*this, {frame.promise(), where});
    }
    void await_resume() const noexcept {}

   private:
    friend class Latch;
    Latch& latch_;
    const int64_t n_;
  };

  bool ArriveIfLast(int64_t n) noexcept;
  bool Suspend(internal::AwaitingFrame frame) noexcept;
  bool ArriveAndSuspend(ArriveAwaiter& arrival, internal::AwaitingFrame frame) noexcept;
  bool ReachLocked(int64_t n, internal::WaitNodes& woken) noexcept;
  void WakeAll(internal::WaitNodes& woken, bool os_threads) noexcept;
  static bool Withdraw(internal::ThreadBlock& thread) noexcept;
  static bool WithdrawArrival(internal::ThreadBlock& thread) noexcept;
  static const internal::WaitKind kWait, kArrive;
  static const internal::SelectableWait<internal::ThreadBlock> kSelect;

  internal::Waiters waiters_;
  internal::Atomic<uint32_t> reached_;  // 1: the count is zero. Written under waiters_.lock. relaxed: read under it
  // ---- Guarded by waiters_.lock.
  int64_t count_;
  bool os_threads_wait_ = false;
};

}  // namespace weft

#endif  // WEFT_SYNC_LATCH_H_

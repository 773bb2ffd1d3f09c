// Layer os. What guards a short critical section that OS threads share?
//
// `Lock` is a mutex of four bytes. It blocks the *OS thread*, so nothing suspends, waits or calls user code while it is
// held; a virtual thread that has to wait uses `weft::Mutex` instead.
//
//   std::lock_guard guard(lock_);
//
// Members: `lock()`, `try_lock()`, `unlock()`. Not recursive. Any thread; the one that locked unlocks. All are
// `noexcept`, allocate nothing and leave `errno` alone.
//
// Lifetime: a thread that holds the lock, or knows that no other thread will lock it, may unlock it and destroy it at
// once, even while the previous holder is still within its `unlock()`. That holder touches no memory after its
// exchange: all that may follow is a futex wake, which only names the address. If the memory has been reused for
// another futex word, its waiter sees one spurious wake-up, which every futex wait of Weft tolerates; if it has been
// unmapped, the kernel says EFAULT, which is ignored.
//
// Memory ordering: what a thread did before `unlock()` happens before what the next holder does after `lock()`, or
// after a `try_lock()` that returned true.
//
// Cost: two locked instructions a critical section when free. A waiter spins for about a microsecond and then sleeps
// in the kernel. (The states of the word, and what was rejected: lib/os/lock.cc.)
#ifndef WEFT_INTERNAL_LOCK_H_
#define WEFT_INTERNAL_LOCK_H_

#include "weft/internal/compiler.h"

#include <cstdint>

#include "weft/internal/atomic.h"

namespace weft::internal {

class Lock {
 public:
  constexpr Lock() noexcept = default;
  Lock(const Lock&) = delete;
  Lock& operator=(const Lock&) = delete;

  void lock() noexcept {
    if (!try_lock()) LockSlow();
  }

  [[nodiscard]] bool try_lock() noexcept {
    uint32_t expected = kFree;
    // [lock/1] acquire: pairs with [lock/2]. Weaker, the critical section could see the previous one half done. On
    // failure nothing is read under the lock, so relaxed.
    return word_.compare_exchange_strong(expected, kHeld, WEFT_ORDER("lock/1", std::memory_order_acquire),
                                         std::memory_order_relaxed);
  }

  void unlock() noexcept {
    // [lock/2] release: pairs with [lock/1] and [lock/3]. An exchange, because the step that frees the lock must also
    // tell whether a thread sleeps: afterwards the word may be gone.
    if (word_.exchange(kFree, WEFT_ORDER("lock/2", std::memory_order_release)) == kContended) WakeOne(word_);
  }

 private:
  enum : uint32_t { kFree = 0, kHeld = 1, kContended = 2 };

  void LockSlow() noexcept;
  static void WakeOne(Atomic<uint32_t>& word) noexcept;  // uses the address only

  Atomic<uint32_t> word_{kFree};
};

static_assert(sizeof(Lock) == 4);

// std::lock_guard, for headers: <mutex> is 560 lines to whoever includes Weft.
class [[nodiscard]] LockGuard {
 public:
  explicit LockGuard(Lock& lock) noexcept : lock_(lock) { lock_.lock(); }
  LockGuard(const LockGuard&) = delete;
  LockGuard& operator=(const LockGuard&) = delete;
  ~LockGuard() { lock_.unlock(); }

 private:
  Lock& lock_;
};

}  // namespace weft::internal

#endif  // WEFT_INTERNAL_LOCK_H_

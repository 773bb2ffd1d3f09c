// Mutex: one virtual thread at a time, also across suspensions.
//
//   weft::Mutex mutex;
//   weft::MutexGuard guard = co_await mutex.Lock();   // unlocked by its destructor, on every path
//   co_await WriteBoth();
//
// Unlike an OS mutex, it parks the virtual thread, not its carrier. It may be held over a co_await, and unlocked on
// another carrier than the one on which it was locked. It is not recursive (recursive_mutex.h is): a thread that locks
// it twice waits for itself. In a debug build (without NDEBUG) that is a CHECK that names both places, unless the first
// guard was moved or came from TryLock(): another thread may then unlock it.
//
// A debug build also reports two locks (Mutex, RecursiveMutex, SharedMutex) that were taken in both orders, directly or
// by way of other locks, whether or not that ended in a deadlock. One line on standard error names the two places of
// each step, once for each pair of locks. It is no CHECK: a third lock, taken before either, may make both orders safe,
// and a program may be about the deadlock, like examples/philosophers.cc. Locks whose guards were moved, or come from
// LockFor(), do not count as held; TryLock() and Select() are ignored. Of a LockFor() the second place is a line of
// Weft's. (The idea is that of Linux's lockdep.)
//
// Members: Lock(), LockFor(), TryLock(), LockBlocking(), QueueLength().
//
// Fair: granted in the order of Lock(), to virtual threads and OS threads alike. But a thread that has used up its turn
// on its carrier, and finds the lock free, lets the others run first, and comes after those who lock meanwhile: if it
// took the lock, all of them would wait for it. It is the same with the other locks, and with a Semaphore.
// Lifetime: the mutex must outlive its guards and waits; otherwise it is a CHECK.
// Memory ordering: what came before an unlock happens before what follows the next Lock().
// Cancellation: Lock() is a checkpoint. A lock that was granted is delivered. A cancelled wait holds nothing.
// Signal handlers must not call it; event.h says what to do instead.
// Cost: a short lock of the OS's kind; nothing is allocated, except a frame by LockFor(). In a debug build also a
// global lock, and an allocation for each new lock and order.
#ifndef WEFT_SYNC_MUTEX_H_
#define WEFT_SYNC_MUTEX_H_

#include "weft/internal/compiler.h"

#include <cstdint>
#include <optional>
#include <source_location>

#include "absl/time/time.h"
#include "weft/cancellation.h"
#include "weft/sync/lock_core.h"
#include "weft/time_span.h"

namespace weft {

class [[nodiscard("a dropped guard unlocks at once")]] MutexGuard : public internal::ExclusiveHold {
  friend class Mutex;
  friend class internal::LockAwaiter<MutexGuard>;
  MutexGuard(internal::LockCore& mutex, int64_t) noexcept : ExclusiveHold(mutex) {}
};

class Mutex {
 public:
  Mutex() : lock_(internal::LockKind::kMutex, 1) {}

  // Waits until the mutex is free, and locks it. co_await it; yields a MutexGuard.
  auto Lock() noexcept { return internal::LockAwaiter<MutexGuard>(lock_, 1); }
  // The same, for `timeout` at most. Yields a std::optional<MutexGuard>, empty if the time was up first. If `timeout`
  // <= 0 it is empty, even if the mutex is free. In a debug build it is a CHECK for the holder, like Lock().
  auto LockFor(TimeSpan timeout, std::source_location where = std::source_location::current()) {
    return MoveOnAfter(timeout, Lock(), where);
  }
  // Returns a guard if the mutex is free, else nothing. Any thread may call it. Does not wait.
  std::optional<MutexGuard> TryLock() noexcept;
  // Lock() for an OS thread, which it blocks. On a carrier it is a CHECK.
  MutexGuard LockBlocking(std::source_location where = std::source_location::current()) noexcept {
    lock_.BlockAt(1, where);
    return MutexGuard(lock_, 1);
  }
  // How many threads wait. The number may have changed by the time it is read. O(n).
  int64_t QueueLength() noexcept { return lock_.QueueLength(); }

 private:
  internal::LockCore lock_;
};

}  // namespace weft

#endif  // WEFT_SYNC_MUTEX_H_

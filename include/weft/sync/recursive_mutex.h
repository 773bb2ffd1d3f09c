// RecursiveMutex: a mutex that its holder may lock again. (Java's ReentrantLock, made fair.)
//
//   weft::RecursiveMutex mutex;
//   weft::RecursiveMutexGuard guard = co_await mutex.Lock();
//   co_await Update();   // which locks it, too
//
// It is held until as many guards are gone as were got. It belongs to the thread that has locked it first, a virtual
// thread or an OS thread; a guard that is moved may be unlocked by another thread, and then counts no more. Where one
// function locks and calls others, a Mutex whose guard they take as a parameter says more, and costs less. A debug
// build reports orders of its locks, too (mutex.h).
//
// Members: Lock(), LockFor(), TryLock(), LockBlocking(), HoldCount(), QueueLength().
//
// Fair: granted in the order of Lock(); the holder does not wait.
// Lifetime: the mutex must outlive its guards and waits; otherwise it is a CHECK.
// Memory ordering: what came before the last unlock happens before what follows the next thread's Lock().
// Cancellation: Lock() is a checkpoint, also by the holder. A lock that was granted is delivered. A cancelled wait adds
// no hold.
// Signal handlers must not call it; event.h says what to do instead.
// Cost: like a Mutex; to lock it again is a short lock.
#ifndef WEFT_SYNC_RECURSIVE_MUTEX_H_
#define WEFT_SYNC_RECURSIVE_MUTEX_H_

#include "weft/internal/compiler.h"

#include <cstdint>
#include <optional>
#include <source_location>

#include "absl/time/time.h"
#include "weft/cancellation.h"
#include "weft/sync/lock_core.h"
#include "weft/time_span.h"

namespace weft {

class [[nodiscard("a dropped guard unlocks at once")]] RecursiveMutexGuard : public internal::ExclusiveHold {
  friend class RecursiveMutex;
  friend class internal::LockAwaiter<RecursiveMutexGuard>;
  RecursiveMutexGuard(internal::LockCore& mutex, int64_t) noexcept : ExclusiveHold(mutex) {}
};

class RecursiveMutex {
 public:
  RecursiveMutex() : lock_(internal::LockKind::kRecursiveMutex, 1) {}

  // Waits until no other thread holds the mutex, and locks it. co_await it; yields a RecursiveMutexGuard.
  auto Lock() noexcept { return internal::LockAwaiter<RecursiveMutexGuard>(lock_, 1); }
  // The same, for `timeout` at most. Yields a std::optional<RecursiveMutexGuard>, empty if the time was up first. If
  // `timeout` <= 0 it is empty, even if the mutex is free.
  auto LockFor(TimeSpan timeout, std::source_location where = std::source_location::current()) {
    return MoveOnAfter(timeout, Lock(), where);
  }
  // Returns a guard if no other thread holds the mutex, else nothing. Any thread may call it. Does not wait.
  std::optional<RecursiveMutexGuard> TryLock() noexcept;
  // Lock() for an OS thread, which it blocks. On a carrier it is a CHECK.
  RecursiveMutexGuard LockBlocking(std::source_location where = std::source_location::current()) noexcept {
    lock_.BlockAt(1, where);
    return RecursiveMutexGuard(lock_, 1);
  }
  // How many guards the calling thread holds it by; 0 if another one has it, or none.
  int64_t HoldCount() noexcept;
  // How many threads wait. The number may have changed by the time it is read. O(n).
  int64_t QueueLength() noexcept { return lock_.QueueLength(); }

 private:
  internal::LockCore lock_;
};

}  // namespace weft

#endif  // WEFT_SYNC_RECURSIVE_MUTEX_H_

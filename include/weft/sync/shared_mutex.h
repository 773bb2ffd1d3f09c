// SharedMutex: one writer at a time, or any number of readers. (Java's ReentrantReadWriteLock, made fair, and not
// reentrant.)
//
//   weft::SharedMutex mutex;
//   weft::ReaderGuard reading = co_await mutex.LockShared();
//   weft::WriterGuard writing = co_await mutex.Lock();
//   weft::ReaderGuard kept = std::move(writing).Downgrade();   // no other writer has come in between
//
// Use a Mutex unless readers hold the lock over a wait: to take a SharedMutex costs as much as to take a Mutex, so
// readers that hold it for a few instructions gain nothing.
//
// Members: Lock(), LockFor(), TryLock(), LockBlocking(); LockShared(), LockSharedFor(), TryLockShared(),
// LockSharedBlocking(); ReaderCount(), QueueLength(). WriterGuard: Unlock(), Downgrade(). ReaderGuard: Unlock().
//
// It is not recursive. If a reader locks it again while a writer waits, the two wait for each other; a reader that
// locks it to write waits for itself. There is no upgrade: of two readers that want it, each would wait for the other.
// A debug build reports orders of its locks, too (mutex.h); only a writer counts as a holder.
//
// Fair: granted in the order of the calls, readers that stand side by side together. A reader does not overtake a
// writer that waits, so neither side starves.
// Lifetime: the mutex must outlive its guards and waits; otherwise it is a CHECK.
// Memory ordering: what came before an unlock by a writer happens before what follows the next lock of either kind;
// what came before an unlock by a reader, before what follows the next lock by a writer.
// Cancellation: all locks are checkpoints. A lock that was granted is delivered. A cancelled wait holds nothing, and
// readers that waited behind a cancelled writer go on at once.
// Signal handlers must not call it; event.h says what to do instead.
// Cost: a short lock of the OS's kind; nothing is allocated, except a frame by the timed forms.
#ifndef WEFT_SYNC_SHARED_MUTEX_H_
#define WEFT_SYNC_SHARED_MUTEX_H_

#include "weft/internal/compiler.h"

#include <cstdint>
#include <optional>
#include <source_location>

#include "absl/time/time.h"
#include "weft/cancellation.h"
#include "weft/sync/lock_core.h"
#include "weft/time_span.h"

namespace weft {

class [[nodiscard("a dropped guard unlocks at once")]] ReaderGuard : public internal::CountedHold {
 public:
  // Any thread may call it. Idempotent.
  void Unlock() noexcept { Release(); }

 private:
  friend class SharedMutex;
  friend class WriterGuard;
  friend class internal::LockAwaiter<ReaderGuard>;
  ReaderGuard(internal::LockCore& mutex, int64_t permits) noexcept : CountedHold(mutex, permits) {}
  using CountedHold::Release;
};

class [[nodiscard("a dropped guard unlocks at once")]] WriterGuard : public internal::ExclusiveHold {
 public:
  // The writer becomes a reader at once; so do the readers that are first in the queue. A CHECK if the guard holds
  // nothing. Any thread may call it.
  ReaderGuard Downgrade() && noexcept;

 private:
  friend class SharedMutex;
  friend class internal::LockAwaiter<WriterGuard>;
  WriterGuard(internal::LockCore& mutex, int64_t) noexcept : ExclusiveHold(mutex) {}
};

class SharedMutex {
 public:
  SharedMutex() : lock_(internal::LockKind::kSharedMutex, kMostReaders + 1) {}

  // Waits until nobody holds the mutex, and locks it. co_await it; yields a WriterGuard.
  auto Lock() noexcept { return internal::LockAwaiter<WriterGuard>(lock_, kMostReaders + 1); }
  // Waits until no writer holds the mutex and nobody is queued ahead, and locks it to read. co_await it; yields a
  // ReaderGuard.
  auto LockShared() noexcept { return internal::LockAwaiter<ReaderGuard>(lock_, 1); }
  // The same, for `timeout` at most. They yield a std::optional, empty if the time was up first. If `timeout` <= 0 it
  // is empty, even if the mutex is free.
  auto LockFor(TimeSpan timeout, std::source_location where = std::source_location::current()) {
    return MoveOnAfter(timeout, Lock(), where);
  }
  auto LockSharedFor(TimeSpan timeout, std::source_location where = std::source_location::current()) {
    return MoveOnAfter(timeout, LockShared(), where);
  }
  // Return a guard if it can be had at once and no thread waits, else nothing. Any thread may call them. They do not
  // wait.
  std::optional<WriterGuard> TryLock() noexcept;
  std::optional<ReaderGuard> TryLockShared() noexcept;
  // Lock() and LockShared() for an OS thread, which they block. On a carrier they are a CHECK.
  WriterGuard LockBlocking(std::source_location where = std::source_location::current()) noexcept {
    lock_.BlockAt(kMostReaders + 1, where);
    return WriterGuard(lock_, kMostReaders + 1);
  }
  ReaderGuard LockSharedBlocking(std::source_location where = std::source_location::current()) noexcept {
    lock_.BlockAt(1, where);
    return ReaderGuard(lock_, 1);
  }
  // How many read, and how many wait, which is O(n). The numbers may have changed by the time they are read.
  int64_t ReaderCount() noexcept;
  int64_t QueueLength() noexcept { return lock_.QueueLength(); }

 private:
  static constexpr int64_t kMostReaders = INT64_MAX - 1;

  internal::LockCore lock_;
};

}  // namespace weft

#endif  // WEFT_SYNC_SHARED_MUTEX_H_

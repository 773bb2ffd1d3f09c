// Semaphore: a limit on how many virtual threads do something at a time.
//
//   weft::Semaphore connections(10'000);
//   weft::Permit permit = co_await connections.Acquire();   // released by its destructor, on every path
//   weft::Permit three = co_await connections.Acquire(3);   // all three, or none
//
// Members: Acquire(), TryAcquireFor(), TryAcquire(), AcquireBlocking(), Drain(), available(), QueueLength(). A Permit
// can be moved; Release() gives it back early. It may stand for several permits, which it gives back together.
//
// Fair: permits are granted in the order of Acquire(); no thread overtakes a waiter. So a request for many that is
// first is granted when there are enough, and those behind it wait meanwhile, also if there are enough for them. A
// request for more than the total waits until it is cancelled, and is in nobody's way. For an OS thread, which cannot
// be cancelled, it is a CHECK.
// Lifetime: the semaphore must outlive its permits and waits; otherwise it is a CHECK.
// Memory ordering: what came before a permit's release happens before what follows the Acquire() that gets it.
// Cancellation: Acquire() is a checkpoint. Permits that were granted are delivered. A cancelled wait holds none.
// Signal handlers must not call it; event.h says what to do instead.
// Cost: a short lock; nothing is allocated, except a frame by TryAcquireFor().
#ifndef WEFT_SYNC_SEMAPHORE_H_
#define WEFT_SYNC_SEMAPHORE_H_

#include "weft/internal/compiler.h"

#include <cstdint>
#include <optional>
#include <source_location>

#include "absl/time/time.h"
#include "weft/cancellation.h"
#include "weft/sync/lock_core.h"
#include "weft/time_span.h"

namespace weft {

class [[nodiscard("a dropped Permit is released at once")]] Permit : public internal::CountedHold {
 public:
  // How many it stands for; 0 if it was released, or moved from.
  int64_t permits() const noexcept { return lock_ == nullptr ? 0 : permits_; }

 private:
  friend class Semaphore;
  friend class internal::LockAwaiter<Permit>;
  Permit(internal::LockCore& semaphore, int64_t permits) noexcept : CountedHold(semaphore, permits) {}
};

class Semaphore {
 public:
  // `permits` >= 0.
  explicit Semaphore(int64_t permits) : lock_(internal::LockKind::kSemaphore, permits) {}

  // Waits until `permits` are free, and takes them together. `permits` >= 0. co_await it; yields a Permit.
  auto Acquire(int64_t permits = 1) noexcept { return internal::LockAwaiter<Permit>(lock_, permits); }
  // The same, for `timeout` at most. Yields a std::optional<Permit>, empty if the time was up first. If `timeout` <= 0
  // it is empty, even if permits are free.
  auto TryAcquireFor(TimeSpan timeout, int64_t permits = 1,
                     std::source_location where = std::source_location::current()) {
    return MoveOnAfter(timeout, Acquire(permits), where);
  }
  // Returns a Permit if so many are free and no thread waits, else nothing. Any thread may call it. Does not wait.
  std::optional<Permit> TryAcquire(int64_t permits = 1) noexcept;
  // Acquire() for an OS thread, which it blocks. On a carrier it is a CHECK, and so are more permits than there are.
  Permit AcquireBlocking(int64_t permits = 1) noexcept;
  // Takes all permits that are free; none if a thread waits for some. Any thread may call it. Does not wait.
  Permit Drain() noexcept;
  // How many permits are free, and how many threads wait, which is O(n). The numbers may have changed by the time they
  // are read.
  int64_t available() noexcept;
  int64_t QueueLength() noexcept { return lock_.QueueLength(); }

 private:
  internal::LockCore lock_;
};

}  // namespace weft

#endif  // WEFT_SYNC_SEMAPHORE_H_

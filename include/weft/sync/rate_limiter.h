// RateLimiter: so many permits a second, shared by all who ask.
//
//   weft::RateLimiter requests({.permits_per_second = 100, .burst = 20});
//   co_await requests.Acquire();          // waits for its time
//   co_await Fetch(page);
//
// Members: Acquire(), TryAcquire(). A permit is used up, and not given back; for a limit on how many do something at a
// time use a Semaphore (semaphore.h).
//
// A token bucket: `burst` permits are there at first, new ones come at an even rate, and no more than `burst` are kept.
// Fair: permits are granted in the order of Acquire(); one who wants few does not overtake one who wants many. The
// average holds: a grant that is late, by a timer's tick (time.h) or because carriers are busy, does not delay the next
// ones. What became due meanwhile can be got beside the burst, by those who were waiting, and by others for as long as
// the grant was late.
//
// In a simulation its time is the virtual one. All threads that use one rate limiter must have the same clock: those of
// one simulation, or any others.
//
// Lifetime: the rate limiter must outlive its waits and the calls to it. It is a CHECK to destroy it while a thread
// waits.
// Memory ordering: what came before an Acquire() happens before what follows a later one.
// Cancellation: Acquire() is a checkpoint. A wait that is cancelled uses no permits, and the next one takes its place.
// Signal handlers must not call it; event.h says what to do instead.
// Cost: an uncontended Mutex, and a frame from the cache; a timer for the first who waits. Waking allocates nothing.
// (What is kept is how many permits are missing, and since when: the generic cell rate algorithm of ATM, in permits.)
#ifndef WEFT_SYNC_RATE_LIMITER_H_
#define WEFT_SYNC_RATE_LIMITER_H_

#include "weft/internal/compiler.h"

#include <cstdint>
#include <source_location>

#include "absl/time/time.h"
#include "weft/internal/atomic.h"
#include "weft/sync/mutex.h"
#include "weft/task.h"

namespace weft {

struct RateLimiterOptions {
  double permits_per_second = 1;  // > 0
  int64_t burst = 1;              // permits, > 0: how many can be got at once when none was used for a while
};

class RateLimiter {
 public:
  explicit RateLimiter(const RateLimiterOptions& options);
  RateLimiter(const RateLimiter&) = delete;
  RateLimiter& operator=(const RateLimiter&) = delete;
  ~RateLimiter();  // a CHECK if a thread waits

  // Waits until it is this thread's turn and `permits`, from 1 to the burst, are there, and uses them.
  Task<void> Acquire(int64_t permits = 1, std::source_location where = std::source_location::current());
  // The same without waiting: false, and nothing is used, if it would have to wait, or while another call has the turn.
  // Any thread may call it.
  bool TryAcquire(int64_t permits = 1);

 private:
  void CheckPermits(int64_t permits) const;
  double MissingAt(int64_t asked_ns, int64_t now_ns) const;
  absl::Duration TimeUntilThere(double missing) const;

  const double rate_;  // permits a nanosecond
  const int64_t burst_;
  Mutex turn_;
  internal::Atomic<uint64_t> first_{0};  // the thread that has the turn; 0: none. relaxed: it is only named
  // ---- Guarded by turn_.
  // As of `at_ns_`, when the last grant was asked for: permits that are not replaced, with those of that grant. So more
  // than the burst if it had to wait; less than 0 if those who waited have not made up yet for a grant that was late.
  double missing_ = 0;
  int64_t at_ns_ = 0;
  // How many permits became due while the last grant that had to wait was late, and until when they make up for that.
  double late_ = 0;
  int64_t made_up_by_ns_ = 0;
};

}  // namespace weft

#endif  // WEFT_SYNC_RATE_LIMITER_H_

// Ticker: something to be done again and again, at times that do not drift.
//
//   weft::Ticker ticker(absl::Seconds(10));                      // or std::chrono::seconds(10)
//   while (true) {
//     weft::Tick tick = co_await ticker.Next();                  // 10, 20, 30 s after the ticker was made
//     Report(tick.missed);
//   }
//
// Except with kDelay, tick n is due at a fixed time, n periods after tick 0: that each one comes a little late (time.h)
// and that the work takes its time does not add up. A tick is missed if no thread waits for it at that time, because
// the work before it took longer than the period. What then happens is chosen (Tokio's MissedTickBehavior). With a
// period of 10, for a thread that comes back to Next() at 35, after tick 0, which was due at 10:
//
//   Missed       Next() returns                                                  for
//   kSkip        at once tick 2, with missed = 1; at 40 tick 3                   reports: only the newest counts
//   kBurst       at once tick 1, then at once tick 2; at 40 tick 3               as many ticks as periods: accounting
//   kDelay       at once tick 1; at 45 tick 2, at 55 tick 3                      at least a period between two: polling
//
// With kDelay each tick, missed or not, is due a period after the one before it has come: only there lateness adds up.
//
// The clock is the monotonic one: nobody sets it, and while the machine is suspended no tick is due (deadline.h). For a
// time of day, like each midnight, loop over SleepUntil() with times of the wall clock. For work that must not wait for
// the work before it, fork each piece, or use a ScheduledExecutor.
//
// One virtual thread uses a Ticker at a time. It is made on one, and may move to others with what it lies in.
// Cancellation: Next() is a checkpoint. A tick that a cancelled Next() waited for is not lost: the next call returns
// it, or it was missed. Same if a Select() of it and others takes another.
// Cost: 32 bytes; a Next() is a sleep. Nothing is allocated.
#ifndef WEFT_TICKER_H_
#define WEFT_TICKER_H_

#include "weft/internal/compiler.h"

#include <coroutine>
#include <cstdint>
#include <optional>
#include <source_location>

#include "absl/time/time.h"
#include "weft/deadline.h"
#include "weft/internal/promise.h"
#include "weft/internal/wait_node.h"
#include "weft/time.h"
#include "weft/time_span.h"

namespace weft {

namespace internal {
class TickAwaiter;
}  // namespace internal

// What Next() returns.
struct Tick {
  int64_t number;     // 0 for the first, 1 for the next. kSkip leaves numbers out
  int64_t missed;     // kSkip: how many it has left out before this one. Else 0
  MonotonicTime due;  // when it should have come
};

class Ticker {
 public:
  enum class Missed : uint8_t { kSkip, kBurst, kDelay };

  struct Options {
    Missed missed = Missed::kSkip;
    // From now to tick 0. Not given: a period. Zero or less: it is due at once.
    std::optional<TimeSpan> initial_delay = std::nullopt;
  };

  // Less than a nanosecond is a CHECK.
  explicit Ticker(TimeSpan period) : Ticker(period, Options()) {}
  Ticker(TimeSpan period, Options options);

  // Waits for the next tick.
  internal::TickAwaiter Next() noexcept;
  // The next tick is due a period from now.
  void Reset() noexcept;

 private:
  friend class internal::TickAwaiter;
  Tick Take(bool was_missed) noexcept;
  MonotonicTime due() const noexcept { return MonotonicTime(absl::Nanoseconds(due_ns_)); }

  const int64_t period_ns_;
  const Missed missed_;
  int64_t number_ = 0;  // of the next tick
  int64_t due_ns_;      // it is due then, on the monotonic clock. INT64_MAX: never
};

// ---------------------------------------------------------------------------------------------------------------------

namespace internal {

// A sleep until the tick is due. It looks at the time when it begins to wait: is the tick missed?
class [[nodiscard("co_await the tick")]] TickAwaiter : public GivesWhenAwaited<Tick>, private SleepUntilAwaiter {
 public:
  using WeftAwaitable = void;
  using IsAwaitedOnce = void;

  explicit TickAwaiter(Ticker& ticker) noexcept : SleepUntilAwaiter(ticker.due()), ticker_(ticker) {}
  TickAwaiter(TickAwaiter&& other) noexcept : TickAwaiter(other.ticker_) {}  // before it is awaited

  bool await_ready() noexcept {
    was_missed_ = IsOver();
    return SleepUntilAwaiter::await_ready();
  }
  template <WeftPromise Promise>
  void await_suspend(std::coroutine_handle<Promise> frame,
                     std::source_location where = std::source_location::current()) noexcept {
    SleepUntilAwaiter::await_suspend(frame, where);
  }
  Tick await_resume() const noexcept { return ticker_.Take(was_missed_); }
  SelectPart ForSelect() noexcept {
    was_missed_ = IsOver();
    return SleepUntilAwaiter::ForSelect();
  }

 private:
  bool IsOver() const noexcept { return MonotonicNow() > ticker_.due(); }

  Ticker& ticker_;
  bool was_missed_ = false;
};

}  // namespace internal

inline internal::TickAwaiter Ticker::Next() noexcept { return internal::TickAwaiter(*this); }

}  // namespace weft

#endif  // WEFT_TICKER_H_

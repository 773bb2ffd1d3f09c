#include "weft/ticker.h"

#include <cstdint>

#include "absl/time/time.h"
#include "lib/timer/deadline.h"
#include "weft/internal/check.h"
#include "weft/internal/wait.h"

namespace weft {
namespace {

int64_t PositiveNanos(absl::Duration period) noexcept {
  const int64_t nanos = absl::ToInt64Nanoseconds(period);
  WEFT_CHECK(nanos > 0) << "the period of a Ticker is " << absl::FormatDuration(period) << ", less than a nanosecond";
  return nanos;
}

}  // namespace

Ticker::Ticker(TimeSpan period, Options options)
    : period_ns_(PositiveNanos(period)),
      missed_(options.missed),
      due_ns_(internal::DeadlineAfter(internal::RuntimeNow(), options.initial_delay.value_or(period))) {}

void Ticker::Reset() noexcept { due_ns_ = internal::SaturatedSum(internal::RuntimeNow(), period_ns_); }

// The wait for the next tick is over. It was missed: its time had passed when the wait began.
Tick Ticker::Take(bool was_missed) noexcept {
  Tick tick = {.number = number_, .missed = 0, .due = due()};
  int64_t last_ns = due_ns_;  // the next one comes a period after that
  if (missed_ == Missed::kDelay) {
    last_ns = internal::RuntimeNow();  // also if a thread waited in time: it may have been resumed late
  } else if (missed_ == Missed::kSkip && was_missed) {
    tick.missed = (internal::RuntimeNow() - due_ns_) / period_ns_;
    tick.number += tick.missed;
    last_ns += tick.missed * period_ns_;
    tick.due = MonotonicTime(absl::Nanoseconds(last_ns));
  }
  number_ = tick.number + 1;
  due_ns_ = internal::SaturatedSum(last_ns, period_ns_);
  return tick;
}

}  // namespace weft

// Layer testing. What is under way in the machine, and when does it arrive?
//
// A list of what is to happen, ordered by virtual time. The simulation lets time pass up to the next of these, as it
// does for timers, and has them happen.
#ifndef WEFT_LIB_TESTING_MACHINE_WIRE_H_
#define WEFT_LIB_TESTING_MACHINE_WIRE_H_

#include <cstdint>
#include <functional>
#include <map>
#include <utility>

#include "lib/os/clock.h"

namespace weft::internal::machine {

class Wire {
 public:
  static constexpr int64_t kNever = INT64_MAX;

  // Null: time stands still, because no simulation uses the machine, and nothing is under way any more. The wall clock
  // of the next simulation goes on from there.
  void SetClock(Clock* clock) noexcept {
    if (clock == nullptr) {
      stopped_at_ns_ = WallNanos();
      due_.clear();
    }
    clock_ = clock;
  }
  bool has_clock() const noexcept { return clock_ != nullptr; }
  int64_t NowNanos() const noexcept { return clock_ == nullptr ? 1 : clock_->NowNanos(); }
  int64_t WallNanos() const noexcept { return clock_ == nullptr ? stopped_at_ns_ : clock_->WallNanos(); }

  // Has `what` happen at that time. What is due at the same time happens in the order of these calls.
  void At(int64_t time_ns, std::function<void()> what) { due_.emplace(time_ns, std::move(what)); }

  int64_t NextNanos() const noexcept { return due_.empty() ? kNever : due_.begin()->first; }

  // Has everything happen that is due, also what that causes.
  void RunDue() {
    while (NextNanos() <= NowNanos()) {
      const std::function<void()> what = std::move(due_.begin()->second);
      due_.erase(due_.begin());
      what();
    }
  }

 private:
  Clock* clock_ = nullptr;
  int64_t stopped_at_ns_ = 1'577'836'800'000'000'000;  // of the wall clock: 2020-01-01 UTC
  std::multimap<int64_t, std::function<void()>> due_;
};

}  // namespace weft::internal::machine

#endif  // WEFT_LIB_TESTING_MACHINE_WIRE_H_

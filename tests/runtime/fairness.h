// What the scenarios of fairness_test.cc share: who counts, how threads are kept runnable, and the tables.
#ifndef WEFT_TESTS_RUNTIME_FAIRNESS_H_
#define WEFT_TESTS_RUNTIME_FAIRNESS_H_

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "lib/runtime/duties.h"
#include "weft/ext/scheduling_observer.h"
#include "weft/task.h"
#include "weft/time.h"

namespace weft::testing {

// The turns that each carrier has made, and the longest wait.
class Fairness final : public ext::SchedulingObserver {
 public:
  // As many turns by each carrier.
  using Moment = std::array<int64_t, 64>;

  void OnMount(const ext::ThreadEvent& event) noexcept override { ++turns_[event.carrier]; }

  // How many can be runnable at once, and of how many turns of a carrier one of theirs consists.
  void Expect(int64_t runnable, int64_t turns = 1) {
    // The driver and the timers are looked at after 61 turns at the latest.
    limit_ = turns * (2 * runnable + 2 * internal::Duties::kDispatchesPerPoll);
  }

  Moment Now() const noexcept { return turns_; }
  // By a thread in its turn, that was runnable since then.
  void Ran(const Moment& since) noexcept {
    for (size_t i = 0; i < turns_.size(); ++i) longest_ = std::max(longest_, turns_[i] - since[i]);
    ++waits_;
  }

  int64_t longest() const { return longest_; }
  int64_t limit() const { return limit_; }
  int64_t waits() const { return waits_; }

 private:
  Moment turns_{};
  int64_t longest_ = 0;
  int64_t limit_ = 0;
  int64_t waits_ = 0;
};

inline Task<void> YieldsUntil(Fairness& fairness, const bool& done) {
  while (!done) {
    const Fairness::Moment runnable = fairness.Now();
    co_await Yield();
    fairness.Ran(runnable);
  }
}

inline Task<void> Yields(Fairness& fairness, int times, int& left) {
  for (int i = 0; i < times; ++i) {
    const Fairness::Moment runnable = fairness.Now();
    co_await Yield();
    fairness.Ran(runnable);
  }
  --left;
}

inline Task<void> UntilNone(const int& left) {
  while (left > 0) co_await Yield();
}

// Forks as a server does, few at a time, which then come to wait: forks let a deque grow, which wake-ups may not.
class FewAtATime {
 public:
  // By the child, before it waits.
  void Waits() { --to_wait_; }
  // By the parent, after each fork.
  Task<void> Forked() {
    if (++to_wait_ == 50) co_await All();
  }
  // Until all wait.
  Task<void> All() { return UntilNone(to_wait_); }

 private:
  int to_wait_ = 0;
};

struct Scenario {
  const char* name;
  Task<void> (*run)(Fairness&);
};

// Of threads, what they wait for, and time. (fairness_scenarios.cc)
std::vector<Scenario> ThreadScenarios();
// Of each kind of descriptor. (fairness_io_scenarios.cc)
std::vector<Scenario> IoScenarios();

}  // namespace weft::testing

#endif  // WEFT_TESTS_RUNTIME_FAIRNESS_H_

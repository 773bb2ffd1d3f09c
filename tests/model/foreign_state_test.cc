// The end of foreign work. Goal: the thread goes on once, whenever the work ends, and sees its result; and nobody
// touches what lay in its frame after that. Method: a carrier that parks the thread, somebody who ends the work, and
// somebody who asks the thread to end, with the state word between them; whoever is told to run the thread gives that
// memory up.
#include "lib/runtime/foreign_state.h"

#include <gtest/gtest.h>

#include <cstdint>

#include "lib/testing/model/checker.h"
#include "lib/thread/thread_state.h"
#include "tests/model/component.h"
#include "weft/internal/atomic.h"

namespace weft::internal {
namespace {

using model::Cell;
using model::Require;

// Thread 0 is the carrier (Carrier::AfterForeign), 1 ends the work (ForeignCall::End), 2 brings a request.
template <int threads>
class Working {
 public:
  static constexpr int kThreads = threads;

  void Thread(int index) {
    switch (index) {
      case 0:
        return Return();
      case 1:
        return End();
      default:
        return Request();
    }
  }

  void Finish() { Require(went_on_.Get() == 1, "the thread goes on once"); }

 private:
  void Return() {
    ThreadState::Snapshot seen = state_.Observe();
    frame_.Set(1);
    if (!foreign_.Park()) return GoOn();
    frame_.Set(2);  // the carrier stands in it until it has parked the thread
    for (;;) {
      switch (state_.Park(seen)) {
        case ThreadState::ParkOutcome::kParked:
          return;
        case ThreadState::ParkOutcome::kNotified:
          return GoOn();
        case ThreadState::ParkOutcome::kRequested:
          seen = state_.Observe();  // such a wait is not taken back
          continue;
      }
    }
  }

  void End() {
    result_.Set(42);
    if (foreign_.End() && state_.Wake() == ThreadState::WakeOutcome::kSchedule) GoOn();
  }

  void Request() {
    static_cast<void>(state_.Request());
    if (state_.Claim() && state_.EndCancel(/*withdrawn=*/false)) GoOn();
  }

  void GoOn() {
    frame_.Set(3);
    Require(result_.Get() == 42, "who goes on sees the result");
    went_on_.Set(went_on_.Get() + 1);
    model::Retire(word());
  }

  // The state is nothing but its word.
  const Atomic<uint32_t>& word() const { return reinterpret_cast<const Atomic<uint32_t>&>(foreign_); }

  ForeignState foreign_;
  ThreadState state_;
  Cell<int> frame_{0};
  Cell<int> result_{0};
  Cell<int> went_on_{0};
};

const model::Component& ForeignComponent() {
  static const model::Component component = {
      "foreign",
      {model::Of<Working<2>>("an end and a park", {.preemptions = model::kUnbounded, .spurious_failures = 1}),
       model::Of<Working<3>>("an end, a park and a request", {.preemptions = 4})}};
  return component;
}

TEST(ForeignStateModelTest, TheThreadGoesOnOnceAndSeesTheResult) { model::Prove(ForeignComponent()); }

TEST(ForeignStateModelTest, NoOrderCouldBeWeaker) { model::RefuteWeakerOrders(ForeignComponent()); }

}  // namespace
}  // namespace weft::internal

// What happens once, and OS threads that sleep until it has. Goal: one claimer; whoever sees that it is done sees what
// was written before; no sleeper is forgotten; and the last one may free the word while the finisher still wakes the
// others. Method: threads that claim and finish, that look, and that sleep.
#include "lib/executor/done_word.h"

#include <gtest/gtest.h>

#include <cstdint>

#include "lib/os/futex.h"
#include "lib/testing/model/checker.h"
#include "tests/model/component.h"
#include "weft/executor/done_word.h"
#include "weft/internal/atomic.h"

namespace weft::internal {
namespace {

using model::Cell;
using model::Require;

// Thread 0 finishes, and so may the others, which then wait in any case: by sleeping or by looking.
template <int threads>
class Finishing {
 public:
  static constexpr int kThreads = threads;

  Finishing() {
    for (bool& sleeps : sleeps_) sleeps = model::Choose(2) == 1;
  }

  void Thread(int index) {
    if (index < 2 && word_.Claim()) {
      outcome_.Set(index + 1);
      if (word_.Finish()) word_.WakeSleepers();
      return;
    }
    if (sleeps_[index]) {
      Require(word_.Await(kNoDeadlineNs), "there is no deadline");
    } else if (!word_.done()) {
      return;
    }
    Require(outcome_.Get() == 1 || outcome_.Get() == 2, "one of the two has written it");
  }

  void Finish() { Require(word_.done() && outcome_.Get() != 0, "it has happened"); }

 private:
  DoneWord word_;
  Cell<int> outcome_{0};
  bool sleeps_[threads];
};

const model::Component& DoneWordComponent() {
  static const model::Component component = {
      "done_word",
      {model::Of<Finishing<2>>("2 threads", {.preemptions = model::kUnbounded}),
       model::Of<Finishing<3>>("3 threads", {}),
       model::Of<Finishing<4>>("4 threads", {}),
       model::Of<Finishing<3>>("a sleep that ends for nothing", {.preemptions = 4, .spurious_wakes = 2})}};
  return component;
}

TEST(DoneWordModelTest, ItHappensOnceAndNoSleeperIsForgotten) { model::Prove(DoneWordComponent()); }

TEST(DoneWordModelTest, NoOrderCouldBeWeaker) { model::RefuteWeakerOrders(DoneWordComponent()); }

}  // namespace
}  // namespace weft::internal

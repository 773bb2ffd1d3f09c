// The count of a scope's children. Goal: whatever of them ends where, the owner goes on once, after all, and sees what
// they did. Method: children that end in their owner's place, and others that end elsewhere, some of which fork once
// more.
#include "lib/thread/join_count.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <mutex>

#include "lib/os/futex.h"
#include "lib/testing/model/checker.h"
#include "tests/model/component.h"
#include "weft/internal/atomic.h"
#include "weft/internal/lock.h"

namespace weft::internal {
namespace {

using enum std::memory_order;
using model::Cell;
using model::Require;

// How the owner waits.
enum class Waiting {
  kJoin,      // until it is resumed
  kWithdraw,  // and takes that back once
  kBlock,     // on its OS thread
};

template <int others, int operations>
class Joining {
 public:
  static constexpr int kThreads = 1 + others;

  // Each of the others has so many children to end. What is left of them has ended, or will, in the owner's place.
  explicit Joining(Waiting waiting) : waiting_(waiting), children_(kLocal + others * operations) {
    for (bool& forks : forks_) forks = model::Choose(2) == 1;
  }

  void Thread(int index) {
    if (index != 0) {
      for (int i = 0; i < operations; ++i) EndElsewhere(index - 1, i);
      return;
    }
    for (Cell<int>& result : in_place_) {
      result.Set(1);
      children_.EndLocal();
    }
    switch (waiting_) {
      case Waiting::kWithdraw:
        if (children_.Wait()) return GoOn();
        if (!children_.Withdraw()) return;  // somebody resumes it
        [[fallthrough]];
      case Waiting::kJoin:
        if (children_.Drained() || children_.Wait()) GoOn();
        return;
      case Waiting::kBlock:
        if (!children_.Block()) {
          while (!children_.BlockedDrained()) {
            FutexWait(rung_, 0);
            rung_.exchange(0, acquire);
          }
        }
        children_.Unblock();
        return GoOn();
    }
  }

  void Finish() { Require(went_on_.Get() == 1, "the owner goes on once"); }

 private:
  static constexpr int kLocal = 2;

  void EndElsewhere(int other, int i) {
    if (forks_[other] && i == 0) {
      children_.Add();
      End(children_.End());  // the child's child
    }
    results_[other][i].Set(1);
    End(children_.End());
  }

  void End(JoinCount::Last last) {
    switch (last) {
      case JoinCount::Last::kNo:
        return;
      case JoinCount::Last::kResume:
        return GoOn();
      case JoinCount::Last::kRing:
        // A ring orders: weaker, who was rung could look at the count as it was before, and sleep again.
        rung_.exchange(1, release);
        FutexWake(rung_, 1);
        return;
    }
  }

  // The owner, wherever it is.
  void GoOn() {
    went_on_.Set(went_on_.Get() + 1);
    for (auto& other : results_) {
      for (Cell<int>& result : other) Require(result.Get() == 1, "the owner sees what its children did");
    }
    for (Cell<int>& result : in_place_) Require(result.Get() == 1, "and those that ended in its place");
    // The next round: it holds the count again.
    children_.AddLocal();
    Require(!children_.Drained(), "a child is counted");
    children_.EndLocal();
    Require(children_.Drained(), "nothing is left");
    Require(children_.Wait(), "nobody is left to wait for");
  }

  const Waiting waiting_;
  bool forks_[others];
  JoinCount children_;
  Atomic<uint32_t> rung_{0};
  Cell<int> in_place_[kLocal];
  Cell<int> results_[others][operations];
  Cell<int> went_on_{0};
};

// The scope of an All, and a canceller from outside, who takes the child for live: it adds itself while the record is
// there, and its End() may come at any time. Whoever sees the last of the children closes the record, looks again, and
// only then the frame goes.
class CancelledFromOutside {
 public:
  static constexpr int kThreads = 3;

  void Thread(int index) {
    switch (index) {
      case 0:
        if (children_.Drained() || children_.Wait()) Close();
        return;
      case 1:
        if (children_.End() == JoinCount::Last::kResume) Close();
        return;
      case 2: {
        {
          std::lock_guard guard(records_lock_);
          if (!open_.Get()) return;
          children_.Add();
        }
        Require(frame_.Get() == 1, "the frame stays while a shutdown is carried on");
        if (children_.End() == JoinCount::Last::kResume) Close();
        return;
      }
    }
  }

  void Finish() { Require(frame_.Get() == 0, "the owner goes on once"); }

 private:
  // Carrier::CompleteJoin().
  void Close() {
    bool was_open;
    {
      std::lock_guard guard(records_lock_);
      was_open = open_.Get();
      open_.Set(false);
    }
    if (was_open && !children_.Drained() && !children_.Wait()) return;
    Require(frame_.Get() == 1, "the owner goes on once");
    frame_.Set(0);
  }

  JoinCount children_{1};
  Lock records_lock_;
  Cell<bool> open_{true};
  Cell<int> frame_{1};
};

const model::Component& JoinComponent() {
  static const model::Component component = {
      "join",
      {model::Of<CancelledFromOutside>("cancelled from outside", {}),
       model::Of<Joining<1, 3>>("2 threads x 3 operations", {.preemptions = model::kUnbounded}, Waiting::kJoin),
       model::Of<Joining<1, 3>>("2 threads x 3 operations, withdrawn", {.preemptions = model::kUnbounded},
                                Waiting::kWithdraw),
       model::Of<Joining<1, 3>>("2 threads x 3 operations, blocked", {.preemptions = model::kUnbounded},
                                Waiting::kBlock),
       model::Of<Joining<2, 2>>("3 threads x 2 operations", {.preemptions = 3}, Waiting::kJoin),
       model::Of<Joining<2, 2>>("3 threads x 2 operations, withdrawn", {.preemptions = 3},
                                Waiting::kWithdraw),
       model::Of<Joining<2, 2>>("3 threads x 2 operations, blocked",
                                {.preemptions = 3, .spurious_wakes = 1}, Waiting::kBlock)}};
  return component;
}

TEST(JoinCountModelTest, TheOwnerGoesOnOnceAfterAllAndSeesWhatTheyDid) { model::Prove(JoinComponent()); }

TEST(JoinCountModelTest, NoOrderCouldBeWeaker) { model::RefuteWeakerOrders(JoinComponent()); }

}  // namespace
}  // namespace weft::internal

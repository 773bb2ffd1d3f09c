// The drain of a cancelled owner, and whoever waits for a lock that it holds. Goal: the owner goes on once; and if a
// lock of its is waited for, before the children have ended. Method: an owner that begins to drain while a child, or a
// stranger, begins to wait for its lock, and while the last child ends.
#include "lib/cancel/drain.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <mutex>

#include "lib/testing/model/checker.h"
#include "lib/thread/join_count.h"
#include "tests/model/component.h"
#include "weft/internal/lock.h"

namespace weft::internal {
namespace {

using model::Cell;
using model::Require;

// Who waits for the lock, and what else goes on.
enum class Waiter {
  kChild,     // the only child, which ends when it has had the lock
  kStranger,  // somebody else, while the only child ends by itself
};

template <Waiter waiter>
class Draining {
 public:
  static constexpr int kThreads = waiter == Waiter::kChild ? 2 : 3;

  Draining() {
    held_.SetHolder(kOwner, kOpened);
    drain_.owner = kOwner;
    drain_.since = kOpened;
    drain_.children = &children_;
  }

  void Thread(int index) {
    switch (index) {
      case 0:  // the owner's carrier; Carrier::EnterDrain()
        if (drains_.Enter(drain_, [] {})) return GoOn();
        if (wanted_.AnyHeldBy(kOwner, kOpened)) Press();
        return;
      case 1:  // LockCore::Suspend()
        if (Queue()) return Press();
        return HaveLock();
      case 2:
        return EndChild();
    }
  }

  void Finish() {
    Require(went_on_.Get() == 1, "the owner goes on once");
    Require(had_lock_.Get() == 1, "whoever waits for the lock gets it");
  }

 private:
  static constexpr ThreadKey kOwner = {nullptr, 1};
  static constexpr uint32_t kOpened = 1;

  // False: it was free, and is taken.
  bool Queue() {
    std::lock_guard guard(lock_);
    if (!locked_.Get()) return false;
    waits_.Set(true);
    wanted_.Add(held_);
    return true;
  }
  void HaveLock() {
    had_lock_.Set(had_lock_.Get() + 1);
    if (waiter == Waiter::kChild) EndChild();
  }
  void EndChild() {
    if (children_.End() == JoinCount::Last::kResume) GoOn();
  }
  void Press() {
    if (Drain* drain = drains_.Press(kOwner, kOpened)) {
      Require(drain == &drain_, "it is the drain of the holder");
      GoOn();
    }
  }

  // The owner, wherever it is: destroys the frame, and with it the guard.
  void GoOn() {
    went_on_.Set(went_on_.Get() + 1);
    drains_.Leave(drain_);
    const bool pressed = drain_.pressed != Drain::kNotPressed;
    Require(pressed || children_.Drained(), "it waits for the children, unless it was pressed");
    bool handed_over;
    {
      std::lock_guard guard(lock_);
      locked_.Set(false);
      handed_over = waits_.Get();
      if (handed_over) wanted_.Remove(held_);
    }
    if (handed_over) HaveLock();
  }

  JoinCount children_{1};
  Drain drain_;
  Drains drains_;
  WantedLocks wanted_;
  HeldLock held_;
  Lock lock_;
  Cell<bool> locked_{true};
  Cell<bool> waits_{false};
  Cell<int> had_lock_{0};
  Cell<int> went_on_{0};
};

const model::Component& DrainComponent() {
  static const model::Component component = {
      "drain",
      {model::Of<Draining<Waiter::kChild>>("a child waits for the lock", {.preemptions = model::kUnbounded}),
       model::Of<Draining<Waiter::kStranger>>("a stranger does, while the child ends", {.preemptions = 3})}};
  return component;
}

TEST(DrainModelTest, TheOwnerGoesOnOnceAndGivesBackWhatIsWaitedFor) { model::Prove(DrainComponent()); }

}  // namespace
}  // namespace weft::internal

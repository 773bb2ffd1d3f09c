// The state word of a virtual thread. Goal: at any time one owner, who sees all that the owners before have done; no
// wake-up is lost, none is done twice, and no request stays behind with the thread parked. Method: a virtual thread
// that waits several times, and others who wake it and ask it to end. Whoever is told to schedule it runs it on, so
// that two owners at once are a race on its frame.
#include "weft/internal/thread_state.h"

#include <gtest/gtest.h>

#include <mutex>

#include "lib/testing/model/checker.h"
#include "tests/model/component.h"
#include "weft/internal/atomic.h"
#include "weft/internal/lock.h"

namespace weft::internal {
namespace {

using enum std::memory_order;
using model::Cell;
using model::Require;

// What stands around the state word in lib/runtime: a registration, which is taken back or answered once; the boundary,
// with its lock; and the thread's body.
class WaitingThread {
 public:
  explicit WaitingThread(int waits) : waits_left_(waits) {}

  // By its owner: until it parks, or ends.
  void Run() {
    for (;;) {
      frame_.Set(frame_.Get() + 1);
      awaiter_.Set(kGone);
      brought_.Get();
      if (unwind_.Get()) {
        unwind_.Set(false);
        Deliver();
      }
      if (waits_left_.Get() == 0) {
        result_.Set(1);
        state_.End();
        return;
      }
      waits_left_.Set(waits_left_.Get() - 1);
      ThreadState::Snapshot seen = state_.Observe();
      if (seen.requested() && Deliver()) continue;
      awaiter_.Set(kWaits);
      registered_.store(1, release);
      frame_.Set(frame_.Get() + 1);  // it suspends, and may have been woken already
      if (ParkIsLast(seen)) return;
    }
  }

  void Wake() {
    if (!TakeRegistration()) return;
    brought_.Set(1);
    if (state_.Wake() == ThreadState::WakeOutcome::kSchedule) Run();
  }

  // Hidden: by a shield, so that it is no reason to end the wait.
  void Request(bool hidden) {
    bool runnable = false;
    {
      std::lock_guard guard(records_lock_);
      if (!hidden) {
        if (requested_.Get()) return;
        requested_.Set(true);
      }
      if (state_.Request(/*interrupt=*/!hidden) == ThreadState::RequestOutcome::kClaimed) {
        Require(awaiter_.Get() == kWaits, "a thread that is claimed still waits");
        const bool withdrawn = TakeRegistration();
        if (withdrawn) unwind_.Set(true);
        runnable = state_.EndCancel(withdrawn);
      }
    }
    if (runnable) Run();
  }

  // Whoever has a handle.
  void Look() {
    if (state_.ended()) Require(result_.Get() == 1, "a thread that has ended has its result");
  }

  void Finish() {
    const ThreadState::Phase phase = state_.Observe().phase();
    const bool parked = phase == ThreadState::Phase::kParked;
    Require(parked || phase == ThreadState::Phase::kEnded, "a thread is parked or has ended when nobody runs it");
    Require(parked == (registered_.load() == 1), "a thread is parked exactly while its wait is not answered");
    Require(!parked || !requested_.Get(), "no request stays behind with the thread parked");
  }

 private:
  bool TakeRegistration() { return registered_.exchange(0, acq_rel) == 1; }

  // False: there was nothing that is not hidden.
  bool Deliver() {
    std::lock_guard guard(records_lock_);
    if (!requested_.Get()) return false;
    requested_.Set(false);
    state_.ClearRequested();
    return true;
  }

  bool ParkIsLast(ThreadState::Snapshot seen) {
    for (;;) {
      switch (state_.Park(seen)) {
        case ThreadState::ParkOutcome::kParked:
          return true;
        case ThreadState::ParkOutcome::kNotified:
          return false;
        case ThreadState::ParkOutcome::kRequested: {
          std::lock_guard guard(records_lock_);
          seen = state_.Observe();
          if (!requested_.Get() || !TakeRegistration()) continue;
          unwind_.Set(true);
          return false;
        }
      }
    }
  }

  enum Awaiter { kGone, kWaits };

  ThreadState state_;
  Lock records_lock_;
  Atomic<int> registered_{0};
  Cell<bool> requested_{false};
  // ---- The owner's.
  Cell<int> frame_{0};
  Cell<int> waits_left_;
  Cell<int> awaiter_{kGone};  // lies in the frame, and goes with its next step
  Cell<int> brought_{0};
  Cell<int> result_{0};
  Cell<bool> unwind_{false};
};

enum Operation { kWake, kRequest, kRequestHidden };

// Thread 0 waits as often as each of the others does something to it: whatever of the first `kinds`.
template <int threads, int operations, int kinds>
class Waiting {
 public:
  static constexpr int kThreads = threads;
  Waiting() {
    // Those that do the same in other roles are the same program.
    int last = 0;
    for (int i = 1; i < threads; ++i) {
      const int combination = last + model::Choose(kCombinations - last);
      for (int j = 0, left = combination; j < operations; ++j, left /= kinds) operations_[i - 1][j] = left % kinds;
      last = combination;
    }
  }
  void Thread(int index) {
    if (index == 0) return thread_.Run();
    for (int i = 0; i < operations; ++i) Do(operations_[index - 1][i]);
  }
  void Finish() { thread_.Finish(); }

 private:
  void Do(int operation) {
    switch (operation) {
      case kWake:
        return thread_.Wake();
      case kRequest:
        return thread_.Request(/*hidden=*/false);
      case kRequestHidden:
        return thread_.Request(/*hidden=*/true);
    }
  }

  static constexpr int kCombinations = operations == 3 ? kinds * kinds * kinds : kinds * kinds;

  int operations_[threads - 1][operations];
  WaitingThread thread_{operations};
};

// A handle is looked at while the thread ends.
class Ending {
 public:
  static constexpr int kThreads = 3;
  void Thread(int index) {
    if (index == 0) return thread_.Run();
    if (index == 1) return thread_.Wake();
    thread_.Look();
  }
  void Finish() { thread_.Finish(); }

 private:
  WaitingThread thread_{1};
};

const model::Component& ThreadStateComponent() {
  static const model::Component component = {
      "thread",
      {model::Of<Waiting<2, 3, 3>>("2 threads x 3 operations", {.spurious_failures = 1}),
       model::Of<Waiting<3, 2, 2>>("3 threads x 2 operations, no hidden requests", {}),
       model::Nightly(model::Of<Waiting<3, 2, 3>>("3 threads x 2 operations", {})),
       model::Of<Ending>("a look at the end", {})}};
  return component;
}

TEST(ThreadStateModelTest, OneOwnerAtATimeAndNoWakeUpOrRequestIsLost) { model::Prove(ThreadStateComponent()); }

TEST(ThreadStateModelTest, NoOrderCouldBeWeaker) { model::RefuteWeakerOrders(ThreadStateComponent()); }

}  // namespace
}  // namespace weft::internal

// The permit of Park() and Unpark(). Goal: no Unpark() is lost, none counts twice, and a park that is cancelled leaves
// the permit where it is. Method: a thread that parks until it sees what others have written, as the users of
// LockSupport do; others that write and unpark; and one that cancels. A thread that waits stops there; whoever wakes it
// runs it on.
#include "lib/thread/park_permit.h"

#include <gtest/gtest.h>

#include "lib/testing/model/checker.h"
#include "lib/thread/thread_state.h"
#include "tests/model/component.h"
#include "weft/internal/atomic.h"
#include "weft/internal/lock.h"

namespace weft::internal {
namespace {

using model::Cell;
using model::Require;

// What stands around the permit in the carrier and in cancel_request.cc.
class Parker {
 public:
  explicit Parker(int wanted) : wanted_(wanted) {}

  // The thread itself: parks until as many have written as it wants.
  void Run() {
    while (SeenSoFar() < wanted_) {
      ThreadState::Snapshot seen = state_.Observe();
      if (seen.requested()) return End();
      if (permit().Take()) continue;
      if (!permit().RegisterOrTake()) continue;
      if (ParkIsLast(seen)) return;
      if (unwind_.Get()) return End();
    }
    End();
  }
  // relaxed: the permit orders it.
  void Write() { written_.fetch_add(1, std::memory_order_relaxed); }
  void Unpark() {
    if (!permit().Give()) return;
    if (state_.Wake() == ThreadState::WakeOutcome::kSchedule) GoOn();
  }
  void Cancel() {
    bool runnable = false;
    {
      std::lock_guard guard(records_lock_);
      requested_.Set(true);
      static_cast<void>(state_.Request());
      if (state_.Claim()) {
        const bool withdrawn = permit().Withdraw();
        if (withdrawn) unwind_.Set(true);
        runnable = state_.EndCancel(withdrawn);
      }
    }
    if (runnable) GoOn();
  }

  bool ended() const { return state_.Observe().phase() == ThreadState::Phase::kEnded; }
  // When nobody runs: is the permit there?
  bool GivenNow() { return permit().Take(); }

 private:
  ParkPermit permit() { return ParkPermit(word_); }
  int SeenSoFar() const { return written_.load(std::memory_order_relaxed); }
  void GoOn() {
    if (unwind_.Get()) return End();
    Run();
  }
  void End() { state_.End(); }

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
          if (!requested_.Get() || !permit().Withdraw()) continue;
          unwind_.Set(true);
          return false;
        }
      }
    }
  }

  const int wanted_;
  Atomic<uint32_t> word_{0};
  Atomic<int> written_{0};
  ThreadState state_;
  Lock records_lock_;
  Cell<bool> requested_{false};  // guarded by records_lock_
  Cell<bool> unwind_{false};
};

// Thread 0 parks until `writers` have written, each of which writes and unparks once.
template <int writers>
class Unparked {
 public:
  static constexpr int kThreads = 1 + writers;

  void Thread(int index) {
    if (index == 0) return parker_.Run();
    parker_.Write();
    parker_.Unpark();
  }
  void Finish() { Require(parker_.ended(), "no Unpark() is lost"); }

 private:
  Parker parker_{writers};
};

// The same for one writer, while another thread cancels.
class Cancelled {
 public:
  static constexpr int kThreads = 3;

  void Thread(int index) {
    if (index == 0) return parker_.Run();
    if (index == 2) return parker_.Cancel();
    parker_.Write();
    parker_.Unpark();
  }
  void Finish() { Require(parker_.ended(), "a thread that is cancelled and unparked ends"); }

 private:
  Parker parker_{1};
};

// One that unparks twice before the thread parks, and the thread takes one permit.
class GivenTwice {
 public:
  static constexpr int kThreads = 2;

  void Thread(int index) {
    if (index == 0) {
      word_taken_.Set(ParkPermit(word_).Take() ? 1 : 0);
      return;
    }
    Require(!ParkPermit(word_).Give(), "nobody waits");
    Require(!ParkPermit(word_).Give(), "nobody waits");
  }
  void Finish() {
    const int left = ParkPermit(word_).Take() ? 1 : 0;
    Require(!ParkPermit(word_).Take(), "there is one permit at most");
    Require(word_taken_.Get() + left >= 1, "a permit is there, or was taken");
  }

 private:
  Atomic<uint32_t> word_{0};
  Cell<int> word_taken_{0};
};

const model::Component& Permit() {
  static const model::Component component = {
      "permit",
      {
          model::Of<Unparked<1>>("one unparks", {}),
          model::Of<Unparked<2>>("two unpark", {}),
          model::Of<Cancelled>("one unparks and one cancels", {}),
          model::Of<GivenTwice>("given twice", {}),
      }};
  return component;
}

TEST(ParkPermitModelTest, NoUnparkIsLostAndNoneCountsTwice) { Prove(Permit()); }
TEST(ParkPermitModelTest, NoOrderCouldBeWeaker) { RefuteWeakerOrders(Permit()); }

}  // namespace
}  // namespace weft::internal

// A virtual thread of a model program: what stands around a wait in the carrier, which parks the thread, and in
// cancel_request.cc, which ends the wait.
//
//   class Waiter : public ParkingThread<Waiter> {...};     // has Withdraw() and GoOn(), private, and this as a friend
//
//   const ThreadState::Snapshot seen = state().Observe();
//   ...                                                    // begins to wait; others may wake it
//   if (!ParkIsLast(seen)) GoOn();                         // otherwise whoever wakes or cancels it calls that
#ifndef WEFT_TESTS_MODEL_PARKING_THREAD_H_
#define WEFT_TESTS_MODEL_PARKING_THREAD_H_

#include <mutex>

#include "lib/testing/model/checker.h"
#include "lib/thread/thread_state.h"
#include "weft/internal/lock.h"
#include "weft/internal/wait_node.h"

namespace weft::internal::model {

template <class Derived>
class ParkingThread : public WaitNode {
 public:
  // As of a control block: whoever cancels the wait sets it.
  struct Unwind {
    void operator=(bool value) { cell.Set(value); }
    explicit operator bool() const { return cell.Get(); }

    Cell<bool> cell{false};
  };

  void Wake() {
    if (state_.Wake() == ThreadState::WakeOutcome::kSchedule) derived().GoOn();
  }
  void Cancel() {
    bool runnable = false;
    {
      std::lock_guard guard(records_lock_);
      requested_.Set(true);
      static_cast<void>(state_.Request());
      if (state_.Claim()) {
        const bool withdrawn = derived().Withdraw();
        if (withdrawn) unwind = true;
        runnable = state_.EndCancel(withdrawn);
      }
    }
    if (runnable) derived().GoOn();
  }

  // At the end.
  bool requested() const { return requested_.Get(); }

  void* waiting_on = nullptr;
  Unwind unwind;

 protected:
  ThreadState& state() { return state_; }

  // True: it is parked, and does no more. False: it goes on at once, woken or cancelled.
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
          if (!requested_.Get() || !derived().Withdraw()) continue;
          unwind = true;
          return false;
        }
      }
    }
  }

 private:
  Derived& derived() { return static_cast<Derived&>(*this); }

  ThreadState state_;
  Lock records_lock_;
  Cell<bool> requested_{false};  // guarded by records_lock_
};

}  // namespace weft::internal::model

#endif  // WEFT_TESTS_MODEL_PARKING_THREAD_H_

// The doorbell. Goal: what was done before a ring is seen by the owner after it has taken the ring, and no ring leaves
// it asleep, wherever it sleeps. Method: ringers that make work known by relaxed stores and ring; an owner that looks,
// and sleeps as Driver::Poll() does, in the kernel and on its futex by turns. Its EventFd is a word that orders
// nothing.
#include "lib/driver/doorbell.h"

#include <gtest/gtest.h>

#include <cstdint>

#include "lib/os/futex.h"
#include "lib/testing/model/checker.h"
#include "tests/model/component.h"
#include "weft/internal/atomic.h"

namespace weft::internal {
namespace {

using enum std::memory_order;
using model::Cell;
using model::Require;

class SilentEventFd {
 public:
  void Signal() {
    signalled_.store(1, relaxed);
    FutexWake(signalled_, 1);
  }
  // Waits for a signal, which stays until it is drained.
  void Wait() {
    FutexWait(signalled_, 0);
    signalled_.store(0, relaxed);
  }

 private:
  Atomic<uint32_t> signalled_{0};
};

// `promoters` wake the owner from its futex once, as a backend does to give it another role.
template <int ringers, int rings, int promoters = 0>
class Ringing {
 public:
  static constexpr int kThreads = ringers + promoters + 1;
  static constexpr bool kMayEndWaiting = true;

  Ringing() : sleep_(model::Choose(2) == 0 ? Doorbell::kInKernel : Doorbell::kOnFutex) {}

  void Thread(int index) {
    if (index == ringers + promoters) return Own();
    if (index >= ringers) return doorbell_.WakeFromFutex();
    for (int i = 0; i < rings; ++i) {
      work_[index].fetch_add(1, relaxed);
      if (doorbell_.Ring()) event_.Signal();
    }
  }

  void Finish() {
    for (Atomic<int>& work : work_) Require(work.load() == 0, "no work is left while the owner sleeps");
  }

 private:
  void Own() {
    for (;;) {
      for (Atomic<int>& work : work_) work.exchange(0, relaxed);
      Poll();
    }
  }

  void Poll() {
    if (doorbell_.TakeRing()) return;
    do {
      doorbell_.LieDown(sleep_);
      if (doorbell_.MaySleep()) {
        if (sleep_ == Doorbell::kInKernel) {
          event_.Wait();
        } else {
          doorbell_.SleepOnFutex(kNoDeadlineNs);
        }
      }
      doorbell_.GetUp();
      sleep_ = sleep_ == Doorbell::kInKernel ? Doorbell::kOnFutex : Doorbell::kInKernel;
    } while (!doorbell_.TakeRing());
  }

  Doorbell doorbell_;
  SilentEventFd event_;
  Atomic<int> work_[ringers];
  Doorbell::Sleep sleep_;  // the owner's
};

// A ring carries what was done before it, however the owner comes to see it.
class Publishing {
 public:
  static constexpr int kThreads = 2;

  void Thread(int index) {
    if (index == 0) {
      data_.Set(1);
      (void)doorbell_.Ring();
    } else if (doorbell_.TakeRing()) {
      Require(data_.Get() == 1, "who takes the ring sees what was done before");
    }
  }
  void Finish() {}

 private:
  Doorbell doorbell_;
  Cell<int> data_{0};
};

const model::Component& DoorbellComponent() {
  static const model::Component component = {
      "doorbell",
      {model::Of<Publishing>("a ring and what was done before", {.preemptions = model::kUnbounded}),
       model::Of<Ringing<1, 2>>("a ringer of 2", {.spurious_wakes = 1}), model::Of<Ringing<2, 1>>("2 ringers", {}),
       model::Of<Ringing<1, 2, 1>>("a ringer, and one that wakes for another reason", {}),
       model::Of<Ringing<2, 2>>("2 ringers of 2", {})}};
  return component;
}

TEST(DoorbellModelTest, NoRingIsLostAndNoWorkIsLeft) { model::Prove(DoorbellComponent()); }

TEST(DoorbellModelTest, NoOrderCouldBeWeaker) { model::RefuteWeakerOrders(DoorbellComponent()); }

}  // namespace
}  // namespace weft::internal

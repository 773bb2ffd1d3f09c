// The inbox of cancellations. Goal: each operation is taken once, by one who sees what its canceller did, in the order
// of its canceller; and none is left while the driver's owner sleeps. Method: cancellers that push, and takers; then
// the doorbell beside it, and an owner that sleeps when there is nothing to take, as in Driver::Poll().
#include "lib/driver/cancel_inbox.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

#include "lib/driver/doorbell.h"
#include "lib/os/futex.h"
#include "lib/testing/model/checker.h"
#include "tests/model/component.h"
#include "weft/internal/operation.h"

namespace weft::internal {
namespace {

using model::Cell;
using model::Require;

struct Cancelled : Operation {
  Cell<int> data{0};
  Cell<int> taken{0};
  int number = 0;  // among those of its canceller
};

void Cancel(CancelInbox& inbox, Cancelled& op, int number) {
  op.number = number;
  op.data.Set(1);
  inbox.Push(op);
}

// Takes all that is there. Gives how many.
int TakeAll(CancelInbox& inbox, int cancellers) {
  int count = 0;
  const Cancelled* last = nullptr;
  for (Operation* op = inbox.TakeAll(); op != nullptr; ++count) {
    auto& cancelled = static_cast<Cancelled&>(*op);
    op = op->link;
    Require(cancelled.data.Get() == 1, "the taker sees what the canceller did");
    Require(cancellers > 1 || last == nullptr || last->number < cancelled.number, "the oldest comes first");
    cancelled.taken.Set(cancelled.taken.Get() + 1);
    last = &cancelled;
  }
  return count;
}

// The owner takes, and helpers in its place.
template <int cancellers, int takers, int operations>
class Taking {
 public:
  static constexpr int kThreads = cancellers + takers;

  void Thread(int index) {
    for (int i = 0; i < operations; ++i) {
      if (index < cancellers) {
        Cancel(inbox_, operations_[index * operations + i], i);
      } else {
        TakeAll(inbox_, cancellers);
      }
    }
  }

  void Finish() {
    TakeAll(inbox_, cancellers);
    for (Cancelled& op : operations_) Require(op.taken.Get() == 1, "every operation is taken once");
  }

 private:
  Cancelled operations_[cancellers * operations];
  CancelInbox inbox_;
};

template <int cancellers, int operations>
class Sleeping {
 public:
  static constexpr int kThreads = cancellers + 1;
  static constexpr bool kMayEndWaiting = true;

  void Thread(int index) {
    if (index == cancellers) return Own();
    for (int i = 0; i < operations; ++i) {
      Cancel(inbox_, operations_[index * operations + i], i);
      Require(!doorbell_.Ring(), "the owner sleeps on its futex");
    }
  }

  void Finish() {
    for (Cancelled& op : operations_) Require(op.taken.Get() == 1, "no operation is left while the owner sleeps");
  }

 private:
  void Own() {
    for (;;) {
      const bool rung = doorbell_.TakeRing();
      if (TakeAll(inbox_, cancellers) > 0 || rung) continue;
      doorbell_.LieDown(Doorbell::kOnFutex);
      if (doorbell_.MaySleep()) doorbell_.SleepOnFutex(kNoDeadlineNs);
      doorbell_.GetUp();
    }
  }

  Cancelled operations_[cancellers * operations];
  CancelInbox inbox_;
  Doorbell doorbell_;
};

std::vector<model::Program> Programs() {
  return {model::Of<Taking<1, 1, 3>>("a canceller and a taker", {}), model::Of<Taking<2, 1, 2>>("2 cancellers", {}),
          model::Of<Taking<1, 2, 2>>("an owner and a helper", {}),
          model::Of<Taking<2, 2, 2>>("2 cancellers, an owner and a helper", {}),
          model::Of<Sleeping<1, 2>>("with the doorbell", {.spurious_wakes = 1}),
          model::Of<Sleeping<2, 1>>("with the doorbell, 2 cancellers", {})};
}

TEST(CancelInboxModelTest, EveryOperationIsTakenOnceAndNoneIsLeft) { model::Prove({"cancel_inbox", Programs()}); }

TEST(CancelInboxModelTest, NoOrderCouldBeWeaker) { model::RefuteWeakerOrders({"cancel_inbox", Programs()}); }

}  // namespace
}  // namespace weft::internal

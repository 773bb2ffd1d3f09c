// The work-stealing deque. Goal: an item is taken once, by one who sees what its pusher did before, and the array is
// never read where it is not written yet. Method: an owner that does anything in any order, on a deque that holds 0, 1
// or 2 items and has room for 2, so that every kind of full, empty and growing occurs; and thieves.
#include <gtest/gtest.h>

#include "lib/lockfree/work_stealing_deque.h"
#include "lib/testing/model/checker.h"
#include "tests/model/component.h"

namespace weft::internal {
namespace {

using model::Cell;
using model::Require;

enum Operation { kPush, kPop, kTakeOldest, kPushIfRoom, kFill, kReturnMemory };

constexpr size_t kCapacity = 2;

// In which state the duel of owner and thieves begins.
enum class Start {
  kBiased,
  kAmongThieves,  // one was there
  kBetween,       // one was there, and with its next pop the owner takes the bias back
};

// The owner does whatever of the first `kinds`.
template <int thieves, int operations, int kinds>
class Stealing {
 public:
  static constexpr int kThreads = 1 + thieves;

  // `emptied`: the owner returns the memory before the last of its operations, which is a push.
  explicit Stealing(Start start, bool emptied = false) {
    if (start != Start::kBiased) {
      Push();
      Steal();
    }
    if (start == Start::kBetween) {
      Push();
      Do(kPop);
    }
    for (int held = model::Choose(kCapacity + 1); held > 0; --held) Push();
    for (int& operation : owners_) operation = model::Choose(kinds);
    if (!emptied) return;
    owners_[operations - 2] = kReturnMemory;
    owners_[operations - 1] = kPush;
  }

  void Thread(int index) {
    if (index == 0) {
      for (int operation : owners_) Do(operation);
    } else {
      for (int i = 0; i < operations; ++i) Steal();
    }
  }

  void Finish() {
    while (Item* item = deque_.TakeOldest()) Take(*item);
    for (int i = 0; i < pushed_; ++i) Require(items_[i].taken, "no item is lost");
  }

 private:
  struct Item {
    Cell<int> data{0};
    Cell<bool> mine{false};  // two takers are a race
    bool taken = false;
  };

  void Do(int operation) {
    switch (operation) {
      case kPush:
        return Push();
      case kPop:
        if (Item* item = deque_.Pop()) Take(*item);
        return;
      case kTakeOldest:
        if (Item* item = deque_.TakeOldest()) Take(*item);
        return;
      case kPushIfRoom: {
        Item& item = items_[pushed_];
        item.data.Set(1);
        pushed_ += deque_.PushIfRoom(&item);
        return;
      }
      case kFill:
        // Thieves only add to the room.
        for (size_t room = deque_.Room(); room > 0; --room) {
          Item& item = items_[pushed_++];
          item.data.Set(1);
          Require(deque_.PushIfRoom(&item), "there was room");
        }
        return;
      case kReturnMemory:
        return deque_.ReturnMemory();
    }
  }

  void Push() {
    Item& item = items_[pushed_++];
    item.data.Set(1);
    Require(deque_.Push(&item), "there is memory");
  }

  void Steal() {
    const auto stolen = deque_.Steal();
    Require((stolen.outcome == StealOutcome::kStolen) == (stolen.item != nullptr), "what was stolen is an item");
    if (stolen.item != nullptr) Take(*stolen.item);
  }

  void Take(Item& item) {
    Require(item.data.Get() == 1, "the taker sees what its pusher did");
    Require(!item.taken, "an item is taken once");
    item.taken = true;
    item.mine.Set(true);
  }

  WorkStealingDeque<Item> deque_{kCapacity};
  // Where the deque is filled, it may have grown before.
  static constexpr size_t kMost = kCapacity * (kinds > kFill ? WorkStealingDeque<Item>::kGrowth : 1);
  Item items_[2 + kMost * (1 + operations)];
  int pushed_ = 0;
  int owners_[operations];
};

const model::Component& DequeComponent() {
  static const model::Component component = {
      "deque",
      {model::Of<Stealing<1, 3, 3>>("2 threads x 3 operations, biased", {}, Start::kBiased),
       model::Of<Stealing<1, 3, 3>>("2 threads x 3 operations, among thieves", {}, Start::kAmongThieves),
       model::Of<Stealing<1, 3, 3>>("2 threads x 3 operations, between", {}, Start::kBetween),
       model::Of<Stealing<1, 2, 5>>("2 threads x 2 operations, without growing too", {}, Start::kBiased),
       model::Of<Stealing<1, 2, 5>>("2 threads x 2 operations, among thieves, without growing too", {},
                                    Start::kAmongThieves),
       model::Of<Stealing<1, 3, 3>>("2 threads x 3 operations, memory returned", {}, Start::kBiased, true),
       model::Of<Stealing<1, 3, 3>>("2 threads x 3 operations, memory returned among thieves", {}, Start::kAmongThieves,
                                    true),
       model::Of<Stealing<2, 2, 1>>("3 threads x 2 operations, memory returned", {.preemptions = 1}, Start::kBiased,
                                    true),
       model::Of<Stealing<2, 2, 2>>("3 threads x 2 operations, biased", {.preemptions = 1}, Start::kBiased),
       model::Of<Stealing<2, 2, 2>>("3 threads x 2 operations, among thieves", {.preemptions = 1},
                                    Start::kAmongThieves),
       model::Of<Stealing<2, 2, 2>>("3 threads x 2 operations, between", {.preemptions = 1}, Start::kBetween)},
      {{"deque/4", "load buffering: the thief's load of a slot and the owner's later store to it"},
       {"deque/5", "as deque/4"}}};
  return component;
}

TEST(DequeModelTest, EveryItemIsTakenOnceByOneWhoSeesWhatItsPusherDid) { model::Prove(DequeComponent()); }

TEST(DequeModelTest, NoOrderCouldBeWeaker) { model::RefuteWeakerOrders(DequeComponent()); }

}  // namespace
}  // namespace weft::internal

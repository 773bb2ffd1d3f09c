// The inject queue. Goal: an item is taken once, by one who sees what its pusher did, and none stays behind while all
// who could take it sleep, although they look at a count without the lock. Method: threads that push and notify, and
// carriers that take and park by the idle protocol.
#include "lib/base/list.h"
#include "lib/lockfree/inject_queue.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

#include "lib/lockfree/idle_carriers.h"
#include "lib/os/futex.h"
#include "lib/testing/model/checker.h"
#include "tests/model/component.h"
#include "weft/internal/atomic.h"

namespace weft::internal {
namespace {

using enum std::memory_order;
using model::Cell;
using model::Require;

struct ItemTag {};
struct Item : ListNode<ItemTag> {
  Cell<int> data{0};
  Cell<int> taken{0};
};

// Pushers push, and takers take, `operations` times each; or all at once.
enum class HowMany { kOne, kTogether };
template <int pushers, int takers, int operations>
class Taking {
 public:
  static constexpr int kThreads = pushers + takers;

  explicit Taking(HowMany how_many) : together_(how_many == HowMany::kTogether) {}

  void Thread(int index) {
    if (together_) return index < pushers ? PushTogether(index) : TakeTogether();
    for (int i = 0; i < operations; ++i) {
      if (index < pushers) {
        Item& item = items_[index * operations + i];
        item.data.Set(1);
        queue_.Push(item);
      } else {
        const bool any = model::Choose(2) == 0;
        Take(any ? queue_.Take() : queue_.TakeIf([this](const Item& item) { return &item != &items_[0]; }));
      }
    }
  }

  void Finish() {
    Item* last = nullptr;
    while (Item* item = queue_.Take()) {
      Require(last == nullptr || last < item || pushers > 1, "what was pushed first comes first");
      last = item;
      Take(item);
    }
    for (Item& item : items_) Require(item.taken.Get() == 1, "every item is taken once");
    Require(!queue_.MayHave(), "an empty queue has a count of zero");
  }

 private:
  void PushTogether(int index) {
    List<Item, ItemTag> items;
    for (int i = 0; i < operations; ++i) {
      Item& item = items_[index * operations + i];
      item.data.Set(1);
      items.PushBack(&item);
    }
    queue_.PushAll(items, operations);
  }
  // All but one, if there are as many.
  void TakeTogether() {
    List<Item, ItemTag> items;
    queue_.TakeSome(operations - 1, items);
    Item* last = nullptr;
    while (Item* item = items.PopFront()) {
      Require(last == nullptr || last < item || pushers > 1, "they come in their order");
      last = item;
      Take(item);
    }
  }

  static void Take(Item* item) {
    if (item == nullptr) return;
    Require(item->data.Get() == 1, "the taker sees what the pusher did");
    item->taken.Set(item->taken.Get() + 1);
  }

  Item items_[pushers * operations];  // outlive the queue
  InjectQueue<Item, ItemTag> queue_;
  const bool together_;
};

class Parking {
 public:
  static constexpr int kThreads = 2;
  static constexpr bool kMayEndWaiting = true;

  void Thread(int index) {
    if (index == 1) return Carry();
    for (Item& item : items_) {
      queue_.Push(item);
      (void)idle_.Notify([this] { return carrier_.idle.IsParked() ? &carrier_ : nullptr; },
                         [](Carrier& carrier) {
                           if (carrier.rung.exchange(1, relaxed) == 0) FutexWake(carrier.rung, 1);
                         });
    }
  }
  void Finish() { Require(queue_.Take() == nullptr, "nothing is left with all carriers parked"); }

 private:
  struct Carrier {
    IdleCarriers::Member idle;
    Atomic<uint32_t> rung{0};
  };

  void Carry() {
    for (;;) {
      if (queue_.Take() != nullptr) {
        (void)idle_.EndSearch(carrier_.idle);
      } else if (!idle_.BeginSearch(carrier_.idle, 1)) {
        (void)idle_.Park(
            carrier_.idle, [this] { return queue_.MayHave(); },
            [this] {
              if (carrier_.rung.exchange(0, relaxed) == 0) FutexWait(carrier_.rung, 0);
              carrier_.rung.exchange(0, relaxed);
            });
      }
    }
  }

  Item items_[2];
  InjectQueue<Item, ItemTag> queue_;
  IdleCarriers idle_;
  Carrier carrier_;
};

std::vector<model::Program> Programs() {
  return {model::Of<Taking<1, 1, 3>>("2 threads x 3 operations", {}, HowMany::kOne),
          model::Of<Taking<1, 2, 2>>("3 threads x 2 operations", {}, HowMany::kOne),
          model::Of<Taking<2, 1, 2>>("2 pushers and a taker", {}, HowMany::kOne),
          model::Of<Taking<1, 2, 3>>("some at once", {}, HowMany::kTogether),
          model::Of<Taking<2, 1, 2>>("some at once, 2 pushers", {}, HowMany::kTogether),
          model::Of<Parking>("with the idle protocol", {})};
}

TEST(InjectQueueModelTest, EveryItemIsTakenOnceAndNoneIsLeft) { model::Prove({"inject", Programs()}); }

// It has no orders of its own: those of its lock and of the idle protocol.
TEST(InjectQueueModelTest, NoOrderOfItsLockCouldBeWeaker) { model::RefuteWeakerOrders({"lock", Programs()}); }
TEST(InjectQueueModelTest, NoFenceOfTheIdleProtocolCouldBeWeaker) { model::RefuteWeakerOrders({"idle", Programs()}); }

}  // namespace
}  // namespace weft::internal

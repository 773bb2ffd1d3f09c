// The work-stealing deque. Goal: every item comes out exactly once, in the order promised, whoever takes it. Method:
// random operations against std::deque on one thread; then an owner and thieves that count what they got, with
// capacities small enough that the deque is empty, full and growing all the time.
#include "lib/lockfree/work_stealing_deque.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <deque>
#include <fstream>
#include <random>
#include <thread>
#include <vector>

namespace weft::internal {
namespace {

struct Item {
  int64_t value = 0;
  int taken = 0;  // plain: ThreadSanitizer checks that the taker is ordered after the pusher
};

TEST(WorkStealingDequeTest, AnEmptyDequeGivesNothing) {
  WorkStealingDeque<Item> deque(2);
  EXPECT_EQ(deque.Pop(), nullptr);
  EXPECT_EQ(deque.TakeOldest(), nullptr);
  EXPECT_EQ(deque.Steal().outcome, StealOutcome::kEmpty);
  EXPECT_EQ(deque.SizeEstimate(), 0u);
}

TEST(WorkStealingDequeTest, TheOwnerPopsTheNewestAndAThiefTakesTheOldest) {
  WorkStealingDeque<Item> deque(2);
  Item items[5];
  for (Item& item : items) ASSERT_TRUE(deque.Push(&item));
  EXPECT_EQ(deque.SizeEstimate(), 5u);
  EXPECT_EQ(deque.Pop(), &items[4]);
  const auto stolen = deque.Steal();
  EXPECT_EQ(stolen.outcome, StealOutcome::kStolen);
  EXPECT_EQ(stolen.item, &items[0]);
  EXPECT_EQ(deque.TakeOldest(), &items[1]);
  EXPECT_EQ(deque.Pop(), &items[3]);
  EXPECT_EQ(deque.Pop(), &items[2]);
  EXPECT_EQ(deque.Pop(), nullptr);
}

TEST(WorkStealingDequeTest, WhatIsPushedOnlyIfThereIsRoomMakesNone) {
  WorkStealingDeque<Item> deque(2);
  Item items[4];
  EXPECT_TRUE(deque.PushIfRoom(&items[0]));
  EXPECT_TRUE(deque.PushIfRoom(&items[1]));
  EXPECT_FALSE(deque.PushIfRoom(&items[2]));
  EXPECT_EQ(deque.SizeEstimate(), 2u);
  EXPECT_EQ(deque.TakeOldest(), &items[0]);
  EXPECT_TRUE(deque.PushIfRoom(&items[2]));
  EXPECT_FALSE(deque.PushIfRoom(&items[3]));
  EXPECT_EQ(deque.Steal().item, &items[1]);
  EXPECT_TRUE(deque.PushIfRoom(&items[3]));
  EXPECT_EQ(deque.Pop(), &items[3]);
  EXPECT_EQ(deque.Pop(), &items[2]);
  EXPECT_EQ(deque.Pop(), nullptr);
}

TEST(WorkStealingDequeTest, RoomIsWhatCanBePushedWithoutGrowing) {
  WorkStealingDeque<Item> deque(4);
  Item items[5];
  for (size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(deque.Room(), 4 - i);
    ASSERT_TRUE(deque.PushIfRoom(&items[i]));
  }
  EXPECT_EQ(deque.Room(), 0u);
  EXPECT_EQ(deque.Steal().item, &items[0]);
  EXPECT_EQ(deque.TakeOldest(), &items[1]);
  EXPECT_EQ(deque.Pop(), &items[3]);
  EXPECT_EQ(deque.Room(), 3u);
  for (Item& item : items) ASSERT_TRUE(deque.Push(&item));
  EXPECT_EQ(deque.Room(), 10u);
  while (deque.Pop() != nullptr) {
  }
  EXPECT_EQ(deque.Room(), 16u);
}

// However many pass through, whoever takes them: it grows only for those that are in it at once.
TEST(WorkStealingDequeTest, ItGrowsForWhatIsInItAndNotForWhatWas) {
  constexpr size_t kCapacity = 4;
  using Deque = WorkStealingDeque<Item>;
  constexpr Item* (*kTakes[])(Deque&) = {[](Deque& deque) { return deque.Pop(); },
                                         [](Deque& deque) { return deque.TakeOldest(); },
                                         [](Deque& deque) { return deque.Steal().item; }};
  Item items[kCapacity];
  for (const auto take : kTakes) {
    for (size_t at_once = 1; at_once <= kCapacity; ++at_once) {
      Deque deque(kCapacity);
      for (size_t round = 0; round < 10 * kCapacity; ++round) {
        for (size_t i = 0; i < at_once; ++i) ASSERT_TRUE(deque.Push(&items[i]));
        for (size_t i = 0; i < at_once; ++i) ASSERT_NE(take(deque), nullptr);
      }
      EXPECT_EQ(deque.Room(), kCapacity);
    }
  }
}

TEST(WorkStealingDequeTest, BehavesAsAModelOnOneThread) {
  for (size_t capacity : {2, 4, 64}) {
    std::mt19937_64 random(capacity);
    WorkStealingDeque<Item> deque(capacity);
    std::deque<Item*> model;
    std::vector<Item> items(1000);
    for (int i = 0; i < 200'000; ++i) {
      // Long stretches of growth and of shrinkage.
      const bool grow = (i / 5000) % 2 == 0;
      Item* expected = nullptr;
      switch (random() % (grow ? 8 : 5)) {
        case 0:
        case 1:
          if (!model.empty()) {
            expected = model.back();
            model.pop_back();
          }
          ASSERT_EQ(deque.Pop(), expected);
          break;
        case 2: {
          const auto stolen = deque.Steal();
          ASSERT_EQ(stolen.outcome, model.empty() ? StealOutcome::kEmpty : StealOutcome::kStolen);
          if (!model.empty()) {
            expected = model.front();
            model.pop_front();
          }
          ASSERT_EQ(stolen.item, expected);
          break;
        }
        case 3:
          if (!model.empty()) {
            expected = model.front();
            model.pop_front();
          }
          ASSERT_EQ(deque.TakeOldest(), expected);
          break;
        default:
          model.push_back(&items[random() % items.size()]);
          ASSERT_TRUE(deque.Push(model.back()));
      }
      ASSERT_EQ(deque.SizeEstimate(), model.size());
    }
  }
}

// In bytes. (proc(5), statm: the second number, in pages)
int64_t ResidentBytes() {
  int64_t total = 0, resident = 0;
  std::ifstream("/proc/self/statm") >> total >> resident;
  return resident * ::sysconf(_SC_PAGESIZE);
}

TEST(WorkStealingDequeTest, AnEmptyDequeGivesItsMemoryBackAndGoesOn) {
  WorkStealingDeque<Item> deque(2);
  deque.ReturnMemory();  // there is none
  Item items[3];
  for (int round = 0; round < 2; ++round) {
    constexpr int kBurst = 1 << 20;  // 8 MiB
    for (int i = 0; i < kBurst; ++i) ASSERT_TRUE(deque.Push(&items[i % 3]));
    deque.ReturnMemory();  // it is not empty: nothing is lost
    for (int i = 0; i < kBurst; ++i) ASSERT_EQ(i % 2 == 0 ? deque.Steal().item : deque.TakeOldest(), &items[i % 3]);
    const int64_t before = ResidentBytes();
    deque.ReturnMemory();
    EXPECT_LT(ResidentBytes(), before - kBurst * static_cast<int64_t>(sizeof(void*)) / 2);
    EXPECT_EQ(deque.Pop(), nullptr);
    EXPECT_EQ(deque.Steal().outcome, StealOutcome::kEmpty);
  }
}

TEST(WorkStealingDequeDeathTest, TheCapacityIsAPowerOfTwo) {
  EXPECT_DEATH(WorkStealingDeque<Item>(3), "it is 3");
  EXPECT_DEATH(WorkStealingDeque<Item>(1), "it is 1");
}

// An owner that pushes `bursts` of up to `burst` items and takes some of them back, against thieves that take what they
// can.
void RaceOwnerAndThieves(size_t capacity, int thieves, int bursts, int burst, bool oldest_first,
                         bool returns_memory = false) {
  WorkStealingDeque<Item> deque(capacity);
  std::vector<Item> items(static_cast<size_t>(bursts) * burst);
  Atomic<bool> done{false};
  std::vector<std::thread> threads;
  std::vector<int64_t> sums(static_cast<size_t>(thieves) + 1);
  auto take = [&](Item* item, int64_t& sum) {
    ++item->taken;
    sum += item->value;
  };
  for (int thief = 0; thief < thieves; ++thief) {
    threads.emplace_back([&, thief] {
      int64_t& sum = sums[static_cast<size_t>(thief)];
      int64_t last = -1;
      while (true) {
        const bool was_done = done.load(std::memory_order_acquire);
        const auto stolen = deque.Steal();
        if (stolen.outcome == StealOutcome::kStolen) {
          // Oldest first: one thief never goes back in time, unless the owner has pushed meanwhile.
          ASSERT_GT(stolen.item->value, last);
          last = stolen.item->value;
          take(stolen.item, sum);
        } else if (stolen.outcome == StealOutcome::kEmpty) {
          if (was_done) return;
          std::this_thread::yield();
        }
      }
    });
  }
  std::mt19937 random(1);
  size_t next = 0;
  int64_t& owner_sum = sums.back();
  for (int i = 0; i < bursts; ++i) {
    const size_t pushed = 1 + random() % static_cast<unsigned>(burst);
    for (size_t k = 0; k < pushed; ++k) {
      items[next].value = static_cast<int64_t>(next);
      ASSERT_TRUE(deque.Push(&items[next]));
      ++next;
    }
    for (size_t k = random() % (pushed + 2); k > 0; --k) {
      Item* item = oldest_first ? deque.TakeOldest() : deque.Pop();
      if (item != nullptr) take(item, owner_sum);
    }
    if (!returns_memory) continue;
    while (Item* item = deque.Pop()) take(item, owner_sum);
    deque.ReturnMemory();
  }
  while (Item* item = deque.Pop()) take(item, owner_sum);
  done.store(true, std::memory_order_release);
  for (std::thread& thread : threads) thread.join();

  int64_t sum = 0;
  for (int64_t part : sums) sum += part;
  const auto count = static_cast<int64_t>(next);
  EXPECT_EQ(sum, count * (count - 1) / 2);
  for (size_t i = 0; i < next; ++i) ASSERT_EQ(items[i].taken, 1) << "item " << i << " of " << next;
}

TEST(WorkStealingDequeTest, OneThiefAndAnOwnerThatPopsShareEveryItem) { RaceOwnerAndThieves(2, 1, 200'000, 3, false); }

TEST(WorkStealingDequeTest, ThreeThievesAndAnOwnerThatPopsShareEveryItem) {
  RaceOwnerAndThieves(4, 3, 100'000, 6, false);
}

TEST(WorkStealingDequeTest, ThievesAndAnOwnerThatTakesTheOldestShareEveryItem) {
  RaceOwnerAndThieves(2, 2, 100'000, 5, true);
}

TEST(WorkStealingDequeTest, NothingIsLostWhenTheDequeGrowsUnderThieves) { RaceOwnerAndThieves(2, 2, 40, 5'000, false); }

TEST(WorkStealingDequeTest, NothingIsLostWhenItsMemoryIsReturnedUnderThieves) {
  RaceOwnerAndThieves(2, 2, 200, 5'000, false, /*returns_memory=*/true);
}

}  // namespace
}  // namespace weft::internal

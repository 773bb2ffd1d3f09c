// The inject queue by one thread: what tests/model proves of several is not what it finds, and in which order.
#include "lib/lockfree/inject_queue.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

#include "lib/base/list.h"

namespace weft::internal {
namespace {

struct Tag;
struct Item : ListNode<Tag> {
  int number = 0;
};

class InjectQueueTest : public ::testing::Test {
 protected:
  InjectQueueTest() : items_(10) {
    for (int i = 0; i < 10; ++i) items_[static_cast<size_t>(i)].number = i;
  }
  ~InjectQueueTest() override {
    while (queue_.Take() != nullptr) {
    }
  }
  void Push(int from, int to) {
    for (int i = from; i < to; ++i) queue_.Push(items_[static_cast<size_t>(i)]);
  }
  // The number of the one that is found, or -1. Says how many it has looked at.
  int TakeNewOver(int least, int& looked) {
    looked = 0;
    const Item* const item = queue_.TakeNewIf(
        [&](const Item& each) {
          ++looked;
          return each.number >= least;
        },
        seen_);
    return item == nullptr ? -1 : item->number;
  }

  std::vector<Item> items_;
  InjectQueue<Item, Tag> queue_;
  uint64_t seen_ = 0;
};

TEST_F(InjectQueueTest, WhatIsNewIsLookedAtOnceTheOldestFirst) {
  int looked = 0;
  Push(0, 4);
  EXPECT_EQ(TakeNewOver(9, looked), -1);
  EXPECT_EQ(looked, 4);
  EXPECT_EQ(TakeNewOver(9, looked), -1);
  EXPECT_EQ(looked, 0);
  Push(4, 10);
  EXPECT_EQ(TakeNewOver(6, looked), 6);
  EXPECT_EQ(looked, 3);
  EXPECT_EQ(TakeNewOver(6, looked), 7) << "a look that has found something has not seen the rest";
}

TEST_F(InjectQueueTest, WhatOthersHaveTakenIsNotMissed) {
  int looked = 0;
  Push(0, 4);
  EXPECT_EQ(TakeNewOver(9, looked), -1);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(queue_.Take()->number, i);
  Push(4, 6);
  for (int i = 3; i < 5; ++i) EXPECT_EQ(queue_.Take()->number, i);
  EXPECT_EQ(TakeNewOver(5, looked), 5);
  EXPECT_EQ(looked, 1);
  EXPECT_EQ(TakeNewOver(0, looked), -1);
}

}  // namespace
}  // namespace weft::internal

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
  // The numbers of those that are found, at most `max`. Says how many it has looked at.
  std::vector<int> TakeNewOver(int least, size_t max, int& looked) {
    looked = 0;
    List<Item, Tag> found;
    queue_.TakeNewIf(
        [&](const Item& each) {
          ++looked;
          return each.number >= least;
        },
        max, found, seen_);
    std::vector<int> numbers;
    while (const Item* const item = found.PopFront()) numbers.push_back(item->number);
    return numbers;
  }

  std::vector<Item> items_;
  InjectQueue<Item, Tag> queue_;
  uint64_t seen_ = 0;
};

using Numbers = std::vector<int>;

TEST_F(InjectQueueTest, WhatIsNewIsLookedAtOnceTheOldestFirst) {
  int looked = 0;
  Push(0, 4);
  EXPECT_EQ(TakeNewOver(9, 10, looked), Numbers());
  EXPECT_EQ(looked, 4);
  EXPECT_EQ(TakeNewOver(9, 10, looked), Numbers());
  EXPECT_EQ(looked, 0);
  Push(4, 10);
  EXPECT_EQ(TakeNewOver(6, 2, looked), (Numbers{6, 7}));
  EXPECT_EQ(looked, 4);
  EXPECT_EQ(TakeNewOver(6, 2, looked), (Numbers{8, 9})) << "a look that was full has not seen the rest";
  EXPECT_EQ(TakeNewOver(0, 10, looked), Numbers());
  EXPECT_EQ(looked, 0);
}

TEST_F(InjectQueueTest, WhatOthersHaveTakenIsNotMissed) {
  int looked = 0;
  Push(0, 4);
  EXPECT_EQ(TakeNewOver(9, 10, looked), Numbers());
  for (int i = 0; i < 3; ++i) EXPECT_EQ(queue_.Take()->number, i);
  Push(4, 6);
  for (int i = 3; i < 5; ++i) EXPECT_EQ(queue_.Take()->number, i);
  EXPECT_EQ(TakeNewOver(5, 10, looked), Numbers{5});
  EXPECT_EQ(looked, 1);
  EXPECT_EQ(queue_.SizeEstimate(), 0u);
}

}  // namespace
}  // namespace weft::internal

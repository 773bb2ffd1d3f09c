// Goal: a ByteQueue gives out what came in, in order, however the two are cut, and holds no memory when it has given
// all. Method: against a std::string, with random cuts from fixed seeds.
#include "lib/tls/byte_queue.h"

#include <algorithm>
#include <cstddef>
#include <random>
#include <string>

#include "gtest/gtest.h"
#include "weft/io/buffer.h"

namespace weft::internal {
namespace {

std::string AllOf(const ByteQueue& queue) { return {queue.bytes().data(), queue.size()}; }

TEST(ByteQueueTest, WhatComesInGoesOutInOrder) {
  for (unsigned seed = 0; seed < 200; ++seed) {
    std::mt19937 random(seed);
    ByteQueue queue;
    std::string model;
    for (int step = 0; step < 200; ++step) {
      const size_t count = random() % 300;
      switch (random() % 4) {
        case 0: {
          const std::string more(count, static_cast<char>('a' + step % 26));
          ASSERT_TRUE(queue.Append(more));
          model += more;
          break;
        }
        case 1: {
          const MutableBuffer room = queue.Room(count + 1);
          ASSERT_EQ(room.size(), count + 1);
          const size_t filled = random() % (count + 2);
          std::fill_n(room.data(), filled, 'z');
          queue.Add(filled);
          model.append(filled, 'z');
          break;
        }
        default: {
          std::string taken(count, '\0');
          taken.resize(queue.Take(taken));
          ASSERT_EQ(taken, model.substr(0, count));
          model.erase(0, count);
        }
      }
      ASSERT_EQ(AllOf(queue), model);
      ASSERT_EQ(queue.empty(), model.empty());
    }
  }
}

TEST(ByteQueueTest, AQueueThatWasClearedUsesItsMemoryAgain) {
  ByteQueue queue;
  const char* const memory = queue.Room(1000).data();
  queue.Add(1000);
  queue.Clear();
  EXPECT_TRUE(queue.empty());
  EXPECT_EQ(queue.Room(1000).data(), memory);
}

TEST(ByteQueueTest, TwoQueuesExchangeAllTheyHave) {
  ByteQueue one, other;
  ASSERT_TRUE(one.Append("one"));
  one.Swap(other);
  EXPECT_TRUE(one.empty());
  EXPECT_EQ(AllOf(other), "one");
}

}  // namespace
}  // namespace weft::internal

// Channels of values whose move throws, and channels without memory. Goal: whatever throws, a value is at one place.
#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <new>
#include <optional>
#include <stdexcept>
#include <utility>
#include <vector>

#include "lib/coro/frame_fault.h"
#include "tests/support/allocator.h"
#include "tests/support/on_both.h"
#include "weft/channel/broadcast.h"
#include "weft/channel/channel.h"
#include "weft/channel/generator.h"
#include "weft/channel/select.h"
#include "weft/scope.h"
#include "weft/sync/event.h"
#include "weft/sync/mutex.h"
#include "weft/sync/semaphore.h"
#include "weft/sync/shared_mutex.h"
#include "weft/task.h"
#include "weft/testing/simulation.h"

namespace weft {
namespace {

// The next allocation of this thread, by operator new, fails.
thread_local bool no_memory = false;
[[maybe_unused]] const bool hooked = [] {
  testing::may_allocate = [](size_t, bool) noexcept { return !std::exchange(no_memory, false); };
  return true;
}();

class ChannelThrowTest : public testing::OnBoth {};
WEFT_ON_BOTH(ChannelThrowTest);

// The k-th move from now on throws; it changes nothing then. The k-th allocation of one throws, too.
struct Fragile {
  explicit Fragile(int of) : value(of) {}
  Fragile(Fragile&& other) noexcept(false) : value(other.value) {
    Moves();
    other.value = -1;
  }
  Fragile& operator=(Fragile&& other) noexcept(false) {
    Moves();
    value = std::exchange(other.value, -1);
    return *this;
  }
  static void Moves() {
    if (throws_at > 0 && --throws_at == 0) throw std::runtime_error("a move");
  }
  static void* operator new(size_t size) {
    if (no_memory_at > 0 && --no_memory_at == 0) throw std::bad_alloc();
    return ::operator new(size);
  }
  static void operator delete(void* memory) { ::operator delete(memory); }
  int value;
  static inline int throws_at = 0;
  static inline int no_memory_at = 0;
};

TEST_P(ChannelThrowTest, AMoveThatThrowsInASendLeavesTheValueWithItsSender) {
  Everywhere([]() -> Task<void> {
    Channel<Fragile> channel(2);
    Fragile value(1);
    Fragile::throws_at = 1;
    bool thrown = false;
    try {
      co_await channel.Send(std::move(value));
    } catch (const std::runtime_error&) {
      thrown = true;
    }
    EXPECT_TRUE(thrown);
    Fragile::throws_at = 1;
    EXPECT_THROW(channel.TrySend(std::move(value)), std::runtime_error);
    EXPECT_EQ(value.value, 1);
    EXPECT_EQ(channel.size(), 0u);
    EXPECT_TRUE(co_await channel.Send(std::move(value)));
    EXPECT_EQ((co_await channel.Receive())->value, 1);
  });
}

TEST_P(ChannelThrowTest, AMoveThatThrowsInAReceiveTakesThatValueOnly) {
  Everywhere([]() -> Task<void> {
    Channel<Fragile> channel(4);
    for (int i = 0; i < 4; ++i) EXPECT_TRUE(co_await channel.Send(Fragile(i)));
    Fragile::throws_at = 1;
    EXPECT_THROW(channel.TryReceive(), std::runtime_error);
    EXPECT_EQ(channel.size(), 3u);
    std::vector<Fragile> some;
    some.reserve(4);
    Fragile::throws_at = 2;
    bool thrown = false;
    try {
      co_await channel.ReceiveMany(some, 3);
    } catch (const std::runtime_error&) {
      thrown = true;
    }
    EXPECT_TRUE(thrown);
    EXPECT_EQ(some.size(), 1u);
    EXPECT_EQ((co_await channel.Receive())->value, 3) << "the others are still there";
  });
}

TEST_P(ChannelThrowTest, AMoveThatThrowsInASelectLocksNothingForEver) {
  Everywhere([]() -> Task<void> {
    Channel<Fragile> channel(0);
    Mutex mutex;
    SharedMutex shared;
    Semaphore semaphore(1);
    Fragile value(1);
    int thrown = 0;
    const auto fails = [&](auto select) -> Task<void> {
      value.value = 1;
      Fragile::throws_at = 2;  // when the value is moved back
      try {
        co_await select();
      } catch (const std::runtime_error&) {
        ++thrown;
      }
    };
    co_await fails([&] { return Select(channel.Send(std::move(value)), mutex.Lock()); });
    EXPECT_TRUE(mutex.TryLock().has_value());
    co_await fails([&] { return Select(channel.Send(std::move(value)), shared.LockShared()); });
    EXPECT_TRUE(shared.TryLock().has_value());
    co_await fails([&] { return Select(channel.Send(std::move(value)), semaphore.Acquire()); });
    EXPECT_EQ(semaphore.available(), 1);
    EXPECT_EQ(thrown, 3);
  });
}

// When the second case begins, the first has moved its value to memory of its own already.
TEST_P(ChannelThrowTest, ASelectThatCannotBeginLeavesEachValueWithItsSender) {
  Everywhere([]() -> Task<void> {
    for (const int64_t capacity : {0, 1}) {
      Channel<Fragile> one(capacity), two(capacity);
      for (int64_t i = 0; i < capacity; ++i) {
        EXPECT_TRUE(co_await one.Send(Fragile(0)));
        EXPECT_TRUE(co_await two.Send(Fragile(0)));
      }
      Fragile x(1), y(2);
      for (int* const fails_at : {&Fragile::no_memory_at, &Fragile::throws_at}) {
        *fails_at = 2;
        bool thrown = false;
        try {
          co_await Select(one.Send(std::move(x)), two.Send(std::move(y)));
        } catch (const std::exception&) {
          thrown = true;
        }
        EXPECT_TRUE(thrown);
        EXPECT_EQ(*fails_at, 0);
        EXPECT_EQ(x.value, 1);
        EXPECT_EQ(y.value, 2);
        EXPECT_EQ(one.size() + two.size(), static_cast<size_t>(2 * capacity));
      }
    }
  });
}

// Every allocation of a channel's, one after the other. On one OS thread, whose allocations fail.
TEST(ChannelMemoryTest, WithoutMemoryASendThrowsAndTheValueStays) {
  testing::Simulation().Run([]() -> Task<void> {
    Channel<std::unique_ptr<int>> channel(kUnbounded);
    Event never;
    int sent = 0;
    for (int i = 0; i < 200; ++i) {
      auto value = std::make_unique<int>(i);
      std::optional<internal::ScopedFrameFault> fault;
      fault.emplace(internal::ScopedFrameFault::Options{.times = internal::ScopedFrameFault::kForever, .here = true});
      const bool full = i % 64 == 0;  // a block is needed
      bool thrown = false;
      try {
        sent += channel.TrySend(std::move(value));
      } catch (const std::bad_alloc&) {
        thrown = true;
      }
      EXPECT_EQ(thrown, full);
      if (!full) continue;
      EXPECT_EQ(*value, i);
      for (const bool selects : {false, true}) {
        thrown = false;
        try {
          if (selects) {
            co_await Select(channel.Send(std::move(value)), never.Wait());
          } else {
            co_await channel.Send(std::move(value));
          }
        } catch (const std::bad_alloc&) {
          thrown = true;
        }
        EXPECT_TRUE(thrown);
        EXPECT_EQ(*value, i);
      }
      fault.reset();
      EXPECT_TRUE(co_await channel.Send(std::move(value)));
      ++sent;
    }
    EXPECT_EQ(sent, 200);
    for (int i = 0; i < 200; ++i) EXPECT_EQ(**channel.TryReceive(), i);
  }());
}

Generator<int> Fails() {
  co_yield 1;
  throw std::runtime_error("as planned");
}

// In the same thread, on the same carrier: nothing here waits.
TEST(ChannelMemoryTest, WithoutMemoryForAVectorTheValuesStayInTheChannel) {
  testing::Simulation().Run([]() -> Task<void> {
    Channel<int> channel(100);
    for (int i = 0; i < 100; ++i) EXPECT_TRUE(channel.TrySend(i));
    std::vector<int> received;
    for (const size_t reserved : {size_t{0}, size_t{1}}) {
      received.reserve(reserved);
      bool thrown = false;
      try {
        no_memory = true;
        co_await channel.ReceiveMany(received, 100);
      } catch (const std::bad_alloc&) {
        thrown = true;
      }
      EXPECT_TRUE(thrown);
      EXPECT_EQ(channel.size() + received.size(), 100u);
    }
    const size_t before = received.size();
    EXPECT_EQ(co_await channel.ReceiveMany(received, 100), 100 - before);
    for (int i = 0; i < 100; ++i) EXPECT_EQ(received[static_cast<size_t>(i)], i);
  }());
}

TEST_P(ChannelThrowTest, WhatAGeneratorThrowsComesOutOfNextAndThenItHasEnded) {
  Everywhere([]() -> Task<void> {
    auto generator = Fails();
    EXPECT_EQ(co_await generator.Next(), 1);
    bool thrown = false;
    try {
      co_await generator.Next();
    } catch (const std::runtime_error&) {
      thrown = true;
    }
    EXPECT_TRUE(thrown);
    EXPECT_EQ(co_await generator.Next(), std::nullopt);
  });
}

TEST_P(ChannelThrowTest, WhatTheFunctionOfAnUpdateThrowsLeavesTheWatchAsItWas) {
  Everywhere([]() -> Task<void> {
    Watch<int> watch(1);
    EXPECT_THROW(watch.Update([](int) -> int { throw std::runtime_error("no"); }), std::runtime_error);
    EXPECT_EQ(*watch.Get(), 1);
    EXPECT_TRUE(watch.Set(2));
    co_return;
  });
}

TEST(ChannelMemoryTest, WithoutMemoryForItsPlacesAChannelIsNotMade) {
  const internal::ScopedFrameFault fault({.times = internal::ScopedFrameFault::kForever});
  EXPECT_THROW(Channel<int>(100), std::bad_alloc);
  EXPECT_THROW(Channel<int>(INT64_MAX), std::bad_alloc);
}

}  // namespace
}  // namespace weft

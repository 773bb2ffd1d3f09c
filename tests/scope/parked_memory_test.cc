// What a virtual thread takes of the frame cache. Goal: a million threads can park at once, so a fork takes one small
// block, and to park takes nothing. Method: the bytes that live before and after each step of one thread's life, in a
// simulation; what the frames take is the compiler's matter and is not looked at.
#include <gtest/gtest.h>

#include <cstdint>
#include <utility>

#include "absl/status/status.h"
#include "lib/coro/frame_cache.h"
#include "weft/internal/all_scope.h"
#include "weft/internal/child.h"
#include "weft/scope.h"
#include "weft/sync/event.h"
#include "weft/task.h"
#include "weft/testing/simulation.h"
#include "weft/time.h"

namespace weft {
namespace {

using internal::LiveFrameBytes;

constexpr int64_t kOfATask = 144;
constexpr int64_t kOfAClosureOfOneWord = 160;

template <class T>
Task<T> WaitFor(Event& event, T value) {
  co_await event.Wait();
  co_return value;
}
Task<void> WaitFor(Event& event) { co_await event.Wait(); }

// Until all that were forked have parked.
Task<void> LetThemPark() {
  for (int i = 0; i < 4; ++i) co_await Yield();
}

template <class MakeTask>
void ExpectBytesOfATask(MakeTask make) {
  testing::Simulation simulation({.carriers = 1});
  simulation.Run([](MakeTask& make_task) -> Task<void> {
    Event event;
    AwaitAll scope;
    auto task = make_task(event);
    const int64_t with_its_frame = LiveFrameBytes();
    scope.Fork(std::move(task));
    EXPECT_EQ(LiveFrameBytes() - with_its_frame, kOfATask);
    co_await LetThemPark();
    EXPECT_EQ(LiveFrameBytes() - with_its_frame, kOfATask);
    event.Set();
    (co_await scope.Join()).IgnoreFailures();
  }(make));
}

TEST(ParkedMemoryTest, AThreadFromATaskTakesOneBlockBesideItsFrameAndParksInNoMore) {
  ExpectBytesOfATask([](Event& event) { return WaitFor(event); });
  ExpectBytesOfATask([](Event& event) { return WaitFor(event, 1); });
  ExpectBytesOfATask([](Event& event) { return WaitFor(event, &event); });
  ExpectBytesOfATask([](Event& event) { return WaitFor(event, absl::OkStatus()); });
}

TEST(ParkedMemoryTest, AThreadFromAClosureTakesAWordMoreForEachThatItCaptures) {
  testing::Simulation simulation({.carriers = 1});
  simulation.Run([]() -> Task<void> {
    Event event;
    AwaitAll scope;
    const int64_t before = LiveFrameBytes();
    scope.Fork([&event] { return WaitFor(event); });  // makes no frame before it begins
    EXPECT_EQ(LiveFrameBytes() - before, kOfAClosureOfOneWord);
    co_await LetThemPark();
    event.Set();
    (co_await scope.Join()).IgnoreFailures();
  }());
}

// What few ask for is made when the first asks.
TEST(ParkedMemoryTest, ABlockIsAsLargeWithAnIdentityAsWithout) {
  testing::Simulation simulation({.carriers = 1});
  simulation.Run([]() -> Task<void> {
    Event event;
    AwaitAll scope;
    const int64_t before = LiveFrameBytes();
    scope.Fork([&event] { return WaitFor(event); }, {.name = "named"});
    EXPECT_EQ(LiveFrameBytes() - before, kOfAClosureOfOneWord);
    event.Set();
    (co_await scope.Join()).IgnoreFailures();
  }());
}

static_assert(sizeof(internal::BranchBlock) == 128);  // in the frame of an All

}  // namespace
}  // namespace weft

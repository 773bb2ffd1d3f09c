#include "lib/os/sched_stat.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <unistd.h>

#include <atomic>
#include <thread>
#include <utility>

namespace weft::internal {
namespace {

TEST(SchedStatTest, WhoComputesIsRunnableAndWhatItRanGrows) {
  const ProcessorUse before = UseOfProcessors(::gettid()).value();
  EXPECT_TRUE(before.runnable);
  ProcessorUse now = before;
  while (now.ran_ns == before.ran_ns) now = UseOfProcessors(::gettid()).value();
  EXPECT_GT(now.ran_ns, before.ran_ns);
  EXPECT_GE(now.waited_ns, before.waited_ns);
}

TEST(SchedStatTest, WhoBlocksComesToRest) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  std::atomic<pid_t> id{0};
  std::thread blocked([&] {
    id = ::gettid();
    char byte;
    EXPECT_EQ(::read(ends[0], &byte, 1), 1);
  });
  while (id == 0) sched_yield();
  // It may block on its way to the call as well: so until it is seen twice in the same place.
  ProcessorUse before, later = UseOfProcessors(id).value();
  do {
    sched_yield();
    before = std::exchange(later, UseOfProcessors(id).value());
  } while (before.runnable || later.runnable || later.ran_ns != before.ran_ns || later.waited_ns != before.waited_ns);
  EXPECT_EQ(::write(ends[1], "x", 1), 1);
  blocked.join();
  ::close(ends[0]);
  ::close(ends[1]);
}

TEST(SchedStatTest, OfAThreadThatIsNotThereNothingIsKnown) {
  std::atomic<pid_t> id{0};
  std::thread([&] { id = ::gettid(); }).join();
  while (UseOfProcessors(id).has_value()) sched_yield();  // the kernel may take a moment
  EXPECT_FALSE(UseOfProcessors(-1).has_value());
}

}  // namespace
}  // namespace weft::internal

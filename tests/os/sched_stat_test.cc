#include "lib/os/sched_stat.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <unistd.h>

#include <atomic>
#include <thread>

namespace weft::internal {
namespace {

TEST(SchedStatTest, WhoComputesIsRunnableAndWhatItRanGrows) {
  const ProcessorUse before = UseOfProcessors(::gettid());
  EXPECT_TRUE(before.runnable);
  ProcessorUse now = before;
  while (now.ran_ns == before.ran_ns) now = UseOfProcessors(::gettid());
  EXPECT_GT(now.ran_ns, before.ran_ns);
  EXPECT_GE(now.waited_ns, before.waited_ns);
}

TEST(SchedStatTest, WhoBlocksIsNotRunnableAndRunsNoMore) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  std::atomic<pid_t> id{0};
  std::thread blocked([&] {
    id = ::gettid();
    char byte;
    EXPECT_EQ(::read(ends[0], &byte, 1), 1);
  });
  while (id == 0 || UseOfProcessors(id).runnable) sched_yield();
  const ProcessorUse before = UseOfProcessors(id);
  const ProcessorUse later = UseOfProcessors(id);
  EXPECT_EQ(later.ran_ns, before.ran_ns);
  EXPECT_EQ(later.waited_ns, before.waited_ns);
  EXPECT_FALSE(later.runnable);
  EXPECT_EQ(::write(ends[1], "x", 1), 1);
  blocked.join();
  ::close(ends[0]);
  ::close(ends[1]);
}

TEST(SchedStatTest, AThreadThatIsNotThereHasHadNothing) {
  const ProcessorUse none = UseOfProcessors(-1);
  EXPECT_EQ(none.waited_ns, 0);
  EXPECT_FALSE(none.runnable);
}

}  // namespace
}  // namespace weft::internal

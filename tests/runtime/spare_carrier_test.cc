// Goal: a destructor that holds its carrier until its children have ended does without a spare carrier where nothing is
// to be had for one: no memory, no OS thread, no descriptor. Method: the allocator of the program is replaced, and
// fails from the k-th allocation on while such a destructor runs, for every k, until a spare carrier starts; then the
// system calls fail.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <optional>

#include "absl/status/statusor.h"
#include "lib/os/syscalls.h"
#include "lib/testing/syscall_fault.h"
#include "tests/support/allocator.h"
#include "weft/cancellation.h"
#include "weft/runtime.h"
#include "weft/scope.h"
#include "weft/sync/event.h"
#include "weft/task.h"
#include "weft/time.h"

namespace weft::testing {
namespace {

// How many allocations are left before all fail; negative: none fails.
constexpr int64_t kNoFault = -1;
constinit std::atomic<int64_t> allocations_left{kNoFault};

bool Fails() noexcept {
  int64_t left = allocations_left.load(std::memory_order_relaxed);
  while (left > 0 && !allocations_left.compare_exchange_weak(left, left - 1, std::memory_order_relaxed)) {
  }
  return left == 0;
}

// Nothing that cannot say that it has failed is allocated meanwhile.
[[maybe_unused]] const bool hooked = [] {
  may_allocate = [](size_t, bool throws) noexcept {
    const bool fails = Fails();
    if (fails && throws) std::abort();
    return !fails;
  };
  return true;
}();

using internal::ScopedSyscallFault;
using internal::Syscalls;

// Calls its function when it is destroyed.
template <class F>
struct AtEnd {
  ~AtEnd() { function(); }
  F function;
};
template <class F>
AtEnd(F) -> AtEnd<F>;

// Leaves a scope whose child goes on for a while: arm() is called just before the scope's destructor, and disarm() just
// after.
template <class Arm, class Disarm>
Task<void> LeaveAScope(Arm arm, Disarm disarm, bool& child_ended) {
  const AtEnd disarmed{disarm};
  AwaitAll scope;
  Event begun;
  scope.Fork([&]() -> Task<void> {
    const AtEnd ended{[&] { child_ended = true; }};
    begun.Set();
    co_await Shield([]() -> Task<void> {
      for (int i = 0; i < 3; ++i) co_await Yield();
    }());
  });
  co_await begun.Wait();
  const AtEnd armed{arm};
}

// One carrier of which one is to be free: held by the destructor, it asks for a spare one. Gives how many carriers
// there are afterwards.
template <class Arm, class Disarm>
int CarriersAfterLeaving(IoBackend io, Arm arm, Disarm disarm) {
  const absl::StatusOr<std::unique_ptr<Runtime>> runtime =
      Runtime::Create({.parallelism = 1, .min_runnable = 1, .held_carrier_threshold = absl::ZeroDuration(), .io = io});
  EXPECT_TRUE(runtime.ok()) << runtime.status();
  bool child_ended = false;
  (*runtime)->Run(LeaveAScope(arm, disarm, child_ended));
  EXPECT_TRUE(child_ended);
  // It goes on, and so do others.
  (*runtime)->Run([]() -> Task<void> { co_await Yield(); }());
  return (*runtime)->Stats().carriers;
}

class SpareCarrierTest : public ::testing::TestWithParam<IoBackend> {};
INSTANTIATE_TEST_SUITE_P(OnBoth, SpareCarrierTest, ::testing::Values(IoBackend::kUring, IoBackend::kEpoll));

TEST_P(SpareCarrierTest, ADestructorDoesWithoutOneWhereMemoryIsShort) {
  constexpr int64_t kMost = 100;
  int64_t left = 0;
  while (CarriersAfterLeaving(
             GetParam(), [&] { allocations_left = left; }, [] { allocations_left = kNoFault; }) == 1) {
    ASSERT_LT(++left, kMost);
  }
  EXPECT_GE(left, 3);  // the carrier, its seat, its driver
}

TEST_P(SpareCarrierTest, ADestructorDoesWithoutOneWhereNoOsThreadIsLeft) {
  std::optional<ScopedSyscallFault> fault;
  EXPECT_EQ(CarriersAfterLeaving(
                GetParam(),
                [&] {
                  fault.emplace(&Syscalls::pthread_create,
                                ScopedSyscallFault::Options{.times = ScopedSyscallFault::kForever, .error = EAGAIN});
                },
                [&] { fault.reset(); }),
            1);
}

// Both at once: the sentence about it would take memory, too.
TEST_P(SpareCarrierTest, ADestructorDoesWithoutOneWhereNeitherMemoryNorAnOsThreadIsLeft) {
  for (int64_t left = 0; left < 4; ++left) {
    std::optional<ScopedSyscallFault> fault;
    EXPECT_EQ(CarriersAfterLeaving(
                  GetParam(),
                  [&] {
                    fault.emplace(&Syscalls::pthread_create,
                                  ScopedSyscallFault::Options{.times = ScopedSyscallFault::kForever, .error = EAGAIN});
                    allocations_left = left;
                  },
                  [&] {
                    allocations_left = kNoFault;
                    fault.reset();
                  }),
              1);
  }
}

TEST_P(SpareCarrierTest, ADestructorDoesWithoutOneWhereNoDescriptorIsLeft) {
  if (GetParam() == IoBackend::kEpoll) return;  // its carriers share what there is
  std::optional<ScopedSyscallFault> fault;
  EXPECT_EQ(CarriersAfterLeaving(
                GetParam(),
                [&] {
                  fault.emplace(&Syscalls::eventfd,
                                ScopedSyscallFault::Options{.times = ScopedSyscallFault::kForever, .error = EMFILE});
                },
                [&] { fault.reset(); }),
            1);
}

// Without a fault there is one.
TEST_P(SpareCarrierTest, ADestructorHasOne) {
  EXPECT_EQ(CarriersAfterLeaving(GetParam(), [] {}, [] {}), 2);
}

// Holds as many carriers at once, each in a destructor that waits until a thread outside of its scope has done the same
// with one less. That thread sleeps afterwards, on a spare carrier that is to retire.
Task<void> Hold(int carriers) {
  if (carriers == 0) co_return;
  AwaitAll others;
  Event let_go;
  {
    AwaitAll scope;
    Event begun;
    scope.Fork([&]() -> Task<void> {
      begun.Set();
      co_await Shield([](Event& event) -> Task<void> { co_await event.Wait(); }(let_go));
    });
    co_await begun.Wait();
    others.Fork([&]() -> Task<void> {
      co_await Hold(carriers - 1);
      let_go.Set();
      co_await Sleep(absl::Microseconds(100));
    });
  }
  (co_await others.Join()).IgnoreFailures();
}

// Those that have retired are called back, and new ones made only where these are too few.
TEST_P(SpareCarrierTest, ThereAreAsManyAsWereEverNeededAtOnce) {
  for (const int parallelism : {1, 2}) {
    const std::unique_ptr<Runtime> runtime =
        Runtime::Create({.parallelism = parallelism,
                         .min_runnable = parallelism,
                         .held_carrier_threshold = absl::ZeroDuration(),
                         .io = GetParam()})
            .value();
    int most = 0;
    for (const int held : {0, 1, 1, 3, 0, 1, 3, 2, 4, 4}) {
      runtime->Run(Hold(held));
      most = std::max(most, held);
      // Where there are two, a thread may be let go before its destructor has to wait.
      if (parallelism == 1) EXPECT_EQ(runtime->Stats().carriers, 1 + most) << "after " << held << " at once";
      EXPECT_LE(runtime->Stats().carriers, parallelism + most) << "after " << held << " at once";
    }
    // Several such chains side by side.
    runtime->Run([]() -> Task<void> {
      AwaitAll scope;
      for (int i = 0; i < 3; ++i) scope.Fork(Hold(3));
      (co_await scope.Join()).IgnoreFailures();
    }());
    EXPECT_LE(runtime->Stats().carriers, parallelism + 9);
  }
}

}  // namespace
}  // namespace weft::testing

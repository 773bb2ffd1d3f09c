// Alignment, where frames are aligned to 16 bytes only. Goal: what Weft stores itself is aligned all the same, and what
// is not, and can be seen, is a CHECK. Method: closures that look at their own address; compiled without
// -fcoro-aligned-allocation. (What the compiler refuses is in tests/compile_fail.)
#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>

#include "tests/support/on_both.h"
#include "weft/internal/promise.h"
#include "weft/weft.h"

namespace weft {
namespace {

template <size_t kAlignment>
struct alignas(kAlignment) Aligned {
  void Look() const {
    auto address = reinterpret_cast<uintptr_t>(this);
    asm volatile("" : "+r"(address));
    EXPECT_EQ(address % kAlignment, 0u);
  }
};

class SmallFramesTest : public testing::OnBoth {};
WEFT_ON_BOTH(SmallFramesTest);

template <class Kept>
Task<void> ForkSome() {
  AwaitAll scope;
  for (int i = 0; i < 8; ++i) {
    scope.Fork([kept = Kept()]() -> Task<void> {
      kept.Look();
      co_await Yield();
      kept.Look();
    });
    scope.ForkDaemon([kept = Kept()]() -> Task<void> {
      kept.Look();
      co_return;
    });
  }
  (co_await scope.Join()).IgnoreFailures();
}

TEST_P(SmallFramesTest, WhatAForkedClosureHasCapturedIsAligned) {
  Everywhere([]() -> Task<void> {
    co_await ForkSome<Aligned<16>>();
    co_await ForkSome<Aligned<32>>();
    co_await ForkSome<Aligned<64>>();
    co_await ForkSome<Aligned<128>>();
    co_await ForkSome<Aligned<256>>();
  });
}

TEST(SmallFramesDeathTest, AnObjectOfWeftsThatIsMisalignedIsACheck) {
  EXPECT_DEATH(internal::CheckAligned(reinterpret_cast<const void*>(uintptr_t{16}), 32),
               "an object aligned to 32 bytes lies at 0x10, in the frame of a coroutine that was not compiled with "
               "-fcoro-aligned-allocation");
}

}  // namespace
}  // namespace weft

// The frame cache. Goal: memory is used again, wherever it is freed, and never twice at once; failure is reported as
// promised; the census is exact. Method: every size, threads that free what others made, and faults.
#include "weft/internal/frame_cache.h"

#include "lib/coro/frame_cache.h"
#include "lib/coro/frame_fault.h"

#include <gtest/gtest.h>

#include <unistd.h>

#include <atomic>
#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>
#include <new>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace weft::internal {
namespace {

class FrameCacheTest : public testing::Test {
 protected:
  ~FrameCacheTest() override {
    EXPECT_EQ(LiveFrames(), frames_before_);
    EXPECT_EQ(LiveFrameBytes(), bytes_before_);
  }

  const int64_t frames_before_ = LiveFrames();
  const int64_t bytes_before_ = LiveFrameBytes();
};

TEST_F(FrameCacheTest, GivesAlignedMemoryOfEverySizeThatOverlapsNothing) {
  std::vector<std::pair<unsigned char*, size_t>> frames;
  for (size_t size = 1; size <= 1200; ++size) {
    auto* frame = static_cast<unsigned char*>(AllocateFrame(size));
    ASSERT_NE(frame, nullptr);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(frame) % 16, 0u);
    std::memset(frame, static_cast<int>(size & 0xff), size);
    frames.emplace_back(frame, size);
  }
  EXPECT_EQ(LiveFrames() - frames_before_, 1200);
  for (auto [frame, size] : frames) {
    for (size_t i = 0; i < size; ++i)
      ASSERT_EQ(frame[i], size & 0xff) << "a frame of " << size << " bytes was overwritten";
    FreeFrame(frame, size);
  }
}

TEST_F(FrameCacheTest, MemoryIsAlignedAsAskedAndOverlapsNothing) {
  struct Frame {
    unsigned char* memory;
    size_t size;
    size_t alignment;
  };
  std::vector<Frame> frames;
  for (size_t alignment = 8; alignment <= 8192; alignment *= 2) {
    for (const size_t size : {size_t{1}, size_t{32}, size_t{176}, size_t{4000}, size_t{4096}, size_t{9000}}) {
      for (int i = 0; i < 20; ++i) {
        void* const memory = i % 2 == 0 ? AllocateFrame(size, alignment) : AllocateFrameNoThrow(size, alignment);
        ASSERT_NE(memory, nullptr);
        EXPECT_EQ(reinterpret_cast<uintptr_t>(memory) % alignment, 0u);
        frames.push_back({static_cast<unsigned char*>(memory), size, alignment});
        std::memset(memory, static_cast<int>(frames.size() & 0xff), size);
      }
    }
  }
  for (size_t f = 0; f < frames.size(); ++f) {
    for (size_t i = 0; i < frames[f].size; ++i) ASSERT_EQ(frames[f].memory[i], (f + 1) & 0xff);
    FreeFrame(frames[f].memory, frames[f].size, frames[f].alignment);
  }
}

TEST_F(FrameCacheTest, OveralignedMemoryFailsLikeAnyOther) {
  const ScopedFrameFault fault({.first = 1, .times = 1});
  EXPECT_EQ(AllocateFrameNoThrow(64, 64), nullptr);
}

// ---- Giving memory back.

// Frames of several sizes, some megabytes of them, filled.
class Frames {
 public:
  explicit Frames(int count) {
    for (int i = 0; i < count; ++i) {
      const size_t size = kSizes[static_cast<size_t>(i) % std::size(kSizes)];
      auto* const frame = static_cast<unsigned char*>(AllocateFrame(size));
      std::memset(frame, i & 0xff, size);
      frames_.push_back({frame, size, i});
    }
  }
  ~Frames() { Free(1, 0); }
  // All but one in `of`.
  void Free(int of, int keep) {
    std::vector<Frame> kept;
    for (const Frame& frame : frames_) {
      EXPECT_EQ(frame.memory[0], frame.number & 0xff);
      EXPECT_EQ(frame.memory[frame.size - 1], frame.number & 0xff);
      if (of > 1 && frame.number % of == keep) {
        kept.push_back(frame);
      } else {
        FreeFrame(frame.memory, frame.size);
      }
    }
    frames_ = kept;
  }

 private:
  static constexpr size_t kSizes[] = {176, 48, 4096, 512, 200};
  struct Frame {
    unsigned char* memory;
    size_t size;
    int number;
  };
  std::vector<Frame> frames_;
};

constexpr int64_t kSlab = 64 * 1024;

TEST_F(FrameCacheTest, WhatIsFreeGoesBackAndComesAgain) {
  SpillFreeFrames();
  ReturnFreeFrames(0);
  const int64_t before = FrameCacheBytes();
  for (int round = 0; round < 3; ++round) {
    {
      const Frames frames(10'000);
      EXPECT_GT(FrameCacheBytes(), before + 8'000'000);
      SpillFreeFrames();
      EXPECT_LT(ReturnFreeFrames(0), 2'000'000) << "they are alive";
    }
    SpillFreeFrames();
    EXPECT_GT(ReturnFreeFrames(0), 8'000'000);
    // One slab is being cut, and one of those before may hold a part of a batch.
    EXPECT_LE(FrameCacheBytes(), before + 2 * kSlab);
    EXPECT_EQ(ReturnFreeFrames(0), 0) << "there is nothing left";
  }
}

TEST_F(FrameCacheTest, AsMuchStaysAsIsAskedFor) {
  SpillFreeFrames();
  ReturnFreeFrames(0);
  const int64_t before = FrameCacheBytes();
  { const Frames frames(10'000); }
  SpillFreeFrames();
  ReturnFreeFrames(4'000'000);
  EXPECT_GE(FrameCacheBytes(), before + 4'000'000 - kSlab);
  EXPECT_LE(FrameCacheBytes(), before + 4'000'000 + 3 * kSlab);
  const int64_t kept = FrameCacheBytes();
  { const Frames again(2'000); }
  EXPECT_LE(FrameCacheBytes(), kept + kSlab) << "what was kept is used first";
}

TEST_F(FrameCacheTest, ASlabWithALiveFrameStays) {
  SpillFreeFrames();
  ReturnFreeFrames(0);
  Frames frames(10'000);
  const int64_t full = FrameCacheBytes();
  frames.Free(50, 3);
  SpillFreeFrames();
  ReturnFreeFrames(0);
  EXPECT_GE(FrameCacheBytes(), full / 2);  // most slabs have one
  // The destructor looks at the live ones.
}

// Has the kernel been asked for huge pages there? (VmFlags of proc(5))
bool IsForHugePages(const void* address) {
  std::ifstream maps("/proc/self/smaps");
  bool here = false;
  for (std::string line; std::getline(maps, line);) {
    uintptr_t begin, end;
    if (std::sscanf(line.c_str(), "%" SCNxPTR "-%" SCNxPTR " ", &begin, &end) == 2) {
      here = begin <= reinterpret_cast<uintptr_t>(address) && reinterpret_cast<uintptr_t>(address) < end;
    } else if (here && line.starts_with("VmFlags:")) {
      return line.find(" hg") != std::string::npos;
    }
  }
  return false;
}

// Of frames beyond the first 16 MiB.
TEST_F(FrameCacheTest, HugePagesAreAskedForOnRequest) {
  if (::access("/sys/kernel/mm/transparent_hugepage", F_OK) != 0) GTEST_SKIP() << "the kernel has no huge pages";
  if (::access("/proc/self/smaps", R_OK) != 0) GTEST_SKIP() << "the kernel does not show what it was asked for";
  static bool asked = false;  // a request stays, also when the test is run again
  constexpr size_t kFrame = 4096;
  const auto allocate = [](int megabytes) {
    std::vector<void*> frames;
    for (int i = 0; i < megabytes * 256; ++i) frames.push_back(AllocateFrame(kFrame));
    return frames;
  };
  std::vector<void*> frames = allocate(24);
  EXPECT_TRUE(asked || !IsForHugePages(frames.back()));
  asked = true;
  UseHugePages();
  std::vector<void*> more = allocate(24);
  EXPECT_TRUE(IsForHugePages(more.back()));
  // Other frames lie in them like in any memory, and it goes back like any.
  frames.insert(frames.end(), more.begin(), more.end());
  for (void* const frame : frames) std::memset(frame, 1, kFrame);
  for (void* const frame : frames) FreeFrame(frame, kFrame);
  SpillFreeFrames();
  EXPECT_GT(ReturnFreeFrames(0), 47'000'000);
}

TEST_F(FrameCacheTest, MemoryGoesBackWhileOthersAllocate) {
  std::atomic<int> left{3};
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&] {
      for (int round = 0; round < 20; ++round) {
        const Frames frames(1'000);
        SpillFreeFrames();
      }
      --left;
    });
  }
  while (left > 0) ReturnFreeFrames(0);
  for (std::thread& thread : threads) thread.join();
}

TEST_F(FrameCacheTest, TheFrameFreedLastIsUsedFirst) {
  void* first = AllocateFrame(176);
  void* second = AllocateFrame(176);
  FreeFrame(first, 176);
  FreeFrame(second, 176);
  EXPECT_EQ(AllocateFrame(170), second) << "the same class";
  EXPECT_EQ(AllocateFrame(176), first);
  FreeFrame(first, 176);
  FreeFrame(second, 170);
}

TEST_F(FrameCacheTest, CountsBytesByTheBlock) {
  void* small = AllocateFrame(100);
  EXPECT_EQ(LiveFrameBytes() - bytes_before_, 112);
  void* large = AllocateFrame(5000);
  EXPECT_EQ(LiveFrameBytes() - bytes_before_, 5112);
  EXPECT_EQ(LiveFrames() - frames_before_, 2);
  FreeFrame(small, 100);
  FreeFrame(large, 5000);
}

TEST_F(FrameCacheTest, FramesFreedOnAnotherThreadComeBack) {
  constexpr int kRounds = 200;
  constexpr int kFrames = 500;
  std::set<void*> seen;
  for (int round = 0; round < kRounds; ++round) {
    std::vector<void*> frames;
    for (int i = 0; i < kFrames; ++i) frames.push_back(AllocateFrame(208));
    seen.insert(frames.begin(), frames.end());
    std::thread([&] {
      for (void* frame : frames) FreeFrame(frame, 208);
    }).join();
  }
  // Without the pool it would be kRounds * kFrames.
  EXPECT_LT(seen.size(), 3u * kFrames);
}

TEST_F(FrameCacheTest, AThreadThatOnlyFreesKeepsABoundedNumber) {
  std::vector<void*> frames;
  for (int i = 0; i < 10'000; ++i) frames.push_back(AllocateFrame(64));
  std::thread([&] {
    ASSERT_TRUE(PrepareFrameCache());
    for (void* frame : frames) FreeFrame(frame, 64);
    // Still in this thread: all but two batches are for others to take.
    std::set<void*> freed(frames.begin(), frames.end());
    std::thread([&] {
      std::vector<void*> again;
      for (int i = 0; i < 9'000; ++i) again.push_back(AllocateFrame(64));
      int reused = 0;
      for (void* frame : again) reused += static_cast<int>(freed.count(frame));
      EXPECT_EQ(reused, 9'000);
      for (void* frame : again) FreeFrame(frame, 64);
    }).join();
  }).join();
}

// Trees of calls go up and down by some tens of frames, also of large ones: these swings stay with the thread. With
// lists of 8 large frames two carriers took each other's hot frames from the pool, and gave 1.54 of one.
TEST_F(FrameCacheTest, SixtyFourFramesOfAnySizeStayWithTheThreadThatFreesThem) {
  for (const size_t size : {size_t{64}, size_t{400}, size_t{1824}, size_t{4096}}) {
    std::vector<void*> frames;
    for (int i = 0; i < 64; ++i) frames.push_back(AllocateFrame(size));
    for (void* frame : frames) FreeFrame(frame, size);
    const std::set<void*> freed(frames.begin(), frames.end());
    std::thread([&] {
      std::vector<void*> others;
      for (int i = 0; i < 256; ++i) others.push_back(AllocateFrame(size));
      for (void* frame : others) {
        EXPECT_EQ(freed.count(frame), 0u) << "a frame of " << size << " bytes";
        FreeFrame(frame, size);
      }
    }).join();
  }
}

TEST_F(FrameCacheTest, ThreadsThatPassFramesOnNeverShareOne) {
  // Two threads, each frees what the other has made in the round before.
  constexpr int kRounds = 300;
  constexpr int kFrames = 64;
  std::vector<unsigned char*> made[2];
  std::vector<unsigned char*> received[2];
  auto work = [&](int self) {
    for (unsigned char* frame : received[self]) {
      for (int i = 0; i < 48; ++i) ASSERT_EQ(frame[i], 1 - self);
      FreeFrame(frame, 48);
    }
    received[self].clear();
    for (int i = 0; i < kFrames; ++i) {
      auto* frame = static_cast<unsigned char*>(AllocateFrame(48));
      std::memset(frame, self, 48);
      made[self].push_back(frame);
    }
  };
  for (int round = 0; round < kRounds; ++round) {
    std::thread other([&] { work(1); });
    work(0);
    other.join();
    received[0].swap(made[1]);
    received[1].swap(made[0]);
  }
  for (auto& frames : received) {
    for (unsigned char* frame : frames) FreeFrame(frame, 48);
  }
}

// Whatever lists the blocks lie in when a thread ends (few, a full one, several batches): the next thread has them all.
TEST_F(FrameCacheTest, WhatAThreadLeavesTheNextOneUses) {
  for (const size_t size : {size_t{48}, size_t{176}, size_t{4096}}) {
    for (const size_t count : {1, 50, 100, 200, 1'000}) {
      std::set<void*> seen;
      size_t at_first = 0;
      for (int round = 0; round < 5; ++round) {
        std::thread([&] {
          std::vector<void*> frames;
          for (size_t i = 0; i < count; ++i) frames.push_back(AllocateFrame(size));
          seen.insert(frames.begin(), frames.end());
          for (void* frame : frames) FreeFrame(frame, size);
        }).join();
        if (round == 1) at_first = seen.size();
      }
      EXPECT_EQ(seen.size(), at_first) << count << " frames of " << size << " bytes";
    }
  }
}

struct FreesAtThreadExit {
  void* frame = nullptr;
  ~FreesAtThreadExit() {
    FreeFrame(frame, 96);
    void* another = AllocateFrame(96);
    FreeFrame(another, 96);
  }
};
thread_local FreesAtThreadExit frees_at_thread_exit;

TEST_F(FrameCacheTest, WorksInDestructorsThatRunAfterTheThreadsListsAreGone) {
  std::thread([] {
    frees_at_thread_exit.frame = nullptr;  // constructed before the lists, so destroyed after them
    frees_at_thread_exit.frame = AllocateFrame(96);
  }).join();
}

TEST_F(FrameCacheTest, TheChosenAllocationsFailAndTheNextOnesDoNot) {
  for (size_t size : {size_t{48}, size_t{4096}}) {
    ScopedFrameFault fault({.first = 2, .times = 2});
    void* first = AllocateFrameNoThrow(size);
    EXPECT_NE(first, nullptr);
    EXPECT_EQ(AllocateFrameNoThrow(size), nullptr);
    EXPECT_EQ(AllocateFrameNoThrow(size), nullptr);
    void* last = AllocateFrameNoThrow(size);
    EXPECT_NE(last, nullptr);
    EXPECT_EQ(fault.allocations(), 4);
    FreeFrame(first, size);
    FreeFrame(last, size);
  }
}

TEST_F(FrameCacheTest, AFaultHereLeavesOtherThreadsAlone) {
  ScopedFrameFault fault({.times = ScopedFrameFault::kForever, .here = true});
  std::thread([] {
    void* const frame = AllocateFrameNoThrow(48);
    EXPECT_NE(frame, nullptr);
    FreeFrame(frame, 48);
  }).join();
  EXPECT_EQ(fault.allocations(), 0);
  EXPECT_EQ(AllocateFrameNoThrow(48), nullptr);
}

#ifdef __cpp_exceptions
TEST_F(FrameCacheTest, FailureThrowsBadAllocWhereThereAreExceptions) {
  ScopedFrameFault fault({.times = ScopedFrameFault::kForever});
  EXPECT_THROW(static_cast<void>(AllocateFrame(48)), std::bad_alloc);
  EXPECT_THROW(static_cast<void>(AllocateFrame(4800)), std::bad_alloc);
}
#else
TEST_F(FrameCacheTest, FailureIsNullWhereThereAreNoExceptions) {
  ScopedFrameFault fault({.times = ScopedFrameFault::kForever});
  EXPECT_EQ(AllocateFrame(48), nullptr);
  EXPECT_EQ(AllocateFrame(4800), nullptr);
}
#endif

}  // namespace
}  // namespace weft::internal

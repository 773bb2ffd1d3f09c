// Layer coro. Where do coroutine frames and control blocks get their memory?
//
//   static void* operator new(size_t size) { return AllocateFrame(size); }
//   static void operator delete(void* frame, size_t size) { FreeFrame(frame, size); }
//
// Sizes up to 4 KiB are rounded up to a multiple of 16 bytes and served from lists that belong to the calling OS
// thread, without atomics; larger ones come from `operator new`. A list that runs empty takes a batch from a pool that
// all threads share, or cuts one from a slab; a list that grows past two batches gives one back. So frames that are
// made on one carrier and freed on another return to the first through the pool, and no list grows without bound. When
// an OS thread ends, its lists go to the pool. Slabs are kept until the process ends: the peak is what stays.
//
// Failure: `AllocateFrame` throws std::bad_alloc, or gives nullptr where Weft was built without exceptions;
// `AllocateFrameNoThrow` gives nullptr always. `FreeFrame` never allocates and never fails.
//
// Who may call: any thread, at any time, also during thread exit and static destruction. The memory may be freed by
// another thread than the one that allocated it; the caller orders the two, as with `operator delete`. `size` is the
// same in both calls. The memory is aligned to 16 bytes, or as the forms with an `alignment` say: a power of two, the
// same in both calls. Above 16 bytes these take `alignment` bytes more from the same lists.
//
// Coroutines that migrate: what finds the lists is not inlined, so that the address of a thread_local never lives in a
// coroutine's frame across a co_await.
//
// A freed block is poisoned for AddressSanitizer: resuming a destroyed frame is reported as a use after poison.
//
// The census (`LiveFrames`, `LiveFrameBytes`) is a sum over all threads: exact while nobody allocates or frees and the
// caller is ordered after those who did, near the truth otherwise. It costs the allocation path nothing: what lives is
// what a thread has taken out of the pool less what lies in its lists, which it counts anyway.
//
// Cost: a pair of allocation and free that hits the list takes 3 ns, one coroutine from its start to its end 5.3 ns;
// every further batch (46 frames of 176 bytes) one short lock.
//
// Rejected: malloc, which adds 16 bytes to a frame; lists that are not bounded, with which a producer and a consumer on
// two carriers grow without end; pushing a frame back to the carrier that made it, one atomic exchange for each frame
// freed elsewhere, where a batch pays 1/46 of a lock; a counter of live frames beside the list's own, one more store a
// call. (J. Bonwick and J. Adams, "Magazines and Vmem", USENIX 2001.)
#ifndef WEFT_INTERNAL_FRAME_CACHE_H_
#define WEFT_INTERNAL_FRAME_CACHE_H_

#include "weft/internal/compiler.h"

#include <cstddef>
#include <cstdint>
#include <limits>

namespace weft::internal {

// The largest size that is cached, in bytes. Frames above it are rare, and their own work hides the cost of malloc.
inline constexpr size_t kMaxCachedFrameBytes = 4096;

[[nodiscard]] inline void* AllocateFrame(size_t size);
[[nodiscard]] inline void* AllocateFrameNoThrow(size_t size) noexcept;
inline void FreeFrame(void* frame, size_t size) noexcept;
[[nodiscard]] inline void* AllocateFrame(size_t size, size_t alignment);
[[nodiscard]] inline void* AllocateFrameNoThrow(size_t size, size_t alignment) noexcept;
inline void FreeFrame(void* frame, size_t size, size_t alignment) noexcept;

// Ends the program: where exceptions are off, nobody can be told.
[[noreturn, gnu::cold]] void DieOutOfMemory(size_t size, const char* what) noexcept;

// Gives the calling OS thread its lists now. A carrier calls it before it runs anything; any other thread gets them at
// its first allocation, and until then frees into a list that is shared and locked, because a free allocates nothing.
// False: there was no memory; the thread goes on with the shared lists, and tries again at its next allocation.
bool PrepareFrameCache() noexcept;

// Frames that are allocated and not freed, and the bytes of their blocks (up to kMaxCachedFrameBytes rounded up to a
// multiple of 16, and not below 32).
int64_t LiveFrames() noexcept;
int64_t LiveFrameBytes() noexcept;

// Makes allocations fail while it lives, of all OS threads or of the one that made it. For tests; one at a time. To try
// every allocation of a scenario: run it once with `times = 0`, read `allocations()`, then run it once for each.
class ScopedFrameFault {
 public:
  static constexpr int64_t kForever = std::numeric_limits<int64_t>::max();

  struct Options {
    int64_t first = 1;  // the first allocation that fails; they count from 1
    int64_t times = 1;  // how many fail in a row; kForever for all from the first on, 0 to count only
    bool here = false;      // counts, and fails, those of the calling OS thread only: other carriers go on
  };

  explicit ScopedFrameFault(Options options);
  ScopedFrameFault(const ScopedFrameFault&) = delete;
  ScopedFrameFault& operator=(const ScopedFrameFault&) = delete;
  ~ScopedFrameFault();

  // The allocations since this object was made, failed ones included.
  int64_t allocations() const noexcept;
};

// --------------------------------------------------------------------------------------------------------------------

// The size of a frame is a constant where it is allocated and freed, and so is its class, if it is found there.
inline constexpr size_t kFrameGranuleBytes = 16;
inline constexpr size_t kMinFrameClass = 2;
constexpr size_t FrameClass(size_t size) {
  const size_t size_class = (size + kFrameGranuleBytes - 1) / kFrameGranuleBytes;
  return size_class < kMinFrameClass ? kMinFrameClass : size_class;
}

[[nodiscard]] void* AllocateFrameOfClass(size_t size_class, size_t size);
[[nodiscard]] void* AllocateLargeFrame(size_t size);
[[nodiscard]] void* AllocateFrameOfClassNoThrow(size_t size_class, size_t size) noexcept;
[[nodiscard]] void* AllocateLargeFrameNoThrow(size_t size) noexcept;
void FreeFrameOfClass(void* frame, size_t size_class) noexcept;
void FreeLargeFrame(void* frame, size_t size) noexcept;

inline void* AllocateFrame(size_t size) {
  return size <= kMaxCachedFrameBytes ? AllocateFrameOfClass(FrameClass(size), size) : AllocateLargeFrame(size);
}

inline void* AllocateFrameNoThrow(size_t size) noexcept {
  return size <= kMaxCachedFrameBytes ? AllocateFrameOfClassNoThrow(FrameClass(size), size)
                                      : AllocateLargeFrameNoThrow(size);
}

inline void FreeFrame(void* frame, size_t size) noexcept {
  size <= kMaxCachedFrameBytes ? FreeFrameOfClass(frame, FrameClass(size)) : FreeLargeFrame(frame, size);
}

// In a block of `alignment` bytes more, which begins 16 bytes before the object at least: its address is left there.
inline void* AlignInBlock(void* block, size_t alignment) noexcept {
  if (block == nullptr) return nullptr;
  const uintptr_t aligned = (reinterpret_cast<uintptr_t>(block) + alignment) & ~(uintptr_t{alignment} - 1);
  reinterpret_cast<void**>(aligned)[-1] = block;
  return reinterpret_cast<void*>(aligned);
}

// The alignment is a constant where these are called: what is not over-aligned pays nothing.
inline void* AllocateFrame(size_t size, size_t alignment) {
  if (alignment <= kFrameGranuleBytes) return AllocateFrame(size);
  return AlignInBlock(AllocateFrame(size + alignment), alignment);
}

inline void* AllocateFrameNoThrow(size_t size, size_t alignment) noexcept {
  if (alignment <= kFrameGranuleBytes) return AllocateFrameNoThrow(size);
  return AlignInBlock(AllocateFrameNoThrow(size + alignment), alignment);
}

inline void FreeFrame(void* frame, size_t size, size_t alignment) noexcept {
  if (alignment <= kFrameGranuleBytes) return FreeFrame(frame, size);
  FreeFrame(static_cast<void**>(frame)[-1], size + alignment);
}

}  // namespace weft::internal

#endif  // WEFT_INTERNAL_FRAME_CACHE_H_

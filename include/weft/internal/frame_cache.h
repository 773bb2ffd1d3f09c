// Layer coro. Where do coroutine frames and control blocks get their memory?
//
//   static void* operator new(size_t size) { return AllocateFrame(size); }
//   static void operator delete(void* frame, size_t size) { FreeFrame(frame, size); }
//
// From lists of the calling OS thread, without atomics, up to 4 KiB; above that from `operator new`. How the lists are
// kept in balance: lib/coro/frame_cache.h.
//
// Failure: `AllocateFrame` throws std::bad_alloc, or returns nullptr where Weft was built without exceptions.
// `AllocateFrameNoThrow` always returns nullptr. `FreeFrame` never allocates and never fails.
//
// Who may call: any thread, at any time, also during thread exit and static destruction. The memory may be freed by
// another thread than the one that allocated it; the caller orders the two, as with `operator delete`. `size` is the
// same in both calls. The memory is aligned to 16 bytes, or as the forms with an `alignment` say: a power of two, the
// same in both calls. Above 16 bytes these take `alignment` bytes more from the same lists.
//
// Coroutines that migrate: what finds the lists is not inlined, so that the address of a thread_local never lives in a
// coroutine's frame across a co_await.
#ifndef WEFT_INTERNAL_FRAME_CACHE_H_
#define WEFT_INTERNAL_FRAME_CACHE_H_

#include "weft/internal/compiler.h"

#include <cstddef>
#include <cstdint>

namespace weft::internal {

// The largest size that is cached, in bytes. Frames above it are rare, and their own work hides the cost of malloc.
inline constexpr size_t kMaxCachedFrameBytes = 4096;

[[nodiscard]] inline void* AllocateFrame(size_t size);
[[nodiscard]] inline void* AllocateFrameNoThrow(size_t size) noexcept;
inline void FreeFrame(void* frame, size_t size) noexcept;
[[nodiscard]] inline void* AllocateFrame(size_t size, size_t alignment);
[[nodiscard]] inline void* AllocateFrameNoThrow(size_t size, size_t alignment) noexcept;
inline void FreeFrame(void* frame, size_t size, size_t alignment) noexcept;

// Ends the program: without exceptions there is no way to report it.
[[noreturn, gnu::cold]] void DieOutOfMemory(size_t size, const char* what) noexcept;

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

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
// Coroutines that migrate: the lists are found by an instruction that the compiler does not look into, or by a call, so
// that the address of a thread_local never lives in a coroutine's frame across a co_await.
#ifndef WEFT_INTERNAL_FRAME_CACHE_H_
#define WEFT_INTERNAL_FRAME_CACHE_H_

#include "weft/internal/compiler.h"

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "weft/internal/atomic.h"

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

[[nodiscard]] void* AllocateFrameSlow(size_t size);
[[nodiscard]] void* AllocateFrameSlowNoThrow(size_t size) noexcept;
void FreeFrameSlow(void* frame, size_t size) noexcept;

// A free block. Its last two members have a meaning only in the first block of a batch in the pool.
struct FreeBlock {
  FreeBlock* next;
  FreeBlock* next_batch;
  int64_t count;
};

// The free blocks of one class that an OS thread has. Only that thread writes; `count` is atomic for the census.
struct FreeList {
  FreeBlock* head = nullptr;
  Atomic<int32_t> count{0};  // relaxed: one writer
  int32_t limit = 0;         // blocks; a longer list is moved on. 0 sends every free to the slow path
};

// Those of the calling OS thread, by their class. Lists that are empty and take nothing, if the fast path is not to be
// used: then it needs no other test.
extern constinit thread_local Atomic<FreeList*> own_free_lists __asm__("weft_own_free_lists")
    __attribute__((tls_model("initial-exec")));

#if defined(__x86_64__) && !__has_feature(address_sanitizer)
inline FreeList& OwnFreeList(size_t size_class) noexcept {
  FreeList* lists;
  __asm__ volatile("movq weft_own_free_lists@gottpoff(%%rip), %0\n\tmovq %%fs:(%0), %0" : "=r"(lists));
  return lists[size_class];
}
#define WEFT_INLINE_FRAME_CACHE 1
#else
#define WEFT_INLINE_FRAME_CACHE 0  // AddressSanitizer is told of every block
#endif

[[gnu::always_inline]] inline void* TakeOwnFree(size_t size) noexcept {
#if WEFT_INLINE_FRAME_CACHE
  if (size > kMaxCachedFrameBytes) return nullptr;
  FreeList& list = OwnFreeList(FrameClass(size));
  FreeBlock* const block = list.head;
  if (block == nullptr) [[unlikely]]
    return nullptr;
  list.head = block->next;
  list.count.store(list.count.load(std::memory_order_relaxed) - 1, std::memory_order_relaxed);
  return block;
#else
  static_cast<void>(size);
  return nullptr;
#endif
}

inline void* AllocateFrame(size_t size) {
  void* const block = TakeOwnFree(size);
  return block != nullptr ? block : AllocateFrameSlow(size);
}

inline void* AllocateFrameNoThrow(size_t size) noexcept {
  void* const block = TakeOwnFree(size);
  return block != nullptr ? block : AllocateFrameSlowNoThrow(size);
}

inline void FreeFrame(void* frame, size_t size) noexcept {
#if WEFT_INLINE_FRAME_CACHE
  if (size <= kMaxCachedFrameBytes) {
    FreeList& list = OwnFreeList(FrameClass(size));
    const int32_t count = list.count.load(std::memory_order_relaxed);
    if (count < list.limit) [[likely]] {
      auto* const block = static_cast<FreeBlock*>(frame);
      block->next = list.head;
      list.head = block;
      list.count.store(count + 1, std::memory_order_relaxed);
      return;
    }
  }
#endif
  FreeFrameSlow(frame, size);
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

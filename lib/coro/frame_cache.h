// How are frames cached, and how many are alive?
//
// Sizes up to 4 KiB are rounded up to a multiple of 16 bytes and served from lists that belong to the calling OS
// thread, without atomics; larger ones come from `operator new`. A list that runs empty takes a batch from a pool that
// all threads share, or cuts one from a slab; a list that grows past two batches, of 64 frames or more, gives one back.
// So frames that are made on one carrier and freed on another return to the first through the pool, no list grows
// without bound, and a tree of calls that goes up and down by some tens of frames stays with its carrier. When an OS
// thread ends, its lists go to the pool.
//
// Memory goes back. When a runtime is calm, its carriers put what their lists hold into the pool (SpillFreeFrames), and
// its watchdog looks for slabs of which every block lies there (ReturnFreeFrames). The system gets the pages of these,
// except for kKeptFrameBytes; their addresses are used again. This costs allocations and frees nothing: a slab has no
// count of its live blocks, and what is free in it is counted only then, by a walk over the pool. (100,000 threads that
// have parked hold 37.5 MB at the peak.)
//
// Huge pages. A process that has many frames fetches memory for more in pieces that begin at a huge page and consist of
// such, so that the kernel may use them; on request it is asked to. (On a machine where it does so only when asked, a
// million threads begin to sleep within 0.14 s instead of 0.26, and take 0.7 s of processor time instead of 0.9.)
//
// A freed block is poisoned for AddressSanitizer: resuming a destroyed frame is reported as a use after poison.
//
// The census (`LiveFrames`, `LiveFrameBytes`) is a sum over all threads: exact while nobody allocates or frees and the
// caller is ordered after those who did, near the truth otherwise. It costs the allocation path nothing: the live
// frames are what a thread has taken out of the pool, less what lies in its lists, and it counts both anyway.
//
// Cost: a pair of allocation and free that hits the list takes 3 ns, one coroutine from its start to its end 5.3 ns;
// every further batch one short lock.
//
// Rejected: malloc, which adds 16 bytes to a frame; unbounded lists, which grow without end for a producer and a
// consumer on two carriers; pushing a frame back to the carrier that made it, one atomic exchange for each frame that
// is freed elsewhere, where a batch pays 1/64 of a lock; a counter of live frames beside the list's own, one more store
// for each call. (J. Bonwick and J. Adams, "Magazines and Vmem", USENIX 2001.)
#ifndef WEFT_LIB_CORO_FRAME_CACHE_H_
#define WEFT_LIB_CORO_FRAME_CACHE_H_

#include <cstdint>

#include "weft/internal/frame_cache.h"

namespace weft::internal {

// Gives the calling OS thread its lists now. A carrier calls it before it runs anything; any other thread gets them at
// its first allocation, and until then frees into a list that is shared and locked, because a free allocates nothing.
// False: there was no memory; the thread goes on with the shared lists, and tries again at its next allocation.
bool PrepareFrameCache() noexcept;

// How much goes back at once: what a slab holds.
inline constexpr int64_t kFrameSlabBytes = int64_t{64} * 1024;
// How much of what is free stays when memory goes back, so that the next burst need not begin with page faults.
inline constexpr int64_t kKeptFrameBytes = int64_t{1024} * 1024;
// Moves what the lists of the calling OS thread hold into the pool, where others find it. 250 short steps.
void SpillFreeFrames() noexcept;
// Returns the memory of slabs to the system that are wholly free, except for about `keep_bytes`, and says how much that
// was, in bytes. Any OS thread. Takes a few nanoseconds for each free block; others that need a batch meanwhile cut a
// new one. Allocates nothing.
int64_t ReturnFreeFrames(int64_t keep_bytes = kKeptFrameBytes) noexcept;
// From now on memory is fetched with a request for huge pages. For the whole process, and for good. Any OS thread.
void UseHugePages() noexcept;
// What slabs hold that are in use, in bytes: frames, and what is free.
int64_t FrameCacheBytes() noexcept;

// Frames that are allocated and not freed, and the bytes of their blocks (up to kMaxCachedFrameBytes rounded up to a
// multiple of 16, and not below 32).
int64_t LiveFrames() noexcept;
int64_t LiveFrameBytes() noexcept;
// Of these, what lies in slabs.
int64_t LiveCachedFrameBytes() noexcept;

}  // namespace weft::internal

#endif  // WEFT_LIB_CORO_FRAME_CACHE_H_

// How are frames cached, and how many are alive?
//
// Sizes up to 4 KiB are rounded up to a multiple of 16 bytes and served from lists that belong to the calling OS
// thread, without atomics; larger ones come from `operator new`. A list that runs empty takes a batch from a pool that
// all threads share, or cuts one from a slab; a list that grows past two batches gives one back. So frames that are
// made on one carrier and freed on another return to the first through the pool, and no list grows without bound. When
// an OS thread ends, its lists go to the pool. Slabs are kept until the process ends: the peak is what stays.
//
// A freed block is poisoned for AddressSanitizer: resuming a destroyed frame is reported as a use after poison.
//
// The census (`LiveFrames`, `LiveFrameBytes`) is a sum over all threads: exact while nobody allocates or frees and the
// caller is ordered after those who did, near the truth otherwise. It costs the allocation path nothing: the live
// frames are what a thread has taken out of the pool, less what lies in its lists, and it counts both anyway.
//
// Cost: a pair of allocation and free that hits the list takes 3 ns, one coroutine from its start to its end 5.3 ns;
// every further batch (46 frames of 176 bytes) one short lock.
//
// Rejected: malloc, which adds 16 bytes to a frame; unbounded lists, which grow without end for a producer and a
// consumer on two carriers; pushing a frame back to the carrier that made it, one atomic exchange for each frame that
// is freed elsewhere, where a batch pays 1/46 of a lock; a counter of live frames beside the list's own, one more store
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

// Frames that are allocated and not freed, and the bytes of their blocks (up to kMaxCachedFrameBytes rounded up to a
// multiple of 16, and not below 32).
int64_t LiveFrames() noexcept;
int64_t LiveFrameBytes() noexcept;

}  // namespace weft::internal

#endif  // WEFT_LIB_CORO_FRAME_CACHE_H_

#include "lib/coro/frame_cache.h"

#include <algorithm>
#include <cstdint>
#include <mutex>
#include <new>
#include <span>
#include <utility>

#include "lib/base/sanitizers.h"
#include "lib/coro/frame_fault.h"
#include "lib/os/global_lock.h"
#include "lib/os/pages.h"
#include "weft/internal/atomic.h"
#include "weft/internal/check.h"

namespace weft::internal {

namespace {

constexpr size_t kGranuleBytes = kFrameGranuleBytes;
constexpr size_t kClasses = kMaxCachedFrameBytes / kGranuleBytes + 1;  // class c serves blocks of 16 * c bytes

// The size of a slab, which is cut into blocks. 64 KiB holds 372 frames of 176 bytes. A thread that uses a class once
// takes a batch from it. A slab lies at a multiple of its size, so that a block finds it.
constexpr size_t kSlabBytes = kFrameSlabBytes;
// How many slabs come from `operator new` at once: enough for malloc to map them by themselves. A process that has
// kSlabsBeforeHuge of them has many frames, and spends much of its time on page faults and on looking for pages: from
// then on they come in whole huge pages, for the kernel to use where it may.
constexpr size_t kSlabsPerRegion = 16;
constexpr size_t kSlabsBeforeHuge = 256;
constexpr size_t kSlabsPerHugeRegion = 256;
constexpr size_t kHugePageBytes = size_t{2} * 1024 * 1024;
static_assert(kSlabsPerHugeRegion * kSlabBytes % kHugePageBytes == 0);

// How much is cut from a slab at once, so that a class that is used once costs little.
constexpr size_t kCutBytes = size_t{8} * 1024;
constexpr int kMinCutBlocks = 8;

// How many blocks a list holds, and how many move between a thread and the pool at once: as many blocks as kCutBytes
// has, but not below kMinListBlocks. A tree of calls that is run depth first goes up and down by some tens of frames;
// with 8 of the largest, each swing took the pool's lock and brought frames that were hot in another carrier's cache
// (benchmarks/RESULTS.md). With more, more memory lies idle: a thread keeps two lists of a class that it uses, at most.
constexpr int kMinListBlocks = 64;
constexpr int kMaxListBlocks = 128;

constexpr size_t BlockBytes(size_t size_class) { return size_class * kGranuleBytes; }

constexpr size_t kMinClass = kMinFrameClass;
static_assert(BlockBytes(kMinClass) >= sizeof(FreeBlock));
constexpr int CutBlocks(size_t size_class) {
  return std::clamp(static_cast<int>(kCutBytes / BlockBytes(size_class)), kMinCutBlocks, kMaxListBlocks);
}
constexpr int ListBlocks(size_t size_class) { return std::max(CutBlocks(size_class), kMinListBlocks); }

// Blocks in lists are poisoned; these two are the only ones that look into one.
FreeBlock* Open(void* block) {
  ASAN_UNPOISON_MEMORY_REGION(block, sizeof(FreeBlock));
  return static_cast<FreeBlock*>(block);
}
void Close(FreeBlock* block, size_t size_class) {
  ASAN_POISON_MEMORY_REGION(block, BlockBytes(size_class));
  static_cast<void>(block);
  static_cast<void>(size_class);
}

struct Batch {
  FreeBlock* head = nullptr;
  int64_t count = 0;
};

// What is known of a slab. It does not lie in the slab, whose memory the system may have back.
struct SlabInfo {
  char* memory = nullptr;
  SlabInfo* next_free = nullptr;  // guarded by registry.lock
  // Bytes that were cut into blocks, from when the slab is used up. Until then 0: a thread still cuts it.
  Atomic<uint32_t> cut_bytes{0};
  // Guarded by collection_lock: of its blocks, those that a collection has found free; or kReturned.
  uint32_t free_bytes = 0;
  static constexpr uint32_t kReturned = UINT32_MAX;
};

// What a slab begins with.
struct Slab {
  SlabInfo* info;
  uint64_t padding;  // keeps the first block aligned
};
static_assert(sizeof(Slab) % kGranuleBytes == 0);

// Followed by what is known of its slabs, and by the slabs.
struct Region {
  Region* next;
  size_t count;

  std::span<SlabInfo> slabs() noexcept { return {reinterpret_cast<SlabInfo*>(this + 1), count}; }
};
static_assert(sizeof(Region) % alignof(SlabInfo) == 0);

SlabInfo& SlabOf(const void* block) noexcept {
  return *reinterpret_cast<const Slab*>(reinterpret_cast<uintptr_t>(block) & ~uintptr_t{kSlabBytes - 1})->info;
}

// What belongs to one OS thread. Counters are written by that thread alone, and read by the census.
struct FrameCache {
  FreeList lists[kClasses];
  Batch reserves[kClasses];              // a full batch, so that a list at its limit does not go back and forth
  // Blocks that came into the list, less those that were moved on. relaxed: one writer.
  Atomic<int64_t> taken[kClasses] = {};
  Atomic<int64_t> large_frames{0};  // relaxed: as above
  Atomic<int64_t> large_bytes{0};   // relaxed: as above
  SlabInfo* slab = nullptr;  // the one that is being cut
  char* slab_cursor = nullptr;
  char* slab_end = nullptr;
  // Guarded by registry.lock.
  FrameCache* next = nullptr;
  Atomic<FreeList*>* fast_path = nullptr;  // own_free_lists of the thread that uses it; null: none does
};

struct Pool {
  GlobalLock lock;
  FreeBlock* batches = nullptr;
};

struct Registry {
  GlobalLock lock;
  FrameCache* caches = nullptr;  // one for each thread of the busiest moment; never freed
  Region* regions = nullptr;     // never freed; keeps them reachable for leak checkers
  size_t slabs = 0;              // in all regions
  SlabInfo* free_slabs = nullptr;
  int64_t slabs_in_use = 0;
  bool huge_pages = false;       // to be asked for
};

constinit Pool pools[kClasses];
constinit Registry registry;
constinit GlobalLock collection_lock;  // held over pool locks, and over registry.lock

// For threads that have no cache of their own: those that are past the end of their thread_locals, and those for which
// there was no memory.
constinit GlobalLock shared_lock;
constinit FrameCache shared_cache;

// What own_free_lists is before the first use, after the thread's end, and while a fault is installed.
constinit FreeList no_lists[kClasses];

}  // namespace

constinit thread_local Atomic<FreeList*> own_free_lists{no_lists};

namespace {

enum class Life : uint8_t { kNotYet, kHasCache, kGone };

// initial-exec: this is part of the program or of a library that it was linked with, and one instruction finds it.
[[gnu::tls_model("initial-exec")]] constinit thread_local FrameCache* this_cache = nullptr;
[[gnu::tls_model("initial-exec")]] constinit thread_local Life this_life = Life::kNotYet;

// relaxed: counters of one writer. Whoever wants an exact census is ordered after the writer by other means.
void Add(Atomic<int64_t>& counter, int64_t n) noexcept {
  counter.store(counter.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
}

void PushBatch(size_t size_class, Batch batch) noexcept {
  if (batch.head == nullptr) return;
  FreeBlock* first = Open(batch.head);
  Pool& pool = pools[size_class];
  std::lock_guard guard(pool.lock);
  first->count = batch.count;
  first->next_batch = pool.batches;
  pool.batches = first;
  Close(first, size_class);
}

Batch PopBatch(size_t size_class) noexcept {
  Pool& pool = pools[size_class];
  std::lock_guard guard(pool.lock);
  if (pool.batches == nullptr) return {};
  FreeBlock* first = Open(pool.batches);
  const Batch batch = {.head = first, .count = first->count};
  pool.batches = first->next_batch;
  Close(first, size_class);
  return batch;
}

// Under registry.lock. `count` slabs, of which the first lies at a multiple of `alignment`.
Region* AddRegion(size_t count, size_t alignment) noexcept {
  const size_t header = sizeof(Region) + count * sizeof(SlabInfo);
  void* const memory = ::operator new(header + alignment + count * kSlabBytes, std::nothrow);
  if (memory == nullptr) return nullptr;
  auto* const region = ::new (memory) Region{.next = registry.regions, .count = count};
  registry.regions = region;
  registry.slabs += count;
  const uintptr_t begin = (reinterpret_cast<uintptr_t>(memory) + header + alignment - 1) & ~uintptr_t{alignment - 1};
  for (size_t i = count; i-- > 0;) {
    char* const slab = reinterpret_cast<char*>(begin + i * kSlabBytes);
    registry.free_slabs = ::new (&region->slabs()[i]) SlabInfo{.memory = slab, .next_free = registry.free_slabs};
  }
  return region;
}

// Under registry.lock. False: there is no memory.
bool AddSlabs() noexcept {
  Region* const huge =
      registry.slabs < kSlabsBeforeHuge ? nullptr : AddRegion(kSlabsPerHugeRegion, kHugePageBytes);
  if (huge == nullptr) return AddRegion(kSlabsPerRegion, kSlabBytes) != nullptr;
  if (registry.huge_pages) AskForHugePages(huge->slabs().front().memory, kSlabsPerHugeRegion * kSlabBytes);
  return true;
}

bool AddSlab(FrameCache& cache) noexcept {
  SlabInfo* next;
  {
    std::lock_guard guard(registry.lock);
    if (registry.free_slabs == nullptr && !AddSlabs()) return false;
    next = registry.free_slabs;
    registry.free_slabs = next->next_free;
    ++registry.slabs_in_use;
  }
  if (cache.slab != nullptr) {
    const auto cut = static_cast<uint32_t>(cache.slab_cursor - (cache.slab->memory + sizeof(Slab)));
    // [slab/1] release: pairs with [slab/2].
    cache.slab->cut_bytes.store(cut, std::memory_order_release);
  }
  // relaxed: nobody knows it yet.
  next->cut_bytes.store(0, std::memory_order_relaxed);
  ::new (static_cast<void*>(next->memory)) Slab{.info = next, .padding = 0};
  cache.slab = next;
  cache.slab_cursor = next->memory + sizeof(Slab);
  cache.slab_end = next->memory + kSlabBytes;
  return true;
}

// Cuts a batch of neighbours, so that frames made in a row lie in a row. What is left of the old slab, less than one
// block, is lost.
Batch Carve(FrameCache& cache, size_t size_class) noexcept {
  const size_t bytes = BlockBytes(size_class);
  if (static_cast<size_t>(cache.slab_end - cache.slab_cursor) < bytes && !AddSlab(cache)) return {};
  const size_t fit = static_cast<size_t>(cache.slab_end - cache.slab_cursor) / bytes;
  const auto count = static_cast<int64_t>(std::min(fit, static_cast<size_t>(CutBlocks(size_class))));
  FreeBlock* head = nullptr;
  for (int64_t i = count - 1; i >= 0; --i) {
    auto* block = reinterpret_cast<FreeBlock*>(cache.slab_cursor + i * static_cast<int64_t>(bytes));
    block->next = head;
    head = block;
    Close(block, size_class);
  }
  cache.slab_cursor += count * static_cast<int64_t>(bytes);
  return {.head = head, .count = count};
}

// Fills the empty list of a class.
bool Refill(FrameCache& cache, size_t size_class) noexcept {
  FreeList& list = cache.lists[size_class];
  Batch batch = cache.reserves[size_class];
  cache.reserves[size_class] = {};
  if (batch.head == nullptr) batch = PopBatch(size_class);
  if (batch.head == nullptr) batch = Carve(cache, size_class);
  if (batch.head == nullptr) return false;
  list.head = batch.head;
  list.count.store(static_cast<int32_t>(batch.count), std::memory_order_relaxed);
  Add(cache.taken[size_class], batch.count);
  return true;
}

// Moves the whole list of a class on: to the reserve, and what was there to the pool.
void Spill(FrameCache& cache, size_t size_class) noexcept {
  FreeList& list = cache.lists[size_class];
  PushBatch(size_class, cache.reserves[size_class]);
  const int32_t count = list.count.load(std::memory_order_relaxed);
  cache.reserves[size_class] = {.head = list.head, .count = count};
  list.head = nullptr;
  list.count.store(0, std::memory_order_relaxed);
  Add(cache.taken[size_class], -count);
}

// A block of a list that is not empty.
void* TakeHead(FreeList& list, size_t size) noexcept {
  FreeBlock* block = Open(list.head);
  list.head = block->next;
  list.count.store(list.count.load(std::memory_order_relaxed) - 1, std::memory_order_relaxed);
  ASAN_UNPOISON_MEMORY_REGION(block, size);
  static_cast<void>(size);
  return block;
}

void PutHead(FreeList& list, void* frame, size_t size_class) noexcept {
  FreeBlock* block = Open(frame);
  block->next = list.head;
  list.head = block;
  list.count.store(list.count.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  Close(block, size_class);
}

bool IsFull(const FreeList& list) noexcept { return list.count.load(std::memory_order_relaxed) >= list.limit; }

void SetLimits(FrameCache& cache) noexcept {
  for (size_t c = kMinClass; c < kClasses; ++c) cache.lists[c].limit = ListBlocks(c);
}

// ---- Faults. While one is installed, the threads that it concerns have no fast path.

struct Fault {
  Atomic<bool> installed{false};  // relaxed: the test that installs a fault starts what is to fail afterwards
  GlobalLock lock;
  int64_t allocations = 0;
  ScopedFrameFault::Options options;         // written under both locks
  Atomic<FreeList*>* installer = nullptr;  // own_free_lists of the thread that made it. As `options`
};
constinit Fault fault;

bool Concerns(const Fault& what, const Atomic<FreeList*>* thread) noexcept {
  return what.installed.load(std::memory_order_relaxed) && (!what.options.here || what.installer == thread);
}

bool AllocationIsToFail() noexcept {
  if (!fault.installed.load(std::memory_order_relaxed)) return false;
  std::lock_guard guard(fault.lock);
  if (!Concerns(fault, &own_free_lists)) return false;
  const int64_t allocation = ++fault.allocations;
  return allocation >= fault.options.first && allocation - fault.options.first < fault.options.times;
}

// Under registry.lock.
void SetFastPath(FrameCache& cache) noexcept {
  // relaxed: its thread reads it; a fault that another thread installs concerns what is started afterwards.
  cache.fast_path->store(Concerns(fault, cache.fast_path) ? no_lists : cache.lists, std::memory_order_relaxed);
}
void SetFastPaths() noexcept {
  for (FrameCache* cache = registry.caches; cache != nullptr; cache = cache->next) {
    if (cache->fast_path != nullptr) SetFastPath(*cache);
  }
}

// ---- The cache of a thread.

// The calling thread's own cache goes back when the thread ends.
struct ReturnCacheAtThreadExit {
  bool armed = false;
  ~ReturnCacheAtThreadExit() {
    FrameCache* const cache = this_cache;
    this_cache = nullptr;
    this_life = Life::kGone;
    {
      std::lock_guard guard(registry.lock);
      cache->fast_path->store(no_lists, std::memory_order_relaxed);  // relaxed: our own
    }
    for (size_t c = kMinClass; c < kClasses; ++c) {
      Spill(*cache, c);
      PushBatch(c, cache->reserves[c]);
      cache->reserves[c] = {};
    }
    // The slab's rest stays with the cache, for the thread that uses it next.
    std::lock_guard guard(registry.lock);
    cache->fast_path = nullptr;
  }
};

void UseLocked(FrameCache& cache) noexcept {
  cache.fast_path = &own_free_lists;
  SetFastPath(cache);
}

FrameCache* FindOrMakeCache() noexcept {
  {
    std::lock_guard guard(registry.lock);
    for (FrameCache* cache = registry.caches; cache != nullptr; cache = cache->next) {
      if (cache->fast_path != nullptr) continue;
      UseLocked(*cache);
      return cache;
    }
  }
  auto* cache = new (std::nothrow) FrameCache;
  if (cache == nullptr) return nullptr;
  SetLimits(*cache);
  std::lock_guard guard(registry.lock);
  cache->next = registry.caches;
  registry.caches = cache;
  UseLocked(*cache);
  return cache;
}

// Returns the cache of the calling thread, which is made if need be; nullptr if it can have none.
FrameCache* OwnCache() noexcept {
  if (this_life != Life::kNotYet) return this_cache;
  FrameCache* cache = FindOrMakeCache();
  if (cache == nullptr) return nullptr;
  thread_local ReturnCacheAtThreadExit at_exit;
  at_exit.armed = true;
  this_cache = cache;
  this_life = Life::kHasCache;
  return cache;
}

void* AllocateFrom(FrameCache& cache, size_t size) noexcept {
  if (size > kMaxCachedFrameBytes) {
    void* frame = ::operator new(size, std::nothrow);
    if (frame == nullptr) return nullptr;
    Add(cache.large_frames, 1);
    Add(cache.large_bytes, static_cast<int64_t>(size));
    return frame;
  }
  const size_t size_class = FrameClass(size);
  FreeList& list = cache.lists[size_class];
  if (list.head == nullptr && !Refill(cache, size_class)) return nullptr;
  return TakeHead(list, size);
}

void FreeInto(FrameCache& cache, void* frame, size_t size) noexcept {
  if (size > kMaxCachedFrameBytes) {
    Add(cache.large_frames, -1);
    Add(cache.large_bytes, -static_cast<int64_t>(size));
    ::operator delete(frame);
    return;
  }
  const size_t size_class = FrameClass(size);
  FreeList& list = cache.lists[size_class];
  if (IsFull(list)) Spill(cache, size_class);
  PutHead(list, frame, size_class);
}

// ---- The slow path.

void* AllocateSlow(size_t size) noexcept {
  if (AllocationIsToFail()) return nullptr;
  if (FrameCache* cache = OwnCache(); cache != nullptr) return AllocateFrom(*cache, size);
  std::lock_guard guard(shared_lock);
  SetLimits(shared_cache);
  return AllocateFrom(shared_cache, size);
}

// ---- Giving memory back.

// All batches of one class, linked through their first blocks.
FreeBlock* TakeAllBatches(size_t size_class) noexcept {
  Pool& pool = pools[size_class];
  std::lock_guard guard(pool.lock);
  return std::exchange(pool.batches, nullptr);
}

// Calls visit(block) for each block of a list of batches. The block may be gone afterwards. The next block of a batch
// is seldom in the processor's cache: so several batches take turns, and what is next in each is fetched meanwhile.
template <class Visit>
void ForEachBlock(FreeBlock* batches, Visit visit) noexcept {
  constexpr int kTurns = 8;
  FreeBlock* next[kTurns] = {};
  for (bool any = true; any;) {
    any = false;
    for (FreeBlock*& chain : next) {
      if (chain == nullptr) {
        if (batches == nullptr) continue;
        chain = batches;
        batches = Open(batches)->next_batch;
      }
      any = true;
      FreeBlock* const block = chain;
      chain = Open(block)->next;
      __builtin_prefetch(chain);
      visit(block);
    }
  }
}

// So that what a collection finds can be counted. With collection_lock held.
void ForgetWhatWasFree() noexcept {
  std::lock_guard guard(registry.lock);
  for (Region* region = registry.regions; region != nullptr; region = region->next) {
    for (SlabInfo& slab : region->slabs()) slab.free_bytes = 0;
  }
}

// Is every block of the slab among those that were found?
bool IsWhole(const SlabInfo& slab) noexcept {
  // [slab/2] acquire: pairs with [slab/1]. The thread that has cut it is done with it.
  const uint32_t cut = slab.cut_bytes.load(std::memory_order_acquire);
  return cut != 0 && slab.free_bytes == cut;
}

// Puts the blocks that lie in no slab that goes back into the pool of their class, in batches.
void PushRest(size_t size_class, FreeBlock* batches) noexcept {
  Batch batch;
  ForEachBlock(batches, [&](FreeBlock* block) {
    if (SlabOf(block).free_bytes == SlabInfo::kReturned) return;
    block->next = batch.head;
    Close(block, size_class);
    batch.head = block;
    if (++batch.count == ListBlocks(size_class)) PushBatch(size_class, std::exchange(batch, {}));
  });
  PushBatch(size_class, batch);
}

// Calls visit(live blocks, bytes a block) for all there is.
template <class Visit>
void ForEachCount(Visit visit) noexcept {
  auto visit_cache = [&](const FrameCache& cache) {
    for (size_t c = kMinClass; c < kClasses; ++c) {
      visit(cache.taken[c].load(std::memory_order_relaxed) - cache.lists[c].count.load(std::memory_order_relaxed),
            static_cast<int64_t>(BlockBytes(c)));
    }
  };
  visit_cache(shared_cache);
  std::lock_guard guard(registry.lock);
  for (FrameCache* cache = registry.caches; cache != nullptr; cache = cache->next) visit_cache(*cache);
}

// The sum of a counter of large frames over all caches. relaxed: as in Add().
int64_t SumOfLarge(Atomic<int64_t> FrameCache::* counter) noexcept {
  int64_t sum = (shared_cache.*counter).load(std::memory_order_relaxed);
  std::lock_guard guard(registry.lock);
  for (FrameCache* cache = registry.caches; cache != nullptr; cache = cache->next) {
    sum += (cache->*counter).load(std::memory_order_relaxed);
  }
  return sum;
}

}  // namespace

void DieOutOfMemory(size_t size, const char* what) noexcept {
  WEFT_CHECK(false) << "out of memory for " << what << " of " << size << " bytes";
  __builtin_unreachable();
}

[[gnu::noinline]] void* AllocateFrameSlow(size_t size) {
  void* frame = AllocateSlow(size);
#ifdef __cpp_exceptions
  if (frame == nullptr) throw std::bad_alloc();
#endif
  return frame;
}

[[gnu::noinline]] void* AllocateFrameSlowNoThrow(size_t size) noexcept { return AllocateSlow(size); }

[[gnu::noinline]] void FreeFrameSlow(void* frame, size_t size) noexcept {
  // Not OwnCache(): a free allocates nothing.
  if (this_cache != nullptr) return FreeInto(*this_cache, frame, size);
  std::lock_guard guard(shared_lock);
  SetLimits(shared_cache);
  FreeInto(shared_cache, frame, size);
}

bool PrepareFrameCache() noexcept { return OwnCache() != nullptr; }

void SpillFreeFrames() noexcept {
  FrameCache* const cache = this_cache;
  if (cache == nullptr) return;
  for (size_t c = kMinClass; c < kClasses; ++c) {
    Spill(*cache, c);
    PushBatch(c, std::exchange(cache->reserves[c], {}));
  }
}

// Two passes over the blocks that lie in the pools: the first counts for each slab how much of it is free, the second
// sorts out the slabs of which all is.
int64_t ReturnFreeFrames(int64_t keep_bytes) noexcept {
  std::lock_guard collection(collection_lock);
  ForgetWhatWasFree();
  FreeBlock* batches[kClasses] = {};
  for (size_t c = kMinClass; c < kClasses; ++c) batches[c] = TakeAllBatches(c);
  SlabInfo* whole = nullptr;
  int64_t kept_bytes = 0;
  int64_t returned_bytes = 0;
  for (size_t c = kMinClass; c < kClasses; ++c) {
    ForEachBlock(batches[c], [&](FreeBlock* block) {
      SlabInfo& slab = SlabOf(block);
      slab.free_bytes += static_cast<uint32_t>(BlockBytes(c));
      if (!IsWhole(slab)) return;
      if (kept_bytes < keep_bytes) {
        kept_bytes += kSlabBytes;
        return;
      }
      slab.free_bytes = SlabInfo::kReturned;  // this was its last block
      slab.next_free = whole;
      whole = &slab;
    });
  }
  for (size_t c = kMinClass; c < kClasses; ++c) PushRest(c, batches[c]);
  while (whole != nullptr) {
    SlabInfo& slab = *std::exchange(whole, whole->next_free);
    ASAN_UNPOISON_MEMORY_REGION(slab.memory, kSlabBytes);
    ReturnPages(slab.memory, kSlabBytes);
    returned_bytes += kSlabBytes;
    std::lock_guard guard(registry.lock);
    --registry.slabs_in_use;
    slab.next_free = registry.free_slabs;
    registry.free_slabs = &slab;
  }
  return returned_bytes;
}

void UseHugePages() noexcept {
  std::lock_guard guard(registry.lock);
  registry.huge_pages = true;
}

int64_t FrameCacheBytes() noexcept {
  std::lock_guard guard(registry.lock);
  return registry.slabs_in_use * static_cast<int64_t>(kSlabBytes);
}

int64_t LiveFrames() noexcept {
  int64_t frames = SumOfLarge(&FrameCache::large_frames);
  ForEachCount([&](int64_t live, int64_t) { frames += live; });
  return frames;
}

int64_t LiveFrameBytes() noexcept { return SumOfLarge(&FrameCache::large_bytes) + LiveCachedFrameBytes(); }

int64_t LiveCachedFrameBytes() noexcept {
  int64_t bytes = 0;
  ForEachCount([&](int64_t live, int64_t block_bytes) { bytes += live * block_bytes; });
  return bytes;
}

ScopedFrameFault::ScopedFrameFault(Options options) {
  WEFT_CHECK(options.first >= 1) << "allocations count from 1";
  std::lock_guard paths(registry.lock);
  std::lock_guard guard(fault.lock);
  WEFT_CHECK(!fault.installed.load(std::memory_order_relaxed)) << "two frame faults at once";
  fault.allocations = 0;
  fault.options = options;
  fault.installer = &own_free_lists;
  fault.installed.store(true, std::memory_order_relaxed);
  SetFastPaths();
}

ScopedFrameFault::~ScopedFrameFault() {
  std::lock_guard paths(registry.lock);
  fault.installed.store(false, std::memory_order_relaxed);
  SetFastPaths();
}

int64_t ScopedFrameFault::allocations() const noexcept {
  std::lock_guard guard(fault.lock);
  return fault.allocations;
}

}  // namespace weft::internal

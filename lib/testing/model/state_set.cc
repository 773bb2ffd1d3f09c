#include "lib/testing/model/state_set.h"

#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>

#include "weft/internal/check.h"

namespace weft::internal::model {
namespace {

// Zeroes. On large pages where there are any: with small ones, each look also misses in the TLB.
uint64_t* NewSlots(size_t size) {
  void* memory = ::mmap(nullptr, size * sizeof(uint64_t), PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  WEFT_CHECK(memory != MAP_FAILED) << "no memory for " << size << " states, errno " << errno;
  ::madvise(memory, size * sizeof(uint64_t), MADV_HUGEPAGE);  // an error costs time only
  return static_cast<uint64_t*>(memory);
}

void DeleteSlots(uint64_t* slots, size_t size) { ::munmap(slots, size * sizeof(uint64_t)); }

}  // namespace

StateSet::StateSet() : slots_(NewSlots(size_)) {}

StateSet::~StateSet() { DeleteSlots(slots_, size_); }

// That of the state, or the free one where it belongs.
uint64_t& StateSet::SlotOf(uint64_t state) {
  for (size_t i = IndexOf(state);; i = (i + 1) & (size_ - 1)) {
    if (slots_[i] == 0 || (slots_[i] & ~kLeftBits) == state) return slots_[i];
  }
}

bool StateSet::Enter(uint64_t state, int left) {
  state &= ~kLeftBits;
  const uint64_t entry = state | static_cast<uint64_t>(left + 1);
  uint64_t& slot = SlotOf(state);
  if (slot != 0) {
    if (slot >= entry) return false;
    slot = entry;
    return true;
  }
  if (4 * used_ >= 3 * size_) {
    if (size_ == kMaxSize) return true;
    Grow();
    SlotOf(state) = entry;
  } else {
    slot = entry;
  }
  ++used_;
  return true;
}

void StateSet::Grow() {
  uint64_t* const old = slots_;
  const size_t old_size = size_;
  size_ *= 4;
  if (size_ > kMaxSize) size_ = kMaxSize;
  slots_ = NewSlots(size_);
  for (size_t i = 0; i < old_size; ++i) {
    if (old[i] != 0) SlotOf(old[i] & ~kLeftBits) = old[i];
  }
  DeleteSlots(old, old_size);
}

void StateSet::Clear() {
  used_ = 0;
  std::fill(slots_, slots_ + size_, 0);
}

}  // namespace weft::internal::model

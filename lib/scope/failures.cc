#include "weft/internal/failures.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "lib/base/list.h"
#include "weft/internal/child.h"

namespace weft::internal {

void Failures::ReleaseKept() noexcept {
  while (ThreadBlock* child = kept_.PopFront()) child->Release();
}

uint64_t Failures::Count() noexcept {
  const uint64_t count = count_.load(std::memory_order_relaxed) + 1;
  count_.store(count, std::memory_order_relaxed);
  return count;
}

bool Failures::Add(ChildBase& child) noexcept {
  if (Count() > kMostKept) return false;
  child.AddRef();
  kept_.PushBack(&child);
  return true;
}

void Failures::AddUnallocated() noexcept {
  if (const uint64_t count = Count(); count <= kMostKept) unallocated_ |= uint64_t{1} << (count - 1);
}

Failures::Found Failures::Find() noexcept {
  Found found;
  found.count = count_.load(std::memory_order_relaxed);
  found.size = static_cast<size_t>(std::min<uint64_t>(found.count, kMostKept));
  ThreadBlock* child = kept_.front();
  for (size_t i = 0; i < found.size; ++i) {
    const bool unallocated = (unallocated_ >> i & 1) != 0;
    found.first[i] = unallocated ? nullptr : static_cast<const ChildBase*>(child);
    if (!unallocated) child = kept_.Next(child);
  }
  return found;
}

}  // namespace weft::internal

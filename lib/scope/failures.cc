#include "weft/internal/failures.h"

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
  if (Count() == 1) first_is_unallocated_ = true;
}

Failures::Found Failures::Find() noexcept {
  Found found;
  for (ThreadBlock* child = kept_.front(); child != nullptr; child = kept_.Next(child)) {
    found.kept[found.kept_count++] = static_cast<const ChildBase*>(child);
  }
  found.first_is_unallocated = first_is_unallocated_;
  found.count = count_.load(std::memory_order_relaxed);
  return found;
}

}  // namespace weft::internal

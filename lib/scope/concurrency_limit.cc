#include "weft/internal/concurrency_limit.h"

#include "lib/base/list.h"
#include "weft/internal/child.h"

namespace weft::internal {

bool ConcurrencyLimit::Admit(ChildBase& child, bool shut) noexcept {
  if (shut) return !child.OwesCleanUp() || StartsNow(child);
  if (running_ == max_) {
    waiting_.PushBack(&child);
    return false;
  }
  return StartsNow(child);
}

// False: it owes a clean-up, and there is no room: it waits.
bool ConcurrencyLimit::StartsNow(ChildBase& child) noexcept {
  if (running_ == max_) {
    owing_.PushBack(&child);
    return false;
  }
  ++running_;
  child.within_limit_ = true;
  return true;
}

ChildBase* ConcurrencyLimit::NextAfter(const ChildBase& ended, bool shut) noexcept {
  if (!ended.within_limit_) return nullptr;
  auto* const next = static_cast<ChildBase*>(shut ? owing_.PopFront() : waiting_.PopFront());
  if (next == nullptr) {
    --running_;
  } else {
    next->within_limit_ = true;
  }
  return next;
}

ChildBase* ConcurrencyLimit::TakeForShutdown() noexcept {
  auto* const child = static_cast<ChildBase*>(waiting_.PopFront());
  return !child->OwesCleanUp() || StartsNow(*child) ? child : nullptr;
}

}  // namespace weft::internal
